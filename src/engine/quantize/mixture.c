/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules of mixtures, written as data where they are regular: for each mixture, what the tensors
 * of a role get. Facts: llama.cpp, src/llama-quant.cpp. */
#include "engine/quantize/mixture.h"

#include <inttypes.h>
#include <stdio.h>
#include <strings.h>

#include "base/compiler.h"
#include "base/str.h"
#include "engine/kernels/types.h"

enum mix {
    MIX_F32,
    MIX_F16,
    MIX_BF16,
    MIX_Q4_0,
    MIX_Q4_1,
    MIX_Q5_0,
    MIX_Q5_1,
    MIX_Q8_0,
    MIX_Q2_K,
    MIX_Q2_K_S,
    MIX_Q3_K_S,
    MIX_Q3_K_M,
    MIX_Q3_K_L,
    MIX_Q4_K_S,
    MIX_Q4_K_M,
    MIX_Q5_K_S,
    MIX_Q5_K_M,
    MIX_Q6_K,
    MIX_IQ4_NL,
    MIX_IQ4_XS,
    MIX_TQ1_0,
    MIX_TQ2_0,
    MIX_MXFP4_MOE,
};

static const struct mixture mixtures[] = {
    [MIX_F32] = {"F32", 0, WT_F32},
    [MIX_F16] = {"F16", 1, WT_F16},
    [MIX_BF16] = {"BF16", 32, WT_BF16},
    [MIX_Q4_0] = {"Q4_0", 2, WT_Q4_0},
    [MIX_Q4_1] = {"Q4_1", 3, WT_Q4_1},
    [MIX_Q5_0] = {"Q5_0", 8, WT_Q5_0},
    [MIX_Q5_1] = {"Q5_1", 9, WT_Q5_1},
    [MIX_Q8_0] = {"Q8_0", 7, WT_Q8_0},
    [MIX_Q2_K] = {"Q2_K", 10, WT_Q2_K},
    [MIX_Q2_K_S] = {"Q2_K_S", 21, WT_Q2_K},
    [MIX_Q3_K_S] = {"Q3_K_S", 11, WT_Q3_K},
    [MIX_Q3_K_M] = {"Q3_K_M", 12, WT_Q3_K},
    [MIX_Q3_K_L] = {"Q3_K_L", 13, WT_Q3_K},
    [MIX_Q4_K_S] = {"Q4_K_S", 14, WT_Q4_K},
    [MIX_Q4_K_M] = {"Q4_K_M", 15, WT_Q4_K},
    [MIX_Q5_K_S] = {"Q5_K_S", 16, WT_Q5_K},
    [MIX_Q5_K_M] = {"Q5_K_M", 17, WT_Q5_K},
    [MIX_Q6_K] = {"Q6_K", 18, WT_Q6_K},
    [MIX_IQ4_NL] = {"IQ4_NL", 25, WT_IQ4_NL},
    [MIX_IQ4_XS] = {"IQ4_XS", 30, WT_IQ4_XS},
    [MIX_TQ1_0] = {"TQ1_0", 36, WT_TQ1_0},
    [MIX_TQ2_0] = {"TQ2_0", 37, WT_TQ2_0},
    [MIX_MXFP4_MOE] = {"MXFP4_MOE", 38, WT_MXFP4},
};

static const struct {
    const char *name;
    enum mix mix;
} short_names[] = {
    {"Q3_K", MIX_Q3_K_M},
    {"Q4_K", MIX_Q4_K_M},
    {"Q5_K", MIX_Q5_K_M},
    {"MXFP4", MIX_MXFP4_MOE},
};

static enum mix mix_of(const struct mixture_walk *w)
{
    return (enum mix)(w->mixture - mixtures);
}

int mixture_find(const char *name, const struct mixture **ret, struct error *err)
{
    CLEANUP_BUF struct buf known = BUF_INIT(1024);
    for (size_t i = 0; i < ARRAY_LEN(short_names); i++)
        if (strcasecmp(name, short_names[i].name) == 0) {
            *ret = &mixtures[short_names[i].mix];
            return 0;
        }
    for (size_t i = 0; i < ARRAY_LEN(mixtures); i++) {
        if (strcasecmp(name, mixtures[i].name) == 0) {
            *ret = &mixtures[i];
            return 0;
        }
        buf_printf(&known, "%s%s", i > 0 ? ", " : "", mixtures[i].name);
    }
    return error_set(err, ERR_INVALID, "the type '%s' cannot be made (possible: %s)", name,
                     buf_cstr(&known));
}

