/* SPDX-License-Identifier: Apache-2.0
 *
 * Search, see search.h. The backend of a hit is read from what the lists say (media types, tags):
 * asking for each manifest would cost a request a hit and the user's pull limit. */
#include "cli/search.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "http/client.h"

enum {
    MAX_PAGES = 50,
    HUB_PAGE = 100,
    HF_PAGE = 1000,
    MAX_ANSWER = 32 << 20,
    TIMEOUT_MS = 60 * 1000,
    STALL_MS = 20 * 1000,
};

const char *search_source_name(enum search_source s)
{
    return s == SEARCH_HUB ? "Docker Hub" : "HuggingFace";
}

int search_sources_parse(const char *text, bool ret[SEARCH_SOURCES], struct error *err)
{
    static const struct {
        const char *name;
        bool hub, hf;
    } names[] = {{"", true, true},        {"all", true, true},  {"dockerhub", true, false},
                 {"docker", true, false}, {"hub", true, false}, {"huggingface", false, true},
                 {"hf", false, true}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eq_nocase(str_from(text), str_from(names[i].name))) {
            ret[SEARCH_HUB] = names[i].hub;
            ret[SEARCH_HF] = names[i].hf;
            return 0;
        }
    }
    return error_set(err, ERR_INVALID,
                     "unknown source \"%s\": valid options are all, dockerhub, huggingface", text);
}

void search_results_release(struct search_results *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->hits[i].name);
        free(r->hits[i].description);
        free(r->hits[i].updated);
        free(r->hits[i].backend);
    }
    free(r->hits);
    *r = (struct search_results){0};
}

static struct search_hit *add_hit(struct search_results *r, enum search_source source)
{
    r->hits = xrealloc(r->hits, r->n + 1, sizeof(*r->hits));
    struct search_hit *h = &r->hits[r->n++];
    *h = (struct search_hit){.source = source};
    return h;
}

static char *copy(struct str s)
{
    return xasprintf("%.*s", STR_ARG(s));
}

static bool contains_nocase(struct str s, struct str part)
{
    for (size_t i = 0; i + part.len <= s.len; i++) {
        if (str_eq_nocase(str_sub(s, i, part.len), part))
            return true;
    }
    return false;
}

static int64_t at_least_zero(int64_t v)
{
    return v > 0 ? v : 0;
}

/* ---- what runs it ---- */

struct backends {
    bool llama, vllm, diffusers;
};

static char *backends_text(const struct backends *b)
{
    CLEANUP_BUF struct buf out = BUF_INIT(64);
    const struct {
        bool has;
        const char *name;
    } all[] = {{b->llama, "llama.cpp"}, {b->vllm, "vllm"}, {b->diffusers, "diffusers"}};
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        if (all[i].has)
            buf_printf(&out, "%s%s", out.len > 0 ? ", " : "", all[i].name);
    }
    return xstrdup(out.len > 0 ? buf_cstr(&out) : "unknown");
}

/* Docker publishes safetensors models under names ending in "-vllm", with config v0.2. */
static char *hub_backend(struct str name, const struct json *media_types)
{
    struct backends b = {.vllm = str_ends_with(name, STR("-vllm"))};
    for (size_t i = 0; i < js_len(media_types); i++) {
        struct str type = js_to_str(js_at(media_types, i));
        b.vllm |= contains_nocase(type, STR("model.config.v0.2")) ||
                  contains_nocase(type, STR("ai.safetensors"));
        b.llama |= contains_nocase(type, STR("ai.gguf"));
        b.diffusers |= contains_nocase(type, STR("ai.dduf"));
    }
    if (!b.llama && !b.vllm && !b.diffusers) {
        for (size_t i = 0; i < js_len(media_types); i++)
            b.llama |= contains_nocase(js_to_str(js_at(media_types, i)), STR("model.config.v0.1"));
    }
    return backends_text(&b);
}

static char *hf_backend(const struct json *model)
{
    const struct json *tags = js_get(model, "tags");
    struct backends b = {0};
    for (size_t i = 0; i < js_len(tags); i++) {
        struct str tag = js_to_str(js_at(tags, i));
        b.llama |= str_eq_c(tag, "gguf");
        b.vllm |= str_eq_c(tag, "safetensors");
        b.diffusers |= str_eq_c(tag, "diffusers") || str_eq_c(tag, "dduf");
    }
    b.diffusers |= str_eq_c(js_get_str(model, "library_name"), "diffusers");
    if (b.diffusers)
        b.vllm = false; /* its safetensors are not a language model's */
    return backends_text(&b);
}

/* ---- Docker Hub ---- */

