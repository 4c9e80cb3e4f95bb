/* SPDX-License-Identifier: Apache-2.0
 *
 * PLaMo 2: of all ways to cover the text with tokens the cheapest, found from right to left, with
 * costs in whole ten-thousandths. Of equals the one with the longer first token counts. A character
 * that is no token becomes its bytes, which costs more than anything else. */
#include "engine/text/vocab.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/utf8.h"

enum {
    COST_UNKNOWN = 10000000,
    COST_MAX = 20000000, /* tokens that cost this much are never taken */
};

int plamo2_init(struct tokenizer *t, struct error *err)
{
    for (int b = 0; b < 256; b++)
        if (t->byte_tokens[b] < 0)
            return error_set(err, ERR_CORRUPT,
                             "the vocabulary has no token <0x%02X>, but its model 'plamo2' needs "
                             "one for every byte",
                             (unsigned)b);
    int r = words_init(t, err);
    for (int32_t id = 0; r == 0 && id < t->n_tokens; id++)
        if (!(t->attrs[id] & IS_BYTE))
            r = words_add(t, strtab_get(&t->strings, id), id, err);
    return r;
}

/* The best way from one place to the end of the text. */
struct plamo2_step {
    int64_t cost;
    uint32_t len; /* of its first token */
    int32_t id;   /* -1 = the bytes of a character */
};

static int64_t token_cost(const struct tokenizer *t, int32_t id)
{
    double score = round((double)t->scores[id] * 1e4);
    return score > -(double)COST_MAX && score < (double)INT32_MAX ? -(int64_t)score : COST_MAX;
}

/* Fills steps[at]; those behind it are known. */
static void step_choose(const struct tokenizer *t, struct str text, size_t at, size_t char_bytes,
                        struct plamo2_step *steps)
{
    struct plamo2_step best = {steps[at + char_bytes].cost + COST_UNKNOWN, (uint32_t)char_bytes,
                               -1};
    uint32_t node = 0;
    for (size_t end = at; end < text.len;) {
        node = trie_step(&t->words, node, (unsigned char)text.ptr[end++]);
        if (node == 0)
            break;
        int32_t id = t->words.values[node];
        if (id < 0 || token_cost(t, id) >= COST_MAX)
            continue;
        int64_t cost = steps[end].cost + token_cost(t, id);
        if (cost <= best.cost) /* equals: the longer one */
            best = (struct plamo2_step){cost, (uint32_t)(end - at), id};
    }
    steps[at] = best;
}

int plamo2_encode(struct encoder *e, struct str text, struct error *err)
{
    const struct tokenizer *t = e->t;
    CLEANUP_BUF struct buf valid = BUF_INIT(SIZE_MAX / 4);
    int r = text_make_valid(&text, &valid, err);
    if (r < 0)
        return r;
    if (str_starts_with(text, STR("\xef\xbb\xbf"))) /* a byte order mark */
        text = str_sub(text, 3, SIZE_MAX);
    CLEANUP_FREE struct plamo2_step *steps = alloc_array(text.len + 1, sizeof(*steps));
    if (!steps)
        return error_set(err, ERR_NOMEM, "no memory to tokenize %zu bytes of text", text.len);
    steps[text.len] = (struct plamo2_step){0};
    for (size_t end = text.len; end > 0;) {
        size_t at = end - 1;
        while (((unsigned char)text.ptr[at] & 0xc0) == 0x80)
            at--;
        step_choose(t, text, at, end - at, steps);
        end = at;
    }
    for (size_t at = 0; at < text.len; at += steps[at].len) {
        if (steps[at].id >= 0)
            encoder_emit(e, steps[at].id);
        for (size_t i = 0; steps[at].id < 0 && i < steps[at].len; i++)
            encoder_emit(e, t->byte_tokens[(unsigned char)text.ptr[at + i]]);
    }
    return 0;
}
