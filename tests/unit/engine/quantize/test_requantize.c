/* SPDX-License-Identifier: Apache-2.0
 *
 * From file to file: what is kept, what is changed, what is refused, and that threads and parts
 * make no difference. */
#include "test.h"

#include <math.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/compiler.h"
#include "engine/kernels/types.h"
#include "engine/quantize/requantize.h"
#include "gguf/gguf_writer.h"
#include "temp_dir.h"
#include "tiny_model.h"

struct notes {
    struct buf text;
    size_t steps;
};

static void take_note(void *ctx, const char *text)
{
    struct notes *n = ctx;
    buf_printf(&n->text, "%s\n", text);
}

static void take_step(void *ctx, size_t n_done, size_t n_all, struct str tensor)
{
    struct notes *n = ctx;
    assert_true(n_done < n_all && tensor.len > 0);
    n->steps++;
}

static char *in_dir(const char *name)
{
    return path_join(dir, name);
}

static void write_model(const char *path, uint32_t parts, uint32_t n_embd)
{
    struct error err = ERROR_INIT;
    struct tiny_model m = {.arch = "llama",
                           .type = WT_F32,
                           .n_layers = 2,
                           .n_embd = n_embd,
                           .n_heads = 4,
                           .n_kv_heads = 2,
                           .n_ff = 256,
                           .n_vocab = 512,
                           .n_ctx = 512,
                           .n_parts = parts};
    assert_ok(tiny_model_write(&m, path, &err));
}

static void assert_same_file(const char *a, const char *b)
{
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf x = BUF_INIT(64 << 20), y = BUF_INIT(64 << 20);
    assert_ok(file_read(a, &x, &err));
    assert_ok(file_read(b, &y, &err));
    assert_true(str_eq(buf_str(&x), buf_str(&y)));
}

static void test_requantize__keeps_and_changes(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *in = in_dir("in.gguf"), *out = in_dir("out.gguf"), *two = in_dir("two.gguf");
    struct notes notes = {BUF_INIT(1 << 16), 0};
    struct requantize_options o = {
        .type = "Q4_K_M", .note = take_note, .progress = take_step, .ctx = &notes, .n_threads = 1};
    struct requantize_result result;
    write_model(in, 1, 256);
    assert_ok(requantize_file(in, out, &o, &result, &err));
    assert_str(buf_str(&notes.text), "");
    assert_int_equal(notes.steps, result.n_tensors);
    assert_int_equal(result.n_fallback, 0);
    assert_true(result.bytes_after < result.bytes_before / 4);

    CLEANUP(cleanup_gguf) struct gguf *a = NULL, *b = NULL;
    assert_ok(gguf_open(in, 0, &a, &err));
    assert_ok(gguf_open(out, 0, &b, &err));
    assert_int_equal(gguf_n_tensors(a), gguf_n_tensors(b));
    uint32_t v = 0;
    assert_ok(gguf_get_u32(b, "general.file_type", &v, &err));
    assert_int_equal(v, 15);
    assert_ok(gguf_get_u32(b, "general.quantization_version", &v, &err));
    assert_int_equal(v, 2);
    for (size_t i = 0; i < gguf_n_kv(a); i++) {
        CLEANUP_FREE char *key = str_dup(gguf_kv_key(a, i));
        assert_true(gguf_has(b, key));
    }
    struct str *tokens_a, *tokens_b;
    size_t n_a, n_b;
    assert_ok(gguf_get_str_array(a, "tokenizer.ggml.tokens", &tokens_a, &n_a, &err));
    assert_ok(gguf_get_str_array(b, "tokenizer.ggml.tokens", &tokens_b, &n_b, &err));
    assert_int_equal(n_a, n_b);
    for (size_t i = 0; i < n_a; i++)
        assert_true(str_eq(tokens_a[i], tokens_b[i]));
    free(tokens_a);
    free(tokens_b);
    const struct gguf_tensor *norm_a = gguf_tensor_find(a, STR("output_norm.weight"));
    const struct gguf_tensor *norm_b = gguf_tensor_find(b, STR("output_norm.weight"));
    assert_int_equal(norm_b->type, WT_F32);
    assert_memory_equal(norm_a->data, norm_b->data, norm_a->bytes);

    o.n_threads = 3;
    assert_ok(requantize_file(in, two, &o, &result, &err));
    assert_same_file(out, two);
    buf_release(&notes.text);
}

