/* SPDX-License-Identifier: Apache-2.0
 *
 * The progress stream of pulls and pushes: one JSON object a line,
 *
 *     {"type":"progress","message":"Downloaded: 12.34 MB","total":268784320,
 *      "layer":{"id":"sha256:…","size":268784320,"current":12939428},"mode":"pull"}
 *
 * with the types progress, success, warning and error. A line may be HTML-escaped, as old runners
 * send it. Reading it and drawing it are apart: a stream feeds a sink, a view is one.  */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

struct progress {
    struct str message;
    struct str layer_id; /* "" for news about the whole */
    uint64_t layer_size, layer_current;
    uint64_t total; /* bytes of the whole model */
};

struct progress_sink {
    void (*progress)(void *ctx, const struct progress *p);
    void (*warning)(void *ctx, struct str message);
    void *ctx;
};

struct progress_stream {
    const struct progress_sink *sink;
    struct buf line;
    struct buf garbage; /* the start of what was no progress line */
    bool any_progress, success, failed;
    struct buf message; /* of the success or error line */
};

void progress_stream_init(struct progress_stream *s, const struct progress_sink *sink);
/* Never fails on content: a line that is not understood is remembered for the end. */
void progress_stream_feed(struct progress_stream *s, struct str piece);
/* At the end of the body: 0 after a success line, else the error. */
int progress_stream_end(struct progress_stream *s, struct error *err);
void progress_stream_release(struct progress_stream *s);

/* Could another attempt go better? Judged by the words of the error. */
bool progress_error_is_network(const char *text);

/* ---- drawing ---- */

enum progress_mode { PROGRESS_PULL, PROGRESS_PUSH };

/* On a terminal one line and bar for each layer, redrawn in place; elsewhere a line for each
 * message: "Downloaded 12.00MB of 256.35MB". */
struct progress_view;
struct progress_view *progress_view_new(FILE *to, enum progress_mode mode);
const struct progress_sink *progress_view_sink(struct progress_view *v);
void progress_view_free(struct progress_view *v);

#endif