int search_read_hub(struct str json, const char *term, size_t limit, struct search_results *r,
                    char **ret_next, struct error *err)
{
    CLEANUP_JSON struct json *page = NULL;
    int res = js_parse(json, "the answer", &page, err);
    if (res < 0)
        return res;
    const struct json *list = js_get(page, "results");
    if (!js_is(list, JS_ARRAY))
        return error_set(err, ERR_UNAVAILABLE, "the answer has no list of results");
    for (size_t i = 0; i < js_len(list) && r->n < limit; i++) {
        const struct json *v = js_at(list, i);
        struct str name = js_get_str(v, "name"), space = js_get_str(v, "namespace");
        struct str description = js_get_str(v, "description");
        if (name.len == 0 || (term && *term && !contains_nocase(name, str_from(term)) &&
                              !contains_nocase(description, str_from(term))))
            continue;
        struct search_hit *h = add_hit(r, SEARCH_HUB);
        h->name = xasprintf("%.*s/%.*s", STR_ARG(space.len > 0 ? space : STR("ai")), STR_ARG(name));
        h->description = copy(description);
        h->updated = copy(js_get_str(v, "last_updated"));
        h->backend = hub_backend(name, js_get(v, "media_types"));
        h->downloads = at_least_zero(js_get_int(v, "pull_count", 0));
        h->stars = at_least_zero(js_get_int(v, "star_count", 0));
        h->size = at_least_zero(js_get_int(v, "storage_size", 0));
    }
    const char *next = js_get_cstr(page, "next", NULL);
    const char *path = next ? strstr(next, "/v2/repositories/") : NULL;
    *ret_next = path && r->n < limit ? xstrdup(path) : NULL;
    return 0;
}

/* ---- Hugging Face ---- */

/* "text-generation, llama, qwen2": the task and the families its tags name. */
static char *hf_description(const struct json *model)
{
    static const char *const families[] = {
        "llama",  "qwen",    "mistral", "mixtral", "gemma", "phi",     "deepseek",        "gpt",
        "falcon", "granite", "smollm",  "bert",    "glm",   "command", "stable-diffusion"};
    enum { MOST = 3 };
    CLEANUP_BUF struct buf out = BUF_INIT(1024);
    buf_append(&out, js_get_str(model, "pipeline_tag"));
    const struct json *tags = js_get(model, "tags");
    unsigned n = 0;
    for (size_t i = 0; i < js_len(tags) && n < MOST; i++) {
        struct str tag = js_to_str(js_at(tags, i));
        if (str_find_char(tag, ':') >= 0) /* "base_model:…", "license:…" */
            continue;
        for (size_t k = 0; k < ARRAY_LEN(families); k++) {
            if (str_starts_with(tag, str_from(families[k]))) {
                buf_printf(&out, "%s%.*s", out.len > 0 ? ", " : "", STR_ARG(tag));
                n++;
                break;
            }
        }
    }
    return xstrdup(out.len > 0 ? buf_cstr(&out) : "AI model");
}

int search_read_hf(struct str json, size_t limit, struct search_results *r, struct error *err)
{
    CLEANUP_JSON struct json *list = NULL;
    int res = js_parse(json, "the answer", &list, err);
    if (res < 0)
        return res;
    if (!js_is(list, JS_ARRAY))
        return error_set(err, ERR_UNAVAILABLE, "the answer is no list of models");
    for (size_t i = 0; i < js_len(list) && r->n < limit; i++) {
        const struct json *v = js_at(list, i);
        struct str id = js_get_str(v, js_get(v, "id") ? "id" : "modelId");
        if (id.len == 0)
            continue;
        struct search_hit *h = add_hit(r, SEARCH_HF);
        h->name = xasprintf("hf.co/%.*s", STR_ARG(id));
        h->description = hf_description(v);
        h->updated = copy(js_get_str(v, js_get(v, "lastModified") ? "lastModified" : "createdAt"));
        h->backend = hf_backend(v);
        h->downloads = at_least_zero(js_get_int(v, "downloads", 0));
        h->stars = at_least_zero(js_get_int(v, "likes", 0));
        h->size = at_least_zero(js_get_int(v, "usedStorage", 0));
    }
    return 0;
}

/* ---- asking ---- */

struct query {
    enum search_source source;
    const char *term;
    size_t limit;
    struct search_results results;
    struct error err;
    int r;
};

static const char *base_url(enum search_source s)
{
    const char *set = getenv(s == SEARCH_HUB ? "DOCKER_HUB_URL" : "HF_ENDPOINT");
    if (set && *set)
        return set;
    return s == SEARCH_HUB ? "https://hub.docker.com" : "https://huggingface.co";
}

/* The header with the user's token, NULL if there is none that could be one. */
static char *hf_authorization(void)
{
    const char *token = getenv("HF_TOKEN");
    if (!token || !*token)
        return NULL;
    for (const char *p = token; *p; p++) {
        if (*p <= ' ' || *p > '~')
            return NULL;
    }
    return xasprintf("Authorization: Bearer %s", token);
}

