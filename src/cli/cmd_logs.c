/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model logs and requests: what the runner wrote down, copied as it comes. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/print.h"
#include "http/sse.h"

enum { ERROR_BODY_MAX = 16 * 1024 };

/* An answer on its way to standard output; the body of an error is kept instead. */
struct copy {
    int status;
    struct buf error_body;
    struct buf partial; /* the first bytes of a character whose end has not come yet */
    struct sse_parser sse;
    bool events; /* the body is an event stream: print what the events carry */
};

static int on_headers(void *ctx, int status)
{
    struct copy *c = ctx;
    c->status = status;
    return 0;
}

static int on_event(const char *event, struct str data, void *ctx)
{
    (void)ctx;
    if (str_eq_c(str_from(event), "new_request") || str_eq_c(str_from(event), "existing_request")) {
        print_text(stdout, data);
        putchar('\n');
    }
    return 0;
}

static int on_data(void *ctx, struct str piece)
{
    struct copy *c = ctx;
    if (c->status != 200) {
        buf_append(&c->error_body, str_sub(piece, 0, ERROR_BODY_MAX - c->error_body.len));
        return 0;
    }
    if (c->events) {
        int r = sse_feed(&c->sse, piece, on_event, NULL, NULL);
        if (r < 0)
            return r;
    } else {
        /* Print whole characters only: the terminal filter looks at characters. */
        buf_append(&c->partial, piece);
        size_t whole = utf8_complete_prefix(c->partial.data, c->partial.len);
        print_text(stdout, str_sub(buf_str(&c->partial), 0, whole));
        buf_consume(&c->partial, whole);
    }
    /* Nobody reads any more: `docker model logs -f | head`. */
    return fflush(stdout) == 0 ? 0 : -(int)ERR_IO;
}

/* 0, or negative with *err set. */
static int copy_answer(const char *path, bool events, struct error *err)
{
    struct copy c = {
        .error_body = BUF_INIT(ERROR_BODY_MAX),
        .partial = BUF_INIT(64 << 20),
        .sse = SSE_PARSER_INIT((size_t)64 << 20),
        .events = events,
    };
    struct http_call http = HTTP_CALL_INIT;
    http.on_headers = on_headers;
    http.on_data = on_data;
    http.ctx = &c;
    struct api_call call = {
        .path = path,
        .accept = events ? "text/event-stream" : NULL,
        .http = &http,
    };
    struct http_result res = {0};
    int r = api_perform(&call, &res, err);
    print_text(stdout, buf_str(&c.partial));
    if (r == 0 && c.status != 200) {
        struct str text = str_trim(buf_str(&c.error_body));
        char status[64];
        if (text.len > 0)
            r = error_set(err, api_status_code(c.status), "%.*s", STR_ARG(text));
        else
            r = error_set(err, api_status_code(c.status), "%s", api_status_text(c.status, status));
    } else if (r < 0 && err->code == ERR_NONE) {
        error_set(err, ERR_IO, "cannot write to standard output");
    }
    http_result_release(&res);
    buf_release(&c.error_body);
    buf_release(&c.partial);
    sse_parser_release(&c.sse);
    return r;
}

/* ---- logs ---- */

struct logs_options {
    bool follow, no_engines;
};

const struct opt logs_opts[] = {
    {"follow", 'f', OPT_FLAG, offsetof(struct logs_options, follow),
     .help = "View logs with real-time streaming"},
    {"no-engines", 0, OPT_FLAG, offsetof(struct logs_options, no_engines),
     .help = "Exclude inference engine logs from the output"},
    OPT_END,
};

int cmd_logs(int argc, char **argv)
{
    struct logs_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("logs", argc, argv, &o, &args, &exit_code))
        return exit_code;
    CLEANUP_FREE char *path =
        xasprintf("/logs?follow=%s&no-engines=%s", o.follow ? "true" : "false",
                  o.no_engines ? "true" : "false");
    struct error err = ERROR_INIT;
    if (copy_answer(path, false, &err) < 0)
        return cli_fail("Failed to get logs", &err);
    return 0;
}

/* ---- requests ---- */

struct requests_options {
    bool follow, include_existing;
    const char *model;
};

const struct opt requests_opts[] = {
    {"follow", 'f', OPT_FLAG, offsetof(struct requests_options, follow),
     .help = "Follow requests stream"},
    {"include-existing", 0, OPT_FLAG, offsetof(struct requests_options, include_existing),
     .help = "Include existing requests when starting to follow"},
    {"model", 0, OPT_STRING, offsetof(struct requests_options, model), "MODEL",
     "Only the requests to this model"},
    OPT_END,
};

int cmd_requests(int argc, char **argv)
{
    struct requests_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("requests", argc, argv, &o, &args, &exit_code))
        return exit_code;
    if (o.include_existing && !o.follow)
        return cli_fail_text("--include-existing can only be used with --follow");

    CLEANUP_FREE char *model = o.model ? url_encode(str_from(o.model), "") : NULL;
    CLEANUP_FREE char *path = xasprintf(
        "/engines/requests%s%s%s", model || o.include_existing ? "?" : "",
        o.include_existing ? "include_existing=true" : "", o.include_existing && model ? "&" : "");
    CLEANUP_FREE char *full = xasprintf("%s%s%s", path, model ? "model=" : "", model ? model : "");
    if (o.follow) {
        puts("Connected to request stream. Press Ctrl+C to stop.");
        fflush(stdout);
    }
    struct error err = ERROR_INIT;
    if (copy_answer(full, o.follow, &err) < 0) {
        CLEANUP_FREE char *what =
            xasprintf("Failed to get requests%s%s", o.model ? " for " : "", o.model ? o.model : "");
        return cli_fail(what, &err);
    }
    if (o.follow)
        puts("Stream closed by server.");
    return 0;
}
