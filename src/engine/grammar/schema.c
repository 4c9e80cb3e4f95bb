/* SPDX-License-Identifier: Apache-2.0
 *
 * The schema compiler: references and alternatives.
 *
 * A rule belongs to a conjunction, a set of schemas that all hold; equal sets have one rule, so
 * recursion ends. Compiling it opens $ref, allOf, anyOf and oneOf until only plain schemas are
 * left, one conjunction for each choice of branches, and writes each. */
#include "engine/grammar/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/grammar/program.h"
#include "engine/grammar/schema_internal.h"

enum { CONJUNCTIONS_MAX = 20000, BRANCHES_MAX = 512, PARTS_MAX = 256, NO_ORIGIN = 0 };

void conj_push(struct conj *c, struct part p)
{
    if (c->n == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 4;
        c->parts = xrealloc(c->parts, c->cap, sizeof(*c->parts));
    }
    c->parts[c->n++] = p;
}

void conj_release(struct conj *c)
{
    free(c->parts);
    *c = (struct conj){0};
}

const char *schema_path(struct schema_ctx *c, const char *path, const char *key)
{
    if ((c->n_paths & (c->n_paths - 1)) == 0)
        c->paths = xrealloc(c->paths, c->n_paths ? c->n_paths * 2 : 1, sizeof(*c->paths));
    char *p = strlen(path) > 600 ? xasprintf("%.300s…/%.80s", path, key)
                                 : xasprintf("%s/%.80s", path, key);
    return c->paths[c->n_paths++] = p;
}

int schema_refuse(struct schema_ctx *c, enum errc code, const char *path, const char *key,
                  const char *why)
{
    return error_set(c->err, code, "schema %s: '%s' %s", path, key, why);
}

/* ---- references ---- */

/* "#", "#/a/b", "#name" for an $anchor is not known. */
const struct json *schema_resolve(struct schema_ctx *c, struct part p, struct error *err)
{
    struct str ref = js_get_str(p.schema, "$ref");
    const struct json *at = c->root;
    if (!ref.ptr || ref.len == 0 || ref.ptr[0] != '#') {
        error_set(err, ERR_UNSUPPORTED,
                  "schema %s: '$ref' must point into the schema itself: \"#/…\"", p.path);
        return NULL;
    }
    struct str rest = str_sub(ref, 1, SIZE_MAX), step;
    if (rest.len > 0 && rest.ptr[0] != '/') {
        error_set(err, ERR_UNSUPPORTED, "schema %s: '$ref' to an $anchor is not supported", p.path);
        return NULL;
    }
    rest = str_sub(rest, 1, SIZE_MAX);
    while (ref.len > 1 && at && str_split_next(&rest, '/', &step)) {
        CLEANUP_BUF struct buf key = BUF_INIT(1 << 16);
        for (size_t i = 0; i < step.len; i++) {
            struct str two = str_sub(step, i, 2);
            unsigned hex;
            char three[3] = {0};
            if (str_eq_c(two, "~0") || str_eq_c(two, "~1")) {
                buf_push(&key, two.ptr[1] == '0' ? '~' : '/');
                i++;
            } else if (step.ptr[i] == '%' && i + 2 < step.len &&
                       (memcpy(three, step.ptr + i + 1, 2), sscanf(three, "%2x", &hex) == 1)) {
                buf_push(&key, (char)hex);
                i += 2;
            } else {
                buf_push(&key, step.ptr[i]);
            }
        }
        uint64_t index;
        if (js_is(at, JS_ARRAY))
            at = str_to_u64(buf_str(&key), "an index", &index, NULL) == 0 ? js_at(at, index) : NULL;
        else
            at = js_get_n(at, buf_str(&key));
    }
    if (!at)
        error_set(err, ERR_INVALID, "schema %s: '$ref' points to '%.*s', which does not exist",
                  p.path, STR_ARG(ref));
    return at;
}

/* ---- rules ---- */

static int compare_parts(const void *a, const void *b)
{
    const struct part *x = a, *y = b;
    return x->schema < y->schema ? -1 : x->schema > y->schema;
}

