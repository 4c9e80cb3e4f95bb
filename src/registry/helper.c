/* SPDX-License-Identifier: Apache-2.0
 *
 * Running a credential helper. */
#include "registry/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"

enum { HELPER_TIMEOUT_MS = 30 * 1000, HELPER_MAX_OUTPUT = 256 * 1024 };

extern char **environ;

static bool is_helper_name(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= 64 && *name != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

/* Only absolute entries of PATH count: the current directory is nobody's to plant programs in. */
static char *find_program(const char *name)
{
    const char *path = getenv("PATH");
    struct str rest = str_from(path ? path : "/usr/local/bin:/usr/bin:/bin"), dir;
    while (str_split_next(&rest, ':', &dir)) {
        if (dir.len == 0 || *dir.ptr != '/')
            continue;
        char *whole = xasprintf("%.*s/docker-credential-%s", STR_ARG(dir), name);
        if (access(whole, X_OK) == 0)
            return whole;
        free(whole);
    }
    return NULL;
}

/* The child with its standard input and output in our hands; standard error goes nowhere. */
static int spawn(const char *program, int *ret_in, int *ret_out, pid_t *ret_pid, struct error *err)
{
    CLEANUP_FD int in_r = -1;
    CLEANUP_FD int in_w = -1;
    CLEANUP_FD int out_r = -1;
    CLEANUP_FD int out_w = -1;
    int p[2];
    if (pipe2(p, O_CLOEXEC) < 0)
        return error_errno(err, errno, "cannot start '%s'", program);
    in_r = p[0];
    in_w = p[1];
    if (pipe2(p, O_CLOEXEC) < 0)
        return error_errno(err, errno, "cannot start '%s'", program);
    out_r = p[0];
    out_w = p[1];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attr);
    posix_spawn_file_actions_adddup2(&actions, in_r, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out_w, STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                        POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    char *const argv[] = {(char *)(uintptr_t)program, (char *)(uintptr_t)"get", NULL};
    int r = posix_spawn(ret_pid, program, &actions, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    if (r != 0)
        return error_errno(err, r, "cannot start '%s'", program);
    *ret_in = TAKE_FD(in_w);
    *ret_out = TAKE_FD(out_r);
    return 0;
}

/* The server's name is far smaller than a pipe, so this cannot block; a helper that closed its
 * input must not kill us with SIGPIPE. */
static void tell_server(int *in, const char *server)
{
    sigset_t pipe_only, before;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    ssize_t n = write(*in, server, strlen(server));
    if (n < 0 && errno == EPIPE) {
        struct timespec now = {0};
        sigtimedwait(&pipe_only, NULL, &now);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(*in);
    *in = -1;
}

static int read_output(int fd, const char *program, struct http_cancel *cancel, struct buf *out,
                       struct error *err)
{
    int64_t until = clock_mono_ms() + HELPER_TIMEOUT_MS;
    for (;;) {
        struct pollfd p[2] = {{.fd = fd, .events = POLLIN},
                              {.fd = http_cancel_fd(cancel), .events = POLLIN}};
        int64_t left = until - clock_mono_ms();
        if (left <= 0)
            return error_set(err, ERR_TIMEOUT, "'%s' did not answer within 30 s", program);
        if (poll(p, 2, (int)left) < 0 && errno != EINTR)
            return error_errno(err, errno, "cannot wait for '%s'", program);
        if (http_cancel_fired(cancel))
            return error_set(err, ERR_CANCELED, "the request was canceled");
        if (!(p[0].revents & (POLLIN | POLLHUP | POLLERR)))
            continue;
        char piece[4096];
        ssize_t n = read(fd, piece, sizeof(piece));
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return error_errno(err, errno, "cannot read from '%s'", program);
        if (n > 0 && buf_append_bytes(out, piece, (size_t)n) < 0)
            return error_set(err, ERR_TOO_LARGE, "'%s' answers with too much text", program);
    }
}

/* Waits for the end, a little longer than for the output; then there is an end. */
static bool ended_well(pid_t pid, bool kill_now)
{
    int status = 0;
    for (int i = 0; i < 100 && !kill_now; i++) {
        pid_t r = waitpid(pid, &status, WNOHANG);
        if (r == pid)
            return WIFEXITED(status) && WEXITSTATUS(status) == 0;
        if (r < 0)
            return true; /* somebody else collects the children of this process */
        struct timespec t = {.tv_nsec = 10 * 1000 * 1000};
        nanosleep(&t, NULL);
    }
    kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return false;
}

int credential_helper_get(const char *name, const char *server, struct http_cancel *cancel,
                          char **ret_user, char **ret_secret, struct error *err)
{
    if (!is_helper_name(name))
        return error_set(err, ERR_INVALID, "'%s' is no name of a credential helper", name);
    CLEANUP_FREE char *program = find_program(name);
    if (!program)
        return error_set(err, ERR_NOT_FOUND, "there is no docker-credential-%s on PATH", name);
    CLEANUP_FD int in = -1;
    CLEANUP_FD int out = -1;
    pid_t pid = 0;
    int r = spawn(program, &in, &out, &pid, err);
    if (r < 0)
        return r;
    tell_server(&in, server);
    CLEANUP_BUF struct buf text = BUF_INIT(HELPER_MAX_OUTPUT);
    r = read_output(out, program, cancel, &text, err);
    bool well = ended_well(pid, r < 0);
    if (r < 0)
        return r;
    *ret_user = *ret_secret = NULL;
    if (!well) {
        if (str_find(buf_str(&text), STR("credentials not found")) >= 0)
            return 0;
        return error_set(err, ERR_UNAVAILABLE, "'%s' failed", program);
    }
    CLEANUP_JSON struct json *v = NULL;
    if (js_parse(buf_str(&text), "the helper's answer", &v, NULL) < 0)
        return error_set(err, ERR_UNAVAILABLE, "'%s' answers with something else than credentials",
                         program);
    const char *user = js_get_cstr(v, "Username", NULL), *secret = js_get_cstr(v, "Secret", NULL);
    if (user && secret) {
        *ret_user = xstrdup(user);
        *ret_secret = xstrdup(secret);
    }
    return 0;
}
