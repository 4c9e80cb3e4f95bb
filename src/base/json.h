/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON values: the project's one adapter over jansson. Nobody else includes <jansson.h>.
 *
 * A `struct json` is a reference-counted value; objects keep the order in which keys were
 * added. "Steals" means the callee takes the caller's reference, also when it fails.
 *
 * Input is bounded: js_parse() refuses text that is larger than JSON_MAX_BYTES or nested deeper
 * than JSON_MAX_DEPTH, duplicate keys keep the last value, strings may contain NUL, and bytes
 * that are not UTF-8 are an error. Everything that builds values may fail only by lack of
 * memory, which is fatal here: values we build are small.
 *
 * Read-side getters never fail on a wrong type: they give the default. Where a wrong type must
 * be reported to a user, use the js_want_* family, which names the field.
 *
 * Threads: a value may be read by several threads only while nobody changes or releases it.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

struct json;

enum { JSON_MAX_DEPTH = 256 };
#define JSON_MAX_BYTES ((size_t)256 << 20)

enum json_type { JS_NULL, JS_BOOL, JS_INT, JS_REAL, JS_STRING, JS_ARRAY, JS_OBJECT };

/* One JSON value and nothing after it but white space. `what` names the text in errors:
 * "the request body". */
int js_parse(struct str text, const char *what, struct json **ret, struct error *err);

void js_free(struct json *v);               /* drops one reference; NULL is fine */
struct json *js_ref(struct json *v);        /* adds one */
struct json *js_copy(const struct json *v); /* deep copy */
static inline void cleanup_json(struct json **v)
{
    js_free(*v);
}
#define CLEANUP_JSON CLEANUP(cleanup_json)

/* ---- build ---- */
struct json *js_null(void);
struct json *js_bool(bool v);
struct json *js_int(int64_t v);
struct json *js_real(double v);      /* NaN and infinities become null */
struct json *js_str(struct str s);   /* bytes that are not UTF-8 become U+FFFD */
struct json *js_cstr(const char *s); /* NULL → null */
struct json *js_array(void);
struct json *js_object(void);

void js_push(struct json *array, struct json *item);              /* steals item */
void js_insert(struct json *array, size_t at, struct json *item); /* steals item */
void js_remove(struct json *array, size_t at);
void js_set(struct json *object, const char *key, struct json *value); /* steals value; replaces */
void js_set_n(struct json *object, struct str key, struct json *value);
void js_set_str(struct json *object, const char *key, struct str s);
void js_set_cstr(struct json *object, const char *key, const char *s);
void js_set_int(struct json *object, const char *key, int64_t v);
void js_set_real(struct json *object, const char *key, double v);
void js_set_bool(struct json *object, const char *key, bool v);
void js_del(struct json *object, const char *key);

/* ---- read; all accept NULL and wrong types ---- */
enum json_type js_type(const struct json *v);   /* NULL counts as JS_NULL */
const char *js_type_name(const struct json *v); /* "object", "string", … for messages */
bool js_is(const struct json *v, enum json_type t);
bool js_is_number(const struct json *v);
struct json *js_get(const struct json *object, const char *key); /* borrowed; NULL if absent */
struct json *js_get_n(const struct json *object, struct str key);
size_t js_len(const struct json *v);                       /* items, keys, or 0 */
struct json *js_at(const struct json *array, size_t i);    /* borrowed */
struct str js_to_str(const struct json *v);                /* borrowed; {NULL,0} if no string */
const char *js_to_cstr(const struct json *v);              /* NULL if no string */
int64_t js_to_int(const struct json *v, int64_t fallback); /* a real with no fraction counts */
double js_to_real(const struct json *v, double fallback);
bool js_to_bool(const struct json *v, bool fallback);
const char *js_get_cstr(const struct json *object, const char *key, const char *fallback);
struct str js_get_str(const struct json *object, const char *key);
int64_t js_get_int(const struct json *object, const char *key, int64_t fallback);
double js_get_real(const struct json *object, const char *key, double fallback);
bool js_get_bool(const struct json *object, const char *key, bool fallback);

/* Walk an object in insertion order:
 *     struct json_iter it = {0};
 *     while (js_next(object, &it)) use(it.key, it.value);
 */
struct json_iter {
    struct str key;
    struct json *value; /* borrowed */
    void *pos;
    bool started;
};
bool js_next(const struct json *object, struct json_iter *it);

/* ---- read with errors that name the field ----
 * Absent or null leaves *ret alone and returns 0 (set the default before the call); a value of
 * another type or outside [min, max] is ERR_INVALID: "'temperature' must be a number from 0 to 2".
 */
int js_want_int(const struct json *object, const char *key, int64_t min, int64_t max, int64_t *ret,
                struct error *err);
int js_want_real(const struct json *object, const char *key, double min, double max, double *ret,
                 struct error *err);
int js_want_bool(const struct json *object, const char *key, bool *ret, struct error *err);
int js_want_str(const struct json *object, const char *key, struct str *ret, struct error *err);

/* ---- write ---- */
enum js_style {
    JS_COMPACT, /* {"a":1} */
    JS_INDENT_2,
    JS_INDENT_4,
};
/* Appends the text of v; not ASCII-escaped, '/' not escaped, numbers with up to 15 digits. */
void js_write(const struct json *v, enum js_style style, struct buf *out);
/* The text as a string the caller frees. */
char *js_text(const struct json *v, enum js_style style);

/* Appends s as a JSON string literal with quotes, without building a value. Bytes that are not
 * UTF-8 become U+FFFD. */
void js_write_string(struct str s, struct buf *out);

bool js_equal(const struct json *a, const struct json *b);

#endif
