/* SPDX-License-Identifier: Apache-2.0
 *
 * Heads: their tensors and their plan. */
#include "engine/model/head.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "engine/model/plan.h"

int head_want(struct head_weights *h, struct tensor_set *s, const struct descriptor *d,
              struct error *err)
{
    bool cls = d->head & (HEAD_CLS | HEAD_CLS_ONE);
    uint32_t n_cls = d->head & HEAD_CLS_ONE ? 1 : d->n_embd;
    const struct {
        bool known;
        struct tensor_want want;
    } wants[] = {
        {cls, {"cls.weight", &h->cls, n_cls, d->n_embd}},
        {cls, {"cls.bias", &h->cls_bias, 1, n_cls, .vector = true}},
        {d->head & HEAD_CLS_NORM, {"cls.norm.weight", &h->cls_norm, 1, d->n_embd, .vector = true}},
        {d->head & HEAD_OUT, {"cls.output.weight", &h->cls_out, d->n_cls_out, d->n_embd}},
        {d->head & HEAD_OUT_BIAS,
         {"cls.output.bias", &h->cls_out_bias, 1, d->n_cls_out, .vector = true}},
        {d->dense_width > 0, {"dense_2.weight", &h->dense_2, d->dense_width, d->n_embd}},
        {d->dense_width > 0, {"dense_3.weight", &h->dense_3, d->n_embd, d->dense_width}},
    };
    for (size_t i = 0; i < ARRAY_LEN(wants); i++) {
        int r = wants[i].known ? tensor_set_want(s, &wants[i].want, err) : 0;
        if (r < 0)
            return r;
    }
    return 0;
}

bool head_can_rank(const struct head_weights *h)
{
    return h->cls || h->cls_out;
}

bool head_has_dense(const struct head_weights *h)
{
    return h->dense_2 || h->dense_3;
}

/* ---- the plan: every operation has a slot of its own ---- */

struct builder {
    struct model_plan *out;
    size_t n_ops;
    uint16_t n_slots;
};

/* Appends an operation from the last slot to a new one of this width. */
static void add(struct builder *b, struct op op, uint32_t width)
{
    struct model_plan *p = b->out;
    p->ops = xrealloc(p->ops, b->n_ops + 1, sizeof(*p->ops));
    p->slot_width = xrealloc(p->slot_width, b->n_slots + 1u, sizeof(*p->slot_width));
    op.a = op.b = b->n_slots > 0 ? b->n_slots - 1 : 0;
    op.dst = b->n_slots;
    p->slot_width[b->n_slots++] = width;
    p->ops[b->n_ops++] = op;
}

static void build_rank(struct builder *b, const struct descriptor *d, const struct head_weights *h,
                       uint32_t *width)
{
    if (h->cls) {
        *width = d->head & HEAD_CLS_ONE ? 1 : d->n_embd;
        add(b, (struct op){.kind = OP_MATMUL, .w = h->cls, .bias = h->cls_bias}, *width);
        if (d->head & HEAD_GELU)
            add(b, (struct op){.kind = OP_ACT, .act = ACT_GELU_TANH}, *width);
        else
            add(b, (struct op){.kind = OP_SOFTCAP, .scale = 1}, *width); /* tanh */
        if (h->cls_norm)
            add(b, (struct op){.kind = OP_LAYER_NORM, .w = h->cls_norm, .eps = d->norm_eps},
                *width);
    }
    if (h->cls_out) {
        *width = d->n_cls_out;
        add(b, (struct op){.kind = OP_MATMUL, .w = h->cls_out, .bias = h->cls_out_bias}, *width);
    }
}

void head_plan_build(struct model_plan *ret, const struct descriptor *d,
                     const struct head_weights *h, bool rank, uint32_t *ret_width)
{
    *ret = (struct model_plan){0};
    struct builder b = {.out = ret};
    uint32_t width = d->n_embd;
    add(&b, (struct op){.kind = OP_INPUT}, width);
    if (rank) {
        build_rank(&b, d, h, &width);
    } else {
        if (h->dense_2)
            add(&b, (struct op){.kind = OP_MATMUL, .w = h->dense_2}, width = d->dense_width);
        if (h->dense_3)
            add(&b, (struct op){.kind = OP_MATMUL, .w = h->dense_3}, width = d->n_embd);
    }
    uint16_t last = b.n_slots;
    add(&b, (struct op){.kind = OP_SELECT}, width);
    ret->plan = (struct plan){
        .ops = ret->ops,
        .n_ops = b.n_ops,
        .slot_width = ret->slot_width,
        .n_slots = b.n_slots,
        .out_slot = last,
    };
    *ret_width = width;
}
