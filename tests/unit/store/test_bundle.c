/* SPDX-License-Identifier: Apache-2.0
 *
 * Bundles: names, hostile names, making and mending. */
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "fixture.h"
#include "store/bundle.h"

static void add_layer(struct oci_manifest *m, const char *type, const char *content,
                      const char *path)
{
    struct oci_digest d = oci_digest_of(str_from(content));
    struct oci_descriptor *l = oci_manifest_add_layer(m, type, &d, strlen(content));
    if (path)
        oci_map_set(&l->annotations, STR(OCI_ANNOTATION_FILEPATH), str_from(path));
}

/* "a b c": the planned paths in order. */
static void assert_plan(const struct oci_manifest *m, enum oci_config_kind kind, const char *want)
{
    struct error err = ERROR_INIT;
    struct bundle b;
    CLEANUP_BUF struct buf got = BUF_INIT(1 << 16);
    assert_ok(bundle_plan(m, kind, &b, &err));
    for (size_t i = 0; i < b.n_files; i++)
        buf_printf(&got, "%s%s", i ? " " : "", b.files[i].path);
    assert_string_equal(buf_cstr(&got), want);
    bundle_release(&b);
}

static void test_plan__v01(void **state)
{
    (void)state;
    struct oci_manifest m = {0};
    add_layer(&m, OCI_TYPE_GGUF, "a", "../../evil.gguf"); /* its path does not count here */
    add_layer(&m, OCI_TYPE_LICENSE, "l", "LICENSE");
    add_layer(&m, OCI_TYPE_TEMPLATE, "t", NULL);
    add_layer(&m, OCI_TYPE_MMPROJ, "p", NULL);
    add_layer(&m, OCI_TYPE_FILE, "f", "sub/config.json");
    add_layer(&m, "text/plain", "x", "x");
    assert_plan(&m, OCI_CONFIG_V01, "model.gguf template.jinja model.mmproj sub/config.json");
    add_layer(&m, OCI_TYPE_GGUF, "b", NULL);
    assert_plan(&m, OCI_CONFIG_V01,
                "model-00001-of-00002.gguf template.jinja model.mmproj "
                "sub/config.json model-00002-of-00002.gguf");
    oci_manifest_release(&m);
}

static void test_plan__annotated(void **state)
{
    (void)state;
    struct oci_manifest m = {0};
    add_layer(&m, OCI_TYPE_SAFETENSORS, "a", "model.safetensors");
    add_layer(&m, OCI_TYPE_FILE, "b", "a/b/c.json");
    add_layer(&m, OCI_TYPE_FILE, "b", "a/b/c.json"); /* the same again is fine */
    add_layer(&m, OCI_TYPE_LICENSE, "c", NULL);
    assert_plan(&m, OCI_CONFIG_V02, "model.safetensors a/b/c.json");
    assert_plan(&m, OCI_CONFIG_CNCF, "model.safetensors a/b/c.json");
    struct error err = ERROR_INIT;
    struct bundle b;
    add_layer(&m, OCI_TYPE_FILE, "other", "a/b/c.json");
    assert_fails(bundle_plan(&m, OCI_CONFIG_V02, &b, &err), ERR_CORRUPT, "filepath collision");
    oci_manifest_release(&m);
}

static void test_plan__hostile_paths(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "",   "/etc/passwd", "..", "../x",  "a/../../b", "a/..", "./a",   "a//b",
        "a/", "a/.",         ".",  "C:\\x", "a\\..\\b",  "a\nb", "a\x7f",
    };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct error err = ERROR_INIT;
        struct oci_manifest m = {0};
        struct bundle b;
        add_layer(&m, OCI_TYPE_FILE, "x", paths[i]);
        assert_fails(bundle_plan(&m, OCI_CONFIG_V02, &b, &err), ERR_CORRUPT, "invalid file path");
        assert_fails(bundle_plan(&m, OCI_CONFIG_V01, &b, &err), ERR_CORRUPT, "invalid file path");
        oci_map_set(&m.layers[0].annotations, STR(OCI_ANNOTATION_FILEPATH), STR("a\0b"));
        assert_fails(bundle_plan(&m, OCI_CONFIG_V02, &b, &err), ERR_CORRUPT, "invalid file path");
        oci_manifest_release(&m);
    }
    struct error err = ERROR_INIT;
    struct bundle b;
    CLEANUP_BUF struct buf deep = BUF_INIT(4096);
    for (int i = 0; i < 40; i++)
        buf_append_c(&deep, "a/");
    buf_push(&deep, 'a');
    struct oci_manifest m = {0};
    add_layer(&m, OCI_TYPE_FILE, "x", buf_cstr(&deep));
    assert_fails(bundle_plan(&m, OCI_CONFIG_V02, &b, &err), ERR_CORRUPT, "too long");
    oci_manifest_release(&m);
}

