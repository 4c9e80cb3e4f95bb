/* SPDX-License-Identifier: Apache-2.0
 *
 * The store: layout on disk, index, publishing, removing, cleaning. */
#include "test.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "fixture.h"
#include "store/store.h"

static struct store *open_store(const struct fixture *f)
{
    struct error err = ERROR_INIT;
    struct store *s = NULL;
    assert_ok(store_open(f->store_dir, &s, &err));
    return s;
}

static void sink_print(void *ctx, const char *sentence)
{
    struct buf *out = ctx;
    buf_printf(out, "%s\n", sentence);
}

static void assert_clean(struct store *s)
{
    struct error err = ERROR_INIT;
    size_t bad = 99;
    CLEANUP_BUF struct buf found = BUF_INIT(1 << 20);
    assert_ok(store_verify(s, NULL, sink_print, NULL, &found, &bad, &err));
    if (bad)
        fail_msg("the store is not clean:\n%s", buf_cstr(&found));
}

static const struct store_model *find(const struct store_index *idx, const char *name)
{
    struct error err = ERROR_INIT;
    struct oci_reference ref;
    const struct store_model *m = NULL;
    assert_ok(oci_reference_parse(str_from(name), NULL, &ref, &err));
    assert_ok(store_index_find(idx, &ref, &m, NULL, &err));
    return m;
}

static int remove_named(struct store *s, const char *name, unsigned flags,
                        struct store_removal *ret, struct error *err)
{
    struct oci_reference ref;
    int r = oci_reference_parse(str_from(name), NULL, &ref, err);
    return r == 0 ? store_remove(s, &ref, name, flags, ret, err) : r;
}

/* ---- layout ---- */

static void test_layout__of_a_new_store(void **state)
{
    struct fixture *f = *state;
    struct store *s = open_store(f);
    CLEANUP_FREE char *layout = fixture_read(f->store_dir, "layout.json");
    CLEANUP_FREE char *models = fixture_read(f->store_dir, "models.json");
    assert_string_equal(layout, "{\n  \"version\": \"1.0.0\"\n}");
    assert_string_equal(models, "{\n  \"models\": []\n}");

    struct error err = ERROR_INIT;
    struct oci_digest id;
    assert_ok(fixture_add(s, "weights", "docker.io/ai/smollm2:latest", &id, &err));
    CLEANUP_BUF struct buf config = BUF_INIT(1 << 16);
    CLEANUP_BUF struct buf manifest = BUF_INIT(1 << 16);
    fixture_manifest("weights", &config, &manifest);
    struct oci_digest layer = oci_digest_of(STR("weights"));
    struct oci_digest c = oci_digest_of(buf_str(&config));
    struct oci_digest want_id = oci_digest_of(buf_str(&manifest));
    assert_string_equal(id.text, want_id.text);

    free(models);
    models = fixture_read(f->store_dir, "models.json");
    CLEANUP_FREE char *want = xasprintf("{\n"
                                        "  \"models\": [\n"
                                        "    {\n"
                                        "      \"id\": \"%s\",\n"
                                        "      \"tags\": [\n"
                                        "        \"docker.io/ai/smollm2:latest\"\n"
                                        "      ],\n"
                                        "      \"files\": [\n"
                                        "        \"%s\",\n"
                                        "        \"%s\"\n"
                                        "      ]\n"
                                        "    }\n"
                                        "  ]\n"
                                        "}",
                                        id.text, layer.text, c.text);
    assert_string_equal(models, want);
    CLEANUP_FREE char *blob = xasprintf("blobs/sha256/%s", oci_digest_hex(&layer));
    CLEANUP_FREE char *content = fixture_read(f->store_dir, blob);
    assert_string_equal(content, "weights");
    CLEANUP_FREE char *path = xasprintf("manifests/sha256/%s", oci_digest_hex(&id));
    CLEANUP_FREE char *text = fixture_read(f->store_dir, path);
    assert_string_equal(text, buf_cstr(&manifest));
    assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 2);

    CLEANUP_FREE char *full = path_join(f->store_dir, blob);
    struct stat st;
    assert_int_equal(stat(full, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0644);
    assert_clean(s);
    store_close(s);
}

/* A store as a Docker Model Runner of some age leaves it: short tags, null tags, entries without
 * files, strange blobs. */
