/* SPDX-License-Identifier: Apache-2.0
 *
 * Downloads into the store: pieces in any order, interruptions, damage, company. */
#include "test.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"
#include "fixture.h"
#include "store/partial.h"

enum { MIB = 1 << 20 };

/* A blob of some megabytes, the same each time. */
struct blob {
    char *bytes;
    size_t size;
    struct oci_digest digest;
};

static struct blob make_blob(size_t size)
{
    struct blob b = {.bytes = xmalloc(size), .size = size};
    uint32_t x = 12345;
    for (size_t i = 0; i < size; i++) {
        x = x * 1664525u + 1013904223u;
        b.bytes[i] = (char)(x >> 24);
    }
    b.digest = oci_digest_of(str_make(b.bytes, size));
    return b;
}

struct world {
    struct fixture *f;
    struct store *s;
    struct store_txn *t;
    char *dir; /* blobs/sha256 */
};

static struct world begin(void **state)
{
    struct world w = {.f = *state};
    struct error err = ERROR_INIT;
    assert_ok(store_open(w.f->store_dir, &w.s, &err));
    assert_ok(store_begin(w.s, &w.t, &err));
    w.dir = path_join(w.f->store_dir, "blobs/sha256");
    return w;
}

static void end(struct world *w)
{
    store_abort(w->t);
    store_close(w->s);
    free(w->dir);
}

static char *name_of(const struct blob *b, const char *suffix)
{
    return xasprintf("%s%s", oci_digest_hex(&b->digest), suffix);
}

static bool is_there(const struct world *w, const struct blob *b, const char *suffix)
{
    CLEANUP_FREE char *name = name_of(b, suffix);
    return fixture_exists(w->dir, name);
}

static void put(struct store_partial *p, const struct blob *b, size_t at, size_t n)
{
    struct error err = ERROR_INIT;
    for (size_t done = 0; done < n;) {
        size_t piece = MIN(n - done, (size_t)100000);
        assert_ok(store_partial_write(p, at + done, b->bytes + at + done, piece, &err));
        done += piece;
    }
}

/* Writes what `p` lacks. */
static void put_rest(struct store_partial *p, const struct blob *b)
{
    size_t n;
    const struct store_range *have = store_partial_have(p, &n);
    struct store_range copy[16];
    assert_true(n <= ARRAY_LEN(copy));
    if (n)
        memcpy(copy, have, n * sizeof(*have));
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        put(p, b, at, copy[i].offset - at);
        at = copy[i].offset + copy[i].length;
    }
    put(p, b, at, b->size - at);
}

static void test_partial__any_order(void **state)
{
    static const size_t sizes[] = {1, 5000, MIB - 1, 3 * MIB + 17};
    struct world w = begin(state);
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct blob b = make_blob(sizes[i]);
        struct store_partial *p;
        assert_ok(store_partial_open(w.t, &b.digest, b.size, &p, &err));
        assert_int_equal(store_partial_received(p), 0);
        assert_ok(store_partial_reserve(p, &err));
        size_t half = b.size / 2, quarter = b.size / 4;
        put(p, &b, half, b.size - half);
        put(p, &b, 0, quarter);
        put(p, &b, quarter, half - quarter);
        assert_ok(store_partial_finish(p, NULL, NULL, &err));
        assert_true(store_has_blob(w.s, &b.digest, b.size));
        assert_false(is_there(&w, &b, ".partial"));
        assert_false(is_there(&w, &b, ".ranges"));
        free(b.bytes);
    }
    end(&w);
}

/* Several streams, each in order, as connections bring them; now and then an interruption. */
static void test_partial__streams(void **state)
{
    enum { SIZE = 5 * MIB + 3, MAX_STREAMS = 5 };
    struct world w = begin(state);
    struct error err = ERROR_INIT;
    struct blob b = make_blob(SIZE);
    uint32_t rng = 1;
    for (size_t n_streams = 1; n_streams <= MAX_STREAMS; n_streams++) {
        size_t at[MAX_STREAMS], stop[MAX_STREAMS], left = SIZE;
        for (size_t i = 0; i < n_streams; i++) {
            at[i] = SIZE / n_streams * i;
            stop[i] = i + 1 < n_streams ? SIZE / n_streams * (i + 1) : SIZE;
        }
        struct store_partial *p;
        assert_ok(store_partial_open(w.t, &b.digest, b.size, &p, &err));
        while (left > 0) {
            rng = rng * 1664525u + 1013904223u;
            size_t i = (rng >> 8) % n_streams;
            size_t n = MIN((size_t)(rng >> 4) % 400000 + 1, stop[i] - at[i]);
            assert_ok(store_partial_write(p, at[i], b.bytes + at[i], n, &err));
            at[i] += n;
            left -= n;
            if (rng >> 24 < 8) {
                store_partial_close(p);
                assert_ok(store_partial_open(w.t, &b.digest, b.size, &p, &err));
                assert_int_equal(store_partial_received(p), SIZE - left);
            }
        }
        assert_ok(store_partial_finish(p, NULL, NULL, &err));
        assert_true(store_has_blob(w.s, &b.digest, b.size));
        end(&w);
        CLEANUP_FREE char *path = path_join(w.f->store_dir, "blobs");
        assert_ok(dir_remove_tree(path, &err));
        w = begin(state);
    }
    free(b.bytes);
    end(&w);
}

