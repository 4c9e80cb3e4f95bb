/* SPDX-License-Identifier: Apache-2.0
 *
 * Another program run for what it prints: without a shell, with bounded output and time, in a
 * process group of its own, which does not outlive the call.
 *
 * Threads: may be called from any thread. */
#ifndef BASE_SUBPROCESS_H
#define BASE_SUBPROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

struct subprocess {
    const char *const *argv; /* argv[0] is the path of the program; NULL-terminated */
    struct str input; /* for its standard input; at most 4096 bytes, so that it fits a pipe */
    bool read_errors; /* its standard error is read as well; else it goes nowhere */
    int64_t timeout_ms;
    int cancel_fd; /* readable = give up; -1 = none */
};

/* Appends what it prints to out, which is born with a maximum; *ret_well: it ended by itself, with
 * status 0. ERR_TIMEOUT, ERR_CANCELED, ERR_TOO_LARGE: it was killed; ERR_IO: it did not start. */
int subprocess_run(const struct subprocess *c, struct buf *out, bool *ret_well, struct error *err);

#endif
