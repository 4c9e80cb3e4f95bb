/* SPDX-License-Identifier: Apache-2.0
 *
 * Artifacts from local files: what is refused, what comes out, and that it comes out the same. */
#include "test.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "fixture.h"
#include "model_fixture.h"
#include "models/artifact.h"
#include "models/gguf_info.h"
#include "models/tar.h"
#include "oci/manifest.h"

static char *in(const struct fixture *f, const char *name)
{
    return path_join(f->root, name);
}

static void test_build__one_file(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    write_gguf(f->root, "tiny.gguf", 400, 0, 0);
    CLEANUP_FREE char *path = in(f, "tiny.gguf");
    struct artifact *a;
    struct artifact_source src = {.gguf = path};
    assert_ok(artifact_build(&src, NULL, NULL, &a, &err));
    assert_int_equal(a->n_files, 1);

    CLEANUP_JSON struct json *config = NULL;
    assert_ok(js_parse(str_make(a->config, a->config_len), "config", &config, &err));
    const struct json *c = js_get(config, "config");
    assert_string_equal(js_get_cstr(c, "format", ""), "gguf");
    assert_string_equal(js_get_cstr(c, "architecture", ""), "llama");
    assert_string_equal(js_get_cstr(c, "parameters", ""), "3.20K");
    assert_string_equal(js_get_cstr(c, "size", ""), "12.50KiB");
    assert_int_equal(js_get_int(c, "context_size", 0), 4096);
    const struct json *kv = js_get(c, "gguf");
    assert_string_equal(js_get_cstr(kv, "llama.context_length", ""), "4096");
    assert_string_equal(js_get_cstr(kv, "llama.rope.freq_base", ""), "10000.000000");
    assert_string_equal(js_get_cstr(kv, "short", ""), "1, 2, 3");
    assert_string_equal(js_get_cstr(kv, "general.name", ""), "Tiny <test> & more");
    assert_non_null(strstr(a->config, "Tiny \\u003ctest\\u003e \\u0026 more"));
    assert_string_equal(js_get_cstr(js_get(config, "descriptor"), "created", ""),
                        "2023-11-14T22:13:20Z");

    struct oci_manifest m;
    assert_ok(oci_manifest_parse(str_make(a->manifest, a->manifest_len), &m, &err));
    assert_string_equal(m.config.media_type, OCI_TYPE_CONFIG_V01);
    assert_string_equal(m.config.digest.text, a->config_digest.text);
    assert_string_equal(m.layers[0].media_type, OCI_TYPE_GGUF);
    assert_str(oci_layer_path(&m.layers[0]), "tiny.gguf");
    CLEANUP_JSON struct json *meta = NULL;
    assert_ok(js_parse(oci_map_get(&m.layers[0].annotations, OCI_ANNOTATION_FILE_METADATA), "m",
                       &meta, &err));
    assert_string_equal(js_get_cstr(meta, "name", ""), "tiny.gguf");
    assert_string_equal(js_get_cstr(meta, "mtime", ""), "2023-11-14T22:13:20Z");
    assert_int_equal(js_get_int(meta, "size", 0), (int64_t)a->files[0].size);
    oci_manifest_release(&m);
    struct oci_digest id = oci_digest_of(str_make(a->manifest, a->manifest_len));
    assert_string_equal(a->id.text, id.text);
    artifact_free(a);
}

static struct oci_digest build_id(const struct artifact_source *src)
{
    struct error err = ERROR_INIT;
    struct artifact *a = NULL;
    assert_ok(artifact_build(src, NULL, NULL, &a, &err));
    struct oci_digest id = a->id;
    artifact_free(a);
    return id;
}

