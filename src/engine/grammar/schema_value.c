/* SPDX-License-Identifier: Apache-2.0
 *
 * The automata of plain schemas: types, enumerations, numbers, strings. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/grammar/format.h"
#include "engine/grammar/number.h"
#include "engine/grammar/regex.h"
#include "engine/grammar/schema_internal.h"

enum { VALUES_MAX = 5000, TEXT_MAX = 1 << 20, COUNT_MAX = 1 << 30, CODE_POINT_MAX = 0x10ffff };

/* ---- keywords ---- */

static int count(struct schema_ctx *c, struct part p, const char *key, uint32_t *ret)
{
    const struct json *v = js_get(p.schema, key);
    if (!v)
        return 0;
    int64_t n = js_to_int(v, -1);
    if (n < 0 || !js_is_number(v))
        return schema_refuse(c, ERR_INVALID, p.path, key, "must be a whole number from 0");
    *ret = (uint32_t)MIN(n, COUNT_MAX);
    return 0;
}

int schema_limits(struct schema_ctx *c, struct part p, const char *min_key, const char *max_key,
                  uint32_t *min, uint32_t *max)
{
    int r = count(c, p, min_key, min);
    return r < 0 ? r : count(c, p, max_key, max);
}

static int type_named(struct schema_ctx *c, struct part p, const struct json *name, unsigned *types)
{
    static const struct {
        const char *name;
        unsigned types;
    } names[] = {{"null", T_NULL},     {"boolean", T_BOOL},
                 {"integer", T_INT},   {"number", T_INT | T_NUMBER},
                 {"string", T_STRING}, {"array", T_ARRAY},
                 {"object", T_OBJECT}};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (str_eq_c(js_to_str(name), names[i].name)) {
            *types |= names[i].types;
            return 0;
        }
    return schema_refuse(c, ERR_INVALID, p.path, "type",
                         "must name a JSON type, or be an array of them");
}

int schema_type(struct schema_ctx *c, struct part p, unsigned *ret)
{
    const struct json *v = js_get(p.schema, "type"), *nullable = js_get(p.schema, "nullable");
    int r = 0;
    *ret = v ? 0 : T_ALL;
    if (js_is(v, JS_STRING))
        r = type_named(c, p, v, ret);
    else if (js_is(v, JS_ARRAY))
        for (size_t i = 0; i < js_len(v) && r == 0; i++)
            r = type_named(c, p, js_at(v, i), ret);
    else if (v)
        r = type_named(c, p, v, ret);
    if (r == 0 && nullable && !js_is(nullable, JS_BOOL))
        r = schema_refuse(c, ERR_INVALID, p.path, "nullable", "must be true or false");
    if (js_to_bool(nullable, false))
        *ret |= T_NULL;
    return r;
}

int schema_pattern(struct schema_ctx *c, struct part p, struct str pattern, struct dfa **ret)
{
    int r = regex_to_dfa(pattern, ret, c->err);
    return r < 0 ? error_wrap(c->err, "schema %s", p.path) : 0;
}

void schema_string_text(struct str s, struct buf *out)
{
    CLEANUP_BUF struct buf quoted = BUF_INIT(TEXT_MAX * 8);
    js_write_string(s, &quoted);
    struct str q = buf_str(&quoted);
    if (q.len >= 2)
        buf_append(out, str_sub(q, 1, q.len - 2));
}

/* ---- white space: nothing, a space, or a line break and its indentation ---- */

void schema_space(struct schema_ctx *c, uint32_t from, uint32_t to)
{
    if (!c->space) {
        uint32_t rest = nfa_rule(c->a), rule = nfa_rule(c->a);
        uint32_t at = c->a->rules[rest].start, end = c->a->rules[rest].end;
        uint32_t line = nfa_node(c->a);
        nfa_empty(c->a, at, line);
        nfa_bytes(c->a, at, line, '\n', '\n', 0);
        for (int i = 0; i < 24; i++) {
            uint32_t next = nfa_node(c->a);
            nfa_empty(c->a, line, end);
            nfa_bytes(c->a, line, next, ' ', ' ', 0);
            nfa_bytes(c->a, line, next, '\t', '\t', 0);
            line = next;
        }
        nfa_empty(c->a, line, end);
        uint32_t first = c->a->rules[rule].start, last = c->a->rules[rule].end;
        nfa_empty(c->a, first, last);
        nfa_bytes(c->a, first, last, ' ', ' ', 0);
        nfa_call(c->a, nfa_literal(c->a, first, STR("\n")), last, rest);
        c->space = rule + 1;
        c->space_rest = rest + 1;
    }
    nfa_call(c->a, from, to, c->space - 1);
}

