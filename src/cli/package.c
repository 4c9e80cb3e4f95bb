/* SPDX-License-Identifier: Apache-2.0
 *
 * Local files into the runner's store, see package.h.
 *
 * Where they are sent, the artifact writer pushes bytes and the HTTP client pulls them; a thread
 * and a pipe stand between the two. */
#include "cli/package.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cli/api.h"
#include "cli/meter.h"
#include "cli/news.h"
#include "cli/print.h"
#include "cli/tag.h"

static int on_read(void *ctx, uint64_t done, uint64_t total)
{
    meter_show(ctx, done, total);
    return 0;
}

/* ---- sending ---- */

struct upload {
    const struct artifact *artifact;
    int fds[2];         /* the pipe */
    struct error error; /* of the writer; read after it was joined */
    int result;
    uint64_t sent;
    struct meter meter;
};

static int into_pipe(void *ctx, const void *p, size_t n, struct error *err)
{
    struct upload *u = ctx;
    return fd_write_all(u->fds[1], "the upload", p, n, err);
}

static void *write_tar(void *ctx)
{
    struct upload *u = ctx;
    u->result = artifact_write_tar(u->artifact, into_pipe, u, &u->error);
    close(u->fds[1]);
    return NULL;
}

static ssize_t read_body(void *ctx, char *p, size_t n)
{
    struct upload *u = ctx;
    ssize_t got;
    do {
        got = read(u->fds[0], p, n);
    } while (got < 0 && errno == EINTR);
    uint64_t size = artifact_tar_size(u->artifact);
    if (got == 0 && u->sent < size)
        return -(ssize_t)ERR_IO; /* the writer gave up, and knows why */
    if (got > 0) {
        u->sent += (uint64_t)got;
        meter_show(&u->meter, u->sent, size);
    }
    return got;
}

static int post_tar(struct upload *u, struct error *err)
{
    struct http_call http = HTTP_CALL_INIT;
    http.read_body = read_body;
    http.body_size = (int64_t)artifact_tar_size(u->artifact);
    http.ctx = u;
    struct api_call call = {
        .method = "POST",
        .path = "/models/load",
        .content_type = "application/x-tar",
        .http = &http,
    };
    struct http_result res = {0};
    int r = api_perform(&call, &res, err);
    if (r == 0 && res.status != 200) {
        char status[64];
        CLEANUP_JSON struct json *hold = NULL;
        struct str text = api_error_text(&res, &hold);
        r = error_set(err, api_status_code(res.status), "load failed with status %s: %.*s",
                      api_status_text(res.status, status), STR_ARG(text));
    }
    http_result_release(&res);
    return r;
}

static int upload(const struct artifact *a, bool tty, struct error *err)
{
    struct upload u = {
        .artifact = a,
        .fds = {-1, -1},
        .error = ERROR_INIT,
        .meter = {.shown = tty, .doing = "Loading model to Model Runner...", .percent = -1},
    };
    if (pipe2(u.fds, O_CLOEXEC) != 0)
        return error_errno(err, errno, "cannot make a pipe");
    pthread_t writer;
    int e = pthread_create(&writer, NULL, write_tar, &u);
    if (e != 0) {
        close(u.fds[0]);
        close(u.fds[1]);
        return error_errno(err, e, "cannot start a thread");
    }
    struct error why = ERROR_INIT;
    int r = post_tar(&u, &why);
    meter_end(&u.meter);
    /* A writer that is still at it gets EPIPE and ends. */
    close(u.fds[0]);
    pthread_join(writer, NULL);
    if (r < 0) {
        /* The file that could not be read is the cause, not the upload that broke off for it. */
        bool writer_first = u.result < 0 && why.code == ERR_NONE;
        return error_copy(err, writer_first ? &u.error : &why);
    }
    return 0;
}

/* Does the runner have this model already, with all its files? */
static bool is_stored(const struct artifact *a)
{
    CLEANUP_FREE char *path = api_model_path(a->id.text, "?complete=true");
    struct api_call call = {.path = path};
    struct http_result res = {0};
    bool stored = api_perform(&call, &res, NULL) == 0 && res.status == 200;
    http_result_release(&res);
    return stored;
}

static int build_and_send(const struct artifact_source *source, const char *name, bool quiet,
                          struct error *err)
{
    bool tty = !quiet && print_is_tty(stderr);
    struct meter meter = {.shown = tty, .doing = "Reading", .percent = -1};
    CLEANUP(cleanup_artifact) struct artifact *a = NULL;
    int r = artifact_build(source, on_read, &meter, &a, err);
    meter_end(&meter);
    if (r < 0)
        return r;
    if (!is_stored(a)) {
        if (!quiet)
            fputs("Loading model to Model Runner...\n", stderr);
        r = upload(a, tty, err);
        if (r < 0)
            return r;
    }
    return tag_model(a->id.text, name, err);
}

/* The same with the weights of a stored model: only what is new is sent. */
static int build_from(const struct artifact_source *source, const char *from, const char *name,
                      bool quiet, struct error *err)
{
    CLEANUP_FREE char *path = api_model_path(from, "?artifact=true");
    CLEANUP_JSON struct json *texts = NULL;
    int r = api_get_json(path, "the model cannot be looked at", &texts, err);
    if (r < 0)
        return r;
    struct artifact_source all = *source;
    all.base.manifest = js_get_str(texts, "manifest");
    all.base.config = js_get_str(texts, "config");
    return build_and_send(&all, name, quiet, err);
}

