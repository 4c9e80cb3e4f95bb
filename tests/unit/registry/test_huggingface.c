/* SPDX-License-Identifier: Apache-2.0
 *
 * Models of Hugging Face: the choice of files as pure text, and the requests against a server in
 * this process that also lists page by page, redirects, refuses and lies. */
#include "test.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "fake.h"
#include "oci/quantization.h"
#include "registry/huggingface.h"
#include "registry/huggingface_internal.h"

/* ---- the choice ---- */

static void test_quantization__of_a_path(void **state)
{
    (void)state;
    static const struct {
        const char *path, *label;
    } cases[] = {
        {"Llama-3-8B-Q4_K_M.gguf", "Q4_K_M"},
        {"llama.q5_1.gguf", "q5_1"},
        {"model_iq3_xxs.gguf", "iq3_xxs"},
        {"Model-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"},
        {"CLOUD-Q4_K_XL.gguf", "Q4_K_XL"},
        {"UD-IQ2_M/Model.gguf", "UD-IQ2_M"},
        {"BF16/Model-F16.gguf", "F16"},
        {"Model-bf16.gguf", "bf16"},
        {"Model-Q4_0_8_8.gguf", "Q4_0_8_8"},
        {"Model-Q4_K_M_imat.gguf", "Q4_K_M"},
        {"Model-MXFP4_MOE.gguf", "MXFP4_MOE"},
        {"Model-TQ1_0.gguf", "TQ1_0"},
        {"Qwen2-7B.gguf", NULL},
        {"IQ.gguf", NULL},
        {"model.gguf", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct str got = oci_quantization_of(str_from(cases[i].path));
        if (cases[i].label)
            assert_str(got, cases[i].label);
        else
            assert_null(got.ptr);
    }
}

/* Makes a listing from names separated by spaces. */
static void make_listing(const char *names, struct hf_listing *ret)
{
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf json = BUF_INIT(1 << 20), dirs = BUF_INIT(1 << 20);
    struct str rest = str_from(names), name;
    buf_append_c(&json, "[{\"type\":\"directory\",\"path\":\"x\"}");
    while (str_split_next(&rest, ' ', &name))
        buf_printf(&json, ",{\"type\":\"file\",\"path\":\"%.*s\",\"size\":1,\"oid\":\"\"}",
                   STR_ARG(name));
    buf_push(&json, ']');
    *ret = (struct hf_listing){0};
    assert_ok(hf_listing_add(ret, buf_str(&json), &dirs, &err));
    assert_ok(hf_listing_sort(ret, &err));
}

#define FAMILY                                                                              \
    "M-Q2_K.gguf M-Q4_K_M.gguf M-Q4_K_S.gguf M-Q8_0.gguf M-BF16.gguf M-F16.gguf README.md " \
    "config.json M-UD-Q4_K_XL.gguf M-UD-Q4_K_M.gguf"

static void test_choose__files(void **state)
{
    (void)state;
    static const struct {
        const char *names, *tag, *chosen, *quantization;
    } cases[] = {
        {FAMILY, "latest", "M-Q4_K_M.gguf", "Q4_K_M"},
        {FAMILY, "main", "M-Q4_K_M.gguf", "Q4_K_M"},
        {FAMILY, "q8_0", "M-Q8_0.gguf", "Q8_0"},
        {FAMILY, "F16", "M-F16.gguf", "F16"},
        {FAMILY, "bf16", "M-BF16.gguf", "BF16"},
        {FAMILY, "UD-Q4_K_XL", "M-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"},
        {FAMILY, "Q4_K_XL", "M-UD-Q4_K_XL.gguf", "UD-Q4_K_XL"},
        {FAMILY, "UD-Q4_K_M", "M-UD-Q4_K_M.gguf", "UD-Q4_K_M"},
        {FAMILY, "M-Q2_K.gguf", "M-Q2_K.gguf", "Q2_K"},
        {FAMILY, "m-q2_k", "M-Q2_K.gguf", "Q2_K"},
        {"only.gguf README.md", "latest", "only.gguf", ""},
        {"b.gguf a-x.gguf a.gguf", "latest", "a-x.gguf", ""},
        {"M-Q8_0.gguf M-Q5_0.gguf", "latest", "M-Q5_0.gguf", "Q5_0"},
        {"M-Q8_0.gguf M-UD-Q4_K_M.gguf M-BF16.gguf", "latest", "M-UD-Q4_K_M.gguf", "UD-Q4_K_M"},
        /* Folders. */
        {"UD-Q4_K_XL/M-UD-Q4_K_XL-00001-of-00002.gguf UD-Q4_K_XL/M-UD-Q4_K_XL-00002-of-00002.gguf "
         "Q4_0/m.gguf",
         "UD-Q4_K_XL",
         "UD-Q4_K_XL/M-UD-Q4_K_XL-00001-of-00002.gguf UD-Q4_K_XL/M-UD-Q4_K_XL-00002-of-00002.gguf",
         "UD-Q4_K_XL"},
        {"Q4_0/m.gguf Q8_0/m.gguf", "Q8_0", "Q8_0/m.gguf", "Q8_0"},
        /* Shards beside a whole file, and two sets of one name. */
        {"M-Q4_K_M-00001-of-00002.gguf M-Q4_K_M-00002-of-00002.gguf M-Q8_0.gguf", "latest",
         "M-Q4_K_M-00001-of-00002.gguf M-Q4_K_M-00002-of-00002.gguf", "Q4_K_M"},
        {"M-F16-00001-of-00001.gguf M-F16-00001-of-00002.gguf M-F16-00002-of-00002.gguf", "F16",
         "M-F16-00001-of-00001.gguf", "F16"},
        /* Several that fit: the plain one. */
        {"M-Q4_K_M-imat.gguf M-Q4_K_M.gguf old/M-Q4_K_M.gguf", "Q4_K_M", "M-Q4_K_M.gguf", "Q4_K_M"},
        {"a/M-Q8_0.gguf M-Q8_0-long-name.gguf LongM-Q8_0.gguf", "Q8_0", "LongM-Q8_0.gguf", "Q8_0"},
        {"M.i1-Q4_K_M.gguf M.Q4_K_M.gguf", "i1-Q4_K_M", "M.i1-Q4_K_M.gguf", "Q4_K_M"},
        {"M-8B-Q2_K.gguf M-8B-Q4_K_M.gguf M-70B-Q4_K_M.gguf", "8b", "M-8B-Q4_K_M.gguf", "Q4_K_M"},
        /* Projectors and templates. */
        {"M-Q4_K_M.gguf mmproj-BF16.gguf mmproj-F32.gguf mmproj-F16.gguf", "latest",
         "M-Q4_K_M.gguf mmproj-F16.gguf", "Q4_K_M"},
        {"M-Q4_K_M.gguf mmproj-M-Q8_0.gguf mmproj-M-bf16.gguf", "latest",
         "M-Q4_K_M.gguf mmproj-M-bf16.gguf", "Q4_K_M"},
        {"a/M-Q4_K_M.gguf a/mmproj-F32.gguf mmproj-F16.gguf", "latest",
         "a/M-Q4_K_M.gguf a/mmproj-F32.gguf", "Q4_K_M"},
        {"M.gguf x.jinja chat_template.jinja tokenizer_config.json chat_template.json", "latest",
         "M.gguf chat_template.jinja", ""},
        {"M-Q8_0.gguf imatrix_M.gguf", "latest", "M-Q8_0.gguf", "Q8_0"},
        {"M-Q8_0.gguf M.imatrix.gguf", "latest", "M-Q8_0.gguf", "Q8_0"},
        /* safetensors */
        {"model.safetensors config.json tokenizer.model LICENSE a.bin x.png chat_template.jinja "
         "README.md",
         "latest", "model.safetensors README.md chat_template.jinja config.json tokenizer.model",
         ""},
        {"m-00001-of-00002.safetensors m-00002-of-00002.safetensors model.safetensors.index.json",
         "latest",
         "m-00001-of-00002.safetensors m-00002-of-00002.safetensors "
         "model.safetensors.index.json",
         ""},
        {"m.safetensors m.gguf", "latest", "m.gguf", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct hf_listing l;
        struct hf_choice c = {0};
        make_listing(cases[i].names, &l);
        if (hf_choose(&l, cases[i].tag, "hf.co/o/r", &c, &err) < 0)
            fail_msg("case %zu: %s", i, err.msg);
        CLEANUP_BUF struct buf got = BUF_INIT(4096);
        for (size_t k = 0; k < c.n_files; k++)
            buf_printf(&got, "%s%s", k > 0 ? " " : "", l.entries[c.files[k]].path);
        if (strcmp(buf_cstr(&got), cases[i].chosen) != 0)
            fail_msg("case %zu: chosen '%s', wanted '%s'", i, buf_cstr(&got), cases[i].chosen);
        assert_string_equal(c.quantization, cases[i].quantization);
        free(c.files);
        hf_listing_release(&l);
    }
}

static void test_choose__refuses(void **state)
{
    (void)state;
    static const struct {
        const char *names, *tag;
        enum errc code;
        const char *part;
    } cases[] = {
        {FAMILY, "Q4_K", ERR_NOT_FOUND, "no 'Q4_K'; it has, the nearest first: Q4_K_M, "},
        {FAMILY, "Q8", ERR_NOT_FOUND, "nearest first: Q8_0, "},
        {FAMILY, "16", ERR_NOT_FOUND, "F16"},
        {FAMILY, "K_M", ERR_NOT_FOUND, "Q4_K_M"},
        {"only.gguf", "Q4_K_M", ERR_NOT_FOUND, "it has: only"},
        {"README.md", "latest", ERR_NOT_FOUND, "no model weight files (GGUF or SafeTensors)"},
        {"mmproj-F16.gguf", "latest", ERR_NOT_FOUND, "no model weight files"},
        {"M-Q4_0-00001-of-00003.gguf M-Q4_0-00003-of-00003.gguf", "Q4_0", ERR_CORRUPT,
         "incomplete shard set: found 2 of 3 shards"},
        {"m-00002-of-00002.safetensors", "latest", ERR_CORRUPT, "found 1 of 2 shards"},
        {"m.safetensors", "Q4_K_M", ERR_NOT_FOUND, "leave the tag out"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct hf_listing l;
        struct hf_choice c = {0};
        make_listing(cases[i].names, &l);
        assert_fails(hf_choose(&l, cases[i].tag, "hf.co/o/r", &c, &err), cases[i].code,
                     cases[i].part);
        hf_listing_release(&l);
    }
}

static void test_choose__many_near_misses(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf names = BUF_INIT(1 << 20);
    for (int i = 0; i < 300; i++)
        buf_printf(&names, "%sa-long-name-of-a-model-file-with-number-%d.gguf", i > 0 ? " " : "",
                   i);
    struct hf_listing l;
    struct hf_choice c = {0};
    make_listing(buf_cstr(&names), &l);
    assert_fails(hf_choose(&l, "Q4_K_M", "hf.co/o/r", &c, &err), ERR_NOT_FOUND, " more");
    hf_listing_release(&l);
}

/* ---- listings ---- */

static void test_listing__refuses(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum errc code;
    } cases[] = {
        {"", ERR_UNAVAILABLE},
        {"{\"error\":\"no\"}", ERR_UNAVAILABLE},
        {"<html>", ERR_UNAVAILABLE},
        {"[{\"type\":\"file\",\"path\":\"../a\",\"size\":1}]", ERR_CORRUPT},
        {"[{\"type\":\"file\",\"path\":\"/a\",\"size\":1}]", ERR_CORRUPT},
        {"[{\"type\":\"file\",\"path\":\"a//b\",\"size\":1}]", ERR_CORRUPT},
        {"[{\"type\":\"file\",\"path\":\"a/./b\",\"size\":1}]", ERR_CORRUPT},
        {"[{\"type\":\"file\",\"path\":\"a\\\\b\",\"size\":1}]", ERR_CORRUPT},
        {"[{\"type\":\"file\",\"path\":\"a\\u0000b\",\"size\":1}]", ERR_CORRUPT},
        {"[{\"type\":\"file\",\"path\":\"a\\u001b\",\"size\":1}]", ERR_CORRUPT},
        {"[{\"type\":\"file\",\"path\":\"\",\"size\":1}]", ERR_CORRUPT},
        {"[{\"type\":\"file\",\"size\":1}]", ERR_CORRUPT},
        {"[{\"type\":\"directory\",\"path\":\"a/..\"}]", ERR_CORRUPT},
        {"[{\"type\":\"file\",\"path\":\"a\"}]", ERR_CORRUPT},
        {"[{\"type\":\"file\",\"path\":\"a\",\"size\":-1}]", ERR_CORRUPT},
        {"[{\"type\":\"file\",\"path\":\"a\",\"size\":1,\"lfs\":{\"size\":1}}]", ERR_CORRUPT},
        {"[{\"type\":\"file\",\"path\":\"a\",\"size\":1,\"lfs\":{\"size\":1,\"oid\":\"../../x\"}}]",
         ERR_CORRUPT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct hf_listing l = {0};
        CLEANUP_BUF struct buf dirs = BUF_INIT(1024);
        if (hf_listing_add(&l, str_from(cases[i].json), &dirs, &err) != -(int)cases[i].code)
            fail_msg("case %zu", i);
        hf_listing_release(&l);
    }
    struct error err = ERROR_INIT;
    struct hf_listing l = {0};
    CLEANUP_BUF struct buf dirs = BUF_INIT(1024);
    assert_ok(hf_listing_add(&l,
                             STR("[{\"type\":\"file\",\"path\":\"a\",\"size\":1},"
                                 "{\"type\":\"file\",\"path\":\"a\",\"size\":2}]"),
                             &dirs, &err));
    assert_fails(hf_listing_sort(&l, &err), ERR_CORRUPT, "'a' twice");
    hf_listing_release(&l);
}

/* ---- the server ---- */

struct hub {
    struct fake *fake;
    bool paged, foreign_next, endless, flat;
    int status;         /* of everything; 0 = 200 */
    const char *code;   /* X-Error-Code */
    const char *config; /* content of config.json */
    char elsewhere[64]; /* where files are redirected to; "" = nowhere */
    bool authorization, authorization_elsewhere;
    unsigned requests;
};

#define WEIGHTS "GGUF-bytes"
#define CONFIG "{\"a\":1}"

static void append_tree(struct buf *b, const char *path)
{
    if (!strstr(path, ".json")) {
        struct oci_digest d = oci_digest_of(STR(WEIGHTS));
        buf_printf(b,
                   "%s{\"type\":\"file\",\"path\":\"%s\",\"size\":999,\"oid\":\"x\",\"lfs\":"
                   "{\"oid\":\"%s\",\"size\":%zu,\"pointerSize\":130}}",
                   b->len > 1 ? "," : "", path, oci_digest_hex(&d), sizeof(WEIGHTS) - 1);
        return;
    }
    char oid[GIT_OID_HEX + 1];
    git_blob_oid(STR(CONFIG), oid);
    buf_printf(b, "%s{\"type\":\"file\",\"path\":\"%s\",\"size\":%zu,\"oid\":\"%s\"}",
               b->len > 1 ? "," : "", path, sizeof(CONFIG) - 1, oid);
}

static void serve_tree(struct hub *h, struct fake_conn *c, const struct fake_request *r)
{
    CLEANUP_BUF struct buf b = BUF_INIT(1 << 16), headers = BUF_INIT(1024);
    buf_push(&b, '[');
    if (h->flat) {
        bool top = strstr(r->path, "/tree/main?") != NULL, q = strstr(r->path, "/main/Q8_0?");
        if (top)
            buf_append_c(&b, "{\"type\":\"directory\",\"path\":\"Q8_0\"},"
                             "{\"type\":\"directory\",\"path\":\"empty\"}");
        else if (q)
            append_tree(&b, "Q8_0/m.gguf");
    } else if (!h->paged) {
        append_tree(&b, "m-Q4_K_M.gguf");
        append_tree(&b, "m Q8_0.gguf");
        append_tree(&b, "config.json");
    } else if (strstr(r->path, "cursor=2")) {
        append_tree(&b, "m-Q4_K_M-00002-of-00002.gguf");
    } else {
        append_tree(&b, "m-Q4_K_M-00001-of-00002.gguf");
    }
    buf_push(&b, ']');
    if ((h->paged && !strstr(r->path, "cursor=2")) || h->endless)
        buf_printf(&headers,
                   "Link: <%s/api/models/Org/Repo/tree/main?recursive=true&cursor=%s>; "
                   "rel=\"next\"\r\n",
                   h->foreign_next ? "https://huggingface.invalid" : "", h->endless ? "1" : "2");
    fake_answer(c, 200, buf_cstr(&headers), buf_str(&b));
}

static void serve(struct fake_conn *c, const struct fake_request *r, void *ctx)
{
    struct hub *h = ctx;
    char headers[256] = "";
    h->requests++;
    h->authorization |= strcmp(fake_header(r, "Authorization"), "Bearer hf_secret") == 0;
    if (h->status) {
        if (h->code)
            snprintf(headers, sizeof(headers), "X-Error-Code: %s\r\n", h->code);
        fake_answer(c, h->status, headers, STR("{\"error\":\"no\"}"));
    } else if (strstr(r->path, "/tree/main")) {
        serve_tree(h, c, r);
    } else if (strstr(r->path, "/revision/main")) {
        fake_answer(c, 200, "",
                    STR("{\"lastModified\":\"2024-05-06T07:08:09.000Z\","
                        "\"gated\":\"manual\",\"sha\":\"x\"}"));
    } else if (strstr(r->path, "/resolve/main/config.json") && *h->elsewhere) {
        snprintf(headers, sizeof(headers), "Location: %s/signed?x=1\r\n", h->elsewhere);
        fake_answer(c, 302, headers, STR(""));
    } else if (strstr(r->path, "/resolve/main/config.json")) {
        fake_answer(c, 200, "", str_from(h->config ? h->config : CONFIG));
    } else {
        fake_answer(c, 404, "", STR(""));
    }
}

static void serve_elsewhere(struct fake_conn *c, const struct fake_request *r, void *ctx)
{
    struct hub *h = ctx;
    h->authorization_elsewhere |= *fake_header(r, "Authorization") != '\0';
    fake_answer(c, 200, "", STR(CONFIG));
}

struct world {
    struct hub hub;
    struct registry *r;
    struct registry_repo *site;
    struct oci_reference ref;
};

static void world_start(struct world *w, const char *name, const char *token)
{
    struct error err = ERROR_INIT;
    w->hub.fake = fake_start(serve, &w->hub);
    char base[64];
    snprintf(base, sizeof(base), "http://127.0.0.1:%u/", fake_port(w->hub.fake));
    struct registry_options o = {.docker_config_dir = "/nonexistent",
                                 .hf_endpoint = base,
                                 .hf_token = token,
                                 .backoff_ms = 1,
                                 .max_tries = 2};
    assert_ok(registry_new(&o, &w->r, &err));
    assert_ok(hf_open(w->r, NULL, &w->site, &err));
    assert_ok(oci_reference_parse(str_from(name), NULL, &w->ref, &err));
}

static void world_stop(struct world *w)
{
    registry_repo_close(w->site);
    registry_free(w->r);
    fake_stop(w->hub.fake);
}

static void test_resolve__a_model(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct world w = {0};
    struct hf_model m = {0};
    world_start(&w, "hf.co/Org/Repo:Q8_0", "hf_secret");
    assert_ok(hf_resolve(w.site, &w.ref, NULL, &m, &err));
    assert_string_equal(m.repository, "Org/Repo");
    assert_true(m.gguf && m.gated && m.has_token);
    assert_int_equal(m.last_modified, 1714979289);
    assert_int_equal(m.n_files, 1);
    assert_string_equal(m.files[0].path, "m Q8_0.gguf");
    assert_string_equal(m.files[0].url_path, "/Org/Repo/resolve/main/m%20Q8_0.gguf");
    assert_true(m.files[0].has_sha256);
    assert_int_equal(m.files[0].size, sizeof(WEIGHTS) - 1); /* LFS's word, not the pointer's */
    assert_int_equal(m.total_bytes, sizeof(WEIGHTS) - 1);
    assert_int_equal(m.files[0].kind, OCI_LAYER_GGUF);
    assert_true(w.hub.authorization);
    hf_model_release(&m);
    world_stop(&w);
}

static void test_resolve__pages(void **state)
{
    (void)state;
    for (int foreign = 0; foreign < 2; foreign++) {
        struct error err = ERROR_INIT;
        struct world w = {.hub = {.paged = true, .foreign_next = foreign}};
        struct hf_model m = {0};
        world_start(&w, "hf.co/Org/Repo", NULL);
        assert_ok(hf_resolve(w.site, &w.ref, NULL, &m, &err));
        assert_int_equal(m.n_files, 2);
        assert_string_equal(m.quantization, "Q4_K_M");
        assert_false(w.hub.authorization);
        hf_model_release(&m);
        world_stop(&w);
    }
}

static void test_resolve__endless_pages(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct world w = {.hub = {.endless = true}};
    struct hf_model m = {0};
    world_start(&w, "hf.co/Org/Repo", NULL);
    assert_fails(hf_resolve(w.site, &w.ref, NULL, &m, &err), ERR_TOO_LARGE, "does not end");
    assert_true(w.hub.requests < 10);
    world_stop(&w);
}

static void test_resolve__path_in_a_repository(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct world w = {0};
    struct hf_model m = {0};
    world_start(&w, "hf.co/Org/Repo/file.gguf", NULL);
    assert_fails(hf_resolve(w.site, &w.ref, NULL, &m, &err), ERR_INVALID, "is hf.co/ORG/NAME");
    assert_int_equal(w.hub.requests, 0);
    world_stop(&w);
}

static void test_resolve__mirror_without_recursion(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct world w = {.hub = {.flat = true}};
    struct hf_model m = {0};
    world_start(&w, "hf.co/Org/Repo:q8_0", NULL);
    assert_ok(hf_resolve(w.site, &w.ref, NULL, &m, &err));
    assert_string_equal(m.files[0].path, "Q8_0/m.gguf");
    hf_model_release(&m);
    world_stop(&w);
}

static void test_resolve__errors(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *code, *token;
        enum errc kind;
        const char *part;
    } cases[] = {
        {401, NULL, NULL, ERR_DENIED, "does not exist, or is private"},
        {401, "RepoNotFound", "hf_secret", ERR_DENIED, "the token (HF_TOKEN)"},
        {401, "GatedRepo", NULL, ERR_DENIED, "is gated; accept its terms at http://127.0.0.1"},
        {403, "GatedRepo", "hf_secret", ERR_DENIED, "use a token (HF_TOKEN) of the account"},
        {403, NULL, "hf_secret", ERR_DENIED, "UNAUTHORIZED - Authentication required"},
        {404, NULL, NULL, ERR_NOT_FOUND, "MANIFEST_UNKNOWN - Model not found"},
        {404, "RevisionNotFound", NULL, ERR_NOT_FOUND, "no revision 'main'"},
        {429, NULL, NULL, ERR_BUSY, "a token in HF_TOKEN has a higher limit"},
        {500, NULL, NULL, ERR_UNAVAILABLE, "answered 500"},
        {418, NULL, NULL, ERR_IO, "answered 418"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct world w = {.hub = {.status = cases[i].status, .code = cases[i].code}};
        struct hf_model m = {0};
        world_start(&w, "hf.co/Org/Repo", cases[i].token);
        assert_fails(hf_resolve(w.site, &w.ref, NULL, &m, &err), cases[i].kind, cases[i].part);
        world_stop(&w);
    }
}

static void test_explain__gated(void **state)
{
    (void)state;
    char name[] = "Org/Repo", page[] = "https://huggingface.co/Org/Repo";
    struct hf_model m = {.repository = name, .page = page, .gated = true};
    struct error err = ERROR_INIT;
    error_set(&err, ERR_DENIED, "UNAUTHORIZED - some words");
    assert_int_equal(hf_explain(&m, &err), -ERR_DENIED);
    assert_non_null(strstr(err.msg, "accept its terms at https://huggingface.co/Org/Repo"));
    error_set(&err, ERR_DENIED, "an address that is refused");
    assert_int_equal(hf_explain(&m, &err), -ERR_DENIED);
    assert_string_equal(err.msg, "an address that is refused");
}

static void fetch_config(struct world *w, int *ret, struct error *err)
{
    char path[] = "config.json", url[] = "/Org/Repo/resolve/main/config.json";
    struct hf_file f = {.path = path, .url_path = url, .size = sizeof(CONFIG) - 1};
    git_blob_oid(STR(CONFIG), f.git_oid);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
    *ret = hf_fetch_small(w->site, &f, NULL, &out, err);
    if (*ret == 0)
        assert_str(buf_str(&out), CONFIG);
}

static void test_fetch_small__checks(void **state)
{
    (void)state;
    static const struct {
        const char *config;
        enum errc code;
        const char *part;
    } cases[] = {
        {CONFIG, ERR_NONE, ""},
        {"{\"a\":2}", ERR_CORRUPT, "is git object"},
        {"{\"a\":", ERR_CORRUPT, "5 bytes instead of 7"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct world w = {.hub = {.config = cases[i].config}};
        int r;
        world_start(&w, "hf.co/Org/Repo", NULL);
        fetch_config(&w, &r, &err);
        assert_int_equal(r, -(int)cases[i].code);
        assert_non_null(strstr(err.msg, cases[i].part));
        world_stop(&w);
    }
}

static void test_fetch_small__redirect_without_token(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct world w = {0};
    struct fake *cdn = fake_start(serve_elsewhere, &w.hub);
    snprintf(w.hub.elsewhere, sizeof(w.hub.elsewhere), "http://127.0.0.1:%u", fake_port(cdn));
    int r;
    world_start(&w, "hf.co/Org/Repo", "hf_secret");
    fetch_config(&w, &r, &err);
    assert_int_equal(r, 0);
    assert_true(w.hub.authorization);
    assert_false(w.hub.authorization_elsewhere);
    world_stop(&w);
    fake_stop(cdn);
}

static void test_resolve__digest(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct world w = {0};
    struct hf_model m = {0};
    struct oci_digest d = oci_digest_of(STR("x"));
    char name[256];
    snprintf(name, sizeof(name), "hf.co/Org/Repo@%s", d.text);
    world_start(&w, name, NULL);
    assert_fails(hf_resolve(w.site, &w.ref, NULL, &m, &err), ERR_INVALID, "no models by digest");
    world_stop(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_quantization__of_a_path),
        cmocka_unit_test(test_choose__files),
        cmocka_unit_test(test_choose__refuses),
        cmocka_unit_test(test_choose__many_near_misses),
        cmocka_unit_test(test_listing__refuses),
        cmocka_unit_test(test_resolve__a_model),
        cmocka_unit_test(test_resolve__pages),
        cmocka_unit_test(test_resolve__endless_pages),
        cmocka_unit_test(test_resolve__mirror_without_recursion),
        cmocka_unit_test(test_resolve__errors),
        cmocka_unit_test(test_explain__gated),
        cmocka_unit_test(test_fetch_small__checks),
        cmocka_unit_test(test_fetch_small__redirect_without_token),
        cmocka_unit_test(test_resolve__digest),
        cmocka_unit_test(test_resolve__path_in_a_repository),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
