/* SPDX-License-Identifier: Apache-2.0
 *
 * Making OpenAI's messages, see request.h. */
#include "apis/request.h"

#include "base/alloc.h"

void pass_on(const struct json *from, const char *key, struct json *to, const char *key_to)
{
    struct json *v = js_get(from, key);
    if (v && !js_is(v, JS_NULL))
        js_set(to, key_to, js_ref(v));
}

struct json *chat_message(const char *role, struct json *content)
{
    struct json *m = js_object();
    js_set_cstr(m, "role", role);
    js_set(m, "content", content ? content : js_null());
    return m;
}

struct json *text_part(struct str text)
{
    struct json *p = js_object();
    js_set_cstr(p, "type", "text");
    js_set_str(p, "text", text);
    return p;
}

struct json *image_part(struct str url)
{
    struct json *p = js_object(), *image = js_object();
    js_set_str(image, "url", url);
    js_set_cstr(p, "type", "image_url");
    js_set(p, "image_url", image);
    return p;
}

struct json *image_part_base64(struct str media_type, struct str data)
{
    static const struct {
        struct str begin;
        const char *type;
    } known[] = {
        {{"iVBOR", 5}, "image/png"}, {{"R0lG", 4}, "image/gif"}, {{"UklGR", 5}, "image/webp"}};
    CLEANUP_FREE char *type = media_type.len > 0 ? str_dup(media_type) : NULL;
    for (size_t i = 0; i < ARRAY_LEN(known) && !type; i++)
        if (str_starts_with(data, known[i].begin))
            type = xstrdup(known[i].type);
    CLEANUP_BUF struct buf url = BUF_INIT(SIZE_MAX / 2);
    buf_printf(&url, "data:%s;base64,", type ? type : "image/jpeg");
    buf_append(&url, data);
    return image_part(buf_str(&url));
}

struct json *content_of_parts(struct json *parts)
{
    struct json *first = js_at(parts, 0);
    if (js_len(parts) != 1 || !js_get_str(first, "text").ptr)
        return parts;
    struct json *text = js_ref(js_get(first, "text"));
    js_free(parts);
    return text;
}

struct json *chat_call(struct str id, struct str name, struct str arguments)
{
    struct json *call = js_object(), *function = js_object();
    js_set_str(function, "name", name);
    js_set_str(function, "arguments", arguments);
    js_set_str(call, "id", id);
    js_set_cstr(call, "type", "function");
    js_set(call, "function", function);
    return call;
}

struct json *chat_tool(struct str name, struct str description, struct json *parameters)
{
    struct json *tool = js_object(), *function = js_object();
    js_set_str(function, "name", name);
    if (description.ptr)
        js_set_str(function, "description", description);
    if (parameters)
        js_set(function, "parameters", parameters);
    js_set_cstr(tool, "type", "function");
    js_set(tool, "function", function);
    return tool;
}

struct json *schema_format(struct str name, struct json *schema)
{
    struct json *format = js_object(), *inner = js_object();
    js_set_str(inner, "name", name);
    js_set(inner, "schema", schema);
    js_set_cstr(format, "type", "json_schema");
    js_set(format, "json_schema", inner);
    return format;
}
