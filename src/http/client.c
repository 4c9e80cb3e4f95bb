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

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <curl/curl.h>

#include "base/alloc.h"
#include "base/clock.h"

enum { DEFAULT_MAX_BODY = 16 << 20, DEFAULT_CONNECT_TIMEOUT_MS = 10 * 1000, MAX_REDIRECTS = 10 };
enum { MAX_HEADER_BYTES = 256 * 1024 };

struct http_cancel {
    int fd;
};

/* One thread's handles. */
struct handles {
    CURLM *multi;
    CURL *easy;
    bool busy;
};

/* One call under way. */
struct transfer {
    const struct http_call *call;
    struct http_result *res;
    size_t body_sent;      /* of call->body */
    struct buf lines;      /* header lines of the answer being read, NUL after each */
    int status;            /* of the answer being read */
    bool has_location;
    bool headers_done;     /* those of the final answer */
    bool moved;            /* since last_move_ms was looked at */
    int64_t last_move_ms;
    int callback_result;   /* negative result of a callback, which ended the call */
    bool too_large;
    bool sent;             /* the request went out, so the URL was fine */
};

struct http_cancel *http_cancel_new(void)
{
    struct http_cancel *c = xmalloc(sizeof(*c));
    c->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return c;
}

void http_cancel_fire(struct http_cancel *c)
{
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

static bool is_canceled(const struct http_cancel *c)
{
    struct pollfd p = {.fd = c ? c->fd : -1, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
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
    handles_key_ok = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK &&
                     pthread_key_create(&handles_key, handles_free) == 0;
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

/* ---- callbacks of libcurl ---- */

static void emit_header(const struct transfer *t, const char *line)
{
    const char *colon = strchr(line, ':');
    if (!colon)
        return;
    struct str name = str_make(line, (size_t)(colon - line));
    struct str value = str_trim(str_from(colon + 1));
    if (str_eq_nocase(name, STR("Content-Type"))) {
        size_t n = MIN(value.len, sizeof(t->res->content_type) - 1);
        memcpy(t->res->content_type, value.ptr, n);
        t->res->content_type[n] = '\0';
    }
    if (t->call->on_header)
        t->call->on_header(t->call->ctx, name, value);
}

/* The headers of an answer are complete; false stops the call. */
static bool end_headers(struct transfer *t)
{
    bool redirect = t->call->follow_redirects && t->has_location && t->status >= 300 &&
                    t->status < 400 && t->status != 304;
    if (t->status < 200 || redirect)
        return true;
    t->headers_done = true;
    t->res->status = t->status;
    for (size_t at = 0; at < t->lines.len; at += strlen(t->lines.data + at) + 1)
        emit_header(t, t->lines.data + at);
    if (t->call->on_headers) {
        int r = t->call->on_headers(t->call->ctx, t->status);
        if (r < 0) {
            t->callback_result = r;
            return false;
        }
    }
    return true;
}

static size_t on_header_line(char *p, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    size_t bytes = size * n;
    struct str line = str_trim(str_make(p, bytes));
    t->moved = true;
    if (t->headers_done)
        return bytes; /* a trailer */
    if (str_starts_with(line, STR("HTTP/"))) {
        buf_clear(&t->lines);
        t->has_location = false;
        ptrdiff_t space = str_find_char(line, ' ');
        uint64_t status = 0;
        str_to_u64(str_sub(line, space < 0 ? line.len : (size_t)space + 1, 3), "status", &status,
                   NULL);
        t->status = (int)status;
        return bytes;
    }
    if (line.len == 0)
        return end_headers(t) ? bytes : 0;
    if (line.len > 9 && str_eq_nocase(str_sub(line, 0, 9), STR("location:")))
        t->has_location = true;
    buf_append(&t->lines, line);
    buf_push(&t->lines, '\0');
    if (t->lines.failed) {
        t->too_large = true;
        return 0;
    }
    return bytes;
}

static size_t on_body(char *p, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    size_t bytes = size * n;
    t->moved = true;
    if (t->call->on_data) {
        int r = t->call->on_data(t->call->ctx, str_make(p, bytes));
        if (r < 0) {
            t->callback_result = r;
            return 0;
        }
        return bytes;
    }
    if (buf_append_bytes(&t->res->body, p, bytes) < 0) {
        t->too_large = t->res->body.failed == ERR_TOO_LARGE;
        return 0;
    }
    return bytes;
}

static size_t on_read(char *p, size_t size, size_t n, void *ctx)
{
    struct transfer *t = ctx;
    t->moved = true;
    if (!t->call->read_body) {
        struct str rest = str_sub(t->call->body, t->body_sent, size * n);
        if (rest.len > 0)
            memcpy(p, rest.ptr, rest.len);
        t->body_sent += rest.len;
        return rest.len;
    }
    ssize_t got = t->call->read_body(t->call->ctx, p, size * n);
    if (got < 0) {
        t->callback_result = (int)got;
        return CURL_READFUNC_ABORT;
    }
    return (size_t)got;
}

static int on_seek(void *ctx, curl_off_t offset, int origin)
{
    struct transfer *t = ctx;
    if (t->call->read_body || origin != SEEK_SET || offset < 0 ||
        (size_t)offset > t->call->body.len)
        return CURL_SEEKFUNC_CANTSEEK;
    t->body_sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* ---- one call ---- */

/* The request's headers as libcurl wants them. */
static struct curl_slist *header_list(const struct http_call *call, bool has_body)
{
    struct curl_slist *list = NULL;
    bool typed = false, expects = false;
    for (const char *const *h = call->headers; h && *h; h++) {
        typed = typed || strncasecmp(*h, "Content-Type:", 13) == 0;
        expects = expects || strncasecmp(*h, "Expect:", 7) == 0;
        list = curl_slist_append(list, *h);
    }
    /* libcurl would call every body a form. A body in memory is cheaper to send than to ask for. */
    if (has_body && !typed)
        list = curl_slist_append(list, "Content-Type:");
    if (has_body && !expects && !call->read_body)
        list = curl_slist_append(list, "Expect:");
    return list;
}

static void set_method(CURL *e, const struct http_call *call)
{
    bool has_body = call->body.ptr || call->read_body;
    if (has_body) {
        int64_t size = call->read_body ? call->body_size : (int64_t)call->body.len;
        curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)size);
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, call->method ? call->method : "POST");
    } else if (call->method && strcmp(call->method, "HEAD") == 0) {
        curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    } else if (call->method && strcmp(call->method, "POST") == 0) {
        curl_easy_setopt(e, CURLOPT_POST, 1L);
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, 0L);
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, "");
    } else if (call->method) {
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, call->method);
    }
}

