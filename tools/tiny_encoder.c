/* SPDX-License-Identifier: Apache-2.0
 *
 * Random encoders: what tensors each architecture has, a small WordPiece vocabulary, the keys. */
#include "tiny_encoder.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "engine/kernels/types.h"
#include "engine/quantize/quantize.h"
#include "gguf/gguf_writer.h"
#include "random.h"

enum fill { FILL_MATRIX, FILL_EMBEDDING, FILL_TABLE, FILL_NORM, FILL_BIAS };

struct tensor {
    char name[64];
    enum fill fill;
    uint32_t type, rows, cols;
};

struct maker {
    const struct tiny_encoder *m;
    struct tensor *items;
    size_t n;
    uint32_t n_vocab;
};

static bool is(const struct maker *k, const char *arch)
{
    return strcmp(k->m->arch, arch) == 0;
}

/* BERT's own family: norms with biases behind the two halves of a layer. */
static bool is_bert(const struct maker *k)
{
    return is(k, "bert") || is(k, "nomic-bert") || is(k, "jina-bert-v2") || is(k, "jina-bert-v3");
}

static void tensor_add(struct maker *k, bool wanted, enum fill fill, uint32_t rows, uint32_t cols,
                       const char *name)
{
    if (!wanted)
        return;
    k->items = xrealloc(k->items, k->n + 1, sizeof(*k->items));
    struct tensor *t = &k->items[k->n++];
    *t = (struct tensor){.fill = fill, .rows = rows, .cols = cols, .type = WT_F32};
    if (fill == FILL_MATRIX || fill == FILL_EMBEDDING)
        t->type = k->m->type;
    snprintf(t->name, sizeof(t->name), "%s", name);
}

static void layer_add(struct maker *k, uint32_t layer)
{
    const struct tiny_encoder *m = k->m;
    bool bert = is_bert(k), jina2 = is(k, "jina-bert-v2"), gemma = is(k, "gemma-embedding");
    bool fused = m->fused || is(k, "modern-bert") || is(k, "neo-bert");
    bool up_fused = m->fused_up || is(k, "modern-bert") || is(k, "neo-bert");
    bool gate = is(k, "nomic-bert") || is(k, "eurobert") || gemma || is(k, "qwen3") ||
                (jina2 && !m->fused_up);
    bool biases = bert && !m->no_biases, up_bias = biases && !gate && !up_fused;
    bool qk = m->qk_norm || gemma || is(k, "qwen3");
    bool pre = !bert, first = layer == 0 && is(k, "modern-bert");
    uint32_t e = m->n_embd, head = e / m->n_heads, kv = m->n_kv_heads * head, ff = m->n_ff;
    uint32_t q_norm = jina2 ? e : head, k_norm = jina2 ? kv : head;
    const struct {
        const char *name;
        bool wanted;
        enum fill fill;
        uint32_t rows, cols;
    } rows[] = {
        {"attn_norm.weight", pre && !first, FILL_NORM, 1, e},
        {"attn_qkv.weight", fused, FILL_MATRIX, e + 2 * kv, e},
        {"attn_qkv.bias", fused && biases, FILL_BIAS, 1, e + 2 * kv},
        {"attn_q.weight", !fused, FILL_MATRIX, e, e},
        {"attn_q.bias", !fused && biases, FILL_BIAS, 1, e},
        {"attn_k.weight", !fused, FILL_MATRIX, kv, e},
        {"attn_k.bias", !fused && biases, FILL_BIAS, 1, kv},
        {"attn_v.weight", !fused, FILL_MATRIX, kv, e},
        {"attn_v.bias", !fused && biases, FILL_BIAS, 1, kv},
        {"attn_q_norm.weight", qk, FILL_NORM, 1, q_norm},
        {"attn_q_norm.bias", qk && jina2, FILL_BIAS, 1, q_norm},
        {"attn_k_norm.weight", qk, FILL_NORM, 1, k_norm},
        {"attn_k_norm.bias", qk && jina2, FILL_BIAS, 1, k_norm},
        {"attn_output.weight", true, FILL_MATRIX, e, e},
        {"attn_output.bias", biases || jina2, FILL_BIAS, 1, e},
        {"post_attention_norm.weight", gemma, FILL_NORM, 1, e},
        {"attn_output_norm.weight", bert, FILL_NORM, 1, e},
        {"attn_output_norm.bias", bert, FILL_BIAS, 1, e},
        {"attn_norm_2.weight", m->norm_2, FILL_NORM, 1, e},
        {"attn_norm_2.bias", m->norm_2, FILL_BIAS, 1, e},
        {"ffn_norm.weight", pre, FILL_NORM, 1, e},
        {"ffn_gate.weight", gate, FILL_MATRIX, ff, e},
        {"ffn_up.weight", true, FILL_MATRIX, up_fused ? 2 * ff : ff, e},
        {"ffn_up.bias", up_bias, FILL_BIAS, 1, ff},
        {"ffn_down.weight", true, FILL_MATRIX, e, ff},
        {"ffn_down.bias", jina2 || (biases && !gate), FILL_BIAS, 1, e},
        {"post_ffw_norm.weight", gemma, FILL_NORM, 1, e},
        {"layer_output_norm.weight", bert, FILL_NORM, 1, e},
        {"layer_output_norm.bias", bert, FILL_BIAS, 1, e},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char name[64];
        snprintf(name, sizeof(name), "blk.%" PRIu32 ".%s", layer, rows[i].name);
        tensor_add(k, rows[i].wanted, rows[i].fill, rows[i].rows, rows[i].cols, name);
    }
}

