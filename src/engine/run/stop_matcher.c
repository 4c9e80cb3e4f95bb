/* SPDX-License-Identifier: Apache-2.0
 *
 * Stop strings, one Knuth-Morris-Pratt automaton each. */
#include "engine/run/stop_matcher.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

struct stop_string {
    uint16_t len;
    uint16_t state; /* bytes of `text` that the input ends with now */
    char *text;
    uint16_t *fail; /* [len] after text[0..i] the next shorter beginning that is also its end */
};

static void string_prepare(struct stop_string *s, struct str text)
{
    s->len = (uint16_t)text.len;
    s->text = xmalloc(text.len);
    memcpy(s->text, text.ptr, text.len);
    s->fail = xcalloc(text.len, sizeof(*s->fail));
    uint16_t k = 0;
    for (uint16_t i = 1; i < s->len; i++) {
        while (k > 0 && s->text[i] != s->text[k])
            k = s->fail[k - 1];
        if (s->text[i] == s->text[k])
            k++;
        s->fail[i] = k;
    }
}

static bool string_step(struct stop_string *s, char c)
{
    while (s->state > 0 && s->text[s->state] != c)
        s->state = s->fail[s->state - 1];
    if (s->text[s->state] == c)
        s->state++;
    return s->state == s->len;
}

int stop_matcher_init(struct stop_matcher *m, const struct str *stops, size_t n, struct error *err)
{
    if (n > STOP_STRINGS_MAX)
        return error_set(err, ERR_INVALID, "'stop' has %zu strings, at most %d are possible", n,
                         STOP_STRINGS_MAX);
    for (size_t i = 0; i < n; i++)
        if (stops[i].len > STOP_STRING_BYTES_MAX)
            return error_set(err, ERR_INVALID,
                             "a string of 'stop' has %zu bytes, at most %d are possible",
                             stops[i].len, STOP_STRING_BYTES_MAX);

    /* Held: less than the longest stop string, plus the piece just taken. */
    *m = (struct stop_matcher){.held = BUF_INIT((size_t)1 << 30)};
    m->strings = xcalloc(n + 1, sizeof(*m->strings));
    for (size_t i = 0; i < n; i++)
        if (stops[i].len > 0)
            string_prepare(&m->strings[m->n++], stops[i]);
    return 0;
}

void stop_matcher_release(struct stop_matcher *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->strings[i].text);
        free(m->strings[i].fail);
    }
    free(m->strings);
    buf_release(&m->held);
    *m = (struct stop_matcher){0};
}

bool stop_matcher_feed(struct stop_matcher *m, struct str piece, struct buf *out)
{
    if (m->found)
        return true;
    if (m->n == 0) {
        buf_append(out, piece);
        return false;
    }
    size_t keep = 0;
    for (size_t i = 0; i < piece.len; i++) {
        size_t stop_len = 0;
        keep = 0;
        for (size_t k = 0; k < m->n; k++) {
            struct stop_string *s = &m->strings[k];
            if (string_step(s, piece.ptr[i]) && s->len > stop_len) {
                stop_len = s->len;
                m->which = k;
            }
            keep = MAX(keep, (size_t)s->state);
        }
        if (stop_len > 0) {
            buf_append(&m->held, str_sub(piece, 0, i + 1));
            buf_append(out, str_sub(buf_str(&m->held), 0, m->held.len - stop_len));
            buf_clear(&m->held);
            m->found = true;
            return true;
        }
    }
    if (piece.len > 0) {
        buf_append(&m->held, piece);
        size_t safe = m->held.len - keep;
        buf_append(out, str_sub(buf_str(&m->held), 0, safe));
        buf_consume(&m->held, safe);
    }
    return false;
}

struct str stop_matcher_found(const struct stop_matcher *m)
{
    const struct stop_string *s = m->found ? &m->strings[m->which] : NULL;
    return s ? str_make(s->text, s->len) : str_make(NULL, 0);
}

size_t stop_matcher_held(const struct stop_matcher *m)
{
    return m->held.len;
}

void stop_matcher_flush(struct stop_matcher *m, struct buf *out)
{
    buf_append(out, buf_str(&m->held));
    buf_clear(&m->held);
    for (size_t k = 0; k < m->n; k++)
        m->strings[k].state = 0;
}
