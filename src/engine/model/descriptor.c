/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a descriptor: the row of the architecture, then the keys of the file, each checked against
 * its range and against the others. Everything behind this file may rely on it: products of the
 * counts here fit 32 bits, divisions have no rest, floats are finite. */
#include "engine/model/descriptor.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "engine/model/altup.h"
#include "engine/model/encoder.h"
#include "engine/model/experts.h"
#include "engine/model/keys.h"
#include "engine/model/mla.h"
#include "engine/model/recurrent.h"

/* ---- the architecture ---- */

static int refuse_arch(struct str name, struct error *err)
{
    CLEANUP_BUF struct buf known = BUF_INIT(1024);
    for (size_t i = 0; arch_at(i); i++)
        buf_printf(&known, "%s%s", i > 0 ? ", " : "", arch_at(i)->name);
    return error_set(err, ERR_UNSUPPORTED,
                     "the model architecture '%.*s' is not supported (supported: %s)",
                     (int)MIN(name.len, 80), name.ptr, buf_cstr(&known));
}

/* The blocks behind the model's own that some files have, see weights.c. */
static int read_draft_layers(const struct gguf *g, struct descriptor *d, struct error *err)
{
    int r = read_count(g, d, "nextn_predict_layers", false, 0, d->n_layers - 1, &d->n_draft_layers,
                       err);
    d->n_layers -= d->n_draft_layers;
    return r;
}

/* ---- sizes ---- */

static int read_vocab(const struct gguf *g, struct descriptor *d, struct error *err)
{
    const struct gguf_tensor *t = gguf_tensor_find(g, STR("token_embd.weight"));
    if (!t)
        return error_set(err, ERR_CORRUPT, "tensor 'token_embd.weight' is missing");
    if (t->dims[1] > MODEL_MAX_VOCAB)
        return error_set(err, ERR_CORRUPT,
                         "tensor 'token_embd.weight' has %" PRIu64 " rows; at most %d are allowed",
                         t->dims[1], MODEL_MAX_VOCAB);
    d->n_vocab = (uint32_t)t->dims[1];
    enum gguf_type type;
    uint64_t n;
    if (gguf_array_info(g, "tokenizer.ggml.tokens", &type, &n) && n != d->n_vocab)
        return error_set(err, ERR_CORRUPT,
                         "tokenizer.ggml.tokens has %" PRIu64
                         " tokens, but tensor 'token_embd.weight' has %" PRIu32 " rows",
                         n, d->n_vocab);
    return 0;
}

/* A key with one value for all layers or one per layer; out: [n_layers + n_draft_layers]. */
static int read_per_layer(const struct gguf *g, const struct descriptor *d, const char *suffix,
                          uint32_t *out, struct error *err)
{
    char buf[KEY_MAX];
    return gguf_get_u32_per_layer(g, key_of(d, suffix, buf), d->n_layers + d->n_draft_layers, out,
                                  err);
}

static int check_layer(const struct descriptor *d, uint32_t i, bool own_width, struct error *err)
{
    const struct layer_desc *l = &d->layers[i];
    if (l->n_heads == 0 || l->n_heads > MODEL_MAX_WIDTH)
        return error_set(err, ERR_CORRUPT,
                         "%s.attention.head_count is %" PRIu32 " in layer %" PRIu32, d->arch,
                         l->n_heads, i);
    if (l->n_kv_heads == 0 || l->n_kv_heads > l->n_heads || l->n_heads % l->n_kv_heads != 0)
        return error_set(err, ERR_CORRUPT,
                         "%s.attention.head_count_kv is %" PRIu32 " in layer %" PRIu32
                         ", but it must divide the %" PRIu32 " heads",
                         d->arch, l->n_kv_heads, i, l->n_heads);
    if (!own_width && d->n_embd % l->n_heads != 0)
        return error_set(err, ERR_CORRUPT,
                         "%s.attention.head_count is %" PRIu32 " in layer %" PRIu32
                         ", but it must divide the embedding length %" PRIu32,
                         d->arch, l->n_heads, i, d->n_embd);
    return 0;
}

