/* SPDX-License-Identifier: Apache-2.0
 *
 * Small vocabularies and tables of what texts become in them. */
#ifndef TESTS_UNIT_ENGINE_TEXT_VOCAB_CHECK_H
#define TESTS_UNIT_ENGINE_TEXT_VOCAB_CHECK_H

#include "test.h"

#include "base/buf.h"
#include "engine/text/tokenizer.h"

#define SP "\xe2\x96\x81" /* ▁ */
#define G "\xc4\xa0"      /* Ġ */
#define NL "\xc4\x8a"     /* Ċ */

struct entry {
    const char *text;
    float score;
    int32_t type;
};

enum { ENTRIES_MAX = 64 };

/* Owns the arrays a vocab_source borrows. */
struct vocab {
    struct vocab_source src;
    struct str tokens[ENTRIES_MAX], merges[ENTRIES_MAX];
    float scores[ENTRIES_MAX];
    int32_t types[ENTRIES_MAX];
};

static inline void vocab_fill(struct vocab *v, const char *model, const struct entry *entries,
                              size_t n)
{
    *v = (struct vocab){.src = VOCAB_SOURCE_INIT};
    assert_true(n <= ENTRIES_MAX);
    for (size_t i = 0; i < n; i++) {
        v->tokens[i] = str_from(entries[i].text);
        v->scores[i] = entries[i].score;
        v->types[i] = entries[i].type;
    }
    v->src.model = str_from(model);
    v->src.n_tokens = n;
    v->src.tokens = v->tokens;
    v->src.scores = v->scores;
    v->src.types = v->types;
}

static inline struct tokenizer *create(const struct vocab_source *src)
{
    struct error err = ERROR_INIT;
    struct tokenizer *t = NULL;
    assert_ok(tokenizer_create(src, &t, &err));
    return t;
}

/* Ids of a text as "1 2 3". */
static inline void encode(const struct tokenizer *t, struct str text, unsigned flags,
                          struct buf *out)
{
    struct error err = ERROR_INIT;
    CLEANUP_TOKEN_LIST struct token_list ids = TOKEN_LIST_INIT;
    assert_ok(tokenizer_encode(t, text, flags, &ids, &err));
    for (size_t i = 0; i < ids.n; i++)
        buf_printf(out, i > 0 ? " %d" : "%d", ids.ids[i]);
}

struct encode_case {
    const char *text;
    unsigned flags;
    const char *want;
};

static inline void check_encode(const struct tokenizer *t, const struct encode_case *cases,
                                size_t n)
{
    for (size_t i = 0; i < n; i++) {
        CLEANUP_BUF struct buf got = BUF_INIT(4000);
        encode(t, str_from(cases[i].text), cases[i].flags, &got);
        if (!str_eq_c(buf_str(&got), cases[i].want))
            fail_msg("'%s' gives %s, wanted %s", cases[i].text, buf_cstr(&got), cases[i].want);
    }
}

struct decode_case {
    int32_t ids[8];
    size_t n;
    bool special;
    const char *want;
};

static inline void check_decode(const struct tokenizer *t, const struct decode_case *cases,
                                size_t n)
{
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < n; i++) {
        CLEANUP_BUF struct buf got = BUF_INIT(4000);
        assert_ok(tokenizer_decode(t, cases[i].ids, cases[i].n, cases[i].special, &got, &err));
        if (!str_eq_c(buf_str(&got), cases[i].want))
            fail_msg("case %zu gives '%s', wanted '%s'", i, buf_cstr(&got), cases[i].want);
    }
}

enum {
    ADD = TOKENIZE_ADD_SPECIAL,
    PARSE = TOKENIZE_PARSE_SPECIAL,
};

#endif
