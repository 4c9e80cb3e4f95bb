/* SPDX-License-Identifier: Apache-2.0
 *
 * One row of facts for each architecture, taken from the papers and from the code that its makers
 * published; then a forward pass that does what the row says. */
#include "ref_dense.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref_experts.h"
#include "ref_mla.h"

enum {
    HALVES = 1,          /* rotation of (i, i + dims/2), else of (2i, 2i+1) */
    MEAN_FREE = 2,       /* layer norms, else RMS norms */
    SIDE_BY_SIDE = 4,    /* attention and feed-forward part both read the layer's input */
    GELU = 8,            /* else SiLU */
    SQRT_EMBD = 16,      /* embeddings times sqrt(width) */
    LOGITS_DIVIDED = 32, /* by logit_scale, else multiplied */
    NORM_OVER_ALL = 64,  /* queries and keys: over all heads, else each by itself */
    STILL_WHOLE = 128,   /* layers that see all do not rotate, if others have windows */
    STILL_FOURTH = 256,  /* each fourth layer does not rotate */
    NO_WINDOWS = 512,    /* whatever the file says */
    RELU_SQUARED = 1024, /* in place of SiLU */
    NORM_BEHIND = 2048,  /* queries and keys are normed behind their rotation */
};

static const struct facts {
    const char *arch;
    unsigned flags;
    size_t period;     /* with windows, each so many-th layer sees all */
    double local_base; /* frequency base of layers with windows, without scaling; 0 = the same */
} all_facts[] = {
    {"gemma", HALVES | GELU | SQRT_EMBD, 0, 0},
    {"gemma3", HALVES | GELU | SQRT_EMBD, 6, 10000},
    {"gemma3n", HALVES | GELU | SQRT_EMBD, 5, 10000},
    {"phi3", HALVES | NO_WINDOWS, 0, 0},
    {"granite", LOGITS_DIVIDED, 0, 0},
    {"smollm3", STILL_FOURTH, 0, 0},
    {"mistral3", 0, 0, 0},
    {"starcoder2", HALVES | MEAN_FREE | GELU, 0, 0},
    {"olmo2", HALVES | NORM_OVER_ALL, 4, -1},
    {"command-r", MEAN_FREE | SIDE_BY_SIDE, 0, 0},
    {"cohere2", MEAN_FREE | SIDE_BY_SIDE | STILL_WHOLE, 4, 0},
    {"glm4", 0, 0, 0},
    {"seed_oss", HALVES, 0, 0},
    {"ernie4_5", 0, 0, 0},
    {"phi2", HALVES | MEAN_FREE | SIDE_BY_SIDE | GELU, 0, 0},
    {"falcon", HALVES | MEAN_FREE | SIDE_BY_SIDE | GELU, 0, 0},
    {"gpt2", MEAN_FREE | GELU, 0, 0},
    {"gptneox", HALVES | MEAN_FREE | GELU, 0, 0},
    {"stablelm", HALVES | MEAN_FREE, 0, 0},
    {"internlm2", 0, 0, 0},
    {"exaone", HALVES, 0, 0},
    {"exaone4", HALVES | STILL_WHOLE, 4, 0},
    {"minicpm", LOGITS_DIVIDED, 0, 0},
    {"baichuan", 0, 0, 0},
    {"starcoder", MEAN_FREE | GELU, 0, 0},
    {"codeshell", HALVES | MEAN_FREE | GELU, 0, 0},
    {"nemotron", HALVES | MEAN_FREE | RELU_SQUARED, 0, 0},
    {"orion", HALVES | MEAN_FREE, 0, 0},
    {"chatglm", 0, 0, 0},
    {"hunyuan-dense", HALVES | NORM_BEHIND, 0, 0},
    {"arcee", RELU_SQUARED, 0, 0},
    {"xverse", 0, 0, 0},
    {"apertus", HALVES, 0, 0},
    {"gpt-oss", HALVES, 2, 0},
    {"qwen2moe", HALVES, 0, 0},
    {"glm4moe", HALVES, 0, 0},
    {"granitemoe", LOGITS_DIVIDED, 0, 0},
    {"olmoe", HALVES | NORM_OVER_ALL, 0, 0},
    {"ernie4_5-moe", 0, 0, 0},
    {"deepseek", 0, 0, 0},
    {"deepseek2", 0, 0, 0},
    {NULL, 0, 0, 0},
};

