/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts of mixtures of experts. Experts are weighted by a softmax over all, and the weights of the
 * chosen made to add up to one; what a file says to the contrary is refused. */
#include "engine/model/experts.h"

#include <inttypes.h>

#include "engine/model/keys.h"

#define T(name) LAYER_TENSOR(LT_##name)
#define ONE_PART \
    (T(FFN_GATE) | T(FFN_GATE_BIAS) | T(FFN_UP) | T(FFN_UP_BIAS) | T(FFN_DOWN) | T(FFN_DOWN_BIAS))
#define EXPERTS (T(FFN_ROUTER) | T(FFN_GATE_EXPERTS) | T(FFN_UP_EXPERTS) | T(FFN_DOWN_EXPERTS))

enum { GATING_SOFTMAX = 1 };

/* Keys that may have only one value here. */
static int refuse_variants(const struct gguf *g, const struct descriptor *d, struct error *err)
{
    static const struct {
        const char *suffix;
        uint32_t most; /* 0 also means: nothing special */
    } counts[] = {
        {"expert_shared_count", 0},       {"expert_shared_feed_forward_length", 0},
        {"expert_group_count", 1},        {"expert_gating_func", GATING_SOFTMAX},
        {"interleave_moe_layer_step", 1}, {"leading_dense_block_count", 0},
    };
    char key[KEY_MAX];
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        uint32_t v = 0;
        int r = read_count(g, d, counts[i].suffix, false, 0, UINT32_MAX, &v, err);
        if (r < 0)
            return r;
        if (v > counts[i].most)
            return error_set(err, ERR_UNSUPPORTED, "%s is %" PRIu32 ", which is not supported",
                             key_of(d, counts[i].suffix, key), v);
    }
    bool norm = true;
    int r = gguf_want_bool(g, key_of(d, "expert_weights_norm", key), &norm, err);
    if (r == 0 && !norm)
        r = error_set(err, ERR_UNSUPPORTED, "%s is false, which is not supported", key);
    return r;
}

int experts_read(const struct gguf *g, const struct arch *a, struct descriptor *d,
                 struct error *err)
{
    int r = read_count(g, d, "expert_count", false, 0, UINT32_MAX, &d->n_experts, err);
    if (r < 0)
        return r;
    char key[KEY_MAX];
    key_of(d, "expert_count", key);
    if (d->n_experts > 0 && a->experts == EXPERTS_NEVER)
        return error_set(err, ERR_UNSUPPORTED,
                         "this is a mixture-of-experts model (%s is %" PRIu32
                         "), which is not supported for architecture '%s'",
                         key, d->n_experts, d->arch);
    if (d->n_experts == 0 && a->experts == EXPERTS_ALWAYS)
        return error_set(err, ERR_CORRUPT, "%s is missing or 0, but a %s model has experts", key,
                         d->arch);
    if (d->n_experts > MODEL_MAX_EXPERTS)
        return error_set(err, ERR_CORRUPT, "%s is %" PRIu32 ", but at most %d are allowed", key,
                         d->n_experts, MODEL_MAX_EXPERTS);
    if (d->n_experts == 0)
        return 0;
    double scale = 1; /* 0 also means none */
    r = read_count(g, d, "expert_used_count", true, 1, d->n_experts, &d->n_experts_used, err);
    if (r == 0)
        r = read_real(g, d, "expert_weights_scale", 0, 1e6, &scale, err);
    d->expert_scale = scale > 0 ? (float)scale : 1.0f;
    return r < 0 ? r : refuse_variants(g, d, err);
}

int experts_read_widths(const struct gguf *g, struct descriptor *d, struct error *err)
{
    uint32_t n_ff = 0; /* 0 = as feed_forward_length says */
    int r = read_count(g, d, "expert_feed_forward_length", false, 0, MODEL_MAX_FF, &n_ff, err);
    if (r < 0)
        return r;
    for (uint32_t i = 0; i < d->n_layers; i++) {
        struct layer_desc *l = &d->layers[i];
        l->n_ff = n_ff > 0 ? n_ff : l->n_ff;
        if ((uint64_t)l->n_ff * d->n_experts > INT32_MAX)
            return error_set(err, ERR_CORRUPT,
                             "layer %" PRIu32 ": %" PRIu32 " experts (%s.expert_count) of %" PRIu32
                             " rows are too many",
                             i, d->n_experts, d->arch, l->n_ff);
    }
    d->tensors_required = (d->tensors_required & ~ONE_PART) | EXPERTS;
    d->tensors_optional &= ~ONE_PART;
    return 0;
}
