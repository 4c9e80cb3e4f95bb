/* SPDX-License-Identifier: Apache-2.0
 *
 * Several processes at one store at once, killed at random moments: whatever the moment, the store
 * is whole afterwards and nothing unfinished stays. */
#include "test.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "fixture.h"
#include "store/bundle.h"
#include "store/store.h"

enum { CONTENTS = 5, WORKERS = 3, ROUNDS = 20, THREADS = 4, THREAD_OPS = 40 };

/* Contents large enough to be caught half-written; two share their bytes' length. */
static char *content(unsigned i)
{
    size_t n = i % 2 ? 200000 : 3;
    char *p = xmalloc(n + 1);
    memset(p, 'a' + (int)i, n);
    p[n] = '\0';
    return p;
}

static uint32_t next(uint32_t *rng)
{
    *rng = *rng * 1664525u + 1013904223u;
    return *rng >> 8;
}

static int add(struct store *s, uint32_t *rng, struct error *err)
{
    CLEANUP_FREE char *text = content(next(rng) % CONTENTS);
    CLEANUP_FREE char *tag = xasprintf("docker.io/ai/m%u:latest", next(rng) % 8);
    struct oci_digest id;
    return fixture_add(s, text, next(rng) % 4 ? tag : NULL, &id, err);
}

static int remove_some(struct store *s, uint32_t *rng, struct error *err)
{
    struct oci_reference ref;
    CLEANUP_FREE char *name = xasprintf("m%u", next(rng) % 8);
    oci_reference_parse(str_from(name), NULL, &ref, err);
    struct store_removal done;
    int r = store_remove(s, &ref, name, STORE_REMOVE_FORCE, &done, err);
    if (r == 0)
        store_removal_release(&done);
    return r;
}

static int make_bundle(struct store *s, uint32_t *rng, struct error *err)
{
    CLEANUP_INDEX const struct store_index *idx = NULL;
    CLEANUP_BUF struct buf text = BUF_INIT(1 << 20);
    int r = store_index_get(s, &idx, err);
    if (r < 0 || idx->n_models == 0)
        return r;
    const struct store_model *m = &idx->models[next(rng) % idx->n_models];
    struct oci_manifest manifest = {0};
    struct bundle b = {0};
    r = store_read_manifest(s, &m->id, &text, err);
    if (r == 0)
        r = oci_manifest_parse(buf_str(&text), &manifest, err);
    if (r == 0)
        r = bundle_plan(&manifest, OCI_CONFIG_V01, &b, err);
    if (r == 0)
        r = store_bundle(s, &m->id, STR("{}"), &b, err);
    oci_manifest_release(&manifest);
    bundle_release(&b);
    return r;
}

static int one_operation(struct store *s, uint32_t *rng, struct error *err)
{
    uint64_t freed;
    CLEANUP_INDEX const struct store_index *idx = NULL;
    CLEANUP_FREE char *tag = NULL;
    switch (next(rng) % 8) {
    case 0:
    case 1:
    case 2:
        return add(s, rng, err);
    case 3:
    case 4:
        return remove_some(s, rng, err);
    case 5:
        return make_bundle(s, rng, err);
    case 6:
        return store_prune(s, 0, &freed, err);
    default:
        if (store_index_get(s, &idx, err) < 0)
            return -(int)err->code;
        tag = xasprintf("docker.io/ai/m%u:latest", next(rng) % 8);
        return idx->n_models ? store_tag(s, &idx->models[0].id, tag, err) : 0;
    }
}

/* What may fail when others work on the same store. */
static bool is_expected(int r)
{
    return r == 0 || r == -ERR_NOT_FOUND || r == -ERR_BUSY;
}

static void worker(const char *dir, uint32_t rng)
{
    struct error err = ERROR_INIT;
    struct store *s;
    if (store_open(dir, &s, &err) < 0) {
        fprintf(stderr, "open: %s\n", err.msg);
        _exit(1);
    }
    for (;;) {
        int r = one_operation(s, &rng, &err);
        if (!is_expected(r)) {
            fprintf(stderr, "operation: %s\n", err.msg);
            _exit(1);
        }
    }
}

static void print_found(void *ctx, const char *sentence)
{
    (void)ctx;
    fprintf(stderr, "%s\n", sentence);
}