static int check_ff(const struct descriptor *d, uint32_t i, struct error *err)
{
    const struct layer_desc *l = &d->layers[i];
    if (l->n_ff == 0 || l->n_ff > MODEL_MAX_FF)
        return error_set(err, ERR_CORRUPT,
                         "%s.feed_forward_length is %" PRIu32 " in layer %" PRIu32
                         ", but a number from 1 to %d is needed",
                         d->arch, l->n_ff, i, MODEL_MAX_FF);
    return 0;
}

static int check_heads(const struct descriptor *d, uint32_t i, struct error *err)
{
    const struct layer_desc *l = &d->layers[i];
    uint64_t widest = (uint64_t)l->n_heads * MAX(l->head_k, l->head_v);
    if (l->head_k == 0 || l->head_v == 0 || widest > MODEL_MAX_WIDTH)
        return error_set(err, ERR_CORRUPT,
                         "layer %" PRIu32 ": %" PRIu32 " heads of %" PRIu32 " and %" PRIu32
                         " values are out of range (1 to %d together)",
                         i, l->n_heads, l->head_k, l->head_v, MODEL_MAX_WIDTH);
    return 0;
}

static int read_layer_sizes(const struct gguf *g, struct descriptor *d, bool has_ffn,
                            struct error *err)
{
    uint32_t *v = xcalloc((size_t)d->n_layers + d->n_draft_layers, sizeof(*v));
    int r = read_per_layer(g, d, "attention.head_count", v, err);
    for (uint32_t i = 0; r == 0 && i < d->n_layers; i++)
        d->layers[i].n_heads = d->layers[i].n_kv_heads = v[i];
    if (r == 0) {
        r = read_per_layer(g, d, "attention.head_count_kv", v, err);
        for (uint32_t i = 0; r == 0 && i < d->n_layers; i++)
            d->layers[i].n_kv_heads = v[i];
        r = r == -ERR_NOT_FOUND ? 0 : r;
    }
    if (r == 0 && has_ffn) {
        r = read_per_layer(g, d, "feed_forward_length", v, err);
        for (uint32_t i = 0; r == 0 && i < d->n_layers; i++)
            d->layers[i].n_ff = v[i];
    }
    free(v);
    return r;
}

static int read_layers(const struct gguf *g, const struct arch *a, struct descriptor *d,
                       struct error *err)
{
    const struct recurrent_arch *rec = a->recurrent;
    bool has_ffn = !rec || rec->has_ffn;
    d->layers = xcalloc(d->n_layers, sizeof(*d->layers));
    int r = rec && rec->where == WHERE_ALL ? 0 : read_layer_sizes(g, d, has_ffn, err);
    if (r == 0 && rec)
        r = recurrent_read(g, rec, d, err);
    uint32_t head_k = 0, head_v = 0; /* 0 = from the embedding length */
    if (r == 0)
        r = read_count(g, d, "attention.key_length", false, 0, MODEL_MAX_WIDTH, &head_k, err);
    if (r == 0)
        r = read_count(g, d, "attention.value_length", false, 0, MODEL_MAX_WIDTH, &head_v, err);
    for (uint32_t i = 0; r == 0 && i < d->n_layers; i++) {
        struct layer_desc *l = &d->layers[i];
        l->kv_layer = i;
        bool attention = !rec || l->n_kv_heads > 0; /* recurrent_read() allows layers without */
        if (attention)
            r = check_layer(d, i, head_k > 0 && head_v > 0, err);
        if (r == 0 && has_ffn && !(rec && rec->where == WHERE_OR_FFN && l->n_ff == 0))
            r = check_ff(d, i, err);
        if (r < 0 || l->n_kv_heads == 0)
            continue;
        l->head_k = head_k > 0 ? head_k : d->n_embd / l->n_heads;
        l->head_v = head_v > 0 ? head_v : d->n_embd / l->n_heads;
        r = check_heads(d, i, err);
    }
    return r;
}

/* The first layer with attention, or NULL. */
static const struct layer_desc *attention_layer(const struct descriptor *d)
{
    for (uint32_t i = 0; i < d->n_layers; i++)
        if (d->layers[i].n_kv_heads > 0)
            return &d->layers[i];
    return NULL;
}

