/* SPDX-License-Identifier: Apache-2.0
 *
 * From bare text to typed JSON. */
#include "engine/dialect/typed.h"

#include "engine/dialect/literal.h"

enum { REF_DEPTH_MAX = 16 };

#define KIND(type) (1u << (type))
#define KIND_NUMBER (KIND(JS_INT) | KIND(JS_REAL))
#define KIND_ALL                                                                      \
    (KIND(JS_NULL) | KIND(JS_BOOL) | KIND_NUMBER | KIND(JS_STRING) | KIND(JS_ARRAY) | \
     KIND(JS_OBJECT))

static unsigned named_kind(struct str name)
{
    static const struct {
        const char *name;
        unsigned kinds;
    } names[] = {
        {"string", KIND(JS_STRING)}, {"integer", KIND(JS_INT)},   {"number", KIND_NUMBER},
        {"boolean", KIND(JS_BOOL)},  {"object", KIND(JS_OBJECT)}, {"array", KIND(JS_ARRAY)},
        {"null", KIND(JS_NULL)},
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq_nocase(name, str_from(names[i].name)))
            return names[i].kinds;
    return 0;
}

/* "#/$defs/city" → the schema there, or NULL. */
static const struct json *follow(const struct json *root, struct str ref)
{
    struct str part;
    if (!str_split_next(&ref, '/', &part) || !str_eq_c(part, "#"))
        return NULL;
    while (root && str_split_next(&ref, '/', &part))
        root = js_get_n(root, part);
    return root;
}

static unsigned kinds_at(const struct json *root, const struct json *schema, int depth);

static unsigned kinds_of_any(const struct json *root, const struct json *list, int depth)
{
    unsigned kinds = 0;
    for (size_t i = 0; i < js_len(list); i++) {
        unsigned one = kinds_at(root, js_at(list, i), depth);
        if (one == 0)
            return 0;
        kinds |= one;
    }
    return kinds;
}

static unsigned kinds_of_values(const struct json *list)
{
    unsigned kinds = 0;
    for (size_t i = 0; i < js_len(list); i++) {
        enum json_type t = js_type(js_at(list, i));
        kinds |= t == JS_REAL ? KIND_NUMBER : KIND(t);
    }
    return kinds;
}

static unsigned kinds_at(const struct json *root, const struct json *schema, int depth)
{
    if (depth > REF_DEPTH_MAX || !js_is(schema, JS_OBJECT))
        return 0;
    const struct json *type = js_get(schema, "type");
    unsigned kinds = 0;
    if (js_is(type, JS_STRING))
        return named_kind(js_to_str(type));
    for (size_t i = 0; i < js_len(type); i++)
        kinds |= named_kind(js_to_str(js_at(type, i)));
    if (kinds != 0)
        return kinds;

    struct str ref = js_get_str(schema, "$ref");
    if (ref.ptr)
        return kinds_at(root, follow(root, ref), depth + 1);
    if (js_len(js_get(schema, "enum")) > 0)
        return kinds_of_values(js_get(schema, "enum"));
    if (js_get(schema, "const")) {
        enum json_type t = js_type(js_get(schema, "const"));
        return t == JS_REAL ? KIND_NUMBER : KIND(t);
    }
    kinds = kinds_of_any(root, js_get(schema, "anyOf"), depth + 1);
    if (kinds == 0)
        kinds = kinds_of_any(root, js_get(schema, "oneOf"), depth + 1);
    const struct json *all = js_get(schema, "allOf");
    for (size_t i = 0; kinds == 0 && i < js_len(all); i++)
        kinds = kinds_at(root, js_at(all, i), depth + 1);
    return kinds;
}

unsigned typed_kinds(const struct json *root, const struct json *schema)
{
    return kinds_at(root, schema, 0);
}

static unsigned property_kinds(const struct json *parameters, struct str key, bool *ret_known)
{
    const struct json *p = js_get_n(js_get(parameters, "properties"), key);
    *ret_known = p != NULL;
    return typed_kinds(parameters, p);
}

bool typed_is_string(const struct json *parameters, struct str key)
{
    bool known;
    unsigned kinds = property_kinds(parameters, key, &known);
    return !known || kinds == KIND(JS_STRING);
}

/* Appends the text's JSON if it reads as one of these kinds. */
static bool read_as(unsigned kinds, struct str text, struct buf *out)
{
    CLEANUP_BUF struct buf json = BUF_INIT(out->max);
    CLEANUP_JSON struct json *v = NULL;
    struct str trimmed = str_trim(text);
    if (js_parse(trimmed, "a value", &v, NULL) == 0) {
        buf_append(&json, trimmed);
    } else { /* as Python writes it */
        struct literal_reader r = {.text = trimmed};
        bool whole = literal_value(&r, &json) && r.at == trimmed.len;
        if (!whole || js_parse(buf_str(&json), "a value", &v, NULL) < 0)
            return false;
    }
    enum json_type t = js_type(v);
    bool whole_real = t == JS_REAL && js_to_int(v, INT64_MIN) != INT64_MIN;
    bool fits = t != JS_STRING && (kinds & (t == JS_REAL && whole_real ? KIND_NUMBER : KIND(t)));
    if (fits)
        buf_append(out, buf_str(&json));
    return fits;
}

void typed_value(const struct json *parameters, struct str key, struct str text, struct buf *out)
{
    bool known;
    unsigned kinds = property_kinds(parameters, key, &known);
    if (known && kinds == 0)
        kinds = KIND_ALL;
    bool only_string = !known || kinds == KIND(JS_STRING);
    if (only_string || !read_as(kinds, text, out))
        js_write_string(text, out);
}
