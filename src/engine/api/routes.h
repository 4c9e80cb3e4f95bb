/* SPDX-License-Identifier: Apache-2.0
 *
 * The handlers behind api.c's table of routes, and what they share. */
#ifndef ENGINE_API_ROUTES_H
#define ENGINE_API_ROUTES_H

#include "base/json.h"
#include "engine/api/api.h"

void route_chat_completions(struct http_request *req, const struct service *s);
void route_completions(struct http_request *req, const struct service *s);
void route_infill(struct http_request *req, const struct service *s);
void route_embeddings(struct http_request *req, const struct service *s);
void route_rerank(struct http_request *req, const struct service *s);
void route_score(struct http_request *req, const struct service *s);
void route_models(struct http_request *req, const struct service *s);
void route_props(struct http_request *req, const struct service *s);
void route_slots(struct http_request *req, const struct service *s);
void route_metrics(struct http_request *req, const struct service *s);
void route_tokenize(struct http_request *req, const struct service *s);
void route_detokenize(struct http_request *req, const struct service *s);
void route_lora_get(struct http_request *req, const struct service *s);
void route_lora_set(struct http_request *req, const struct service *s);
void route_apply_template(struct http_request *req, const struct service *s);

enum { BODY_MAX = 64 << 20 };

/* Reads the body, which must be a JSON object. On failure the answer has been given. */
int api_read_body(struct http_request *req, struct json **ret);

/* {"error":{"code","message","type"}} */
struct json *api_error_json(int status, const char *type, const char *message);
void api_respond_error(struct http_request *req, const struct error *err);
/* A prompt that does not fit the context: 400 with both numbers, as llama-server says it. */
void api_respond_overflow(struct http_request *req, size_t n_prompt, uint32_t n_ctx);
/* ERR_INVALID for a model that makes embeddings only. */
int api_check_generates(const struct service *s, struct error *err);
/* The status for an error of the engine itself rather than of the request. */
int api_engine_error_status(const struct error *err);

#endif
