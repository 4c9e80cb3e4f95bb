/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON lines. */
#include "engine/verbs/jsonl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/compiler.h"
#include "engine/verbs/verbs.h"

enum { LINE_MAX_BYTES = 64 << 20, READ_BYTES = 1 << 16 };

/* Some readers end a line at U+0085, U+2028 and U+2029 too, which JSON leaves as they are. They can
 * only stand inside strings. */
static void escape_line_ends(struct str json, struct buf *out)
{
    static const struct {
        struct str raw, escaped;
    } ends[] = {
        {{"\xc2\x85", 2}, {"\\u0085", 6}},
        {{"\xe2\x80\xa8", 3}, {"\\u2028", 6}},
        {{"\xe2\x80\xa9", 3}, {"\\u2029", 6}},
    };
    size_t done = 0;
    for (size_t at = 0; at < json.len; at++) {
        if (json.ptr[at] != '\xc2' && json.ptr[at] != '\xe2')
            continue;
        for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
            if (!str_starts_with(str_sub(json, at, SIZE_MAX), ends[i].raw))
                continue;
            buf_append(out, str_sub(json, done, at - done));
            buf_append(out, ends[i].escaped);
            done = at + ends[i].raw.len;
        }
    }
    buf_append(out, str_sub(json, done, SIZE_MAX));
}

static int print_line(const struct json *out, struct error *err)
{
    CLEANUP_BUF struct buf json = BUF_INIT(JSON_MAX_BYTES);
    CLEANUP_BUF struct buf text = BUF_INIT(JSON_MAX_BYTES);
    js_write(out, JS_COMPACT, &json);
    int r = buf_check(&json, "the answer", err);
    if (r < 0)
        return r;
    escape_line_ends(buf_str(&json), &text);
    buf_push(&text, '\n');
    r = buf_check(&text, "the answer", err);
    if (r < 0)
        return r;
    fwrite(text.data, 1, text.len, stdout);
    return verb_flush(err);
}

static int answer_line(struct str line, jsonl_answer answer, void *ctx, struct error *err)
{
    struct error e = ERROR_INIT;
    CLEANUP_JSON struct json *in = NULL;
    CLEANUP_JSON struct json *out = js_object();
    int r = js_parse(line, "the line", &in, &e);
    if (r == 0 && !js_is(in, JS_OBJECT))
        r = error_set(&e, ERR_INVALID, "the line must be a JSON object");
    if (r == 0)
        r = answer(ctx, in, out, &e);
    if (r < 0) {
        js_free(out);
        out = js_object();
        js_set_cstr(out, "error", e.msg);
    }
    return print_line(out, err);
}

/* Answers the whole lines in `b`; what is behind the last line end stays. */
static int answer_lines(struct buf *b, jsonl_answer answer, void *ctx, struct error *err)
{
    struct str rest = buf_str(b);
    for (ptrdiff_t end; (end = str_find_char(rest, '\n')) >= 0;) {
        struct str line = str_trim(str_sub(rest, 0, (size_t)end));
        int r = line.len > 0 ? answer_line(line, answer, ctx, err) : 0;
        if (r < 0)
            return r;
        rest = str_sub(rest, (size_t)end + 1, rest.len);
    }
    buf_consume(b, b->len - rest.len);
    return 0;
}

int jsonl_run(jsonl_answer answer, void *ctx, struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT(LINE_MAX_BYTES);
    for (;;) {
        char *to = buf_reserve(&b, READ_BYTES);
        if (!to)
            return buf_check(&b, "a line of the input", err);
        ssize_t n = read(STDIN_FILENO, to, READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, errno, "cannot read standard input");
        if (n == 0)
            break;
        buf_added(&b, (size_t)n);
        int r = answer_lines(&b, answer, ctx, err);
        if (r < 0)
            return r;
    }
    struct str last = str_trim(buf_str(&b));
    return last.len > 0 ? answer_line(last, answer, ctx, err) : 0;
}

int jsonl_ids(const struct json *in, const char *key, uint32_t n_vocab, int32_t **ret,
              size_t *ret_n, struct error *err)
{
    const struct json *array = js_get(in, key);
    size_t n = js_len(array);
    if (!js_is(array, JS_ARRAY) || n == 0)
        return error_set(err, ERR_INVALID, "'%s' must be an array of token ids", key);
    CLEANUP_FREE int32_t *ids = alloc_array(n, sizeof(*ids));
    if (!ids)
        return error_set(err, ERR_NOMEM, "out of memory for %zu token ids", n);
    for (size_t i = 0; i < n; i++) {
        const struct json *v = js_at(array, i);
        if (!js_is(v, JS_INT))
            return error_set(err, ERR_INVALID, "'%s' must hold whole numbers; item %zu is %s", key,
                             i, js_type_name(v));
        int64_t id = js_to_int(v, -1);
        if (id < 0 || id >= n_vocab)
            return error_set(err, ERR_INVALID,
                             "token id %" PRId64
                             " is out of range: the model knows ids 0 to %" PRIu32,
                             id, n_vocab - 1);
        ids[i] = (int32_t)id;
    }
    *ret = TAKE(ids);
    *ret_n = n;
    return 0;
}
