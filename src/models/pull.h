/* SPDX-License-Identifier: Apache-2.0
 *
 * Models from registries and to them.
 *
 *     models_pull(m, "smollm2", NULL, on_event, ctx, cancel, message, err);
 *
 * A transfer belongs to nobody: clients that want the same model share one, each is told all of
 * it, and it ends when the last of them has left. What has been received by then is kept, and the
 * next pull goes on from there.
 *
 * Errors before the first event are those of the request itself: ERR_INVALID for a malformed name,
 * ERR_DENIED with "UNAUTHORIZED - …", ERR_NOT_FOUND, ERR_UNSUPPORTED for what is no model. */
#ifndef MODELS_PULL_H
#define MODELS_PULL_H

#include "models/models.h"
#include "registry/registry.h"

enum models_event_kind {
    MODELS_EVENT_NOTE,    /* `message`, about the whole */
    MODELS_EVENT_WARNING, /* `message` */
    MODELS_EVENT_LAYER,   /* a layer has got further */
};

struct models_event {
    enum models_event_kind kind;
    const char *message;  /* NULL for a layer */
    const char *layer_id; /* its digest; NULL for messages */
    uint64_t layer_size, layer_current;
    uint64_t total; /* bytes of all layers; 0 = not known yet */
};

/* Runs on the thread that called, one at a time; may block, which slows nobody else. */
typedef void (*models_event_fn)(void *ctx, const struct models_event *ev);

enum { MODELS_MESSAGE_MAX = 256 };

/* bearer: replaces all credentials when not NULL or empty. *ret_message: "Model pulled
 * successfully", or "Using cached model: 256.35MiB". A cancel object that fires takes this client
 * out: ERR_CANCELED. */
int models_pull(struct models *m, const char *name, const char *bearer, models_event_fn fn,
                void *ctx, struct http_cancel *cancel, char ret_message[MODELS_MESSAGE_MAX],
                struct error *err);

/* "Model pushed successfully". */
int models_push(struct models *m, const char *name, const char *bearer, models_event_fn fn,
                void *ctx, struct http_cancel *cancel, char ret_message[MODELS_MESSAGE_MAX],
                struct error *err);

/* What a registry says about a model, without downloading it. */
int models_get_remote(struct models *m, const char *name, const char *bearer,
                      struct http_cancel *cancel, struct model_info *ret, struct error *err);

#endif
