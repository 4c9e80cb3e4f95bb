/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates for a server of one's own: making one that signs itself, and naming one. */
#ifndef BASE_CERTIFICATE_H
#define BASE_CERTIFICATE_H

#include "base/buf.h"
#include "base/digest.h"
#include "base/error.h"

/* "AA:BB:…", 32 bytes. */
enum { FINGERPRINT_TEXT = SHA256_BYTES * 3 };

/* Appends a new EC key (P-256) and a certificate of it as PEM, valid for `days`. `names` are DNS
 * names and numeric addresses, NULL-terminated; the first is the common name. */
int certificate_make(const char *const *names, int days, struct buf *ret_cert, struct buf *ret_key,
                     struct error *err);

/* SHA-256 of the first certificate of a PEM text, as browsers and openssl show it, and the days
 * that it is still valid (negative: it has run out). */
int certificate_look(struct str pem, char ret_fingerprint[FINGERPRINT_TEXT], int *ret_days,
                     struct error *err);

#endif
