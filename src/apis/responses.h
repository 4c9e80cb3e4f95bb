/* SPDX-License-Identifier: Apache-2.0
 *
 * OpenAI's Responses API, beside what apis/turn.h asks of every API. */
#ifndef APIS_RESPONSES_H
#define APIS_RESPONSES_H

#include "apis/turn.h"

/* The input of a request as an array of items; a new reference. */
struct json *responses_items(const struct json *request);

/* Items → messages, appended. */
int responses_messages(const struct json *items, struct json *messages, struct error *err);

/* The response object with the items that are done. status: "in_progress", "completed",
 * "incomplete", "failed"; failure: why, or NULL. */
struct json *responses_object(const struct turn *t, const char *status, const char *failure);
const char *responses_status(const struct turn *t); /* of a turn that is complete */

/* An output item, with what has come so far or as it begins. */
struct json *responses_item(const struct turn *t, enum turn_part part, size_t call, const char *id,
                            const char *status, bool with_content);
/* What the open part has got so far; of a whole answer all of it. */
struct str responses_text(const struct turn *t, enum turn_part part);
struct json *responses_part(enum turn_part part, struct str text);
void responses_item_id(enum turn_part part, char out[TURN_ID_MAX]);

/* The functions of api_responses. */
struct json *responses_whole(struct turn *t);
void responses_open(struct turn *t, struct buf *out);
void responses_piece(struct turn *t, enum turn_part part, size_t call, struct str piece,
                     struct buf *out);
void responses_end(struct turn *t, struct buf *out);
void responses_broken(struct turn *t, int status, const char *message, struct buf *out);

#endif
