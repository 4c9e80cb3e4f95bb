/* SPDX-License-Identifier: Apache-2.0
 *
 * Growing buffers with a maximum. */
#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_release(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = ERR_NONE;
    if (b->data)
        b->data[0] = '\0';
}

static int fail(struct buf *b, enum errc code)
{
    b->failed = code;
    return -(int)code;
}

/* Makes room for n more bytes and the NUL. */
static int grow(struct buf *b, size_t n)
{
    if (b->failed)
        return -(int)b->failed;
    if (n > b->max - b->len)
        return fail(b, ERR_TOO_LARGE);
    size_t need = b->len + n + 1;
    if (need <= b->cap)
        return 0;
    size_t cap = b->cap ? b->cap : 64;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (b->max < SIZE_MAX && cap > b->max + 1)
        cap = b->max + 1;
    char *data = realloc(b->data, cap);
    if (!data)
        return fail(b, ERR_NOMEM);
    b->data = data;
    b->cap = cap;
    return 0;
}

int buf_append_bytes(struct buf *b, const void *p, size_t n)
{
    int r = grow(b, n);
    if (r < 0)
        return r;
    if (n)
        memcpy(b->data + b->len, p, n);
    buf_added(b, n);
    return 0;
}

int buf_append(struct buf *b, struct str s)
{
    return buf_append_bytes(b, s.ptr, s.len);
}

int buf_append_c(struct buf *b, const char *cstr)
{
    return buf_append_bytes(b, cstr, strlen(cstr));
}

int buf_push(struct buf *b, char c)
{
    return buf_append_bytes(b, &c, 1);
}

int buf_append_html(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.len && !b->failed; i++) {
        switch (s.ptr[i]) {
        case '&':
            buf_append_c(b, "&amp;");
            break;
        case '<':
            buf_append_c(b, "&lt;");
            break;
        case '>':
            buf_append_c(b, "&gt;");
            break;
        case '\'':
            buf_append_c(b, "&#39;");
            break;
        case '"':
            buf_append_c(b, "&#34;");
            break;
        default:
            buf_push(b, s.ptr[i]);
            break;
        }
    }
    return -(int)b->failed;
}

int buf_vprintf(struct buf *b, const char *fmt, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    int r = n < 0 ? fail(b, ERR_INTERNAL) : grow(b, (size_t)n);
    if (r == 0) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return r;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int r = buf_vprintf(b, fmt, args);
    va_end(args);
    return r;
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (grow(b, n) < 0)
        return NULL;
    b->data[b->len] = '\0'; /* in case nothing follows */
    return b->data + b->len;
}

void buf_added(struct buf *b, size_t n)
{
    b->len += n;
    b->data[b->len] = '\0';
}

void buf_consume(struct buf *b, size_t n)
{
    if (n == 0)
        return;
    memmove(b->data, b->data + n, b->len - n + 1);
    b->len -= n;
}

void buf_truncate(struct buf *b, size_t n)
{
    if (n >= b->len)
        return;
    b->len = n;
    b->data[n] = '\0';
}

int buf_check(const struct buf *b, const char *what, struct error *err)
{
    if (b->failed == ERR_NONE)
        return 0;
    if (b->failed == ERR_TOO_LARGE)
        return error_set(err, ERR_TOO_LARGE, "%s is larger than the limit of %zu bytes", what,
                         b->max);
    return error_set(err, b->failed, "out of memory for %s", what);
}

struct str buf_str(const struct buf *b)
{
    return b->data ? str_make(b->data, b->len) : STR("");
}

const char *buf_cstr(const struct buf *b)
{
    return b->data ? b->data : "";
}

char *buf_take(struct buf *b)
{
    if (!b->data)
        return str_dup(STR(""));
    char *data = b->data;
    *b = (struct buf){.max = b->max};
    return data;
}
