/* SPDX-License-Identifier: Apache-2.0
 *
 * The batcher over the fake model: every text must be what the fake says for that prompt alone,
 * whatever else runs, is shared, evicted or canceled. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/utf8.h"
#include "engine/run/batcher.h"
#include "fake_model.h"
#include "test.h"

enum { TEXT_MAX = 1 << 20, CHOICES = 8 };
enum { SMALL_STATE = 1 << 20, LARGE_STATE = 1 << 28 };
enum { LONG_STEP_US = 60000000 }; /* nobody waits for its end */

/* ---- a world: fake, language model, batcher ---- */

/* All tests run three times: without states; with small ones; and with so large ones that only the
 * fewest snapshots fit their memory. What is found in the cache is less then, the texts are the
 * same. */
static uint64_t state_bytes;

struct world {
    struct model m;
    struct lm lm;
    struct batcher *b;
};

static void world_open(struct world *w, uint32_t ctx_size, uint32_t n_parallel,
                       uint32_t step_tokens)
{
    struct error err = ERROR_INIT;
    fake_open(&w->m, &w->lm);
    w->m.state_bytes = state_bytes;
    struct batcher_options o = {
        .ctx_size = ctx_size, .n_parallel = n_parallel, .step_tokens = step_tokens};
    assert_ok(batcher_create(&w->lm, &o, &w->b, &err));
}

static void world_close(struct world *w)
{
    batcher_free(w->b);
    fake_close(&w->lm);
}

static struct batcher_stats stats_of(struct world *w)
{
    struct batcher_stats s;
    batcher_inspect(w->b, NULL, &s);
    return s;
}

/* Until no slot is in use and nobody waits; fails after half a minute. */
static void wait_idle(struct world *w)
{
    int64_t end = clock_mono_ms() + 30000;
    for (;;) {
        struct batcher_stats s = stats_of(w);
        if (s.n_busy == 0 && s.n_waiting == 0)
            return;
        if (clock_mono_ms() > end)
            fail_msg("still busy: %u slots, %u waiting", s.n_busy, s.n_waiting);
        usleep(500);
    }
}

static void fill(int32_t *ids, size_t n, uint32_t seed)
{
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        ids[i] = FAKE_BYTE + (int32_t)(seed >> 24);
    }
}

/* What the fake answers to ids[0..n) in n_predict tokens. */
static void expect(const int32_t *ids, uint32_t n, uint32_t n_predict, char *out)
{
    int32_t *all = xcalloc(n + n_predict, sizeof(*all));
    memcpy(all, ids, n * sizeof(*ids));
    for (uint32_t i = 0; i < n_predict; i++) {
        all[n + i] = fake_next(all, n + i);
        out[i] = (char)(all[n + i] - FAKE_BYTE);
    }
    out[n_predict] = '\0';
    free(all);
}

struct result {
    struct buf text[CHOICES];
    enum finish_reason reason[CHOICES];
    struct generation_stats stats[CHOICES];
    uint32_t n_finished, n_texts;
    struct token_info tokens[64]; /* without their tops */
    size_t n_tokens;
    enum errc error;
    char message[256];
};

static void result_release(struct result *r)
{
    for (int i = 0; i < CHOICES; i++)
        buf_release(&r->text[i]);
    free(r);
}

static struct result *collect(struct generation *g)
{
    struct result *r = xcalloc(1, sizeof(*r));
    for (int i = 0; i < CHOICES; i++)
        r->text[i] = BUF_INIT(TEXT_MAX);
    struct generation_event *e;
    while (generation_next(g, &e) > 0) {
        if (e->kind == EVENT_TEXT) {
            buf_append(&r->text[e->choice], e->text);
            r->n_texts++;
            for (size_t i = 0; i < e->n_tokens && r->n_tokens < ARRAY_LEN(r->tokens); i++)
                r->tokens[r->n_tokens++] = e->tokens[i];
        } else if (e->kind == EVENT_FINISH) {
            r->reason[e->choice] = e->reason;
            r->stats[e->choice] = e->stats;
            r->n_finished++;
        } else {
            r->error = e->error->code;
            snprintf(r->message, sizeof(r->message), "%.200s", e->error->msg);
        }
        generation_event_free(e);
    }
    return r;
}

