/* SPDX-License-Identifier: Apache-2.0
 *
 * The settings that hold for a model, see effective.h. */
#include "runner/effective.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "runner/model_settings.h"

struct effective {
    const struct settings *daemon;
    const struct layers *layers;
    const struct model_settings *values; /* of all layers */
    struct json *rows;
};

static void add(struct effective *e, const char *name, struct json *value, const char *source,
                const char *note)
{
    struct json *row = js_object();
    js_set_cstr(row, "name", name);
    js_set(row, "value", value);
    js_set_cstr(row, "source", source);
    if (note)
        js_set_cstr(row, "note", note);
    js_push(e->rows, row);
}

/* The layer that sets a member; NULL = none. */
static const char *layer_of(const struct effective *e, const char *key)
{
    if (js_get(e->layers->requested, key))
        return "request";
    return js_get(e->layers->configured, key) ? "configure" : NULL;
}

static const char *native_flag(const struct effective *e, const char *option)
{
    return engine_native_flag(e->values->flags, e->values->n_flags, option);
}

static void add_context(struct effective *e)
{
    const char *flag = native_flag(e, "--ctx-size");
    if (e->values->context_size > 0)
        add(e, "context-size", js_int(e->values->context_size), layer_of(e, "context-size"), NULL);
    else if (flag)
        add(e, "context-size", js_cstr(flag), layer_of(e, "runtime-flags"), "a runtime flag");
    else if (e->layers->packaged_context > 0)
        add(e, "context-size", js_int(e->layers->packaged_context), "model", NULL);
    else
        add(e, "context-size", js_cstr("auto"), "default",
            "what the model was trained for, as far as memory allows");
}

static void add_keep_alive(struct effective *e)
{
    int64_t ns = e->values->keep_alive_ns;
    const char *source = layer_of(e, "keep_alive");
    if (ns == KEEP_DEFAULT) {
        ns = e->daemon->idle_timeout_ns < 0 ? KEEP_FOREVER : e->daemon->idle_timeout_ns;
        source = settings_source(e->daemon, "idle-timeout");
    }
    char text[CLOCK_TEXT_MAX];
    keep_alive_text(ns, text);
    add(e, "keep-alive", js_cstr(text), source, ns == KEEP_FOREVER ? "never unloaded" : NULL);
}

static bool is_native(const struct effective *e)
{
    return e->layers->engine == &engine_native;
}

/* What other engines' settings are good for here. */
static const char *no_effect(const struct effective *e)
{
    return is_native(e) ? "no effect with the built-in engine" : NULL;
}

static void add_backend(struct effective *e)
{
    const char *source = layer_of(e, "backend");
    if (!source)
        source = settings_source(e->daemon, "backend");
    add(e, "backend", js_cstr(e->layers->engine->name), source,
        strcmp(source, "default") == 0 ? "the first that knows the model" : NULL);
}

/* Options of the engine by the names that requests know them by. */
static void add_engine_options(struct effective *e)
{
    for (const struct engine_default *o = engine_native_defaults; o->option; o++) {
        const char *value = native_flag(e, o->option);
        bool automatic = !value && strcmp(o->option, "--threads") == 0;
        add(e, o->request ? o->request : o->option + 2,
            js_cstr(automatic ? "auto"
                    : value   ? value
                              : o->value),
            value ? layer_of(e, "runtime-flags") : "default",
            o->request ? "a request's own value wins" : NULL);
    }
}

static bool is_flag(const char *s)
{
    return s[0] == '-' && !(s[1] >= '0' && s[1] <= '9') && s[1] != '.';
}

/* Flags that are no option of above: with llama.cpp all of them. */
static void add_flags(struct effective *e)
{
    for (size_t i = 0; i < e->values->n_flags; i++) {
        const char *flag = e->values->flags[i], *value = e->values->flags[i + 1];
        if (!is_flag(flag) || (is_native(e) && engine_native_knows(flag)))
            continue;
        bool has_value = value && !is_flag(value);
        add(e, flag, has_value ? js_cstr(value) : js_null(), layer_of(e, "runtime-flags"),
            no_effect(e));
    }
    if (!is_native(e) && getenv("LLAMA_ARGS"))
        add(e, "base flags", js_cstr(getenv("LLAMA_ARGS")), "LLAMA_ARGS", NULL);
}

/* Groups of settings for other engines, member by member: "vllm.gpu-memory-utilization". */
static void add_group(struct effective *e, const char *group)
{
    struct json_iter it = {0};
    while (js_next(js_get(e->values->config, group), &it)) {
        CLEANUP_FREE char *name = xasprintf("%s.%s", group, it.key.ptr);
        add(e, name, js_copy(it.value), layer_of(e, group), no_effect(e));
    }
}

static void add_daemon_duration(struct effective *e, const char *option, int64_t ns)
{
    char text[CLOCK_TEXT_MAX];
    duration_text(ns, text);
    add(e, option, js_cstr(text), settings_source(e->daemon, option), NULL);
}

static struct json *max_memory(const struct settings *s)
{
    return s->max_memory_bytes > 0 ? js_int((int64_t)(s->max_memory_bytes >> 20))
                                   : js_cstr("what the machine has");
}

static void add_daemon_settings(struct effective *e)
{
    const struct settings *s = e->daemon;
    add_daemon_duration(e, "load-timeout", s->load_timeout_ns);
    add_daemon_duration(e, "wait-timeout", s->wait_timeout_ns);
    add(e, "max-memory", max_memory(s), settings_source(s, "max-memory"),
        s->max_memory_bytes > 0 ? "MiB" : NULL);
    add(e, "max-models", js_int(s->max_models), settings_source(s, "max-models"), NULL);
    add(e, "max-body", js_int((int64_t)(s->max_body_bytes >> 20)), settings_source(s, "max-body"),
        "MiB");
}

int effective_settings(struct daemon *d, const char *model, enum engine_mode mode,
                       struct json **ret, struct error *err)
{
    CLEANUP(layers_release) struct layers layers = {0};
    CLEANUP(model_settings_release) struct model_settings values = MODEL_SETTINGS_INIT;
    int r = scheduler_layers(d->scheduler, model, mode, &layers, err);
    if (r == 0)
        r = model_settings_merge(NULL, layers.together, &values, err);
    if (r < 0)
        return r;
    struct effective e = {
        .daemon = d->settings, .layers = &layers, .values = &values, .rows = js_array()};
    add_backend(&e);
    add_context(&e);
    add_keep_alive(&e);
    if (is_native(&e))
        add_engine_options(&e);
    add_flags(&e);
    add_group(&e, "speculative");
    add_group(&e, "llamacpp");
    add_group(&e, "vllm");
    add_daemon_settings(&e);
    struct json *v = js_object();
    js_set_cstr(v, "model", model);
    js_set_cstr(v, "id", layers.id);
    js_set_cstr(v, "mode", engine_mode_name(layers.mode));
    js_set_cstr(v, "backend", layers.engine->name);
    js_set(v, "settings", e.rows);
    *ret = v;
    return 0;
}
