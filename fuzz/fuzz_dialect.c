/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers in every dialect: the first bytes choose the formats, the options and how the text is
 * cut. Cut or not, the answer is the same, and the arguments of a call are JSON. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/json.h"
#include "engine/dialect/parser.h"

enum { TEXT_MAX = 1 << 20, HEAD = 3 };

static const char tools_text[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"parameters\":{\"type\":\"object\","
    "\"properties\":{\"s\":{\"type\":\"string\"},\"i\":{\"type\":\"integer\"},\"o\":{\"type\":"
    "\"object\"},"
    "\"any\":{}}}}},{\"type\":\"function\",\"function\":{\"name\":\"python\"}}]";

/* The arguments of the call before, if there was one. */
static void check_arguments(struct buf *text, bool eager)
{
    struct json *v = NULL;
    if (!eager && text->len > 0 && js_parse(buf_str(text), "arguments", &v, NULL) < 0)
        abort();
    js_free(v);
    buf_clear(text);
}

/* Everything the parser says, in one text; runs of one kind joined. */
static void collect(struct dialect_parser *p, bool eager, struct buf *out, int *last,
                    struct buf *arguments)
{
    struct dialect_delta d;
    while (dialect_parser_next(p, &d)) {
        if (d.kind != (enum delta_kind) * last || d.kind == DELTA_CALL)
            buf_printf(out, "\n%d %u ", (int)d.kind, d.call);
        *last = (int)d.kind;
        buf_append(out, d.text);
        buf_append(out, d.id);
        if (d.kind == DELTA_CALL)
            check_arguments(arguments, eager);
        if (d.kind == DELTA_ARGUMENTS)
            buf_append(arguments, d.text);
    }
}

static void parse(const struct dialect *d, const struct dialect_options *o, struct str text,
                  size_t piece, struct buf *out)
{
    struct dialect_parser *p = dialect_parser_new(d, o);
    CLEANUP_BUF struct buf arguments = BUF_INIT(TEXT_MAX);
    int last = -1;
    for (size_t at = 0; at < text.len; at += piece) {
        dialect_parser_feed(p, str_sub(text, at, piece));
        collect(p, o->eager, out, &last, &arguments);
    }
    dialect_parser_finish(p);
    collect(p, o->eager, out, &last, &arguments);
    check_arguments(&arguments, o->eager);
    dialect_parser_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct json *tools;
    struct error err = ERROR_INIT;
    if (size < HEAD || size > 1 << 16)
        return 0;
    if (!tools && js_parse(str_from(tools_text), "the tools", &tools, &err) < 0)
        abort();
    size_t n_calls = 0, n_reasoning = 0;
    while (dialect_call_formats[n_calls].name)
        n_calls++;
    while (dialect_reasoning_formats[n_reasoning].name)
        n_reasoning++;
    size_t r = data[1] % (n_reasoning + 1);
    const struct dialect d = {
        .calls = &dialect_call_formats[data[0] % n_calls],
        .reasoning = r < n_reasoning ? &dialect_reasoning_formats[r] : NULL,
    };
    const struct dialect_options o = {
        .tools = data[2] & 1 ? tools : NULL,
        .reasoning_is_open = data[2] & 2,
        .keep_reasoning = data[2] & 4,
    };
    struct str text = str_make((const char *)data + HEAD, size - HEAD);
    CLEANUP_BUF struct buf whole = BUF_INIT(TEXT_MAX), cut = BUF_INIT(TEXT_MAX),
                           eager = BUF_INIT(TEXT_MAX);
    parse(&d, &o, text, size, &whole);
    parse(&d, &o, text, 1 + data[2] / 8, &cut);
    if (!str_eq(buf_str(&whole), buf_str(&cut))) {
        fprintf(stderr, "%s\nwhole:%s\ncut:%s\n", d.calls->name, buf_cstr(&whole), buf_cstr(&cut));
        abort();
    }
    struct dialect_options e = o;
    e.eager = true;
    parse(&d, &e, text, 1 + data[2] / 8, &eager);
    return 0;
}