struct ref {
    const struct ref_model *m;
    const struct facts *f;
    bool side_by_side;
    size_t n, e, n_layers, n_heads, n_kv, head, ff, dims;
    size_t context; /* that the model runs with: what it was trained for */
    double eps;
    double **keys, **values; /* [n_layers] of gemma3n: some layers read those of others */
};

/* The last one, without a name, where there is none. */
static const struct facts *facts_of(const struct ref_model *m)
{
    const struct facts *f = all_facts;
    while (f->arch && strcmp(ref_model_arch(m), f->arch) != 0)
        f++;
    return f;
}

bool ref_dense(const struct ref_model *m)
{
    return facts_of(m)->arch != NULL;
}

static double *zeros(size_t n)
{
    double *p = calloc(n, sizeof(*p));
    if (!p)
        abort();
    return p;
}

static const double *global(const struct ref *r, const char *name)
{
    size_t rows;
    return ref_model_tensor(r->m, name, &rows);
}

static const double *get(const struct ref *r, size_t layer, const char *suffix)
{
    char name[96];
    snprintf(name, sizeof(name), "blk.%zu.%s", layer, suffix);
    return global(r, name);
}

static double number(const struct ref *r, const char *suffix, double otherwise)
{
    return ref_model_number(r->m, suffix, otherwise);
}

/* [n][rows]; where the tensor is rows first .. of a larger one, w and bias point there. */
static double *project(const struct ref *r, const double *w, const double *bias, const double *x,
                       size_t rows, size_t cols)
{
    double *y = zeros(r->n * rows);
    for (size_t t = 0; t < r->n; t++) {
        for (size_t i = 0; i < rows; i++) {
            double sum = bias ? bias[i] : 0;
            for (size_t c = 0; c < cols; c++)
                sum += w[i * cols + c] * x[t * cols + c];
            y[t * rows + i] = sum;
        }
    }
    return y;
}

/* In place; n values. */
static void norm_one(const struct ref *r, double *x, const double *w, const double *bias, size_t n)
{
    double mean = 0, square = 0;
    for (size_t i = 0; i < n && r->f->flags & MEAN_FREE; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean) / (double)n;
    for (size_t i = 0; i < n; i++)
        x[i] = (x[i] - mean) / sqrt(square + r->eps) * w[i] + (bias ? bias[i] : 0);
}

/* A copy of x [n][e], normed if there are weights. */
static double *normed(const struct ref *r, const double *x, const double *w, const double *bias)
{
    double *y = zeros(r->n * r->e);
    memcpy(y, x, r->n * r->e * sizeof(*y));
    for (size_t t = 0; t < r->n && w; t++)
        norm_one(r, y + t * r->e, w, bias, r->e);
    return y;
}

/* ---- positions ---- */

static size_t window_of(const struct ref *r, size_t layer)
{
    size_t window = (size_t)number(r, "attention.sliding_window", 0);
    if (r->f->flags & NO_WINDOWS || (r->f->period > 0 && (layer + 1) % r->f->period == 0))
        return 0;
    return window;
}

static bool rotates(const struct ref *r, size_t layer)
{
    const char *arch = r->f->arch;
    if (strcmp(arch, "gpt2") == 0 || strcmp(arch, "starcoder") == 0 ||
        number(r, "rope.scaling.finetuned", 1) == 0)
        return false;
    if (strcmp(arch, "baichuan") == 0)
        return r->n_layers == 32;
    if (r->f->flags & STILL_FOURTH)
        return layer % 4 != 3;
    bool windows = number(r, "attention.sliding_window", 0) > 0;
    return !(r->f->flags & STILL_WHOLE && windows && window_of(r, layer) == 0);
}

