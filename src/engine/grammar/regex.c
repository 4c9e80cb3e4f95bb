/* SPDX-License-Identifier: Apache-2.0
 *
 * Regular expressions: ECMA-262's syntax into expressions. */
#include "engine/grammar/regex.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum { REGEX_DEPTH_MAX = 100, CODE_POINT_MAX = 0x10ffff };

struct regex {
    struct str text;
    size_t at;
    int depth;
    struct exprs *x;
    struct error *err;
};

static int bad(struct regex *r, enum errc code, const char *what)
{
    return error_set(r->err, code, "pattern '%.*s': %s at character %zu", STR_ARG(r->text), what,
                     r->at);
}

static bool more(const struct regex *r)
{
    return r->at < r->text.len;
}

static char peek(const struct regex *r)
{
    return more(r) ? r->text.ptr[r->at] : '\0';
}

static bool eat(struct regex *r, const char *what)
{
    struct str w = str_from(what);
    if (!str_starts_with(str_sub(r->text, r->at, SIZE_MAX), w))
        return false;
    r->at += w.len;
    return true;
}

static int hex(struct regex *r, int digits, uint32_t *ret)
{
    uint32_t v = 0;
    for (int i = 0; i < digits; i++, r->at++) {
        char c = peek(r);
        uint32_t d = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                     : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                     : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                            : 16;
        if (d == 16)
            return bad(r, ERR_INVALID, "a hexadecimal digit is missing");
        v = v * 16 + d;
    }
    *ret = v;
    return 0;
}

static int unicode_escape(struct regex *r, uint32_t *ret)
{
    if (!eat(r, "{")) {
        int e = hex(r, 4, ret);
        uint32_t low;
        if (e < 0 || *ret < 0xd800 || *ret > 0xdbff || !eat(r, "\\u"))
            return e;
        e = hex(r, 4, &low);
        if (e == 0 && (low < 0xdc00 || low > 0xdfff))
            return bad(r, ERR_INVALID, "half of a surrogate pair");
        *ret = 0x10000 + ((*ret - 0xd800) << 10) + (low & 0x3ff);
        return e;
    }
    uint32_t v = 0, d = 0;
    for (int n = 0; !eat(r, "}"); n++) {
        int e = n < 8 ? hex(r, 1, &d) : bad(r, ERR_INVALID, "a '}' is missing");
        if (e < 0)
            return e;
        v = v * 16 + d;
        if (v > CODE_POINT_MAX)
            return bad(r, ERR_INVALID, "no such character");
    }
    *ret = v;
    return 0;
}

static void add_class(struct charset *to, char c)
{
    struct charset s = {0};
    switch (c | 0x20) {
    case 'd':
        charset_add(&s, '0', '9');
        break;
    case 'w':
        charset_add(&s, '0', '9');
        charset_add(&s, 'A', 'Z');
        charset_add(&s, '_', '_');
        charset_add(&s, 'a', 'z');
        break;
    default: { /* s: white space and line ends */
        static const uint32_t spaces[][2] = {{9, 13},          {0x20, 0x20},     {0xa0, 0xa0},
                                             {0x1680, 0x1680}, {0x2000, 0x200a}, {0x2028, 0x2029},
                                             {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000},
                                             {0xfeff, 0xfeff}};
        for (size_t i = 0; i < ARRAY_LEN(spaces); i++)
            charset_add(&s, spaces[i][0], spaces[i][1]);
    }
    }
    if (c < 'a')
        charset_negate(&s);
    for (size_t i = 0; i < s.n; i++)
        charset_add(to, s.ranges[i].lo, s.ranges[i].hi);
    charset_release(&s);
}

