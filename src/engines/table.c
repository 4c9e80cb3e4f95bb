/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of engines and what the rows share. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"
#include "engines/engine.h"

/* In the order of preference. */
const struct engine *const engine_table[] = {
    &engine_native,
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

void engine_argv_add(struct engine_argv *a, const char *fmt, ...)
{
    if (a->n + 2 > a->cap) {
        a->cap = a->cap ? a->cap * 2 : 16;
        a->v = xrealloc(a->v, a->cap, sizeof(*a->v));
    }
    va_list args;
    va_start(args, fmt);
    CLEANUP_BUF struct buf text = BUF_INIT(64 * 1024);
    if (buf_vprintf(&text, fmt, args) < 0)
        alloc_failed();
    va_end(args);
    a->v[a->n++] = xstrdup(buf_cstr(&text));
    a->v[a->n] = NULL;
}

void engine_argv_release(struct engine_argv *a)
{
    for (size_t i = 0; i < a->n; i++)
        free(a->v[i]);
    free(a->v);
    *a = (struct engine_argv){0};
}

int engine_for_format(const char *format, const struct engine **ret, struct error *err)
{
    const char *wanted = format && *format ? format : "gguf";
    for (size_t i = 0; i < engine_count; i++)
        for (const char *const *f = engine_table[i]->formats; *f; f++)
            if (strcmp(*f, wanted) == 0) {
                *ret = engine_table[i];
                return 0;
            }
    return error_set(err, ERR_UNSUPPORTED, "no engine here runs models of the format '%s'", wanted);
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
    if (!str_eq(backend, STR("llama.cpp")))
        return false;
    for (const char *const *f = e->formats; *f; f++)
        if (strcmp(*f, "gguf") == 0)
            return true;
    return false;
}

static bool is_program(const char *path)
{
    return file_exists(path) && access(path, X_OK) == 0;
}

/* Looks in the directories of a ':'-separated list; an empty part would be the current directory
 * and is skipped, so that a file there never runs by accident. */
static char *find_in_list(const char *list, const char *name)
{
    struct str rest = str_from(list);
    struct str part;
    while (str_split_next(&rest, ':', &part)) {
        if (part.len == 0 || part.ptr[0] != '/')
            continue;
        char *path = xasprintf("%.*s/%s", STR_ARG(part), name);
        if (is_program(path))
            return path;
        free(path);
    }
    return NULL;
}

int engine_find_program(const char *name, char **ret_path, struct error *err)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n > 0) {
        self[n] = '\0';
        CLEANUP_FREE char *dir = path_dir(self);
        CLEANUP_FREE char *near = xasprintf("%s:%s/../libexec/model-runner", dir, dir);
        *ret_path = find_in_list(near, name);
        if (*ret_path)
            return 0;
    }
    const char *path = getenv("PATH");
    *ret_path = find_in_list(path && *path ? path : "/usr/local/bin:/usr/bin:/bin", name);
    if (*ret_path)
        return 0;
    return error_set(err, ERR_NOT_FOUND,
                     "'%s' is neither beside this program, nor in ../libexec/model-runner, nor in "
                     "PATH",
                     name);
}
