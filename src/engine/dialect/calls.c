/* SPDX-License-Identifier: Apache-2.0
 *
 * Sections of calls: JSON in any of its forms, heads followed by JSON or by parameters, and what is
 * common to all of them. */
#include <string.h>

#include "base/utf8.h"
#include "engine/dialect/parser_internal.h"
#include "engine/dialect/typed.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* ---- one call ---- */

const struct json *parser_tool(const struct dialect_parser *p, struct str name)
{
    for (size_t i = 0; i < js_len(p->tools); i++) {
        const struct json *f = js_get(js_at(p->tools, i), "function");
        if (str_eq(js_get_str(f, "name"), name))
            return f;
    }
    return NULL;
}

static const struct json *tool_parameters(const struct dialect_parser *p)
{
    return js_get(parser_tool(p, buf_str(&p->name)), "parameters");
}

void parser_call_begin(struct dialect_parser *p)
{
    buf_clear(&p->name);
    buf_clear(&p->id);
    buf_clear(&p->args);
    p->name_known = p->announced = false;
    p->args_given = 0;
    p->n_params = 0;
}

/* A name nobody would give a function shows that this is no call. */
static bool is_possible_name(struct str name)
{
    if (name.len == 0 || name.len > NAME_MAX_BYTES || !utf8_valid(name.ptr, name.len))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if ((unsigned char)name.ptr[i] <= ' ' || strchr("<>{}[]()\"'`,;", name.ptr[i]))
            return false;
    return true;
}

bool parser_call_named(struct dialect_parser *p)
{
    struct str name = str_trim(buf_str(&p->name));
    if (parser_tool(p, name)) {
        p->name_known = true;
    } else {
        bool must_know = p->bare || p->d.calls->flags & CALLS_KNOWN_NAMES;
        p->name_known = !must_know && is_possible_name(name);
    }
    if (p->name_known && name.len != p->name.len) {
        CLEANUP_BUF struct buf trimmed = BUF_INIT(NAME_MAX_BYTES);
        buf_append(&trimmed, name);
        buf_clear(&p->name);
        buf_append(&p->name, buf_str(&trimmed));
    }
    if (p->name_known)
        parser_call_grew(p);
    return p->name_known;
}

void parser_call_grew(struct dialect_parser *p)
{
    if (!p->eager || !p->name_known)
        return;
    if (!p->announced) {
        parser_part(p);
        parser_give_call(p);
        p->announced = true;
    }
    parser_give_arguments(p, str_sub(buf_str(&p->args), p->args_given, SIZE_MAX));
    p->args_given = p->args.len;
}

bool parser_take_arguments(struct dialect_parser *p, struct str json)
{
    CLEANUP_JSON struct json *v = NULL, *inner = NULL;
    if (js_parse(json, "arguments", &v, NULL) < 0)
        return false;
    if (js_is(v, JS_OBJECT)) {
        buf_append(&p->args, json);
    } else if (js_is(v, JS_NULL)) {
        buf_append(&p->args, STR("{}"));
    } else { /* JSON within a string */
        struct str text = js_to_str(v);
        if (!text.ptr || js_parse(text, "arguments", &inner, NULL) < 0 || !js_is(inner, JS_OBJECT))
            return false;
        buf_append(&p->args, str_trim(text));
    }
    return true;
}

bool parser_call_end(struct dialect_parser *p)
{
    if (!p->name_known)
        return false;
    if (p->args.len == 0)
        buf_append(&p->args, STR("{}"));
    if (!p->announced) {
        CLEANUP_JSON struct json *v = NULL;
        if (js_parse(buf_str(&p->args), "arguments", &v, NULL) < 0 || !js_is(v, JS_OBJECT))
            return false;
        parser_part(p);
        parser_give_call(p);
    }
    parser_give_arguments(p, str_sub(buf_str(&p->args), p->args_given, SIZE_MAX));
    p->n_calls++;
    p->raw_from = p->at;
    return true;
}

/* ---- sections ---- */

static bool code_waits(struct dialect_parser *p);

