/* SPDX-License-Identifier: Apache-2.0
 *
 * Sorted maps of text. */
#include "oci/map.h"

#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"

void oci_map_release(struct oci_map *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->items[i].key);
        free(m->items[i].value);
    }
    free(m->items);
    *m = (struct oci_map){0};
}

/* Index of the first key >= `key`. */
static size_t lower_bound(const struct oci_map *m, struct str key)
{
    size_t lo = 0, hi = m->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (str_cmp(str_from(m->items[mid].key), key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static char *copy_text(struct str s)
{
    char *p = xmalloc(s.len + 1);
    if (s.len)
        memcpy(p, s.ptr, s.len);
    p[s.len] = '\0';
    return p;
}

void oci_map_set(struct oci_map *m, struct str key, struct str value)
{
    /* A key ends at its first NUL, so that sorting and looking up agree. */
    ptrdiff_t nul = str_find_char(key, '\0');
    if (nul >= 0)
        key.len = (size_t)nul;
    size_t at = lower_bound(m, key);
    if (at < m->n && str_eq_c(key, m->items[at].key)) {
        free(m->items[at].value);
    } else {
        if (m->n == m->cap) {
            m->cap = m->cap ? 2 * m->cap : 8;
            m->items = xrealloc(m->items, m->cap, sizeof(*m->items));
        }
        memmove(&m->items[at + 1], &m->items[at], (m->n - at) * sizeof(*m->items));
        m->items[at].key = copy_text(key);
        m->n++;
    }
    m->items[at].value = copy_text(value);
    m->items[at].value_len = value.len;
}

struct str oci_map_get(const struct oci_map *m, const char *key)
{
    size_t at = lower_bound(m, str_from(key));
    if (at < m->n && strcmp(m->items[at].key, key) == 0)
        return str_make(m->items[at].value, m->items[at].value_len);
    return (struct str){NULL, 0};
}

void oci_map_copy(const struct oci_map *from, struct oci_map *to)
{
    for (size_t i = 0; i < from->n; i++)
        oci_map_set(to, str_from(from->items[i].key),
                    str_make(from->items[i].value, from->items[i].value_len));
}

void oci_map_from_json(const struct json *object, struct oci_map *to)
{
    struct json_iter it = {0};
    while (js_next(object, &it)) {
        if (js_is(it.value, JS_STRING)) {
            oci_map_set(to, it.key, js_to_str(it.value));
            continue;
        }
        CLEANUP_FREE char *text = js_text(it.value, JS_COMPACT);
        oci_map_set(to, it.key, str_from(text));
    }
}

/* How many bytes at the start stand for themselves in a JSON text: nearly always all. */
static size_t plain_run(struct str s)
{
    size_t n = 0;
    while (n < s.len && s.ptr[n] >= 0x20 && s.ptr[n] < 0x7f && s.ptr[n] != '"' &&
           s.ptr[n] != '\\' && s.ptr[n] != '<' && s.ptr[n] != '>' && s.ptr[n] != '&')
        n++;
    return n;
}

void oci_write_string(struct str s, struct buf *out)
{
    buf_push(out, '"');
    while (s.len > 0) {
        size_t plain = plain_run(s);
        buf_append_bytes(out, s.ptr, plain);
        s = str_sub(s, plain, SIZE_MAX);
        if (s.len == 0)
            break;
        uint32_t cp;
        size_t n = utf8_decode(s.ptr, s.len, &cp);
        if (n == 0) {
            buf_append(out, STR("\\ufffd"));
            n = 1;
        } else if (cp == '"' || cp == '\\') {
            buf_push(out, '\\');
            buf_push(out, (char)cp);
        } else if (cp == '\n' || cp == '\r' || cp == '\t' || cp == '\b' || cp == '\f') {
            buf_push(out, '\\');
            buf_push(out, cp == '\n'   ? 'n'
                          : cp == '\r' ? 'r'
                          : cp == '\t' ? 't'
                          : cp == '\b' ? 'b'
                                       : 'f');
        } else if (cp < 0x20 || cp == '<' || cp == '>' || cp == '&' || cp == 0x2028 ||
                   cp == 0x2029) {
            buf_printf(out, "\\u%04x", (unsigned)cp);
        } else {
            buf_append_bytes(out, s.ptr, n);
        }
        s = str_sub(s, n, SIZE_MAX);
    }
    buf_push(out, '"');
}

void oci_map_write(const struct oci_map *m, struct buf *out)
{
    buf_push(out, '{');
    for (size_t i = 0; i < m->n; i++) {
        if (i)
            buf_push(out, ',');
        oci_write_string(str_from(m->items[i].key), out);
        buf_push(out, ':');
        oci_write_string(str_make(m->items[i].value, m->items[i].value_len), out);
    }
    buf_push(out, '}');
}
