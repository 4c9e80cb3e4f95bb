/* SPDX-License-Identifier: Apache-2.0
 *
 * The sampler chain.
 *
 * Sorting the whole vocabulary at every token would cost more than a small model's step, so the
 * list is sorted only as far as a link needs: candidates_sort() puts the best k in front by
 * quickselect and sorts those. */
#include "engine/run/sampler.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/clock.h"

struct sampler {
    struct sampling p;
    struct logit_bias *bias; /* the request's, and -INFINITY for end tokens with ignore_eos */
    size_t n_bias;
    uint32_t n_vocab;
    uint64_t rng;

    /* Penalties only: how often each token is among the last `window` ones. */
    uint32_t *counts; /* [n_vocab] or NULL */
    int32_t *recent;  /* [window] ring */
    uint32_t window, n_recent, at;
};

/* ---- random numbers: SplitMix64 (Steele, Lea, Flood 2014) ---- */

static uint64_t rng_next(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* In [0, 1). */
static double rng_uniform(uint64_t *state)
{
    return (double)(rng_next(state) >> 11) * 0x1p-53;
}

uint64_t sampling_random_seed(void)
{
    uint32_t seed;
    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
        seed = (uint32_t)clock_mono_ns();
    return seed;
}

/* ---- the list of candidates ---- */

int candidates_init(struct candidates *c, uint32_t n_vocab, struct error *err)
{
    *c = (struct candidates){.cap = n_vocab};
    c->items = alloc_array(n_vocab, sizeof(*c->items));
    if (!c->items)
        return error_set(err, ERR_NOMEM, "out of memory for %u candidate tokens", n_vocab);
    return 0;
}

void candidates_release(struct candidates *c)
{
    free(c->items);
    *c = (struct candidates){0};
}

static bool better(const struct candidate *a, const struct candidate *b)
{
    return a->logit > b->logit || (a->logit >= b->logit && a->id < b->id);
}

static int compare_best_first(const void *a, const void *b)
{
    return better(a, b) ? -1 : 1; /* ids differ, so no two are equal */
}

static void swap(struct candidate *a, struct candidate *b)
{
    struct candidate t = *a;
    *a = *b;
    *b = t;
}

/* Moves the best k of items[0..n) to the front, in any order. Median of three keeps sorted input
 * fast; the order is total, so it ends. */
static void select_best(struct candidate *items, size_t n, size_t k)
{
    size_t lo = 0, hi = n;
    while (hi - lo > 16 && k > lo && k < hi) {
        struct candidate *a = &items[lo], *b = &items[lo + (hi - lo) / 2], *c = &items[hi - 1];
        if (better(b, a))
            swap(a, b);
        if (better(c, b))
            swap(b, c);
        if (better(b, a))
            swap(a, b);
        struct candidate pivot = *b;
        size_t i = lo, j = hi - 1;
        for (;;) {
            while (better(&items[i], &pivot))
                i++;
            while (better(&pivot, &items[j]))
                j--;
            if (i >= j)
                break;
            swap(&items[i++], &items[j--]);
        }
        /* items[lo..j] are no worse than the pivot, items[j+1..hi) no better. */
        if (k <= j + 1)
            hi = j + 1;
        else
            lo = j + 1;
    }
    if (hi - lo <= 16)
        qsort(items + lo, hi - lo, sizeof(*items), compare_best_first);
}

/* Afterwards the best min(k, n) candidates stand in front, best first. */
static void candidates_sort(struct candidates *c, size_t k)
{
    k = MIN(k, c->n);
    if (c->n_sorted >= k)
        return;
    if (k < c->n)
        select_best(c->items, c->n, k);
    qsort(c->items, k, sizeof(*c->items), compare_best_first);
    c->n_sorted = k;
}

static void candidates_keep(struct candidates *c, size_t n)
{
    c->n = n;
    c->n_sorted = MIN(c->n_sorted, n);
}

/* p = softmax(logit / temperature). Sums in double, in the list's order. */
static void candidates_softmax(struct candidates *c, double temperature)
{
    float max = -INFINITY;
    for (size_t i = 0; i < c->n; i++)
        max = MAX(max, c->items[i].logit);
    double sum = 0;
    for (size_t i = 0; i < c->n; i++) {
        double e = exp((double)(c->items[i].logit - max) / temperature);
        c->items[i].p = (float)e;
        sum += e;
    }
    for (size_t i = 0; i < c->n; i++)
        c->items[i].p = (float)((double)c->items[i].p / sum);
}

/* ---- the links ---- */

static float penalised(const struct sampling *p, float logit, uint32_t count)
{
    if (logit > 0)
        logit /= (float)p->repeat_penalty;
    else
        logit *= (float)p->repeat_penalty;
    return logit - (float)count * (float)p->frequency_penalty - (float)p->presence_penalty;
}

/* Fills the list from the logits, biased and penalised; tokens that cannot come are left out. */
static int load(struct sampler *s, const float *logits, const uint64_t *allowed,
                struct candidates *c, struct error *err)
{
    assert(c->cap >= s->n_vocab);
    for (uint32_t id = 0; id < s->n_vocab; id++) {
        if (isnan(logits[id]) || (isinf(logits[id]) && logits[id] > 0))
            return error_set(err, ERR_CORRUPT,
                             "the model computed %f as the logit of token %u, which is no usable "
                             "number: its file is damaged, or it needs arithmetic this engine does "
                             "not do",
                             (double)logits[id], id);
        float logit = logits[id];
        c->items[id] = (struct candidate){.id = (int32_t)id, .logit = logit};
    }
    for (size_t i = 0; i < s->n_bias; i++)
        c->items[s->bias[i].id].logit += s->bias[i].bias;

    size_t n = 0;
    for (uint32_t id = 0; id < s->n_vocab; id++) {
        struct candidate *k = &c->items[id];
        if ((isinf(k->logit) && k->logit < 0) || (allowed && !(allowed[id / 64] >> id % 64 & 1)))
            continue;
        if (s->counts && s->counts[id] > 0)
            k->logit = penalised(&s->p, k->logit, s->counts[id]);
        c->items[n++] = *k;
    }
    c->n = n;
    c->n_sorted = 0;
    if (n == 0)
        return error_set(err, ERR_INVALID,
                         "no token is left to choose from: 'logit_bias' or the grammar exclude "
                         "everything the model could say");
    return 0;
}

static const struct candidate *greedy(const struct candidates *c)
{
    const struct candidate *best = &c->items[0];
    for (size_t i = 1; i < c->n; i++)
        if (better(&c->items[i], best))
            best = &c->items[i];
    return best;
}

static void keep_top_k(struct candidates *c, int64_t k)
{
    if (k <= 0 || (uint64_t)k >= c->n)
        return;
    candidates_sort(c, (size_t)k);
    candidates_keep(c, (size_t)k);
}

/* Locally typical sampling (Meister et al. 2022): the smallest set of tokens with mass p whose
 * surprise is nearest to the distribution's entropy. */
struct typical_item {
    struct candidate c;
    float distance;
};

static int compare_distance(const void *a, const void *b)
{
    const struct typical_item *x = a, *y = b;
    if (x->distance < y->distance || x->distance > y->distance)
        return x->distance < y->distance ? -1 : 1;
    return compare_best_first(&x->c, &y->c);
}

static int keep_typical(struct candidates *c, double p, struct error *err)
{
    if (p >= 1 || c->n <= 1)
        return 0;
    CLEANUP_FREE struct typical_item *items = alloc_array(c->n, sizeof(*items));
    if (!items)
        return error_set(err, ERR_NOMEM, "out of memory for typical sampling");
    candidates_softmax(c, 1);
    double entropy = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->items[i].p > 0)
            entropy -= (double)c->items[i].p * log((double)c->items[i].p);
    for (size_t i = 0; i < c->n; i++) {
        double q = (double)c->items[i].p;
        items[i].c = c->items[i];
        items[i].distance = q > 0 ? (float)fabs(-log(q) - entropy) : INFINITY;
    }
    qsort(items, c->n, sizeof(*items), compare_distance);
    double mass = 0;
    size_t n = 0;
    while (n < c->n && (n == 0 || mass < p)) {
        c->items[n] = items[n].c;
        mass += (double)items[n++].c.p;
    }
    c->n = n;
    c->n_sorted = 0;
    return 0;
}