static struct generation_request greedy(const struct prompt *p, int64_t n_predict)
{
    struct generation_request req = GENERATION_REQUEST_INIT;
    req.prompts = p;
    req.n_predict = n_predict;
    req.sampling.temperature = 0;
    return req;
}

static struct result *run(struct world *w, const struct generation_request *req)
{
    struct error err = ERROR_INIT;
    struct generation *g;
    assert_ok(batcher_submit(w->b, req, &g, &err));
    struct result *r = collect(g);
    generation_free(g);
    return r;
}

/* ---- one sequence ---- */

static void test_batcher__computes_a_prompt_in_chunks(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, 600, 2, 48);
    int32_t ids[500];
    fill(ids, 500, 1);
    const uint32_t sizes[] = {1, 2, 31, 32, 33, 47, 48, 49, 64, 96, 97, 500};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct prompt p = {ids, sizes[i]};
        struct generation_request req = greedy(&p, 40);
        req.cache_prompt = false;
        char want[64];
        expect(ids, sizes[i], 40, want);
        struct result *r = run(&w, &req);
        assert_string_equal(buf_cstr(&r->text[0]), want);
        assert_int_equal(r->reason[0], FINISH_LENGTH);
        assert_int_equal(r->stats[0].n_prompt, sizes[i]);
        assert_int_equal(r->stats[0].n_cached, 0);
        assert_int_equal(r->stats[0].n_predicted, 40);
        assert_int_equal(r->n_texts, 40); /* each token by itself */
        result_release(r);
    }
    assert_true(atomic_load(&w.m.max_tokens) <= 48);
    world_close(&w);
}

/* Prompts with pictures: their rows reach the model, whole ones in one step whatever a step's room
 * is, and what is the same is found again. */
static void test_batcher__media(void **state)
{
    (void)state;
    enum { N = 200, ROWS = 70, STEP = 16 };
    struct world w;
    world_open(&w, 400, 3, STEP);
    for (int round = 0; round < 8; round++) {
        int32_t ids[2][N], real[2][N];
        float rows[2][ROWS];
        struct prompt_media media[2][2];
        struct prompt prompts[2];
        for (int p = 0; p < 2; p++) {
            fill(ids[p], N, 5 + (uint32_t)(round / 2));
            uint32_t first[2] = {(uint32_t)(p + round / 2 * 9), 120}, n[2] = {40, 30}, row = 0;
            memcpy(real[p], ids[p], sizeof(ids[p]));
            for (int k = 0; k < 2; k++) {
                media[p][k] = (struct prompt_media){first[k], n[k], rows[p] + row, k == round % 2};
                for (uint32_t i = 0; i < n[k]; i++, row++) {
                    ids[p][first[k] + i] = -1 - (int32_t)(1000 * p + 100 * k + (int)i);
                    real[p][first[k] + i] = FAKE_BYTE + (int32_t)(p * 70 + (int)row) % 251;
                    rows[p][row] = (float)real[p][first[k] + i];
                }
            }
            prompts[p] = (struct prompt){ids[p], N, media[p], 2};
        }
        struct generation_request req = GENERATION_REQUEST_INIT;
        req.prompts = prompts;
        req.n_prompts = 2;
        req.n_predict = 10;
        req.sampling.temperature = 0;
        struct generation *g;
        struct error err = ERROR_INIT;
        assert_ok(batcher_submit(w.b, &req, &g, &err));
        struct result *r = collect(g);
        for (int p = 0; p < 2; p++) {
            char want[16];
            expect(real[p], N, 10, want);
            assert_string_equal(buf_cstr(&r->text[p]), want);
            if (round % 2 && state_bytes == 0)
                assert_true(r->stats[p].n_cached > 150);
        }
        result_release(r);
        generation_free(g);
    }

    /* Ids and media that do not fit are refused. */
    int32_t ids[4] = {5, -1, -1, 6};
    float rows[2] = {7, 8};
    struct error err = ERROR_INIT;
    struct generation *g;
    const struct prompt_media bad[] = {{1, 4, rows, false}, {3, 1, rows, false}, {0, 2, rows, false}};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct prompt prompt = {ids, 4, &bad[i], 1};
        struct generation_request req = GENERATION_REQUEST_INIT;
        req.prompts = &prompt;
        assert_true(batcher_submit(w.b, &req, &g, &err) < 0);
    }
    world_close(&w);
}

