/* SPDX-License-Identifier: Apache-2.0
 *
 * Heads of HTTP/1 messages (RFC 9112), as far as a relay must understand them: where a message goes
 * and where it ends. Nothing is changed or copied; the bytes are forwarded as they came.
 *
 * Requests are read strictly, because two readers who disagree about where one ends are a hole: a
 * bare CR or LF, a folded line, white space before a colon, two lengths, a length beside a transfer
 * coding, another coding than "chunked", two Hosts are all refused. */
#ifndef DOOR_HEAD_H
#define DOOR_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum body_kind {
    BODY_NONE,
    BODY_LENGTH,
    BODY_CHUNKED,
    BODY_TO_END, /* to the end of the connection; responses only */
};

struct request_head {
    struct str method; /* borrowed */
    struct str target; /* borrowed, as sent */
    enum body_kind body;
    uint64_t length;
};

struct response_head {
    int status;
    enum body_kind body;
    uint64_t length;
};

enum {
    HEAD_MORE = 0, /* its end is not there yet */
    HEAD_BAD = -1,
};

/* Looks for the end of a head at the beginning of `bytes`. The result is its length with the empty
 * line, HEAD_MORE, or HEAD_BAD for a line that ends without CR. *scanned, 0 at first, remembers how
 * far it looked, so that bytes which come one by one are read once. */
ptrdiff_t head_find_end(struct str bytes, size_t *scanned);

/* Reads a whole head, of which head_find_end() told the length. False with *why, static text, when
 * it is refused. */
bool request_head_parse(struct str head, struct request_head *ret, const char **why);

/* `to_head`: it answers a HEAD request. False when its framing cannot be understood. */
bool response_head_parse(struct str head, bool to_head, struct response_head *ret);

#endif
