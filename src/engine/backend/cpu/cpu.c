/* SPDX-License-Identifier: Apache-2.0
 *
 * The CPU backend: made, described, destroyed. */
#include "engine/backend/cpu/cpu.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "engine/backend/cpu/topology.h"

static void cpu_destroy(struct backend *backend)
{
    if (!backend)
        return;
    struct backend_cpu *b = backend_cpu_of(backend);
    pool_free(b->pool);
    for (size_t s = 0; s < b->n_slots; s++)
        scratch_release(&b->slots[s]);
    for (uint32_t t = 0; t < b->n_threads; t++)
        scratch_release(&b->thread_scratch[t]);
    scratch_release(&b->vectors);
    scratch_release(&b->middle);
    experts_release(b);
    for (size_t i = 0; i < ROPE_TABLES; i++)
        scratch_release(&b->rope[i].cos_sin);
    free(b->slots);
    free(b->thread_scratch);
    free(b->positions);
    free(b->chunks);
    free(b->op_rows);
    free(b);
}

static const struct backend_ops cpu_ops = {
    .name = "cpu",
    .weight_load = cpu_weight_load,
    .weight_free = cpu_weight_free,
    .weight_adapt = cpu_weight_adapt,
    .kv_create = cpu_kv_create,
    .kv_free = cpu_kv_free,
    .kv_copy_page = cpu_kv_copy_page,
    .execute = cpu_execute,
    .destroy = cpu_destroy,
};

int backend_cpu_create(const struct backend_cpu_options *o, struct backend **ret, struct error *err)
{
    struct kernels k;
    int r = kernels_init(getenv("MR_CPU"), &k, err);
    if (r < 0)
        return error_wrap(err, "MR_CPU");
    struct pool *pool;
    uint32_t n_threads = o->n_threads ? o->n_threads : topology_cores();
    r = pool_create(o->n_threads ? n_threads : MIN(n_threads, POOL_MAX_THREADS), &pool, err);
    if (r < 0)
        return r;
    struct backend_cpu *b = xcalloc(1, sizeof(*b));
    b->base.ops = &cpu_ops;
    b->k = k;
    b->pool = pool;
    b->n_threads = pool_threads(pool);
    b->thread_scratch = xcalloc(b->n_threads, sizeof(*b->thread_scratch));
    *ret = &b->base;
    return 0;
}

const char *backend_cpu_level(const struct backend *b)
{
    return ((const struct backend_cpu *)(const void *)b)->k.level;
}

uint32_t backend_cpu_threads(const struct backend *b)
{
    return ((const struct backend_cpu *)(const void *)b)->n_threads;
}
