/* SPDX-License-Identifier: Apache-2.0
 *
 * Child processes, see supervisor.h. */
#include "runner/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "engines/engine.h"

enum { EXEC_FAILED_STATUS = 127, STOP_GRACE_MS = 2000 };

struct process {
    struct supervisor *owner;
    struct process *next; /* guarded by: owner->lock */
    char *title;
    void (*on_exit)(void *ctx);
    void *ctx;

    /* guarded by: owner->lock */
    unsigned refs;
    pid_t pid;
    int pid_fd;
    int out_fd;
    int lifeline_fd;
    bool exited;
    int status;         /* of waitpid() */
    int64_t kill_at_ms; /* INT64_MAX = not asked to stop */
    bool killed;
    struct buf tail; /* the last bytes of its output */
};

/* A request to fork, made by another thread that waits for it. */
struct spawn {
    const struct process_spec *spec;
    struct process *result;
    struct error err;
    bool done;
    struct spawn *next;
};

struct supervisor {
    pthread_t thread;
    int wake_fd;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct process *processes; /* guarded by: lock; those that have not exited */
    struct spawn *spawns;      /* guarded by: lock */
    bool stopping;             /* guarded by: lock */
};

static void wake(struct supervisor *s)
{
    eventfd_write(s->wake_fd, 1);
}

