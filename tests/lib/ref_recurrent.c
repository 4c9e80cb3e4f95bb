/* SPDX-License-Identifier: Apache-2.0
 *
 * A layer does what it has tensors for. The recurrences are written as in the papers (Mamba: Gu and
 * Dao, 2023; Mamba 2: Dao and Gu, 2024; gated delta networks: Yang et al., 2024), token by token.
 */
#include "ref_recurrent.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ref {
    const struct ref_model *m;
    size_t e, n; /* embedding length, tokens */
    double eps;
};

bool ref_recurrent(const struct ref_model *m)
{
    static const char *const archs[] = {"lfm2",  "mamba",     "mamba2", "granitehybrid",
                                        "jamba", "falcon-h1", "qwen35", "nemotron_h"};
    for (size_t i = 0; i < sizeof(archs) / sizeof(*archs); i++)
        if (strcmp(ref_model_arch(m), archs[i]) == 0)
            return true;
    return false;
}

static bool arch_is(const struct ref *r, const char *name)
{
    return strcmp(ref_model_arch(r->m), name) == 0;
}

static size_t count(const struct ref *r, const char *suffix)
{
    return (size_t)ref_model_number(r->m, suffix, 0);
}

static double *zeros(size_t n)
{
    double *p = calloc(n, sizeof(*p));
    if (!p)
        abort();
    return p;
}

/* blk.LAYER.SUFFIX */
static const double *get(const struct ref *r, size_t layer, const char *suffix, size_t *ret_rows)
{
    char name[96];
    size_t rows = 0;
    snprintf(name, sizeof(name), "blk.%zu.%s", layer, suffix);
    const double *w = ref_model_tensor(r->m, name, &rows);
    if (ret_rows)
        *ret_rows = rows;
    return w;
}

/* [n][rows] = w times each of x [n][cols] */
static double *project(const struct ref *r, const double *w, const double *x, size_t rows,
                       size_t cols)
{
    double *y = zeros(r->n * rows);
    for (size_t t = 0; t < r->n; t++)
        for (size_t i = 0; i < rows; i++)
            for (size_t c = 0; c < cols; c++)
                y[t * rows + i] += w[i * cols + c] * x[t * cols + c];
    return y;
}

/* In place; w NULL = ones. */
static void rms(const struct ref *r, double *x, const double *w, size_t n)
{
    double square = 0;
    for (size_t i = 0; i < n; i++)
        square += x[i] * x[i];
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] / sqrt(square / (double)n + r->eps) * (w ? w[i] : 1);
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double silu(double x)
{
    return x * sigmoid(x);
}

static double softplus(double x)
{
    return x > 30 ? x : log(1 + exp(x));
}

/* y[t][c] = Σ_j w[c][j] x[t - width + 1 + j][at + c] + bias[c] */
static double *convolve(const struct ref *r, const double *w, const double *bias, const double *x,
                        size_t x_width, size_t at, size_t channels, size_t width)
{
    double *y = zeros(r->n * channels);
    for (size_t t = 0; t < r->n; t++) {
        for (size_t c = 0; c < channels; c++) {
            double *sum = &y[t * channels + c];
            *sum = bias ? bias[c] : 0;
            for (size_t j = 0; j < width; j++)
                if (t + j + 1 >= width)
                    *sum += w[c * width + j] * x[(t + j + 1 - width) * x_width + at + c];
        }
    }
    return y;
}

