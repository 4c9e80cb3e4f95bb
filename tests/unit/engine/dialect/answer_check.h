/* SPDX-License-Identifier: Apache-2.0
 *
 * Collects what the parser makes of a text, and checks it however the text is cut. */
#ifndef TESTS_ENGINE_DIALECT_ANSWER_CHECK_H
#define TESTS_ENGINE_DIALECT_ANSWER_CHECK_H

#include "test.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/json.h"
#include "engine/dialect/parser.h"

enum { ANSWER_MAX = 1 << 20 };

struct answer {
    struct buf content, reasoning;
    struct json *calls; /* [{"name", "arguments": text, "id"?}] */
};

static inline struct answer answer_new(void)
{
    return (struct answer){BUF_INIT(ANSWER_MAX), BUF_INIT(ANSWER_MAX), js_array()};
}

static inline void answer_free(struct answer *a)
{
    buf_release(&a->content);
    buf_release(&a->reasoning);
    js_free(a->calls);
}

/* Adds the deltas of the parser; they come in order, and none is empty. */
static inline void answer_drain(struct answer *a, struct dialect_parser *p)
{
    struct dialect_delta d;
    while (dialect_parser_next(p, &d)) {
        if (d.text.len == 0)
            fail_msg("an empty delta of kind %d", (int)d.kind);
        switch (d.kind) {
        case DELTA_CONTENT:
            buf_append(&a->content, d.text);
            break;
        case DELTA_REASONING:
            buf_append(&a->reasoning, d.text);
            break;
        case DELTA_CALL: {
            if (d.call != js_len(a->calls))
                fail_msg("call %u begins after %zu others", d.call, js_len(a->calls));
            struct json *c = js_object();
            js_set_str(c, "name", d.text);
            js_set_cstr(c, "arguments", "");
            if (d.id.len > 0)
                js_set_str(c, "id", d.id);
            js_push(a->calls, c);
            break;
        }
        case DELTA_ARGUMENTS: {
            if (d.call + 1 != js_len(a->calls))
                fail_msg("arguments for call %u of %zu", d.call, js_len(a->calls));
            struct json *c = js_at(a->calls, d.call);
            struct buf text = BUF_INIT(ANSWER_MAX);
            buf_append(&text, js_get_str(c, "arguments"));
            buf_append(&text, d.text);
            js_set_str(c, "arguments", buf_str(&text));
            buf_release(&text);
            break;
        }
        }
    }
}

/* Parses text cut at `cut` (0 = whole, SIZE_MAX = byte by byte). */
static inline struct answer answer_parse(const struct dialect *d, const struct dialect_options *o,
                                         struct str text, size_t cut)
{
    struct answer a = answer_new();
    struct dialect_parser *p = dialect_parser_new(d, o);
    if (cut == SIZE_MAX) {
        for (size_t i = 0; i < text.len; i++) {
            dialect_parser_feed(p, str_sub(text, i, 1));
            answer_drain(&a, p);
        }
    } else {
        for (size_t at = 0; at < text.len; at += cut ? cut : text.len) {
            dialect_parser_feed(p, str_sub(text, at, cut ? (at == 0 ? cut : text.len) : text.len));
            answer_drain(&a, p);
            if (at > 0)
                break;
        }
    }
    dialect_parser_finish(p);
    answer_drain(&a, p);
    if (dialect_parser_n_calls(p) != js_len(a.calls))
        fail_msg("%u calls counted, %zu given", dialect_parser_n_calls(p), js_len(a.calls));
    dialect_parser_free(p);
    return a;
}

/* The same text with its tokens in the control form. */
static inline void answer_mark(struct str text, struct buf *out)
{
    static const char *const tokens[] = {
        "<think>",
        "</think>",
        "<tool_call>",
        "</tool_call>",
        "[TOOL_CALLS]",
        "[CALL_ID]",
        "[ARGS]",
        "[THINK]",
        "[/THINK]",
        "<|python_tag|>",
        "<｜tool▁calls▁begin｜>",
        "<｜tool▁call▁begin｜>",
        "<｜tool▁sep｜>",
        "<｜tool▁call▁end｜>",
        "<｜tool▁calls▁end｜>",
        "<|tool_calls_section_begin|>",
        "<|tool_call_begin|>",
        "<|tool_call_argument_begin|>",
        "<|tool_call_end|>",
        "<|tool_calls_section_end|>",
        "<|START_ACTION|>",
        "<|END_ACTION|>",
        "<|START_THINKING|>",
        "<|END_THINKING|>",
        "<|START_RESPONSE|>",
        "<|END_RESPONSE|>",
        "<|tool_call>",
        "<tool_call|>",
        "<|\"|>",
        "<|channel>",
        "<channel|>",
        "<|tool_call_start|>",
        "<|tool_call_end|>",
        "<|tools_prefix|>",
        "<|tools_suffix|>",
        "<|inner_prefix|>",
        "<|inner_suffix|>",
        "<|tool_call|>",
        "<|/tool_call|>",
        "<|channel|>",
        "<|message|>",
        "<|end|>",
        "<|start|>",
        "<|call|>",
        "<|return|>",
        "<|constrain|>",
        "<seed:think>",
        "</seed:think>",
        "<seed:tool_call>",
        "</seed:tool_call>",
        "<minimax:tool_call>",
        "</minimax:tool_call>",
        "<arg_key>",
        "</arg_key>",
        "<arg_value>",
        "</arg_value>",
        "｜DSML｜",
        "<|tool_call:begin|>",
        "<|tool_call:name|>",
        "<|tool_call:args|>",
        "<|tool_call:end|>",
        "<|function_call|>",
    };
    for (size_t at = 0; at < text.len;) {
        size_t n = 0;
        for (size_t i = 0; i < ARRAY_LEN(tokens) && n == 0; i++)
            if (str_starts_with(str_sub(text, at, SIZE_MAX), str_from(tokens[i])))
                n = strlen(tokens[i]);
        if (n > 0)
            buf_push(out, '\xff');
        buf_append(out, str_sub(text, at, n > 0 ? n : 1));
        if (n > 0)
            buf_push(out, '\xff');
        at += n > 0 ? n : 1;
    }
}

#endif
