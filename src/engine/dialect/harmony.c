/* SPDX-License-Identifier: Apache-2.0
 *
 * Harmony, the form of gpt-oss: an answer consists of messages with a head each.
 *
 *     <|channel|>analysis<|message|>We need the weather.<|end|>
 *     <|start|>assistant<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>
 *     {"city": "Paris"}<|call|>
 *     <|start|>assistant<|channel|>final<|message|>It rains.<|return|>
 *
 * analysis is reasoning, a message to a recipient is a call, all others are content. The prompt
 * ends with "<|start|>assistant", so an answer begins within a head. The recipient may stand in
 * front of the channel as well as behind it. Source: OpenAI's description of the format. */
#include <string.h>

#include "engine/dialect/parser_internal.h"

static const char *const head_end[] = {"<|message|>"};
static const char *const body_end[] = {"<|end|>", "<|call|>", "<|return|>", "<|start|>",
                                       "<|channel|>"};
enum { BODY_RESTARTS = 3 }; /* from here on the next head begins without an end in between */

static bool body(struct dialect_parser *p);

static struct str word_after(struct str text, const char *key)
{
    ptrdiff_t at = str_find(text, str_from(key));
    if (at < 0)
        return str_make(NULL, 0);
    struct str rest = str_sub(text, (size_t)at + strlen(key), SIZE_MAX);
    size_t n = 0;
    while (n < rest.len && (unsigned char)rest.ptr[n] > ' ' && rest.ptr[n] != '<')
        n++;
    return str_sub(rest, 0, n);
}

static void read_head(struct dialect_parser *p, struct str text)
{
    struct str channel = word_after(text, "<|channel|>");
    struct str to = word_after(text, "to=");
    parser_part(p);
    p->raw_from = SIZE_MAX;
    p->channel = str_eq_c(channel, "analysis") ? HARMONY_REASONING : HARMONY_CONTENT;
    if (to.len == 0 || !p->calls_on)
        return;
    if (str_starts_with(to, STR("functions.")))
        to = str_sub(to, strlen("functions."), SIZE_MAX);
    parser_call_begin(p);
    buf_append(&p->name, to);
    if (parser_call_named(p)) {
        p->channel = HARMONY_CALL;
        p->object.scan = JSON_SCAN_INIT;
    }
}

/* A body whose call was none: it and its head are content. */
static bool call_failed(struct dialect_parser *p)
{
    parser_call_fail(p);
    p->channel = HARMONY_CONTENT;
    p->state = body;
    return true;
}

/* From the beginning of the answer, or from behind a message. */
static bool head(struct dialect_parser *p)
{
    size_t i, end;
    for (; p->scan < p->in.len; p->scan++) {
        if (p->scan - p->at > HEAD_MAX)
            break;
        char c = p->in.data[p->scan];
        if (c != CONTROL_MARK && c != '<')
            continue;
        enum look l = parser_look_any(p, p->scan, head_end, 1, &i, &end);
        if (l == LOOK_MORE)
            return false;
        if (l != LOOK_YES)
            continue;
        CLEANUP_BUF struct buf text = BUF_INIT(2 * HEAD_MAX);
        parser_plain(p, p->at, p->scan, &text);
        size_t from = p->at;
        read_head(p, buf_str(&text));
        if (p->channel == HARMONY_CALL)
            p->raw_from = from;
        p->at = p->scan = end;
        p->state = body;
        return true;
    }
    if (p->scan == p->in.len && !p->ended)
        return false;
    /* Text without a head is content; a head that is not finished at the end says nothing. */
    if (p->scan == p->in.len)
        p->at = p->in.len;
    p->channel = HARMONY_CONTENT;
    p->state = body;
    return true;
}

bool parser_harmony(struct dialect_parser *p)
{
    size_t i, end;
    static const char *const opens[] = {"<|channel|>", "<|start|>", " to="};
    if (p->at == p->in.len)
        return false;
    switch (parser_look_any(p, p->at, opens, ARRAY_LEN(opens), &i, &end)) {
    case LOOK_MORE:
        return false;
    case LOOK_YES:
        p->scan = p->at;
        p->state = head;
        return true;
    default: /* no head */
        p->channel = HARMONY_CONTENT;
        p->trim = false;
        p->state = body;
        return true;
    }
}

/* The bytes of a call's message. */
static bool call_bytes(struct dialect_parser *p, size_t to)
{
    struct json_scan *s = &p->object.scan;
    for (; p->at < to; p->at++) {
        char c = p->in.data[p->at];
        bool in_string = json_scan_in_string(s);
        if (c == CONTROL_MARK && in_string)
            continue;
        bool after = s->phase == JSON_AFTER_VALUE && s->depth == 0;
        if (after && strchr(" \t\r\n", c))
            continue;
        if (after || json_scan_byte(s, (unsigned char)c) == JSON_BAD)
            return false;
        if (p->args.len > 0 || !strchr(" \t\r\n", c))
            json_scan_put(in_string, (unsigned char)c, &p->args);
    }
    parser_call_grew(p);
    return true;
}

static bool body_text(struct dialect_parser *p, size_t to)
{
    if (p->channel == HARMONY_CALL)
        return call_bytes(p, to);
    CLEANUP_BUF struct buf text = BUF_INIT(p->in.max);
    parser_plain(p, p->at, to, &text);
    enum delta_kind kind = p->channel == HARMONY_REASONING ? DELTA_REASONING : DELTA_CONTENT;
    parser_say(p, kind, buf_str(&text));
    p->at = to;
    return true;
}

static bool body(struct dialect_parser *p)
{
    size_t i, end;
    for (p->scan = p->at; p->scan < p->in.len; p->scan++) {
        char c = p->in.data[p->scan];
        if (c != CONTROL_MARK && c != '<')
            continue;
        if (p->channel == HARMONY_CALL && c == '<') { /* within a string it is no token */
            if (!call_bytes(p, p->scan))
                return call_failed(p);
            if (json_scan_in_string(&p->object.scan))
                continue;
        }
        enum look l = parser_look_any(p, p->scan, body_end, ARRAY_LEN(body_end), &i, &end);
        if (l == LOOK_NO)
            continue;
        if (!body_text(p, p->scan))
            return call_failed(p);
        if (l == LOOK_MORE)
            return false;
        if (p->channel == HARMONY_CALL && !parser_call_end(p))
            return call_failed(p);
        p->raw_from = SIZE_MAX;
        parser_part(p);
        if (i < BODY_RESTARTS)
            p->at = end;
        p->scan = p->at;
        p->state = head;
        return true;
    }
    if (!body_text(p, p->in.len))
        return call_failed(p);
    if (p->ended && p->channel == HARMONY_CALL) { /* the end token was the end of the answer */
        p->channel = HARMONY_CONTENT;
        return parser_call_end(p) ? false : call_failed(p);
    }
    return false;
}
