/* SPDX-License-Identifier: Apache-2.0
 *
 * Responses that a later request may continue (previous_response_id) or ask for. In memory only,
 * for an hour, and at most RESPONSES_MAX_BYTES of them: the oldest go first.
 *
 * Threads: may be used from any. */
#ifndef RUNNER_RESPONSE_STORE_H
#define RUNNER_RESPONSE_STORE_H

#include <stdbool.h>

#include "base/json.h"

enum { RESPONSES_MAX_BYTES = 32 << 20, RESPONSES_TTL_S = 3600 };

struct response_store;

struct response_store *response_store_new(void);
void response_store_free(struct response_store *s); /* NULL is fine */

/* items: the conversation up to and with this response's input. Both are copied as text; what is
 * larger than the whole store is not kept. */
void response_store_put(struct response_store *s, const char *id, const struct json *items,
                        const struct json *response);
/* New values; false = it is not there (any more). Either may be NULL. */
bool response_store_get(struct response_store *s, const char *id, struct json **ret_items,
                        struct json **ret_response);
bool response_store_delete(struct response_store *s, const char *id);

#endif