static void test_batcher__reuses_what_it_computed(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, 512, 2, 64);
    int32_t ids[300];
    fill(ids, 300, 2);
    char want[64];
    const struct {
        uint32_t n, cached; /* whole pages, and the rest if it is worth a copy */
        uint32_t state;     /* where a state was kept: the last 8 tokens of a prompt are not sure */
    } rows[] = {{100, 0, 0},   {100, 96, 99},   {50, 49, 0},     {50, 49, 49},
                {300, 96, 99}, {300, 299, 299}, {210, 209, 128}, {3, 0, 0}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct prompt p = {ids, rows[i].n};
        struct generation_request req = greedy(&p, 20);
        expect(ids, rows[i].n, 20, want);
        unsigned before = atomic_load(&w.m.n_tokens);
        struct result *r = run(&w, &req);
        assert_string_equal(buf_cstr(&r->text[0]), want);
        if (state_bytes < LARGE_STATE)
            assert_int_equal(r->stats[0].n_cached, state_bytes ? rows[i].state : rows[i].cached);
        assert_int_equal(atomic_load(&w.m.n_tokens) - before,
                         rows[i].n - r->stats[0].n_cached + 19);
        result_release(r);
    }
    /* The answer itself is reused too: the next turn of the chat. */
    int32_t turn[140];
    memcpy(turn, ids, 100 * sizeof(*ids));
    expect(ids, 100, 20, want);
    for (int i = 0; i < 20; i++)
        turn[100 + i] = FAKE_BYTE + want[i];
    fill(turn + 120, 20, 3);
    struct prompt p = {turn, 140};
    struct generation_request req = greedy(&p, 20);
    struct result *r = run(&w, &req);
    expect(turn, 140, 20, want);
    assert_string_equal(buf_cstr(&r->text[0]), want);
    if (state_bytes < LARGE_STATE)
        assert_int_equal(r->stats[0].n_cached, 119); /* the last token was never fed */
    result_release(r);
    world_close(&w);
}

static void test_batcher__ends_at_the_context_size(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, 100, 1, 64);
    int32_t ids[101];
    fill(ids, 101, 4);
    for (uint32_t n = 60; n <= 100; n += 20) {
        struct prompt p = {ids, n};
        struct generation_request req = greedy(&p, -1);
        struct result *r = run(&w, &req);
        assert_int_equal(r->stats[0].n_predicted, 100 - n + 1); /* the last one needs no room */
        assert_int_equal(r->reason[0], FINISH_LENGTH);
        result_release(r);
    }
    struct error err = ERROR_INIT;
    struct generation *g = NULL;
    struct prompt p = {ids, 101};
    struct generation_request req = greedy(&p, -1);
    assert_fails(batcher_submit(w.b, &req, &g, &err), ERR_INVALID,
                 "request (101 tokens) exceeds the available context size (100 tokens)");
    p.n = 0;
    assert_fails(batcher_submit(w.b, &req, &g, &err), ERR_INVALID, "empty");
    p.n = 5;
    ids[3] = FAKE_VOCAB;
    assert_fails(batcher_submit(w.b, &req, &g, &err), ERR_INVALID, "token 259");
    ids[3] = -1;
    assert_fails(batcher_submit(w.b, &req, &g, &err), ERR_INVALID, "token -1");
    ids[3] = 5;
    req.n_choices = 65;
    assert_fails(batcher_submit(w.b, &req, &g, &err), ERR_INVALID, "65 choices");
    world_close(&w);
}