/* Behind a backslash. A class goes into *set and *ret_class is set, a character into *ret_cp. */
static int escape(struct regex *r, bool in_class, struct charset *set, bool *ret_class,
                  uint32_t *ret_cp)
{
    char c = peek(r);
    *ret_class = false;
    if (!more(r))
        return bad(r, ERR_INVALID, "nothing follows the backslash");
    r->at++;
    switch (c) {
    case 'd':
    case 'D':
    case 'w':
    case 'W':
    case 's':
    case 'S':
        add_class(set, c);
        *ret_class = true;
        return 0;
    case 't':
        *ret_cp = '\t';
        return 0;
    case 'n':
        *ret_cp = '\n';
        return 0;
    case 'r':
        *ret_cp = '\r';
        return 0;
    case 'f':
        *ret_cp = '\f';
        return 0;
    case 'v':
        *ret_cp = '\v';
        return 0;
    case 'x':
        return hex(r, 2, ret_cp);
    case 'u':
        return unicode_escape(r, ret_cp);
    case 'c':
        *ret_cp = (uint32_t)peek(r) & 31;
        if ((peek(r) | 0x20) < 'a' || (peek(r) | 0x20) > 'z')
            return bad(r, ERR_INVALID, "\\c needs a letter");
        r->at++;
        return 0;
    case 'b':
        *ret_cp = '\b';
        return in_class ? 0 : bad(r, ERR_UNSUPPORTED, "word borders (\\b) are not supported");
    case '0':
        *ret_cp = 0;
        if (peek(r) >= '0' && peek(r) <= '9')
            return bad(r, ERR_UNSUPPORTED, "octal escapes are not supported");
        return 0;
    case 'B':
        return bad(r, ERR_UNSUPPORTED, "word borders (\\B) are not supported");
    case 'p':
    case 'P':
        return bad(r, ERR_UNSUPPORTED, "Unicode properties (\\p) are not supported");
    case 'k':
        return bad(r, ERR_UNSUPPORTED, "back references are not supported");
    default:
        break;
    }
    if (c >= '1' && c <= '9')
        return bad(r, ERR_UNSUPPORTED, "back references are not supported");
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (unsigned char)c >= 0x80)
        return bad(r, ERR_INVALID, "an unknown escape");
    *ret_cp = (uint8_t)c;
    return 0;
}

static int character(struct regex *r, uint32_t *ret)
{
    size_t n = utf8_decode(r->text.ptr + r->at, r->text.len - r->at, ret);
    r->at += MAX(n, 1u);
    return n == 0 ? bad(r, ERR_INVALID, "no valid UTF-8") : 0;
}

static int class_atom(struct regex *r, struct charset *set, bool *ret_class, uint32_t *ret)
{
    *ret_class = false;
    return eat(r, "\\") ? escape(r, true, set, ret_class, ret) : character(r, ret);
}

static int char_class(struct regex *r, struct charset *set)
{
    bool negated = eat(r, "^");
    while (!eat(r, "]")) {
        bool is_class, hi_class = false;
        uint32_t lo = 0, hi;
        if (!more(r))
            return bad(r, ERR_INVALID, "a ']' is missing");
        int e = class_atom(r, set, &is_class, &lo);
        hi = lo;
        if (e == 0 && peek(r) == '-' && r->at + 1 < r->text.len && r->text.ptr[r->at + 1] != ']') {
            r->at++;
            e = class_atom(r, set, &hi_class, &hi);
            if (e == 0 && (is_class || hi_class || hi < lo))
                return bad(r, ERR_INVALID, "a range that is none");
        }
        if (e < 0)
            return e;
        if (!is_class)
            charset_add(set, lo, hi);
    }
    if (negated)
        charset_negate(set);
    return 0;
}

static int alternatives(struct regex *r, uint32_t *ret);

static int group_atom(struct regex *r, uint32_t *ret)
{
    if (eat(r, "?") && !eat(r, ":")) {
        bool named = eat(r, "<") && peek(r) != '=' && peek(r) != '!';
        if (!named)
            return bad(r, ERR_UNSUPPORTED, "look-around is not supported");
        while (more(r) && peek(r) != '>')
            r->at++;
        if (!eat(r, ">"))
            return bad(r, ERR_INVALID, "a '>' is missing");
    }
    if (++r->depth > REGEX_DEPTH_MAX)
        return bad(r, ERR_TOO_LARGE, "groups are nested too deeply");
    int e = alternatives(r, ret);
    r->depth--;
    if (e == 0 && !eat(r, ")"))
        return bad(r, ERR_INVALID, "a ')' is missing");
    return e;
}

static int atom(struct regex *r, uint32_t *ret, bool *ret_assertion)
{
    *ret_assertion = true;
    if (eat(r, "^")) {
        *ret = expr_new(r->x, EXPR_BEGIN);
        return 0;
    }
    if (eat(r, "$")) {
        *ret = expr_new(r->x, EXPR_END);
        return 0;
    }
    *ret_assertion = false;
    if (eat(r, "("))
        return group_atom(r, ret);
    if (strchr("*+?{}])", peek(r)))
        return bad(r, ERR_INVALID, "an unexpected character");
    struct charset set = {0};
    bool is_class = true;
    uint32_t cp = 0;
    int e = 0;
    if (eat(r, ".")) {
        charset_add(&set, '\n', '\n');
        charset_add(&set, '\r', '\r');
        charset_add(&set, 0x2028, 0x2029);
        charset_negate(&set);
    } else if (eat(r, "[")) {
        e = char_class(r, &set);
    } else if (eat(r, "\\")) {
        e = escape(r, false, &set, &is_class, &cp);
    } else {
        is_class = false;
        e = character(r, &cp);
    }
    if (!is_class)
        charset_add(&set, cp, cp);
    *ret = expr_new(r->x, EXPR_SET);
    r->x->list[*ret].set = set;
    return e;
}

