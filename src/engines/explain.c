/* SPDX-License-Identifier: Apache-2.0
 *
 * What an engine's last words mean. */
#include "engines/engine.h"

/* The first row that is found counts, so the specific ones stand first. */
static const struct cause {
    const char *text; /* in the tail of standard error */
    const char *sentence;
} causes[] = {
    {"cudaMalloc failed: out of memory", "not enough GPU memory to load the model (CUDA)"},
    {"failed to allocate buffer, size =", "not enough GPU memory to load the model (Metal)"},
    {"out of memory", "not enough memory to load the model"},
    {"Cannot allocate memory", "not enough memory to load the model"},
    {"error while loading shared libraries", "a library that the engine needs is missing"},
    {"exiting due to model loading error", "failed to load model"},
};

const char *engine_explain(struct str tail)
{
    for (size_t i = 0; i < ARRAY_LEN(causes); i++)
        if (str_find(tail, str_from(causes[i].text)) >= 0)
            return causes[i].sentence;
    return NULL;
}
