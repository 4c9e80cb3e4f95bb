/* SPDX-License-Identifier: Apache-2.0
 *
 * Stopping what is under way: Ctrl-C while the model answers ends the answer and not the chat, and
 * the end of docker's plugin socket ends the program.
 *
 * Outside interrupt_begin/end a SIGINT ends the process as usual: the connection closes with it,
 * and the runner stops the work for a client that is gone. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdbool.h>

struct http_cancel;

/* Between these, SIGINT cancels the HTTP calls that are made. */
void interrupt_begin(void);
/* Returns whether a SIGINT came. */
bool interrupt_end(void);

/* What a call should hold: NULL outside begin/end. */
struct http_cancel *interrupt_cancel(void);

/* Ends the program (as by SIGTERM) when docker closes its side of the socket it named in
 * DOCKER_CLI_PLUGIN_SOCKET, which is how it tells a plugin to stop. Does nothing without one. */
void interrupt_watch_plugin_socket(void);

#endif