/* ---- the model ---- */

static bool has(struct str name, const char *part)
{
    return str_find(name, str_from(part)) >= 0;
}

static bool holds_values(struct str name)
{
    return has(name, "attn_v.weight") || has(name, "attn_qkv.weight") ||
           has(name, "attn_kv_b.weight");
}

/* The first number of a key that has one number, or one for each layer. */
static int read_first(const struct gguf *g, const struct mixture_walk *w, const char *suffix,
                      uint32_t *ret, struct error *err)
{
    char key[128];
    snprintf(key, sizeof(key), "%s.%s", w->arch, suffix);
    enum gguf_type type;
    uint64_t n;
    if (!gguf_array_info(g, key, &type, &n))
        return gguf_want_u32(g, key, ret, err);
    CLEANUP_FREE uint32_t *all = NULL;
    size_t len = 0;
    int r = gguf_get_u32_array(g, key, &all, &len, err);
    if (r == 0 && len > 0)
        *ret = all[0];
    return r;
}

void mixture_count(struct mixture_walk *w, struct str tensor)
{
    w->has_output |= str_eq_c(tensor, "output.weight");
    w->n_attn_v += holds_values(tensor);
}

int mixture_walk_init(struct mixture_walk *w, const struct gguf *g, struct error *err)
{
    struct str arch;
    uint32_t heads = 0, kv_heads = 0;
    int r = gguf_get_str(g, "general.architecture", &arch, err);
    if (r < 0)
        return r;
    snprintf(w->arch, sizeof(w->arch), "%.*s", STR_ARG(arch));
    r = read_first(g, w, "block_count", &w->n_layers, err);
    if (r == 0)
        r = read_first(g, w, "expert_count", &w->n_experts, err);
    if (r == 0)
        r = read_first(g, w, "attention.head_count", &heads, err);
    kv_heads = heads;
    if (r == 0)
        r = read_first(g, w, "attention.head_count_kv", &kv_heads, err);
    w->n_gqa = kv_heads > 0 ? heads / kv_heads : 0;
    for (size_t i = 0; r == 0 && i < gguf_n_tensors(g); i++)
        mixture_count(w, gguf_tensor_at(g, i)->name);
    return r;
}

/* The layer in a name "blk.N.…", or -1. */
static long layer_of(struct str name)
{
    if (!str_starts_with(name, STR("blk.")))
        return -1;
    struct str rest = str_sub(name, 4, SIZE_MAX), number;
    uint64_t v;
    if (!str_split_next(&rest, '.', &number) || str_to_u64(number, "layer", &v, NULL) < 0)
        return -1;
    return v < INT32_MAX ? (long)v : -1;
}

int mixture_order(const struct gguf_tensor *a, const struct gguf_tensor *b)
{
    long x = layer_of(a->name), y = layer_of(b->name);
    return x != y ? (x > y) - (x < y) : str_cmp(a->name, b->name);
}

/* ---- the rules ---- */

/* What is small, or hurts much when it is rounded: kept as it is. */
static bool is_kept(const struct gguf_tensor *t)
{
    static const char *const parts[] = {
        "_norm.weight",
        "ffn_gate_inp.weight",
        "altup",
        "laurel",
        "per_layer_model_proj",
        "ssm_conv1d.weight",
        "shortconv.conv.weight",
        "attn_rel_b.weight",
        "time_mix_first.weight",
        "time_mix_w0.weight",
        "time_mix_w1.weight",
        "time_mix_w2.weight",
        "time_mix_v0.weight",
        "time_mix_v1.weight",
        "time_mix_v2.weight",
        "time_mix_a0.weight",
        "time_mix_a1.weight",
        "time_mix_a2.weight",
        "time_mix_g1.weight",
        "time_mix_g2.weight",
        "time_mix_decay_w1.weight",
        "time_mix_decay_w2.weight",
        "time_mix_lerp_fused.weight",
    };
    uint64_t rows = t->n_items / t->dims[0];
    if (!str_ends_with(t->name, STR("weight")) || rows < 2)
        return true;
    if (str_eq_c(t->name, "position_embd.weight") || str_eq_c(t->name, "token_types.weight"))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (has(t->name, parts[i]))
            return true;
    return false;
}

