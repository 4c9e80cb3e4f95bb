/* SPDX-License-Identifier: Apache-2.0
 *
 * Embeddings against ../shared/conformance/logits (or MR_SHARED): one test per reference file there
 * that has `rows`, named as it. Skipped where the set is not present. */
#include "test.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/run/embedding.h"
#include "logits_reference.h"

enum { MAX_FILES = 256, ROWS_MAX = 64 };

/* The reference engine reads GELU from a table of f16 values; everything else agrees to 1e-6. */
static const double TOLERANCE = 0.01, TOLERANCE_COSINE = 1e-3;

static struct embedding *embed(struct lm *lm, enum pooling pooling, const struct prompt *texts,
                               size_t n)
{
    struct error err = ERROR_INIT;
    const struct embedding_request req = {
        .texts = texts, .n_texts = n, .pooling = pooling, .kv_type = KV_F32};
    struct embedding *e = NULL;
    assert_ok(embedding_begin(lm, &req, &e, &err));
    int r;
    while ((r = embedding_step(e, NULL, &err)) > 0)
        ;
    assert_ok(r);
    return e;
}

static void check_vector(const char *name, const char *what, size_t row, const struct json *want,
                         const float *got, uint32_t width)
{
    assert_int_equal(js_len(want), width);
    for (size_t i = 0; i < width; i++) {
        double w = js_to_real(js_at(want, i), (double)NAN);
        if (!(fabs(w - (double)got[i]) <= TOLERANCE))
            fail_msg("%s: %s of row %zu: value %zu is %g, reference %g", name, what, row, i,
                     (double)got[i], w);
    }
}

static double cosine(const float *a, const float *b, uint32_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (uint32_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

/* The ids of the row, which its text must give. */
static void read_tokens(const struct lm *lm, const struct json *row, struct token_list *ids)
{
    struct error err = ERROR_INIT;
    assert_ok(
        tokenizer_encode(lm->tokenizer, js_get_str(row, "text"), TOKENIZE_ADD_SPECIAL, ids, &err));
    const struct json *want = js_get(row, "ids");
    assert_int_equal(ids->n, js_len(want));
    for (size_t i = 0; i < ids->n; i++)
        assert_int_equal(ids->ids[i], js_to_int(js_at(want, i), -1));
}

static void test_reference(void **state)
{
    const char *name = *state;
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *ref = read_reference(name);
    const struct json *rows = js_get(ref, "rows"), *cosines = js_get(ref, "cosine");
    size_t n = js_len(rows);
    assert_in_range(n, 1, ROWS_MAX);
    CLEANUP_FREE char *path = reference_path(js_get_cstr(ref, "model", ""));
    struct lm *lm = NULL;
    assert_ok(lm_open(path, &(struct lm_options){.n_threads = 2}, &lm, &err));

    struct token_list ids[ROWS_MAX] = {0};
    struct prompt texts[ROWS_MAX];
    for (size_t i = 0; i < n; i++) {
        read_tokens(lm, js_at(rows, i), &ids[i]);
        texts[i] = (struct prompt){.ids = ids[i].ids, .n = ids[i].n};
    }
    enum pooling pooling = lm_default_pooling(lm);
    struct embedding *all = embed(lm, pooling, texts, n);
    const float *vectors[ROWS_MAX];
    uint32_t width = 0, n_rows;
    for (size_t i = 0; i < n; i++) {
        vectors[i] = embedding_rows(all, i, &n_rows, &width);
        check_vector(name, "vector", i, js_get(js_at(rows, i), "pooled"), vectors[i], width);

        struct embedding *alone = embed(lm, pooling, &texts[i], 1);
        assert_memory_equal(vectors[i], embedding_rows(alone, 0, &n_rows, &width),
                            width * sizeof(float)); /* company changes nothing */
        embedding_free(alone);

        struct embedding *tokens = embed(lm, POOLING_NONE, &texts[i], 1);
        const float *each = embedding_rows(tokens, 0, &n_rows, &width);
        assert_int_equal(n_rows, ids[i].n);
        check_vector(name, "first token", i, js_get(js_at(rows, i), "first_token"), each, width);
        check_vector(name, "last token", i, js_get(js_at(rows, i), "last_token"),
                     each + (size_t)(n_rows - 1) * width, width);
        embedding_free(tokens);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < n; k++) {
            double want = js_to_real(js_at(js_at(cosines, i), k), (double)NAN);
            double got = cosine(vectors[i], vectors[k], width);
            if (!(fabs(got - want) <= TOLERANCE_COSINE))
                fail_msg("%s: cosine of rows %zu and %zu is %g, reference %g", name, i, k, got,
                         want);
        }
    }
    embedding_free(all);
    for (size_t i = 0; i < n; i++)
        token_list_release(&ids[i]);
    lm_close(lm);
}

static bool has_rows(const char *name)
{
    CLEANUP_JSON struct json *ref = read_reference(name);
    return js_get(ref, "rows") != NULL;
}

static void test_set_is_present(void **state)
{
    (void)state;
    CLEANUP_FREE char *dir = reference_path("");
    if (!file_exists(dir))
        skip();
}

int main(void)
{
    static struct CMUnitTest tests[MAX_FILES] = {cmocka_unit_test(test_set_is_present)};
    size_t n = 1;
    CLEANUP_FREE char *path = reference_path("");
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir)) && n < MAX_FILES;) {
        if (!str_ends_with(str_from(e->d_name), STR(".ref.json")) || !has_rows(e->d_name))
            continue;
        char *copy = xstrdup(e->d_name);
        tests[n++] =
            (struct CMUnitTest){.name = copy, .test_func = test_reference, .initial_state = copy};
    }
    if (dir)
        closedir(dir);
    int failed = _cmocka_run_group_tests("embeddings", tests, n, NULL, NULL);
    for (size_t i = 1; i < n; i++)
        free(tests[i].initial_state);
    return failed;
}
