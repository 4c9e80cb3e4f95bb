/* SPDX-License-Identifier: Apache-2.0
 *
 * The automata of arrays and objects. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/grammar/key_trie.h"
#include "engine/grammar/schema_internal.h"

enum {
    KEY_TEXT_MAX = 1 << 16,
    GRID_MAX = 1 << 17,
    PREFIX_MAX = 4096,
    PROPERTIES_MAX = 4000,
    PATTERNS_MAX = 16
};

static struct part part_at(struct schema_ctx *c, struct part p, const struct json *s,
                           const char *key)
{
    return (struct part){s, schema_path(c, p.path, key), 0};
}

/* ---- arrays ---- */

/* What item `i` must satisfy. `items` as an array is draft 4's prefixItems. */
static int item_conj(struct schema_ctx *c, const struct conj *conj, size_t i, struct conj *ret)
{
    for (size_t k = 0; k < conj->n; k++) {
        struct part p = conj->parts[k];
        const struct json *prefix = js_get(p.schema, "prefixItems"),
                          *items = js_get(p.schema, "items");
        if (prefix && !js_is(prefix, JS_ARRAY))
            return schema_refuse(c, ERR_INVALID, p.path, "prefixItems", "must be an array");
        if (js_is(items, JS_ARRAY))
            return schema_refuse(c, ERR_UNSUPPORTED, p.path, "items",
                                 "as an array is of an old draft: use 'prefixItems'");
        if (prefix && i < js_len(prefix))
            conj_push(ret, part_at(c, p, js_at(prefix, i), "prefixItems"));
        else if (items)
            conj_push(ret, part_at(c, p, items, "items"));
    }
    return 0;
}

static int array_limits(struct schema_ctx *c, const struct conj *conj, uint32_t *min, uint32_t *max,
                        size_t *n_prefix)
{
    *min = 0, *max = NFA_NO_LIMIT, *n_prefix = 0;
    bool unique = false;
    const char *path = "";
    for (size_t k = 0; k < conj->n; k++) {
        struct part p = conj->parts[k];
        uint32_t lo = 0, hi = NFA_NO_LIMIT;
        int r = schema_limits(c, p, "minItems", "maxItems", &lo, &hi);
        if (r < 0)
            return r;
        *min = MAX(*min, lo);
        *max = MIN(*max, hi);
        *n_prefix = MAX(*n_prefix, js_len(js_get(p.schema, "prefixItems")));
        if (js_to_bool(js_get(p.schema, "uniqueItems"), false)) {
            unique = true;
            path = p.path;
        }
    }
    if (unique && *max > 1)
        return schema_refuse(c, ERR_UNSUPPORTED, path, "uniqueItems",
                             "is not supported for more than one item");
    if (*n_prefix > PREFIX_MAX)
        return error_set(c->err, ERR_TOO_LARGE, "schema %s: 'prefixItems' has more than %d items",
                         conj->parts[0].path, PREFIX_MAX);
    return 0;
}

/* One rule that counts the items that are alike; those of the prefix stand one by one. */
int schema_write_array(struct schema_ctx *c, const struct conj *conj, uint32_t from, uint32_t to)
{
    uint32_t min, max;
    size_t n_prefix;
    int r = array_limits(c, conj, &min, &max, &n_prefix);
    if (r < 0 || min > max)
        return r;
    struct nfa *a = c->a;
    uint32_t number = nfa_rule(a), end = a->rules[number].end, at = nfa_node(a);
    schema_space(c, nfa_literal(a, a->rules[number].start, STR("[")), at);
    nfa_call(a, from, to, number);
    size_t n = MIN(n_prefix, (size_t)max);
    for (size_t i = 0; i < n || i == 0; i++) { /* at least the first item, which has no comma */
        CLEANUP_CONJ struct conj item = {0};
        r = item_conj(c, conj, i, &item);
        if (r < 0)
            return r;
        uint32_t next = nfa_node(a), begin = nfa_node(a);
        if (i >= min && i == 0)
            nfa_bytes(a, at, end, ']', ']', 0);
        else if (i >= min)
            schema_close(c, at, end, ']', 0);
        if (max == 0)
            return 0;
        if (i == 0)
            nfa_empty(a, at, begin);
        else
            schema_space(c, nfa_literal(a, at, STR(",")), begin);
        nfa_call(a, begin, next, schema_rule(c, &item));
        at = next;
    }
    uint32_t so_far = (uint32_t)MAX(n, (size_t)1), more = nfa_node(a);
    CLEANUP_CONJ struct conj rest = {0};
    r = item_conj(c, conj, so_far, &rest);
    if (r < 0)
        return r;
    a->rules[number].counts = true;
    a->rules[number].min = min > so_far ? min - so_far : 0;
    a->rules[number].max = max == NFA_NO_LIMIT ? max : max - so_far;
    uint32_t loop = nfa_node(a), comma = nfa_node(a);
    nfa_empty(a, at, loop);
    schema_close(c, loop, end, ']', EDGE_GUARDED);
    nfa_bytes(a, loop, comma, ',', ',', EDGE_COUNTS);
    schema_space(c, comma, more);
    nfa_call(a, more, loop, schema_rule(c, &rest));
    return 0;
}

