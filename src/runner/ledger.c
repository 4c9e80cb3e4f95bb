/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory of the engines, see ledger.h. */
#include "runner/ledger.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "runner/scheduler_internal.h"

/* Memory that other programs let go wakes nobody. */
enum { LOOK_AGAIN_MS = 500 };

static uint64_t needed(const struct runner *r)
{
    return r->need.weights + r->need.context;
}

static uint64_t in_memory(const struct runner *r)
{
    return r->process && r->process_alive ? memory_of_process(process_pid(r->process)) : 0;
}

/* What it counts with, when so much of it is in memory. */
static uint64_t counted(const struct runner *r, uint64_t real)
{
    return r->let_in ? MAX(real, needed(r)) : real;
}

uint64_t ledger_held(const struct runner *r)
{
    return counted(r, in_memory(r));
}

struct room {
    uint64_t now;  /* bytes for one more engine beside all others; UINT64_MAX = nobody knows */
    uint64_t most; /* the same if all others were gone */
    bool limited;  /* by --max-memory more than by the machine */
};

static struct room find_room(const struct runner *r)
{
    const struct scheduler *s = r->s;
    uint64_t held = 0, promised = 0, real_sum = 0;
    for (const struct runner *other = s->runners; other; other = other->next) {
        if (other == r || !(other->let_in || other->process_alive))
            continue;
        uint64_t real = in_memory(other), all = counted(other, real);
        held += all;
        real_sum += real;
        promised += all - real;
    }
    uint64_t there = memory_available();
    uint64_t machine = there == 0 ? UINT64_MAX : there - MIN(there, promised);
    uint64_t machine_most = there == 0 ? UINT64_MAX : there + real_sum;
    uint64_t limit = s->max_memory ? s->max_memory : UINT64_MAX;
    uint64_t limit_now = s->max_memory ? limit - MIN(limit, held) : UINT64_MAX;
    return (struct room){.now = MIN(limit_now, machine),
                         .most = MIN(limit, machine_most),
                         .limited = limit_now < machine};
}

static bool is_next(const struct runner *r)
{
    for (const struct runner *other = r->s->runners; other; other = other->next)
        if (other->waits && other->number < r->number)
            return false;
    return true;
}

/* "; ai/a holds 4.0 GiB and is in use, …"; false when nobody holds anything. */
static bool tell_holders(const struct runner *r, struct buf *out)
{
    bool any = false;
    for (const struct runner *other = r->s->runners; other; other = other->next) {
        uint64_t held = other == r ? 0 : ledger_held(other);
        if (held == 0)
            continue;
        char text[MEMORY_TEXT_MAX];
        memory_text(held, text);
        buf_printf(out, "; %s holds %s and %s", other->typed, text,
                   other->in_use > 0 || other->waiters > 0 ? "is in use"
                   : other->state == RUNNER_LOADING        ? "is being loaded"
                   : runner_is_pinned(other)               ? "is to be kept (keep-alive -1)"
                                                           : "is being unloaded");
        any = true;
    }
    return any;
}

static int no_room(const struct runner *r, const struct room *room, struct error *err)
{
    char whole[MEMORY_TEXT_MAX], weights[MEMORY_TEXT_MAX], context[MEMORY_TEXT_MAX],
        there[MEMORY_TEXT_MAX], all[MEMORY_TEXT_MAX];
    bool never = needed(r) > room->most;
    memory_text(needed(r), whole);
    memory_text(r->need.weights, weights);
    memory_text(r->need.context, context);
    memory_text(never ? room->most : room->now, there);
    CLEANUP_BUF struct buf text = BUF_INIT(16 * 1024);
    buf_printf(&text, "not enough memory: %s needs about %s (weights %s", r->typed, whole, weights);
    if (r->need.context > 0)
        buf_printf(&text, ", %" PRIu64 " tokens of context %s", r->need.context_tokens, context);
    buf_printf(&text, never ? ") and at most %s can be had" : ") and %s are free", there);
    if (room->limited) {
        memory_text(r->s->max_memory, all);
        buf_printf(&text, " (--max-memory allows %s)", all);
    }
    bool held = !never && tell_holders(r, &text);
    buf_append(&text, held ? STR(". Try again when they are done, or unload one")
                           : STR(". Use a smaller model or quantization, a smaller context (docker "
                                 "model configure --context-size), or close other programs"));
    return error_set(err, held ? ERR_BUSY : ERR_NOMEM, "%s", buf_cstr(&text));
}

/* Does anybody hold memory that may come back by itself? */
static bool somebody_holds(const struct runner *r)
{
    for (const struct runner *other = r->s->runners; other; other = other->next)
        if (other != r && (other->let_in || other->process_alive) &&
            (other->state != RUNNER_READY || !runner_is_idle(other)))
            return true;
    return false;
}

int ledger_admit(struct runner *r, struct error *err)
{
    struct scheduler *s = r->s;
    int64_t give_up_ms = clock_mono_ms() + s->wait_timeout_ms;
    int result = 0;
    pthread_mutex_lock(&s->lock);
    r->waits = true;
    while (result == 0 && !r->let_in) {
        const struct room room = find_room(r);
        bool first = is_next(r);
        if (r->state != RUNNER_LOADING)
            result = error_set(err, ERR_CANCELED, "the model was unloaded");
        else if (needed(r) > room.most || clock_mono_ms() >= give_up_ms)
            result = no_room(r, &room, err);
        else if (first && needed(r) <= room.now)
            r->let_in = true;
        else if (first && !scheduler_make_room(s, false) && !somebody_holds(r))
            result = no_room(r, &room, err);
        else
            scheduler_wait_change(s, MIN(give_up_ms, clock_mono_ms() + LOOK_AGAIN_MS));
    }
    r->waits = false;
    pthread_cond_broadcast(&s->changed); /* the next in the order may look */
    pthread_mutex_unlock(&s->lock);
    return result;
}
