/* SPDX-License-Identifier: Apache-2.0
 *
 * The tables of built-in filters, tests, functions and methods.
 *
 * A row names its parameters as Python's signature does: "old, new, count?"; those with '?' may be
 * left out and are then V_MISSING. The caller binds positional and keyword arguments to them, so a
 * function reads call->a[0], call->a[1], ... "*" takes any arguments, in call->args.
 */
#ifndef ENGINE_TEMPLATE_BUILTINS_H
#define ENGINE_TEMPLATE_BUILTINS_H

#include "engine/template/value.h"

enum { BUILTIN_MAX_PARAMS = 6 };

struct args {
    const struct value *pos;
    size_t n_pos;
    const struct str *kw_names;
    const struct value *kw;
    size_t n_kw;
};

struct call {
    struct value self; /* what the filter or test is applied to; the object of a method */
    struct value a[BUILTIN_MAX_PARAMS];
    const struct args *args;
    const struct builtin *builtin;
};

typedef struct value (*builtin_fn)(struct render *r, const struct call *c);

struct builtin {
    const char *name;
    builtin_fn fn;
    const char *params;
};

struct builtin_table {
    const struct builtin *rows; /* sorted by name */
    size_t n;
};

#define BUILTIN_TABLE(rows_) ((struct builtin_table){(rows_), ARRAY_LEN(rows_)})

/* NULL if there is none. */
const struct builtin *builtin_find(struct builtin_table t, struct str name);
const struct builtin *filter_find(struct str name);
const struct builtin *test_find(struct str name);
const struct builtin *global_find(struct str name);
const struct builtin *method_find(struct value of, struct str name);

/* A method that Python has and the sandbox keeps away: dict.pop, ... It reads as undefined. */
bool method_is_refused(struct value of, struct str name);

/* Calls with these arguments, after binding them to the parameters. */
struct value builtin_call(struct render *r, const struct builtin *b, struct value self,
                          const struct args *args);

extern const struct builtin_table filters_text, filters_seq, filters_number, tests, globals,
    methods_str, methods_seq, methods_dict;

/* ---- reading arguments; all fail with the parameter's name ---- */

bool arg_int(struct render *r, const struct call *c, size_t i, int64_t fallback, int64_t *ret);
bool arg_bool(const struct call *c, size_t i, bool fallback);
bool arg_str(struct render *r, const struct call *c, size_t i, struct str fallback,
             struct str *ret);

static inline bool arg_given(const struct call *c, size_t i)
{
    return c->a[i].type != V_MISSING;
}

/* Given and not None. */
static inline bool arg_set(const struct call *c, size_t i)
{
    return c->a[i].type != V_MISSING && c->a[i].type != V_NONE;
}

/* str(self), as most text filters begin. */
struct str self_text(struct render *r, const struct call *c);

#endif