static size_t conj_hash(const struct conj *c)
{
    uint64_t h = c->n;
    for (size_t i = 0; i < c->n; i++)
        h = (h ^ (uintptr_t)c->parts[i].schema) * 0xff51afd7ed558ccdu;
    return (size_t)(h >> 20);
}

static bool conj_equal(const struct conj *a, const struct conj *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = a->parts[i].schema == b->parts[i].schema;
    return same;
}

uint32_t schema_rule(struct schema_ctx *c, const struct conj *conj)
{
    struct conj sorted = {0}, in_order = {0};
    for (size_t i = 0; i < conj->n; i++)
        if (!js_is(conj->parts[i].schema, JS_BOOL) || !js_to_bool(conj->parts[i].schema, true))
            conj_push(&sorted, conj->parts[i]);
    for (size_t i = 0; i < sorted.n; i++)
        conj_push(&in_order, sorted.parts[i]);
    if (sorted.n > 1)
        qsort(sorted.parts, sorted.n, sizeof(*sorted.parts), compare_parts);
    size_t n = 0;
    for (size_t i = 0; i < sorted.n; i++)
        if (i == 0 || sorted.parts[i].schema != sorted.parts[i - 1].schema)
            sorted.parts[n++] = sorted.parts[i];
    sorted.n = n;
    if (c->n_known * 2 >= c->n_table) {
        c->n_table = c->n_table ? c->n_table * 2 : 64;
        c->table = xrealloc(c->table, c->n_table, sizeof(*c->table));
        memset(c->table, 0, c->n_table * sizeof(*c->table));
        for (size_t i = 0; i < c->n_known; i++) {
            size_t at = conj_hash(&c->known[i].key);
            while (c->table[at & (c->n_table - 1)])
                at++;
            c->table[at & (c->n_table - 1)] = (uint32_t)i + 1;
        }
    }
    size_t at = conj_hash(&sorted);
    for (; c->table[at & (c->n_table - 1)]; at++) {
        struct known_rule *k = &c->known[c->table[at & (c->n_table - 1)] - 1];
        if (conj_equal(&k->key, &sorted)) {
            conj_release(&sorted);
            conj_release(&in_order);
            return k->rule;
        }
    }
    if (c->n_known == c->cap_known) {
        c->cap_known = c->cap_known ? c->cap_known * 2 : 32;
        c->known = xrealloc(c->known, c->cap_known, sizeof(*c->known));
    }
    c->table[at & (c->n_table - 1)] = (uint32_t)c->n_known + 1;
    c->known[c->n_known] =
        (struct known_rule){.key = sorted, .conj = in_order, .rule = nfa_rule(c->a)};
    return c->known[c->n_known++].rule;
}

/* ---- keywords ---- */

enum keyword_use { KEY_APPLIES, KEY_SAYS_NOTHING, KEY_REFUSED };