static void keep_top_p(struct candidates *c, double p)
{
    if (p >= 1 || c->n <= 1)
        return;
    candidates_softmax(c, 1);
    double mass = 0;
    size_t n = 0;
    /* Usually a few dozen tokens are enough; sort more only while they are not. */
    for (size_t sorted = MIN((size_t)128, c->n);; sorted = MIN(sorted * 8, c->n)) {
        candidates_sort(c, sorted);
        while (n < sorted && (n == 0 || mass < p))
            mass += (double)c->items[n++].p;
        if (mass >= p || sorted == c->n)
            break;
    }
    candidates_keep(c, n);
}

/* Keeps what is at least p times as likely as the likeliest. */
static void keep_min_p(struct candidates *c, double p)
{
    if (p <= 0)
        return;
    float floor_logit = greedy(c)->logit + (float)log(p);
    size_t n = 0;
    for (size_t i = 0; i < c->n; i++)
        if (c->items[i].logit >= floor_logit)
            c->items[n++] = c->items[i];
    candidates_keep(c, n); /* the order stays, so the sorted part does too */
}

static int32_t draw(struct candidates *c, double temperature, uint64_t *rng)
{
    candidates_softmax(c, temperature);
    double u = rng_uniform(rng), sum = 0;
    for (size_t i = 0; i < c->n; i++) {
        sum += (double)c->items[i].p;
        if (u < sum)
            return c->items[i].id;
    }
    return greedy(c)->id; /* rounding left a gap at the end */
}

