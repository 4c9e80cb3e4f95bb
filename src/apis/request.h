/* SPDX-License-Identifier: Apache-2.0
 *
 * What the translations of requests have in common: making OpenAI's messages, passing fields on. */
#ifndef APIS_REQUEST_H
#define APIS_REQUEST_H

#include "base/error.h"
#include "base/json.h"

/* Sets `to`.key_to to what `from` has under `key`, if it has something. */
void pass_on(const struct json *from, const char *key, struct json *to, const char *key_to);

/* {"role", "content"}; takes over content, NULL = null. */
struct json *chat_message(const char *role, struct json *content);

/* Parts of a message's content. */
struct json *text_part(struct str text);
struct json *image_part(struct str url);
/* data:TYPE;base64,DATA; the type is found in the data where media_type is empty. */
struct json *image_part_base64(struct str media_type, struct str data);

/* What a message with these parts has as content: a string where they are one text. Takes over the
 * array. */
struct json *content_of_parts(struct json *parts);

/* {"id", "type": "function", "function": {"name", "arguments"}} */
struct json *chat_call(struct str id, struct str name, struct str arguments);

/* {"type": "function", "function": {…}}; takes over parameters, NULL = none. */
struct json *chat_tool(struct str name, struct str description, struct json *parameters);

/* response_format for a JSON schema, which is taken over. */
struct json *schema_format(struct str name, struct json *schema);

#endif