static void set_target(CURL *e, const struct http_call *call)
{
    curl_easy_setopt(e, CURLOPT_URL, call->url);
    if (call->unix_path) {
        curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, call->unix_path);
        curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
        curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    }
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(e, CURLOPT_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
    curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS, (long)(CURLPROTO_HTTP | CURLPROTO_HTTPS));
#endif
    if (call->follow_redirects) {
        curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 1L);
        curl_easy_setopt(e, CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
    }
    if (call->ca_file)
        curl_easy_setopt(e, CURLOPT_CAINFO, call->ca_file);
    if (call->insecure) {
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static void set_options(CURL *e, struct transfer *t, struct curl_slist *headers, char *reason)
{
    const struct http_call *call = t->call;
    set_target(e, call);
    set_method(e, call);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(e, CURLOPT_USERAGENT,
                     call->user_agent ? call->user_agent : "model-runner/" MR_VERSION);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, reason);
    int64_t connect_ms =
        call->connect_timeout_ms > 0 ? call->connect_timeout_ms : DEFAULT_CONNECT_TIMEOUT_MS;
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)(call->timeout_ms > 0 ? call->timeout_ms : 0));
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header_line);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(e, CURLOPT_READDATA, t);
    curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(e, CURLOPT_SEEKDATA, t);
}

/* How long to sleep at most; negative when the call has stalled. */
static int64_t time_left(struct transfer *t)
{
    enum { LONG_SLEEP_MS = 60 * 1000 };
    if (t->call->stall_timeout_ms <= 0)
        return LONG_SLEEP_MS;
    int64_t now = clock_mono_ms();
    if (t->moved)
        t->last_move_ms = now;
    t->moved = false;
    int64_t left = t->last_move_ms + t->call->stall_timeout_ms - now;
    return left <= 0 ? -1 : MIN(left, LONG_SLEEP_MS);
}