static double *short_convolution(const struct ref *r, size_t l, const double *h)
{
    size_t e = r->e, width = count(r, "shortconv.l_cache");
    double *bcu = project(r, get(r, l, "shortconv.in_proj.weight", NULL), h, 3 * e, e);
    double *bu = zeros(r->n * e);
    for (size_t t = 0; t < r->n; t++)
        for (size_t i = 0; i < e; i++)
            bu[t * e + i] = bcu[t * 3 * e + i] * bcu[t * 3 * e + 2 * e + i];
    double *y = convolve(r, get(r, l, "shortconv.conv.weight", NULL), NULL, bu, e, 0, e, width);
    for (size_t t = 0; t < r->n; t++)
        for (size_t i = 0; i < e; i++)
            y[t * e + i] *= bcu[t * 3 * e + e + i];
    double *out = project(r, get(r, l, "shortconv.out_proj.weight", NULL), y, e, e);
    free(bcu);
    free(bu);
    free(y);
    return out;
}

static double *mamba(const struct ref *r, size_t l, const double *h)
{
    size_t inner = count(r, "ssm.inner_size"), n_state = count(r, "ssm.state_size");
    size_t rank = count(r, "ssm.time_step_rank"), width = count(r, "ssm.conv_kernel");
    size_t xw = rank + 2 * n_state;
    bool norms =
        get(r, l, "ssm_dt_norm.weight", NULL) || ref_model_number(r->m, "ssm.dt_b_c_rms", 0) != 0;
    const double *a = get(r, l, "ssm_a", NULL), *d = get(r, l, "ssm_d", NULL);
    const double *dt_bias = get(r, l, "ssm_dt.bias", NULL);
    double *uz = project(r, get(r, l, "ssm_in.weight", NULL), h, 2 * inner, r->e);
    double *u = convolve(r, get(r, l, "ssm_conv1d.weight", NULL),
                         get(r, l, "ssm_conv1d.bias", NULL), uz, 2 * inner, 0, inner, width);
    for (size_t i = 0; i < r->n * inner; i++)
        u[i] = silu(u[i]);
    double *x = project(r, get(r, l, "ssm_x.weight", NULL), u, xw, inner);
    double *dt_in = zeros(r->n * rank);
    for (size_t t = 0; t < r->n; t++) {
        if (norms) {
            rms(r, x + t * xw, get(r, l, "ssm_dt_norm.weight", NULL), rank);
            rms(r, x + t * xw + rank, get(r, l, "ssm_b_norm.weight", NULL), n_state);
            rms(r, x + t * xw + rank + n_state, get(r, l, "ssm_c_norm.weight", NULL), n_state);
        }
        memcpy(dt_in + t * rank, x + t * xw, rank * sizeof(*x));
    }
    double *dt = project(r, get(r, l, "ssm_dt.weight", NULL), dt_in, inner, rank);
    double *state = zeros(inner * n_state), *y = zeros(r->n * inner);
    for (size_t t = 0; t < r->n; t++) {
        for (size_t c = 0; c < inner; c++) {
            double step = softplus(dt[t * inner + c] + dt_bias[c]), in = u[t * inner + c];
            double sum = d[c] * in;
            for (size_t i = 0; i < n_state; i++) {
                double *s = &state[c * n_state + i];
                *s = *s * exp(step * a[c * n_state + i]) + step * x[t * xw + rank + i] * in;
                sum += *s * x[t * xw + rank + n_state + i];
            }
            y[t * inner + c] = sum * silu(uz[t * 2 * inner + inner + c]);
        }
    }
    double *out = project(r, get(r, l, "ssm_out.weight", NULL), y, r->e, inner);
    double *all[] = {uz, u, x, dt_in, dt, state, y};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        free(all[i]);
    return out;
}