/* Which layers see the whole context: the file says it for each layer, or how many a period has, of
 * which the last (or first) one does. */
static int read_whole_layers(const struct gguf *g, const struct arch *a, const struct descriptor *d,
                             bool *whole, struct error *err)
{
    uint32_t period = a->window_period;
    bool first = a->encoder && a->encoder->whole_first;
    char key[KEY_MAX];
    key_of(d, "attention.sliding_window_pattern", key);
    CLEANUP_FREE bool *has = NULL;
    CLEANUP_FREE uint32_t *numbers = NULL;
    size_t n = 0;
    enum gguf_type type;
    uint64_t n_items;
    int r = 0;
    bool listed = period > 0 && gguf_array_info(g, key, &type, &n_items);
    if (listed) {
        r = type == GGUF_BOOL ? gguf_get_bool_array(g, key, &has, &n, err)
                              : gguf_get_u32_array(g, key, &numbers, &n, err);
        if (r == 0 && n < d->n_layers)
            r = error_set(err, ERR_CORRUPT, "%s has %zu items for %" PRIu32 " layers", key, n,
                          d->n_layers);
    } else if (period > 0) {
        r = read_count(g, d, "attention.sliding_window_pattern", false, 1, UINT32_MAX, &period,
                       err);
    }
    for (uint32_t i = 0; r == 0 && i < d->n_layers; i++)
        whole[i] = has          ? !has[i]
                   : numbers    ? numbers[i] == 0
                   : period > 0 ? (first ? i % period == 0 : (i + 1) % period == 0)
                                : false;
    return r;
}

/* A causal window as wide as the context sees all of it; a symmetric one does not. */
static int read_windows(const struct gguf *g, const struct arch *a, struct descriptor *d,
                        struct error *err)
{
    uint32_t window = a->window_default;
    int r = read_count(g, d, "attention.sliding_window", false, 0, UINT32_MAX, &window, err);
    if (r < 0 || window == 0 || a->window_ignored)
        return r;
    CLEANUP_FREE bool *whole = xcalloc(d->n_layers, sizeof(*whole));
    r = read_whole_layers(g, a, d, whole, err);
    for (uint32_t i = 0; r == 0 && i < d->n_layers; i++) {
        struct layer_desc *l = &d->layers[i];
        l->window = whole[i] || (d->causal && window >= d->n_ctx_train) ? 0 : window;
        if (!whole[i] && (a->local != LOCAL_SAME || a->encoder))
            l->rope = LAYER_ROPE_LOCAL;
        if (whole[i] && a->rope_where == ROPE_WINDOWS)
            l->rope = LAYER_ROPE_NONE;
    }
    return r;
}

/* ---- rotation ---- */

/* yarn_attn_factor is not read: files have there what follows from the factor anyway, or 1. */
static int read_yarn(const struct gguf *g, const struct arch *a, struct descriptor *d,
                     struct error *err)
{
    char key[KEY_MAX];
    struct rope_desc *rope = &d->rope;
    double log_multiplier = 0; /* how much of the growth of sin and cos is taken back; 0 = none */
    rope->orig_ctx = d->long_ctx;
    rope->ext_factor = 1;
    rope->beta_fast = 32;
    rope->beta_slow = 1;
    int r = read_real(g, d, "rope.scaling.yarn_ext_factor", 0, 1, &rope->ext_factor, err);
    if (r == 0 && !a->yarn_log && gguf_has(g, key_of(d, "rope.scaling.yarn_log_multiplier", key)))
        r = error_set(err, ERR_UNSUPPORTED, "%s is not supported for '%s'", key, d->arch);
    if (r == 0)
        r = read_real(g, d, "rope.scaling.yarn_log_multiplier", 0, 1e6, &log_multiplier, err);
    if (r == 0)
        r = read_real(g, d, "rope.scaling.yarn_beta_fast", 1e-6, 1e6, &rope->beta_fast, err);
    if (r == 0)
        r = read_real(g, d, "rope.scaling.yarn_beta_slow", 1e-6, 1e6, &rope->beta_slow, err);
    if (r < 0)
        return r;
    if (rope->factor < 1 || !(rope->freq_base > 1))
        return error_set(err, ERR_CORRUPT,
                         "YaRN scaling by %g with frequency base %g makes no sense", rope->factor,
                         rope->freq_base);
    d->yarn_log_multiplier = log_multiplier;
    rope->attn_factor /= 1 + 0.1 * (a->mla ? 1 : log_multiplier) * log(rope->factor);
    return 0;
}

