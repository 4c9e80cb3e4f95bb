/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine's HTTP API: llama-server's and OpenAI's routes over one batcher.
 *
 *     GET  /health                 200 {"status":"ok"}, 503 while the model is loading
 *     GET  /v1/models, /props, /slots, /metrics
 *     GET  /lora-adapters, POST the same
 *     POST /v1/chat/completions, /v1/completions, /infill
 *     POST /v1/embeddings, /v1/rerank, /score
 *     POST /tokenize, /detokenize, /apply-template
 *
 * The server listens before the model is there, so that whoever started the engine can ask how far
 * it is:
 *
 *     struct api *api = api_create();
 *     http_server_start(&(struct http_server_options){.handler = api_handle, .ctx = api, …}, …);
 *     ... load ...
 *     api_ready(api, &service);
 *
 * Threads: api_handle() runs on any number of threads at once.
 */
#ifndef ENGINE_API_API_H
#define ENGINE_API_API_H

#include <stdint.h>

#include "base/error.h"
#include "engine/api/chat_template.h"
#include "engine/api/params.h"
#include "engine/run/batcher.h"
#include "engine/run/embedding.h"
#include "engine/run/lm.h"
#include "engine/vision/vision.h"
#include "http/server.h"

/* What the API serves; everything borrowed and unchanged once given to api_ready(). */
struct service {
    struct lm *lm;
    struct batcher *batcher;
    const struct chat_template *chat_template;
    struct vision *vision; /* NULL = the model does not see */
    const char *why_blind; /* then: why not, although it has a projector; or NULL */
    enum pooling pooling;  /* of embeddings; POOLING_RANK: it ranks */
    enum kv_type kv_type;
    const char *alias;     /* the model's name in answers */
    int64_t loaded_at;     /* seconds since 1970 */
    struct params_defaults defaults;
};

struct api;

struct api *api_create(void); /* never NULL */
void api_free(struct api *a); /* after the HTTP server has stopped; NULL is fine */
void api_ready(struct api *a, const struct service *s);

/* An http_handler_fn; ctx is the struct api. */
void api_handle(struct http_request *req, void *ctx);

#endif