static void test_partial__resumes(void **state)
{
    struct world w = begin(state);
    struct error err = ERROR_INIT;
    struct blob b = make_blob(5 * MIB);
    struct store_partial *p;
    assert_ok(store_partial_open(w.t, &b.digest, b.size, &p, &err));
    put(p, &b, 0, 1000);
    put(p, &b, 2 * MIB, MIB);
    store_partial_close(p);
    end(&w);

    w = begin(state);
    assert_int_equal(store_partial_peek(w.s, &b.digest, b.size), MIB + 1000);
    assert_ok(store_partial_open(w.t, &b.digest, b.size, &p, &err));
    size_t n;
    const struct store_range *have = store_partial_have(p, &n);
    assert_int_equal(n, 2);
    assert_int_equal(have[0].offset, 0);
    assert_int_equal(have[0].length, 1000);
    assert_int_equal(have[1].offset, 2 * MIB);
    assert_int_equal(have[1].length, MIB);
    put_rest(p, &b);
    assert_ok(store_partial_finish(p, NULL, NULL, &err));
    assert_true(store_has_blob(w.s, &b.digest, b.size));
    end(&w);
    free(b.bytes);
}

static void test_partial__nothing_received_leaves_nothing(void **state)
{
    struct world w = begin(state);
    struct error err = ERROR_INIT;
    struct blob b = make_blob(1000);
    struct store_partial *p;
    assert_ok(store_partial_open(w.t, &b.digest, b.size, &p, &err));
    assert_ok(store_partial_reserve(p, &err));
    store_partial_close(p);
    assert_int_equal(fixture_count(w.dir, "."), 0);
    end(&w);
    free(b.bytes);
}

static void test_partial__refuses_wrong_content(void **state)
{
    static const size_t sizes[] = {1000, 3 * MIB};
    struct world w = begin(state);
    struct error err = ERROR_INIT;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct blob b = make_blob(sizes[i]);
        struct store_partial *p;
        b.bytes[sizes[i] / 2] ^= 1;
        assert_ok(store_partial_open(w.t, &b.digest, b.size, &p, &err));
        put(p, &b, 0, b.size);
        assert_fails(store_partial_finish(p, NULL, NULL, &err), ERR_CORRUPT,
                     "blob digest mismatch for \"sha256:");
        assert_int_equal(fixture_count(w.dir, "."), 0);
        free(b.bytes);
    }
    end(&w);
}

static void test_partial__refuses_wrong_sizes(void **state)
{
    struct world w = begin(state);
    struct error err = ERROR_INIT;
    struct blob b = make_blob(1000);
    struct store_partial *p;
    assert_ok(store_partial_open(w.t, &b.digest, b.size, &p, &err));
    assert_fails(store_partial_write(p, 1, b.bytes, 1000, &err), ERR_CORRUPT, "longer");
    assert_fails(store_partial_write(p, UINT64_MAX, b.bytes, 1, &err), ERR_CORRUPT, "longer");
    put(p, &b, 0, 999);
    assert_fails(store_partial_finish(p, NULL, NULL, &err), ERR_CORRUPT, "ended before");
    assert_fails(store_partial_open(w.t, &b.digest, UINT64_MAX, &p, &err), ERR_TOO_LARGE, "size");
    end(&w);
    free(b.bytes);
}

static void test_partial__one_at_a_time(void **state)
{
    struct world w = begin(state);
    struct error err = ERROR_INIT;
    struct blob b = make_blob(2 * MIB);
    struct store_partial *p, *q;
    struct store_txn *other;
    assert_ok(store_begin(w.s, &other, &err));
    assert_ok(store_partial_open(w.t, &b.digest, b.size, &p, &err));
    assert_fails(store_partial_open(other, &b.digest, b.size, &q, &err), ERR_BUSY, "downloads");
    put(p, &b, 0, MIB);
    store_partial_close(p);
    assert_ok(store_partial_open(other, &b.digest, b.size, &q, &err));
    put_rest(q, &b);
    assert_ok(store_partial_finish(q, NULL, NULL, &err));
    assert_fails(store_partial_open(w.t, &b.digest, b.size, &p, &err), ERR_BUSY, "arrived");
    assert_ok(store_txn_hold(w.t, &b.digest, b.size, &err));
    store_abort(other);
    end(&w);
    free(b.bytes);
}