static int read_rope_scaling(const struct gguf *g, const struct arch *a, struct descriptor *d,
                             struct error *err)
{
    struct rope_desc *rope = &d->rope;
    char key[KEY_MAX];
    struct str type = STR("linear"); /* what a factor alone means */
    int r = gguf_want_str(g, key_of(d, "rope.scaling.type", key), &type, err);
    if (r < 0)
        return r;
    double factor = 0;                                              /* 0 and 1 = none */
    r = read_real(g, d, "rope.scale_linear", 0, 1e6, &factor, err); /* the older name */
    if (r == 0)
        r = read_real(g, d, "rope.scaling.factor", 0, 1e6, &factor, err);
    if (r < 0)
        return r;
    rope->factor = factor > 0 ? factor : 1;
    rope->scaling = ROPE_SCALING_NONE;
    rope->attn_factor = 1;
    d->long_ctx = d->n_ctx_train;
    r = read_count(g, d, "rope.scaling.original_context_length", false, 1, UINT32_MAX, &d->long_ctx,
                   err);
    if (r == 0)
        r = read_real(g, d, "rope.scaling.attn_factor", 1e-6, 1e6, &rope->attn_factor, err);
    if (r < 0 || str_eq_c(type, "none"))
        return r;
    if (str_eq_c(type, "longrope") && rope->factor == 1) {
        rope->scaling = ROPE_SCALING_LONG;
        return 0;
    }
    if (str_eq_c(type, "linear")) {
        if (rope->factor < 1e-6)
            return error_set(err, ERR_CORRUPT, "%s.rope.scaling.factor is %g", d->arch,
                             rope->factor);
        if (rope->factor != 1)
            rope->scaling = ROPE_SCALING_LINEAR;
        return 0;
    }
    if (str_eq_c(type, "yarn")) {
        rope->scaling = ROPE_SCALING_YARN;
        return read_yarn(g, a, d, err);
    }
    return error_set(err, ERR_UNSUPPORTED,
                     "%s.rope.scaling.type '%.*s' is not supported%s (supported: none, linear, "
                     "yarn, longrope)",
                     d->arch, (int)MIN(type.len, 80), type.ptr,
                     rope->factor == 1 ? "" : " with rope.scaling.factor");
}

static int read_rope_local(const struct gguf *g, const struct arch *a, struct descriptor *d,
                           struct error *err)
{
    struct rope_desc *local = &d->rope_local;
    bool unscaled = a->local == LOCAL_BASE_UNSCALED || a->local == LOCAL_MODEL_UNSCALED;
    bool own_base = a->local == LOCAL_BASE || a->local == LOCAL_BASE_UNSCALED || a->encoder;
    *local = d->rope;
    if (unscaled) {
        local->scaling = ROPE_SCALING_NONE;
        local->attn_factor = 1;
    }
    if (a->local_base > 0)
        local->freq_base = a->local_base;
    int r =
        read_real(g, d, "rope.freq_base_swa", 1e-6, (double)__FLT_MAX__, &local->freq_base, err);
    if (r == 0 && !own_base && local->freq_base != d->rope.freq_base)
        r = error_set(err, ERR_UNSUPPORTED,
                      "%s.rope.freq_base_swa is %g, but %s.rope.freq_base is %g: two bases are not "
                      "supported for '%s'",
                      d->arch, local->freq_base, d->arch, d->rope.freq_base, d->arch);
    return r;
}

