/* SPDX-License-Identifier: Apache-2.0
 *
 * A NULL-terminated list of texts that grows: a command line, an environment. */
#ifndef BASE_ARGV_H
#define BASE_ARGV_H

#include <stddef.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"

struct argv {
    char **v; /* NULL while it is empty */
    size_t n;
    size_t cap;
};

void argv_push(struct argv *a, const char *text);
void argv_add(struct argv *a, const char *fmt, ...) ATTR_PRINTF(2, 3);

/* Splits at white space as a shell would: quotes of either kind group, a backslash takes the next
 * character as it is. `what` names the text in errors. */
int argv_split(struct argv *a, struct str text, const char *what, struct error *err);

void argv_release(struct argv *a); /* a zeroed one is fine */
#define CLEANUP_ARGV CLEANUP(argv_release)

#endif
