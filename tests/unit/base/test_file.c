/* SPDX-License-Identifier: Apache-2.0
 *
 * Files, paths, digests. */
#include "base/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/digest.h"
#include "test.h"

static char root[64];

static int setup(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/tmp/test-file-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return dir_remove_tree(root, NULL);
}

static void test_file__atomic_write(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *path = path_join(root, "index.json");
    assert_ok(file_write_atomic(path, STR("one"), 0644, &err));
    assert_ok(file_write_atomic(path, STR("two"), 0600, &err));
    CLEANUP_BUF struct buf b = BUF_INIT(100);
    assert_ok(file_read(path, &b, &err));
    assert_str(buf_str(&b), "two");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    CLEANUP_FREE char *nowhere = path_join(root, "no/such/dir");
    assert_fails(file_write_atomic(nowhere, STR("x"), 0644, &err), ERR_NOT_FOUND, "no/such/dir");
}

static void test_file__read_is_bounded(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *path = path_join(root, "ten");
    assert_ok(file_write_atomic(path, STR("0123456789"), 0644, &err));
    CLEANUP_BUF struct buf exact = BUF_INIT(10), small = BUF_INIT(9);
    assert_ok(file_read(path, &exact, &err));
    assert_int_equal(exact.len, 10);
    assert_fails(file_read(path, &small, &err), ERR_TOO_LARGE, "limit of 9 bytes");
    struct file_map m = {0};
    assert_ok(file_map_open(path, &m, &err));
    assert_int_equal(m.size, 10);
    file_map_close(&m);
    assert_fails(file_map_open(root, &m, &err), ERR_INVALID, "not a regular file");
}

static void test_file__tree(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *deep = path_join(root, "a/b/c");
    CLEANUP_FREE char *top = path_join(root, "a");
    CLEANUP_FREE char *keep = path_join(root, "keep");
    CLEANUP_FREE char *link = path_join(root, "a/b/link");
    assert_ok(dir_make(deep, 0755, &err));
    assert_ok(dir_make(deep, 0755, &err));
    assert_ok(dir_make(keep, 0755, &err));
    assert_int_equal(symlink(keep, link), 0);
    assert_ok(dir_remove_tree(top, &err));
    assert_false(file_exists(top));
    assert_true(file_exists(keep)); /* links are removed, not followed */
    assert_ok(dir_remove_tree(top, &err));

    CLEANUP_FREE char *file = path_join(root, "file");
    CLEANUP_FREE char *under = path_join(root, "file/x");
    assert_ok(file_write_atomic(file, STR(""), 0644, &err));
    assert_int_not_equal(dir_make(file, 0755, &err), 0);
    assert_int_not_equal(dir_make(under, 0755, &err), 0);
}

static void test_file__paths(void **state)
{
    (void)state;
    static const struct {
        const char *dir, *name, *want;
    } cases[] = {
        {"/a", "b", "/a/b"}, {"/a/", "b", "/a/b"}, {"/", "b", "/b"}, {"a", "/b", "a/b"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_FREE char *p = path_join(cases[i].dir, cases[i].name);
        assert_string_equal(p, cases[i].want);
    }
    assert_string_equal(path_base("/a/b.gguf"), "b.gguf");
    assert_string_equal(path_base("b.gguf"), "b.gguf");
    CLEANUP_FREE char *d1 = path_dir("/a/b"), *d2 = path_dir("b"), *d3 = path_dir("/b");
    assert_string_equal(d1, "/a");
    assert_string_equal(d2, ".");
    assert_string_equal(d3, "/");
}

static void test_digest__known_values(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    char hex[SHA256_HEX + 1];
    sha256_hex(STR(""), hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    sha256_hex(STR("abc"), hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CLEANUP_FREE char *path = path_join(root, "abc");
    assert_ok(file_write_atomic(path, STR("abc"), 0644, &err));
    char from_file[SHA256_HEX + 1];
    assert_ok(sha256_file_hex(path, from_file, &err));
    assert_string_equal(from_file, hex);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file__atomic_write), cmocka_unit_test(test_file__read_is_bounded),
        cmocka_unit_test(test_file__tree),         cmocka_unit_test(test_file__paths),
        cmocka_unit_test(test_digest__known_values),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
