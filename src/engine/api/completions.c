/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /v1/chat/completions and /v1/completions: from a body to a generation, and from its events
 * to a whole answer or a stream.
 *
 *     body ─ params, prompts ─► job ─ batcher_submit ─► events ─┬─ answer_whole ─► JSON
 *                                                               └─ chunks ───────► SSE
 *
 * A stream begins with the first event, so that what fails before it has a proper status. */
#include <stdlib.h>

#include "base/alloc.h"
#include "engine/api/answer.h"
#include "engine/api/answer_grammar.h"
#include "engine/api/legacy_functions.h"
#include "engine/api/params.h"
#include "engine/api/prompts.h"
#include "engine/api/routes.h"
#include "http/sse.h"

enum { CHUNK_MAX = 64 << 20 };

struct job {
    const struct service *s;
    struct http_request *req;
    struct json *body;
    struct params params;
    struct chat_prompt chat;
    struct prompts prompts;
    bool reasoning_is_open;  /* the prompt ends within it */
    bool legacy_functions;   /* asked for by the older names */
    bool sure_calls;         /* the grammar sees to calls being well-formed */
    struct token_list force; /* what ends reasoning that has gone on for too long */
    struct answer answer;
    struct generation *generation;
    volatile bool gone; /* the client left while its pictures were looked at */
};

static void job_release(struct job *j)
{
    http_request_on_cancel(j->req, NULL, NULL);
    generation_free(j->generation);
    answer_release(&j->answer);
    prompts_release(&j->prompts);
    params_release(&j->params);
    chat_prompt_release(&j->chat);
    token_list_release(&j->force);
    js_free(j->body);
}

/* ---- errors ---- */

/* A prompt that does not fit, as llama-server says it. */
static bool refuse_overflow(struct http_request *req, const struct service *s,
                            const struct prompts *p)
{
    uint32_t n_ctx = batcher_ctx_size(s->batcher);
    for (uint32_t i = 0; i < p->n; i++) {
        if (p->items[i].n <= n_ctx)
            continue;
        api_respond_overflow(req, p->items[i].n, n_ctx);
        return true;
    }
    return false;
}

static struct json *event_error_json(const struct error *err, int *ret_status)
{
    *ret_status = api_engine_error_status(err);
    return api_error_json(
        *ret_status, *ret_status == 500 ? "server_error" : errc_openai_type(err->code), err->msg);
}

/* ---- a whole answer ---- */

static void answer_at_once(struct job *j)
{
    struct generation_event *e;
    while (generation_next(j->generation, &e) > 0) {
        if (e->kind == EVENT_ERROR) {
            int status;
            CLEANUP_JSON struct json *o = event_error_json(e->error, &status);
            http_respond_json(j->req, status, o);
            generation_event_free(e);
            return;
        }
        answer_add(&j->answer, e, NULL, NULL);
        generation_event_free(e);
    }
    if (http_request_canceled(j->req))
        return; /* nobody is there to read it */
    CLEANUP_JSON struct json *o = answer_whole(&j->answer);
    http_respond_json(j->req, 200, o);
}

/* ---- a stream ---- */

/* Adds a chunk to what is sent next; takes it over. */
static void put_chunk(void *out, struct json *chunk)
{
    CLEANUP_BUF struct buf text = BUF_INIT(CHUNK_MAX);
    js_write(chunk, JS_COMPACT, &text);
    sse_write(out, NULL, buf_str(&text));
    js_free(chunk);
}

/* What opens a choice. */
static void put_beginning(struct job *j, uint32_t choice, struct buf *out)
{
    struct answer_choice *c = &j->answer.choices[choice];
    if (c->begun)
        return;
    c->begun = true;
    if (j->answer.chat)
        put_chunk(out, answer_chunk_role(&j->answer, choice));
    else if (j->answer.echo)
        put_chunk(
            out, answer_chunk_text(&j->answer, choice, j->answer.echo[choice / j->answer.n], NULL));
}