/* The first and the last eighth of the layers, and every third between them. */
static bool more_bits(uint32_t layer, uint32_t n)
{
    return layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
}

static uint32_t output_type(const struct mixture_walk *w, const struct gguf_tensor *t)
{
    uint32_t type = w->mixture->type;
    if (mix_of(w) == MIX_MXFP4_MOE || type == WT_Q8_0 || strcmp(w->arch, "falcon") == 0 ||
        t->dims[0] % weight_type_info(type)->block_items != 0)
        return WT_Q8_0;
    return WT_Q6_K;
}

static uint32_t attn_v_type(const struct mixture_walk *w)
{
    uint32_t type = w->mixture->type, at = w->at_attn_v;
    bool shared = w->n_gqa >= 4;
    switch (mix_of(w)) {
    case MIX_Q2_K:
        type = shared ? WT_Q4_K : WT_Q3_K;
        break;
    case MIX_Q2_K_S:
        type = shared ? WT_Q4_K : type;
        break;
    case MIX_Q3_K_M:
        type = at < 2 ? WT_Q5_K : WT_Q4_K;
        break;
    case MIX_Q3_K_L:
        type = WT_Q5_K;
        break;
    case MIX_IQ4_NL:
    case MIX_IQ4_XS:
        type = shared ? WT_Q5_K : type;
        break;
    case MIX_Q4_K_M:
    case MIX_Q5_K_M:
        type = more_bits(at, w->n_attn_v) ? WT_Q6_K : type;
        break;
    case MIX_Q4_K_S:
        type = at < 4 ? WT_Q5_K : type;
        break;
    default:
        break;
    }
    /* Models of 70B: eight query heads share a value head, so these tensors are small. */
    if (w->n_layers == 80 && w->n_gqa > 1 &&
        (strcmp(w->arch, "llama") == 0 || strcmp(w->arch, "qwen2") == 0) &&
        (type == WT_Q3_K || type == WT_Q4_K))
        type = WT_Q5_K;
    return w->n_experts == 8 ? WT_Q8_0 : type;
}

static uint32_t ffn_down_type(const struct mixture_walk *w, uint32_t layer)
{
    uint32_t type = w->mixture->type, n = w->n_layers;
    bool falcon = strcmp(w->arch, "falcon") == 0;
    bool first = layer < n / 8, very_first = layer < n / 16, more = more_bits(layer, n);
    switch (mix_of(w)) {
    case MIX_Q2_K:
        return WT_Q3_K;
    case MIX_Q2_K_S:
        return first ? WT_Q4_K : type;
    case MIX_Q3_K_M:
        return very_first ? WT_Q5_K : !falcon || more ? WT_Q4_K : WT_Q3_K;
    case MIX_Q3_K_L:
        return falcon ? WT_Q4_K : WT_Q5_K;
    case MIX_Q4_K_M:
        if (falcon)
            return very_first ? WT_Q6_K : more ? WT_Q5_K : WT_Q4_K;
        return more ? WT_Q6_K : type;
    case MIX_Q5_K_M:
        return more ? WT_Q6_K : type;
    case MIX_Q4_K_S:
        return first && !falcon ? WT_Q5_K : type;
    case MIX_IQ4_NL:
    case MIX_IQ4_XS:
        return first && !w->has_imatrix ? WT_Q5_K : type;
    case MIX_Q4_0: /* with importance the first of these go wrong without a minimum */
        return first && w->has_imatrix ? WT_Q4_1 : type;
    case MIX_Q5_0:
        return first && w->has_imatrix ? WT_Q5_1 : type;
    default:
        return type;
    }
}

static uint32_t attn_output_type(const struct mixture_walk *w)
{
    enum mix mix = mix_of(w);
    uint32_t type = w->mixture->type;
    if (strcmp(w->arch, "falcon") == 0)
        return mix == MIX_Q3_K_L ? WT_Q4_K : type;
    if (w->n_experts == 8) {
        bool low = mix == MIX_Q2_K || mix == MIX_Q3_K_S || mix == MIX_Q3_K_M || mix == MIX_IQ4_NL ||
                   mix == MIX_Q4_K_S || mix == MIX_Q4_K_M || mix == MIX_IQ4_XS;
        return low ? WT_Q5_K : type;
    }
    return mix == MIX_Q2_K     ? WT_Q3_K
           : mix == MIX_Q3_K_M ? WT_Q4_K
           : mix == MIX_Q3_K_L ? WT_Q5_K
                               : type;
}