enum { N_TYPES = 2 };

static void tensors_add(struct maker *k)
{
    const struct tiny_encoder *m = k->m;
    uint32_t e = m->n_embd, n_cls = is(k, "jina-bert-v2") ? 1 : e;
    bool bert = is_bert(k), modern = is(k, "modern-bert"), head = m->n_labels > 0;
    tensor_add(k, true, FILL_EMBEDDING, k->n_vocab, e, "token_embd.weight");
    tensor_add(k, bert, FILL_TABLE, N_TYPES, e, "token_types.weight");
    tensor_add(k, is(k, "bert"), FILL_TABLE, m->n_ctx, e, "position_embd.weight");
    tensor_add(k, bert || modern, FILL_NORM, 1, e, "token_embd_norm.weight");
    tensor_add(k, bert, FILL_BIAS, 1, e, "token_embd_norm.bias");
    for (uint32_t i = 0; i < m->n_layers; i++)
        layer_add(k, i);
    tensor_add(k, !bert && !is(k, "neo-bert"), FILL_NORM, 1, e, "output_norm.weight");
    tensor_add(k, is(k, "neo-bert"), FILL_NORM, 1, e, "enc.output_norm.weight");
    tensor_add(k, head && !is(k, "qwen3"), FILL_MATRIX, n_cls, e, "cls.weight");
    tensor_add(k, head && !is(k, "qwen3") && !modern, FILL_BIAS, 1, n_cls, "cls.bias");
    tensor_add(k, head && modern, FILL_NORM, 1, e, "cls.norm.weight");
    tensor_add(k, head && n_cls == e, FILL_MATRIX, m->n_labels, e, "cls.output.weight");
    tensor_add(k, head && n_cls == e && !is(k, "qwen3"), FILL_BIAS, 1, m->n_labels,
               "cls.output.bias");
    tensor_add(k, m->dense > 0, FILL_MATRIX, m->dense, e, "dense_2.weight");
    tensor_add(k, m->dense > 0, FILL_MATRIX, e, m->dense, "dense_3.weight");
}

/* ---- the vocabulary ---- */

#define WORD "\xe2\x96\x81" /* how GGUF marks the beginning of a word */

enum { VOCAB_MAX = 256, N_SPECIAL = 5 };

static uint32_t vocab_fill(struct str *texts, int32_t *types)
{
    static const char *const fixed[] = {
        "[PAD]",    "[UNK]",   "[CLS]",    "[SEP]",      "[MASK]",     WORD "the",   WORD "cat",
        WORD "sat", WORD "on", WORD "mat", WORD "hello", WORD "world", WORD "river", WORD "bank",
        "ing",      "s",       "er",       WORD ".",     WORD ",",     WORD "?",     WORD "!",
    };
    static char letters[2 * 36][8];
    uint32_t n = 0;
    for (; n < ARRAY_LEN(fixed); n++) {
        texts[n] = str_from(fixed[n]);
        types[n] = n < N_SPECIAL ? 3 : 1;
    }
    types[1] = 2;
    for (uint32_t i = 0; i < 36; i++) {
        char c = (char)(i < 26 ? 'a' + i : '0' + (i - 26));
        snprintf(letters[2 * i], sizeof(letters[0]), WORD "%c", c);
        snprintf(letters[2 * i + 1], sizeof(letters[0]), "%c", c);
        texts[n] = str_from(letters[2 * i]);
        types[n++] = 1;
        if (c != 's') {
            texts[n] = str_from(letters[2 * i + 1]);
            types[n++] = 1;
        }
    }
    return n;
}

