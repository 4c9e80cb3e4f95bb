/* SPDX-License-Identifier: Apache-2.0
 *
 * The fields of config.json. Defaults are those of the transformers library. */
#include "engine/import/hf_config.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/compiler.h"

static bool is_arch(const struct hf_config *c, const char *arch)
{
    return strcmp(c->family->arch, arch) == 0;
}

/* ---- the family ---- */

static int refuse_family(struct str name, struct error *err)
{
    CLEANUP_BUF struct buf known = BUF_INIT(1024);
    for (size_t i = 0; family_at(i); i++)
        buf_printf(&known, "%s%s", i > 0 ? ", " : "", family_at(i)->hf);
    return error_set(err, ERR_UNSUPPORTED, "models of the kind '%.*s' cannot be imported (can: %s)",
                     STR_ARG(name), buf_cstr(&known));
}

static int read_family(struct hf_config *c, struct error *err)
{
    struct str name = js_to_str(js_at(js_get(c->json, "architectures"), 0));
    if (!name.ptr)
        return error_set(err, ERR_CORRUPT, "config.json names no architecture");
    c->family = family_find(name);
    if (!c->family)
        return refuse_family(name, err);
    if (js_is(js_get(c->json, "quantization_config"), JS_OBJECT))
        return error_set(err, ERR_UNSUPPORTED,
                         "config.json has a quantization_config; import the model that it was made "
                         "from, and quantize that");
    return 0;
}

/* ---- sizes ---- */

static int count(const struct hf_config *c, const char *field, int64_t max, int64_t *ret,
                 struct error *err)
{
    int r = js_want_int(c->json, field, 1, max, ret, err);
    if (r == 0 && *ret == 0)
        r = error_set(err, ERR_CORRUPT, "'%s' is missing", field);
    return r;
}

static int read_counts(struct hf_config *c, struct error *err)
{
    int64_t embd = 0, ff = 0, head = 0;
    bool experts = is_arch(c, "qwen3moe") || strcmp(c->family->hf, "MixtralForCausalLM") == 0;
    const char *n_experts = is_arch(c, "qwen3moe") ? "num_experts" : "num_local_experts";
    int r = count(c, "num_hidden_layers", HF_MAX_LAYERS, &c->n_layers, err);
    if (r == 0)
        r = count(c, "vocab_size", HF_MAX_VOCAB, &c->n_vocab, err);
    if (r == 0)
        r = count(c, "max_position_embeddings", INT32_MAX, &c->n_ctx, err);
    if (r == 0)
        r = count(c, "hidden_size", HF_MAX_WIDTH, &embd, err);
    if (r == 0)
        r = count(c, is_arch(c, "qwen3moe") ? "moe_intermediate_size" : "intermediate_size",
                  HF_MAX_WIDTH, &ff, err);
    if (r == 0)
        r = count(c, "num_attention_heads", HF_MAX_WIDTH, &c->n_heads, err);
    c->n_kv_heads = c->n_heads;
    if (r == 0)
        r = js_want_int(c->json, "num_key_value_heads", 1, HF_MAX_WIDTH, &c->n_kv_heads, err);
    if (r == 0 && experts)
        r = count(c, n_experts, HF_MAX_EXPERTS, &c->n_experts, err);
    if (r == 0 && experts)
        r = count(c, "num_experts_per_tok", c->n_experts, &c->n_experts_used, err);
    if (r < 0)
        return r;
    head = embd / c->n_heads;
    r = js_want_int(c->json, "head_dim", 2, HF_MAX_WIDTH, &head, err);
    if (r == 0 && (head < 2 || head % 2 != 0 || c->n_heads % c->n_kv_heads != 0 ||
                   head * c->n_heads > HF_MAX_WIDTH))
        r = error_set(err, ERR_CORRUPT,
                      "%" PRId64 " heads, %" PRId64 " of keys, of %" PRId64
                      " numbers do not fit together",
                      c->n_heads, c->n_kv_heads, head);
    c->sizes = (struct sizes){.embd = (uint64_t)embd,
                              .q = (uint64_t)(head * c->n_heads),
                              .kv = (uint64_t)(head * c->n_kv_heads),
                              .head = (uint64_t)head,
                              .ff = (uint64_t)ff,
                              .experts = (uint64_t)c->n_experts};
    return r;
}

