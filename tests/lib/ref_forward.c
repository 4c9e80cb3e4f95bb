/* SPDX-License-Identifier: Apache-2.0
 *
 * The double-precision reference. Every step is a loop over numbers; nothing is fast. */
#include "ref_forward.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ref_dense.h"
#include "ref_recurrent.h"

struct ref_kv {
    char key[96];
    uint32_t type;
    const unsigned char *value;
};

struct ref_tensor {
    char name[65];
    size_t cols, rows;
    double *w; /* [rows][cols] */
};

struct ref_model {
    unsigned char *file;
    struct ref_kv *kvs;
    size_t n_kvs;
    struct ref_tensor *tensors;
    size_t n_tensors;
    char arch[32];
    size_t n_layers, n_embd, n_heads, n_kv_heads, head_k, head_v, n_ff, n_vocab, rope_dims;
    double eps;
};

static void *need(void *p)
{
    if (!p)
        abort();
    return p;
}

/* ---- numbers in a file ---- */

static uint64_t load(const unsigned char *p, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static double load_f32(const unsigned char *p)
{
    uint32_t bits = (uint32_t)load(p, 4);
    float f;
    memcpy(&f, &bits, 4);
    return (double)f;
}

static double load_f16(const unsigned char *p)
{
    uint32_t h = (uint32_t)load(p, 2);
    int exp = (int)(h >> 10 & 31);
    double frac = h & 1023;
    double v = exp == 0 ? ldexp(frac, -24) : ldexp(1024 + frac, exp - 25);
    return h & 0x8000 ? -v : v;
}

static double load_bf16(const unsigned char *p)
{
    unsigned char b[4] = {0, 0, p[0], p[1]};
    return load_f32(b);
}

/* ---- unpacking: one block at p to 32 or 256 values ---- */

static void unpack_q4_0(const unsigned char *p, double *out)
{
    for (int i = 0; i < 32; i++) {
        int q = i < 16 ? p[2 + i] & 15 : p[2 + i - 16] >> 4;
        out[i] = load_f16(p) * (q - 8);
    }
}

/* OCP Microscaling: e2m1 numbers with a common power of two. */
static void unpack_mxfp4(const unsigned char *p, double *out)
{
    static const double e2m1[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
    for (int i = 0; i < 32; i++) {
        int q = i < 16 ? p[1 + i] & 15 : p[1 + i - 16] >> 4;
        out[i] = (q & 8 ? -1 : 1) * e2m1[q & 7] * pow(2, p[0] - 127.0);
    }
}

static void unpack_q4_1(const unsigned char *p, double *out)
{
    for (int i = 0; i < 32; i++) {
        int q = i < 16 ? p[4 + i] & 15 : p[4 + i - 16] >> 4;
        out[i] = load_f16(p) * q + load_f16(p + 2);
    }
}

static void unpack_q5_0(const unsigned char *p, double *out)
{
    for (int i = 0; i < 32; i++) {
        int q = i < 16 ? p[6 + i] & 15 : p[6 + i - 16] >> 4;
        q |= (int)(load(p + 2, 4) >> i & 1) << 4;
        out[i] = load_f16(p) * (q - 16);
    }
}

static void unpack_q5_1(const unsigned char *p, double *out)
{
    for (int i = 0; i < 32; i++) {
        int q = i < 16 ? p[8 + i] & 15 : p[8 + i - 16] >> 4;
        q |= (int)(load(p + 4, 4) >> i & 1) << 4;
        out[i] = load_f16(p) * q + load_f16(p + 2);
    }
}

static void unpack_q8_0(const unsigned char *p, double *out)
{
    for (int i = 0; i < 32; i++)
        out[i] = load_f16(p) * (int8_t)p[2 + i];
}

/* Scale and offset number j of eight, from the twelve bytes that hold sixteen 6-bit numbers. */
static void unpack_k_scale(const unsigned char *s, int j, int *sc, int *m)
{
    if (j < 4) {
        *sc = s[j] & 63;
        *m = s[j + 4] & 63;
    } else {
        *sc = (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
        *m = (s[j + 4] >> 4) | (s[j] >> 6) << 4;
    }
}

/* Q4_K, and Q5_K when qh is not NULL. */
static void unpack_k(const unsigned char *p, const unsigned char *qh, const unsigned char *qs,
                     double *out)
{
    for (int i = 0; i < 256; i++) {
        int j = i / 32, sc, m;
        unpack_k_scale(p + 4, j, &sc, &m);
        int byte = qs[j / 2 * 32 + i % 32];
        int q = j % 2 ? byte >> 4 : byte & 15;
        if (qh)
            q |= (qh[i % 32] >> j & 1) << 4;
        out[i] = load_f16(p) * sc * q - load_f16(p + 2) * m;
    }
}

static void unpack_q4_k(const unsigned char *p, double *out)
{
    unpack_k(p, NULL, p + 16, out);
}

static void unpack_q5_k(const unsigned char *p, double *out)
{
    unpack_k(p, p + 16, p + 48, out);
}

static void unpack_q6_k(const unsigned char *p, double *out)
{
    const unsigned char *ql = p, *qh = p + 128, *sc = p + 192;
    for (int i = 0; i < 256; i++) {
        int half = i / 128, quarter = i % 128 / 32, l = i % 32;
        int byte = ql[half * 64 + quarter % 2 * 32 + l];
        int q = quarter < 2 ? byte & 15 : byte >> 4;
        q |= (qh[half * 32 + l] >> (2 * quarter) & 3) << 4;
        out[i] = load_f16(p + 208) * (int8_t)sc[i / 16] * (q - 32);
    }
}

static void unpack_f32(const unsigned char *p, double *out)
{
    *out = load_f32(p);
}

static void unpack_f16(const unsigned char *p, double *out)
{
    *out = load_f16(p);
}

static void unpack_bf16(const unsigned char *p, double *out)
{
    *out = load_bf16(p);
}

static const struct {
    size_t items, bytes;
    void (*unpack)(const unsigned char *p, double *out);
} formats[] = {
    [0] = {1, 4, unpack_f32},       [1] = {1, 2, unpack_f16},       [2] = {32, 18, unpack_q4_0},
    [3] = {32, 20, unpack_q4_1},    [6] = {32, 22, unpack_q5_0},    [7] = {32, 24, unpack_q5_1},
    [8] = {32, 34, unpack_q8_0},    [12] = {256, 144, unpack_q4_k}, [13] = {256, 176, unpack_q5_k},
    [14] = {256, 210, unpack_q6_k}, [30] = {1, 2, unpack_bf16},    [39] = {32, 17, unpack_mxfp4},
};

/* ---- the file ---- */

static size_t scalar_bytes(uint32_t type)
{
    static const size_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return bytes[type];
}

static const unsigned char *skip_value(const unsigned char *p, uint32_t type)
{
    if (type == 8)
        return p + 8 + load(p, 8);
    if (type != 9)
        return p + scalar_bytes(type);
    uint32_t item_type = (uint32_t)load(p, 4);
    uint64_t n = load(p + 4, 8);
    for (p += 12; n > 0; n--)
        p = skip_value(p, item_type);
    return p;
}

static const unsigned char *copy_name(const unsigned char *p, char *out, size_t size)
{
    uint64_t len = load(p, 8);
    snprintf(out, size, "%.*s", (int)len, (const char *)p + 8);
    return p + 8 + len;
}

static const struct ref_kv *find_key(const struct ref_model *m, const char *suffix)
{
    char key[96];
    if (strncmp(suffix, "general.", 8) == 0)
        snprintf(key, sizeof(key), "%s", suffix);
    else
        snprintf(key, sizeof(key), "%s.%s", m->arch, suffix);
    for (size_t i = 0; i < m->n_kvs; i++)
        if (strcmp(m->kvs[i].key, key) == 0)
            return &m->kvs[i];
    return NULL;
}

static double number(const struct ref_model *m, const char *suffix, double fallback)
{
    const struct ref_kv *kv = find_key(m, suffix);
    if (!kv)
        return fallback;
    if (kv->type == 6)
        return load_f32(kv->value);
    return (double)load(kv->value, scalar_bytes(kv->type));
}

static const double *tensor(const struct ref_model *m, const char *name)
{
    for (size_t i = 0; i < m->n_tensors; i++)
        if (strcmp(m->tensors[i].name, name) == 0)
            return m->tensors[i].w;
    return NULL;
}

static const double *layer_tensor(const struct ref_model *m, size_t layer, const char *suffix)
{
    char name[96];
    snprintf(name, sizeof(name), "blk.%zu.%s", layer, suffix);
    return tensor(m, name);
}

bool ref_unpack(uint32_t type, const unsigned char *p, size_t n, double *out)
{
    if (type >= sizeof(formats) / sizeof(*formats) || !formats[type].unpack)
        return false;
    for (size_t i = 0; i < n; i += formats[type].items) {
        formats[type].unpack(p, out + i);
        p += formats[type].bytes;
    }
    return true;
}

static bool unpack_tensor(struct ref_tensor *t, uint32_t type, const unsigned char *p)
{
    size_t n = t->cols * t->rows;
    t->w = need(calloc(n, sizeof(double)));
    return ref_unpack(type, p, n, t->w);
}

static bool parse(struct ref_model *m)
{
    const unsigned char *p = m->file;
    m->n_tensors = load(p + 8, 8);
    m->n_kvs = load(p + 16, 8);
    m->kvs = need(calloc(m->n_kvs, sizeof(*m->kvs)));
    m->tensors = need(calloc(m->n_tensors, sizeof(*m->tensors)));
    p += 24;
    for (size_t i = 0; i < m->n_kvs; i++) {
        p = copy_name(p, m->kvs[i].key, sizeof(m->kvs[i].key));
        m->kvs[i].type = (uint32_t)load(p, 4);
        m->kvs[i].value = p + 4;
        p = skip_value(p + 4, m->kvs[i].type);
    }
    const unsigned char *list = p;
    for (size_t i = 0; i < m->n_tensors; i++) { /* over the list, to the data */
        char name[65];
        p = copy_name(p, name, sizeof(name));
        p += 4 + 8 * load(p, 4) + 12;
    }
    size_t align = (size_t)number(m, "general.alignment", 32);
    const unsigned char *data = m->file + ((size_t)(p - m->file) + align - 1) / align * align;
    p = list;
    for (size_t i = 0; i < m->n_tensors; i++) {
        struct ref_tensor *t = &m->tensors[i];
        p = copy_name(p, t->name, sizeof(t->name));
        size_t n_dims = load(p, 4);
        t->cols = load(p + 4, 8);
        t->rows = 1;
        for (size_t k = 1; k < n_dims; k++)
            t->rows *= load(p + 4 + 8 * k, 8);
        p += 4 + 8 * n_dims;
        if (!unpack_tensor(t, (uint32_t)load(p, 4), data + load(p + 4, 8))) {
            fprintf(stderr, "ref_forward: tensor %s of type %u\n", t->name, (unsigned)load(p, 4));
            return false;
        }
        p += 12;
    }
    return true;
}

static bool read_facts(struct ref_model *m)
{
    const struct ref_kv *arch = find_key(m, "general.architecture");
    if (!arch)
        return false;
    copy_name(arch->value, m->arch, sizeof(m->arch));
    m->n_layers = (size_t)number(m, "block_count", 0);
    m->n_embd = (size_t)number(m, "embedding_length", 0);
    m->n_heads = (size_t)number(m, "attention.head_count", 0);
    m->n_kv_heads = (size_t)number(m, "attention.head_count_kv", (double)m->n_heads);
    size_t head = m->n_heads > 0 ? m->n_embd / m->n_heads : 0;
    m->head_k = (size_t)number(m, "attention.key_length", (double)head);
    m->head_v = (size_t)number(m, "attention.value_length", (double)head);
    m->n_ff = (size_t)number(m, "feed_forward_length", 0);
    m->rope_dims = (size_t)number(m, "rope.dimension_count", (double)m->head_k);
    m->eps = number(m, "attention.layer_norm_rms_epsilon", 0);
    for (size_t i = 0; i < m->n_tensors; i++)
        if (strcmp(m->tensors[i].name, "token_embd.weight") == 0)
            m->n_vocab = m->tensors[i].rows;
    return m->n_vocab > 0;
}

struct ref_model *ref_model_open(const char *path)
{
    struct ref_model *m = need(calloc(1, sizeof(*m)));
    FILE *f = fopen(path, "rb");
    if (f) {
        fseek(f, 0, SEEK_END);
        size_t size = (size_t)ftell(f);
        rewind(f);
        m->file = need(malloc(size + 1));
        bool good = fread(m->file, 1, size, f) == size && parse(m) && read_facts(m);
        fclose(f);
        if (good)
            return m;
    }
    fprintf(stderr, "ref_forward: cannot read %s\n", path);
    ref_model_free(m);
    return NULL;
}

void ref_model_free(struct ref_model *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->n_tensors; i++)
        free(m->tensors[i].w);
    free(m->tensors);
    free(m->kvs);
    free(m->file);
    free(m);
}

size_t ref_model_n_vocab(const struct ref_model *m)
{
    return m->n_vocab;
}

/* ---- the forward pass ---- */

static void rms_norm(double *out, const double *x, const double *w, size_t n, double eps)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += x[i] * x[i];
    double scale = 1 / sqrt(sum / (double)n + eps);
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] * scale * w[i];
}