/* Where the bracket depends on a count, so does the white space in front of it. */
void schema_close(struct schema_ctx *c, uint32_t from, uint32_t to, char bracket, unsigned flags)
{
    uint32_t ready = nfa_node(c->a), line = nfa_node(c->a), unused = nfa_node(c->a);
    if (!c->space)
        schema_space(c, unused, unused);
    nfa_bytes(c->a, from, to, (uint8_t)bracket, (uint8_t)bracket, flags);
    nfa_bytes(c->a, from, ready, ' ', ' ', flags);
    nfa_bytes(c->a, from, line, '\n', '\n', flags);
    nfa_call(c->a, line, ready, c->space_rest - 1);
    nfa_bytes(c->a, ready, to, (uint8_t)bracket, (uint8_t)bracket, 0);
}

/* ---- strings ---- */

static uint32_t hex_digits(struct nfa *a, uint32_t from, const char *first, int n)
{
    for (int i = 0; i < n; i++) {
        uint32_t to = nfa_node(a);
        if (i == 0 && first) {
            for (const char *p = first; *p; p++)
                nfa_bytes(a, from, to, (uint8_t)*p, (uint8_t)*p, 0);
        } else {
            nfa_bytes(a, from, to, '0', '9', 0);
            nfa_bytes(a, from, to, 'a', 'f', 0);
            nfa_bytes(a, from, to, 'A', 'F', 0);
        }
        from = to;
    }
    return from;
}

/* One character in any of its spellings; a surrogate pair is one, half of one none. */
static void any_char(struct nfa *a, uint32_t from, uint32_t to, unsigned flags)
{
    uint32_t escape = nfa_node(a), u = nfa_node(a);
    struct charset set = {0};
    charset_add(&set, 0x20, '"' - 1);
    charset_add(&set, '"' + 1, '\\' - 1);
    charset_add(&set, '\\' + 1, CODE_POINT_MAX);
    nfa_charset(a, from, to, &set, flags);
    charset_release(&set);
    nfa_bytes(a, from, escape, '\\', '\\', flags);
    for (const char *p = "\"\\/bfnrt"; *p; p++)
        nfa_bytes(a, escape, to, (uint8_t)*p, (uint8_t)*p, 0);
    nfa_bytes(a, escape, u, 'u', 'u', 0);
    nfa_empty(a, hex_digits(a, u, "0123456789abcefABCEF", 4), to);
    uint32_t d = nfa_literal(a, u, STR("d")), second = nfa_node(a);
    nfa_bytes(a, u, d, 'D', 'D', 0);
    nfa_empty(a, hex_digits(a, d, "01234567", 3), to);
    nfa_empty(a, hex_digits(a, d, "89abAB", 3), second);
    uint32_t low = nfa_literal(a, second, STR("\\u")), low_d = nfa_node(a);
    nfa_bytes(a, low, low_d, 'd', 'd', 0);
    nfa_bytes(a, low, low_d, 'D', 'D', 0);
    nfa_empty(a, hex_digits(a, low_d, "cdefCDEF", 3), to);
}

/* A rule that counts: min to max characters of the set, NULL = of any. */
static uint32_t counted_rule(struct nfa *a, struct charset *set, uint32_t min, uint32_t max)
{
    uint32_t number = nfa_rule(a);
    struct nfa_rule *rule = &a->rules[number];
    rule->counts = true;
    rule->min = min;
    rule->max = max;
    uint32_t end = rule->end, loop = nfa_literal(a, rule->start, STR("\""));
    if (max > 0) {
        if (set)
            nfa_json_charset(a, loop, loop, set, EDGE_COUNTS);
        else
            any_char(a, loop, loop, EDGE_COUNTS);
    }
    nfa_bytes(a, loop, end, '"', '"', EDGE_GUARDED);
    return number;
}

