/* SPDX-License-Identifier: Apache-2.0
 *
 * The limit of reasoning, see reasoning_watch.h. */
#include "engine/run/reasoning_watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { TEXT_MAX = 1 << 20 };

int reasoning_watch_init(struct reasoning_watch *w, const struct reasoning_limit *limit,
                         struct error *err)
{
    *w = (struct reasoning_watch){.text = BUF_INIT(TEXT_MAX), .rest = BUF_INIT(TEXT_MAX)};
    if (limit->n_force == 0)
        return 0;
    int r = stop_matcher_init(&w->open, &limit->open, 1, err);
    if (r == 0)
        r = stop_matcher_init(&w->close, &limit->close, 1, err);
    if (r < 0)
        return r;
    w->force = xcalloc(limit->n_force, sizeof(*w->force));
    memcpy(w->force, limit->force, limit->n_force * sizeof(*w->force));
    w->n_force = limit->n_force;
    w->n_left = limit->n_tokens;
    w->state = limit->open.len > 0 ? WATCH_OUTSIDE : w->n_left > 0 ? WATCH_INSIDE : WATCH_ENDING;
    return 0;
}

void reasoning_watch_release(struct reasoning_watch *w)
{
    stop_matcher_release(&w->open);
    stop_matcher_release(&w->close);
    buf_release(&w->text);
    buf_release(&w->rest);
    free(w->force);
    *w = (struct reasoning_watch){0};
}

int32_t reasoning_watch_forces(const struct reasoning_watch *w)
{
    return w->state == WATCH_ENDING ? w->force[w->n_forced] : -1;
}

void reasoning_watch_give_up(struct reasoning_watch *w)
{
    w->state = WATCH_NOTHING;
}

/* The marks are looked for in the names of control tokens, too. */
static bool found(struct reasoning_watch *w, struct stop_matcher *m)
{
    buf_clear(&w->rest);
    return stop_matcher_feed(m, buf_str(&w->text), &w->rest);
}

void reasoning_watch_feed(struct reasoning_watch *w, struct str text)
{
    if (w->state == WATCH_NOTHING)
        return;
    buf_clear(&w->text);
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] != '\xff')
            buf_push(&w->text, text.ptr[i]);
    switch (w->state) {
    case WATCH_OUTSIDE:
        if (found(w, &w->open))
            w->state = w->n_left > 0 ? WATCH_INSIDE : WATCH_ENDING;
        break;
    case WATCH_INSIDE:
        if (found(w, &w->close))
            w->state = WATCH_NOTHING; /* it ended by itself */
        else if (--w->n_left == 0)
            w->state = WATCH_ENDING;
        break;
    default:
        if (++w->n_forced == w->n_force)
            w->state = WATCH_NOTHING;
    }
}