/* With the lock held. */
static void unref_locked(struct process *p)
{
    if (--p->refs > 0)
        return;
    buf_release(&p->tail);
    free(p->title);
    free(p);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* ---- the child's side ---- */

struct pipes {
    int out[2]; /* its standard output and error */
    int lifeline[2];
    int report[2]; /* errno of a failed exec; closed by a good one */
};

#define PIPES_INIT ((struct pipes){{-1, -1}, {-1, -1}, {-1, -1}})

static void pipes_close(struct pipes *p)
{
    for (int i = 0; i < 2; i++) {
        close_fd(&p->out[i]);
        close_fd(&p->lifeline[i]);
        close_fd(&p->report[i]);
    }
}

/* Runs between fork and exec: only async-signal-safe calls. */
ATTR_NORETURN static void run_child(const struct process_spec *spec, char **environment,
                                    const struct pipes *pipes, pid_t parent)
{
    enum { REPORT_FD = 4 };
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setsid();
    int error = 0;
    /* The parent may have died before the death signal was set. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
        error = ESRCH;
    int null_fd = open("/dev/null", O_RDONLY);
    /* The targets are below every descriptor that pipe2() may have given, except after a daemon was
     * started with closed standard descriptors; duplicates above them settle that. */
    int out = fcntl(pipes->out[1], F_DUPFD_CLOEXEC, 10);
    int lifeline = fcntl(pipes->lifeline[0], F_DUPFD_CLOEXEC, 10);
    int report = fcntl(pipes->report[1], F_DUPFD_CLOEXEC, 10);
    if (!error && (null_fd < 0 || out < 0 || lifeline < 0 || report < 0 ||
                   dup2(null_fd, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
                   dup2(out, STDERR_FILENO) < 0 || dup2(lifeline, PROCESS_LIFELINE_FD) < 0 ||
                   dup2(report, REPORT_FD) < 0 || fcntl(REPORT_FD, F_SETFD, FD_CLOEXEC) < 0))
        error = errno;
    /* All descriptors of ours close by themselves; those of a library may not. */
    if (!error) {
        syscall(SYS_close_range, REPORT_FD + 1, ~0U, 0);
        execve(spec->argv[0], spec->argv, environment);
        error = errno;
        report = REPORT_FD;
    }
    ssize_t ignored = write(report >= 0 ? report : pipes->report[1], &error, sizeof(error));
    (void)ignored;
    _exit(EXEC_FAILED_STATUS);
}

/* What a child gets of the daemon's environment. */
static bool passes_on(const char *entry)
{
    static const char *const names[] = {
        "PATH=",
        "HOME=",
        "LANG=",
        "LC_",
        "TMPDIR=",
        "TZ=",
        "LD_LIBRARY_PATH=",
        "MR_",
        "MODEL_ENGINE_",
        "ASAN_OPTIONS=",
        "LSAN_OPTIONS=",
        "UBSAN_OPTIONS=",
        "TSAN_OPTIONS=",
        "CUDA_VISIBLE_DEVICES=",
        "NVIDIA_VISIBLE_DEVICES=",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

static char **make_environment(void)
{
    size_t n = 0;
    while (environ && environ[n])
        n++;
    char **list = xcalloc(n + 1, sizeof(*list));
    size_t used = 0;
    for (size_t i = 0; i < n; i++)
        if (passes_on(environ[i]))
            list[used++] = environ[i];
    return list;
}

/* ---- the supervisor's thread ---- */

static int open_pipes(struct pipes *p, struct error *err)
{
    if (pipe2(p->out, O_CLOEXEC) != 0 || pipe2(p->lifeline, O_CLOEXEC) != 0 ||
        pipe2(p->report, O_CLOEXEC) != 0)
        return error_errno(err, errno, "cannot create a pipe");
    return 0;
}

/* Waits until the child runs its program; the errno of a failed exec, or 0. */
static int await_exec(int report_fd)
{
    int error = 0;
    ssize_t n;
    do {
        n = read(report_fd, &error, sizeof(error));
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(error) ? error : 0;
}

static int fork_child(const struct process_spec *spec, struct process *p, struct error *err)
{
    CLEANUP(pipes_close) struct pipes pipes = PIPES_INIT;
    int r = open_pipes(&pipes, err);
    if (r < 0)
        return r;
    CLEANUP_FREE char **environment = make_environment();
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid < 0)
        return error_errno(err, errno, "unable to start %s", spec->title);
    if (pid == 0)
        run_child(spec, environment, &pipes, parent);
    close_fd(&pipes.report[1]);
    int error = await_exec(pipes.report[0]);
    if (error) {
        waitpid(pid, NULL, 0);
        return error_errno(err, error, "unable to start %s: unable to start process: name: '%s'",
                           spec->title, spec->argv[0]);
    }
    p->pid = pid;
    p->pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (p->pid_fd < 0) {
        r = error_errno(err, errno, "cannot watch the process of %s", spec->title);
        kill(-pid, SIGKILL);
        waitpid(pid, NULL, 0);
        return r;
    }
    fcntl(p->pid_fd, F_SETFD, FD_CLOEXEC);
    fcntl(pipes.out[0], F_SETFL, O_NONBLOCK);
    p->out_fd = TAKE_FD(pipes.out[0]);
    p->lifeline_fd = TAKE_FD(pipes.lifeline[1]);
    return 0;
}

static void serve_spawn(struct supervisor *s, struct spawn *q)
{
    struct process *p = xcalloc(1, sizeof(*p));
    p->owner = s;
    p->title = xstrdup(q->spec->title);
    p->on_exit = q->spec->on_exit;
    p->ctx = q->spec->ctx;
    p->pid_fd = p->out_fd = p->lifeline_fd = -1;
    p->kill_at_ms = INT64_MAX;
    p->tail = BUF_INIT(2 * PROCESS_TAIL_BYTES);
    p->refs = 1;
    int r = fork_child(q->spec, p, &q->err);
    pthread_mutex_lock(&s->lock);
    if (r < 0) {
        unref_locked(p);
    } else {
        p->refs++; /* the list's */
        p->next = s->processes;
        s->processes = p;
        q->result = p;
    }
    q->done = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

/* Logs whole lines and keeps the end of everything; with the lock held. */
static void keep_output(struct process *p, const char *bytes, size_t n)
{
    struct str rest = str_make(bytes, n);
    struct str line;
    while (str_split_next(&rest, '\n', &line))
        if (line.len > 0)
            log_debug("%s[%d]: %.*s", p->title, (int)p->pid, STR_ARG(line));
    buf_append_bytes(&p->tail, bytes, n);
    if (p->tail.len > PROCESS_TAIL_BYTES)
        buf_consume(&p->tail, p->tail.len - PROCESS_TAIL_BYTES);
}

static void read_output(struct process *p)
{
    char piece[4096];
    while (p->out_fd >= 0) {
        ssize_t n = read(p->out_fd, piece, sizeof(piece));
        if (n > 0)
            keep_output(p, piece, (size_t)n);
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            close_fd(&p->out_fd);
        else if (errno == EAGAIN)
            return;
    }
}

/* Takes an exited process out of the list; false when it still runs. With the lock held. */
static bool reap(struct supervisor *s, struct process **at)
{
    struct process *p = *at;
    if (waitpid(p->pid, &p->status, WNOHANG) != p->pid)
        return false;
    kill(-p->pid, SIGKILL); /* what it may have started itself */
    read_output(p);
    close_fd(&p->out_fd);
    close_fd(&p->pid_fd);
    close_fd(&p->lifeline_fd);
    p->exited = true;
    *at = p->next;
    pthread_cond_broadcast(&s->changed);
    return true;
}

/* Reads output, reaps, kills who had its grace; with the lock held. Exited ones are moved to a list
 * of their own, whose callbacks run without the lock. */
static struct process *look_after(struct supervisor *s)
{
    struct process *gone = NULL;
    int64_t now = clock_mono_ms();
    for (struct process **at = &s->processes; *at;) {
        struct process *p = *at;
        read_output(p);
        if (reap(s, at)) {
            p->next = gone;
            gone = p;
            continue;
        }
        if (p->kill_at_ms <= now && !p->killed) {
            log_warn("%s[%d] does not end when asked: it is killed", p->title, (int)p->pid);
            kill(-p->pid, SIGKILL);
            p->killed = true;
        }
        at = &p->next;
    }
    return gone;
}

static void announce(struct supervisor *s, struct process *gone)
{
    while (gone) {
        struct process *p = gone;
        gone = p->next;
        if (p->on_exit)
            p->on_exit(p->ctx);
        pthread_mutex_lock(&s->lock);
        unref_locked(p);
        pthread_mutex_unlock(&s->lock);
    }
}

/* Sleeps until something happens; with the lock held on entry and return. */
static void sleep_until_event(struct supervisor *s)
{
    size_t n = 1;
    for (const struct process *p = s->processes; p; p = p->next)
        n += 2;
    CLEANUP_FREE struct pollfd *fds = xcalloc(n, sizeof(*fds));
    int64_t wake_at = INT64_MAX;
    fds[0] = (struct pollfd){.fd = s->wake_fd, .events = POLLIN};
    n = 1;
    for (const struct process *p = s->processes; p; p = p->next) {
        fds[n++] = (struct pollfd){.fd = p->pid_fd, .events = POLLIN};
        fds[n++] = (struct pollfd){.fd = p->out_fd, .events = POLLIN};
        if (!p->killed)
            wake_at = MIN(wake_at, p->kill_at_ms);
    }
    pthread_mutex_unlock(&s->lock);
    int timeout = -1;
    if (wake_at != INT64_MAX)
        timeout = (int)MAX(0, MIN(wake_at - clock_mono_ms(), 60 * 1000));
    if (poll(fds, n, timeout) > 0 && fds[0].revents) {
        eventfd_t count;
        eventfd_read(s->wake_fd, &count);
    }
    pthread_mutex_lock(&s->lock);
}

static void *supervisor_main(void *arg)
{
    struct supervisor *s = arg;
    pthread_mutex_lock(&s->lock);
    while (!s->stopping || s->processes || s->spawns) {
        struct spawn *q = s->spawns;
        if (q) {
            s->spawns = q->next;
            pthread_mutex_unlock(&s->lock);
            serve_spawn(s, q);
            pthread_mutex_lock(&s->lock);
            continue;
        }
        struct process *gone = look_after(s);
        if (gone) {
            pthread_mutex_unlock(&s->lock);
            announce(s, gone);
            pthread_mutex_lock(&s->lock);
            continue;
        }
        sleep_until_event(s);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- for other threads ---- */

int supervisor_start(struct supervisor **ret, struct error *err)
{
    CLEANUP_FD int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0)
        return error_errno(err, errno, "cannot create an event descriptor");
    struct supervisor *s = xcalloc(1, sizeof(*s));
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &attr);
    pthread_condattr_destroy(&attr);
    s->wake_fd = wake_fd;
    int error = pthread_create(&s->thread, NULL, supervisor_main, s);
    if (error) {
        pthread_cond_destroy(&s->changed);
        pthread_mutex_destroy(&s->lock);
        free(s);
        return error_errno(err, error, "cannot start the supervisor of engines");
    }
    TAKE_FD(wake_fd);
    *ret = s;
    return 0;
}

/* With the lock held. */
static void stop_locked(struct process *p, int64_t grace_ms)
{
    if (p->exited || p->kill_at_ms != INT64_MAX)
        return;
    p->kill_at_ms = clock_mono_ms() + grace_ms;
    kill(p->pid, SIGTERM);
    close_fd(&p->lifeline_fd);
    wake(p->owner);
}

void supervisor_stop(struct supervisor *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    for (struct process *p = s->processes; p; p = p->next)
        stop_locked(p, STOP_GRACE_MS);
    pthread_mutex_unlock(&s->lock);
    wake(s);
    pthread_join(s->thread, NULL);
    close(s->wake_fd);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

int supervisor_spawn(struct supervisor *s, const struct process_spec *spec, struct process **ret,
                     struct error *err)
{
    struct spawn q = {.spec = spec, .err = ERROR_INIT};
    pthread_mutex_lock(&s->lock);
    if (s->stopping) {
        pthread_mutex_unlock(&s->lock);
        return error_set(err, ERR_UNAVAILABLE, "backend loading disabled");
    }
    struct spawn **at = &s->spawns;
    while (*at)
        at = &(*at)->next;
    *at = &q;
    wake(s);
    while (!q.done)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
    if (!q.result)
        return error_copy(err, &q.err);
    *ret = q.result;
    return 0;
}

void process_unref(struct process *p)
{
    if (!p)
        return;
    struct supervisor *s = p->owner;
    pthread_mutex_lock(&s->lock);
    unref_locked(p);
    pthread_mutex_unlock(&s->lock);
}

pid_t process_pid(const struct process *p)
{
    return p->pid;
}

bool process_has_ended(struct process *p)
{
    pthread_mutex_lock(&p->owner->lock);
    struct pollfd fd = {.fd = p->pid_fd, .events = POLLIN};
    bool ended = p->exited || poll(&fd, 1, 0) > 0;
    pthread_mutex_unlock(&p->owner->lock);
    return ended;
}

bool process_wait(struct process *p, int64_t timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + timeout_ms % 1000 * 1000000;
    until.tv_sec += timeout_ms / 1000 + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    struct supervisor *s = p->owner;
    pthread_mutex_lock(&s->lock);
    while (!p->exited && pthread_cond_timedwait(&s->changed, &s->lock, &until) == 0)
        ;
    bool exited = p->exited;
    pthread_mutex_unlock(&s->lock);
    return exited;
}

void process_stop(struct process *p, int64_t grace_ms)
{
    pthread_mutex_lock(&p->owner->lock);
    stop_locked(p, grace_ms);
    pthread_mutex_unlock(&p->owner->lock);
}

int process_exit_status(struct process *p)
{
    pthread_mutex_lock(&p->owner->lock);
    int status = p->exited && WIFEXITED(p->status) ? WEXITSTATUS(p->status) : -1;
    pthread_mutex_unlock(&p->owner->lock);
    return status;
}

bool process_was_killed(struct process *p)
{
    pthread_mutex_lock(&p->owner->lock);
    int signal_number = p->exited && WIFSIGNALED(p->status) ? WTERMSIG(p->status) : 0;
    pthread_mutex_unlock(&p->owner->lock);
    return signal_number == SIGKILL || signal_number == SIGTERM;
}

/* The last lines that fit, on one line. */
static void write_tail(struct str tail, struct buf *out)
{
    enum { SHOWN = 700 };
    tail = str_trim(tail);
    if (tail.len > SHOWN) {
        tail = str_sub(tail, tail.len - SHOWN, SHOWN);
        ptrdiff_t line = str_find_char(tail, '\n');
        if (line >= 0)
            tail = str_sub(tail, (size_t)line + 1, SIZE_MAX);
    }
    struct str line;
    while (str_split_next(&tail, '\n', &line)) {
        line = str_trim(line);
        if (line.len > 0)
            buf_printf(out, "%s%.*s", out->len ? "; " : "", STR_ARG(line));
    }
}

int process_reason(struct process *p, enum errc code, struct error *err)
{
    CLEANUP_BUF struct buf tail = BUF_INIT(2 * PROCESS_TAIL_BYTES);
    pthread_mutex_lock(&p->owner->lock);
    const char *cause = engine_explain(buf_str(&p->tail));
    write_tail(buf_str(&p->tail), &tail);
    int status = p->status;
    pthread_mutex_unlock(&p->owner->lock);
    char how[64];
    if (WIFSIGNALED(status))
        snprintf(how, sizeof(how), "signal: %s", strsignal(WTERMSIG(status)));
    else
        snprintf(how, sizeof(how), "exit status %d", WEXITSTATUS(status));
    if (cause)
        return error_set(err, code, "%s failed: %s: %s (%s)", p->title, cause, buf_cstr(&tail),
                         how);
    if (tail.len > 0)
        return error_set(err, code, "%s failed: %s (%s)", p->title, buf_cstr(&tail), how);
    return error_set(err, code, "%s exit status: %s", p->title, how);
}