static const double *factors_of(const struct ref *r)
{
    double trained = number(r, "rope.scaling.original_context_length", (double)r->context);
    const double *all = global(r, "rope_freqs.weight");
    if (all)
        return all;
    return global(r, (double)r->context > trained ? "rope_factors_long.weight"
                                                  : "rope_factors_short.weight");
}

static bool is_yarn(const struct ref *r)
{
    return ref_model_text_is(r->m, "rope.scaling.type", "yarn");
}

/* What sin and cos are multiplied by. */
static double magnitude(const struct ref *r, bool local)
{
    if (local)
        return 1;
    double m = number(r, "rope.scaling.attn_factor", 1), s = number(r, "rope.scaling.factor", 1);
    if (is_yarn(r))
        m *= (1 + 0.1 * log(s)) /
             (1 + 0.1 * number(r, "rope.scaling.yarn_log_multiplier", 0) * log(s));
    return m;
}

/* Radians a position that pair i turns. */
static double turning(const struct ref *r, size_t i, bool local)
{
    double base = number(r, "rope.freq_base", 10000), dims = (double)r->dims;
    if (local)
        return pow(number(r, "rope.freq_base_swa", r->f->local_base > 0 ? r->f->local_base : base),
                   -2 * (double)i / dims);
    double f = pow(base, -2 * (double)i / dims), s = number(r, "rope.scaling.factor", 1);
    const double *factors = factors_of(r);
    if (factors)
        f /= factors[i];
    if (ref_model_text_is(r->m, "rope.scaling.type", "linear"))
        return f / s;
    if (!is_yarn(r))
        return f;
    /* YaRN: pairs that turn more than 32 times in the trained context stay, those that turn less
     * than once are slowed, between them linearly in i; the borders are whole numbers. */
    double context = number(r, "rope.scaling.original_context_length", 0);
    double fast = fmax(0, floor(dims * log(context / (64 * M_PI)) / (2 * log(base))));
    double slow = fmin(dims - 1, ceil(dims * log(context / (2 * M_PI)) / (2 * log(base))));
    double t = ((double)i - fast) / fmax(slow - fast, 0.001);
    t = fmin(1, fmax(0, t));
    return f * (1 - t) + f / s * t;
}

static void rotate(const struct ref *r, size_t layer, double *x, size_t n_heads)
{
    bool local = window_of(r, layer) > 0 && r->f->local_base != 0;
    bool halves = r->f->flags & HALVES;
    double mag = magnitude(r, local);
    for (size_t t = 0; t < r->n && rotates(r, layer); t++) {
        for (size_t h = 0; h < n_heads; h++) {
            double *v = x + (t * n_heads + h) * r->head;
            for (size_t i = 0; i < r->dims / 2; i++) {
                double angle = (double)t * turning(r, i, local);
                double *a = v + (halves ? i : 2 * i),
                       *b = v + (halves ? i + r->dims / 2 : 2 * i + 1);
                double a0 = *a, b0 = *b;
                *a = mag * (a0 * cos(angle) - b0 * sin(angle));
                *b = mag * (b0 * cos(angle) + a0 * sin(angle));
            }
        }
    }
}

/* Llama 4's temperature: longer contexts flatten the softmax, which this sharpens. */
static double temperature(const struct ref *r, size_t position)
{
    double scale = number(r, "attention.temperature_scale", 0);
    double length = number(r, "rope.scaling.original_context_length", (double)r->context);
    return 1 + scale * log(floor((double)position / length) + 1);
}

/* What is taken off the score for each position between: ALiBi, for heads a power of two. */
static double slope(const struct ref *r, size_t head)
{
    if (strcmp(r->f->arch, "baichuan") != 0 || r->n_layers != 40)
        return 0;
    return pow(2, -8.0 * ((double)head + 1) / (double)r->n_heads);
}

/* ---- the halves of a layer ---- */

static double score_scale(const struct ref *r)
{
    if (strcmp(r->f->arch, "gemma3n") == 0)
        return 1;
    double scale = number(r, "attention.scale", 0);
    if (scale > 0)
        return scale;
    bool wide = strcmp(r->f->arch, "gemma3") == 0 && r->n_layers == 62;
    return 1 / sqrt(wide ? (double)r->e / (double)r->n_heads : (double)r->head);
}

