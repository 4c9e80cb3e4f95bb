/* SPDX-License-Identifier: Apache-2.0
 *
 * Logits and greedy continuations against ../shared/conformance/logits (or MR_SHARED): one test per
 * reference file there, named as it. Skipped where the set is not present; files of architectures
 * that the engine does not have yet are skipped by name, with the reason. */
#include "test.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/run/vocab_load.h"
#include "logits_reference.h"
#include "model_run.h"

enum { MAX_FILES = 256 };

/* The engine keeps activations in f32 and takes weights as their exact values, so the references
 * that do the same are met closely; the rest is the order of sums. */
static const double TOLERANCE = 1e-3;
/* The reference engine reads GELU from a table of f16 values. */
static const double TOLERANCE_GELU = 0.01;

struct subject {
    const char *name; /* of the reference file */
    struct model *model;
    size_t n_vocab;
    double tolerance;
};

static int32_t *read_ids(const struct json *array, int32_t *ret_n)
{
    size_t n = js_len(array);
    int32_t *ids = xcalloc(n + 1, sizeof(*ids));
    for (size_t i = 0; i < n; i++)
        ids[i] = (int32_t)js_to_int(js_at(array, i), -1);
    *ret_n = (int32_t)n;
    return ids;
}

static int32_t best(const float *row, size_t n)
{
    size_t at = 0;
    for (size_t i = 1; i < n; i++)
        if (row[i] > row[at])
            at = i;
    return (int32_t)at;
}

static double log_prob(const float *row, size_t n, int32_t id)
{
    double max = (double)row[best(row, n)], sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += exp((double)row[i] - max);
    return (double)row[id] - max - log(sum);
}

/* ---- one prompt ---- */

static void check_logits(const struct subject *s, const struct json *want, const float *got,
                         double tolerance, const char *what)
{
    assert_int_equal(js_len(want), s->n_vocab);
    for (size_t i = 0; i < s->n_vocab; i++) {
        double w = js_to_real(js_at(want, i), (double)NAN);
        if (!(fabs(w - (double)got[i]) <= tolerance))
            fail_msg("%s: %s: logit of %zu is %g, reference %g, tolerance %g", s->name, what, i,
                     (double)got[i], w, tolerance);
    }
}

/* The reference's twenty best, in order wherever they are further apart than the tolerance. */
static void check_top(const struct subject *s, const struct json *top, const float *got,
                      double tolerance)
{
    for (size_t i = 0; i + 1 < js_len(top); i++) {
        const struct json *a = js_at(top, i), *b = js_at(top, i + 1);
        double gap = js_to_real(js_at(a, 1), (double)NAN) - js_to_real(js_at(b, 1), (double)NAN);
        float x = got[js_to_int(js_at(a, 0), 0)], y = got[js_to_int(js_at(b, 0), 0)];
        if (gap > 2 * tolerance && !(x > y))
            fail_msg("%s: the best ids are in another order at rank %zu", s->name, i);
    }
}

static void check_positions(const struct subject *s, const struct json *prompt,
                            const struct json *exact, double drift, const int32_t *ids, int32_t n,
                            const float *rows)
{
    const struct json *argmax = js_get(prompt, "argmax_per_position");
    assert_int_equal(js_len(argmax), n);
    for (int32_t p = 0; p < n; p++) {
        const float *row = rows + (size_t)p * s->n_vocab;
        int64_t id = js_to_int(js_at(argmax, (size_t)p), 0);
        double gap = (double)row[best(row, s->n_vocab)] - (double)row[id];
        if (gap > 2 * drift)
            fail_msg("%s: position %d prefers another id than %lld by %g", s->name, p,
                     (long long)id, gap);
    }
    const struct json *nll = js_get(exact, "prompt_nll");
    for (int32_t p = 0; p + 1 < n; p++) {
        double want = js_to_real(js_at(nll, (size_t)p), (double)NAN);
        double got = -log_prob(rows + (size_t)p * s->n_vocab, s->n_vocab, ids[p + 1]);
        if (!(fabs(want - got) <= 2 * s->tolerance))
            fail_msg("%s: -log p of token %d is %g, reference %g", s->name, p + 1, got, want);
    }
}

