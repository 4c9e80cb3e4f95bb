/* SPDX-License-Identifier: Apache-2.0
 *
 * What is set for models: by `configure` for good, by requests until the model is unloaded. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "oci/reference.h"
#include "runner/scheduler_internal.h"
#include "runner/settings_file.h"

static void setting_free(struct setting *x)
{
    if (!x)
        return;
    free(x->key);
    free(x->name);
    free(x->typed);
    js_free(x->configured);
    js_free(x->requested);
    model_settings_release(&x->values);
    free(x);
}

char *scheduler_full_name(const char *model)
{
    struct oci_reference ref;
    if (oci_reference_parse(str_from(model), oci_default_registry(), &ref, NULL) < 0)
        return xstrdup(model);
    char text[OCI_REFERENCE_TEXT_MAX];
    oci_reference_text(&ref, text);
    return xstrdup(text);
}

char *scheduler_model_key(struct scheduler *s, const char *model)
{
    char id[OCI_DIGEST_TEXT_MAX];
    if (models_resolve_id(s->models, model, MODELS_EXACT, id, NULL) == 0)
        return xstrdup(id);
    return scheduler_full_name(model);
}

/* By the model itself, or else by its name: of a newer version of it. */
static struct setting *find_setting(struct scheduler *s, const char *key, const char *name,
                                    enum engine_mode mode)
{
    for (struct setting *x = s->settings; x; x = x->next)
        if (x->mode == mode && strcmp(x->key, key) == 0)
            return x;
    for (struct setting *x = s->settings; x; x = x->next)
        if (x->mode == mode && strcmp(x->name, name) == 0)
            return x;
    return NULL;
}

static struct setting *setting_of(struct scheduler *s, const struct target *t)
{
    const char *name = t->name ? t->name : "";
    struct setting *x = find_setting(s, t->id, name, t->mode);
    return x ? x : find_setting(s, t->id, name, MODE_COMPLETION);
}

const struct model_settings *settings_for(struct scheduler *s, const struct target *t)
{
    static const struct model_settings none = {.keep_alive_ns = KEEP_DEFAULT};
    const struct setting *x = setting_of(s, t);
    return x ? &x->values : &none;
}

/* Both layers together. */
static int combine(const struct json *configured, const struct json *requested,
                   struct model_settings *ret, struct error *err)
{
    CLEANUP(model_settings_release) struct model_settings base = MODEL_SETTINGS_INIT;
    int r = model_settings_merge(NULL, configured, &base, err);
    return r < 0 ? r : model_settings_merge(&base, requested, ret, err);
}

static void remove_setting(struct scheduler *s, struct setting *x)
{
    struct setting **at = &s->settings;
    while (*at != x)
        at = &(*at)->next;
    *at = x->next;
    setting_free(x);
}

void drop_request_settings(struct scheduler *s, const char *key)
{
    for (struct setting *x = s->settings, *next; x; x = next) {
        struct model_settings left;
        next = x->next;
        if (!x->requested || (key && strcmp(x->key, key) != 0))
            continue;
        js_free(TAKE(x->requested));
        if (!x->configured) {
            remove_setting(s, x);
        } else if (combine(x->configured, NULL, &left, NULL) == 0) {
            model_settings_release(&x->values);
            x->values = left;
        }
    }
}

/* ---- the file ---- */

static struct setting *add_setting(struct scheduler *s, const char *key, const char *name,
                                   enum engine_mode mode)
{
    struct setting *x = xcalloc(1, sizeof(*x));
    x->key = xstrdup(key);
    x->name = xstrdup(name);
    x->typed = xstrdup(name);
    x->mode = mode;
    x->values = MODEL_SETTINGS_INIT;
    x->next = s->settings;
    s->settings = x;
    return x;
}

static int add_row(struct scheduler *s, const struct json *row, struct error *err)
{
    const char *model = js_get_cstr(row, "model", "");
    CLEANUP_FREE char *name = scheduler_full_name(model);
    enum engine_mode mode;
    int r = engine_mode_parse(js_get_str(row, "mode"), &mode, err);
    if (r < 0)
        return r;
    struct setting *x = add_setting(s, js_get_cstr(row, "id", name), name, mode);
    free(x->typed);
    x->typed = xstrdup(model);
    x->configured = js_copy(js_get(row, "config"));
    return combine(x->configured, NULL, &x->values, err);
}