/* ---- objects ---- */

struct property {
    struct str name;
    bool required;
    uint32_t rule;
};

struct object {
    struct property *list;
    size_t n;
    bool open; /* further keys are possible */
    bool patterns;
    uint32_t min, max; /* properties */
    uint32_t n_required;
};

static size_t find_property(const struct object *o, struct str name)
{
    size_t i = 0;
    while (i < o->n && !str_eq(o->list[i].name, name))
        i++;
    return i;
}

static void add_property(struct object *o, struct str name, bool required)
{
    size_t i = find_property(o, name);
    if (i == o->n) {
        if ((o->n & (o->n - 1)) == 0)
            o->list = xrealloc(o->list, o->n ? o->n * 2 : 1, sizeof(*o->list));
        o->list[o->n++] = (struct property){.name = name};
    }
    o->n_required += required && !o->list[i].required;
    o->list[i].required = o->list[i].required || required;
}

/* Closed unless a schema says otherwise, as soon as properties are named: what OpenAI's strict
 * mode and llama.cpp do. It is never wrong, the texts are only fewer. */
static int collect(struct schema_ctx *c, const struct conj *conj, struct object *o)
{
    bool named = false, said = false, closed = false;
    for (size_t k = 0; k < conj->n; k++) {
        struct part p = conj->parts[k];
        const struct json *props = js_get(p.schema, "properties");
        const struct json *required = js_get(p.schema, "required");
        const struct json *patterns = js_get(p.schema, "patternProperties");
        const struct json *more = js_get(p.schema, "additionalProperties");
        if (props && !js_is(props, JS_OBJECT))
            return schema_refuse(c, ERR_INVALID, p.path, "properties", "must be an object");
        if (patterns && !js_is(patterns, JS_OBJECT))
            return schema_refuse(c, ERR_INVALID, p.path, "patternProperties", "must be an object");
        if (required && !js_is(required, JS_ARRAY))
            return schema_refuse(c, ERR_INVALID, p.path, "required", "must be an array of strings");
        struct json_iter it = {0};
        while (js_len(props) <= PROPERTIES_MAX && js_next(props, &it))
            add_property(o, it.key, false);
        if (o->n > PROPERTIES_MAX || js_len(props) > PROPERTIES_MAX)
            return schema_refuse(c, ERR_TOO_LARGE, p.path, "properties",
                                 "has more than 4000 names");
        if (js_len(patterns) > PATTERNS_MAX || (js_len(patterns) > 0 && o->n > 200))
            return schema_refuse(c, ERR_TOO_LARGE, p.path, "patternProperties",
                                 "is supported with up to 16 patterns and 200 names");
        named = named || js_len(props) > 0 || js_len(patterns) > 0;
        said = said || more;
        closed = closed || (js_is(more, JS_BOOL) && !js_to_bool(more, true));
        o->patterns = o->patterns || js_len(patterns) > 0;
        uint32_t min = 0, max = NFA_NO_LIMIT;
        int r = schema_limits(c, p, "minProperties", "maxProperties", &min, &max);
        if (r < 0)
            return r;
        o->min = MAX(o->min, min);
        o->max = MIN(o->max, max);
    }
    for (size_t k = 0; k < conj->n; k++) {
        const struct json *required = js_get(conj->parts[k].schema, "required");
        if (js_len(required) > PROPERTIES_MAX)
            return schema_refuse(c, ERR_TOO_LARGE, conj->parts[k].path, "required",
                                 "has more than 4000 names");
        for (size_t i = 0; i < js_len(required); i++) {
            if (!js_is(js_at(required, i), JS_STRING))
                return schema_refuse(c, ERR_INVALID, conj->parts[k].path, "required",
                                     "must be an array of strings");
            add_property(o, js_to_str(js_at(required, i)), true);
        }
    }
    o->open = !closed && (said || !named);
    return 0;
}

