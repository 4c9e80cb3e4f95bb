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
    struct kv_pages pages, states; /* states: n = 0 where layers have none */
    struct prefix_tree *tree;
};

static void setup_with_states(struct fixture *f, uint32_t n, uint32_t n_states)
{
    struct error err = ERROR_INIT;
    assert_ok(kv_pages_init(&f->pages, n, &err));
    assert_ok(kv_pages_init(&f->states, n_states, &err));
    assert_ok(prefix_tree_create(&f->pages, f->states.n > 0 ? &f->states : NULL, &f->tree, &err));
}

static void setup(struct fixture *f, uint32_t n)
{
    setup_with_states(f, n, 0);
}

static void teardown(struct fixture *f)
{
    prefix_tree_free(f->tree);
    assert_int_equal(f->pages.n_free, f->pages.n); /* no reference was lost or kept */
    assert_int_equal(f->states.n_free, f->states.n);
    kv_pages_release(&f->pages);
    kv_pages_release(&f->states);
}

/* Enters ids[0..n) as a sequence would that computed them all, and ends it. A state is kept after
 * `kept` tokens, if that is not 0; its slot is returned, else -1. */
static int32_t enter_keeping(struct fixture *f, const int32_t *ids, int n, int kept)
{
    int32_t state = kept > 0 ? kv_pages_take(&f->states) : -1;
    struct prefix_node *node = prefix_tree_root(f->tree, NULL);
    int32_t pages[16];
    int n_pages = 0;
    for (int at = 0; at < n; at += P) {
        pages[n_pages] = kv_pages_take(&f->pages);
        assert_true(pages[n_pages] >= 0);
        node = prefix_tree_put(f->tree, node, ids + at, (uint32_t)MIN(P, n - at), &pages[n_pages]);
        n_pages++;
        if (kept > at && kept <= at + P)
            prefix_tree_keep_state(f->tree, node, (uint32_t)(kept - at), state);
    }
    while (n_pages > 0)
        kv_pages_unref(&f->pages, pages[--n_pages]);
    if (state >= 0)
        kv_pages_unref(&f->states, state);
    return state;
}

static void enter(struct fixture *f, const int32_t *ids, int n)
{
    enter_keeping(f, ids, n, 0);
}

/* How many tokens of ids the tree knows, and the state behind them; gives all references back. */
static uint32_t known_state(struct fixture *f, const int32_t *ids, int n, int32_t *ret_state)
{
    int32_t pages[16];
    struct prefix_match m;
    prefix_tree_find(f->tree, prefix_tree_root(f->tree, NULL), ids, (size_t)n, pages, &m);
    for (uint32_t i = 0; i < m.n_pages; i++)
        kv_pages_unref(&f->pages, pages[i]);
    if (m.part_page >= 0)
        kv_pages_unref(&f->pages, m.part_page);
    if (m.state >= 0)
        kv_pages_unref(&f->states, m.state);
    *ret_state = m.state;
    return m.n_pages * P + (m.part_page >= 0 ? m.part_tokens : 0);
}