int settings_open(struct scheduler *s, const char *path, struct error *err)
{
    pthread_mutex_init(&s->settings_lock, NULL);
    s->settings_file = path ? xstrdup(path) : NULL;
    CLEANUP_JSON struct json *rows = NULL;
    int r = path ? settings_file_read(path, &rows, err) : 0;
    for (size_t i = 0; r == 0 && i < js_len(rows); i++) {
        const struct json *row = js_at(rows, i);
        r = add_row(s, row, err);
        if (r < 0)
            r = error_wrap(err, "the settings of %s in '%s'", js_get_cstr(row, "model", ""), path);
    }
    return r;
}

void settings_close(struct scheduler *s)
{
    for (struct setting *x = s->settings, *next; x; x = next) {
        next = x->next;
        setting_free(x);
    }
    s->settings = NULL;
    pthread_mutex_destroy(&s->settings_lock);
    free(TAKE(s->settings_file));
}

/* ---- changes ---- */

/* A change before it is made. */
struct change {
    const char *model;
    char *key, *name;
    enum engine_mode mode;
    enum setting_layer layer;
    struct json *configured, *requested;
    struct model_settings values;
};

static void change_release(struct change *c)
{
    free(c->key);
    free(c->name);
    js_free(c->configured);
    js_free(c->requested);
    model_settings_release(&c->values);
}

/* With the lock held. */
static struct runner *stale_runner(struct scheduler *s, const struct change *c)
{
    for (struct runner *r = s->runners; r; r = r->next)
        if (strcmp(r->target.id, c->key) == 0 && r->target.mode == c->mode &&
            r->state == RUNNER_READY && !model_settings_same_process(&r->settings, &c->values))
            return r;
    return NULL;
}

/* With the lock held: what the request makes of the layers. */
static int plan(struct scheduler *s, const struct json *request, struct change *c,
                struct error *err)
{
    const struct setting *x = find_setting(s, c->key, c->name, c->mode);
    struct json *const *layer = NULL;
    if (x)
        layer = c->layer == LAYER_CONFIGURE ? &x->configured : &x->requested;
    CLEANUP(model_settings_release) struct model_settings old = MODEL_SETTINGS_INIT;
    CLEANUP(model_settings_release) struct model_settings now = MODEL_SETTINGS_INIT;
    int r = 0;
    if (layer && *layer && !js_get_bool(request, "reset", false))
        r = model_settings_merge(NULL, *layer, &old, err);
    if (r == 0)
        r = model_settings_merge(&old, request, &now, err);
    if (r < 0)
        return r;
    if (c->layer == LAYER_CONFIGURE) {
        /* The last word counts: a request's older one about the same is over. */
        c->configured = TAKE(now.config);
        c->requested = x && x->requested ? js_copy(x->requested) : NULL;
        struct json_iter it = {0};
        while (js_next(request, &it))
            js_del(c->requested, it.key.ptr);
    } else {
        c->configured = x && x->configured ? js_copy(x->configured) : NULL;
        c->requested = TAKE(now.config);
    }
    return combine(c->configured, c->requested, &c->values, err);
}

static int save(struct scheduler *s, const struct change *c, struct error *err)
{
    if (!s->settings_file || c->layer != LAYER_CONFIGURE)
        return 0;
    CLEANUP_JSON struct json *row = js_object();
    js_set_cstr(row, "model", c->name);
    if (strcmp(c->key, c->name) != 0)
        js_set_cstr(row, "id", c->key);
    js_set_cstr(row, "mode", engine_mode_name(c->mode));
    js_set(row, "config", js_ref(c->configured));
    int r = settings_file_put(s->settings_file, row, err);
    return r < 0 ? error_wrap(err, "the settings were not changed") : 0;
}

/* With the lock held. */
static void apply(struct scheduler *s, struct change *c)
{
    struct setting *x = find_setting(s, c->key, c->name, c->mode);
    struct runner *stale = stale_runner(s, c);
    if (stale && runner_is_idle(stale))
        runner_stop(stale);
    if (js_len(c->configured) == 0)
        js_free(TAKE(c->configured));
    if (js_len(c->requested) == 0)
        js_free(TAKE(c->requested));
    if (!c->configured && !c->requested) {
        if (x)
            remove_setting(s, x);
        return;
    }
    if (!x)
        x = add_setting(s, c->key, c->name, c->mode);
    free(x->key);
    free(x->name);
    free(x->typed);
    js_free(x->configured);
    js_free(x->requested);
    model_settings_release(&x->values);
    x->key = TAKE(c->key);
    x->name = TAKE(c->name);
    x->typed = xstrdup(c->model);
    x->configured = TAKE(c->configured);
    x->requested = TAKE(c->requested);
    x->values = c->values;
    c->values = MODEL_SETTINGS_INIT;
}