static int get(enum search_source s, const char *path, struct buf *ret, struct error *err)
{
    struct str base = str_from(base_url(s));
    while (str_ends_with(base, STR("/")))
        base.len--;
    CLEANUP_FREE char *url = xasprintf("%.*s%s", STR_ARG(base), path);
    CLEANUP_FREE char *authorization = s == SEARCH_HF ? hf_authorization() : NULL;
    const char *const headers[] = {"Accept: application/json", authorization, NULL};
    struct http_call call = HTTP_CALL_INIT;
    call.url = url;
    call.headers = headers;
    call.max_body = MAX_ANSWER;
    call.timeout_ms = TIMEOUT_MS;
    call.stall_timeout_ms = STALL_MS;
    call.follow_redirects = true;
    struct http_result res = {0};
    int r = http_perform(&call, &res, err);
    if (r == 0 && res.status != 200)
        r = error_set(err,
                      errc_from_http_status(res.status) ? errc_from_http_status(res.status)
                                                        : ERR_UNAVAILABLE,
                      "%.*s answered %d%s", STR_ARG(base), res.status,
                      res.status == 429 ? ", too many requests; try again later" : "");
    if (r == 0) {
        *ret = res.body;
        res.body = (struct buf){0};
    }
    http_result_release(&res);
    return r;
}

static int ask_hub(struct query *q)
{
    size_t page_size = q->term && *q->term ? HUB_PAGE : MIN(q->limit, (size_t)HUB_PAGE);
    CLEANUP_FREE char *path =
        xasprintf("/v2/repositories/ai/?ordering=pull_count&page_size=%zu", page_size);
    int r = 0;
    for (unsigned page = 0; r == 0 && path && page < MAX_PAGES; page++) {
        struct buf body = {0};
        char *next = NULL;
        r = get(SEARCH_HUB, path, &body, &q->err);
        if (r == 0)
            r = search_read_hub(buf_str(&body), q->term, q->limit, &q->results, &next, &q->err);
        buf_release(&body);
        free(path);
        path = next;
    }
    return r;
}

static int ask_hf(struct query *q)
{
    CLEANUP_FREE char *term = url_encode(str_from(q->term ? q->term : ""), "");
    CLEANUP_FREE char *path =
        xasprintf("/api/models?apps=vllm,llama.cpp&direction=-1&limit=%zu%s%s&sort=downloads",
                  MIN(q->limit, (size_t)HF_PAGE), *term ? "&search=" : "", term);
    struct buf body = {0};
    int r = get(SEARCH_HF, path, &body, &q->err);
    if (r == 0)
        r = search_read_hf(buf_str(&body), q->limit, &q->results, &q->err);
    buf_release(&body);
    return r;
}

static void *ask(void *arg)
{
    struct query *q = arg;
    q->r = q->source == SEARCH_HUB ? ask_hub(q) : ask_hf(q);
    return NULL;
}

static int by_downloads(const void *pa, const void *pb)
{
    const struct search_hit *a = pa, *b = pb;
    if (a->downloads != b->downloads)
        return a->downloads > b->downloads ? -1 : 1;
    return strcmp(a->name, b->name);
}

/* Moves the first n hits of q into the results. */
static void take_hits(struct query *q, size_t n, struct search_results *r)
{
    r->hits = xrealloc(r->hits, r->n + n + 1, sizeof(*r->hits));
    for (size_t i = 0; i < n; i++) {
        r->hits[r->n++] = q->results.hits[i];
        q->results.hits[i] = (struct search_hit){0};
    }
}

int search_run(const char *term, size_t limit, const bool sources[SEARCH_SOURCES],
               struct search_results *ret, struct error failed[SEARCH_SOURCES], struct error *err)
{
    struct query q[SEARCH_SOURCES] = {0};
    pthread_t threads[SEARCH_SOURCES];
    bool started[SEARCH_SOURCES] = {0};
    CLEANUP_BUF struct buf reasons = BUF_INIT(4096);
    size_t n_asked = 0, n_failed = 0;
    for (int s = 0; s < SEARCH_SOURCES; s++) {
        q[s] = (struct query){.source = (enum search_source)s, .term = term, .limit = limit};
        if (!sources[s])
            continue;
        started[s] = pthread_create(&threads[s], NULL, ask, &q[s]) == 0;
        if (!started[s])
            ask(&q[s]);
    }
    for (int s = 0; s < SEARCH_SOURCES; s++) {
        if (started[s])
            pthread_join(threads[s], NULL);
        error_copy(&failed[s], &q[s].err);
        n_asked += sources[s];
        if (q[s].r < 0) {
            buf_printf(&reasons, "%sfailed to search %s: %s", n_failed++ > 0 ? " " : "",
                       search_source_name((enum search_source)s), q[s].err.msg);
            search_results_release(&q[s].results);
        } else if (q[s].results.n > 0) {
            qsort(q[s].results.hits, q[s].results.n, sizeof(struct search_hit), by_downloads);
        }
    }
    if (n_failed == n_asked)
        return error_set(err, ERR_IO, "all search sources failed: [%s]", buf_cstr(&reasons));
    struct search_results r = {0};
    size_t n_hf = q[SEARCH_HF].results.n;
    size_t hub_share = MAX(limit - limit / 2, limit - MIN(limit, n_hf));
    size_t n_hub = MIN(q[SEARCH_HUB].results.n, hub_share);
    take_hits(&q[SEARCH_HUB], n_hub, &r);
    take_hits(&q[SEARCH_HF], MIN(n_hf, limit - n_hub), &r);
    for (int s = 0; s < SEARCH_SOURCES; s++)
        search_results_release(&q[s].results);
    *ret = r;
    return 0;
}
