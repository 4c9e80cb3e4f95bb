/* SPDX-License-Identifier: Apache-2.0
 *
 * The `loop` variable: what a for loop knows about itself. */
#include "engine/template/interp.h"

/* Does the loop's `if` let this item through? It runs with variables of its own. */
static bool passes(struct render *r, struct loop *l, struct value item)
{
    const struct node *n = l->node;
    if (!n->loop.test)
        return true;
    struct activation *old = r->act;
    r->act = l->act;
    struct value v = value_error();
    scope_enter(r, n->loop.test_scope);
    if (assign(r, n->loop.test_target, item))
        v = eval(r, n->loop.test);
    r->act = old;
    return value_truth(v);
}

/* The next item of what is looped over. */
static bool pull(struct render *r, struct loop *l, struct value *ret)
{
    if (l->rest) {
        if (l->rest_at >= l->rest->n)
            return false;
        *ret = l->rest->items[l->rest_at++];
        return true;
    }
    struct value item;
    while (!l->ended && iter_next(r, &l->iter, &item)) {
        if (passes(r, l, item)) {
            *ret = item;
            return !r->failed;
        }
        if (r->failed)
            return false;
    }
    l->ended = true;
    return false;
}

bool loop_next(struct render *r, struct loop *l, struct value *ret)
{
    struct value item = l->after;
    l->after = value_missing();
    if (item.type == V_MISSING && !pull(r, l, &item))
        return false;
    l->index0++;
    l->before = l->current;
    l->current = *ret = item;
    return !r->failed;
}

/* The item after the current one, or V_MISSING. */
static struct value peek(struct render *r, struct loop *l)
{
    if (l->after.type == V_MISSING && !pull(r, l, &l->after))
        l->after = value_missing();
    return r->failed ? value_error() : l->after;
}

static bool count(struct render *r, struct loop *l)
{
    if (l->length >= 0)
        return true;
    int64_t n = l->node->loop.test ? -1 : value_len(l->of);
    if (n >= 0) {
        l->length = n;
        return true;
    }
    struct value rest = value_list(r, 0), item;
    if (is_error(rest))
        return false;
    while (pull(r, l, &item))
        if (!vlist_push(r, rest.l, item))
            return false;
    l->rest = rest.l;
    l->length = (int64_t)rest.l->n + l->index0 + 1 + (l->after.type != V_MISSING);
    return !r->failed;
}

static struct value from_length(struct render *r, struct loop *l, int64_t minus)
{
    return count(r, l) ? value_int(l->length - minus) : value_error();
}

struct value loop_attr(struct render *r, struct loop *l, struct str name)
{
    if (str_eq_c(name, "index"))
        return value_int(l->index0 + 1);
    if (str_eq_c(name, "index0"))
        return value_int(l->index0);
    if (str_eq_c(name, "first"))
        return value_bool(l->index0 == 0);
    if (str_eq_c(name, "last")) {
        struct value next = peek(r, l);
        return is_error(next) ? next : value_bool(next.type == V_MISSING);
    }
    if (str_eq_c(name, "length"))
        return from_length(r, l, 0);
    if (str_eq_c(name, "revindex"))
        return from_length(r, l, l->index0);
    if (str_eq_c(name, "revindex0"))
        return from_length(r, l, l->index0 + 1);
    if (str_eq_c(name, "previtem"))
        return l->index0 == 0 ? value_undefined_hint(r, "there is no previous item") : l->before;
    if (str_eq_c(name, "nextitem")) {
        struct value next = peek(r, l);
        return next.type == V_MISSING ? value_undefined_hint(r, "there is no next item") : next;
    }
    if (str_eq_c(name, "depth"))
        return value_int(l->depth0 + 1);
    if (str_eq_c(name, "depth0"))
        return value_int(l->depth0);
    return value_missing();
}

struct value loop_cycle(struct render *r, const struct call *c)
{
    const struct args *a = c->args;
    if (a->n_pos == 0)
        return render_fail_type(r, "no items for cycling given");
    return a->pos[(size_t)c->self.loop->index0 % a->n_pos];
}

struct value loop_changed(struct render *r, const struct call *c)
{
    struct loop *l = c->self.loop;
    struct value now = value_tuple(r, c->args->pos, c->args->n_pos);
    if (is_error(now))
        return now;
    if (l->changed.type == V_TUPLE && value_equal(r, l->changed, now))
        return value_bool(false);
    l->changed = now;
    return value_bool(true);
}
