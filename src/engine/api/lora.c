/* SPDX-License-Identifier: Apache-2.0
 *
 * The adapters' scales, and their routes. */
#include "engine/api/lora.h"

#include <inttypes.h>
#include <string.h>

#include "base/buf.h"
#include "engine/api/routes.h"

void lora_init(struct lora *l, const float *scales, uint32_t n)
{
    *l = (struct lora){.n = n};
    pthread_mutex_init(&l->lock, NULL);
    memcpy(l->scales, scales, n * sizeof(*scales));
}

void lora_release(struct lora *l)
{
    pthread_mutex_destroy(&l->lock);
}

void lora_current(struct lora *l, float ret[ADAPTERS_MAX])
{
    memset(ret, 0, ADAPTERS_MAX * sizeof(*ret));
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    memcpy(ret, l->scales, sizeof(l->scales));
    pthread_mutex_unlock(&l->lock);
}

static int parse_item(const struct json *item, uint32_t n, float ret[ADAPTERS_MAX],
                      struct error *err)
{
    int64_t id = -1;
    double scale = 1;
    if (!js_is(item, JS_OBJECT))
        return error_set(err, ERR_INVALID,
                         "'lora' must be a list of objects with 'id' and 'scale'");
    int r = js_want_int(item, "id", 0, INT64_MAX, &id, err);
    if (r == 0)
        r = js_want_real(item, "scale", -1e6, 1e6, &scale, err);
    if (r == 0 && (id < 0 || id >= (int64_t)n))
        r = error_set(err, ERR_INVALID,
                      "'lora': there is no adapter with the id %" PRId64 "; %" PRIu32
                      " are loaded (--lora)",
                      id, n);
    if (r == 0)
        ret[id] = (float)scale;
    return r;
}

int lora_parse(const struct json *list, uint32_t n, float ret[ADAPTERS_MAX], struct error *err)
{
    int r = 0;
    if (!js_is(list, JS_ARRAY))
        return error_set(err, ERR_INVALID, "'lora' must be a list, not %s", js_type_name(list));
    memset(ret, 0, ADAPTERS_MAX * sizeof(*ret));
    for (size_t i = 0; r == 0 && i < js_len(list); i++)
        r = parse_item(js_at(list, i), n, ret, err);
    return r;
}

/* ---- routes ---- */

void route_lora_get(struct http_request *req, const struct service *s)
{
    float scales[ADAPTERS_MAX];
    CLEANUP_JSON struct json *list = js_array();
    lora_current(s->defaults.lora, scales);
    for (uint32_t i = 0; i < s->lm->n_adapters; i++) {
        struct json *o = js_object();
        js_set_int(o, "id", i);
        js_set_cstr(o, "path", s->lm->adapters[i].path);
        js_set_real(o, "scale", (double)scales[i]);
        js_push(list, o);
    }
    http_respond_json(req, 200, list);
}

void route_lora_set(struct http_request *req, const struct service *s)
{
    CLEANUP_BUF struct buf text = BUF_INIT(64 << 10);
    CLEANUP_JSON struct json *list = NULL, *answer = js_object();
    float scales[ADAPTERS_MAX];
    struct error err = ERROR_INIT;
    int r = http_request_read_all(req, &text, &err);
    if (r == 0 && js_parse(buf_str(&text), "the request body", &list, &err) < 0)
        r = -(int)(err.code = ERR_INVALID);
    if (r == 0)
        r = lora_parse(list, s->lm->n_adapters, scales, &err);
    if (r < 0) {
        api_respond_error(req, &err);
        return;
    }
    if (s->defaults.lora) {
        pthread_mutex_lock(&s->defaults.lora->lock);
        memcpy(s->defaults.lora->scales, scales, sizeof(scales));
        pthread_mutex_unlock(&s->defaults.lora->lock);
    }
    js_set_bool(answer, "success", true);
    http_respond_json(req, 200, answer);
}
