/* SPDX-License-Identifier: Apache-2.0
 *
 * One turn of a chat over the OpenAI API: the request, and the answer as it comes. */
#ifndef CLI_CHAT_H
#define CLI_CHAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/str.h"
#include "cli/daemon.h"
#include "http/sse.h"

/* Where to ask: the runner, or another OpenAI-compatible server (`--openaiurl`). */
struct chat_endpoint {
    const struct daemon *other; /* NULL = the runner */
    const char *prefix;         /* in front of "/chat/completions": "/engines/v1" or "" */
};
extern const struct chat_endpoint chat_runner;

/* Takes the answer. Texts are whole UTF-8 and borrowed. */
struct chat_sink {
    void (*content)(void *ctx, struct str text);
    void (*reasoning)(void *ctx, struct str text);
    void (*notice)(void *ctx, struct str line); /* news in front of the answer, one line */
    void *ctx;
};

/* What is known about an answer at its end; -1 = not told. */
struct chat_stats {
    int64_t prompt_tokens, completion_tokens, total_tokens;
    double prompt_per_second, predicted_per_second;
    int64_t first_token_ns, total_ns;
    bool has_usage;
};

/* ---- reading an answer ----
 *
 * The body is an event stream, or one JSON completion from servers that do not stream. Lines of
 * plain text may come first ("Installing backend..."). */
struct chat_reader {
    const struct chat_sink *sink;
    enum { CHAT_UNDECIDED, CHAT_EVENTS, CHAT_JSON } form;
    struct buf head; /* undecided: the current line; JSON: the body */
    struct sse_parser sse;
    struct buf content; /* what goes into the conversation */
    bool finished;      /* a finish reason or [DONE] was seen */
    struct chat_stats stats;
    struct error error; /* that the server reported */
};

void chat_reader_init(struct chat_reader *r, const struct chat_sink *sink);
/* The Content-Type of the answer, if known before the body. */
void chat_reader_content_type(struct chat_reader *r, struct str value);
int chat_reader_feed(struct chat_reader *r, struct str piece, struct error *err);
int chat_reader_end(struct chat_reader *r, struct error *err);
void chat_reader_release(struct chat_reader *r);

/* ---- a turn ---- */

struct chat_request {
    const struct chat_endpoint *endpoint;
    const char *model;
    const struct json *messages; /* an array */
    const struct json *params;   /* further members of the request; NULL = none */
    bool want_usage;             /* ask for the token counts */
    int64_t timeout_ms;          /* for the whole answer; 0 = none */
};

/* *ret_content: the answer's text without the reasoning; the caller frees it. Ctrl-C within
 * interrupt_begin/end gives ERR_CANCELED. */
int chat_send(const struct chat_request *request, const struct chat_sink *sink, char **ret_content,
              struct chat_stats *ret_stats, struct error *err);

/* Has the runner load the model without asking it anything. `cancel` may be NULL. */
struct http_cancel;
int chat_preload(const char *model, struct http_cancel *cancel, struct error *err);

#endif
