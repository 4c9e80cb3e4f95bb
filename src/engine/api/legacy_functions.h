/* SPDX-License-Identifier: Apache-2.0
 *
 * OpenAI's older form of tools: `functions` and `function_call` in requests, messages of the role
 * `function`, and one `function_call` in an answer. A request becomes one with tools, and what the
 * answer says of calls goes back to the older form. */
#ifndef ENGINE_API_LEGACY_FUNCTIONS_H
#define ENGINE_API_LEGACY_FUNCTIONS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"

/* Changes the body of a chat. *ret_used: the answer is wanted in the older form. Errors are
 * ERR_INVALID and name the field. */
int legacy_functions_translate(struct json *body, bool *ret_used, struct error *err);

/* A message or a delta with `tool_calls`: the first of them becomes its `function_call`. */
void legacy_functions_answer(struct json *message);

#endif