/* What the value of a key must satisfy; *ret_pattern counts the patterns that say so. */
static int value_conj(struct schema_ctx *c, const struct conj *conj, struct str name,
                      struct conj *ret)
{
    CLEANUP_BUF struct buf text = BUF_INIT(KEY_TEXT_MAX);
    schema_string_text(name, &text);
    for (size_t k = 0; k < conj->n; k++) {
        struct part p = conj->parts[k];
        const struct json *more = js_get(p.schema, "additionalProperties");
        const struct json *own = js_get_n(js_get(p.schema, "properties"), name);
        bool found = own != NULL;
        char shown[96];
        snprintf(shown, sizeof(shown), "properties/%.64s", name.len < 64 ? name.ptr : "…");
        if (own)
            conj_push(ret, part_at(c, p, own, shown));
        struct json_iter it = {0};
        while (js_next(js_get(p.schema, "patternProperties"), &it)) {
            CLEANUP(cleanup_dfa) struct dfa *d = NULL;
            int r = schema_pattern(c, p, it.key, &d);
            if (r < 0)
                return r;
            if (dfa_matches(d, buf_str(&text))) {
                conj_push(ret, part_at(c, p, it.value, "patternProperties"));
                found = true;
            }
        }
        if (!found && more)
            conj_push(ret, part_at(c, p, more, "additionalProperties"));
    }
    return 0;
}

/* A set of keys and what their values must satisfy. */
struct key_set {
    struct dfa *keys; /* NULL: any string */
    uint32_t rule;
};

struct key_sets {
    struct key_set *list;
    size_t n;
};

static void key_sets_release(struct key_sets *s)
{
    for (size_t i = 0; i < s->n; i++)
        dfa_free(s->list[i].keys);
    free(s->list);
}

static void key_sets_push(struct key_sets *s, struct dfa *keys, uint32_t rule)
{
    s->list = xrealloc(s->list, s->n + 1, sizeof(*s->list));
    s->list[s->n++] = (struct key_set){keys, rule};
}

/* All strings but the names that are declared. */
static int undeclared(struct schema_ctx *c, const struct object *o, struct dfa **ret)
{
    struct nfa any = {0}, names = {0};
    struct charset all = {0};
    uint32_t at = nfa_node(&any), end = nfa_node(&any);
    charset_add(&all, 0, 0x10ffff);
    nfa_json_charset(&any, at, at, &all, 0);
    nfa_empty(&any, at, end);
    charset_release(&all);
    CLEANUP(cleanup_dfa) struct dfa *strings = NULL;
    CLEANUP(cleanup_dfa) struct dfa *declared = NULL;
    int r = dfa_from_nfa(&any, at, end, &strings, c->err);
    nfa_release(&any);
    uint32_t first = nfa_node(&names), last = nfa_node(&names);
    for (size_t i = 0; i < o->n; i++) {
        CLEANUP_BUF struct buf text = BUF_INIT(KEY_TEXT_MAX);
        schema_string_text(o->list[i].name, &text);
        nfa_empty(&names, nfa_literal(&names, first, buf_str(&text)), last);
    }
    if (r == 0)
        r = dfa_from_nfa(&names, first, last, &declared, c->err);
    nfa_release(&names);
    return r < 0 ? r : dfa_product(strings, declared, true, ret, c->err);
}