static void test_layout__made_by_dmr(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf config = BUF_INIT(1 << 16);
    CLEANUP_BUF struct buf manifest = BUF_INIT(1 << 16);
    fixture_manifest("weights", &config, &manifest);
    struct oci_digest layer = oci_digest_of(STR("weights"));
    struct oci_digest c = oci_digest_of(buf_str(&config)), id = oci_digest_of(buf_str(&manifest));
    CLEANUP_FREE char *name1 = xasprintf("blobs/sha256/%s", oci_digest_hex(&layer));
    CLEANUP_FREE char *name2 = xasprintf("blobs/sha256/%s", oci_digest_hex(&c));
    CLEANUP_FREE char *name3 = xasprintf("manifests/sha256/%s", oci_digest_hex(&id));
    fixture_write(f->store_dir, name1, "weights");
    fixture_write(f->store_dir, name2, buf_cstr(&config));
    fixture_write(f->store_dir, name3, buf_cstr(&manifest));
    fixture_write(f->store_dir, "layout.json", "{\n  \"version\": \"1.0.0\"\n}");
    CLEANUP_FREE char *models = xasprintf(
        "{\"models\":[{\"id\":\"%s\",\"tags\":[\"ai/old:latest\",\"index.docker.io/ai/older:v1\","
        "\"hf.co/Org/m:Q4\",\"not a reference\"],\"files\":[\"%s\",\"%s\"],\"new\":1},"
        "{\"id\":\"sha256:%064d\",\"tags\":null,\"files\":null}]}",
        id.text, layer.text, c.text, 7);
    fixture_write(f->store_dir, "models.json", models);

    struct store *s = open_store(f);
    CLEANUP_INDEX const struct store_index *idx = NULL;
    assert_ok(store_index_get(s, &idx, &err));
    assert_int_equal(idx->n_models, 2);
    assert_int_equal(idx->models[1].n_tags, 0);
    static const char *const names[] = {"old",      "ai/old",         "docker.io/ai/old:latest",
                                        "older:v1", "hf.co/org/m:Q4", "huggingface.co/org/m:Q4"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_non_null(find(idx, names[i]));
    assert_null(find(idx, "old:v2"));
    assert_null(find(idx, "other/old"));
    CLEANUP_FREE char *any = xasprintf("any/repo@%s", id.text);
    assert_non_null(find(idx, any));
    assert_non_null(find(idx, id.text));
    assert_non_null(find(idx, oci_digest_hex(&id)));
    CLEANUP_FREE char *short_id = xasprintf("%.12s", oci_digest_hex(&id));
    assert_non_null(find(idx, short_id));
    assert_non_null(store_index_find_partial(idx, STR("old")));
    assert_non_null(store_index_find_partial(idx, STR("m")));
    assert_null(store_index_find_partial(idx, STR("ol")));

    /* A change keeps everything else. */
    assert_ok(store_tag(s, &id, "docker.io/ai/new:latest", &err));
    CLEANUP_FREE char *text = fixture_read(f->store_dir, "models.json");
    assert_non_null(strstr(text, "\"docker.io/ai/old:latest\""));
    assert_non_null(strstr(text, "\"docker.io/ai/older:v1\""));
    assert_non_null(strstr(text, "\"huggingface.co/org/m:Q4\""));
    assert_non_null(strstr(text, "\"not a reference\""));
    store_close(s);
}

static void test_open__refuses(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = NULL;
    static const struct {
        const char *name, *content;
        enum errc code;
        const char *message;
    } cases[] = {
        {"a/photo.jpg", "x", ERR_INVALID, "is not a model store"},
        {"b/blobs/sha256-x", "x", ERR_INVALID, "is not a model store"},
        {"c/layout.json", "{\"version\":\"2.0.0\"}", ERR_UNSUPPORTED, "layout version '2.0.0'"},
        {"d/layout.json", "{", ERR_CORRUPT, "layout.json"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        fixture_write(f->root, cases[i].name, cases[i].content);
        char dir[128];
        snprintf(dir, sizeof(dir), "%s/%c", f->root, cases[i].name[0]);
        assert_fails(store_open(dir, &s, &err), cases[i].code, cases[i].message);
        CLEANUP_FREE char *kept = fixture_read(f->root, cases[i].name);
        assert_string_equal(kept, cases[i].content);
    }
    fixture_write(f->root, "file", "x");
    char path[128];
    snprintf(path, sizeof(path), "%s/file", f->root);
    assert_fails(store_open(path, &s, &err), ERR_CONFLICT, "not a directory");
}

static void test_index__damaged(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = open_store(f);
    static const char *const texts[] = {
        "",
        "{",
        "[]",
        "{\"models\":7}",
        "{\"models\":[{}]}",
        "{\"models\":[{\"id\":\"../x\"}]}",
        "{\"models\":[{\"id\":\"sha256:x\"}]}",
        "{\"models\":[{\"id\":\"sha256:"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\","
        "\"files\":[\"sha256:../../x\"]}]}",
        "{\"models\":[{\"id\":\"sha256:"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\","
        "\"tags\":[7]}]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        fixture_write(f->store_dir, "models.json", texts[i]);
        const struct store_index *idx;
        struct oci_digest id;
        assert_fails(store_index_get(s, &idx, &err), ERR_CORRUPT, "models.json");
        assert_fails(fixture_add(s, "x", NULL, &id, &err), ERR_CORRUPT, "models.json");
        CLEANUP_FREE char *kept = fixture_read(f->store_dir, "models.json");
        assert_string_equal(kept, texts[i]);
        uint64_t freed;
        assert_fails(store_prune(s, 0, &freed, &err), ERR_CORRUPT, "models.json");
    }
    assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 0);
    /* A store that lost its index is not cleaned away. */
    fixture_write(f->store_dir, "models.json", "{\"models\":[]}");
    fixture_write(f->store_dir,
                  "blobs/sha256/"
                  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
                  "x");
    CLEANUP_FREE char *path = path_join(f->store_dir, "models.json");
    assert_int_equal(unlink(path), 0);
    uint64_t freed;
    assert_fails(store_prune(s, 0, &freed, &err), ERR_CORRUPT, "no models.json");
    assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 1);
    store_close(s);
}

