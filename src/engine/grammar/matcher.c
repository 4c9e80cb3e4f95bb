/* SPDX-License-Identifier: Apache-2.0
 *
 * Matchers: a text on its way through a grammar, and the mask for its next token. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/grammar/grammar_internal.h"

enum { RECENT_MASKS = 32, RECENT_EXITS = 64 };

/* The tokens that leave a plain state and fit what comes then. */
struct exits {
    const struct state_mask *mask; /* NULL = nothing here */
    uint32_t parent, n;
    struct {
        int32_t id;
        uint32_t count;
    } * list;
};

struct matcher {
    struct grammar *g;
    const struct grammar_vocab *v;
    struct machine machine;
    uint32_t config;
    uint32_t *path_nodes, *path_configs; /* [max_depth + 2] */
    uint64_t *scratch;                   /* [n_words] */
    struct {
        uint32_t config;
        uint64_t *mask;
    } recent[RECENT_MASKS];
    struct exits exits[RECENT_EXITS];
};

int matcher_create(struct grammar *g, const struct grammar_vocab *vocab, struct matcher **ret,
                   struct error *err)
{
    struct matcher *m = xcalloc(1, sizeof(*m));
    m->g = grammar_ref(g);
    m->v = vocab;
    machine_init(&m->machine, &g->program);
    m->config = machine_enter(&m->machine, g->program.start, 0, FRAME_OUTSIDE);
    if (m->machine.full) {
        matcher_free(m);
        return error_set(err, ERR_TOO_LARGE, "the grammar is too ambiguous");
    }
    if (vocab) {
        m->path_nodes = xcalloc(vocab->max_depth + 2, sizeof(*m->path_nodes));
        m->path_configs = xcalloc(vocab->max_depth + 2, sizeof(*m->path_configs));
        m->scratch = xcalloc((size_t)vocab->n_words + 1, sizeof(*m->scratch));
    }
    *ret = m;
    return 0;
}

/* The numbers of configurations mean something else now. */
static void forget(struct matcher *m)
{
    for (int i = 0; i < RECENT_MASKS; i++)
        m->recent[i].config = CONFIG_DEAD;
    for (int i = 0; i < RECENT_EXITS; i++)
        m->exits[i].mask = NULL;
}

void matcher_free(struct matcher *m)
{
    if (!m)
        return;
    for (int i = 0; i < RECENT_MASKS; i++)
        free(m->recent[i].mask);
    for (int i = 0; i < RECENT_EXITS; i++)
        free(m->exits[i].list);
    machine_release(&m->machine);
    free(m->path_nodes);
    free(m->path_configs);
    free(m->scratch);
    grammar_unref(m->g);
    free(m);
}

bool matcher_accept(struct matcher *m, struct str bytes)
{
    for (size_t i = 0; i < bytes.len && m->config != CONFIG_DEAD; i++) {
        bool forgot;
        m->config = machine_compact(&m->machine, m->config, &forgot);
        if (forgot)
            forget(m);
        m->config = machine_step(&m->machine, m->config, (uint8_t)bytes.ptr[i]);
    }
    return m->config != CONFIG_DEAD;
}

bool matcher_accept_token(struct matcher *m, int32_t id)
{
    if (id < 0 || (uint32_t)id >= m->v->n_tokens) {
        m->config = CONFIG_DEAD;
        return false;
    }
    if (mask_has(m->v->eog, id))
        return matcher_may_end(m);
    if (m->v->bytes[id].len == 0)
        m->config = CONFIG_DEAD;
    return matcher_accept(m, m->v->bytes[id]);
}

bool matcher_may_end(const struct matcher *m)
{
    return m->config != CONFIG_DEAD && m->machine.configs[m->config].ended;
}

bool matcher_gave_up(const struct matcher *m)
{
    return m->machine.full;
}

bool matcher_may_go_on(const struct matcher *m)
{
    return m->config != CONFIG_DEAD && m->machine.configs[m->config].n > 0;
}

/* ---- masks ---- */

/* Sets the tokens of a subtree that fit. The configuration at its root is m->path_configs[its
 * depth]; the root's own tokens are the caller's. */
static void walk_below(struct matcher *m, uint32_t root, uint64_t *mask)
{
    const struct trie_node *nodes = m->v->nodes;
    for (uint32_t i = root + 1; i < nodes[root].skip;) {
        const struct trie_node *n = &nodes[i];
        uint32_t to = machine_step(&m->machine, m->path_configs[n->depth - 1], n->byte);
        if (to == CONFIG_DEAD) {
            i = n->skip;
            continue;
        }
        m->path_configs[n->depth] = to;
        for (uint32_t t = n->token; t < n[1].token; t++)
            mask_set(mask, m->v->tokens[t]);
        i++;
    }
}

/* The configuration at a node, along the path from the root; what the last call has found on the
 * common part of both paths is used again. */
static uint32_t config_at(struct matcher *m, uint32_t node, uint32_t *known_depth)
{
    const struct trie_node *nodes = m->v->nodes;
    uint32_t chain[TOKEN_BYTES_MAX + 1], n = 0, at = node;
    while (nodes[at].depth > *known_depth || m->path_nodes[nodes[at].depth] != at) {
        chain[n++] = at;
        at = nodes[at].up;
    }
    uint32_t config = m->path_configs[nodes[at].depth];
    while (n > 0 && config != CONFIG_DEAD) {
        at = chain[--n];
        config = machine_step(&m->machine, config, nodes[at].byte);
        m->path_nodes[nodes[at].depth] = at;
        m->path_configs[nodes[at].depth] = config;
    }
    *known_depth = nodes[at].depth;
    return config;
}

