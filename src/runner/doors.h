/* SPDX-License-Identifier: Apache-2.0
 *
 * All the daemon listens on, as the settings say:
 *
 *     the runner's socket          whoever may open it may do everything
 *     the Docker engine's socket   the same; see door/door.h
 *     TCP, TCP with TLS            127.0.0.1 unless told otherwise; needs a token when others than
 * this machine can connect, unless that is waived the containers' address      port 80 of Docker's
 * bridge; needs a token, or when that is waived lets models be used but not managed */
#ifndef RUNNER_DOORS_H
#define RUNNER_DOORS_H

#include "base/json.h"
#include "runner/daemon.h"

struct doors;

int doors_open(struct daemon *d, struct doors **ret, struct error *err);
void doors_close(struct doors *d); /* ends the requests under way; NULL is fine */

/* {"socket","dockerSocket","tcp":{"url","token"},"tls":{"url","token","fingerprint"},
 *  "containers":{"url","address","name","token"}}: what there is of it. */
struct json *doors_describe(struct doors *d);

#endif
