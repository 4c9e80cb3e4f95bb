/* SPDX-License-Identifier: Apache-2.0
 *
 * The built-in engine, model-engine. */
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/program.h"
#include "engines/engine.h"

static int find(const struct engine_places *places, char **ret_path, struct error *err)
{
    const char *configured = places->model_engine;
    if (!configured || !*configured)
        return program_find("model-engine", ret_path, err);
    if (!program_is_one(configured))
        return error_set(err, ERR_NOT_FOUND, "the engine '%s' is not an executable file",
                         configured);
    *ret_path = path_absolute(configured);
    return 0;
}

static int version(const char *binary, char **ret, struct error *err)
{
    (void)binary, (void)err;
    *ret = xstrdup(MR_VERSION); /* it is built with this program */
    return 0;
}

/* The flags of llama.cpp that mean the same here. Others are accepted and have no effect: they are
 * about another program's inner works (GPU layers, batch sizes, …). */
static const struct flag_map {
    const char *flag;
    const char *ours;
} flag_map[] = {
    {"-c", "--ctx-size"},
    {"--ctx-size", "--ctx-size"},
    {"-np", "--parallel"},
    {"--parallel", "--parallel"},
    {"-t", "--threads"},
    {"--threads", "--threads"},
    {"--temp", "--temp"},
    {"--temperature", "--temp"},
    {"--top-k", "--top-k"},
    {"--top-p", "--top-p"},
    {"--min-p", "--min-p"},
    {"--typical", "--typical"},
    {"--repeat-penalty", "--repeat-penalty"},
    {"--repeat-last-n", "--repeat-last-n"},
    {"--presence-penalty", "--presence-penalty"},
    {"--frequency-penalty", "--frequency-penalty"},
    {"-s", "--seed"},
    {"--seed", "--seed"},
    {"-n", "--predict"},
    {"--predict", "--predict"},
    {"--n-predict", "--predict"},
    {"--pooling", "--pooling"},
};

const struct engine_default engine_native_defaults[] = {
    {"--temp", "temperature", "0.8"},
    {"--top-k", "top_k", "40"},
    {"--top-p", "top_p", "0.95"},
    {"--min-p", "min_p", "0.05"},
    {"--typical", "typical_p", "1"},
    {"--repeat-penalty", "repeat_penalty", "1"},
    {"--repeat-last-n", "repeat_last_n", "64"},
    {"--presence-penalty", "presence_penalty", "0"},
    {"--frequency-penalty", "frequency_penalty", "0"},
    {"--seed", "seed", "-1"},
    {"--predict", "max_tokens", "-1"},
    {"--parallel", NULL, "4"},
    {"--threads", NULL, "0"},
    {0},
};

static const char *our_name(struct str flag)
{
    for (size_t i = 0; i < ARRAY_LEN(flag_map); i++)
        if (str_eq_c(flag, flag_map[i].flag))
            return flag_map[i].ours;
    return NULL;
}

static struct str flag_name(const char *flag)
{
    ptrdiff_t eq = str_find_char(str_from(flag), '=');
    return eq < 0 ? str_from(flag) : str_make(flag, (size_t)eq);
}

bool engine_native_knows(const char *flag)
{
    return our_name(flag_name(flag));
}

const char *engine_native_flag(const char *const *flags, size_t n, const char *option)
{
    const char *value = NULL; /* the last one counts */
    for (size_t i = 0; i < n; i++) {
        struct str name = flag_name(flags[i]);
        const char *ours = our_name(name);
        bool joined = flags[i][name.len] == '=';
        if (ours && strcmp(ours, option) == 0 && (joined || i + 1 < n))
            value = joined ? flags[i] + name.len + 1 : flags[i + 1];
        i += ours && !joined;
    }
    return value;
}

/* Translates "--flag value" and "--flag=value"; returns how many items it used. */
static size_t add_flag(const struct engine_launch *l, size_t i, struct argv *a)
{
    struct str item = str_from(l->flags[i]);
    ptrdiff_t eq = str_find_char(item, '=');
    const char *ours = our_name(eq < 0 ? item : str_sub(item, 0, (size_t)eq));
    if (!ours)
        return 1;
    bool is_context = strcmp(ours, "--ctx-size") == 0;
    const char *value = eq >= 0 ? item.ptr + eq + 1 : i + 1 < l->n_flags ? l->flags[i + 1] : NULL;
    size_t used = eq >= 0 || !value ? 1 : 2;
    /* A context size of the configuration wins. */
    if (value && !(is_context && l->context_size > 0)) {
        argv_push(a, ours);
        argv_push(a, value);
    }
    return used;
}

static int argv(const struct engine_launch *l, struct argv *ret, struct error *err)
{
    for (size_t i = 0; i < l->n_flags; i++)
        if (strcmp(l->flags[i], "--context-shift") == 0)
            return error_set(err, ERR_UNSUPPORTED,
                             "--context-shift is not supported: a text that does not fit the "
                             "context is never cut; use a larger --ctx-size");
    argv_push(ret, l->binary);
    argv_add(ret, "serve");
    argv_add(ret, "--model");
    argv_push(ret, l->model_path);
    argv_add(ret, "--socket");
    argv_push(ret, l->socket_path);
    argv_add(ret, "--lifeline-fd");
    argv_add(ret, "%d", l->lifeline_fd);
    if (l->template_path) {
        argv_add(ret, "--chat-template-file");
        argv_push(ret, l->template_path);
    }
    if (l->mmproj_path) {
        argv_add(ret, "--mmproj");
        argv_push(ret, l->mmproj_path);
    }
    if (l->context_size > 0) {
        argv_add(ret, "--ctx-size");
        argv_add(ret, "%lld", (long long)l->context_size);
    }
    for (size_t i = 0; i < l->n_flags;)
        i += add_flag(l, i, ret);
    return 0;
}

static const char *const formats[] = {"gguf", NULL};

const struct engine engine_native = {
    .name = "native",
    .title = "model-engine",
    .health_path = "/health",
    .formats = formats,
    .modes = 1U << MODE_COMPLETION | 1U << MODE_EMBEDDING | 1U << MODE_RERANKING,
    .one_process = true,
    .binary_name = "model-engine",
    .find = find,
    .version = version,
    .argv = argv,
};
