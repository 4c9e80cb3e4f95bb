/* SPDX-License-Identifier: Apache-2.0
 *
 * What the engine tells about itself: /v1/models, /props, /slots, /metrics. */
#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "engine/api/params.h"
#include "engine/api/routes.h"

void route_models(struct http_request *req, const struct service *s)
{
    struct json *meta = js_object();
    js_set_int(meta, "n_vocab", s->lm->n_vocab);
    js_set_int(meta, "n_ctx", batcher_ctx_size(s->batcher));
    js_set_int(meta, "n_ctx_train", s->lm->n_ctx_train);
    js_set_int(meta, "n_embd", s->lm->n_embd);
    js_set_int(meta, "n_params", (int64_t)s->lm->n_params);
    js_set_int(meta, "size", (int64_t)s->lm->file_bytes);

    struct json *model = js_object();
    js_set_cstr(model, "id", s->alias);
    js_set_cstr(model, "object", "model");
    js_set_int(model, "created", s->loaded_at);
    js_set_cstr(model, "owned_by", "model-runner");
    js_set(model, "meta", meta);

    struct json *data = js_array();
    js_push(data, model);
    CLEANUP_JSON struct json *o = js_object();
    js_set_cstr(o, "object", "list");
    js_set(o, "data", data);
    http_respond_json(req, 200, o);
}

static struct json *default_settings(const struct service *s)
{
    const struct sampling d = s->defaults.sampling;
    struct json *params = js_object();
    js_set_real(params, "temperature", d.temperature);
    js_set_int(params, "top_k", d.top_k);
    js_set_real(params, "top_p", d.top_p);
    js_set_real(params, "min_p", d.min_p);
    js_set_real(params, "typical_p", d.typical_p);
    js_set_real(params, "repeat_penalty", d.repeat_penalty);
    js_set_int(params, "repeat_last_n", d.repeat_last_n);
    js_set_real(params, "presence_penalty", d.presence_penalty);
    js_set_real(params, "frequency_penalty", d.frequency_penalty);
    js_set_int(params, "n_predict", s->defaults.n_predict);

    struct json *o = js_object();
    js_set_int(o, "n_ctx", batcher_ctx_size(s->batcher));
    js_set(o, "params", params);
    return o;
}

void route_props(struct http_request *req, const struct service *s)
{
    struct json *modalities = js_object();
    js_set_bool(modalities, "vision", s->vision != NULL);
    js_set_bool(modalities, "audio", false);

    CLEANUP_JSON struct json *o = js_object();
    js_set(o, "default_generation_settings", default_settings(s));
    js_set_int(o, "total_slots", batcher_n_parallel(s->batcher));
    js_set_cstr(o, "model_alias", s->alias);
    js_set_cstr(o, "model_path", s->lm->path);
    js_set_cstr(o, "model_name", s->lm->name);
    js_set_cstr(o, "chat_template", s->chat_template->source);
    js_set_bool(o, "chat_template_is_default", s->chat_template->is_default);
    js_set_cstr(o, "bos_token", s->chat_template->bos);
    js_set_cstr(o, "eos_token", s->chat_template->eos);
    js_set(o, "modalities", modalities);
    js_set_cstr(o, "build_info", "model-runner " MR_VERSION);
    http_respond_json(req, 200, o);
}

void route_slots(struct http_request *req, const struct service *s)
{
    uint32_t n = batcher_n_parallel(s->batcher);
    CLEANUP_FREE struct slot_info *slots = xcalloc(n, sizeof(*slots));
    struct batcher_stats stats;
    batcher_inspect(s->batcher, slots, &stats);
    CLEANUP_JSON struct json *list = js_array();
    for (uint32_t i = 0; i < n; i++) {
        struct json *o = js_object();
        js_set_int(o, "id", i);
        js_set_int(o, "n_ctx", batcher_ctx_size(s->batcher));
        js_set_bool(o, "is_processing", slots[i].busy);
        if (slots[i].busy) {
            js_set_int(o, "id_task", (int64_t)slots[i].request);
            js_set_int(o, "n_prompt_tokens", slots[i].n_prompt);
            js_set_int(o, "n_past", slots[i].n_past);
            js_set_int(o, "n_decoded", slots[i].n_predicted);
        }
        js_push(list, o);
    }
    http_respond_json(req, 200, list);
}

void route_metrics(struct http_request *req, const struct service *s)
{
    struct batcher_stats st;
    batcher_inspect(s->batcher, NULL, &st);
    const struct {
        const char *name, *type, *help;
        double value;
    } rows[] = {
        {"prompt_tokens_total", "counter", "Prompt tokens computed.", (double)st.prompt_tokens},
        {"prompt_tokens_cached_total", "counter", "Prompt tokens found in the cache.",
         (double)st.cached_tokens},
        {"prompt_seconds_total", "counter", "Time of computing prompts.", st.prompt_ms / 1000},
        {"tokens_predicted_total", "counter", "Tokens generated.", (double)st.predicted_tokens},
        {"tokens_predicted_seconds_total", "counter", "Time of generating.",
         st.predicted_ms / 1000},
        {"requests_total", "counter", "Requests accepted.", (double)st.n_requests},
        {"requests_canceled_total", "counter", "Requests whose client left.",
         (double)st.n_canceled},
        {"n_decode_total", "counter", "Steps of the model.", (double)st.n_steps},
        {"requests_processing", "gauge", "Sequences in work.", (double)st.n_busy},
        {"requests_deferred", "gauge", "Requests waiting for a slot.", (double)st.n_waiting},
        {"kv_cache_pages", "gauge", "Pages of the KV cache.", (double)st.n_pages},
        {"kv_cache_pages_free", "gauge", "Pages that hold nothing.", (double)st.n_pages_free},
    };
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        buf_printf(&out, "# HELP llamacpp:%s %s\n# TYPE llamacpp:%s %s\nllamacpp:%s %.15g\n",
                   rows[i].name, rows[i].help, rows[i].name, rows[i].type, rows[i].name,
                   rows[i].value);
    http_respond(req, 200, "text/plain; version=0.0.4", buf_str(&out));
}
