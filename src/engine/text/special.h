/* SPDX-License-Identifier: Apache-2.0
 *
 * Finds the tokens that are taken from the text before anything else: control tokens ("<|im_end|>")
 * when the caller wants them parsed, user-defined tokens always.
 *
 * The rule of the reference: tokens are tried from the longest to the shortest over the whole text,
 * each from left to right, and what one has taken is out of reach for the others. So a long token
 * wins over a shorter one that begins earlier. One pass of an Aho-Corasick automaton finds all
 * candidates, a heap orders them; no text and no vocabulary makes this quadratic. */
#ifndef ENGINE_TEXT_SPECIAL_H
#define ENGINE_TEXT_SPECIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/str.h"
#include "engine/text/trie.h"

struct special {
    struct trie trie; /* values are token ids */
    uint32_t *depth;  /* per node */
    uint32_t *fail;   /* the node of the longest proper suffix that is in the trie */
    uint32_t *output; /* the same, but the nearest that is a token; 0 = none */
};

int special_init(struct special *s); /* 0 or -ERR_NOMEM, like the next two */
int special_add(struct special *s, struct str text, int32_t id);
int special_finish(struct special *s); /* after the last addition */
void special_release(struct special *s);

/* A part of the text (id -1) or a token in its place. */
struct fragment {
    size_t start, len;
    int32_t id;
};

struct fragments {
    struct fragment *items;
    size_t n, cap;
};
void fragments_release(struct fragments *f);
#define CLEANUP_FRAGMENTS CLEANUP(fragments_release)

/* Cuts the text (shorter than 2^31 bytes) into fragments in order, without empty ones. `attrs` are
 * the token_attr bits of all tokens. Returns 0 or -ERR_NOMEM. */
int special_split(const struct special *s, struct str text, const uint16_t *attrs,
                  bool parse_special, struct fragments *out);

#endif
