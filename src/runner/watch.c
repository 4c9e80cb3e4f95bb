/* SPDX-License-Identifier: Apache-2.0
 *
 * A request on its way, see watch.h. */
#include "runner/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "runner/journal.h"

static enum metrics_api api_of(const char *path)
{
    if (strstr(path, "/api/"))
        return API_OLLAMA;
    if (strstr(path, "/messages"))
        return API_ANTHROPIC;
    return strstr(path, "/responses") ? API_RESPONSES : API_OPENAI;
}

void watch_begin(struct watch *w, const struct http_request *r, bool keeps_text)
{
    *w = (struct watch){.start_ns = clock_mono_ns(),
                        .api = api_of(http_request_path(r)),
                        .keeps_text = keeps_text,
                        .text = BUF_INIT(WATCH_TEXT_MAX),
                        .failure = ERROR_INIT};
}

void watch_status(struct watch *w, int status, const char *content_type)
{
    w->status = status;
    w->is_sse = str_starts_with(str_from(content_type), STR("text/event-stream"));
}

/* Does the event bring text, and not only the role? */
static bool brings_text(struct str piece)
{
    static const char *const marks[] = {"\"content\":\"", "\"text\":\"", "\"reasoning_content\":\"",
                                        "\"arguments\":\""};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        ptrdiff_t at = str_find(piece, str_from(marks[i]));
        size_t behind = (size_t)at + strlen(marks[i]);
        if (at >= 0 && behind < piece.len && piece.ptr[behind] != '"')
            return true;
    }
    return false;
}

void watch_piece(struct watch *w, struct str piece)
{
    w->last_ns = clock_mono_ns();
    if (w->first_ns == 0 && w->is_sse && brings_text(piece))
        w->first_ns = w->last_ns;
    w->bytes += piece.len;
    if (w->keeps_text && w->text.len < WATCH_TEXT_MAX)
        buf_append(&w->text, str_sub(piece, 0, WATCH_TEXT_MAX - w->text.len));
    struct str last =
        piece.len > WATCH_TAIL ? str_sub(piece, piece.len - WATCH_TAIL, SIZE_MAX) : piece;
    size_t kept = MIN(w->tail_len, WATCH_TAIL - last.len);
    memmove(w->tail, w->tail + w->tail_len - kept, kept);
    memcpy(w->tail + kept, last.ptr, last.len);
    w->tail_len = kept + last.len;
}

void watch_failed(struct watch *w, int status, const struct error *err)
{
    if (w->status == 0)
        w->status = status ? status : errc_http_status(err->code);
    w->failure = *err;
}

/* The number behind the last `"key":` in the text; 0 if there is none. */
static uint64_t last_number(struct str text, const char *key)
{
    char mark[64];
    snprintf(mark, sizeof(mark), "\"%s\":", key);
    uint64_t n = 0;
    ptrdiff_t at;
    while ((at = str_find(text, str_from(mark))) >= 0) {
        text = str_sub(text, (size_t)at + strlen(mark), SIZE_MAX);
        size_t digits = 0;
        while (digits < text.len && digits < 18 && text.ptr[digits] >= '0' &&
               text.ptr[digits] <= '9')
            digits++;
        if (str_to_u64(str_sub(text, 0, digits), key, &n, NULL) < 0)
            n = 0;
    }
    return n;
}

static void count(const struct watch *w, struct daemon *d, const char *model, enum engine_mode mode)
{
    struct metrics_request q = {.api = w->api,
                                .mode = mode,
                                .status = w->status,
                                .seconds = (double)(clock_mono_ns() - w->start_ns) / 1e9,
                                .first_token_s = -1,
                                .token_s = -1};
    struct str tail = str_make(w->tail, w->tail_len);
    q.prompt_tokens = last_number(tail, "prompt_tokens");
    q.completion_tokens = last_number(tail, "completion_tokens");
    if (q.completion_tokens == 0) { /* the engine's own figures, in every last event */
        q.completion_tokens = last_number(tail, "predicted_n");
        q.prompt_tokens =
            MAX(q.prompt_tokens, last_number(tail, "prompt_n") + last_number(tail, "cache_n"));
    }
    if (w->first_ns > 0) {
        q.first_token_s = (double)(w->first_ns - w->start_ns) / 1e9;
        if (q.completion_tokens > 1)
            q.token_s =
                (double)(w->last_ns - w->first_ns) / 1e9 / (double)(q.completion_tokens - 1);
    }
    CLEANUP_FREE char *name = w->status == 200 ? scheduler_full_name(model) : NULL;
    q.model = name;
    metrics_request(d->metrics, &q);
}

void watch_end(struct watch *w, struct daemon *d, struct http_request *r, const char *model,
               enum engine_mode mode, struct str body)
{
    count(w, d, model, mode);
    journal_add(d->journal, d->models, w, r, model, body);
    buf_release(&w->text);
}
