/* SPDX-License-Identifier: Apache-2.0
 *
 * What some models put behind the pooled vector of a text:
 *
 *     embeddings   v = dense_3 (dense_2 v)
 *     ranking      v = norm(act(cls v + bias)) * cls_norm;  scores = cls_out v + bias
 *
 * A step without a tensor is left out. */
#ifndef ENGINE_MODEL_HEAD_H
#define ENGINE_MODEL_HEAD_H

#include "engine/model/descriptor.h"
#include "engine/model/tensor_set.h"

struct model_plan;

struct head_weights {
    struct weight *cls, *cls_bias, *cls_norm, *cls_out, *cls_out_bias;
    struct weight *dense_2, *dense_3;
};

/* Wants the tensors that models of this architecture may have. */
int head_want(struct head_weights *h, struct tensor_set *s, const struct descriptor *d,
              struct error *err);

bool head_can_rank(const struct head_weights *h);
bool head_has_dense(const struct head_weights *h);

/* From OP_INPUT rows of n_embd values to the scores or the projected vector; *ret_width: of the
 * output. Only if there is such a head. */
void head_plan_build(struct model_plan *ret, const struct descriptor *d,
                     const struct head_weights *h, bool rank, uint32_t *ret_width);

#endif