static void test_links_are_not_followed(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = open_store(f);
    struct oci_digest id, layer = oci_digest_of(STR("weights"));
    assert_ok(fixture_add(s, "weights", NULL, &id, &err));
    CLEANUP_FREE char *blob = store_blob_path(s, &layer);
    fixture_write(f->root, "secret", "weights");
    CLEANUP_FREE char *secret = path_join(f->root, "secret");
    assert_int_equal(unlink(blob), 0);
    assert_int_equal(symlink(secret, blob), 0);
    int fd;
    assert_true(store_open_blob(s, &layer, UINT64_MAX, &fd, &err) < 0);
    assert_false(store_has_blob(s, &layer, 7));
    size_t bad = 0;
    assert_ok(store_verify(s, NULL, NULL, NULL, NULL, &bad, &err));
    assert_int_equal(bad, 1);
    /* Removing the model removes the link, not what it leads to. */
    struct store_removal done;
    assert_ok(remove_named(s, id.text, 0, &done, &err));
    store_removal_release(&done);
    assert_true(fixture_exists(f->root, "secret"));
    assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 0);

    /* A directory that is a link is refused. */
    CLEANUP_FREE char *blobs = path_join(f->store_dir, "blobs");
    CLEANUP_FREE char *elsewhere = path_join(f->root, "elsewhere");
    assert_int_equal(rename(blobs, elsewhere), 0);
    assert_int_equal(symlink(elsewhere, blobs), 0);
    assert_fails(fixture_add(s, "weights", NULL, &id, &err), ERR_DENIED, "links are not followed");
    store_close(s);
}

/* ---- publishing ---- */