static double *mamba2(const struct ref *r, size_t l, const double *h)
{
    size_t inner = count(r, "ssm.inner_size"), n_state = count(r, "ssm.state_size");
    size_t heads = count(r, "ssm.time_step_rank"), groups = count(r, "ssm.group_count");
    size_t head = inner / heads, channels = inner + 2 * groups * n_state;
    size_t rows = inner + channels + heads;
    const double *a = get(r, l, "ssm_a", NULL), *d = get(r, l, "ssm_d", NULL);
    const double *dt_bias = get(r, l, "ssm_dt.bias", NULL);
    const double *norm = get(r, l, "ssm_norm.weight", NULL);
    double *in = project(r, get(r, l, "ssm_in.weight", NULL), h, rows, r->e);
    double *u =
        convolve(r, get(r, l, "ssm_conv1d.weight", NULL), get(r, l, "ssm_conv1d.bias", NULL), in,
                 rows, inner, channels, count(r, "ssm.conv_kernel"));
    double *state = zeros(inner * n_state), *y = zeros(r->n * inner);
    for (size_t t = 0; t < r->n; t++) {
        double *ut = u + t * channels;
        for (size_t i = 0; i < channels; i++)
            ut[i] = silu(ut[i]);
        for (size_t c = 0; c < inner; c++) {
            size_t k = c / head, g = k * groups / heads;
            double step = softplus(in[t * rows + inner + channels + k] + dt_bias[k]);
            double sum = d[k] * ut[c];
            for (size_t i = 0; i < n_state; i++) {
                double *s = &state[c * n_state + i];
                *s = *s * exp(step * a[k]) + step * ut[c] * ut[inner + g * n_state + i];
                sum += *s * ut[inner + groups * n_state + g * n_state + i];
            }
            y[t * inner + c] = sum * silu(in[t * rows + c]);
        }
        for (size_t g = 0; norm && g < groups; g++)
            rms(r, y + t * inner + g * (inner / groups), norm + g * (inner / groups),
                inner / groups);
    }
    double *out = project(r, get(r, l, "ssm_out.weight", NULL), y, r->e, inner);
    free(in);
    free(u);
    free(state);
    free(y);
    return out;
}

/* x / sqrt(Σ x² + eps) */
static void unit(const struct ref *r, double *x, size_t n)
{
    double square = r->eps;
    for (size_t i = 0; i < n; i++)
        square += x[i] * x[i];
    for (size_t i = 0; i < n; i++)
        x[i] /= sqrt(square);
}

static double *delta_net(const struct ref *r, size_t l, const double *h)
{
    size_t width = count(r, "ssm.state_size"), k_heads = count(r, "ssm.group_count");
    size_t heads = count(r, "ssm.time_step_rank"), inner = width * heads;
    size_t keys = width * k_heads, channels = 2 * keys + inner;
    const double *a = get(r, l, "ssm_a", NULL), *dt_bias = get(r, l, "ssm_dt.bias", NULL);
    double *in = project(r, get(r, l, "attn_qkv.weight", NULL), h, channels, r->e);
    double *z = project(r, get(r, l, "attn_gate.weight", NULL), h, inner, r->e);
    double *alpha = project(r, get(r, l, "ssm_alpha.weight", NULL), h, heads, r->e);
    double *beta = project(r, get(r, l, "ssm_beta.weight", NULL), h, heads, r->e);
    double *qkv = convolve(r, get(r, l, "ssm_conv1d.weight", NULL), NULL, in, channels, 0, channels,
                           count(r, "ssm.conv_kernel"));
    double *state = zeros(heads * width * width), *y = zeros(r->n * inner), *d = zeros(width);
    for (size_t t = 0; t < r->n; t++) {
        double *x = qkv + t * channels;
        for (size_t i = 0; i < channels; i++)
            x[i] = silu(x[i]);
        for (size_t i = 0; i < 2 * k_heads; i++)
            unit(r, x + i * width, width);
        for (size_t i = 0; i < heads; i++) {
            const double *q = x + i % k_heads * width, *k = q + keys;
            const double *v = x + 2 * keys + i * width;
            double *s = state + i * width * width, *o = y + t * inner + i * width;
            double keep = exp(a[i] * softplus(alpha[t * heads + i] + dt_bias[i]));
            for (size_t c = 0; c < width; c++) { /* s[row][c], row of keys */
                d[c] = v[c];
                for (size_t row = 0; row < width; row++)
                    d[c] -= keep * s[row * width + c] * k[row];
                d[c] *= sigmoid(beta[t * heads + i]);
                for (size_t row = 0; row < width; row++) {
                    s[row * width + c] = keep * s[row * width + c] + k[row] * d[c];
                    o[c] += s[row * width + c] * q[row] / sqrt((double)width);
                }
            }
            rms(r, o, get(r, l, "ssm_norm.weight", NULL), width);
            for (size_t c = 0; c < width; c++)
                o[c] *= silu(z[t * inner + i * width + c]);
        }
    }
    double *out = project(r, get(r, l, "ssm_out.weight", NULL), y, r->e, inner);
    double *all[] = {in, z, alpha, beta, qkv, state, y, d};
    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++)
        free(all[i]);
    return out;
}

