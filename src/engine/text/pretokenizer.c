/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs the rules of pretokenizer_rules.c with PCRE2, compiled by its JIT where it may. The
 * expressions are written so that a text takes time linear in its length; the match limit is the
 * safety net behind that. */
#include "engine/text/pretokenizer.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "engine/text/pretokenizer_rules.h"
#include "engine/text/unicode.h"

enum {
    MATCH_LIMIT_BASE = 10 * 1000 * 1000, /* PCRE2's own default */
    MATCH_LIMIT_PER_CHAR = 16,
    MATCH_HEAP_KIB = 64 * 1024,
};

struct pretokenizer {
    const struct pretokenizer_rule *rule;
    pcre2_code *codes[SPLIT_STEPS_MAX]; /* NULL for a step that is no expression */
};

void pretokenizer_free(struct pretokenizer *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < SPLIT_STEPS_MAX; i++)
        pcre2_code_free(p->codes[i]);
    free(p);
}

unsigned pretokenizer_flags(const struct pretokenizer *p)
{
    return p->rule->flags;
}

static int step_compile(const char *pattern, pcre2_code **ret, struct error *err)
{
    int errnum;
    PCRE2_SIZE at;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                     PCRE2_NO_AUTO_CAPTURE | PCRE2_NEVER_UTF, &errnum, &at, NULL);
    if (!code)
        return error_set(err, ERR_INTERNAL, "pre-tokenizer pattern, offset %zu: PCRE2 error %d", at,
                         errnum);
    pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* where it fails, pcre2_match() interprets */
    *ret = code;
    return 0;
}

int pretokenizer_create(struct str name, struct pretokenizer **ret, struct error *err)
{
    const struct pretokenizer_rule *rule = pretokenizer_rule_find(name.len > 0 ? name
                                                                               : STR("default"));
    if (!rule)
        return error_set(err, ERR_UNSUPPORTED,
                         "the pre-tokenizer '%.*s' (tokenizer.ggml.pre) is not known here",
                         STR_ARG(name));
    struct pretokenizer *p = calloc(1, sizeof(*p));
    if (!p)
        return error_set(err, ERR_NOMEM, "no memory for the pre-tokenizer");
    p->rule = rule;
    for (size_t i = 0; rule->steps[i].kind != SPLIT_END; i++) {
        if (rule->steps[i].kind != SPLIT_REGEX)
            continue;
        int r = step_compile(rule->steps[i].pattern, &p->codes[i], err);
        if (r < 0) {
            pretokenizer_free(p);
            return r;
        }
    }
    *ret = p;
    return 0;
}

/* ---- the text as one byte per character ---- */

struct chars {
    size_t n;
    uint32_t *offsets; /* [n + 1] of each character in the text */
    char *bytes;       /* [n] enum char_byte without sets */
    char *set_bytes;   /* [n] with the sets of the step that runs; NULL if no step has any */
};

static char class_byte(uint32_t cp)
{
    static const unsigned char of_class[] = {
        [UC_NONE] = CHAR_OTHER,   [UC_LETTER] = CHAR_LETTER, [UC_NUMBER] = CHAR_NUMBER,
        [UC_PUNCT] = CHAR_PUNCT,  [UC_SYMBOL] = CHAR_SYMBOL, [UC_MARK] = CHAR_MARK,
        [UC_SEPARATOR] = CHAR_OTHER, [UC_CONTROL] = CHAR_OTHER,
    };
    if (cp < 0x80)
        return (char)cp;
    return unicode_is_space(cp) ? '\v' : (char)of_class[unicode_class(cp)];
}

static void chars_release(struct chars *c)
{
    free(c->offsets);
    free(c->bytes);
    free(c->set_bytes);
}

static int chars_init(struct chars *c, struct str text, bool with_sets)
{
    *c = (struct chars){
        .offsets = alloc_array(text.len + 1, sizeof(*c->offsets)),
        .bytes = alloc_array(text.len + 1, 1),
        .set_bytes = with_sets ? alloc_array(text.len + 1, 1) : NULL,
    };
    if (!c->offsets || !c->bytes || (with_sets && !c->set_bytes)) {
        chars_release(c);
        return -ERR_NOMEM;
    }
    for (size_t at = 0; at < text.len;) {
        uint32_t cp = 0xfffd;
        size_t len = utf8_decode(text.ptr + at, text.len - at, &cp);
        c->offsets[c->n] = (uint32_t)at;
        c->bytes[c->n++] = class_byte(cp);
        at += len > 0 ? len : 1;
    }
    c->offsets[c->n] = (uint32_t)text.len;
    return 0;
}

/* Fills set_bytes for a step. White space and ASCII are in no set. */
static void chars_mark_sets(struct chars *c, struct str text, const struct char_range *ranges)
{
    memcpy(c->set_bytes, c->bytes, c->n);
    for (size_t i = 0; i < c->n; i++) {
        uint32_t cp;
        if ((unsigned char)c->bytes[i] < 0x80 ||
            utf8_decode(text.ptr + c->offsets[i], text.len - c->offsets[i], &cp) == 0)
            continue;
        for (const struct char_range *r = ranges; r->last != 0 && r->first <= cp; r++) {
            if (cp <= r->last) {
                c->set_bytes[i] = (char)(CHAR_SET + r->set);
                break;
            }
        }
    }
}

/* ---- steps ---- */

/* A list of the ends of pieces, in characters. There are at most as many as characters. */
struct ends {
    uint32_t *v;
    size_t n;
};

