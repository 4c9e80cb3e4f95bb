/* SPDX-License-Identifier: Apache-2.0
 *
 * The models on this machine, end to end: package, list, run, name, remove, carry away and back. */
#include "test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "fixture.h"
#include "model_fixture.h"
#include "models/models.h"
#include "models/tar.h"
#include "oci/manifest.h"

static struct models *open_models(const struct fixture *f)
{
    struct error err = ERROR_INIT;
    struct models *m = NULL;
    struct models_options o = {.root = f->store_dir};
    assert_ok(models_open(&o, &m, &err));
    return m;
}

static void package(struct models *m, const struct fixture *f, uint64_t rows, const char *name,
                    char id[OCI_DIGEST_TEXT_MAX])
{
    struct error err = ERROR_INIT;
    write_gguf(f->root, "tiny.gguf", rows, 0, 0);
    CLEANUP_FREE char *path = path_join(f->root, "tiny.gguf");
    struct artifact_source src = {.gguf = path};
    assert_ok(models_package(m, &src, NULL, name, 0, NULL, NULL, id, &err));
}

static void assert_clean(struct models *m)
{
    struct error err = ERROR_INIT;
    size_t bad = 99;
    assert_ok(models_verify(m, NULL, NULL, NULL, NULL, &bad, &err));
    assert_int_equal(bad, 0);
}

static void test_list_and_inspect(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct models *m = open_models(f);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    struct model_list l;
    assert_ok(models_list(m, &l, &err));
    model_list_write(&l, &out);
    assert_string_equal(buf_cstr(&out), "[]");
    buf_clear(&out);
    model_list_write_openai(&l, &out);
    assert_string_equal(buf_cstr(&out), "{\"object\":\"list\",\"data\":[]}");
    model_list_release(&l);

    char id[OCI_DIGEST_TEXT_MAX], second[OCI_DIGEST_TEXT_MAX];
    package(m, f, 400, "Tiny:F32", id);
    package(m, f, 4, NULL, second);
    assert_ok(models_list(m, &l, &err));
    assert_int_equal(l.n, 2);
    assert_string_equal(l.items[0].tags[0], "docker.io/ai/tiny:F32");
    assert_string_equal(l.items[0].architecture, "llama");
    assert_int_equal(l.items[0].created, 1700000000);
    assert_int_equal(l.items[1].n_tags, 0);
    buf_clear(&out);
    model_list_write(&l, &out);
    CLEANUP_JSON struct json *json = NULL;
    assert_ok(js_parse(buf_str(&out), "list", &json, &err));
    const struct json *first = js_at(json, 0);
    assert_string_equal(js_get_cstr(first, "id", ""), id);
    assert_string_equal(js_to_cstr(js_at(js_get(first, "tags"), 0)), "docker.io/ai/tiny:F32");
    assert_int_equal(js_get_int(first, "created", 0), 1700000000);
    assert_string_equal(js_get_cstr(js_get(first, "config"), "parameters", ""), "3.20K");
    assert_int_equal(js_get_int(js_get(first, "config"), "context_size", 0), 4096);
    assert_null(js_get(js_at(json, 1), "tags"));
    model_list_release(&l);

    struct model_info i;
    assert_ok(models_get(m, "tiny:F32", MODELS_EXACT, &i, &err));
    buf_clear(&out);
    model_info_write_openai(&i, &out);
    CLEANUP_JSON struct json *openai = NULL;
    assert_ok(js_parse(buf_str(&out), "model", &openai, &err));
    assert_string_equal(js_get_cstr(openai, "id", ""), "docker.io/ai/tiny:F32");
    assert_string_equal(js_get_cstr(openai, "owned_by", ""), "docker");
    assert_int_equal(js_get_int(js_get(openai, "dmr"), "context_window", 0), 4096);
    model_info_release(&i);

    char got[OCI_DIGEST_TEXT_MAX];
    assert_fails(models_get(m, "tiny", MODELS_EXACT, &i, &err), ERR_NOT_FOUND,
                 "get model '\"tiny\"': model not found");
    assert_ok(models_resolve_id(m, "tiny", MODELS_PARTIAL, got, &err));
    assert_string_equal(got, id);
    assert_fails(models_resolve_id(m, "a:b:c", MODELS_EXACT, got, &err), ERR_INVALID, "column 4");
    assert_fails(models_resolve_id(m, "", MODELS_EXACT, got, &err), ERR_INVALID, "empty");
    models_close(m);
}