/* The tool that takes code, if the request has one. */
static const char *code_tool(const struct dialect_parser *p)
{
    static const char *const names[] = {"python", "code_interpreter", "ipython"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (parser_tool(p, str_from(names[i])))
            return names[i];
    return NULL;
}

static void leave_section(struct dialect_parser *p)
{
    p->raw_from = SIZE_MAX;
    p->bare = p->in_list = p->fresh = p->code_section = false;
}

bool parser_call_fail(struct dialect_parser *p)
{
    if (p->code_section && !p->announced && code_tool(p)) {
        p->state = code_waits; /* up to the end of the answer */
        return true;
    }
    /* A bare JSON that is no call is an answer; what follows a mark is shown with it. */
    CLEANUP_BUF struct buf raw = BUF_INIT(p->in.max);
    parser_plain(p, MIN(p->raw_from, p->at), p->at, &raw);
    if (p->announced) /* its beginning is out already */
        buf_clear(&raw);
    else if (p->n_calls == 0 && !p->bare)
        p->trim = false;
    if (p->announced)
        p->n_calls++;
    p->announced = false;
    leave_section(p);
    p->at_start = false;
    p->trailing = p->n_calls > 0;
    p->state = parser_content;
    parser_say(p, DELTA_CONTENT, buf_str(&raw));
    return true;
}

/* Neither a call nor the section's end: no section at all if nothing was called, else it is over,
 * and its end may still come behind this text. */
static bool section_broken_off(struct dialect_parser *p)
{
    if (p->fresh)
        return parser_call_fail(p);
    leave_section(p);
    parser_part(p);
    p->trailing = true;
    p->at_start = false;
    p->state = parser_content;
    return true;
}

bool parser_section_end(struct dialect_parser *p)
{
    leave_section(p);
    parser_part(p);
    p->at_start = true;
    p->state = parser_start;
    return true;
}

bool parser_section_begin(struct dialect_parser *p, size_t mark_from, const char *mark)
{
    p->raw_from = mark_from;
    p->bare = p->in_list = p->trailing = false;
    p->fresh = true;
    p->code_section = p->d.calls->flags & CALLS_CODE && strstr(mark, "python_");
    p->announced = false;
    p->state = parser_section;
    return true;
}

bool parser_section_bare(struct dialect_parser *p)
{
    p->raw_from = p->at;
    p->bare = true;
    p->in_list = p->trailing = p->announced = false;
    p->fresh = true;
    p->state = parser_section;
    return true;
}

/* Nothing more comes and the section is not whole: what is not given yet is no call. */
static bool section_cut(struct dialect_parser *p)
{
    return p->ended ? parser_call_fail(p) : false;
}

/* Behind a section's opening: JSON, or what the family writes? */
bool parser_section(struct dialect_parser *p)
{
    size_t at = p->at;
    while (at < p->in.len && is_space(p->in.data[at]))
        at++;
    char first = at < p->in.len ? p->in.data[at] : '\0';
    if (first == '[' && p->d.calls->style == CALLS_PYTHON) {
        do
            at++;
        while (at < p->in.len && is_space(p->in.data[at]));
    }
    if (at == p->in.len && !p->ended)
        return false;
    char inner = at < p->in.len ? p->in.data[at] : '\0';
    bool json =
        first == '{' || (first == '[' && (p->d.calls->style != CALLS_PYTHON || inner == '{'));
    p->scan = p->at;
    if (json)
        p->state = parser_json_gap;
    else if (p->d.calls->style == CALLS_PYTHON ||
             (p->code_section && p->d.calls->style == CALLS_JSON))
        p->state = parser_python;
    else
        p->state = parser_heads;
    return true;
}

static bool code_waits(struct dialect_parser *p)
{
    p->at = p->in.len;
    if (!p->ended)
        return false;
    CLEANUP_BUF struct buf code = BUF_INIT(p->in.max);
    parser_plain(p, p->raw_from, p->in.len, &code);
    const struct call_format *f = p->d.calls;
    struct str text = buf_str(&code);
    for (size_t i = 0; i < CALL_FORMS; i++)
        if (f->begin[i] && str_starts_with(text, str_from(f->begin[i])))
            text = str_sub(text, strlen(f->begin[i]), SIZE_MAX);
    parser_call_begin(p);
    buf_append_c(&p->name, code_tool(p));
    buf_append(&p->args, STR("{\"code\":"));
    js_write_string(str_trim(text), &p->args);
    buf_push(&p->args, '}');
    p->code_section = false;
    p->name_known = true;
    if (!parser_call_end(p))
        return parser_call_fail(p);
    return parser_section_end(p);
}

/* ---- JSON calls ---- */

static bool json_call(struct dialect_parser *p)
{
    while (p->at < p->in.len) {
        char c = p->in.data[p->at];
        if (c == CONTROL_MARK && json_scan_in_string(&p->object.scan)) {
            p->at++; /* a token within a string is its text */
            continue;
        }
        switch (call_object_byte(p, (unsigned char)c)) {
        case JSON_MORE:
            p->at++;
            continue;
        case JSON_DONE:
            p->at++;
            if (!parser_call_end(p))
                return parser_call_fail(p);
            p->fresh = false;
            p->state = parser_json_gap;
            return true;
        default:
            return parser_call_fail(p);
        }
    }
    return section_cut(p);
}

/* Between the calls of a section. */
bool parser_json_gap(struct dialect_parser *p)
{
    size_t i, end;
    parser_skip_space(p);
    if (p->at == p->in.len) {
        if (!p->ended)
            return false;
        return p->fresh ? parser_call_fail(p) : parser_section_end(p);
    }
    char c = p->in.data[p->at];
    if (!p->fresh) { /* a call was read: the section may end */
        if (c == ']' && p->in_list) {
            p->at++;
            p->in_list = false;
            return true;
        }
        enum look l =
            p->bare ? LOOK_NO : parser_look_any(p, p->at, p->d.calls->end, CALL_FORMS, &i, &end);
        if (l == LOOK_MORE)
            return false;
        if (l == LOOK_YES) {
            p->at = end;
            return parser_section_end(p);
        }
        if (c == ',' || c == ';') { /* only if a call follows */
            size_t next = p->at + 1;
            while (next < p->in.len && is_space(p->in.data[next]))
                next++;
            if (next == p->in.len && !p->ended)
                return false;
            if (next < p->in.len && p->in.data[next] == '{') {
                p->at = next;
                return true;
            }
        }
    } else if (c == '[' && !p->in_list) {
        p->at++;
        p->in_list = true;
        return true;
    }
    if (c == '{') {
        parser_call_begin(p);
        call_object_begin(p);
        p->state = json_call;
        return true;
    }
    return section_broken_off(p);
}

/* ---- heads ---- */

static bool is_name_byte(char c)
{
    return (unsigned char)c > ' ' && c != CONTROL_MARK && !strchr("<>{}[]()\"'`,;|", c);
}

static void set(struct buf *b, struct str text)
{
    buf_clear(b);
    buf_append(b, text);
}

/* "functions.get_weather:0" → its parts. */
static void set_kimi_id(struct dialect_parser *p, struct str id)
{
    set(&p->id, id);
    struct str name = id;
    if (str_starts_with(name, STR("functions.")))
        name = str_sub(name, strlen("functions."), SIZE_MAX);
    ptrdiff_t colon = str_rfind_char(name, ':');
    set(&p->name, colon >= 0 ? str_sub(name, 0, (size_t)colon) : name);
}

/* Does the head come at `at`? Fills name and id. */
static enum look look_head(struct dialect_parser *p, const char *head, size_t at, size_t *ret_end)
{
    while (*head != '\0') {
        if (*head != '%') {
            size_t n = strcspn(head, "%");
            enum look l = parser_look(p, at, str_make(head, n), true, &at);
            if (l != LOOK_YES)
                return l;
            head += n;
            continue;
        }
        size_t from = at;
        while (at < p->in.len && is_name_byte(p->in.data[at]) && at - from <= NAME_MAX_BYTES)
            at++;
        if (at == p->in.len && !p->ended)
            return LOOK_MORE;
        struct str text = str_sub(buf_str(&p->in), from, at - from);
        if (text.len == 0 || text.len > NAME_MAX_BYTES)
            return LOOK_NO;
        if (head[1] == 'n')
            set(&p->name, text);
        else if (head[1] == 'i')
            set(&p->id, text);
        else if (head[1] == 'k')
            set_kimi_id(p, text);
        head += 2;
    }
    *ret_end = at;
    return LOOK_YES;
}

static bool headed_json(struct dialect_parser *p);
static bool params(struct dialect_parser *p);

/* The call's head was read. */
static bool enter_call(struct dialect_parser *p)
{
    const struct call_format *f = p->d.calls;
    if (f->content_name && str_eq_c(buf_str(&p->name), f->content_name)) {
        leave_section(p);
        parser_part(p);
        p->at_start = false;
        p->state = parser_content;
        return true;
    }
    if (!parser_call_named(p))
        return parser_call_fail(p);
    p->object.scan = JSON_SCAN_INIT;
    buf_clear(&p->object.text);
    p->scan = p->at;
    if (f->style == CALLS_BRACES)
        p->state = parser_python;
    else
        p->state = f->style == CALLS_PARAMS ? params : headed_json;
    return true;
}

/* Where a call, the next one, or the section's end may come. */
bool parser_heads(struct dialect_parser *p)
{
    const struct call_format *f = p->d.calls;
    size_t i, end;
    parser_skip_space(p);
    if (p->at == p->in.len) {
        if (!p->ended)
            return false;
        return p->fresh ? parser_call_fail(p) : parser_section_end(p);
    }
    enum look more = LOOK_NO, l;
    if (!p->fresh) {
        l = parser_look_any(p, p->at, f->end, CALL_FORMS, &i, &end);
        if (l == LOOK_YES) {
            p->at = end;
            return parser_section_end(p);
        }
        more = MAX(more, l == LOOK_MORE ? LOOK_MORE : LOOK_NO);
    }
    parser_call_begin(p);
    for (i = 0; i < CALL_FORMS && f->head[i]; i++) {
        if (!p->fresh && f->head[i][0] == '%')
            continue; /* only a section's opening goes in front of it */
        l = look_head(p, f->head[i], p->at, &end);
        if (l == LOOK_YES) {
            p->at = end;
            return enter_call(p);
        }
        if (l == LOOK_MORE) { /* the first that fits counts */
            more = l;
            break;
        }
    }
    if (!p->fresh && more != LOOK_MORE) { /* the opening once more */
        l = parser_look_any(p, p->at, f->begin, CALL_FORMS, &i, &end);
        if (l == LOOK_YES) {
            size_t from = p->at;
            p->at = end;
            return parser_section_begin(p, from, f->begin[i]);
        }
        more = MAX(more, l == LOOK_MORE ? LOOK_MORE : LOOK_NO);
    }
    if (more == LOOK_MORE)
        return false;
    return section_broken_off(p);
}

/* Behind a call: what closes it. */
static bool closing(struct dialect_parser *p)
{
    size_t i, end;
    parser_skip_space(p);
    switch (parser_look_any(p, p->at, p->d.calls->close, CALL_FORMS, &i, &end)) {
    case LOOK_YES:
        p->at = p->raw_from = end;
        return true;
    case LOOK_MORE:
        return false;
    default:
        p->state = parser_heads;
        return true;
    }
}

static bool headed_end(struct dialect_parser *p)
{
    if (!parser_call_end(p))
        return parser_call_fail(p);
    p->fresh = false;
    p->state = closing;
    return true;
}

/* The arguments as JSON; an object, or nothing at all. */
static bool headed_json(struct dialect_parser *p)
{
    size_t i, end;
    struct json_scan *s = &p->object.scan;
    while (p->at < p->in.len) {
        char c = p->in.data[p->at];
        if (p->args.len == 0 && !is_space(c) && c != '{') {
            enum look l = parser_look_any(p, p->at, p->d.calls->close, CALL_FORMS, &i, &end);
            if (l == LOOK_NO)
                l = parser_look_any(p, p->at, p->d.calls->end, CALL_FORMS, &i, &end);
            if (l == LOOK_MORE)
                return false;
            return l == LOOK_YES ? headed_end(p) : parser_call_fail(p);
        }
        bool in_string = json_scan_in_string(s);
        if ((c == CONTROL_MARK && in_string) || (p->args.len == 0 && is_space(c))) {
            p->at++;
            continue;
        }
        enum json_step step = json_scan_byte(s, (unsigned char)c);
        if (step == JSON_BAD)
            return parser_call_fail(p);
        p->at++;
        json_scan_put(in_string, (unsigned char)c, &p->args);
        if (step == JSON_DONE)
            return headed_end(p);
    }
    parser_call_grew(p);
    if (p->ended && p->args.len == 0 && p->d.calls->close[0] == NULL)
        return headed_end(p);
    return section_cut(p);
}

/* ---- parameters ---- */

static bool param_value(struct dialect_parser *p);

static void params_done(struct dialect_parser *p)
{
    if (p->n_params > 0)
        buf_push(&p->args, '}');
}

/* The key, up to what ends it; then the value begins. */
static bool param_key(struct dialect_parser *p)
{
    const struct call_format *f = p->d.calls;
    for (; p->scan < p->in.len; p->scan++) {
        for (size_t k = 0; k < 2 && f->key_end[k]; k++) {
            size_t end;
            enum look l = parser_look(p, p->scan, str_from(f->key_end[k]), true, &end);
            if (l == LOOK_MORE)
                return false;
            if (l != LOOK_YES)
                continue;
            buf_clear(&p->key_text);
            parser_plain(p, p->at, p->scan, &p->key_text);
            p->key = str_trim(buf_str(&p->key_text));
            p->at = p->value_from = p->scan = end;
            p->value_is_text =
                f->flags & CALLS_TYPED ? k == 0 : typed_is_string(tool_parameters(p), p->key);
            p->value_is_open = false;
            buf_append_c(&p->args, p->n_params++ > 0 ? ", " : "{");
            js_write_string(p->key, &p->args);
            buf_append(&p->args, STR(": "));
            p->state = param_value;
            return p->key.len > 0 ? true : parser_call_fail(p);
        }
        if (p->scan - p->at > HEAD_MAX || p->in.data[p->scan] == '\n')
            return parser_call_fail(p);
    }
    return section_cut(p);
}

static bool params(struct dialect_parser *p)
{
    const struct call_format *f = p->d.calls;
    size_t i, end;
    parser_skip_space(p);
    if (p->at == p->in.len)
        return section_cut(p);
    enum look l = parser_look(p, p->at, str_from(f->param), false, &end), more = l;
    if (l == LOOK_YES) {
        p->at = p->scan = end;
        p->state = param_key;
        return true;
    }
    l = parser_look_any(p, p->at, f->close[0] ? f->close : f->end, CALL_FORMS, &i, &end);
    if (l == LOOK_YES) {
        if (f->close[0])
            p->at = end;
        params_done(p);
        return headed_end(p);
    }
    if (l == LOOK_MORE || more == LOOK_MORE)
        return false;
    return parser_call_fail(p);
}

/* Puts in[value_from..to) into the arguments; a text that stays open is only its beginning. */
static void put_value(struct dialect_parser *p, size_t to, bool is_end)
{
    CLEANUP_BUF struct buf text = BUF_INIT(p->in.max), json = BUF_INIT(2 * p->in.max);
    parser_plain(p, p->value_from, to, &text);
    struct str value = buf_str(&text);
    bool first = !p->value_is_open;
    if (first && p->d.calls->flags & CALLS_LINES && value.len > 0 && value.ptr[0] == '\n')
        value = str_sub(value, 1, SIZE_MAX);
    if (str_starts_with(value, STR("<![CDATA[")) && str_ends_with(value, STR("]]>")) && is_end &&
        first)
        value = str_sub(value, 9, value.len - 12);
    if (p->d.calls->flags & CALLS_TYPED && !p->value_is_text) {
        CLEANUP_JSON struct json *v = NULL;
        if (js_parse(value, "a value", &v, NULL) == 0)
            buf_append(&p->args, str_trim(value));
        else
            js_write_string(value, &p->args);
        return;
    }
    if (!p->value_is_text) {
        typed_value(tool_parameters(p), p->key, value, &p->args);
        return;
    }
    js_write_string(value, &json);
    struct str literal = buf_str(&json);
    if (!first)
        literal = str_sub(literal, 1, SIZE_MAX);
    if (!is_end)
        literal = str_sub(literal, 0, literal.len - 1);
    buf_append(&p->args, literal);
    p->value_is_open = true;
    p->value_from = to;
}

/* Does the value end at p->scan? LOOK_YES: *ret_end is behind what ended it. */
static enum look value_end(const struct dialect_parser *p, size_t *ret_end)
{
    const struct call_format *f = p->d.calls;
    size_t at = p->scan, end;
    bool lines = f->flags & CALLS_LINES;
    if (lines && p->in.data[at] == '\n' && ++at == p->in.len)
        return p->ended ? LOOK_NO : LOOK_MORE;
    enum look l = parser_look(p, at, str_from(f->param_end), false, ret_end), more = l;
    if (l == LOOK_YES || !lines || at == p->scan)
        return l;
    /* Models forget to close: the next parameter or the call's end, on a line of its own. */
    const char *const others[] = {f->param, f->close[0]};
    size_t i;
    l = parser_look_any(p, at, others, 2, &i, &end);
    *ret_end = at;
    return more == LOOK_MORE && l == LOOK_NO ? more : l;
}

static bool param_value(struct dialect_parser *p)
{
    const char first = p->d.calls->param_end[0];
    for (; p->scan < p->in.len; p->scan++) {
        char c = p->in.data[p->scan];
        if (c != first && c != CONTROL_MARK && !(c == '\n' && p->d.calls->flags & CALLS_LINES))
            continue;
        size_t end;
        enum look l = value_end(p, &end);
        if (l == LOOK_MORE)
            break;
        if (l == LOOK_NO)
            continue;
        put_value(p, p->scan, true);
        parser_call_grew(p);
        p->at = p->scan = end;
        p->state = params;
        return true;
    }
    bool cdata = p->scan > p->value_from && p->in.data[p->value_from] == '<';
    if (p->eager && p->value_is_text && (p->value_is_open || !cdata) &&
        p->scan > p->value_from + 1) { /* one byte more than a line break */
        put_value(p, p->scan, false);
        parser_call_grew(p);
        p->at = p->value_from;
    }
    if (p->ended)
        p->at = p->in.len;
    return p->scan == p->in.len || p->ended ? section_cut(p) : false;
}
