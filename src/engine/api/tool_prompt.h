/* SPDX-License-Identifier: Apache-2.0
 *
 * Tools for models whose chat template knows none: they are told in words what there is and how to
 * call it, in the form that most models have seen, and what was called before is shown in it.
 *
 *     <tool_call>
 *     {"name": "get_weather", "arguments": {"city": "Paris"}}
 *     </tool_call>
 *
 * A result is the user's: <tool_response>…</tool_response>. */
#ifndef ENGINE_API_TOOL_PROMPT_H
#define ENGINE_API_TOOL_PROMPT_H

#include <stdbool.h>

#include "base/json.h"

/* Changes normalised messages. The instruction is added to the system's message, or with `by_user`
 * to the first of the user, for templates that have no system. */
void tool_prompt_apply(struct json *messages, const struct json *tools, bool by_user);

#endif
