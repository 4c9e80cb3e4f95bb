/* SPDX-License-Identifier: Apache-2.0
 *
 * Ctrl-C and docker's plugin socket, see interrupt.h.
 *
 * A signal handler may do next to nothing, and cancelling a call is not among it. So the handler
 * writes a byte into a pipe, and a thread that reads the pipe cancels the call. */
#include "cli/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "http/client.h"

static int pipe_fds[2] = {-1, -1};
static volatile sig_atomic_t interrupted;
static struct sigaction old_action;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct http_cancel *current; /* guarded by: lock */

static void on_sigint(int signal_number)
{
    (void)signal_number;
    int saved = errno;
    interrupted = 1;
    ssize_t n = write(pipe_fds[1], "", 1);
    (void)n; /* a full pipe holds enough bytes already */
    errno = saved;
}

static void *cancel_on_byte(void *ctx)
{
    (void)ctx;
    char c;
    for (;;) {
        ssize_t n = read(pipe_fds[0], &c, 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return NULL;
        pthread_mutex_lock(&lock);
        if (current)
            http_cancel_fire(current);
        pthread_mutex_unlock(&lock);
    }
}

/* Threads of ours leave every signal to the main one. */
static bool start_thread(void *(*fn)(void *), void *ctx)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    bool started = pthread_create(&thread, NULL, fn, ctx) == 0;
    if (started)
        pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

void interrupt_begin(void)
{
    if (pipe_fds[0] < 0) {
        if (pipe2(pipe_fds, O_CLOEXEC) != 0)
            return;
        fcntl(pipe_fds[1], F_SETFL, O_NONBLOCK);
        if (!start_thread(cancel_on_byte, NULL))
            return;
    }
    interrupted = 0;
    pthread_mutex_lock(&lock);
    current = http_cancel_new();
    pthread_mutex_unlock(&lock);
    struct sigaction action = {.sa_handler = on_sigint, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, &old_action);
}

bool interrupt_end(void)
{
    pthread_mutex_lock(&lock);
    struct http_cancel *done = current;
    current = NULL;
    pthread_mutex_unlock(&lock);
    if (!done)
        return false;
    sigaction(SIGINT, &old_action, NULL);
    http_cancel_free(done);
    return interrupted != 0;
}

struct http_cancel *interrupt_cancel(void)
{
    /* Only the main thread changes it. */
    return current;
}

static int connect_plugin_socket(const char *name)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    size_t len = strlen(name);
    if (len == 0 || len >= sizeof(addr.sun_path))
        return -1;
    memcpy(addr.sun_path, name, len);
    /* docker names an abstract socket with a leading '@'. */
    if (name[0] == '@')
        addr.sun_path[0] = '\0';
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, size) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void *end_on_eof(void *ctx)
{
    int fd = (int)(intptr_t)ctx;
    char ignored[64];
    for (;;) {
        ssize_t n = read(fd, ignored, sizeof(ignored));
        if (n > 0 || (n < 0 && errno == EINTR))
            continue;
        break;
    }
    kill(getpid(), SIGTERM);
    return NULL;
}

void interrupt_watch_plugin_socket(void)
{
    const char *name = getenv("DOCKER_CLI_PLUGIN_SOCKET");
    if (!name || !*name)
        return;
    int fd = connect_plugin_socket(name);
    /* Programs that we start (an editor) are not plugins. */
    unsetenv("DOCKER_CLI_PLUGIN_SOCKET");
    if (fd >= 0 && !start_thread(end_on_eof, (void *)(intptr_t)fd))
        close(fd);
}
