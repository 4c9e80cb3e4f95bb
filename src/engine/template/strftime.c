/* SPDX-License-Identifier: Apache-2.0
 *
 * strftime_now(format): the local time, as datetime.now().strftime(format) writes it in the C
 * locale. */
#include <string.h>

#include "engine/template/interp.h"
#include "engine/template/output.h"

enum { DIRECTIVE_MAX = 16 };

/* The directive at f.ptr[at], which is '%': its length, 0 when it is not complete. "%-d", "%03d"
 * and "%Ey" are glibc's; widths have up to three digits. */
static size_t directive_len(struct str f, size_t at)
{
    size_t i = at + 1, digits = 0;
    while (i < f.len && strchr("-_0^#:", f.ptr[i]) && f.ptr[i])
        i++;
    for (; i < f.len && f.ptr[i] >= '0' && f.ptr[i] <= '9'; i++)
        digits++;
    if (i < f.len && (f.ptr[i] == 'E' || f.ptr[i] == 'O'))
        i++;
    size_t n = i + 1 - at;
    return i < f.len && digits <= 3 && n < DIRECTIVE_MAX ? n : 0;
}

static void append_directive(const struct tm *tm, long ns, const char *directive, char kind,
                             struct buf *out)
{
    char text[1100]; /* room for a width of three digits */
    if (kind == 'f') { /* Python's own: microseconds */
        buf_printf(out, "%06ld", ns / 1000);
        return;
    }
    if (kind == 'z' || kind == 'Z') /* a time without a zone has none to write */
        return;
    /* The directive is one, whole and short: directive_len() saw to that. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    size_t n = strftime(text, sizeof(text), directive, tm);
#pragma GCC diagnostic pop
    buf_append_bytes(out, text, n);
}

struct value function_strftime_now(struct render *r, const struct call *c)
{
    struct str f;
    if (!arg_str(r, c, 0, STR(""), &f))
        return value_error();
    struct tm tm;
    if (!localtime_r(&r->now.tv_sec, &tm))
        return render_fail(r, ERR_INVALID, "the time is out of range");
    CLEANUP_BUF struct buf b = render_buf();
    for (size_t i = 0; i < f.len;) {
        size_t n = f.ptr[i] == '%' ? directive_len(f, i) : 0;
        if (n == 0) {
            buf_push(&b, f.ptr[i++]);
            continue;
        }
        char directive[DIRECTIVE_MAX + 1] = {0};
        memcpy(directive, f.ptr + i, n);
        append_directive(&tm, r->now.tv_nsec, directive, directive[n - 1], &b);
        if (!render_steps(r, 1))
            return value_error();
        i += n;
    }
    return value_str_buf(r, &b);
}
