/* SPDX-License-Identifier: Apache-2.0
 *
 * Two plans: the vision transformer over patches, and the projection over tokens; between them
 * patches are merged on the host. Patches have no order in time, so attention is not causal, and
 * the cache holds one layer at a time: keys and values are used up before the next layer. */
#include "engine/vision/encoder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { OPS_MAX = 16 + 24 * MMPROJ_MAX_LAYERS };

enum slot { S_PIXELS, S_X, S_H, S_Q, S_K, S_V, S_ATTN, S_FF, N_SLOTS };
enum project_slot { P_IN, P_NORM, P_OUT, N_PROJECT_SLOTS };

struct encoder {
    const struct mmproj *m;
    struct kv *kv;
    struct op *ops;
    uint32_t slot_width[N_SLOTS], project_width[N_PROJECT_SLOTS];
    struct op project_ops[4];
    struct plan plan, project_plan;
    uint32_t n_patches, n_tokens;
    int32_t *ids;       /* [n_patches] 0, 1, …: rows of the position table */
    int32_t *pages;     /* [n_patches / KV_PAGE_TOKENS, rounded up] */
    const float **rows; /* [n_patches] */
    float *pixels;      /* [n_patches][3 * patch * patch] */
    float *patches;     /* [n_patches][n_embd] what the transformer gives */
    float *merged;      /* [n_tokens][width of P_IN] */
};

/* ---- the plans ---- */

static void add(struct encoder *e, struct op op)
{
    e->ops[e->plan.n_ops++] = op;
}

static void add_norm(struct encoder *e, const struct weight *w, const struct weight *bias)
{
    add(e, (struct op){.kind = OP_LAYER_NORM,
                       .dst = S_H,
                       .a = S_X,
                       .w = w,
                       .bias = bias,
                       .eps = e->m->desc.eps});
}

static void add_matmul(struct encoder *e, enum slot dst, enum slot a, const struct weight *w,
                       const struct weight *bias)
{
    add(e, (struct op){
               .kind = OP_MATMUL, .dst = (uint16_t)dst, .a = (uint16_t)a, .w = w, .bias = bias});
}

static void plan_layer(struct encoder *e, uint32_t i)
{
    const struct mmproj_desc *d = &e->m->desc;
    struct weight *const *t = e->m->layers[i].t;
    uint32_t head = d->n_embd / d->n_heads;

    add_norm(e, t[VT_LN1], t[VT_LN1_BIAS]);
    add_matmul(e, S_Q, S_H, t[VT_Q], t[VT_Q_BIAS]);
    add_matmul(e, S_K, S_H, t[VT_K], t[VT_K_BIAS]);
    add_matmul(e, S_V, S_H, t[VT_V], t[VT_V_BIAS]);
    add(e, (struct op){.kind = OP_KV_STORE, .a = S_K, .b = S_V});
    add(e, (struct op){.kind = OP_ATTENTION,
                       .dst = S_ATTN,
                       .a = S_Q,
                       .attn = {.n_heads = d->n_heads,
                                .n_kv_heads = d->n_heads,
                                .head_k = head,
                                .head_v = head,
                                .scale = 1.0f / sqrtf((float)head)}});
    add_matmul(e, S_H, S_ATTN, t[VT_OUT], t[VT_OUT_BIAS]);
    add(e, (struct op){.kind = OP_ADD, .dst = S_X, .a = S_X, .b = S_H});

    add_norm(e, t[VT_LN2], t[VT_LN2_BIAS]);
    add_matmul(e, S_FF, S_H, t[VT_UP], t[VT_UP_BIAS]);
    add(e, (struct op){.kind = OP_ACT, .dst = S_FF, .a = S_FF, .act = d->act});
    add_matmul(e, S_H, S_FF, t[VT_DOWN], t[VT_DOWN_BIAS]);
    add(e, (struct op){.kind = OP_ADD, .dst = S_X, .a = S_X, .b = S_H});
}

