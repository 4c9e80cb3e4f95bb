/* SPDX-License-Identifier: Apache-2.0
 *
 * model-engine eval: token ids in, the best raw logits of the last position out; if wanted a greedy
 * continuation, and how unlikely each id was.
 *
 *     {"ids":[1,403,407],"top":3,"greedy":2}
 *     {"top":[[261,12.03],[432,9.51],[286,8.2]],"greedy_ids":[261,286]}
 *     {"ids":[1,403,407],"top":0,"nll":true}
 *     {"top":[],"nll":[5.25,1.5]}
 *
 * The verb exists to measure numerics, so its cache is f32 unless asked otherwise. Every line is a
 * sequence of its own. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/compiler.h"
#include "engine/run/lm.h"
#include "engine/verbs/jsonl.h"
#include "engine/verbs/lora_option.h"
#include "engine/verbs/verbs.h"

enum { CHUNK_TOKENS = 512 };

struct eval_options {
    const char *model;
    const char *cache_type;
    int64_t ctx_size, threads;
    struct opt_list lora;
};

const struct opt verb_eval_opts[] = {
    {"model", 'm', OPT_STRING, offsetof(struct eval_options, model), "FILE",
     "the model, a .gguf file or the first of its parts"},
    {"ctx-size", 'c', OPT_INT, offsetof(struct eval_options, ctx_size), "N",
     "tokens of context; 0, the default, takes what the model was trained for", .min = 0,
     .max = 1 << 24},
    {"cache-type", 0, OPT_STRING, offsetof(struct eval_options, cache_type), "TYPE",
     "f32 (the default) or f16: how keys and values are kept"},
    {"threads", 't', OPT_INT, offsetof(struct eval_options, threads), "N",
     "threads; 0, the default, takes the physical cores", .min = 0, .max = 1024},
    LORA_OPTION(offsetof(struct eval_options, lora)),
    OPT_END,
};

struct eval {
    struct lm *lm;
    uint32_t n_ctx;
    enum kv_type type;
    struct kv *kv;
    int32_t *pages; /* page i of the sequence is page i of the cache */
    uint32_t n_pages;
    int32_t state; /* of two slots, the one behind the last token */
    float *logits; /* [n_vocab] of the last position */
    float scales[ADAPTERS_MAX];
};

/* ---- the model ---- */

/* The cache grows with the longest line, not with what the context may be. */
static int ensure_cache(struct eval *e, uint64_t n_tokens, struct error *err)
{
    uint32_t need = (uint32_t)((n_tokens + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS);
    if (need <= e->n_pages)
        return 0;
    model_kv_free(e->lm->model, TAKE(e->kv));
    free(TAKE(e->pages));
    e->n_pages = 0;
    int r = model_kv_create(e->lm->model, need, 2, e->type, &e->kv, err);
    if (r < 0)
        return r;
    e->pages = alloc_array(need, sizeof(*e->pages));
    if (!e->pages)
        return error_set(err, ERR_NOMEM, "out of memory for %" PRIu32 " cache pages", need);
    for (uint32_t i = 0; i < need; i++)
        e->pages[i] = (int32_t)i;
    e->n_pages = need;
    return 0;
}

/* The sequence with `step` tokens behind n_past others. */
static struct batch_seq sequence(const struct eval *e, int32_t step, size_t n_past)
{
    return (struct batch_seq){.n = step,
                              .n_past = (int32_t)n_past,
                              .pages = e->pages,
                              .state_in = n_past > 0 ? e->state : -1,
                              .state_out = !e->state,
                              .scales = e->lm->n_adapters > 0 ? e->scales : NULL};
}

/* Computes n tokens behind n_past others; leaves the logits of the last in e->logits. */
static int feed(struct eval *e, const int32_t *ids, size_t n, size_t n_past, struct error *err)
{
    for (size_t at = 0; at < n;) {
        int32_t step = (int32_t)MIN(n - at, (size_t)CHUNK_TOKENS);
        int32_t last = step - 1;
        struct batch_seq seq = sequence(e, step, n_past + at);
        struct batch batch = {.n_tokens = step,
                              .ids = ids + at,
                              .n_seqs = 1,
                              .seqs = &seq,
                              .n_out = at + (size_t)step == n,
                              .out_rows = &last};
        int r = model_eval(e->lm->model, e->kv, &batch, e->logits, NULL, err);
        if (r < 0)
            return r;
        e->state = !e->state;
        at += (size_t)step;
    }
    return 0;
}

/* -log of the probability that softmax(logits) gives to an id. */
static double surprise(const float *logits, size_t n, int32_t id)
{
    float max = logits[0];
    for (size_t i = 1; i < n; i++)
        max = MAX(max, logits[i]);
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)logits[i] - (double)max);
    return log(sum) + (double)max - (double)logits[id];
}

