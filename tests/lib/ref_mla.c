/* SPDX-License-Identifier: Apache-2.0
 *
 * Latent attention: DeepSeek-AI, "DeepSeek-V2" (2024), equations 9 to 19. */
#include "ref_mla.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mla {
    const struct ref_model *m;
    size_t layer, n, e, heads, head_k, head_v, rank, turned, still;
    const double *turning;
    double eps;
};

static double *zeros(size_t n)
{
    double *p = calloc(n, sizeof(*p));
    if (!p)
        abort();
    return p;
}

static const double *get(const struct mla *a, const char *suffix)
{
    char name[96];
    size_t rows;
    snprintf(name, sizeof(name), "blk.%zu.%s", a->layer, suffix);
    return ref_model_tensor(a->m, name, &rows);
}

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static void product(const double *w, const double *x, size_t rows, size_t cols, double *y)
{
    for (size_t i = 0; i < rows; i++)
        y[i] = dot(w + i * cols, x, cols);
}

static void norm(const struct mla *a, double *x, const double *w, size_t n)
{
    double length = sqrt(dot(x, x, n) / (double)n + a->eps);
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] / length * w[i];
}

static void rotate(const struct mla *a, double *x, size_t position)
{
    for (size_t i = 0; i < a->turned / 2; i++) {
        double angle = (double)position * a->turning[i], u = x[2 * i], v = x[2 * i + 1];
        x[2 * i] = u * cos(angle) - v * sin(angle);
        x[2 * i + 1] = u * sin(angle) + v * cos(angle);
    }
}

static void queries(const struct mla *a, const double *x, size_t position, double *q)
{
    size_t rank = (size_t)ref_model_number(a->m, "attention.q_lora_rank", 0);
    if (rank > 0) {
        double *low = zeros(rank);
        product(get(a, "attn_q_a.weight"), x, rank, a->e, low);
        norm(a, low, get(a, "attn_q_a_norm.weight"), rank);
        product(get(a, "attn_q_b.weight"), low, a->heads * a->head_k, rank, q);
        free(low);
    } else {
        product(get(a, "attn_q.weight"), x, a->heads * a->head_k, a->e, q);
    }
    for (size_t h = 0; h < a->heads; h++)
        rotate(a, q + h * a->head_k + a->still, position);
}

/* k: [heads][head_k], v: [heads][head_v] */
static void keys_values(const struct mla *a, const double *x, size_t position, double *k, double *v)
{
    const double *both = get(a, "attn_kv_b.weight"), *k_b = get(a, "attn_k_b.weight"),
                 *v_b = get(a, "attn_v_b.weight");
    double *c = zeros(a->rank + a->turned);
    product(get(a, "attn_kv_a_mqa.weight"), x, a->rank + a->turned, a->e, c);
    norm(a, c, get(a, "attn_kv_a_norm.weight"), a->rank);
    rotate(a, c + a->rank, position);
    for (size_t h = 0; h < a->heads; h++) {
        double *kh = k + h * a->head_k, *vh = v + h * a->head_v;
        if (both) {
            const double *w = both + h * (a->still + a->head_v) * a->rank;
            product(w, c, a->still, a->rank, kh);
            product(w + a->still * a->rank, c, a->head_v, a->rank, vh);
        } else {
            for (size_t i = 0; i < a->still; i++) {
                kh[i] = 0;
                for (size_t r = 0; r < a->rank; r++)
                    kh[i] += k_b[(h * a->rank + r) * a->still + i] * c[r];
            }
            product(v_b + h * a->head_v * a->rank, c, a->head_v, a->rank, vh);
        }
        memcpy(kh + a->still, c + a->rank, a->turned * sizeof(*kh));
    }
    free(c);
}

/* DeepSeek's code: 0.1 * mscale_all_dim * ln(factor) + 1, squared; files have 0.1 * mscale_all_dim.
 */
static double score_scale(const struct mla *a)
{
    double growth = 1;
    if (ref_model_text_is(a->m, "rope.scaling.type", "yarn"))
        growth += ref_model_number(a->m, "rope.scaling.yarn_log_multiplier", 0) *
                  log(ref_model_number(a->m, "rope.scaling.factor", 1));
    return growth * growth / sqrt((double)a->head_k);
}

static void attend(const struct mla *a, const double *q, const double *k, const double *v,
                   size_t position, size_t head, double *out)
{
    double *p = zeros(position + 1), max = -(double)INFINITY, sum = 0;
    for (size_t s = 0; s <= position; s++) {
        p[s] = dot(q, k + (s * a->heads + head) * a->head_k, a->head_k) * score_scale(a);
        max = fmax(max, p[s]);
    }
    for (size_t s = 0; s <= position; s++)
        sum += p[s] = exp(p[s] - max);
    for (size_t s = 0; s <= position; s++)
        for (size_t i = 0; i < a->head_v; i++)
            out[i] += p[s] / sum * v[(s * a->heads + head) * a->head_v + i];
    free(p);
}

double *ref_mla(const struct ref_model *m, size_t layer, const double *x, size_t n, size_t e,
                const double *turning)
{
    struct mla a = {.m = m, .layer = layer, .n = n, .e = e, .turning = turning};
    a.heads = (size_t)ref_model_number(m, "attention.head_count", 0);
    a.head_k = (size_t)ref_model_number(m, "attention.key_length_mla",
                                        ref_model_number(m, "attention.key_length", 0));
    a.head_v = (size_t)ref_model_number(m, "attention.value_length_mla",
                                        ref_model_number(m, "attention.value_length", 0));
    a.rank = (size_t)ref_model_number(m, "attention.kv_lora_rank", 0);
    a.turned = (size_t)ref_model_number(m, "rope.dimension_count", 0);
    a.still = a.head_k - a.turned;
    a.eps = ref_model_number(m, "attention.layer_norm_rms_epsilon", 0);
    size_t nk = a.heads * a.head_k, nv = a.heads * a.head_v;
    double *q = zeros(n * nk), *k = zeros(n * nk), *v = zeros(n * nv), *heads = zeros(n * nv);
    double *out = zeros(n * e);
    for (size_t t = 0; t < n; t++) {
        queries(&a, x + t * e, t, q + t * nk);
        keys_values(&a, x + t * e, t, k + t * nk, v + t * nv);
        for (size_t h = 0; h < a.heads; h++)
            attend(&a, q + t * nk + h * a.head_k, k, v, t, h, heads + t * nv + h * a.head_v);
        product(get(&a, "attn_output.weight"), heads + t * nv, e, nv, out + t * e);
    }
    free(q);
    free(k);
    free(v);
    free(heads);
    return out;
}
