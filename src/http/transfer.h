/* SPDX-License-Identifier: Apache-2.0
 *
 * One call as libcurl performs it: what http_perform() and struct http_multi share. Private to
 * http/. */
#ifndef HTTP_TRANSFER_H
#define HTTP_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

#include "base/buf.h"
#include "base/error.h"
#include "http/client.h"

/* One call under way. It must not move in memory. */
struct transfer {
    const struct http_call *call;
    struct http_result *res;
    struct curl_slist *headers; /* of the request */
    char *proxy;                /* URL of the proxy, NULL if none */
    size_t body_sent;           /* of call->body */
    struct buf lines;           /* header lines of the answer being read, NUL after each */
    int status;                 /* of the answer being read */
    bool has_location;
    bool headers_done;          /* those of the final answer */
    bool moved;                 /* since last_move_ms was looked at */
    int64_t last_move_ms;
    int callback_result;        /* negative result of a callback, which ended the call */
    int connect_result;         /* the last one of on_connect that was negative */
    bool too_large;
    char reason[CURL_ERROR_SIZE];
};

/* libcurl is ready for use, whatever thread asks; false = it cannot start. */
bool transfer_library_init(void);

/* Makes `easy` ready to perform the call. *res is cleared; call and res must stay. */
void transfer_begin(struct transfer *t, CURL *easy, const struct http_call *call,
                    struct http_result *res);

/* How long the transfer may stay without a byte: ms, INT64_MAX = for ever, negative = it has
 * stalled. */
int64_t transfer_time_left(struct transfer *t);

/* Ends the transfer with libcurl's verdict, or with `r` < 0 and *err when it was stopped. Gives
 * what http_perform() gives, and releases all but *res (its body, too, on failure). */
int transfer_end(struct transfer *t, CURL *easy, CURLcode code, int r, struct error *err);

#endif