/* The end of a choice; behind the last one's the end of the stream. */
static void put_finish(struct job *j, const struct generation_event *e, uint32_t n_left,
                       struct buf *out)
{
    struct json *last = answer_chunk_finish(&j->answer, e->choice);
    if (n_left == 0 && j->params.include_usage) {
        put_chunk(out, last);
        last = answer_chunk_usage(&j->answer);
    }
    if (n_left == 0)
        answer_add_timings(&j->answer, last);
    put_chunk(out, last);
    if (n_left == 0)
        sse_write(out, NULL, STR("[DONE]"));
}

static void answer_stream(struct job *j)
{
    CLEANUP_BUF struct buf out = BUF_INIT(CHUNK_MAX);
    uint32_t n_left = j->answer.n_prompts * j->answer.n;
    bool begun = false;
    struct generation_event *e;
    int r = 0;
    while (r == 0 && generation_next(j->generation, &e) > 0) {
        if (e->kind == EVENT_ERROR) {
            int status;
            struct json *o = event_error_json(e->error, &status);
            if (begun)
                put_chunk(&out, o);
            else {
                http_respond_json(j->req, status, o);
                js_free(o);
                generation_event_free(e);
                return;
            }
        } else {
            put_beginning(j, e->choice, &out);
            answer_add(&j->answer, e, put_chunk, &out);
            if (e->kind == EVENT_FINISH)
                put_finish(j, e, --n_left, &out);
        }
        generation_event_free(e);
        if (!begun) {
            http_respond_header(j->req, "Cache-Control", "no-cache");
            http_stream_begin(j->req, 200, "text/event-stream");
            begun = true;
        }
        if (out.len > 0)
            r = http_stream_write(j->req, buf_str(&out));
        buf_clear(&out);
    }
}

/* ---- both ---- */

static void cancel_generation(void *ctx)
{
    generation_cancel(ctx);
}

static void note_gone(void *ctx)
{
    __atomic_store_n((volatile bool *)ctx, true, __ATOMIC_RELAXED);
}

static int job_look(struct job *j, struct error *err)
{
    if (j->prompts.n_squares == 0)
        return 0;
    http_request_on_cancel(j->req, note_gone, (void *)(uintptr_t)&j->gone);
    return prompts_encode(&j->prompts, j->s->vision, &j->gone, err);
}

/* ---- chats: reasoning and tools ---- */

static bool reads_dialect(const struct job *j, bool chat)
{
    return chat && (j->s->chat_template->dialect.reasoning || j->chat.tools.tools);
}

/* What the answer may be, beyond what the parameters say: calls, and reasoning in front. */
static int job_grammar(struct job *j, struct error *err)
{
    const struct answer_rules rules = {.dialect = &j->s->chat_template->dialect,
                                       .tools = &j->chat.tools,
                                       .schema = j->params.schema,
                                       .gbnf = j->params.gbnf,
                                       .reasoning_is_open = j->reasoning_is_open,
                                       .reasoning_is_off =
                                           j->chat.reasoning.on == REASONING_OFF};
    struct grammar *g = NULL;
    int r = answer_grammar(&rules, &g, &j->sure_calls, err);
    if (r == 0 && g) {
        grammar_unref(j->params.grammar);
        j->params.grammar = g;
    }
    return r;
}

/* How long it may reason. */
static int job_limit(struct job *j, struct reasoning_limit *ret, struct error *err)
{
    const struct reasoning_format *f = j->s->chat_template->dialect.reasoning;
    *ret = (struct reasoning_limit){0};
    if (!f || j->chat.reasoning.budget < 0)
        return 0;
    int r = tokenizer_encode(j->s->lm->tokenizer, str_from(f->force), TOKENIZE_PARSE_SPECIAL,
                             &j->force, err);
    if (r < 0)
        return r;
    *ret = (struct reasoning_limit){
        .open = j->reasoning_is_open ? STR("") : str_trim(str_from(f->open)),
        .close = str_from(f->close),
        .force = j->force.ids,
        .n_force = j->force.n,
        .n_tokens = (uint32_t)MIN(j->chat.reasoning.budget, (int64_t)UINT32_MAX),
    };
    return 0;
}

