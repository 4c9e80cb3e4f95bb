/* SPDX-License-Identifier: Apache-2.0
 *
 * Validates the values a schema contains itself: an enum beside other keywords. */
#include <math.h>

#include "engine/grammar/format.h"
#include "engine/grammar/schema_internal.h"

enum { CHECK_DEPTH_MAX = 64, CHECKS_MAX = 100000 };

static unsigned type_of(const struct json *v)
{
    double d = js_to_real(v, 0);
    switch (js_type(v)) {
    case JS_NULL:
        return T_NULL;
    case JS_BOOL:
        return T_BOOL;
    case JS_INT:
        return T_INT;
    case JS_REAL:
        return floor(d) < d ? T_NUMBER : T_INT;
    case JS_STRING:
        return T_STRING;
    case JS_ARRAY:
        return T_ARRAY;
    default:
        return T_OBJECT;
    }
}

static bool equal(const struct json *a, const struct json *b)
{
    if (js_is_number(a) && js_is_number(b))
        return !(js_to_real(a, 0) < js_to_real(b, 0)) && !(js_to_real(a, 0) > js_to_real(b, 0));
    return js_equal(a, b);
}

static int check_string(struct schema_ctx *c, struct part p, const struct json *v)
{
    struct str s = js_to_str(v), pattern = js_get_str(p.schema, "pattern");
    struct str format = js_get_str(p.schema, "format");
    uint32_t n = 0, min = 0, max = UINT32_MAX;
    for (size_t i = 0; i < s.len; i++)
        n += ((unsigned char)s.ptr[i] & 0xc0) != 0x80;
    int r = schema_limits(c, p, "minLength", "maxLength", &min, &max);
    if (r < 0 || n < min || n > max)
        return r;
    const char *known = format.ptr ? format_pattern(format) : NULL;
    if (format.ptr && !known && !format_is_annotation(format))
        return schema_refuse(c, ERR_UNSUPPORTED, p.path, "format", "is not a known one");
    CLEANUP_BUF struct buf text = BUF_INIT((size_t)1 << 22);
    schema_string_text(s, &text);
    const struct str patterns[2] = {pattern, str_from(known)};
    for (int i = 0; i < 2; i++) {
        CLEANUP(cleanup_dfa) struct dfa *d = NULL;
        if (!patterns[i].ptr)
            continue;
        r = schema_pattern(c, p, patterns[i], &d);
        if (r < 0 || !dfa_matches(d, buf_str(&text)))
            return r;
    }
    return 1;
}

static bool check_number(struct part p, const struct json *v)
{
    double x = js_to_real(v, 0);
    const struct json *min = js_get(p.schema, "minimum"), *max = js_get(p.schema, "maximum");
    const struct json *above = js_get(p.schema, "exclusiveMinimum");
    const struct json *below = js_get(p.schema, "exclusiveMaximum");
    const struct json *multiple = js_get(p.schema, "multipleOf");
    if (min && (x < js_to_real(min, 0) || (js_to_bool(above, false) && x <= js_to_real(min, 0))))
        return false;
    if (max && (x > js_to_real(max, 0) || (js_to_bool(below, false) && x >= js_to_real(max, 0))))
        return false;
    if (js_is_number(above) && x <= js_to_real(above, 0))
        return false;
    if (js_is_number(below) && x >= js_to_real(below, 0))
        return false;
    double times = multiple ? x / js_to_real(multiple, 1) : 0;
    return !(floor(times) < times);
}

static int check_array(struct schema_ctx *c, struct part p, const struct json *v, int depth)
{
    const struct json *prefix = js_get(p.schema, "prefixItems"), *items = js_get(p.schema, "items");
    uint32_t min = 0, max = UINT32_MAX;
    int r = schema_limits(c, p, "minItems", "maxItems", &min, &max);
    if (r < 0 || js_len(v) < min || js_len(v) > max)
        return r;
    for (size_t i = 0; i < js_len(v); i++) {
        const struct json *s = i < js_len(prefix) ? js_at(prefix, i) : items;
        r = s ? schema_check(c, (struct part){s, p.path, 0}, js_at(v, i), depth + 1) : 1;
        if (r != 1)
            return r;
        for (size_t k = 0; k < i && js_to_bool(js_get(p.schema, "uniqueItems"), false); k++)
            if (equal(js_at(v, i), js_at(v, k)))
                return 0;
    }
    return 1;
}

