/* SPDX-License-Identifier: Apache-2.0
 *
 * Child processes: start, output, exit, the ladder of stopping, and nothing left behind. */
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "runner/supervisor.h"

static struct supervisor *sv;
static atomic_int n_exits;

static int setup(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    assert_ok(supervisor_start(&sv, &err));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    supervisor_stop(sv);
    return 0;
}

static void on_exit_fn(void *ctx)
{
    (void)ctx;
    atomic_fetch_add(&n_exits, 1);
}

static char shell[] = "/bin/sh", dash_c[] = "-c";

/* Scripts say that they are ready by making this file: "> $MR_READY". */
static char ready[] = "/tmp/mr-supervisor-XXXXXX";

static void await_ready(struct process *p)
{
    for (int i = 0; i < 30000 && access(ready, F_OK) != 0; i++)
        assert_false(process_wait(p, 1));
    assert_int_equal(unlink(ready), 0);
}

/* Is it there, and not only waiting to be reaped by whoever adopted it? */
static bool is_alive(pid_t pid)
{
    char path[64], state = 'X';
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    if (!f)
        return false;
    if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
        state = 'X';
    fclose(f);
    return state != 'Z' && state != 'X';
}

static struct process *run(char *script)
{
    struct error err = ERROR_INIT;
    char *argv[] = {shell, dash_c, script, NULL};
    const struct process_spec spec = {.title = "child", .argv = argv, .on_exit = on_exit_fn};
    struct process *p = NULL;
    n_exits = 0;
    assert_ok(supervisor_spawn(sv, &spec, &p, &err));
    return p;
}

static void test_supervisor__reasons(void **state)
{
    (void)state;
    static const struct {
        const char *script, *want;
    } rows[] = {
        {"exit 0", "child exit status: exit status 0"},
        {"exit 7", "child exit status: exit status 7"},
        {"kill -9 $$", "child exit status: signal: Killed"},
        {"kill -SEGV $$", "child exit status: signal: Segmentation fault"},
        {"echo one; echo two >&2; exit 1", "child failed: one; two (exit status 1)"},
        {"printf 'no newline'; exit 1", "child failed: no newline (exit status 1)"},
        {"printf '  \\n\\n a \\n\\n'; exit 1", "child failed: a (exit status 1)"},
        {"printf 'a\\033[31mb\\377'; exit 1", "child failed: a\\x1b[31mb\\xff (exit status 1)"},
        {"echo 'ggml: cudaMalloc failed: out of memory'; exit 1",
         "child failed: not enough GPU memory to load the model (CUDA): ggml: cudaMalloc failed: "
         "out "
         "of memory (exit status 1)"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        char script[128];
        snprintf(script, sizeof(script), "%s", rows[i].script);
        struct process *p = run(script);
        assert_true(process_wait(p, 30000));
        process_reason(p, ERR_INTERNAL, &err);
        assert_string_equal(err.msg, rows[i].want);
        assert_int_equal(process_was_killed(p), i == 2);
        process_unref(p);
    }
}

static void test_supervisor__keeps_the_end_of_much_output(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    char script[] = "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; exit 2";
    struct process *p = run(script);
    assert_true(process_wait(p, 60000));
    process_reason(p, ERR_INTERNAL, &err);
    assert_non_null(strstr(err.msg, "line 19999 (exit status 2)"));
    assert_null(strstr(err.msg, "line 1;"));
    assert_true(strncmp(err.msg, "child failed: line ", 19) == 0);
    process_unref(p);
}

static void test_supervisor__start_fails(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum errc kind;
    } rows[] = {
        {"/no/such/program", ERR_NOT_FOUND},
        {"/etc/passwd", ERR_DENIED},
        {"/", ERR_DENIED},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        char path[64];
        snprintf(path, sizeof(path), "%s", rows[i].path);
        char *argv[] = {path, NULL};
        const struct process_spec spec = {.title = "child", .argv = argv, .on_exit = on_exit_fn};
        struct process *p = NULL;
        n_exits = 0;
        assert_fails(supervisor_spawn(sv, &spec, &p, &err), rows[i].kind, "unable to start child");
        assert_non_null(strstr(err.msg, rows[i].path));
        assert_int_equal(n_exits, 0);
    }
}

