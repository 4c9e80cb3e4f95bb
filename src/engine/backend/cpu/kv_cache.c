/* SPDX-License-Identifier: Apache-2.0
 *
 * The KV cache's memory: one mapping for the pages of keys and values, one for the state slots. */
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#include "base/alloc.h"
#include "engine/backend/cpu/cpu.h"

/* The machine's memory; no limit where the system does not tell. */
static uint64_t machine_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    uint64_t bytes;
    if (pages <= 0 || size <= 0 || mul_overflows((uint64_t)pages, (uint64_t)size, &bytes))
        return UINT64_MAX;
    return bytes;
}

static uint32_t *copy_u32(const uint32_t *src, uint32_t n)
{
    uint32_t *p = xcalloc(n, sizeof(*p));
    memcpy(p, src, n * sizeof(*p));
    return p;
}

/* `n` pieces of `bytes` for `what`, "page" or "state slot"; the system supplies the memory when it
 * is first written. */
static int map_pieces(uint64_t n, uint64_t bytes, const char *what, void **ret, size_t *ret_bytes,
                      struct error *err)
{
    uint64_t total;
    if (mul_overflows(bytes, n, &total) || total > PTRDIFF_MAX)
        return error_set(err, ERR_TOO_LARGE,
                         "a KV cache of %" PRIu64 " %ss of %" PRIu64
                         " bytes is too large to count; use a smaller context",
                         n, what, bytes);
    if (total > machine_bytes())
        return error_set(err, ERR_NOMEM,
                         "the KV cache needs %" PRIu64 " MiB and the machine has %" PRIu64
                         " MiB of memory; use a smaller context",
                         total >> 20, machine_bytes() >> 20);
    size_t size = total ? (size_t)total : 1;
    void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return error_set(err, ERR_NOMEM,
                         "the system refuses %" PRIu64 " MiB of memory for the KV cache; use a "
                         "smaller context",
                         total >> 20);
#ifdef MADV_HUGEPAGE
    madvise(map, size, MADV_HUGEPAGE); /* only a wish */
#endif
    *ret = map;
    *ret_bytes = size;
    return 0;
}

static int map_all(struct kv *kv, struct error *err)
{
    void *map = NULL, *states = NULL;
    int r = map_pieces(kv->n_pages, kv->page_bytes, "page", &map, &kv->map_bytes, err);
    kv->map = map;
    if (r == 0 && kv->state_floats > 0)
        r = map_pieces(kv->n_states, kv->state_floats * sizeof(float), "state slot", &states,
                       &kv->states_bytes, err);
    kv->states = states;
    return r;
}

int cpu_kv_create(struct backend *b, const struct kv_desc *desc, struct kv **ret, struct error *err)
{
    uint64_t page_bytes;
    int r = kv_page_bytes(desc, &page_bytes, err);
    if (r < 0)
        return r;
    struct kv *kv = xcalloc(1, sizeof(*kv));
    *kv = (struct kv){
        .type = desc->type,
        .item_bytes = desc->type == KV_F16 ? 2 : 4,
        .n_layers = desc->n_layers,
        .n_pages = desc->n_pages,
        .n_kv_heads = copy_u32(desc->n_kv_heads, desc->n_layers),
        .head_k = copy_u32(desc->head_k, desc->n_layers),
        .head_v = copy_u32(desc->head_v, desc->n_layers),
        .layer_at = xcalloc(desc->n_layers, sizeof(*kv->layer_at)),
        .page_bytes = (size_t)page_bytes,
        .n_states = desc->n_states,
        .state = xcalloc(desc->n_layers, sizeof(*kv->state)),
        .state_at = xcalloc(desc->n_layers, sizeof(*kv->state_at)),
        .state_floats = kv_state_bytes(desc) / sizeof(float),
    };
    size_t at = 0;
    for (uint32_t l = 0; l < desc->n_layers; l++) {
        kv->layer_at[l] = at;
        at += ((size_t)desc->head_k[l] + desc->head_v[l]) * desc->n_kv_heads[l] * kv->item_bytes *
              KV_PAGE_TOKENS;
    }
    at = 0;
    for (uint32_t l = 0; desc->state && l < desc->n_layers; l++) {
        kv->state[l] = desc->state[l];
        kv->state_at[l] = at;
        at += desc->state[l];
    }
    r = map_all(kv, err);
    if (r < 0) {
        cpu_kv_free(b, kv);
        return r;
    }
    *ret = kv;
    return 0;
}

void cpu_kv_free(struct backend *b, struct kv *kv)
{
    (void)b;
    if (!kv)
        return;
    if (kv->map)
        munmap(kv->map, kv->map_bytes);
    if (kv->states)
        munmap(kv->states, kv->states_bytes);
    free(kv->n_kv_heads);
    free(kv->head_k);
    free(kv->head_v);
    free(kv->layer_at);
    free(kv->state);
    free(kv->state_at);
    free(kv);
}

void cpu_kv_copy_page(struct backend *b, struct kv *kv, int32_t from, int32_t to)
{
    (void)b;
    if (from == to)
        return;
    memcpy(kv->map + (size_t)to * kv->page_bytes, kv->map + (size_t)from * kv->page_bytes,
           kv->page_bytes);
}

unsigned char *kv_keys(const struct kv *kv, int32_t page, uint32_t layer, uint32_t head)
{
    size_t head_bytes = (size_t)kv->head_k[layer] * KV_PAGE_TOKENS * kv->item_bytes;
    return kv->map + (size_t)page * kv->page_bytes + kv->layer_at[layer] + head * head_bytes;
}

unsigned char *kv_values(const struct kv *kv, int32_t page, uint32_t layer, uint32_t head)
{
    size_t head_bytes = (size_t)kv->head_v[layer] * KV_PAGE_TOKENS * kv->item_bytes;
    return kv_keys(kv, page, layer, kv->n_kv_heads[layer]) + head * head_bytes;
}

float *kv_state(const struct kv *kv, int32_t state, uint32_t layer)
{
    return kv->states + (size_t)state * kv->state_floats + kv->state_at[layer];
}