static double *attend(const struct ref *r, size_t layer, const double *q, const double *k,
                      const double *v)
{
    size_t window = window_of(r, layer), d = r->head;
    const double *sinks = get(r, layer, "attn_sinks.weight");
    double *out = zeros(r->n * r->n_heads * d), *p = zeros(r->n);
    for (size_t t = 0; t < r->n; t++) {
        for (size_t h = 0; h < r->n_heads; h++) {
            size_t kv = h * r->n_kv / r->n_heads,
                   first = window > 0 && t >= window ? t + 1 - window : 0;
            const double *query = q + (t * r->n_heads + h) * d;
            double *to = out + (t * r->n_heads + h) * d, sum = 0;
            for (size_t s = first; s <= t; s++) {
                double dot = 0;
                for (size_t i = 0; i < d; i++)
                    dot += query[i] * k[(s * r->n_kv + kv) * d + i];
                p[s] = dot * score_scale(r) * temperature(r, t) - slope(r, h) * (double)(t - s);
            }
            double max = p[first];
            for (size_t s = first; s <= t; s++)
                max = fmax(max, p[s]);
            for (size_t s = first; s <= t; s++)
                sum += p[s] = exp(p[s] - max);
            if (sinks) /* a column of the softmax that is dropped behind it */
                sum += exp(sinks[h] - max);
            for (size_t s = first; s <= t; s++)
                for (size_t i = 0; i < d; i++)
                    to[i] += p[s] / sum * v[(s * r->n_kv + kv) * d + i];
        }
    }
    free(p);
    return out;
}

/* Part of one fused tensor, or a tensor of its own. */
static double *query_key_value(const struct ref *r, size_t layer, const double *x, const char *one,
                               size_t first, size_t rows)
{
    char name[32];
    const double *w = get(r, layer, "attn_qkv.weight"), *bias = get(r, layer, "attn_qkv.bias");
    if (w)
        return project(r, w + first * r->e, bias ? bias + first : NULL, x, rows, r->e);
    snprintf(name, sizeof(name), "%s.weight", one);
    w = get(r, layer, name);
    snprintf(name, sizeof(name), "%s.bias", one);
    return project(r, w, get(r, layer, name), x, rows, r->e);
}

static void norm_heads(const struct ref *r, size_t layer, double *x, size_t n_heads,
                       const char *suffix)
{
    const double *w = get(r, layer, suffix);
    /* Cohere's and StableLM's weights differ from head to head. */
    bool each = strcmp(r->f->arch, "command-r") == 0 || strcmp(r->f->arch, "stablelm") == 0;
    for (size_t t = 0; t < r->n && w; t++) {
        double *row = x + t * n_heads * r->head;
        if (r->f->flags & NORM_OVER_ALL) {
            norm_one(r, row, w, NULL, n_heads * r->head);
            continue;
        }
        for (size_t h = 0; h < n_heads; h++)
            norm_one(r, row + h * r->head, w + (each ? h * r->head : 0), NULL, r->head);
    }
}

/* Gemma 3n: values are normed without weights. */
static void norm_values(const struct ref *r, double *v)
{
    double *ones = zeros(r->head);
    for (size_t i = 0; i < r->head; i++)
        ones[i] = 1;
    for (size_t i = 0; i < r->n * r->n_kv; i++)
        norm_one(r, v + i * r->head, ones, NULL, r->head);
    free(ones);
}

/* Keeps what the layer computed, or takes what the last layer of the same kind that has its own
 * keys and values computed. */
static double *share(const struct ref *r, double **kept, size_t layer, double *own)
{
    size_t n_own = r->n_layers - (size_t)number(r, "attention.shared_kv_layers", 0), from = layer;
    kept[layer] = own;
    if (layer < n_own)
        return own;
    for (from = n_own - 1; (window_of(r, from) > 0) != (window_of(r, layer) > 0);)
        from--;
    return kept[from];
}

