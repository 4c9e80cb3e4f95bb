/* SPDX-License-Identifier: Apache-2.0
 *
 * The interactive chat. */
#ifndef CLI_REPL_H
#define CLI_REPL_H

#include "cli/session.h"

/* Chats until the user leaves; returns the exit code. */
int repl_run(struct session *s);

/* ---- the parts that need no terminal ---- */

/* Collects lines into a message: a line that begins with """ opens a block, one that ends with """
 * closes it; pasted line breaks and the last line belong together. */
struct repl_input {
    struct buf text;
    bool in_block; /* between """ and """ */
    bool in_paste; /* the last line was ended by a line break in pasted text */
};
#define REPL_INPUT_INIT                    \
    {                                      \
        .text = BUF_INIT((size_t)16 << 20) \
    }

/* Adds a line. True: the message is complete, in text; clear it before the next. */
bool repl_input_add(struct repl_input *in, const char *line, bool pasted);
bool repl_input_pending(const struct repl_input *in);
void repl_input_clear(struct repl_input *in);

/* Carries out a line that starts with '/'. True: leave the chat. */
bool repl_command(struct session *s, const char *line);

#endif
