/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of the parts is llama-server's for /infill. Nothing is cut: what does not fit the
 * context is refused like any other prompt. */
#include "engine/api/fim.h"

/* What stands between pieces of other files where the vocabulary has no token for that. */
#define SNIPPET "\n\n--- snippet ---\n\n"

struct builder {
    const struct tokenizer *t;
    struct token_list *out;
    struct error *err;
    int result;
};

static void add_token(struct builder *b, int32_t id)
{
    if (b->result == 0 && id >= 0 && token_list_push(b->out, id) < 0)
        b->result = error_set(b->err, ERR_NOMEM, "no memory for a prompt");
}

static void add_text(struct builder *b, struct str text)
{
    if (b->result == 0)
        b->result = tokenizer_encode(b->t, text, 0, b->out, b->err);
}

static void add_name(struct builder *b, struct str name)
{
    CLEANUP_BUF struct buf line = BUF_INIT(1 << 20);
    buf_append(&line, name);
    buf_push(&line, '\n');
    if (b->result == 0)
        b->result = buf_check(&line, "the name of a file", b->err);
    add_text(b, buf_str(&line));
}

static int add_extra(struct builder *b, const struct json *extra)
{
    int32_t sep = tokenizer_fim(b->t, FIM_SEP);
    if (extra && !js_is(extra, JS_ARRAY))
        return error_set(b->err, ERR_INVALID, "'input_extra' must be an array, not %s",
                         js_type_name(extra));
    for (size_t i = 0; i < js_len(extra) && b->result == 0; i++) {
        const struct json *chunk = js_at(extra, i);
        struct str text = {0}, name = STR("tmp");
        if (!js_is(chunk, JS_OBJECT) || !js_is(js_get(chunk, "text"), JS_STRING))
            return error_set(b->err, ERR_INVALID, "'input_extra[%zu]' must have a 'text'", i);
        int r = js_want_str(chunk, "text", &text, b->err);
        if (r == 0)
            r = js_want_str(chunk, "filename", &name, b->err);
        if (r < 0)
            return r;
        add_token(b, sep);
        if (sep >= 0)
            add_name(b, name);
        else
            add_text(b, STR(SNIPPET));
        add_text(b, text);
    }
    return b->result;
}

int fim_tokens(const struct lm *lm, const struct fim *f, struct token_list *out, struct error *err)
{
    const struct tokenizer *t = lm->tokenizer;
    int32_t pre = tokenizer_fim(t, FIM_PRE), suf = tokenizer_fim(t, FIM_SUF);
    int32_t mid = tokenizer_fim(t, FIM_MID), sep = tokenizer_fim(t, FIM_SEP);
    if (pre < 0 || suf < 0 || mid < 0)
        return error_set(err, ERR_INVALID,
                         "this model cannot fill in the middle: its vocabulary has no token for "
                         "the %s",
                         pre < 0   ? "prefix"
                         : suf < 0 ? "suffix"
                                   : "middle");
    struct builder b = {.t = t, .out = out, .err = err};
    if (f->with_repo && tokenizer_fim(t, FIM_REP) >= 0) {
        add_token(&b, tokenizer_fim(t, FIM_REP));
        add_name(&b, STR("myproject"));
    }
    int r = add_extra(&b, f->extra);
    if (r < 0)
        return r;
    if (f->with_repo && sep >= 0) {
        add_token(&b, sep);
        add_name(&b, STR("filename"));
    }
    if (tokenizer_adds_bos(t))
        add_token(&b, tokenizer_bos(t));
    add_token(&b, pre);
    add_text(&b, f->prefix);
    add_text(&b, f->prompt);
    add_token(&b, suf);
    add_text(&b, f->suffix);
    add_token(&b, mid);
    return b.result;
}