int sampler_pick(struct sampler *s, const float *logits, const uint64_t *allowed,
                 struct candidates *c, int32_t *ret, struct error *err)
{
    int r = load(s, logits, allowed, c, err);
    if (r < 0)
        return r;
    if (s->p.temperature <= 0) {
        *ret = greedy(c)->id;
        return 0;
    }
    keep_top_k(c, s->p.top_k);
    r = keep_typical(c, s->p.typical_p, err);
    if (r < 0)
        return r;
    keep_top_p(c, s->p.top_p);
    keep_min_p(c, s->p.min_p);
    *ret = draw(c, s->p.temperature, &s->rng);
    return 0;
}

/* ---- life ---- */

static bool has_penalties(const struct sampling *p)
{
    return p->repeat_last_n != 0 &&
           (p->repeat_penalty < 1 || p->repeat_penalty > 1 || p->frequency_penalty < 0 ||
            p->frequency_penalty > 0 || p->presence_penalty < 0 || p->presence_penalty > 0);
}

int sampler_create(const struct sampling *params, uint32_t n_vocab, const int32_t *eog,
                   size_t n_eog, uint32_t max_history, struct sampler **ret, struct error *err)
{
    for (size_t i = 0; i < params->n_bias; i++)
        if (params->bias[i].id < 0 || (uint32_t)params->bias[i].id >= n_vocab)
            return error_set(err, ERR_INVALID,
                             "'logit_bias' names token %d, the vocabulary has the ids 0 to %u",
                             params->bias[i].id, n_vocab - 1);

    struct sampler *s = xcalloc(1, sizeof(*s));
    s->p = *params;
    s->p.bias = NULL;
    s->n_vocab = n_vocab;
    s->rng = params->seed;
    s->bias = xcalloc(params->n_bias + n_eog + 1, sizeof(*s->bias));
    for (size_t i = 0; i < params->n_bias; i++)
        s->bias[s->n_bias++] = params->bias[i];
    for (size_t i = 0; i < n_eog && params->ignore_eos; i++)
        s->bias[s->n_bias++] = (struct logit_bias){eog[i], -INFINITY};

    if (has_penalties(params)) {
        s->window = max_history;
        if (params->repeat_last_n > 0 && params->repeat_last_n < (int64_t)max_history)
            s->window = (uint32_t)params->repeat_last_n;
        s->counts = alloc_array_zero(n_vocab, sizeof(*s->counts));
        s->recent = alloc_array(s->window, sizeof(*s->recent));
        if (!s->counts || !s->recent) {
            sampler_free(s);
            return error_set(err, ERR_NOMEM, "out of memory for the repetition penalties");
        }
    }
    *ret = s;
    return 0;
}

void sampler_free(struct sampler *s)
{
    if (!s)
        return;
    free(s->bias);
    free(s->counts);
    free(s->recent);
    free(s);
}

void sampler_accept(struct sampler *s, int32_t id)
{
    if (!s->counts || s->window == 0)
        return;
    if (s->n_recent == s->window)
        s->counts[s->recent[s->at]]--;
    else
        s->n_recent++;
    s->recent[s->at] = id;
    s->counts[id]++;
    s->at = (s->at + 1) % s->window;
}

/* ---- log-probabilities ---- */

float logprobs_of(const float *logits, uint32_t n_vocab, int32_t id, struct token_logprob *top,
                  uint32_t n_top)
{
    float max = -INFINITY;
    for (uint32_t i = 0; i < n_vocab; i++)
        max = MAX(max, logits[i]);
    double sum = 0;
    for (uint32_t i = 0; i < n_vocab; i++)
        sum += exp((double)(logits[i] - max));
    double log_sum = (double)max + log(sum);

    /* An insertion into a short sorted list; most tokens fail the first comparison. */
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_vocab && n_top > 0; i++) {
        if (n == n_top && logits[i] <= top[n - 1].logprob)
            continue;
        uint32_t at = n < n_top ? n++ : n - 1;
        while (at > 0 && logits[i] > top[at - 1].logprob) {
            top[at] = top[at - 1];
            at--;
        }
        top[at] = (struct token_logprob){(int32_t)i, logits[i]};
    }
    for (uint32_t i = 0; i < n; i++)
        top[i].logprob = (float)((double)top[i].logprob - log_sum);
    return (float)((double)logits[id] - log_sum);
}