static void test_batcher__no_tokens_wanted(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, 100, 1, 64);
    int32_t ids[10];
    fill(ids, 10, 4);
    struct prompt p = {ids, 10};
    struct generation_request req = greedy(&p, 0);
    struct result *r = run(&w, &req);
    assert_int_equal(r->n_finished, 1);
    assert_int_equal(r->reason[0], FINISH_LENGTH);
    assert_int_equal(r->text[0].len, 0);
    result_release(r);
    world_close(&w);
}

/* ---- text: ends, stop strings, characters ---- */

static void test_batcher__text(void **state)
{
    (void)state;
    static const struct {
        const char *script, *stop, *want;
        int n_predict;
        enum finish_reason reason;
        uint32_t n_predicted;
    } rows[] = {
        {"hello\x01", NULL, "hello", -1, FINISH_STOP, 6},
        {"\x01", NULL, "", -1, FINISH_STOP, 1},
        {"abcdef", "cd", "ab", 50, FINISH_STOP, 4},
        {"abcdef", "fab", "abcde", 50, FINISH_STOP, 8},
        {"abcdef", "cdx", "abcdef", 6, FINISH_LENGTH, 6},
        {"abcd", "cdx", "abcd", 4, FINISH_LENGTH, 4}, /* held back, then given */
        {"na\xc3\xafve ", NULL, "na\xc3\xafve ", 7, FINISH_LENGTH, 7},
        {"\xe2\x82\xac", NULL, "\xe2\x82\xac\xef\xbf\xbd", 4, FINISH_LENGTH, 4}, /* cut inside € */
        {"\xf0\x9f\x98\x80!", "\xf0\x9f\x98\x80", "", 50, FINISH_STOP, 4},
        {"a\xff"
         "b",
         NULL,
         "a\xef\xbf\xbd"
         "b",
         3, FINISH_LENGTH, 3},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        world_open(&w, 128, 1, 64);
        w.m.script = rows[i].script;
        w.m.script_at = 3;
        int32_t ids[3] = {1, 10, 11};
        struct prompt p = {ids, 3};
        struct generation_request req = greedy(&p, rows[i].n_predict);
        struct str stop = str_from(rows[i].stop);
        req.stops = &stop;
        req.n_stops = rows[i].stop != NULL;
        struct error err = ERROR_INIT;
        struct generation *g;
        assert_ok(batcher_submit(w.b, &req, &g, &err));
        CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
        struct generation_event *e;
        while (generation_next(g, &e) > 0) {
            if (e->kind == EVENT_TEXT) {
                assert_true(
                    utf8_valid(e->text.ptr, e->text.len)); /* no piece ends in a character */
                buf_append(&text, e->text);
            } else {
                assert_int_equal(e->kind, EVENT_FINISH);
                assert_int_equal(e->reason, rows[i].reason);
                assert_int_equal(e->stats.n_predicted, rows[i].n_predicted);
            }
            generation_event_free(e);
        }
        if (strcmp(buf_cstr(&text), rows[i].want) != 0)
            fail_msg("row %zu: '%s'", i, buf_cstr(&text));
        generation_free(g);
        world_close(&w);
    }
}

static void test_batcher__ignore_eos(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, 128, 1, 64);
    w.m.script = "ab\x01";
    w.m.script_at = 1;
    int32_t id = 1;
    struct prompt p = {&id, 1};
    struct generation_request req = greedy(&p, 9);
    req.sampling.ignore_eos = true;
    struct result *r = run(&w, &req);
    assert_int_equal(r->reason[0], FINISH_LENGTH);
    assert_int_equal(r->stats[0].n_predicted, 9);
    result_release(r);
    world_close(&w);
}

