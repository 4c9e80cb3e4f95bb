/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls as grammars, see call_grammar.h. */
#include "engine/api/call_grammar.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { ITEMS_MAX = 16, CALLS_AT_MOST = 32, WHAT_MAX = 192, PARAMS_MAX = 512, FIELDS_MAX = 32 };

/* A sequence under way. */
struct series {
    struct grammar_builder *b;
    gexpr items[ITEMS_MAX];
    size_t n;
};

static void add(struct series *s, gexpr e)
{
    if (s->n == ITEMS_MAX) { /* what there is becomes one item */
        s->items[0] = gexpr_seq(s->b, s->items, s->n);
        s->n = 1;
    }
    s->items[s->n++] = e;
}

static gexpr finish(struct series *s)
{
    return gexpr_seq(s->b, s->items, s->n);
}

static gexpr literal(struct grammar_builder *b, const char *text)
{
    return gexpr_literal(b, str_from(text));
}

/* ---- marks ---- */

/* Bytes of the first token-like part of a mark, or of the text in front of it. */
static size_t part_length(const char *mark, bool *ret_token)
{
    static const struct {
        const char *open, *close;
    } brackets[] = {{"<|", "|>"}, {"<｜", "｜>"}};
    size_t text = strlen(mark);
    for (size_t i = 0; i < ARRAY_LEN(brackets); i++) {
        const char *at = strstr(mark, brackets[i].open);
        const char *end = at ? strstr(at + strlen(brackets[i].open), brackets[i].close) : NULL;
        if (end && at == mark) {
            *ret_token = true;
            return (size_t)(end - mark) + strlen(brackets[i].close);
        }
        if (end)
            text = MIN(text, (size_t)(at - mark));
    }
    *ret_token = false;
    return text;
}

/* A mark without such parts, but in brackets, is one token, if the vocabulary has it. */
static bool is_one_token(const char *mark)
{
    bool token;
    return part_length(mark, &token) == strlen(mark) && (token || *mark == '<' || *mark == '[');
}

static gexpr mark_from(struct grammar_builder *b, const char *mark)
{
    struct series s = {.b = b};
    const char *line = strchr(mark, '\n');
    if (line && line > mark && (*mark == '<' || *mark == '[')) { /* tokens on several lines */
        CLEANUP_FREE char *first = str_dup(str_make(mark, (size_t)(line - mark)));
        const gexpr parts[] = {mark_from(b, first), literal(b, "\n"), mark_from(b, line + 1)};
        return gexpr_seq(b, parts, 3);
    }
    if (*mark && is_one_token(mark))
        return gexpr_special(b, str_from(mark));
    while (*mark) {
        bool token;
        size_t n = part_length(mark, &token);
        struct str part = str_make(mark, n);
        add(&s, token ? gexpr_special(b, part) : gexpr_literal(b, part));
        mark += n;
    }
    return finish(&s);
}

gexpr call_mark(struct grammar_builder *b, const char *mark)
{
    return mark_from(b, mark);
}

struct str call_trigger(const struct call_format *f)
{
    bool token;
    return str_make(f->begin[0], part_length(f->begin[0], &token));
}

/* The first token of a mark, else its text. */
static struct str telling_part(const char *mark)
{
    for (const char *at = mark; *at;) {
        bool token;
        size_t n = part_length(at, &token);
        if (token)
            return str_make(at, n);
        at += n;
    }
    return str_from(mark);
}

size_t call_other_triggers(const struct call_format *f, struct str *ret)
{
    size_t n = 0;
    for (size_t i = 1; i < CALL_FORMS && f->begin[i]; i++) {
        struct str part = telling_part(f->begin[i]);
        if (!str_eq(part, call_trigger(f)))
            ret[n++] = part;
    }
    return n;
}

/* What begins a section, without the part that has been read. */
static gexpr begin_mark(struct grammar_builder *b, const struct call_format *f, bool begun)
{
    return mark_from(b, f->begin[0] + (begun ? call_trigger(f).len : 0));
}

/* ---- a tool ---- */

