/* SPDX-License-Identifier: Apache-2.0
 *
 * Content digests: "sha256:" and 64 lower-case hex digits.
 *
 * A struct oci_digest always holds a checked digest: the only ways to fill one are
 * oci_digest_parse() and oci_digest_of(). File names are built from it without another look.
 * sha512 is accepted when read, because stores and manifests of others may hold it; nothing here
 * makes one. */
#ifndef OCI_DIGEST_H
#define OCI_DIGEST_H

#include <stdbool.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/str.h"

enum {
    OCI_DIGEST_TEXT_MAX = 7 + 128 + 1, /* "sha512:" + hex + NUL */
    OCI_SHORT_ID = 12,                 /* hex digits of the short form people see */
};

struct oci_digest {
    char text[OCI_DIGEST_TEXT_MAX]; /* "sha256:<hex>" */
};

/* Errors name the digest and what is wrong with it. */
int oci_digest_parse(struct str text, struct oci_digest *ret, struct error *err);

/* The SHA-256 of some bytes. */
struct oci_digest oci_digest_of(struct str bytes);

/* From the output of sha256_final_hex(). */
struct oci_digest oci_digest_from_sha256_hex(const char hex[SHA256_HEX + 1]);

const char *oci_digest_hex(const struct oci_digest *d);       /* behind the colon */
const char *oci_digest_algorithm(const struct oci_digest *d); /* "sha256" or "sha512" */
bool oci_digest_eq(const struct oci_digest *a, const struct oci_digest *b);

#endif
