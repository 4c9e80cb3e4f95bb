/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP client over libcurl.
 *
 * A call runs on a multi handle, although it is alone there, because curl_multi_poll() can watch
 * one more descriptor: the eventfd of a struct http_cancel. Its counter is never read, so that it
 * stays readable and stops every call that holds it, now or later.
 *
 * Each thread keeps its handles from call to call, and with them the connections that they hold
 * open. A callback that makes a call of its own gets handles for that call only. */
#include "http/client.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/alloc.h"
#include "http/transfer.h"

struct http_cancel {
    int fd;
    atomic_bool fired; /* as fd tells, without asking the system for each piece of an answer */
};

/* One thread's handles. */
struct handles {
    CURLM *multi;
    CURL *easy;
    bool busy;
};

struct http_cancel *http_cancel_new(void)
{
    struct http_cancel *c = xcalloc(1, sizeof(*c));
    c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return c;
}

void http_cancel_fire(struct http_cancel *c)
{
    atomic_store(&c->fired, true);
    if (c->fd >= 0)
        eventfd_write(c->fd, 1);
}

void http_cancel_free(struct http_cancel *c)
{
    if (!c)
        return;
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}

int http_cancel_fd(const struct http_cancel *c)
{
    return c ? c->fd : -1;
}

bool http_cancel_fired(const struct http_cancel *c)
{
    return c && atomic_load(&c->fired);
}

/* ---- handles of a thread ---- */

static pthread_key_t handles_key;
static pthread_once_t handles_once = PTHREAD_ONCE_INIT;
static bool handles_key_ok;

static void handles_free(void *p)
{
    struct handles *h = p;
    if (!h)
        return;
    if (h->easy)
        curl_easy_cleanup(h->easy);
    if (h->multi)
        curl_multi_cleanup(h->multi);
    free(h);
}

static void handles_init(void)
{
    handles_key_ok =
        transfer_library_init() && pthread_key_create(&handles_key, handles_free) == 0;
}

/* The thread's handles, or new ones when those are busy; NULL when libcurl has none. */
static struct handles *handles_take(void)
{
    pthread_once(&handles_once, handles_init);
    if (!handles_key_ok)
        return NULL;
    struct handles *h = pthread_getspecific(handles_key);
    if (h && !h->busy) {
        h->busy = true;
        return h;
    }
    bool keep = !h;
    h = xcalloc(1, sizeof(*h));
    h->multi = curl_multi_init();
    h->easy = curl_easy_init();
    h->busy = true;
    if (!h->multi || !h->easy) {
        handles_free(h);
        return NULL;
    }
    if (keep)
        pthread_setspecific(handles_key, h);
    return h;
}

static void handles_give_back(struct handles *h)
{
    if (pthread_getspecific(handles_key) != h) {
        handles_free(h);
        return;
    }
    curl_easy_reset(h->easy);
    h->busy = false;
}

/* Runs the transfer to its end: 0 and libcurl's verdict, or an error of ours. */
static int drive(struct handles *h, struct transfer *t, CURLcode *ret, struct error *err)
{
    enum { LONG_SLEEP_MS = 60 * 1000 };
    struct curl_waitfd cancel = {.fd = t->call->cancel ? t->call->cancel->fd : -1,
                                 .events = CURL_WAIT_POLLIN};
    unsigned n_extra = t->call->cancel ? 1 : 0;
    for (;;) {
        if (http_cancel_fired(t->call->cancel))
            return error_set(err, ERR_CANCELED, "the request was canceled");
        int running = 0;
        if (curl_multi_perform(h->multi, &running) != CURLM_OK)
            return error_set(err, ERR_INTERNAL, "the HTTP client failed");
        int queued = 0;
        CURLMsg *msg = curl_multi_info_read(h->multi, &queued);
        if (msg && msg->msg == CURLMSG_DONE) {
            *ret = msg->data.result;
            return 0;
        }
        int64_t sleep_ms = MIN(transfer_time_left(t), LONG_SLEEP_MS);
        if (sleep_ms < 0)
            return error_set(err, ERR_TIMEOUT, "no data for %lld ms",
                             (long long)t->call->stall_timeout_ms);
        if (curl_multi_poll(h->multi, n_extra ? &cancel : NULL, n_extra, (int)sleep_ms, NULL) !=
            CURLM_OK)
            return error_set(err, ERR_INTERNAL, "the HTTP client failed");
    }
}

int http_perform(const struct http_call *call, struct http_result *res, struct error *err)
{
    struct handles *h = handles_take();
    if (!h)
        return error_set(err, ERR_INTERNAL, "the HTTP client cannot start");
    struct transfer t;
    transfer_begin(&t, h->easy, call, res);
    CURLcode code = CURLE_OK;
    int r;
    if (curl_multi_add_handle(h->multi, h->easy) == CURLM_OK) {
        r = drive(h, &t, &code, err);
        curl_multi_remove_handle(h->multi, h->easy);
    } else {
        r = error_set(err, ERR_INTERNAL, "the HTTP client failed");
    }
    r = transfer_end(&t, h->easy, code, r, err);
    handles_give_back(h);
    return r;
}

void http_result_release(struct http_result *res)
{
    buf_release(&res->body);
    *res = (struct http_result){0};
}
