/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256: the project's one adapter over libcrypto's digests. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum { SHA256_BYTES = 32, SHA256_HEX = 64 };

struct sha256; /* a running hash */

struct sha256 *sha256_new(void); /* never NULL */
void sha256_update(struct sha256 *h, const void *p, size_t n);
/* Ends the hash, frees it and writes 64 lower-case hex digits and a NUL. */
void sha256_final_hex(struct sha256 *h, char out[SHA256_HEX + 1]);
void sha256_free(struct sha256 *h); /* gives up an unfinished one; NULL is fine */

void sha256_hex(struct str data, char out[SHA256_HEX + 1]);
/* The name git has for a file of this content: SHA-1 over a header and the bytes. */
enum { GIT_OID_HEX = 40 };
void git_blob_oid(struct str data, char out[GIT_OID_HEX + 1]);

/* Are they the same? In a time that depends on their lengths alone. */
bool digest_equal(struct str a, struct str b);

int sha256_file_hex(const char *path, char out[SHA256_HEX + 1], struct error *err);

#endif
