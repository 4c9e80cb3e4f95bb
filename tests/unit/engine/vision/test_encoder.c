/* SPDX-License-Identifier: Apache-2.0
 *
 * The image encoder on random projectors against a plain forward pass in double precision, and what
 * projector files are refused. */
#include "engine/vision/encoder.h"

#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "engine/kernels/f16.h"
#include "engine/kernels/types.h"
#include "tiny_mmproj.h"

/* ---- the reference ---- */

struct reference {
    struct gguf *g;
    struct tiny_mmproj m;
};

static double at(const struct reference *r, const char *name, size_t i)
{
    const struct gguf_tensor *t = gguf_tensor_find(r->g, str_from(name));
    assert_non_null(t);
    if (t->type == WT_F32)
        return (double)((const float *)t->data)[i];
    return (double)f16_to_f32(((const uint16_t *)t->data)[i]);
}

/* out[rows] = W x + b for the tensors NAME.weight and NAME.bias of layer `layer`. */
static void linear(const struct reference *r, int layer, const char *name, size_t rows, size_t cols,
                   const double *x, double *out)
{
    char w[64], b[64];
    snprintf(w, sizeof(w), "v.blk.%d.%s.weight", layer, name);
    snprintf(b, sizeof(b), "v.blk.%d.%s.bias", layer, name);
    for (size_t i = 0; i < rows; i++) {
        out[i] = at(r, b, i);
        for (size_t k = 0; k < cols; k++)
            out[i] += at(r, w, i * cols + k) * x[k];
    }
}

