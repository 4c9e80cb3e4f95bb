/* SPDX-License-Identifier: Apache-2.0
 *
 * Tools for models whose chat template knows none: they are told in words what there is and how to
 * call it, in the form that most models have seen, and what was called before is shown in it.
 *
 *     <tool_call>
 *     {"name": "get_weather", "arguments": {"city": "Paris"}}
 *     </tool_call>
 *
 * A result is the user's: <tool_response>…</tool_response>.
 *
 * Where a template knows calls in its family's own form, but not the tools, what was called before,
 * or more than the first call of a message, that form is used. All functions change normalised
 * messages. */
#ifndef ENGINE_API_TOOL_PROMPT_H
#define ENGINE_API_TOOL_PROMPT_H

#include <stdbool.h>

#include "base/json.h"
#include "engine/dialect/dialect.h"

/* Says what there is and how the family calls it. It is added to the system's message, or with
 * `by_user` to the first of the user, for templates that have no system. */
void tool_prompt_instruct(struct json *messages, const struct json *tools,
                          const struct call_format *f, bool by_user);

/* Adds the calls of a message to its content, as the family writes them. */
void tool_prompt_write_calls(struct json *message, const struct call_format *f);

/* Results become the user's. */
void tool_prompt_write_results(struct json *messages);

/* Moves all calls but the first of the message at `at` to a new one behind the first one's result.
 */
void tool_prompt_split_calls(struct json *messages, size_t at);

#endif
