/* SPDX-License-Identifier: Apache-2.0
 *
 * Importance matrices in both formats, good and bad. */
#include "test.h"

#include <math.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "engine/kernels/types.h"
#include "engine/quantize/imatrix.h"
#include "gguf/gguf_writer.h"
#include "temp_dir.h"

static void put_i32(struct buf *b, int32_t v)
{
    buf_append_bytes(b, &v, sizeof(v));
}

static void put_entry(struct buf *b, const char *name, int32_t calls, const float *v, int32_t n)
{
    put_i32(b, (int32_t)strlen(name));
    buf_append_c(b, name);
    put_i32(b, calls);
    put_i32(b, n);
    buf_append_bytes(b, v, (size_t)n * sizeof(*v));
}

static int parse(const struct buf *b, struct imatrix **ret, struct error *err)
{
    return imatrix_parse(b->data, b->len, ret, err);
}

static void test_imatrix__dat(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf b = BUF_INIT(4096);
    CLEANUP(cleanup_imatrix) struct imatrix *m = NULL;
    put_i32(&b, 2);
    put_entry(&b, "blk.1.ffn_up.weight", 4, (float[]){4, 8, 0}, 3);
    put_entry(&b, "blk.0.ffn_up.weight", 0, (float[]){5}, 1);
    buf_append_c(&b, "what newer tools put behind");
    assert_ok(parse(&b, &m, &err));
    assert_int_equal(imatrix_n(m), 2);
    size_t n = 0;
    const float *v = imatrix_find(m, STR("blk.1.ffn_up.weight"), &n);
    assert_int_equal(n, 3);
    assert_true(v[0] == 1 && v[1] == 2 && v[2] == 0);
    v = imatrix_find(m, STR("blk.0.ffn_up.weight"), &n);
    assert_true(n == 1 && v[0] == 5);
    assert_null(imatrix_find(m, STR("blk.2.ffn_up.weight"), &n));
}

/* Every beginning of a good file is refused. */
static void test_imatrix__dat_cut(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf b = BUF_INIT(4096);
    put_i32(&b, 1);
    put_entry(&b, "a", 1, (float[]){1, 2}, 2);
    for (size_t len = 0; len < b.len; len++) {
        struct imatrix *m = NULL;
        assert_fails(imatrix_parse(b.data, len, &m, &err), ERR_CORRUPT, "");
        assert_null(m);
    }
}

static void refuse(const struct buf *b, const char *why)
{
    struct error err = ERROR_INIT;
    struct imatrix *m = NULL;
    assert_fails(parse(b, &m, &err), ERR_CORRUPT, why);
}

static void test_imatrix__dat_bad(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF_INIT(4096);
    put_i32(&b, 1);
    put_entry(&b, "a", 1, (float[]){1, -2}, 2);
    refuse(&b, "'a'");
    buf_clear(&b);
    put_i32(&b, 1);
    put_entry(&b, "a", 1, (float[]){NAN}, 1);
    refuse(&b, "'a'");
    buf_clear(&b);
    put_i32(&b, 2);
    put_entry(&b, "a", 1, (float[]){1}, 1);
    put_entry(&b, "a", 1, (float[]){1}, 1);
    refuse(&b, "twice");
    static const int32_t counts[] = {0, -1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        buf_clear(&b);
        put_i32(&b, counts[i]);
        put_entry(&b, "a", 1, (float[]){1}, 1);
        refuse(&b, "the number of matrices");
        buf_clear(&b);
        put_i32(&b, 1);
        put_i32(&b, counts[i]);
        buf_append_c(&b, "aaaaaaaaaaaaaaaaaaaaaaa");
        refuse(&b, "the length of a name");
    }
}

static void write_gguf(const char *path, const char *type, const char *counts_name, float count)
{
    struct error err = ERROR_INIT;
    CLEANUP(cleanup_gguf_writer) struct gguf_writer *w = gguf_writer_new();
    gguf_writer_str(w, "general.type", str_from(type));
    gguf_writer_tensor(w, STR("blk.0.ffn_up_exps.weight.in_sum2"), WT_F32, 2, (uint64_t[]){2, 2});
    gguf_writer_tensor(w, str_from(counts_name), WT_F32, 2, (uint64_t[]){1, 2});
    assert_ok(gguf_writer_begin(w, path, &err));
    assert_ok(gguf_writer_data(w, (float[]){2, 4, 6, 8}, 16, &err));
    assert_ok(gguf_writer_data(w, (float[]){2, count}, 8, &err));
    assert_ok(gguf_writer_end(w, &err));
}

static void test_imatrix__gguf(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *path = path_join(dir, "i.gguf");
    struct imatrix *m = NULL;
    size_t n = 0;
    write_gguf(path, "imatrix", "blk.0.ffn_up_exps.weight.counts", 0);
    assert_ok(imatrix_open(path, &m, &err));
    const float *v = imatrix_find(m, STR("blk.0.ffn_up_exps.weight"), &n);
    assert_int_equal(n, 4);
    assert_true(v[0] == 1 && v[1] == 2);
    assert_true(v[2] == 1 && v[3] == 1); /* an expert nobody asked */
    imatrix_free(m);

    m = NULL;
    write_gguf(path, "imatrix", "blk.0.ffn_up.weight.counts", 1);
    assert_fails(imatrix_open(path, &m, &err), ERR_CORRUPT, "blk.0.ffn_up_exps.weight.counts");
    write_gguf(path, "model", "blk.0.ffn_up_exps.weight.counts", 1);
    assert_fails(imatrix_open(path, &m, &err), ERR_INVALID, "no importance matrix");
    write_gguf(path, "imatrix", "blk.0.ffn_up_exps.weight.counts", 1e-39f);
    assert_fails(imatrix_open(path, &m, &err), ERR_CORRUPT, "i.gguf");
    assert_fails(imatrix_open("/nonexistent/i", &m, &err), ERR_NOT_FOUND, "/nonexistent/i");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_imatrix__dat),
        cmocka_unit_test(test_imatrix__dat_cut),
        cmocka_unit_test(test_imatrix__dat_bad),
        cmocka_unit_test(test_imatrix__gguf),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
