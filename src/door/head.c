/* SPDX-License-Identifier: Apache-2.0
 *
 * Heads of HTTP/1 messages, see head.h. */
#include "door/head.h"

#include <stddef.h>

#include "base/compiler.h"

ptrdiff_t head_find_end(struct str bytes, size_t *scanned)
{
    for (size_t i = *scanned; i < bytes.len; i++) {
        if (bytes.ptr[i] != '\n')
            continue;
        if (i == 0 || bytes.ptr[i - 1] != '\r')
            return HEAD_BAD;
        if (i == 1 || (i >= 3 && bytes.ptr[i - 2] == '\n')) {
            *scanned = i + 1;
            return (ptrdiff_t)i + 1;
        }
    }
    *scanned = bytes.len;
    return HEAD_MORE;
}

static bool is_token_char(char c)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
        return true;
    return c != '\0' && str_find_char(STR(others), c) >= 0;
}

static bool is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_token_char(s.ptr[i]))
            return false;
    return s.len > 0;
}

/* No control characters, except where a tab is fine. */
static bool is_text(struct str s, bool tab)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if ((c < ' ' && !(tab && c == '\t')) || c == 0x7f)
            return false;
    }
    return true;
}

/* "HTTP/1.0" and "HTTP/1.1" → the minor number, else -1. */
static int http1_minor(struct str s)
{
    if (str_eq_c(s, "HTTP/1.0"))
        return 0;
    return str_eq_c(s, "HTTP/1.1") ? 1 : -1;
}

/* Cuts the next line off *rest, without its CRLF; false at the empty line. */
static bool next_line(struct str *rest, struct str *ret)
{
    ptrdiff_t end = str_find(*rest, STR("\r\n"));
    if (end <= 0)
        return false;
    *ret = str_sub(*rest, 0, (size_t)end);
    *rest = str_sub(*rest, (size_t)end + 2, SIZE_MAX);
    return true;
}

/* What header lines say about the body's framing. */
struct framing_facts {
    bool has_length, chunked;
    uint64_t length;
    unsigned n_hosts;
};

static const char *take_header(struct str line, struct framing_facts *f)
{
    if (line.ptr[0] == ' ' || line.ptr[0] == '\t')
        return "a header line is folded";
    ptrdiff_t colon = str_find_char(line, ':');
    if (colon < 0)
        return "a header line has no colon";
    struct str name = str_sub(line, 0, (size_t)colon);
    struct str value = str_trim(str_sub(line, (size_t)colon + 1, SIZE_MAX));
    if (!is_token(name))
        return "a header has a malformed name";
    if (!is_text(value, true))
        return "a header's value has control characters";
    if (str_eq_nocase(name, STR("Content-Length"))) {
        if (f->has_length)
            return "Content-Length is given more than once";
        if (str_to_u64(value, "Content-Length", &f->length, NULL) < 0 || f->length > INT64_MAX)
            return "Content-Length is malformed";
        f->has_length = true;
    } else if (str_eq_nocase(name, STR("Transfer-Encoding"))) {
        if (f->chunked || !str_eq_nocase(value, STR("chunked")))
            return "the transfer coding is not understood";
        f->chunked = true;
    } else if (str_eq_nocase(name, STR("Host"))) {
        f->n_hosts++;
    }
    if (f->has_length && f->chunked)
        return "both Content-Length and Transfer-Encoding are given";
    return f->n_hosts > 1 ? "Host is given more than once" : NULL;
}

static const char *take_headers(struct str rest, struct framing_facts *f)
{
    struct str line;
    while (next_line(&rest, &line)) {
        const char *why = take_header(line, f);
        if (why)
            return why;
    }
    return str_eq_c(rest, "\r\n") ? NULL : "the head has no end";
}

bool request_head_parse(struct str head, struct request_head *ret, const char **why)
{
    struct str rest = head, line, version;
    struct framing_facts f = {0};
    *ret = (struct request_head){0};
    *why = "the request line is malformed";
    if (!next_line(&rest, &line) || !str_split_next(&line, ' ', &ret->method) ||
        !str_split_next(&line, ' ', &ret->target) || !line.ptr)
        return false;
    version = line;
    if (!is_token(ret->method) || ret->target.len == 0 || !is_text(ret->target, false))
        return false;
    int minor = http1_minor(version);
    if (minor < 0) {
        *why = "the version of HTTP is not understood";
        return false;
    }
    *why = take_headers(rest, &f);
    if (!*why && f.chunked && minor == 0)
        *why = "HTTP/1.0 has no transfer codings";
    if (*why)
        return false;
    ret->body = f.chunked ? BODY_CHUNKED : f.length > 0 ? BODY_LENGTH : BODY_NONE;
    ret->length = f.length;
    return true;
}

bool response_head_parse(struct str head, bool to_head, struct response_head *ret)
{
    struct str rest = head, line, version, status;
    struct framing_facts f = {0};
    uint64_t number;
    if (!next_line(&rest, &line) || !str_split_next(&line, ' ', &version) ||
        http1_minor(version) < 0 || !str_split_next(&line, ' ', &status) || status.len != 3 ||
        str_to_u64(status, "the status", &number, NULL) < 0 || number < 100 ||
        take_headers(rest, &f))
        return false;
    *ret = (struct response_head){.status = (int)number, .length = f.length};
    if (number < 200 || number == 204 || number == 304 || to_head)
        ret->body = BODY_NONE;
    else if (f.chunked)
        ret->body = BODY_CHUNKED;
    else if (f.has_length)
        ret->body = f.length > 0 ? BODY_LENGTH : BODY_NONE;
    else
        ret->body = BODY_TO_END;
    return true;
}
