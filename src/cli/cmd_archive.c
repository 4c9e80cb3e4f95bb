/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model save and load: models as one file, for machines without a network. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/interrupt.h"
#include "cli/meter.h"
#include "cli/print.h"

enum { ERROR_BODY_MAX = 64 << 10 };

/* ---- save ---- */

struct save_options {
    const char *output;
};

const struct opt save_opts[] = {
    {"output", 'o', OPT_STRING, offsetof(struct save_options, output), "FILE",
     "Write to FILE; - is standard output"},
    OPT_END,
};

struct download {
    int fd;
    int status;
    uint64_t size; /* that the runner has told; 0 = none */
    uint64_t done;
    struct buf error_body;
    struct error error; /* of writing */
    struct meter meter;
};

static int on_headers(void *ctx, int status)
{
    struct download *d = ctx;
    d->status = status;
    return 0;
}

static void on_header(void *ctx, struct str name, struct str value)
{
    struct download *d = ctx;
    if (str_eq_nocase(name, STR("Archive-Size")))
        str_to_u64(value, "", &d->size, NULL);
}

static int on_data(void *ctx, struct str piece)
{
    struct download *d = ctx;
    if (d->status != 200) {
        buf_append(&d->error_body, str_sub(piece, 0, ERROR_BODY_MAX - d->error_body.len));
        return 0;
    }
    d->done += piece.len;
    meter_show(&d->meter, d->done, d->size);
    return fd_write_all(d->fd, "the archive", piece.ptr, piece.len, &d->error);
}

static int fetch_archive(const char *path, struct download *d, struct error *err)
{
    struct http_call http = HTTP_CALL_INIT;
    http.on_headers = on_headers;
    http.on_header = on_header;
    http.on_data = on_data;
    http.ctx = d;
    http.cancel = interrupt_cancel();
    struct api_call call = {.path = path, .http = &http};
    struct http_result res = {0};
    struct error why = ERROR_INIT;
    int r = api_perform(&call, &res, &why);
    if (d->error.code) {
        r = error_copy(err, &d->error); /* the disk, not the connection */
    } else if (r < 0) {
        error_copy(err, &why);
    } else if (d->status != 200) {
        char status[64];
        struct str text = str_trim(buf_str(&d->error_body));
        r = error_set(err, api_status_code(d->status), "save failed with status %s: %.*s",
                      api_status_text(d->status, status), STR_ARG(text));
    } else if (d->size != d->done) {
        r = error_set(err, ERR_IO, "the archive broke off after %llu of %llu bytes",
                      (unsigned long long)d->done, (unsigned long long)d->size);
    }
    http_result_release(&res);
    return r;
}

/* "/models/save?name=…&name=…" */
static char *save_path(const struct opt_args *names)
{
    char *path = xstrdup("/models/save");
    for (int i = 0; i < names->n; i++) {
        CLEANUP_FREE char *name = url_encode(str_from(names->v[i]), "/:@");
        char *longer = xasprintf("%s%cname=%s", path, i ? '&' : '?', name);
        free(path);
        path = longer;
    }
    return path;
}

static int save_to_file(const char *path, const char *output, struct download *d, struct error *err)
{
    /* Beside the target, which is replaced only by a whole archive. */
    CLEANUP_FREE char *temp = xasprintf("%s.tmp-%ld", output, (long)getpid());
    CLEANUP_FD int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return error_errno(err, errno, "cannot create '%s'", temp);
    d->fd = fd;
    int r = fetch_archive(path, d, err);
    if (r == 0 && fsync(fd) != 0)
        r = error_errno(err, errno, "cannot write '%s'", temp);
    if (r == 0 && rename(temp, output) != 0)
        r = error_errno(err, errno, "cannot name '%s'", output);
    if (r < 0)
        unlink(temp);
    return r;
}

/* A device or a pipe is written to as it is. */
static bool is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

static int save(const struct opt_args *names, const char *output, struct error *err)
{
    struct download d = {
        .fd = STDOUT_FILENO,
        .error_body = BUF_INIT(ERROR_BODY_MAX),
        .meter = {.shown = print_is_tty(stderr), .doing = "Saving", .percent = -1},
    };
    CLEANUP_FREE char *path = save_path(names);
    int r;
    if (strcmp(output, "-") == 0) {
        r = fetch_archive(path, &d, err);
    } else if (is_special(output)) {
        CLEANUP_FD int fd = open(output, O_WRONLY | O_CLOEXEC);
        d.fd = fd;
        r = fd < 0 ? error_errno(err, errno, "cannot open '%s'", output)
                   : fetch_archive(path, &d, err);
    } else {
        r = save_to_file(path, output, &d, err);
    }
    meter_end(&d.meter);
    buf_release(&d.error_body);
    return r;
}