static const struct keyword {
    const char *name;
    enum keyword_use use;
} keywords[] = {
    {"$ref", KEY_APPLIES},
    {"allOf", KEY_APPLIES},
    {"anyOf", KEY_APPLIES},
    {"oneOf", KEY_APPLIES},
    {"not", KEY_APPLIES},
    {"type", KEY_APPLIES},
    {"enum", KEY_APPLIES},
    {"const", KEY_APPLIES},
    {"nullable", KEY_APPLIES},
    {"minimum", KEY_APPLIES},
    {"maximum", KEY_APPLIES},
    {"exclusiveMinimum", KEY_APPLIES},
    {"exclusiveMaximum", KEY_APPLIES},
    {"multipleOf", KEY_APPLIES},
    {"minLength", KEY_APPLIES},
    {"maxLength", KEY_APPLIES},
    {"pattern", KEY_APPLIES},
    {"format", KEY_APPLIES},
    {"items", KEY_APPLIES},
    {"prefixItems", KEY_APPLIES},
    {"minItems", KEY_APPLIES},
    {"maxItems", KEY_APPLIES},
    {"uniqueItems", KEY_APPLIES},
    {"properties", KEY_APPLIES},
    {"required", KEY_APPLIES},
    {"additionalProperties", KEY_APPLIES},
    {"patternProperties", KEY_APPLIES},
    {"minProperties", KEY_APPLIES},
    {"maxProperties", KEY_APPLIES},
    {"title", KEY_SAYS_NOTHING},
    {"description", KEY_SAYS_NOTHING},
    {"default", KEY_SAYS_NOTHING},
    {"examples", KEY_SAYS_NOTHING},
    {"example", KEY_SAYS_NOTHING},
    {"deprecated", KEY_SAYS_NOTHING},
    {"readOnly", KEY_SAYS_NOTHING},
    {"writeOnly", KEY_SAYS_NOTHING},
    {"contentEncoding", KEY_SAYS_NOTHING},
    {"contentMediaType", KEY_SAYS_NOTHING},
    {"contentSchema", KEY_SAYS_NOTHING},
    {"externalDocs", KEY_SAYS_NOTHING},
    {"discriminator", KEY_SAYS_NOTHING},
    {"$defs", KEY_SAYS_NOTHING},
    {"definitions", KEY_SAYS_NOTHING},
    {"$schema", KEY_SAYS_NOTHING},
    {"$id", KEY_SAYS_NOTHING},
    {"id", KEY_SAYS_NOTHING},
    {"$comment", KEY_SAYS_NOTHING},
    {"$anchor", KEY_SAYS_NOTHING},
    {"$vocabulary", KEY_SAYS_NOTHING},
    {"strict", KEY_SAYS_NOTHING},
};

static enum keyword_use keyword_use(struct str key)
{
    if (str_starts_with(key, STR("x-")))
        return KEY_SAYS_NOTHING;
    for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
        if (str_eq_c(key, keywords[i].name))
            return keywords[i].use;
    return KEY_REFUSED;
}

static int check_keywords(struct schema_ctx *c, struct part p, bool *ret_says_something)
{
    struct json_iter it = {0};
    *ret_says_something = false;
    while (js_next(p.schema, &it)) {
        enum keyword_use use = keyword_use(it.key);
        if (use == KEY_REFUSED)
            return error_set(c->err, ERR_UNSUPPORTED, "schema %s: '%.*s' is not supported", p.path,
                             STR_ARG(it.key));
        *ret_says_something = *ret_says_something || use == KEY_APPLIES;
    }
    return 0;
}

/* ---- opening ---- */

/* A schema on its way; the chain of origins tells what it is part of. */
struct opening {
    struct schema_ctx *c;
    uint32_t from, to;
    struct part *chain; /* [n_chain] every part that was opened; origins are 1 + index */
    size_t n_chain, cap_chain;
    uint32_t n_branches;
};

static bool came_from_itself(const struct opening *o, const struct part *p)
{
    for (uint32_t at = p->origin; at != NO_ORIGIN; at = o->chain[at - 1].origin)
        if (o->chain[at - 1].schema == p->schema)
            return true;
    return false;
}

static uint32_t chain_push(struct opening *o, struct part p)
{
    if (o->n_chain == o->cap_chain) {
        o->cap_chain = o->cap_chain ? o->cap_chain * 2 : 16;
        o->chain = xrealloc(o->chain, o->cap_chain, sizeof(*o->chain));
    }
    o->chain[o->n_chain++] = p;
    return (uint32_t)o->n_chain;
}

static int open_next(struct opening *o, struct conj *pending, struct conj *plain);

static int want_list(struct schema_ctx *c, struct part p, const char *key, const struct json **ret)
{
    *ret = js_get(p.schema, key);
    if (*ret && (!js_is(*ret, JS_ARRAY) || js_len(*ret) == 0))
        return schema_refuse(c, ERR_INVALID, p.path, key, "must be an array that is not empty");
    return 0;
}

static struct part part_in(struct schema_ctx *c, struct part p, const char *key, size_t i,
                           const struct json *list, uint32_t origin)
{
    char name[64];
    snprintf(name, sizeof(name), "%s/%zu", key, i);
    return (struct part){js_at(list, i), schema_path(c, p.path, name), origin};
}

