/* SPDX-License-Identifier: Apache-2.0
 *
 * The values a template computes with: Python's, as far as templates can see them.
 *
 * A value is 16 bytes and passed by value; what it points to lives in the rendering's pool (or, for
 * literals, in the template's) and is never freed one by one. Strings are immutable and may share
 * their bytes. Lists and namespaces can change, everything else cannot.
 *
 * Functions that can fail return a value of type V_ERROR; the reason is in the rendering
 * (render_fail() puts it there). A failed rendering stays failed, so a caller that gets V_ERROR
 * returns it.
 */
#ifndef ENGINE_TEMPLATE_VALUE_H
#define ENGINE_TEMPLATE_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

struct render;

enum value_type {
    V_MISSING, /* no value: a variable not set yet, an argument not given */
    V_ERROR,
    V_UNDEFINED,
    V_NONE,
    V_BOOL,
    V_INT,
    V_FLOAT,
    V_STR,
    V_LIST,
    V_TUPLE,
    V_DICT,
    V_VIEW,      /* dict.keys(), .values(), .items() */
    V_RANGE,
    V_GENERATOR, /* what map, select, ... give: iterable once, no length */
    V_NAMESPACE,
    V_MACRO,
    V_FUNCTION,  /* a built-in function, or a method bound to its object */
    V_LOOP,
    V_CYCLER,
    V_JOINER,
};

struct value {
    enum value_type type;
    union {
        bool b;
        int64_t i;
        double f;
        struct vstr *s;
        struct vlist *l; /* list, tuple, generator */
        struct vdict *d; /* dict, namespace */
        struct vview *view;
        struct vrange *range;
        struct vundefined *undef;
        struct vmacro *macro;
        struct vfunction *fn;
        struct loop *loop;
        struct vcycler *cycler;
    };
};

struct vstr {
    struct str s;
    size_t n_chars; /* SIZE_MAX = not counted yet */
    bool markup;    /* markupsafe's Markup: adding to it escapes */
};

struct vlist {
    struct value *items;
    size_t n, cap;
    size_t pos;       /* generator: next item */
    const char *kind; /* generator: its Python name, for printing */
    bool is_group;    /* tuple: groupby's pair, with attributes grouper and list */
};

/* Entries in insertion order, and for larger ones an open-addressed index into them. */
struct vdict {
    struct dict_entry {
        struct value key, value;
        uint64_t hash;
    } *entries;
    size_t n, cap;
    uint32_t *index; /* entry number + 1, 0 = free; NULL while n is small */
    size_t index_size; /* a power of two */
};

enum view_kind { VIEW_KEYS, VIEW_VALUES, VIEW_ITEMS };

struct vview {
    enum view_kind kind;
    struct vdict *d;
};

struct vrange {
    int64_t start, stop, step;
    size_t n;
};

/* Why it is undefined, for the message when somebody uses it. */
struct vundefined {
    struct str name;        /* of the variable or attribute */
    const char *owner;      /* type that lacks the attribute; NULL = a variable */
    struct str hint;        /* a whole sentence, if not empty */
};

struct vcycler { /* cycler(...); joiner(sep) has one item */
    struct value *items;
    size_t n, pos;
};

/* ---- make ---- */

static inline struct value value_missing(void) { return (struct value){.type = V_MISSING}; }
static inline struct value value_error(void) { return (struct value){.type = V_ERROR}; }
static inline struct value value_none(void) { return (struct value){.type = V_NONE}; }
static inline struct value value_bool(bool b) { return (struct value){.type = V_BOOL, .b = b}; }
static inline struct value value_int(int64_t i) { return (struct value){.type = V_INT, .i = i}; }
static inline struct value value_float(double f) { return (struct value){.type = V_FLOAT, .f = f}; }
static inline bool is_error(struct value v) { return v.type == V_ERROR; }

struct value value_str(struct render *r, struct str s);        /* shares the bytes */
struct value value_str_copy(struct render *r, struct str s);   /* copies them */
struct value value_str_c(struct render *r, const char *literal);
struct value value_str_buf(struct render *r, const struct buf *b); /* copies; checks the buffer */
struct value value_markup(struct render *r, struct value s);
struct value value_list(struct render *r, size_t cap);         /* empty */
struct value value_tuple(struct render *r, const struct value *items, size_t n);
struct value value_generator(struct render *r, struct value list, const char *kind);
struct value value_dict(struct render *r);
struct value value_undefined(struct render *r, struct str name);
struct value value_undefined_attr(struct render *r, struct value owner, struct str name);
struct value value_undefined_hint(struct render *r, const char *fmt, ...) ATTR_PRINTF(2, 3);

/* Converts JSON; strings keep pointing into it. */
struct json;
struct value value_from_json(struct render *r, const struct json *j);

/* ---- lists and dicts ---- */

/* False after a failure. */
bool vlist_push(struct render *r, struct vlist *l, struct value v);
bool vdict_set(struct render *r, struct vdict *d, struct value key, struct value v);

/* NULL if absent, or if the key cannot be one (the rendering has then failed if `strict`). */
struct value *vdict_get(struct render *r, const struct vdict *d, struct value key, bool strict);
struct value *vdict_get_str(struct render *r, const struct vdict *d, struct str key);

/* ---- look ---- */

const char *value_type_name(struct value v); /* as Python: "str", "int", "dict", ... */
bool value_truth(struct value v);
bool value_is_number(struct value v); /* int, float or bool */
bool value_is_integral(struct value v); /* int or bool */
int64_t value_to_int(struct value v);  /* of an integral one */
double value_to_float(struct value v); /* of a number */
bool value_is_iterable(struct value v);
size_t vstr_chars(struct vstr *s);

/* Number of items or characters; -1 where Python has no len(). */
int64_t value_len(struct value v);

/* Python's ==. False also when the rendering fails on the way (too deep). */
bool value_equal(struct render *r, struct value a, struct value b);

/* Python's < as -1, 0, 1; fails for types without an order. NaN is neither: *ret is then 2. */
bool value_compare(struct render *r, struct value a, struct value b, const char *op, int *ret);

/* Python's `is`. */
bool value_same(struct value a, struct value b);

/* ---- iterate ---- */

struct iter {
    struct value of;
    size_t at; /* item number or byte offset */
};

/* False (and failed) when v is not iterable; an undefined has no items. */
bool iter_start(struct render *r, struct value v, struct iter *ret);
/* False at the end, or after a failure. */
bool iter_next(struct render *r, struct iter *it, struct value *ret);

/* All items as a new list. */
struct value value_to_list(struct render *r, struct value v);

/* ---- text ---- */

/* str(v) and repr(v). */
void value_append_str(struct render *r, struct value v, struct buf *out);
void value_append_repr(struct render *r, struct value v, struct buf *out);
struct value value_to_str(struct render *r, struct value v); /* strings as they are */

/* repr of a string; with `ascii`, other characters are escaped too. */
void append_repr_str(struct str s, bool ascii, struct buf *out);

enum { FLOAT_TEXT_MAX = 40 };
void float_text(double f, char out[FLOAT_TEXT_MAX]); /* Python's repr of a float */

#endif
