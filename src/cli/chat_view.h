/* SPDX-License-Identifier: Apache-2.0
 *
 * Showing an answer as it comes: reasoning under a "Thinking:" heading, then "--", then the answer;
 * on a terminal without the control characters that a model may write, and with its Markdown in
 * colour when that is wanted. */
#ifndef CLI_CHAT_VIEW_H
#define CLI_CHAT_VIEW_H

#include <stdbool.h>
#include <stdio.h>

#include "cli/chat.h"
#include "cli/markdown.h"

struct chat_view {
    FILE *to;
    bool filter; /* the output is a terminal */
    bool color;
    enum { VIEW_START, VIEW_REASONING, VIEW_CONTENT } part;

    struct markdown markdown; /* in coloured output */
    struct chat_sink sink;
};

void chat_view_init(struct chat_view *v, FILE *to, bool color);
/* Before each answer. */
void chat_view_begin(struct chat_view *v);
/* After it, also after one that broke off. */
void chat_view_end(struct chat_view *v);
/* "Token usage: …", when the server said so. */
void chat_view_usage(struct chat_view *v, const struct chat_stats *stats);
/* Speeds, for --debug. */
void chat_print_stats(FILE *to, const struct chat_stats *stats);

#endif
