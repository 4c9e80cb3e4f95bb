/* SPDX-License-Identifier: Apache-2.0
 *
 * The JSON of completions: whole answers and the chunks of streams, in OpenAI's shapes with
 * llama-server's `timings`. Pure: events in, JSON values out. */
#ifndef ENGINE_API_ANSWER_H
#define ENGINE_API_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"
#include "engine/api/reading.h"
#include "engine/run/batcher.h"
#include "engine/text/tokenizer.h"

struct answer_choice {
    struct reading reading; /* its content is the text of a text completion */
    struct json *logprobs;  /* what came so far; NULL if none were asked for */
    size_t text_offset;     /* text completions: bytes of text in front of the next token */
    bool begun, finished;
    enum finish_reason reason;
    char *stop; /* the stop string that ended it; NULL = none */
    struct generation_stats stats;
};

struct answer {
    bool chat;
    bool logprobs;
    bool legacy_functions; /* calls as `function_call`, legacy_functions.h */
    char id[48];           /* "chatcmpl-…", "cmpl-…" */
    int64_t created;
    struct str model; /* borrowed */
    uint64_t seed;
    const struct tokenizer *tokenizer;
    uint32_t n_prompts, n;         /* prompts, choices for each */
    const struct str *echo;        /* [n_prompts] put in front of each text; NULL = none */
    struct answer_choice *choices; /* [n_prompts * n] */
};

/* Everything pointed to is borrowed. d, o: how the text is read; NULL = all of it is content. */
void answer_init(struct answer *a, bool chat, uint32_t n_prompts, uint32_t n,
                 const struct dialect *d, const struct dialect_options *o);
void answer_release(struct answer *a);

/* Takes in an event (not EVENT_ERROR). For a stream, fn gets the chunks that it makes, and owns
 * them; else NULL. */
typedef void (*answer_chunk_fn)(void *ctx, struct json *chunk);
void answer_add(struct answer *a, const struct generation_event *e, answer_chunk_fn fn, void *ctx);

/* The whole answer, all choices being finished. */
struct json *answer_whole(const struct answer *a);

/* ---- streams ---- */

/* The chunk that opens a choice of a chat: its role. */
struct json *answer_chunk_role(const struct answer *a, uint32_t choice);
/* The chunk for a piece of a text completion; `logprobs` is stolen, may be NULL. */
struct json *answer_chunk_text(const struct answer *a, uint32_t choice, struct str text,
                               struct json *logprobs);
struct json *answer_chunk_finish(const struct answer *a, uint32_t choice);
/* The chunk with usage and no choices. */
struct json *answer_chunk_usage(const struct answer *a);
/* Adds what belongs into the last chunk or the whole answer: timings and the seed used. */
void answer_add_timings(const struct answer *a, struct json *to);

/* The logprobs object for the tokens of an event; NULL if there are none. */
struct json *answer_logprobs(struct answer *a, const struct generation_event *e);

#endif
