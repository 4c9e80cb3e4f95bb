/* SPDX-License-Identifier: Apache-2.0
 *
 * What embeddings, reranking and scoring have in common: texts as token ids go to the model between
 * the batcher's steps, vectors or scores come back. */
#ifndef ENGINE_API_EMBED_H
#define ENGINE_API_EMBED_H

#include "engine/api/routes.h"
#include "engine/run/embedding.h"

enum { EMBED_TEXTS_MAX = 2048 }; /* of a request */

struct embed_texts {
    struct token_list *lists; /* [n] */
    struct prompt *items;     /* [n] filled by embed_run() */
    size_t n;
    size_t n_tokens; /* of all together; likewise */
};
void embed_texts_init(struct embed_texts *t, size_t n);
void embed_texts_release(struct embed_texts *t); /* a zeroed one is fine */
#define CLEANUP_EMBED_TEXTS CLEANUP(embed_texts_release)

/* Computes them; the client's leaving ends the work. On failure the answer has been given. */
int embed_run(struct http_request *req, const struct service *s, struct embed_texts *t,
              enum pooling pooling, struct embedding **ret);
/* NULL is fine. */
void embed_free(const struct service *s, struct embedding *e);

/* {"prompt_tokens","total_tokens"} */
struct json *embed_usage(const struct embed_texts *t);

/* The name for "model" in the answer: the request's, else the service's. */
void embed_set_model(const struct json *body, const struct service *s, struct json *answer);

#endif