static void test_batcher__logprobs_travel_with_the_text(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, 128, 1, 64);
    w.m.script = "abc\xc3\xa9"
                 "defgh";
    w.m.script_at = 1;
    int32_t id = 1;
    struct prompt p = {&id, 1};
    struct generation_request req = greedy(&p, 20);
    struct str stop = STR("ef");
    req.stops = &stop;
    req.n_stops = 1;
    req.logprobs = true;
    req.n_top_logprobs = 2;
    struct result *r = run(&w, &req);
    assert_string_equal(buf_cstr(&r->text[0]), "abc\xc3\xa9"
                                               "d");
    const unsigned char want[] = {'a', 'b', 'c', 0xc3, 0xa9, 'd'}; /* e and f are behind the cut */
    assert_int_equal(r->n_tokens, sizeof(want));
    for (size_t i = 0; i < sizeof(want); i++) {
        assert_int_equal(r->tokens[i].id, FAKE_BYTE + want[i]);
        assert_true(r->tokens[i].logprob < 0 && r->tokens[i].logprob > -0.2F);
        assert_int_equal(r->tokens[i].n_top, 2);
    }
    result_release(r);
    world_close(&w);
}

/* ---- errors of the model ---- */

static void test_batcher__survives_bad_logits_and_failing_steps(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, 128, 2, 64);
    int32_t ids[10];
    fill(ids, 10, 9);
    struct prompt p = {ids, 10};
    struct generation_request req = greedy(&p, 20);
    req.cache_prompt = false;
    w.m.nan_from = 12;
    struct result *r = run(&w, &req);
    assert_int_equal(r->error, ERR_CORRUPT);
    assert_non_null(strstr(r->message, "nan"));
    assert_int_equal(r->text[0].len, 3);
    result_release(r);
    w.m.nan_from = 0;

    atomic_store(&w.m.fail, true);
    r = run(&w, &req);
    assert_int_equal(r->error, ERR_NOMEM);
    result_release(r);
    atomic_store(&w.m.fail, false);

    char want[32];
    expect(ids, 10, 20, want);
    r = run(&w, &req);
    assert_string_equal(buf_cstr(&r->text[0]), want);
    result_release(r);
    wait_idle(&w);
    assert_int_equal(stats_of(&w).n_pages_free, stats_of(&w).n_pages);
    world_close(&w);
}

/* ---- several sequences ---- */

static void test_batcher__choices_share_their_prompt(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, 512, 3, 64);
    int32_t a[200], b[70];
    fill(a, 200, 5);
    fill(b, 70, 6);
    const struct prompt prompts[] = {{a, 200}, {b, 70}};
    struct generation_request req = greedy(prompts, 10);
    req.n_prompts = 2;
    req.n_choices = 4;
    struct result *r = run(&w, &req);
    assert_int_equal(r->n_finished, 8);
    char want[32];
    for (uint32_t i = 0; i < 8; i++) {
        expect(prompts[i / 4].ids, (uint32_t)prompts[i / 4].n, 10, want);
        assert_string_equal(buf_cstr(&r->text[i]), want);
        if (i % 4 > 0 && state_bytes < LARGE_STATE) /* at least the whole pages */
            assert_true(r->stats[i].n_cached >= (i < 4 ? 192u : 64u));
    }
    assert_int_equal(atomic_load(&w.m.max_seqs), 3);
    result_release(r);

    /* Other seeds, other texts. */
    req = greedy(prompts, 30);
    req.n_choices = 3;
    req.sampling.temperature = 10;
    req.sampling.top_k = 0;
    req.sampling.min_p = 0;
    req.sampling.top_p = 1;
    req.sampling.seed = 7;
    r = run(&w, &req);
    struct result *again = run(&w, &req);
    for (int i = 0; i < 3; i++)
        assert_string_equal(buf_cstr(&r->text[i]), buf_cstr(&again->text[i]));
    assert_string_not_equal(buf_cstr(&r->text[0]), buf_cstr(&r->text[1]));
    assert_string_not_equal(buf_cstr(&r->text[1]), buf_cstr(&r->text[2]));
    result_release(r);
    result_release(again);
    world_close(&w);
}

