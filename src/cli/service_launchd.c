/* SPDX-License-Identifier: Apache-2.0
 *
 * The runner as a job of launchd, on macOS: an agent of the user, or a daemon of the system. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/paths.h"
#include "cli/service.h"

#define LABEL "com.docker.model-runner"

enum { ANSWER_MAX = 64 << 10, JOB_MAX = 64 << 10 };

/* "gui/501", "system" */
static char *domain(bool system)
{
    return system ? xstrdup("system") : xasprintf("gui/%u", (unsigned)getuid());
}

static bool present(bool system)
{
    CLEANUP_BUF struct buf out = BUF_INIT(ANSWER_MAX);
    CLEANUP_FREE char *where = domain(system);
    const char *const argv[] = {"launchctl", "print-disabled", where, NULL};
    return service_query(argv, &out);
}

static int job_file(bool system, char **ret, struct error *err)
{
    CLEANUP_FREE char *home = NULL;
    if (system) {
        *ret = xstrdup("/Library/LaunchDaemons/" LABEL ".plist");
        return 0;
    }
    int r = path_home(&home, err);
    if (r == 0)
        *ret = path_join(home, "Library/LaunchAgents/" LABEL ".plist");
    return r;
}

static enum service_state state(bool system)
{
    CLEANUP_BUF struct buf out = BUF_INIT(ANSWER_MAX);
    CLEANUP_FREE char *path = NULL, *where = domain(system);
    CLEANUP_FREE char *job = xasprintf("%s/" LABEL, where);
    if (job_file(system, &path, NULL) < 0 || !file_exists(path))
        return SERVICE_ABSENT;
    const char *const argv[] = {"launchctl", "print", job, NULL};
    bool known = service_query(argv, &out);
    return known && str_find(buf_str(&out), STR("state = running")) >= 0 ? SERVICE_RUNNING
                                                                         : SERVICE_STOPPED;
}

static void add_text(struct buf *out, const char *tag, struct str s)
{
    buf_printf(out, "<%s>", tag);
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '&')
            buf_append(out, STR("&amp;"));
        else if (s.ptr[i] == '<')
            buf_append(out, STR("&lt;"));
        else
            buf_push(out, s.ptr[i]);
    }
    buf_printf(out, "</%s>\n", tag);
}

char *service_launchd_text(const char *program, const struct json *env, const char *log_file)
{
    CLEANUP_BUF struct buf out = BUF_INIT(JOB_MAX);
    buf_append(&out, STR("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                         "<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" "
                         "\"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">\n"
                         "<plist version=\"1.0\">\n<dict>\n<key>Label</key>\n"
                         "<string>" LABEL "</string>\n<key>ProgramArguments</key>\n<array>\n"));
    add_text(&out, "string", str_from(program));
    buf_append(&out, STR("<string>serve</string>\n</array>\n<key>EnvironmentVariables</key>\n"
                         "<dict>\n"));
    struct json_iter it = {0};
    while (js_next(env, &it)) {
        add_text(&out, "key", it.key);
        add_text(&out, "string", js_to_str(it.value));
    }
    buf_append(&out, STR("</dict>\n<key>RunAtLoad</key>\n<true/>\n<key>KeepAlive</key>\n<dict>\n"
                         "<key>SuccessfulExit</key>\n<false/>\n</dict>\n"
                         "<key>StandardErrorPath</key>\n"));
    add_text(&out, "string", str_from(log_file));
    buf_append(&out, STR("</dict>\n</plist>\n"));
    return str_dup(buf_str(&out));
}

static int install(bool system, const char *program, const struct json *env, struct error *err)
{
    CLEANUP_FREE char *path = NULL, *log = NULL;
    int r = service_env_write(system, env, err);
    if (r == 0)
        r = job_file(system, &path, err);
    if (r == 0)
        r = service_log_file(&log, err);
    if (r < 0)
        return r;
    CLEANUP_FREE char *dir = path_dir(path), *text = service_launchd_text(program, env, log);
    r = dir_make(dir, 0755, err);
    return r == 0 ? file_write_atomic(path, str_from(text), 0600, err) : r;
}

static int start(bool system, const char *program, const struct json *env, struct error *err)
{
    (void)program;
    (void)env;
    CLEANUP_FREE char *path = NULL, *where = domain(system);
    int r = job_file(system, &path, err);
    const char *const argv[] = {"launchctl", "bootstrap", where, path, NULL};
    return r == 0 ? service_command(argv, err) : r;
}

static int stop(bool system, struct error *err)
{
    CLEANUP_FREE char *where = domain(system);
    CLEANUP_FREE char *job = xasprintf("%s/" LABEL, where);
    const char *const argv[] = {"launchctl", "bootout", job, NULL};
    return service_command(argv, err);
}

static int remove_job(bool system, struct error *err)
{
    CLEANUP_FREE char *path = NULL;
    int r = job_file(system, &path, err);
    if (r == 0 && unlink(path) != 0 && errno != ENOENT)
        r = error_errno(err, errno, "cannot remove '%s'", path);
    return r;
}

const struct service_manager service_launchd = {
    .title = "launchd",
    .present = present,
    .state = state,
    .install = install,
    .start = start,
    .stop = stop,
    .remove = remove_job,
};