/* That exactly one branch holds is known where no value fits two of them. */
static int exclude_each_other(struct schema_ctx *c, struct part p, const struct json *list)
{
    size_t n = js_len(list);
    if (n > 100)
        return schema_refuse(c, ERR_TOO_LARGE, p.path, "oneOf", "has more than 100 branches");
    for (size_t i = 0; i < n; i++)
        for (size_t k = i + 1; k < n; k++) {
            CLEANUP_CONJ struct conj both = {0};
            conj_push(&both, part_in(c, p, "oneOf", i, list, NO_ORIGIN));
            conj_push(&both, part_in(c, p, "oneOf", k, list, NO_ORIGIN));
            if ((c->n_empties & (c->n_empties - 1)) == 0)
                c->empties =
                    xrealloc(c->empties, c->n_empties ? c->n_empties * 2 : 1, sizeof(*c->empties));
            c->empties[c->n_empties].rule = schema_rule(c, &both);
            c->empties[c->n_empties++].path = both.parts[1].path;
        }
    return 0;
}

/* Each branch with everything else that is pending. */
static int open_branches(struct opening *o, struct part p, const char *key, uint32_t origin,
                         const struct conj *pending, const struct conj *plain)
{
    const struct json *list;
    int r = want_list(o->c, p, key, &list);
    for (size_t i = 0; list && i < js_len(list) && r == 0; i++) {
        if (++o->n_branches > BRANCHES_MAX)
            return schema_refuse(o->c, ERR_TOO_LARGE, p.path, key,
                                 "has too many branches together with the others here");
        CLEANUP_CONJ struct conj rest = {0};
        CLEANUP_CONJ struct conj done = {0};
        for (size_t k = 0; k < pending->n; k++)
            conj_push(&rest, pending->parts[k]);
        for (size_t k = 0; k < plain->n; k++)
            conj_push(&done, plain->parts[k]);
        conj_push(&rest, part_in(o->c, p, key, i, list, origin));
        r = open_next(o, &rest, &done);
    }
    return r;
}

/* Opens one part into `pending`; *ret_key is set where a choice has to be made. */
static int open_part(struct opening *o, struct part p, uint32_t origin, struct conj *pending,
                     bool *ret_any, bool *ret_one)
{
    struct schema_ctx *c = o->c;
    const struct json *all = NULL, *one = NULL;
    if (js_get(p.schema, "$ref")) {
        struct part target = {schema_resolve(c, p, c->err), schema_path(c, p.path, "$ref"), origin};
        if (!target.schema)
            return -(int)c->err->code;
        conj_push(pending, target);
    }
    int r = want_list(c, p, "allOf", &all);
    for (size_t i = js_len(all); r == 0 && i-- > 0;) /* the first one comes out first */
        conj_push(pending, part_in(c, p, "allOf", i, all, origin));
    if (r == 0)
        r = want_list(c, p, "oneOf", &one);
    if (r < 0)
        return r;
    *ret_any = js_get(p.schema, "anyOf") != NULL;
    *ret_one = one != NULL;
    return one ? exclude_each_other(c, p, one) : 0;
}

static int open_choices(struct opening *o, struct part p, uint32_t origin, bool any, bool one,
                        struct conj *pending, struct conj *plain)
{
    if (!any || !one)
        return open_branches(o, p, any ? "anyOf" : "oneOf", origin, pending, plain);
    /* Both: the second choice is made inside of each of the first. */
    const struct json *list;
    int r = want_list(o->c, p, "anyOf", &list);
    for (size_t i = 0; r == 0 && i < js_len(list); i++) {
        CLEANUP_CONJ struct conj rest = {0};
        for (size_t k = 0; k < pending->n; k++)
            conj_push(&rest, pending->parts[k]);
        conj_push(&rest, part_in(o->c, p, "anyOf", i, list, origin));
        r = open_branches(o, p, "oneOf", origin, &rest, plain);
    }
    return r;
}