static void test_requantize__parts(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *whole = in_dir("whole.gguf"), *parts = in_dir("p-00001-of-00003.gguf");
    CLEANUP_FREE char *out = in_dir("out.gguf"), *two = in_dir("two.gguf");
    struct requantize_options o = {.type = "Q5_K_M"};
    struct requantize_result result;
    write_model(whole, 1, 256);
    write_model(parts, 3, 256);
    assert_ok(requantize_file(whole, out, &o, &result, &err));
    assert_ok(requantize_file(parts, two, &o, &result, &err));
    CLEANUP(cleanup_gguf) struct gguf *a = NULL, *b = NULL;
    assert_ok(gguf_open(out, 0, &a, &err));
    assert_ok(gguf_open(two, 0, &b, &err));
    assert_false(gguf_has(b, "split.count"));
    assert_int_equal(gguf_n_tensors(a), gguf_n_tensors(b));
    for (size_t i = 0; i < gguf_n_tensors(a); i++) {
        const struct gguf_tensor *x = gguf_tensor_at(a, i), *y = gguf_tensor_find(b, x->name);
        assert_non_null(y);
        assert_int_equal(x->bytes, y->bytes);
        assert_memory_equal(x->data, y->data, x->bytes);
    }
}

static void test_requantize__says_what_is_not_as_asked(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *in = in_dir("in.gguf"), *out = in_dir("out.gguf"), *two = in_dir("two.gguf");
    struct notes notes = {BUF_INIT(1 << 16), 0};
    struct requantize_options o = {.type = "Q4_K_M", .note = take_note, .ctx = &notes};
    struct requantize_result result;
    write_model(in, 1, 64); /* rows of 64, but ffn_down has 256 */
    assert_ok(requantize_file(in, out, &o, &result, &err));
    assert_true(result.n_fallback > 0 && result.n_fallback < result.n_converted);
    assert_true(str_find(buf_str(&notes.text), STR("'blk.0.attn_q.weight': rows of 64")) >= 0);
    assert_true(str_find(buf_str(&notes.text), STR("already")) < 0);
    buf_clear(&notes.text);
    o.type = "F16";
    assert_ok(requantize_file(out, two, &o, &result, &err));
    assert_true(str_find(buf_str(&notes.text), STR("quantized already")) >= 0);
    buf_release(&notes.text);
}

static void test_requantize__pure(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *in = in_dir("in.gguf"), *out = in_dir("out.gguf");
    struct requantize_options o = {.type = "Q3_K_M", .pure = true};
    struct requantize_result result;
    write_model(in, 1, 256);
    assert_ok(requantize_file(in, out, &o, &result, &err));
    CLEANUP(cleanup_gguf) struct gguf *g = NULL;
    assert_ok(gguf_open(out, 0, &g, &err));
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        assert_int_equal(t->type, t->n_dims > 1 ? WT_Q3_K : WT_F32);
    }
}

/* A file with one matrix of 32 columns whose numbers are given. */
static void write_matrix(const char *path, const char *kind, float value)
{
    struct error err = ERROR_INIT;
    float data[64] = {0};
    CLEANUP(cleanup_gguf_writer) struct gguf_writer *w = gguf_writer_new();
    gguf_writer_str(w, "general.architecture", STR("llama"));
    gguf_writer_str(w, "general.type", str_from(kind));
    gguf_writer_tensor(w, STR("blk.0.attn_q.weight"), WT_F32, 2, (uint64_t[]){32, 2});
    data[40] = value;
    assert_ok(gguf_writer_begin(w, path, &err));
    assert_ok(gguf_writer_data(w, data, sizeof(data), &err));
    assert_ok(gguf_writer_end(w, &err));
}