/* Keys that no declaration names: first by each pattern, then all others. */
static int free_keys(struct schema_ctx *c, const struct conj *conj, const struct object *o,
                     struct key_sets *ret)
{
    CLEANUP(cleanup_dfa) struct dfa *rest = NULL;
    int r = o->n > 0 || o->patterns ? undeclared(c, o, &rest) : 0;
    for (size_t k = 0; k < conj->n && r == 0; k++) {
        struct json_iter it = {0};
        while (r == 0 && js_next(js_get(conj->parts[k].schema, "patternProperties"), &it)) {
            struct part p = conj->parts[k];
            CLEANUP(cleanup_dfa) struct dfa *pattern = NULL;
            struct dfa *both = NULL, *without = NULL;
            r = schema_pattern(c, p, it.key, &pattern);
            if (r == 0)
                r = dfa_product(rest, pattern, false, &both, c->err);
            if (r == 0)
                r = dfa_product(rest, pattern, true, &without, c->err);
            if (r < 0) {
                dfa_free(both);
                return r;
            }
            for (size_t i = 0; i < ret->n && r == 0; i++) {
                CLEANUP(cleanup_dfa) struct dfa *shared = NULL;
                r = dfa_product(ret->list[i].keys, pattern, false, &shared, c->err);
                if (r == 0 && !dfa_is_empty(shared))
                    r = schema_refuse(c, ERR_UNSUPPORTED, p.path, "patternProperties",
                                      "has patterns that fit the same name");
            }
            CLEANUP_CONJ struct conj value = {0};
            conj_push(&value, part_at(c, p, it.value, "patternProperties"));
            for (size_t i = 0; i < conj->n; i++) { /* the others see an undeclared name */
                const struct json *more = js_get(conj->parts[i].schema, "additionalProperties");
                if (i != k && more)
                    conj_push(&value, part_at(c, conj->parts[i], more, "additionalProperties"));
            }
            key_sets_push(ret, both, schema_rule(c, &value));
            dfa_free(rest);
            rest = without;
        }
    }
    if (r < 0 || !o->open)
        return r;
    CLEANUP_CONJ struct conj value = {0};
    for (size_t k = 0; k < conj->n; k++) {
        const struct json *more = js_get(conj->parts[k].schema, "additionalProperties");
        if (more)
            conj_push(&value, part_at(c, conj->parts[k], more, "additionalProperties"));
    }
    key_sets_push(ret, TAKE(rest), schema_rule(c, &value));
    return 0;
}

/* : value, behind a key. */
static uint32_t write_value(struct schema_ctx *c, uint32_t rule, uint32_t to)
{
    uint32_t colon = nfa_node(c->a), value = nfa_node(c->a);
    schema_space(c, nfa_literal(c->a, colon, STR(":")), value);
    nfa_call(c->a, value, to, rule);
    return colon;
}

static void write_free_pair(struct schema_ctx *c, bool first, const struct key_set *keys,
                            uint32_t key_rule, uint32_t from, uint32_t to)
{
    uint32_t at = from, colon = nfa_node(c->a), value = nfa_node(c->a);
    if (!first) {
        at = nfa_node(c->a);
        schema_space(c, nfa_literal(c->a, from, STR(",")), at);
    }
    if (keys->keys)
        nfa_call(c->a, at, colon, key_rule);
    else
        schema_any_string(c, at, colon, 0, NFA_NO_LIMIT);
    schema_space(c, nfa_literal(c->a, colon, STR(":")), value);
    nfa_call(c->a, value, to, keys->rule);
}

static uint32_t rule_of_keys(struct schema_ctx *c, const struct key_set *keys)
{
    if (!keys->keys)
        return 0;
    uint32_t rule = nfa_rule(c->a), last = nfa_node(c->a), end = c->a->rules[rule].end;
    dfa_add_to(keys->keys, c->a, nfa_literal(c->a, c->a->rules[rule].start, STR("\"")), last);
    nfa_bytes(c->a, last, end, '"', '"', 0);
    return rule;
}

/* From the nodes (i, k) of the grid, `, "key": value` for each of the properties that may come
 * next: those up to the next one that must be there. */
