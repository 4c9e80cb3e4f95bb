/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings of a model in the runner; `configure`, `compose up` and the chat's /set send them. */
#ifndef CLI_CONFIGURE_H
#define CLI_CONFIGURE_H

#include "base/error.h"
#include "base/json.h"

/* POST /engines/_configure; the runner must answer 202. The error is its text. */
int configure_model(const struct json *request, struct error *err);

#endif
