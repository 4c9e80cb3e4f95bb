/* SPDX-License-Identifier: Apache-2.0
 *
 * URLs, by libcurl's parser. */
#include "http/url.h"

#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/alloc.h"

enum { MAX_URL_BYTES = 16 * 1024 };

static void cleanup_curlu(CURLU **u)
{
    curl_url_cleanup(*u);
}

static void cleanup_curl_text(char **p)
{
    curl_free(*p);
}
#define CLEANUP_CURL_TEXT CLEANUP(cleanup_curl_text)

static int bad_url(const char *text, const char *why, struct error *err)
{
    struct str shown = str_from(text);
    ptrdiff_t mark = str_find_char(shown, '?');
    if (mark >= 0)
        shown = str_sub(shown, 0, (size_t)mark);
    shown = str_sub(shown, 0, 200);
    return error_set(err, ERR_INVALID, "'%.*s': %s", STR_ARG(shown), why);
}

void url_release(struct url *u)
{
    free(u->text);
    free(u->host);
    free(u->origin);
    *u = (struct url){0};
}

int url_parse(const char *text, const struct url *base, struct url *ret, struct error *err)
{
    size_t len = strlen(text);
    if (len == 0 || len > MAX_URL_BYTES)
        return error_set(err, ERR_INVALID, len ? "a URL of more than 16 KiB" : "an empty URL");
    for (size_t i = 0; i < len; i++) {
        /* A backslash is a slash to some parsers and not to others. */
        if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f || text[i] == '\\')
            return bad_url(text, "not a URL", err);
    }
    CLEANUP(cleanup_curlu) CURLU *u = curl_url();
    if (!u)
        return error_set(err, ERR_NOMEM, "out of memory");
    if (base && curl_url_set(u, CURLUPART_URL, base->text, 0) != CURLUE_OK)
        return bad_url(base->text, "not a URL", err);
    if (curl_url_set(u, CURLUPART_URL, text, 0) != CURLUE_OK)
        return bad_url(text, "not a URL", err);
    curl_url_set(u, CURLUPART_FRAGMENT, NULL, 0);

    CLEANUP_CURL_TEXT char *scheme = NULL;
    CLEANUP_CURL_TEXT char *user = NULL;
    CLEANUP_CURL_TEXT char *host = NULL;
    CLEANUP_CURL_TEXT char *port = NULL;
    CLEANUP_CURL_TEXT char *whole = NULL;
    if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        return bad_url(text, "only http and https are supported", err);
    if (curl_url_get(u, CURLUPART_USER, &user, 0) == CURLUE_OK ||
        curl_url_get(u, CURLUPART_PASSWORD, &user, 0) == CURLUE_OK)
        return error_set(err, ERR_INVALID, "a URL with a user name or password in it");
    uint64_t number = 0;
    if (curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK || !*host ||
        curl_url_get(u, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) != CURLUE_OK ||
        str_to_u64(str_from(port), "the port", &number, NULL) < 0 || number > UINT16_MAX ||
        curl_url_get(u, CURLUPART_URL, &whole, 0) != CURLUE_OK)
        return bad_url(text, "not a URL", err);
    for (char *p = host; *p; p++) {
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p - 'A' + 'a');
    }
    size_t n = strlen(host);
    if (n > 1 && host[n - 1] == '.') /* "example.com." is example.com */
        host[n - 1] = '\0';
    *ret = (struct url){
        .text = xstrdup(whole),
        .host = xstrdup(host),
        .origin = xasprintf("%s://%s:%u", scheme, host, (unsigned)number),
        .port = (uint16_t)number,
        .tls = strcmp(scheme, "https") == 0,
    };
    return 0;
}

struct str url_shown(const struct url *u)
{
    struct str s = str_from(u->text);
    ptrdiff_t mark = str_find_char(s, '?');
    return str_sub(s, 0, mark < 0 ? MIN(s.len, 400) : MIN((size_t)mark, 400));
}