/* The sequence behind its prompt, whose last logits are in `row`. */
static void check_greedy(const struct subject *s, struct model_run *run, const struct json *exact,
                         float *row)
{
    struct error err = ERROR_INIT;
    const struct json *ids = js_get(exact, "greedy_ids"), *gaps = js_get(exact, "greedy_gap");
    for (size_t i = 0; i < js_len(ids); i++) {
        int32_t want = (int32_t)js_to_int(js_at(ids, i), -1), got = best(row, s->n_vocab);
        double gap = js_to_real(js_at(gaps, i), 0);
        if (got != want && gap > 2 * s->tolerance)
            fail_msg("%s: greedy token %zu is %d, reference %d", s->name, i, got, want);
        if (got != want)
            return; /* a tie: from here on it is another text */
        assert_ok(model_run_feed(run, &want, 1, false, row, &err));
    }
}

/* How far rounding keys and values to f16 moved the reference engine. The rounding errors of
 * another engine are others of the same size, so the largest over all prompts is taken, and some
 * room. */
static double f16_cache_bound(const struct json *prompts)
{
    double max = 0;
    for (size_t i = 0; i < js_len(prompts); i++)
        max = fmax(max, js_get_real(js_at(prompts, i), "max_abs_diff_kv_f16_flash", (double)NAN));
    return 3 * max;
}

static void check_prompt(const struct subject *s, const struct json *prompts, size_t index,
                         int32_t n_ctx)
{
    const struct json *prompt = js_at(prompts, index);
    struct error err = ERROR_INIT;
    /* The same file in F32 arithmetic, where the file itself is not F32. */
    const struct json *exact = js_get(prompt, "dequantized_f32");
    double drift = s->tolerance;
    if (exact)
        drift += js_get_real(exact, "max_abs_diff", (double)NAN);
    else
        exact = prompt;
    int32_t n;
    CLEANUP_FREE int32_t *ids = read_ids(js_get(prompt, "ids"), &n);
    CLEANUP_FREE float *rows = xcalloc((size_t)n * s->n_vocab, sizeof(float));
    float *last = rows + (size_t)(n - 1) * s->n_vocab;

    struct model_run run;
    assert_ok(model_run_open(&run, s->model, n_ctx, KV_F32, &err));
    assert_ok(model_run_feed(&run, ids, n, true, rows, &err));
    check_logits(s, js_get(exact, "logits"), last, s->tolerance, "f32 cache");
    check_top(s, js_get(prompt, "top20"), last, drift);
    check_positions(s, prompt, exact, drift, ids, n, rows);
    CLEANUP_FREE float *row = xcalloc(s->n_vocab, sizeof(float));
    memcpy(row, last, s->n_vocab * sizeof(float));
    check_greedy(s, &run, exact, row);
    model_run_close(&run);

    assert_ok(model_run_open(&run, s->model, n_ctx, KV_F16, &err));
    assert_ok(model_run_feed(&run, ids, n, false, row, &err));
    check_logits(s, js_get(exact, "logits"), row, s->tolerance + f16_cache_bound(prompts),
                 "f16 cache");
    model_run_close(&run);
}

/* ---- one reference file ---- */

/* NULL for a model that the engine does not support yet. */
static struct model *open_model(const char *reference, const char *file)
{
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *path = reference_path(file);
    struct model *m = NULL;
    int r = model_load(path, &(struct model_options){.n_threads = 2}, &m, &err);
    if (r == -ERR_UNSUPPORTED)
        print_message("not covered yet: %s: %s\n", reference, err.msg);
    else if (r < 0)
        fail_msg("%s", err.msg);
    return m;
}

static bool check_reference(const char *name)
{
    CLEANUP_JSON struct json *ref = read_reference(name);
    struct model *m = open_model(name, js_get_cstr(ref, "model", ""));
    if (!m)
        return false;
    const struct descriptor *d = model_descriptor(m);
    struct subject s = {.name = name,
                        .model = m,
                        .n_vocab = d->n_vocab,
                        .tolerance = d->act == ACT_GELU_TANH ? TOLERANCE_GELU : TOLERANCE};
    const struct json *prompts = js_get(ref, "prompts");
    assert_true(js_len(prompts) > 0);
    for (size_t i = 0; i < js_len(prompts); i++)
        check_prompt(&s, prompts, i, (int32_t)js_get_int(ref, "n_ctx", 256));
    model_free(m);
    return true;
}

