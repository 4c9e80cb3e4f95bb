/* SPDX-License-Identifier: Apache-2.0
 *
 * The parser's frame: input, output, content and reasoning. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "engine/dialect/parser_internal.h"

enum { TEXT_MAX = 256 << 20, GAP_MAX = 64 };

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void add_text(struct dialect_parser *p, enum delta_kind kind, struct str text);

/* ---- life ---- */

struct dialect_parser *dialect_parser_new(const struct dialect *d, const struct dialect_options *o)
{
    struct dialect_parser *p = xcalloc(1, sizeof(*p));
    p->d = *d;
    p->tools = o->tools;
    p->calls_on = o->tools != NULL;
    p->eager = o->eager;
    p->keep_reasoning = o->keep_reasoning;
    p->raw_from = SIZE_MAX;
    p->at_start = true;
    struct buf *bufs[] = {&p->in, &p->space, &p->out,      &p->name,
                          &p->id, &p->args,  &p->key_text, &p->object.text};
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
        *bufs[i] = BUF_INIT(TEXT_MAX);
    bool open = o->reasoning_is_open || (d->reasoning && !d->reasoning->open);
    if (d->calls->style == CALLS_HARMONY)
        p->state = parser_harmony;
    else
        p->state = d->reasoning && open ? parser_reasoning : parser_start;
    p->trim = p->state == parser_reasoning && !p->keep_reasoning;
    if (p->state == parser_start && p->calls_on && d->calls->flags & CALLS_OPEN) {
        p->raw_from = 0;
        p->fresh = true;
        p->state = parser_heads;
    }
    return p;
}

void dialect_parser_free(struct dialect_parser *p)
{
    if (!p)
        return;
    struct buf *bufs[] = {&p->in, &p->space, &p->out,      &p->name,
                          &p->id, &p->args,  &p->key_text, &p->object.text};
    for (size_t i = 0; i < ARRAY_LEN(bufs); i++)
        buf_release(bufs[i]);
    free(p->deltas);
    free(p);
}

uint32_t dialect_parser_n_calls(const struct dialect_parser *p)
{
    return p->n_calls;
}

/* ---- input ---- */

/* Bytes from the beginning that are whole characters; 0xFF stands alone. */
static size_t whole_characters(const struct buf *b)
{
    size_t back = MIN(b->len, (size_t)UTF8_MAX - 1), from = b->len - back;
    while (from < b->len && ((unsigned char)b->data[from] & 0xC0) == 0x80)
        from++; /* in the middle of a character that began earlier */
    return from + utf8_complete_prefix(b->data + from, b->len - from);
}

/* Drops what nobody will look at again. */
static void forget(struct dialect_parser *p)
{
    size_t n = MIN(p->at, p->raw_from);
    if (n < 4096 && n < p->in.len)
        return;
    buf_consume(&p->in, n);
    p->at -= n;
    p->scan -= MIN(n, p->scan);
    p->value_from -= MIN(n, p->value_from);
    if (p->raw_from != SIZE_MAX)
        p->raw_from -= n;
}

static void run(struct dialect_parser *p)
{
    while (p->state(p))
        ;
}

void dialect_parser_feed(struct dialect_parser *p, struct str piece)
{
    forget(p);
    buf_clear(&p->out);
    p->n_deltas = p->next_delta = 0;
    buf_append(&p->in, piece);
    /* The states see whole characters only: the rest is hidden while they run. */
    size_t all = p->in.len;
    p->in.len = p->in.len > 0 ? whole_characters(&p->in) : 0;
    if (p->in.len > p->at)
        run(p);
    p->in.len = all;
}

void dialect_parser_finish(struct dialect_parser *p)
{
    forget(p);
    buf_clear(&p->out);
    p->n_deltas = p->next_delta = 0;
    p->ended = true;
    run(p);
    if (p->spoken == DELTA_CONTENT && p->n_calls == 0)
        add_text(p, DELTA_CONTENT, buf_str(&p->space));
    buf_clear(&p->space);
}