/* Which layers rotate: ret_any is whether one may. */
static int read_rope_where(const struct gguf *g, const struct arch *a, struct descriptor *d,
                           bool *ret_any, struct error *err)
{
    bool any = a->encoder ? a->encoder->rotates : !a->recurrent || a->recurrent->rotates;
    char key[KEY_MAX];
    int r = 0;
    switch (a->rope_where) {
    case ROPE_EVERYWHERE:
    case ROPE_WINDOWS: /* read_windows() marks them */
        break;
    case ROPE_NOWHERE:
        any = false;
        break;
    case ROPE_THREE_OF_4:
        for (uint32_t i = 3; i < d->n_layers; i += 4)
            d->layers[i].rope = LAYER_ROPE_NONE;
        break;
    case ROPE_KEY:
        r = gguf_want_bool(g, key_of(d, "rope.scaling.finetuned", key), &any, err);
        break;
    case ROPE_BAICHUAN: /* no key tells them apart */
        any = d->n_layers == 32;
        d->alibi = d->n_layers == 40;
        if (!any && !d->alibi)
            r = error_set(err, ERR_UNSUPPORTED,
                          "a %s model of %" PRIu32 " layers is not supported: it is known how "
                          "those of 32 and of 40 layers tell positions apart",
                          d->arch, d->n_layers);
        break;
    }
    *ret_any = any;
    return r;
}

static int read_rope(const struct gguf *g, const struct arch *a, struct descriptor *d,
                     struct error *err)
{
    struct rope_desc *rope = &d->rope;
    bool rotates;
    int r = read_rope_where(g, a, d, &rotates, err);
    if (r < 0 || !rotates || !attention_layer(d))
        return r;
    rope->kind = a->rope;
    rope->dims = UINT32_MAX;
    for (uint32_t i = 0; i < d->n_layers; i++)
        if (d->layers[i].n_kv_heads > 0)
            rope->dims = MIN(rope->dims, d->layers[i].head_k);
    uint32_t narrowest = rope->dims;
    r = read_count(g, d, "rope.dimension_count", false, 2, narrowest, &rope->dims, err);
    if (r < 0)
        return r;
    if (rope->dims % 2 != 0)
        return error_set(err, ERR_CORRUPT, "%s.rope.dimension_count is %" PRIu32 ", an odd number",
                         d->arch, rope->dims);
    rope->freq_base = 10000;
    r = read_real(g, d, "rope.freq_base", 1e-6, (double)__FLT_MAX__, &rope->freq_base, err);
    if (r == 0)
        r = read_rope_scaling(g, a, d, err);
    return r < 0 ? r : read_rope_local(g, a, d, err);
}

/* ---- scales ---- */

/* 0 in the file also means none. */
static int read_stream_scales(const struct gguf *g, const struct arch *a, struct descriptor *d,
                              struct error *err)
{
    bool multiplies = a->scales == SCALES_LOGITS, minicpm = a->scales == SCALES_MINICPM;
    double embd = minicpm ? 12 : 1, residual = minicpm ? 1.4 / sqrt(d->n_layers) : 1;
    double logit = minicpm ? d->n_embd / 256.0 : 1;
    int r = 0;
    if (!multiplies)
        r = read_real(g, d, "embedding_scale", 0, 1e6, &embd, err);
    if (r == 0 && !multiplies)
        r = read_real(g, d, "residual_scale", 0, 1e6, &residual, err);
    if (r == 0)
        r = read_real(g, d, "logit_scale", 0, 1e6, &logit, err);
    if (r < 0)
        return r;
    d->embd_scale = embd > 0 ? (float)embd : 1.0f;
    d->residual_scale = residual > 0 ? (float)residual : 1.0f;
    d->logit_scale = logit > 0 ? (float)(multiplies ? logit : 1 / logit) : 1.0f;
    return 0;
}

/* How much queries grow with their position. */
static int read_temperature(const struct gguf *g, struct descriptor *d, struct error *err)
{
    double scale = 0;
    int r = read_real(g, d, "attention.temperature_scale", 0, 1e6, &scale, err);
    d->temp_scale = (float)scale;
    d->temp_length = d->long_ctx;
    return r;
}

static int read_scales(const struct gguf *g, const struct arch *a, struct descriptor *d,
                       struct error *err)
{
    char key[KEY_MAX];
    double eps = 0;
    bool layer_norm = a->encoder ? !a->encoder->rms : a->layer_norm;
    const char *suffix =
        layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon";
    bool or_ffn = a->recurrent && a->recurrent->where == WHERE_OR_FFN;
    if (or_ffn && !gguf_has(g, key_of(d, suffix, key)))
        suffix = "attention.layer_norm_epsilon"; /* their files may have this name alone */
    if (!gguf_has(g, key_of(d, suffix, key)))
        return error_set(err, ERR_NOT_FOUND, "the file has no key '%s'", key);
    int r = read_real(g, d, suffix, 0, 1, &eps, err);
    if (r < 0)
        return r;
    d->norm_eps = (float)eps;