struct tool {
    struct str name;
    const struct json *parameters; /* NULL = takes none */
    char what[WHAT_MAX];           /* names it in errors */
};

static struct tool tool_at(const struct tool_wish *w, size_t i)
{
    const struct json *function = js_get(js_at(w->callable, i), "function");
    struct tool t = {.name = js_get_str(function, "name"),
                     .parameters = js_get(function, "parameters")};
    if (!js_is(t.parameters, JS_OBJECT) || js_len(t.parameters) == 0)
        t.parameters = NULL;
    snprintf(t.what, sizeof(t.what), "of the tool '%.*s'", STR_ARG(t.name));
    return t;
}

static gexpr arguments(struct grammar_builder *b, const struct tool *t)
{
    return t->parameters ? gexpr_schema(b, t->parameters, t->what) : literal(b, "{}");
}

/* ---- JSON calls ---- */

/* Text that stands within JSON as it is: names of tools and of our own keys. */
static void add_text(struct series *s, const char *before, struct str text, const char *behind)
{
    CLEANUP_BUF struct buf whole = BUF_INIT(1 << 16);
    buf_append_c(&whole, before);
    buf_append(&whole, text);
    buf_append_c(&whole, behind);
    add(s, gexpr_literal(s->b, buf_str(&whole)));
}

static gexpr json_call(struct grammar_builder *b, const struct call_format *f, const struct tool *t)
{
    struct series s = {.b = b};
    const char *name_key = f->name_key ? f->name_key : "name",
               *args_key = f->args_key ? f->args_key : "arguments";
    if (f->flags & CALLS_NAME_IS_KEY) {
        add_text(&s, "{\"", t->name, "\": ");
        add(&s, arguments(b, t));
        add(&s, literal(b, "}"));
        return finish(&s);
    }
    bool numbered = f->id_key && str_eq_c(str_from(f->id_key), "tool_call_id");
    add(&s, literal(b, "{"));
    if (numbered) { /* Command R7B counts its calls */
        add(&s, gexpr_repeat(b,
                             gexpr_gbnf(b, STR("root ::= \"\\\"tool_call_id\\\": \\\"\" [0-9]{1,2} "
                                               "\"\\\", \"")),
                             0, 1));
    }
    add_text(&s, "\"", str_from(name_key), "\": ");
    add_text(&s, "\"", t->name, "\", ");
    add_text(&s, "\"", str_from(args_key), "\": ");
    add(&s, arguments(b, t));
    if (f->id_key && str_eq_c(str_from(f->id_key), "id")) { /* Mistral's, which must be so */
        add_text(&s, ", \"", str_from(f->id_key), "\": \"");
        add(&s, gexpr_gbnf(b, STR("root ::= [a-zA-Z0-9]{9}")));
        add(&s, literal(b, "\""));
    }
    add(&s, literal(b, "}"));
    return finish(&s);
}

/* ---- heads and JSON ---- */

static gexpr head(struct grammar_builder *b, const char *form, const struct tool *t)
{
    struct series s = {.b = b};
    while (*form) {
        size_t n = strcspn(form, "%");
        if (n > 0) {
            CLEANUP_FREE char *text = str_dup(str_make(form, n));
            if (!text)
                alloc_failed();
            add(&s, mark_from(b, text));
            form += n;
            continue;
        }
        if (form[1] == 'n') {
            add(&s, gexpr_literal(b, t->name));
        } else if (form[1] == 'k') {
            add_text(&s, "functions.", t->name, ":");
            add(&s, gexpr_gbnf(b, STR("root ::= [0-9] | [1-9] [0-9]")));
        } else {
            add(&s, gexpr_gbnf(b, STR("root ::= [a-zA-Z0-9]{9}")));
        }
        form += 2;
    }
    return finish(&s);
}

static gexpr headed_call(struct grammar_builder *b, const struct call_format *f,
                         const struct tool *t)
{
    struct series s = {.b = b};
    add(&s, head(b, f->head[0], t));
    add(&s, arguments(b, t));
    /* The first way to close a call; a fence in front of it where the head has opened one. */
    if (f->close[0] && strstr(f->head[0], "```"))
        add(&s, literal(b, "\n```"));
    if (f->close[0])
        add(&s, mark_from(b, f->close[0]));
    return finish(&s);
}