/* The scheduler's lock is not held while the disk is waited for. */
static int configure(struct scheduler *s, const struct json *request, struct change *c,
                     struct error *err)
{
    pthread_mutex_lock(&s->lock);
    int r = plan(s, request, c, err);
    const struct runner *stale = r == 0 ? stale_runner(s, c) : NULL;
    if (stale && !runner_is_idle(stale))
        r = error_set(err, ERR_CONFLICT, "runner already active");
    pthread_mutex_unlock(&s->lock);
    if (r == 0)
        r = save(s, c, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&s->lock);
    apply(s, c);
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return 0;
}

static bool has_flag(const struct json *request, const char *flag)
{
    const struct json *flags = js_get(request, "runtime-flags");
    for (size_t i = 0; i < js_len(flags); i++)
        if (str_eq_c(js_to_str(js_at(flags, i)), flag))
            return true;
    return false;
}

int scheduler_configure(struct scheduler *s, const struct json *request, enum setting_layer layer,
                        enum engine_mode *ret_mode, struct error *err)
{
    const char *model = js_get_cstr(request, "model", "");
    enum engine_mode mode = has_flag(request, "--embeddings") ? MODE_EMBEDDING : MODE_COMPLETION;
    struct str named = js_get_str(request, "mode");
    int result = named.len > 0 ? engine_mode_parse(named, &mode, err) : 0;
    if (result < 0)
        return result;
    CLEANUP(change_release)
    struct change c = {
        .model = model,
        .key = scheduler_model_key(s, model),
        .name = scheduler_full_name(model),
        .layer = layer,
        .values = MODEL_SETTINGS_INIT,
    };
    struct target t;
    *ret_mode = mode;
    if (find_target(s, model, mode, &t, NULL) == 0) {
        c.mode = t.mode;
        target_release(&t);
    } else {
        c.mode = process_mode(engine_table[0], mode);
    }
    pthread_mutex_lock(&s->settings_lock);
    result = configure(s, request, &c, err);
    pthread_mutex_unlock(&s->settings_lock);
    return result;
}

/* ---- what is set ---- */

struct json *scheduler_settings(struct scheduler *s, const char *model)
{
    CLEANUP_FREE char *key = *model ? scheduler_model_key(s, model) : NULL;
    CLEANUP_FREE char *name = *model ? scheduler_full_name(model) : NULL;
    struct json *list = js_array();
    pthread_mutex_lock(&s->lock);
    for (const struct setting *x = s->settings; x; x = x->next) {
        if (key && strcmp(key, x->key) != 0 && strcmp(name, x->name) != 0)
            continue;
        struct json *row = js_object();
        js_set_cstr(row, "Backend", (x->values.engine ? x->values.engine : engine_table[0])->name);
        js_set_cstr(row, "Model", x->typed);
        js_set_cstr(row, "ModelID", x->key);
        js_set_cstr(row, "Mode", engine_mode_name(x->mode));
        js_set(row, "Config", x->values.config ? js_copy(x->values.config) : js_object());
        js_push(list, row);
    }
    pthread_mutex_unlock(&s->lock);
    return list;
}

void layers_release(struct layers *l)
{
    js_free(l->configured);
    js_free(l->requested);
    js_free(l->together);
    *l = (struct layers){0};
}

int scheduler_layers(struct scheduler *s, const char *model, enum engine_mode mode,
                     struct layers *ret, struct error *err)
{
    struct target t = {0};
    CLEANUP(model_info_release) struct model_info info = {0};
    int r = find_target(s, model, mode, &t, err);
    if (r == 0)
        r = models_get(s->models, t.id, MODELS_EXACT, &info, err);
    if (r < 0) {
        target_release(&t);
        return r;
    }
    struct layers l = {.mode = t.mode, .engine = t.engine};
    memcpy(l.id, t.id, sizeof(l.id));
    l.packaged_context = wished_context(s->models, t.id, info.context_size);
    pthread_mutex_lock(&s->lock);
    const struct setting *x = setting_of(s, &t);
    if (x) {
        l.configured = x->configured ? js_copy(x->configured) : NULL;
        l.requested = x->requested ? js_copy(x->requested) : NULL;
        l.together = x->values.config ? js_copy(x->values.config) : NULL;
    }
    pthread_mutex_unlock(&s->lock);
    target_release(&t);
    *ret = l;
    return 0;
}
