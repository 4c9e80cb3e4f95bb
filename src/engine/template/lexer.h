/* SPDX-License-Identifier: Apache-2.0
 *
 * Template source to tokens: text between tags with the white-space rules applied (trim_blocks,
 * lstrip_blocks, `-` and `+` at the tags), and what stands inside the tags. */
#ifndef ENGINE_TEMPLATE_LEXER_H
#define ENGINE_TEMPLATE_LEXER_H

#include "base/error.h"
#include "base/str.h"
#include "engine/template/pool.h"

enum token_kind {
    T_EOF,
    T_DATA,
    T_BLOCK_BEGIN, T_BLOCK_END, T_VARIABLE_BEGIN, T_VARIABLE_END,
    T_NAME, T_STRING, T_INT, T_FLOAT,
    T_ADD, T_SUB, T_DIV, T_FLOORDIV, T_MUL, T_MOD, T_POW, T_TILDE,
    T_LBRACKET, T_RBRACKET, T_LPAREN, T_RPAREN, T_LBRACE, T_RBRACE,
    T_EQ, T_NE, T_GT, T_GE, T_LT, T_LE, T_ASSIGN, T_DOT, T_COLON, T_PIPE, T_COMMA, T_SEMICOLON,
};

struct token {
    enum token_kind kind;
    uint32_t line;
    struct str text; /* T_DATA, T_NAME: borrowed from the source; T_STRING: the decoded value */
    union {
        int64_t i;
        double f;
    };
};

struct tokens {
    struct token *items; /* the last one is T_EOF */
    size_t n, cap;
};

/* source: valid UTF-8 with "\n" newlines. Decoded strings go to the pool; *ret is freed with
 * free(ret->items). */
int template__lex(struct str source, struct pool *pool, struct tokens *ret, struct error *err);

/* "end of template", "'%}'", "name 'endif'": for messages. */
void token_describe(const struct token *t, char *out, size_t size);

/* The one form of a syntax error: "chat template, line 12: ...". */
int template__syntax_error(struct error *err, uint32_t line, const char *fmt, ...)
    ATTR_PRINTF(3, 4);

#endif