static double *latent_attention(const struct ref *r, size_t layer, const double *x)
{
    double *angles = zeros(r->dims / 2);
    for (size_t i = 0; i < r->dims / 2; i++)
        angles[i] = turning(r, i, false);
    double *out = ref_mla(r->m, layer, x, r->n, r->e, angles);
    free(angles);
    return out;
}

/* [n][e], to be added to the stream. */
static double *attention(const struct ref *r, size_t layer, const double *x)
{
    if (strcmp(r->f->arch, "deepseek2") == 0)
        return latent_attention(r, layer, x);
    size_t nq = r->n_heads * r->head, nk = r->n_kv * r->head;
    double *q = query_key_value(r, layer, x, "attn_q", 0, nq);
    double *k = query_key_value(r, layer, x, "attn_k", nq, nk);
    double *v = query_key_value(r, layer, x, "attn_v", nq + nk, nk);
    bool behind = r->f->flags & NORM_BEHIND;
    for (int step = 0; step < 2; step++) {
        if ((step == 0) != behind) {
            norm_heads(r, layer, q, r->n_heads, "attn_q_norm.weight");
            norm_heads(r, layer, k, r->n_kv, "attn_k_norm.weight");
        } else {
            rotate(r, layer, q, r->n_heads);
            rotate(r, layer, k, r->n_kv);
        }
    }
    if (r->keys)
        k = share(r, r->keys, layer, k);
    if (r->values) {
        norm_values(r, v);
        v = share(r, r->values, layer, v);
    }
    double *a = attend(r, layer, q, k, v);
    double *out = project(r, get(r, layer, "attn_output.weight"), get(r, layer, "attn_output.bias"),
                          a, r->e, nq);
    free(q);
    if (!r->keys) {
        free(k);
        free(v);
    }
    free(a);
    return out;
}

static double act(const struct ref *r, double x)
{
    if (r->f->flags & GELU)
        return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    if (r->f->flags & RELU_SQUARED)
        return x > 0 ? x * x : 0;
    return x / (1 + exp(-x));
}

/* "Deriving Activation Functions via Integration" (Huang and Schlag, 2024). */
static double xielu(const struct ref *r, size_t layer, double x)
{
    double p = log(1 + exp(ref_model_item(r->m, "xielu.alpha_p", layer)));
    double beta = ref_model_item(r->m, "xielu.beta", layer);
    double n = beta + log(1 + exp(ref_model_item(r->m, "xielu.alpha_n", layer)));
    double eps = ref_model_item(r->m, "xielu.eps", layer);
    if (x > 0)
        return p * x * x + beta * x;
    return n * (exp(x < eps ? x : eps) - 1 - x) + beta * x;
}

/* All but the largest twentieth of normally distributed numbers become 0. */
static void sparsify(double *x, size_t n)
{
    double mean = 0, square = 0;
    for (size_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean) / (double)(n - 1);
    for (size_t i = 0; i < n; i++)
        x[i] = fmax(0, x[i] - mean - 1.6448536269514722 * sqrt(square));
}

static double *feed_forward(const struct ref *r, size_t layer, const double *x)
{
    size_t n = r->n * r->ff, rows = 0;
    char name[64];
    snprintf(name, sizeof(name), "blk.%zu.ffn_up.weight", layer);
    const double *w = ref_model_tensor(r->m, name, &rows);
    const double *gate_w = get(r, layer, "ffn_gate.weight");
    bool fused = rows == 2 * r->ff; /* the gate's rows stand first */
    double *gate = NULL;
    if (fused || gate_w)
        gate = project(r, fused ? w : gate_w, get(r, layer, "ffn_gate.bias"), x, r->ff, r->e);
    for (size_t t = 0; t < r->n && r->keys && layer < 10; t++)
        sparsify(gate + t * r->ff, r->ff);
    double *up =
        project(r, fused ? w + r->ff * r->e : w, get(r, layer, "ffn_up.bias"), x, r->ff, r->e);
    bool is_xielu = strcmp(r->f->arch, "apertus") == 0;
    for (size_t i = 0; i < n; i++)
        up[i] = is_xielu ? xielu(r, layer, up[i]) : gate ? act(r, gate[i]) * up[i] : act(r, up[i]);
    double *out = project(r, get(r, layer, "ffn_down.weight"), get(r, layer, "ffn_down.bias"), up,
                          r->e, r->ff);
    free(gate);
    free(up);
    return out;
}

