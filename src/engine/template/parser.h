/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two halves of the parser share: statements (parser.c) and expressions
 * (parser_expr.c). Functions that make a node return NULL after an error. */
#ifndef ENGINE_TEMPLATE_PARSER_H
#define ENGINE_TEMPLATE_PARSER_H

#include "engine/template/ast.h"
#include "engine/template/lexer.h"

struct macro_frame {
    struct macro_node *macro;
    struct macro_frame *outer;
};

struct parser {
    struct template *t;
    struct pool *pool;
    const struct token *tok; /* the current one; the last is T_EOF */
    int depth;               /* of the recursion */
    int loops;               /* for loops around, inside the current macro */
    struct macro_frame *macros; /* macros and call blocks around */
    struct error *err;
    bool failed;
};

/* Marks the parser as failed (the first error wins) and returns NULL. */
struct node *parse_fail(struct parser *p, uint32_t line, const char *fmt, ...) ATTR_PRINTF(3, 4);
void *parse_nomem(struct parser *p);

/* Counts a level of recursion; false after a failure or when there are too many. */
bool parse_enter(struct parser *p);
void parse_leave(struct parser *p);

struct node *node_new(struct parser *p, enum node_kind kind, uint32_t line);
/* Adds child to the list and to the parent's height. */
bool node_add(struct parser *p, struct node *parent, struct node_list *l, struct node *child);
/* Counts child (may be NULL) into the parent's height; returns the parent, or NULL if too high. */
struct node *node_above(struct parser *p, struct node *parent, const struct node *child);

bool is_name(const struct parser *p, const char *name);
bool skip_name(struct parser *p, const char *name);
bool skip_token(struct parser *p, enum token_kind kind);
bool expect(struct parser *p, enum token_kind kind, const char *what);
bool expect_name(struct parser *p, struct str *ret);

struct node *parse_expression(struct parser *p, bool with_cond);
/* `end`: a name that also ends the tuple ("in", "recursive"), or NULL. */
struct node *parse_tuple(struct parser *p, bool with_cond, const char *end, bool parenthesised);
struct node *parse_filter_chain(struct parser *p, struct node *of, bool start_inline);
struct node *parse_assign_target(struct parser *p, const char *end, bool with_namespace);
struct node *parse_name_target(struct parser *p);

#endif
