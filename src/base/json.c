/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON over jansson. A struct json is a json_t under another name: the casts stay in here. */
#include "base/json.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"

static json_t *in(const struct json *v)
{
    return (json_t *)(uintptr_t)v;
}

static struct json *out(json_t *v)
{
    return (struct json *)v;
}

/* A value just built: jansson returns NULL when memory is out. */
static struct json *built(json_t *v)
{
    if (!v)
        alloc_failed();
    return out(v);
}

/* ---- parse ---- */

/* jansson bounds its recursion at 2048; our own limit is lower, because values are walked
 * recursively (templates, schemas) on small thread stacks. */
static bool too_deep(struct str text)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > JSON_MAX_DEPTH)
                return true;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return false;
}

int js_parse(struct str text, const char *what, struct json **ret, struct error *err)
{
    if (text.len > JSON_MAX_BYTES)
        return error_set(err, ERR_TOO_LARGE, "%s has %zu bytes; at most %zu are allowed", what,
                         text.len, JSON_MAX_BYTES);
    if (too_deep(text))
        return error_set(err, ERR_INVALID, "%s is nested deeper than %d levels", what,
                         JSON_MAX_DEPTH);
    json_error_t e;
    json_t *v =
        json_loadb(text.ptr ? text.ptr : "", text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    if (!v)
        return error_set(err, ERR_INVALID, "%s is not valid JSON: %s (line %d, column %d)", what,
                         e.text, e.line, e.column);
    *ret = out(v);
    return 0;
}

void js_free(struct json *v)
{
    json_decref(in(v));
}

struct json *js_ref(struct json *v)
{
    return out(json_incref(in(v)));
}

struct json *js_copy(const struct json *v)
{
    return v ? built(json_deep_copy(in(v))) : NULL;
}

/* ---- build ---- */

struct json *js_null(void)
{
    return out(json_null());
}

struct json *js_bool(bool v)
{
    return out(json_boolean(v));
}

struct json *js_int(int64_t v)
{
    return built(json_integer((json_int_t)v));
}

struct json *js_real(double v)
{
    return isfinite(v) ? built(json_real(v)) : js_null();
}

/* Copies s, with every invalid byte replaced by U+FFFD. */
static void sanitize(struct str s, struct buf *to)
{
    uint32_t cp;
    while (s.len > 0) {
        size_t n = utf8_decode(s.ptr, s.len, &cp);
        if (n == 0) {
            buf_append(to, STR("\xEF\xBF\xBD"));
            n = 1;
        } else {
            buf_append_bytes(to, s.ptr, n);
        }
        s = str_sub(s, n, SIZE_MAX);
    }
    if (to->failed)
        alloc_failed();
}

struct json *js_str(struct str s)
{
    if (!s.ptr)
        s = STR("");
    if (utf8_valid(s.ptr, s.len))
        return built(json_stringn_nocheck(s.ptr, s.len));
    CLEANUP_BUF struct buf clean = BUF_INIT(SIZE_MAX / 2);
    sanitize(s, &clean);
    return built(json_stringn_nocheck(clean.data, clean.len));
}

struct json *js_cstr(const char *s)
{
    return s ? js_str(str_from(s)) : js_null();
}

struct json *js_array(void)
{
    return built(json_array());
}

struct json *js_object(void)
{
    return built(json_object());
}

void js_push(struct json *array, struct json *item)
{
    if (json_array_append_new(in(array), in(item)) != 0)
        alloc_failed();
}

void js_insert(struct json *array, size_t at, struct json *item)
{
    if (json_array_insert_new(in(array), at, in(item)) != 0)
        alloc_failed();
}

void js_remove(struct json *array, size_t at)
{
    json_array_remove(in(array), at);
}

void js_set(struct json *object, const char *key, struct json *value)
{
    js_set_n(object, str_from(key), value);
}

void js_set_n(struct json *object, struct str key, struct json *value)
{
    /* jansson 2.14's object keys are terminated strings: a key ends at a NUL inside it. */
    char *k = str_dup(key);
    if (!k || json_object_set_new_nocheck(in(object), k, in(value)) != 0)
        alloc_failed();
    free(k);
}

void js_set_str(struct json *object, const char *key, struct str s)
{
    js_set(object, key, js_str(s));
}

void js_set_cstr(struct json *object, const char *key, const char *s)
{
    js_set(object, key, js_cstr(s));
}

void js_set_int(struct json *object, const char *key, int64_t v)
{
    js_set(object, key, js_int(v));
}

void js_set_real(struct json *object, const char *key, double v)
{
    js_set(object, key, js_real(v));
}

void js_set_bool(struct json *object, const char *key, bool v)
{
    js_set(object, key, js_bool(v));
}

void js_del(struct json *object, const char *key)
{
    json_object_del(in(object), key);
}

/* ---- read ---- */

enum json_type js_type(const struct json *v)
{
    if (!v)
        return JS_NULL;
    switch (json_typeof(in(v))) {
    case JSON_OBJECT:
        return JS_OBJECT;
    case JSON_ARRAY:
        return JS_ARRAY;
    case JSON_STRING:
        return JS_STRING;
    case JSON_INTEGER:
        return JS_INT;
    case JSON_REAL:
        return JS_REAL;
    case JSON_TRUE:
    case JSON_FALSE:
        return JS_BOOL;
    case JSON_NULL:
        break;
    }
    return JS_NULL;
}

const char *js_type_name(const struct json *v)
{
    static const char *const names[] = {
        [JS_NULL] = "null",     [JS_BOOL] = "boolean", [JS_INT] = "integer",   [JS_REAL] = "number",
        [JS_STRING] = "string", [JS_ARRAY] = "array",  [JS_OBJECT] = "object",
    };
    return names[js_type(v)];
}

bool js_is(const struct json *v, enum json_type t)
{
    return js_type(v) == t;
}

bool js_is_number(const struct json *v)
{
    return js_is(v, JS_INT) || js_is(v, JS_REAL);
}

struct json *js_get(const struct json *object, const char *key)
{
    return out(json_object_get(in(object), key));
}

struct json *js_get_n(const struct json *object, struct str key)
{
    if (!js_is(object, JS_OBJECT) || memchr(key.ptr, '\0', key.len))
        return NULL;
    char *k = str_dup(key);
    if (!k)
        alloc_failed();
    struct json *v = js_get(object, k);
    free(k);
    return v;
}

size_t js_len(const struct json *v)
{
    if (js_is(v, JS_ARRAY))
        return json_array_size(in(v));
    return js_is(v, JS_OBJECT) ? json_object_size(in(v)) : 0;
}

struct json *js_at(const struct json *array, size_t i)
{
    return out(json_array_get(in(array), i));
}

struct str js_to_str(const struct json *v)
{
    if (!js_is(v, JS_STRING))
        return (struct str){NULL, 0};
    return str_make(json_string_value(in(v)), json_string_length(in(v)));
}

const char *js_to_cstr(const struct json *v)
{
    return js_is(v, JS_STRING) ? json_string_value(in(v)) : NULL;
}

int64_t js_to_int(const struct json *v, int64_t fallback)
{
    if (js_is(v, JS_INT))
        return (int64_t)json_integer_value(in(v));
    if (js_is(v, JS_REAL)) {
        double d = json_real_value(in(v));
        if (d >= -9007199254740992.0 && d <= 9007199254740992.0 && d == floor(d))
            return (int64_t)d;
    }
    return fallback;
}

double js_to_real(const struct json *v, double fallback)
{
    return js_is_number(v) ? json_number_value(in(v)) : fallback;
}

bool js_to_bool(const struct json *v, bool fallback)
{
    return js_is(v, JS_BOOL) ? json_is_true(in(v)) : fallback;
}

const char *js_get_cstr(const struct json *object, const char *key, const char *fallback)
{
    const char *s = js_to_cstr(js_get(object, key));
    return s ? s : fallback;
}

struct str js_get_str(const struct json *object, const char *key)
{
    return js_to_str(js_get(object, key));
}

int64_t js_get_int(const struct json *object, const char *key, int64_t fallback)
{
    return js_to_int(js_get(object, key), fallback);
}

double js_get_real(const struct json *object, const char *key, double fallback)
{
    return js_to_real(js_get(object, key), fallback);
}

bool js_get_bool(const struct json *object, const char *key, bool fallback)
{
    return js_to_bool(js_get(object, key), fallback);
}

bool js_next(const struct json *object, struct json_iter *it)
{
    if (!js_is(object, JS_OBJECT))
        return false;
    it->pos =
        it->started ? json_object_iter_next(in(object), it->pos) : json_object_iter(in(object));
    it->started = true;
    if (!it->pos)
        return false;
    it->key = str_from(json_object_iter_key(it->pos));
    it->value = out(json_object_iter_value(it->pos));
    return true;
}

/* ---- read with errors ---- */

static struct json *present(const struct json *object, const char *key)
{
    struct json *v = js_get(object, key);
    return js_is(v, JS_NULL) ? NULL : v;
}

int js_want_int(const struct json *object, const char *key, int64_t min, int64_t max, int64_t *ret,
                struct error *err)
{
    struct json *v = present(object, key);
    if (!v)
        return 0;
    int64_t n = js_to_int(v, INT64_MIN);
    bool whole = js_is(v, JS_INT) || n != INT64_MIN;
    if (!whole || n < min || n > max) {
        if (max == INT64_MAX)
            return error_set(err, ERR_INVALID, "'%s' must be a whole number of at least %lld", key,
                             (long long)min);
        return error_set(err, ERR_INVALID, "'%s' must be a whole number from %lld to %lld", key,
                         (long long)min, (long long)max);
    }
    *ret = n;
    return 0;
}

int js_want_real(const struct json *object, const char *key, double min, double max, double *ret,
                 struct error *err)
{
    struct json *v = present(object, key);
    if (!v)
        return 0;
    double d = js_to_real(v, (double)NAN);
    if (!(d >= min && d <= max))
        return error_set(err, ERR_INVALID, "'%s' must be a number from %g to %g", key, min, max);
    *ret = d;
    return 0;
}

int js_want_bool(const struct json *object, const char *key, bool *ret, struct error *err)
{
    struct json *v = present(object, key);
    if (!v)
        return 0;
    if (!js_is(v, JS_BOOL))
        return error_set(err, ERR_INVALID, "'%s' must be true or false, not %s", key,
                         js_type_name(v));
    *ret = js_to_bool(v, false);
    return 0;
}

int js_want_str(const struct json *object, const char *key, struct str *ret, struct error *err)
{
    struct json *v = present(object, key);
    if (!v)
        return 0;
    if (!js_is(v, JS_STRING))
        return error_set(err, ERR_INVALID, "'%s' must be a string, not %s", key, js_type_name(v));
    *ret = js_to_str(v);
    return 0;
}

/* ---- write ---- */

static int append_chunk(const char *data, size_t n, void *to)
{
    return buf_append_bytes(to, data, n) < 0 ? -1 : 0;
}

void js_write(const struct json *v, enum js_style style, struct buf *to)
{
    size_t flags = JSON_ENCODE_ANY | JSON_REAL_PRECISION(15);
    flags |= style == JS_INDENT_4   ? JSON_INDENT(4)
             : style == JS_INDENT_2 ? JSON_INDENT(2)
                                    : JSON_COMPACT;
    json_dump_callback(in(v), append_chunk, to, flags);
}

char *js_text(const struct json *v, enum js_style style)
{
    struct buf b = BUF_INIT(SIZE_MAX / 2);
    js_write(v, style, &b);
    char *text = buf_take(&b);
    if (!text)
        alloc_failed();
    return text;
}

void js_write_string(struct str s, struct buf *to)
{
    CLEANUP_JSON struct json *v = js_str(s);
    js_write(v, JS_COMPACT, to);
}

bool js_equal(const struct json *a, const struct json *b)
{
    return json_equal(in(a), in(b)) != 0;
}