/* ---- parameters as bare text ---- */

/* Can the value be written without quotes, and read back? Only if its type alone says what it is:
 * any string, one of some, or what is no string at all. */
static bool is_plain(const struct json *schema)
{
    static const char *const known[] = {"type",    "description", "title",
                                        "default", "enum",        "examples"};
    static const char *const types[] = {"string", "integer", "number", "boolean"};
    struct str type = js_get_str(schema, "type");
    bool ok = false;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        ok = ok || str_eq_c(type, types[i]);
    struct json_iter it = {0};
    while (ok && js_next(schema, &it)) {
        bool found = false;
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            found = found || str_eq_c(it.key, known[i]);
        ok = found;
    }
    const struct json *list = js_get(schema, "enum");
    for (size_t i = 0; ok && list && i < js_len(list); i++) {
        struct str s = js_to_str(js_at(list, i));
        ok = !str_eq_c(type, "string") ||
             (s.len > 0 && !strpbrk(js_to_cstr(js_at(list, i)), "<>\n\"|") &&
              str_trim(s).len == s.len);
    }
    return ok;
}

static bool is_plain_tool(const struct tool *t)
{
    static const char *const known[] = {
        "type",        "properties", "required", "additionalProperties",
        "description", "title",      "$schema"};
    const struct json *properties = js_get(t->parameters, "properties");
    const struct json *required = js_get(t->parameters, "required");
    struct json_iter it = {0};
    bool ok = js_len(properties) <= PARAMS_MAX;
    while (ok && t->parameters && js_next(t->parameters, &it)) {
        bool found = false;
        for (size_t i = 0; i < ARRAY_LEN(known); i++)
            found = found || str_eq_c(it.key, known[i]);
        ok = found && !(str_eq_c(it.key, "additionalProperties") && js_is(it.value, JS_OBJECT));
    }
    it = (struct json_iter){0};
    while (ok && js_next(properties, &it))
        ok = is_plain(it.value) && it.key.len > 0 && !memchr(it.key.ptr, '"', it.key.len) &&
             !memchr(it.key.ptr, '<', it.key.len) && !memchr(it.key.ptr, '\n', it.key.len);
    for (size_t i = 0; ok && i < js_len(required); i++)
        ok = js_get_n(properties, js_to_str(js_at(required, i))) != NULL;
    return ok;
}

static bool is_required(const struct json *parameters, struct str name)
{
    const struct json *list = js_get(parameters, "required");
    for (size_t i = 0; i < js_len(list); i++)
        if (str_eq(js_to_str(js_at(list, i)), name))
            return true;
    return false;
}

/* The value and what ends it. */
static gexpr param_value(struct grammar_builder *b, const struct call_format *f,
                         const struct tool *t, const struct json *schema)
{
    struct series s = {.b = b};
    const struct json *list = js_get(schema, "enum");
    bool text = str_eq_c(js_get_str(schema, "type"), "string");
    const char *line = f->flags & CALLS_LINES ? "\n" : "";
    if (*line)
        add(&s, literal(b, line));
    if (text && !list) {
        CLEANUP_FREE char *end = xasprintf("%s%s", line, f->param_end);
        struct str trigger = str_from(end);
        add(&s, gexpr_until(b, &trigger, 1));
        return finish(&s);
    }
    if (text) {
        CLEANUP_FREE gexpr *words = xcalloc(js_len(list), sizeof(*words));
        for (size_t i = 0; i < js_len(list); i++)
            words[i] = gexpr_literal(b, js_to_str(js_at(list, i)));
        add(&s, gexpr_alt(b, words, js_len(list)));
    } else {
        add(&s, gexpr_schema(b, schema, t->what));
    }
    if (*line)
        add(&s, literal(b, line));
    add(&s, mark_from(b, f->param_end));
    return finish(&s);
}