void schema_any_string(struct schema_ctx *c, uint32_t from, uint32_t to, uint32_t min, uint32_t max)
{
    size_t i = 0;
    while (i < c->n_strings && (c->strings[i].min != min || c->strings[i].max != max))
        i++;
    if (i == c->n_strings) {
        if ((i & (i - 1)) == 0)
            c->strings = xrealloc(c->strings, i ? i * 2 : 1, sizeof(*c->strings));
        c->strings[c->n_strings++] =
            (struct counted_string){min, max, counted_rule(c->a, NULL, min, max)};
    }
    nfa_call(c->a, from, to, c->strings[i].rule);
}

/* min to max characters, to be intersected with. */
static int length_dfa(uint32_t min, uint32_t max, struct dfa **ret, struct error *err)
{
    uint32_t n = max == NFA_NO_LIMIT ? min : max;
    if (n > 2000)
        return error_set(err, ERR_UNSUPPORTED,
                         "a length of %u together with a pattern or format is too large", n);
    struct nfa a = {0};
    struct charset any = {0};
    uint32_t at = nfa_node(&a), start = at, end = nfa_node(&a);
    charset_add(&any, 0, CODE_POINT_MAX);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t next = nfa_node(&a);
        if (i >= min)
            nfa_empty(&a, at, end);
        nfa_json_charset(&a, at, next, &any, 0);
        at = next;
    }
    if (max == NFA_NO_LIMIT)
        nfa_json_charset(&a, at, at, &any, 0);
    nfa_empty(&a, at, end);
    charset_release(&any);
    int r = dfa_from_nfa(&a, start, end, ret, err);
    nfa_release(&a);
    return r;
}

/* *set becomes what is in both; *set may be NULL, everything. Takes over `other`. */
static int intersect(struct dfa **set, struct dfa *other, bool minus, struct error *err)
{
    if (!*set && !minus) {
        *set = other;
        return 0;
    }
    struct dfa *both = NULL;
    int r = *set ? 0 : length_dfa(0, NFA_NO_LIMIT, set, err);
    if (r == 0)
        r = dfa_product(*set, other, minus, &both, err);
    dfa_free(other);
    if (r < 0)
        return r;
    dfa_free(*set);
    *set = both;
    return 0;
}

/* `not` of a pattern, or of strings that are listed. */
static int exclude_strings(struct schema_ctx *c, struct part p, struct dfa **set)
{
    const struct json *not = js_get(p.schema, "not"), *list = js_get(not, "enum");
    const struct json *one = js_get(not, "const");
    struct str pattern = js_get_str(not, "pattern");
    if (pattern.ptr) {
        struct dfa *d;
        int r = schema_pattern(c, p, pattern, &d);
        return r < 0 ? r : intersect(set, d, true, c->err);
    }
    if (!list && !one)
        return 0;
    struct nfa a = {0};
    uint32_t start = nfa_node(&a), end = nfa_node(&a);
    for (size_t i = 0; i < (list ? js_len(list) : 1); i++) {
        const struct json *v = list ? js_at(list, i) : one;
        CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
        if (!js_is(v, JS_STRING))
            continue;
        schema_string_text(js_to_str(v), &text);
        nfa_empty(&a, nfa_literal(&a, start, buf_str(&text)), end);
    }
    struct dfa *d;
    int r = dfa_from_nfa(&a, start, end, &d, c->err);
    nfa_release(&a);
    return r < 0 ? r : intersect(set, d, true, c->err);
}

struct string_limits {
    uint32_t min, max;
    size_t n_patterns; /* patterns, formats and exclusions */
    struct str pattern;
};

static int string_limits(struct schema_ctx *c, const struct conj *conj, struct string_limits *s)
{
    *s = (struct string_limits){.max = NFA_NO_LIMIT};
    for (size_t i = 0; i < conj->n; i++) {
        struct part p = conj->parts[i];
        uint32_t min = 0, max = NFA_NO_LIMIT;
        int r = schema_limits(c, p, "minLength", "maxLength", &min, &max);
        if (r < 0)
            return r;
        s->min = MAX(s->min, min);
        s->max = MIN(s->max, max);
        const struct json *pattern = js_get(p.schema, "pattern"), *not = js_get(p.schema, "not");
        if (pattern && !js_is(pattern, JS_STRING))
            return schema_refuse(c, ERR_INVALID, p.path, "pattern", "must be a string");
        if (pattern) {
            s->n_patterns++;
            s->pattern = js_to_str(pattern);
        }
        struct str format = js_get_str(p.schema, "format");
        s->n_patterns += format.ptr && !format_is_annotation(format) ? 2 : 0;
        s->n_patterns += not ? 2 : 0;
    }
    return 0;
}