static void test_publish__checks(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = open_store(f);
    struct store_txn *t;
    struct store_sink *k;
    struct oci_digest id, other = oci_digest_of(STR("other"));
    CLEANUP_BUF struct buf config = BUF_INIT(1 << 16);
    CLEANUP_BUF struct buf manifest = BUF_INIT(1 << 16);
    fixture_manifest("weights", &config, &manifest);

    /* A blob is missing. */
    assert_ok(store_begin(s, &t, &err));
    assert_ok(store_txn_add_bytes(t, buf_str(&config), NULL, &err));
    assert_fails(store_commit(t, buf_str(&manifest), "docker.io/a/b:c", &id, &err), ERR_CORRUPT,
                 "refusing to write unless all blobs exist");
    /* Wrong digest, too long, too short. */
    assert_ok(store_begin(s, &t, &err));
    assert_ok(store_sink_open(t, &other, UINT64_MAX, &k, &err));
    assert_ok(store_sink_write(k, "weights", 7, &err));
    assert_fails(store_sink_finish(k, NULL, &err), ERR_CORRUPT, "blob digest mismatch");
    assert_ok(store_sink_open(t, &other, 5, &k, &err));
    assert_fails(store_sink_write(k, "others", 6, &err), ERR_CORRUPT, "longer than the 5 bytes");
    store_sink_abandon(k);
    assert_ok(store_sink_open(t, &other, 5, &k, &err));
    assert_ok(store_sink_write(k, "othe", 4, &err));
    assert_fails(store_sink_finish(k, NULL, &err), ERR_CORRUPT, "ended after 4 of 5");
    /* No manifest, an unknown config. */
    assert_fails(store_commit(t, STR("{}"), NULL, &id, &err), ERR_UNSUPPORTED, "schemaVersion");
    assert_ok(store_begin(s, &t, &err));
    char *type = strstr(manifest.data, "config.v0.1");
    assert_non_null(type);
    memcpy(type, "config.v9.9", 11);
    assert_fails(store_commit(t, buf_str(&manifest), NULL, &id, &err), ERR_UNSUPPORTED,
                 "unsupported model config media type");
    /* Nothing of all this is left. */
    assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 0);
    assert_int_equal(fixture_count(f->store_dir, "manifests/sha256"), 0);
    assert_clean(s);
    store_close(s);
}

static void test_publish__a_local_file(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = open_store(f);
    fixture_write(f->root, "m.gguf", "weights");
    CLEANUP_FREE char *path = path_join(f->root, "m.gguf");
    struct oci_digest layer = oci_digest_of(STR("weights")), other = oci_digest_of(STR("x")), id;
    struct store_txn *t;
    assert_ok(store_begin(s, &t, &err));
    assert_fails(store_txn_add_file(t, path, &other, 7, 0, NULL, NULL, &err), ERR_CONFLICT,
                 "changed");
    assert_fails(store_txn_add_file(t, path, &layer, 6, 0, NULL, NULL, &err), ERR_CONFLICT,
                 "changed");
    assert_fails(store_txn_add_file(t, "/nowhere", &layer, 7, 0, NULL, NULL, &err), ERR_NOT_FOUND,
                 "nowhere");
    assert_ok(store_txn_add_file(t, path, &layer, 7, 0, NULL, NULL, &err));
    CLEANUP_BUF struct buf config = BUF_INIT(1 << 16);
    CLEANUP_BUF struct buf manifest = BUF_INIT(1 << 16);
    fixture_manifest("weights", &config, &manifest);
    assert_ok(store_txn_add_bytes(t, buf_str(&config), NULL, &err));
    assert_ok(store_commit(t, buf_str(&manifest), NULL, &id, &err));
    assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 2);
    /* Removing or replacing the user's file does not touch the store. */
    CLEANUP_FREE char *other_path = path_join(f->root, "other.gguf");
    fixture_write(f->root, "other.gguf", "changed");
    assert_int_equal(rename(other_path, path), 0);
    assert_clean(s);
    store_close(s);
}

static void test_publish__held_blobs_survive_a_removal(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = open_store(f), *other = open_store(f);
    struct oci_digest id, layer = oci_digest_of(STR("weights"));
    assert_ok(fixture_add(s, "weights", "docker.io/a/one:latest", &id, &err));

    struct store_txn *t;
    assert_ok(store_begin(s, &t, &err));
    assert_ok(store_txn_hold(t, &layer, 7, &err));
    struct store_removal done;
    assert_ok(remove_named(other, "a/one", 0, &done, &err));
    assert_true(done.deleted);
    store_removal_release(&done);
    assert_false(store_has_blob(s, &layer, 7));
    uint64_t freed;
    assert_fails(store_prune(other, 0, &freed, &err), ERR_BUSY, "being added");
    assert_fails(store_reset(other, &err), ERR_BUSY, "being added");

    CLEANUP_BUF struct buf config = BUF_INIT(1 << 16);
    CLEANUP_BUF struct buf manifest = BUF_INIT(1 << 16);
    fixture_manifest("weights", &config, &manifest);
    assert_ok(store_txn_add_bytes(t, buf_str(&config), NULL, &err));
    assert_ok(store_commit(t, buf_str(&manifest), "docker.io/a/two:latest", &id, &err));
    assert_true(store_has_blob(s, &layer, 7));
    assert_clean(s);
    store_close(other);
    store_close(s);
}

