/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model pull and push. */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/alloc.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/interrupt.h"
#include "cli/print.h"
#include "cli/transfer.h"

enum { RETRIES = 4, ERROR_BODY_MAX = 64 * 1024 };

struct pull_options {
    bool quiet;
};

const struct opt pull_opts[] = {
    {"quiet", 'q', OPT_FLAG, offsetof(struct pull_options, quiet),
     .help = "Show no progress; print only the model's id"},
    OPT_END,
};

const struct opt push_opts[] = {
    {"quiet", 'q', OPT_FLAG, offsetof(struct pull_options, quiet), .help = "Print nothing"},
    OPT_END,
};

struct answer {
    int status;
    bool retried; /* the runner has tried again itself: what it says is final */
    struct progress_stream stream;
    struct buf error_body;
};

static int on_headers(void *ctx, int status)
{
    struct answer *a = ctx;
    a->status = status;
    return 0;
}

static void on_header(void *ctx, struct str name, struct str value)
{
    (void)value;
    struct answer *a = ctx;
    a->retried = a->retried || str_eq_nocase(name, STR("X-Model-Runner-Retried"));
}

static int on_data(void *ctx, struct str piece)
{
    struct answer *a = ctx;
    if (a->status == 200)
        progress_stream_feed(&a->stream, piece);
    else
        buf_append(&a->error_body, str_sub(piece, 0, ERROR_BODY_MAX - a->error_body.len));
    return 0;
}

static bool is_hugging_face(const char *model)
{
    return strncasecmp(model, "hf.co/", 6) == 0 || strncasecmp(model, "huggingface.co/", 15) == 0;
}

/* The request's path and body. */
static void make_request(const struct transfer *t, char **ret_path, char **ret_body)
{
    CLEANUP_JSON struct json *request = js_object();
    if (t->mode == PROGRESS_PULL) {
        js_set_cstr(request, "from", t->model);
        *ret_path = xstrdup("/models/create");
    } else {
        *ret_path = api_model_path(t->model, "/push");
    }
    const char *token = getenv("HF_TOKEN");
    if (token && *token && is_hugging_face(t->model))
        js_set_cstr(request, "bearer-token", token);
    *ret_body = js_text(request, JS_COMPACT);
}

/* One try. *ret_again: whether another could go better. */
static int attempt(const struct transfer *t, char **ret_message, bool *ret_again, struct error *err)
{
    const char *pulling = t->mode == PROGRESS_PULL ? "pulling" : "pushing";
    CLEANUP_FREE char *path = NULL, *body = NULL;
    make_request(t, &path, &body);
    struct answer a = {.error_body = BUF_INIT(ERROR_BODY_MAX)};
    progress_stream_init(&a.stream, t->sink);
    struct http_call http = HTTP_CALL_INIT;
    http.on_headers = on_headers;
    http.on_header = on_header;
    http.on_data = on_data;
    http.ctx = &a;
    http.cancel = interrupt_cancel();
    struct api_call call = {
        .path = path,
        .body = str_from(body),
        .accept = "application/json",
        .http = &http,
    };
    struct http_result res = {0};
    int r = api_perform(&call, &res, err);
    if (r < 0) {
        *ret_again = r == -ERR_UNAVAILABLE || r == -ERR_TIMEOUT || r == -ERR_IO;
    } else if (a.status != 200) {
        char status[64];
        struct str text = str_trim(buf_str(&a.error_body));
        r = error_set(err, api_status_code(a.status), "%s %s failed with status %s: %.*s", pulling,
                      t->model, api_status_text(a.status, status), STR_ARG(text));
        *ret_again = !a.retried && (a.status == 502 || a.status == 504);
    } else {
        r = progress_stream_end(&a.stream, err);
        if (r == 0)
            *ret_message = buf_take(&a.stream.message);
        else
            *ret_again = !(a.retried && a.stream.failed) && progress_error_is_network(err->msg);
    }
    http_result_release(&res);
    progress_stream_release(&a.stream);
    buf_release(&a.error_body);
    return r;
}