/* Clients of all kinds at once, some of which leave; prompts of a few families share beginnings,
 * the pool is small enough that pages are evicted all the time. */
struct client {
    struct world *w;
    uint32_t seed;
    int n_wrong;
};

static void *client_main(void *arg)
{
    struct client *c = arg;
    uint32_t x = c->seed;
    for (int round = 0; round < 25; round++) {
        x = x * 1664525u + 1013904223u;
        uint32_t family = (x >> 20) % 3, branch = (x >> 16) % 4, n = 20 + (x >> 8) % 150;
        bool leave = (x >> 5) % 4 == 0;
        int32_t ids[170];
        fill(ids, n, family);
        for (uint32_t i = 90 + branch; i < n; i++)
            ids[i] = FAKE_BYTE + (int32_t)((ids[i] + (int32_t)branch * 7) % 256);
        uint32_t n_predict = 1 + (x >> 10) % 25;
        char want[32];
        expect(ids, n, n_predict, want);

        struct prompt p = {ids, n};
        struct generation_request req = greedy(&p, n_predict);
        req.cache_prompt = (x >> 4) % 8 != 0;
        struct generation *g;
        if (batcher_submit(c->w->b, &req, &g, NULL) < 0) {
            c->n_wrong++;
            continue;
        }
        if (leave) {
            struct generation_event *e;
            for (uint32_t i = 0; i < (x >> 3) % 5 && generation_next(g, &e) > 0; i++)
                generation_event_free(e);
        } else {
            struct result *r = collect(g);
            c->n_wrong += r->error != 0 || strcmp(buf_cstr(&r->text[0]), want) != 0;
            result_release(r);
        }
        generation_free(g);
    }
    return NULL;
}