static void test_build__is_repeatable(void **state)
{
    struct fixture *f = *state;
    write_gguf(f->root, "tiny.gguf", 4, 0, 0);
    CLEANUP_FREE char *path = in(f, "tiny.gguf");
    struct artifact_source src = {.gguf = path};
    struct oci_digest first = build_id(&src), again = build_id(&src);
    assert_string_equal(first.text, again.text);
    set_mtime(f->root, "tiny.gguf", 1800000000);
    struct oci_digest later = build_id(&src);
    assert_string_not_equal(first.text, later.text);
    /* With the time of the source given, only content and name count. */
    setenv("SOURCE_DATE_EPOCH", "1700000001", 1);
    struct oci_digest a = build_id(&src);
    set_mtime(f->root, "tiny.gguf", 1900000000);
    struct oci_digest b = build_id(&src);
    assert_string_equal(a.text, b.text);
    setenv("SOURCE_DATE_EPOCH", "soon", 1);
    struct error err = ERROR_INIT;
    struct artifact *none;
    assert_fails(artifact_build(&src, NULL, NULL, &none, &err), ERR_INVALID, "SOURCE_DATE_EPOCH");
    unsetenv("SOURCE_DATE_EPOCH");
}

static void test_build__everything(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    write_gguf(f->root, "t-00001-of-00002.gguf", 4, 1, 2);
    write_gguf(f->root, "t-00002-of-00002.gguf", 8, 2, 2);
    write_gguf(f->root, "mmproj.gguf", 4, 0, 0);
    fixture_write(f->root, "LICENSE", "do what you like");
    fixture_write(f->root, "chat.jinja", "{{ messages }}");
    CLEANUP_FREE char *gguf = in(f, "t-00002-of-00002.gguf"); /* any shard will do */
    CLEANUP_FREE char *mmproj = in(f, "mmproj.gguf");
    CLEANUP_FREE char *license = in(f, "LICENSE");
    CLEANUP_FREE char *chat = in(f, "chat.jinja");
    const char *licenses[] = {license};
    struct artifact_source src = {.gguf = gguf,
                                  .mmproj = mmproj,
                                  .chat_template = chat,
                                  .licenses = licenses,
                                  .n_licenses = 1,
                                  .context_size = 77};
    struct artifact *a;
    assert_ok(artifact_build(&src, NULL, NULL, &a, &err));
    static const char *const types[] = {OCI_TYPE_GGUF, OCI_TYPE_GGUF, OCI_TYPE_LICENSE,
                                        OCI_TYPE_TEMPLATE, OCI_TYPE_MMPROJ};
    assert_int_equal(a->n_files, ARRAY_LEN(types));
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        assert_string_equal(a->files[i].media_type, types[i]);
    assert_string_equal(a->files[0].name, "t-00001-of-00002.gguf");
    assert_non_null(strstr(a->config, "\"context_size\":77"));
    assert_non_null(strstr(a->config, "\"parameters\":\"96\"")); /* of both shards */
    artifact_free(a);
}

static int cancel(void *ctx, uint64_t done, uint64_t total)
{
    (void)ctx;
    return done > 0 && total > 0;
}

