/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers of a model that knows nothing: walks through the masks of a grammar by chance. */
#ifndef TESTS_LIB_GRAMMAR_WALK_H
#define TESTS_LIB_GRAMMAR_WALK_H

#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "engine/grammar/grammar.h"

enum { WALK_TOKENS_MAX = 1024, WALK_SOFT_STEPS = 60, WALK_STEPS = 3000 };

/* All bytes, then pieces; of these the last n_closers bring things to an end. The last token ends
 * the text. */
struct walk_vocab {
    char bytes[256];
    struct str tokens[WALK_TOKENS_MAX];
    int32_t n, first_closer, eog;
    struct grammar_vocab *vocab;
};

static inline int walk_vocab_init(struct walk_vocab *v, const char *const *pieces, size_t n,
                                  const char *const *closers, size_t n_closers, struct error *err)
{
    *v = (struct walk_vocab){.n = 256};
    for (int i = 0; i < 256; i++) {
        v->bytes[i] = (char)i;
        v->tokens[i] = str_make(&v->bytes[i], i < 255); /* 0xFF is what marks control tokens */
    }
    for (size_t i = 0; i < n; i++)
        v->tokens[v->n++] = str_from(pieces[i]);
    v->first_closer = v->n;
    for (size_t i = 0; i < n_closers; i++)
        v->tokens[v->n++] = str_from(closers[i]);
    v->eog = v->n++;
    return grammar_vocab_create(v->tokens, (uint32_t)v->n, &v->eog, 1, &v->vocab, err);
}

static inline uint32_t walk_chance(uint64_t *rng, uint32_t n) /* 0 .. n - 1 */
{
    *rng = *rng * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*rng >> 33) % n);
}

static inline bool walk_closes(const struct walk_vocab *v, int32_t id)
{
    return id >= v->first_closer || (id > 0 && id < 256 && strchr("\"}])0", id));
}

/* One that is allowed, or -1. The longer a text is, the more those are liked that end it. */
static inline int32_t walk_choose(const struct walk_vocab *v, const uint64_t *mask, uint32_t step,
                                  uint64_t *rng)
{
    bool closing = step > WALK_SOFT_STEPS && walk_chance(rng, 4) > 0;
    int32_t liked = -1, any = -1;
    uint32_t n_liked = 0, n_any = 0;
    for (int32_t id = 0; id < v->n; id++) {
        if (!(mask[id / 64] >> (id % 64) & 1))
            continue;
        if (id == v->eog && (closing || walk_chance(rng, 3) == 0))
            return id;
        if (walk_chance(rng, ++n_any) == 0)
            any = id;
        if (closing && walk_closes(v, id) && walk_chance(rng, ++n_liked) == 0)
            liked = id;
    }
    return liked >= 0 ? liked : any;
}

/* Appends the text. 0: it is finished, 1: it found no end in time, -1: something is wrong, *err
 * says what. */
static inline int grammar_walk(struct grammar *g, const struct walk_vocab *v, uint64_t *rng,
                               struct buf *text, struct error *err)
{
    CLEANUP(cleanup_matcher) struct matcher *m = NULL;
    if (matcher_create(g, v->vocab, &m, err) < 0)
        return -1;
    for (uint32_t step = 0; step < WALK_STEPS; step++) {
        uint64_t mask[(WALK_TOKENS_MAX + 63) / 64];
        if (matcher_mask(m, mask, err) < 0)
            return -1;
        int32_t id = walk_choose(v, mask, step, rng);
        if (id == v->eog)
            return 0;
        if (id < 0 || !matcher_accept_token(m, id)) {
            error_set(err, ERR_INTERNAL, "%s behind '%.*s'",
                      id < 0 ? "no way out" : "a token that the mask allows is refused",
                      STR_ARG(buf_str(text)));
            return -1;
        }
        buf_append(text, v->tokens[id]);
    }
    return 1;
}

#endif