static void test_publish__same_model_twice(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = open_store(f);
    struct oci_digest a, b;
    assert_ok(fixture_add(s, "weights", "docker.io/a/one:latest", &a, &err));
    assert_ok(fixture_add(s, "weights", "docker.io/a/two:latest", &b, &err));
    assert_true(oci_digest_eq(&a, &b));
    CLEANUP_INDEX const struct store_index *idx = NULL;
    assert_ok(store_index_get(s, &idx, &err));
    assert_int_equal(idx->n_models, 1);
    assert_int_equal(idx->models[0].n_tags, 2);
    assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 2);
    store_close(s);
}

/* ---- names and removal ---- */

static void test_tag__moves(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = open_store(f);
    struct oci_digest a, b, absent = oci_digest_of(STR("absent"));
    assert_ok(fixture_add(s, "one", "docker.io/ai/x:latest", &a, &err));
    assert_ok(fixture_add(s, "two", NULL, &b, &err));
    assert_ok(store_tag(s, &b, "docker.io/ai/x:latest", &err));
    assert_ok(store_tag(s, &b, "docker.io/ai/x:latest", &err));
    assert_fails(store_tag(s, &absent, "docker.io/ai/y:latest", &err), ERR_NOT_FOUND, "not found");
    CLEANUP_INDEX const struct store_index *idx = NULL;
    assert_ok(store_index_get(s, &idx, &err));
    assert_int_equal(idx->models[0].n_tags, 0);
    assert_int_equal(idx->models[1].n_tags, 1);
    assert_ok(store_untag(s, "docker.io/ai/x:latest", &err));
    assert_fails(store_untag(s, "docker.io/ai/x:latest", &err), ERR_NOT_FOUND, "no model has");
    store_close(s);
}

static void test_remove__table(void **state)
{
    static const struct {
        const char *tags[2];
        const char *name; /* "ID" = by id, "DIGEST" = name@digest */
        unsigned flags;
        enum errc code;
        bool deleted;
        size_t n_untagged;
    } cases[] = {
        {{NULL, NULL}, "ID", 0, ERR_NONE, true, 0},
        {{"docker.io/a/x:1", NULL}, "ID", 0, ERR_NONE, true, 1},
        {{"docker.io/a/x:1", NULL}, "a/x:1", 0, ERR_NONE, true, 1},
        {{"docker.io/a/x:1", "docker.io/a/x:2"}, "ID", 0, ERR_CONFLICT, false, 0},
        {{"docker.io/a/x:1", "docker.io/a/x:2"}, "DIGEST", 0, ERR_CONFLICT, false, 0},
        {{"docker.io/a/x:1", "docker.io/a/x:2"}, "ID", STORE_REMOVE_FORCE, ERR_NONE, true, 2},
        {{"docker.io/a/x:1", "docker.io/a/x:2"}, "a/x:1", 0, ERR_NONE, false, 1},
        {{"docker.io/a/x:1", "docker.io/a/x:2"}, "a/x:2", STORE_REMOVE_FORCE, ERR_NONE, false, 1},
        {{"docker.io/a/x:1", NULL}, "a/x", STORE_REMOVE_FORCE, ERR_NOT_FOUND, false, 0},
        {{"docker.io/a/x:1", NULL}, "other/x:1", 0, ERR_NOT_FOUND, false, 0},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct store *s = open_store(f);
        struct oci_digest id, keep;
        assert_ok(fixture_add(s, "keep", "docker.io/a/keep:latest", &keep, &err));
        assert_ok(fixture_add(s, "weights", cases[i].tags[0], &id, &err));
        if (cases[i].tags[1])
            assert_ok(store_tag(s, &id, cases[i].tags[1], &err));
        CLEANUP_FREE char *bundle = xasprintf("bundles/sha256/%s/model/m", oci_digest_hex(&id));
        fixture_write(f->store_dir, bundle, "x");
        CLEANUP_FREE char *by_digest = xasprintf("z/z@%s", id.text);
        const char *name = strcmp(cases[i].name, "ID") == 0       ? id.text
                           : strcmp(cases[i].name, "DIGEST") == 0 ? by_digest
                                                                  : cases[i].name;
        struct store_removal done = {0};
        int r = remove_named(s, name, cases[i].flags, &done, &err);
        assert_int_equal(r, -(int)cases[i].code);
        if (cases[i].code == ERR_CONFLICT) {
            CLEANUP_FREE char *want = xasprintf(
                "unable to delete \"%s\" (must be forced) due to multiple tag references: "
                "resource conflict",
                name);
            assert_string_equal(err.msg, want);
        }
        assert_int_equal(done.deleted, cases[i].deleted);
        assert_int_equal(done.n_untagged, cases[i].n_untagged);
        assert_int_equal(fixture_exists(f->store_dir, bundle), !cases[i].deleted);
        assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), cases[i].deleted ? 2 : 4);
        assert_int_equal(fixture_count(f->store_dir, "manifests/sha256"), cases[i].deleted ? 1 : 2);
        store_removal_release(&done);
        assert_clean(s);
        assert_ok(store_reset(s, &err));
        store_close(s);
    }
}

