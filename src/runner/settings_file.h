/* SPDX-License-Identifier: Apache-2.0
 *
 * The file that keeps what `docker model configure` sets, so that it outlives daemons and loads:
 *
 *     {"version": 1, "models": [
 *       {"model": "ai/smollm2", "id": "sha256:…", "mode": "completion", "config": {"context-size":
 * 8192}}]}
 *
 * Written whole or not at all. A change reads the file again under its lock and exchanges one row,
 * so neither what a person wrote into it nor what another daemon set gets lost; a file that cannot
 * be understood is never written. */
#ifndef RUNNER_SETTINGS_FILE_H
#define RUNNER_SETTINGS_FILE_H

#include "base/json.h"

/* The rows, each with a model, a mode and a config; none for a file that is absent. ERR_CORRUPT,
 * with what is wrong and what to do, for one that is damaged or of a newer version. */
int settings_file_read(const char *path, struct json **ret, struct error *err);

/* Puts the row in the place of those of its mode with its id or its model. A
 * row with an empty config only removes them. */
int settings_file_put(const char *path, struct json *row, struct error *err);

#endif