/* x = x + scale * h, and h is freed. */
static void join(const struct ref *r, double *x, double *h, const double *post_norm)
{
    double scale = number(r, "residual_scale", 1);
    double *y = normed(r, h, post_norm, NULL);
    for (size_t i = 0; i < r->n * r->e; i++)
        x[i] += scale * y[i];
    free(h);
    free(y);
}

static void layer_forward(const struct ref *r, size_t l, double *x)
{
    double *h = normed(r, x, get(r, l, "attn_norm.weight"), get(r, l, "attn_norm.bias"));
    double *second = NULL; /* Falcon 40B: attention has a norm of its own */
    if (get(r, l, "attn_norm_2.weight"))
        second = normed(r, x, get(r, l, "attn_norm_2.weight"), get(r, l, "attn_norm_2.bias"));
    double *a = attention(r, l, second ? second : h);
    const double *norm = get(r, l, "ffn_norm.weight"), *bias = get(r, l, "ffn_norm.bias");
    const double *post_attn = get(r, l, "post_attention_norm.weight");
    if (strcmp(r->f->arch, "seed_oss") == 0 || strcmp(r->f->arch, "gpt-oss") == 0 ||
        strcmp(r->f->arch, "glm4moe") == 0) {
        norm = post_attn; /* by name only */
        post_attn = NULL;
    }
    if (!r->side_by_side)
        join(r, x, a, post_attn);
    double *in = r->side_by_side && !norm ? h : normed(r, x, norm, bias);
    double *f = get(r, l, "ffn_gate_inp.weight") ? ref_experts(r->m, l, in, r->n, r->e)
                                                 : feed_forward(r, l, in);
    if (r->side_by_side)
        join(r, x, a, NULL);
    join(r, x, f, get(r, l, "post_ffw_norm.weight"));
    if (in != h)
        free(in);
    free(h);
    free(second);
}

/* ---- Gemma 3n, after its makers' code: x is [n_streams][n][e] ---- */

/* tanh(W (norm(x) / e)), [n][n_streams]. */
static double *router(const struct ref *r, size_t l, const double *x, size_t n_streams)
{
    double *h = normed(r, x, get(r, l, "altup_router_norm.weight"), NULL);
    double *m = project(r, get(r, l, "altup_router.weight"), NULL, h, n_streams, r->e);
    for (size_t i = 0; i < r->n * n_streams; i++)
        m[i] = tanh(m[i] / (double)r->e);
    free(h);
    return m;
}

static void add_all(double *x, const double *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] += y[i];
}

/* The layer between prediction and correction, of one stream. */
static double *activate(const struct ref *r, size_t l, const double *x)
{
    size_t all = r->n * r->e, rank;
    char name[64];
    snprintf(name, sizeof(name), "blk.%zu.laurel_l.weight", l);
    const double *left = ref_model_tensor(r->m, name, &rank);
    double *h = normed(r, x, get(r, l, "attn_norm.weight"), NULL);
    double *low = project(r, left, NULL, h, rank, r->e);
    double *up = project(r, get(r, l, "laurel_r.weight"), NULL, low, r->e, rank);
    double *laurel = normed(r, up, get(r, l, "laurel_post_norm.weight"), NULL);
    double *a = attention(r, l, h);
    double *y = normed(r, a, get(r, l, "post_attention_norm.weight"), NULL);
    add_all(laurel, h, all);
    add_all(y, x, all);
    add_all(y, laurel, all);
    for (size_t i = 0; i < all; i++)
        y[i] /= sqrt(2);
    double *in = normed(r, y, get(r, l, "ffn_norm.weight"), NULL), *f = feed_forward(r, l, in);
    double *post = normed(r, f, get(r, l, "post_ffw_norm.weight"), NULL);
    add_all(y, post, all);
    free(h);
    free(low);
    free(up);
    free(laurel);
    free(a);
    free(in);
    free(f);
    free(post);
    return y;
}