static void test_remove__shared_blobs_stay(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = open_store(f);
    struct oci_digest a, b;
    assert_ok(fixture_add(s, "weights", "docker.io/a/x:1", &a, &err));
    /* A variant: the same layer, another config. */
    CLEANUP_BUF struct buf manifest = BUF_INIT(1 << 16);
    struct oci_digest layer = oci_digest_of(STR("weights")), c = oci_digest_of(STR("{}"));
    struct oci_manifest m = {0};
    oci_manifest_set_config(&m, OCI_TYPE_CONFIG_V01, &c, 2);
    oci_manifest_add_layer(&m, OCI_TYPE_GGUF, &layer, 7);
    oci_manifest_write(&m, &manifest);
    oci_manifest_release(&m);
    struct store_txn *t;
    assert_ok(store_begin(s, &t, &err));
    assert_ok(store_txn_hold(t, &layer, 7, &err));
    assert_ok(store_txn_add_bytes(t, STR("{}"), NULL, &err));
    assert_ok(store_commit(t, buf_str(&manifest), "docker.io/a/x:2", &b, &err));
    assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 3);
    struct store_removal done;
    assert_ok(remove_named(s, "a/x:1", 0, &done, &err));
    store_removal_release(&done);
    assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 2);
    assert_true(store_has_blob(s, &layer, 7));
    assert_clean(s);
    store_close(s);
}

static void test_find__ambiguous_short_id(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = open_store(f);
    fixture_write(
        f->store_dir, "models.json",
        "{\"models\":[{\"id\":\"sha256:"
        "aaaaaaaaaaaa0000000000000000000000000000000000000000000000000000\"},"
        "{\"id\":\"sha256:aaaaaaaaaaaa1111111111111111111111111111111111111111111111111111\","
        "\"tags\":[\"docker.io/ai/bbbbbbbbbbbb:latest\"]}]}");
    CLEANUP_INDEX const struct store_index *idx = NULL;
    assert_ok(store_index_get(s, &idx, &err));
    struct oci_reference ref;
    const struct store_model *m;
    assert_ok(oci_reference_parse(STR("aaaaaaaaaaaa"), NULL, &ref, &err));
    assert_fails(store_index_find(idx, &ref, &m, NULL, &err), ERR_CONFLICT, "several model ids");
    assert_non_null(find(idx, "sha256:aaaaaaaaaaaa1"));
    /* A model whose name looks like a short id is found when there is no such id. */
    assert_non_null(find(idx, "bbbbbbbbbbbb"));
    store_close(s);
}

/* ---- care ---- */

static void test_prune(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = open_store(f);
    struct oci_digest id;
    assert_ok(fixture_add(s, "weights", "docker.io/a/x:1", &id, &err));
    static const char a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    CLEANUP_FREE char *blob = xasprintf("blobs/sha256/%s", a);
    CLEANUP_FREE char *part = xasprintf("blobs/sha256/%s.incomplete", a);
    CLEANUP_FREE char *manifest = xasprintf("manifests/sha256/%s", a);
    CLEANUP_FREE char *bundle = xasprintf("bundles/sha256/%s/model/m.gguf", a);
    fixture_write(f->store_dir, blob, "0123456789");
    fixture_write(f->store_dir, part, "01234");
    fixture_write(f->store_dir, manifest, "01");
    fixture_write(f->store_dir, bundle, "01");
    fixture_write(f->store_dir, "blobs/sha256/notes.txt", "mine");
    uint64_t freed = 99;
    assert_ok(store_prune(s, 3600, &freed, &err)); /* too young */
    assert_int_equal(freed, 0);
    assert_true(fixture_exists(f->store_dir, blob));
    assert_ok(store_prune(s, 0, &freed, &err));
    assert_int_equal(freed, 17);
    assert_false(fixture_exists(f->store_dir, blob));
    assert_false(fixture_exists(f->store_dir, part));
    assert_false(fixture_exists(f->store_dir, manifest));
    assert_int_equal(fixture_count(f->store_dir, "bundles/sha256"), 0);
    assert_true(fixture_exists(f->store_dir, "blobs/sha256/notes.txt"));
    assert_clean(s);
    store_close(s);
}

