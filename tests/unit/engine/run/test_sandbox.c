/* SPDX-License-Identifier: Apache-2.0
 *
 * What a process can do inside the sandbox. The attempts are made in a child, which reports the
 * first one that went otherwise than it should by its line number. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/sandbox.h"
#include "test.h"

enum { NO_SANDBOX = 77 };

#define MUST(condition)             \
    do {                            \
        if (!(condition))           \
            _exit(__LINE__ & 0x7f); \
    } while (0)
#define DENIED(call) MUST((call) < 0 && errno == EPERM)

static void *idle(void *arg)
{
    return arg;
}

/* A thread that was there before: the filter holds for it too. */
static int before_pipe[2];
static void *older_thread(void *arg)
{
    (void)arg;
    char c;
    MUST(read(before_pipe[0], &c, 1) == 1);
    DENIED(socket(AF_UNIX, SOCK_STREAM, 0));
    return NULL;
}

static void attempts(const char *own)
{
    pthread_t older, newer;
    MUST(pipe(before_pipe) == 0);
    MUST(pthread_create(&older, NULL, older_thread, NULL) == 0);
    if (sandbox_enter(NULL) == -ERR_UNSUPPORTED)
        _exit(NO_SANDBOX);
    MUST(write(before_pipe[1], "x", 1) == 1);
    MUST(pthread_join(older, NULL) == 0);

    /* what must go on working */
    MUST(pthread_create(&newer, NULL, idle, NULL) == 0);
    MUST(pthread_join(newer, NULL) == 0);
    MUST(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
    void *p = malloc(64 << 20);
    MUST(p);
    free(p);

    DENIED(open("/dev/null", O_WRONLY));
    DENIED(open("/dev/null", O_RDWR));
    DENIED(open(own, O_RDONLY | O_CREAT, 0600));
    DENIED(open(own, O_RDONLY | O_TRUNC));
    DENIED(creat(own, 0600));
    DENIED(openat(AT_FDCWD, own, O_WRONLY));
    DENIED(unlink(own));
    DENIED(rename(own, "/tmp/elsewhere"));
    DENIED(link(own, "/tmp/elsewhere"));
    DENIED(symlink(own, "/tmp/elsewhere"));
    DENIED(chmod(own, 0777));
    DENIED(mkdir("/tmp/elsewhere", 0700));
    DENIED(truncate(own, 0));
    DENIED(socket(AF_INET, SOCK_STREAM, 0));
    DENIED(socket(AF_UNIX, SOCK_DGRAM, 0));
    DENIED(connect(0, &(struct sockaddr){.sa_family = AF_UNIX}, sizeof(struct sockaddr)));
    DENIED(execl("/bin/true", "true", (char *)NULL));
    DENIED(fork());
    DENIED(kill(getppid(), 0));
    DENIED(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
    MUST(access(own, F_OK) == 0);
    _exit(0);
}

static void test_sandbox__denies(void **state)
{
    (void)state;
    char own[] = "/tmp/mr-test-sandbox-XXXXXX";
    int fd = mkstemp(own);
    assert_true(fd >= 0);
    close(fd);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        attempts(own);
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    unlink(own);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NO_SANDBOX)
        skip(); /* a sanitizer build, or a kernel without seccomp */
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_msg("the child ended with status %#x (exit code: line modulo 128)", (unsigned)status);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sandbox__denies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
