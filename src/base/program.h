/* SPDX-License-Identifier: Apache-2.0
 *
 * Where programs are: ours, which lie beside one another, and those of the system. */
#ifndef BASE_PROGRAM_H
#define BASE_PROGRAM_H

#include <stdbool.h>

#include "base/error.h"

bool program_is_one(const char *path); /* a regular file that may be executed */

/* The program in one of the directories of a ':'-separated list; NULL if it is in none. Relative
 * and empty entries are skipped. The caller frees. */
char *program_find_in(const char *directories, const char *name);

/* The same for the directories of PATH, or the usual ones where it is not set. */
char *program_on_path(const char *name);

/* Looks for a program: beside this one, in ../libexec/model-runner, then in PATH. */
int program_find(const char *name, char **ret_path, struct error *err);

#endif
