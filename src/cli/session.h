/* SPDX-License-Identifier: Apache-2.0
 *
 * A conversation with a model: what was said, and how answers are shown. */
#ifndef CLI_SESSION_H
#define CLI_SESSION_H

#include "cli/chat.h"
#include "cli/chat_view.h"

struct session {
    const struct chat_endpoint *endpoint;
    const char *model;
    char *system;          /* NULL = none */
    struct json *messages; /* user and assistant messages in turn */
    struct json *params;   /* of requests, by /set: "temperature", … */
    struct chat_view view;
    bool debug;
};

void session_init(struct session *s, const struct chat_endpoint *endpoint, const char *model,
                  bool color, bool debug);
void session_release(struct session *s);

/* NULL or "" removes it. */
void session_set_system(struct session *s, const char *text);

/* Asks and shows the answer with a final newline. A turn that fails or is cancelled leaves the
 * conversation as it was. */
int session_ask(struct session *s, const char *prompt, struct error *err);

#endif