/* False when Ctrl-C ends it. */
static bool pause_for(unsigned seconds)
{
    for (unsigned tenths = 0; tenths < 10 * seconds; tenths++) {
        if (http_cancel_fired(interrupt_cancel()))
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
    }
    return true;
}

int transfer_model(const struct transfer *t, char **ret_message, struct error *err)
{
    const char *doing = t->mode == PROGRESS_PULL ? "download" : "push";
    for (int n = 0;; n++) {
        bool again = false;
        int r = attempt(t, ret_message, &again, err);
        /* Nobody is there at all: waiting would not start a runner. */
        if (n == 0 && r == -ERR_UNAVAILABLE && strcmp(err->msg, API_NOT_RUNNING) != 0)
            again = false;
        if (r == 0 || !again)
            return r;
        if (n == RETRIES)
            return error_wrap(err, "%s failed after %d retries", doing, RETRIES);
        unsigned delay = 1U << n;
        if (t->blank_lines)
            fputc('\n', t->blank_lines);
        fprintf(stderr, "Retrying %s (attempt %d/%d) in %us...\n", doing, n + 1, RETRIES, delay);
        if (!pause_for(delay))
            return error_set(err, ERR_CANCELED, "canceled");
    }
}

/* A transfer that Ctrl-C ends with a word about what becomes of it. */
static int transfer_interruptible(const struct transfer *t, char **ret_message, struct error *err)
{
    interrupt_begin();
    int r = transfer_model(t, ret_message, err);
    bool interrupted = interrupt_end();
    if (r == 0 || !interrupted)
        return r;
    return error_set(err, ERR_CANCELED,
                     t->mode == PROGRESS_PULL
                         ? "canceled; what has been received is kept for the next pull"
                         : "canceled; what the registry has by now is not sent again");
}

static int transfer_shown(enum progress_mode mode, const char *model, FILE *to, char **ret_message,
                          struct error *err)
{
    struct progress_view *view = progress_view_new(to, mode);
    struct transfer t = {
        .mode = mode, .model = model, .sink = progress_view_sink(view), .blank_lines = to};
    int r = transfer_interruptible(&t, ret_message, err);
    progress_view_free(view);
    return r;
}

int transfer_pull(const char *model, FILE *to, char **ret_message, struct error *err)
{
    return transfer_shown(PROGRESS_PULL, model, to, ret_message, err);
}

int transfer_push(const char *model, FILE *to, char **ret_message, struct error *err)
{
    return transfer_shown(PROGRESS_PUSH, model, to, ret_message, err);
}

static int transfer_quietly(enum progress_mode mode, const char *model, char **ret_message,
                            struct error *err)
{
    static const struct progress_sink nothing = {0};
    struct transfer t = {.mode = mode, .model = model, .sink = &nothing};
    return transfer_interruptible(&t, ret_message, err);
}

/* The id of a model that has just been pulled. */
static int print_id(const char *model, struct error *err)
{
    CLEANUP_FREE char *path = api_model_path(model, "");
    CLEANUP_JSON struct json *v = NULL;
    int r = api_get_json(path, "the model cannot be looked at", &v, err);
    if (r < 0)
        return r;
    print_line_text(stdout, js_get_str(v, "id"));
    putchar('\n');
    return 0;
}

/* pull and push: `what` fails. */
static int transfer_command(const char *name, const char *what, enum progress_mode mode, int argc,
                            char **argv)
{
    struct pull_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse(name, argc, argv, &o, &args, &exit_code))
        return exit_code;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *message = NULL;
    const char *model = args.v[0];
    int r = o.quiet ? transfer_quietly(mode, model, &message, &err)
                    : transfer_shown(mode, model, stdout, &message, &err);
    if (r == 0 && o.quiet && mode == PROGRESS_PULL)
        r = print_id(model, &err);
    if (r < 0)
        return cli_fail(what, &err);
    if (!o.quiet) {
        print_line_text(stdout, str_from(message));
        putchar('\n');
    }
    return 0;
}

int cmd_pull(int argc, char **argv)
{
    return transfer_command("pull", "Failed to pull model", PROGRESS_PULL, argc, argv);
}

int cmd_push(int argc, char **argv)
{
    return transfer_command("push", "Failed to push model", PROGRESS_PUSH, argc, argv);
}
