/* SPDX-License-Identifier: Apache-2.0
 *
 * Content digests. */
#include "oci/digest.h"

#include <stdio.h>
#include <string.h>

static const struct {
    struct str prefix;
    size_t hex;
} algorithms[] = {
    {{"sha256:", 7}, 64},
    {{"sha512:", 7}, 128},
};

int oci_digest_parse(struct str text, struct oci_digest *ret, struct error *err)
{
    for (size_t a = 0; a < ARRAY_LEN(algorithms); a++) {
        if (!str_starts_with(text, algorithms[a].prefix))
            continue;
        struct str hex = str_sub(text, algorithms[a].prefix.len, SIZE_MAX);
        for (size_t i = 0; i < hex.len; i++) {
            char c = hex.ptr[i];
            if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
                return error_set(err, ERR_INVALID,
                                 "digest '%.*s': only 0-9 and a-f may follow the colon",
                                 STR_ARG(text));
        }
        if (hex.len != algorithms[a].hex)
            return error_set(err, ERR_INVALID, "digest '%.*s' has %zu hex digits instead of %zu",
                             STR_ARG(text), hex.len, algorithms[a].hex);
        memset(ret, 0, sizeof(*ret));
        memcpy(ret->text, text.ptr, text.len);
        return 0;
    }
    return error_set(err, ERR_INVALID, "'%.*s' is not a digest (sha256:<64 hex digits>)",
                     STR_ARG(text));
}

struct oci_digest oci_digest_from_sha256_hex(const char hex[SHA256_HEX + 1])
{
    struct oci_digest d = {.text = "sha256:"};
    memcpy(d.text + 7, hex, SHA256_HEX);
    return d;
}

struct oci_digest oci_digest_of(struct str bytes)
{
    char hex[SHA256_HEX + 1];
    sha256_hex(bytes, hex);
    return oci_digest_from_sha256_hex(hex);
}

const char *oci_digest_hex(const struct oci_digest *d)
{
    return d->text[0] ? d->text + 7 : d->text;
}

const char *oci_digest_algorithm(const struct oci_digest *d)
{
    return strncmp(d->text, "sha512:", 7) == 0 ? "sha512" : "sha256";
}

bool oci_digest_eq(const struct oci_digest *a, const struct oci_digest *b)
{
    return strcmp(a->text, b->text) == 0;
}