    /* All layers share one scale, so all heads must be of one width. */
    const struct layer_desc *first = attention_layer(d);
    uint32_t head_k = first ? first->head_k : 1;
    for (uint32_t i = 0; i < d->n_layers; i++)
        if (d->layers[i].n_kv_heads > 0 && d->layers[i].head_k != head_k)
            return error_set(err, ERR_UNSUPPORTED,
                             "layers with heads of different widths (%" PRIu32 " and %" PRIu32
                             ") are not supported",
                             head_k, d->layers[i].head_k);
    bool by_embd = a->embd_scale_layers > 0 && d->n_layers == a->embd_scale_layers;
    double scale = 0; /* 0 in the file also means the default */
    r = read_real(g, d, "attention.scale", 0, 1e6, &scale, err);
    if (r < 0)
        return r;
    if (scale == 0 && a->attn_scale > 0)
        scale = a->attn_scale;
    else if (scale == 0)
        scale = 1 / sqrt(by_embd ? (double)d->n_embd / d->layers[0].n_heads : (double)head_k);
    d->attn_scale = (float)scale;

    double attn_cap = a->attn_softcap_default, final_cap = a->final_softcap_default;
    r = read_real(g, d, "attn_logit_softcapping", 0, 1e6, &attn_cap, err);
    if (r == 0)
        r = read_real(g, d, "final_logit_softcapping", 0, 1e6, &final_cap, err);
    if (r < 0)
        return r;
    d->attn_softcap = (float)attn_cap;
    d->final_softcap = (float)final_cap;
    d->embd_scale = a->embd_scale_sqrt ? sqrtf((float)d->n_embd) : 1.0f;
    d->residual_scale = d->logit_scale = 1.0f;
    if (a->temperature)
        r = read_temperature(g, d, err);
    return r < 0 || a->scales == SCALES_NONE ? r : read_stream_scales(g, a, d, err);
}

/* ---- embeddings and ranking ---- */

static int read_heads(const struct gguf *g, const struct arch *a, struct descriptor *d,
                      struct error *err)
{
    uint32_t pooling = POOLING_NONE, dense_2 = 0, dense_3 = 0;
    int r = read_count(g, d, "pooling_type", false, 0, POOLING_RANK, &pooling, err);
    if (r < 0)
        return r;
    d->pooling = (enum pooling)pooling;
    d->head = a->head;
    d->n_cls_out = 1;
    char key[KEY_MAX];
    enum gguf_type type;
    uint64_t n;
    if (gguf_array_info(g, key_of(d, "classifier.output_labels", key), &type, &n) && n > 0) {
        if (n > MODEL_MAX_WIDTH)
            return error_set(err, ERR_CORRUPT, "%s has %" PRIu64 " items", key, n);
        d->n_cls_out = (uint32_t)n;
    }
    if (!(a->head & HEAD_DENSE))
        return 0;
    r = read_count(g, d, "dense_2_feat_out", false, 0, MODEL_MAX_WIDTH, &dense_2, err);
    if (r == 0)
        r = read_count(g, d, "dense_3_feat_in", false, 0, MODEL_MAX_WIDTH, &dense_3, err);
    if (r == 0 && dense_2 != dense_3)
        return error_set(err, ERR_CORRUPT,
                         "%s.dense_2_feat_out is %" PRIu32 ", but %s.dense_3_feat_in is %" PRIu32,
                         d->arch, dense_2, d->arch, dense_3);
    d->dense_width = dense_2;
    return r;
}

