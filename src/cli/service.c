/* SPDX-License-Identifier: Apache-2.0
 *
 * What the service managers share, see service.h. */
#include "cli/service.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/program.h"
#include "base/subprocess.h"

enum { OUTPUT_MAX = 64 << 10, ENV_MAX = 64 << 10, COMMAND_MS = 60000 };

int service_find(bool system, const struct service_manager **ret, struct error *err)
{
    static const struct service_manager *const managers[] = {&service_systemd, &service_launchd,
                                                             &service_process};
    for (size_t i = 0; i < ARRAY_LEN(managers); i++) {
        if (managers[i]->present(system)) {
            *ret = managers[i];
            return 0;
        }
    }
    return error_set(err, ERR_UNSUPPORTED,
                     "neither systemd nor launchd is in charge of this machine (in a container "
                     "they are not): without --system the runner starts as a process of its own, "
                     "or let the container run 'model-runner serve'");
}

char *service_name(const struct service_manager *m, bool system)
{
    if (m == &service_process)
        return xstrdup("the runner as a process of its own");
    if (m == &service_launchd)
        return xasprintf("the launchd %s com.docker.model-runner", system ? "daemon" : "agent");
    return xasprintf("the systemd %s service model-runner.service", system ? "system" : "user");
}

static int run(const char *const *argv, bool read_errors, struct buf *out, bool *ret_well,
               struct error *err)
{
    enum { MAX_ARGS = 16 };
    CLEANUP_FREE char *program = program_on_path(argv[0]);
    if (!program)
        return error_set(err, ERR_NOT_FOUND, "'%s' is not in PATH", argv[0]);
    const char *own[MAX_ARGS + 1] = {program};
    for (size_t i = 1; argv[i] && i < MAX_ARGS; i++)
        own[i] = argv[i];
    const struct subprocess c = {
        .argv = own, .read_errors = read_errors, .timeout_ms = COMMAND_MS, .cancel_fd = -1};
    return subprocess_run(&c, out, ret_well, err);
}

int service_command(const char *const *argv, struct error *err)
{
    CLEANUP_BUF struct buf out = BUF_INIT(OUTPUT_MAX);
    bool well = false;
    int r = run(argv, true, &out, &well, err);
    if (r < 0 || well)
        return r;
    struct str said = str_trim(buf_str(&out));
    return error_set(err, ERR_IO, "'%s %s' failed: %.*s", argv[0], argv[1], STR_ARG(said));
}

bool service_query(const char *const *argv, struct buf *out)
{
    bool well = false;
    return run(argv, false, out, &well, NULL) == 0 && well;
}

/* ---- the environment file ---- */

int service_env_file(bool system, char **ret, struct error *err)
{
    CLEANUP_FREE char *config = NULL;
    int r = system ? 0 : path_config_home(&config, err);
    if (r == 0)
        *ret = path_join(system ? "/etc" : config, "model-runner/service.env");
    return r;
}

/* As systemd reads it: in double quotes, where a backslash protects. */
int service_env_write(bool system, const struct json *env, struct error *err)
{
    CLEANUP_FREE char *path = NULL;
    CLEANUP_BUF struct buf text = BUF_INIT(ENV_MAX);
    int r = service_env_file(system, &path, err);
    if (r < 0)
        return r;
    struct json_iter it = {0};
    while (js_next(env, &it)) {
        struct str value = js_to_str(it.value);
        if (str_find_char(value, '\n') >= 0)
            return error_set(err, ERR_INVALID, "the value of %s has more than one line",
                             it.key.ptr);
        buf_append(&text, it.key);
        buf_append(&text, STR("=\""));
        for (size_t i = 0; i < value.len; i++) {
            if (strchr("\\\"`$", value.ptr[i]))
                buf_push(&text, '\\');
            buf_push(&text, value.ptr[i]);
        }
        buf_append(&text, STR("\"\n"));
    }
    CLEANUP_FREE char *dir = path_dir(path);
    r = buf_check(&text, path, err);
    if (r == 0)
        r = dir_make(dir, 0755, err);
    /* A proxy's address may hold a password. */
    return r == 0 ? file_write_atomic(path, buf_str(&text), 0600, err) : r;
}

int service_env_read(bool system, struct json **ret, struct error *err)
{
    CLEANUP_FREE char *path = NULL;
    CLEANUP_BUF struct buf text = BUF_INIT(ENV_MAX);
    struct error why = ERROR_INIT;
    int r = service_env_file(system, &path, err);
    if (r < 0)
        return r;
    if (file_read(path, &text, &why) < 0 && why.code != ERR_NOT_FOUND)
        return error_copy(err, &why);
    struct json *env = js_object();
    struct str rest = buf_str(&text), line;
    while (str_split_next(&rest, '\n', &line)) {
        ptrdiff_t eq = str_find_char(line, '=');
        if (eq <= 0 || line.ptr[0] == '#')
            continue;
        struct str value = str_sub(line, (size_t)eq + 1, SIZE_MAX);
        CLEANUP_BUF struct buf plain = BUF_INIT(ENV_MAX);
        for (size_t i = 0; i < value.len; i++) {
            if (value.ptr[i] == '\\' && i + 1 < value.len)
                buf_push(&plain, value.ptr[++i]);
            else if (value.ptr[i] != '"')
                buf_push(&plain, value.ptr[i]);
        }
        js_set_n(env, str_sub(line, 0, (size_t)eq), js_str(buf_str(&plain)));
    }
    *ret = env;
    return 0;
}

int service_log_file(char **ret, struct error *err)
{
    return path_runner_state("runner.log", ret, err);
}