/* Opens the store as the next program would, and looks at everything. */
static void check(const struct fixture *f)
{
    struct error err = ERROR_INIT;
    struct store *s = NULL;
    assert_ok(store_open(f->store_dir, &s, &err));
    size_t bad = 99;
    assert_ok(store_verify(s, NULL, print_found, NULL, NULL, &bad, &err));
    assert_int_equal(bad, 0);
    uint64_t freed;
    assert_ok(store_prune(s, 0, &freed, &err));
    CLEANUP_INDEX const struct store_index *idx = NULL;
    assert_ok(store_index_get(s, &idx, &err));
    /* Every model has two blobs and none are shared: nothing else is left. */
    assert_int_equal(fixture_count(f->store_dir, "blobs/sha256"), 2 * idx->n_models);
    assert_int_equal(fixture_count(f->store_dir, "manifests/sha256"), idx->n_models);
    assert_true(fixture_count(f->store_dir, "bundles/sha256") <= idx->n_models);
    /* layout.json, models.json, blobs, manifests, perhaps bundles, two locks, what was hashed. */
    assert_true(fixture_count(f->store_dir, ".") <= 8);
    assert_ok(store_verify(s, NULL, print_found, NULL, NULL, &bad, &err));
    assert_int_equal(bad, 0);
    store_close(s);
}

static void test_killed_processes(void **state)
{
    struct fixture *f = *state;
    uint32_t rng = 20261123;
    for (int round = 0; round < ROUNDS; round++) {
        pid_t pids[WORKERS];
        for (int i = 0; i < WORKERS; i++) {
            uint32_t seed = next(&rng);
            pids[i] = fork();
            assert_true(pids[i] >= 0);
            if (pids[i] == 0)
                worker(f->store_dir, seed);
        }
        for (int i = 0; i < WORKERS; i++) {
            usleep(3000 + next(&rng) % 20000);
            kill(pids[i], SIGKILL);
        }
        for (int i = 0; i < WORKERS; i++) {
            int status;
            assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
            assert_true(WIFSIGNALED(status));
        }
        check(f);
    }
}

struct thread_arg {
    struct store *s;
    uint32_t rng;
    int failed;
};

static void *thread_main(void *p)
{
    struct thread_arg *a = p;
    for (int i = 0; i < THREAD_OPS; i++) {
        struct error err = ERROR_INIT;
        if (!is_expected(one_operation(a->s, &a->rng, &err))) {
            fprintf(stderr, "thread: %s\n", err.msg);
            a->failed = 1;
        }
    }
    return NULL;
}

static void test_threads_of_one_process(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = NULL;
    assert_ok(store_open(f->store_dir, &s, &err));
    pthread_t threads[THREADS];
    struct thread_arg args[THREADS];
    for (int i = 0; i < THREADS; i++) {
        args[i] = (struct thread_arg){.s = s, .rng = (uint32_t)i * 7919u};
        assert_int_equal(pthread_create(&threads[i], NULL, thread_main, &args[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(args[i].failed, 0);
    }
    store_close(s);
    check(f);
}

/* No change of one process is lost to another. */
static void test_no_lost_updates(void **state)
{
    struct fixture *f = *state;
    struct error err = ERROR_INIT;
    struct store *s = NULL;
    struct oci_digest id;
    assert_ok(store_open(f->store_dir, &s, &err));
    assert_ok(fixture_add(s, "weights", NULL, &id, &err));
    enum { EACH = 15 };
    pid_t pids[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] != 0)
            continue;
        struct store *own;
        int r = store_open(f->store_dir, &own, &err);
        for (int k = 0; r == 0 && k < EACH; k++) {
            CLEANUP_FREE char *tag = xasprintf("docker.io/ai/m:%d-%d", i, k);
            r = store_tag(own, &id, tag, &err);
        }
        _exit(r == 0 ? 0 : 1);
    }
    for (int i = 0; i < WORKERS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    CLEANUP_INDEX const struct store_index *idx = NULL;
    assert_ok(store_index_get(s, &idx, &err));
    assert_int_equal(idx->models[0].n_tags, WORKERS * EACH);
    store_close(s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup_on_disk, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_killed_processes),
        T(test_threads_of_one_process),
        T(test_no_lost_updates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
