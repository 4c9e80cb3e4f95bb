/* SPDX-License-Identifier: Apache-2.0
 *
 * The masks of single states, computed once for all matchers of a grammar.
 *
 * A token is decided by the state alone unless it goes on after the end of the state's rule: then
 * it depends on who called it. Those tokens are only collected here, as subtrees of the trie.
 *
 * In a plain state (inside of a string, mostly, where nearly all of the vocabulary fits) the walk
 * needs no stack, and what the rule counts is taken along, so that one mask serves every count. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/grammar/grammar_internal.h"

enum { MASKS_MAX = 2048, BUSY_BYTES = 64 };

static void state_mask_free(struct state_mask *m)
{
    free(m->fits);
    free(m->leaves);
    free(m->leave_counts);
    free(m->order);
    free(m->order_end);
    free(m);
}

void grammar_masks_release(struct grammar *g)
{
    for (uint32_t i = 0; i < g->n_table; i++)
        if (g->masks[i])
            state_mask_free(g->masks[i]);
    free(g->masks);
}

static void add_leave(struct state_mask *m, uint32_t node, uint32_t count)
{
    if ((m->n_leaves & (m->n_leaves - 1)) == 0) {
        size_t cap = m->n_leaves ? (size_t)m->n_leaves * 2 : 1;
        m->leaves = xrealloc(m->leaves, cap, sizeof(*m->leaves));
        m->leave_counts = xrealloc(m->leave_counts, cap, sizeof(*m->leave_counts));
    }
    m->leaves[m->n_leaves] = node;
    m->leave_counts[m->n_leaves++] = (uint16_t)count;
}

static void compute_plain(const struct program *p, const struct grammar_vocab *v,
                          struct state_mask *m)
{
    uint32_t *states = xcalloc(v->max_depth + 2, sizeof(*states));
    uint16_t *counts = xcalloc(v->max_depth + 2, sizeof(*counts));
    bool counted = p->states[m->state].max != NFA_NO_LIMIT;
    uint16_t *by_token = counted ? xcalloc((size_t)v->n_tokens + 1, sizeof(*by_token)) : NULL;
    uint32_t *ends = counted ? xcalloc(v->max_depth + 2, sizeof(*ends)) : NULL;
    states[0] = m->state;
    for (uint32_t i = 1; i < v->n_nodes;) {
        const struct trie_node *n = &v->nodes[i];
        uint32_t to = p->to[(size_t)states[n->depth - 1] * p->n_cls + p->cls[n->byte]];
        uint32_t count = counts[n->depth - 1] + (to & TO_COUNTS ? 1u : 0u);
        if (to == 0) {
            i = n->skip;
            continue;
        }
        if (p->states[to & TO_STATE].final) {
            add_leave(m, i, count);
            i = n->skip;
            continue;
        }
        states[n->depth] = to & TO_STATE;
        counts[n->depth] = (uint16_t)count;
        for (uint32_t t = n->token; t < n[1].token; t++) {
            mask_set(m->fits, v->tokens[t]);
            if (counted) {
                by_token[v->tokens[t]] = (uint16_t)count;
                ends[count]++;
            }
        }
        i++;
    }
    if (counted) { /* a counting sort */
        for (uint32_t k = 1; k <= v->max_depth; k++)
            ends[k] += ends[k - 1];
        m->n_order = ends[v->max_depth];
        m->order = xcalloc((size_t)m->n_order + 1, sizeof(*m->order));
        uint32_t *at = xcalloc(v->max_depth + 2, sizeof(*at));
        for (uint32_t k = 1; k <= v->max_depth; k++)
            at[k] = ends[k - 1];
        for (uint32_t t = 0; t < v->n_tokens; t++)
            if (mask_has(m->fits, (int32_t)t))
                m->order[at[by_token[t]]++] = (int32_t)t;
        free(at);
        m->order_end = ends;
    }
    free(by_token);
    free(states);
    free(counts);
}

