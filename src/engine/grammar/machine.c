/* SPDX-License-Identifier: Apache-2.0
 *
 * Running a program. */
#include "engine/grammar/machine.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { MUCH = 1 << 17, LIMIT = 1 << 22, HASH_FIRST = 1 << 8 };

void machine_init(struct machine *m, const struct program *p)
{
    *m = (struct machine){.p = p, .n_frames = 1, .n_configs = 1};
    m->cap_frames = m->cap_configs = 64;
    m->frames = xcalloc(m->cap_frames, sizeof(*m->frames));
    m->configs = xcalloc(m->cap_configs, sizeof(*m->configs));
    m->n_frame_hash = m->n_config_hash = m->cap_steps = HASH_FIRST;
    m->frame_hash = xcalloc(HASH_FIRST, sizeof(*m->frame_hash));
    m->config_hash = xcalloc(HASH_FIRST, sizeof(*m->config_hash));
    m->steps = xcalloc(HASH_FIRST, sizeof(*m->steps));
}

void machine_release(struct machine *m)
{
    free(m->frames);
    free(m->configs);
    free(m->members);
    free(m->frame_hash);
    free(m->config_hash);
    free(m->steps);
    free(m->found);
    *m = (struct machine){0};
}

static uint32_t mix(uint64_t a, uint64_t b)
{
    uint64_t h = (a * 0x9e3779b97f4a7c15u) ^ (b + 0x7f4a7c15u);
    h = (h ^ (h >> 29)) * 0xff51afd7ed558ccdu;
    return (uint32_t)(h ^ (h >> 32));
}

/* ---- frames ---- */

static uint32_t frame_hash(const struct frame *f)
{
    return mix((uint64_t)f->state << 32 | f->count, f->parent);
}

static void frames_rehash(struct machine *m)
{
    free(m->frame_hash);
    m->n_frame_hash *= 2;
    m->frame_hash = xcalloc(m->n_frame_hash, sizeof(*m->frame_hash));
    for (uint32_t i = 1; i < m->n_frames; i++) {
        uint32_t at = frame_hash(&m->frames[i]);
        while (m->frame_hash[at & (m->n_frame_hash - 1)])
            at++;
        m->frame_hash[at & (m->n_frame_hash - 1)] = i;
    }
}

static uint32_t frame_intern(struct machine *m, uint32_t state, uint32_t count, uint32_t parent)
{
    const struct program_state *s = &m->p->states[state];
    if (s->max == NFA_NO_LIMIT)
        count = MIN(count, s->min); /* more makes no difference */
    struct frame f = {.state = state, .count = count, .parent = parent};
    uint32_t at = frame_hash(&f);
    for (;; at++) {
        uint32_t i = m->frame_hash[at & (m->n_frame_hash - 1)];
        if (i == 0)
            break;
        const struct frame *g = &m->frames[i];
        if (g->state == state && g->count == count && g->parent == parent)
            return i;
    }
    if (m->n_frames >= LIMIT) {
        m->full = true;
        return 0;
    }
    if (m->n_frames == m->cap_frames) {
        m->cap_frames *= 2;
        m->frames = xrealloc(m->frames, m->cap_frames, sizeof(*m->frames));
    }
    m->frames[m->n_frames] = f;
    m->frame_hash[at & (m->n_frame_hash - 1)] = m->n_frames++;
    if (m->n_frames * 2 > m->n_frame_hash)
        frames_rehash(m);
    return m->n_frames - 1;
}

/* ---- configurations ---- */