static void matvec(double *out, const double *w, const double *bias, const double *x, size_t rows,
                   size_t cols)
{
    for (size_t r = 0; r < rows; r++) {
        double sum = bias ? bias[r] : 0;
        for (size_t c = 0; c < cols; c++)
            sum += w[r * cols + c] * x[c];
        out[r] = sum;
    }
}

bool ref_model_text_is(const struct ref_model *m, const char *suffix, const char *text)
{
    const struct ref_kv *kv = find_key(m, suffix);
    return kv && load(kv->value, 8) == strlen(text) &&
           memcmp(kv->value + 8, text, strlen(text)) == 0;
}

double ref_model_item(const struct ref_model *m, const char *key, size_t i)
{
    for (size_t k = 0; k < m->n_kvs; k++)
        if (strcmp(m->kvs[k].key, key) == 0)
            return load_f32(m->kvs[k].value + 12 + 4 * i);
    return (double)NAN;
}

static bool scaling_is(const struct ref_model *m, const char *type)
{
    return ref_model_text_is(m, "rope.scaling.type", type);
}

/* Angle per position of pair i, and what sin and cos are multiplied by. */
static double rope_frequency(const struct ref_model *m, size_t i, double *mscale)
{
    double base = number(m, "rope.freq_base", 10000), dims = (double)m->rope_dims;
    double f = pow(base, -2.0 * (double)i / dims);
    const double *factors = tensor(m, "rope_freqs.weight");
    if (factors)
        f /= factors[i];
    *mscale = 1;
    double s = number(m, "rope.scaling.factor", 1);
    if (scaling_is(m, "linear"))
        return f / s;
    if (!scaling_is(m, "yarn"))
        return f;
    /* "NTK-by-parts" of the YaRN paper: r turns within the original context; below beta_slow = 1
     * interpolate, above beta_fast = 32 keep; linear in the index between, with whole indices as
     * borders. */
    double context = number(m, "rope.scaling.original_context_length", 0);
    double fast = floor(dims * log(context / (32 * 2 * M_PI)) / (2 * log(base)));
    double slow = ceil(dims * log(context / (1 * 2 * M_PI)) / (2 * log(base)));
    fast = fmax(fast, 0);
    slow = fmin(slow, dims - 1);
    double t = ((double)i - fast) / fmax(slow - fast, 0.001);
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    *mscale = 0.1 * log(s) + 1;
    return (1 - t) * f + t * f / s;
}