static void altup_layer(const struct ref *r, size_t l, double *x, const double *inputs,
                        size_t n_input, size_t s)
{
    size_t all = r->n * r->e;
    double *m = router(r, l, x, s), *p = zeros(s * all);
    double *mix = project(r, get(r, l, "altup_predict_coef.weight"), NULL, m, s * s, s);
    for (size_t i = 0; i < s; i++)
        for (size_t c = 0; c < all; c++) {
            p[i * all + c] = x[i * all + c];
            for (size_t k = 0; k < s; k++)
                p[i * all + c] += mix[c / r->e * s * s + i * s + k] * x[k * all + c];
        }
    double *y = activate(r, l, p), *m2 = router(r, l, y, s);
    double *by = project(r, get(r, l, "altup_correct_coef.weight"), NULL, m2, s, s);
    for (size_t i = 0; i < s; i++)
        for (size_t c = 0; c < all; c++)
            x[i * all + c] = p[i * all + c] + (y[c] - p[c]) * (by[c / r->e * s + i] + 1);
    double *first = zeros(all);
    for (size_t c = 0; c < all; c++)
        first[c] = x[c] * get(r, l, "altup_correct_scale.weight")[c % r->e];
    double *gate = project(r, get(r, l, "inp_gate.weight"), NULL, first, n_input, r->e);
    for (size_t c = 0; c < r->n * n_input; c++)
        gate[c] = act(r, gate[c]) * inputs[(c / n_input * r->n_layers + l) * n_input + c % n_input];
    double *back = project(r, get(r, l, "proj.weight"), NULL, gate, r->e, n_input);
    double *add = normed(r, back, get(r, l, "post_norm.weight"), NULL);
    for (size_t i = 1; i < s; i++)
        add_all(x + i * all, add, all);
    free(m);
    free(p);
    free(mix);
    free(y);
    free(m2);
    free(by);
    free(first);
    free(gate);
    free(back);
    free(add);
}

/* x scaled to the length of y, row by row. */
static void match(const struct ref *r, double *x, const double *y)
{
    for (size_t t = 0; t < r->n; t++) {
        double a = 0, b = 0;
        for (size_t i = t * r->e; i < (t + 1) * r->e; i++) {
            a += x[i] * x[i];
            b += y[i] * y[i];
        }
        for (size_t i = t * r->e; i < (t + 1) * r->e; i++)
            x[i] *= sqrt(b / a);
    }
}

/* [n][n_layers][n_input] */
static double *own_inputs(const struct ref *r, const int32_t *ids, const double *x, size_t n_input)
{
    const double *embd = global(r, "per_layer_token_embd.weight");
    const double *norm = global(r, "per_layer_proj_norm.weight");
    size_t width = n_input * r->n_layers;
    double *in = project(r, global(r, "per_layer_model_proj.weight"), NULL, x, width, r->e);
    for (size_t i = 0; i < r->n * width; i++)
        in[i] /= sqrt((double)r->e);
    for (size_t i = 0; i < r->n * r->n_layers; i++)
        norm_one(r, in + i * n_input, norm, NULL, n_input);
    for (size_t i = 0; i < r->n * width; i++)
        in[i] = (in[i] + embd[(size_t)ids[i / width] * width + i % width] * sqrt((double)n_input)) /
                sqrt(2);
    return in;
}

