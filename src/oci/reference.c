/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of models. One pass from left to right with a cursor, so that every error knows its
 * column. Grammar as registries have it (OCI distribution specification, "Pulling manifests"):
 *
 *     domain     = label ("." label)* [":" port]  |  "[" ipv6 "]" [":" port]
 *     repository = part ("/" part)*
 *     part       = [a-z0-9]+ (("." | "_" | "__" | "-"+) [a-z0-9]+)*
 *     tag        = [A-Za-z0-9_] [A-Za-z0-9_.-]{0,127} */
#include "oci/reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cursor {
    struct str text;
    size_t at;
};

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(int c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(int c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool all_hex(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!is_hex(s.ptr[i]))
            return false;
    return true;
}

/* The character under the cursor, -1 at the end. */
static int peek(const struct cursor *c)
{
    return c->at < c->text.len ? (unsigned char)c->text.ptr[c->at] : -1;
}

static int unexpected(const struct cursor *c, struct error *err)
{
    int ch = peek(c);
    if (ch < 0)
        return error_set(err, ERR_INVALID, "'%.*s': the name ends too early, at column %zu",
                         STR_ARG(c->text), c->at + 1);
    char shown[16];
    if (ch > ' ' && ch < 0x7f)
        snprintf(shown, sizeof(shown), "%c", ch);
    else
        snprintf(shown, sizeof(shown), "\\x%02x", (unsigned)ch);
    return error_set(err, ERR_INVALID, "'%.*s': unexpected '%s' at column %zu", STR_ARG(c->text),
                     shown, c->at + 1);
}

/* Only for parts longer than 100 bytes: shows the beginning. */
static int too_long(const struct cursor *c, const char *what, int max, struct error *err)
{
    return error_set(err, ERR_INVALID, "'%.64s…': the %s is longer than %d characters", c->text.ptr,
                     what, max);
}

/* ":" port, if there is one. */
static int parse_port(struct cursor *c, size_t end, struct error *err)
{
    if (c->at == end || peek(c) != ':')
        return 0;
    c->at++;
    size_t first = c->at;
    unsigned long port = 0;
    while (c->at < end && is_digit(peek(c)) && c->at - first < 6)
        port = port * 10 + (unsigned long)(c->text.ptr[c->at++] - '0');
    if (c->at == first || c->at != end)
        return unexpected(c, err);
    if (port == 0 || port > 65535)
        return error_set(err, ERR_INVALID, "'%.*s': %lu is not a port (column %zu)",
                         STR_ARG(c->text), port, first + 1);
    return 0;
}

/* The registry in text[at, end), and the cursor behind it. */
static int parse_domain(struct cursor *c, size_t end, char out[OCI_DOMAIN_MAX + 1],
                        struct error *err)
{
    size_t start = c->at;
    if (end - start > OCI_DOMAIN_MAX)
        return too_long(c, "registry", OCI_DOMAIN_MAX, err);
    if (peek(c) == '[') {
        c->at++;
        size_t first = c->at;
        while (c->at < end && (is_hex(lower((char)peek(c))) || peek(c) == ':'))
            c->at++;
        if (c->at == first || c->at == end || peek(c) != ']')
            return unexpected(c, err);
        c->at++;
    } else {
        for (;;) {
            size_t first = c->at;
            while (c->at < end && (is_alnum(peek(c)) || (peek(c) == '-' && c->at > first)))
                c->at++;
            if (c->at == first)
                return unexpected(c, err);
            if (c->text.ptr[c->at - 1] == '-') {
                c->at--;
                return unexpected(c, err);
            }
            if (c->at == end || peek(c) != '.')
                break;
            c->at++;
        }
        if (c->at < end && peek(c) != ':')
            return unexpected(c, err);
    }
    int r = parse_port(c, end, err);
    if (r < 0)
        return r;
    if (c->at != end)
        return unexpected(c, err);
    for (size_t i = start; i < end; i++)
        out[i - start] = lower(c->text.ptr[i]);
    out[end - start] = '\0';
    return 0;
}

static void canonical_domain(char domain[OCI_DOMAIN_MAX + 1])
{
    if (strcmp(domain, "index." OCI_HUB_DOMAIN) == 0)
        memcpy(domain, OCI_HUB_DOMAIN, sizeof(OCI_HUB_DOMAIN));
    else if (strcmp(domain, "hf.co") == 0)
        memcpy(domain, OCI_HF_DOMAIN, sizeof(OCI_HF_DOMAIN));
}

/* One part of the repository; the cursor stops behind it. */
static int parse_part(struct cursor *c, struct error *err)
{
    if (!is_alnum(peek(c)))
        return unexpected(c, err);
    for (;;) {
        while (is_alnum(peek(c)))
            c->at++;
        size_t separator = c->at;
        int ch = peek(c);
        if (ch == '.') {
            c->at++;
        } else if (ch == '_') {
            c->at++;
            if (peek(c) == '_')
                c->at++;
        } else if (ch == '-') {
            while (peek(c) == '-')
                c->at++;
        } else {
            return 0;
        }
        if (!is_alnum(peek(c))) {
            /* A separator at the end is the mistake itself; before another one, that other is. */
            int next = peek(c);
            if (next < 0 || next == '/' || next == ':' || next == '@')
                c->at = separator;
            return unexpected(c, err);
        }
    }
}

static int parse_repository(struct cursor *c, struct oci_reference *r, bool organise,
                            struct error *err)
{
    size_t start = c->at, n_parts = 0;
    for (;;) {
        int e = parse_part(c, err);
        if (e < 0)
            return e;
        n_parts++;
        if (peek(c) != '/')
            break;
        c->at++;
    }
    size_t prefix = organise && n_parts == 1 ? 3 : 0, len = c->at - start;
    if (prefix + len > OCI_REPOSITORY_MAX)
        return too_long(c, "name", OCI_REPOSITORY_MAX, err);
    memcpy(r->typed_repository, "ai/", prefix);
    memcpy(r->typed_repository + prefix, c->text.ptr + start, len);
    for (size_t i = 0; i < prefix + len; i++)
        r->repository[i] = lower(r->typed_repository[i]);
    return 0;
}

static int parse_tag(struct cursor *c, struct oci_reference *r, struct error *err)
{
    size_t start = c->at;
    while (is_alnum(peek(c)) || peek(c) == '_' ||
           (c->at > start && (peek(c) == '.' || peek(c) == '-')))
        c->at++;
    size_t len = c->at - start;
    if (len == 0 && peek(c) >= 0)
        return unexpected(c, err);
    if (len > OCI_TAG_MAX)
        return too_long(c, "tag", OCI_TAG_MAX, err);
    memcpy(r->tag, c->text.ptr + start, len);
    return 0;
}

/* Fills the default for a name without a registry. */
static int default_domain(const char *registry, struct oci_reference *r, struct error *err)
{
    if (!registry || !*registry) {
        memcpy(r->domain, OCI_HUB_DOMAIN, sizeof(OCI_HUB_DOMAIN));
        return 0;
    }
    struct cursor c = {.text = str_from(registry)};
    int e = parse_domain(&c, c.text.len, r->domain, err);
    if (e < 0)
        return error_wrap(err, "default registry");
    canonical_domain(r->domain);
    return 0;
}

/* Does text[0, slash) name a registry? */
static bool names_registry(struct str first)
{
    return str_find_char(first, '.') >= 0 || str_find_char(first, ':') >= 0 ||
           str_eq_nocase(first, STR("localhost"));
}

static int parse_name(struct str text, const char *default_registry, struct oci_reference *r,
                      struct error *err)
{
    struct cursor c = {.text = text};
    ptrdiff_t slash = str_find_char(text, '/');
    ptrdiff_t at_sign = str_find_char(text, '@');
    bool explicit_registry = slash > 0 && (at_sign < 0 || slash < at_sign) &&
                             names_registry(str_sub(text, 0, (size_t)slash));
    int e;
    if (explicit_registry) {
        e = parse_domain(&c, (size_t)slash, r->domain, err);
        if (e < 0)
            return e;
        canonical_domain(r->domain);
        c.at++; /* the slash */
    } else {
        e = default_domain(default_registry, r, err);
        if (e < 0)
            return e;
    }
    e = parse_repository(&c, r, !explicit_registry || oci_reference_is_hub(r), err);
    if (e < 0)
        return e;
    if (peek(&c) == ':') {
        c.at++;
        e = parse_tag(&c, r, err);
        if (e < 0)
            return e;
    }
    if (peek(&c) == '@') {
        struct str digest = str_sub(text, c.at + 1, SIZE_MAX);
        e = oci_digest_parse(digest, &r->digest, err);
        if (e < 0)
            return error_wrap(err, "'%.*s', column %zu", STR_ARG(text), c.at + 2);
        return 0;
    }
    if (peek(&c) >= 0)
        return unexpected(&c, err);
    if (!r->tag[0])
        memcpy(r->tag, "latest", sizeof("latest"));
    return 0;
}

int oci_reference_parse(struct str text, const char *default_registry, struct oci_reference *ret,
                        struct error *err)
{
    struct oci_reference r = {.kind = OCI_REF_NAME};
    text = str_trim(text);
    if (text.len == 0)
        return error_set(err, ERR_INVALID, "the model name is empty");
    if (text.len >= OCI_REFERENCE_TEXT_MAX)
        return error_set(err, ERR_INVALID,
                         "the model name has %zu characters; at most %d are allowed", text.len,
                         OCI_REFERENCE_TEXT_MAX - 1);

    bool prefixed = str_starts_with(text, STR("sha256:"));
    struct str hex = prefixed ? str_sub(text, 7, SIZE_MAX) : text;
    if (all_hex(hex) && hex.len == SHA256_HEX) {
        r.kind = OCI_REF_ID;
        char digits[SHA256_HEX + 1] = "";
        memcpy(digits, hex.ptr, SHA256_HEX);
        r.digest = oci_digest_from_sha256_hex(digits);
        *ret = r;
        return 0;
    }
    if (all_hex(hex) &&
        (hex.len == OCI_SHORT_ID || (prefixed && hex.len > OCI_SHORT_ID && hex.len < SHA256_HEX))) {
        r.kind = OCI_REF_SHORT_ID;
        memcpy(r.short_id, hex.ptr, hex.len);
    }
    int e = parse_name(text, default_registry, &r, err);
    if (e < 0)
        return e;
    *ret = r;
    return 0;
}

const char *oci_default_registry(void)
{
    const char *env = getenv("DEFAULT_REGISTRY");
    return env && *env ? env : OCI_HUB_DOMAIN;
}

/* ---- text forms ---- */

static void name_text(const struct oci_reference *r, bool domain, bool version,
                      char out[OCI_REFERENCE_TEXT_MAX])
{
    bool digest = version && r->digest.text[0], tag = version && r->tag[0];
    snprintf(out, OCI_REFERENCE_TEXT_MAX, "%s%s%s%s%s%s%s", domain ? r->domain : "",
             domain ? "/" : "", r->repository, tag ? ":" : "", tag ? r->tag : "", digest ? "@" : "",
             digest ? r->digest.text : "");
}

void oci_reference_text(const struct oci_reference *r, char out[OCI_REFERENCE_TEXT_MAX])
{
    if (r->kind == OCI_REF_ID)
        snprintf(out, OCI_REFERENCE_TEXT_MAX, "%s", r->digest.text);
    else
        name_text(r, true, true, out);
}

void oci_reference_repo(const struct oci_reference *r, char out[OCI_REFERENCE_TEXT_MAX])
{
    name_text(r, true, false, out);
}

void oci_reference_familiar(const struct oci_reference *r, char out[OCI_REFERENCE_TEXT_MAX])
{
    if (r->kind == OCI_REF_ID)
        oci_reference_text(r, out);
    else
        name_text(r, !oci_reference_is_hub(r), true, out);
}

static bool strip_registry(struct str *s, const char *registry)
{
    struct str prefix = str_from(registry);
    if (!str_starts_with(*s, prefix) || s->len <= prefix.len || s->ptr[prefix.len] != '/')
        return false;
    *s = str_sub(*s, prefix.len + 1, SIZE_MAX);
    return true;
}

void oci_display_name(struct str tag, const char *default_registry,
                      char out[OCI_REFERENCE_TEXT_MAX])
{
    bool other = default_registry && *default_registry &&
                 strcmp(default_registry, OCI_HUB_DOMAIN) != 0 &&
                 strcmp(default_registry, "index." OCI_HUB_DOMAIN) != 0;
    if (other)
        strip_registry(&tag, default_registry);
    else if (!strip_registry(&tag, "index." OCI_HUB_DOMAIN))
        strip_registry(&tag, OCI_HUB_DOMAIN);
    if (str_starts_with(tag, STR("ai/")))
        tag = str_sub(tag, 3, SIZE_MAX);
    if (str_ends_with(tag, STR(":latest")))
        tag.len -= 7;
    size_t n = MIN(tag.len, (size_t)OCI_REFERENCE_TEXT_MAX - 1);
    if (n)
        memcpy(out, tag.ptr, n);
    out[n] = '\0';
}

bool oci_reference_is_hub(const struct oci_reference *r)
{
    return strcmp(r->domain, OCI_HUB_DOMAIN) == 0;
}

bool oci_reference_is_hugging_face(const struct oci_reference *r)
{
    return strcmp(r->domain, OCI_HF_DOMAIN) == 0;
}

bool oci_reference_eq(const struct oci_reference *a, const struct oci_reference *b)
{
    if (a->kind == OCI_REF_ID || b->kind == OCI_REF_ID)
        return a->kind == b->kind && oci_digest_eq(&a->digest, &b->digest);
    return strcmp(a->domain, b->domain) == 0 && strcmp(a->repository, b->repository) == 0 &&
           strcmp(a->tag, b->tag) == 0 && oci_digest_eq(&a->digest, &b->digest);
}
