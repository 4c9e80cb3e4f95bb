/* SPDX-License-Identifier: Apache-2.0
 *
 * Filling in the middle: what stands before and behind a gap becomes a prompt whose continuation
 * fills it.
 *
 *     [REP] name [SEP] file text [SEP] file …  [PRE] prefix [SUF] suffix [MID]
 *
 * The tokens are those of the model's vocabulary, by key or by their well-known texts. */
#ifndef ENGINE_API_FIM_H
#define ENGINE_API_FIM_H

#include "base/error.h"
#include "base/json.h"
#include "base/str.h"
#include "engine/run/lm.h"

struct fim {
    struct str prefix, suffix;
    struct str prompt;        /* goes on behind the prefix: the beginning of the answer */
    const struct json *extra; /* [{"text", "filename"}] of other files, or NULL */
    bool with_repo;           /* marks repository and file, where the vocabulary can */
};

/* ERR_INVALID for a vocabulary without these tokens. */
int fim_tokens(const struct lm *lm, const struct fim *f, struct token_list *out, struct error *err);

#endif
