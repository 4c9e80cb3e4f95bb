/* SPDX-License-Identifier: Apache-2.0
 *
 * Taking pictures out of messages. */
#include "engine/api/media.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/base64.h"
#include "base/buf.h"

/* ---- one picture ---- */

/* "messages[2].content[0]", for errors. */
struct place {
    size_t message, part;
};

static int bad_part(struct place at, struct error *err, const char *what)
{
    return error_set(err, ERR_INVALID, "messages[%zu].content[%zu]%s", at.message, at.part, what);
}

/* The base64 text of a data: URL. */
static int data_of_url(struct str url, struct place at, struct str *ret, struct error *err)
{
    ptrdiff_t comma = str_find_char(url, ',');
    if (!str_eq_nocase(str_sub(url, 0, 5), STR("data:")))
        return error_set(
            err, ERR_INVALID,
            "messages[%zu].content[%zu]: the image is at '%.*s', but this engine opens "
            "no connections and no files; send it as a data: URL",
            at.message, at.part, STR_ARG(str_sub(url, 0, 100)));
    if (comma < 0 || !str_ends_with(str_sub(url, 0, (size_t)comma), STR(";base64")))
        return bad_part(at, err, ": the image's data: URL is not in base64");
    *ret = str_sub(url, (size_t)comma + 1, SIZE_MAX);
    return 0;
}

/* *ret is {NULL, 0} for a part that is no picture. */
static int base64_of_part(const struct json *part, struct place at, struct str *ret,
                          struct error *err)
{
    struct str type = js_get_str(part, "type");
    *ret = (struct str){NULL, 0};
    if (str_eq_c(type, "image_url") || str_eq_c(type, "input_image")) {
        const struct json *image = js_get(part, "image_url");
        struct str url = js_is(image, JS_OBJECT) ? js_get_str(image, "url") : js_to_str(image);
        if (!url.ptr)
            return bad_part(at, err, ".image_url.url must be a string");
        return data_of_url(url, at, ret, err);
    }
    if (!str_eq_c(type, "image"))
        return 0;
    const struct json *source = js_get(part, "source");
    if (str_eq_c(js_get_str(source, "type"), "url"))
        return data_of_url(js_get_str(source, "url"), at, ret, err);
    if (!str_eq_c(js_get_str(source, "type"), "base64") || !js_get_str(source, "data").ptr)
        return bad_part(at, err, ".source must be {\"type\": \"base64\", \"data\": …}");
    *ret = js_get_str(source, "data");
    return 0;
}

static int add_picture(struct media *m, const struct vision *v, struct str base64, struct place at,
                       struct error *err)
{
    if (m->n_pictures == MEDIA_MAX_PICTURES)
        return error_set(err, ERR_TOO_LARGE, "a request may have %d images at most",
                         MEDIA_MAX_PICTURES);
    CLEANUP_BUF struct buf bytes = BUF_INIT(MEDIA_PICTURE_MAX_BYTES);
    struct picture *p;
    int r = base64_decode(base64, &bytes, err);
    if (r == 0)
        r = vision_read(v, buf_str(&bytes), &p, err);
    if (r == -ERR_UNSUPPORTED)
        r = error_recode(err, ERR_INVALID); /* it is the request that should change */
    if (r < 0) {
        error_wrap(err, "messages[%zu].content[%zu]", at.message, at.part);
        return r;
    }
    m->pictures = xrealloc(m->pictures, m->n_pictures + 1, sizeof(*m->pictures));
    m->pictures[m->n_pictures++] = p;
    return 0;
}

/* ---- messages ---- */

static bool is_picture(const struct json *part)
{
    struct str type = js_get_str(part, "type");
    return str_eq_c(type, "image_url") || str_eq_c(type, "input_image") || str_eq_c(type, "image");
}

static bool has_picture(const struct json *content)
{
    for (size_t i = 0; js_is(content, JS_ARRAY) && i < js_len(content); i++)
        if (is_picture(js_at(content, i)))
            return true;
    return false;
}

/* The content as one text with markers. */
static int flatten(struct media *m, const struct vision *v, const struct json *content,
                   size_t message, struct buf *out, struct error *err)
{
    bool after_text = false;
    for (size_t i = 0; i < js_len(content); i++) {
        const struct json *part = js_at(content, i);
        struct place at = {message, i};
        struct str base64, text = js_get_str(part, "text");
        int r = base64_of_part(part, at, &base64, err);
        if (r == 0 && base64.ptr)
            r = add_picture(m, v, base64, at, err);
        else if (r == 0 && (!str_eq_c(js_get_str(part, "type"), "text") || !text.ptr))
            r = bad_part(at, err, " must be a text or an image");
        if (r < 0)
            return r;
        if (base64.ptr) {
            buf_append_c(out, m->marker);
        } else {
            if (after_text)
                buf_push(out, '\n');
            buf_append(out, text);
        }
        after_text = !base64.ptr;
    }
    return buf_check(out, "the content of a message", err);
}

static int make_marker(struct media *m, struct error *err)
{
    uint64_t random[2];
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return error_set(err, ERR_IO, "the system gave no random numbers");
    snprintf(m->marker, sizeof(m->marker), "[image %016" PRIx64 "%016" PRIx64 "]", random[0],
             random[1]);
    return 0;
}

static int extract(const struct json *messages, const struct vision *v, struct media *m,
                   struct json *out, struct error *err)
{
    for (size_t i = 0; i < js_len(messages); i++) {
        const struct json *content = js_get(js_at(messages, i), "content");
        if (!has_picture(content))
            continue;
        CLEANUP_BUF struct buf text = BUF_INIT(JSON_MAX_BYTES);
        int r = flatten(m, v, content, i, &text, err);
        if (r < 0)
            return r;
        js_set_str(js_at(out, i), "content", buf_str(&text));
    }
    return 0;
}

/* The first message with a picture, or the number of messages. */
static size_t first_with_picture(const struct json *messages)
{
    size_t i = 0, n = js_is(messages, JS_ARRAY) ? js_len(messages) : 0;
    while (i < n && !has_picture(js_get(js_at(messages, i), "content")))
        i++;
    return i;
}

int media_extract(const struct json *messages, const struct vision *v, const char *why_blind,
                  struct media *m, struct json **ret, struct error *err)
{
    *m = (struct media){0};
    *ret = NULL;
    size_t first = first_with_picture(messages);
    if (!js_is(messages, JS_ARRAY) || first == js_len(messages))
        return 0;
    if (!v)
        return error_set(err, ERR_INVALID,
                         "messages[%zu] has an image, but this model has no vision%s%s", first,
                         why_blind ? ": " : "", why_blind ? why_blind : "");
    CLEANUP_JSON struct json *out = js_copy(messages);
    int r = make_marker(m, err);
    if (r == 0)
        r = extract(messages, v, m, out, err);
    if (r < 0) {
        media_release(m);
        return r;
    }
    *ret = TAKE(out);
    return 0;
}

void media_release(struct media *m)
{
    for (size_t i = 0; i < m->n_pictures; i++)
        picture_free(m->pictures[i]);
    free(m->pictures);
    *m = (struct media){0};
}
