/* SPDX-License-Identifier: Apache-2.0
 *
 * One sequence, whose pages lie in descending order so that a backend cannot get away with taking
 * the cache for one piece. */
#include "model_run.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/compiler.h"

int model_run_open(struct model_run *r, struct model *m, int32_t n_max, enum kv_type type,
                   struct error *err)
{
    *r = (struct model_run){.model = m, .n_max = n_max};
    int32_t n_pages = (n_max + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS;
    r->pages = xcalloc((size_t)n_pages, sizeof(*r->pages));
    for (int32_t i = 0; i < n_pages; i++)
        r->pages[i] = n_pages - 1 - i;
    return model_kv_create(m, (uint32_t)n_pages, 2, type, &r->kv, err);
}

void model_run_close(struct model_run *r)
{
    if (r->model)
        model_kv_free(r->model, r->kv);
    free(r->pages);
    *r = (struct model_run){0};
}

void model_run_rewind(struct model_run *r)
{
    r->n_past = 0;
}

int model_run_feed(struct model_run *r, const int32_t *ids, int32_t n, bool all, float *logits,
                   struct error *err)
{
    if (n > r->n_max - r->n_past)
        return error_set(err, ERR_TOO_LARGE, "the test's cache is full");
    CLEANUP_FREE int32_t *rows = xcalloc((size_t)n, sizeof(*rows));
    int32_t n_out = !logits ? 0 : all ? n : 1;
    for (int32_t i = 0; i < n_out; i++)
        rows[i] = n - n_out + i;
    struct batch_seq seq = {.first = 0,
                            .n = n,
                            .n_past = r->n_past,
                            .pages = r->pages,
                            .state_in = r->n_past > 0 ? r->state : -1,
                            .state_out = !r->state};
    struct batch batch = {
        .n_tokens = n, .ids = ids, .n_seqs = 1, .seqs = &seq, .n_out = n_out, .out_rows = rows};
    int res = model_eval(r->model, r->kv, &batch, logits, NULL, err);
    if (res == 0) {
        r->n_past += n;
        r->state = !r->state;
    }
    return res;
}