static bool number(struct regex *r, uint32_t *ret)
{
    size_t begin = r->at;
    uint64_t v = 0;
    for (; peek(r) >= '0' && peek(r) <= '9'; r->at++)
        v = MIN(v * 10 + (uint64_t)(peek(r) - '0'), (uint64_t)UINT32_MAX - 1);
    *ret = (uint32_t)v;
    return r->at > begin;
}

static int quantifier(struct regex *r, uint32_t *item, bool assertion)
{
    uint32_t min, max;
    if (eat(r, "*")) {
        min = 0, max = NFA_NO_LIMIT;
    } else if (eat(r, "+")) {
        min = 1, max = NFA_NO_LIMIT;
    } else if (eat(r, "?")) {
        min = 0, max = 1;
    } else if (eat(r, "{")) {
        if (!number(r, &min))
            return bad(r, ERR_INVALID, "a number is missing");
        max = min;
        if (eat(r, ",") && !number(r, &max))
            max = NFA_NO_LIMIT;
        if (!eat(r, "}"))
            return bad(r, ERR_INVALID, "a '}' is missing");
        if (max < min)
            return bad(r, ERR_INVALID, "the numbers of a repetition are out of order");
    } else {
        return 0;
    }
    if (assertion)
        return bad(r, ERR_INVALID, "there is nothing to repeat");
    eat(r, "?"); /* lazy: finds the same texts */
    *item = expr_repeat(r->x, *item, min, max);
    return 0;
}

static int alternatives(struct regex *r, uint32_t *ret)
{
    *ret = expr_new(r->x, EXPR_ALT);
    do {
        uint32_t seq = expr_new(r->x, EXPR_SEQ);
        while (more(r) && peek(r) != '|' && peek(r) != ')') {
            uint32_t item;
            bool assertion;
            int e = atom(r, &item, &assertion);
            if (e == 0)
                e = quantifier(r, &item, assertion);
            if (e < 0)
                return e;
            expr_push(r->x, seq, item);
        }
        expr_push(r->x, *ret, seq);
    } while (eat(r, "|"));
    return 0;
}

static int parse(struct regex *r, uint32_t *ret)
{
    int e = alternatives(r, ret);
    if (e == 0 && more(r))
        return bad(r, ERR_INVALID, "a ')' too many");
    return e;
}

int regex_to_dfa(struct str pattern, struct dfa **ret, struct error *err)
{
    struct exprs x;
    struct nfa a = {0};
    exprs_init(&x);
    struct regex r = {.text = pattern, .x = &x, .err = err};
    uint32_t e;
    int result = parse(&r, &e);
    if (result == 0) {
        uint32_t any = expr_new(&x, EXPR_SET);
        charset_add(&x.list[any].set, 0, CODE_POINT_MAX);
        uint32_t anything = expr_repeat(&x, any, 0, NFA_NO_LIMIT);
        uint32_t start = nfa_node(&a), end = nfa_node(&a);
        expr_add_to(&x, expr_list(&x, EXPR_SEQ, (uint32_t[]){anything, e, anything}, 3), &a, start,
                    end, true);
        result = dfa_from_nfa(&a, start, end, ret, err);
        if (result < 0)
            error_wrap(err, "pattern '%.*s'", STR_ARG(pattern));
    }
    nfa_release(&a);
    exprs_release(&x);
    return result;
}

bool regex_is_repetition(struct str pattern, struct charset *ret_set, uint32_t *ret_min,
                         uint32_t *ret_max)
{
    struct exprs x;
    struct error err;
    exprs_init(&x);
    struct regex r = {.text = pattern, .x = &x, .err = &err};
    uint32_t e;
    bool is = false;
    if (parse(&r, &e) == 0 && x.list[e].n_items == 1) {
        const struct expr *seq = &x.list[x.list[e].items[0]];
        const struct expr *rep = seq->n_items == 3 ? &x.list[seq->items[1]] : NULL;
        is = rep && x.list[seq->items[0]].kind == EXPR_BEGIN &&
             x.list[seq->items[2]].kind == EXPR_END && rep->kind == EXPR_REPEAT &&
             x.list[rep->items[0]].kind == EXPR_SET;
        if (is) {
            struct expr *set = &x.list[rep->items[0]];
            *ret_set = set->set;
            set->set = (struct charset){0};
            *ret_min = rep->min;
            *ret_max = rep->max;
        }
    }
    exprs_release(&x);
    return is;
}
