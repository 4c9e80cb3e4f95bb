/* SPDX-License-Identifier: Apache-2.0
 *
 * What POST /engines/_configure sets for a model: parsing, merging, comparing. A value, owned by
 * one thread at a time. */
#ifndef RUNNER_MODEL_SETTINGS_H
#define RUNNER_MODEL_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "engines/engine.h"

/* keep_alive_ns: how long an idle engine stays; KEEP_FOREVER, or KEEP_DEFAULT = the daemon's. */
#define KEEP_FOREVER INT64_C(-1)
#define KEEP_DEFAULT INT64_MIN

struct model_settings {
    struct json *config;  /* object in the API's spelling; NULL = empty */
    int64_t context_size; /* 0 = the model's */
    int64_t keep_alive_ns;
    const struct engine *engine; /* the one to use; NULL = as it fits */
    const char **flags; /* borrowed from config; NULL-terminated */
    size_t n_flags;
};
#define MODEL_SETTINGS_INIT ((struct model_settings){.keep_alive_ns = KEEP_DEFAULT})

void model_settings_release(struct model_settings *s);

/* `old` with the members of a request put over it: what the request does not name stays, null
 * removes. old may be NULL. ERR_INVALID names what is wrong. */
int model_settings_merge(const struct model_settings *old, const struct json *request,
                         struct model_settings *ret, struct error *err);

int model_settings_copy(const struct model_settings *from, struct model_settings *ret);

/* Would a process started with one serve as well as one started with the other? */
bool model_settings_same_process(const struct model_settings *a, const struct model_settings *b);

/* "10m0s", "0s", "-1" as `ps` shows it. */
void keep_alive_text(int64_t ns, char out[48]);

#endif