static gexpr param(struct grammar_builder *b, const struct call_format *f, const struct tool *t,
                   struct str name, const struct json *schema)
{
    bool text = str_eq_c(js_get_str(schema, "type"), "string");
    const char *key_end = f->flags & CALLS_TYPED && !text ? f->key_end[1] : f->key_end[0];
    struct series s = {.b = b};
    add(&s, mark_from(b, f->param));
    add(&s, gexpr_literal(b, name));
    add(&s, mark_from(b, key_end));
    add(&s, param_value(b, f, t, schema));
    if (f->flags & CALLS_LINES || f->between)
        add(&s, literal(b, "\n"));
    return finish(&s);
}

static gexpr params_call(struct grammar_builder *b, const struct call_format *f,
                         const struct tool *t)
{
    struct series s = {.b = b};
    add(&s, head(b, f->head[0], t));
    size_t n_head = strlen(f->head[0]);
    if ((f->flags & CALLS_LINES || f->between) && f->head[0][n_head - 1] != '\n')
        add(&s, literal(b, "\n"));
    struct json_iter it = {0};
    while (js_next(js_get(t->parameters, "properties"), &it)) {
        gexpr one = param(b, f, t, it.key, it.value);
        add(&s, is_required(t->parameters, it.key) ? one : gexpr_repeat(b, one, 0, 1));
    }
    if (f->close[0])
        add(&s, mark_from(b, f->close[0]));
    return finish(&s);
}

/* ---- named values, with something between two of them ---- */

/* How one is written. */
struct field_form {
    const char *between, *assign;
    const char *quote; /* NULL = strings as JSON */
};

static gexpr field_value(struct grammar_builder *b, const struct field_form *form,
                         const struct tool *t, const struct json *schema)
{
    if (!form->quote || !str_eq_c(js_get_str(schema, "type"), "string"))
        return gexpr_schema(b, schema, t->what);
    const struct json *list = js_get(schema, "enum");
    struct str quote = str_from(form->quote);
    struct series s = {.b = b};
    add(&s, mark_from(b, form->quote));
    if (!list) {
        add(&s, gexpr_until(b, &quote, 1));
        return finish(&s);
    }
    CLEANUP_FREE gexpr *words = xcalloc(js_len(list) + 1, sizeof(*words));
    for (size_t i = 0; i < js_len(list); i++)
        words[i] = gexpr_literal(b, js_to_str(js_at(list, i)));
    add(&s, gexpr_alt(b, words, js_len(list)));
    add(&s, mark_from(b, form->quote));
    return finish(&s);
}

static gexpr fields(struct grammar_builder *b, const struct field_form *form, const struct tool *t)
{
    gexpr items[FIELDS_MAX];
    bool required[FIELDS_MAX];
    size_t n = 0;
    struct json_iter it = {0};
    while (n < FIELDS_MAX && js_next(js_get(t->parameters, "properties"), &it)) {
        struct series s = {.b = b};
        add_text(&s, "", it.key, form->assign);
        add(&s, field_value(b, form, t, it.value));
        required[n] = is_required(t->parameters, it.key);
        items[n++] = finish(&s);
    }
    /* From the last one on: what may follow where there was none before, and where there was. */
    gexpr first = literal(b, ""), later = literal(b, "");
    for (size_t i = n; i-- > 0;) {
        const gexpr with[] = {items[i], later};
        const gexpr more[] = {literal(b, form->between), items[i]};
        gexpr here = gexpr_seq(b, with, 2), next = gexpr_seq(b, more, 2);
        const gexpr both[] = {here, first};
        const gexpr rest[] = {required[i] ? next : gexpr_repeat(b, next, 0, 1), later};
        first = required[i] ? here : gexpr_alt(b, both, 2);
        later = gexpr_seq(b, rest, 2);
    }
    return first;
}

/* ---- Python ---- */

/* name(city="Paris", days=3); the parser takes JSON's true, false and null. */
static gexpr python_call(struct grammar_builder *b, const struct tool *t)
{
    static const struct field_form form = {.between = ", ", .assign = "="};
    struct series s = {.b = b};
    add_text(&s, "", t->name, "(");
    add(&s, fields(b, &form, t));
    add(&s, literal(b, ")"));
    return finish(&s);
}