static void test_reset(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = open_store(f);
    struct oci_digest id;
    assert_ok(fixture_add(s, "weights", "docker.io/a/x:1", &id, &err));
    assert_ok(store_reset(s, &err));
    CLEANUP_INDEX const struct store_index *idx = NULL;
    assert_ok(store_index_get(s, &idx, &err));
    assert_int_equal(idx->n_models, 0);
    assert_false(fixture_exists(f->store_dir, "blobs"));
    assert_ok(fixture_add(s, "weights", "docker.io/a/x:1", &id, &err));
    /* Also after somebody removed the directory. */
    assert_ok(dir_remove_tree(f->store_dir, &err));
    assert_ok(store_reset(s, &err));
    assert_ok(fixture_add(s, "weights", "docker.io/a/x:1", &id, &err));
    assert_clean(s);
    /* A directory that is no store (any more). */
    CLEANUP_FREE char *layout = path_join(f->store_dir, "layout.json");
    unlink(layout);
    assert_fails(store_reset(s, &err), ERR_CONFLICT, "does not appear to be a model store");
    assert_true(fixture_exists(f->store_dir, "blobs"));
    store_close(s);
}

static void test_disk_usage__counts_an_inode_once(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = open_store(f);
    uint64_t before, after;
    assert_ok(store_disk_usage(s, &before, &err));
    fixture_write(f->store_dir, "blobs/sha256/x", "0123456789");
    CLEANUP_FREE char *a = path_join(f->store_dir, "blobs/sha256/x");
    CLEANUP_FREE char *b = path_join(f->store_dir, "bundle");
    assert_int_equal(link(a, b), 0);
    assert_ok(store_disk_usage(s, &after, &err));
    assert_int_equal(after - before, 10);
    store_close(s);
}

static void test_verify__finds_damage(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = open_store(f);
    struct oci_digest id, layer = oci_digest_of(STR("weights")), whole;
    assert_ok(fixture_add(s, "weights", "docker.io/a/x:1", &id, &err));
    assert_ok(fixture_add(s, "whole", "docker.io/a/whole:1", &whole, &err));
    CLEANUP_FREE char *blob = xasprintf("blobs/sha256/%s", oci_digest_hex(&layer));
    CLEANUP_FREE char *manifest = xasprintf("manifests/sha256/%s", oci_digest_hex(&id));
    size_t bad;
    CLEANUP_BUF struct buf found = BUF_INIT(1 << 16);
    fixture_write(f->store_dir, blob, "weightz");
    assert_ok(store_verify(s, NULL, sink_print, NULL, &found, &bad, &err));
    assert_int_equal(bad, 1);
    assert_non_null(strstr(buf_cstr(&found), "docker.io/a/x:1"));
    assert_non_null(strstr(buf_cstr(&found), "is damaged"));
    assert_ok(store_verify(s, &whole, NULL, NULL, NULL, &bad, &err));
    assert_int_equal(bad, 0);
    fixture_write(f->store_dir, blob, "short");
    assert_ok(store_verify(s, &id, NULL, NULL, NULL, &bad, &err));
    assert_int_equal(bad, 1);
    /* Packaging the model again mends it. */
    assert_ok(fixture_add(s, "weights", NULL, &id, &err));
    assert_clean(s);
    fixture_write(f->store_dir, manifest, "{}");
    assert_ok(store_verify(s, &id, NULL, NULL, NULL, &bad, &err));
    assert_int_equal(bad, 1);
    CLEANUP_BUF struct buf text = BUF_INIT(1 << 16);
    assert_fails(store_read_manifest(s, &id, &text, &err), ERR_CORRUPT, "is damaged");
    assert_ok(fixture_add(s, "weights", NULL, &id, &err));
    assert_clean(s);
    store_close(s);
}