static void test_package__again_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct models *m = open_models(f);
    char a[OCI_DIGEST_TEXT_MAX], b[OCI_DIGEST_TEXT_MAX];
    package(m, f, 4, "x", a);
    package(m, f, 4, "x", b);
    assert_string_equal(a, b);
    assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 2);
    assert_clean(m);
    models_close(m);
}

static void test_package__refuses_before_writing(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct models *m = open_models(f);
    char id[OCI_DIGEST_TEXT_MAX];
    fixture_write(f->root, "text.gguf", "this is no model");
    CLEANUP_FREE char *path = path_join(f->root, "text.gguf");
    struct artifact_source src = {.gguf = path};
    assert_true(models_package(m, &src, NULL, "x", 0, NULL, NULL, id, &err) < 0);
    assert_fails(models_package(m, &src, NULL, "a:b:c", 0, NULL, NULL, id, &err), ERR_INVALID,
                 "column 4");
    assert_fails(
        models_package(m, &src, NULL,
                       "sha256:354bf30d0aa3af413d2aa5ae4f23c66d78980072d1e07a5b0d776e9606a2f0b9", 0,
                       NULL, NULL, id, &err),
        ERR_INVALID, "is a digest");
    assert_false(fixture_exists(f->store_dir, "blobs"));
    models_close(m);
}

static void test_resolve_file(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct models *m = open_models(f);
    char id[OCI_DIGEST_TEXT_MAX];
    write_gguf(f->root, "t-00001-of-00002.gguf", 4, 1, 2);
    write_gguf(f->root, "t-00002-of-00002.gguf", 8, 2, 2);
    fixture_write(f->root, "chat.jinja", "{{ messages }}");
    CLEANUP_FREE char *gguf = path_join(f->root, "t-00001-of-00002.gguf");
    CLEANUP_FREE char *chat = path_join(f->root, "chat.jinja");
    struct artifact_source src = {.gguf = gguf, .chat_template = chat};
    assert_ok(models_package(m, &src, NULL, "x", 0, NULL, NULL, id, &err));
    uint64_t before;
    assert_ok(models_disk_usage(m, &before, &err));
    struct model_files files;
    for (int i = 0; i < 2; i++) { /* the first makes the bundle */
        assert_ok(models_resolve_file(m, "x", &files, &err));
        assert_string_equal(files.id, id);
        assert_string_equal(files.format, "gguf");
        assert_string_equal(files.architecture, "llama");
        assert_int_equal(files.context_size, 4096);
        assert_string_equal(path_base(files.model_path), "model-00001-of-00002.gguf");
        assert_string_equal(path_base(files.template_path), "template.jinja");
        assert_null(files.mmproj_path);
        assert_true(files.model_path[0] == '/' && file_exists(files.model_path));
        CLEANUP_FREE char *other = path_join(files.dir, "model-00002-of-00002.gguf");
        assert_true(file_exists(other));
        model_files_release(&files);
    }
    CLEANUP_FREE char *config = xasprintf("bundles/sha256/%s/config.json", id + 7);
    CLEANUP_FREE char *text = fixture_read(f->store_dir, config);
    assert_true(text[0] == '{' && text[strlen(text) - 1] == '\n');
    assert_fails(models_resolve_file(m, "y", &files, &err), ERR_NOT_FOUND, "model not found");
    uint64_t after;
    assert_ok(models_disk_usage(m, &after, &err));
    assert_int_equal(after - before, strlen(text)); /* a bundle is links and one small file */
    models_close(m);
}

static void test_tag_and_remove(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct models *m = open_models(f);
    char id[OCI_DIGEST_TEXT_MAX];
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
    package(m, f, 4, "x", id);
    assert_ok(models_tag(m, "x", "docker.io/ai/x", "v1", &err));
    assert_ok(models_tag(m, id, "Reg.io:5000/Org/X", "V2", &err));
    assert_fails(models_tag(m, "x", "a:b", "c", &err), ERR_INVALID, "column 4");
    assert_fails(models_tag(m, "none", "a/b", "c", &err), ERR_NOT_FOUND, "model not found");
    CLEANUP_FREE char *digest = xasprintf("a/b@%s", id);
    assert_fails(models_tag(m, "x", digest, "c", &err), ERR_INVALID, "digest");

    assert_fails(models_remove(m, id, false, &out, &err), ERR_CONFLICT, "resource conflict");
    assert_fails(models_remove(m, "none", true, &out, &err), ERR_NOT_FOUND,
                 "get model '\"none\"': model not found");
    assert_ok(models_remove(m, "x", false, &out, &err));
    assert_string_equal(buf_cstr(&out), "[{\"Untagged\":\"docker.io/ai/x:latest\"}]");
    buf_clear(&out);
    assert_ok(models_remove(m, id, true, &out, &err));
    CLEANUP_FREE char *want = xasprintf("[{\"Untagged\":\"docker.io/ai/x:v1\"},"
                                        "{\"Untagged\":\"reg.io:5000/org/x:V2\"},"
                                        "{\"Deleted\":\"%s\"}]",
                                        id);
    assert_string_equal(buf_cstr(&out), want);
    assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 0);
    models_close(m);
}

