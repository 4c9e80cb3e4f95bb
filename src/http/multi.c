/* SPDX-License-Identifier: Apache-2.0
 *
 * Several calls at a time, over libcurl's multi handle. */
#include "http/multi.h"

#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "http/transfer.h"

struct http_flight {
    struct http_multi *multi;
    struct http_flight *prev, *next; /* in the multi's list of those under way or ended */
    struct http_call call;           /* with a copy of the URL */
    char *url;
    struct http_result res;
    struct transfer transfer;
    CURL *easy;
    bool added; /* libcurl has it */
    bool ended;
    bool given; /* by http_multi_next() */
    int r;
    struct error err;
};

struct http_multi {
    CURLM *multi;
    struct http_flight *first;
    unsigned n_flying, n_ended; /* ended and not yet given */
};

struct http_multi *http_multi_new(void)
{
    if (!transfer_library_init())
        return NULL;
    struct http_multi *m = xcalloc(1, sizeof(*m));
    m->multi = curl_multi_init();
    if (!m->multi) {
        free(m);
        return NULL;
    }
    return m;
}

void http_multi_free(struct http_multi *m)
{
    if (!m)
        return;
    while (m->first)
        http_flight_free(m->first);
    curl_multi_cleanup(m->multi);
    free(m);
}

static void flight_end(struct http_flight *f, CURLcode code, int r)
{
    struct http_multi *m = f->multi;
    if (f->added)
        curl_multi_remove_handle(m->multi, f->easy);
    f->added = false;
    f->r = transfer_end(&f->transfer, f->easy, code, r, &f->err);
    curl_easy_cleanup(TAKE(f->easy));
    f->ended = true;
    m->n_flying--;
    m->n_ended++;
}

int http_multi_start(struct http_multi *m, const struct http_call *call, struct http_flight **ret,
                     struct error *err)
{
    CURL *easy = curl_easy_init();
    if (!easy)
        return error_set(err, ERR_NOMEM, "out of memory");
    struct http_flight *f = xcalloc(1, sizeof(*f));
    f->multi = m;
    f->easy = easy;
    f->url = xstrdup(call->url);
    f->call = *call;
    f->call.url = f->url;
    transfer_begin(&f->transfer, easy, &f->call, &f->res);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, (char *)f);
    f->next = m->first;
    if (m->first)
        m->first->prev = f;
    m->first = f;
    m->n_flying++;
    f->added = curl_multi_add_handle(m->multi, easy) == CURLM_OK;
    if (!f->added)
        flight_end(f, CURLE_OK, error_set(&f->err, ERR_INTERNAL, "the HTTP client failed"));
    *ret = f;
    return 0;
}

static void collect(struct http_multi *m)
{
    int queued = 0;
    CURLMsg *msg;
    while ((msg = curl_multi_info_read(m->multi, &queued))) {
        if (msg->msg != CURLMSG_DONE)
            continue;
        CURLcode code = msg->data.result;
        char *private = NULL;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &private);
        flight_end((struct http_flight *)(void *)private, code, 0);
    }
}

/* Ends those that have stalled; how long the others may still sleep. */
static int64_t check_stalls(struct http_multi *m)
{
    int64_t sleep_ms = INT64_MAX;
    for (struct http_flight *f = m->first; f; f = f->next) {
        if (f->ended)
            continue;
        int64_t left = transfer_time_left(&f->transfer);
        if (left < 0)
            flight_end(f, CURLE_OK,
                       error_set(&f->err, ERR_TIMEOUT, "no data for %lld ms",
                                 (long long)f->call.stall_timeout_ms));
        else
            sleep_ms = MIN(sleep_ms, left);
    }
    return sleep_ms;
}

int http_multi_wait(struct http_multi *m, struct http_cancel *cancel, int64_t timeout_ms,
                    struct error *err)
{
    enum { LONG_SLEEP_MS = 60 * 1000 };
    int64_t until = timeout_ms < 0 ? INT64_MAX : clock_mono_ms() + timeout_ms;
    struct curl_waitfd extra = {.fd = http_cancel_fd(cancel), .events = CURL_WAIT_POLLIN};
    for (;;) {
        if (http_cancel_fired(cancel))
            return error_set(err, ERR_CANCELED, "the request was canceled");
        int running = 0;
        if (curl_multi_perform(m->multi, &running) != CURLM_OK)
            return error_set(err, ERR_INTERNAL, "the HTTP client failed");
        collect(m);
        int64_t sleep_ms = MIN(check_stalls(m), LONG_SLEEP_MS);
        if (m->n_ended > 0 || (timeout_ms < 0 && m->n_flying == 0))
            return 0;
        int64_t left = until - clock_mono_ms();
        if (left <= 0)
            return 0;
        if (curl_multi_poll(m->multi, cancel ? &extra : NULL, cancel ? 1 : 0,
                            (int)MIN(sleep_ms, left), NULL) != CURLM_OK)
            return error_set(err, ERR_INTERNAL, "the HTTP client failed");
    }
}

struct http_flight *http_multi_next(struct http_multi *m)
{
    if (m->n_ended == 0)
        return NULL;
    for (struct http_flight *f = m->first; f; f = f->next) {
        if (f->ended && !f->given) {
            f->given = true;
            m->n_ended--;
            return f;
        }
    }
    return NULL;
}

void *http_flight_ctx(const struct http_flight *f)
{
    return f->call.ctx;
}

int http_flight_result(struct http_flight *f, const struct http_result **res, struct error *err)
{
    *res = &f->res;
    /* A callback's own error is where the callback put it. */
    return f->r < 0 && f->err.code != ERR_NONE ? error_copy(err, &f->err) : f->r;
}

void http_multi_forgive(struct http_multi *m)
{
    for (struct http_flight *f = m->first; f; f = f->next)
        f->transfer.moved = true;
}

void http_flight_free(struct http_flight *f)
{
    if (!f)
        return;
    struct http_multi *m = f->multi;
    if (!f->ended) {
        flight_end(f, CURLE_OK, error_set(&f->err, ERR_CANCELED, "the request was canceled"));
        m->n_ended--;
    } else if (!f->given) {
        m->n_ended--;
    }
    if (f->prev)
        f->prev->next = f->next;
    else
        m->first = f->next;
    if (f->next)
        f->next->prev = f->prev;
    buf_release(&f->res.body);
    free(f->url);
    free(f);
}
