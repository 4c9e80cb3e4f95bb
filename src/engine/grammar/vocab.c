/* SPDX-License-Identifier: Apache-2.0
 *
 * The trie of a vocabulary. */
#include "engine/grammar/vocab.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

struct entry {
    struct str bytes;
    int32_t id;
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int c = str_cmp(x->bytes, y->bytes);
    return c ? c : (x->id > y->id) - (x->id < y->id);
}

static void build(struct grammar_vocab *v, const struct entry *entries, uint32_t n)
{
    uint32_t path[TOKEN_BYTES_MAX + 1] = {0}, depth = 0;
    struct str last = {"", 0};
    v->n_nodes = 1;
    for (uint32_t i = 0; i < n; i++) {
        struct str s = entries[i].bytes;
        uint32_t common = 0;
        while (common < depth && common < s.len && s.ptr[common] == last.ptr[common])
            common++;
        for (uint32_t d = depth; d > common; d--)
            v->nodes[path[d]].skip = v->n_nodes;
        for (uint32_t d = common; d < s.len; d++) {
            v->nodes[v->n_nodes] = (struct trie_node){
                .up = path[d], .token = i, .depth = (uint16_t)(d + 1), .byte = (uint8_t)s.ptr[d]};
            path[d + 1] = v->n_nodes++;
        }
        depth = (uint32_t)s.len;
        last = s;
        v->tokens[i] = entries[i].id;
    }
    for (uint32_t d = depth + 1; d-- > 0;)
        v->nodes[path[d]].skip = v->n_nodes;
    v->nodes[v->n_nodes] = (struct trie_node){.skip = v->n_nodes, .token = n};
}

int grammar_vocab_create(const struct str *tokens, uint32_t n, const int32_t *eog, size_t n_eog,
                         struct grammar_vocab **ret, struct error *err)
{
    size_t total = 0;
    for (uint32_t i = 0; i < n; i++)
        total += tokens[i].len;
    struct grammar_vocab *v = xcalloc(1, sizeof(*v));
    v->n_tokens = n;
    v->n_words = (n + 63) / 64;
    v->eog = xcalloc((size_t)v->n_words + 1, sizeof(*v->eog));
    for (size_t i = 0; i < n_eog; i++)
        if (eog[i] >= 0 && (uint32_t)eog[i] < n)
            mask_set(v->eog, eog[i]);
    struct entry *entries = alloc_array((size_t)n + 1, sizeof(*entries));
    v->bytes = alloc_array((size_t)n + 1, sizeof(*v->bytes));
    v->text = alloc_array(total + 1, 1);
    v->tokens = alloc_array((size_t)n + 1, sizeof(*v->tokens));
    v->nodes = alloc_array(total + 2, sizeof(*v->nodes));
    if (!entries || !v->bytes || !v->text || !v->tokens || !v->nodes) {
        free(entries);
        grammar_vocab_free(v);
        return error_set(err, ERR_NOMEM, "out of memory for a vocabulary of %u tokens", n);
    }
    char *to = v->text;
    uint32_t used = 0;
    for (uint32_t i = 0; i < n; i++) {
        v->bytes[i] = (struct str){to, tokens[i].len};
        if (tokens[i].len > 0)
            memcpy(to, tokens[i].ptr, tokens[i].len);
        to += tokens[i].len;
        if (tokens[i].len == 0 || tokens[i].len > TOKEN_BYTES_MAX || mask_has(v->eog, (int32_t)i))
            continue;
        entries[used++] = (struct entry){v->bytes[i], (int32_t)i};
        v->max_depth = MAX(v->max_depth, (uint32_t)tokens[i].len);
    }
    qsort(entries, used, sizeof(*entries), compare_entries);
    v->nodes[0] = (struct trie_node){0};
    build(v, entries, used);
    free(entries);
    *ret = v;
    return 0;
}

void grammar_vocab_free(struct grammar_vocab *v)
{
    if (!v)
        return;
    free(v->nodes);
    free(v->tokens);
    free(v->bytes);
    free(v->text);
    free(v->eog);
    free(v);
}