bool dialect_parser_next(struct dialect_parser *p, struct dialect_delta *ret)
{
    if (p->next_delta == p->n_deltas)
        return false;
    const struct output_delta *d = &p->deltas[p->next_delta++];
    struct str out = buf_str(&p->out);
    *ret = (struct dialect_delta){
        .kind = d->kind,
        .call = d->call,
        .text = str_sub(out, d->from, d->len),
        .id = str_sub(out, d->from + d->len, d->id_len),
    };
    return true;
}

/* ---- looking ---- */

enum look parser_look(const struct dialect_parser *p, size_t at, struct str text, bool loose,
                      size_t *ret_end)
{
    const char *in = p->in.data;
    const size_t len = p->in.len;
    enum look short_of = p->ended ? LOOK_NO : LOOK_MORE;
    size_t i = at;
    bool in_control = false;
    for (size_t k = 0; k <= text.len; k++) {
        bool gap = k < text.len && loose && text.ptr[k] == '\n';
        if (k == text.len || gap) { /* a token must have ended here, not go on */
            if (in_control && i == len)
                return short_of;
            if (in_control && in[i++] != CONTROL_MARK)
                return LOOK_NO;
            in_control = false;
            for (size_t n = 0; gap && n < GAP_MAX && i < len && is_space(in[i]); n++)
                i++;
            continue;
        }
        for (; i < len && in[i] == CONTROL_MARK; i++)
            in_control = !in_control;
        if (i == len)
            return short_of;
        if (in[i++] != text.ptr[k])
            return LOOK_NO;
    }
    *ret_end = i;
    return LOOK_YES;
}

enum look parser_look_any(const struct dialect_parser *p, size_t at, const char *const *marks,
                          size_t n, size_t *ret_index, size_t *ret_end)
{
    enum look best = LOOK_NO;
    for (size_t i = 0; i < n && marks[i]; i++) {
        enum look l = parser_look(p, at, str_from(marks[i]), false, ret_end);
        if (l == LOOK_YES) {
            *ret_index = i;
            return l;
        }
        if (l == LOOK_MORE)
            best = l;
    }
    return best;
}

void parser_skip_space(struct dialect_parser *p)
{
    while (p->at < p->in.len && is_space(p->in.data[p->at]))
        p->at++;
}

void parser_plain(const struct dialect_parser *p, size_t from, size_t to, struct buf *out)
{
    for (size_t i = from; i < to; i++)
        if (p->in.data[i] != CONTROL_MARK)
            buf_push(out, p->in.data[i]);
}

/* ---- saying ---- */

static struct output_delta *add_delta(struct dialect_parser *p, enum delta_kind kind)
{
    if (p->n_deltas == p->cap_deltas) {
        p->cap_deltas = p->cap_deltas ? 2 * p->cap_deltas : 8;
        p->deltas = xrealloc(p->deltas, p->cap_deltas, sizeof(*p->deltas));
    }
    struct output_delta *d = &p->deltas[p->n_deltas++];
    *d = (struct output_delta){.kind = kind, .call = p->n_calls, .from = p->out.len};
    return d;
}

/* Text that follows text of the same kind becomes one delta with it. */
static void add_text(struct dialect_parser *p, enum delta_kind kind, struct str text)
{
    if (text.len == 0)
        return;
    struct output_delta *last = p->n_deltas > 0 ? &p->deltas[p->n_deltas - 1] : NULL;
    if (!last || last->kind != kind || last->call != p->n_calls)
        last = add_delta(p, kind);
    buf_append(&p->out, text);
    last->len += text.len;
}

void parser_say(struct dialect_parser *p, enum delta_kind kind, struct str text)
{
    if (p->keep_reasoning && kind == DELTA_REASONING)
        kind = DELTA_CONTENT;
    if (kind != p->spoken)
        buf_clear(&p->space);
    p->spoken = kind;
    while (p->trim && text.len > 0 && is_space(text.ptr[0]))
        text = str_sub(text, 1, SIZE_MAX);
    if (text.len == 0)
        return;
    p->trim = false;
    size_t n = text.len;
    while (n > 0 && is_space(text.ptr[n - 1]))
        n--;
    if (n > 0) {
        add_text(p, kind, buf_str(&p->space));
        buf_clear(&p->space);
        add_text(p, kind, str_sub(text, 0, n));
    }
    buf_append(&p->space, str_sub(text, n, SIZE_MAX));
}

