/* SPDX-License-Identifier: Apache-2.0
 *
 * Child processes: start, watch, stop. One thread of the supervisor forks them all, because the
 * death signal that ends a child with its parent is bound to the thread that forked it; the same
 * thread waits for their exit, reads what they print and keeps its last bytes, and carries out the
 * ladder SIGTERM, grace, SIGKILL. So no caller ever waits for a child that does not want to end.
 *
 * A child runs in a session of its own, with an environment of only what it needs, no descriptors
 * but 0 (empty), 1 and 2 (read here) and PROCESS_LIFELINE_FD: a pipe whose other end only the
 * daemon has. End of file there means that the daemon is gone, however it went.
 *
 *     struct process *p = NULL;
 *     supervisor_spawn(sv, &spec, &p, &err);
 *     if (process_wait(p, 1000)) process_reason(p, …);
 *     process_stop(p, 5000);         // returns at once
 *     process_unref(p);
 *
 * Threads: everything may be called from any thread. */
#ifndef RUNNER_SUPERVISOR_H
#define RUNNER_SUPERVISOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

enum { PROCESS_LIFELINE_FD = 3, PROCESS_TAIL_BYTES = 8 * 1024 };

struct supervisor;
struct process;

int supervisor_start(struct supervisor **ret, struct error *err);
/* Kills what still runs, waits for it, and frees. NULL is fine. */
void supervisor_stop(struct supervisor *s);

struct process_spec {
    const char *title; /* in messages and the log */
    char *const *argv; /* argv[0] is the path of the program */
    /* Called once, on the supervisor's thread, after the process is gone; may be NULL. Not called
     * when the start failed. */
    void (*on_exit)(void *ctx);
    void *ctx;
};

int supervisor_spawn(struct supervisor *s, const struct process_spec *spec, struct process **ret,
                     struct error *err);
void process_unref(struct process *p); /* does not stop it; NULL is fine */

pid_t process_pid(const struct process *p);

/* Has it exited, as the kernel knows it: also before the supervisor has noticed. */
bool process_has_ended(struct process *p);

/* Waits at most timeout_ms; true = it has exited. */
bool process_wait(struct process *p, int64_t timeout_ms);

/* Asks it to end, by SIGTERM and the lifeline; kills it after grace_ms. */
void process_stop(struct process *p, int64_t grace_ms);

/* Its exit status; -1 while it runs, and when a signal ended it. */
int process_exit_status(struct process *p);

/* Did somebody else end it, by SIGKILL or SIGTERM? */
bool process_was_killed(struct process *p);

/* Why it ended: "TITLE failed: <the last lines of its output>", or its exit status where it said
 * nothing. Puts the sentence in err with this code. */
int process_reason(struct process *p, enum errc code, struct error *err);

#endif
