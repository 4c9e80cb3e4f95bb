/* SPDX-License-Identifier: Apache-2.0
 *
 * Text and log-probabilities on their way out. */
#include "engine/run/output.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* No token is longer than a model file allows a string to be, and a text no longer than the context
 * times that; this only bounds a mistake. */
#define TEXT_MAX ((size_t)256 << 20)

int output_init(struct output *o, const struct tokenizer *t, const struct str *stops,
                size_t n_stops, bool marks, struct error *err)
{
    *o = (struct output){.piece = BUF_INIT(TEXT_MAX), .text = BUF_INIT(TEXT_MAX), .marks = marks};
    int r = stop_matcher_init(&o->stops, stops, n_stops, err);
    if (r < 0)
        return r;
    detokenizer_init(&o->detok, t, false, true);
    return 0;
}

void output_release(struct output *o)
{
    stop_matcher_release(&o->stops);
    if (o->detok.t)
        detokenizer_release(&o->detok);
    buf_release(&o->piece);
    buf_release(&o->text);
    for (size_t i = 0; i < o->n_held; i++)
        free(o->held[i].info.top);
    free(o->held);
    *o = (struct output){0};
}

/* The name of a token that has no text. */
static struct str control_name(const struct output *o, int32_t id)
{
    return tokenizer_token_type(o->detok.t, id) == TOKEN_CONTROL
               ? tokenizer_token_text(o->detok.t, id)
               : str_make(NULL, 0);
}

int output_feed(struct output *o, int32_t id, struct token_info *info, struct error *err)
{
    if (info) {
        if (o->n_held == o->cap_held) {
            o->cap_held = o->cap_held ? 2 * o->cap_held : 8;
            o->held = xrealloc(o->held, o->cap_held, sizeof(*o->held));
        }
        o->held[o->n_held++] =
            (struct held_token){.info = *info, .at = o->n_fed + o->detok.pending.len};
    }
    buf_clear(&o->piece);
    int r = detokenizer_feed(&o->detok, id, &o->piece, err);
    if (r < 0)
        return r;
    r = buf_check(&o->piece, "the text of a token", err);
    if (r < 0)
        return r;
    struct str name = o->marks && o->piece.len == 0 ? control_name(o, id) : str_make(NULL, 0);
    if (name.len > 0) {
        buf_push(&o->piece, '\xff');
        buf_append(&o->piece, name);
        buf_push(&o->piece, '\xff');
        o->n_fed += o->piece.len;
        stop_matcher_flush(&o->stops, &o->text);
        buf_append(&o->text, buf_str(&o->piece));
        return 0;
    }
    o->n_fed += o->piece.len;
    return stop_matcher_feed(&o->stops, buf_str(&o->piece), &o->text);
}

void output_end(struct output *o)
{
    buf_clear(&o->piece);
    detokenizer_flush(&o->detok, &o->piece);
    o->n_fed += o->piece.len;
    if (!stop_matcher_feed(&o->stops, buf_str(&o->piece), &o->text))
        stop_matcher_flush(&o->stops, &o->text);
    o->ended = true;
}

struct generation_event *output_take(struct output *o)
{
    o->n_given += o->text.len;
    size_t n = 0;
    while (n < o->n_held && (o->ended || o->held[n].at < o->n_given))
        n++;
    if (o->text.len == 0 && n == 0)
        return NULL;

    struct generation_event *e = xcalloc(1, sizeof(*e));
    e->kind = EVENT_TEXT;
    e->text.len = o->text.len;
    e->text.ptr = buf_take(&o->text);
    if (n > 0) {
        e->tokens = xcalloc(n, sizeof(*e->tokens));
        e->n_tokens = n;
        for (size_t i = 0; i < n; i++)
            e->tokens[i] = o->held[i].info;
        memmove(o->held, o->held + n, (o->n_held - n) * sizeof(*o->held));
        o->n_held -= n;
    }
    return e;
}
