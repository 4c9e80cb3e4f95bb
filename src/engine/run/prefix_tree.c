/* SPDX-License-Identifier: Apache-2.0
 *
 * The prefix tree over KV cache pages.
 *
 * Roots stand for no page; there is one for each key in use.
 *
 * Children hang in a plain list: a branch point has a handful of them, and comparing ids stops at
 * the first difference. All nodes but the root stand in one list from the least to the most
 * recently used. Touching a path goes from its end to the root, so that a parent is always younger
 * than its children and eviction meets the leaves first. */
#include "engine/run/prefix_tree.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/backend/backend.h"

/* A state after the first n tokens of a node's page. */
struct snapshot {
    struct prefix_node *node;
    struct snapshot *next;            /* of the same node; also links unused ones */
    struct snapshot *older, *younger; /* by use */
    uint32_t n;
    int32_t state;
};

struct prefix_node {
    struct prefix_node *parent, *first_child;
    struct snapshot *snapshots;
    struct prefix_node *next, *prev;     /* siblings; `next` also links unused nodes */
    struct prefix_node *older, *younger; /* by use */
    int32_t page;
    uint32_t n; /* tokens in the page */
    int32_t ids[KV_PAGE_TOKENS];
};

/* The root of a key. */
struct root {
    struct prefix_node node;
    struct prefix_key key;
    uint32_t refs;
    struct root *next;
};

struct prefix_tree {
    struct kv_pages *pages;
    struct prefix_node root; /* of plain texts; also the head of the list by use */
    struct root *roots;      /* of other keys, newest first */
    uint32_t n_roots;
    struct prefix_node *nodes, *unused;
    uint32_t n_nodes;
    struct kv_pages *states;    /* NULL: no layer has any */
    struct snapshot *snapshots; /* [states->n] */
    struct snapshot *unused_snapshots;
    struct snapshot by_use; /* the head of the ring of snapshots, as the root of the nodes' */
};

/* ---- lists ---- */

static void use_unlink(struct prefix_node *node)
{
    node->older->younger = node->younger;
    node->younger->older = node->older;
}

/* The list is a ring through the root: root.older is the youngest, root.younger the oldest. */
static void use_push(struct prefix_tree *t, struct prefix_node *node)
{
    node->younger = &t->root;
    node->older = t->root.older;
    node->older->younger = node;
    t->root.older = node;
}

static void touch_path(struct prefix_tree *t, struct prefix_node *node)
{
    for (; node->parent; node = node->parent) {
        use_unlink(node);
        use_push(t, node);
    }
}

static void snapshot_unlink(struct snapshot *s)
{
    s->older->younger = s->younger;
    s->younger->older = s->older;
}

static void snapshot_push(struct prefix_tree *t, struct snapshot *s)
{
    s->younger = &t->by_use;
    s->older = t->by_use.older;
    s->older->younger = s;
    t->by_use.older = s;
}

static void snapshot_touch(struct prefix_tree *t, struct snapshot *s)
{
    snapshot_unlink(s);
    snapshot_push(t, s);
}

static void snapshot_remove(struct prefix_tree *t, struct snapshot *s)
{
    struct snapshot **link = &s->node->snapshots;
    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    snapshot_unlink(s);
    kv_pages_unref(t->states, s->state);
    s->next = t->unused_snapshots;
    t->unused_snapshots = s;
}

static struct prefix_node *node_add(struct prefix_tree *t, struct prefix_node *parent,
                                    const int32_t *ids, uint32_t n, int32_t page)
{
    struct prefix_node *node = t->unused;
    assert(node); /* one a page, and no page stands in two nodes */
    t->unused = node->next;
    *node =
        (struct prefix_node){.parent = parent, .next = parent->first_child, .page = page, .n = n};
    memcpy(node->ids, ids, n * sizeof(*ids));
    if (node->next)
        node->next->prev = node;
    parent->first_child = node;
    use_push(t, node);
    kv_pages_ref(t->pages, page);
    t->n_nodes++;
    return node;
}

static void node_remove(struct prefix_tree *t, struct prefix_node *node)
{
    assert(!node->first_child);
    if (node->prev)
        node->prev->next = node->next;
    else
        node->parent->first_child = node->next;
    if (node->next)
        node->next->prev = node->prev;
    while (node->snapshots)
        snapshot_remove(t, node->snapshots);
    use_unlink(node);
    kv_pages_unref(t->pages, node->page);
    node->next = t->unused;
    t->unused = node;
    t->n_nodes--;
}

/* ---- the tree ---- */