/* ---- Gemma ---- */

/* call:name{city:<|"|>Paris<|"|>,days:3} */
static gexpr braces_call(struct grammar_builder *b, const struct call_format *f,
                         const struct tool *t)
{
    const struct field_form form = {.between = ",", .assign = ":", .quote = f->quote};
    struct series s = {.b = b};
    add(&s, head(b, f->head[0], t));
    add(&s, literal(b, "{"));
    add(&s, fields(b, &form, t));
    add(&s, literal(b, "}"));
    return finish(&s);
}

static bool is_word(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && (i == 0 || c < '0' || c > '9'))
            return false;
    }
    return name.len > 0;
}

/* Can its parameters stand by their names? */
static bool is_named_tool(const struct tool *t)
{
    struct json_iter it = {0};
    bool ok = is_plain_tool(t) && js_len(js_get(t->parameters, "properties")) <= FIELDS_MAX;
    while (ok && js_next(js_get(t->parameters, "properties"), &it))
        ok = is_word(it.key);
    for (size_t i = 0; i < t->name.len; i++)
        ok = ok && !strchr("-:/", t->name.ptr[i]);
    return ok;
}

/* ---- gpt-oss ---- */

static gexpr harmony_call(struct grammar_builder *b, const struct tool *t)
{
    struct series s = {.b = b};
    add(&s, mark_from(b, "<|channel|>"));
    add_text(&s, "commentary to=functions.", t->name, " ");
    add(&s, mark_from(b, "<|constrain|>"));
    add(&s, literal(b, "json"));
    add(&s, mark_from(b, "<|message|>"));
    add(&s, arguments(b, t));
    return finish(&s);
}

/* ---- sections ---- */

static gexpr native_call(struct grammar_builder *b, const struct call_format *f,
                         const struct tool *t)
{
    switch (f->style) {
    case CALLS_HEADED:
        return headed_call(b, f, t);
    case CALLS_PARAMS:
        return params_call(b, f, t);
    case CALLS_PYTHON:
        return python_call(b, t);
    case CALLS_BRACES:
        return braces_call(b, f, t);
    case CALLS_HARMONY:
        return harmony_call(b, t);
    default:
        return json_call(b, f, t);
    }
}

static bool is_native(const struct call_format *f, const struct tool *t)
{
    if (f->style == CALLS_PYTHON || f->style == CALLS_BRACES)
        return is_named_tool(t);
    return f->style != CALLS_PARAMS || is_plain_tool(t);
}

/* A call of any of the tools: in the family's own form, or those that it cannot write, as JSON. */
static gexpr any_call(struct grammar_builder *b, const struct call_format *f,
                      const struct tool_wish *w, bool native, bool *ret_any)
{
    size_t n = 0;
    CLEANUP_FREE gexpr *calls = xcalloc(js_len(w->callable) + 1, sizeof(*calls));
    for (size_t i = 0; i < js_len(w->callable); i++) {
        struct tool t = tool_at(w, i);
        if (is_native(f, &t) == native)
            calls[n++] = native ? native_call(b, f, &t) : json_call(b, f, &t);
    }
    *ret_any = n > 0;
    return gexpr_alt(b, calls, n);
}

/* a call, and more of them behind `between` */
static gexpr several(struct grammar_builder *b, gexpr call, const char *between, bool more)
{
    struct series s = {.b = b};
    add(&s, call);
    if (more) {
        struct series next = {.b = b};
        if (*between)
            add(&next, mark_from(b, between));
        add(&next, call);
        add(&s, gexpr_repeat(b, finish(&next), 0, CALLS_AT_MOST - 1));
    }
    return finish(&s);
}

