/* SPDX-License-Identifier: Apache-2.0
 *
 * Search: reading the answers, and the whole against servers in this process. */
#include "test.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "cli/search.h"
#include "http/server.h"

#define HUB_PAGE_1                                                                                \
    "{\"count\":3,\"next\":\"https://hub.docker.com/v2/repositories/ai/?page=2\",\"results\":["   \
    "{\"name\":\"smollm2\",\"namespace\":\"ai\",\"description\":\"Tiny LLM\",\"pull_count\":500," \
    "\"star_count\":7,\"last_updated\":\"2025-01-02T03:04:05Z\",\"storage_size\":1000000,"        \
    "\"media_types\":[\"application/vnd.docker.ai.model.config.v0.1+json\"]},"                    \
    "{\"name\":\"qwen3-vllm\",\"namespace\":\"ai\",\"description\":null,\"pull_count\":900}]}"
#define HUB_PAGE_2                                                             \
    "{\"next\":null,\"results\":[{\"name\":\"gemma3\",\"description\":\"smol " \
    "too\",\"pull_count\":"                                                    \
    "\"many\"}]}"
#define HF_LIST                                                                                 \
    "[{\"id\":\"bart/Qwen-GGUF\",\"downloads\":10,\"likes\":2,\"tags\":[\"gguf\",\"qwen2\","    \
    "\"base_model:llama\"],\"pipeline_tag\":\"text-generation\",\"createdAt\":\"2024-01-01\"}," \
    "{\"id\":\"org/plain\",\"downloads\":99},{\"nothing\":1},7,"                                \
    "{\"modelId\":\"org/sd\",\"tags\":[\"safetensors\",\"diffusers\"]}]"

static void test_hub__page(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct search_results r = {0};
    char *next = NULL;
    assert_ok(search_read_hub(STR(HUB_PAGE_1), "", 10, &r, &next, &err));
    assert_int_equal(r.n, 2);
    assert_string_equal(next, "/v2/repositories/ai/?page=2"); /* on the server that was asked */
    assert_string_equal(r.hits[0].name, "ai/smollm2");
    assert_string_equal(r.hits[0].backend, "llama.cpp");
    assert_int_equal(r.hits[0].downloads, 500);
    assert_int_equal(r.hits[0].stars, 7);
    assert_int_equal(r.hits[0].size, 1000000);
    assert_string_equal(r.hits[1].backend, "vllm");
    assert_string_equal(r.hits[1].description, "");
    free(next);
    search_results_release(&r);

    assert_ok(search_read_hub(STR(HUB_PAGE_1 " "), "TINY", 10, &r, &next, &err));
    assert_int_equal(r.n, 1);
    free(next);
    assert_ok(search_read_hub(STR(HUB_PAGE_2), "smol", 10, &r, &next, &err));
    assert_int_equal(r.n, 2);
    assert_null(next);
    assert_int_equal(r.hits[1].downloads, 0);
    search_results_release(&r);
}

static void test_answers__refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "<html>", "7", "{\"results\":{}}", "{\"error\":\"x\"}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct error err = ERROR_INIT;
        struct search_results r = {0};
        char *next = NULL;
        assert_true(search_read_hub(str_from(bad[i]), "", 10, &r, &next, &err) < 0);
        assert_true(search_read_hf(str_from(bad[i]), 10, &r, &err) < 0);
        assert_null(next);
        search_results_release(&r);
    }
}

static void test_hf__list(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct search_results r = {0};
    assert_ok(search_read_hf(STR(HF_LIST), 10, &r, &err));
    assert_int_equal(r.n, 3);
    assert_string_equal(r.hits[0].name, "hf.co/bart/Qwen-GGUF");
    assert_string_equal(r.hits[0].description, "text-generation, qwen2");
    assert_string_equal(r.hits[0].backend, "llama.cpp");
    assert_string_equal(r.hits[1].description, "AI model");
    assert_string_equal(r.hits[1].backend, "unknown");
    assert_string_equal(r.hits[2].backend, "diffusers");
    search_results_release(&r);
}

static void test_sources__names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool hub, hf;
    } cases[] = {{"all", true, true},     {"", true, true},     {"dockerhub", true, false},
                 {"docker", true, false}, {"hub", true, false}, {"huggingface", false, true},
                 {"hf", false, true}};
    struct error err = ERROR_INIT;
    bool got[SEARCH_SOURCES];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_ok(search_sources_parse(cases[i].name, got, &err));
        assert_true(got[SEARCH_HUB] == cases[i].hub && got[SEARCH_HF] == cases[i].hf);
    }
    assert_fails(search_sources_parse("ollama", got, &err), ERR_INVALID,
                 "unknown source \"ollama\": valid options are");
}

/* ---- against servers ---- */

struct site {
    struct http_server *server;
    int status;      /* of every answer; 0 = 200 */
    unsigned n_many; /* Docker Hub has this many models */
    char query[512]; /* the last one seen */
    bool authorization;
};

