/* SPDX-License-Identifier: Apache-2.0
 *
 * Ollama's routes about models: /api/version, tags, ps, show, pull, push, copy, create, delete. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "models/pull.h"
#include "runner/metrics.h"
#include "runner/ollama.h"
#include "runner/routes.h"

/* Clients turn features on by it; this is the API that is spoken here. */
#define OLLAMA_API_VERSION "0.12.0"

void route_ollama_version(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)d;
    (void)args;
    CLEANUP_JSON struct json *v = js_object();
    js_set_cstr(v, "version", OLLAMA_API_VERSION);
    http_respond_json(r, 200, v);
}

/* ---- what is there ---- */

static struct json *details(const struct model_info *m)
{
    struct json *v = js_object(), *families = js_array();
    js_push(families, js_cstr(m->architecture));
    js_set_cstr(v, "parent_model", "");
    js_set_cstr(v, "format", *m->format ? m->format : "gguf");
    js_set_cstr(v, "family", m->architecture);
    js_set(v, "families", families);
    js_set_cstr(v, "parameter_size", m->parameters);
    js_set_cstr(v, "quantization_level", m->quantization);
    return v;
}

static void set_time(struct json *v, const char *key, struct timespec t)
{
    char text[CLOCK_TEXT_MAX];
    clock_rfc3339_utc(t, text);
    js_set_cstr(v, key, text);
}

static struct json *entry(const struct model_info *m, const char *name)
{
    struct json *v = js_object();
    js_set_cstr(v, "name", name);
    js_set_cstr(v, "model", name);
    set_time(v, "modified_at", (struct timespec){.tv_sec = m->created});
    js_set_int(v, "size", (int64_t)m->bytes);
    js_set_cstr(v, "digest", m->id);
    js_set(v, "details", details(m));
    return v;
}

void route_ollama_tags(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    struct error err = ERROR_INIT;
    CLEANUP(model_list_release) struct model_list list = {0};
    if (models_list(d->models, &list, &err) < 0) {
        ollama_error(r, &err);
        return;
    }
    CLEANUP_JSON struct json *v = js_object();
    struct json *models = js_array();
    for (size_t i = 0; i < list.n; i++) {
        const struct model_info *m = &list.items[i];
        for (size_t k = 0; k < m->n_tags; k++)
            js_push(models, entry(m, m->tags[k]));
        if (m->n_tags == 0)
            js_push(models, entry(m, m->id));
    }
    js_set(v, "models", models);
    http_respond_json(r, 200, v);
}

void route_ollama_ps(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    CLEANUP_JSON struct json *running = scheduler_ps(d->scheduler), *v = js_object();
    struct json *models = js_array();
    for (size_t i = 0; i < js_len(running); i++) {
        const struct json *row = js_at(running, i);
        CLEANUP(model_info_release) struct model_info m = {0};
        const char *name = js_get_cstr(row, "model_name", "");
        if (models_get(d->models, name, MODELS_EXACT, &m, NULL) < 0)
            continue;
        struct json *e = entry(&m, m.n_tags > 0 ? m.tags[0] : m.id);
        js_del(e, "modified_at");
        js_set_int(e, "size_vram", 0);
        js_set_int(e, "context_length", m.context_size);
        struct timespec until = {0};
        int64_t keep = d->settings->idle_timeout_ns;
        const char *own = js_get_cstr(row, "keep_alive", NULL);
        if (own)
            duration_parse(str_from(own), &keep, NULL);
        if (keep >= 0 && !js_get_bool(row, "in_use", false) &&
            clock_parse_rfc3339(js_get_str(row, "last_used"), &until, NULL) == 0 &&
            until.tv_sec > 0) {
            until.tv_sec += keep / 1000000000;
            set_time(e, "expires_at", until);
        } else {
            js_set_cstr(e, "expires_at", "0001-01-01T00:00:00Z"); /* no end in sight */
        }
        js_push(models, e);
    }
    js_set(v, "models", models);
    http_respond_json(r, 200, v);
}

/* GGUF metadata; numbers are numbers here. */
static struct json *model_info_object(const struct json *config)
{
    struct json *v = js_object();
    struct json_iter it = {0};
    while (js_next(js_get(config, "gguf"), &it)) {
        int64_t n;
        struct str text = js_to_str(it.value);
        bool number = text.ptr && str_to_i64(text, "", &n, NULL) == 0;
        js_set_n(v, it.key, number ? js_int(n) : js_ref(it.value));
    }
    return v;
}

