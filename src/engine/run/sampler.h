/* SPDX-License-Identifier: Apache-2.0
 *
 * The sampler: picks the next token from the logits of one position.
 *
 * The chain, each link a function over a list of candidates, in llama-server's order:
 *
 *     logits → bias → penalties → (greedy if temperature is 0)
 *            → top-k → typical → top-p → min-p → temperature → draw
 *
 * top-k, typical, top-p and min-p each keep at least one candidate. Ties are broken by the lower id
 * everywhere, and the generator is our own, seeded by the request: equal logits, parameters and
 * seed give equal tokens on every machine.
 *
 * A sampler belongs to one sequence; it remembers the recent tokens for the penalties. The list of
 * candidates is scratch of the thread that samples, shared by its samplers.
 */
#ifndef ENGINE_RUN_SAMPLER_H
#define ENGINE_RUN_SAMPLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct logit_bias {
    int32_t id;
    float bias; /* added to the logit; -INFINITY = never */
};

struct sampling {
    double temperature;       /* 0 = greedy */
    int64_t top_k;            /* <= 0 = off */
    double top_p;             /* 1 = off */
    double min_p;             /* 0 = off */
    double typical_p;         /* 1 = off */
    double repeat_penalty;    /* 1 = off */
    double frequency_penalty; /* 0 = off */
    double presence_penalty;  /* 0 = off */
    int64_t repeat_last_n;    /* tokens the penalties look back; 0 = off, -1 = all */
    uint64_t seed;
    bool ignore_eos;               /* tokens that end the generation are never picked */
    const struct logit_bias *bias; /* [n_bias] */
    size_t n_bias;
};

/* llama-server's defaults. The seed is 0: take one from sampling_random_seed(). */
#define SAMPLING_DEFAULT                    \
    ((struct sampling){.temperature = 0.8,  \
                       .top_k = 40,         \
                       .top_p = 0.95,       \
                       .min_p = 0.05,       \
                       .typical_p = 1,      \
                       .repeat_penalty = 1, \
                       .repeat_last_n = 64})

uint64_t sampling_random_seed(void); /* below 2^32, so that every JSON reader keeps it exact */

struct candidate {
    int32_t id;
    float logit;
    float p;
};

struct candidates {
    struct candidate *items; /* [n] */
    size_t n;
    size_t n_sorted; /* the first n_sorted are the best ones, best first */
    size_t cap;
};

int candidates_init(struct candidates *c, uint32_t n_vocab, struct error *err);
void candidates_release(struct candidates *c);

struct sampler;

/* eog: the tokens that end a generation. `max_history` bounds repeat_last_n = -1 (the context
 * size). Everything is copied. Ids of biases out of the vocabulary are ERR_INVALID. */
int sampler_create(const struct sampling *params, uint32_t n_vocab, const int32_t *eog,
                   size_t n_eog, uint32_t max_history, struct sampler **ret, struct error *err);
void sampler_free(struct sampler *s); /* NULL is fine */

/* A token that is now part of the text, of the prompt too. */
void sampler_accept(struct sampler *s, int32_t id);

/* logits: [n_vocab]. allowed: one bit a token, the lowest first, or NULL: all. Logits that are no
 * numbers are ERR_CORRUPT: the model's file is damaged. */
int sampler_pick(struct sampler *s, const float *logits, const uint64_t *allowed,
                 struct candidates *scratch, int32_t *ret, struct error *err);

struct token_logprob {
    int32_t id;
    float logprob;
};

/* The log-probability of `id` under the softmax of the raw logits, and the n_top likeliest tokens,
 * best first. top may be NULL if n_top is 0. */
float logprobs_of(const float *logits, uint32_t n_vocab, int32_t id, struct token_logprob *top,
                  uint32_t n_top);

#endif
