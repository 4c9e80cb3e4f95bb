/* SPDX-License-Identifier: Apache-2.0
 *
 * One call: its options for libcurl, the callbacks that take the answer, the verdict. */
#include "http/transfer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "http/proxy.h"
#include "http/url.h"

enum { DEFAULT_MAX_BODY = 16 << 20, DEFAULT_CONNECT_TIMEOUT_MS = 10 * 1000, MAX_REDIRECTS = 10 };
enum { MAX_HEADER_BYTES = 256 * 1024 };

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static bool library_ok;

static void library_init(void)
{
    library_ok = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

bool transfer_library_init(void)
{
    pthread_once(&library_once, library_init);
    return library_ok;
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

static curl_socket_t on_open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct transfer *t = ctx;
    if (purpose == CURLSOCKTYPE_IPCXN && t->call->on_connect) {
        int r = t->call->on_connect(t->call->ctx, &a->addr);
        if (r < 0) {
            t->connect_result = r;
            return CURL_SOCKET_BAD;
        }
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* The proxy is always said, so that libcurl does not look into the environment itself. */
static void set_proxy(struct transfer *t, CURL *e)
{
    struct url u = {0};
    if (!t->call->unix_path && url_parse(t->call->url, NULL, &u, NULL) == 0) {
        t->proxy = proxy_for_url(&u);
        url_release(&u);
    }
    t->res->proxied = t->proxy != NULL;
    curl_easy_setopt(e, CURLOPT_PROXY, t->proxy ? t->proxy : "");
    curl_easy_setopt(e, CURLOPT_NOPROXY, "");
    if (!t->proxy && t->call->on_connect) {
        curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
        curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, t);
    }
}

/* More certificates replace libcurl's file of the system's, but not its directory. Where it has only
 * a file, both go into one piece of memory. */
static void add_certificates(CURL *e, struct str pem, const char *system_file,
                             const char *system_dir)
{
    enum { MAX_STORE_BYTES = 16 << 20 };
    CLEANUP_BUF struct buf all = BUF_INIT(MAX_STORE_BYTES);
    buf_append(&all, pem);
    if (system_file && !system_dir) {
        buf_push(&all, '\n');
        if (file_read(system_file, &all, NULL) < 0)
            buf_truncate(&all, pem.len);
    }
    struct curl_blob blob = {.data = all.data, .len = all.len, .flags = CURL_BLOB_COPY};
    curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, &blob);
}

static void set_tls(CURL *e, const struct http_call *call)
{
    const curl_version_info_data *built = curl_version_info(CURLVERSION_NOW);
    const char *file = call->ca_file ? call->ca_file : getenv("SSL_CERT_FILE");
    const char *dir = call->ca_file ? NULL : getenv("SSL_CERT_DIR");
    if (file && *file)
        curl_easy_setopt(e, CURLOPT_CAINFO, file);
    if (dir && *dir)
        curl_easy_setopt(e, CURLOPT_CAPATH, dir);
    if (call->ca_pem.ptr)
        add_certificates(e, call->ca_pem, file && *file ? file : built->cainfo,
                         file && *file ? NULL : dir && *dir ? dir : built->capath);
    if (call->client_cert)
        curl_easy_setopt(e, CURLOPT_SSLCERT, call->client_cert);
    if (call->client_key)
        curl_easy_setopt(e, CURLOPT_SSLKEY, call->client_key);
    if (call->insecure) {
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static void set_target(CURL *e, const struct http_call *call)
{
    curl_easy_setopt(e, CURLOPT_URL, call->url);
    if (call->unix_path) {
        curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, call->unix_path);
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
    if (call->http1_only)
        curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    if (call->receive_bytes > 0)
        curl_easy_setopt(e, CURLOPT_BUFFERSIZE, (long)call->receive_bytes);
}

static void set_options(struct transfer *t, CURL *e)
{
    const struct http_call *call = t->call;
    set_target(e, call);
    set_proxy(t, e);
    set_tls(e, call);
    set_method(e, call);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(e, CURLOPT_USERAGENT,
                     call->user_agent ? call->user_agent : "model-runner/" MR_VERSION);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->reason);
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


static enum http_fault fault_of(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return HTTP_FAULT_NONE;
    case CURLE_COULDNT_CONNECT:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return HTTP_FAULT_CONNECT;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return HTTP_FAULT_RESET;
    case CURLE_SSL_CONNECT_ERROR:
        return HTTP_FAULT_TLS;
    case CURLE_PEER_FAILED_VERIFICATION:
        return HTTP_FAULT_CERTIFICATE;
    default:
        return HTTP_FAULT_OTHER;
    }
}

static int explain(const struct transfer *t, CURLcode code, struct error *err)
{
    if (t->callback_result < 0)
        return t->callback_result;
    if (t->connect_result < 0 && code == CURLE_COULDNT_CONNECT)
        return t->connect_result;
    if (t->too_large)
        return error_set(err, ERR_TOO_LARGE, "the answer is too large");
    const char *text = *t->reason ? t->reason : curl_easy_strerror(code);
    switch (code) {
    case CURLE_OK:
        return 0;
    case CURLE_OPERATION_TIMEDOUT:
        return error_set(err, ERR_TIMEOUT, "%s", text);
    case CURLE_OUT_OF_MEMORY:
        return error_set(err, ERR_NOMEM, "out of memory");
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL: /* also for an answer that is not HTTP */
        return error_set(err, t->res->sent ? ERR_UNAVAILABLE : ERR_INVALID, "%s", text);
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

void transfer_begin(struct transfer *t, CURL *easy, const struct http_call *call,
                    struct http_result *res)
{
    *res = (struct http_result){
        .body = BUF_INIT(call->max_body ? call->max_body : DEFAULT_MAX_BODY)};
    *t = (struct transfer){.call = call,
                           .res = res,
                           .lines = BUF_INIT(MAX_HEADER_BYTES),
                           .last_move_ms = clock_mono_ms()};
    t->headers = header_list(call, call->body.ptr || call->read_body);
    set_options(t, easy);
}

int64_t transfer_time_left(struct transfer *t)
{
    if (t->call->stall_timeout_ms <= 0)
        return INT64_MAX;
    int64_t now = clock_mono_ms();
    if (t->moved)
        t->last_move_ms = now;
    t->moved = false;
    int64_t left = t->last_move_ms + t->call->stall_timeout_ms - now;
    return left <= 0 ? -1 : left;
}

int transfer_end(struct transfer *t, CURL *easy, CURLcode code, int r, struct error *err)
{
    struct http_result *res = t->res;
    long request_size = 0;
    curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &request_size);
    res->sent = request_size > 0;
    const char *peer = NULL;
    if (curl_easy_getinfo(easy, CURLINFO_PRIMARY_IP, &peer) == CURLE_OK && peer)
        snprintf(res->peer, sizeof(res->peer), "%s", peer);
    res->fault = r < 0 ? HTTP_FAULT_OTHER : fault_of(code);
    if (r == 0)
        r = explain(t, code, err);
    if (r < 0) {
        bool from_callback = t->callback_result < 0 || r == t->connect_result;
        if (!from_callback)
            wrap_with_target(t->call, err);
        buf_release(&res->body);
        res->status = 0;
        res->content_type[0] = '\0';
    }
    curl_slist_free_all(t->headers);
    t->headers = NULL;
    free(TAKE(t->proxy));
    buf_release(&t->lines);
    return r;
}
