/* SPDX-License-Identifier: Apache-2.0
 *
 * The prefix tree over KV cache pages.
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

struct prefix_node {
    struct prefix_node *parent, *first_child;
    struct prefix_node *next, *prev;     /* siblings; `next` also links unused nodes */
    struct prefix_node *older, *younger; /* by use */
    int32_t page;
    uint32_t n; /* tokens in the page */
    int32_t ids[KV_PAGE_TOKENS];
};

struct prefix_tree {
    struct kv_pages *pages;
    struct prefix_node root; /* stands for no page; also the head of the list by use */
    struct prefix_node *nodes, *unused;
    uint32_t n_nodes;
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
    for (; node != &t->root; node = node->parent) {
        use_unlink(node);
        use_push(t, node);
    }
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
    use_unlink(node);
    kv_pages_unref(t->pages, node->page);
    node->next = t->unused;
    t->unused = node;
    t->n_nodes--;
}

/* ---- the tree ---- */

int prefix_tree_create(struct kv_pages *pages, struct prefix_tree **ret, struct error *err)
{
    struct prefix_tree *t = xcalloc(1, sizeof(*t));
    t->nodes = alloc_array(pages->n, sizeof(*t->nodes));
    if (!t->nodes) {
        free(t);
        return error_set(err, ERR_NOMEM, "out of memory for the prefix tree of %u pages", pages->n);
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
    free(t->nodes);
    free(t);
}

struct prefix_node *prefix_tree_root(struct prefix_tree *t)
{
    return &t->root;
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

void prefix_tree_find(struct prefix_tree *t, const int32_t *ids, size_t n, int32_t *pages_out,
                      struct prefix_match *ret)
{
    struct prefix_match m = {.node = &t->root, .part_page = -1};
    for (;;) {
        uint32_t common;
        struct prefix_node *c = best_child(m.node, ids, n, &common);
        if (!c) {
            touch_path(t, m.node);
            break;
        }
        kv_pages_ref(t->pages, c->page);
        if (common < KV_PAGE_TOKENS) {
            m.part_page = c->page;
            m.part_tokens = common;
            touch_path(t, c);
            break;
        }
        pages_out[m.n_pages++] = c->page;
        m.node = c;
        ids += KV_PAGE_TOKENS;
        n -= KV_PAGE_TOKENS;
    }
    *ret = m;
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
    return n == KV_PAGE_TOKENS ? c : NULL;
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