/* The prompt, and what it means for the answer. */
static int job_chat(struct job *j, struct error *err)
{
    const struct service *s = j->s;
    int r = legacy_functions_translate(j->body, &j->legacy_functions, err);
    if (r == 0)
        r = chat_prompt_parse(j->body, &j->chat, err);
    if (r == 0)
        r = prompts_from_chat(&j->chat, s->lm, s->chat_template, s->vision, s->why_blind,
                              &j->prompts, err);
    if (r < 0)
        return r;
    j->reasoning_is_open = chat_reasoning_is_open(s->chat_template, buf_str(&j->prompts.texts[0]));
    return reads_dialect(j, true) ? job_grammar(j, err) : 0;
}

static int job_submit(struct job *j, bool chat, struct error *err)
{
    const struct params *p = &j->params;
    const struct dialect *dialect = reads_dialect(j, chat) ? &j->s->chat_template->dialect : NULL;
    struct generation_request request = {
        .prompts = j->prompts.items,
        .n_prompts = j->prompts.n,
        .n_choices = p->n,
        .sampling = p->sampling,
        .stops = p->stops,
        .n_stops = p->n_stops,
        .marks = dialect != NULL,
        .grammar = p->grammar,
        .n_predict = p->n_predict,
        .cache_prompt = p->cache_prompt,
        .logprobs = p->logprobs,
        .n_top_logprobs = p->n_top_logprobs,
    };
    const struct grammar_vocab *vocab;
    memcpy(request.scales, p->scales, sizeof(request.scales));
    int r = chat ? job_limit(j, &request.reasoning, err) : 0;
    if (r == 0 && p->grammar) { /* the large masks here, not in the batcher's steps */
        r = lm_grammar_vocab(j->s->lm, &vocab, err);
        if (r == 0)
            r = grammar_prepare(p->grammar, vocab, err);
    }
    if (r == 0)
        r = batcher_submit(j->s->batcher, &request, &j->generation, err);
    if (r < 0)
        return r;
    http_request_on_cancel(j->req, cancel_generation, j->generation);
    const struct dialect_options options = {.tools = j->chat.tools.tools,
                                            .eager = j->sure_calls,
                                            .reasoning_is_open = j->reasoning_is_open,
                                            .keep_reasoning = j->chat.reasoning.keep};
    answer_init(&j->answer, chat, j->prompts.n, p->n, dialect, &options);
    j->answer.logprobs = p->logprobs;
    j->answer.legacy_functions = j->legacy_functions;
    j->answer.model = p->model.len > 0 ? p->model : str_from(j->s->alias);
    j->answer.seed = p->sampling.seed;
    j->answer.tokenizer = j->s->lm->tokenizer;
    j->answer.echo = j->prompts.echo;
    return 0;
}

static void complete(struct http_request *req, const struct service *s, bool chat)
{
    struct job j = {.s = s, .req = req};
    if (api_read_body(req, &j.body) < 0)
        return;
    struct error err = ERROR_INIT;
    int r = api_check_generates(s, &err);
    if (r == 0)
        r = params_parse(j.body, chat ? PARAMS_CHAT : PARAMS_TEXT, &s->defaults, &j.params, &err);
    if (r == 0)
        r = chat ? job_chat(&j, &err) : prompts_from_text(j.body, s->lm, &j.prompts, &err);
    if (r == 0 && refuse_overflow(req, s, &j.prompts)) {
        job_release(&j);
        return;
    }
    if (r == 0)
        r = job_look(&j, &err);
    if (r == 0)
        r = job_submit(&j, chat, &err);
    if (r < 0)
        api_respond_error(req, &err);
    else if (j.params.stream)
        answer_stream(&j);
    else
        answer_at_once(&j);
    job_release(&j);
}

void route_chat_completions(struct http_request *req, const struct service *s)
{
    complete(req, s, true);
}

void route_completions(struct http_request *req, const struct service *s)
{
    complete(req, s, false);
}
