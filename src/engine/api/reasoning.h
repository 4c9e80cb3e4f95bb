/* SPDX-License-Identifier: Apache-2.0
 *
 * A request's wishes about reasoning, in all the words that clients have for them, and what they
 * mean to a model: variables of its chat template, and a limit.
 *
 *     field                                           on/off   effort   limit in tokens
 *     reasoning_effort: "none", "minimal", "low", …   none     yes
 *     reasoning: {"effort", "max_tokens", "enabled"}  yes      yes      yes
 *     thinking: {"type": "enabled", "budget_tokens"}  yes               yes
 *     thinking_budget_tokens, reasoning_budget        0                 yes, -1 = none
 *     chat_template_kwargs: {"enable_thinking": …}    yes
 *
 * chat_template_kwargs count before everything that is derived here. */
#ifndef ENGINE_API_REASONING_H
#define ENGINE_API_REASONING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"

struct reasoning_wish {
    enum { REASONING_DEFAULT, REASONING_OFF, REASONING_ON } on;
    const char *effort; /* "minimal", "low", "medium", "high", "xhigh"; NULL = not said */
    int64_t budget;     /* tokens; -1 = no limit */
    bool keep;          /* reasoning_format "none": it stays in the content */
};

int reasoning_wish_parse(const struct json *body, struct reasoning_wish *ret, struct error *err);

/* Sets the variables by which templates know these wishes, in `kwargs`, an object; those that it
 * has stay. A template that does not know one does not look at it. */
void reasoning_set_variables(const struct reasoning_wish *w, struct json *kwargs);

#endif