static bool template_has(const struct json *info, const struct model_files *f, const char *word)
{
    enum { TEMPLATE_MAX = 4 << 20 };
    CLEANUP_BUF struct buf text = BUF_INIT(TEMPLATE_MAX);
    if (f->template_path)
        file_read(f->template_path, &text, NULL);
    struct str s = f->template_path ? buf_str(&text) : js_get_str(info, "tokenizer.chat_template");
    return s.ptr && str_find(s, str_from(word)) >= 0;
}

static struct json *capabilities(struct daemon *d, const char *name, const struct json *info,
                                 const struct model_info *m)
{
    struct json *list = js_array();
    CLEANUP(model_files_release) struct model_files f = {0};
    models_resolve_file(d->models, name, &f, NULL);
    bool encoder = strstr(m->architecture, "bert") || strstr(m->architecture, "embedding");
    js_push(list, js_cstr(encoder ? "embedding" : "completion"));
    if (f.mmproj_path)
        js_push(list, js_cstr("vision"));
    if (template_has(info, &f, "tools"))
        js_push(list, js_cstr("tools"));
    if (template_has(info, &f, "think"))
        js_push(list, js_cstr("thinking"));
    return list;
}

void route_ollama_show(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    CLEANUP_JSON struct json *request = ollama_read(r);
    const char *name = request ? ollama_model(r, request) : NULL;
    struct error err = ERROR_INIT;
    CLEANUP(model_info_release) struct model_info m = {0};
    if (!name)
        return;
    if (models_get(d->models, name, MODELS_EXACT, &m, &err) < 0) {
        if (err.code == ERR_NOT_FOUND)
            error_set(&err, ERR_NOT_FOUND, "model '%s' not found", name);
        ollama_error(r, &err);
        return;
    }
    CLEANUP_JSON struct json *config = NULL, *v = js_object();
    js_parse(str_from(m.config_json), "the model's configuration", &config, NULL);
    struct json *info = model_info_object(config);
    js_set(v, "details", details(&m));
    js_set(v, "capabilities", capabilities(d, name, info, &m));
    if (js_get(info, "tokenizer.chat_template"))
        js_set(v, "template", js_ref(js_get(info, "tokenizer.chat_template")));
    CLEANUP_FREE char *modelfile = xasprintf("FROM %s\n", m.n_tags > 0 ? m.tags[0] : m.id);
    js_set_cstr(v, "modelfile", modelfile);
    js_set_cstr(v, "parameters", "");
    js_set(v, "model_info", info);
    set_time(v, "modified_at", (struct timespec){.tv_sec = m.created});
    http_respond_json(r, 200, v);
}

/* ---- transfers ---- */

struct transfer_answer {
    struct http_request *r;
    const char *doing; /* "pulling", "pushing" */
    bool stream;
    bool begun;
};

static void send_line(struct transfer_answer *a, struct json *v)
{
    CLEANUP_BUF struct buf line = BUF_INIT((size_t)1 << 20);
    js_write(v, JS_COMPACT, &line);
    buf_push(&line, '\n');
    js_free(v);
    if (!a->stream)
        return;
    if (!a->begun)
        http_stream_begin(a->r, 200, "application/x-ndjson");
    a->begun = true;
    http_stream_write(a->r, buf_str(&line));
}

static struct json *status_line(const char *status)
{
    struct json *v = js_object();
    js_set_cstr(v, "status", status);
    return v;
}

static void on_event(void *ctx, const struct models_event *ev)
{
    struct transfer_answer *a = ctx;
    if (ev->kind != MODELS_EVENT_LAYER || !ev->layer_id) {
        send_line(a, status_line(ev->message ? ev->message : "pulling manifest"));
        return;
    }
    struct str id = str_from(ev->layer_id), hex = str_sub(id, strlen("sha256:"), 12);
    CLEANUP_FREE char *status = xasprintf("%s %.*s", a->doing, STR_ARG(hex));
    struct json *v = status_line(status);
    js_set_cstr(v, "digest", ev->layer_id);
    js_set_int(v, "total", (int64_t)ev->layer_size);
    js_set_int(v, "completed", (int64_t)ev->layer_current);
    send_line(a, v);
}

static void fire(void *cancel)
{
    http_cancel_fire(cancel);
}

typedef int (*transfer_fn)(struct models *m, const char *name, const char *bearer,
                           models_event_fn fn, void *ctx, struct http_cancel *cancel,
                           char ret_message[MODELS_MESSAGE_MAX], struct error *err);

