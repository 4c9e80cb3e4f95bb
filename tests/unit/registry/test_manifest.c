/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifests, indexes, small blobs, mirrors. */
#include "test.h"

#include "fake.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "oci/manifest.h"
#include "registry/registry.h"

#define MODEL "{\"schemaVersion\":2,\"config\":{},\"layers\":[]}"
#define OTHER "{\"schemaVersion\":2,\"config\":{},\"layers\":[1]}"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

enum { MAX_PAGES = 6 };

struct page {
    const char *path;
    int status;
    const char *headers, *body;
    size_t size; /* 0 = of the text */
};

struct site {
    struct fake *fake;
    struct page pages[MAX_PAGES]; /* the first that fits */
    unsigned fail_first; /* so many 503s before all else */
    atomic_uint n;
    char authorization[256];
};

static void on_request(struct fake_conn *c, const struct fake_request *r, void *ctx)
{
    struct site *s = ctx;
    if (strcmp(r->path, "/v2/") == 0) {
        fake_answer(c, 200, "", STR("{}"));
        return;
    }
    snprintf(s->authorization, sizeof(s->authorization), "%s", fake_header(r, "Authorization"));
    if (atomic_fetch_add(&s->n, 1) < s->fail_first) {
        fake_answer(c, 503, "", STR(""));
        return;
    }
    for (size_t i = 0; i < MAX_PAGES && s->pages[i].path; i++) {
        const struct page *p = &s->pages[i];
        if (strcmp(p->path, r->path) != 0)
            continue;
        struct str body = p->size ? str_make(p->body, p->size) : str_from(p->body);
        const char *headers = p->headers ? p->headers : "Content-Type: " OCI_TYPE_MANIFEST "\r\n";
        if (strcmp(r->method, "HEAD") == 0)
            fake_head(c, p->status, headers, body.len);
        else
            fake_answer(c, p->status, headers, body);
        return;
    }
    fake_answer(c, 404, "", STR("{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\"}]}"));
}

struct client {
    struct registry *r;
    struct registry_repo *repo;
};

static void client_open(struct client *k, const struct registry_options *o, const char *name)
{
    struct error err = ERROR_INIT;
    struct oci_reference ref;
    assert_ok(oci_reference_parse(str_from(name), NULL, &ref, &err));
    assert_ok(registry_new(o, &k->r, &err));
    assert_ok(registry_repo_open(k->r, &ref, REGISTRY_PULL, NULL, &k->repo, &err));
}

static void client_close(struct client *k)
{
    registry_repo_close(k->repo);
    registry_free(k->r);
}

static const struct registry_options quick = {
    .docker_config_dir = "/nonexistent", .certs_dirs = "/nonexistent", .backoff_ms = 2};

static void site_open(struct site *s, struct client *k, const char *reference)
{
    char name[256];
    s->fake = fake_start(on_request, s);
    snprintf(name, sizeof(name), "127.0.0.1:%u/ai/m%s", (unsigned)fake_port(s->fake), reference);
    client_open(k, &quick, name);
}

static void site_close(struct site *s, struct client *k)
{
    client_close(k);
    fake_stop(s->fake);
}

static void test_resolve(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct client k;
    struct site s = {.pages = {{"/v2/ai/m/manifests/v1", 200, NULL, MODEL, 0}}, .fail_first = 3};
    struct registry_manifest m = {0};
    struct oci_digest digest;
    site_open(&s, &k, ":v1");
    assert_ok(registry_resolve(k.repo, NULL, NULL, &m, &err));
    assert_str(buf_str(&m.bytes), MODEL);
    assert_string_equal(m.media_type, OCI_TYPE_MANIFEST);
    digest = oci_digest_of(STR(MODEL));
    assert_true(oci_digest_eq(&m.digest, &digest));
    registry_manifest_release(&m);
    assert_int_equal(s.n, 4);
    struct oci_digest told;
    assert_ok(registry_resolve_digest(k.repo, NULL, NULL, &told, &err)); /* HEAD tells none: GET */
    assert_true(oci_digest_eq(&told, &digest));
    assert_int_equal(s.n, 6);
    assert_fails(registry_resolve(k.repo, "no", NULL, &m, &err), ERR_NOT_FOUND,
                 "MANIFEST_UNKNOWN - Model not found");
    assert_fails(registry_resolve(k.repo, "../x", NULL, &m, &err), ERR_INVALID, "no tag");
    assert_fails(registry_resolve(k.repo, "sha256:../x", NULL, &m, &err), ERR_INVALID, "sha256");
    site_close(&s, &k);
}

