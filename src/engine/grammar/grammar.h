/* SPDX-License-Identifier: Apache-2.0
 *
 * Grammars: what the text of an answer may be, and which tokens may come next.
 *
 * A grammar is put together from expressions and then compiled into one automaton over bytes:
 *
 *     struct grammar_builder *b = grammar_builder_new();
 *     gexpr call[] = {
 *         gexpr_special(b, STR("<tool_call>")), gexpr_literal(b, STR("\n{\"name\": \"f\", ")),
 *         gexpr_literal(b, STR("\"arguments\": ")), gexpr_schema(b, parameters, "tools[0]"),
 *         gexpr_literal(b, STR("}\n")), gexpr_special(b, STR("</tool_call>")),
 *     };
 *     int r = grammar_build(b, gexpr_seq(b, call, ARRAY_LEN(call)), &g, err);
 *     grammar_builder_free(b);
 *
 * Errors inside an expression are remembered by the builder and come out of grammar_build().
 *
 *   free text until a trigger, then constrained, or no trigger at all:
 *       alt(free(triggers), seq(until(triggers), rest))
 *   reasoning, then constrained:
 *       seq(until({"</think>"}), rest)
 *
 * Fails closed: what a schema or a GBNF text asks for is enforced or refused (ERR_INVALID,
 * ERR_UNSUPPORTED: the message names the keyword and its path); a grammar that no text fits is
 * refused, and so is one that would be too large (ERR_TOO_LARGE).
 *
 * Everything that is not text, i.e. a control token, is written in the automaton as
 * "\xFF" NAME "\xFF"; 0xFF occurs in no UTF-8 text. gexpr_special() and the triggers accept both
 * forms, so that a caller need not know which one the vocabulary has.
 *
 * Threads: a grammar and a vocabulary are shared freely; a matcher belongs to one thread at a
 * time. */
#ifndef ENGINE_GRAMMAR_GRAMMAR_H
#define ENGINE_GRAMMAR_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "base/str.h"

/* ---- to build ---- */

struct grammar;
struct grammar_builder;
typedef uint32_t gexpr; /* an expression of one builder; may be used more than once */

struct grammar_builder *grammar_builder_new(void);
void grammar_builder_free(struct grammar_builder *b); /* NULL is fine */

gexpr gexpr_literal(struct grammar_builder *b, struct str text);
/* A token's text, as text or as a control token. */
gexpr gexpr_special(struct grammar_builder *b, struct str text);
/* JSON that fits the schema (borrowed until grammar_build). `what` begins the path in errors. */
gexpr gexpr_schema(struct grammar_builder *b, const struct json *schema, const char *what);
/* The sentences of a GBNF text's rule `root`. */
gexpr gexpr_gbnf(struct grammar_builder *b, struct str text);
gexpr gexpr_seq(struct grammar_builder *b, const gexpr *items, size_t n); /* n = 0: empty text */
gexpr gexpr_alt(struct grammar_builder *b, const gexpr *items, size_t n); /* n = 0: no text */
/* min to max times; max UINT32_MAX: no limit. Bounds above 1000 are refused. */
gexpr gexpr_repeat(struct grammar_builder *b, gexpr item, uint32_t min, uint32_t max);
/* Any text that ends with the first occurrence of one of the triggers, none of them empty. */
gexpr gexpr_until(struct grammar_builder *b, const struct str *triggers, size_t n);
/* The same, but it ends with the first of them alone, and the others do not occur in it. */
gexpr gexpr_until_first(struct grammar_builder *b, const struct str *triggers, size_t n);
/* Any text with no occurrence of a trigger in it, the empty one too. */
gexpr gexpr_free(struct grammar_builder *b, const struct str *triggers, size_t n);

int grammar_build(struct grammar_builder *b, gexpr root, struct grammar **ret, struct error *err);

/* The usual ones at once. */
int grammar_from_schema(const struct json *schema, struct grammar **ret, struct error *err);
int grammar_from_gbnf(struct str text, struct grammar **ret, struct error *err);

struct grammar *grammar_ref(struct grammar *g);
void grammar_unref(struct grammar *g); /* NULL is fine */
DEFINE_CLEANUP(grammar, struct grammar, grammar_unref);

uint32_t grammar_n_states(const struct grammar *g);

/* ---- the vocabulary ---- */

struct grammar_vocab;

/* tokens: [n] the exact bytes of each token, control tokens in their marked form; one with no bytes
 * is never allowed. eog: the tokens that end a generation, whatever their bytes. Copied. */
int grammar_vocab_create(const struct str *tokens, uint32_t n, const int32_t *eog, size_t n_eog,
                         struct grammar_vocab **ret, struct error *err);
void grammar_vocab_free(struct grammar_vocab *v);

/* Computes the large masks of a grammar ahead of time; meant for the thread of the request. The
 * vocabulary must live as long as the grammar and be the only one it is used with. */
int grammar_prepare(struct grammar *g, const struct grammar_vocab *v, struct error *err);

/* ---- to match ---- */

struct matcher;

/* vocab may be NULL: then only bytes can be matched. Holds a reference to g. */
int matcher_create(struct grammar *g, const struct grammar_vocab *vocab, struct matcher **ret,
                   struct error *err);
void matcher_free(struct matcher *m); /* NULL is fine */
DEFINE_CLEANUP(matcher, struct matcher, matcher_free);

/* Takes in bytes. false: they do not fit, or the text is too ambiguous to follow; the matcher then
 * fits nothing any more. */
bool matcher_accept(struct matcher *m, struct str bytes);
bool matcher_accept_token(struct matcher *m, int32_t id); /* a token that ends: nothing happens */
/* The text so far is a whole sentence. */
bool matcher_may_end(const struct matcher *m);
/* The text was too ambiguous to follow; nothing is known about it. */
bool matcher_gave_up(const struct matcher *m);
/* Something may follow. */
bool matcher_may_go_on(const struct matcher *m);

/* mask: [(n_tokens + 63) / 64], one bit a token, the lowest first. Tokens that end are set where
 * the text may end. */
int matcher_mask(struct matcher *m, uint64_t *mask, struct error *err);

#endif
