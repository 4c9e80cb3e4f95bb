/* SPDX-License-Identifier: Apache-2.0
 *
 * Tools of a request, see tools.h. */
#include "engine/api/tools.h"

#include <string.h>

#include "base/buf.h"

/* A name that every family can write, and that cannot be taken for something else. */
static bool is_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!word && (c == 0 || !strchr("_-.:/", c)))
            return false;
    }
    return name.len > 0 && name.len <= TOOL_NAME_MAX;
}

static const struct json *find_tool(const struct json *tools, struct str name)
{
    for (size_t i = 0; i < js_len(tools); i++)
        if (str_eq(js_get_str(js_get(js_at(tools, i), "function"), "name"), name))
            return js_at(tools, i);
    return NULL;
}

static int check_tool(const struct json *tools, size_t i, struct error *err)
{
    const struct json *tool = js_at(tools, i), *function = js_get(tool, "function");
    const struct json *parameters = js_get(function, "parameters");
    struct str name = js_get_str(function, "name");
    if (!str_eq_c(js_get_str(tool, "type"), "function"))
        return error_set(err, ERR_INVALID, "tools[%zu].type must be 'function'", i);
    if (!name.ptr)
        return error_set(err, ERR_INVALID, "tools[%zu].function.name must be a string", i);
    if (!is_name(name))
        return error_set(err, ERR_INVALID,
                         "tools[%zu].function.name must be 1 to %d letters, digits, '_', '-', '.', "
                         "':' or '/'",
                         i, TOOL_NAME_MAX);
    if (!js_is(parameters, JS_NULL) && !js_is(parameters, JS_OBJECT))
        return error_set(err, ERR_INVALID,
                         "tools[%zu].function.parameters must be a JSON schema, not %s", i,
                         js_type_name(parameters));
    const struct json *strict = js_get(function, "strict");
    if (!js_is(strict, JS_NULL) && !js_is(strict, JS_BOOL))
        return error_set(err, ERR_INVALID, "tools[%zu].function.strict must be true or false", i);
    if (find_tool(tools, name) != tool)
        return error_set(err, ERR_INVALID, "tools[%zu]: there are two tools named '%.*s'", i,
                         STR_ARG(name));
    return 0;
}

static int check_tools(const struct json *tools, struct error *err)
{
    if (js_is(tools, JS_NULL))
        return 0;
    if (!js_is(tools, JS_ARRAY))
        return error_set(err, ERR_INVALID, "'tools' must be an array, not %s", js_type_name(tools));
    if (js_len(tools) > TOOLS_MAX)
        return error_set(err, ERR_INVALID, "'tools' has %zu tools, at most %d are possible",
                         js_len(tools), TOOLS_MAX);
    int r = 0;
    for (size_t i = 0; i < js_len(tools) && r == 0; i++)
        r = check_tool(tools, i, err);
    CLEANUP_BUF struct buf text = BUF_INIT(TOOLS_BYTES_MAX);
    js_write(tools, JS_COMPACT, &text);
    if (r == 0 && text.failed)
        r = error_set(err, ERR_INVALID, "'tools' has more than the %d KiB that are possible",
                      TOOLS_BYTES_MAX >> 10);
    return r;
}

/* {"type": "function", "function": {"name": …}} of a choice. */
static int allow(struct tool_wish *w, const struct json *choice, struct error *err)
{
    struct str name = js_get_str(js_get(choice, "function"), "name");
    const struct json *tool = name.ptr ? find_tool(w->tools, name) : NULL;
    if (!name.ptr)
        return error_set(err, ERR_INVALID, "'tool_choice' must name a function");
    if (!tool)
        return error_set(err, ERR_INVALID, "'tool_choice' names '%.*s', which is none of the tools",
                         STR_ARG(name));
    if (find_tool(w->callable, name))
        return error_set(err, ERR_INVALID, "'tool_choice' names '%.*s' twice", STR_ARG(name));
    js_push(w->callable, js_copy(tool));
    return 0;
}

static int parse_mode(struct str word, struct tool_wish *w, struct error *err)
{
    if (str_eq_c(word, "none"))
        w->choice = TOOLS_NONE;
    else if (str_eq_c(word, "auto"))
        w->choice = TOOLS_AUTO;
    else if (str_eq_c(word, "required"))
        w->choice = TOOLS_REQUIRED;
    else
        return error_set(err, ERR_INVALID,
                         "'tool_choice' must be 'none', 'auto', 'required' or an object");
    return 0;
}

static int parse_choice(const struct json *choice, struct tool_wish *w, struct error *err)
{
    struct str type = js_get_str(choice, "type");
    const struct json *allowed = js_get(choice, "allowed_tools");
    if (js_is(choice, JS_NULL))
        return 0;
    if (js_is(choice, JS_STRING))
        return parse_mode(js_to_str(choice), w, err);
    if (str_eq_c(type, "function")) {
        w->choice = TOOLS_REQUIRED;
        return allow(w, choice, err);
    }
    if (!str_eq_c(type, "allowed_tools") || !js_is(allowed, JS_OBJECT))
        return error_set(err, ERR_INVALID,
                         "'tool_choice' must be 'none', 'auto', 'required', a function, or of type "
                         "'allowed_tools'");
    int r = parse_mode(js_get_str(allowed, "mode"), w, err);
    const struct json *list = js_get(allowed, "tools");
    if (r == 0 && (!js_is(list, JS_ARRAY) || js_len(list) == 0))
        r = error_set(err, ERR_INVALID,
                      "'tool_choice.allowed_tools.tools' must be an array of at least one tool");
    for (size_t i = 0; i < js_len(list) && r == 0; i++)
        r = allow(w, js_at(list, i), err);
    return r;
}

int tool_wish_parse(const struct json *body, struct tool_wish *ret, struct error *err)
{
    const struct json *tools = js_get(body, "tools"), *choice = js_get(body, "tool_choice");
    *ret = (struct tool_wish){.choice = TOOLS_AUTO, .parallel = true, .callable = js_array()};
    int r = check_tools(tools, err);
    if (r == 0 && js_len(tools) > 0)
        ret->tools = tools;
    if (r == 0)
        r = js_want_bool(body, "parallel_tool_calls", &ret->parallel, err);
    if (r == 0)
        r = parse_choice(choice, ret, err);
    if (r == 0 && !ret->tools && ret->choice == TOOLS_REQUIRED)
        r = error_set(err, ERR_INVALID, "'tool_choice' wants a call, but there are no tools");
    if (r < 0)
        return r;
    if (!ret->tools || ret->choice == TOOLS_NONE) {
        ret->choice = TOOLS_NONE;
        ret->tools = NULL;
    }
    for (size_t i = 0; i < js_len(ret->tools) && js_len(ret->callable) < js_len(ret->tools); i++)
        if (js_is(choice, JS_NULL) || js_is(choice, JS_STRING))
            js_push(ret->callable, js_copy(js_at(ret->tools, i)));
    for (size_t i = 0; i < js_len(ret->callable); i++)
        ret->strict |= js_get_bool(js_get(js_at(ret->callable, i), "function"), "strict", false);
    return 0;
}

void tool_wish_release(struct tool_wish *w)
{
    js_free(w->callable);
    *w = (struct tool_wish){0};
}
