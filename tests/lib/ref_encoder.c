/* SPDX-License-Identifier: Apache-2.0
 *
 * One layer is written once; what has no tensor in the file is left out. Which architecture
 * rotates, which takes the mean, is said where it matters. */
#include "ref_encoder.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ref {
    const struct ref_model *m;
    size_t e, heads, kv_heads, head, ff, layers;
    double eps;
};

static double *zeros(size_t n)
{
    double *p = calloc(n, sizeof(*p));
    if (!p)
        abort();
    return p;
}

static bool arch_is(const struct ref *r, const char *name)
{
    return strcmp(ref_model_arch(r->m), name) == 0;
}

static struct ref facts(const struct ref_model *m)
{
    struct ref r = {.m = m};
    r.e = (size_t)ref_model_number(m, "embedding_length", 0);
    r.heads = (size_t)ref_model_number(m, "attention.head_count", 0);
    r.kv_heads = (size_t)ref_model_number(m, "attention.head_count_kv", (double)r.heads);
    r.head = r.e / r.heads;
    r.ff = (size_t)ref_model_number(m, "feed_forward_length", 0);
    r.layers = (size_t)ref_model_number(m, "block_count", 0);
    r.eps = ref_model_number(m, "attention.layer_norm_epsilon",
                             ref_model_number(m, "attention.layer_norm_rms_epsilon", 0));
    return r;
}

__attribute__((format(printf, 2, 3))) static const double *get(const struct ref *r,
                                                               const char *format, ...)
{
    char name[96];
    size_t rows;
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof(name), format, args);
    va_end(args);
    return ref_model_tensor(r->m, name, &rows);
}