/* What a killed process had written counts, but for the last few megabytes. */
static void test_partial__killed(void **state)
{
    struct blob b = make_blob(21 * MIB);
    struct fixture *f = *state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct error err = ERROR_INIT;
        struct store *s;
        struct store_txn *t;
        struct store_partial *p;
        if (store_open(f->store_dir, &s, &err) < 0 || store_begin(s, &t, &err) < 0 ||
            store_partial_open(t, &b.digest, b.size, &p, &err) < 0)
            _exit(1);
        for (size_t at = 0; at < 20 * (size_t)MIB; at += MIB)
            if (store_partial_write(p, at, b.bytes + at, MIB, &err) < 0)
                _exit(1);
        _exit(0); /* as if it were killed: nothing is closed */
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);

    struct world w = begin(state);
    struct error err = ERROR_INIT;
    struct store_partial *p;
    assert_ok(store_partial_open(w.t, &b.digest, b.size, &p, &err));
    assert_true(store_partial_received(p) >= 12 * (uint64_t)MIB);
    assert_true(store_partial_received(p) <= 20 * (uint64_t)MIB);
    put_rest(p, &b);
    assert_ok(store_partial_finish(p, NULL, NULL, &err));
    end(&w);
    free(b.bytes);
}

#define HEAD "model-runner partial 1\nsize 3000\n"

/* Ranges files as killed machines and strangers leave them, beside 2000 bytes of data. */
static void test_partial__state_files(void **state)
{
    static const struct {
        const char *text;
        uint64_t want; /* bytes believed to be there */
    } cases[] = {
        {HEAD "boot x\ns 0 1500\nw 0 2000\nend\n", 1500}, /* another boot: what was synced */
        {HEAD "boot x\ns 0 100\ns 1000 100\nend\n", 200},
        {HEAD "boot x\ns 0 3000\nend\n", 2000}, /* no more than the file has */
        {HEAD "boot x\ns 0 3001\nend\n", 0},
        {HEAD "boot x\ns 1 3000\nend\n", 0},
        {HEAD "boot x\ns 18446744073709551615 2\nend\n", 0},
        {HEAD "boot x\ns -1 5\nend\n", 0},
        {HEAD "boot x\ns 0 0\nend\n", 0},
        {HEAD "boot x\ns 0 5 5\nend\n", 0},
        {HEAD "boot x\nz 0 5\nend\n", 0},
        {HEAD "boot x\ns 0 1500\n", 0}, /* cut short */
        {"model-runner partial 1\nsize 3001\nboot x\ns 0 1500\nend\n", 0},
        {"model-runner partial 2\nsize 3000\nboot x\ns 0 1500\nend\n", 0},
        {"", 0},
        {"\n\n\n", 0},
    };
    struct world w = begin(state);
    struct error err = ERROR_INIT;
    struct blob b = make_blob(3000);
    CLEANUP_FREE char *data = name_of(&b, ".partial"), *ranges = name_of(&b, ".ranges");
    CLEANUP_FREE char *data_path = path_join(w.dir, data);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_ok(file_write_atomic(data_path, str_make(b.bytes, 2000), 0644, &err));
        fixture_write(w.dir, ranges, cases[i].text);
        struct store_partial *p;
        assert_ok(store_partial_open(w.t, &b.digest, b.size, &p, &err));
        if (store_partial_received(p) != cases[i].want)
            fail_msg("case %zu: %llu bytes", i, (unsigned long long)store_partial_received(p));
        store_partial_close(p);
    }
    /* A whole download after all of that. */
    struct store_partial *p;
    assert_ok(store_partial_open(w.t, &b.digest, b.size, &p, &err));
    put_rest(p, &b);
    assert_ok(store_partial_finish(p, NULL, NULL, &err));
    end(&w);
    free(b.bytes);
}

static void age(const struct world *w, const char *name)
{
    CLEANUP_FREE char *path = path_join(w->dir, name);
    struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
}

