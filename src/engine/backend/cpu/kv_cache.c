/* SPDX-License-Identifier: Apache-2.0
 *
 * The KV cache's memory: one mapping, whose pages the system supplies when they are first written. */
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

static int map_pages(struct kv *kv, struct error *err)
{
    uint64_t total;
    if (mul_overflows(kv->page_bytes, kv->n_pages, &total) || total > PTRDIFF_MAX)
        return error_set(err, ERR_TOO_LARGE,
                         "a KV cache of %u pages of %zu bytes is too large to count; use a smaller "
                         "context",
                         kv->n_pages, kv->page_bytes);
    if (total > machine_bytes())
        return error_set(err, ERR_NOMEM,
                         "the KV cache needs %" PRIu64 " MiB and the machine has %" PRIu64
                         " MiB of memory; use a smaller context",
                         total >> 20, machine_bytes() >> 20);
    kv->map_bytes = total ? (size_t)total : 1;
    void *map = mmap(NULL, kv->map_bytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED)
        return error_set(err, ERR_NOMEM,
                         "the system refuses %" PRIu64 " MiB of memory for the KV cache; use a "
                         "smaller context",
                         total >> 20);
    kv->map = map;
#ifdef MADV_HUGEPAGE
    madvise(map, kv->map_bytes, MADV_HUGEPAGE); /* only a wish */
#endif
    return 0;
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
    };
    size_t at = 0;
    for (uint32_t l = 0; l < desc->n_layers; l++) {
        kv->layer_at[l] = at;
        at += ((size_t)desc->head_k[l] + desc->head_v[l]) * desc->n_kv_heads[l] * kv->item_bytes *
              KV_PAGE_TOKENS;
    }
    r = map_pages(kv, err);
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
    free(kv->n_kv_heads);
    free(kv->head_k);
    free(kv->head_v);
    free(kv->layer_at);
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
