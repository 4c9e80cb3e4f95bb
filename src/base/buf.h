/* SPDX-License-Identifier: Apache-2.0
 *
 * struct buf: bytes that grow, up to a maximum fixed at birth.
 *
 * A failed append (the maximum reached, or no memory) marks the buffer as failed and
 * appends nothing; later appends then do nothing either, so a series of appends needs
 * one check at its end:
 *
 *     struct buf b = BUF_INIT(64 * 1024);
 *     buf_append(&b, STR("hello "));
 *     buf_printf(&b, "%d", 42);
 *     int r = buf_check(&b, "the greeting", err);
 *     ...
 *     buf_release(&b);
 *
 * data is NULL until the first append and always followed by a NUL that is not counted.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/str.h"

struct buf {
    char *data;
    size_t len;
    size_t cap;       /* bytes allocated */
    size_t max;       /* len never exceeds this */
    enum errc failed; /* ERR_NONE, ERR_TOO_LARGE or ERR_NOMEM */
};

#define BUF_INIT(max_bytes) ((struct buf){.max = (max_bytes)})

void buf_release(struct buf *b); /* frees; the buffer can be used again */
void buf_clear(struct buf *b);   /* empties, keeps the memory, forgets a failure */

#define CLEANUP_BUF CLEANUP(buf_release)

/* All return 0 or a negative error code, as the `failed` mark says. */
int buf_append(struct buf *b, struct str s);
int buf_append_bytes(struct buf *b, const void *p, size_t n);
int buf_append_c(struct buf *b, const char *cstr);
int buf_push(struct buf *b, char c);
int buf_printf(struct buf *b, const char *fmt, ...) ATTR_PRINTF(2, 3);
int buf_vprintf(struct buf *b, const char *fmt, va_list args) ATTR_PRINTF(2, 0);

/* Text for HTML: & < > ' " become &amp; &lt; &gt; &#39; &#34;. */
int buf_append_html(struct buf *b, struct str s);

/* Makes room for n more bytes and returns where they go (NULL on failure); add what was written
 * with buf_added(). */
char *buf_reserve(struct buf *b, size_t n);
void buf_added(struct buf *b, size_t n);

/* Drops the first n bytes. */
void buf_consume(struct buf *b, size_t n);

/* Shortens to n bytes. */
void buf_truncate(struct buf *b, size_t n);

/* 0, or the error of the first failed append: "WHAT is larger than N bytes". */
int buf_check(const struct buf *b, const char *what, struct error *err);

/* The content; valid until the next change. Never a NULL pointer. */
struct str buf_str(const struct buf *b);
const char *buf_cstr(const struct buf *b);

/* Gives the terminated content to the caller, who frees it; the buffer is empty afterwards.
 * NULL when out of memory. */
char *buf_take(struct buf *b) ATTR_CHECK;

#endif
