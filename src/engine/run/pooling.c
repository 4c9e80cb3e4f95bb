/* SPDX-License-Identifier: Apache-2.0
 *
 * The kinds of pooling by name, and which one a model wants. */
#include <math.h>

#include "base/compiler.h"
#include "engine/run/embedding.h"

static const char *const names[] = {
    [POOLING_NONE] = "none", [POOLING_MEAN] = "mean", [POOLING_CLS] = "cls",
    [POOLING_LAST] = "last", [POOLING_RANK] = "rank",
};

int pooling_parse(struct str name, enum pooling *ret, struct error *err)
{
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (str_eq_c(name, names[i])) {
            *ret = (enum pooling)i;
            return 0;
        }
    }
    return error_set(err, ERR_INVALID,
                     "there is no pooling '%.*s', only none, mean, cls, last and rank",
                     STR_ARG(name));
}

const char *pooling_name(enum pooling p)
{
    return names[p];
}

enum pooling lm_default_pooling(const struct lm *lm)
{
    const struct descriptor *d = model_descriptor(lm->model);
    if (d->pooling != POOLING_NONE)
        return d->pooling;
    return d->causal ? POOLING_LAST : POOLING_MEAN;
}

bool lm_can_rank(const struct lm *lm)
{
    return model_head_width(lm->model, true) > 0;
}

void embedding_normalise(float *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    double length = sqrt(sum);
    for (size_t i = 0; i < n && length > 0; i++)
        v[i] = (float)((double)v[i] / length);
}
