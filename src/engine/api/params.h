/* SPDX-License-Identifier: Apache-2.0
 *
 * The fields that chat and text completions have in common: sampling, limits, stop strings, the
 * form of the answer. Names and defaults are OpenAI's and llama-server's.
 *
 * A field of the wrong type or out of range is ERR_INVALID and named; one that asks for something
 * this engine cannot do is ERR_UNSUPPORTED and named; unknown fields are ignored. */
#ifndef ENGINE_API_PARAMS_H
#define ENGINE_API_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "base/str.h"
#include "engine/api/lora.h"
#include "engine/grammar/grammar.h"
#include "engine/run/sampler.h"

enum { N_MAX = 8 }; /* choices a prompt */

struct params {
    struct sampling sampling; /* its seed is set, a random one if none was asked for */
    struct logit_bias *bias;  /* what sampling.bias points to */
    struct str *stops;        /* [n_stops] borrowed from the body */
    size_t n_stops;
    int64_t n_predict; /* -1 = until the context is full */
    uint32_t n;
    bool stream, include_usage;
    bool cache_prompt;
    bool logprobs;
    uint32_t n_top_logprobs;
    struct grammar *grammar;    /* what the answer must be; NULL = anything */
    struct json *schema;        /* what it was made of, a reference; NULL = not of a schema */
    struct str gbnf;            /* likewise; borrowed, ptr NULL = not of GBNF */
    float scales[ADAPTERS_MAX]; /* of the model's adapters */
    struct str model;           /* borrowed; {NULL, 0} if absent */
};

enum params_dialect { PARAMS_CHAT, PARAMS_TEXT };

/* What counts when the request does not say. */
struct params_defaults {
    struct sampling sampling;
    int64_t seed;      /* -1 = a new one for each request */
    int64_t n_predict; /* -1 = until the context is full */
    struct lora *lora; /* the model's adapters; NULL = it has none */
};
#define PARAMS_DEFAULTS \
    ((struct params_defaults){.sampling = SAMPLING_DEFAULT, .seed = -1, .n_predict = -1})

/* `body` must be an object and outlive *ret. Release *ret in any case. */
int params_parse(const struct json *body, enum params_dialect dialect,
                 const struct params_defaults *defaults, struct params *ret, struct error *err);
void params_release(struct params *p);

#endif
