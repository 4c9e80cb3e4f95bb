/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations of Gemma 3n; altup.h says what they compute. */
#include <math.h>

#include "engine/model/altup.h"
#include "engine/model/plan_builder.h"

static void add_scale(struct builder *b, uint16_t s, double scale)
{
    plan_add(b, (struct op){.kind = OP_SCALE, .dst = s, .a = s, .scale = (float)scale});
}

static void add_sum(struct builder *b, uint16_t dst, uint16_t a, uint16_t with)
{
    plan_add(b, (struct op){.kind = OP_ADD, .dst = dst, .a = a, .b = with});
}

/* Stream `i` of a row of them. */
static void add_stream(struct builder *b, uint16_t dst, uint16_t streams, uint32_t i)
{
    uint32_t e = b->d->n_embd;
    plan_slice(b, dst, 0, streams, b->d->altup.n_streams * e, i * e, e);
}

/* Slot modes = m(a). */
static uint16_t build_router(struct builder *b, struct weight *const *t, uint16_t a)
{
    uint16_t h = plan_slot(b, SLOT_H, b->d->n_embd);
    uint16_t modes = plan_slot(b, SLOT_MODES, b->d->altup.n_streams);
    plan_norm(b, h, a, t[AT_ROUTER_NORM], 0);
    add_scale(b, h, 1.0 / b->d->n_embd);
    plan_matmul(b, modes, h, t[AT_ROUTER], NULL);
    plan_add(b, (struct op){.kind = OP_SOFTCAP, .dst = modes, .a = modes, .scale = 1});
    return modes;
}

/* The inputs of all layers. */
static void build_inputs(struct builder *b, uint16_t x)
{
    const struct descriptor *d = b->d;
    const struct altup_weights *w = b->w->altup;
    uint32_t width = d->altup.n_input * d->n_layers;
    uint16_t inputs = plan_slot(b, SLOT_INPUTS, width);
    uint16_t projected = plan_slot(b, SLOT_PROJECTED, width);
    plan_add(b, (struct op){.kind = OP_EMBED,
                            .dst = inputs,
                            .w = w->own_embd,
                            .scale = sqrtf((float)d->altup.n_input)});
    plan_matmul(b, projected, x, w->model_proj, NULL);
    add_scale(b, projected, 1 / sqrt(d->n_embd));
    plan_norm(b, projected, projected, w->proj_norm, d->altup.n_input);
    add_sum(b, inputs, inputs, projected);
    add_scale(b, inputs, M_SQRT1_2);
}

uint16_t plan_altup_begin(struct builder *b, uint16_t x)
{
    uint32_t e = b->d->n_embd, others = (b->d->altup.n_streams - 1) * e;
    uint16_t streams = plan_slot(b, SLOT_STREAMS, e + others);
    uint16_t split = plan_slot(b, SLOT_SPLIT, others);
    build_inputs(b, x);
    plan_matmul(b, split, x, b->w->altup->split, NULL);
    plan_add(b, (struct op){.kind = OP_MATCH_LENGTH, .dst = split, .a = split, .b = x});
    plan_slice(b, streams, 0, x, e, 0, e);
    plan_slice(b, streams, e, split, others, 0, others);
    return streams;
}

/* Attention with LAuReL beside it, then the feed-forward part: from stream `active` to slot y. */
static void build_halves(struct builder *b, uint16_t layer, uint16_t active, uint16_t y)
{
    const struct descriptor *d = b->d;
    struct weight *const *t = b->w->layers[layer].t;
    struct weight *const *at = b->w->altup->layers[layer].t;
    uint16_t h = plan_slot(b, SLOT_H, d->n_embd), laurel = plan_slot(b, SLOT_LAUREL, d->n_embd);
    uint16_t low = plan_slot(b, SLOT_LOW_RANK, d->altup.rank);

    plan_norm(b, h, active, t[LT_ATTN_NORM], 0);
    plan_matmul(b, low, h, at[AT_LAUREL_LEFT], NULL);
    plan_matmul(b, laurel, low, at[AT_LAUREL_RIGHT], NULL);
    plan_norm(b, laurel, laurel, at[AT_LAUREL_NORM], 0);
    add_sum(b, laurel, laurel, h);
    plan_attention(b, layer, h, y);
    plan_norm(b, y, y, t[LT_POST_ATTN_NORM], 0);
    add_sum(b, y, y, active);
    add_sum(b, y, y, laurel);
    add_scale(b, y, M_SQRT1_2);

    plan_norm(b, h, y, t[LT_FFN_NORM], 0);
    plan_dense(b, layer, h, h);
    plan_norm(b, h, h, t[LT_POST_FFN_NORM], 0);
    add_sum(b, y, y, h);
}

