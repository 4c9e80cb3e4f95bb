/* SPDX-License-Identifier: Apache-2.0
 *
 * What holds for a model when it runs, setting by setting, and who said so: GET
 * /engines/_configure/effective, which `docker model show --effective` prints. */
#ifndef RUNNER_EFFECTIVE_H
#define RUNNER_EFFECTIVE_H

#include "runner/daemon.h"

/* {"model", "id", "mode", "backend", "settings": [{"name", "value", "source", "note"?}]}. A source
 * is "default", "model", "configure", "request", "daemon option" or the name of a variable of the
 * daemon's environment. */
int effective_settings(struct daemon *d, const char *model, enum engine_mode mode,
                       struct json **ret, struct error *err);

#endif