static void test_batcher__many_clients(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, 200, 4, 64);
    atomic_store(&w.m.step_us, 100);
    pthread_t threads[8];
    struct client clients[8];
    for (uint32_t i = 0; i < 8; i++) {
        clients[i] = (struct client){.w = &w, .seed = 77 + i};
        assert_int_equal(pthread_create(&threads[i], NULL, client_main, &clients[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(clients[i].n_wrong, 0);
    }
    wait_idle(&w);
    struct batcher_stats s = stats_of(&w);
    assert_int_equal(s.n_requests, 200);
    assert_true(s.cached_tokens > 0 && s.n_canceled > 0);
    assert_int_equal(atomic_load(&w.m.max_seqs), 4);
    world_close(&w);
}

/* ---- leaving ---- */

/* Cancels after n_events, in the middle of a step that takes a minute by itself. */
static void cancel_at(struct world *w, uint32_t n_prompt, int n_events)
{
    int32_t *ids = xcalloc(n_prompt, sizeof(*ids));
    fill(ids, n_prompt, 11);
    struct prompt p = {ids, n_prompt};
    struct generation_request req = greedy(&p, -1);
    req.cache_prompt = false;
    struct error err = ERROR_INIT;
    struct generation *g;
    atomic_store(&w->m.step_us, n_events > 0 ? 1000 : LONG_STEP_US);
    atomic_store(&w->m.now_us, 0);
    assert_ok(batcher_submit(w->b, &req, &g, &err));
    struct generation_event *e;
    for (int i = 0; i < n_events; i++) {
        assert_int_equal(generation_next(g, &e), 1);
        generation_event_free(e);
    }
    atomic_store(&w->m.step_us, LONG_STEP_US);
    while (atomic_load(&w->m.now_us) != LONG_STEP_US)
        usleep(200);
    unsigned steps = atomic_load(&w->m.n_steps);
    int64_t start = clock_mono_ms();
    generation_cancel(g);
    generation_cancel(g);
    assert_int_equal(generation_next(g, &e), -ERR_CANCELED);
    wait_idle(w);
    assert_true(atomic_load(&w->m.n_steps) <= steps + 1);
    assert_true(clock_mono_ms() - start < LONG_STEP_US / 2000);
    generation_free(g);
    free(ids);
}

static void test_batcher__cancel_ends_the_step_under_way(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, 1000, 2, 64);
    cancel_at(&w, 900, 0); /* in the middle of a long prompt */
    assert_int_equal(atomic_load(&w.m.n_canceled), 1);
    cancel_at(&w, 5, 2); /* between tokens */
    assert_int_equal(atomic_load(&w.m.n_canceled), 2);
    assert_int_equal(stats_of(&w).n_canceled, 2);
    assert_int_equal(stats_of(&w).n_pages_free, stats_of(&w).n_pages);
    world_close(&w);
}

static void test_batcher__one_leaves_the_other_stays(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, 400, 2, 64);
    atomic_store(&w.m.step_us, 20000); /* until both are at it */
    int32_t a[40], b[300];
    fill(a, 40, 12);
    fill(b, 300, 13);
    struct error err = ERROR_INIT;
    struct generation *stays, *leaves;
    struct prompt p = {a, 40}, q = {b, 300};
    struct generation_request req = greedy(&p, 60), gone = greedy(&q, 60);
    assert_ok(batcher_submit(w.b, &req, &stays, &err));
    assert_ok(batcher_submit(w.b, &gone, &leaves, &err));
    int64_t end = clock_mono_ms() + 30000;
    while (stats_of(&w).n_busy < 2 && clock_mono_ms() < end)
        usleep(200);
    atomic_store(&w.m.step_us, 2000);
    generation_free(leaves);
    struct result *r = collect(stays);
    char want[64];
    expect(a, 40, 60, want);
    assert_string_equal(buf_cstr(&r->text[0]), want);
    generation_free(stays);
    result_release(r);
    world_close(&w);
}

/* A long prompt does not hold up the tokens of a stream for its whole length. */
static void test_batcher__long_prompts_do_not_stall_streams(void **state)
{
    (void)state;
    struct world w;
    world_open(&w, 4000, 2, 64);
    atomic_store(&w.m.step_us, 1000);
    int32_t a[4], *b = xcalloc(3900, sizeof(*b));
    fill(a, 4, 1);
    fill(b, 3900, 2);
    struct error err = ERROR_INIT;
    struct generation *stream, *late;
    struct prompt p = {a, 4}, q = {b, 3900};
    struct generation_request req = greedy(&p, -1), other = greedy(&q, 1);
    struct generation_event *e;
    assert_ok(batcher_submit(w.b, &req, &stream, &err));
    assert_int_equal(generation_next(stream, &e), 1);
    generation_event_free(e);
    assert_ok(batcher_submit(w.b, &other, &late, &err));
    struct result *r = collect(late);
    generation_free(late);
    result_release(r);
    /* 3900 tokens in steps of 64 at most: the stream went on in each of them. */
    uint32_t before = 0;
    struct slot_info slots[2];
    struct batcher_stats s;
    batcher_inspect(w.b, slots, &s);
    before = slots[0].busy ? slots[0].n_predicted : slots[1].n_predicted;
    assert_true(before >= 3900 / 64);
    generation_free(stream);
    free(b);
    world_close(&w);
}

