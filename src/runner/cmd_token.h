/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands below `model-runner token`. */
#ifndef RUNNER_CMD_TOKEN_H
#define RUNNER_CMD_TOKEN_H

#include "base/opt.h"

extern const struct command token_commands[];

#endif