static void handle_hub(struct http_request *req, void *ctx)
{
    struct site *s = ctx;
    s->authorization |= http_request_header(req, "Authorization") != NULL;
    if (s->status) {
        http_respond_text(req, s->status, "no");
        return;
    }
    if (s->n_many > 0) {
        CLEANUP_BUF struct buf b = BUF_INIT(1 << 20);
        buf_append_c(&b, "{\"next\":null,\"results\":[");
        for (unsigned i = 0; i < s->n_many; i++)
            buf_printf(&b, "%s{\"name\":\"m%u\",\"pull_count\":%u}", i > 0 ? "," : "", i, i);
        buf_append_c(&b, "]}");
        http_respond(req, 200, "application/json", buf_str(&b));
        return;
    }
    const char *page = http_request_query(req, "page");
    assert_string_equal(http_request_path(req), "/v2/repositories/ai/");
    http_respond(req, 200, "application/json", page ? STR(HUB_PAGE_2) : STR(HUB_PAGE_1));
}

static void handle_hf(struct http_request *req, void *ctx)
{
    struct site *s = ctx;
    const char *token = http_request_header(req, "Authorization");
    s->authorization |= token && strcmp(token, "Bearer hf_secret") == 0;
    snprintf(s->query, sizeof(s->query), "%s", http_request_query_string(req));
    if (s->status)
        http_respond_text(req, s->status, "no");
    else
        http_respond(req, 200, "application/json", STR(HF_LIST));
}

static void site_start(struct site *s, http_handler_fn handler, const char *variable)
{
    struct error err = ERROR_INIT;
    struct http_server_options o = {.listen.host = "127.0.0.1", .handler = handler, .ctx = s};
    assert_ok(http_server_start(&o, &s->server, &err));
    char url[64];
    snprintf(url, sizeof(url), "http://127.0.0.1:%u/", http_server_port(s->server));
    setenv(variable, url, 1);
}

struct world {
    struct site hub, hf;
    struct search_results r;
    struct error failed[SEARCH_SOURCES], err;
    int result;
};

static void search(struct world *w, const char *term, size_t limit, bool hub, bool hf)
{
    site_start(&w->hub, handle_hub, "DOCKER_HUB_URL");
    site_start(&w->hf, handle_hf, "HF_ENDPOINT");
    setenv("HF_TOKEN", "hf_secret", 1);
    w->result = search_run(term, limit, (bool[SEARCH_SOURCES]){hub, hf}, &w->r, w->failed, &w->err);
    http_server_stop(w->hub.server);
    http_server_stop(w->hf.server);
}

static void test_search__both(void **state)
{
    (void)state;
    struct world w = {0};
    search(&w, "", 32, true, true);
    assert_int_equal(w.result, 0);
    static const char *const names[] = {"ai/qwen3-vllm",   "ai/smollm2",           "ai/gemma3",
                                        "hf.co/org/plain", "hf.co/bart/Qwen-GGUF", "hf.co/org/sd"};
    assert_int_equal(w.r.n, ARRAY_LEN(names));
    for (size_t i = 0; i < w.r.n; i++)
        assert_string_equal(w.r.hits[i].name, names[i]);
    assert_false(w.hub.authorization);
    assert_true(w.hf.authorization);
    search_results_release(&w.r);
}

static void test_search__term_is_encoded(void **state)
{
    (void)state;
    struct world w = {0};
    search(&w, "a&limit=9 b", 5, false, true);
    assert_int_equal(w.result, 0);
    assert_string_equal(w.hf.query,
                        "apps=vllm,llama.cpp&direction=-1&limit=5&search=a%26limit%3D9%20b"
                        "&sort=downloads");
    search_results_release(&w.r);
}

static void test_search__limit_is_shared(void **state)
{
    (void)state;
    struct world w = {.hub.n_many = 100};
    search(&w, "", 10, true, true);
    assert_int_equal(w.result, 0);
    assert_int_equal(w.r.n, 10);
    assert_int_equal(w.r.hits[6].source, SEARCH_HUB);
    assert_int_equal(w.r.hits[7].source, SEARCH_HF); /* it has three */
    search_results_release(&w.r);
    w = (struct world){.hub.n_many = 100};
    search(&w, "", 4, true, true);
    assert_int_equal(w.r.n, 4);
    assert_int_equal(w.r.hits[2].source, SEARCH_HF);
    search_results_release(&w.r);
}

static void test_search__failures(void **state)
{
    (void)state;
    struct world w = {.hub.status = 429};
    search(&w, "", 32, true, true);
    assert_int_equal(w.result, 0);
    assert_int_equal(w.r.n, 3);
    assert_int_equal(w.failed[SEARCH_HUB].code, ERR_BUSY);
    assert_non_null(strstr(w.failed[SEARCH_HUB].msg, "answered 429"));
    search_results_release(&w.r);
    w = (struct world){.hub.status = 500, .hf.status = 404};
    search(&w, "", 32, true, true);
    assert_true(w.result < 0);
    assert_non_null(strstr(w.err.msg, "all search sources failed: [failed to search Docker Hub: "));
    assert_non_null(strstr(w.err.msg, "failed to search HuggingFace: "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hub__page),
        cmocka_unit_test(test_answers__refused),
        cmocka_unit_test(test_hf__list),
        cmocka_unit_test(test_sources__names),
        cmocka_unit_test(test_search__both),
        cmocka_unit_test(test_search__term_is_encoded),
        cmocka_unit_test(test_search__limit_is_shared),
        cmocka_unit_test(test_search__failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