/* ModernBERT's files say which function their feed-forward layers use. */
static int read_activation(const struct gguf *g, struct descriptor *d, struct error *err)
{
    static const struct {
        const char *name;
        enum act_kind act;
    } known[] = {{"gelu", ACT_GELU_TANH}, {"geglu", ACT_GELU_TANH}, {"silu", ACT_SILU},
                 {"swish", ACT_SILU},     {"swiglu", ACT_SILU},     {"reglu", ACT_RELU}};
    char key[KEY_MAX];
    struct str name = {0};
    int r = gguf_want_str(g, key_of(d, "hidden_activation", key), &name, err);
    if (r < 0 || name.len == 0)
        return r;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (str_eq_c(name, known[i].name)) {
            d->act = known[i].act;
            return 0;
        }
    }
    return error_set(err, ERR_UNSUPPORTED, "%s '%.*s' is not supported", key,
                     (int)MIN(name.len, 80), name.ptr);
}

/* Whether tokens see what is behind them follows from the architecture; a file that wants it the
 * other way round is another model. */
static int check_causal(const struct gguf *g, const struct descriptor *d, struct error *err)
{
    char key[KEY_MAX];
    bool causal = d->causal;
    int r = gguf_want_bool(g, key_of(d, "attention.causal", key), &causal, err);
    if (r == 0 && causal != d->causal)
        r = error_set(err, ERR_UNSUPPORTED, "%s is %s, which is not supported for '%s'", key,
                      causal ? "true" : "false", d->arch);
    return r;
}

static int read_encoder(const struct gguf *g, struct descriptor *d, struct error *err)
{
    uint32_t types = 0;
    int r = gguf_want_u32(g, "tokenizer.ggml.token_type_count", &types, err);
    if (r == 0 && types > MODEL_MAX_VOCAB)
        r = error_set(err, ERR_CORRUPT, "tokenizer.ggml.token_type_count is %" PRIu32, types);
    d->n_token_types = types;
    if (r == 0 && d->encoder->whole_first)
        r = read_activation(g, d, err);
    for (uint32_t i = 1; r == 0 && i < d->n_layers; i++) {
        const struct layer_desc *l = &d->layers[i], *first = &d->layers[0];
        if (l->n_heads != first->n_heads || l->n_kv_heads != first->n_kv_heads ||
            l->n_ff != first->n_ff)
            r = error_set(err, ERR_UNSUPPORTED,
                          "layers of different sizes are not supported for '%s'", d->arch);
    }
    return r;
}

/* Two parameters of each layer are learned through softplus, so that they stay positive. */
static double softplus(double x)
{
    return fmax(x, 0) + log1p(exp(-fabs(x)));
}

/* One number for all layers or one for each, to out[0], out[4], … */
static int read_xielu_key(const struct gguf *g, const struct descriptor *d, const char *key,
                          double *out, struct error *err)
{
    enum gguf_type type;
    uint64_t n_items;
    CLEANUP_FREE float *list = NULL;
    size_t n = 0;
    double one = 0;
    if (!gguf_has(g, key))
        return error_set(err, ERR_NOT_FOUND, "the file has no key '%s'", key);
    int r = gguf_array_info(g, key, &type, &n_items) ? gguf_get_f32_array(g, key, &list, &n, err)
                                                     : gguf_want_f64(g, key, &one, err);
    if (r == 0 && list && n < d->n_layers)
        r = error_set(err, ERR_CORRUPT, "%s has %zu items for %" PRIu32 " layers", key, n,
                      d->n_layers);
    for (uint32_t i = 0; r == 0 && i < d->n_layers; i++) {
        double v = out[4 * (size_t)i] = list ? (double)list[i] : one;
        if (!(fabs(v) <= 1e6))
            r = error_set(err, ERR_CORRUPT, "%s is %g in layer %" PRIu32, key, v, i);
    }
    return r;
}

static int read_xielu(const struct gguf *g, struct descriptor *d, struct error *err)
{
    static const char *const keys[] = {"xielu.alpha_p", "xielu.alpha_n", "xielu.beta", "xielu.eps"};
    CLEANUP_FREE double *v = xcalloc(4 * (size_t)d->n_layers, sizeof(*v)); /* [n_layers][key] */
    int r = 0;
    for (size_t k = 0; r == 0 && k < ARRAY_LEN(keys); k++)
        r = read_xielu_key(g, d, keys[k], v + k, err);
    for (uint32_t i = 0; r == 0 && i < d->n_layers; i++) {
        const double *x = v + 4 * (size_t)i;
        d->layers[i].xielu = (struct xielu_params){.p = (float)softplus(x[0]),
                                                   .n = (float)(x[2] + softplus(x[1])),
                                                   .beta = (float)x[2],
                                                   .eps = (float)x[3]};
    }
    return r;
}

