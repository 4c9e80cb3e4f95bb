/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon's routes: one table in routes.c, the handlers in a file for each group. */
#ifndef RUNNER_ROUTES_H
#define RUNNER_ROUTES_H

#include "engines/engine.h"
#include "http/server.h"
#include "runner/daemon.h"

/* What the pattern of a route found in the path; "" where it has no such part. */
struct route_args {
    const char *backend;
    const char *name;      /* of a model, may contain '/' */
    enum engine_mode mode; /* of an inference route */
};

typedef void (*route_fn)(struct daemon *d, struct http_request *r, const struct route_args *args);

/* The servers' handler; ctx is a struct entrance. */
void routes_handle(struct http_request *r, void *ctx);

/* On a socket shared with the Docker engine: is this request target, as sent, one of our routes?
 * All below Docker Desktop's prefix are, and those of the bare tree that the engine has not. */
bool routes_own(struct str target);

/* route_fixed.c */
void route_root(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_version(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_doors(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_logs(struct daemon *d, struct http_request *r, const struct route_args *args);

/* route_models.c */
void route_models_list(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_models_get(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_models_delete(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_models_purge(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_models_tag(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_models_repackage(struct daemon *d, struct http_request *r,
                            const struct route_args *args);
void route_models_export(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_models_action(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_openai_list(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_openai_get(struct daemon *d, struct http_request *r, const struct route_args *args);

/* route_care.c */
void route_models_save(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_models_load(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_models_package(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_models_verify(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_models_prune(struct daemon *d, struct http_request *r, const struct route_args *args);

/* route_transfer.c */
void route_models_create(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_models_push(struct daemon *d, struct http_request *r, const struct route_args *args);
void respond_remote_model(struct daemon *d, struct http_request *r, const char *name);

/* route_engines.c */
void route_status(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_ps(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_df(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_unload(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_configure(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_settings(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_effective(struct daemon *d, struct http_request *r, const struct route_args *args);

/* route_watch.c */
void route_metrics(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_requests(struct daemon *d, struct http_request *r, const struct route_args *args);

/* route_anthropic.c */
void route_messages(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_count_tokens(struct daemon *d, struct http_request *r, const struct route_args *args);

/* route_responses.c */
void route_responses_create(struct daemon *d, struct http_request *r,
                            const struct route_args *args);
void route_responses_get(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_responses_items(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_responses_delete(struct daemon *d, struct http_request *r,
                            const struct route_args *args);

/* route_ollama.c, route_ollama_models.c */
void route_ollama_chat(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_ollama_generate(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_ollama_embed(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_ollama_embeddings(struct daemon *d, struct http_request *r,
                             const struct route_args *args);
void route_ollama_version(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_ollama_tags(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_ollama_ps(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_ollama_show(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_ollama_pull(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_ollama_push(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_ollama_copy(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_ollama_create(struct daemon *d, struct http_request *r, const struct route_args *args);
void route_ollama_delete(struct daemon *d, struct http_request *r, const struct route_args *args);

/* route_infer.c */
void route_infer(struct daemon *d, struct http_request *r, const struct route_args *args);

#endif