static void test_reference(void **state)
{
    if (!check_reference(*state))
        skip();
}

/* The prompt's text makes the ids that the reference says. */
static void check_tokens(const struct tokenizer *t, const struct json *row, const int32_t *want,
                         int32_t n)
{
    struct error err = ERROR_INIT;
    CLEANUP_TOKEN_LIST struct token_list got = TOKEN_LIST_INIT;
    assert_ok(tokenizer_encode(t, js_get_str(row, "prompt"), TOKENIZE_ADD_SPECIAL, &got, &err));
    assert_int_equal(got.n, n);
    assert_memory_equal(got.ids, want, (size_t)n * sizeof(*want));
}

/* NAME.greedy64.json: longer continuations of ten prompts, from their text. */
static void test_greedy(void **state)
{
    const char *name = *state;
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *ref = read_reference(name);
    struct model *m = open_model(name, js_get_cstr(ref, "model", ""));
    assert_non_null(m);
    struct subject s = {
        .name = name, .model = m, .n_vocab = model_descriptor(m)->n_vocab, .tolerance = TOLERANCE};
    CLEANUP(cleanup_tokenizer) struct tokenizer *t = NULL;
    assert_ok(vocab_load(model_gguf(m), &t, &err));
    const struct json *rows = js_get(ref, "rows");
    assert_true(js_len(rows) > 0);
    for (size_t i = 0; i < js_len(rows); i++) {
        int32_t n;
        CLEANUP_FREE int32_t *ids = read_ids(js_get(js_at(rows, i), "ids"), &n);
        check_tokens(t, js_at(rows, i), ids, n);
        CLEANUP_FREE float *row = xcalloc(s.n_vocab, sizeof(float));
        struct model_run run;
        assert_ok(model_run_open(&run, m, 256, KV_F32, &err));
        assert_ok(model_run_feed(&run, ids, n, false, row, &err));
        check_greedy(&s, &run, js_at(rows, i), row);
        model_run_close(&run);
    }
    model_free(m);
}

/* The split form of a model gives what the whole one gives. */
static void test_split(void **state)
{
    const char *name = *state; /* of the first part; the model's name stands before "-split" */
    CLEANUP_FREE char *whole =
        xasprintf("%.*s.ref.json", (int)(strstr(name, "-split-") - name), name);
    CLEANUP_JSON struct json *ref = read_reference(whole);
    struct model *m = open_model(name, name);
    assert_non_null(m);
    struct subject s = {
        .name = name, .model = m, .n_vocab = model_descriptor(m)->n_vocab, .tolerance = TOLERANCE};
    check_prompt(&s, js_get(ref, "prompts"), 0, 256);
    model_free(m);
}

/* References of embedding models have rows; test_embeddings.c looks at them. */
static bool has_prompts(const char *name)
{
    CLEANUP_JSON struct json *ref = read_reference(name);
    return js_get(ref, "prompts") != NULL;
}

static int cmp_tests(const void *a, const void *b)
{
    return strcmp(((const struct CMUnitTest *)a)->name, ((const struct CMUnitTest *)b)->name);
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
        struct str name = str_from(e->d_name);
        CMUnitTestFunction fn = NULL;
        if (str_ends_with(name, STR(".ref.json")) && has_prompts(e->d_name))
            fn = test_reference;
        else if (str_ends_with(name, STR(".greedy64.json")))
            fn = test_greedy;
        else if (strstr(e->d_name, "-split-00001-of-"))
            fn = test_split;
        if (!fn)
            continue;
        char *copy = xstrdup(e->d_name);
        tests[n++] = (struct CMUnitTest){.name = copy, .test_func = fn, .initial_state = copy};
    }
    if (dir)
        closedir(dir);
    qsort(tests + 1, n - 1, sizeof(*tests), cmp_tests);
    int failed = _cmocka_run_group_tests("logits", tests, n, NULL, NULL);
    for (size_t i = 1; i < n; i++)
        free(tests[i].initial_state);
    return failed;
}