static int string_set(struct schema_ctx *c, const struct conj *conj, struct dfa **set)
{
    int r = 0;
    for (size_t i = 0; i < conj->n && r == 0; i++) {
        struct part p = conj->parts[i];
        struct str pattern = js_get_str(p.schema, "pattern"),
                   format = js_get_str(p.schema, "format");
        struct dfa *d;
        if (pattern.ptr) {
            r = schema_pattern(c, p, pattern, &d);
            if (r == 0)
                r = intersect(set, d, false, c->err);
        }
        if (r == 0 && format.ptr && !format_is_annotation(format)) {
            const char *known = format_pattern(format);
            if (!known)
                return error_set(c->err, ERR_UNSUPPORTED,
                                 "schema %s: 'format' of '%.*s' is not supported", p.path,
                                 STR_ARG(format));
            r = schema_pattern(c, p, str_from(known), &d);
            if (r == 0)
                r = intersect(set, d, false, c->err);
        }
        if (r == 0)
            r = exclude_strings(c, p, set);
    }
    return r;
}

int schema_write_string(struct schema_ctx *c, const struct conj *conj, uint32_t from, uint32_t to)
{
    struct string_limits s;
    int r = string_limits(c, conj, &s);
    if (r < 0 || s.min > s.max)
        return r;
    struct charset one = {0};
    uint32_t min, max;
    if (s.n_patterns == 1 && regex_is_repetition(s.pattern, &one, &min, &max)) {
        min = MAX(min, s.min);
        max = MIN(max, s.max);
        if (min <= max && (one.n > 0 || min == 0))
            nfa_call(c->a, from, to, counted_rule(c->a, &one, min, one.n ? max : 0));
        charset_release(&one);
        return 0;
    }
    CLEANUP(cleanup_dfa) struct dfa *set = NULL;
    r = string_set(c, conj, &set);
    if (r == 0 &&
        !set) { /* nothing excludes a string, not even a "not", which may speak of others */
        schema_any_string(c, from, to, s.min, s.max);
        return 0;
    }
    if (r == 0 && (s.min > 0 || s.max != NFA_NO_LIMIT)) {
        struct dfa *d;
        r = length_dfa(s.min, s.max, &d, c->err);
        if (r < 0)
            return error_wrap(c->err, "schema %s", conj->parts[0].path);
        r = intersect(&set, d, false, c->err);
    }
    if (r < 0)
        return r;
    uint32_t rule = nfa_rule(c->a); /* of its own, so that masks are computed for it alone */
    uint32_t end = c->a->rules[rule].end, last = nfa_node(c->a);
    dfa_add_to(set, c->a, nfa_literal(c->a, c->a->rules[rule].start, STR("\"")), last);
    nfa_bytes(c->a, last, end, '"', '"', 0);
    nfa_call(c->a, from, to, rule);
    return 0;
}

/* ---- numbers ---- */

/* Draft 4 has exclusiveMinimum: true beside minimum; later drafts a number. */
static int bound(struct schema_ctx *c, struct part p, bool upper, struct number_range *range)
{
    const char *plain = upper ? "maximum" : "minimum";
    const char *exclusive = upper ? "exclusiveMaximum" : "exclusiveMinimum";
    const struct json *v[2] = {js_get(p.schema, plain), js_get(p.schema, exclusive)};
    bool open[2] = {js_to_bool(v[1], false), true};
    if (js_is(v[1], JS_BOOL))
        v[1] = NULL;
    for (int i = 0; i < 2; i++) {
        const struct json **to = upper ? &range->max : &range->min;
        bool *to_open = upper ? &range->max_open : &range->min_open;
        if (!v[i])
            continue;
        if (!js_is_number(v[i]))
            return schema_refuse(c, ERR_INVALID, p.path, i ? exclusive : plain, "must be a number");
        double x = js_to_real(v[i], 0), old = js_to_real(*to, 0);
        bool tighter = !*to || (upper ? x < old : x > old);
        bool same = *to && !(x < old) && !(x > old);
        if (tighter || (same && open[i])) {
            *to = v[i];
            *to_open = open[i];
        }
    }
    return 0;
}