static void test_batcher__queue_is_bounded(void **state)
{
    (void)state;
    struct world w;
    fake_open(&w.m, &w.lm);
    struct error err = ERROR_INIT;
    struct batcher_options o = {.ctx_size = 64, .n_parallel = 1, .queue_max = 2};
    assert_ok(batcher_create(&w.lm, &o, &w.b, &err));
    atomic_store(&w.m.step_us, LONG_STEP_US);
    int32_t id = 1;
    struct prompt p = {&id, 1};
    struct generation_request req = greedy(&p, 50);
    struct generation *g[8] = {0};
    int n = 0;
    while (n < 8 && batcher_submit(w.b, &req, &g[n], &err) == 0)
        n++;
    assert_true(n >= 2 && n <= 3); /* one may have got the slot already */
    assert_int_equal(err.code, ERR_BUSY);
    for (int i = 0; i < n; i++)
        generation_free(g[i]);
    wait_idle(&w);
    assert_ok(batcher_submit(w.b, &req, &g[0], &err));
    generation_free(g[0]); /* closing does not wait for its step */
    int64_t start = clock_mono_ms();
    world_close(&w);
    assert_true(clock_mono_ms() - start < LONG_STEP_US / 2000);
}

/* Work that is no generation: on the batcher's thread, one at a time, while others generate. */
struct called {
    pthread_t by;
    int n, inside; /* no lock: only one thread may ever touch them */
};

static int call(void *ctx, struct error *err)
{
    struct called *c = ctx;
    assert_int_equal(c->inside++, 0);
    c->by = pthread_self();
    c->inside--;
    return ++c->n % 2 ? c->n : error_set(err, ERR_INVALID, "every second one fails");
}

static void *caller(void *arg)
{
    void **args = arg;
    struct error err = ERROR_INIT;
    for (int i = 0; i < 50; i++)
        batcher_call(args[0], call, args[1], &err);
    return NULL;
}

static void test_batcher__calls(void **state)
{
    (void)state;
    enum { CALLERS = 4 };
    struct error err = ERROR_INIT;
    struct world w;
    world_open(&w, 64, 2, 0);
    struct called c = {0};
    assert_int_equal(batcher_call(w.b, call, &c, &err), 1);
    assert_false(pthread_equal(c.by, pthread_self()));
    assert_fails(batcher_call(w.b, call, &c, &err), ERR_INVALID, "every second one fails");

    int32_t id = 1;
    struct prompt p = {&id, 1};
    struct generation_request req = greedy(&p, 40);
    struct generation *g;
    assert_ok(batcher_submit(w.b, &req, &g, &err));
    pthread_t threads[CALLERS];
    void *args[] = {w.b, &c};
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, caller, args), 0);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(c.n, 2 + CALLERS * 50);
    struct generation_event *e;
    while (generation_next(g, &e) > 0)
        generation_event_free(e);
    generation_free(g);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batcher__computes_a_prompt_in_chunks),
        cmocka_unit_test(test_batcher__media),
        cmocka_unit_test(test_batcher__calls),
        cmocka_unit_test(test_batcher__reuses_what_it_computed),
        cmocka_unit_test(test_batcher__ends_at_the_context_size),
        cmocka_unit_test(test_batcher__no_tokens_wanted),
        cmocka_unit_test(test_batcher__text),
        cmocka_unit_test(test_batcher__ignore_eos),
        cmocka_unit_test(test_batcher__logprobs_travel_with_the_text),
        cmocka_unit_test(test_batcher__survives_bad_logits_and_failing_steps),
        cmocka_unit_test(test_batcher__choices_share_their_prompt),
        cmocka_unit_test(test_batcher__many_clients),
        cmocka_unit_test(test_batcher__cancel_ends_the_step_under_way),
        cmocka_unit_test(test_batcher__one_leaves_the_other_stays),
        cmocka_unit_test(test_batcher__long_prompts_do_not_stall_streams),
        cmocka_unit_test(test_batcher__queue_is_bounded),
    };
    int failed = cmocka_run_group_tests_name("no states", tests, NULL, NULL);
    state_bytes = SMALL_STATE;
    failed += cmocka_run_group_tests_name("states", tests, NULL, NULL);
    state_bytes = LARGE_STATE;
    failed += cmocka_run_group_tests_name("large states", tests, NULL, NULL);
    return failed;
}