/* From embeddings to what the output norm gets, in place. */
static void altup_forward(struct ref *r, const int32_t *ids, double *x)
{
    size_t all = r->n * r->e, s = (size_t)number(r, "altup.num_inputs", 0);
    size_t n_input = (size_t)number(r, "embedding_length_per_layer_input", 0);
    double *streams = zeros(s * all), *inputs = own_inputs(r, ids, x, n_input);
    r->keys = calloc(r->n_layers, sizeof(*r->keys));
    r->values = calloc(r->n_layers, sizeof(*r->values));
    memcpy(streams, x, all * sizeof(*x));
    for (size_t i = 1; i < s; i++) {
        const double *w = global(r, "altup_proj.weight") + (i - 1) * r->e * r->e;
        double *h = project(r, w, NULL, x, r->e, r->e);
        match(r, h, x);
        memcpy(streams + i * all, h, all * sizeof(*x));
        free(h);
    }
    for (size_t l = 0; l < r->n_layers; l++)
        altup_layer(r, l, streams, inputs, n_input, s);
    memcpy(x, streams, all * sizeof(*x));
    for (size_t i = 1; i < s; i++) {
        const double *w = global(r, "altup_unembd_proj.weight") + (i - 1) * r->e * r->e;
        double *h = project(r, w, NULL, streams + i * all, r->e, r->e);
        match(r, h, streams);
        add_all(x, h, all);
        free(h);
    }
    for (size_t i = 0; i < all; i++)
        x[i] /= (double)s;
    for (size_t l = 0; l < r->n_layers; l++) {
        free(r->keys[l]);
        free(r->values[l]);
    }
    free(r->keys);
    free(r->values);
    free(streams);
    free(inputs);
}

static struct ref start(const struct ref_model *m, size_t n)
{
    struct ref r = {.m = m, .f = facts_of(m), .n = n};
    r.e = (size_t)number(&r, "embedding_length", 0);
    r.n_layers = (size_t)(number(&r, "block_count", 0) - number(&r, "nextn_predict_layers", 0));
    r.n_heads = (size_t)number(&r, "attention.head_count", 0);
    r.n_kv = (size_t)number(&r, "attention.head_count_kv", 0);
    r.head = (size_t)number(&r, "attention.key_length", 0);
    r.ff = (size_t)number(&r, "feed_forward_length", 0);
    r.dims = (size_t)number(&r, "rope.dimension_count", 0);
    r.context = (size_t)number(&r, "context_length", 0);
    r.eps = number(&r,
                   r.f->flags & MEAN_FREE ? "attention.layer_norm_epsilon"
                                          : "attention.layer_norm_rms_epsilon",
                   0);
    r.side_by_side = r.f->flags & SIDE_BY_SIDE;
    if (strcmp(r.f->arch, "gptneox") == 0 || strcmp(r.f->arch, "stablelm") == 0)
        r.side_by_side = number(&r, "use_parallel_residual", 0) != 0;
    return r;
}

void ref_dense_forward(const struct ref_model *m, const int32_t *ids, size_t n, double *logits)
{
    struct ref r = start(m, n);
    size_t n_vocab = ref_model_n_vocab(m);
    const double *embd = global(&r, "token_embd.weight"), *out = global(&r, "output.weight");
    const double *position = global(&r, "position_embd.weight");
    const double *bias = global(&r, "output.bias");
    double scale = r.f->flags & SQRT_EMBD ? sqrt((double)r.e) : number(&r, "embedding_scale", 1);
    double *x = zeros(n * r.e);
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < r.e; i++)
            x[t * r.e + i] =
                embd[(size_t)ids[t] * r.e + i] * scale + (position ? position[t * r.e + i] : 0);
    bool altup = strcmp(r.f->arch, "gemma3n") == 0;
    if (altup)
        altup_forward(&r, ids, x);
    for (size_t l = 0; l < r.n_layers && !altup; l++)
        layer_forward(&r, l, x);
    double *h = normed(&r, x, global(&r, "output_norm.weight"), global(&r, "output_norm.bias"));
    double *y = project(&r, out ? out : embd, bias, h, n_vocab, r.e);
    double by = number(&r, "logit_scale", 1);
    for (size_t i = 0; i < n * n_vocab; i++)
        logits[i] = altup                         ? 30 * tanh(y[i] / 30)
                    : r.f->flags & LOGITS_DIVIDED ? y[i] / by
                                                  : y[i] * by;
    free(x);
    free(h);
    free(y);
}
