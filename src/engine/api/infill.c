/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /infill, as llama-server has it: {"input_prefix", "input_suffix", "input_extra", "prompt",
 * …sampling} → {"content", "stop", …}, or a stream of such objects. */
#include <stdlib.h>

#include "base/alloc.h"
#include "engine/api/fim.h"
#include "engine/api/params.h"
#include "engine/api/routes.h"
#include "http/sse.h"

enum { TEXT_MAX = 64 << 20 };

struct infill {
    const struct service *s;
    struct http_request *req;
    struct params params;
    struct token_list ids;
    struct generation *generation;
};

static int parse(const struct json *body, struct infill *f, struct error *err)
{
    struct fim fim = {.extra = js_get(body, "input_extra"), .with_repo = true};
    int r = params_parse(body, PARAMS_TEXT, &f->s->defaults, &f->params, err);
    if (r == 0)
        r = js_want_str(body, "input_prefix", &fim.prefix, err);
    if (r == 0)
        r = js_want_str(body, "input_suffix", &fim.suffix, err);
    if (r == 0)
        r = js_want_str(body, "prompt", &fim.prompt, err);
    if (r == 0 && !fim.prefix.ptr)
        r = error_set(err, ERR_INVALID, "'input_prefix' is missing");
    if (r == 0 && !fim.suffix.ptr)
        r = error_set(err, ERR_INVALID, "'input_suffix' is missing");
    if (r == 0 && (f->params.n > 1 || f->params.logprobs))
        r = error_set(err, ERR_UNSUPPORTED, "'n' and 'logprobs' are not supported by /infill");
    if (r == 0 && js_is(fim.extra, JS_NULL))
        fim.extra = NULL;
    return r == 0 ? fim_tokens(f->s->lm, &fim, &f->ids, err) : r;
}

static void cancel(void *ctx)
{
    generation_cancel(ctx);
}

static int submit(struct infill *f, struct error *err)
{
    const struct params *p = &f->params;
    const struct prompt prompt = {.ids = f->ids.ids, .n = f->ids.n};
    struct generation_request request = GENERATION_REQUEST_INIT;
    request.prompts = &prompt;
    request.sampling = p->sampling;
    request.stops = p->stops;
    request.n_stops = p->n_stops;
    request.n_predict = p->n_predict;
    request.cache_prompt = p->cache_prompt;
    memcpy(request.scales, p->scales, sizeof(request.scales));
    int r = batcher_submit(f->s->batcher, &request, &f->generation, err);
    if (r == 0)
        http_request_on_cancel(f->req, cancel, f->generation);
    return r;
}

static struct json *content_json(struct str text, bool stop)
{
    struct json *o = js_object();
    js_set_str(o, "content", text);
    js_set_bool(o, "stop", stop);
    return o;
}

static void add_end(const struct infill *f, const struct generation_event *e, struct json *o)
{
    const struct generation_stats *st = &e->stats;
    struct json *timings = js_object();
    js_set_cstr(o, "model", f->s->alias);
    js_set_cstr(o, "stop_type", e->reason == FINISH_LENGTH ? "limit" : "eos");
    js_set_bool(o, "truncated", false);
    js_set_int(o, "tokens_evaluated", st->n_prompt);
    js_set_int(o, "tokens_cached", st->n_cached);
    js_set_int(o, "tokens_predicted", st->n_predicted);
    js_set_int(timings, "prompt_n", st->n_prompt - st->n_cached);
    js_set_real(timings, "prompt_ms", st->prompt_ms);
    js_set_int(timings, "predicted_n", st->n_predicted);
    js_set_real(timings, "predicted_ms", st->predicted_ms);
    js_set(o, "timings", timings);
    js_set_int(o, "seed", (int64_t)f->params.sampling.seed);
}

/* `begun`: the stream has its status already, so the error is an event. */
static void give_error(const struct infill *f, const struct error *err, bool begun)
{
    int status = api_engine_error_status(err);
    CLEANUP_JSON struct json *o = api_error_json(
        status, status == 500 ? "server_error" : errc_openai_type(err->code), err->msg);
    if (!begun) {
        http_respond_json(f->req, status, o);
        return;
    }
    CLEANUP_FREE char *text = js_text(o, JS_COMPACT);
    CLEANUP_BUF struct buf out = BUF_INIT(TEXT_MAX);
    sse_write(&out, NULL, str_from(text));
    http_stream_write(f->req, buf_str(&out));
}

static int stream_object(const struct infill *f, struct json *o, bool *begun)
{
    CLEANUP_FREE char *text = js_text(o, JS_COMPACT);
    CLEANUP_BUF struct buf out = BUF_INIT(TEXT_MAX);
    sse_write(&out, NULL, str_from(text));
    js_free(o);
    if (!*begun) {
        http_respond_header(f->req, "Cache-Control", "no-cache");
        http_stream_begin(f->req, 200, "text/event-stream");
        *begun = true;
    }
    return http_stream_write(f->req, buf_str(&out));
}

/* Hands the events on; whole answers collect their text first. */
static void answer(struct infill *f)
{
    CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
    struct generation_event *e;
    bool begun = false;
    int r = 0;
    while (r == 0 && generation_next(f->generation, &e) > 0) {
        if (e->kind == EVENT_ERROR) {
            give_error(f, e->error, begun);
            r = -1;
        } else if (e->kind == EVENT_TEXT && f->params.stream) {
            r = stream_object(f, content_json(e->text, false), &begun);
        } else if (e->kind == EVENT_TEXT) {
            buf_append(&text, e->text);
        } else {
            struct json *end = content_json(buf_str(&text), true);
            add_end(f, e, end);
            if (f->params.stream) {
                r = stream_object(f, end, &begun);
            } else {
                http_respond_json(f->req, 200, end);
                js_free(end);
            }
        }
        generation_event_free(e);
    }
}

void route_infill(struct http_request *req, const struct service *s)
{
    CLEANUP_JSON struct json *body = NULL;
    struct infill f = {.s = s, .req = req};
    struct error err = ERROR_INIT;
    if (api_read_body(req, &body) < 0)
        return;
    int r = api_check_generates(s, &err);
    if (r == 0)
        r = parse(body, &f, &err);
    if (r == 0 && f.ids.n > batcher_ctx_size(s->batcher)) {
        api_respond_overflow(req, f.ids.n, batcher_ctx_size(s->batcher));
    } else {
        if (r == 0)
            r = submit(&f, &err);
        if (r < 0)
            api_respond_error(req, &err);
        else
            answer(&f);
    }
    if (f.generation)
        http_request_on_cancel(req, NULL, NULL);
    generation_free(f.generation);
    token_list_release(&f.ids);
    params_release(&f.params);
}