/* ---- attention ---- */

static void rotate(const struct ref *r, double *x, size_t head, size_t pos)
{
    size_t dims = (size_t)ref_model_number(r->m, "rope.dimension_count", (double)head);
    double base = ref_model_number(r->m, "rope.freq_base", 10000);
    bool adjacent = arch_is(r, "granitehybrid");
    if (arch_is(r, "jamba") || arch_is(r, "nemotron_h") ||
        ref_model_number(r->m, "rope.scaling.finetuned", 1) == 0)
        return;
    for (size_t i = 0; i < dims / 2; i++) {
        double angle = (double)pos * pow(base, -2.0 * (double)i / (double)dims);
        double *a = adjacent ? x + 2 * i : x + i, *b = adjacent ? a + 1 : a + dims / 2;
        double a0 = *a, b0 = *b;
        *a = a0 * cos(angle) - b0 * sin(angle);
        *b = a0 * sin(angle) + b0 * cos(angle);
    }
}

static double *attention(const struct ref *r, size_t l, const double *h)
{
    size_t heads = count(r, "attention.head_count"), head = count(r, "attention.key_length");
    size_t q_rows, k_rows, v_rows;
    const double *wq = get(r, l, "attn_q.weight", &q_rows);
    const double *wk = get(r, l, "attn_k.weight", &k_rows);
    const double *wv = get(r, l, "attn_v.weight", &v_rows);
    const double *q_norm = get(r, l, "attn_q_norm.weight", NULL);
    const double *k_norm = get(r, l, "attn_k_norm.weight", NULL);
    size_t kv_heads = k_rows / head, group = q_rows / heads; /* with a gate twice a head */
    double scale = ref_model_number(r->m, "attention.scale", 1 / sqrt((double)head));
    double *q = project(r, wq, h, q_rows, r->e), *k = project(r, wk, h, k_rows, r->e);
    double *v = project(r, wv, h, v_rows, r->e), *y = zeros(r->n * heads * head);
    double *weight = zeros(r->n);
    for (size_t t = 0; t < r->n; t++) {
        for (size_t i = 0; i < kv_heads; i++) {
            if (k_norm)
                rms(r, k + t * k_rows + i * head, k_norm, head);
            rotate(r, k + t * k_rows + i * head, head, t);
        }
        for (size_t i = 0; i < heads; i++) {
            double *qi = q + t * q_rows + i * group, *o = y + (t * heads + i) * head, sum = 0;
            size_t kv = i / (heads / kv_heads);
            if (q_norm)
                rms(r, qi, q_norm, head);
            rotate(r, qi, head, t);
            for (size_t p = 0; p <= t; p++) {
                double score = 0;
                for (size_t c = 0; c < head; c++)
                    score += qi[c] * k[p * k_rows + kv * head + c];
                weight[p] = exp(score * scale);
                sum += weight[p];
            }
            for (size_t c = 0; c < head; c++) {
                for (size_t p = 0; p <= t; p++)
                    o[c] += weight[p] / sum * v[p * v_rows + kv * head + c];
                if (group == 2 * head)
                    o[c] *= sigmoid(qi[head + c]);
            }
        }
    }
    double *out = project(r, get(r, l, "attn_output.weight", NULL), y, r->e, heads * head);
    free(q);
    free(k);
    free(v);
    free(y);
    free(weight);
    return out;
}