/* ---- the rotation ---- */

/* Newer files have the base among the other facts of the rotation. */
static const struct json *rope_object(const struct json *json)
{
    const struct json *p = js_get(json, "rope_parameters");
    if (js_is(js_get(p, "full_attention"), JS_OBJECT))
        return js_get(p, "full_attention");
    return js_is(p, JS_OBJECT) ? p : js_get(json, "rope_scaling");
}

/* A number that the engine has no key for must have its usual value. */
static int must_be(const struct json *object, const char *field, double usual, struct error *err)
{
    double v = js_get_real(object, field, usual);
    if (v != usual)
        return error_set(err, ERR_UNSUPPORTED, "'%s' is %g; only %g is supported", field, v, usual);
    return 0;
}

static int read_stretch(struct hf_config *c, const struct json *rope, struct error *err)
{
    int r = js_want_real(rope, "factor", 1e-3, 1e6, &c->rope_factor, err);
    if (r == 0 && c->rope_factor == 0 && c->rope != HF_ROPE_LONG)
        r = error_set(err, ERR_CORRUPT, "the rotation is stretched, but its 'factor' is missing");
    c->n_ctx_before = c->n_ctx;
    if (r == 0 && c->rope == HF_ROPE_LONG)
        r = count(c, "original_max_position_embeddings", INT32_MAX, &c->n_ctx_before, err);
    else if (r == 0)
        r = js_want_int(rope, "original_max_position_embeddings", 1, INT32_MAX, &c->n_ctx_before,
                        err);
    if (r == 0 && c->rope == HF_ROPE_YARN) {
        r = must_be(rope, "beta_fast", 32, err);
        if (r == 0)
            r = must_be(rope, "beta_slow", 1, err);
        if (r == 0 && (js_is_number(js_get(rope, "attention_factor")) ||
                       js_is_number(js_get(rope, "mscale"))))
            r = error_set(err, ERR_UNSUPPORTED, "YaRN with an attention_factor is not supported");
    }
    return r;
}

static int read_rope(struct hf_config *c, struct error *err)
{
    static const struct {
        const char *name;
        enum hf_rope rope;
    } kinds[] = {
        {"default", HF_ROPE_PLAIN}, {"linear", HF_ROPE_LINEAR}, {"yarn", HF_ROPE_YARN},
        {"llama3", HF_ROPE_LLAMA3}, {"longrope", HF_ROPE_LONG}, {"su", HF_ROPE_LONG},
    };
    const struct json *rope = rope_object(c->json);
    double part = 1;
    c->freq_base = is_arch(c, "gemma3") || c->n_experts > 0 ? 1e6 : 1e4;
    int r = js_want_real(c->json, "rope_theta", 1, 1e12, &c->freq_base, err);
    if (r == 0)
        r = js_want_real(rope, "rope_theta", 1, 1e12, &c->freq_base, err);
    if (r == 0)
        r = js_want_real(c->json, "partial_rotary_factor", 1e-3, 1, &part, err);
    c->rope_dims = (int64_t)(part * (double)c->sizes.head) / 2 * 2;
    if (r == 0 && !is_arch(c, "phi3"))
        r = must_be(c->json, "partial_rotary_factor", 1, err);
    if (r < 0 || !js_is(rope, JS_OBJECT))
        return r;
    const char *kind = js_get_cstr(rope, "rope_type", js_get_cstr(rope, "type", "default"));
    size_t i = 0;
    while (i < ARRAY_LEN(kinds) && strcmp(kind, kinds[i].name) != 0)
        i++;
    bool fits = i < ARRAY_LEN(kinds) && (kinds[i].rope == HF_ROPE_PLAIN ||
                                         (kinds[i].rope == HF_ROPE_LONG) == is_arch(c, "phi3"));
    if (!fits)
        return error_set(err, ERR_UNSUPPORTED,
                         "the rotation's scaling '%s' is not supported for %s", kind,
                         c->family->hf);
    c->rope = kinds[i].rope;
    return c->rope == HF_ROPE_PLAIN ? 0 : read_stretch(c, rope, err);
}

/* ---- what must be as the engine has it ---- */