/* Computes all but the last id, some at a time, and says how unlikely each was behind those before
 * it. What it leaves in the cache is overwritten by who computes the sequence. */
static int add_nll(struct eval *e, const int32_t *ids, size_t n, struct json *out,
                   struct error *err)
{
    enum { STEP = 32 };
    size_t n_vocab = e->lm->n_vocab;
    struct json *list = js_array();
    js_set(out, "nll", list);
    CLEANUP_FREE float *logits = alloc_array(STEP * n_vocab, sizeof(*logits));
    if (!logits)
        return error_set(err, ERR_NOMEM, "out of memory for %zu logits", STEP * n_vocab);
    for (size_t at = 0; at + 1 < n;) {
        int32_t step = (int32_t)MIN(n - 1 - at, (size_t)STEP), rows[STEP];
        for (int32_t i = 0; i < step; i++)
            rows[i] = i;
        struct batch_seq seq = sequence(e, step, at);
        struct batch batch = {.n_tokens = step,
                              .ids = ids + at,
                              .n_seqs = 1,
                              .seqs = &seq,
                              .n_out = step,
                              .out_rows = rows};
        int r = model_eval(e->lm->model, e->kv, &batch, logits, NULL, err);
        if (r < 0)
            return r;
        e->state = !e->state;
        for (int32_t i = 0; i < step; i++)
            js_push(list, js_real(surprise(logits + (size_t)i * n_vocab, n_vocab,
                                           ids[at + (size_t)i + 1])));
        at += (size_t)step;
    }
    return 0;
}

/* ---- the answers ---- */

struct ranked {
    int32_t id;
    float logit;
};

/* Best first; equal logits by id; NaN last. */
static int cmp_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    bool x_nan = x->logit != x->logit, y_nan = y->logit != y->logit;
    if (x_nan != y_nan)
        return x_nan ? 1 : -1;
    if (!x_nan && x->logit != y->logit)
        return x->logit > y->logit ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static int add_top(const struct eval *e, size_t top, struct json *out, struct error *err)
{
    size_t n = e->lm->n_vocab;
    CLEANUP_FREE struct ranked *all = alloc_array(n, sizeof(*all));
    if (!all)
        return error_set(err, ERR_NOMEM, "out of memory for %zu logits", n);
    for (size_t i = 0; i < n; i++)
        all[i] = (struct ranked){(int32_t)i, e->logits[i]};
    qsort(all, n, sizeof(*all), cmp_ranked);
    struct json *list = js_array();
    for (size_t i = 0; i < MIN(top, n); i++) {
        struct json *pair = js_array();
        js_push(pair, js_int(all[i].id));
        js_push(pair, js_real((double)all[i].logit));
        js_push(list, pair);
    }
    js_set(out, "top", list);
    return 0;
}

static int32_t best_id(const struct eval *e)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < e->lm->n_vocab; i++)
        if (e->logits[i] > e->logits[best] || e->logits[best] != e->logits[best])
            best = i;
    return (int32_t)best;
}

