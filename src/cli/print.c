/* SPDX-License-Identifier: Apache-2.0
 *
 * Printing text that came from outside, see print.h. */
#include "cli/print.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/utf8.h"

bool print_is_tty(FILE *to)
{
    int fd = fileno(to);
    return fd >= 0 && isatty(fd);
}

bool print_color(FILE *to)
{
    const char *term = getenv("TERM");
    const char *no_color = getenv("NO_COLOR");
    return !(no_color && *no_color) && term && strcmp(term, "dumb") != 0 && print_is_tty(to);
}

void append_line_text(struct buf *out, struct str s)
{
    /* utf8_printable() makes at most four bytes of one. */
    while (s.len > 0) {
        char part[1024];
        size_t n = MIN(s.len, (sizeof(part) - 1) / 4);
        /* Cut between characters: a cut one would look invalid. */
        if (n < s.len) {
            size_t whole = utf8_complete_prefix(s.ptr, n);
            n = whole > 0 ? whole : n;
        }
        utf8_printable(part, sizeof(part), s.ptr, n);
        buf_append_c(out, part);
        s = str_sub(s, n, s.len - n);
    }
}

void print_line_text(FILE *to, struct str s)
{
    CLEANUP_BUF struct buf b = BUF_INIT(4 * s.len + 1);
    append_line_text(&b, s);
    fputs(buf_cstr(&b), to);
}

void append_terminal_text(struct buf *out, struct str s)
{
    while (s.len > 0) {
        /* A run of plain ASCII in one go. */
        size_t plain = 0;
        while (plain < s.len) {
            unsigned char c = (unsigned char)s.ptr[plain];
            if (!(c >= 0x20 && c < 0x7F) && c != '\n' && c != '\t')
                break;
            plain++;
        }
        if (plain > 0) {
            buf_append_bytes(out, s.ptr, plain);
            s = str_sub(s, plain, s.len - plain);
            continue;
        }
        uint32_t cp = 0;
        size_t n = utf8_decode(s.ptr, s.len, &cp);
        char text[UTF8_MAX];
        if (n == 0) {
            n = 1;
            buf_append(out, STR("\xEF\xBF\xBD"));
        } else if (cp == '\r') {
            /* A lone carriage return could overwrite what stands in the line. */
        } else if (cp < 0x20 || cp == 0x7F) {
            size_t len = utf8_encode(cp == 0x7F ? 0x2421 : 0x2400 + cp, text);
            buf_append_bytes(out, text, len);
        } else if (cp >= 0x80 && cp < 0xA0) {
            buf_append(out, STR("\xEF\xBF\xBD"));
        } else {
            buf_append_bytes(out, s.ptr, n);
        }
        s = str_sub(s, n, s.len - n);
    }
}

void print_text(FILE *to, struct str s)
{
    if (!print_is_tty(to)) {
        fwrite(s.ptr, 1, s.len, to);
        return;
    }
    CLEANUP_BUF struct buf b = BUF_INIT(3 * s.len + 1);
    append_terminal_text(&b, s);
    fwrite(buf_cstr(&b), 1, b.len, to);
}

void print_json(FILE *to, const struct json *v, enum js_style style)
{
    CLEANUP_FREE char *text = js_text(v, style);
    struct str s = str_from(text);
    size_t done = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        bool c1 = c == 0xC2 && i + 1 < s.len && (unsigned char)s.ptr[i + 1] < 0xA0;
        if (c != 0x7F && !c1)
            continue;
        fwrite(s.ptr + done, 1, i - done, to);
        if (c1)
            i++;
        fprintf(to, "\\u00%02x", (unsigned char)s.ptr[i]);
        done = i + 1;
    }
    fwrite(s.ptr + done, 1, s.len - done, to);
    fputc('\n', to);
}

static const char *decimal_unit(double *bytes)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
    size_t i = 0;
    while (*bytes >= 1000.0 && i + 1 < ARRAY_LEN(units)) {
        *bytes /= 1000.0;
        i++;
    }
    return units[i];
}

void size_text(double bytes, char out[SIZE_TEXT_MAX])
{
    const char *unit = decimal_unit(&bytes);
    snprintf(out, SIZE_TEXT_MAX, "%.2f%s", bytes, unit);
}

void size_text_short(double bytes, char out[SIZE_TEXT_MAX])
{
    const char *unit = decimal_unit(&bytes);
    snprintf(out, SIZE_TEXT_MAX, "%.4g%s", bytes, unit);
}
