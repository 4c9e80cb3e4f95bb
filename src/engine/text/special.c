/* SPDX-License-Identifier: Apache-2.0
 *
 * Candidates are (end, node): where a token ends and which. When the best one of all is blocked at
 * its left end by something longer, the next shorter token with the same end takes its place in the
 * heap; blocked at its right end, nothing that ends there can be had any more. As tokens are
 * granted from long to short, a granted one never lies strictly inside a later candidate, so looking
 * at both ends of a candidate is enough. */
#include "engine/text/special.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/error.h"
#include "engine/text/vocab.h"

int special_init(struct special *s)
{
    *s = (struct special){0};
    return trie_init(&s->trie);
}

void special_release(struct special *s)
{
    trie_release(&s->trie);
    free(s->depth);
    free(s->fail);
    free(s->output);
    *s = (struct special){0};
}

int special_add(struct special *s, struct str text, int32_t id)
{
    return trie_add(&s->trie, text, id);
}

static uint32_t automaton_step(const struct special *s, uint32_t node, unsigned char byte)
{
    for (;;) {
        uint32_t next = trie_step(&s->trie, node, byte);
        if (next != 0 || node == 0)
            return next;
        node = s->fail[node];
    }
}

/* Nodes in order of their depth: a suffix link always leads to a smaller depth. */
static int nodes_by_depth(const struct trie *t, uint32_t *depth, uint32_t *order)
{
    CLEANUP_FREE uint32_t *first = alloc_array_zero((size_t)t->n + 1, sizeof(*first));
    if (!first)
        return -ERR_NOMEM;
    for (uint32_t i = 0; i < t->n; i++) { /* parents have smaller numbers */
        depth[i] = i > 0 ? depth[t->parents[i]] + 1 : 0;
        first[depth[i] + 1]++;
    }
    for (uint32_t d = 0; d < t->n; d++)
        first[d + 1] += first[d];
    for (uint32_t i = 0; i < t->n; i++)
        order[first[depth[i]]++] = i;
    return 0;
}

int special_finish(struct special *s)
{
    const struct trie *t = &s->trie;
    CLEANUP_FREE uint32_t *order = alloc_array(t->n, sizeof(*order));
    s->depth = alloc_array(t->n, sizeof(*s->depth));
    s->fail = alloc_array_zero(t->n, sizeof(*s->fail));
    s->output = alloc_array_zero(t->n, sizeof(*s->output));
    if (!order || !s->depth || !s->fail || !s->output || nodes_by_depth(t, s->depth, order) < 0)
        return -ERR_NOMEM;
    for (uint32_t i = 1; i < t->n; i++) {
        uint32_t node = order[i], parent = t->parents[node];
        if (parent != 0)
            s->fail[node] = automaton_step(s, s->fail[parent], t->bytes[node]);
        uint32_t fail = s->fail[node];
        s->output[node] = t->values[fail] >= 0 ? fail : s->output[fail];
    }
    return 0;
}

/* ---- the heap of candidates ---- */

struct candidate {
    uint32_t len, end;
    uint32_t node;
};

struct candidates {
    struct candidate *items;
    size_t n, cap;
};

static bool before(struct candidate a, struct candidate b)
{
    return a.len != b.len ? a.len > b.len : a.end < b.end;
}

static void sift_down(struct candidates *h, size_t i)
{
    struct candidate item = h->items[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= h->n)
            break;
        if (child + 1 < h->n && before(h->items[child + 1], h->items[child]))
            child++;
        if (!before(h->items[child], item))
            break;
        h->items[i] = h->items[child];
        i = child;
    }
    h->items[i] = item;
}

static int candidates_append(struct candidates *h, struct candidate c)
{
    if (h->n == h->cap) {
        size_t cap = h->cap > 0 ? h->cap * 2 : 64;
        struct candidate *items = reallocarray(h->items, cap, sizeof(*items));
        if (!items)
            return -ERR_NOMEM;
        h->items = items;
        h->cap = cap;
    }
    h->items[h->n++] = c;
    return 0;
}

/* ---- splitting ---- */

struct splitter {
    const struct special *s;
    struct str text;
    const uint16_t *attrs;
    bool parse_special;
    struct candidates heap;
    unsigned char *taken; /* per byte of the text */
    struct fragments found;
};

/* The token at this node or the next shorter one at the same end that may be used; 0 = none. */
static uint32_t usable(const struct splitter *sp, uint32_t node)
{
    const struct special *s = sp->s;
    if (s->trie.values[node] < 0)
        node = s->output[node];
    if (!sp->parse_special) {
        while (node != 0 && sp->attrs[s->trie.values[node]] & (IS_CONTROL | IS_UNKNOWN))
            node = s->output[node];
    }
    return node;
}

