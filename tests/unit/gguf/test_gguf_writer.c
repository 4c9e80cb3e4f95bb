/* SPDX-License-Identifier: Apache-2.0
 *
 * What the writer writes, the reader reads; what it was not given right, it refuses. */
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "gguf/gguf.h"
#include "gguf/gguf_writer.h"

static char dir[] = "/tmp/mr-test-writer-XXXXXX";
static char *path;

static int make_dir(void **state)
{
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    path = path_join(dir, "m.gguf");
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    free(path);
    return dir_remove_tree(dir, NULL);
}

static void test_writer__round_trip(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    float a[12], b[5];
    for (int i = 0; i < 12; i++)
        a[i] = (float)i;
    for (int i = 0; i < 5; i++)
        b[i] = (float)-i;
    const struct str words[] = {STR("one"), STR(""), STR("a\0b")};
    const int32_t whole[] = {-1, 2};
    const float real[] = {0.5f};
    const uint64_t dims[] = {4, 3};

    CLEANUP(cleanup_gguf_writer) struct gguf_writer *w = gguf_writer_new();
    gguf_writer_alignment(w, 64);
    gguf_writer_str(w, "general.architecture", STR("test"));
    gguf_writer_u16(w, "u16", 65535);
    gguf_writer_u32(w, "u32", 7);
    gguf_writer_i32(w, "i32", -7);
    gguf_writer_u64(w, "u64", UINT64_MAX);
    gguf_writer_f32(w, "f32", 0.25f);
    gguf_writer_bool(w, "bool", true);
    gguf_writer_str_array(w, "words", words, 3);
    gguf_writer_i32_array(w, "whole", whole, 2);
    gguf_writer_f32_array(w, "real", real, 1);
    gguf_writer_tensor(w, STR("a"), 0, 2, dims);
    gguf_writer_tensor(w, STR("b"), 0, 1, (const uint64_t[]){5});
    assert_ok(gguf_writer_begin(w, path, &err));
    assert_false(file_exists(path)); /* not before it is whole */
    assert_ok(gguf_writer_data(w, a, 20, &err));
    assert_ok(gguf_writer_data(w, (const char *)a + 20, sizeof(a) - 20, &err));
    assert_ok(gguf_writer_data(w, b, sizeof(b), &err));
    assert_fails(gguf_writer_data(w, b, 1, &err), ERR_INVALID, "more tensor data");
    assert_ok(gguf_writer_end(w, &err));

    struct gguf *g = NULL;
    assert_ok(gguf_open(path, 0, &g, &err));
    assert_int_equal(gguf_version(g), 3);
    assert_int_equal(gguf_alignment(g), 64);
    uint64_t u64 = 0;
    int64_t i64 = 0;
    bool flag = false;
    assert_ok(gguf_get_u64(g, "u16", &u64, &err));
    assert_int_equal(u64, 65535);
    assert_ok(gguf_get_u64(g, "u64", &u64, &err));
    assert_true(u64 == UINT64_MAX);
    assert_ok(gguf_get_i64(g, "i32", &i64, &err));
    assert_int_equal(i64, -7);
    assert_ok(gguf_get_bool(g, "bool", &flag, &err));
    assert_true(flag);
    struct str *strs = NULL;
    size_t n = 0;
    assert_ok(gguf_get_str_array(g, "words", &strs, &n, &err));
    assert_int_equal(n, 3);
    assert_true(str_eq(strs[2], words[2]));
    free(strs);
    assert_memory_equal(gguf_tensor_find(g, STR("a"))->data, a, sizeof(a));
    assert_memory_equal(gguf_tensor_find(g, STR("b"))->data, b, sizeof(b));
    assert_int_equal((uintptr_t)gguf_tensor_find(g, STR("b"))->data % 64, 0);
    gguf_tensor_unneeded(g, gguf_tensor_find(g, STR("a")));
    assert_memory_equal(gguf_tensor_find(g, STR("a"))->data, a, sizeof(a));
    gguf_free(g);
    unlink(path);
}

static void test_writer__unfinished(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct gguf_writer *w = gguf_writer_new();
    gguf_writer_tensor(w, STR("a"), 0, 1, (const uint64_t[]){4});
    assert_ok(gguf_writer_begin(w, path, &err));
    assert_fails(gguf_writer_end(w, &err), ERR_INVALID, "the data of tensor 'a' is missing");
    gguf_writer_free(w);
    assert_false(file_exists(path));
    CLEANUP_FREE char *part = path_join(dir, "m.gguf.part");
    assert_false(file_exists(part));
}

static void declare_key_twice(struct gguf_writer *w)
{
    gguf_writer_u32(w, "k", 1);
    gguf_writer_u32(w, "k", 1);
}

static void declare_tensor_twice(struct gguf_writer *w)
{
    gguf_writer_tensor(w, STR("t"), 0, 1, (const uint64_t[]){4});
    gguf_writer_tensor(w, STR("t"), 0, 1, (const uint64_t[]){4});
}

static void declare_bad_type(struct gguf_writer *w)
{
    gguf_writer_tensor(w, STR("t"), 4, 1, (const uint64_t[]){4});
}

static void declare_bad_row(struct gguf_writer *w)
{
    gguf_writer_tensor(w, STR("t"), 8, 1, (const uint64_t[]){33});
}

static void declare_no_name(struct gguf_writer *w)
{
    gguf_writer_tensor(w, STR(""), 0, 1, (const uint64_t[]){4});
}

static void declare_bad_alignment(struct gguf_writer *w)
{
    gguf_writer_alignment(w, 24);
}

static void test_writer__refuses(void **state)
{
    (void)state;
    static const struct {
        void (*declare)(struct gguf_writer *w);
        const char *part;
    } rows[] = {
        {declare_key_twice, "'k' is written twice"}, {declare_tensor_twice, "'t' is written twice"},
        {declare_bad_type, "'t' cannot be written"}, {declare_bad_row, "'t' cannot be written"},
        {declare_no_name, "cannot be written"},      {declare_bad_alignment, "24"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        CLEANUP(cleanup_gguf_writer) struct gguf_writer *w = gguf_writer_new();
        rows[i].declare(w);
        assert_fails(gguf_writer_begin(w, path, &err), ERR_INVALID, rows[i].part);
    }
    struct error err = ERROR_INIT;
    CLEANUP(cleanup_gguf_writer) struct gguf_writer *w = gguf_writer_new();
    CLEANUP_FREE char *nowhere = path_join(dir, "missing/m.gguf");
    assert_fails(gguf_writer_begin(w, nowhere, &err), ERR_NOT_FOUND, "missing/m.gguf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_writer__round_trip),
        cmocka_unit_test(test_writer__unfinished),
        cmocka_unit_test(test_writer__refuses),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