static void test_partial__takes_over_what_a_dmr_left(void **state)
{
    struct world w = begin(state);
    struct error err = ERROR_INIT;
    struct blob b = make_blob(2 * MIB);
    CLEANUP_FREE char *theirs = name_of(&b, ".incomplete");
    CLEANUP_FREE char *path = path_join(w.dir, theirs);
    assert_ok(file_write_atomic(path, str_make(b.bytes, MIB), 0644, &err));
    struct store_partial *p;
    assert_ok(store_partial_open(w.t, &b.digest, b.size, &p, &err));
    assert_int_equal(store_partial_received(p), 0); /* fresh: a DMR may be writing it */
    store_partial_close(p);
    age(&w, theirs);
    assert_ok(store_partial_open(w.t, &b.digest, b.size, &p, &err));
    assert_int_equal(store_partial_received(p), MIB);
    put_rest(p, &b);
    assert_ok(store_partial_finish(p, NULL, NULL, &err));
    assert_int_equal(fixture_count(w.dir, "."), 2); /* the blob, and the hold on it */
    end(&w);
    free(b.bytes);
}

static void test_partial__links_are_not_followed(void **state)
{
    struct world w = begin(state);
    struct error err = ERROR_INIT;
    struct blob b = make_blob(1000);
    CLEANUP_FREE char *name = name_of(&b, ".partial");
    CLEANUP_FREE char *path = path_join(w.dir, name);
    CLEANUP_FREE char *outside = path_join(w.f->root, "outside");
    assert_ok(file_write_atomic(outside, STR("precious"), 0644, &err));
    assert_int_equal(symlink(outside, path), 0);
    struct store_partial *p;
    assert_true(store_partial_open(w.t, &b.digest, b.size, &p, &err) < 0);
    CLEANUP_FREE char *content = fixture_read(w.f->root, "outside");
    assert_string_equal(content, "precious");
    end(&w);
    free(b.bytes);
}

static void test_partial__prune(void **state)
{
    struct world w = begin(state);
    struct error err = ERROR_INIT;
    struct blob b = make_blob(1000);
    struct store_partial *p;
    uint64_t freed;
    assert_ok(store_partial_open(w.t, &b.digest, b.size, &p, &err));
    put(p, &b, 0, 500);
    assert_fails(store_prune(w.s, 0, &freed, &err), ERR_BUSY, "");
    store_partial_close(p);
    store_abort(TAKE(w.t));
    assert_ok(store_prune(w.s, 3600, &freed, &err));
    assert_true(is_there(&w, &b, ".partial"));
    assert_ok(store_prune(w.s, 0, &freed, &err));
    assert_int_equal(fixture_count(w.dir, "."), 0);
    end(&w);
    free(b.bytes);
}

/* Against a plain map of bytes. */
static void test_ranges__random(void **state)
{
    (void)state;
    enum { SPACE = 200, ROUNDS = 300 };
    unsigned seed = 7;
    for (int round = 0; round < ROUNDS; round++) {
        struct ranges r = {0};
        bool map[SPACE] = {false};
        for (int k = 0; k < 25; k++) {
            seed = seed * 1103515245u + 12345u;
            uint64_t offset = (seed >> 16) % SPACE, length = (seed >> 8) % (SPACE - offset);
            ranges_add(&r, offset, MIN(length, (uint64_t)20));
            for (uint64_t i = offset; i < offset + MIN(length, (uint64_t)20); i++)
                map[i] = true;
        }
        if (round % 3 == 0) {
            ranges_clip(&r, SPACE / 2);
            memset(map + SPACE / 2, 0, SPACE / 2);
        }
        uint64_t total = 0, prefix = 0;
        for (int i = 0; i < SPACE; i++)
            total += map[i];
        while (prefix < SPACE && map[prefix])
            prefix++;
        assert_int_equal(ranges_total(&r), total);
        assert_int_equal(ranges_prefix(&r), prefix);
        for (size_t i = 0; i < r.n; i++) {
            assert_true(i == 0 ||
                        r.items[i].offset > r.items[i - 1].offset + r.items[i - 1].length);
            for (uint64_t k = 0; k < r.items[i].length; k++)
                assert_true(map[r.items[i].offset + k]);
        }
        ranges_release(&r);
    }
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ranges__random),
        WITH_STORE(test_partial__any_order),
        WITH_STORE(test_partial__streams),
        WITH_STORE(test_partial__resumes),
        WITH_STORE(test_partial__nothing_received_leaves_nothing),
        WITH_STORE(test_partial__refuses_wrong_content),
        WITH_STORE(test_partial__refuses_wrong_sizes),
        WITH_STORE(test_partial__one_at_a_time),
        WITH_STORE(test_partial__killed),
        WITH_STORE(test_partial__state_files),
        WITH_STORE(test_partial__takes_over_what_a_dmr_left),
        WITH_STORE(test_partial__links_are_not_followed),
        WITH_STORE(test_partial__prune),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
