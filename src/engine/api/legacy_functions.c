/* SPDX-License-Identifier: Apache-2.0
 *
 * Functions as tools, see legacy_functions.h. */
#include "engine/api/legacy_functions.h"

#include <stdio.h>

/* {"type": "function", "function": …}; takes over. */
static struct json *wrap(struct json *function)
{
    struct json *tool = js_object();
    js_set_cstr(tool, "type", "function");
    js_set(tool, "function", function);
    return tool;
}

static int translate_functions(struct json *body, struct error *err)
{
    const struct json *functions = js_get(body, "functions");
    if (!js_is(functions, JS_ARRAY))
        return error_set(err, ERR_INVALID, "'functions' must be an array, not %s",
                         js_type_name(functions));
    if (!js_is(js_get(body, "tools"), JS_NULL))
        return error_set(err, ERR_INVALID, "only one of 'tools' and 'functions' can be given");
    struct json *tools = js_array();
    for (size_t i = 0; i < js_len(functions); i++)
        js_push(tools, wrap(js_copy(js_at(functions, i))));
    js_set(body, "tools", tools);
    js_del(body, "functions");
    return 0;
}

static int translate_choice(struct json *body, struct error *err)
{
    struct json *choice = js_get(body, "function_call");
    struct str word = js_to_str(choice);
    if (!js_is(js_get(body, "tool_choice"), JS_NULL))
        return error_set(err, ERR_INVALID,
                         "only one of 'tool_choice' and 'function_call' can be given");
    if (js_is(choice, JS_OBJECT))
        js_set(body, "tool_choice", wrap(js_ref(choice)));
    else if (str_eq_c(word, "none") || str_eq_c(word, "auto"))
        js_set_str(body, "tool_choice", word);
    else
        return error_set(err, ERR_INVALID,
                         "'function_call' must be 'none', 'auto' or {\"name\": …}");
    js_del(body, "function_call");
    return 0;
}

/* Calls get ids, by order: nine letters and digits, which is what Mistral's templates want. */
static void translate_messages(struct json *messages)
{
    char id[16] = "";
    unsigned n = 0;
    for (size_t i = 0; i < js_len(messages); i++) {
        struct json *m = js_at(messages, i), *call = js_get(m, "function_call");
        if (js_is(call, JS_OBJECT) && js_is(js_get(m, "tool_calls"), JS_NULL)) {
            struct json *calls = js_array(), *tool = wrap(js_ref(call));
            snprintf(id, sizeof(id), "call%05u", n++ % 100000);
            js_set_cstr(tool, "id", id);
            js_push(calls, tool);
            js_set(m, "tool_calls", calls);
            js_del(m, "function_call");
        } else if (str_eq_c(js_get_str(m, "role"), "function")) {
            js_set_cstr(m, "role", "tool");
            if (id[0] != '\0')
                js_set_cstr(m, "tool_call_id", id);
        }
    }
}

int legacy_functions_translate(struct json *body, bool *ret_used, struct error *err)
{
    *ret_used = !js_is(js_get(body, "functions"), JS_NULL);
    int r = *ret_used ? translate_functions(body, err) : 0;
    if (r == 0 && !js_is(js_get(body, "function_call"), JS_NULL))
        r = translate_choice(body, err);
    if (r < 0)
        return r;
    translate_messages(js_get(body, "messages"));
    if (*ret_used)
        js_set_bool(body, "parallel_tool_calls", false);
    return 0;
}

void legacy_functions_answer(struct json *message)
{
    struct json *function = js_get(js_at(js_get(message, "tool_calls"), 0), "function");
    if (!function)
        return;
    js_set(message, "function_call", js_ref(function));
    js_del(message, "tool_calls");
}
