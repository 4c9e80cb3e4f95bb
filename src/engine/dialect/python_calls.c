/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls that are read as a whole once their section has ended: Python's and Gemma's. */
#include <string.h>

#include "engine/dialect/literal.h"
#include "engine/dialect/parser_internal.h"

/* name(…) at the reader; `print(…)` around it and `.call` behind the name are taken along. */
static bool read_call(struct dialect_parser *p, struct literal_reader *r)
{
    literal_skip_space(r);
    bool printed = literal_take(r, "print(");
    struct str name = literal_name(r);
    if (str_ends_with(name, STR(".call")) && !parser_tool(p, name))
        name.len -= strlen(".call");
    parser_call_begin(p);
    buf_append(&p->name, name);
    if (!parser_call_named(p))
        return false;
    const struct json *schema = js_get(parser_tool(p, buf_str(&p->name)), "parameters");
    if (!literal_arguments(r, schema, &p->args))
        return false;
    literal_skip_space(r);
    return !printed || literal_take(r, ")");
}

/* Reads all calls; with `give` they are given, otherwise only looked at. */
static bool read_calls(struct dialect_parser *p, struct str text, bool give)
{
    struct literal_reader r = {.text = text};
    literal_skip_space(&r);
    bool list = literal_take(&r, "[");
    for (;;) {
        if (!read_call(p, &r) || (give && !parser_call_end(p)))
            return false;
        literal_skip_space(&r);
        while (literal_take(&r, ",") || literal_take(&r, ";"))
            literal_skip_space(&r);
        if (list && literal_take(&r, "]")) {
            literal_skip_space(&r);
            return r.at == text.len;
        }
        if (r.at == text.len)
            return !list;
    }
}

/* Gemma: the name is known, the arguments stand in braces. */
static bool read_braces(struct dialect_parser *p, struct str text)
{
    struct literal_reader r = {.text = text, .quote = str_from(p->d.calls->quote)};
    bool ok = literal_object(&r, &p->args);
    literal_skip_space(&r);
    return ok && r.at == text.len && parser_call_end(p);
}

bool parser_python(struct dialect_parser *p)
{
    const struct call_format *f = p->d.calls;
    size_t i, end = p->in.len, body_end = p->in.len;
    bool found = false;
    for (; !p->bare && !found && p->scan < p->in.len; p->scan++) {
        char c = p->in.data[p->scan];
        bool candidate = c == CONTROL_MARK;
        for (i = 0; i < CALL_FORMS && f->end[i]; i++)
            candidate |= c == f->end[i][0];
        if (!candidate)
            continue;
        enum look l = parser_look_any(p, p->scan, f->end, CALL_FORMS, &i, &end);
        if (l == LOOK_MORE)
            return false;
        found = l == LOOK_YES;
        if (found)
            body_end = p->scan;
    }
    if (!found && !p->ended) {
        p->scan = p->in.len;
        return false;
    }
    if (!found)
        end = p->in.len;
    CLEANUP_BUF struct buf text = BUF_INIT(p->in.max);
    parser_plain(p, p->at, body_end, &text);
    p->at = end;
    bool eager = p->eager;
    p->eager = false; /* there is nothing to stream any more, and the first look only looks */
    bool ok = f->style == CALLS_BRACES
                  ? read_braces(p, buf_str(&text))
                  : read_calls(p, buf_str(&text), false) && read_calls(p, buf_str(&text), true);
    p->eager = eager;
    return ok ? parser_section_end(p) : parser_call_fail(p);
}