static int candidates_find(struct splitter *sp)
{
    uint32_t state = 0;
    for (size_t i = 0; i < sp->text.len; i++) {
        state = automaton_step(sp->s, state, (unsigned char)sp->text.ptr[i]);
        uint32_t node = state != 0 ? usable(sp, state) : 0;
        if (node == 0)
            continue;
        struct candidate c = {sp->s->depth[node], (uint32_t)i + 1, node};
        if (candidates_append(&sp->heap, c) < 0)
            return -ERR_NOMEM;
    }
    for (size_t i = sp->heap.n / 2; i-- > 0;)
        sift_down(&sp->heap, i);
    return 0;
}

static bool is_ascii_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static int fragments_append(struct fragments *f, struct fragment item)
{
    if (f->n == f->cap) {
        size_t cap = f->cap > 0 ? f->cap * 2 : 16;
        struct fragment *items = reallocarray(f->items, cap, sizeof(*items));
        if (!items)
            return -ERR_NOMEM;
        f->items = items;
        f->cap = cap;
    }
    f->items[f->n++] = item;
    return 0;
}

/* Takes the candidate, with the white space around it that its token swallows. */
static int grant(struct splitter *sp, size_t start, size_t end, int32_t id)
{
    if (sp->attrs[id] & STRIPS_LEFT) {
        while (start > 0 && !sp->taken[start - 1] && is_ascii_space(sp->text.ptr[start - 1]))
            start--;
    }
    if (sp->attrs[id] & STRIPS_RIGHT) {
        while (end < sp->text.len && !sp->taken[end] && is_ascii_space(sp->text.ptr[end]))
            end++;
    }
    memset(sp->taken + start, 1, end - start);
    return fragments_append(&sp->found, (struct fragment){start, end - start, id});
}

static int candidates_grant(struct splitter *sp)
{
    struct candidates *h = &sp->heap;
    while (h->n > 0) {
        struct candidate c = h->items[0];
        size_t start = c.end - c.len;
        if (!sp->taken[c.end - 1] && sp->taken[start]) {
            uint32_t shorter = sp->s->output[c.node];
            uint32_t node = shorter != 0 ? usable(sp, shorter) : 0;
            if (node != 0) {
                h->items[0] = (struct candidate){sp->s->depth[node], c.end, node};
                sift_down(h, 0);
                continue;
            }
        } else if (!sp->taken[c.end - 1]) {
            if (grant(sp, start, c.end, sp->s->trie.values[c.node]) < 0)
                return -ERR_NOMEM;
        }
        h->items[0] = h->items[--h->n];
        if (h->n > 0)
            sift_down(h, 0);
    }
    return 0;
}

static int by_start(const void *pa, const void *pb)
{
    const struct fragment *a = pa, *b = pb;
    return a->start < b->start ? -1 : a->start > b->start;
}

/* The tokens found, in order, with the text between them. */
static int fragments_join(struct splitter *sp, struct fragments *out)
{
    qsort(sp->found.items, sp->found.n, sizeof(*sp->found.items), by_start);
    size_t at = 0;
    for (size_t i = 0; i < sp->found.n; i++) {
        struct fragment f = sp->found.items[i];
        if (f.start > at && fragments_append(out, (struct fragment){at, f.start - at, -1}) < 0)
            return -ERR_NOMEM;
        if (fragments_append(out, f) < 0)
            return -ERR_NOMEM;
        at = f.start + f.len;
    }
    if (at < sp->text.len)
        return fragments_append(out, (struct fragment){at, sp->text.len - at, -1});
    return 0;
}

int special_split(const struct special *s, struct str text, const uint16_t *attrs,
                  bool parse_special, struct fragments *out)
{
    if (text.len == 0)
        return 0;
    struct splitter sp = {
        .s = s, .text = text, .attrs = attrs, .parse_special = parse_special,
    };
    int r = candidates_find(&sp);
    if (r == 0 && sp.heap.n == 0) {
        r = fragments_append(out, (struct fragment){0, text.len, -1});
    } else if (r == 0) {
        sp.taken = alloc_array_zero(text.len, 1);
        r = sp.taken ? candidates_grant(&sp) : -ERR_NOMEM;
        if (r == 0)
            r = fragments_join(&sp, out);
    }
    free(sp.heap.items);
    free(sp.taken);
    fragments_release(&sp.found);
    return r;
}

void fragments_release(struct fragments *f)
{
    free(f->items);
    *f = (struct fragments){0};
}