int cmd_save(int argc, char **argv)
{
    struct save_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("save", argc, argv, &o, &args, &exit_code))
        return exit_code;
    const char *output = o.output ? o.output : "-";
    if (strcmp(output, "-") == 0 && isatty(STDOUT_FILENO))
        return cli_fail_text("refusing to write an archive to a terminal: use -o FILE, or redirect "
                             "standard output");
    struct error err = ERROR_INIT;
    interrupt_begin();
    int r = save(&args, output, &err);
    interrupt_end();
    return r < 0 ? cli_fail("Failed to save", &err) : 0;
}

/* ---- load ---- */

struct load_options {
    const char *input;
    bool quiet;
};

const struct opt load_opts[] = {
    {"input", 'i', OPT_STRING, offsetof(struct load_options, input), "FILE",
     "Read from FILE; - is standard input"},
    {"quiet", 'q', OPT_FLAG, offsetof(struct load_options, quiet),
     .help = "Show no progress and print only ids"},
    OPT_END,
};

struct upload {
    int fd;
    uint64_t size, done; /* size 0 = not known */
    struct error error;  /* of reading */
    struct meter meter;
};

static ssize_t read_archive(void *ctx, char *p, size_t n)
{
    struct upload *u = ctx;
    ssize_t got;
    do
        got = read(u->fd, p, n);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return error_errno(&u->error, errno, "cannot read the archive");
    u->done += (uint64_t)got;
    meter_show(&u->meter, u->done, u->size);
    return got;
}

static void print_loaded(const struct json *answer, bool quiet)
{
    const struct json *models = js_get(answer, "models");
    for (size_t i = 0; i < js_len(models); i++) {
        struct str id = js_get_str(js_at(models, i), "id");
        struct str name = js_get_str(js_at(models, i), "name");
        if (!quiet)
            fputs(name.len ? "Loaded model: " : "Loaded model ID: ", stdout);
        print_line_text(stdout, name.len && !quiet ? name : id);
        putchar('\n');
    }
    if (js_len(models) == 0) { /* a runner that knows one model a time */
        if (!quiet)
            fputs("Loaded model ID: ", stdout);
        print_line_text(stdout, js_get_str(answer, "id"));
        putchar('\n');
    }
}

static int load(struct upload *u, struct json **ret, struct error *err)
{
    struct stat st;
    struct http_call http = HTTP_CALL_INIT;
    if (fstat(u->fd, &st) == 0 && S_ISREG(st.st_mode)) {
        http.body_size = st.st_size;
        u->size = (uint64_t)st.st_size;
    }
    http.read_body = read_archive;
    http.ctx = u;
    struct api_call call = {
        .method = "POST",
        .path = "/models/load",
        .content_type = "application/x-tar",
        .http = &http,
    };
    struct http_result res = {0};
    struct error why = ERROR_INIT;
    int r = api_perform(&call, &res, &why);
    meter_end(&u->meter);
    if (u->error.code) {
        r = error_copy(err, &u->error);
    } else if (r < 0) {
        error_copy(err, &why);
    } else if (res.status != 200) {
        char status[64];
        CLEANUP_JSON struct json *hold = NULL;
        struct str text = api_error_text(&res, &hold);
        r = error_set(err, api_status_code(res.status), "load failed with status %s: %.*s",
                      api_status_text(res.status, status), STR_ARG(text));
    } else {
        r = js_parse(buf_str(&res.body), "the runner's answer", ret, err);
    }
    http_result_release(&res);
    return r;
}

int cmd_load(int argc, char **argv)
{
    struct load_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("load", argc, argv, &o, &args, &exit_code))
        return exit_code;
    struct error err = ERROR_INIT;
    bool from_file = o.input && strcmp(o.input, "-") != 0;
    if (!from_file && isatty(STDIN_FILENO))
        return cli_fail_text("standard input is a terminal: use -i FILE, or redirect it");
    CLEANUP_FD int file = from_file ? open(o.input, O_RDONLY | O_CLOEXEC) : -1;
    if (from_file && file < 0) {
        error_errno(&err, errno, "cannot open '%s'", o.input);
        return cli_fail("Failed to load", &err);
    }
    struct upload u = {
        .fd = from_file ? file : STDIN_FILENO,
        .error = ERROR_INIT,
        .meter = {.shown = !o.quiet && print_is_tty(stderr), .doing = "Loading", .percent = -1},
    };
    CLEANUP_JSON struct json *answer = NULL;
    if (load(&u, &answer, &err) < 0)
        return cli_fail("Failed to load", &err);
    print_loaded(answer, o.quiet);
    return 0;
}