static int must_be_flag(const struct hf_config *c, const char *field, bool usual, bool want,
                        struct error *err)
{
    if (js_get_bool(c->json, field, usual) != want)
        return error_set(err, ERR_UNSUPPORTED, "'%s' is %s, which is not supported", field,
                         want ? "false" : "true");
    return 0;
}

static int check_activation(const struct hf_config *c, struct error *err)
{
    bool gemma = strncmp(c->family->arch, "gemma", 5) == 0;
    const char *act = js_get_cstr(c->json, "hidden_activation", NULL);
    if (!act)
        act = js_get_cstr(c->json, "hidden_act", gemma ? "gelu_pytorch_tanh" : "silu");
    /* The first files of Gemma say "gelu" and mean the approximation, too. */
    bool good = gemma ? strcmp(act, "gelu_pytorch_tanh") == 0 ||
                            (is_arch(c, "gemma") && strcmp(act, "gelu") == 0)
                      : strcmp(act, "silu") == 0;
    return good ? 0
                : error_set(err, ERR_UNSUPPORTED, "the activation '%s' is not supported for %s",
                            act, c->family->hf);
}

/* Every period-th layer looks at everything, the others at a window. */
static int check_layer_types(const struct hf_config *c, size_t period, struct error *err)
{
    const struct json *types = js_get(c->json, "layer_types");
    for (size_t i = 0; i < js_len(types); i++) {
        const char *type = js_to_cstr(js_at(types, i));
        bool whole = (i + 1) % period == 0;
        if (!type || strcmp(type, whole ? "full_attention" : "sliding_attention") != 0)
            return error_set(err, ERR_UNSUPPORTED,
                             "'layer_types' is not the usual one: layer %zu is %s", i,
                             type ? type : "no text");
    }
    return must_be(c->json, "sliding_window_pattern", (double)period, err);
}

static int check_gemma(const struct hf_config *c, struct error *err)
{
    /* The largest models scale by the width for each head, the others by the head's. */
    bool largest = c->n_layers == (is_arch(c, "gemma3") ? 62 : 46);
    double usual = largest ? (double)c->sizes.embd / (double)c->n_heads : (double)c->sizes.head;
    int r = must_be(c->json, "query_pre_attn_scalar", usual, err);
    if (r == 0)
        r = check_layer_types(c, is_arch(c, "gemma3") ? 6 : 2, err);
    if (r == 0 && is_arch(c, "gemma3"))
        r = must_be(c->json, "rope_local_base_freq", 10000, err);
    const struct json *local = js_get(js_get(c->json, "rope_parameters"), "sliding_attention");
    if (r == 0)
        r = must_be(local, "rope_theta", 10000, err);
    return r;
}

static int check_smollm3(const struct hf_config *c, struct error *err)
{
    const struct json *rope = js_get(c->json, "no_rope_layers"); /* 1 = has it, whatever its name */
    for (size_t i = 0; i < js_len(rope); i++)
        if ((js_to_int(js_at(rope, i), -1) != 0) != ((i + 1) % 4 != 0))
            return error_set(err, ERR_UNSUPPORTED,
                             "'no_rope_layers' is not the usual one: every fourth layer is");
    return must_be(c->json, "no_rope_layer_interval", 4, err);
}

static int check_experts(const struct hf_config *c, struct error *err)
{
    if (!is_arch(c, "qwen3moe"))
        return 0;
    if (js_len(js_get(c->json, "mlp_only_layers")) > 0)
        return error_set(err, ERR_UNSUPPORTED, "layers without experts ('mlp_only_layers')");
    int r = must_be(c->json, "decoder_sparse_step", 1, err);
    return r < 0 ? r : must_be_flag(c, "norm_topk_prob", false, true, err);
}

static int check_rest(struct hf_config *c, struct error *err)
{
    int r = check_activation(c, err);
    if (r == 0 && (is_arch(c, "gemma2") || is_arch(c, "gemma3")))
        r = check_gemma(c, err);
    if (r == 0 && is_arch(c, "smollm3"))
        r = check_smollm3(c, err);
    if (r == 0)
        r = check_experts(c, err);
    if (r == 0 && (c->family->arch[0] == 'q' || is_arch(c, "smollm3")))
        r = must_be_flag(c, "use_sliding_window", false, false, err);
    if (r == 0)
        r = js_want_int(c->json, "sliding_window", 0, INT32_MAX, &c->window, err);
    if (r == 0 && (c->family->flags & FAMILY_WINDOW) && c->window == 0)
        r = error_set(err, ERR_CORRUPT, "'sliding_window' is missing");
    c->window_unused =
        c->window > 0 && c->window < c->n_ctx && (is_arch(c, "llama") || is_arch(c, "phi3"));
    return r;
}

