/* SPDX-License-Identifier: Apache-2.0 */
#include "base/argv.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"

/* The text is the list's from here on. */
static void take(struct argv *a, char *text)
{
    if (a->n + 2 > a->cap) {
        a->cap = a->cap ? a->cap * 2 : 16;
        a->v = xrealloc(a->v, a->cap, sizeof(*a->v));
    }
    a->v[a->n++] = text;
    a->v[a->n] = NULL;
}

void argv_push(struct argv *a, const char *text)
{
    take(a, xstrdup(text));
}

void argv_add(struct argv *a, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    if (vasprintf(&text, fmt, args) < 0)
        alloc_failed();
    va_end(args);
    take(a, text);
}

int argv_split(struct argv *a, struct str text, const char *what, struct error *err)
{
    CLEANUP_BUF struct buf word = BUF_INIT(64 * 1024);
    bool in_word = false;
    char quote = '\0';
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (quote && c == quote) {
            quote = '\0';
        } else if (!quote && (c == '"' || c == '\'')) {
            quote = c;
            in_word = true;
        } else if (!quote && (c == ' ' || c == '\t' || c == '\n')) {
            if (in_word)
                argv_push(a, buf_cstr(&word));
            buf_clear(&word);
            in_word = false;
        } else {
            if (c == '\\' && quote != '\'' && i + 1 < text.len)
                c = text.ptr[++i];
            buf_push(&word, c);
            in_word = true;
        }
        int r = buf_check(&word, what, err);
        if (r < 0)
            return r;
    }
    if (quote)
        return error_set(err, ERR_INVALID, "%s has an unclosed quote", what);
    if (in_word)
        argv_push(a, buf_cstr(&word));
    return 0;
}

void argv_release(struct argv *a)
{
    for (size_t i = 0; i < a->n; i++)
        free(a->v[i]);
    free(a->v);
    *a = (struct argv){0};
}