static void norm(const struct ref *r, double *x, const double *w, const double *bias, size_t n)
{
    bool rms = ref_model_number(r->m, "attention.layer_norm_epsilon", -1) < 0;
    double mean = 0, square = 0;
    if (!w)
        return;
    for (size_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    mean = rms ? 0 : mean;
    for (size_t i = 0; i < n; i++)
        square += (x[i] - mean) * (x[i] - mean) / (double)n;
    for (size_t i = 0; i < n; i++)
        x[i] = (x[i] - mean) / sqrt(square + r->eps) * w[i] + (bias ? bias[i] : 0);
}

static void multiply(double *out, const double *w, const double *bias, const double *x, size_t rows,
                     size_t cols)
{
    for (size_t i = 0; i < rows; i++) {
        out[i] = bias ? bias[i] : 0;
        for (size_t c = 0; c < cols; c++)
            out[i] += w[i * cols + c] * x[c];
    }
}

static double gelu(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double silu(double x)
{
    return x / (1 + exp(-x));
}

static double activate(const struct ref *r, double x, bool swiglu)
{
    bool smooth = arch_is(r, "nomic-bert") || arch_is(r, "neo-bert") || arch_is(r, "eurobert");
    return smooth || swiglu ? silu(x) : gelu(x);
}

/* Does this layer look only at its surroundings? */
static bool is_local(const struct ref *r, size_t layer)
{
    if (ref_model_number(r->m, "attention.sliding_window", 0) <= 0)
        return false;
    return arch_is(r, "modern-bert") ? layer % 3 != 0 : layer % 6 != 5;
}

static void rotate(const struct ref *r, double *x, size_t n_heads, size_t pos, bool local)
{
    if (arch_is(r, "bert") || arch_is(r, "jina-bert-v2"))
        return;
    bool adjacent = arch_is(r, "neo-bert");
    double base = ref_model_number(r->m, "rope.freq_base", 10000);
    base = local ? ref_model_number(r->m, "rope.freq_base_swa", base) : base;
    for (size_t h = 0; h < n_heads; h++) {
        for (size_t i = 0; i < r->head / 2; i++) {
            double angle = (double)pos * pow(base, -2.0 * (double)i / (double)r->head);
            double *a = x + h * r->head + (adjacent ? 2 * i : i);
            double *b = adjacent ? a + 1 : a + r->head / 2;
            double u = *a, v = *b;
            *a = u * cos(angle) - v * sin(angle);
            *b = u * sin(angle) + v * cos(angle);
        }
    }
}

/* The slopes of ALiBi for a power of two heads, as all tests have. */
static double slope(const struct ref *r, size_t head)
{
    return arch_is(r, "jina-bert-v2") ? pow(2, -8.0 / (double)r->heads * (double)(head + 1)) : 0;
}

static void attend(const struct ref *r, const double *q, const double *k, const double *v, size_t n,
                   size_t at, size_t head, double half, double *out)
{
    size_t kv_head = head / (r->heads / r->kv_heads), kv = r->kv_heads * r->head;
    double sum = 0;
    memset(out, 0, r->head * sizeof(*out));
    for (size_t p = 0; p < n; p++) {
        double away = fabs((double)p - (double)at), score = 0;
        if (half > 0 && away > half)
            continue;
        for (size_t i = 0; i < r->head; i++)
            score += q[i] * k[p * kv + kv_head * r->head + i];
        score = exp(score / sqrt((double)r->head) - slope(r, head) * away);
        sum += score;
        for (size_t i = 0; i < r->head; i++)
            out[i] += score * v[p * kv + kv_head * r->head + i];
    }
    for (size_t i = 0; i < r->head; i++)
        out[i] /= sum;
}

/* Queries, keys and values of one token. */
static void project(const struct ref *r, size_t l, double *h, double *q, double *k, double *v)
{
    size_t e = r->e, kv = r->kv_heads * r->head;
    const double *fused = get(r, "blk.%zu.attn_qkv.weight", l);
    const double *bias = get(r, "blk.%zu.attn_qkv.bias", l);
    if (fused) {
        multiply(q, fused, bias, h, e, e);
        multiply(k, fused + e * e, bias ? bias + e : NULL, h, kv, e);
        multiply(v, fused + (e + kv) * e, bias ? bias + e + kv : NULL, h, kv, e);
    } else {
        multiply(q, get(r, "blk.%zu.attn_q.weight", l), get(r, "blk.%zu.attn_q.bias", l), h, e, e);
        multiply(k, get(r, "blk.%zu.attn_k.weight", l), get(r, "blk.%zu.attn_k.bias", l), h, kv, e);
        multiply(v, get(r, "blk.%zu.attn_v.weight", l), get(r, "blk.%zu.attn_v.bias", l), h, kv, e);
    }
    const double *qn = get(r, "blk.%zu.attn_q_norm.weight", l);
    const double *kn = get(r, "blk.%zu.attn_k_norm.weight", l);
    if (arch_is(r, "jina-bert-v2")) {
        norm(r, q, qn, get(r, "blk.%zu.attn_q_norm.bias", l), e);
        norm(r, k, kn, get(r, "blk.%zu.attn_k_norm.bias", l), kv);
        return;
    }
    for (size_t i = 0; i < r->heads; i++)
        norm(r, q + i * r->head, qn, NULL, r->head);
    for (size_t i = 0; i < r->kv_heads; i++)
        norm(r, k + i * r->head, kn, NULL, r->head);
}

static void feed_forward(const struct ref *r, size_t l, const double *h, double *out)
{
    size_t rows = 0;
    char name[96];
    snprintf(name, sizeof(name), "blk.%zu.ffn_up.weight", l);
    const double *up = ref_model_tensor(r->m, name, &rows);
    const double *gate = get(r, "blk.%zu.ffn_gate.weight", l);
    bool swiglu = ref_model_number(r->m, "hidden_activation", -1) >= 0; /* the key is there */
    double *u = zeros(r->ff), *g = zeros(r->ff);
    if (rows == 2 * r->ff) { /* the gate's rows come first */
        gate = up;
        up += r->ff * r->e;
    }
    multiply(u, up, get(r, "blk.%zu.ffn_up.bias", l), h, r->ff, r->e);
    if (gate)
        multiply(g, gate, NULL, h, r->ff, r->e);
    for (size_t i = 0; i < r->ff; i++)
        u[i] = gate ? activate(r, g[i], swiglu) * u[i] : activate(r, u[i], swiglu);
    multiply(out, get(r, "blk.%zu.ffn_down.weight", l), get(r, "blk.%zu.ffn_down.bias", l), u, r->e,
             r->ff);
    free(u);
    free(g);
}

static void layer(const struct ref *r, size_t l, double *x, size_t n)
{
    size_t e = r->e, kv = r->kv_heads * r->head;
    double *q = zeros(n * e), *k = zeros(n * kv), *v = zeros(n * kv);
    double *h = zeros(e), *a = zeros(e), *y = zeros(e);
    bool local = is_local(r, l);
    double half = local ? floor(ref_model_number(r->m, "attention.sliding_window", 0) / 2) : 0;
    for (size_t p = 0; p < n; p++) {
        memcpy(h, x + p * e, e * sizeof(*h));
        norm(r, h, get(r, "blk.%zu.attn_norm.weight", l), NULL, e);
        project(r, l, h, q + p * e, k + p * kv, v + p * kv);
        rotate(r, q + p * e, r->heads, p, local);
        rotate(r, k + p * kv, r->kv_heads, p, local);
    }
    for (size_t p = 0; p < n; p++) {
        double *xp = x + p * e;
        for (size_t i = 0; i < r->heads; i++)
            attend(r, q + p * e + i * r->head, k, v, n, p, i, half, a + i * r->head);
        multiply(h, get(r, "blk.%zu.attn_output.weight", l), get(r, "blk.%zu.attn_output.bias", l),
                 a, e, e);
        norm(r, h, get(r, "blk.%zu.post_attention_norm.weight", l), NULL, e);
        for (size_t i = 0; i < e; i++)
            y[i] = h[i] + xp[i];
        norm(r, y, get(r, "blk.%zu.attn_output_norm.weight", l),
             get(r, "blk.%zu.attn_output_norm.bias", l), e);
        if (get(r, "blk.%zu.attn_norm_2.weight", l)) {
            for (size_t i = 0; i < e; i++)
                y[i] += xp[i];
            norm(r, y, get(r, "blk.%zu.attn_norm_2.weight", l),
                 get(r, "blk.%zu.attn_norm_2.bias", l), e);
        }
        memcpy(h, y, e * sizeof(*h));
        norm(r, h, get(r, "blk.%zu.ffn_norm.weight", l), NULL, e);
        feed_forward(r, l, h, a);
        norm(r, a, get(r, "blk.%zu.post_ffw_norm.weight", l), NULL, e);
        for (size_t i = 0; i < e; i++)
            xp[i] = y[i] + a[i];
        norm(r, xp, get(r, "blk.%zu.layer_output_norm.weight", l),
             get(r, "blk.%zu.layer_output_norm.bias", l), e);
    }
    free(q);
    free(k);
    free(v);
    free(h);
    free(a);
    free(y);
}

void ref_encoder_forward(const struct ref_model *m, const int32_t *ids, size_t n, double *hidden)
{
    struct ref r = facts(m);
    const double *embd = get(&r, "token_embd.weight"), *type = get(&r, "token_types.weight");
    const double *position = get(&r, "position_embd.weight");
    double scale = arch_is(&r, "gemma-embedding") ? sqrt((double)r.e) : 1;
    for (size_t p = 0; p < n; p++) {
        double *x = hidden + p * r.e;
        for (size_t i = 0; i < r.e; i++)
            x[i] = scale * embd[(size_t)ids[p] * r.e + i] + (type ? type[i] : 0) +
                   (position ? position[p * r.e + i] : 0);
        norm(&r, x, get(&r, "token_embd_norm.weight"), get(&r, "token_embd_norm.bias"), r.e);
    }
    for (size_t l = 0; l < r.layers; l++)
        layer(&r, l, hidden, n);
    const double *last = get(&r, "output_norm.weight");
    for (size_t p = 0; p < n; p++)
        norm(&r, hidden + p * r.e, last ? last : get(&r, "enc.output_norm.weight"), NULL, r.e);
}

static size_t rank(const struct ref *r, double *v, double *out)
{
    size_t n = r->e, rows = 0;
    const double *cls = ref_model_tensor(r->m, "cls.weight", &rows);
    bool modern = arch_is(r, "modern-bert");
    memcpy(out, v, r->e * sizeof(*v));
    if (cls) {
        n = rows;
        multiply(out, cls, get(r, "cls.bias"), v, n, r->e);
        for (size_t i = 0; i < n; i++)
            v[i] = out[i] = modern ? gelu(out[i]) : tanh(out[i]);
        norm(r, v, get(r, "cls.norm.weight"), NULL, n);
        memcpy(out, v, n * sizeof(*v));
    }
    const double *last = ref_model_tensor(r->m, "cls.output.weight", &rows);
    if (last) {
        n = rows;
        multiply(out, last, get(r, "cls.output.bias"), v, n, r->e);
    }
    return n;
}

size_t ref_encoder_pool(const struct ref_model *m, const double *hidden, size_t n, double *out)
{
    enum { MEAN = 1, CLS = 2, LAST = 3, RANK = 4 };
    struct ref r = facts(m);
    int pooling = (int)ref_model_number(m, "pooling_type", MEAN);
    bool mean = pooling == MEAN || (pooling == RANK && arch_is(&r, "modern-bert"));
    double *v = zeros(r.e);
    for (size_t i = 0; i < r.e; i++) {
        v[i] = pooling == LAST ? hidden[(n - 1) * r.e + i] : hidden[i];
        for (size_t p = 1; mean && p < n; p++)
            v[i] += hidden[p * r.e + i];
        v[i] /= mean ? (double)n : 1;
    }
    size_t width = r.e, rows = 0;
    const double *dense = ref_model_tensor(m, "dense_2.weight", &rows);
    if (pooling == RANK) {
        width = rank(&r, v, out);
    } else if (dense) {
        double *middle = zeros(rows);
        multiply(middle, dense, NULL, v, rows, r.e);
        multiply(out, get(&r, "dense_3.weight"), NULL, middle, r.e, rows);
        free(middle);
    } else {
        memcpy(out, v, r.e * sizeof(*v));
    }
    free(v);
    return width;
}