static void test_build__refuses(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct artifact *a;
    write_gguf(f->root, "ok.gguf", 4, 0, 0);
    write_gguf(f->root, "t-00001-of-00003.gguf", 4, 1, 3);
    fixture_write(f->root, "text.gguf", "this is no model");
    fixture_write(f->root, "empty.gguf", "");
    fixture_write(f->root, "empty.jinja", "");
    fixture_write(f->root, "binary.jinja", "\xff\xfe");
    static const struct {
        const char *gguf, *chat, *mmproj;
        const char *message;
    } cases[] = {
        {"absent.gguf", NULL, NULL, "absent.gguf"},
        {"", NULL, NULL, "not a regular file"},
        {"text.gguf", NULL, NULL, "text.gguf' is not a usable GGUF file"},
        {"empty.gguf", NULL, NULL, "empty.gguf' is not a usable GGUF file"},
        {"t-00001-of-00003.gguf", NULL, NULL, "incomplete shard set: found 1 of 3 shards"},
        {"ok.gguf", "empty.jinja", NULL, "is empty"},
        {"ok.gguf", "binary.jinja", NULL, "not UTF-8"},
        {"ok.gguf", "absent.jinja", NULL, "absent.jinja"},
        {"ok.gguf", NULL, "text.gguf", "text.gguf' is not a usable GGUF file"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_FREE char *gguf = in(f, cases[i].gguf);
        CLEANUP_FREE char *chat = cases[i].chat ? in(f, cases[i].chat) : NULL;
        CLEANUP_FREE char *mmproj = cases[i].mmproj ? in(f, cases[i].mmproj) : NULL;
        struct artifact_source src = {.gguf = gguf, .chat_template = chat, .mmproj = mmproj};
        int r = artifact_build(&src, NULL, NULL, &a, &err);
        if (r >= 0 || !strstr(err.msg, cases[i].message))
            fail_msg("case %zu: %s", i, r < 0 ? err.msg : "accepted");
    }
    CLEANUP_FREE char *path = in(f, "ok.gguf");
    struct artifact_source src = {.gguf = path};
    assert_fails(artifact_build(&src, cancel, NULL, &a, &err), ERR_CANCELED, "canceled");
    src.context_size = -1;
    assert_fails(artifact_build(&src, NULL, NULL, &a, &err), ERR_INVALID, "context size");
    src = (struct artifact_source){0};
    assert_fails(artifact_build(&src, NULL, NULL, &a, &err), ERR_INVALID, "no model");
}

static int to_buf(void *ctx, const void *p, size_t n, struct error *err)
{
    struct buf *b = ctx;
    return buf_append_bytes(b, p, n) < 0 ? buf_check(b, "tar", err) : 0;
}

static void test_tar(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    write_gguf(f->root, "tiny.gguf", 4, 0, 0);
    CLEANUP_FREE char *path = in(f, "tiny.gguf");
    struct artifact_source src = {.gguf = path};
    struct artifact *a;
    assert_ok(artifact_build(&src, NULL, NULL, &a, &err));
    CLEANUP_BUF struct buf tar = BUF_INIT(1 << 20);
    assert_ok(artifact_write_tar(a, to_buf, &tar, &err));
    assert_int_equal(tar.len, artifact_tar_size(a));
    assert_int_equal(tar.len % TAR_BLOCK, 0);

    /* The system's tar reads it. */
    CLEANUP_FREE char *file = in(f, "a.tar");
    assert_ok(file_write_atomic(file, buf_str(&tar), 0644, &err));
    CLEANUP_FREE char *command =
        xasprintf("cd %s && tar -tf a.tar > list 2> /dev/null && wc -l < list > count", f->root);
    if (system("tar --version > /dev/null 2>&1") == 0) {
        assert_int_equal(system(command), 0);
        CLEANUP_FREE char *list = fixture_read(f->root, "list");
        CLEANUP_FREE char *want =
            xasprintf("blobs\nblobs/sha256\nblobs/sha256/%s\nblobs/sha256/%s\nmanifest.json\n",
                      oci_digest_hex(&a->files[0].digest), oci_digest_hex(&a->config_digest));
        assert_string_equal(list, want);
    }
    /* A file that changes between building and sending is noticed. */
    CLEANUP_BUF struct buf content = BUF_INIT(1 << 20);
    assert_ok(file_read(path, &content, &err));
    content.data[content.len - 1] ^= 1;
    assert_ok(file_write_atomic(path, buf_str(&content), 0644, &err));
    buf_clear(&tar);
    assert_fails(artifact_write_tar(a, to_buf, &tar, &err), ERR_CONFLICT, "changed");
    fixture_write(f->root, "tiny.gguf", "x");
    assert_fails(artifact_write_tar(a, to_buf, &tar, &err), ERR_CONFLICT, "changed");
    artifact_free(a);
}

static void test_formats(void **state)
{
    (void)state;
    static const struct {
        uint64_t n;
        const char *count, *size;
    } cases[] = {
        {0, "0", "0B"},
        {999, "999", "999B"},
        {1000, "1.00K", "1000B"},
        {361821120, "361.82M", "345.06MiB"},
        {8030261248, "8.03B", "7.48GiB"},
        {268800000, "268.80M", "256.35MiB"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[GGUF_INFO_TEXT_MAX];
        format_count(cases[i].n, text);
        assert_string_equal(text, cases[i].count);
        format_binary_size(cases[i].n, text);
        assert_string_equal(text, cases[i].size);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    unsetenv("SOURCE_DATE_EPOCH");
    const struct CMUnitTest tests[] = {
        T(test_build__one_file),
        T(test_build__is_repeatable),
        T(test_build__everything),
        T(test_build__refuses),
        T(test_tar),
        cmocka_unit_test(test_formats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