static void rotate(const struct ref_model *m, double *heads, size_t n_heads, size_t pos)
{
    bool adjacent = strcmp(m->arch, "llama") == 0;
    size_t half = m->rope_dims / 2;
    for (size_t h = 0; h < n_heads; h++) {
        for (size_t i = 0; i < half; i++) {
            double mscale;
            double angle = (double)pos * rope_frequency(m, i, &mscale);
            double *a = heads + h * m->head_k + (adjacent ? 2 * i : i);
            double *b = adjacent ? a + 1 : a + half;
            double x = *a, y = *b;
            *a = mscale * (x * cos(angle) - y * sin(angle));
            *b = mscale * (x * sin(angle) + y * cos(angle));
        }
    }
}

static double cap(double x, double limit)
{
    return limit > 0 ? limit * tanh(x / limit) : x;
}

static double activation(const struct ref_model *m, double x)
{
    if (strcmp(m->arch, "gemma2") == 0)
        return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    return x / (1 + exp(-x));
}

/* One query against the keys and values of positions first .. pos. */
static void attend(const struct ref_model *m, const double *q, const double *keys,
                   const double *values, size_t kv_head, size_t first, size_t pos, double *out)
{
    double scale = 1 / sqrt((double)m->head_k);
    double softcap = number(m, "attn_logit_softcapping", strcmp(m->arch, "gemma2") == 0 ? 50 : 0);
    double *score = need(calloc(pos + 1, sizeof(double)));
    double max = -(double)INFINITY, sum = 0;
    for (size_t p = first; p <= pos; p++) {
        const double *k = keys + (p * m->n_kv_heads + kv_head) * m->head_k;
        for (size_t i = 0; i < m->head_k; i++)
            score[p] += q[i] * k[i];
        score[p] = cap(score[p] * scale, softcap);
        max = fmax(max, score[p]);
    }
    memset(out, 0, m->head_v * sizeof(double));
    for (size_t p = first; p <= pos; p++) {
        double weight = exp(score[p] - max);
        sum += weight;
        for (size_t i = 0; i < m->head_v; i++)
            out[i] += weight * values[(p * m->n_kv_heads + kv_head) * m->head_v + i];
    }
    for (size_t i = 0; i < m->head_v; i++)
        out[i] /= sum;
    free(score);
}

