/* SPDX-License-Identifier: Apache-2.0
 *
 * The request side of an exchange: what the client asked for, copied out of libmicrohttpd so that
 * the handler's thread never looks into a connection, and decoded by our own rules. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "http/exchange.h"

/* More query parameters than this are a mistake or an attack. */
enum { MAX_QUERY_PAIRS = 256 };

void pair_list_add(struct pair_list *l, char *name, char *value)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 16;
        l->items = xrealloc(l->items, l->cap, sizeof(*l->items));
    }
    l->items[l->n++] = (struct pair){name, value};
}

void pair_list_release(struct pair_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->items[i].name);
        free(l->items[i].value);
    }
    free(l->items);
    *l = (struct pair_list){0};
}

static char *xstrndup(struct str s)
{
    char *copy = str_dup(s);
    if (!copy)
        alloc_failed();
    return copy;
}

/* Decodes %XX in s, and '+' as a space where `plus` says so. NULL when an escape is malformed or
 * stands for NUL, which no C string can hold. */
static char *percent_decode(struct str s, bool plus)
{
    char *out = xmalloc(s.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (c == '%') {
            int hi = s.len - i > 2 ? hex_digit(s.ptr[i + 1]) : -1;
            int lo = s.len - i > 2 ? hex_digit(s.ptr[i + 2]) : -1;
            if (hi < 0 || lo < 0 || (hi == 0 && lo == 0)) {
                free(out);
                return NULL;
            }
            out[n++] = (char)(hi * 16 + lo);
            i += 2;
            continue;
        }
        out[n++] = c == '+' && plus ? ' ' : c;
    }
    out[n] = '\0';
    return out;
}

/* Makes runs of '/' one, in place. */
static void squeeze_slashes(char *path)
{
    char *to = path;
    for (const char *from = path; *from; from++)
        if (!(*from == '/' && to > path && to[-1] == '/'))
            *to++ = *from;
    *to = '\0';
}

static void parse_query(struct http_request *r)
{
    struct str rest = str_from(r->query_string);
    struct str part;
    while (str_split_next(&rest, '&', &part)) {
        if (part.len == 0)
            continue;
        if (r->query.n >= MAX_QUERY_PAIRS) {
            r->bad = "too many query parameters";
            return;
        }
        ptrdiff_t eq = str_find_char(part, '=');
        struct str key = eq < 0 ? part : str_sub(part, 0, (size_t)eq);
        struct str val = eq < 0 ? STR("") : str_sub(part, (size_t)eq + 1, SIZE_MAX);
        char *name = percent_decode(key, true);
        char *value = percent_decode(val, true);
        if (!name || !value) {
            free(name);
            free(value);
            r->bad = "the query has a malformed percent escape";
            return;
        }
        pair_list_add(&r->query, name, value);
    }
}

/* A target is "/path?query", "http://host/path?query" or "*" (RFC 9112, section 3.2). */
static void parse_target(struct http_request *r, const char *target)
{
    struct str t = str_from(target);
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        struct str scheme = str_from(schemes[i]);
        if (t.len >= scheme.len && str_eq_nocase(str_sub(t, 0, scheme.len), scheme)) {
            t = str_sub(t, scheme.len, SIZE_MAX);
            ptrdiff_t slash = str_find_char(t, '/');
            t = slash < 0 ? STR("/") : str_sub(t, (size_t)slash, SIZE_MAX);
            break;
        }
    }
    ptrdiff_t mark = str_find_char(t, '?');
    struct str path = mark < 0 ? t : str_sub(t, 0, (size_t)mark);
    r->raw_path = xstrndup(path);
    r->query_string = xstrndup(mark < 0 ? STR("") : str_sub(t, (size_t)mark + 1, SIZE_MAX));
    r->path = percent_decode(path, false);
    if (!r->path) {
        r->path = xstrdup("");
        r->bad = "the path has a malformed percent escape";
        return;
    }
    if (r->path[0] != '/' && strcmp(r->path, "*") != 0) {
        r->bad = "the request target must start with '/'";
        return;
    }
    squeeze_slashes(r->path);
    parse_query(r);
}

static enum MHD_Result copy_header(void *ctx, enum MHD_ValueKind kind, const char *name,
                                   size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    struct http_request *r = ctx;
    pair_list_add(&r->headers, xstrndup(str_make(name, name_len)),
                  xstrndup(str_make(value ? value : "", value_len)));
    return MHD_YES;
}

/* The length of the body decides where the next request begins, so anything ambiguous about it is
 * refused (RFC 9112, section 6.3). */
static void check_framing(struct http_request *r)
{
    const char *length = NULL;
    bool coded = false;
    for (size_t i = 0; i < r->headers.n; i++) {
        const struct pair *h = &r->headers.items[i];
        if (strcasecmp(h->name, "Transfer-Encoding") == 0) {
            coded = true;
        } else if (strcasecmp(h->name, "Content-Length") == 0) {
            if (length && strcmp(length, h->value) != 0)
                r->bad = "conflicting Content-Length headers";
            length = h->value;
        }
    }
    r->content_length = UINT64_MAX;
    if (!length)
        return;
    if (coded)
        r->bad = "both Content-Length and Transfer-Encoding";
    else if (str_to_u64(str_from(length), "Content-Length", &r->content_length, NULL) < 0)
        r->bad = "malformed Content-Length";
}

struct http_request *exchange_new(struct MHD_Connection *c, const char *method, const char *target,
                                  struct connection *connection, bool is_local)
{
    struct http_request *r = xcalloc(1, sizeof(*r));
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    r->refs = 1;
    r->mhd = c;
    r->connection = connection;
    r->is_local = is_local;
    r->method = xstrdup(method);
    r->is_head = strcmp(method, "HEAD") == 0;
    parse_target(r, target);
    MHD_get_connection_values_n(c, MHD_HEADER_KIND, copy_header, r);
    check_framing(r);
    return r;
}

const char *http_request_method(const struct http_request *r)
{
    return r->method;
}

const char *http_request_path(const struct http_request *r)
{
    return r->path;
}

const char *http_request_raw_path(const struct http_request *r)
{
    return r->raw_path;
}

const char *http_request_query(const struct http_request *r, const char *key)
{
    return http_request_query_nth(r, key, 0);
}

const char *http_request_query_nth(const struct http_request *r, const char *key, size_t n)
{
    for (size_t i = 0; i < r->query.n; i++)
        if (strcmp(r->query.items[i].name, key) == 0 && n-- == 0)
            return r->query.items[i].value;
    return NULL;
}

const char *http_request_query_string(const struct http_request *r)
{
    return r->query_string;
}

const char *http_request_header(const struct http_request *r, const char *name)
{
    for (size_t i = 0; i < r->headers.n; i++)
        if (strcasecmp(r->headers.items[i].name, name) == 0)
            return r->headers.items[i].value;
    return NULL;
}

bool http_request_is_local_socket(const struct http_request *r)
{
    return r->is_local;
}

void http_request_each_header(const struct http_request *r, http_header_fn fn, void *ctx)
{
    for (size_t i = 0; i < r->headers.n; i++)
        fn(r->headers.items[i].name, r->headers.items[i].value, ctx);
}

void http_request_attach(struct http_request *r, const void *what)
{
    r->attached = what;
}

const void *http_request_attached(const struct http_request *r)
{
    return r->attached;
}
