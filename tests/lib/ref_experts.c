/* SPDX-License-Identifier: Apache-2.0
 *
 * One token after the other: who is chosen, what each says, and how much it counts. The formulas
 * are those of the models' papers and published code. */
#include "ref_experts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double *zeros(size_t n)
{
    double *p = calloc(n, sizeof(*p));
    if (!p)
        abort();
    return p;
}

/* NULL = there is none. */
static const double *get(const struct ref_model *m, size_t layer, const char *suffix, size_t *rows)
{
    char name[96];
    snprintf(name, sizeof(name), "blk.%zu.%s", layer, suffix);
    return ref_model_tensor(m, name, rows);
}

static bool is(const struct ref_model *m, const char *arch)
{
    return strcmp(ref_model_arch(m), arch) == 0;
}

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

/* OpenAI's: both factors are clamped, and one is added to the second. */
static double joined(const struct ref_model *m, double gate, double up)
{
    if (!is(m, "gpt-oss"))
        return gate * sigmoid(gate) * up;
    gate = fmin(gate, 7);
    up = fmax(-7, fmin(up, 7));
    return gate * sigmoid(1.702 * gate) * (up + 1);
}

struct part {
    const double *gate, *up, *down;                /* [ff][e], [ff][e], [e][ff] */
    const double *gate_bias, *up_bias, *down_bias; /* or NULL */
    size_t ff;
};

/* out += weight * the part's value of x */
static void add_part(const struct ref_model *m, const struct part *p, const double *x, size_t e,
                     double weight, double *out)
{
    double *h = zeros(p->ff);
    for (size_t i = 0; i < p->ff; i++) {
        double gate = dot(p->gate + i * e, x, e) + (p->gate_bias ? p->gate_bias[i] : 0);
        double up = dot(p->up + i * e, x, e) + (p->up_bias ? p->up_bias[i] : 0);
        h[i] = joined(m, gate, up);
    }
    for (size_t i = 0; i < e; i++)
        out[i] +=
            weight * (dot(p->down + i * p->ff, h, p->ff) + (p->down_bias ? p->down_bias[i] : 0));
    free(h);
}

/* The experts of groups that are not looked into: a group counts what its best two count. */
static bool *grouped_out(const struct ref_model *m, const double *share, const double *favor,
                         size_t n)
{
    size_t n_groups = (size_t)ref_model_number(m, "expert_group_count", 1), size = n / n_groups;
    size_t n_used = (size_t)ref_model_number(m, "expert_group_used_count", 1);
    bool *out = calloc(n, sizeof(*out));
    double *value = zeros(n_groups);
    if (!out)
        abort();
    for (size_t g = 0; g < n_groups; g++)
        value[g] = -(double)INFINITY;
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < (i / size + 1) * size; k++)
            value[i / size] = fmax(value[i / size], share[i] + (favor ? favor[i] : 0) + share[k] +
                                                        (favor ? favor[k] : 0));
    for (size_t i = 0; i < n && n_groups > 1; i++) {
        size_t better = 0;
        for (size_t g = 0; g < n_groups; g++)
            better += value[g] > value[i / size];
        out[i] = better >= n_used;
    }
    free(value);
    return out;
}

/* How much each expert counts; those that are not chosen 0. */
static void route(const struct ref_model *m, size_t layer, const double *x, size_t e, size_t n,
                  double *weight)
{
    size_t n_used = (size_t)ref_model_number(m, "expert_used_count", 0), rows;
    const double *w = get(m, layer, "ffn_gate_inp.weight", &rows);
    const double *bias = get(m, layer, "ffn_gate_inp.bias", &rows);
    const double *favor = get(m, layer, "exp_probs_b.bias", &rows);
    bool norm = is(m, "granitemoe") || is(m, "ernie4_5-moe") || is(m, "gpt-oss") ||
                ((is(m, "glm4moe") || is(m, "deepseek2")) &&
                 ref_model_number(m, "expert_weights_norm", 0) != 0);
    bool sigmoids = ref_model_number(m, "expert_gating_func", 0) == 2;
    double *share = zeros(n), all = 0, sum = 0;
    for (size_t i = 0; i < n; i++)
        all += share[i] = exp(dot(w + i * e, x, e) + (bias ? bias[i] : 0));
    for (size_t i = 0; i < n; i++)
        share[i] = sigmoids ? share[i] / (1 + share[i]) : share[i] / all;
    bool *out = grouped_out(m, share, favor, n);
    for (size_t k = 0; k < n_used; k++) {
        size_t best = n;
        for (size_t i = 0; i < n; i++) {
            double value = share[i] + (favor ? favor[i] : 0);
            if (!out[i] && weight[i] == 0 &&
                (best == n || value > share[best] + (favor ? favor[best] : 0)))
                best = i;
        }
        weight[best] = share[best];
        sum += share[best];
    }
    double scale = ref_model_number(m, "expert_weights_scale", 1);
    for (size_t i = 0; i < n; i++)
        weight[i] *= scale / (norm ? sum : 1);
    free(share);
    free(out);
}

double *ref_experts(const struct ref_model *m, size_t layer, const double *x, size_t n, size_t e)
{
    size_t n_experts = (size_t)ref_model_number(m, "expert_count", 0), rows, shared_ff;
    size_t ff = (size_t)ref_model_number(m, "expert_feed_forward_length",
                                         ref_model_number(m, "feed_forward_length", 0));
    const double *gate = get(m, layer, "ffn_gate_exps.weight", &rows);
    const double *up = get(m, layer, "ffn_up_exps.weight", &rows);
    const double *down = get(m, layer, "ffn_down_exps.weight", &rows);
    const double *gate_bias = get(m, layer, "ffn_gate_exps.bias", &rows);
    const double *up_bias = get(m, layer, "ffn_up_exps.bias", &rows);
    const double *down_bias = get(m, layer, "ffn_down_exps.bias", &rows);
    const double *shared = get(m, layer, "ffn_gate_shexp.weight", &shared_ff);
    const double *shared_gate = get(m, layer, "ffn_gate_inp_shexp.weight", &rows);
    double *out = zeros(n * e), *weight = zeros(n_experts);
    for (size_t t = 0; t < n; t++) {
        const double *in = x + t * e;
        memset(weight, 0, n_experts * sizeof(*weight));
        route(m, layer, in, e, n_experts, weight);
        for (size_t i = 0; i < n_experts; i++) {
            struct part p = {gate + i * ff * e,
                             up + i * ff * e,
                             down + i * e * ff,
                             gate_bias ? gate_bias + i * ff : NULL,
                             up_bias ? up_bias + i * ff : NULL,
                             down_bias ? down_bias + i * e : NULL,
                             ff};
            if (weight[i] != 0)
                add_part(m, &p, in, e, weight[i], out + t * e);
        }
        if (!shared)
            continue;
        struct part p = {shared,
                         get(m, layer, "ffn_up_shexp.weight", &rows),
                         get(m, layer, "ffn_down_shexp.weight", &rows),
                         NULL,
                         NULL,
                         NULL,
                         shared_ff};
        add_part(m, &p, in, e, shared_gate ? sigmoid(dot(shared_gate, in, e)) : 1, out + t * e);
    }
    free(weight);
    return out;
}