static void write_keys(struct schema_ctx *c, const struct object *o, const uint32_t *grid,
                       uint32_t n_k, uint32_t k)
{
    struct key_trie keys;
    key_trie_init(&keys, c->a);
    uint32_t root = 0;
    for (size_t i = o->n; i-- > 0 && !c->a->full;) {
        CLEANUP_BUF struct buf key = BUF_INIT(KEY_TEXT_MAX);
        buf_push(&key, '"');
        schema_string_text(o->list[i].name, &key);
        buf_push(&key, '"');
        if (buf_check(&key, "a property's name", c->err) < 0)
            c->a->full = true;
        uint32_t to = grid[(i + 1) * (n_k + 1) + MIN(k + 1, n_k)], at = grid[i * (n_k + 1) + k];
        root = key_trie_add(&keys, o->list[i].required ? 0 : root, buf_str(&key),
                            write_value(c, o->list[i].rule, to));
        if (k == 0)
            nfa_empty(c->a, at, key_trie_start(&keys, root));
        else
            schema_space(c, nfa_literal(c->a, at, STR(",")), key_trie_start(&keys, root));
    }
    key_trie_release(&keys);
}

/* Nodes (i, k): declared properties up to i are behind us, k were written; k stops counting where
 * more makes no difference. */
static int write_grid(struct schema_ctx *c, const struct object *o,
                      const struct key_sets *free_sets, uint32_t from, uint32_t to)
{
    struct nfa *a = c->a;
    bool limited = o->max != NFA_NO_LIMIT;
    uint32_t n_k = limited ? o->max : MAX(o->min, 1u);
    uint64_t n_nodes = ((uint64_t)n_k + 1) * (o->n + 1);
    if (n_nodes > GRID_MAX)
        return error_set(c->err, ERR_TOO_LARGE,
                         "an object with this many properties and these bounds is too large");
    uint32_t *grid = xcalloc(n_nodes, sizeof(*grid));
    for (uint64_t i = 0; i < n_nodes; i++)
        grid[i] = nfa_node(a);
    nfa_empty(a, from, grid[0]);
    for (uint32_t k = 0; k <= n_k && !a->full; k++) {
        if (k < n_k || !limited)
            write_keys(c, o, grid, n_k, k);
        for (size_t i = o->n; i-- > 0 && !o->list[i].required;) /* none of the rest */
            nfa_empty(a, grid[i * (n_k + 1) + k], grid[o->n * (n_k + 1) + k]);
    }
    uint32_t *last = &grid[o->n * (n_k + 1)];
    for (size_t s = 0; s < free_sets->n; s++) {
        uint32_t key_rule = rule_of_keys(c, &free_sets->list[s]);
        for (uint32_t k = 0; k <= n_k; k++)
            if (k < n_k || !limited)
                write_free_pair(c, k == 0, &free_sets->list[s], key_rule, last[k],
                                last[MIN(k + 1, n_k)]);
    }
    for (uint32_t k = o->min; k <= n_k; k++) {
        if (k == 0)
            nfa_bytes(a, last[k], to, '}', '}', 0);
        else
            schema_close(c, last[k], to, '}', 0);
    }
    free(grid);
    return 0;
}

static int write_object(struct schema_ctx *c, const struct conj *conj, struct object *o,
                        struct key_sets *free_sets, uint32_t from, uint32_t to)
{
    int r = collect(c, conj, o);
    for (size_t i = 0; i < o->n && r == 0; i++) {
        CLEANUP_CONJ struct conj value = {0};
        r = value_conj(c, conj, o->list[i].name, &value);
        if (r == 0)
            o->list[i].rule = schema_rule(c, &value);
    }
    if (r == 0 && (o->open || o->patterns))
        r = free_keys(c, conj, o, free_sets);
    if (r < 0 || o->min > o->max)
        return r;
    /* Keys of our own making may repeat, and then count once only. */
    if (free_sets->n > 0 && o->min > o->n_required + 1)
        return schema_refuse(c, ERR_UNSUPPORTED, conj->parts[0].path, "minProperties",
                             "is not supported where the names are not all declared");
    uint32_t rule = nfa_rule(c->a), at = nfa_node(c->a);
    schema_space(c, nfa_literal(c->a, c->a->rules[rule].start, STR("{")), at);
    nfa_call(c->a, from, to, rule);
    return write_grid(c, o, free_sets, at, c->a->rules[rule].end);
}

int schema_write_object(struct schema_ctx *c, const struct conj *conj, uint32_t from, uint32_t to)
{
    struct object o = {.max = NFA_NO_LIMIT};
    struct key_sets free_sets = {0};
    int r = write_object(c, conj, &o, &free_sets, from, to);
    key_sets_release(&free_sets);
    free(o.list);
    return r;
}