/* Runs the transfer to its end: 0 and libcurl's verdict, or an error of ours. */
static int drive(struct handles *h, struct transfer *t, CURLcode *ret, struct error *err)
{
    struct curl_waitfd cancel = {.fd = t->call->cancel ? t->call->cancel->fd : -1,
                                 .events = CURL_WAIT_POLLIN};
    unsigned n_extra = t->call->cancel ? 1 : 0;
    for (;;) {
        if (is_canceled(t->call->cancel))
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
        int64_t sleep_ms = time_left(t);
        if (sleep_ms < 0)
            return error_set(err, ERR_TIMEOUT, "no data for %lld ms",
                             (long long)t->call->stall_timeout_ms);
        if (curl_multi_poll(h->multi, n_extra ? &cancel : NULL, n_extra, (int)sleep_ms, NULL) !=
            CURLM_OK)
            return error_set(err, ERR_INTERNAL, "the HTTP client failed");
    }
}

static int explain(const struct transfer *t, CURLcode code, const char *reason, struct error *err)
{
    if (t->callback_result < 0)
        return t->callback_result;
    if (t->too_large)
        return error_set(err, ERR_TOO_LARGE, "the answer is too large");
    const char *text = *reason ? reason : curl_easy_strerror(code);
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_OPERATION_TIMEDOUT:
        return error_set(err, ERR_TIMEOUT, "%s", text);
    case CURLE_OUT_OF_MEMORY:
        return error_set(err, ERR_NOMEM, "out of memory");
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: /* also for an answer that is not HTTP */
        return error_set(err, t->sent ? ERR_UNAVAILABLE : ERR_INVALID, "%s", text);
    case CURLE_TOO_MANY_REDIRECTS:
        return error_set(err, ERR_UNAVAILABLE, "too many redirects");
    default:
        if (t->headers_done)
            return error_set(err, ERR_IO, "the answer broke off: %s", text);
        return error_set(err, ERR_UNAVAILABLE, "%s", text);
    }
}

/* "scheme://host/path" without a query, which may carry a signature, and without user names. */
static void wrap_with_target(const struct http_call *call, struct error *err)
{
    if (!err)
        return;
    if (call->unix_path) {
        error_wrap(err, "%s", call->unix_path);
        return;
    }
    struct str url = str_from(call->url);
    ptrdiff_t mark = str_find_char(url, '?');
    if (mark >= 0)
        url = str_sub(url, 0, (size_t)mark);
    ptrdiff_t scheme = str_find(url, STR("://"));
    struct str rest = scheme < 0 ? url : str_sub(url, (size_t)scheme + 3, SIZE_MAX);
    ptrdiff_t slash = str_find_char(rest, '/');
    ptrdiff_t at = str_rfind_char(str_sub(rest, 0, slash < 0 ? rest.len : (size_t)slash), '@');
    struct str shown = at < 0 ? rest : str_sub(rest, (size_t)at + 1, SIZE_MAX);
    error_wrap(err, "%.*s", STR_ARG(shown));
}

int http_perform(const struct http_call *call, struct http_result *res, struct error *err)
{
    struct handles *h = handles_take();
    if (!h)
        return error_set(err, ERR_INTERNAL, "the HTTP client cannot start");
    *res = (struct http_result){
        .body = BUF_INIT(call->max_body ? call->max_body : DEFAULT_MAX_BODY)};
    struct transfer t = {.call = call, .res = res, .lines = BUF_INIT(MAX_HEADER_BYTES)};
    t.last_move_ms = clock_mono_ms();
    char reason[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = header_list(call, call->body.ptr || call->read_body);
    set_options(h->easy, &t, headers, reason);

    CURLcode code = CURLE_OK;
    int r;
    if (curl_multi_add_handle(h->multi, h->easy) == CURLM_OK) {
        r = drive(h, &t, &code, err);
        long request_size = 0;
        curl_easy_getinfo(h->easy, CURLINFO_REQUEST_SIZE, &request_size);
        t.sent = request_size > 0;
        if (r == 0)
            r = explain(&t, code, reason, err);
        curl_multi_remove_handle(h->multi, h->easy);
    } else {
        r = error_set(err, ERR_INTERNAL, "the HTTP client failed");
    }
    handles_give_back(h);
    curl_slist_free_all(headers);
    buf_release(&t.lines);
    if (r < 0) {
        if (t.callback_result == 0)
            wrap_with_target(call, err);
        http_result_release(res);
    }
    res->sent = t.sent;
    return r;
}

void http_result_release(struct http_result *res)
{
    buf_release(&res->body);
    *res = (struct http_result){0};
}
