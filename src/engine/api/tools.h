/* SPDX-License-Identifier: Apache-2.0
 *
 * What a chat request says about tools: `tools`, `tool_choice`, `parallel_tool_calls`.
 *
 * tool_choice is "none", "auto" (also when there are tools and it is absent), "required", one
 * function, or OpenAI's {"type": "allowed_tools", "allowed_tools": {"mode": …, "tools": […]}}. */
#ifndef ENGINE_API_TOOLS_H
#define ENGINE_API_TOOLS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"

enum tool_choice { TOOLS_NONE, TOOLS_AUTO, TOOLS_REQUIRED };

enum { TOOLS_MAX = 1024, TOOL_NAME_MAX = 128, TOOLS_BYTES_MAX = 1 << 20 };

struct tool_wish {
    const struct json *tools; /* borrowed; what the model is shown. NULL = none */
    struct json *callable;    /* the tools that may be called */
    enum tool_choice choice;
    bool parallel; /* several calls in one answer */
    bool strict;   /* a callable one has "strict": true */
};

/* Errors name the place. Release in any case. */
int tool_wish_parse(const struct json *body, struct tool_wish *ret, struct error *err);
void tool_wish_release(struct tool_wish *w);

#endif
