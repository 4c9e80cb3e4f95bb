/* SPDX-License-Identifier: Apache-2.0
 *
 * Shared between the readers of option tables: opt.c, opt_help.c, opt_man.c, opt_complete.c. */
#ifndef BASE_OPT_INTERNAL_H
#define BASE_OPT_INTERNAL_H

#include "base/buf.h"
#include "base/opt.h"

bool opt__takes_value(const struct opt *o);

/* Appends the words that lead to a command: "context create". False if it is not in the program. */
bool opt__command_path(const struct program *p, const struct command *cmd, struct buf *out);

#endif
