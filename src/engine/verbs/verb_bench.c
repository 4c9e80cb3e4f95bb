/* SPDX-License-Identifier: Apache-2.0
 *
 * model-engine bench: prefill and decode rates of one sequence, straight on the model. */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "engine/backend/backend.h"
#include "engine/run/lm.h"
#include "engine/verbs/verbs.h"

enum { CHUNK_TOKENS = 512, TOKENS_MAX = 1 << 20, REPETITIONS_MAX = 10000 };

struct bench_options {
    const char *model;
    int64_t n_prompt, n_gen, threads, repetitions;
    bool json;
};

const struct opt verb_bench_opts[] = {
    {"model", 'm', OPT_STRING, offsetof(struct bench_options, model), "FILE",
     "the model, a .gguf file or the first of its parts"},
    {"n-prompt", 'p', OPT_INT, offsetof(struct bench_options, n_prompt), "N",
     "tokens of the prompt; 0 leaves the test out (default 512)", .min = 0, .max = TOKENS_MAX},
    {"n-gen", 'n', OPT_INT, offsetof(struct bench_options, n_gen), "N",
     "tokens to generate; 0 leaves the test out (default 128)", .min = 0, .max = TOKENS_MAX},
    {"threads", 't', OPT_INT, offsetof(struct bench_options, threads), "N",
     "threads; 0, the default, takes the physical cores", .min = 0, .max = 1024},
    {"repetitions", 'r', OPT_INT, offsetof(struct bench_options, repetitions), "N",
     "runs of each test (default 5)", .min = 1, .max = REPETITIONS_MAX},
    {"json", 0, OPT_FLAG, offsetof(struct bench_options, json),
     .help = "print a JSON line per test"},
    OPT_END,
};

struct bench {
    struct lm *lm;
    struct kv *kv;
    int32_t *pages; /* enough for either test */
    int32_t *ids;   /* some text of CHUNK_TOKENS tokens */
    float *logits;
    uint32_t n_threads;
    bool json;
};

static int bench_init(struct bench *b, int64_t n_tokens, struct error *err)
{
    uint32_t n_pages = (uint32_t)((n_tokens + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS);
    int r = model_set_context(b->lm->model, (uint32_t)MAX(n_tokens, 1), err);
    if (r == 0)
        r = model_kv_create(b->lm->model, MAX(n_pages, 1u), 2, KV_F16, &b->kv, err);
    if (r < 0)
        return r;
    b->pages = alloc_array(n_pages + 1, sizeof(*b->pages));
    b->ids = alloc_array(CHUNK_TOKENS, sizeof(*b->ids));
    b->logits = alloc_aligned(b->lm->n_vocab, sizeof(*b->logits));
    if (!b->pages || !b->ids || !b->logits)
        return error_set(err, ERR_NOMEM, "out of memory for the benchmark");
    for (uint32_t i = 0; i < n_pages; i++)
        b->pages[i] = (int32_t)i;
    /* Any tokens do, as long as they differ. */
    for (uint32_t i = 0; i < CHUNK_TOKENS; i++)
        b->ids[i] = (int32_t)(((uint64_t)i * 7919 + 1) % b->lm->n_vocab);
    return 0;
}

static void bench_release(struct bench *b)
{
    if (b->kv)
        model_kv_free(b->lm->model, b->kv);
    free(b->pages);
    free(b->ids);
    free(b->logits);
    lm_close(b->lm);
}

/* n tokens in steps of at most `step`; *ret_rate: tokens a second. */
static int run_once(struct bench *b, int64_t n, int32_t step, double *ret_rate, struct error *err)
{
    int64_t start = clock_mono_ns();
    int32_t state = 0; /* of two slots, in turns */
    for (int64_t past = 0; past < n;) {
        int32_t now = (int32_t)MIN(n - past, (int64_t)step);
        struct batch_seq seq = {.n = now,
                                .n_past = (int32_t)past,
                                .pages = b->pages,
                                .state_in = past > 0 ? state : -1,
                                .state_out = !state};
        state = !state;
        int32_t last = now - 1;
        /* Prompts need the logits of their last token only. */
        struct batch batch = {.n_tokens = now,
                              .ids = b->ids + (step == 1 ? past % CHUNK_TOKENS : 0),
                              .n_seqs = 1,
                              .seqs = &seq,
                              .n_out = past + now == n || step == 1,
                              .out_rows = &last};
        int r = model_eval(b->lm->model, b->kv, &batch, b->logits, NULL, err);
        if (r < 0)
            return r;
        past += now;
    }
    double s = (double)(clock_mono_ns() - start) / 1e9;
    *ret_rate = s > 0 ? (double)n / s : 0;
    return 0;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int run_test(struct bench *b, const char *kind, int64_t n, int32_t step, size_t repetitions,
                    struct error *err)
{
    if (n == 0)
        return 0;
    CLEANUP_FREE double *rates = xcalloc(repetitions, sizeof(*rates));
    int r = run_once(b, MIN(n, (int64_t)CHUNK_TOKENS), step, &rates[0], err); /* warms up */
    for (size_t i = 0; i < repetitions && r == 0; i++)
        r = run_once(b, n, step, &rates[i], err);
    if (r < 0)
        return r;
    qsort(rates, repetitions, sizeof(*rates), compare_doubles);
    double min = rates[0], max = rates[repetitions - 1];
    double median = (rates[(repetitions - 1) / 2] + rates[repetitions / 2]) / 2;

    char test[32];
    snprintf(test, sizeof(test), "%s%lld", kind, (long long)n);
    if (b->json) {
        CLEANUP_JSON struct json *o = js_object();
        js_set_cstr(o, "test", test);
        js_set_int(o, "threads", b->n_threads);
        js_set_real(o, "median", median);
        js_set_real(o, "min", min);
        js_set_real(o, "max", max);
        CLEANUP_FREE char *line = js_text(o, JS_COMPACT);
        printf("%s\n", line);
    } else {
        printf("%-8s %3u threads %10.2f tokens/s  (%.2f to %.2f)\n", test, b->n_threads, median,
               min, max);
    }
    return verb_flush(err);
}

int verb_bench(int argc, char **argv)
{
    struct bench_options o = {.n_prompt = 512, .n_gen = 128, .repetitions = 5};
    int exit_code;
    if (verb_parse(argc, argv, &o, &exit_code) < 0)
        return exit_code;
    struct error err = ERROR_INIT;
    if (!o.model) {
        error_set(&err, ERR_INVALID, "bench needs --model FILE");
        return verb_fail(&err);
    }
    struct bench b = {.json = o.json};
    struct lm_options lo = {.n_threads = (uint32_t)o.threads};
    int r = lm_open(o.model, &lo, &b.lm, &err);
    if (r == 0) {
        b.n_threads = backend_cpu_threads(model_backend(b.lm->model));
        r = bench_init(&b, MAX(o.n_prompt, o.n_gen), &err);
    }
    if (r == 0)
        r = run_test(&b, "pp", o.n_prompt, CHUNK_TOKENS, (size_t)o.repetitions, &err);
    if (r == 0)
        r = run_test(&b, "tg", o.n_gen, 1, (size_t)o.repetitions, &err);
    bench_release(&b);
    return r < 0 ? verb_fail(&err) : 0;
}
