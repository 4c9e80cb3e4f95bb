/* SPDX-License-Identifier: Apache-2.0
 *
 * The parts of the schema compiler: schema.c resolves references and alternatives down to
 * conjunctions of plain schemas, schema_value.c, schema_object.c write a conjunction's automaton,
 * schema_check.c validates the values that a schema itself contains. */
#ifndef ENGINE_GRAMMAR_SCHEMA_INTERNAL_H
#define ENGINE_GRAMMAR_SCHEMA_INTERNAL_H

#include "base/json.h"
#include "engine/grammar/dfa.h"
#include "engine/grammar/nfa.h"

enum schema_types {
    T_NULL = 1,
    T_BOOL = 2,
    T_INT = 4,
    T_NUMBER = 8,
    T_STRING = 16,
    T_ARRAY = 32,
    T_OBJECT = 64,
    T_ALL = 127, /* T_NUMBER: all numbers; T_INT alone: integers only */
};

struct part {
    const struct json *schema;
    const char *path;
    uint32_t origin; /* schema.c: where it came from */
};

/* All of them hold. */
struct conj {
    struct part *parts;
    size_t n, cap;
};
void conj_push(struct conj *c, struct part p);
void conj_release(struct conj *c);
#define CLEANUP_CONJ CLEANUP(conj_release)

struct known_rule {
    struct conj key;  /* sorted by address, each schema once */
    struct conj conj; /* in the order in which they were named */
    uint32_t rule;
};

struct counted_string {
    uint32_t min, max, rule;
};

struct schema_ctx {
    struct nfa *a;
    const struct json *root;
    struct error *err;
    struct known_rule *known; /* [n_known], the last ones not compiled yet */
    size_t n_known, cap_known, n_done;
    uint32_t *table; /* [n_table] hash of known, 1 + index */
    size_t n_table;
    struct {
        uint32_t rule;
        const char *path;
    } * empties; /* rules that must have no text */
    size_t n_empties;
    char **paths;
    size_t n_paths;
    struct counted_string *strings;
    size_t n_strings;
    uint32_t space, space_rest, integer, number; /* 1 + rule, 0 = not made yet */
    uint32_t n_checks;                           /* schemas that values were held against */
    uint32_t budget;                             /* conjunctions that may still be written */
};

const char *schema_path(struct schema_ctx *c, const char *path, const char *key);
int schema_refuse(struct schema_ctx *c, enum errc code, const char *path, const char *key,
                  const char *why);
const struct json *schema_resolve(struct schema_ctx *c, struct part p, struct error *err);
uint32_t schema_rule(struct schema_ctx *c, const struct conj *conj); /* compiled later */

/* Everything in `conj` is plain: no references or alternatives. */
int schema_write(struct schema_ctx *c, const struct conj *conj, uint32_t from, uint32_t to);
int schema_write_object(struct schema_ctx *c, const struct conj *conj, uint32_t from, uint32_t to);
int schema_write_array(struct schema_ctx *c, const struct conj *conj, uint32_t from, uint32_t to);
int schema_write_string(struct schema_ctx *c, const struct conj *conj, uint32_t from, uint32_t to);
void schema_space(struct schema_ctx *c, uint32_t from, uint32_t to);
/* White space and a closing bracket. */
void schema_close(struct schema_ctx *c, uint32_t from, uint32_t to, char bracket, unsigned flags);
void schema_any_string(struct schema_ctx *c, uint32_t from, uint32_t to, uint32_t min,
                       uint32_t max);

/* The counts of two keywords, the least and the most; absent ones leave what they point to. */
int schema_limits(struct schema_ctx *c, struct part p, const char *min_key, const char *max_key,
                  uint32_t *min, uint32_t *max);
int schema_type(struct schema_ctx *c, struct part p, unsigned *ret);
int schema_pattern(struct schema_ctx *c, struct part p, struct str pattern, struct dfa **ret);

/* Whether the value satisfies the schema: 1, 0 or an error. */
int schema_check(struct schema_ctx *c, struct part p, const struct json *value, int depth);

/* The text of a string value inside of its quotes, as the automata have it. */
void schema_string_text(struct str s, struct buf *out);

#endif