/* The twelve spellings that name one model. */
static void test_spellings(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct models *m = NULL;
    struct models_options o = {.root = f->store_dir, .default_registry = "registry.local:5000"};
    assert_ok(models_open(&o, &m, &err));
    char id[OCI_DIGEST_TEXT_MAX], got[OCI_DIGEST_TEXT_MAX];
    package(m, f, 4, "name", id);
    static const char *const names[] = {
        "name",
        "name:latest",
        "ai/name",
        "ai/name:latest",
        "registry.local:5000/ai/name:latest",
        "registry.local:5000/ai/name",
        "name@",
        "ai/name@",
        "registry.local:5000/ai/name@",
        "ID",
        "12",
        "64",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *n = names[i];
        CLEANUP_FREE char *name = strcmp(n, "ID") == 0      ? xstrdup(id)
                                  : strcmp(n, "12") == 0    ? xasprintf("%.12s", id + 7)
                                  : strcmp(n, "64") == 0    ? xstrdup(id + 7)
                                  : n[strlen(n) - 1] == '@' ? xasprintf("%s%s", n, id)
                                                            : xstrdup(n);
        assert_ok(models_resolve_id(m, name, MODELS_EXACT, got, &err));
        assert_string_equal(got, id);
    }
    models_close(m);
}

static void test_repackage(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct models *m = open_models(f);
    char id[OCI_DIGEST_TEXT_MAX], variant[OCI_DIGEST_TEXT_MAX];
    package(m, f, 4, "x", id);
    assert_ok(models_repackage(m, "x", "x:small", 512, variant, &err));
    assert_string_not_equal(id, variant);
    assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 3);
    struct model_files files;
    assert_ok(models_resolve_file(m, "x:small", &files, &err));
    assert_int_equal(files.context_size, 512);
    model_files_release(&files);
    assert_ok(models_repackage(m, "x", "x:same", 0, variant, &err));
    assert_string_equal(id, variant);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
    assert_ok(models_remove(m, "x", false, &out, &err));
    assert_ok(models_remove(m, "x:same", false, &out, &err));
    assert_clean(m);
    assert_ok(models_resolve_file(m, "x:small", &files, &err));
    model_files_release(&files);
    models_close(m);
}

/* ---- tar ---- */

static int to_buf(void *ctx, const void *p, size_t n, struct error *err)
{
    struct buf *b = ctx;
    return buf_append_bytes(b, p, n) < 0 ? buf_check(b, "tar", err) : 0;
}

static ssize_t from_str(void *ctx, void *p, size_t n, struct error *err)
{
    (void)err;
    struct str *s = ctx;
    n = MIN(MIN(n, s->len), (size_t)1000);
    if (n)
        memcpy(p, s->ptr, n);
    *s = str_sub(*s, n, SIZE_MAX);
    return (ssize_t)n;
}

static int load(struct models *m, struct str tar, char id[OCI_DIGEST_TEXT_MAX], struct error *err)
{
    return models_load(m, from_str, &tar, id, err);
}

