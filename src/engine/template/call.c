/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls: binding arguments to parameters, macros, and everything else that can be called. */
#include <stdio.h>
#include <string.h>

#include "engine/template/interp.h"

/* ---- tables ---- */

const struct builtin *builtin_find(struct builtin_table t, struct str name)
{
    size_t lo = 0, hi = t.n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = str_cmp(name, str_from(t.rows[mid].name));
        if (c == 0)
            return &t.rows[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

const struct builtin *filter_find(struct str name)
{
    const struct builtin *b = builtin_find(filters_text, name);
    if (!b)
        b = builtin_find(filters_seq, name);
    return b ? b : builtin_find(filters_number, name);
}

const struct builtin *test_find(struct str name)
{
    return builtin_find(tests, name);
}

const struct builtin *global_find(struct str name)
{
    return builtin_find(globals, name);
}

const struct builtin *method_find(struct value of, struct str name)
{
    switch (of.type) {
    case V_STR:
        return builtin_find(methods_str, name);
    case V_DICT:
        return builtin_find(methods_dict, name);
    case V_LIST:
    case V_TUPLE:
    case V_LOOP:
    case V_CYCLER:
    case V_FLOAT: {
        /* one table for the small ones; the row says whose it is: "list.append" */
        char full[64];
        int n = snprintf(full, sizeof(full), "%s.%.*s", value_type_name(of), STR_ARG(name));
        return n < (int)sizeof(full) ? builtin_find(methods_seq, str_from(full)) : NULL;
    }
    default:
        return NULL;
    }
}

/* ---- binding ---- */

struct param {
    struct str name;
    bool optional;
};

/* "old, new, count?" to its parts. */
static size_t read_params(const char *text, struct param params[BUILTIN_MAX_PARAMS])
{
    size_t n = 0;
    struct str rest = str_from(text), part;
    while (rest.len > 0 && n < BUILTIN_MAX_PARAMS && str_split_next(&rest, ',', &part)) {
        part = str_trim(part);
        params[n].optional = str_ends_with(part, STR("?"));
        part.len -= params[n].optional;
        params[n++].name = part;
    }
    return n;
}

static bool bind_args(struct render *r, const struct builtin *b, const struct args *args,
                      struct call *c)
{
    struct param params[BUILTIN_MAX_PARAMS];
    size_t n = read_params(b->params, params);
    if (args->n_pos > n) {
        render_fail_type(r, "%s() takes at most %zu argument(s) (%zu given)", b->name, n,
                         args->n_pos);
        return false;
    }
    for (size_t i = 0; i < args->n_pos; i++)
        c->a[i] = args->pos[i];
    for (size_t k = 0; k < args->n_kw; k++) {
        size_t i = 0;
        while (i < n && !str_eq(params[i].name, args->kw_names[k]))
            i++;
        if (i == n || c->a[i].type != V_MISSING) {
            render_fail_type(r, i == n ? "%s() got an unexpected keyword argument '%.*s'"
                                       : "%s() got multiple values for argument '%.*s'",
                             b->name, STR_ARG(args->kw_names[k]));
            return false;
        }
        c->a[i] = args->kw[k];
    }
    for (size_t i = 0; i < n; i++) {
        if (c->a[i].type == V_MISSING && !params[i].optional) {
            render_fail_type(r, "%s() is missing the argument '%.*s'", b->name,
                             STR_ARG(params[i].name));
            return false;
        }
    }
    return true;
}

struct value builtin_call(struct render *r, const struct builtin *b, struct value self,
                          const struct args *args)
{
    struct call c = {.self = self, .args = args, .builtin = b};
    if (is_error(self) || !render_steps(r, 1))
        return value_error();
    if (b->params[0] != '*' && !bind_args(r, b, args, &c))
        return value_error();
    if (!render_enter(r))
        return value_error();
    struct value v = b->fn(r, &c);
    render_leave(r);
    return r->failed ? value_error() : v;
}

static struct str param_name(const struct call *c, size_t i)
{
    struct param params[BUILTIN_MAX_PARAMS];
    size_t n = read_params(c->builtin->params, params);
    return i < n ? params[i].name : STR("argument");
}

bool arg_int(struct render *r, const struct call *c, size_t i, int64_t fallback, int64_t *ret)
{
    if (!arg_set(c, i)) {
        *ret = fallback;
        return true;
    }
    if (!value_is_integral(c->a[i])) {
        if (c->a[i].type == V_UNDEFINED)
            op_negate(r, c->a[i]);
        else
            render_fail_type(r, "%s(): '%.*s' must be an integer, not '%s'", c->builtin->name,
                             STR_ARG(param_name(c, i)), value_type_name(c->a[i]));
        return false;
    }
    *ret = value_to_int(c->a[i]);
    return true;
}

bool arg_bool(const struct call *c, size_t i, bool fallback)
{
    return arg_given(c, i) ? value_truth(c->a[i]) : fallback;
}

bool arg_str(struct render *r, const struct call *c, size_t i, struct str fallback, struct str *ret)
{
    if (!arg_set(c, i)) {
        *ret = fallback;
        return true;
    }
    if (c->a[i].type != V_STR) {
        if (c->a[i].type == V_UNDEFINED)
            op_negate(r, c->a[i]);
        else
            render_fail_type(r, "%s(): '%.*s' must be str, not '%s'", c->builtin->name,
                             STR_ARG(param_name(c, i)), value_type_name(c->a[i]));
        return false;
    }
    *ret = c->a[i].s->s;
    return true;
}

struct str self_text(struct render *r, const struct call *c)
{
    struct value s = value_to_str(r, c->self);
    return is_error(s) ? STR("") : s.s->s;
}

/* ---- macros ---- */

static const struct value *keyword(const struct args *args, struct str name)
{
    for (size_t i = 0; i < args->n_kw; i++)
        if (str_eq(args->kw_names[i], name))
            return &args->kw[i];
    return NULL;
}

static bool is_param(const struct macro_node *m, struct str name, size_t from)
{
    for (size_t i = from; i < m->params.n; i++)
        if (str_eq(m->params.items[i]->name.name, name))
            return true;
    return false;
}

/* The keyword arguments that no parameter takes: to `kwargs`, or an error. */
static bool bind_extra_keywords(struct render *r, const struct macro_node *m,
                                const struct args *args, struct activation *act)
{
    struct value extra = m->uses_kwargs ? value_dict(r) : value_none();
    for (size_t i = 0; i < args->n_kw && !is_error(extra); i++) {
        struct str name = args->kw_names[i];
        if (is_param(m, name, MIN(args->n_pos, m->params.n)))
            continue;
        if (m->uses_caller && !m->explicit_caller && str_eq_c(name, "caller"))
            continue;
        if (!m->uses_kwargs) {
            render_fail_type(r, "macro '%.*s' takes no keyword argument '%.*s'", STR_ARG(m->name),
                             STR_ARG(name));
            return false;
        }
        struct value key = value_str(r, name);
        if (is_error(key) || !vdict_set(r, extra.d, key, args->kw[i]))
            return false;
    }
    if (m->uses_kwargs)
        act->slots[m->kwargs_slot] = extra;
    return !is_error(extra);
}

static bool bind_specials(struct render *r, const struct macro_node *m, const struct args *args,
                          struct activation *act)
{
    if (m->uses_caller && !m->explicit_caller) {
        const struct value *caller = keyword(args, STR("caller"));
        act->slots[m->caller_slot] = caller && caller->type != V_NONE
                                         ? *caller
                                         : value_undefined_hint(r, "No caller defined");
    }
    if (!bind_extra_keywords(r, m, args, act))
        return false;
    size_t used = MIN(args->n_pos, m->params.n);
    if (m->uses_varargs) {
        act->slots[m->varargs_slot] =
            value_tuple(r, args->n_pos > used ? args->pos + used : NULL, args->n_pos - used);
    } else if (args->n_pos > used) {
        render_fail_type(r, "macro '%.*s' takes not more than %zu argument(s)", STR_ARG(m->name),
                         m->params.n);
    }
    return !r->failed;
}

/* Parameters that got no argument take their default, which may use those before it. */
static bool bind_defaults(struct render *r, const struct macro_node *m)
{
    for (size_t i = 0; i < m->params.n; i++) {
        const struct node *param = m->params.items[i];
        struct value *slot = &r->act->slots[param->name.ref.slot];
        if (slot->type != V_MISSING)
            continue;
        size_t first_default = m->params.n - m->defaults.n;
        *slot = i >= first_default
                    ? eval(r, m->defaults.items[i - first_default])
                    : value_undefined_hint(r, "parameter '%.*s' was not provided",
                                           STR_ARG(param->name.name));
        if (is_error(*slot))
            return false;
    }
    return true;
}

static struct value call_macro(struct render *r, const struct vmacro *macro,
                               const struct args *args)
{
    const struct macro_node *m = macro->node;
    struct activation *act = activation_new(r, m->fn, macro->outer);
    if (!act)
        return value_error();
    for (size_t i = 0; i < m->params.n; i++) {
        const struct node *param = m->params.items[i];
        const struct value *kw = i < args->n_pos ? &args->pos[i] : keyword(args, param->name.name);
        if (kw)
            act->slots[param->name.ref.slot] = *kw;
    }
    if (!bind_specials(r, m, args, act) || !render_enter(r))
        return value_error();

    CLEANUP_BUF struct buf text = render_buf();
    struct activation *caller_act = r->act;
    struct buf *caller_out = r->out;
    r->act = act;
    r->out = &text;
    scope_enter(r, m->scope);
    if (bind_defaults(r, m))
        exec_body(r, &m->body);
    r->act = caller_act;
    r->out = caller_out;
    render_leave(r);
    return value_str_buf(r, &text);
}

/* ---- calls ---- */

static struct value call_joiner(struct render *r, struct vcycler *j)
{
    return j->pos++ == 0 ? value_str(r, STR("")) : j->items[0];
}

/* Methods of a Markup escape their arguments, and their text is a Markup again. */
static struct value mark_result(struct render *r, struct value v)
{
    if (v.type == V_STR)
        return value_markup(r, v);
    for (size_t i = 0; (v.type == V_LIST || v.type == V_TUPLE) && i < v.l->n; i++)
        v.l->items[i] = mark_result(r, v.l->items[i]);
    return v;
}

static struct value call_markup_method(struct render *r, const struct vfunction *fn,
                                       const struct args *args)
{
    struct value *pos = render_alloc(r, args->n_pos, sizeof(*pos));
    if (!pos)
        return value_error();
    for (size_t i = 0; i < args->n_pos; i++) {
        pos[i] = args->pos[i];
        if (pos[i].type != V_STR || pos[i].s->markup)
            continue;
        CLEANUP_BUF struct buf b = render_buf();
        buf_append_html(&b, pos[i].s->s);
        pos[i] = value_str_buf(r, &b);
    }
    struct args escaped = *args;
    escaped.pos = pos;
    return mark_result(r, builtin_call(r, fn->builtin, fn->self, &escaped));
}

struct value call_value(struct render *r, struct value fn, const struct args *args)
{
    switch (fn.type) {
    case V_ERROR:
        return fn;
    case V_UNDEFINED:
        return op_negate(r, fn);
    case V_MACRO:
        return call_macro(r, fn.macro, args);
    case V_FUNCTION:
        if (fn.fn->self.type == V_STR && fn.fn->self.s->markup)
            return call_markup_method(r, fn.fn, args);
        return builtin_call(r, fn.fn->builtin, fn.fn->self, args);
    case V_LOOP:
        if (args->n_pos != 1 || args->n_kw > 0)
            return render_fail_type(r, "loop() takes one argument");
        return loop_recurse(r, fn.loop, args->pos[0]);
    case V_JOINER:
        return call_joiner(r, fn.cycler);
    default:
        return render_fail_type(r, "'%s' object is not callable", value_type_name(fn));
    }
}

struct value call_filter(struct render *r, struct str name, struct value of,
                         const struct args *args)
{
    const struct builtin *b = filter_find(name);
    if (!b)
        return render_fail(r, ERR_UNSUPPORTED, "there is no filter named '%.*s'", STR_ARG(name));
    return builtin_call(r, b, of, args);
}

bool call_test(struct render *r, struct str name, struct value of, const struct args *args,
               bool *ret)
{
    const struct builtin *b = test_find(name);
    if (!b) {
        render_fail(r, ERR_UNSUPPORTED, "there is no test named '%.*s'", STR_ARG(name));
        return false;
    }
    struct value v = builtin_call(r, b, of, args);
    *ret = value_truth(v);
    return !is_error(v);
}
