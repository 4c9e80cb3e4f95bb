/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the body of an HTTP/1 message ends, found out while its bytes pass by. */
#ifndef DOOR_BODY_H
#define DOOR_BODY_H

#include "door/head.h"

enum chunk_part {
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    CHUNK_TRAILER,      /* at the beginning of a line */
    CHUNK_TRAILER_TEXT, /* inside one */
    CHUNK_TRAILER_LF,
    CHUNK_LAST_LF,
};

struct body {
    enum body_kind kind; /* BODY_NONE: it has ended */
    uint64_t left;       /* of the length, or of the chunk */
    enum chunk_part part;
    unsigned n_digits;
    unsigned n_extra; /* bytes of extensions and trailers, which are bounded */
};

struct body body_begin(enum body_kind kind, uint64_t length);

static inline bool body_ended(const struct body *b)
{
    return b->kind == BODY_NONE;
}

/* How many of the bytes belong to the body: all, unless it ends before. -1 = malformed chunks. */
ptrdiff_t body_feed(struct body *b, struct str bytes);

#endif