static void plan_encoder(struct encoder *e)
{
    const struct mmproj *m = e->m;
    const struct mmproj_desc *d = &m->desc;
    const uint32_t width[N_SLOTS] = {
        [S_PIXELS] = 3 * d->patch * d->patch,
        [S_X] = d->n_embd,
        [S_H] = d->n_embd,
        [S_Q] = d->n_embd,
        [S_K] = d->n_embd,
        [S_V] = d->n_embd,
        [S_ATTN] = d->n_embd,
        [S_FF] = d->n_ff,
    };
    memcpy(e->slot_width, width, sizeof(width));
    e->ops = xcalloc(16 + 16 * (size_t)d->n_layers, sizeof(*e->ops));
    add(e, (struct op){.kind = OP_INPUT, .dst = S_PIXELS});
    add(e, (struct op){.kind = OP_EMBED, .dst = S_X, .w = m->position, .scale = 1});
    add_matmul(e, S_H, S_PIXELS, m->patch, m->patch_bias);
    add(e, (struct op){.kind = OP_ADD, .dst = S_X, .a = S_X, .b = S_H});
    for (uint32_t i = 0; i < d->n_layers; i++)
        plan_layer(e, i);
    add_norm(e, m->post_norm, m->post_norm_bias);
    e->plan.ops = e->ops;
    e->plan.slot_width = e->slot_width;
    e->plan.n_slots = N_SLOTS;
    e->plan.out_slot = S_H;
}

static void plan_projection(struct encoder *e)
{
    const struct mmproj *m = e->m;
    const struct mmproj_desc *d = &m->desc;
    bool gemma = d->projector == PROJECTOR_GEMMA3;
    uint32_t in = gemma ? d->n_embd : d->n_embd * d->merge * d->merge;
    struct op *op = e->project_ops;
    *op++ = (struct op){.kind = OP_INPUT, .dst = P_IN};
    if (gemma)
        *op++ = (struct op){
            .kind = OP_RMS_NORM, .dst = P_NORM, .a = P_IN, .w = m->project_norm, .eps = d->eps};
    *op++ =
        (struct op){.kind = OP_MATMUL, .dst = P_OUT, .a = gemma ? P_NORM : P_IN, .w = m->project};
    e->project_width[P_IN] = e->project_width[P_NORM] = in;
    e->project_width[P_OUT] = d->n_text;
    e->project_plan = (struct plan){
        .ops = e->project_ops,
        .n_ops = (size_t)(op - e->project_ops),
        .slot_width = e->project_width,
        .n_slots = N_PROJECT_SLOTS,
        .out_slot = P_OUT,
    };
}

/* ---- life ---- */

static int create_kv(struct encoder *e, uint32_t n_pages, struct error *err)
{
    uint32_t n_heads = e->m->desc.n_heads, head = e->m->desc.n_embd / n_heads;
    struct kv_desc desc = {
        .n_layers = 1,
        .n_pages = n_pages,
        .type = KV_F32,
        .n_kv_heads = &n_heads,
        .head_k = &head,
        .head_v = &head,
    };
    struct backend *b = e->m->backend;
    return b->ops->kv_create(b, &desc, &e->kv, err);
}

int encoder_create(const struct mmproj *m, struct encoder **ret, struct error *err)
{
    const struct mmproj_desc *d = &m->desc;
    struct encoder *e = xcalloc(1, sizeof(*e));
    e->m = m;
    e->n_patches = mmproj_grid(d) * mmproj_grid(d);
    e->n_tokens = mmproj_n_tokens(d);
    plan_encoder(e);
    plan_projection(e);

    uint32_t n_pages = (e->n_patches + KV_PAGE_TOKENS - 1) / KV_PAGE_TOKENS;
    e->ids = xcalloc(e->n_patches, sizeof(*e->ids));
    e->pages = xcalloc(n_pages, sizeof(*e->pages));
    e->rows = xcalloc(e->n_patches, sizeof(*e->rows));
    for (uint32_t i = 0; i < e->n_patches; i++)
        e->ids[i] = (int32_t)i;
    for (uint32_t i = 0; i < n_pages; i++)
        e->pages[i] = (int32_t)i;
    e->pixels = alloc_array((size_t)e->n_patches * e->slot_width[S_PIXELS], sizeof(float));
    e->patches = alloc_array((size_t)e->n_patches * d->n_embd, sizeof(float));
    e->merged = alloc_array((size_t)e->n_tokens * e->project_width[P_IN], sizeof(float));
    int r = e->pixels && e->patches && e->merged
                ? create_kv(e, n_pages, err)
                : error_set(err, ERR_NOMEM, "out of memory for the image encoder");
    if (r < 0)
        encoder_free(e);
    else
        *ret = e;
    return r;
}

