/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the runner is. Looked for in this order:
 *
 *     1. $MODEL_RUNNER_HOST           http://host:port[/path], https://…, unix:///path, host:port
 *     2. the active named context     <docker config>/model/contexts.json ("docker model context")
 *     3. the user's own Unix socket   when somebody listens there
 *     4. http://localhost:12434       https://localhost:12444 with MODEL_RUNNER_TLS=true
 *
 * Nothing is sent to find it; only (3) opens a connection, to see whether the socket is alive. */
#ifndef CLI_DAEMON_H
#define CLI_DAEMON_H

#include <stdbool.h>

#include "base/error.h"

enum daemon_kind {
    DAEMON_ENGINE, /* found by itself; printed as "Docker Engine" */
    DAEMON_MANUAL, /* named by the user; "Docker Engine (Manual Install)" */
};

struct daemon {
    enum daemon_kind kind;
    char *base_url;  /* "http://localhost:12434", maybe with a path; no '/' at the end */
    char *unix_path; /* NULL for TCP */
    char *ca_file;   /* the only trusted root, NULL = the system's */
    bool insecure;   /* no check of the certificate */
};

enum { DAEMON_PORT = 12434, DAEMON_TLS_PORT = 12444 };

/* Cached: the first call looks, later ones give the same. Borrowed until the program ends. */
int daemon_find(const struct daemon **ret, struct error *err);

/* Reads an address as in MODEL_RUNNER_HOST into *ret. `tls`: scheme for an address without one, and
 * http:// becomes https://. */
int daemon_parse_address(const char *address, bool tls, struct daemon *ret, struct error *err);
void daemon_release(struct daemon *d);

const char *daemon_kind_name(const struct daemon *d);

/* How a user would name the place: "http://localhost:12434" or "unix:///run/…". Allocated. */
char *daemon_place(const struct daemon *d) ATTR_CHECK;

/* The base URL for containers on this machine: a TCP address by hand is given as it is; otherwise
 * the address of docker's bridge, where there is one. Allocated. */
char *daemon_container_url(const struct daemon *d) ATTR_CHECK;

#endif