static uint32_t known(struct fixture *f, const int32_t *ids, int n)
{
    int32_t state;
    return known_state(f, ids, n, &state);
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
    struct prefix_node *root = prefix_tree_root(f.tree, NULL);
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
    prefix_tree_find(f.tree, prefix_tree_root(f.tree, NULL), c, P, &page, &m);
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

static void test_prefix_tree__ends_where_a_state_was_kept(void **state)
{
    (void)state;
    struct fixture f;
    setup_with_states(&f, 32, 6);
    int32_t ids[4 * P], other[4 * P], found;
    fill(ids, 4 * P, 100);
    memcpy(other, ids, sizeof(ids));
    other[2 * P + 9] = 9999;
    enter(&f, ids, 3 * P); /* all pages, but no state */
    assert_int_equal(known_state(&f, ids, 4 * P, &found), 0);
    assert_int_equal(found, -1);

    int32_t at_page = enter_keeping(&f, ids, 3 * P, 2 * P);
    int32_t inside = enter_keeping(&f, ids, 3 * P, 2 * P + 5);
    for (int n = 0; n <= 4 * P; n++) {
        int want = n >= 2 * P + 5 ? 2 * P + 5 : n >= 2 * P ? 2 * P : 0;
        assert_int_equal(known_state(&f, ids, n, &found), want);
        assert_int_equal(found, want == 0 ? -1 : want == 2 * P ? at_page : inside);
    }
    /* Two pages begin alike; the younger one, that shares more, has no state. */
    enter(&f, other, 3 * P);
    assert_int_equal(known_state(&f, other, 4 * P, &found), 2 * P + 5);
    assert_int_equal(found, inside);
    /* The second state for a place is not kept. */
    int32_t again = enter_keeping(&f, ids, 3 * P, 2 * P + 5);
    assert_int_equal(kv_pages_refs(&f.states, again), 0);
    assert_int_equal(known_state(&f, ids, 3 * P, &found), 2 * P + 5);
    assert_int_equal(found, inside);
    teardown(&f);
}

static void test_prefix_tree__evicts_the_oldest_state_not_in_use(void **state)
{
    (void)state;
    struct fixture f;
    setup_with_states(&f, 32, 3);
    int32_t ids[3 * P], found, pages[4];
    fill(ids, 3 * P, 100);
    enter_keeping(&f, ids, 3 * P, P);
    int32_t second = enter_keeping(&f, ids, 3 * P, 2 * P);
    int32_t third = enter_keeping(&f, ids, 3 * P, 3 * P);
    assert_int_equal(f.states.n_free, 0);
    assert_int_equal(known(&f, ids, P), P); /* the first is the youngest now */

    struct prefix_match m; /* the second is held by a sequence */
    prefix_tree_find(f.tree, prefix_tree_root(f.tree, NULL), ids, 2 * P, pages, &m);
    assert_int_equal(m.state, second);
    assert_true(prefix_tree_evict_state(f.tree));
    assert_int_equal(kv_pages_refs(&f.states, third), 0);
    assert_true(prefix_tree_evict_state(f.tree));
    assert_int_equal(known_state(&f, ids, 3 * P, &found), 2 * P);
    assert_false(prefix_tree_evict_state(f.tree));
    kv_pages_unref(&f.states, m.state);
    for (uint32_t i = 0; i < m.n_pages; i++)
        kv_pages_unref(&f.pages, pages[i]);

    /* A page takes its states along. */
    while (prefix_tree_evict(f.tree))
        ;
    assert_int_equal(f.states.n_free, 3);
    teardown(&f);
}

/* What the tree knows of ids under a key; -1 if the key has no root. */
static int known_under(struct fixture *f, float scale, const int32_t *ids, int n, bool put)
{
    struct prefix_key key = {.scales = {1, scale}};
    struct prefix_node *root = prefix_tree_root(f->tree, &key);
    struct prefix_match m;
    int32_t pages[16];
    if (!root)
        return -1;
    prefix_tree_find(f->tree, root, ids, (size_t)n, pages, &m);
    for (uint32_t i = 0; i < m.n_pages; i++)
        kv_pages_unref(&f->pages, pages[i]);
    if (m.part_page >= 0)
        kv_pages_unref(&f->pages, m.part_page);
    if (put) {
        int32_t page = kv_pages_take(&f->pages);
        prefix_tree_put(f->tree, root, ids, P, &page);
        kv_pages_unref(&f->pages, page);
    }
    prefix_tree_root_unref(f->tree, root);
    return (int)(m.n_pages * P + (m.part_page >= 0 ? m.part_tokens : 0));
}

static void test_prefix_tree__keys_share_nothing(void **state)
{
    (void)state;
    struct fixture f;
    int32_t ids[P];
    setup(&f, PREFIX_KEYS_MAX + 2);
    fill(ids, P, 7);
    assert_int_equal(known_under(&f, 0.5f, ids, P, true), 0);
    assert_int_equal(known_under(&f, 0.5f, ids, P, false), P);
    assert_int_equal(known_under(&f, 0.25f, ids, P, false), 0);
    assert_int_equal(known(&f, ids, P), 0);
    enter(&f, ids, P);
    assert_int_equal(prefix_tree_n_nodes(f.tree), 2);

    /* Keys under which something is kept are never more than so many. */
    for (int i = 1; i < PREFIX_KEYS_MAX; i++)
        assert_int_equal(known_under(&f, (float)i, ids, P, true), 0);
    assert_int_equal(known_under(&f, 1000, ids, P, true), -1);
    assert_int_equal(known_under(&f, 0.5f, ids, P, false), P);
    while (prefix_tree_evict(f.tree))
        ;
    assert_int_equal(known_under(&f, 1000, ids, P, true), 0);

    /* One that is in use keeps its place. */
    struct prefix_key key = {.scales = {3}};
    struct prefix_node *root = prefix_tree_root(f.tree, &key);
    for (int i = 0; i < 2 * PREFIX_KEYS_MAX; i++)
        assert_int_equal(known_under(&f, (float)(2000 + i), ids, P, false), 0);
    assert_ptr_equal(prefix_tree_root(f.tree, &key), root);
    prefix_tree_root_unref(f.tree, root);
    prefix_tree_root_unref(f.tree, root);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kv_pages__take_and_give),
        cmocka_unit_test(test_prefix_tree__finds_what_was_entered),
        cmocka_unit_test(test_prefix_tree__equal_pages_become_one),
        cmocka_unit_test(test_prefix_tree__evicts_the_oldest_leaf_not_in_use),
        cmocka_unit_test(test_prefix_tree__ends_where_a_state_was_kept),
        cmocka_unit_test(test_prefix_tree__evicts_the_oldest_state_not_in_use),
        cmocka_unit_test(test_prefix_tree__keys_share_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