/* The inside of a section. */
static gexpr inside(struct grammar_builder *b, const struct call_format *f,
                    const struct tool_wish *w, bool native, bool more, bool *ret_any)
{
    gexpr call = any_call(b, f, w, native, ret_any);
    struct series s = {.b = b};
    bool list = native ? f->flags & CALLS_LIST || f->style == CALLS_PYTHON : false;
    if (list && f->style == CALLS_JSON) { /* on lines of their own, or not */
        gexpr gap = gexpr_gbnf(b, STR("root ::= [ \\n]{0,8}"));
        const gexpr next[] = {literal(b, ","), gap, call};
        add(&s, literal(b, "["));
        add(&s, gap);
        add(&s, call);
        if (more)
            add(&s, gexpr_repeat(b, gexpr_seq(b, next, 3), 0, CALLS_AT_MOST - 1));
        add(&s, gap);
        add(&s, literal(b, "]"));
        return finish(&s);
    }
    if (list) {
        add(&s, literal(b, "["));
        add(&s, several(b, call, ", ", more));
        add(&s, literal(b, "]"));
        return finish(&s);
    }
    bool closed_one_by_one = native && f->style == CALLS_HEADED && f->close[0] && f->end[0];
    return closed_one_by_one ? several(b, call, f->between ? f->between : "", more) : call;
}

/* Does a section hold all calls, or one each? */
static bool holds_all(const struct call_format *f)
{
    return f->flags & CALLS_LIST || f->style == CALLS_PYTHON ||
           (f->style == CALLS_HEADED && f->close[0] && f->end[0]);
}

static gexpr section(struct grammar_builder *b, const struct call_format *f,
                     const struct tool_wish *w, bool begun, bool more)
{
    gexpr kinds[2];
    size_t n = 0;
    for (int json = 0; json < 2; json++) {
        bool any;
        gexpr in = inside(b, f, w, !json, more, &any);
        struct series s = {.b = b};
        /* JSON behind a mark that a head goes on from could not be told from a name. */
        const char *line = f->style == CALLS_JSON && !(f->flags & CALLS_LIST) && f->end[0] ? "\n"
                           : f->style == CALLS_PARAMS && (f->flags & CALLS_LINES || f->between) &&
                                   f->end[0] && f->head[0][0] != '%'
                               ? "\n"
                               : "";
        if (*line)
            add(&s, literal(b, line));
        add(&s, in);
        if (*line)
            add(&s, literal(b, line));
        if (f->end[0])
            add(&s, mark_from(b, f->end[0]));
        if (any)
            kinds[n++] = finish(&s);
    }
    const gexpr all[] = {begin_mark(b, f, begun), gexpr_alt(b, kinds, n)};
    return gexpr_seq(b, all, 2);
}

gexpr call_sections(struct grammar_builder *b, const struct call_format *f,
                    const struct tool_wish *w, bool begun)
{
    bool more = w->parallel && !(f->flags & CALLS_ONE);
    if (f->style == CALLS_HARMONY) {
        bool any;
        return any_call(b, f, w, true, &any);
    }
    bool in_prompt = f->flags & CALLS_OPEN; /* the generation prompt ends with the mark */
    bool bare = f->flags & CALLS_BARE;
    if (bare || in_prompt) {
        struct series s = {.b = b};
        bool any_native, any_json;
        gexpr native = inside(b, f, w, true, more, &any_native);
        gexpr json = inside(b, f, w, false, more, &any_json);
        const gexpr both[] = {native, json};
        add(&s, any_native && any_json ? gexpr_alt(b, both, 2) : any_native ? native : json);
        if (in_prompt && more && any_native) {
            const gexpr next[] = {mark_from(b, f->between), native};
            add(&s, gexpr_repeat(b, gexpr_seq(b, next, 2), 0, CALLS_AT_MOST - 1));
        }
        return finish(&s);
    }
    gexpr first = section(b, f, w, begun, more);
    if (!more || holds_all(f))
        return first;
    const gexpr next[] = {f->end[0] ? gexpr_gbnf(b, STR("root ::= \"\\n\"?")) : literal(b, ""),
                          section(b, f, w, false, more)};
    const gexpr all[] = {first, gexpr_repeat(b, gexpr_seq(b, next, 2), 0, CALLS_AT_MOST - 1)};
    return gexpr_seq(b, all, 2);
}
