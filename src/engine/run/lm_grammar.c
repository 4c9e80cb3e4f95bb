/* SPDX-License-Identifier: Apache-2.0
 *
 * The vocabulary as grammars see it: bytes. */
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "engine/run/lm.h"

/* The bytes a token adds to an answer; control tokens, which add none, in the marked form. */
static int append_token_bytes(const struct lm *lm, int32_t id, struct buf *out, struct error *err)
{
    size_t before = out->len;
    int r = tokenizer_piece(lm->tokenizer, id, false, out, err);
    if (r == 0 && out->len > before && memchr(out->data + before, 0xff, out->len - before)) {
        buf_truncate(out, before); /* a byte that no text has is not taken for a mark */
        return 0;
    }
    enum token_type type = tokenizer_token_type(lm->tokenizer, id);
    if (r < 0 || out->len > before || type == TOKEN_UNKNOWN || type == TOKEN_UNUSED)
        return r;
    struct str name = tokenizer_token_text(lm->tokenizer, id);
    if (name.len > 0) {
        buf_push(out, '\xff');
        buf_append(out, name);
        buf_push(out, '\xff');
    }
    return 0;
}

static int make_grammar_vocab(struct lm *lm, struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT((size_t)1 << 28);
    CLEANUP_FREE size_t *ends = alloc_array((size_t)lm->n_vocab + 1, sizeof(*ends));
    CLEANUP_FREE struct str *tokens = alloc_array((size_t)lm->n_vocab + 1, sizeof(*tokens));
    if (!ends || !tokens)
        return error_set(err, ERR_NOMEM, "out of memory for %u tokens", lm->n_vocab);
    int r = 0;
    for (uint32_t id = 0; id < lm->n_vocab && r == 0; id++) {
        r = append_token_bytes(lm, (int32_t)id, &text, err);
        ends[id] = text.len;
    }
    if (r == 0)
        r = buf_check(&text, "the vocabulary", err);
    if (r < 0)
        return r;
    for (uint32_t id = 0; id < lm->n_vocab; id++) {
        size_t begin = id > 0 ? ends[id - 1] : 0;
        tokens[id] = str_sub(buf_str(&text), begin, ends[id] - begin);
    }
    return grammar_vocab_create(tokens, lm->n_vocab, lm->eog, lm->n_eog, &lm->grammar_vocab, err);
}

int lm_grammar_vocab(struct lm *lm, const struct grammar_vocab **ret, struct error *err)
{
    pthread_mutex_lock(&lm->lock);
    int r = lm->grammar_vocab ? 0 : make_grammar_vocab(lm, err);
    *ret = lm->grammar_vocab;
    pthread_mutex_unlock(&lm->lock);
    return r;
}