static void add_stacked_leaves(struct matcher *m, const struct state_mask *s, uint64_t *mask)
{
    uint32_t known = 0;
    m->path_nodes[0] = 0;
    m->path_configs[0] = m->config;
    for (uint32_t i = 0; i < s->n_leaves; i++) {
        uint32_t node = s->leaves[i];
        if (config_at(m, node, &known) == CONFIG_DEAD)
            continue;
        const struct trie_node *n = &m->v->nodes[node];
        for (uint32_t t = n->token; t < n[1].token; t++)
            mask_set(mask, m->v->tokens[t]);
        walk_below(m, node, mask);
    }
}

static const struct exits *exits_of(struct matcher *m, const struct state_mask *s, uint32_t parent)
{
    struct exits *e =
        &m->exits[(s->state * 2654435761u + parent * 40503u) >> 7 & (RECENT_EXITS - 1)];
    if (e->mask == s && e->parent == parent)
        return e;
    uint32_t config = machine_leave(&m->machine, parent), n = 0, cap = 0;
    free(e->list);
    e->list = NULL;
    for (uint32_t i = 0; i < s->n_leaves && config != CONFIG_DEAD; i++) {
        const struct trie_node *root = &m->v->nodes[s->leaves[i]];
        m->path_configs[root->depth] = config;
        for (uint32_t k = s->leaves[i]; k < root->skip;) {
            const struct trie_node *node = &m->v->nodes[k];
            if (k != s->leaves[i]) {
                uint32_t to =
                    machine_step(&m->machine, m->path_configs[node->depth - 1], node->byte);
                if (to == CONFIG_DEAD) {
                    k = node->skip;
                    continue;
                }
                m->path_configs[node->depth] = to;
            }
            for (uint32_t t = node->token; t < node[1].token; t++) {
                if (n == cap) {
                    cap = cap ? cap * 2 : 64;
                    e->list = xrealloc(e->list, cap, sizeof(*e->list));
                }
                e->list[n].id = m->v->tokens[t];
                e->list[n++].count = s->leave_counts[i];
            }
            k++;
        }
    }
    e->mask = s;
    e->parent = parent;
    e->n = n;
    return e;
}

static void add_plain(struct matcher *m, const struct state_mask *s, const struct frame *f,
                      uint64_t *mask)
{
    const struct program_state *state = &m->g->program.states[f->state];
    uint32_t n_words = m->v->n_words, room = state->max - f->count;
    if (state->max == NFA_NO_LIMIT || room >= m->v->max_depth) {
        for (uint32_t w = 0; w < n_words; w++)
            mask[w] |= s->fits[w];
    } else if (s->order_end[room] <= s->n_order / 2) {
        for (uint32_t i = 0; i < s->order_end[room]; i++)
            mask_set(mask, s->order[i]);
    } else {
        memcpy(m->scratch, s->fits, n_words * sizeof(*mask));
        for (uint32_t i = s->order_end[room]; i < s->n_order; i++)
            m->scratch[(uint32_t)s->order[i] / 64] &=
                ~((uint64_t)1 << ((uint32_t)s->order[i] % 64));
        for (uint32_t w = 0; w < n_words; w++)
            mask[w] |= m->scratch[w];
    }
    const struct exits *e = exits_of(m, s, f->parent);
    for (uint32_t i = 0; i < e->n; i++) {
        uint64_t count = (uint64_t)f->count + e->list[i].count;
        if (count >= state->min && count <= state->max)
            mask_set(mask, e->list[i].id);
    }
}

static void compute(struct matcher *m, uint64_t *mask)
{
    struct config c = m->machine.configs[m->config];
    for (uint32_t i = 0; i < c.n; i++) {
        struct frame f = m->machine.frames[m->machine.members[c.first + i]];
        const struct state_mask *s = grammar_state_mask(m->g, m->v, f.state, f.count);
        if (!s) { /* no room to remember it: all of the vocabulary is looked at */
            m->path_configs[0] = m->config;
            walk_below(m, 0, mask);
            return;
        }
        if (m->g->program.states[f.state].plain) {
            add_plain(m, s, &f, mask);
            continue;
        }
        for (uint32_t w = 0; w < m->v->n_words; w++)
            mask[w] |= s->fits[w];
        add_stacked_leaves(m, s, mask);
    }
}

int matcher_mask(struct matcher *m, uint64_t *mask, struct error *err)
{
    bool forgot;
    memset(mask, 0, m->v->n_words * sizeof(*mask));
    m->config = machine_compact(&m->machine, m->config, &forgot);
    if (forgot)
        forget(m);
    if (m->config == CONFIG_DEAD)
        return error_set(err, ERR_INTERNAL, "the text does not fit its grammar any more");
    uint32_t at = m->config % RECENT_MASKS;
    if (m->recent[at].config == m->config) {
        memcpy(mask, m->recent[at].mask, m->v->n_words * sizeof(*mask));
        return 0;
    }
    compute(m, mask);
    if (m->machine.full)
        return error_set(err, ERR_TOO_LARGE, "the answer is too ambiguous in its grammar to go on");
    if (matcher_may_end(m))
        for (uint32_t w = 0; w < m->v->n_words; w++)
            mask[w] |= m->v->eog[w];
    if (!m->recent[at].mask)
        m->recent[at].mask = xcalloc((size_t)m->v->n_words + 1, sizeof(*mask));
    memcpy(m->recent[at].mask, mask, m->v->n_words * sizeof(*mask));
    m->recent[at].config = m->config;
    return 0;
}