int hf_config_read(const struct json *json, struct hf_config *ret, struct error *err)
{
    struct hf_config c = {.json = json};
    bool ties = false;
    int r = read_family(&c, err);
    if (r == 0)
        r = read_counts(&c, err);
    if (r == 0)
        r = read_rope(&c, err);
    if (r == 0)
        r = js_want_real(json, "rms_norm_eps", 1e-12, 1, &c.eps, err);
    if (r == 0 && c.eps == 0)
        r = error_set(err, ERR_CORRUPT, "'rms_norm_eps' is missing");
    if (r == 0)
        r = check_rest(&c, err);
    if (r == 0)
        r = js_want_bool(json, "tie_word_embeddings", &ties, err);
    if (r < 0)
        return error_wrap(err, "config.json");
    c.ties = ties || (c.family->flags & FAMILY_TIED);
    c.unties = !c.ties && js_is(js_get(json, "tie_word_embeddings"), JS_BOOL);
    *ret = c;
    return 0;
}

/* ---- the keys ---- */

static const char *key_of(const struct hf_config *c, const char *suffix, char out[96])
{
    snprintf(out, 96, "%s.%s", c->family->arch, suffix);
    return out;
}

static void write_counts(const struct hf_config *c, struct gguf_writer *w)
{
    bool head = (c->family->flags & FAMILY_HEAD_DIM) || c->sizes.q != c->sizes.embd;
    bool window = (c->family->flags & FAMILY_WINDOW) || is_arch(c, "phi3");
    const struct {
        const char *suffix;
        uint64_t value; /* 0 = no key */
    } rows[] = {
        {"block_count", (uint64_t)c->n_layers},
        {"context_length", (uint64_t)c->n_ctx},
        {"vocab_size", (uint64_t)c->n_vocab},
        {"embedding_length", c->sizes.embd},
        {"feed_forward_length", c->sizes.ff},
        {"attention.head_count", (uint64_t)c->n_heads},
        {"attention.head_count_kv", (uint64_t)c->n_kv_heads},
        {"attention.key_length", head ? c->sizes.head : 0},
        {"attention.value_length", head ? c->sizes.head : 0},
        {"attention.sliding_window", window ? (uint64_t)c->window : 0},
        {"rope.dimension_count", (uint64_t)c->rope_dims},
        {"expert_count", (uint64_t)c->n_experts},
        {"expert_used_count", (uint64_t)c->n_experts_used},
        {"expert_feed_forward_length", is_arch(c, "qwen3moe") ? c->sizes.ff : 0},
    };
    char key[96];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].value > 0)
            gguf_writer_u32(w, key_of(c, rows[i].suffix, key), (uint32_t)rows[i].value);
}

static void write_reals(const struct hf_config *c, struct gguf_writer *w)
{
    static const struct {
        const char *arch, *field, *suffix;
    } rows[] = {
        {"gemma2", "attn_logit_softcapping", "attn_logit_softcapping"},
        {"gemma2", "final_logit_softcapping", "final_logit_softcapping"},
        {"gemma3", "final_logit_softcapping", "final_logit_softcapping"},
        {"granite", "embedding_multiplier", "embedding_scale"},
        {"granite", "residual_multiplier", "residual_scale"},
        {"granite", "attention_multiplier", "attention.scale"},
        {"granite", "logits_scaling", "logit_scale"},
    };
    char key[96];
    gguf_writer_f32(w, key_of(c, "attention.layer_norm_rms_epsilon", key), (float)c->eps);
    gguf_writer_f32(w, key_of(c, "rope.freq_base", key), (float)c->freq_base);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct json *v = js_get(c->json, rows[i].field);
        if (is_arch(c, rows[i].arch) && js_is_number(v))
            gguf_writer_f32(w, key_of(c, rows[i].suffix, key), (float)js_to_real(v, 0));
    }
}