/* The best token again and again; the end of the text does not stop it. */
static int add_greedy(struct eval *e, size_t n_past, size_t n, struct json *out, struct error *err)
{
    struct json *list = js_array();
    js_set(out, "greedy_ids", list);
    for (size_t i = 0; i < n; i++) {
        int32_t id = best_id(e);
        js_push(list, js_int(id));
        int r = i + 1 < n ? feed(e, &id, 1, n_past + i, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

static int answer(void *ctx, const struct json *in, struct json *out, struct error *err)
{
    struct eval *e = ctx;
    CLEANUP_FREE int32_t *ids = NULL;
    size_t n = 0;
    int64_t top = 20, greedy = 0;
    bool nll = false;
    int r = jsonl_ids(in, "ids", e->lm->n_vocab, &ids, &n, err);
    if (r == 0)
        r = js_want_int(in, "top", 0, INT32_MAX, &top, err);
    if (r == 0)
        r = js_want_int(in, "greedy", 0, INT32_MAX, &greedy, err);
    if (r == 0)
        r = js_want_bool(in, "nll", &nll, err);
    if (r < 0)
        return r;
    /* The last greedy token is named, not computed further. */
    uint64_t n_tokens = n + (greedy > 1 ? (uint64_t)greedy - 1 : 0);
    if (n_tokens > e->n_ctx)
        return error_set(err, ERR_TOO_LARGE,
                         "%" PRIu64 " tokens do not fit the context of %" PRIu32, n_tokens,
                         e->n_ctx);
    r = ensure_cache(e, n_tokens, err);
    if (r == 0 && nll)
        r = add_nll(e, ids, n, out, err);
    if (r == 0)
        r = feed(e, ids, n, 0, err);
    if (r == 0)
        r = add_top(e, (size_t)top, out, err);
    if (r == 0 && greedy > 0)
        r = add_greedy(e, n, (size_t)greedy, out, err);
    return r;
}

/* ---- the verb ---- */

static int open_model(struct eval *e, const struct eval_options *o, struct error *err)
{
    if (!o->model)
        return error_set(err, ERR_INVALID, "--model is missing");
    if (strcmp(o->cache_type, "f16") == 0)
        e->type = KV_F16;
    else if (strcmp(o->cache_type, "f32") == 0)
        e->type = KV_F32;
    else
        return error_set(err, ERR_INVALID, "--cache-type is '%s', but f32 or f16 is needed",
                         o->cache_type);
    struct lm_options lo = {.n_threads = (uint32_t)o->threads};
    int r = lora_option_parse(&o->lora, &lo, err);
    if (r == 0)
        r = lm_open(o->model, &lo, &e->lm, err);
    lora_option_release(&lo);
    if (r < 0)
        return r;
    lm_adapter_scales(e->lm, e->scales);
    e->n_ctx = o->ctx_size > 0 ? (uint32_t)o->ctx_size : MIN(e->lm->n_ctx_train, 1u << 24);
    r = model_set_context(e->lm->model, e->n_ctx, err);
    if (r < 0)
        return r;
    e->logits = alloc_aligned(e->lm->n_vocab, sizeof(*e->logits));
    if (!e->logits)
        return error_set(err, ERR_NOMEM, "out of memory for %" PRIu32 " logits", e->lm->n_vocab);
    return 0;
}

static void eval_release(struct eval *e)
{
    if (e->lm)
        model_kv_free(e->lm->model, e->kv);
    free(e->pages);
    free(e->logits);
    lm_close(e->lm);
}

int verb_eval(int argc, char **argv)
{
    struct eval_options o = {.cache_type = "f32"};
    struct error err = ERROR_INIT;
    int exit_code;
    if (verb_parse(argc, argv, &o, &exit_code) < 0)
        return exit_code;
    CLEANUP(eval_release) struct eval e = {0};
    int r = open_model(&e, &o, &err);
    if (r == 0)
        r = jsonl_run(answer, &e, &err);
    opt_list_release(&o.lora);
    return r < 0 ? verb_fail(&err) : 0;
}