/* out = what the feed-forward part, or the experts that the router likes best, make of h. */
static void feed_forward(const struct ref_model *m, size_t l, const double *h, double *out)
{
    size_t e = m->n_embd, n_experts = (size_t)number(m, "expert_count", 0);
    size_t n_used = n_experts > 0 ? (size_t)number(m, "expert_used_count", 0) : 1;
    size_t ff = (size_t)number(m, "expert_feed_forward_length", (double)m->n_ff);
    bool mix = n_experts > 0;
    const double *w_gate = layer_tensor(m, l, mix ? "ffn_gate_exps.weight" : "ffn_gate.weight");
    const double *w_up = layer_tensor(m, l, mix ? "ffn_up_exps.weight" : "ffn_up.weight");
    const double *w_down = layer_tensor(m, l, mix ? "ffn_down_exps.weight" : "ffn_down.weight");
    double *score = need(calloc(n_experts + 1, sizeof(double)));
    double *gate = need(calloc(ff, sizeof(double))), *up = need(calloc(ff, sizeof(double)));
    double *part = need(calloc(e, sizeof(double))), sum = 0;
    if (mix)
        matvec(score, layer_tensor(m, l, "ffn_gate_inp.weight"), NULL, h, n_experts, e);
    memset(out, 0, e * sizeof(double));
    for (size_t k = 0; k < n_used; k++) {
        size_t best = 0;
        for (size_t i = 1; i < n_experts; i++)
            if (score[i] > score[best])
                best = i;
        /* Softmax over the chosen is softmax over all, made to add up to one. */
        double p = exp(score[best]);
        score[best] = -(double)INFINITY;
        sum += p;
        matvec(gate, w_gate + best * ff * e, layer_tensor(m, l, "ffn_gate.bias"), h, ff, e);
        matvec(up, w_up + best * ff * e, layer_tensor(m, l, "ffn_up.bias"), h, ff, e);
        for (size_t i = 0; i < ff; i++)
            up[i] *= activation(m, gate[i]);
        matvec(part, w_down + best * e * ff, layer_tensor(m, l, "ffn_down.bias"), up, e, ff);
        for (size_t i = 0; i < e; i++)
            out[i] += p * part[i];
    }
    for (size_t i = 0; i < e; i++)
        out[i] *= number(m, "expert_weights_scale", 1) / sum;
    free(score);
    free(gate);
    free(up);
    free(part);
}

