/* SPDX-License-Identifier: Apache-2.0
 *
 * The prompts of a completion request as token ids. */
#ifndef ENGINE_API_PROMPTS_H
#define ENGINE_API_PROMPTS_H

#include "base/error.h"
#include "base/json.h"
#include "engine/api/chat_template.h"
#include "engine/api/media.h"
#include "engine/run/batcher.h"
#include "engine/run/lm.h"

enum { PROMPTS_MAX = 64 };

struct prompts {
    struct prompt *items; /* [n] */
    uint32_t n;
    struct str *echo;         /* [n] texts of the prompts if they are to be repeated, else NULL */
    struct token_list *lists; /* [n] what items point to */
    struct buf *texts;        /* [n] what echo points to */

    /* Of a chat with pictures. */
    struct media media;
    struct prompt_media *squares; /* [n_squares] items[0].media */
    struct square_at *square_at;  /* [n_squares] what each of them shows */
    size_t n_squares;
    float *rows; /* of all squares */
};

struct square_at {
    const struct picture *picture;
    uint32_t square;
};

/* Renders the chat with its template; texts[0] is the prompt's text. `v`, `why_blind`: as
 * media_extract() wants them. The pictures' places in the prompt are laid out, but prompts_encode()
 * must follow. */
int prompts_from_chat(const struct chat_prompt *chat, const struct lm *lm,
                      const struct chat_template *t, const struct vision *v, const char *why_blind,
                      struct prompts *ret, struct error *err);

/* Computes what stands for the pictures, if there are any: that takes time. */
int prompts_encode(struct prompts *p, struct vision *v, const volatile bool *cancel,
                   struct error *err);

/* `prompt`: a string, an array of token ids, or an array of such. With `echo` their texts are kept.
 * With `suffix` each prompt is a text and what belongs between the two is wanted (fim.h). */
int prompts_from_text(const struct json *body, const struct lm *lm, struct prompts *ret,
                      struct error *err);

/* After a failure too; a zeroed one is fine. */
void prompts_release(struct prompts *p);

#endif
