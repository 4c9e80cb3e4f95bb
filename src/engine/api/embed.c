/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs the steps of an embedding on the batcher's thread. */
#include "engine/api/embed.h"

#include <stdlib.h>

#include "base/alloc.h"

void embed_texts_init(struct embed_texts *t, size_t n)
{
    *t = (struct embed_texts){.n = n};
    t->lists = xcalloc(n, sizeof(*t->lists));
    t->items = xcalloc(n, sizeof(*t->items));
}

void embed_texts_release(struct embed_texts *t)
{
    for (size_t i = 0; i < t->n; i++)
        token_list_release(&t->lists[i]);
    free(t->lists);
    free(t->items);
    *t = (struct embed_texts){0};
}

/* A text that does not fit, as llama-server says it. */
static bool refuse_overflow(struct http_request *req, const struct service *s,
                            const struct embed_texts *t)
{
    uint32_t n_ctx = batcher_ctx_size(s->batcher);
    if (!model_generates(s->lm->model)) /* it has no positions behind those of its training */
        n_ctx = MIN(n_ctx, s->lm->n_ctx_train);
    for (size_t i = 0; i < t->n; i++) {
        if (t->items[i].n > n_ctx) {
            api_respond_overflow(req, t->items[i].n, n_ctx);
            return true;
        }
    }
    return false;
}

struct work {
    struct embedding *e;
    bool cancel; /* set by the client's thread, read by the backend */
};

static int work_step(void *ctx, struct error *err)
{
    struct work *w = ctx;
    return embedding_step(w->e, &w->cancel, err);
}

static int work_free(void *ctx, struct error *err)
{
    (void)err;
    embedding_free(ctx);
    return 0;
}

static void work_cancel(void *ctx)
{
    __atomic_store_n(&((struct work *)ctx)->cancel, true, __ATOMIC_RELAXED);
}

void embed_free(const struct service *s, struct embedding *e)
{
    struct error err = ERROR_INIT;
    if (e && batcher_call(s->batcher, work_free, e, &err) < 0)
        embedding_free(e); /* nobody else uses the model any more */
}

static int embed_steps(struct http_request *req, const struct service *s, struct embedding *e,
                       struct error *err)
{
    struct work w = {.e = e};
    http_request_on_cancel(req, work_cancel, &w);
    int r;
    while ((r = batcher_call(s->batcher, work_step, &w, err)) > 0)
        ;
    http_request_on_cancel(req, NULL, NULL);
    return r;
}

int embed_run(struct http_request *req, const struct service *s, struct embed_texts *t,
              enum pooling pooling, struct embedding **ret)
{
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < t->n; i++) {
        t->items[i] = (struct prompt){.ids = t->lists[i].ids, .n = t->lists[i].n};
        t->n_tokens += t->lists[i].n;
    }
    if (refuse_overflow(req, s, t))
        return -ERR_TOO_LARGE;
    const struct embedding_request request = {.texts = t->items,
                                              .n_texts = t->n,
                                              .pooling = pooling,
                                              .ctx_size = batcher_ctx_size(s->batcher),
                                              .kv_type = s->kv_type};
    struct embedding *e = NULL;
    int r = embedding_begin(s->lm, &request, &e, &err);
    if (r == 0)
        r = embed_steps(req, s, e, &err);
    if (r < 0) {
        embed_free(s, e);
        if (!http_request_canceled(req))
            api_respond_error(req, &err);
        return r;
    }
    *ret = e;
    return 0;
}

struct json *embed_usage(const struct embed_texts *t)
{
    struct json *usage = js_object();
    js_set_int(usage, "prompt_tokens", (int64_t)t->n_tokens);
    js_set_int(usage, "total_tokens", (int64_t)t->n_tokens);
    return usage;
}

void embed_set_model(const struct json *body, const struct service *s, struct json *answer)
{
    struct str name = js_get_str(body, "model");
    js_set_str(answer, "model", name.len > 0 ? name : str_from(s->alias));
}