/* The layer's own input, to all streams but the first. */
static void build_own_input(struct builder *b, uint16_t layer, uint16_t streams, uint16_t first)
{
    const struct descriptor *d = b->d;
    struct weight *const *at = b->w->altup->layers[layer].t;
    uint32_t n = d->altup.n_input;
    uint16_t gate = plan_slot(b, SLOT_INPUT_GATE, n), input = plan_slot(b, SLOT_INPUT, n);
    uint16_t h = plan_slot(b, SLOT_H, d->n_embd);
    uint16_t inputs = plan_slot(b, SLOT_INPUTS, n * d->n_layers);

    add_stream(b, first, streams, 0);
    plan_add(b,
             (struct op){.kind = OP_MUL_ROW, .dst = first, .a = first, .w = at[AT_CORRECT_SCALE]});
    plan_matmul(b, gate, first, at[AT_INPUT_GATE], NULL);
    plan_slice(b, input, 0, inputs, n * d->n_layers, n * layer, n);
    plan_add(b, (struct op){.kind = OP_GLU, .dst = gate, .a = gate, .b = input, .act = d->act});
    plan_matmul(b, h, gate, at[AT_INPUT_PROJ], NULL);
    plan_norm(b, h, h, at[AT_INPUT_NORM], 0);
    plan_add(b, (struct op){.kind = OP_ADD_STREAMS,
                            .dst = streams,
                            .a = streams,
                            .b = h,
                            .streams = {.n = d->altup.n_streams, .first = 1}});
}

void plan_altup_layer(struct builder *b, uint16_t layer, uint16_t streams)
{
    const struct descriptor *d = b->d;
    uint32_t n = d->altup.n_streams;
    struct weight *const *at = b->w->altup->layers[layer].t;
    uint16_t predicted = plan_slot(b, SLOT_PREDICTED, n * d->n_embd);
    uint16_t active = plan_slot(b, SLOT_ACTIVE, d->n_embd);
    uint16_t y = plan_slot(b, SLOT_BESIDE, d->n_embd);
    uint16_t mixing = plan_slot(b, SLOT_COEFS, n * n), coefs = plan_slot(b, SLOT_COEFS, n);

    add_stream(b, active, streams, 0);
    plan_matmul(b, mixing, build_router(b, at, active), at[AT_PREDICT], NULL);
    plan_add(b, (struct op){.kind = OP_MIX_STREAMS,
                            .dst = predicted,
                            .a = streams,
                            .b = mixing,
                            .streams = {.n = n}});
    add_stream(b, active, predicted, 0);
    build_halves(b, layer, active, y);

    plan_matmul(b, coefs, build_router(b, at, y), at[AT_CORRECT], NULL);
    add_scale(b, active, -1);
    add_sum(b, active, active, y);
    plan_add(b, (struct op){.kind = OP_ADD_STREAMS,
                            .dst = streams,
                            .a = predicted,
                            .b = active,
                            .streams = {.n = n, .has_coefs = true, .coefs = coefs}});
    build_own_input(b, layer, streams, active);
}

uint16_t plan_altup_end(struct builder *b, uint16_t streams)
{
    uint32_t n = b->d->altup.n_streams, e = b->d->n_embd;
    uint16_t rows = plan_select(b, streams, SLOT_STREAMS_OUT);
    uint16_t x = plan_slot(b, SLOT_X_OUT, e), first = plan_slot(b, SLOT_ACTIVE, e);
    uint16_t one = plan_slot(b, SLOT_STREAM, e), merged = plan_slot(b, SLOT_H, e);
    add_stream(b, first, rows, 0);
    add_stream(b, x, rows, 0);
    for (uint32_t i = 1; i < n; i++) {
        add_stream(b, one, rows, i);
        plan_matmul(b, merged, one, b->w->altup->merge[i - 1], NULL);
        plan_add(b, (struct op){.kind = OP_MATCH_LENGTH, .dst = merged, .a = merged, .b = first});
        add_sum(b, x, x, merged);
    }
    add_scale(b, x, 1.0 / n);
    return x;
}