static void test_load_and_export(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct models *m = open_models(f);
    char id[OCI_DIGEST_TEXT_MAX], loaded[OCI_DIGEST_TEXT_MAX];
    CLEANUP_BUF struct buf tar = BUF_INIT(1 << 24), again = BUF_INIT(1 << 24);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
    package(m, f, 4, "x", id);
    struct models_export *e;
    assert_ok(models_export_open(m, "x", &e, &err));
    assert_ok(models_export_write(e, to_buf, &tar, &err));
    assert_int_equal(tar.len, models_export_size(e));
    models_export_close(e);

    /* What the command line sends for `package` is the same archive. */
    CLEANUP_FREE char *path = path_join(f->root, "tiny.gguf");
    struct artifact_source src = {.gguf = path};
    struct artifact *a;
    assert_ok(artifact_build(&src, NULL, NULL, &a, &err));
    assert_ok(artifact_write_tar(a, to_buf, &again, &err));
    assert_true(str_eq(buf_str(&tar), buf_str(&again)));
    artifact_free(a);

    assert_ok(models_purge(m, &err));
    assert_ok(load(m, buf_str(&tar), loaded, &err));
    assert_string_equal(loaded, id);
    assert_ok(models_tag(m, loaded, "ai/x", "latest", &err));
    assert_ok(load(m, buf_str(&tar), loaded, &err)); /* it is there already */
    struct model_info i;
    assert_ok(models_get(m, "x", MODELS_EXACT, &i, &err));
    assert_int_equal(i.n_tags, 1);
    model_info_release(&i);
    assert_clean(m);

    /* Cut off anywhere: the sentence says so, nothing stays. */
    assert_ok(models_remove(m, "x", false, &out, &err));
    for (size_t n = 0; n < tar.len - TAR_BLOCK; n += 1021) {
        assert_fails(load(m, str_make(tar.data, n), loaded, &err), ERR_CORRUPT,
                     "model load interrupted: unexpected EOF");
        assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 0);
    }
    /* A flipped bit. */
    tar.data[3 * TAR_BLOCK + 100] ^= 1;
    assert_fails(load(m, buf_str(&tar), loaded, &err), ERR_CORRUPT, "blob digest mismatch");
    assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 0);
    assert_int_equal(fixture_count(f->store_dir, "manifests/sha256"), 0);
    models_close(m);
}

static void test_export__never_spreads_damage(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct models *m = open_models(f);
    char id[OCI_DIGEST_TEXT_MAX];
    package(m, f, 4, "x", id);
    struct model_files files;
    assert_ok(models_resolve_file(m, "x", &files, &err));
    CLEANUP_BUF struct buf content = BUF_INIT(1 << 20), tar = BUF_INIT(1 << 24);
    assert_ok(file_read(files.model_path, &content, &err));
    content.data[content.len - 1] ^= 1;
    FILE *file = fopen(files.model_path, "w"); /* the same inode as the blob */
    assert_int_equal(fwrite(content.data, 1, content.len, file), content.len);
    fclose(file);
    model_files_release(&files);
    struct models_export *e;
    assert_ok(models_export_open(m, "x", &e, &err));
    assert_fails(models_export_write(e, to_buf, &tar, &err), ERR_CORRUPT, "is damaged");
    models_export_close(e);
    size_t bad;
    assert_ok(models_verify(m, "x", NULL, NULL, NULL, &bad, &err));
    assert_int_equal(bad, 1);
    models_close(m);
}

static void test_load__hostile(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct models *m = open_models(f);
    static const struct {
        const char *name, *content;
        const char *message;
    } cases[] = {
        {"../x", "x", "invalid path detected: ../x"},
        {"blobs/sha256/../../../x", "x", "invalid path detected"},
        {"blobs/..", "x", "invalid path detected"},
        {"/etc/passwd", "x", "manifest not found"},
        {"blobs/sha256/short", "x", "manifest not found"},
        {"blobs/md5/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "x",
         "manifest not found"},
        {"blobs/sha256/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "x",
         "blob digest mismatch"},
        {"manifest.json", "{", "manifest"},
        {"manifest.json", "", "manifest not found"},
        {"manifest.json",
         "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/"
         "vnd.docker.ai.model.config.v0.1+json\","
         "\"size\":2,\"digest\":\"sha256:"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"},"
         "\"layers\":[]}",
         "missing blob"},
        {"manifest.json",
         "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"application/"
         "vnd.docker.ai.model.config.v0.1+json\","
         "\"size\":2,\"digest\":\"sha256:../../../../../../../../../../../../../../../../../../../"
         "etc/passwd\"},"
         "\"layers\":[]}",
         "digest"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_BUF struct buf tar = BUF_INIT(1 << 16);
        char id[OCI_DIGEST_TEXT_MAX];
        tar_send_bytes(to_buf, &tar, cases[i].name, str_from(cases[i].content), &err);
        tar_send_zeros(to_buf, &tar, TAR_END, &err);
        int r = load(m, buf_str(&tar), id, &err);
        if (r >= 0 || !strstr(err.msg, cases[i].message))
            fail_msg("case %zu: %s", i, r < 0 ? err.msg : "accepted");
        assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 0);
        assert_int_equal(fixture_count(f->store_dir, "manifests/sha256"), 0);
    }
    assert_int_equal(fixture_count(f->root, "."), 1); /* only the store */
    models_close(m);
}

