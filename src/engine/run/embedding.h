/* SPDX-License-Identifier: Apache-2.0
 *
 * Vectors of texts: some texts go in, and for each of them one vector, the vectors of its tokens,
 * or the scores of a ranking model come out.
 *
 *     struct embedding *e;
 *     embedding_begin(lm, &(struct embedding_request){.texts = …, .n_texts = 3, …}, &e, err);
 *     while ((r = embedding_step(e, cancel, err)) > 0)
 *         ;
 *     const float *v = embedding_rows(e, 0, &n_rows, &width);
 *     embedding_free(e);
 *
 * The work is cut into steps of about EMBEDDING_STEP_TOKENS, so that others can use the model in
 * between. A text that all its tokens must see at once (encoders) is never cut.
 *
 * Threads: embedding_step() and embedding_free() use the model, so they belong to the thread that
 * owns it; see batcher_call(). */
#ifndef ENGINE_RUN_EMBEDDING_H
#define ENGINE_RUN_EMBEDDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "engine/run/batcher.h"
#include "engine/run/lm.h"

struct embedding;

enum { EMBEDDING_STEP_TOKENS = 512 };

struct embedding_request {
    const struct prompt *texts; /* [n_texts] copied; each has at least one token */
    size_t n_texts;
    enum pooling pooling;
    uint32_t ctx_size; /* a longer text is refused; 0 = what the model was trained for */
    enum kv_type kv_type;
};

/* ERR_INVALID for token ids that the model does not know, ERR_TOO_LARGE for a text that does not
 * fit the context, with both numbers; ERR_UNSUPPORTED for a pooling that the model cannot do. */
int embedding_begin(struct lm *lm, const struct embedding_request *req, struct embedding **ret,
                    struct error *err);

/* 1 while there is more to do, 0 when all is done. */
int embedding_step(struct embedding *e, const volatile bool *cancel, struct error *err);

/* Of text i: one row, with POOLING_NONE one a token; with POOLING_RANK its values are scores. */
const float *embedding_rows(const struct embedding *e, size_t i, uint32_t *ret_n_rows,
                            uint32_t *ret_width);
void embedding_free(struct embedding *e); /* NULL is fine */

/* To length 1; a vector of zeros stays. */
void embedding_normalise(float *v, size_t n);

/* ---- pooling ---- */

/* The pooling to use when nobody says: the file's, else that of the last token for a model whose
 * tokens see only what is before them, and the mean for others. */
enum pooling lm_default_pooling(const struct lm *lm);

/* Can it rank, that is, has it the head for it? */
bool lm_can_rank(const struct lm *lm);

/* "none", "mean", "cls", "last", "rank"; another name is ERR_INVALID. */
int pooling_parse(struct str name, enum pooling *ret, struct error *err);
const char *pooling_name(enum pooling p);

#endif