/* Whether both halves of a layer read the same. */
static int read_parallel(const struct gguf *g, const struct arch *a, struct descriptor *d,
                         struct error *err)
{
    char key[KEY_MAX];
    int r = 0;
    d->parallel = a->parallel == PARALLEL_YES;
    if (a->parallel == PARALLEL_KEY && !gguf_has(g, key_of(d, "use_parallel_residual", key)))
        return error_set(err, ERR_NOT_FOUND, "the file has no key '%s'", key);
    if (a->parallel == PARALLEL_KEY)
        r = gguf_want_bool(g, key, &d->parallel, err);
    if (a->parallel == PARALLEL_NO_FFN_NORM) {
        const UINT128 norm = LAYER_TENSOR(LT_FFN_NORM) | LAYER_TENSOR(LT_FFN_NORM_BIAS);
        d->parallel = !gguf_tensor_find(g, STR("blk.0.ffn_norm.weight"));
        d->tensors_required |= d->parallel ? 0 : norm;
    }
    return r;
}

/* ---- all of it ---- */

int descriptor_read(const struct gguf *g, struct descriptor *ret, struct error *err)
{
    struct str name = {0};
    int r = gguf_get_str(g, "general.architecture", &name, err);
    if (r < 0)
        return r;
    const struct arch *a = arch_find(name);
    if (!a)
        return refuse_arch(name, err);
    CLEANUP_DESCRIPTOR struct descriptor d = {
        .arch = a->name,
        .act = a->act,
        .xielu = a->xielu,
        .gated = a->gated,
        .causal = !a->encoder,
        .layer_norm = a->layer_norm,
        .qk_norm_whole = a->qk_norm_whole,
        .qk_norm_rotated = a->qk_norm_rotated,
        .fused_gate = a->fused_gate,
        .learned_positions = a->learned_positions,
        .encoder = a->encoder,
        .tensors_required = a->required,
        .tensors_optional = a->optional,
    };
    r = experts_read(g, a, &d, err);
    if (r == 0)
        r = read_count(g, &d, "block_count", true, 1, MODEL_MAX_LAYERS, &d.n_layers, err);
    bool drafts = a->draft_layers || (a->recurrent && a->recurrent->where == WHERE_INTERVAL);
    if (r == 0 && drafts)
        r = read_draft_layers(g, &d, err);
    if (r == 0)
        r = read_count(g, &d, "embedding_length", true, 1, MODEL_MAX_WIDTH, &d.n_embd, err);
    if (r == 0)
        r = read_count(g, &d, "context_length", true, 1, UINT32_MAX, &d.n_ctx_train, err);
    if (r == 0)
        r = read_vocab(g, &d, err);
    if (r == 0)
        r = read_layers(g, a, &d, err);
    if (r == 0 && d.n_experts > 0)
        r = experts_read_widths(g, a, &d, err);
    if (r == 0)
        r = read_windows(g, a, &d, err);
    if (r == 0)
        r = read_rope(g, a, &d, err);
    if (r == 0)
        r = read_scales(g, a, &d, err);
    if (r == 0)
        r = read_parallel(g, a, &d, err);
    if (r == 0 && a->mla)
        r = mla_read(g, &d, err);
    if (r == 0 && a->altup)
        r = altup_read(g, &d, err);
    if (r == 0 && a->xielu)
        r = read_xielu(g, &d, err);
    if (r == 0)
        r = check_causal(g, &d, err);
    if (r == 0)
        r = read_heads(g, a, &d, err);
    if (r == 0 && a->encoder)
        r = read_encoder(g, &d, err);
    if (r < 0)
        return r;
    *ret = d;
    d = (struct descriptor){0};
    return 0;
}

void descriptor_release(struct descriptor *d)
{
    free(d->layers);
    *d = (struct descriptor){0};
}
