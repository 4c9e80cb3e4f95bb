/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading lines at a terminal with editing and history: the project's one adapter over libedit. */
#ifndef CLI_LINEEDIT_H
#define CLI_LINEEDIT_H

#include <stdbool.h>

#include "base/error.h"

struct lineedit;

/* `history_path`: where lines are kept between programs, NULL = nowhere; at most 100 lines, mode
 * 0600. Standard input must be a terminal. */
int lineedit_open(const char *history_path, struct lineedit **ret, struct error *err);
void lineedit_close(struct lineedit *l); /* NULL is fine */

enum line_result {
    LINE_TEXT,            /* *ret_line is a line without its end; the caller frees it */
    LINE_PASTED,          /* the same, ended by a line break inside pasted text: more follows */
    LINE_INTERRUPT,       /* Ctrl-C with text typed: it is discarded */
    LINE_INTERRUPT_EMPTY, /* Ctrl-C on an empty line */
    LINE_EDITOR,          /* Ctrl-X: *ret_line, what was typed so far, is to be edited elsewhere */
    LINE_EOF,             /* Ctrl-D on an empty line, or the terminal is gone */
};

/* `hint` is shown in grey until something is typed; NULL = none. */
enum line_result lineedit_read(struct lineedit *l, const char *prompt, const char *hint,
                               char **ret_line);

/* Adds a line to the history and saves it. */
void lineedit_remember(struct lineedit *l, const char *line);

#endif