static void layer_norm(const struct reference *r, const char *prefix, size_t n, const double *x,
                       double *out)
{
    char w[64], b[64];
    snprintf(w, sizeof(w), "%s.weight", prefix);
    snprintf(b, sizeof(b), "%s.bias", prefix);
    double mean = 0, var = 0;
    for (size_t i = 0; i < n; i++)
        mean += x[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        var += (x[i] - mean) * (x[i] - mean) / (double)n;
    for (size_t i = 0; i < n; i++)
        out[i] = (x[i] - mean) / sqrt(var + 1e-6) * at(r, w, i) + at(r, b, i);
}

static double gelu(double x)
{
    return x / 2 * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

enum { EMBD = 32, FF = 48, PATCHES = 16, GRID = 4, HEADS = 4, HEAD = 8, TOKENS = 4 };

static void reference_layer(const struct reference *r, int layer, double x[PATCHES][EMBD])
{
    static double q[PATCHES][EMBD], k[PATCHES][EMBD], v[PATCHES][EMBD];
    double h[EMBD], ff[FF], o[EMBD];
    char name[32];
    snprintf(name, sizeof(name), "v.blk.%d.ln1", layer);
    for (int p = 0; p < PATCHES; p++) {
        layer_norm(r, name, EMBD, x[p], h);
        linear(r, layer, "attn_q", EMBD, EMBD, h, q[p]);
        linear(r, layer, "attn_k", EMBD, EMBD, h, k[p]);
        linear(r, layer, "attn_v", EMBD, EMBD, h, v[p]);
    }
    for (int p = 0; p < PATCHES; p++) {
        double heads[EMBD] = {0};
        for (int head = 0; head < HEADS; head++) {
            double score[PATCHES], sum = 0;
            for (int t = 0; t < PATCHES; t++) {
                score[t] = 0;
                for (int i = head * HEAD; i < (head + 1) * HEAD; i++)
                    score[t] += q[p][i] * k[t][i];
                score[t] = exp(score[t] / sqrt(HEAD));
                sum += score[t];
            }
            for (int t = 0; t < PATCHES; t++)
                for (int i = head * HEAD; i < (head + 1) * HEAD; i++)
                    heads[i] += score[t] / sum * v[t][i];
        }
        linear(r, layer, "attn_out", EMBD, EMBD, heads, o);
        for (int i = 0; i < EMBD; i++)
            x[p][i] += o[i];
    }
    snprintf(name, sizeof(name), "v.blk.%d.ln2", layer);
    for (int p = 0; p < PATCHES; p++) {
        layer_norm(r, name, EMBD, x[p], h);
        linear(r, layer, r->m.swapped_names ? "ffn_down" : "ffn_up", FF, EMBD, h, ff);
        for (int i = 0; i < FF; i++)
            ff[i] = gelu(ff[i]);
        linear(r, layer, r->m.swapped_names ? "ffn_up" : "ffn_down", EMBD, FF, ff, o);
        for (int i = 0; i < EMBD; i++)
            x[p][i] += o[i];
    }
}

/* The projection of token `token` from the encoded patches. */
static void reference_project(const struct reference *r, double x[PATCHES][EMBD], int token,
                              double *out)
{
    size_t n_text = r->m.n_text;
    int top = token / 2 * 2, left = token % 2 * 2; /* the first of its 2 x 2 patches */
    if (strcmp(r->m.projector, "gemma3") == 0) {
        double mean[EMBD] = {0}, square = 0;
        for (int k = 0; k < 4; k++)
            for (int i = 0; i < EMBD; i++)
                mean[i] += x[(top + k / 2) * GRID + left + k % 2][i] / 4;
        for (int i = 0; i < EMBD; i++)
            square += mean[i] * mean[i] / EMBD;
        for (size_t j = 0; j < n_text; j++) {
            out[j] = 0;
            for (size_t i = 0; i < EMBD; i++)
                out[j] += mean[i] / sqrt(square + 1e-6) * at(r, "mm.soft_emb_norm.weight", i) *
                          at(r, "mm.input_projection.weight", i * n_text + j);
        }
        return;
    }
    for (size_t j = 0; j < n_text; j++) {
        out[j] = 0;
        for (int k = 0; k < 4; k++)
            for (int i = 0; i < EMBD; i++)
                out[j] += x[(top + k / 2) * GRID + left + k % 2][i] *
                          at(r, "mm.model.fc.weight", j * 4 * EMBD + (size_t)(k * EMBD + i));
    }
}

static void reference_run(const struct reference *r, const struct image *image, double *out)
{
    static double x[PATCHES][EMBD];
    for (int p = 0; p < PATCHES; p++)
        for (int o = 0; o < EMBD; o++) {
            x[p][o] = at(r, "v.patch_embd.bias", (size_t)o) +
                      at(r, "v.position_embd.weight", (size_t)(p * EMBD + o));
            for (int c = 0; c < 3; c++)
                for (int dy = 0; dy < 4; dy++)
                    for (int dx = 0; dx < 4; dx++) {
                        int px = ((p / GRID * 4 + dy) * 16 + p % GRID * 4 + dx) * 3 + c;
                        x[p][o] +=
                            (image->rgb[px] / 255.0 - 0.5) / 0.5 *
                            at(r, "v.patch_embd.weight", (size_t)(((o * 3 + c) * 4 + dy) * 4 + dx));
                    }
        }
    for (int layer = 0; layer < 2; layer++)
        reference_layer(r, layer, x);
    for (int p = 0; p < PATCHES; p++) {
        double h[EMBD];
        layer_norm(r, "v.post_ln", EMBD, x[p], h);
        memcpy(x[p], h, sizeof(h));
    }
    for (int t = 0; t < TOKENS; t++)
        reference_project(r, x, t, out + (size_t)t * r->m.n_text);
}

/* ---- the tests ---- */

static char path[64];
static struct backend *backend;

static int set_up(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    snprintf(path, sizeof(path), "/tmp/mr-vision-%d.gguf", (int)getpid());
    return backend_cpu_create(&(struct backend_cpu_options){.n_threads = 2}, &backend, &err);
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    backend->ops->destroy(backend);
    return 0;
}

static void test_encoder__reference(void **state)
{
    (void)state;
    struct tiny_mmproj kinds[] = {tiny_mmproj_default, tiny_mmproj_default, tiny_mmproj_default,
                                  tiny_mmproj_default};
    kinds[1].projector = "gemma3";
    kinds[2].type = WT_F16;
    kinds[2].swapped_names = true;
    kinds[3].projector = "gemma3";
    kinds[3].type = WT_F16;
    kinds[3].n_text = 5;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct error err = ERROR_INIT;
        assert_ok(tiny_mmproj_write(&kinds[i], path, &err));
        struct mmproj m;
        struct encoder *e;
        assert_ok(mmproj_load(path, backend, &m, &err));
        assert_ok(encoder_create(&m, &e, &err));
        assert_int_equal(mmproj_n_tokens(&m.desc), TOKENS);

        CLEANUP_IMAGE struct image image = {0};
        assert_ok(image_create(16, 16, &image, &err));
        for (uint32_t k = 0; k < 16 * 16 * 3; k++)
            image.rgb[k] = (unsigned char)(k * 31 + k / 7 * (uint32_t)(i + 1));
        CLEANUP_FREE float *out = xcalloc((size_t)TOKENS * kinds[i].n_text, sizeof(*out));
        CLEANUP_FREE double *want = xcalloc((size_t)TOKENS * kinds[i].n_text, sizeof(*want));
        assert_ok(encoder_run(e, &image, out, NULL, &err));
        const struct reference r = {m.g, kinds[i]};
        reference_run(&r, &image, want);
        for (size_t k = 0; k < (size_t)TOKENS * kinds[i].n_text; k++)
            if (!(fabs((double)out[k] - want[k]) < 1e-5 * (1 + fabs(want[k]))))
                fail_msg("kind %zu, value %zu: %g, but %g is right", i, k, (double)out[k], want[k]);

        volatile bool cancel = true;
        assert_fails(encoder_run(e, &image, out, &cancel, &err), ERR_CANCELED, "canceled");
        encoder_free(e);
        mmproj_release(&m);
    }
}

static void test_mmproj__refused(void **state)
{
    (void)state;
    static const struct {
        const char *projector;
        size_t field; /* of struct tiny_mmproj */
        uint32_t value;
        enum errc code;
        const char *part;
    } cases[] = {
        {"qwen2.5vl_merger", offsetof(struct tiny_mmproj, merge), 2, ERR_UNSUPPORTED,
         "'qwen2.5vl_merger'"},
        {"idefics3", offsetof(struct tiny_mmproj, n_heads), 5, ERR_CORRUPT, "head_count is 5"},
        {"idefics3", offsetof(struct tiny_mmproj, merge), 3, ERR_CORRUPT, "scale_factor is 3"},
        {"idefics3", offsetof(struct tiny_mmproj, n_layers), 0, ERR_CORRUPT, "block_count is 0"},
        {"idefics3", offsetof(struct tiny_mmproj, longest_edge), 1000, ERR_CORRUPT,
         "preproc_image_size is 1000"},
        {"gemma3", offsetof(struct tiny_mmproj, side), 17, ERR_CORRUPT, "image_size is 17"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct tiny_mmproj m = tiny_mmproj_default;
        m.projector = cases[i].projector;
        memcpy((char *)&m + cases[i].field, &cases[i].value, sizeof(uint32_t));
        assert_ok(tiny_mmproj_write(&m, path, &err));
        struct mmproj loaded;
        assert_fails(mmproj_load(path, backend, &loaded, &err), cases[i].code, cases[i].part);
        assert_null(loaded.g);
    }
    struct error err = ERROR_INIT;
    struct mmproj loaded;
    assert_fails(mmproj_load("/nonexistent.gguf", backend, &loaded, &err), ERR_NOT_FOUND,
                 "/nonexistent.gguf");
}

/* A file cut anywhere is refused, nothing more. */
static void test_mmproj__cut(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    assert_ok(tiny_mmproj_write(&tiny_mmproj_default, path, &err));
    struct mmproj m;
    assert_ok(mmproj_load(path, backend, &m, &err));
    uint64_t bytes = gguf_file_bytes(m.g);
    mmproj_release(&m);
    for (uint64_t n = bytes - 1; n > 0; n = n * 9 / 10) {
        assert_int_equal(truncate(path, (off_t)n), 0);
        assert_true(mmproj_load(path, backend, &m, &err) < 0);
        assert_non_null(strstr(err.msg, path));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoder__reference),
        cmocka_unit_test(test_mmproj__refused),
        cmocka_unit_test(test_mmproj__cut),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