/* What LongRoPE multiplies queries and keys with, from how far it stretches. */
static double long_rope_factor(const struct hf_config *c)
{
    double scale = (double)c->n_ctx / (double)c->n_ctx_before;
    return scale > 1 ? sqrt(1 + log(scale) / log((double)c->n_ctx_before)) : 1;
}

void hf_config_write(const struct hf_config *c, struct gguf_writer *w)
{
    char key[96];
    write_counts(c, w);
    write_reals(c, w);
    if (c->rope == HF_ROPE_LINEAR || c->rope == HF_ROPE_YARN) {
        gguf_writer_str(w, key_of(c, "rope.scaling.type", key),
                        c->rope == HF_ROPE_YARN ? STR("yarn") : STR("linear"));
        gguf_writer_f32(w, key_of(c, "rope.scaling.factor", key), (float)c->rope_factor);
    }
    if (c->rope == HF_ROPE_LONG)
        gguf_writer_f32(w, key_of(c, "rope.scaling.attn_factor", key), (float)long_rope_factor(c));
    if (c->rope == HF_ROPE_YARN || c->rope == HF_ROPE_LONG)
        gguf_writer_u32(w, key_of(c, "rope.scaling.original_context_length", key),
                        (uint32_t)c->n_ctx_before);
}

/* ---- tensors of factors ---- */

/* Llama 3: slow frequencies are divided by the factor, fast ones kept, between them a blend. */
static int llama3_factors(const struct hf_config *c, float **ret, struct error *err)
{
    const struct json *rope = rope_object(c->json);
    double low = 1, high = 4, n_ctx = (double)c->n_ctx_before;
    int r = js_want_real(rope, "low_freq_factor", 1e-3, 1e6, &low, err);
    if (r == 0)
        r = js_want_real(rope, "high_freq_factor", 1e-3, 1e6, &high, err);
    if (r == 0 && !(high > low))
        r = error_set(err, ERR_CORRUPT, "high_freq_factor must be larger than low_freq_factor");
    if (r < 0)
        return r;
    float *out = xcalloc((size_t)c->rope_dims / 2, sizeof(*out));
    for (int64_t i = 0; i < c->rope_dims / 2; i++) {
        double freq = pow(c->freq_base, -2.0 * (double)i / (double)c->rope_dims);
        double turns = n_ctx * freq / (2 * M_PI); /* in the context it was trained with */
        double blend = (turns - low) / (high - low);
        out[i] = turns < low    ? (float)c->rope_factor
                 : turns > high ? 1
                                : (float)(1 / ((1 - blend) / c->rope_factor + blend));
    }
    *ret = out;
    return 0;
}

static int list_factors(const struct hf_config *c, const char *field, float **ret,
                        struct error *err)
{
    const struct json *list = js_get(rope_object(c->json), field);
    size_t n = (size_t)c->rope_dims / 2;
    if (js_len(list) != n)
        return error_set(err, ERR_CORRUPT, "'%s' has %zu numbers, but %zu are needed", field,
                         js_len(list), n);
    float *out = xcalloc(n, sizeof(*out));
    for (size_t i = 0; i < n; i++)
        out[i] = (float)js_to_real(js_at(list, i), 1);
    *ret = out;
    return 0;
}

int hf_config_rope_factors(const struct hf_config *c, struct rope_factors ret[2], size_t *ret_n,
                           struct error *err)
{
    *ret_n = 0;
    int r = 0;
    if (c->rope == HF_ROPE_LLAMA3) {
        ret[0].gguf = "rope_freqs.weight";
        r = llama3_factors(c, &ret[0].values, err);
        *ret_n += r == 0;
    }
    if (c->rope == HF_ROPE_LONG) {
        static const char *const names[2][2] = {{"rope_factors_long.weight", "long_factor"},
                                                {"rope_factors_short.weight", "short_factor"}};
        for (size_t i = 0; r == 0 && i < 2; i++) {
            ret[i].gguf = names[i][0];
            r = list_factors(c, names[i][1], &ret[i].values, err);
            *ret_n += r == 0;
        }
    }
    return r < 0 ? error_wrap(err, "config.json") : 0;
}