void parser_give_call(struct dialect_parser *p)
{
    struct output_delta *d = add_delta(p, DELTA_CALL);
    d->len = p->name.len;
    d->id_len = p->id.len;
    buf_append(&p->out, buf_str(&p->name));
    buf_append(&p->out, buf_str(&p->id));
}

void parser_give_arguments(struct dialect_parser *p, struct str text)
{
    add_text(p, DELTA_ARGUMENTS, text);
}

void parser_part(struct dialect_parser *p)
{
    buf_clear(&p->space);
    p->trim = true;
}

/* ---- content ---- */

static bool is_one_of(struct str text, const char *const *marks)
{
    for (size_t i = 0; i < CALL_FORMS && marks[i]; i++)
        if (str_eq_c(text, marks[i]))
            return true;
    return false;
}

/* A control token that means nothing here is left out, but for the end of a call that was none.
 * false if the token's own end has not come yet. */
static bool skip_control(struct dialect_parser *p)
{
    const char *begin = p->in.data + p->at + 1;
    const char *end = memchr(begin, CONTROL_MARK, p->in.len - p->at - 1);
    if (!end && !p->ended)
        return false;
    size_t n = end ? (size_t)(end - begin) : p->in.len - p->at - 1;
    struct str name = str_make(begin, n);
    const struct call_format *f = p->d.calls;
    if (p->calls_on && (is_one_of(name, f->end) || is_one_of(name, f->close)))
        parser_say(p, DELTA_CONTENT, name);
    p->at += end ? n + 2 : n + 1;
    return true;
}

/* Reasoning begins behind its opening mark. With keep_reasoning the mark is content. */
static bool enter_reasoning(struct dialect_parser *p, size_t end)
{
    if (p->keep_reasoning)
        parser_say(p, DELTA_CONTENT, str_from(p->d.reasoning->open));
    else
        parser_part(p);
    p->at = end;
    p->state = parser_reasoning;
    return true;
}

/* What may interrupt content at p->at. LOOK_YES: it was taken, and the state changed. */
static enum look content_mark(struct dialect_parser *p)
{
    const struct call_format *f = p->d.calls;
    size_t i, end;
    enum look more = LOOK_NO, l = LOOK_NO;
    if (p->calls_on)
        l = parser_look_any(p, p->at, f->begin, CALL_FORMS, &i, &end);
    if (l == LOOK_YES) {
        size_t from = p->at;
        p->at = end;
        parser_section_begin(p, from, f->begin[i]);
        return l;
    }
    more = MAX(more, l == LOOK_MORE ? LOOK_MORE : LOOK_NO);
    l = parser_look_any(p, p->at, f->frame, ARRAY_LEN(f->frame), &i, &end);
    if (l == LOOK_NO && p->trailing) {
        l = parser_look_any(p, p->at, f->end, CALL_FORMS, &i, &end);
        p->trailing = l != LOOK_YES;
    }
    if (l == LOOK_YES) {
        p->at = end;
        parser_part(p);
        p->at_start = false;
        return l;
    }
    more = MAX(more, l == LOOK_MORE ? LOOK_MORE : LOOK_NO);
    bool control = p->in.data[p->at] == CONTROL_MARK;
    if (p->d.reasoning && p->d.reasoning->open && (control || p->at_start)) {
        l = parser_look(p, p->at, str_from(p->d.reasoning->open), true, &end);
        if (l == LOOK_YES) {
            enter_reasoning(p, end);
            return l;
        }
        more = MAX(more, l == LOOK_MORE ? LOOK_MORE : LOOK_NO);
    }
    return more;
}