static uint32_t attn_qkv_type(const struct mixture_walk *w)
{
    switch (mix_of(w)) {
    case MIX_Q3_K_M:
    case MIX_Q3_K_L:
        return WT_Q4_K;
    case MIX_Q4_K_M:
        return WT_Q5_K;
    case MIX_Q5_K_M:
        return WT_Q6_K;
    default:
        return w->mixture->type;
    }
}

/* Mixtures of experts count layers by their names, others by the order of the tensors. */
static int ffn_layer(const struct mixture_walk *w, struct str name, uint32_t *ret,
                     struct error *err)
{
    *ret = w->at_ffn_down;
    if (w->n_experts <= 1)
        return 0;
    long layer = layer_of(name);
    if (layer < 0 || layer >= (long)w->n_layers)
        return error_set(err, ERR_CORRUPT, "tensor '%.*s' is of no layer of the %" PRIu32,
                         STR_ARG(name), w->n_layers);
    *ret = (uint32_t)layer;
    return 0;
}

static int rule(struct mixture_walk *w, const struct gguf_tensor *t, uint32_t *ret,
                struct error *err)
{
    struct str name = t->name;
    bool embedding = str_eq_c(name, "token_embd.weight");
    if (str_eq_c(name, "output.weight") || (embedding && !w->has_output)) {
        *ret = output_type(w, t);
    } else if (mix_of(w) == MIX_MXFP4_MOE) {
        *ret = t->dims[2] > 1 ? WT_MXFP4 : WT_Q8_0;
    } else if (embedding || str_eq_c(name, "per_layer_token_embd.weight")) {
        bool ternary = mix_of(w) == MIX_TQ1_0 || mix_of(w) == MIX_TQ2_0;
        *ret = ternary ? WT_Q4_K : w->mixture->type;
    } else if (has(name, "attn_v.weight")) {
        *ret = attn_v_type(w);
        w->at_attn_v++;
    } else if (has(name, "attn_k.weight")) {
        *ret = w->n_experts == 8 ? WT_Q8_0 : w->mixture->type;
    } else if (has(name, "attn_q.weight")) {
        *ret = w->mixture->type;
    } else if (has(name, "ffn_down")) {
        uint32_t layer;
        int r = ffn_layer(w, name, &layer, err);
        if (r < 0)
            return r;
        *ret = ffn_down_type(w, layer);
        w->at_ffn_down++;
    } else if (has(name, "attn_output.weight")) {
        *ret = attn_output_type(w);
    } else if (has(name, "attn_qkv.weight")) {
        *ret = attn_qkv_type(w);
    } else {
        *ret = w->mixture->type;
    }
    return 0;
}

/* What takes rows that are no whole number of blocks of 256. */
static uint32_t shorter_blocks(uint32_t type)
{
    switch (type) {
    case WT_TQ1_0:
    case WT_TQ2_0:
    case WT_Q2_K:
    case WT_Q3_K:
        return WT_Q4_0;
    case WT_IQ4_XS:
        return WT_IQ4_NL;
    case WT_Q4_K:
        return WT_Q5_0;
    case WT_Q5_K:
        return WT_Q5_1;
    case WT_Q6_K:
        return WT_Q8_0;
    default:
        return WT_F16;
    }
}

static bool divides(uint32_t type, const struct gguf_tensor *t)
{
    return t->dims[0] % weight_type_info(type)->block_items == 0;
}

int mixture_next(struct mixture_walk *w, const struct gguf_tensor *t, uint32_t *ret,
                 uint32_t *ret_wanted, struct error *err)
{
    *ret = *ret_wanted = t->type;
    if (is_kept(t))
        return 0;
    uint32_t type = w->mixture->type;
    int r = 0;
    if (!w->pure && weight_type_info(type)->block_items > 1)
        r = rule(w, t, &type, err);
    if (r < 0)
        return r;
    *ret_wanted = type;
    if (!divides(type, t))
        type = shorter_blocks(type);
    *ret = divides(type, t) ? type : WT_F16;
    return 0;
}