/* x: [n][n_embd], changed by one layer. */
static void layer_forward(const struct ref_model *m, size_t l, double *x, size_t n)
{
    size_t e = m->n_embd, nq = m->n_heads * m->head_k, nk = m->n_kv_heads * m->head_k;
    size_t nv = m->n_kv_heads * m->head_v, na = m->n_heads * m->head_v;
    double *h = need(calloc(e, sizeof(double))), *q = need(calloc(n * nq, sizeof(double)));
    double *k = need(calloc(n * nk, sizeof(double))), *v = need(calloc(n * nv, sizeof(double)));
    double *a = need(calloc(na, sizeof(double)));
    double *f = need(calloc(e, sizeof(double)));
    const double *q_norm = layer_tensor(m, l, "attn_q_norm.weight");
    const double *k_norm = layer_tensor(m, l, "attn_k_norm.weight");
    const double *post_attn = layer_tensor(m, l, "post_attention_norm.weight");
    const double *post_ffn = layer_tensor(m, l, "post_ffw_norm.weight");

    for (size_t p = 0; p < n; p++) {
        rms_norm(h, x + p * e, layer_tensor(m, l, "attn_norm.weight"), e, m->eps);
        matvec(q + p * nq, layer_tensor(m, l, "attn_q.weight"), layer_tensor(m, l, "attn_q.bias"),
               h, nq, e);
        matvec(k + p * nk, layer_tensor(m, l, "attn_k.weight"), layer_tensor(m, l, "attn_k.bias"),
               h, nk, e);
        matvec(v + p * nv, layer_tensor(m, l, "attn_v.weight"), layer_tensor(m, l, "attn_v.bias"),
               h, nv, e);
        for (size_t i = 0; q_norm && i < m->n_heads; i++)
            rms_norm(q + p * nq + i * m->head_k, q + p * nq + i * m->head_k, q_norm, m->head_k,
                     m->eps);
        for (size_t i = 0; k_norm && i < m->n_kv_heads; i++)
            rms_norm(k + p * nk + i * m->head_k, k + p * nk + i * m->head_k, k_norm, m->head_k,
                     m->eps);
        rotate(m, q + p * nq, m->n_heads, p);
        rotate(m, k + p * nk, m->n_kv_heads, p);
    }
    size_t window = 0; /* even layers of gemma2 see the last `window` tokens, their own included */
    if (strcmp(m->arch, "gemma2") == 0 && l % 2 == 0)
        window = (size_t)number(m, "attention.sliding_window", 4096);
    for (size_t p = 0; p < n; p++) {
        size_t first = window > 0 && p + 1 > window ? p + 1 - window : 0;
        for (size_t i = 0; i < m->n_heads; i++)
            attend(m, q + p * nq + i * m->head_k, k, v, i / (m->n_heads / m->n_kv_heads), first, p,
                   a + i * m->head_v);
        double *xp = x + p * e;
        matvec(h, layer_tensor(m, l, "attn_output.weight"), layer_tensor(m, l, "attn_output.bias"),
               a, e, na);
        if (post_attn)
            rms_norm(h, h, post_attn, e, m->eps);
        for (size_t i = 0; i < e; i++)
            xp[i] += h[i];
        rms_norm(h, xp, layer_tensor(m, l, "ffn_norm.weight"), e, m->eps);
        feed_forward(m, l, h, f);
        if (post_ffn)
            rms_norm(f, f, post_ffn, e, m->eps);
        for (size_t i = 0; i < e; i++)
            xp[i] += f[i];
    }
    free(h);
    free(q);
    free(k);
    free(v);
    free(a);
    free(f);
}

