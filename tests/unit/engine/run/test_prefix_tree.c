/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "engine/backend/backend.h"
#include "engine/run/kv_pages.h"
#include "engine/run/prefix_tree.h"
#include "test.h"

enum { P = KV_PAGE_TOKENS };

/* ids: `start`, start + 1, … */
static void fill(int32_t *ids, int n, int32_t start)
{
    for (int i = 0; i < n; i++)
        ids[i] = start + i;
}

static void test_kv_pages__take_and_give(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct kv_pages p;
    assert_ok(kv_pages_init(&p, 3, &err));
    int32_t a = kv_pages_take(&p), b = kv_pages_take(&p), c = kv_pages_take(&p);
    assert_int_equal(a, 0);
    assert_int_equal(b, 1);
    assert_int_equal(c, 2);
    assert_int_equal(kv_pages_take(&p), -1);
    kv_pages_ref(&p, b);
    kv_pages_unref(&p, b);
    assert_int_equal(p.n_free, 0);
    kv_pages_unref(&p, b);
    assert_int_equal(p.n_free, 1);
    assert_int_equal(kv_pages_take(&p), b);
    kv_pages_release(&p);
    assert_fails(kv_pages_init(&p, UINT32_MAX, &err), ERR_TOO_LARGE, "too large");
}

struct fixture {
    struct kv_pages pages;
    struct prefix_tree *tree;
};

static void setup(struct fixture *f, uint32_t n)
{
    struct error err = ERROR_INIT;
    assert_ok(kv_pages_init(&f->pages, n, &err));
    assert_ok(prefix_tree_create(&f->pages, &f->tree, &err));
}

static void teardown(struct fixture *f)
{
    prefix_tree_free(f->tree);
    assert_int_equal(f->pages.n_free, f->pages.n); /* no reference was lost or kept */
    kv_pages_release(&f->pages);
}

/* Enters ids[0..n) as a sequence would that computed them all, and ends it. */
static void enter(struct fixture *f, const int32_t *ids, int n)
{
    struct prefix_node *node = prefix_tree_root(f->tree);
    int32_t pages[16];
    int n_pages = 0;
    for (int at = 0; at < n; at += P) {
        pages[n_pages] = kv_pages_take(&f->pages);
        assert_true(pages[n_pages] >= 0);
        node = prefix_tree_put(f->tree, node, ids + at, (uint32_t)MIN(P, n - at), &pages[n_pages]);
        n_pages++;
    }
    while (n_pages > 0)
        kv_pages_unref(&f->pages, pages[--n_pages]);
}

/* How many tokens of ids the tree knows; gives all references back. */
static uint32_t known(struct fixture *f, const int32_t *ids, int n)
{
    int32_t pages[16];
    struct prefix_match m;
    prefix_tree_find(f->tree, ids, (size_t)n, pages, &m);
    for (uint32_t i = 0; i < m.n_pages; i++)
        kv_pages_unref(&f->pages, pages[i]);
    if (m.part_page >= 0)
        kv_pages_unref(&f->pages, m.part_page);
    return m.n_pages * P + (m.part_page >= 0 ? m.part_tokens : 0);
}

static void test_prefix_tree__finds_what_was_entered(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 16);
    int32_t ids[4 * P], other[4 * P];
    fill(ids, 4 * P, 100);
    assert_int_equal(known(&f, ids, 4 * P), 0);
    enter(&f, ids, 2 * P + 5);
    assert_int_equal(prefix_tree_n_nodes(f.tree), 3);
    for (int n = 0; n <= 4 * P; n++)
        assert_int_equal(known(&f, ids, n), MIN(n, 2 * P + 5));

    /* The chat goes on: the partly filled page is replaced, not doubled. */
    enter(&f, ids, 3 * P + 1);
    assert_int_equal(prefix_tree_n_nodes(f.tree), 4);
    assert_int_equal(known(&f, ids, 4 * P), 3 * P + 1);
    /* A shorter text that is known adds nothing. */
    enter(&f, ids, 2 * P + 3);
    assert_int_equal(prefix_tree_n_nodes(f.tree), 4);

    /* A branch inside the second page. */
    memcpy(other, ids, sizeof(ids));
    other[P + 7] = 9999;
    assert_int_equal(known(&f, other, 4 * P), P + 7);
    enter(&f, other, 2 * P);
    assert_int_equal(known(&f, other, 4 * P), 2 * P);
    assert_int_equal(known(&f, ids, 4 * P), 3 * P + 1);
    teardown(&f);
}

static void test_prefix_tree__equal_pages_become_one(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 4);
    int32_t ids[P];
    fill(ids, P, 1);
    int32_t a = kv_pages_take(&f.pages), b = kv_pages_take(&f.pages), mine = b;
    struct prefix_node *root = prefix_tree_root(f.tree);
    struct prefix_node *x = prefix_tree_put(f.tree, root, ids, P, &a);
    struct prefix_node *y = prefix_tree_put(f.tree, root, ids, P, &b);
    assert_ptr_equal(x, y);
    assert_int_equal(a, b);
    assert_int_equal(kv_pages_refs(&f.pages, a), 3); /* two sequences and the tree */
    assert_int_equal(kv_pages_refs(&f.pages, mine), 0);
    kv_pages_unref(&f.pages, a);
    kv_pages_unref(&f.pages, b);
    teardown(&f);
}

static void test_prefix_tree__evicts_the_oldest_leaf_not_in_use(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, 16);
    int32_t a[2 * P], b[2 * P], c[P];
    fill(a, 2 * P, 1);
    fill(b, 2 * P, 1000);
    fill(c, P, 2000);
    enter(&f, a, 2 * P);
    enter(&f, b, 2 * P);
    enter(&f, c, P);
    assert_int_equal(known(&f, a, 2 * P), 2 * P); /* a is the youngest now */

    /* c is held by a sequence. */
    int32_t page;
    struct prefix_match m;
    prefix_tree_find(f.tree, c, P, &page, &m);
    assert_int_equal(m.n_pages, 1);

    assert_true(prefix_tree_evict(f.tree));
    assert_int_equal(known(&f, b, 2 * P), P); /* its leaf went first */
    assert_int_equal(known(&f, a, 2 * P), 2 * P);
    assert_true(prefix_tree_evict(f.tree));
    assert_int_equal(known(&f, b, 2 * P), 0);
    assert_true(prefix_tree_evict(f.tree));
    assert_true(prefix_tree_evict(f.tree));
    assert_int_equal(known(&f, a, 2 * P), 0);
    assert_false(prefix_tree_evict(f.tree)); /* c is in use */
    kv_pages_unref(&f.pages, page);
    assert_true(prefix_tree_evict(f.tree));
    assert_int_equal(prefix_tree_n_nodes(f.tree), 0);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kv_pages__take_and_give),
        cmocka_unit_test(test_prefix_tree__finds_what_was_entered),
        cmocka_unit_test(test_prefix_tree__equal_pages_become_one),
        cmocka_unit_test(test_prefix_tree__evicts_the_oldest_leaf_not_in_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