static int write_number(struct schema_ctx *c, const struct conj *conj, bool integer, uint32_t from,
                        uint32_t to)
{
    CLEANUP(cleanup_dfa) struct dfa *set = NULL;
    struct dfa *d;
    struct number_range range = {0};
    bool limited = false;
    for (size_t i = 0; i < conj->n; i++) {
        struct part p = conj->parts[i];
        int r = bound(c, p, false, &range);
        if (r == 0)
            r = bound(c, p, true, &range);
        const struct json *multiple = js_get(p.schema, "multipleOf");
        if (r == 0 && multiple) {
            r = number_multiple_dfa(multiple, &d, c->err);
            if (r < 0)
                return error_wrap(c->err, "schema %s: 'multipleOf'", p.path);
            r = intersect(&set, d, false, c->err);
            limited = true;
        }
        if (r < 0)
            return r;
    }
    if (range.min || range.max) {
        int r = number_range_dfa(&range, integer, &d, c->err);
        if (r < 0)
            return error_wrap(c->err, "schema %s: 'minimum' or 'maximum'", conj->parts[0].path);
        r = intersect(&set, d, false, c->err);
        if (r < 0)
            return r;
        limited = true;
    }
    uint32_t *shared = integer ? &c->integer : &c->number;
    if (!limited && *shared) {
        nfa_call(c->a, from, to, *shared - 1);
        return 0;
    }
    int r = number_any_dfa(integer, &d, c->err);
    if (r == 0)
        r = intersect(&set, d, false, c->err);
    if (r < 0)
        return r;
    uint32_t rule = nfa_rule(c->a);
    dfa_add_to(set, c->a, c->a->rules[rule].start, c->a->rules[rule].end);
    nfa_call(c->a, from, to, rule);
    if (!limited)
        *shared = rule + 1;
    return 0;
}

/* ---- enumerations ---- */

static void write_literal(struct schema_ctx *c, const struct json *v, uint32_t from, uint32_t to)
{
    CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
    double d = js_to_real(v, 0);
    if (js_is(v, JS_REAL) && d > -1e15 && d < 1e15 && !((double)(int64_t)d < d) &&
        !((double)(int64_t)d > d))
        buf_printf(&text, "%lld", (long long)d); /* 1.0 is 1 */
    else
        js_write(v, JS_COMPACT, &text);
    if (buf_check(&text, "a value in the schema", NULL) < 0)
        c->a->full = true;
    nfa_empty(c->a, nfa_literal(c->a, from, buf_str(&text)), to);
}

static int write_values(struct schema_ctx *c, const struct conj *conj, const struct json *list,
                        const struct json *one, uint32_t from, uint32_t to)
{
    for (size_t i = 0; i < (list ? js_len(list) : 1); i++) {
        const struct json *v = list ? js_at(list, i) : one;
        int fits = 1;
        for (size_t k = 0; k < conj->n && fits == 1; k++)
            fits = schema_check(c, conj->parts[k], v, 0);
        if (fits < 0)
            return fits;
        if (fits)
            write_literal(c, v, from, to);
    }
    return 0;
}

/* ---- a conjunction ---- */

