/* SPDX-License-Identifier: Apache-2.0
 *
 * Named runners: <docker config>/model/contexts.json, shared with other programs that know the
 * same file.
 *
 *     {"version":1,"current":"prod","contexts":{"prod":{"host":"http://h:12434",
 *      "tls":{"enabled":false,"skipVerify":true,"caCert":"/abs"},
 *      "description":"…","createdAt":"2026-07-22T10:00:00Z"}}}
 *
 * "current" absent means "default", the reserved name for finding the runner by itself. Changes
 * happen under an exclusive lock on contexts.lock and are published by rename. Keys that are not
 * known here survive a change. */
#ifndef CLI_CONTEXT_STORE_H
#define CLI_CONTEXT_STORE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"

#define CONTEXT_DEFAULT "default"

struct context_entry {
    char *host;
    bool tls, skip_verify;
    char *ca_cert; /* NULL = none */
};
void context_entry_release(struct context_entry *e);

/* The active named context: 1 and *ret filled, 0 when it is the default one, negative on error. */
int context_store_active(struct context_entry *ret, struct error *err);

/* The whole document; an empty one when there is no file. The caller frees it. */
int context_store_read(struct json **ret, struct error *err);

/* Name of the current context in a document; "default" if none. Borrowed from it. */
const char *context_store_current(const struct json *doc);

/* Lets `change` alter the document under the lock and writes it when it returns 0. */
typedef int (*context_change_fn)(struct json *doc, void *ctx, struct error *err);
int context_store_change(context_change_fn change, void *ctx, struct error *err);

/* Letters, digits, '_', '.', '-', beginning with a letter or digit; not "default". */
int context_check_name(const char *name, struct error *err);

#endif