/* ---- a layer ---- */

static double *normed(const struct ref *r, const double *x, const double *w)
{
    double *h = zeros(r->n * r->e);
    memcpy(h, x, r->n * r->e * sizeof(*h));
    for (size_t t = 0; t < r->n; t++)
        rms(r, h + t * r->e, w, r->e);
    return h;
}

static void add(const struct ref *r, double *x, double *h)
{
    double scale = ref_model_number(r->m, "residual_scale", 1);
    for (size_t i = 0; i < r->n * r->e; i++)
        x[i] += scale * h[i];
    free(h);
}

static void layer(const struct ref *r, size_t l, double *x)
{
    double *h = normed(r, x, get(r, l, "attn_norm.weight", NULL));
    if (get(r, l, "attn_output.weight", NULL))
        add(r, x, attention(r, l, h));
    if (get(r, l, "shortconv.conv.weight", NULL))
        add(r, x, short_convolution(r, l, h));
    if (get(r, l, "ssm_x.weight", NULL))
        add(r, x, mamba(r, l, h));
    else if (get(r, l, "ssm_alpha.weight", NULL))
        add(r, x, delta_net(r, l, h));
    else if (get(r, l, "ssm_in.weight", NULL))
        add(r, x, mamba2(r, l, h));
    free(h);

    size_t ff;
    const double *up = get(r, l, "ffn_up.weight", &ff);
    if (!up)
        return;
    const double *norm = get(r, l, "ffn_norm.weight", NULL);
    norm = norm ? norm : get(r, l, "ffn_norm", NULL);
    norm = norm ? norm : get(r, l, "post_attention_norm.weight", NULL);
    norm = norm ? norm : get(r, l, "attn_norm.weight", NULL);
    h = normed(r, x, norm);
    double *u = project(r, up, h, ff, r->e);
    const double *gate = get(r, l, "ffn_gate.weight", NULL);
    double *g = gate ? project(r, gate, h, ff, r->e) : NULL;
    for (size_t i = 0; i < r->n * ff; i++)
        u[i] = gate ? u[i] * silu(g[i]) : u[i] > 0 ? u[i] * u[i] : 0;
    add(r, x, project(r, get(r, l, "ffn_down.weight", NULL), u, r->e, ff));
    free(h);
    free(u);
    free(g);
}

void ref_recurrent_forward(const struct ref_model *m, const int32_t *ids, size_t n, double *logits)
{
    struct ref r = {.m = m, .n = n};
    r.e = count(&r, "embedding_length");
    r.eps = ref_model_number(m, "attention.layer_norm_rms_epsilon", 0);
    size_t layers = count(&r, "block_count") - count(&r, "nextn_predict_layers"), n_vocab;
    const double *embd = ref_model_tensor(m, "token_embd.weight", &n_vocab);
    double scale = ref_model_number(m, "embedding_scale", 1);
    double *x = zeros(n * r.e);
    for (size_t t = 0; t < n; t++)
        for (size_t i = 0; i < r.e; i++)
            x[t * r.e + i] = scale * embd[(size_t)ids[t] * r.e + i];
    for (size_t l = 0; l < layers; l++)
        layer(&r, l, x);
    size_t rows;
    const double *norm = ref_model_tensor(m, "output_norm.weight", &rows);
    const double *out = ref_model_tensor(m, "output.weight", &rows);
    double *h = normed(&r, x, norm ? norm : ref_model_tensor(m, "token_embd_norm.weight", &rows));
    double *y = project(&r, out ? out : embd, h, n_vocab, r.e);
    for (size_t i = 0; i < n * n_vocab; i++)
        logits[i] = y[i] / ref_model_number(m, "logit_scale", 1);
    free(x);
    free(h);
    free(y);
}
