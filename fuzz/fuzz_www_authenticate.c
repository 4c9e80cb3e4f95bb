/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzz target: header fields that registries answer with, and the URLs in them. Every field goes
 * through every parser; what a parser gives must keep its promises. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "http/url.h"
#include "registry/headers.h"

static void check(bool ok)
{
    if (!ok)
        abort();
}

/* A URL that was taken is absolute, and stays what it is when it is read again. */
static void use_url(const char *text)
{
    struct url base = {0}, u = {0}, again = {0};
    check(url_parse("https://registry.example/v2/", NULL, &base, NULL) == 0);
    if (url_parse(text, &base, &u, NULL) == 0) {
        check(strncmp(u.text, "http", 4) == 0);
        check(url_parse(u.text, NULL, &again, NULL) < 0 || strcmp(again.origin, u.origin) == 0);
        check(url_shown(&u).len <= 400);
    }
    url_release(&again);
    url_release(&u);
    url_release(&base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str field = str_make((const char *)data, size);
    struct challenge c = {0};
    challenge_add(&c, field);
    challenge_add(&c, field); /* a second one must not replace the first */
    check(c.bearer || (!c.realm && !c.service && !c.scope));
    if (c.realm)
        use_url(c.realm);
    challenge_release(&c);

    struct content_range r;
    if (content_range_parse(field, &r))
        check(r.first <= r.last && r.last < r.total);

    struct str next = link_find(field, "next");
    check(!next.ptr || (next.ptr >= field.ptr && next.ptr + next.len <= field.ptr + field.len));
    if (next.ptr && !memchr(next.ptr, '\0', next.len)) {
        CLEANUP_FREE char *text = str_dup(next);
        use_url(text);
    }
    check(retry_after_parse(field, 1000) >= -1);
    return 0;
}