/* ---- by a runner that can read the files itself ---- */

static void set_path(struct json *request, const char *key, const char *path)
{
    if (!path)
        return;
    CLEANUP_FREE char *absolute = path_absolute(path);
    js_set_cstr(request, key, absolute);
}

static struct json *make_request(const struct artifact_source *source, const char *from,
                                 const char *name)
{
    struct json *request = js_object();
    js_set_cstr(request, "name", name);
    if (from)
        js_set_cstr(request, "from", from);
    set_path(request, "gguf", source->gguf);
    set_path(request, "safetensors_dir", source->safetensors_dir);
    set_path(request, "dduf", source->dduf);
    set_path(request, "mmproj", source->mmproj);
    set_path(request, "chat_template", source->chat_template);
    struct json *licenses = js_array();
    for (size_t i = 0; i < source->n_licenses; i++) {
        CLEANUP_FREE char *path = path_absolute(source->licenses[i]);
        js_push(licenses, js_cstr(path));
    }
    js_set(request, "licenses", licenses);
    js_set_int(request, "context_size", source->context_size);
    js_set_cstr(request, "format", source->format == ARTIFACT_CNCF ? "cncf" : "docker");
    return request;
}

static void on_line(void *ctx, const struct json *line)
{
    if (str_eq_c(js_get_str(line, "type"), "progress"))
        meter_show(ctx, (uint64_t)js_get_int(line, "current", 0),
                   (uint64_t)js_get_int(line, "total", 0));
}

/* *ret_elsewhere: the runner does not know how, or does not see the files; then they are sent. */
static int package_there(const struct artifact_source *source, const char *from, const char *name,
                         unsigned flags, bool *ret_elsewhere, struct error *err)
{
    const struct daemon *d;
    int r = daemon_find(&d, err);
    if (r < 0)
        return r;
    *ret_elsewhere = d->unix_path == NULL;
    if (*ret_elsewhere)
        return 0;
    bool quiet = flags & PACKAGE_QUIET;
    if (!quiet)
        fputs("Loading model to Model Runner...\n", stderr);
    struct meter meter = {
        .shown = !quiet && print_is_tty(stderr), .doing = "Reading", .percent = -1};
    CLEANUP_JSON struct json *request = make_request(source, from, name);
    js_set_bool(request, "copy", !(flags & PACKAGE_NO_COPY));
    r = news_post("/models/package", request, "packaging", on_line, &meter, err);
    meter_end(&meter);
    *ret_elsewhere = r == -ERR_NOT_FOUND || r == -ERR_DENIED;
    return r;
}

int package_model(const struct artifact_source *source, const char *from, const char *name,
                  unsigned flags, struct error *err)
{
    bool elsewhere = false;
    struct error why = ERROR_INIT;
    int r = package_there(source, from, name, flags, &elsewhere, &why);
    if (!elsewhere)
        return r < 0 ? error_copy(err, &why) : 0;
    if (flags & PACKAGE_NO_COPY)
        return error_set(err, ERR_UNSUPPORTED,
                         "the runner cannot open its files, so that they can only be sent");
    bool quiet = flags & PACKAGE_QUIET;
    return from ? build_from(source, from, name, quiet, err)
                : build_and_send(source, name, quiet, err);
}

/* ---- names ---- */

bool package_is_local_file(const char *word)
{
    struct str s = str_from(word);
    if (str_starts_with(s, STR("/")) || str_starts_with(s, STR("./")) ||
        str_starts_with(s, STR("../")))
        return true;
    struct stat st;
    return strchr(word, '/') && s.len > 5 && strcasecmp(word + s.len - 5, ".gguf") == 0 &&
           stat(word, &st) == 0 && S_ISREG(st.st_mode);
}

/* "-00001-of-00003" at the end of a shard's name. */
static size_t without_shard(const char *name, size_t len)
{
    enum { SUFFIX = 15 };
    if (len <= SUFFIX)
        return len;
    static const char shape[] = "-00000-of-00000";
    const char *end = name + len - SUFFIX;
    for (size_t i = 0; i < SUFFIX; i++) {
        bool digit = end[i] >= '0' && end[i] <= '9';
        if (shape[i] == '0' ? !digit : end[i] != shape[i])
            return len;
    }
    return len - SUFFIX;
}

char *package_name_for(const char *path)
{
    enum { NAME_MAX_BYTES = 128 };
    const char *base = path_base(path);
    size_t len = strlen(base);
    if (len > 5 && strcasecmp(base + len - 5, ".gguf") == 0)
        len -= 5;
    len = MIN(without_shard(base, len), (size_t)NAME_MAX_BYTES);

    /* Components are lower-case letters and digits with single separators between them. */
    struct buf name = BUF_INIT(NAME_MAX_BYTES + 16);
    buf_append_c(&name, "local/");
    size_t start = name.len;
    char separator = 0;
    for (size_t i = 0; i < len; i++) {
        char c = base[i];
        if (c >= 'A' && c <= 'Z')
            c = (char)(c - 'A' + 'a');
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
            if (separator && name.len > start)
                buf_push(&name, separator);
            separator = 0;
            buf_push(&name, c);
        } else if (!separator) {
            separator = c == '.' || c == '_' ? c : '-';
        }
    }
    if (name.len == start)
        buf_append_c(&name, "model");
    char *text = buf_take(&name);
    if (!text)
        alloc_failed();
    return text;
}
