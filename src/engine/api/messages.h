/* SPDX-License-Identifier: Apache-2.0
 *
 * The messages of a chat request: checked, and brought into the form that chat templates expect.
 *
 * - `role` is a string; `content` a string, null, or an array of parts, whose texts are joined with
 *   line breaks as llama-server does. Pictures have been taken out before (media.h); other kinds of
 *   parts are refused: no model here hears.
 * - The arguments of tool calls come as JSON text in OpenAI's form; templates made for Hugging
 *   Face's expect the value. MESSAGES_PARSE_ARGUMENTS turns text that is JSON into the value.
 * - Fields a template may know (name, tool_call_id, reasoning_content, …) pass through. */
#ifndef ENGINE_API_MESSAGES_H
#define ENGINE_API_MESSAGES_H

#include "base/error.h"
#include "base/json.h"

enum messages_flags {
    MESSAGES_PARSE_ARGUMENTS = 1,
    MESSAGES_EMPTY_CONTENT = 2, /* "" in place of null: what an assistant says that calls a tool */
};

enum { MESSAGES_MAX = 65536 };

/* A new array; the caller frees it. Errors name the place: "messages[2].role must be a string". */
int messages_normalise(const struct json *messages, unsigned flags, struct json **ret,
                       struct error *err);

#endif
