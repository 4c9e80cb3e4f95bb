/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts of mixtures of experts: what an architecture's row says of routing, and what its files add.
 * What a file says to the contrary is refused. */
#include "engine/model/experts.h"

#include <inttypes.h>

#include "engine/model/keys.h"

#define T(name) LAYER_TENSOR(LT_##name)
#define ONE_PART \
    (T(FFN_GATE) | T(FFN_GATE_BIAS) | T(FFN_UP) | T(FFN_UP_BIAS) | T(FFN_DOWN) | T(FFN_DOWN_BIAS))
#define EXPERTS (T(FFN_ROUTER) | T(FFN_GATE_EXPERTS) | T(FFN_UP_EXPERTS) | T(FFN_DOWN_EXPERTS))
#define SHARED (T(FFN_GATE_SHARED) | T(FFN_UP_SHARED) | T(FFN_DOWN_SHARED))

/* Values of expert_gating_func. */
enum { GATING_NONE, GATING_SOFTMAX, GATING_SIGMOID, GATING_SOFTMAX_CHOSEN };

static int refuse_value(const struct descriptor *d, const char *suffix, uint32_t v,
                        struct error *err)
{
    char key[KEY_MAX];
    return error_set(err, ERR_UNSUPPORTED, "%s is %" PRIu32 ", which is not supported for '%s'",
                     key_of(d, suffix, key), v, d->arch);
}

/* Keys that may have only one value here. */
static int refuse_variants(const struct gguf *g, const struct arch *a, const struct descriptor *d,
                           struct error *err)
{
    bool shared = a->shared != SHARED_NEVER;
    const struct {
        const char *suffix;
        uint32_t most; /* 0 also means: nothing special */
        bool free;     /* any value will do: it is read elsewhere */
    } counts[] = {
        {"expert_shared_count", 0, shared},
        {"expert_shared_feed_forward_length", 0, shared},
        {"expert_group_count", 1, a->expert_groups},
        {"interleave_moe_layer_step", 1, false},
        {"leading_dense_block_count", 0, a->dense_first},
    };
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        uint32_t v = 0;
        int r = read_count(g, d, counts[i].suffix, false, 0, UINT32_MAX, &v, err);
        if (r < 0)
            return r;
        if (v > counts[i].most && !counts[i].free)
            return refuse_value(d, counts[i].suffix, v, err);
    }
    return 0;
}

/* How scores become shares. */
static int read_routing(const struct gguf *g, const struct arch *a, struct descriptor *d,
                        struct error *err)
{
    char key[KEY_MAX];
    bool norm = a->expert_norm == EXPERT_NORM_YES;
    bool favored = (a->experts_required | a->experts_optional) & T(FFN_ROUTER_FAVOR);
    uint32_t own = a->expert_sigmoid   ? GATING_SIGMOID
                   : a->expert_clamped ? GATING_SOFTMAX_CHOSEN
                                       : GATING_SOFTMAX;
    uint32_t gating = GATING_NONE;
    int r = read_count(g, d, "expert_gating_func", false, 0, UINT32_MAX, &gating, err);
    if (r < 0)
        return r;
    if (a->expert_gating && gating == GATING_SIGMOID)
        own = GATING_SIGMOID;
    if (gating != GATING_NONE && gating != own)
        return refuse_value(d, "expert_gating_func", gating, err);
    r = gguf_want_bool(g, key_of(d, "expert_weights_norm", key), &norm, err);
    if (r < 0)
        return r;
    if (a->expert_norm != EXPERT_NORM_KEY && norm != (a->expert_norm == EXPERT_NORM_YES))
        return error_set(err, ERR_UNSUPPORTED, "%s is %s, which is not supported for '%s'", key,
                         norm ? "true" : "false", d->arch);
    /* Shares among all, divided by the sum of the chosen: the others cancel out. */
    bool chosen = own == GATING_SOFTMAX_CHOSEN || (own == GATING_SOFTMAX && norm && !favored);
    d->expert_norm = norm;
    d->router = own == GATING_SIGMOID ? ROUTER_SIGMOID : chosen ? ROUTER_CHOSEN : ROUTER_SOFTMAX;
    d->expert_clamped = a->expert_clamped;
    return 0;
}