static void ends_push(struct ends *e, size_t end)
{
    if (e->n == 0 ? end > 0 : end > e->v[e->n - 1])
        e->v[e->n++] = (uint32_t)end;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_number(char c)
{
    return is_digit(c) || (unsigned char)c == CHAR_NUMBER;
}

/* The digit rules for one piece [start, end). */
static void split_digits(enum split_kind kind, const char *bytes, size_t start, size_t end,
                         struct ends *out)
{
    bool before = kind == SPLIT_DIGITS_BEFORE;
    bool (*counts)(char) = before ? is_digit : is_number;
    for (size_t i = start; i < end;) {
        size_t last = i;
        while (last < end && counts(bytes[last]))
            last++;
        if (last == i) {
            i++;
            continue;
        }
        size_t first = before ? i : i + 1, end_border = before ? last : last + 1;
        for (size_t at = first; at < end_border; at++) {
            if ((last - at) % 3 == 0)
                ends_push(out, at);
        }
        i = last;
    }
    ends_push(out, end);
}

/* What a match needs besides the expression; made once per text. */
struct matcher {
    pcre2_match_data *data;
    pcre2_match_context *context;
};

static void matcher_release(struct matcher *m)
{
    pcre2_match_data_free(m->data);
    pcre2_match_context_free(m->context);
}

static int matcher_init(struct matcher *m, size_t n_chars)
{
    m->data = pcre2_match_data_create(1, NULL);
    m->context = pcre2_match_context_create(NULL);
    if (!m->data || !m->context) {
        matcher_release(m);
        return -ERR_NOMEM;
    }
    size_t limit = MATCH_LIMIT_BASE + n_chars * MATCH_LIMIT_PER_CHAR;
    pcre2_set_match_limit(m->context, limit < UINT32_MAX ? (uint32_t)limit : UINT32_MAX);
    pcre2_set_heap_limit(m->context, MATCH_HEAP_KIB);
    return 0;
}

/* Cuts one piece [start, end) at the matches of the expression. */
static int split_regex(const struct matcher *m, const pcre2_code *code, const char *bytes,
                       size_t start, size_t end, struct ends *out, struct error *err)
{
    PCRE2_SPTR subject = (PCRE2_SPTR)bytes + start;
    size_t len = end - start;
    const PCRE2_SIZE *match = pcre2_get_ovector_pointer(m->data);
    for (size_t at = 0; at < len;) {
        int r = pcre2_match(code, subject, len, at, PCRE2_NOTEMPTY, m->data, m->context);
        if (r == PCRE2_ERROR_JIT_STACKLIMIT)
            r = pcre2_match(code, subject, len, at, PCRE2_NOTEMPTY | PCRE2_NO_JIT, m->data,
                            m->context);
        if (r == PCRE2_ERROR_NOMATCH)
            break;
        if (r < 0)
            return error_set(err, r == PCRE2_ERROR_NOMEMORY ? ERR_NOMEM : ERR_TOO_LARGE,
                             "the text cannot be cut into words: PCRE2 error %d", r);
        ends_push(out, start + match[0]);
        ends_push(out, start + match[1]);
        at = match[1];
    }
    ends_push(out, end);
    return 0;
}

static int step_run(const struct split_step *step, const pcre2_code *code, struct chars *chars,
                    struct str text, const struct matcher *m, const struct ends *in,
                    struct ends *out, struct error *err)
{
    const char *bytes = chars->bytes;
    if (step->ranges) {
        chars_mark_sets(chars, text, step->ranges);
        bytes = chars->set_bytes;
    }
    size_t start = 0;
    out->n = 0;
    for (size_t i = 0; i < in->n; i++) {
        if (step->kind == SPLIT_REGEX) {
            int r = split_regex(m, code, bytes, start, in->v[i], out, err);
            if (r < 0)
                return r;
        } else {
            split_digits(step->kind, bytes, start, in->v[i], out);
        }
        start = in->v[i];
    }
    return 0;
}

static int steps_run(const struct pretokenizer *p, struct chars *chars, struct str text,
                     struct ends *a, struct ends *b, struct error *err)
{
    struct matcher m;
    if (matcher_init(&m, chars->n) < 0)
        return error_set(err, ERR_NOMEM, "no memory to cut %zu bytes of text into words", text.len);
    ends_push(a, chars->n);
    int r = 0;
    const struct split_step *steps = p->rule->steps;
    for (size_t i = 0; r == 0 && steps[i].kind != SPLIT_END; i++) {
        r = step_run(&steps[i], p->codes[i], chars, text, &m, a, b, err);
        struct ends t = *a;
        *a = *b;
        *b = t;
    }
    matcher_release(&m);
    return r;
}

int pretokenizer_split(const struct pretokenizer *p, struct str text, struct word_ends *ret,
                       struct error *err)
{
    bool with_sets = false;
    for (const struct split_step *s = p->rule->steps; s->kind != SPLIT_END; s++)
        with_sets = with_sets || s->ranges;

    struct chars chars;
    if (chars_init(&chars, text, with_sets) < 0)
        return error_set(err, ERR_NOMEM, "no memory to cut %zu bytes of text into words", text.len);
    struct ends a = {.v = alloc_array(chars.n + 1, sizeof(*a.v))};
    struct ends b = {.v = alloc_array(chars.n + 1, sizeof(*b.v))};
    int r;
    if (!a.v || !b.v)
        r = error_set(err, ERR_NOMEM, "no memory to cut %zu bytes of text into words", text.len);
    else
        r = steps_run(p, &chars, text, &a, &b, err);
    if (r == 0) {
        for (size_t i = 0; i < a.n; i++)
            a.v[i] = chars.offsets[a.v[i]];
        *ret = (struct word_ends){TAKE(a.v), a.n};
    }
    free(a.v);
    free(b.v);
    chars_release(&chars);
    return r;
}

void word_ends_release(struct word_ends *w)
{
    free(w->ends);
    *w = (struct word_ends){0};
}
