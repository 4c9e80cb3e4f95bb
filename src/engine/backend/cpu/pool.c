/* SPDX-License-Identifier: Apache-2.0
 *
 * The thread pool.
 *
 * `turn` is odd while a loop is open and even between loops. A worker that sees a new odd turn counts
 * itself into `active` and looks at `turn` again: if it is still the same, the caller will wait for
 * this worker before it touches the job, so the worker may read it. If not, the loop is over and the
 * worker leaves. The caller closes the turn first and then waits for `active` to be 0. All four
 * accesses are sequentially consistent, so one of the two always sees the other:
 *
 *     caller:  turn = closed;  read active          worker:  active++;  read turn
 *
 * The same pattern, through `sleepers` and `caller_sleeps`, makes sure that no wake-up is lost. */
#include "engine/backend/cpu/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/alloc.h"
#include "base/clock.h"

/* How long a thread looks for new work before it sleeps. Longer than the gaps between the operations
 * of a plan, short enough not to be seen as load. */
enum { SPIN_NS = 30000, SPINS_PER_LOOK = 32 };

struct worker {
    struct pool *pool;
    pthread_t thread;
    uint32_t index;
};

struct pool {
    uint32_t n_threads;
    uint32_t n_started;
    struct worker *workers; /* [n_threads - 1] */

    /* the job: written by the caller while no turn is open */
    pool_fn fn;
    void *arg;
    size_t n_items, grain;

    ATTR_ALIGNED(64) atomic_size_t next; /* first item that nobody has taken */
    ATTR_ALIGNED(64) atomic_uint turn;
    ATTR_ALIGNED(64) atomic_uint active; /* workers inside the loop */

    ATTR_ALIGNED(64) atomic_uint sleepers;
    atomic_bool caller_sleeps;
    atomic_bool stop;
    pthread_mutex_t lock; /* for sleeping only */
    pthread_cond_t wake;  /* a turn was opened, or stop */
    pthread_cond_t done;  /* active became 0 */
};

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void work(struct pool *p, uint32_t thread)
{
    for (;;) {
        size_t begin = atomic_fetch_add_explicit(&p->next, p->grain, memory_order_relaxed);
        if (begin >= p->n_items)
            return;
        size_t end = p->n_items - begin < p->grain ? p->n_items : begin + p->grain;
        p->fn(p->arg, begin, end, thread);
    }
}

static bool has_news(struct pool *p, unsigned seen)
{
    unsigned turn = atomic_load(&p->turn);
    return ((turn & 1) && turn != seen) || atomic_load(&p->stop);
}

/* Returns when a turn other than `seen` is open, or the pool ends. */
static void wait_for_turn(struct pool *p, unsigned seen)
{
    int64_t deadline = clock_mono_ns() + SPIN_NS;
    do {
        for (int i = 0; i < SPINS_PER_LOOK; i++) {
            if (has_news(p, seen))
                return;
            relax();
        }
    } while (clock_mono_ns() < deadline);

    pthread_mutex_lock(&p->lock);
    atomic_fetch_add(&p->sleepers, 1);
    while (!has_news(p, seen))
        pthread_cond_wait(&p->wake, &p->lock);
    atomic_fetch_sub(&p->sleepers, 1);
    pthread_mutex_unlock(&p->lock);
}

static void *worker_main(void *arg)
{
    const struct worker *w = arg;
    struct pool *p = w->pool;
    unsigned seen = 0;
    for (;;) {
        wait_for_turn(p, seen);
        if (atomic_load(&p->stop))
            return NULL;
        unsigned turn = atomic_load(&p->turn);
        if (!(turn & 1))
            continue; /* closed again meanwhile */
        seen = turn;
        atomic_fetch_add(&p->active, 1);
        if (atomic_load(&p->turn) == turn)
            work(p, w->index);
        if (atomic_fetch_sub(&p->active, 1) == 1 && atomic_load(&p->caller_sleeps)) {
            pthread_mutex_lock(&p->lock);
            pthread_cond_signal(&p->done);
            pthread_mutex_unlock(&p->lock);
        }
    }
}

static void wait_for_workers(struct pool *p)
{
    int64_t deadline = clock_mono_ns() + SPIN_NS;
    do {
        for (int i = 0; i < SPINS_PER_LOOK; i++) {
            if (atomic_load(&p->active) == 0)
                return;
            relax();
        }
    } while (clock_mono_ns() < deadline);

    pthread_mutex_lock(&p->lock);
    atomic_store(&p->caller_sleeps, true);
    while (atomic_load(&p->active) != 0)
        pthread_cond_wait(&p->done, &p->lock);
    atomic_store(&p->caller_sleeps, false);
    pthread_mutex_unlock(&p->lock);
}

static void wake_sleepers(struct pool *p)
{
    if (atomic_load(&p->sleepers) == 0)
        return;
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
}

void pool_run(struct pool *p, size_t n_items, size_t grain, pool_fn fn, void *arg)
{
    if (n_items == 0)
        return;
    if (p->n_threads == 1 || n_items <= grain) {
        for (size_t begin = 0; begin < n_items;) {
            size_t end = n_items - begin < grain ? n_items : begin + grain;
            fn(arg, begin, end, 0);
            begin = end;
        }
        return;
    }
    p->fn = fn;
    p->arg = arg;
    p->n_items = n_items;
    p->grain = grain;
    atomic_store(&p->next, 0);
    atomic_fetch_add(&p->turn, 1);
    wake_sleepers(p);
    work(p, 0);
    atomic_fetch_add(&p->turn, 1);
    wait_for_workers(p);
}

uint32_t pool_threads(const struct pool *p)
{
    return p->n_threads;
}

/* Starts the workers with all signals blocked: signals are for the threads of the program. */
static int start_workers(struct pool *p, struct error *err)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = 0;
    while (r == 0 && p->n_started < p->n_threads - 1) {
        struct worker *w = &p->workers[p->n_started];
        *w = (struct worker){.pool = p, .index = p->n_started + 1};
        r = pthread_create(&w->thread, NULL, worker_main, w);
        if (r == 0)
            p->n_started++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return r ? error_errno(err, r, "cannot start thread %u of %u", p->n_started + 1, p->n_threads)
             : 0;
}

int pool_create(uint32_t n_threads, struct pool **ret, struct error *err)
{
    if (n_threads < 1 || n_threads > POOL_MAX_THREADS)
        return error_set(err, ERR_INVALID, "the number of threads must be from 1 to %d, not %u",
                         POOL_MAX_THREADS, n_threads);
    struct pool *p = alloc_aligned(1, sizeof(*p));
    if (!p)
        return error_set(err, ERR_NOMEM, "out of memory for the thread pool");
    *p = (struct pool){.n_threads = n_threads};
    p->workers = xcalloc(n_threads, sizeof(*p->workers));
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);
    int r = start_workers(p, err);
    if (r < 0) {
        pool_free(p);
        return r;
    }
    *ret = p;
    return 0;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    atomic_store(&p->stop, true);
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (uint32_t i = 0; i < p->n_started; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
}
