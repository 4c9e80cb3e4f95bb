/* SPDX-License-Identifier: Apache-2.0 */
#include "base/subprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

extern char **environ;

/* The child with its standard input and output in our hands. */
static int spawn(const struct subprocess *c, int *ret_in, int *ret_out, pid_t *ret_pid,
                 struct error *err)
{
    const char *program = c->argv[0];
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
    if (c->read_errors)
        posix_spawn_file_actions_adddup2(&actions, out_w, STDERR_FILENO);
    else
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK |
                                        POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    char *const *argv = (char *const *)(uintptr_t)c->argv;
    int r = posix_spawn(ret_pid, program, &actions, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    if (r != 0)
        return error_errno(err, r, "cannot start '%s'", program);
    *ret_in = TAKE_FD(in_w);
    *ret_out = TAKE_FD(out_r);
    return 0;
}

/* It fits the pipe, so this cannot block; a child that closed its input must not kill us with
 * SIGPIPE. */
static void write_input(int *in, struct str input)
{
    sigset_t pipe_only, before;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    ssize_t n = write(*in, input.ptr, input.len);
    if (n < 0 && errno == EPIPE) {
        struct timespec now = {0};
        sigtimedwait(&pipe_only, NULL, &now);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(*in);
    *in = -1;
}

static int read_output(const struct subprocess *c, int fd, struct buf *out, struct error *err)
{
    const char *program = c->argv[0];
    int64_t until = clock_mono_ms() + c->timeout_ms;
    for (;;) {
        struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = c->cancel_fd, .events = POLLIN}};
        int64_t left = until - clock_mono_ms();
        if (left <= 0)
            return error_set(err, ERR_TIMEOUT, "'%s' did not answer within %lld s", program,
                             (long long)(c->timeout_ms / 1000));
        if (poll(p, 2, (int)MIN(left, INT_MAX)) < 0) {
            if (errno == EINTR)
                continue;
            return error_errno(err, errno, "cannot wait for '%s'", program);
        }
        if (p[1].revents)
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

int subprocess_run(const struct subprocess *c, struct buf *out, bool *ret_well, struct error *err)
{
    CLEANUP_FD int in_fd = -1;
    CLEANUP_FD int out_fd = -1;
    pid_t pid = 0;
    int r = spawn(c, &in_fd, &out_fd, &pid, err);
    if (r < 0)
        return r;
    write_input(&in_fd, c->input);
    r = read_output(c, out_fd, out, err);
    bool well = ended_well(pid, r < 0);
    if (r == 0)
        *ret_well = well;
    return r;
}
