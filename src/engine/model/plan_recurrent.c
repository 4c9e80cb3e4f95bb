/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations of recurrent layers; recurrent.h says what they compute. In a layer's state stand
 * first the last inputs of the convolution, then the matrices of the heads. */
#include "engine/model/plan_builder.h"
#include "engine/model/recurrent.h"

static uint32_t conv_state(const struct builder *b)
{
    return (b->d->recurrent.conv_width - 1) * recurrent_conv_channels(b->d);
}

/* Slot z gets silu(z) * y; y too. */
static void add_gate(struct builder *b, uint16_t z, uint16_t y)
{
    plan_add(b, (struct op){.kind = OP_GLU, .dst = y, .a = z, .b = y, .act = ACT_SILU});
}

static void add_conv(struct builder *b, uint16_t layer, uint16_t dst, uint16_t a, uint32_t at,
                     uint32_t channels)
{
    struct weight *const *t = b->w->layers[layer].t;
    bool shortconv = t[LT_SHORTCONV_CONV];
    plan_add(b, (struct op){.kind = OP_CONV1D,
                            .dst = dst,
                            .a = a,
                            .layer = layer,
                            .w = shortconv ? t[LT_SHORTCONV_CONV] : t[LT_SSM_CONV],
                            .bias = t[LT_SSM_CONV_BIAS],
                            .conv = {.width = b->d->recurrent.conv_width,
                                     .channels = channels,
                                     .at = at,
                                     .silu = !shortconv}});
}

static void build_shortconv(struct builder *b, uint16_t layer, uint16_t h)
{
    struct weight *const *t = b->w->layers[layer].t;
    uint32_t n = b->d->n_embd;
    uint16_t in = plan_slot(b, SLOT_IN, 3 * n), u = plan_slot(b, SLOT_DT, n);
    uint16_t gate = plan_slot(b, SLOT_Z, n), y = plan_slot(b, SLOT_CONV, n);
    plan_matmul(b, in, h, t[LT_SHORTCONV_IN], NULL);
    plan_slice(b, u, 0, in, 3 * n, 2 * n, n);
    plan_slice(b, gate, 0, in, 3 * n, 0, n);
    plan_add(b, (struct op){.kind = OP_MUL, .dst = u, .a = gate, .b = u});
    add_conv(b, layer, y, u, 0, n);
    plan_slice(b, gate, 0, in, 3 * n, n, n);
    plan_add(b, (struct op){.kind = OP_MUL, .dst = y, .a = gate, .b = y});
    plan_matmul(b, h, y, t[LT_SHORTCONV_OUT], NULL);
}

static void build_mamba(struct builder *b, uint16_t layer, uint16_t h)
{
    const struct recurrent_desc *c = &b->d->recurrent;
    struct weight *const *t = b->w->layers[layer].t;
    uint32_t x_width = c->dt_rank + 2 * c->n_state;
    uint16_t in = plan_slot(b, SLOT_IN, 2 * c->inner), u = plan_slot(b, SLOT_CONV, c->inner);
    uint16_t x = plan_slot(b, SLOT_B, x_width), dt_in = plan_slot(b, SLOT_DT_IN, c->dt_rank);
    uint16_t dt = plan_slot(b, SLOT_DT, c->inner), y = plan_slot(b, SLOT_Y, c->inner);
    uint16_t z = plan_slot(b, SLOT_Z, c->inner), bc = plan_slot(b, SLOT_BC, 2 * c->n_state);

    plan_matmul(b, in, h, t[LT_SSM_IN], NULL);
    add_conv(b, layer, u, in, 0, c->inner);
    plan_matmul(b, x, u, t[LT_SSM_X], NULL);
    plan_slice(b, dt_in, 0, x, x_width, 0, c->dt_rank);
    plan_slice(b, bc, 0, x, x_width, c->dt_rank, 2 * c->n_state);
    if (c->norms_dt_b_c || (t[LT_SSM_DT_NORM] && t[LT_SSM_B_NORM] && t[LT_SSM_C_NORM])) {
        uint16_t one = plan_slot(b, SLOT_C, c->n_state);
        plan_norm(b, dt_in, dt_in, t[LT_SSM_DT_NORM], 0);
        for (uint32_t i = 0; i < 2; i++) {
            plan_slice(b, one, 0, x, x_width, c->dt_rank + i * c->n_state, c->n_state);
            plan_norm(b, one, one, t[i == 0 ? LT_SSM_B_NORM : LT_SSM_C_NORM], 0);
            plan_slice(b, bc, i * c->n_state, one, c->n_state, 0, c->n_state);
        }
    }
    plan_matmul(b, dt, dt_in, t[LT_SSM_DT], NULL);
    plan_add(b, (struct op){.kind = OP_SSM_SCAN,
                            .dst = y,
                            .a = u,
                            .b = dt,
                            .layer = layer,
                            .w = t[LT_SSM_A],
                            .bias = t[LT_SSM_DT_BIAS],
                            .scan = {.n_heads = c->inner,
                                     .head = 1,
                                     .n_groups = 1,
                                     .n_state = c->n_state,
                                     .bc = bc,
                                     .c_at = c->n_state,
                                     .d = t[LT_SSM_D],
                                     .per_state = true,
                                     .state_at = conv_state(b)}});
    plan_slice(b, z, 0, in, 2 * c->inner, c->inner, c->inner);
    add_gate(b, z, y);
    plan_matmul(b, h, y, t[LT_SSM_OUT], NULL);
}