static void test_bundle__made_and_mended(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = NULL;
    struct oci_digest id;
    struct bundle b = {0};
    assert_ok(store_open(f->store_dir, &s, &err));
    assert_ok(fixture_add(s, "weights", "docker.io/a/x:1", &id, &err));
    CLEANUP_BUF struct buf text = BUF_INIT(1 << 16);
    struct oci_manifest m;
    assert_ok(store_read_manifest(s, &id, &text, &err));
    assert_ok(oci_manifest_parse(buf_str(&text), &m, &err));
    assert_ok(bundle_plan(&m, OCI_CONFIG_V01, &b, &err));
    assert_ok(store_bundle(s, &id, STR("{\"format\":\"gguf\"}"), &b, &err));

    CLEANUP_FREE char *dir = xasprintf("%s/bundles/sha256/%s", f->store_dir, oci_digest_hex(&id));
    CLEANUP_FREE char *config = fixture_read(dir, "config.json");
    assert_string_equal(config, "{\"format\":\"gguf\"}\n");
    CLEANUP_FREE char *file = path_join(dir, "model/model.gguf");
    CLEANUP_FREE char *blob = store_blob_path(s, &m.layers[0].digest);
    struct stat in_bundle, in_blobs;
    assert_int_equal(stat(file, &in_bundle), 0);
    assert_int_equal(stat(blob, &in_blobs), 0);
    assert_true(in_bundle.st_ino == in_blobs.st_ino); /* no second copy */

    /* Damage is noticed and mended; what is good stays. */
    assert_ok(store_bundle(s, &id, STR("{}"), &b, &err));
    struct stat again;
    assert_int_equal(stat(file, &again), 0);
    assert_int_equal(unlink(file), 0);
    assert_int_equal(symlink("/etc/passwd", file), 0);
    assert_ok(store_bundle(s, &id, STR("{}"), &b, &err));
    assert_int_equal(lstat(file, &again), 0);
    assert_true(S_ISREG(again.st_mode) && again.st_ino == in_blobs.st_ino);
    assert_int_equal(fixture_count(f->store_dir, "bundles/sha256"), 1);

    /* No bundle of a model that is not there; no bundle with a damaged blob. */
    struct oci_digest absent = oci_digest_of(STR("absent"));
    assert_fails(store_bundle(s, &absent, STR("{}"), &b, &err), ERR_NOT_FOUND, "not found");
    assert_ok(dir_remove_tree(dir, &err));
    fixture_write(f->store_dir, "x", "cut");
    CLEANUP_FREE char *cut = path_join(f->store_dir, "x");
    assert_int_equal(rename(cut, blob), 0);
    assert_fails(store_bundle(s, &id, STR("{}"), &b, &err), ERR_CORRUPT, "3 bytes instead of 7");
    assert_int_equal(fixture_count(f->store_dir, "bundles/sha256"), 0);
    bundle_release(&b);
    oci_manifest_release(&m);
    store_close(s);
}

static void test_bundle__of_nested_files(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = NULL;
    assert_ok(store_open(f->store_dir, &s, &err));
    struct oci_manifest m = {0};
    struct oci_digest c = oci_digest_of(STR("{}")), id;
    oci_manifest_set_config(&m, OCI_TYPE_CONFIG_V02, &c, 2);
    add_layer(&m, OCI_TYPE_SAFETENSORS, "w", "model.safetensors");
    add_layer(&m, OCI_TYPE_FILE, "x", "a/b/x.json");
    add_layer(&m, OCI_TYPE_FILE, "y", "a/y.json");
    CLEANUP_BUF struct buf text = BUF_INIT(1 << 16);
    oci_manifest_write(&m, &text);
    struct store_txn *t;
    assert_ok(store_begin(s, &t, &err));
    static const char *const contents[] = {"{}", "w", "x", "y"};
    for (size_t i = 0; i < ARRAY_LEN(contents); i++)
        assert_ok(store_txn_add_bytes(t, str_from(contents[i]), NULL, &err));
    assert_ok(store_commit(t, buf_str(&text), NULL, &id, &err));
    struct bundle b;
    assert_ok(bundle_plan(&m, OCI_CONFIG_V02, &b, &err));
    assert_ok(store_bundle(s, &id, STR("{}"), &b, &err));
    CLEANUP_FREE char *x = fixture_read(b.dir, "a/b/x.json");
    assert_string_equal(x, "x");
    /* A path through a file. */
    struct bundle bad;
    add_layer(&m, OCI_TYPE_FILE, "y", "model.safetensors/y");
    assert_ok(bundle_plan(&m, OCI_CONFIG_V02, &bad, &err));
    assert_true(store_bundle(s, &id, STR("{}"), &bad, &err) < 0);
    assert_int_equal(fixture_count(f->store_dir, "bundles/sha256"), 1);
    bundle_release(&bad);
    bundle_release(&b);
    oci_manifest_release(&m);
    store_close(s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan__v01),
        cmocka_unit_test(test_plan__annotated),
        cmocka_unit_test(test_plan__hostile_paths),
        T(test_bundle__made_and_mended),
        T(test_bundle__of_nested_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
