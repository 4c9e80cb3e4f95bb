/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls as text, see call_writer.h. */
#include "engine/dialect/call_writer.h"

#include <string.h>

/* ---- arguments ---- */

static void write_arguments(const struct json *arguments, struct buf *out)
{
    if (js_is(arguments, JS_STRING))
        buf_append(out, js_to_str(arguments));
    else if (js_is(arguments, JS_NULL))
        buf_append(out, STR("{}"));
    else
        js_write(arguments, JS_COMPACT, out);
}

static void write_python(const struct json *v, struct buf *out)
{
    struct json_iter it = {0};
    size_t n = 0;
    switch (js_type(v)) {
    case JS_NULL:
        buf_append(out, STR("None"));
        break;
    case JS_BOOL:
        buf_append_c(out, js_to_bool(v, false) ? "True" : "False");
        break;
    case JS_ARRAY:
        buf_push(out, '[');
        for (size_t i = 0; i < js_len(v); i++) {
            buf_append_c(out, i > 0 ? ", " : "");
            write_python(js_at(v, i), out);
        }
        buf_push(out, ']');
        break;
    case JS_OBJECT:
        buf_push(out, '{');
        while (js_next(v, &it)) {
            buf_append_c(out, n++ > 0 ? ", " : "");
            js_write_string(it.key, out);
            buf_append(out, STR(": "));
            write_python(it.value, out);
        }
        buf_push(out, '}');
        break;
    default:
        js_write(v, JS_COMPACT, out);
        break;
    }
}

static void write_python_arguments(struct json *arguments, struct buf *out)
{
    CLEANUP_JSON struct json *parsed = NULL;
    if (!js_is(arguments, JS_STRING))
        parsed = js_ref(arguments);
    else if (js_parse(js_to_str(arguments), "arguments", &parsed, NULL) < 0)
        return;
    struct json_iter it = {0};
    size_t n = 0;
    while (js_next(parsed, &it)) {
        buf_append_c(out, n++ > 0 ? ", " : "");
        buf_append(out, it.key);
        buf_push(out, '=');
        write_python(it.value, out);
    }
}

/* ---- one call ---- */

static struct str name_of(const struct json *call)
{
    return js_get_str(js_get(call, "function"), "name");
}

static struct json *arguments_of(const struct json *call)
{
    return js_get(js_get(call, "function"), "arguments");
}

static void write_json_call(const struct call_format *f, const struct json *call, struct buf *out)
{
    buf_push(out, '{');
    if (!(f->flags & CALLS_NAME_IS_KEY)) {
        js_write_string(str_from(f->name_key ? f->name_key : "name"), out);
        buf_append(out, STR(": "));
    }
    js_write_string(name_of(call), out);
    if (!(f->flags & CALLS_NAME_IS_KEY)) {
        buf_append(out, STR(", "));
        js_write_string(str_from(f->args_key ? f->args_key : "arguments"), out);
    }
    buf_append(out, STR(": "));
    write_arguments(arguments_of(call), out);
    buf_push(out, '}');
}

static void write_headed_call(const struct call_format *f, const struct json *call, size_t at,
                              struct buf *out)
{
    const char *form = f->head[0];
    while (*form) {
        size_t n = strcspn(form, "%");
        buf_append(out, str_make(form, n));
        form += n;
        if (!*form)
            break;
        if (form[1] == 'n')
            buf_append(out, name_of(call));
        else if (form[1] == 'k')
            buf_printf(out, "functions.%.*s:%zu", STR_ARG(name_of(call)), at);
        else
            buf_append(out, js_get_str(call, "id"));
        form += 2;
    }
    write_arguments(arguments_of(call), out);
    if (strstr(f->head[0], "```"))
        buf_append(out, STR("\n```"));
    buf_append_c(out, f->close[0] ? f->close[0] : "");
}

static void write_python_call(const struct json *call, struct buf *out)
{
    buf_append(out, name_of(call));
    buf_push(out, '(');
    write_python_arguments(arguments_of(call), out);
    buf_push(out, ')');
}

/* ---- sections ---- */

void calls_write(const struct call_format *f, const struct json *calls, struct buf *out)
{
    if (f->style == CALLS_HARMONY) /* its calls are messages, which no text stands for */
        f = dialect_call_format(STR("generic"));
    bool headed = f->style == CALLS_HEADED, python = f->style == CALLS_PYTHON;
    bool list = python || f->flags & CALLS_LIST;
    bool one_section = list || (headed && f->close[0] && f->end[0]);
    const char *begin = f->flags & (CALLS_BARE | CALLS_OPEN) ? "" : f->begin[0], *end = f->end[0];
    /* Where sections have no end, `between` begins the next one. */
    const char *between = f->between && strcmp(f->between, begin) != 0 ? f->between : "";
    const char *line = !list && !headed && end ? "\n" : "";
    if (f->flags & CALLS_BARE || !end)
        end = "";
    buf_append_c(out, one_section ? begin : "");
    buf_append_c(out, list ? "[" : "");
    for (size_t i = 0; i < js_len(calls); i++) {
        const struct json *call = js_at(calls, i);
        buf_append_c(out, i == 0 ? "" : list ? ", " : between);
        if (!one_section) {
            buf_append_c(out, begin);
            buf_append_c(out, line);
        }
        if (headed)
            write_headed_call(f, call, i, out);
        else if (python)
            write_python_call(call, out);
        else
            write_json_call(f, call, out);
        if (!one_section) {
            buf_append_c(out, line);
            buf_append_c(out, end);
        }
    }
    buf_append_c(out, list ? "]" : "");
    buf_append_c(out, one_section ? end : "");
}