static int compare_ids(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static uint32_t config_hash(const uint32_t *ids, uint32_t n, bool ended)
{
    uint64_t h = (uint64_t)n * 2 + ended;
    for (uint32_t i = 0; i < n; i++)
        h = ((uint64_t)mix(h, ids[i]) << 32) | mix(ids[i], h);
    return mix(h, n);
}

static void configs_rehash(struct machine *m)
{
    free(m->config_hash);
    m->n_config_hash *= 2;
    m->config_hash = xcalloc(m->n_config_hash, sizeof(*m->config_hash));
    for (uint32_t i = 1; i < m->n_configs; i++) {
        const struct config *c = &m->configs[i];
        uint32_t at = config_hash(m->members + c->first, c->n, c->ended);
        while (m->config_hash[at & (m->n_config_hash - 1)])
            at++;
        m->config_hash[at & (m->n_config_hash - 1)] = i;
    }
}

/* The configuration of what was found. */
static uint32_t config_intern(struct machine *m)
{
    uint32_t n = m->n_found;
    bool ended = m->found_end;
    if ((n == 0 && !ended) || m->full)
        return CONFIG_DEAD;
    if (n > 1)
        qsort(m->found, n, sizeof(*m->found), compare_ids);
    uint32_t at = config_hash(m->found, n, ended);
    for (;; at++) {
        uint32_t i = m->config_hash[at & (m->n_config_hash - 1)];
        if (i == 0)
            break;
        const struct config *c = &m->configs[i];
        if (c->n == n && c->ended == ended &&
            (n == 0 || memcmp(m->members + c->first, m->found, n * sizeof(*m->found)) == 0))
            return i;
    }
    if (m->n_configs >= LIMIT || m->n_members + n > LIMIT) {
        m->full = true;
        return CONFIG_DEAD;
    }
    if (m->n_configs == m->cap_configs) {
        m->cap_configs *= 2;
        m->configs = xrealloc(m->configs, m->cap_configs, sizeof(*m->configs));
    }
    if (m->n_members + n > m->cap_members) {
        m->cap_members = (m->n_members + n) * 2;
        m->members = xrealloc(m->members, m->cap_members, sizeof(*m->members));
    }
    if (n > 0)
        memcpy(m->members + m->n_members, m->found, n * sizeof(*m->found));
    m->configs[m->n_configs] = (struct config){.first = m->n_members, .n = n, .ended = ended};
    m->n_members += n;
    m->config_hash[at & (m->n_config_hash - 1)] = m->n_configs++;
    if (m->n_configs * 2 > m->n_config_hash)
        configs_rehash(m);
    return m->n_configs - 1;
}

static void find_begin(struct machine *m)
{
    m->n_found = 0;
    m->found_end = false;
    m->stamp++;
}

static void find_push(struct machine *m, uint32_t frame)
{
    if (m->full || m->frames[frame].stamp == m->stamp)
        return;
    m->frames[frame].stamp = m->stamp;
    if (m->n_found == m->cap_found) {
        m->cap_found = m->cap_found ? m->cap_found * 2 : 64;
        m->found = xrealloc(m->found, m->cap_found, sizeof(*m->found));
    }
    m->found[m->n_found++] = frame;
}

static void find_left(struct machine *m, uint32_t parent)
{
    if (parent == FRAME_OUTSIDE)
        m->found_end = true;
    else
        find_push(m, parent);
}

/* Follows calls and ends from the frames found, then keeps those that wait for a byte. */
static uint32_t find_end(struct machine *m)
{
    for (uint32_t i = 0; i < m->n_found && !m->full; i++) {
        struct frame f = m->frames[m->found[i]];
        const struct program_state *s = &m->p->states[f.state];
        if (s->final)
            find_left(m, f.parent);
        for (uint32_t c = 0; c < s->n_calls && !m->full; c++) {
            const struct program_call *call = &m->p->calls[s->first_call + c];
            uint32_t parent =
                call->back ? frame_intern(m, call->back, f.count, f.parent) : f.parent;
            find_push(m, frame_intern(m, call->start, 0, parent));
        }
        if (m->n_found > CONFIG_FRAMES_MAX)
            m->full = true;
    }
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->n_found; i++)
        if (m->p->states[m->frames[m->found[i]].state].has_bytes)
            m->found[n++] = m->found[i];
    m->n_found = n;
    return config_intern(m);
}

uint32_t machine_enter(struct machine *m, uint32_t state, uint32_t count, uint32_t parent)
{
    find_begin(m);
    find_push(m, frame_intern(m, state, count, parent));
    return find_end(m);
}