static void build_mamba2(struct builder *b, uint16_t layer, uint16_t h)
{
    const struct recurrent_desc *c = &b->d->recurrent;
    struct weight *const *t = b->w->layers[layer].t;
    uint32_t channels = recurrent_conv_channels(b->d), rows = recurrent_in_rows(b->d);
    uint16_t in = plan_slot(b, SLOT_IN, rows), u = plan_slot(b, SLOT_CONV, channels);
    uint16_t y = plan_slot(b, SLOT_Y, c->inner), z = plan_slot(b, SLOT_Z, c->inner);

    plan_matmul(b, in, h, t[LT_SSM_IN], NULL);
    add_conv(b, layer, u, in, c->inner, channels);
    plan_add(b, (struct op){.kind = OP_SSM_SCAN,
                            .dst = y,
                            .a = u,
                            .b = in,
                            .layer = layer,
                            .w = t[LT_SSM_A_HEADS],
                            .bias = t[LT_SSM_DT_BIAS],
                            .scan = {.n_heads = c->n_heads,
                                     .head = c->inner / c->n_heads,
                                     .n_groups = c->n_groups,
                                     .n_state = c->n_state,
                                     .bc = u,
                                     .b_at = c->inner,
                                     .c_at = c->inner + c->n_groups * c->n_state,
                                     .dt_at = c->inner + channels,
                                     .d = t[LT_SSM_D_HEADS],
                                     .state_at = conv_state(b)}});
    plan_slice(b, z, 0, in, rows, 0, c->inner);
    add_gate(b, z, y);
    if (t[LT_SSM_NORM_GROUPS])
        plan_norm(b, y, y, t[LT_SSM_NORM_GROUPS], c->inner / c->n_groups);
    plan_matmul(b, h, y, t[LT_SSM_OUT], NULL);
}

static void build_delta_net(struct builder *b, uint16_t layer, uint16_t h)
{
    const struct recurrent_desc *c = &b->d->recurrent;
    struct weight *const *t = b->w->layers[layer].t;
    uint32_t channels = recurrent_conv_channels(b->d);
    uint16_t in = plan_slot(b, SLOT_IN, channels), qkv = plan_slot(b, SLOT_CONV, channels);
    uint16_t alpha = plan_slot(b, SLOT_DT, c->n_heads), beta = plan_slot(b, SLOT_BETA, c->n_heads);
    uint16_t y = plan_slot(b, SLOT_Y, c->inner), z = plan_slot(b, SLOT_Z, c->inner);

    plan_matmul(b, in, h, t[LT_ATTN_QKV], NULL);
    plan_matmul(b, z, h, t[LT_ATTN_GATE], NULL);
    if (t[LT_SSM_BETA_ALPHA]) {
        uint16_t both = plan_slot(b, SLOT_BC, 2 * c->n_heads);
        uint32_t group = c->n_heads / c->n_groups; /* value heads of a key head */
        plan_matmul(b, both, h, t[LT_SSM_BETA_ALPHA], NULL);
        plan_slice(b, beta, 0, both, 2 * group, 0, group);
        plan_slice(b, alpha, 0, both, 2 * group, group, group);
    } else {
        plan_matmul(b, beta, h, t[LT_SSM_BETA], NULL);
        plan_matmul(b, alpha, h, t[LT_SSM_ALPHA], NULL);
    }
    add_conv(b, layer, qkv, in, 0, channels);
    plan_add(b, (struct op){.kind = OP_DELTA_NET,
                            .dst = y,
                            .a = qkv,
                            .b = alpha,
                            .layer = layer,
                            .w = t[LT_SSM_A_VECTOR],
                            .bias = t[LT_SSM_DT_BIAS],
                            .eps = b->d->norm_eps,
                            .delta = {.n_k_heads = c->n_groups,
                                      .n_v_heads = c->n_heads,
                                      .head_k = c->n_state,
                                      .head_v = c->inner / c->n_heads,
                                      .beta = beta,
                                      .tiled = c->tiled,
                                      .state_at = conv_state(b)}});
    plan_norm(b, y, y, t[LT_SSM_NORM_HEAD], c->inner / c->n_heads);
    add_gate(b, z, y);
    plan_matmul(b, h, y, t[LT_SSM_OUT], NULL);
}

void plan_recurrent(struct builder *b, uint16_t layer, uint16_t h)
{
    switch (b->d->layers[layer].recurrent) {
    case RECURRENT_NONE:
        return;
    case RECURRENT_SHORTCONV:
        build_shortconv(b, layer, h);
        return;
    case RECURRENT_MAMBA:
        build_mamba(b, layer, h);
        return;
    case RECURRENT_MAMBA2:
        build_mamba2(b, layer, h);
        return;
    case RECURRENT_DELTA_NET:
        build_delta_net(b, layer, h);
        return;
    }
}