static void test_resolve_digest__head(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct client k;
    struct oci_digest told;
    struct site s = {.pages = {{"/v2/ai/m/manifests/latest", 200,
                                "Docker-Content-Digest: sha256:" ZEROS "\r\n", MODEL, 0},
                               {"/v2/ai/m/manifests/evil", 200,
                                "Docker-Content-Digest: sha256:../../etc/passwd\r\n", MODEL, 0}}};
    site_open(&s, &k, "");
    assert_ok(registry_resolve_digest(k.repo, NULL, NULL, &told, &err));
    assert_string_equal(told.text, "sha256:" ZEROS);
    assert_int_equal(s.n, 1);
    assert_fails(registry_resolve_digest(k.repo, "evil", NULL, &told, &err), ERR_INVALID, "sha256");
    site_close(&s, &k);
}

static char *index_of(const char *entries)
{
    return xasprintf("{\"schemaVersion\":2,\"mediaType\":\"" OCI_TYPE_INDEX "\",\"manifests\":[%s]}",
                     entries);
}

static void test_resolve__index(void **state)
{
    (void)state;
    struct oci_digest model = oci_digest_of(STR(MODEL)), other = oci_digest_of(STR(OTHER));
    char *inner = index_of("");
    struct oci_digest inner_digest = oci_digest_of(str_from(inner));
#define ENTRY "{\"mediaType\":\"" OCI_TYPE_MANIFEST "\",\"digest\":\"%s\"%s}"
    const struct {
        char *entries;
        enum errc code;
        const char *text;
    } cases[] = {
        {xasprintf(ENTRY, model.text, ""), ERR_NONE, NULL},
        {xasprintf(ENTRY "," ENTRY, other.text,
                   ",\"annotations\":{\"vnd.docker.reference.type\":\"attestation-manifest\"}",
                   model.text, ",\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}"),
         ERR_NONE, NULL},
        {xasprintf(ENTRY "," ENTRY, other.text, "", model.text,
                   ",\"artifactType\":\"" OCI_TYPE_CNCF_ARTIFACT "\""),
         ERR_NONE, NULL},
        {xasprintf(ENTRY "," ENTRY, other.text, ",\"platform\":{\"os\":\"a\"}", model.text, ""),
         ERR_UNSUPPORTED, "index of 2 manifests (a/any sha256:"},
        {xasprintf("%s", ""), ERR_UNSUPPORTED, "no manifest that could be a model"},
        {xasprintf("1,null,[],{}"), ERR_UNSUPPORTED, "index of 1 manifests"},
        {xasprintf(ENTRY, "sha256:../x", ""), ERR_INVALID, "sha256"},
        {xasprintf(ENTRY, inner_digest.text, ""), ERR_UNSUPPORTED, "index inside an index"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct client k;
        struct registry_manifest m = {0};
        CLEANUP_FREE char *index = index_of(cases[i].entries);
        CLEANUP_FREE char *model_path = xasprintf("/v2/ai/m/manifests/%s", model.text);
        CLEANUP_FREE char *other_path = xasprintf("/v2/ai/m/manifests/%s", other.text);
        CLEANUP_FREE char *inner_path = xasprintf("/v2/ai/m/manifests/%s", inner_digest.text);
        struct site s = {.pages = {{"/v2/ai/m/manifests/latest", 200,
                                    "Content-Type: " OCI_TYPE_INDEX "\r\n", index, 0},
                                   {model_path, 200, NULL, MODEL, 0},
                                   {other_path, 200, NULL, OTHER, 0},
                                   {inner_path, 200, NULL, inner, 0}}};
        site_open(&s, &k, "");
        print_message("case %zu\n", i);
        if (cases[i].code == ERR_NONE) {
            assert_ok(registry_resolve(k.repo, NULL, NULL, &m, &err));
            assert_str(buf_str(&m.bytes), MODEL);
            registry_manifest_release(&m);
        } else if (cases[i].code == ERR_UNSUPPORTED && strstr(cases[i].text, "of 1")) {
            assert_true(registry_resolve(k.repo, NULL, NULL, &m, &err) < 0);
        } else {
            assert_fails(registry_resolve(k.repo, NULL, NULL, &m, &err), cases[i].code,
                         cases[i].text);
        }
        site_close(&s, &k);
        free(cases[i].entries);
    }
    free(inner);
}

static void test_resolve__lies(void **state)
{
    (void)state;
    static char huge[5 << 20];
    memset(huge, ' ', sizeof(huge));
    static const char bomb[] = "\037\213\b\0\0\0\0\0\0\003";
    const struct {
        const char *reference, *path;
        struct page page;
        enum errc code;
        const char *text;
    } cases[] = {
        {":v", NULL, {NULL, 200, "Docker-Content-Digest: sha256:" ZEROS "\r\n", MODEL, 0},
         ERR_CORRUPT, "expected sha256:0000"},
        {":v", NULL, {NULL, 200, "Docker-Content-Digest: sha256:../../x\r\n", MODEL, 0},
         ERR_INVALID, "sha256"},
        {"@sha256:" ZEROS, "/v2/ai/m/manifests/sha256:" ZEROS, {NULL, 200, NULL, MODEL, 0},
         ERR_CORRUPT, "expected sha256:0000"},
        {":v", NULL, {NULL, 200, NULL, huge, sizeof(huge)}, ERR_TOO_LARGE, "larger than 4 MiB"},
        {":v", NULL, {NULL, 200, "Content-Encoding: gzip\r\n", bomb, sizeof(bomb)}, ERR_CORRUPT, ""},
        {":v", NULL, {NULL, 200, NULL, "<html>", 0}, ERR_CORRUPT, ""},
        {":v", NULL, {NULL, 200, NULL, "", 0}, ERR_CORRUPT, ""},
        {":v", NULL, {NULL, 403, NULL, "", 0}, ERR_DENIED, "UNAUTHORIZED"},
        {":v", NULL, {NULL, 401, NULL, "", 0}, ERR_DENIED, "UNAUTHORIZED"},
        {":v", NULL, {NULL, 404, NULL, "{\"errors\":[{\"code\":\"NAME_UNKNOWN\"}]}", 0},
         ERR_NOT_FOUND, "NAME_UNKNOWN - Repository not found"},
        {":v", NULL, {NULL, 404, NULL, "gone", 0}, ERR_NOT_FOUND, "MANIFEST_UNKNOWN"},
        {":v", NULL, {NULL, 429, NULL, "", 0}, ERR_BUSY, "TOOMANYREQUESTS"},
        {":v", NULL, {NULL, 500, NULL, "{\"errors\":[{\"code\":\"x y\",\"message\":\"m\\u0007\"}]}", 0},
         ERR_UNAVAILABLE, "UNKNOWN - "},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct client k;
        struct registry_manifest m = {0};
        struct site s = {.pages = {cases[i].page}};
        s.pages[0].path = cases[i].path ? cases[i].path : "/v2/ai/m/manifests/v";
        site_open(&s, &k, cases[i].reference);
        assert_fails(registry_resolve(k.repo, NULL, NULL, &m, &err), cases[i].code, cases[i].text);
        print_message("%s\n", err.msg);
        site_close(&s, &k);
    }
}

static void test_fetch_small(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct client k;
    struct oci_digest right = oci_digest_of(STR("config")), wrong = oci_digest_of(STR("konfig"));
    CLEANUP_FREE char *right_path = xasprintf("/v2/ai/m/blobs/%s", right.text);
    CLEANUP_FREE char *wrong_path = xasprintf("/v2/ai/m/blobs/%s", wrong.text);
    struct site s = {.pages = {{right_path, 200, NULL, "config", 0},
                               {wrong_path, 200, NULL, "config", 0}}};
    CLEANUP_BUF struct buf out = BUF_INIT(10);
    site_open(&s, &k, "");
    assert_ok(registry_fetch_small(k.repo, &right, 6, NULL, &out, &err));
    assert_str(buf_str(&out), "config");
    assert_fails(registry_fetch_small(k.repo, &right, 6, NULL, &out, &err), ERR_TOO_LARGE, "at most 4");
    buf_clear(&out);
    assert_fails(registry_fetch_small(k.repo, &wrong, 6, NULL, &out, &err), ERR_CORRUPT,
                 "blob digest mismatch");
    assert_fails(registry_fetch_small(k.repo, &right, 5, NULL, &out, &err), ERR_CORRUPT, "");
    assert_fails(registry_fetch_small(k.repo, &right, 4, NULL, &out, &err), ERR_CORRUPT, "larger");
    assert_fails(registry_fetch_small(k.repo, &right, 9, NULL, &out, &err), ERR_CORRUPT, "mismatch");
    assert_fails(registry_fetch_small(k.repo, &right, UINT64_MAX, NULL, &out, &err), ERR_TOO_LARGE,
                 "at most");
    assert_int_equal(out.len, 0);
    site_close(&s, &k);
}

static void test_mirrors(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct site down = {0}, empty = {0},
                good = {.pages = {{"/some/path/v2/ai/m/manifests/latest", 200, NULL, MODEL, 0}}};
    down.fake = fake_start(on_request, &down);
    down.fail_first = 1000;
    empty.fake = fake_start(on_request, &empty);
    good.fake = fake_start(on_request, &good);
    char mirrors[256];
    snprintf(mirrors, sizeof(mirrors),
             "http://127.0.0.1:%u , http://127.0.0.1:%u,http://127.0.0.1:%u/some/path/v2/",
             (unsigned)fake_port(down.fake), (unsigned)fake_port(empty.fake),
             (unsigned)fake_port(good.fake));
    struct registry_options o = quick;
    o.mirrors = mirrors;
    o.hub_user = "hub";
    o.hub_password = "secret";
    struct client k;
    struct registry_manifest m = {0};
    client_open(&k, &o, "ai/m");
    assert_ok(registry_resolve(k.repo, NULL, NULL, &m, &err));
    assert_str(buf_str(&m.bytes), MODEL);
    registry_manifest_release(&m);
    assert_string_equal(good.authorization, "");
    assert_int_equal(down.n, 1); /* no patience with mirrors */
    assert_int_equal(empty.n, 1);
    client_close(&k);

    /* Another registry's models are not asked for there. */
    char name[64];
    snprintf(name, sizeof(name), "127.0.0.1:%u/ai/m", (unsigned)fake_port(empty.fake));
    client_open(&k, &o, name);
    assert_fails(registry_resolve(k.repo, NULL, NULL, &m, &err), ERR_NOT_FOUND, "MANIFEST_UNKNOWN");
    assert_int_equal(down.n, 1);
    client_close(&k);
    fake_stop(down.fake);
    fake_stop(empty.fake);
    fake_stop(good.fake);
}

static void test_nobody_there(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct client k;
    struct registry_manifest m = {0};
    client_open(&k, &quick, "127.0.0.1:1/ai/m");
    assert_fails(registry_resolve(k.repo, NULL, NULL, &m, &err), ERR_UNAVAILABLE, "127.0.0.1");
    print_message("%s\n", err.msg);
    client_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolve),
        cmocka_unit_test(test_resolve_digest__head),
        cmocka_unit_test(test_resolve__index),
        cmocka_unit_test(test_resolve__lies),
        cmocka_unit_test(test_fetch_small),
        cmocka_unit_test(test_mirrors),
        cmocka_unit_test(test_nobody_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
