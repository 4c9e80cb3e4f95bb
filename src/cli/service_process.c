/* SPDX-License-Identifier: Apache-2.0
 *
 * The runner as a process of its own, where no service manager is in charge. Its lock, runner.lock
 * in ~/.docker/model-runner, is held by an inherited descriptor as long as it lives, so a number in
 * it that belongs to somebody else meanwhile is never mistaken for it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/paths.h"
#include "cli/service.h"

enum { TERM_MS = 20000, KILL_MS = 5000, PAUSE_MS = 20 };

extern char **environ;

static bool present(bool system)
{
    return !system;
}

static int lock_path(char **ret, struct error *err)
{
    return path_runner_state("runner.lock", ret, err);
}

/* The process that holds the lock; 0 = none. */
static pid_t holder(void)
{
    CLEANUP_FREE char *path = NULL;
    char text[32] = "";
    if (lock_path(&path, NULL) < 0)
        return 0;
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 || flock(fd, LOCK_SH | LOCK_NB) == 0)
        return 0;
    int64_t pid = 0;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    struct str s = str_trim(str_make(text, n > 0 ? (size_t)n : 0));
    return str_to_i64(s, "the number", &pid, NULL) == 0 && pid > 1 && pid <= INT32_MAX ? (pid_t)pid
                                                                                       : 0;
}

static enum service_state state(bool system)
{
    CLEANUP_FREE char *env = NULL;
    if (holder() > 0)
        return SERVICE_RUNNING;
    return service_env_file(system, &env, NULL) == 0 && file_exists(env) ? SERVICE_STOPPED
                                                                         : SERVICE_ABSENT;
}

static int install(bool system, const char *program, const struct json *env, struct error *err)
{
    (void)program;
    return service_env_write(system, env, err);
}

/* "NAME=VALUE" of this process, with the service's over them; ended by NULL. */
static char **environment(const struct json *env)
{
    size_t n = 0;
    while (environ[n])
        n++;
    char **all = xcalloc(n + js_len(env) + 1, sizeof(*all));
    size_t used = 0;
    for (size_t i = 0; i < n; i++) {
        ptrdiff_t eq = str_find_char(str_from(environ[i]), '=');
        if (eq > 0 && !js_get_n(env, str_make(environ[i], (size_t)eq)))
            all[used++] = xstrdup(environ[i]);
    }
    struct json_iter it = {0};
    while (js_next(env, &it))
        all[used++] = xasprintf("%.*s=%.*s", STR_ARG(it.key), STR_ARG(js_to_str(it.value)));
    return all;
}

static void environment_free(char **all)
{
    for (char **v = all; *v; v++)
        free(*v);
    free(all);
}

/* In the child: nothing that is not safe between fork() and execve(). */
_Noreturn static void become(const char *program, char **env, int lock, int log)
{
    setsid();
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(log, STDOUT_FILENO) >= 0 &&
        dup2(log, STDERR_FILENO) >= 0 && fcntl(lock, F_SETFD, 0) == 0 && chdir("/") == 0) {
        char *const argv[] = {(char *)(uintptr_t)program, (char *)(uintptr_t) "serve", NULL};
        execve(program, argv, env);
    }
    _exit(127);
}

static int start(bool system, const char *program, const struct json *env, struct error *err)
{
    (void)system;
    CLEANUP_FREE char *path = NULL, *log_file = NULL;
    int r = lock_path(&path, err);
    if (r == 0)
        r = service_log_file(&log_file, err);
    if (r < 0)
        return r;
    CLEANUP_FREE char *dir = path_dir(path);
    r = dir_make(dir, 0700, err);
    if (r < 0)
        return r;
    CLEANUP_FD int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    CLEANUP_FD int log =
        open(log_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock < 0 || log < 0)
        return error_errno(err, errno, "cannot open '%s'", lock < 0 ? path : log_file);
    if (flock(lock, LOCK_EX | LOCK_NB) != 0)
        return error_set(err, ERR_CONFLICT, "the runner is being started already");
    char **all = environment(env);
    pid_t pid = fork();
    if (pid == 0)
        become(program, all, lock, log);
    environment_free(all);
    if (pid < 0)
        return error_errno(err, errno, "cannot start '%s'", program);
    char text[32];
    int n = snprintf(text, sizeof(text), "%d\n", (int)pid);
    if (ftruncate(lock, 0) != 0)
        return error_errno(err, errno, "cannot write '%s'", path);
    return fd_write_all(lock, path, text, (size_t)n, err);
}

static bool wait_end(int64_t for_ms)
{
    int64_t until_ms = clock_mono_ms() + for_ms;
    struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    while (holder() > 0) {
        if (clock_mono_ms() > until_ms)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

static int stop(bool system, struct error *err)
{
    (void)system;
    pid_t pid = holder();
    if (pid == 0)
        return 0;
    if (kill(pid, SIGTERM) != 0 && errno != ESRCH)
        return error_errno(err, errno, "cannot stop the runner, process %d", (int)pid);
    if (wait_end(TERM_MS))
        return 0;
    kill(pid, SIGKILL);
    return wait_end(KILL_MS)
               ? 0
               : error_set(err, ERR_TIMEOUT, "the runner, process %d, does not end", (int)pid);
}

static int remove_files(bool system, struct error *err)
{
    (void)system;
    CLEANUP_FREE char *lock = NULL;
    int r = lock_path(&lock, err);
    if (r == 0)
        unlink(lock);
    return r;
}

const struct service_manager service_process = {
    .title = "process",
    .present = present,
    .state = state,
    .install = install,
    .start = start,
    .stop = stop,
    .remove = remove_files,
};