static bool compute_stacked(const struct program *p, const struct grammar_vocab *v,
                            struct state_mask *m)
{
    struct machine machine;
    machine_init(&machine, p);
    uint32_t *configs = xcalloc(v->max_depth + 2, sizeof(*configs));
    bool *left = xcalloc(v->max_depth + 2, sizeof(*left));
    configs[0] = machine_alone(&machine, m->state, m->count, FRAME_OUTSIDE);
    for (uint32_t i = 1; i < v->n_nodes && !machine.full;) {
        const struct trie_node *n = &v->nodes[i];
        uint32_t to = machine_step(&machine, configs[n->depth - 1], n->byte);
        if (to == CONFIG_DEAD) {
            if (left[n->depth - 1])
                add_leave(m, i, 0);
            i = n->skip;
            continue;
        }
        configs[n->depth] = to;
        left[n->depth] = left[n->depth - 1] || machine.configs[to].ended;
        for (uint32_t t = n->token; t < n[1].token; t++)
            mask_set(m->fits, v->tokens[t]);
        i++;
    }
    bool ok = !machine.full;
    machine_release(&machine);
    free(configs);
    free(left);
    return ok;
}

static uint32_t hash_state(uint32_t state, uint32_t count)
{
    uint64_t h = ((uint64_t)state << 32 | count) * 0x9e3779b97f4a7c15u;
    return (uint32_t)(h >> 32);
}

static void grow_table(struct grammar *g)
{
    struct state_mask **old = g->masks;
    uint32_t n = g->n_table;
    g->n_table = n ? n * 2 : 64;
    g->masks = xcalloc(g->n_table, sizeof(struct state_mask *));
    for (uint32_t i = 0; i < n; i++) {
        if (!old[i])
            continue;
        uint32_t at = hash_state(old[i]->state, old[i]->count);
        while (g->masks[at & (g->n_table - 1)])
            at++;
        g->masks[at & (g->n_table - 1)] = old[i];
    }
    free(old);
}

static const struct state_mask *find_or_compute(struct grammar *g, const struct grammar_vocab *v,
                                                uint32_t state, uint32_t count)
{
    if (g->n_masks * 2 >= g->n_table)
        grow_table(g);
    uint32_t at = hash_state(state, count);
    for (; g->masks[at & (g->n_table - 1)]; at++) {
        const struct state_mask *m = g->masks[at & (g->n_table - 1)];
        if (m->state == state && m->count == count)
            return m;
    }
    if (g->n_masks >= MASKS_MAX)
        return NULL;
    struct state_mask *m = xcalloc(1, sizeof(*m));
    m->state = state;
    m->count = count;
    m->fits = xcalloc((size_t)v->n_words + 1, sizeof(*m->fits));
    if (g->program.states[state].plain) {
        compute_plain(&g->program, v, m);
    } else if (!compute_stacked(&g->program, v, m)) {
        state_mask_free(m);
        return NULL;
    }
    g->masks[at & (g->n_table - 1)] = m;
    g->n_masks++;
    return m;
}

const struct state_mask *grammar_state_mask(struct grammar *g, const struct grammar_vocab *v,
                                            uint32_t state, uint32_t count)
{
    if (g->program.states[state].plain)
        count = 0;
    pthread_mutex_lock(&g->lock);
    if (!g->vocab)
        g->vocab = v;
    const struct state_mask *m = g->vocab == v ? find_or_compute(g, v, state, count) : NULL;
    pthread_mutex_unlock(&g->lock);
    return m;
}

int grammar_prepare(struct grammar *g, const struct grammar_vocab *v, struct error *err)
{
    const struct program *p = &g->program;
    if (v->n_tokens == 0)
        return error_set(err, ERR_INVALID, "the vocabulary is empty");
    uint32_t n_prepared = 0;
    for (uint32_t i = 1; i < p->n_states && n_prepared < 32; i++) {
        unsigned n = 0;
        for (unsigned b = 0; b < 256 && p->states[i].plain; b++)
            n += p->to[(size_t)i * p->n_cls + p->cls[b]] != 0;
        if (n < BUSY_BYTES)
            continue;
        n_prepared++;
        grammar_state_mask(g, v, i, 0);
    }
    return 0;
}