/* A disk that is full: nothing is lost, the sentence says so, nothing is left. */
static void test_full_disk(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = open_store(f);
    struct oci_digest id;
    assert_ok(fixture_add(s, "small", "docker.io/a/small:1", &id, &err));
    enum { BIG = 256 << 10 };
    char *big = xmalloc(BIG + 1);
    memset(big, 'x', BIG);
    big[BIG] = '\0';
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit old, small;
    getrlimit(RLIMIT_FSIZE, &old);
    /* From a limit that stops the index to one that stops the blob. */
    for (rlim_t limit = 64; limit <= BIG; limit += limit < 2048 ? 128 : 60 << 10) {
        small = (struct rlimit){limit, old.rlim_max};
        setrlimit(RLIMIT_FSIZE, &small);
        int r = fixture_add(s, big, "docker.io/a/big:1", &id, &err);
        setrlimit(RLIMIT_FSIZE, &old);
        if (limit < BIG)
            assert_true(r < 0 && err.msg[0]);
        assert_clean(s);
        if (r < 0) {
            assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 2);
            assert_int_equal(fixture_count(f->store_dir, "manifests/sha256"), 1);
        }
    }
    assert_ok(fixture_add(s, big, "docker.io/a/big:1", &id, &err));
    /* Now only the index cannot be written. */
    for (rlim_t limit = 700; limit > 300; limit -= 40) {
        small = (struct rlimit){limit, old.rlim_max};
        setrlimit(RLIMIT_FSIZE, &small);
        int r = fixture_add(s, "another", "docker.io/a/another:1", &id, &err);
        setrlimit(RLIMIT_FSIZE, &old);
        assert_clean(s);
        if (r < 0)
            assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 4);
    }
    free(big);
    store_close(s);
}

static void test_sweep__of_killed_writers(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = open_store(f);
    struct store_txn *t;
    assert_ok(store_begin(s, &t, &err));
    assert_ok(store_txn_add_bytes(t, STR("x"), NULL, &err));
    fixture_write(f->store_dir, "bundles/sha256/.tmp-1/model/x", "x");
    fixture_write(f->store_dir, "blobs/sha256/ingest-old.incomplete", "x");
    struct store *second = open_store(f); /* a writer runs: nothing is swept */
    assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 2);
    store_abort(t);
    store_close(second);
    second = open_store(f);
    assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 0);
    assert_int_equal(fixture_count(f->store_dir, "bundles/sha256"), 0);
    store_close(second);
    store_close(s);
}

/* 2,000 models: what a lookup and a change cost. The bounds are loose, for slow machines. */
static void test_many_models(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf text = BUF_INIT(16 << 20);
    buf_append_c(&text, "{\"models\":[");
    for (int i = 0; i < 2000; i++)
        buf_printf(&text,
                   "%s{\"id\":\"sha256:%064d\",\"tags\":[\"docker.io/ai/m%d:latest\"],"
                   "\"files\":[\"sha256:%064d\",\"sha256:%064d\"]}",
                   i ? "," : "", i, i, i, i + 1);
    buf_append_c(&text, "]}");
    struct store *s = open_store(f);
    fixture_write(f->store_dir, "models.json", buf_cstr(&text));
    CLEANUP_INDEX const struct store_index *idx = NULL;
    assert_ok(store_index_get(s, &idx, &err));
    assert_int_equal(idx->n_models, 2000);
    int64_t start = clock_mono_ns();
    for (int i = 0; i < 100; i++) {
        CLEANUP_INDEX const struct store_index *again = NULL;
        assert_ok(store_index_get(s, &again, &err));
        assert_ptr_equal(again, idx); /* not read again */
        assert_non_null(find(again, "m1999"));
    }
    assert_true(clock_mono_ns() - start < (int64_t)1000 * 1000 * 1000);
    assert_ok(store_tag(s, &idx->models[5].id, "docker.io/ai/new:latest", &err));
    store_close(s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_layout__of_a_new_store),
        T(test_layout__made_by_dmr),
        T(test_open__refuses),
        T(test_index__damaged),
        T(test_links_are_not_followed),
        T(test_publish__checks),
        T(test_publish__a_local_file),
        T(test_publish__held_blobs_survive_a_removal),
        T(test_publish__same_model_twice),
        T(test_tag__moves),
        T(test_remove__table),
        T(test_remove__shared_blobs_stay),
        T(test_find__ambiguous_short_id),
        T(test_prune),
        T(test_reset),
        T(test_disk_usage__counts_an_inode_once),
        T(test_verify__finds_damage),
        T(test_full_disk),
        T(test_sweep__of_killed_writers),
        T(test_many_models),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