int prefix_tree_create(struct kv_pages *pages, struct kv_pages *states, struct prefix_tree **ret,
                       struct error *err)
{
    struct prefix_tree *t = xcalloc(1, sizeof(*t));
    uint32_t n_states = states ? states->n : 0;
    t->nodes = alloc_array(pages->n, sizeof(*t->nodes));
    t->snapshots = alloc_array(n_states, sizeof(*t->snapshots));
    if (!t->nodes || (n_states > 0 && !t->snapshots)) {
        free(t->nodes);
        free(t->snapshots);
        free(t);
        return error_set(err, ERR_NOMEM, "out of memory for the prefix tree of %u pages", pages->n);
    }
    t->states = states;
    t->by_use.older = t->by_use.younger = &t->by_use;
    for (uint32_t i = n_states; i-- > 0;) {
        t->snapshots[i].next = t->unused_snapshots;
        t->unused_snapshots = &t->snapshots[i];
    }
    t->pages = pages;
    t->root.older = t->root.younger = &t->root;
    t->root.page = -1;
    for (uint32_t i = pages->n; i-- > 0;) {
        t->nodes[i].next = t->unused;
        t->unused = &t->nodes[i];
    }
    *ret = t;
    return 0;
}

void prefix_tree_free(struct prefix_tree *t)
{
    if (!t)
        return;
    for (struct prefix_node *n = t->root.younger; n != &t->root; n = n->younger)
        kv_pages_unref(t->pages, n->page);
    for (struct snapshot *k = t->by_use.younger; k != &t->by_use; k = k->younger)
        kv_pages_unref(t->states, k->state);
    while (t->roots) {
        struct root *r = t->roots;
        t->roots = r->next;
        free(r);
    }
    free(t->snapshots);
    free(t->nodes);
    free(t);
}

/* ---- roots ---- */

/* Frees the roots that nobody uses and under which there is nothing. */
static void drop_roots(struct prefix_tree *t)
{
    for (struct root **at = &t->roots; *at;) {
        struct root *r = *at;
        if (r->refs > 0 || r->node.first_child) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        free(r);
        t->n_roots--;
    }
}

struct prefix_node *prefix_tree_root(struct prefix_tree *t, const struct prefix_key *key)
{
    if (!key)
        return &t->root;
    struct root *r = t->roots;
    while (r && memcmp(&r->key, key, sizeof(*key)) != 0)
        r = r->next;
    if (!r) {
        drop_roots(t);
        if (t->n_roots == PREFIX_KEYS_MAX)
            return NULL;
        r = xcalloc(1, sizeof(*r));
        r->node.page = -1;
        r->key = *key;
        r->next = t->roots;
        t->roots = r;
        t->n_roots++;
    }
    r->refs++;
    return &r->node;
}

void prefix_tree_root_unref(struct prefix_tree *t, struct prefix_node *root)
{
    if (root != &t->root)
        CONTAINER_OF(root, struct root, node)->refs--;
}

uint32_t prefix_tree_n_nodes(const struct prefix_tree *t)
{
    return t->n_nodes;
}

static uint32_t common_prefix(const int32_t *a, uint32_t n_a, const int32_t *b, size_t n_b)
{
    uint32_t n = (uint32_t)MIN((size_t)n_a, n_b);
    uint32_t i = 0;
    while (i < n && a[i] == b[i])
        i++;
    return i;
}

/* The child that shares most tokens with ids, and how many. Two full children differ somewhere, so
 * at most one matches whole. */
static struct prefix_node *best_child(const struct prefix_node *parent, const int32_t *ids,
                                      size_t n, uint32_t *ret_common)
{
    struct prefix_node *best = NULL;
    *ret_common = 0;
    for (struct prefix_node *c = parent->first_child; c; c = c->next) {
        uint32_t common = common_prefix(c->ids, c->n, ids, n);
        if (common > *ret_common) {
            best = c;
            *ret_common = common;
            if (common == KV_PAGE_TOKENS)
                break;
        }
    }
    return best;
}

/* A place on the way from the root: n_pages full pages, the last of them `node`'s, and then
 * part_tokens of the page of `part`. */
struct place {
    struct prefix_node *node, *part;
    uint32_t n_pages, part_tokens;
    struct snapshot *snapshot;
};

/* The furthest state among the children of at->node, within what they share with ids[0..n). All
 * of them are looked at: two pages may begin alike, and one of them have the state. */