static void write_keys(struct gguf_writer *w, const struct maker *k)
{
    const struct tiny_encoder *m = k->m;
    bool rms = is(k, "neo-bert") || is(k, "eurobert") || is(k, "gemma-embedding") || is(k, "qwen3");
    const struct {
        const char *key;
        uint32_t value;
        bool wanted;
    } counts[] = {
        {"block_count", m->n_layers, true},
        {"context_length", m->n_ctx, true},
        {"embedding_length", m->n_embd, true},
        {"feed_forward_length", m->n_ff, true},
        {"attention.head_count", m->n_heads, true},
        {"attention.head_count_kv", m->n_kv_heads, true},
        {"pooling_type", m->pooling, m->pooling > 0},
        {"attention.sliding_window", m->window, m->window > 0},
        {"dense_2_feat_in", m->n_embd, m->dense > 0},
        {"dense_2_feat_out", m->dense, m->dense > 0},
        {"dense_3_feat_in", m->dense, m->dense > 0},
        {"dense_3_feat_out", m->n_embd, m->dense > 0},
    };
    char key[96];
    gguf_writer_str(w, "general.architecture", str_from(m->arch));
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        snprintf(key, sizeof(key), "%s.%s", m->arch, counts[i].key);
        if (counts[i].wanted)
            gguf_writer_u32(w, key, counts[i].value);
    }
    snprintf(key, sizeof(key), "%s.attention.layer_norm_%sepsilon", m->arch, rms ? "rms_" : "");
    gguf_writer_f32(w, key, 1e-6f);
    if (!is(k, "qwen3")) {
        snprintf(key, sizeof(key), "%s.attention.causal", m->arch);
        gguf_writer_bool(w, key, false);
    }
    if (m->window > 0) {
        snprintf(key, sizeof(key), "%s.rope.freq_base_swa", m->arch);
        gguf_writer_f32(w, key, 500);
    }
    if (m->swiglu) {
        snprintf(key, sizeof(key), "%s.hidden_activation", m->arch);
        gguf_writer_str(w, key, STR("silu"));
    }
    if (m->n_labels > 1) {
        static const struct str labels[] = {{"yes", 3}, {"no", 2}, {"maybe", 5}};
        snprintf(key, sizeof(key), "%s.classifier.output_labels", m->arch);
        gguf_writer_str_array(w, key, labels, MIN(m->n_labels, ARRAY_LEN(labels)));
    }
}

static void write_vocab(struct gguf_writer *w, const struct str *texts, const int32_t *types,
                        uint32_t n)
{
    gguf_writer_str(w, "tokenizer.ggml.model", STR("bert"));
    gguf_writer_str_array(w, "tokenizer.ggml.tokens", texts, n);
    gguf_writer_i32_array(w, "tokenizer.ggml.token_type", types, n);
    gguf_writer_u32(w, "tokenizer.ggml.token_type_count", N_TYPES);
    gguf_writer_u32(w, "tokenizer.ggml.padding_token_id", 0);
    gguf_writer_u32(w, "tokenizer.ggml.unknown_token_id", 1);
    gguf_writer_u32(w, "tokenizer.ggml.bos_token_id", 2);
    gguf_writer_u32(w, "tokenizer.ggml.seperator_token_id", 3); /* spelled so in the format */
    gguf_writer_u32(w, "tokenizer.ggml.eos_token_id", 3);
    gguf_writer_u32(w, "tokenizer.ggml.mask_token_id", 4);
}

/* ---- the file ---- */

static int write_tensor(struct gguf_writer *w, const struct maker *k, const struct tensor *t,
                        struct error *err)
{
    uint64_t row_bytes;
    if (!weight_row_bytes(t->type, t->cols, &row_bytes))
        return error_set(err, ERR_INVALID, "rows of %" PRIu32 " do not fit type %" PRIu32, t->cols,
                         t->type);
    CLEANUP_FREE float *row = xcalloc(t->cols, sizeof(*row));
    CLEANUP_FREE char *packed = xcalloc(1, row_bytes);
    uint64_t state = random_seed(k->m->seed, t->name);
    float scale = t->fill == FILL_MATRIX      ? sqrtf(3.0f / (float)t->cols)
                  : t->fill == FILL_EMBEDDING ? 1.0f
                  : t->fill == FILL_TABLE     ? 0.5f
                                              : 0.2f;
    for (uint32_t r = 0; r < t->rows; r++) {
        for (uint32_t i = 0; i < t->cols; i++)
            row[i] = (t->fill == FILL_NORM ? 1.0f : 0.0f) + scale * random_uniform(&state);
        if (!quantize_row(t->type, row, NULL, t->cols, packed))
            return error_set(err, ERR_UNSUPPORTED, "no quantiser for type %" PRIu32, t->type);
        int ret = gguf_writer_data(w, packed, row_bytes, err);
        if (ret < 0)
            return ret;
    }
    return 0;
}

int tiny_encoder_write(const struct tiny_encoder *m, const char *path, struct error *err)
{
    struct str texts[VOCAB_MAX];
    int32_t types[VOCAB_MAX];
    struct maker k = {.m = m, .n_vocab = vocab_fill(texts, types)};
    tensors_add(&k);
    CLEANUP(cleanup_gguf_writer) struct gguf_writer *w = gguf_writer_new();
    write_keys(w, &k);
    write_vocab(w, texts, types, k.n_vocab);
    for (size_t i = 0; i < k.n; i++) {
        const struct tensor *t = &k.items[i];
        bool matrix = t->fill != FILL_NORM && t->fill != FILL_BIAS;
        gguf_writer_tensor(w, str_from(t->name), t->type, matrix ? 2 : 1,
                           (uint64_t[]){t->cols, t->rows});
    }
    int r = gguf_writer_begin(w, path, err);
    for (size_t i = 0; r == 0 && i < k.n; i++)
        r = write_tensor(w, &k, &k.items[i], err);
    free(k.items);
    return r < 0 ? r : gguf_writer_end(w, err);
}