static int check_object(struct schema_ctx *c, struct part p, const struct json *v, int depth)
{
    const struct json *required = js_get(p.schema, "required");
    const struct json *more = js_get(p.schema, "additionalProperties");
    uint32_t min = 0, max = UINT32_MAX;
    int r = schema_limits(c, p, "minProperties", "maxProperties", &min, &max);
    if (r < 0 || js_len(v) < min || js_len(v) > max)
        return r;
    for (size_t i = 0; i < js_len(required); i++)
        if (!js_get_n(v, js_to_str(js_at(required, i))))
            return 0;
    struct json_iter it = {0};
    while (js_next(v, &it)) {
        const struct json *own = js_get_n(js_get(p.schema, "properties"), it.key);
        bool found = own != NULL;
        r = own ? schema_check(c, (struct part){own, p.path, 0}, it.value, depth + 1) : 1;
        CLEANUP_BUF struct buf text = BUF_INIT((size_t)1 << 20);
        schema_string_text(it.key, &text);
        struct json_iter pattern = {0};
        while (r == 1 && js_next(js_get(p.schema, "patternProperties"), &pattern)) {
            CLEANUP(cleanup_dfa) struct dfa *d = NULL;
            int failed = schema_pattern(c, p, pattern.key, &d);
            if (failed < 0)
                return failed;
            if (!dfa_matches(d, buf_str(&text)))
                continue;
            found = true;
            r = schema_check(c, (struct part){pattern.value, p.path, 0}, it.value, depth + 1);
        }
        if (r == 1 && !found && more)
            r = schema_check(c, (struct part){more, p.path, 0}, it.value, depth + 1);
        if (r != 1)
            return r;
    }
    return 1;
}

/* How many branches fit; or an error. */
static int count_branches(struct schema_ctx *c, struct part p, const char *key,
                          const struct json *v, int depth)
{
    const struct json *list = js_get(p.schema, key);
    int n = 0;
    for (size_t i = 0; i < js_len(list); i++) {
        int r = schema_check(c, (struct part){js_at(list, i), p.path, 0}, v, depth + 1);
        if (r < 0)
            return r;
        n += r;
    }
    return n;
}

static int check_combined(struct schema_ctx *c, struct part p, const struct json *v, int depth)
{
    const struct json *not = js_get(p.schema, "not");
    int r = 1;
    if (js_get(p.schema, "$ref")) {
        struct part target = {schema_resolve(c, p, c->err), p.path, 0};
        r = target.schema ? schema_check(c, target, v, depth + 1) : -(int)c->err->code;
    }
    if (r == 1 && js_get(p.schema, "allOf")) {
        r = count_branches(c, p, "allOf", v, depth);
        r = r < 0 ? r : r == (int)js_len(js_get(p.schema, "allOf"));
    }
    if (r == 1 && js_get(p.schema, "anyOf")) {
        r = count_branches(c, p, "anyOf", v, depth);
        r = r < 0 ? r : r > 0;
    }
    if (r == 1 && js_get(p.schema, "oneOf")) {
        r = count_branches(c, p, "oneOf", v, depth);
        r = r < 0 ? r : r == 1;
    }
    if (r == 1 && not ) {
        r = schema_check(c, (struct part){not, p.path, 0}, v, depth + 1);
        r = r < 0 ? r : !r;
    }
    return r;
}

int schema_check(struct schema_ctx *c, struct part p, const struct json *v, int depth)
{
    unsigned types, type = type_of(v);
    if (depth > CHECK_DEPTH_MAX || ++c->n_checks > CHECKS_MAX)
        return error_set(c->err, ERR_TOO_LARGE,
                         "schema %s: too much to check in the values listed here", p.path);
    if (js_is(p.schema, JS_BOOL))
        return js_to_bool(p.schema, true);
    int r = schema_type(c, p, &types);
    if (r < 0)
        return r;
    const struct json *list = js_get(p.schema, "enum"), *one = js_get(p.schema, "const");
    bool listed = !list;
    for (size_t i = 0; i < js_len(list) && !listed; i++)
        listed = equal(js_at(list, i), v);
    if (!(types & type) || !listed || (one && !equal(one, v)))
        return 0;
    if (type == T_STRING)
        r = check_string(c, p, v);
    else if (type == T_INT || type == T_NUMBER)
        r = check_number(p, v);
    else if (type == T_ARRAY)
        r = check_array(c, p, v, depth);
    else if (type == T_OBJECT)
        r = check_object(c, p, v, depth);
    else
        r = 1;
    return r == 1 ? check_combined(c, p, v, depth) : r;
}
