/* SPDX-License-Identifier: Apache-2.0
 *
 * Base64, RFC 4648. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buf.h"
#include "base/str.h"

/* Appends `in` with the standard alphabet and padding; a full buffer is marked as failed. */
void base64_encode(struct str in, struct buf *out);

/* Appends what `in` means: the standard or the URL alphabet, padded or not, ASCII white space
 * anywhere, as web browsers decode it (https://infra.spec.whatwg.org/#forgiving-base64-decode).
 * Anything else, and a text that ends in the middle of a byte, is ERR_INVALID, and *out is as
 * before. */
int base64_decode(struct str in, struct buf *out, struct error *err);

#endif