/* Groups that experts are chosen from. */
static int read_groups(const struct gguf *g, struct descriptor *d, struct error *err)
{
    uint32_t n = 0, used = 0;
    int r = read_count(g, d, "expert_group_count", false, 0, EXPERT_GROUPS_MAX, &n, err);
    if (r < 0 || n <= 1)
        return r;
    if (d->n_experts % n != 0)
        return error_set(err, ERR_CORRUPT,
                         "%s.expert_group_count is %" PRIu32 ", but it must divide the %" PRIu32
                         " experts",
                         d->arch, n, d->n_experts);
    r = read_count(g, d, "expert_group_used_count", true, 1, n, &used, err);
    if (r == 0 && used * (d->n_experts / n) < d->n_experts_used)
        r = error_set(err, ERR_CORRUPT,
                      "%s.expert_group_used_count is %" PRIu32 ", but groups of %" PRIu32
                      " experts are too few for the %" PRIu32 " that a token uses",
                      d->arch, used, d->n_experts / n, d->n_experts_used);
    d->n_expert_groups = n;
    d->n_expert_groups_used = used;
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
    if (r == 0)
        r = refuse_variants(g, a, d, err);
    if (r == 0 && a->expert_groups)
        r = read_groups(g, d, err);
    return r < 0 ? r : read_routing(g, a, d, err);
}

/* The width of the part beside the experts: named, or that of some experts, or that of a layer
 * without experts. */
static int read_shared(const struct gguf *g, const struct arch *a, struct descriptor *d,
                       uint32_t n_ff, uint32_t n_ff_dense, struct error *err)
{
    uint32_t n_shared = 0, width = 0;
    if (a->shared == SHARED_NEVER)
        return 0;
    int r = read_count(g, d, "expert_shared_count", false, 0, MODEL_MAX_EXPERTS, &n_shared, err);
    if (r == 0)
        r = read_count(g, d, "expert_shared_feed_forward_length", false, 0, MODEL_MAX_FF, &width,
                       err);
    if (r < 0)
        return r;
    uint64_t all = width > 0                    ? width
                   : n_shared > 0               ? (uint64_t)n_shared * n_ff
                   : a->shared == SHARED_ALWAYS ? n_ff_dense
                                                : 0;
    if (all > MODEL_MAX_FF)
        return error_set(err, ERR_CORRUPT,
                         "%s.expert_shared_count is %" PRIu32 ", but so many parts of %" PRIu32
                         " rows are too large (%d together are possible)",
                         d->arch, n_shared, n_ff, MODEL_MAX_FF);
    d->n_ff_shared = (uint32_t)all;
    return 0;
}

static int check_rows(const struct descriptor *d, uint32_t layer, struct error *err)
{
    uint32_t rows = MAX(d->layers[layer].n_ff, d->n_embd);
    if ((uint64_t)rows * d->n_experts > INT32_MAX)
        return error_set(err, ERR_CORRUPT,
                         "layer %" PRIu32 ": %" PRIu32 " experts (%s.expert_count) of %" PRIu32
                         " rows are too many",
                         layer, d->n_experts, d->arch, rows);
    return 0;
}

int experts_read_widths(const struct gguf *g, const struct arch *a, struct descriptor *d,
                        struct error *err)
{
    uint32_t n_ff = 0, n_dense = 0; /* 0 = as feed_forward_length says; none */
    int r = read_count(g, d, "expert_feed_forward_length", false, 0, MODEL_MAX_FF, &n_ff, err);
    if (r == 0 && a->dense_first)
        r = read_count(g, d, "leading_dense_block_count", false, 0, d->n_layers, &n_dense, err);
    uint32_t n_ff_dense = d->layers[0].n_ff;
    if (r == 0)
        r = read_shared(g, a, d, n_ff > 0 ? n_ff : n_ff_dense, n_ff_dense, err);
    UINT128 one_required = d->tensors_required & ONE_PART;
    UINT128 one_optional = d->tensors_optional & ONE_PART;
    UINT128 shared = d->n_ff_shared > 0 ? SHARED : 0;
    d->tensors_required &= ~ONE_PART;
    d->tensors_optional &= ~ONE_PART;
    for (uint32_t i = 0; r == 0 && i < d->n_layers; i++) {
        struct layer_desc *l = &d->layers[i];
        l->experts = i >= n_dense;
        l->tensors_required |= l->experts ? EXPERTS | shared | a->experts_required : one_required;
        l->tensors_optional |= l->experts ? a->experts_optional : one_optional;
        l->n_ff = l->experts && n_ff > 0 ? n_ff : l->n_ff;
        r = l->experts ? check_rows(d, i, err) : 0;
    }
    return r;
}