static void look_for_states(const struct place *at, const int32_t *ids, size_t n,
                            struct place *best)
{
    uint32_t found = 0;
    for (struct prefix_node *c = at->node->first_child; c; c = c->next) {
        if (!c->snapshots)
            continue;
        uint32_t common = common_prefix(c->ids, c->n, ids, n);
        for (struct snapshot *s = c->snapshots; s; s = s->next) {
            if (s->n > common || s->n <= found)
                continue;
            found = s->n;
            *best = *at;
            best->snapshot = s;
            if (s->n == KV_PAGE_TOKENS) {
                best->node = c;
                best->n_pages++;
            } else {
                best->part = c;
                best->part_tokens = s->n;
            }
        }
    }
}

void prefix_tree_find(struct prefix_tree *t, struct prefix_node *root, const int32_t *ids, size_t n,
                      int32_t *pages_out, struct prefix_match *ret)
{
    struct place at = {.node = root}, best = at;
    for (;;) {
        uint32_t common;
        struct prefix_node *c = best_child(at.node, ids, n, &common);
        if (!c)
            break;
        if (t->states)
            look_for_states(&at, ids, n, &best);
        if (common < KV_PAGE_TOKENS) {
            at.part = c;
            at.part_tokens = common;
            break;
        }
        pages_out[at.n_pages++] = c->page;
        at.node = c;
        ids += KV_PAGE_TOKENS;
        n -= KV_PAGE_TOKENS;
    }
    if (t->states)
        at = best;
    for (uint32_t i = 0; i < at.n_pages; i++)
        kv_pages_ref(t->pages, pages_out[i]);
    if (at.part)
        kv_pages_ref(t->pages, at.part->page);
    if (at.snapshot) {
        kv_pages_ref(t->states, at.snapshot->state);
        snapshot_touch(t, at.snapshot);
    }
    touch_path(t, at.part ? at.part : at.node);
    *ret = (struct prefix_match){
        .node = at.node,
        .n_pages = at.n_pages,
        .part_page = at.part ? at.part->page : -1,
        .part_tokens = at.part_tokens,
        .state = at.snapshot ? at.snapshot->state : -1,
    };
}

struct prefix_node *prefix_tree_put(struct prefix_tree *t, struct prefix_node *parent,
                                    const int32_t *ids, uint32_t n, int32_t *page)
{
    assert(n > 0 && n <= KV_PAGE_TOKENS);
    uint32_t common;
    struct prefix_node *c = best_child(parent, ids, n, &common);
    if (!c || common < MIN(c->n, n)) {
        c = node_add(t, parent, ids, n, *page); /* they part, or there was nothing */
    } else if (c->n >= n) { /* the tree has these tokens, and maybe more behind them */
        if (n == KV_PAGE_TOKENS && c->page != *page) {
            kv_pages_ref(t->pages, c->page);
            kv_pages_unref(t->pages, *page);
            *page = c->page;
        }
    } else { /* the tree's page is a beginning of this one: a leaf, replaced */
        memcpy(c->ids, ids, n * sizeof(*ids));
        c->n = n;
        kv_pages_ref(t->pages, *page);
        kv_pages_unref(t->pages, c->page);
        c->page = *page;
    }
    touch_path(t, c);
    return c;
}

void prefix_tree_keep_state(struct prefix_tree *t, struct prefix_node *node, uint32_t n,
                            int32_t state)
{
    assert(n > 0 && n <= node->n);
    for (struct snapshot *s = node->snapshots; s; s = s->next) {
        if (s->n == n) { /* the same numbers, as the backend promises */
            snapshot_touch(t, s);
            return;
        }
    }
    struct snapshot *s = t->unused_snapshots;
    assert(s); /* one a slot, and the caller keeps a slot once */
    t->unused_snapshots = s->next;
    *s = (struct snapshot){.node = node, .next = node->snapshots, .n = n, .state = state};
    node->snapshots = s;
    snapshot_push(t, s);
    kv_pages_ref(t->states, state);
}

bool prefix_tree_evict_state(struct prefix_tree *t)
{
    for (struct snapshot *s = t->by_use.younger; s != &t->by_use; s = s->younger) {
        if (kv_pages_refs(t->states, s->state) == 1) {
            snapshot_remove(t, s);
            return true;
        }
    }
    return false;
}

bool prefix_tree_evict(struct prefix_tree *t)
{
    for (struct prefix_node *n = t->root.younger; n != &t->root; n = n->younger) {
        if (!n->first_child && kv_pages_refs(t->pages, n->page) == 1) {
            node_remove(t, n);
            return true;
        }
    }
    return false;
}
