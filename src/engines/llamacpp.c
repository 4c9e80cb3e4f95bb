/* SPDX-License-Identifier: Apache-2.0
 *
 * llama.cpp's llama-server, when the host has one: with the GPU that it was built for, and with the
 * models that model-engine does not know. The command line is the one that Docker Model Runner
 * gives it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/program.h"
#include "base/subprocess.h"
#include "engines/engine.h"

enum { OLDEST_BUILD = 4700, VERSION_TIMEOUT_MS = 20 * 1000, VERSION_MAX = 64 * 1024 };

/* Where Homebrew and the distributions put it, beside what is on PATH. */
#define PLACES                                                                                \
    "/opt/homebrew/bin:/usr/local/bin:/home/linuxbrew/.linuxbrew/bin:/usr/lib/llama.cpp/bin:" \
    "/usr/libexec/llama.cpp:/usr/lib/llama.cpp:/opt/llama.cpp/bin:/app"

static const char *const names[] = {"llama-server", "com.docker.llama-server"};

static int find(const struct engine_places *places, char **ret_path, struct error *err)
{
    const char *given = places->llama_server;
    CLEANUP_FREE char *directory = given ? path_absolute(given) : NULL;
    if (given && program_is_one(given)) {
        *ret_path = TAKE(directory);
        return 0;
    }
    if (!given)
        path_runner_state("llama.cpp/bin", &directory, NULL);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *path = directory ? program_find_in(directory, names[i]) : NULL;
        if (!path && !given && program_find(names[i], &path, NULL) < 0)
            path = program_find_in(PLACES, names[i]);
        *ret_path = path;
        if (path)
            return 0;
    }
    return given ? error_set(err, ERR_NOT_FOUND,
                             "'%s' is neither llama-server nor a directory with it", given)
                 : error_set(err, ERR_NOT_FOUND,
                             "llama-server is not on this machine (looked in PATH and where "
                             "Homebrew and distributions put it)");
}

static int version(const char *binary, char **ret, struct error *err)
{
    static const char mark[] = "version: ";
    const char *const argv[] = {binary, "--version", NULL};
    const struct subprocess command = {
        .argv = argv, .read_errors = true, .timeout_ms = VERSION_TIMEOUT_MS, .cancel_fd = -1};
    CLEANUP_BUF struct buf out = BUF_INIT(VERSION_MAX);
    bool well = false;
    int r = subprocess_run(&command, &out, &well, err);
    if (r < 0)
        return r;
    struct str text = buf_str(&out);
    ptrdiff_t at = str_find(text, str_from(mark));
    if (at < 0 || !well) {
        text = str_trim(text);
        return error_set(err, ERR_UNSUPPORTED, "'%s --version' %s: %.*s", binary,
                         well ? "names no version" : "failed", STR_ARG(str_sub(text, 0, 300)));
    }
    text = str_sub(text, (size_t)at + strlen(mark), SIZE_MAX);
    ptrdiff_t end = str_find_char(text, '\n');
    text = str_trim(end < 0 ? text : str_sub(text, 0, (size_t)end));
    /* "4982 (ed52f366)"; 0 is a build without a number, whose age is not known */
    long build = strtol(text.len > 0 && *text.ptr == 'b' ? text.ptr + 1 : text.ptr, NULL, 10);
    if (build > 0 && build < OLDEST_BUILD)
        return error_set(err, ERR_UNSUPPORTED,
                         "'%s' is build b%ld, older than b%d: please install a newer llama.cpp",
                         binary, build, OLDEST_BUILD);
    *ret = xasprintf("%s%.*s", build > 0 && *text.ptr != 'b' ? "b" : "", STR_ARG(text));
    return 0;
}

/* What is before the model; LLAMA_ARGS, of whoever runs the daemon, stands in its place. */
static int add_base(struct argv *a, struct error *err)
{
    static const char *const ours[] = {"--model", "-m",           "--host",
                                       "--port",  "--embeddings", "--mmproj"};
    const char *given = getenv("LLAMA_ARGS");
    if (!given) {
        argv_add(a, "-ngl");
        argv_add(a, "999");
        argv_add(a, "--metrics");
#if defined(__APPLE__)
        argv_add(a, "--no-mmap");
#endif
#if defined(__aarch64__)
        argv_add(a, "--threads");
        argv_add(a, "%ld", MAX(2L, sysconf(_SC_NPROCESSORS_ONLN) / 2));
#endif
        return 0;
    }
    size_t first = a->n;
    int r = argv_split(a, str_from(given), "LLAMA_ARGS", err);
    for (size_t i = first; r == 0 && i < a->n; i++)
        for (size_t k = 0; k < ARRAY_LEN(ours); k++) {
            size_t n = strlen(ours[k]);
            if (strncmp(a->v[i], ours[k], n) == 0 && (a->v[i][n] == '\0' || a->v[i][n] == '='))
                return error_set(err, ERR_INVALID,
                                 "invalid LLAMA_ARGS: LLAMA_ARGS cannot override %s, which is "
                                 "controlled by the model runner",
                                 ours[k]);
        }
    return r;
}

static int argv(const struct engine_launch *l, struct argv *ret, struct error *err)
{
    argv_push(ret, l->binary);
    int r = add_base(ret, err);
    if (r < 0)
        return r;
    argv_add(ret, "--model");
    argv_push(ret, l->model_path);
    argv_add(ret, "--host");
    argv_push(ret, l->socket_path); /* ends in .sock, which makes it a socket */
    if (l->mode == MODE_COMPLETION && l->template_path) {
        argv_add(ret, "--chat-template-file");
        argv_push(ret, l->template_path);
    }
    if (l->mode == MODE_EMBEDDING || l->mode == MODE_RERANKING)
        argv_add(ret, "--embeddings");
    if (l->mode == MODE_RERANKING)
        argv_add(ret, "--reranking");
    int64_t budget;
    const struct json *own = js_get(l->config, "llamacpp");
    if (js_get(own, "reasoning-budget")) {
        r = js_want_int(own, "reasoning-budget", -1, INT32_MAX, &budget, err);
        if (r < 0)
            return r;
        argv_add(ret, "--reasoning-budget");
        argv_add(ret, "%lld", (long long)budget);
    }
    if (l->context_size > 0) {
        argv_add(ret, "--ctx-size");
        argv_add(ret, "%lld", (long long)l->context_size);
    }
    for (size_t i = 0; i < l->n_flags; i++)
        argv_push(ret, l->flags[i]);
    if (l->mmproj_path) {
        argv_add(ret, "--mmproj");
        argv_push(ret, l->mmproj_path);
    }
    argv_add(ret, "--jinja");
    return 0;
}

static const char *const formats[] = {"gguf", NULL};

const struct engine engine_llamacpp = {
    .name = "llama.cpp",
    .title = "llama.cpp",
    .health_path = "/health",
    .formats = formats,
    .modes = 1U << MODE_COMPLETION | 1U << MODE_EMBEDDING | 1U << MODE_RERANKING,
    .binary_name = "llama-server",
    .find = find,
    .version = version,
    .argv = argv,
};
