/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings of a model, see model_settings.h. */
#include "runner/model_settings.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "engines/engine.h"

enum { MAX_FLAGS = 256, MAX_CONTEXT = 1 << 30, MAX_DEPTH = 16 };

void model_settings_release(struct model_settings *s)
{
    js_free(s->config);
    free(s->flags);
    *s = MODEL_SETTINGS_INIT;
}

/* Puts the words of raw-runtime-flags in the place of runtime-flags where those are not given. */
static int settle_raw_flags(struct json *config, const struct json *request, struct error *err)
{
    struct str raw = js_get_str(config, "raw-runtime-flags");
    int r = 0;
    if (raw.len > 0 && js_len(js_get(request, "runtime-flags")) == 0) {
        CLEANUP_ARGV struct argv words = {0};
        r = argv_split(&words, raw, "raw-runtime-flags", err);
        struct json *flags = js_array();
        for (size_t i = 0; i < words.n; i++)
            js_push(flags, js_str(str_from(words.v[i])));
        js_set(config, "runtime-flags", flags);
    }
    js_del(config, "raw-runtime-flags");
    return r;
}

static int parse_flags(struct model_settings *s, struct error *err)
{
    const struct json *list = js_get(s->config, "runtime-flags");
    if (list && !js_is(list, JS_ARRAY))
        return error_set(err, ERR_INVALID, "'runtime-flags' must be an array of strings");
    if (js_len(list) > MAX_FLAGS)
        return error_set(err, ERR_INVALID, "more than %d runtime flags", MAX_FLAGS);
    s->flags = xcalloc(js_len(list) + 1, sizeof(*s->flags));
    for (size_t i = 0; i < js_len(list); i++) {
        s->flags[i] = js_to_cstr(js_at(list, i));
        if (!s->flags[i])
            return error_set(err, ERR_INVALID, "'runtime-flags' must be an array of strings");
        s->n_flags++;
    }
    return engine_check_flags(s->flags, s->n_flags, err);
}

static int parse_keep_alive(struct model_settings *s, struct error *err)
{
    const struct json *v = js_get(s->config, "keep_alive");
    if (!v)
        return 0;
    struct str text = js_to_str(v);
    if (!js_is(v, JS_STRING) || text.len == 0 || duration_parse(text, &s->keep_alive_ns, NULL) < 0)
        return error_set(err, ERR_INVALID,
                         "invalid keep_alive duration \"%.*s\": use a duration such as \"10m\", "
                         "\"0\" to unload at once or \"-1\" for never",
                         STR_ARG(text));
    if (s->keep_alive_ns < 0)
        s->keep_alive_ns = KEEP_FOREVER;
    return 0;
}

/* Keys of hf-overrides are identifiers at every depth: they end up on a command line. */
static bool keys_are_identifiers(const struct json *v, int depth)
{
    if (depth > MAX_DEPTH)
        return false;
    for (size_t i = 0; js_is(v, JS_ARRAY) && i < js_len(v); i++)
        if (!keys_are_identifiers(js_at(v, i), depth + 1))
            return false;
    if (!js_is(v, JS_OBJECT))
        return true;
    struct json_iter it = {0};
    while (js_next(v, &it)) {
        bool ok = it.key.len > 0;
        for (size_t i = 0; i < it.key.len; i++) {
            char c = it.key.ptr[i];
            bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
            ok = ok && (letter || (i > 0 && c >= '0' && c <= '9'));
        }
        if (!ok || !keys_are_identifiers(it.value, depth + 1))
            return false;
    }
    return true;
}

static int parse_config(struct model_settings *s, struct error *err)
{
    int64_t context = 0;
    int r = js_want_int(s->config, "context-size", -1, MAX_CONTEXT, &context, err);
    if (r < 0)
        return r;
    s->context_size = context > 0 ? context : 0;
    r = parse_keep_alive(s, err);
    if (r < 0)
        return r;
    const struct json *backend = js_get(s->config, "backend");
    s->engine = engine_by_name(js_to_str(backend));
    if (backend && !s->engine)
        return error_set(err, ERR_INVALID, "unknown backend: \"%.*s\" (supported: %s, %s)",
                         STR_ARG(js_to_str(backend)), engine_native.name, engine_llamacpp.name);
    const struct json *vllm = js_get(s->config, "vllm");
    if (!keys_are_identifiers(js_get(vllm, "hf-overrides"), 0))
        return error_set(err, ERR_INVALID,
                         "hf-overrides: every key must be letters, digits and '_'");
    return parse_flags(s, err);
}

int model_settings_merge(const struct model_settings *old, const struct json *request,
                         struct model_settings *ret, struct error *err)
{
    static const char *const keys[] = {"context-size", "runtime-flags", "raw-runtime-flags",
                                       "speculative",  "keep_alive",    "vllm",
                                       "llamacpp",     "backend"};
    struct model_settings s = MODEL_SETTINGS_INIT;
    s.config = old && old->config ? js_copy(old->config) : js_object();
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        struct json *v = js_get(request, keys[i]);
        if (v && js_is(v, JS_NULL))
            js_del(s.config, keys[i]);
        else if (v)
            js_set(s.config, keys[i], js_copy(v));
    }
    int r = settle_raw_flags(s.config, request, err);
    if (r == 0)
        r = parse_config(&s, err);
    if (r < 0) {
        model_settings_release(&s);
        return r;
    }
    *ret = s;
    return 0;
}

int model_settings_copy(const struct model_settings *from, struct model_settings *ret)
{
    return model_settings_merge(from, NULL, ret, NULL);
}

bool model_settings_same_process(const struct model_settings *a, const struct model_settings *b)
{
    struct json *x = a->config ? js_copy(a->config) : js_object();
    struct json *y = b->config ? js_copy(b->config) : js_object();
    js_del(x, "keep_alive");
    js_del(y, "keep_alive");
    bool same = js_equal(x, y);
    js_free(x);
    js_free(y);
    return same;
}

void keep_alive_text(int64_t ns, char out[48])
{
    if (ns == KEEP_FOREVER)
        memcpy(out, "-1", sizeof("-1"));
    else
        duration_text(ns, out);
}