/* An artifact without annotations and without a format, as other tools make them; a ModelPack one.
 */
static void test_foreign_artifacts(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct models *m = open_models(f);
    static const struct {
        const char *config_type, *config, *layer_type, *path;
        const char *file, *json;
    } cases[] = {
        {OCI_TYPE_CONFIG_V01, "{}", OCI_TYPE_GGUF, NULL, "model.gguf",
         "\"config\":{\"format\":\"gguf\"}"},
        {OCI_TYPE_CONFIG_V02, "{\"config\":{\"format\":\"gguf\"}}", OCI_TYPE_GGUF, "w.gguf",
         "w.gguf", "\"created\":0"},
        {OCI_TYPE_CONFIG_CNCF,
         "{\"descriptor\":{\"createdAt\":\"2025-03-24T11:49:41Z\",\"family\":\"qwen2\"},"
         "\"modelfs\":{\"type\":\"layers\",\"diffIds\":[]},\"config\":{\"paramSize\":\"8B\"}}",
         "application/vnd.cncf.model.weight.v1.raw", "sub/w.gguf", "w.gguf",
         "\"created\":1742816981,\"config\":{\"format\":\"gguf\",\"parameters\":\"8B\","
         "\"architecture\":\"qwen2\",\"size\":\"8B\"}"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        CLEANUP_BUF struct buf manifest = BUF_INIT(1 << 16), tar = BUF_INIT(1 << 16);
        CLEANUP_BUF struct buf json = BUF_INIT(1 << 16);
        struct oci_manifest x = {0};
        struct oci_digest c = oci_digest_of(str_from(cases[i].config)),
                          l = oci_digest_of(STR("weights"));
        oci_manifest_set_config(&x, cases[i].config_type, &c, strlen(cases[i].config));
        struct oci_descriptor *d = oci_manifest_add_layer(&x, cases[i].layer_type, &l, 7);
        if (cases[i].path)
            oci_map_set(&d->annotations, STR(OCI_ANNOTATION_FILEPATH), str_from(cases[i].path));
        oci_manifest_write(&x, &manifest);
        oci_manifest_release(&x);
        CLEANUP_FREE char *config_name = xasprintf("./blobs/sha256/%s", oci_digest_hex(&c));
        CLEANUP_FREE char *layer_name = xasprintf("blobs/sha256/%s", oci_digest_hex(&l));
        tar_send_bytes(to_buf, &tar, "manifest.json", buf_str(&manifest), &err); /* in any order */
        tar_send_bytes(to_buf, &tar, config_name, str_from(cases[i].config), &err);
        tar_send_bytes(to_buf, &tar, layer_name, STR("weights"), &err);
        tar_send_zeros(to_buf, &tar, TAR_END, &err);
        char id[OCI_DIGEST_TEXT_MAX];
        assert_ok(load(m, buf_str(&tar), id, &err));
        struct model_files files;
        assert_ok(models_resolve_file(m, id, &files, &err));
        assert_string_equal(path_base(files.model_path), cases[i].file);
        assert_string_equal(files.format, "gguf");
        model_files_release(&files);
        struct model_info info;
        assert_ok(models_get(m, id, MODELS_EXACT, &info, &err));
        model_info_write(&info, &json);
        if (!strstr(buf_cstr(&json), cases[i].json))
            fail_msg("'%s' lacks '%s'", buf_cstr(&json), cases[i].json);
        model_info_release(&info);
    }
    assert_clean(m);
    models_close(m);
}

static void test_open__default_place(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct models *m = NULL;
    struct models_options none = {0};
    setenv("MODELS_PATH", f->store_dir, 1);
    assert_ok(models_open(&none, &m, &err));
    assert_string_equal(models_root(m), f->store_dir);
    models_close(m);
    unsetenv("MODELS_PATH");
    char *home = xstrdup(getenv("HOME") ? getenv("HOME") : "/");
    setenv("HOME", f->root, 1);
    assert_ok(models_open(&none, &m, &err));
    assert_true(fixture_exists(f->root, ".docker/models/layout.json"));
    models_close(m);
    unsetenv("HOME");
    assert_fails(models_open(&none, &m, &err), ERR_INVALID, "failed to get models path");
    setenv("HOME", home, 1);
    free(home);
}

/* The list of a process that has just begun. */
static char *fresh_list(const struct fixture *f, size_t n)
{
    struct error err = ERROR_INIT;
    struct models *m = open_models(f);
    struct buf text = BUF_INIT(1 << 20);
    struct model_list l;
    assert_ok(models_list(m, &l, &err));
    assert_int_equal(l.n, n);
    model_list_write(&l, &text);
    model_list_write_openai(&l, &text);
    model_list_release(&l);
    models_close(m);
    return buf_take(&text);
}

/* What had to be read for a list is remembered for the next process, while it is true. */
static void test_list__remembered(void **state)
{
    enum { N = 40 };
    static const char memory[] = ".model-runner.models";
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct models *m = open_models(f);
    char id[OCI_DIGEST_TEXT_MAX];
    package(m, f, 4, "base:v1", id);
    for (int i = 1; i < N; i++) {
        char name[32];
        snprintf(name, sizeof(name), "other:v%d", i);
        assert_ok(models_repackage(m, "base:v1", name, 100 + i, id, &err));
    }
    models_close(m);

    CLEANUP_FREE char *want = fresh_list(f, N);
    CLEANUP_FREE char *kept = fixture_read(f->store_dir, memory);
    assert_non_null(kept);
    for (int damage = 0; damage < 5; damage++) {
        CLEANUP_FREE char *text = xstrdup(kept);
        if (damage == 1)
            text[strlen(text) / 2] = '\0'; /* cut */
        else if (damage == 2)
            text[strlen(text) / 2] ^= 1;
        else if (damage == 3)
            text[40] ^= 1; /* the digest */
        else if (damage == 4)
            *text = '\0';
        fixture_write(f->store_dir, memory, text);
        CLEANUP_FREE char *got = fresh_list(f, N);
        assert_string_equal(got, want);
    }
    fixture_write(f->store_dir, memory, kept);
    m = open_models(f);
    struct model_list l;
    assert_ok(models_list(m, &l, &err));
    model_list_release(&l);
    /* What needs more than a list reads the files. */
    assert_ok(models_check_files(m, "base:v1", &err));
    char name[OCI_DIGEST_TEXT_MAX + 32];
    snprintf(name, sizeof(name), "manifests/sha256/%s", id + strlen("sha256:"));
    models_close(m);
    CLEANUP_FREE char *path = path_join(f->store_dir, name);
    assert_int_equal(unlink(path), 0);
    CLEANUP_FREE char *less = fresh_list(f, N - 1);
    assert_null(strstr(less, id));
}

static void test_list__skips_what_is_broken(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct models *m = open_models(f);
    char id[OCI_DIGEST_TEXT_MAX], other[OCI_DIGEST_TEXT_MAX];
    package(m, f, 4, "x", id);
    package(m, f, 5, "y", other);
    models_close(m);
    CLEANUP_FREE char *manifest = xasprintf("manifests/sha256/%s", id + 7);
    fixture_write(f->store_dir, manifest, "{}");
    m = open_models(f);
    struct model_list l;
    assert_ok(models_list(m, &l, &err));
    assert_int_equal(l.n, 1);
    assert_string_equal(l.items[0].id, other);
    model_list_release(&l);
    struct model_info i;
    assert_fails(models_get(m, "x", MODELS_EXACT, &i, &err), ERR_CORRUPT, "is damaged");
    /* It can be removed all the same. */
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
    assert_ok(models_remove(m, "x", false, &out, &err));
    assert_clean(m);
    models_close(m);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    unsetenv("SOURCE_DATE_EPOCH");
    unsetenv("DEFAULT_REGISTRY");
    const struct CMUnitTest tests[] = {
        T(test_list_and_inspect),
        T(test_package__again_changes_nothing),
        T(test_package__refuses_before_writing),
        T(test_resolve_file),
        T(test_tag_and_remove),
        T(test_spellings),
        T(test_repackage),
        T(test_load_and_export),
        T(test_export__never_spreads_damage),
        T(test_load__hostile),
        T(test_foreign_artifacts),
        T(test_open__default_place),
        T(test_list__remembered),
        T(test_list__skips_what_is_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
