/* SPDX-License-Identifier: Apache-2.0
 *
 * From text to the parts of an answer, see reading.h. */
#include "engine/api/reading.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/random.h"

enum { TEXT_MAX = 256 << 20 };

void reading_init(struct reading *r, const struct dialect *d, const struct dialect_options *o)
{
    *r = (struct reading){.content = BUF_INIT(TEXT_MAX), .reasoning = BUF_INIT(TEXT_MAX)};
    if (!d)
        return;
    r->parser = dialect_parser_new(d, o);
    r->short_ids = str_starts_with(str_from(d->calls->name), STR("mistral"));
}

void reading_release(struct reading *r)
{
    dialect_parser_free(r->parser);
    buf_release(&r->content);
    buf_release(&r->reasoning);
    for (size_t i = 0; i < r->n_calls; i++) {
        free(r->calls[i].id);
        free(r->calls[i].name);
        buf_release(&r->calls[i].arguments);
    }
    free(r->calls);
    *r = (struct reading){0};
}

/* ---- calls ---- */

static char *new_id(bool is_short)
{
    enum { LONG = 24, SHORT = 9 };
    char text[LONG + 1];
    random_name(RANDOM_LETTERS, is_short ? SHORT : LONG, text);
    return is_short ? xstrdup(text) : xasprintf("call_%s", text);
}

static void add_call(struct reading *r, struct str name, struct str id)
{
    r->calls = xrealloc(r->calls, r->n_calls + 1, sizeof(*r->calls));
    struct reading_call *c = &r->calls[r->n_calls++];
    *c = (struct reading_call){.id = id.len > 0 ? str_dup(id) : new_id(r->short_ids),
                               .name = str_dup(name),
                               .arguments = BUF_INIT(TEXT_MAX)};
    if (!c->id || !c->name)
        alloc_failed();
}

static struct json *call_json(const struct reading_call *c, struct str arguments)
{
    struct json *call = js_object(), *function = js_object();
    js_set_cstr(call, "id", c->id);
    js_set_cstr(call, "type", "function");
    js_set_cstr(function, "name", c->name);
    js_set_str(function, "arguments", arguments);
    js_set(call, "function", function);
    return call;
}

/* ---- deltas ---- */

static struct json *text_delta(const char *key, struct str text)
{
    struct json *delta = js_object();
    js_set_str(delta, key, text);
    return delta;
}

static struct json *call_delta(uint32_t index, struct json *call)
{
    struct json *delta = js_object(), *list = js_array(), *with_index = js_object();
    struct json_iter it = {0};
    js_set_int(with_index, "index", index);
    while (js_next(call, &it))
        js_set_n(with_index, it.key, js_ref(it.value));
    js_free(call);
    js_push(list, with_index);
    js_set(delta, "tool_calls", list);
    return delta;
}

static struct json *arguments_delta(uint32_t index, struct str text)
{
    struct json *call = js_object(), *function = js_object();
    js_set_str(function, "arguments", text);
    js_set(call, "function", function);
    return call_delta(index, call);
}

/* Takes a delta of the parser in; its form for a stream. */
static struct json *take(struct reading *r, const struct dialect_delta *d)
{
    switch (d->kind) {
    case DELTA_REASONING:
        buf_append(&r->reasoning, d->text);
        return text_delta("reasoning_content", d->text);
    case DELTA_CALL:
        add_call(r, d->text, d->id);
        return call_delta(d->call, call_json(&r->calls[r->n_calls - 1], STR("")));
    case DELTA_ARGUMENTS:
        buf_append(&r->calls[d->call].arguments, d->text);
        return arguments_delta(d->call, d->text);
    default:
        buf_append(&r->content, d->text);
        return text_delta("content", d->text);
    }
}

static void drain(struct reading *r, reading_fn fn, void *ctx)
{
    struct dialect_delta d;
    while (dialect_parser_next(r->parser, &d)) {
        struct json *delta = take(r, &d);
        if (fn)
            fn(ctx, delta);
        else
            js_free(delta);
    }
}

void reading_feed(struct reading *r, struct str text, uint32_t n_predicted, reading_fn fn,
                  void *ctx)
{
    if (r->parser) {
        size_t before = r->reasoning.len;
        dialect_parser_feed(r->parser, text);
        drain(r, fn, ctx);
        if (r->reasoning.len > before) /* the tokens of its end are none */
            r->n_reasoning = n_predicted;
        return;
    }
    buf_append(&r->content, text);
    if (fn)
        fn(ctx, text_delta("content", text));
}

void reading_finish(struct reading *r, reading_fn fn, void *ctx)
{
    if (!r->parser)
        return;
    dialect_parser_finish(r->parser);
    drain(r, fn, ctx);
}

/* ---- whole ---- */

struct json *reading_message(const struct reading *r)
{
    struct json *m = js_object();
    js_set_cstr(m, "role", "assistant");
    if (r->reasoning.len > 0)
        js_set_str(m, "reasoning_content", buf_str(&r->reasoning));
    if (r->n_calls > 0 && r->content.len == 0)
        js_set(m, "content", js_null());
    else
        js_set_str(m, "content", buf_str(&r->content));
    if (r->n_calls == 0)
        return m;
    struct json *calls = js_array();
    for (size_t i = 0; i < r->n_calls; i++)
        js_push(calls, call_json(&r->calls[i], buf_str(&r->calls[i].arguments)));
    js_set(m, "tool_calls", calls);
    return m;
}
