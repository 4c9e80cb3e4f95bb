/* SPDX-License-Identifier: Apache-2.0
 *
 * What is noticed of one request to an engine on its way: the figures for the metrics, and, where a
 * journal is kept, the text of the answer. A piece costs a look at the clock and a copy of a
 * bounded number of bytes; everything else waits for the end.
 *
 * Threads: one at a time. */
#ifndef RUNNER_WATCH_H
#define RUNNER_WATCH_H

#include "runner/daemon.h"
#include "runner/metrics.h"

enum { WATCH_TAIL = 4096, WATCH_TEXT_MAX = 64 * 1024 };

struct watch {
    int64_t start_ns, first_ns, last_ns; /* first_ns 0 = no text yet */
    int status;                          /* 0 = there was none */
    enum metrics_api api;
    bool is_sse, keeps_text;
    uint64_t bytes;  /* of the answer */
    struct buf text; /* its beginning */
    char tail[WATCH_TAIL];
    size_t tail_len;
    struct error failure;
};

void watch_begin(struct watch *w, const struct http_request *r, bool keeps_text);
void watch_status(struct watch *w, int status, const char *content_type);
void watch_piece(struct watch *w, struct str piece);
void watch_failed(struct watch *w, int status, const struct error *err);

/* Counts the request and writes it into the journal; releases w. */
void watch_end(struct watch *w, struct daemon *d, struct http_request *r, const char *model,
               enum engine_mode mode, struct str body);

#endif
