/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of engines and what the rows share. */
#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"
#include "engines/engine.h"

/* In the order of preference. */
const struct engine *const engine_table[] = {
    &engine_native,
    &engine_llamacpp,
};
const size_t engine_count = ARRAY_LEN(engine_table);

const char *const engine_backends[] = {
    "native", "llama.cpp", "vllm", "sglang", "mlx", "diffusers", NULL,
};

static const char *const mode_names[MODE_COUNT] = {
    [MODE_COMPLETION] = "completion",
    [MODE_EMBEDDING] = "embedding",
    [MODE_RERANKING] = "reranking",
    [MODE_IMAGE] = "image-generation",
};

const char *engine_mode_name(enum engine_mode mode)
{
    return mode_names[mode];
}

int engine_mode_parse(struct str name, enum engine_mode *ret, struct error *err)
{
    for (size_t i = 0; i < MODE_COUNT; i++)
        if (str_eq_c(name, mode_names[i])) {
            *ret = (enum engine_mode)i;
            return 0;
        }
    return error_set(err, ERR_INVALID, "unknown backend mode: \"%.*s\"", STR_ARG(name));
}

bool engine_runs(const struct engine *e, const char *format)
{
    const char *wanted = format && *format ? format : "gguf";
    for (const char *const *f = e->formats; *f; f++)
        if (strcmp(*f, wanted) == 0)
            return true;
    return false;
}

int engine_for_format(const char *format, const struct engine **ret, struct error *err)
{
    for (size_t i = 0; i < engine_count; i++)
        if (engine_runs(engine_table[i], format)) {
            *ret = engine_table[i];
            return 0;
        }
    return error_set(err, ERR_UNSUPPORTED, "no engine here runs models of the format '%s'", format);
}

const struct engine *engine_by_name(struct str name)
{
    for (size_t i = 0; i < engine_count; i++)
        if (str_eq_c(name, engine_table[i]->name))
            return engine_table[i];
    return NULL;
}

bool engine_backend_known(struct str name)
{
    for (const char *const *b = engine_backends; *b; b++)
        if (str_eq_c(name, *b))
            return true;
    return false;
}

bool engine_answers_to(const struct engine *e, struct str backend)
{
    if (backend.len == 0 || str_eq_c(backend, e->name))
        return true;
    return str_eq(backend, STR("llama.cpp")) && engine_runs(e, "gguf");
}