static int open_next(struct opening *o, struct conj *pending, struct conj *plain)
{
    struct schema_ctx *c = o->c;
    while (pending->n > 0) {
        struct part p = pending->parts[--pending->n];
        if (js_is(p.schema, JS_BOOL)) {
            if (!js_to_bool(p.schema, true))
                return 0; /* nothing fits */
            continue;
        }
        if (!js_is(p.schema, JS_OBJECT))
            return error_set(c->err, ERR_INVALID,
                             "schema %s must be an object or a boolean, not %s", p.path,
                             js_type_name(p.schema));
        if (came_from_itself(o, &p))
            return error_set(c->err, ERR_INVALID, "schema %s: refers to itself without end",
                             p.path);
        if (o->n_chain > (1 << 14) || pending->n + plain->n > PARTS_MAX)
            return error_set(c->err, ERR_TOO_LARGE, "schema %s: too many schemas in one place",
                             p.path);
        bool says_something, any = false, one = false;
        int r = check_keywords(c, p, &says_something);
        if (r < 0)
            return r;
        if (!says_something)
            continue;
        uint32_t origin = chain_push(o, p);
        conj_push(plain, p);
        r = open_part(o, p, origin, pending, &any, &one);
        if (r < 0)
            return r;
        if (any || one)
            return open_choices(o, p, origin, any, one, pending, plain);
    }
    if (c->budget-- == 0)
        return error_set(c->err, ERR_TOO_LARGE, "the schema has too many combinations");
    int r = schema_write(c, plain, o->from, o->to);
    return r == 0 ? nfa_check(c->a, c->err) : r;
}

static int compile_rule(struct schema_ctx *c, size_t number)
{
    const struct nfa_rule *rule = &c->a->rules[c->known[number].rule];
    struct opening o = {.c = c, .from = rule->start, .to = rule->end};
    CLEANUP_CONJ struct conj pending = {0};
    CLEANUP_CONJ struct conj plain = {0};
    for (size_t i = c->known[number].conj.n; i-- > 0;) {
        struct part p = c->known[number].conj.parts[i];
        p.origin = NO_ORIGIN;
        conj_push(&pending, p);
    }
    int r = open_next(&o, &pending, &plain);
    free(o.chain);
    return r;
}

static int check_empties(struct schema_ctx *c)
{
    if (c->n_empties == 0)
        return 0;
    bool *productive = nfa_productive_rules(c->a);
    const char *path = NULL;
    for (size_t i = 0; i < c->n_empties && !path; i++)
        if (productive[c->empties[i].rule])
            path = c->empties[i].path;
    free(productive);
    return path ? error_set(c->err, ERR_UNSUPPORTED,
                            "schema %s: 'oneOf' has another branch that the same value may fit; "
                            "use 'anyOf', or make them exclude each other (a 'const' in each)",
                            path)
                : 0;
}

int schema_compile(const struct json *schema, const char *what, struct nfa *a, uint32_t *ret_rule,
                   struct error *err)
{
    struct error local = ERROR_INIT;
    struct schema_ctx c = {
        .a = a, .root = schema, .err = err ? err : &local, .budget = CONJUNCTIONS_MAX};
    CLEANUP_CONJ struct conj first = {0};
    conj_push(&first, (struct part){schema, what[0] ? what : "#", NO_ORIGIN});
    *ret_rule = schema_rule(&c, &first);
    int r = 0;
    for (; c.n_done < c.n_known && r == 0; c.n_done++)
        r = compile_rule(&c, c.n_done);
    if (r == 0)
        r = nfa_check(a, c.err);
    if (r == 0)
        r = check_empties(&c);
    for (size_t i = 0; i < c.n_known; i++) {
        conj_release(&c.known[i].key);
        conj_release(&c.known[i].conj);
    }
    for (size_t i = 0; i < c.n_paths; i++)
        free(c.paths[i]);
    free(c.known);
    free(c.table);
    free(c.empties);
    free(c.paths);
    free(c.strings);
    return r;
}