uint32_t machine_alone(struct machine *m, uint32_t state, uint32_t count, uint32_t parent)
{
    find_begin(m);
    find_push(m, frame_intern(m, state, count, parent));
    return config_intern(m);
}

uint32_t machine_leave(struct machine *m, uint32_t parent)
{
    find_begin(m);
    find_left(m, parent);
    return find_end(m);
}

/* ---- steps ---- */

static void steps_rehash(struct machine *m)
{
    __typeof__(m->steps) old = m->steps;
    uint32_t n = m->cap_steps;
    m->cap_steps *= 2;
    m->steps = xcalloc(m->cap_steps, sizeof(*m->steps));
    for (uint32_t i = 0; i < n; i++) {
        if (!old[i].key)
            continue;
        uint32_t at = mix(old[i].key, 0);
        while (m->steps[at & (m->cap_steps - 1)].key)
            at++;
        m->steps[at & (m->cap_steps - 1)] = old[i];
    }
    free(old);
}

static uint32_t compute_step(struct machine *m, uint32_t config, uint32_t cls)
{
    struct config c = m->configs[config];
    find_begin(m);
    for (uint32_t i = 0; i < c.n; i++) {
        struct frame f = m->frames[m->members[c.first + i]];
        const struct program_state *s = &m->p->states[f.state];
        uint32_t to = m->p->to[(size_t)f.state * m->p->n_cls + cls];
        if (to == 0 || ((to & TO_GUARDED) && f.count < s->min) ||
            ((to & TO_COUNTS) && f.count >= s->max))
            continue;
        find_push(m, frame_intern(m, to & TO_STATE, f.count + ((to & TO_COUNTS) != 0), f.parent));
    }
    return find_end(m);
}

uint32_t machine_step(struct machine *m, uint32_t config, uint8_t byte)
{
    if (config == CONFIG_DEAD)
        return CONFIG_DEAD;
    uint32_t cls = m->p->cls[byte];
    uint64_t key = (uint64_t)config << 8 | cls;
    uint32_t at = mix(key, 0);
    for (; m->steps[at & (m->cap_steps - 1)].key; at++)
        if (m->steps[at & (m->cap_steps - 1)].key == key)
            return m->steps[at & (m->cap_steps - 1)].config;
    uint32_t to = compute_step(m, config, cls);
    if (m->full)
        return CONFIG_DEAD;
    m->steps[at & (m->cap_steps - 1)].key = key;
    m->steps[at & (m->cap_steps - 1)].config = to;
    if (++m->n_steps * 2 > m->cap_steps)
        steps_rehash(m);
    return to;
}

uint32_t machine_compact(struct machine *m, uint32_t config, bool *ret_forgot)
{
    *ret_forgot =
        m->n_frames > MUCH || m->n_configs > MUCH || m->n_steps > MUCH || m->n_members > MUCH * 4;
    if (!*ret_forgot || config == CONFIG_DEAD)
        return config;
    struct machine to;
    machine_init(&to, m->p);
    /* A frame's number is above its parent's: mark down, then copy up. */
    uint32_t *number = xcalloc(m->n_frames, sizeof(*number));
    struct config c = m->configs[config];
    for (uint32_t i = 0; i < c.n; i++)
        number[m->members[c.first + i]] = 1;
    for (uint32_t i = m->n_frames; i-- > 1;)
        if (number[i])
            number[m->frames[i].parent] = 1;
    number[0] = 0;
    for (uint32_t i = 1; i < m->n_frames; i++)
        if (number[i])
            number[i] = frame_intern(&to, m->frames[i].state, m->frames[i].count,
                                     number[m->frames[i].parent]);
    find_begin(&to);
    to.found_end = c.ended;
    for (uint32_t i = 0; i < c.n; i++)
        find_push(&to, number[m->members[c.first + i]]);
    config = config_intern(&to);
    free(number);
    machine_release(m);
    *m = to;
    return config;
}
