/* SPDX-License-Identifier: Apache-2.0
 *
 * A socket that stands in front of another server's, usually the Docker engine's: requests that
 * concern us go to our own HTTP server, all others to the other one, whose clients cannot tell the
 * difference.
 *
 *     client ══ door ══ the other server's socket     (one connection for each client's)
 *                  ╚═══ our http_server               (a socket pair, when it is needed)
 *
 * Bytes pass unchanged in both directions and are never collected: only where a message begins and
 * ends is looked at, so that each request of a connection goes where it belongs. A request is read
 * when the answer before it is complete. Where an answer has no end of its own, or switches
 * protocols (attach, exec, port forwards, build sessions), the connection becomes a plain pair of
 * pipes with half-closes for the rest of its life.
 *
 * One thread serves all connections. Each holds at most 64 KiB a direction while its peer does not
 * take them, and nothing while it is idle. */
#ifndef DOOR_DOOR_H
#define DOOR_DOOR_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"
#include "http/server.h"

struct door;

struct door_options {
    struct http_listen listen;          /* unix_path and what belongs to it */
    const char *behind;                 /* the other server's Unix socket */
    const char *behind_name;            /* for messages: "the Docker engine" */
    bool (*is_ours)(struct str target); /* does a request for this target concern us? */
    struct http_server *ours; /* takes connections by http_server_adopt(); must outlive the door */
    unsigned max_connections; /* 0 = 4096; who comes later waits in the queue of the socket */
};

int door_open(const struct door_options *o, struct door **ret, struct error *err);

/* Cuts all connections and removes the socket file. NULL is fine. */
void door_close(struct door *d);

#endif
