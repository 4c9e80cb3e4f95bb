/* SPDX-License-Identifier: Apache-2.0
 *
 * Colour for Markdown that comes piece by piece. Text is never taken away, moved or held back for
 * more than a few characters: the output without its escape sequences is the input, byte for byte,
 * so that what is copied from the terminal is Markdown still. Headings and **strong** text are
 * bold, *emphasis* is italic, code is cyan, marks of lists are yellow, quotes, fences and addresses
 * of links are grey.
 *
 * The rules are those of CommonMark as far as one pass without looking ahead can have them: styles
 * within a line end with the line at the latest.
 *
 *     struct markdown m;
 *     markdown_begin(&m);
 *     while (more) markdown_write(&m, piece, &out);
 *     markdown_end(&m, &out); */
#ifndef CLI_MARKDOWN_H
#define CLI_MARKDOWN_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/str.h"

enum { MARKDOWN_HELD_MAX = 16 };

struct markdown {
    unsigned style, shown; /* wanted for the next character; in force at the terminal */
    bool line_start;       /* `held` is the beginning of a line, whose kind is not known yet */
    char held[MARKDOWN_HELD_MAX]; /* not written yet: such a beginning, or a run of one mark */
    size_t n_held;
    char before;     /* the last character written; '\n' at first */
    char fence;      /* '`' or '~' inside a block of code, else '\0' */
    size_t code_run; /* backticks that opened code within the line; 0 = none */
    bool plain;      /* the rest of this line has no marks: that of a fence */
    bool bracket;    /* the last character closed a link's text */
};

void markdown_begin(struct markdown *m);
/* Text without control characters but \n and \t. */
void markdown_write(struct markdown *m, struct str text, struct buf *out);
/* Writes what is held back, and takes all styles off. */
void markdown_end(struct markdown *m, struct buf *out);

#endif