static void test_requantize__refuses(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *in = in_dir("bad.gguf"), *out = in_dir("none.gguf");
    CLEANUP_FREE char *link_path = in_dir("link.gguf"), *part = in_dir("none.gguf.part");
    struct requantize_options o = {.type = "Q8_0"};
    struct requantize_result result;
    write_matrix(in, "model", NAN);
    assert_fails(requantize_file(in, out, &o, &result, &err), ERR_CORRUPT, "not finite");
    write_matrix(in, "model", -INFINITY);
    assert_fails(requantize_file(in, out, &o, &result, &err), ERR_CORRUPT,
                 "'blk.0.attn_q.weight': row 1");
    write_matrix(in, "model", 1e6f);
    assert_fails(requantize_file(in, out, &o, &result, &err), ERR_UNSUPPORTED, "65504");
    o.type = "BF16";
    assert_ok(requantize_file(in, out, &o, &result, &err));
    assert_int_equal(unlink(out), 0);
    o.type = "Q8_0";
    write_matrix(in, "adapter", 1);
    assert_fails(requantize_file(in, out, &o, &result, &err), ERR_UNSUPPORTED, "adapter");
    write_matrix(in, "model", 1);
    assert_int_equal(symlink(in, link_path), 0);
    assert_fails(requantize_file(in, link_path, &o, &result, &err), ERR_INVALID, "over itself");
    o.type = "Q9_9";
    assert_fails(requantize_file(in, out, &o, &result, &err), ERR_INVALID, "Q9_9");
    o.type = "Q2_K_S";
    write_model(in, 1, 256);
    assert_fails(requantize_file(in, out, &o, &result, &err), ERR_INVALID, "importance");
    assert_false(file_exists(out));
    assert_false(file_exists(part));
}

static void write_imatrix(const char *path, int32_t n)
{
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf b = BUF_INIT(1 << 16);
    const char *name = "blk.0.ffn_up.weight";
    int32_t head[] = {1, (int32_t)strlen(name)}, tail[] = {1, n};
    buf_append_bytes(&b, head, sizeof(head));
    buf_append_c(&b, name);
    buf_append_bytes(&b, tail, sizeof(tail));
    for (int32_t i = 0; i < n; i++) {
        float v = i % 16 == 0 ? 1000 : 1;
        buf_append_bytes(&b, &v, sizeof(v));
    }
    assert_ok(file_write_atomic(path, buf_str(&b), 0600, &err));
}

static void test_requantize__importance(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *in = in_dir("in.gguf"), *im = in_dir("i.dat");
    CLEANUP_FREE char *plain = in_dir("plain.gguf"), *weighed = in_dir("weighed.gguf");
    struct requantize_options o = {.type = "Q4_K_S"};
    struct requantize_result result;
    write_model(in, 1, 256);
    assert_ok(requantize_file(in, plain, &o, &result, &err));
    o.imatrix = im;
    write_imatrix(im, 256);
    assert_ok(requantize_file(in, weighed, &o, &result, &err));
    CLEANUP(cleanup_gguf) struct gguf *a = NULL, *b = NULL;
    assert_ok(gguf_open(plain, 0, &a, &err));
    assert_ok(gguf_open(weighed, 0, &b, &err));
    for (size_t i = 0; i < gguf_n_tensors(a); i++) {
        const struct gguf_tensor *x = gguf_tensor_at(a, i), *y = gguf_tensor_at(b, i);
        assert_int_equal(memcmp(x->data, y->data, x->bytes) != 0,
                         str_eq_c(x->name, "blk.0.ffn_up.weight"));
    }
    write_imatrix(im, 128);
    assert_fails(requantize_file(in, weighed, &o, &result, &err), ERR_INVALID, "another model");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requantize__keeps_and_changes),
        cmocka_unit_test(test_requantize__parts),
        cmocka_unit_test(test_requantize__says_what_is_not_as_asked),
        cmocka_unit_test(test_requantize__pure),
        cmocka_unit_test(test_requantize__refuses),
        cmocka_unit_test(test_requantize__importance),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