static void test_supervisor__stop_asks_then_kills(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        int64_t grace_ms, at_least_ms;
        const char *want;
    } rows[] = {
        {"> $MR_READY; exec sleep 60", 30000, 0, "signal: Terminated"},
        {"trap 'exit 5' TERM; sleep 60 & > $MR_READY; wait", 30000, 0, "exit status 5"},
        {"trap '' TERM; > $MR_READY; while :; do sleep 1; done", 300, 300, "signal: Killed"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        char script[128];
        snprintf(script, sizeof(script), "%s", rows[i].script);
        struct process *p = run(script);
        await_ready(p);
        int64_t start = clock_mono_ms();
        process_stop(p, rows[i].grace_ms);
        process_stop(p, 0); /* a second wish changes nothing */
        assert_true(process_wait(p, 20000));
        assert_true(clock_mono_ms() - start >= rows[i].at_least_ms);
        process_reason(p, ERR_INTERNAL, &err);
        assert_non_null(strstr(err.msg, rows[i].want));
        for (int j = 0; j < 30000 && n_exits < 1; j++)
            usleep(1000);
        assert_int_equal(n_exits, 1);
        process_unref(p);
    }
}

/* The lifeline reaches its end when the process is to stop, and not before. */
static void test_supervisor__lifeline(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    char script[] = "trap '' TERM; > $MR_READY; cat <&3; echo lifeline ended; exit 4";
    struct process *p = run(script);
    await_ready(p);
    assert_false(process_wait(p, 200));
    process_stop(p, 30000);
    assert_true(process_wait(p, 20000));
    process_reason(p, ERR_INTERNAL, &err);
    assert_string_equal(err.msg, "child failed: lifeline ended (exit status 4)");
    process_unref(p);
}

/* Nothing of ours but 0 to 3; a session of its own; what a child started goes with it. */
static void test_supervisor__isolation(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    int leak = dup(0); /* on purpose without FD_CLOEXEC */
    setenv("SECRET", "x", 1);
    setenv("MR_PASSED", "yes", 1);
    char script[] = "i=0; while [ $i -lt 40 ]; do [ -e /proc/$$/fd/$i ] && printf \"$i \"; "
                    "i=$((i+1)); done; cat; echo \"[$SECRET$MR_PASSED]\"; "
                    "[ $(cut -d' ' -f6 /proc/$$/stat) = $$ ] && echo leader; exit 1";
    struct process *p = run(script);
    assert_true(process_wait(p, 30000));
    process_reason(p, ERR_INTERNAL, &err);
    assert_string_equal(err.msg, "child failed: 0 1 2 3 [yes]; leader (exit status 1)");
    process_unref(p);
    close(leak);

    char family[] = "sleep 60 & echo $!; exit 1";
    p = run(family);
    assert_true(process_wait(p, 30000));
    process_reason(p, ERR_INTERNAL, &err);
    int grandchild = 0;
    assert_int_equal(sscanf(err.msg, "child failed: %d", &grandchild), 1);
    for (int i = 0; i < 30000 && is_alive(grandchild); i++)
        usleep(1000);
    assert_false(is_alive(grandchild));
    process_unref(p);
}

static void test_supervisor__many_at_once(void **state)
{
    (void)state;
    enum { N = 20 };
    struct process *list[N];
    char script[] = "sleep 0.1; exit 3";
    for (int i = 0; i < N; i++)
        list[i] = run(script);
    for (int i = 0; i < N; i++) {
        assert_true(process_wait(list[i], 30000));
        process_unref(list[i]);
    }
    /* All were reaped. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static void test_supervisor__stop_ends_all(void **state)
{
    (void)state;
    char script[] = "exec sleep 60";
    struct process *kept = run(script);
    pid_t pid = process_pid(kept);
    process_unref(kept); /* gives up interest, not the process */
    assert_int_equal(kill(pid, 0), 0);
    supervisor_stop(sv);
    sv = NULL;
    assert_int_equal(kill(pid, 0), -1);
}

int main(void)
{
    int fd = mkstemp(ready);
    if (fd < 0 || close(fd) != 0 || unlink(ready) != 0 || setenv("MR_READY", ready, 1) != 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_supervisor__reasons, setup, teardown),
        cmocka_unit_test_setup_teardown(test_supervisor__keeps_the_end_of_much_output, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_supervisor__start_fails, setup, teardown),
        cmocka_unit_test_setup_teardown(test_supervisor__stop_asks_then_kills, setup, teardown),
        cmocka_unit_test_setup_teardown(test_supervisor__lifeline, setup, teardown),
        cmocka_unit_test_setup_teardown(test_supervisor__isolation, setup, teardown),
        cmocka_unit_test_setup_teardown(test_supervisor__many_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_supervisor__stop_ends_all, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