void ref_model_forward(const struct ref_model *m, const int32_t *ids, size_t n, double *logits)
{
    if (ref_recurrent(m)) {
        ref_recurrent_forward(m, ids, n, logits);
        return;
    }
    if (ref_dense(m)) {
        ref_dense_forward(m, ids, n, logits);
        return;
    }
    size_t e = m->n_embd;
    bool gemma2 = strcmp(m->arch, "gemma2") == 0;
    const double *embd = tensor(m, "token_embd.weight"), *out = tensor(m, "output.weight");
    double *x = need(calloc(n * e, sizeof(double))), *h = need(calloc(e, sizeof(double)));
    for (size_t p = 0; p < n; p++)
        for (size_t i = 0; i < e; i++)
            x[p * e + i] = embd[(size_t)ids[p] * e + i] * (gemma2 ? sqrt((double)e) : 1);
    for (size_t l = 0; l < m->n_layers; l++)
        layer_forward(m, l, x, n);
    double softcap = number(m, "final_logit_softcapping", gemma2 ? 30 : 0);
    for (size_t p = 0; p < n; p++) {
        double *row = logits + p * m->n_vocab;
        rms_norm(h, x + p * e, tensor(m, "output_norm.weight"), e, m->eps);
        matvec(row, out ? out : embd, NULL, h, m->n_vocab, e);
        for (size_t i = 0; i < m->n_vocab; i++)
            row[i] = cap(row[i], softcap);
    }
    free(x);
    free(h);
}

double ref_model_number(const struct ref_model *m, const char *suffix, double fallback)
{
    return number(m, suffix, fallback);
}

const double *ref_model_tensor(const struct ref_model *m, const char *name, size_t *ret_rows)
{
    for (size_t i = 0; i < m->n_tensors; i++) {
        if (strcmp(m->tensors[i].name, name) != 0)
            continue;
        *ret_rows = m->tensors[i].rows;
        return m->tensors[i].w;
    }
    return NULL;
}

const char *ref_model_arch(const struct ref_model *m)
{
    return m->arch;
}
