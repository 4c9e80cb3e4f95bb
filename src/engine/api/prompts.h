/* SPDX-License-Identifier: Apache-2.0
 *
 * The prompts of a completion request as token ids. */
#ifndef ENGINE_API_PROMPTS_H
#define ENGINE_API_PROMPTS_H

#include "base/error.h"
#include "base/json.h"
#include "engine/api/chat_template.h"
#include "engine/run/batcher.h"
#include "engine/run/lm.h"

enum { PROMPTS_MAX = 64 };

struct prompts {
    struct prompt *items; /* [n] */
    uint32_t n;
    struct str *echo;         /* [n] texts of the prompts if they are to be repeated, else NULL */
    struct token_list *lists; /* [n] what items point to */
    struct buf *texts;        /* [n] what echo points to */
};

/* Renders the messages with the chat template. */
int prompts_from_chat(const struct json *body, const struct lm *lm, const struct chat_template *t,
                      struct prompts *ret, struct error *err);

/* `prompt`: a string, an array of token ids, or an array of such. With `echo` their texts are kept.
 * `suffix` is refused. */
int prompts_from_text(const struct json *body, const struct lm *lm, struct prompts *ret,
                      struct error *err);

/* After a failure too; a zeroed one is fine. */
void prompts_release(struct prompts *p);

#endif