void encoder_free(struct encoder *e)
{
    if (!e)
        return;
    if (e->kv)
        e->m->backend->ops->kv_free(e->m->backend, e->kv);
    free(e->ops);
    free(e->ids);
    free(e->pages);
    free(e->rows);
    free(e->pixels);
    free(e->patches);
    free(e->merged);
    free(e);
}

/* ---- a picture ---- */

/* Patches as the convolution's kernel sees them: [channel][y][x], normalised. */
static void cut_patches(struct encoder *e, const struct image *square)
{
    const struct mmproj_desc *d = &e->m->desc;
    uint32_t grid = mmproj_grid(d), p = d->patch;
    float *out = e->pixels;
    for (uint32_t patch = 0; patch < e->n_patches; patch++)
        for (uint32_t c = 0; c < 3; c++)
            for (uint32_t y = 0; y < p; y++) {
                size_t at = ((size_t)(patch / grid * p + y) * d->side + patch % grid * p) * 3 + c;
                for (uint32_t x = 0; x < p; x++)
                    *out++ = ((float)square->rgb[at + x * 3] / 255.0f - d->mean[c]) / d->std[c];
            }
}

/* gemma3: a token is the mean of merge x merge patches. */
static void merge_mean(struct encoder *e)
{
    const struct mmproj_desc *d = &e->m->desc;
    uint32_t grid = mmproj_grid(d), out_grid = grid / d->merge;
    float share = 1.0f / (float)(d->merge * d->merge);
    for (uint32_t t = 0; t < e->n_tokens; t++) {
        float *out = e->merged + (size_t)t * d->n_embd;
        memset(out, 0, d->n_embd * sizeof(float));
        for (uint32_t k = 0; k < d->merge * d->merge; k++) {
            size_t y = t / out_grid * d->merge + k / d->merge;
            size_t x = t % out_grid * d->merge + k % d->merge;
            const float *from = e->patches + (y * grid + x) * d->n_embd;
            for (uint32_t i = 0; i < d->n_embd; i++)
                out[i] += from[i];
        }
        for (uint32_t i = 0; i < d->n_embd; i++)
            out[i] *= share;
    }
}

/* idefics3: a token is merge x merge patches behind each other, row by row. */
static void merge_concat(struct encoder *e)
{
    const struct mmproj_desc *d = &e->m->desc;
    uint32_t grid = mmproj_grid(d), out_grid = grid / d->merge;
    float *out = e->merged;
    for (uint32_t t = 0; t < e->n_tokens; t++)
        for (uint32_t k = 0; k < d->merge * d->merge; k++, out += d->n_embd) {
            size_t y = t / out_grid * d->merge + k / d->merge;
            size_t x = t % out_grid * d->merge + k % d->merge;
            memcpy(out, e->patches + (y * grid + x) * d->n_embd, d->n_embd * sizeof(float));
        }
}

static int execute(struct encoder *e, const struct plan *plan, const float *input, uint32_t n,
                   float *out, const volatile bool *cancel, struct error *err)
{
    size_t width = plan->slot_width[plan->ops[0].dst];
    for (uint32_t i = 0; i < n; i++)
        e->rows[i] = input + i * width;
    struct batch_seq seq = {.n = (int32_t)n, .pages = e->pages};
    struct batch batch = {
        .n_tokens = (int32_t)n,
        .ids = e->ids,
        .rows = e->rows,
        .n_seqs = 1,
        .seqs = &seq,
        .n_out = (int32_t)n,
        .out_rows = e->ids,
    };
    struct backend *b = e->m->backend;
    return b->ops->execute(b, plan, e->kv, &batch, out, cancel, err);
}

int encoder_run(struct encoder *e, const struct image *square, float *out,
                const volatile bool *cancel, struct error *err)
{
    const struct mmproj_desc *d = &e->m->desc;
    if (square->width != d->side || square->height != d->side)
        return error_set(err, ERR_INTERNAL, "the image encoder takes squares of %u pixels",
                         d->side);
    cut_patches(e, square);
    int r = execute(e, &e->plan, e->pixels, e->n_patches, e->patches, cancel, err);
    if (r < 0)
        return r;
    if (d->projector == PROJECTOR_GEMMA3)
        merge_mean(e);
    else
        merge_concat(e);
    return execute(e, &e->project_plan, e->merged, e->n_tokens, out, cancel, err);
}
