/* SPDX-License-Identifier: Apache-2.0
 *
 * Docker's credential helpers: programs "docker-credential-NAME" on PATH, run without a shell, with
 * bounded output and time. */
#ifndef REGISTRY_HELPER_H
#define REGISTRY_HELPER_H

#include "base/error.h"
#include "http/client.h"

/* `docker-credential-NAME get` for a server. 0 with *ret_user NULL: the helper knows none.
 * ERR_NOT_FOUND: there is no such helper; ERR_UNAVAILABLE: it failed; ERR_TIMEOUT. The caller frees
 * both. A user of "<token>" means that the secret is an identity token. */
int credential_helper_get(const char *name, const char *server, struct http_cancel *cancel,
                          char **ret_user, char **ret_secret, struct error *err);

#endif