/* What `not` can say: types, patterns and strings. Everything else is refused. */
static int apply_not(struct schema_ctx *c, struct part p, unsigned *types)
{
    const struct json *not = js_get(p.schema, "not");
    if (!not )
        return 0;
    unsigned excluded;
    struct part inner = {not, schema_path(c, p.path, "not"), 0};
    if (js_is(not, JS_BOOL) || (js_is(not, JS_OBJECT) && js_len(not ) == 0)) {
        *types = js_to_bool(not, true) ? 0 : *types;
        return 0;
    }
    struct json_iter it = {0};
    size_t n = 0;
    bool by_type = false, by_text = false;
    while (js_next(not, &it)) {
        bool says_nothing = str_eq_c(it.key, "description") || str_eq_c(it.key, "title") ||
                            str_eq_c(it.key, "$comment");
        n += !says_nothing;
        by_type = by_type || str_eq_c(it.key, "type");
        by_text = by_text || str_eq_c(it.key, "pattern") || str_eq_c(it.key, "enum") ||
                  str_eq_c(it.key, "const");
    }
    int r = schema_type(c, inner, &excluded);
    if (r < 0)
        return r;
    if (n == 1 && by_type) {
        if ((excluded & T_INT) && !(excluded & T_NUMBER) && (*types & T_NUMBER))
            return schema_refuse(c, ERR_UNSUPPORTED, p.path, "not",
                                 "of 'integer' is supported only where no number is possible");
        *types &= ~excluded;
        return 0;
    }
    /* A pattern holds for all that is no string, so only strings are left. */
    if (n == 1 && js_get(not, "pattern")) {
        *types &= T_STRING;
        return 0;
    }
    bool only_strings = (*types & ~(unsigned)(T_STRING | T_NULL | T_BOOL)) == 0;
    const struct json *list = js_get(not, "enum");
    if (n == 1 && by_text && only_strings && (!list || js_is(list, JS_ARRAY))) {
        bool simple = true;
        for (size_t i = 0; i < (list ? js_len(list) : 1); i++) {
            const struct json *v = list ? js_at(list, i) : js_get(not, "const");
            if (js_is(v, JS_NULL))
                *types &= ~(unsigned)T_NULL;
            simple = simple && !js_is(v, JS_BOOL);
        }
        if (simple)
            return 0;
    }
    return schema_refuse(c, ERR_UNSUPPORTED, p.path, "not",
                         "is supported for a 'type', a 'pattern', or an 'enum' or 'const' of "
                         "strings where the type is a string");
}

/* Formats of numbers that OpenAPI has: bounds for integers of 32 bits, nothing for the others. */
static int check_format(struct schema_ctx *c, struct part p, unsigned types)
{
    const struct json *v = js_get(p.schema, "format");
    struct str format = js_to_str(v);
    if (!v || format_is_annotation(format))
        return 0;
    if (!format.ptr)
        return schema_refuse(c, ERR_INVALID, p.path, "format", "must be a string");
    if (!format_pattern(format) && (types & T_STRING))
        return error_set(c->err, ERR_UNSUPPORTED, "schema %s: 'format' of '%.*s' is not supported",
                         p.path, STR_ARG(format));
    if (!format_pattern(format) && !str_eq_c(format, "int64"))
        return error_set(c->err, ERR_UNSUPPORTED, "schema %s: 'format' of '%.*s' is not supported",
                         p.path, STR_ARG(format));
    return 0;
}

int schema_write(struct schema_ctx *c, const struct conj *conj, uint32_t from, uint32_t to)
{
    unsigned types = T_ALL;
    const struct json *list = NULL, *one = NULL;
    for (size_t i = 0; i < conj->n; i++) {
        unsigned t;
        int r = schema_type(c, conj->parts[i], &t);
        if (r < 0)
            return r;
        types &= t;
        const struct json *e = js_get(conj->parts[i].schema, "enum");
        if (e && (!js_is(e, JS_ARRAY) || js_len(e) == 0))
            return schema_refuse(c, ERR_INVALID, conj->parts[i].path, "enum",
                                 "must be an array that is not empty");
        if (js_len(e) > VALUES_MAX)
            return schema_refuse(c, ERR_TOO_LARGE, conj->parts[i].path, "enum",
                                 "has more than 5000 values");
        list = e ? e : list;
        one = js_get(conj->parts[i].schema, "const") ? js_get(conj->parts[i].schema, "const") : one;
    }
    if (list || one)
        return write_values(c, conj, one ? NULL : list, one, from, to);
    for (size_t i = 0; i < conj->n; i++) {
        int r = check_format(c, conj->parts[i], types);
        if (r == 0)
            r = apply_not(c, conj->parts[i], &types);
        if (r < 0)
            return r;
    }
    int r = 0;
    if (types & T_NULL)
        nfa_empty(c->a, nfa_literal(c->a, from, STR("null")), to);
    if (types & T_BOOL) {
        nfa_empty(c->a, nfa_literal(c->a, from, STR("true")), to);
        nfa_empty(c->a, nfa_literal(c->a, from, STR("false")), to);
    }
    if (types & (T_INT | T_NUMBER))
        r = write_number(c, conj, !(types & T_NUMBER), from, to);
    if (r == 0 && (types & T_STRING))
        r = schema_write_string(c, conj, from, to);
    if (r == 0 && (types & T_ARRAY))
        r = schema_write_array(c, conj, from, to);
    if (r == 0 && (types & T_OBJECT))
        r = schema_write_object(c, conj, from, to);
    return r;
}
