/* SPDX-License-Identifier: Apache-2.0
 *
 * A call as a JSON object: {"name": …, "arguments": {…}} under the names that families use, in any
 * order, also within {"type": "function", "function": {…}}. The arguments go on as they are read.
 * An id among the keys is not used: it may come too late, and models number their calls anew in
 * each answer. */
#include "engine/dialect/parser_internal.h"

enum { KEY_MAX = 1024 };

void call_object_begin(struct dialect_parser *p)
{
    struct call_object *o = &p->object;
    o->scan = JSON_SCAN_INIT;
    o->base = 1;
    o->field = FIELD_NONE;
    o->in_value = o->direct = false;
    buf_clear(&o->text);
}

static enum call_field field_of(struct str key)
{
    static const struct {
        const char *key;
        enum call_field field;
    } keys[] = {
        {"name", FIELD_NAME},       {"tool_name", FIELD_NAME},    {"arguments", FIELD_ARGS},
        {"parameters", FIELD_ARGS}, {"function", FIELD_FUNCTION},
    };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (str_eq_c(key, keys[i].key))
            return keys[i].field;
    return FIELD_OTHER;
}

/* The text is a JSON string: its content. */
static bool take_string(struct call_object *o, struct buf *out)
{
    CLEANUP_JSON struct json *v = NULL;
    if (js_parse(buf_str(&o->text), "a string", &v, NULL) < 0 || !js_to_str(v).ptr)
        return false;
    buf_clear(out);
    buf_append(out, js_to_str(v));
    return true;
}

static bool key_done(struct dialect_parser *p)
{
    struct call_object *o = &p->object;
    CLEANUP_BUF struct buf key = BUF_INIT(KEY_MAX * 2);
    if (!take_string(o, &key))
        return false;
    if (p->d.calls->flags & CALLS_NAME_IS_KEY && o->base == 1) {
        if (p->name_known)
            return false;
        buf_append(&p->name, buf_str(&key));
        o->field = FIELD_ARGS;
        return parser_call_named(p);
    }
    o->field = field_of(buf_str(&key));
    /* Without a mark, an object with other keys is somebody's answer. */
    struct str k = buf_str(&key);
    return !(p->bare && o->field == FIELD_OTHER && !str_eq_c(k, "type") && !str_eq_c(k, "id"));
}

static bool value_done(struct dialect_parser *p)
{
    struct call_object *o = &p->object;
    o->in_value = false;
    switch (o->field) {
    case FIELD_NAME:
    case FIELD_FUNCTION:
        return take_string(o, &p->name) && parser_call_named(p);
    case FIELD_ARGS:
        return o->direct || parser_take_arguments(p, buf_str(&o->text));
    default:
        return true;
    }
}

static bool value_begins(struct dialect_parser *p, unsigned char c)
{
    struct call_object *o = &p->object;
    buf_clear(&o->text);
    if (o->field == FIELD_FUNCTION && c == '{') {
        o->base++;
        return true;
    }
    o->in_value = true;
    o->direct = o->field == FIELD_ARGS && c == '{';
    return !(o->field == FIELD_ARGS && p->args.len > 0); /* twice */
}

enum json_step call_object_byte(struct dialect_parser *p, unsigned char c)
{
    struct call_object *o = &p->object;
    struct json_scan *s = &o->scan;
    const enum json_phase before = s->phase;
    const uint32_t depth = s->depth;
    const bool in_string = json_scan_in_string(s);
    const bool in_key = depth == o->base && in_string && s->string_is_key;
    enum json_step step = json_scan_byte(s, c);
    if (step == JSON_BAD || (depth == 0 && c != '{' && step == JSON_MORE && s->depth == 0))
        return JSON_BAD;

    bool wants_key = before == JSON_WANT_KEY || before == JSON_WANT_KEY_OR_END;
    if (depth == o->base && wants_key && s->phase == JSON_IN_STRING)
        buf_clear(&o->text);
    if (in_key || (depth == o->base && wants_key && s->phase == JSON_IN_STRING)) {
        json_scan_put(in_string, c, &o->text);
        if (o->text.len > KEY_MAX || (s->phase == JSON_WANT_COLON && !key_done(p)))
            return JSON_BAD;
        return step;
    }
    if (depth == o->base && before == JSON_WANT_VALUE && s->phase != JSON_WANT_VALUE &&
        !value_begins(p, c))
        return JSON_BAD;
    if (o->in_value) {
        /* A number ends in front of what follows it. */
        bool ended_before =
            before == JSON_IN_NUMBER && depth == o->base && s->phase != JSON_IN_NUMBER;
        bool ended = depth >= o->base && s->depth == o->base && s->phase == JSON_AFTER_VALUE;
        if (!ended_before)
            json_scan_put(in_string, c, o->direct ? &p->args : &o->text);
        if ((ended || ended_before) && !value_done(p))
            return JSON_BAD;
        if (o->direct)
            parser_call_grew(p);
    }
    if (o->base == 2 && s->depth < 2) {
        o->base = 1;
        o->field = FIELD_NONE;
    }
    return step;
}