static void transfer(struct daemon *d, struct http_request *r, transfer_fn fn, const char *doing)
{
    CLEANUP_JSON struct json *request = ollama_read(r);
    const char *name = request ? ollama_model(r, request) : NULL;
    if (!name)
        return;
    struct transfer_answer a = {
        .r = r, .doing = doing, .stream = js_get_bool(request, "stream", true)};
    struct error err = ERROR_INIT;
    char message[MODELS_MESSAGE_MAX] = "";
    struct http_cancel *cancel = http_cancel_new();
    http_request_on_cancel(r, fire, cancel);
    int result = fn(d->models, name, NULL, on_event, &a, cancel, message, &err);
    http_request_on_cancel(r, NULL, NULL);
    http_cancel_free(cancel);
    metrics_transfer(d->metrics, fn == models_push, result == 0);
    if (result == 0 && a.stream) {
        send_line(&a, status_line("success"));
    } else if (result == 0) {
        CLEANUP_JSON struct json *v = status_line("success");
        http_respond_json(r, 200, v);
    } else if (a.begun) {
        struct json *v = js_object();
        js_set_cstr(v, "error", err.msg);
        send_line(&a, v);
    } else {
        ollama_error(r, &err);
    }
}

void route_ollama_pull(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    transfer(d, r, models_pull, "pulling");
}

void route_ollama_push(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    transfer(d, r, models_push, "pushing");
}

/* ---- changes ---- */

/* The last ':' behind the last '/' begins the tag. */
static int tag_as(struct daemon *d, const char *source, const char *target, struct error *err)
{
    const char *slash = strrchr(target, '/'), *colon = strrchr(target, ':');
    bool tagged = colon && (!slash || colon > slash);
    CLEANUP_FREE char *repo =
        tagged ? str_dup(str_make(target, (size_t)(colon - target))) : xstrdup(target);
    if (!repo)
        alloc_failed();
    return models_tag(d->models, source, repo, tagged ? colon + 1 : "latest", err);
}

void route_ollama_copy(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    CLEANUP_JSON struct json *request = ollama_read(r);
    struct error err = ERROR_INIT;
    const char *source = js_get_cstr(request, "source", ""),
               *target = js_get_cstr(request, "destination", "");
    if (!request)
        return;
    int result = *source && *target
                     ? tag_as(d, source, target, &err)
                     : error_set(&err, ERR_INVALID, "'source' and 'destination' are required");
    if (result < 0)
        ollama_error(r, &err);
    else
        http_respond_empty(r, 200);
}

/* A model from another one: under another name, and with another context size if `parameters` say
 * so. What would make other weights or another prompt of it is not possible here. */
static int create(struct daemon *d, const struct json *request, const char *name, struct error *err)
{
    static const char *const refused[] = {"files",  "adapters", "quantize", "template",
                                          "system", "messages", "modelfile"};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        const struct json *v = js_get(request, refused[i]);
        if (js_len(v) > 0 || js_to_str(v).len > 0)
            return error_set(err, ERR_UNSUPPORTED,
                             "'%s' is not supported; use 'docker model package' to make a model of "
                             "files",
                             refused[i]);
    }
    const struct json *parameters = js_get(request, "parameters");
    const char *from = js_get_cstr(request, "from", "");
    if (!*from)
        return error_set(err, ERR_INVALID, "'from' is required: the model to make this one of");
    struct json_iter it = {0};
    while (js_next(parameters, &it))
        if (!str_eq_c(it.key, "num_ctx"))
            return error_set(err, ERR_UNSUPPORTED,
                             "the parameter '%.*s' cannot be stored with a model; send it with "
                             "requests",
                             STR_ARG(it.key));
    int64_t context = 0;
    int r = js_want_int(parameters, "num_ctx", 1, INT32_MAX, &context, err);
    char id[OCI_DIGEST_TEXT_MAX];
    if (r == 0 && context > 0)
        return models_repackage(d->models, from, name, (int32_t)context, id, err);
    return r == 0 ? tag_as(d, from, name, err) : r;
}

void route_ollama_create(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    CLEANUP_JSON struct json *request = ollama_read(r);
    const char *name = request ? ollama_model(r, request) : NULL;
    struct error err = ERROR_INIT;
    if (!name)
        return;
    if (create(d, request, name, &err) < 0) {
        ollama_error(r, &err);
        return;
    }
    CLEANUP_JSON struct json *v = status_line("success");
    http_respond_json(r, 200, v);
}

void route_ollama_delete(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    CLEANUP_JSON struct json *request = ollama_read(r);
    const char *name = request ? ollama_model(r, request) : NULL;
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf removed = BUF_INIT((size_t)1 << 20);
    if (!name)
        return;
    scheduler_unload(d->scheduler, name, STR(""));
    if (models_remove(d->models, name, false, &removed, &err) < 0) {
        if (err.code == ERR_NOT_FOUND)
            error_set(&err, ERR_NOT_FOUND, "model '%s' not found", name);
        ollama_error(r, &err);
        return;
    }
    scheduler_drop_deleted(d->scheduler);
    http_respond(r, 200, "application/json", STR("{}"));
}