static bool may_begin_mark(const struct dialect_parser *p, char c)
{
    if (c == CONTROL_MARK)
        return true;
    const struct call_format *f = p->d.calls;
    for (size_t i = 0; i < CALL_FORMS; i++)
        if ((p->calls_on && f->begin[i] && c == f->begin[i][0]) ||
            (p->trailing && f->end[i] && c == f->end[i][0]))
            return true;
    for (size_t i = 0; i < ARRAY_LEN(f->frame); i++)
        if (f->frame[i] && c == f->frame[i][0])
            return true;
    return p->at_start && p->d.reasoning && p->d.reasoning->open && c == p->d.reasoning->open[0];
}

bool parser_content(struct dialect_parser *p)
{
    size_t from = p->at;
    while (p->at < p->in.len) {
        char c = p->in.data[p->at];
        if (!may_begin_mark(p, c)) {
            p->at++;
            continue;
        }
        parser_say(p, DELTA_CONTENT, str_sub(buf_str(&p->in), from, p->at - from));
        from = p->at;
        switch (content_mark(p)) {
        case LOOK_YES:
            return true;
        case LOOK_MORE:
            return false;
        default:
            break;
        }
        if (c != CONTROL_MARK)
            p->at++;
        else if (!skip_control(p))
            return false;
        else
            from = p->at;
    }
    parser_say(p, DELTA_CONTENT, str_sub(buf_str(&p->in), from, p->at - from));
    return false;
}

/* The beginning of the answer, or what follows reasoning or calls. */
bool parser_start(struct dialect_parser *p)
{
    size_t from = p->at;
    parser_skip_space(p);
    parser_say(p, DELTA_CONTENT, str_sub(buf_str(&p->in), from, p->at - from));
    if (p->at == p->in.len)
        return false;
    char c = p->in.data[p->at];
    if (p->calls_on && p->d.calls->flags & CALLS_BARE && (c == '{' || c == '['))
        return parser_section_bare(p);
    switch (may_begin_mark(p, c) ? content_mark(p) : LOOK_NO) {
    case LOOK_YES:
        return true;
    case LOOK_MORE:
        return false;
    default:
        break;
    }
    if (c == CONTROL_MARK)
        return skip_control(p);
    p->at_start = false;
    p->state = parser_content;
    return true;
}

/* ---- reasoning ---- */

bool parser_reasoning(struct dialect_parser *p)
{
    const struct reasoning_format *r = p->d.reasoning;
    const struct call_format *f = p->d.calls;
    size_t from = p->at, i, end;
    while (p->at < p->in.len) {
        char c = p->in.data[p->at];
        bool call = p->calls_on && (c == CONTROL_MARK || r->calls_end_it);
        for (i = 0; i < CALL_FORMS && call && c != CONTROL_MARK; i++)
            if (f->begin[i] && f->begin[i][0] == c)
                break;
        call = call && i < CALL_FORMS;
        if (c != CONTROL_MARK && c != r->close[0] && !call) {
            p->at++;
            continue;
        }
        parser_say(p, DELTA_REASONING, str_sub(buf_str(&p->in), from, p->at - from));
        from = p->at;
        enum look l = parser_look(p, p->at, str_from(r->close), false, &end);
        if (l == LOOK_YES) {
            if (p->keep_reasoning)
                parser_say(p, DELTA_CONTENT, str_from(r->close));
            else
                parser_part(p);
            p->at = end;
            p->state = parser_start;
            return true;
        }
        enum look begin = call || c == CONTROL_MARK
                              ? parser_look_any(p, p->at, f->begin, CALL_FORMS, &i, &end)
                              : LOOK_NO;
        if (p->calls_on && begin == LOOK_YES) {
            p->at = end;
            return parser_section_begin(p, from, f->begin[i]);
        }
        if (l == LOOK_MORE || (p->calls_on && begin == LOOK_MORE))
            return false;
        if (c != CONTROL_MARK)
            p->at++;
        else if (!skip_control(p))
            return false;
        else
            from = p->at;
    }
    parser_say(p, DELTA_REASONING, str_sub(buf_str(&p->in), from, p->at - from));
    return false;
}
