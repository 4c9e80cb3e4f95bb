/* SPDX-License-Identifier: Apache-2.0
 *
 * Random models. The tensors are listed first, with their shapes; then the metadata and the list go
 * to the file, then the values, row by row, so that a large model takes no memory. */
#include "tiny_model_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/compiler.h"
#include "engine/kernels/types.h"
#include "engine/quantize/quantize.h"
#include "gguf/gguf_writer.h"
#include "random.h"

/* The factors that stretch Llama 3's rotation: slow frequencies are divided by `factor`, fast ones
 * stay, with a smooth passage between 1/4 and 1 of the original context of 8192 tokens. */
static void rope_factors(const struct tiny_model *m, uint32_t dims, float *out)
{
    double factor = m->rope_factor > 0 ? m->rope_factor : 8, low = 1, high = 4, context = 8192;
    double base = m->freq_base > 0 ? m->freq_base : 10000;
    for (uint32_t i = 0; i < dims / 2; i++) {
        double wavelength = 2 * M_PI / pow(base, -2.0 * i / dims);
        double smooth = (context / wavelength - low) / (high - low);
        smooth = fmin(1, fmax(0, smooth));
        out[i] = (float)(1 / ((1 - smooth) / factor + smooth));
    }
}

static void fill_row(const struct tiny_model *m, const struct tensor *t, uint64_t *state,
                     float *row)
{
    if (t->fill == FILL_ROPE) {
        rope_factors(m, t->cols * 2, row);
        return;
    }
    /* Matrices keep the size of their input: the variance of a uniform number is 1/3. */
    if (t->fill == FILL_LARGE_2D) {
        for (uint32_t i = 0; i < t->cols; i++)
            row[i] = 12.0f * random_uniform(state);
        return;
    }
    bool decay = t->fill == FILL_DECAY || t->fill == FILL_DECAY_2D;
    bool norm = t->fill == FILL_NORM || t->fill == FILL_NORM_2D;
    bool matrix = t->fill == FILL_MATRIX || t->fill == FILL_EXPERTS || t->fill == FILL_CONV_2D ||
                  t->fill == FILL_STREAMS || t->fill == FILL_HEADS;
    float scale = matrix                      ? sqrtf(3.0f / (float)t->cols)
                  : t->fill == FILL_EMBEDDING ? 1.0f
                  : decay                     ? 0.45f
                                              : 0.2f;
    float offset = norm ? 1.0f : decay ? -0.5f : 0.0f;
    if (t->fill == FILL_FACTORS)
        offset = 2, scale = 1;
    if (t->fill == FILL_ROUTER)
        offset = scale = (float)m->n_embd / 2;
    for (uint32_t i = 0; i < t->cols; i++)
        row[i] = offset + scale * random_uniform(state);
}

/* ---- the tensors ---- */

/* The wanted type, or the nearest whose blocks fit the rows. */
static uint32_t fitting_type(uint32_t type, uint32_t cols)
{
    if (cols % weight_type_info(type)->block_items == 0)
        return type;
    return cols % QK == 0 ? WT_Q8_0 : WT_F16;
}

void tiny_list_add(struct tensor_list *l, enum fill fill, uint32_t type, uint32_t rows,
                   uint32_t cols, const char *name)
{
    l->items = xrealloc(l->items, l->n + 1, sizeof(*l->items));
    struct tensor *t = &l->items[l->n++];
    *t = (struct tensor){.fill = fill, .rows = rows, .cols = cols};
    bool packed = fill == FILL_MATRIX || fill == FILL_EMBEDDING;
    t->type = packed ? fitting_type(type, cols) : WT_F32;
    if (fill == FILL_EXPERTS && type == WT_MXFP4)
        t->type = fitting_type(type, cols);
    snprintf(t->name, sizeof(t->name), "%s", name);
}

void tiny_list_layer(struct tensor_list *l, const struct tiny_model *m, uint32_t layer,
                     const struct layer_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char name[64];
        snprintf(name, sizeof(name), "blk.%" PRIu32 ".%s", layer, rows[i].name);
        if (rows[i].wanted)
            tiny_list_add(l, rows[i].fill, m->type, rows[i].rows, rows[i].cols, name);
    }
}

static void list_layer(struct tensor_list *l, const struct tiny_model *m, uint32_t layer)
{
    bool qwen2 = strcmp(m->arch, "qwen2") == 0, qwen3 = strncmp(m->arch, "qwen3", 5) == 0;
    bool gemma2 = strcmp(m->arch, "gemma2") == 0;
    uint32_t q = m->n_heads * m->head, kv = m->n_kv_heads * m->head, x = m->n_experts;
    bool dense = x == 0;
    const struct layer_row rows[] = {
        {"attn_norm.weight", true, FILL_NORM, 1, m->n_embd},
        {"attn_q.weight", true, FILL_MATRIX, q, m->n_embd},
        {"attn_q.bias", qwen2 || m->biases, FILL_BIAS, 1, q},
        {"attn_k.weight", true, FILL_MATRIX, kv, m->n_embd},
        {"attn_k.bias", qwen2 || m->biases, FILL_BIAS, 1, kv},
        {"attn_v.weight", true, FILL_MATRIX, kv, m->n_embd},
        {"attn_v.bias", qwen2 || m->biases, FILL_BIAS, 1, kv},
        {"attn_q_norm.weight", qwen3, FILL_NORM, 1, m->head},
        {"attn_k_norm.weight", qwen3, FILL_NORM, 1, m->head},
        {"attn_output.weight", true, FILL_MATRIX, m->n_embd, q},
        {"attn_output.bias", m->biases, FILL_BIAS, 1, m->n_embd},
        {"post_attention_norm.weight", gemma2, FILL_NORM, 1, m->n_embd},
        {"ffn_norm.weight", true, FILL_NORM, 1, m->n_embd},
        {"ffn_gate.weight", dense, FILL_MATRIX, m->n_ff, m->n_embd},
        {"ffn_gate.bias", dense && m->biases, FILL_BIAS, 1, m->n_ff},
        {"ffn_up.weight", dense, FILL_MATRIX, m->n_ff, m->n_embd},
        {"ffn_up.bias", dense && m->biases, FILL_BIAS, 1, m->n_ff},
        {"ffn_down.weight", dense, FILL_MATRIX, m->n_embd, m->n_ff},
        {"ffn_down.bias", dense && m->biases, FILL_BIAS, 1, m->n_embd},
        {"ffn_gate_inp.weight", x > 0, FILL_MATRIX, x, m->n_embd},
        {"ffn_gate_exps.weight", x > 0, FILL_EXPERTS, x * m->n_ff, m->n_embd},
        {"ffn_up_exps.weight", x > 0, FILL_EXPERTS, x * m->n_ff, m->n_embd},
        {"ffn_down_exps.weight", x > 0, FILL_EXPERTS, x * m->n_embd, m->n_ff},
        {"post_ffw_norm.weight", gemma2, FILL_NORM, 1, m->n_embd},
    };
    tiny_list_layer(l, m, layer, rows, ARRAY_LEN(rows));
}

static void list_all(struct tensor_list *l, const struct tiny_model *m)
{
    tiny_list_add(l, FILL_EMBEDDING, m->type, m->n_vocab, m->n_embd, "token_embd.weight");
    tiny_list_add(l, FILL_NORM, m->type, 1, m->n_embd, tiny_recurrent_output_norm(m));
    if (m->untied)
        tiny_list_add(l, FILL_MATRIX, m->type, m->n_vocab, m->n_embd, "output.weight");
    if (m->rope_freqs)
        tiny_list_add(l, FILL_ROPE, m->type, 1, m->rope_dims / 2, "rope_freqs.weight");
    tiny_dense_globals(l, m);
    for (uint32_t i = 0; i < m->n_layers + m->n_draft_layers; i++) {
        if (tiny_recurrent(m))
            tiny_recurrent_layer(l, m, i);
        else if (tiny_dense(m))
            tiny_dense_layer(l, m, i);
        else
            list_layer(l, m, i);
    }
}

/* ---- the vocabulary ---- */

enum { TOKEN_NORMAL = 1, TOKEN_UNKNOWN = 2, TOKEN_CONTROL = 3, TOKEN_UNUSED = 5, TOKEN_BYTE = 6 };

struct vocab {
    struct str *texts; /* each allocated */
    int32_t *types;
    float *scores;
    size_t n;
};

static void vocab_add(struct vocab *v, int32_t type, char *text)
{
    v->texts[v->n] = str_from(text);
    v->types[v->n] = type;
    v->scores[v->n] = type == TOKEN_NORMAL ? -(float)v->n : 0;
    v->n++;
}

static void vocab_release(struct vocab *v)
{
    for (size_t i = 0; i < v->n; i++)
        free((void *)(uintptr_t)v->texts[i].ptr);
    free(v->texts);
    free(v->types);
    free(v->scores);
}

/* Pieces of SentencePiece: control tokens, all bytes, some words, letters. */
static void vocab_fill_spm(struct vocab *v)
{
    static const char *const words[] = {
        "\xe2\x96\x81", "\xe2\x96\x81t", "he", "\xe2\x96\x81the", "in", "er", "\xe2\x96\x81\x61"};
    vocab_add(v, TOKEN_UNKNOWN, xstrdup("<unk>"));
    vocab_add(v, TOKEN_CONTROL, xstrdup("<s>"));
    vocab_add(v, TOKEN_CONTROL, xstrdup("</s>"));
    for (unsigned i = 0; i < 256; i++)
        vocab_add(v, TOKEN_BYTE, xasprintf("<0x%02X>", i));
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        vocab_add(v, TOKEN_NORMAL, xstrdup(words[i]));
    for (int c = '!'; c <= '~'; c++)
        vocab_add(v, TOKEN_NORMAL, xasprintf("%c", c));
}

/* Byte-level BPE writes each byte as a visible character: printable ones of Latin-1 stand for
 * themselves, the others are numbered from U+0100. */
static char *byte_char(unsigned byte)
{
    unsigned cp = byte, n_hidden = 0;
    for (unsigned b = 0; b <= byte; b++) {
        bool shown = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        if (b == byte && !shown)
            cp = 256 + n_hidden;
        n_hidden += !shown;
    }
    if (cp < 0x80)
        return xasprintf("%c", (int)cp);
    return xasprintf("%c%c", (int)(0xc0 | cp >> 6), (int)(0x80 | (cp & 63)));
}

static const char *const bpe_merges[] = {"h e", "\xc4\xa0 t", "\xc4\xa0t he",
                                         "i n", "e r",        "\xc4\xa0 a"};

static void vocab_fill_bpe(struct vocab *v)
{
    for (unsigned i = 0; i < 256; i++)
        vocab_add(v, TOKEN_NORMAL, byte_char(i));
    for (size_t i = 0; i < ARRAY_LEN(bpe_merges); i++) {
        const char *space = strchr(bpe_merges[i], ' ');
        vocab_add(v, TOKEN_NORMAL,
                  xasprintf("%.*s%s", (int)(space - bpe_merges[i]), bpe_merges[i], space + 1));
    }
    vocab_add(v, TOKEN_CONTROL, xstrdup("<|endoftext|>"));
    vocab_add(v, TOKEN_CONTROL, xstrdup("<|im_start|>"));
    vocab_add(v, TOKEN_CONTROL, xstrdup("<|im_end|>"));
}

static void write_vocab(struct gguf_writer *w, const struct tiny_model *m)
{
    CLEANUP(vocab_release)
    struct vocab v = {
        .texts = xcalloc(m->n_vocab, sizeof(*v.texts)),
        .types = xcalloc(m->n_vocab, sizeof(*v.types)),
        .scores = xcalloc(m->n_vocab, sizeof(*v.scores)),
    };
    bool bpe = strncmp(m->arch, "qwen", 4) == 0;
    if (bpe)
        vocab_fill_bpe(&v);
    else
        vocab_fill_spm(&v);
    size_t n_real = v.n;
    while (v.n < m->n_vocab)
        vocab_add(&v, TOKEN_UNUSED, xasprintf("[PAD%zu]", v.n));

    gguf_writer_str(w, "tokenizer.ggml.model", bpe ? STR("gpt2") : STR("llama"));
    gguf_writer_str_array(w, "tokenizer.ggml.tokens", v.texts, v.n);
    gguf_writer_i32_array(w, "tokenizer.ggml.token_type", v.types, v.n);
    if (bpe) {
        struct str merges[ARRAY_LEN(bpe_merges)];
        for (size_t i = 0; i < ARRAY_LEN(bpe_merges); i++)
            merges[i] = str_from(bpe_merges[i]);
        gguf_writer_str(w, "tokenizer.ggml.pre", STR("qwen2"));
        gguf_writer_str_array(w, "tokenizer.ggml.merges", merges, ARRAY_LEN(merges));
        gguf_writer_u32(w, "tokenizer.ggml.bos_token_id", (uint32_t)n_real - 3);
        gguf_writer_u32(w, "tokenizer.ggml.eos_token_id", (uint32_t)n_real - 1);
        gguf_writer_bool(w, "tokenizer.ggml.add_bos_token", false);
    } else {
        gguf_writer_f32_array(w, "tokenizer.ggml.scores", v.scores, v.n);
        gguf_writer_u32(w, "tokenizer.ggml.bos_token_id", 1);
        gguf_writer_u32(w, "tokenizer.ggml.eos_token_id", 2);
        gguf_writer_u32(w, "tokenizer.ggml.unknown_token_id", 0);
    }
    gguf_writer_str(w, "tokenizer.chat_template",
                    STR("{% for m in messages %}{{ m.role + ': ' + m.content + '\\n' }}{% endfor %}"
                        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"));
}

/* ---- the file ---- */

static uint32_t file_type(uint32_t type)
{
    switch (type) {
    case WT_F16:
        return 1;
    case WT_Q4_0:
        return 2;
    case WT_Q8_0:
        return 7;
    case WT_Q4_K:
        return 14;
    case WT_Q5_K:
        return 16;
    case WT_Q6_K:
        return 18;
    case WT_BF16:
        return 32;
    default:
        return 0;
    }
}

/* Keys whose prefix is the architecture. */
static void write_arch_keys(struct gguf_writer *w, const struct tiny_model *m)
{
    const struct {
        const char *key;
        uint32_t value;
    } counts[] = {
        {"block_count", m->n_layers + m->n_draft_layers},           {"context_length", m->n_ctx},
        {"embedding_length", m->n_embd},        {"feed_forward_length", m->n_ff},
        {"attention.head_count", m->n_heads},   {"attention.head_count_kv", m->n_kv_heads},
        {"attention.key_length", m->head},      {"attention.value_length", m->head},
        {"rope.dimension_count", m->rope_dims},
    };
    char key[96];
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        snprintf(key, sizeof(key), "%s.%s", m->arch, counts[i].key);
        if (tiny_recurrent(m) && tiny_recurrent_leaves_out(m, counts[i].key))
            continue;
        if (tiny_mla(m) && tiny_mla_leaves_out(counts[i].key))
            continue;
        gguf_writer_u32(w, key, counts[i].value);
    }
    snprintf(key, sizeof(key), "%s.attention.layer_norm_rms_epsilon", m->arch);
    if (!tiny_dense_leaves_out(m, "attention.layer_norm_rms_epsilon"))
        gguf_writer_f32(w, key, m->eps > 0 ? (float)m->eps : 1e-5f);
    snprintf(key, sizeof(key), "%s.rope.freq_base", m->arch);
    gguf_writer_f32(w, key, m->freq_base > 0 ? (float)m->freq_base : 10000.0f);
    const struct {
        const char *key;
        uint32_t value;
    } experts[] = {
        {"expert_count", m->n_experts},
        {"expert_used_count", m->n_experts_used},
        {"expert_feed_forward_length", strcmp(m->arch, "qwen3moe") == 0 ? m->n_ff : 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(experts); i++) {
        snprintf(key, sizeof(key), "%s.%s", m->arch, experts[i].key);
        if (experts[i].value > 0)
            gguf_writer_u32(w, key, experts[i].value);
    }
    if (m->rope_scaling) {
        snprintf(key, sizeof(key), "%s.rope.scaling.type", m->arch);
        gguf_writer_str(w, key, str_from(m->rope_scaling));
        snprintf(key, sizeof(key), "%s.rope.scaling.factor", m->arch);
        gguf_writer_f32(w, key, (float)m->rope_factor);
        snprintf(key, sizeof(key), "%s.rope.scaling.original_context_length", m->arch);
        gguf_writer_u32(w, key, MAX(1, (uint32_t)(m->n_ctx / m->rope_factor)));
    }
    if (m->window > 0) {
        snprintf(key, sizeof(key), "%s.attention.sliding_window", m->arch);
        gguf_writer_u32(w, key, m->window);
    }
}

static void write_metadata(struct gguf_writer *w, const struct tiny_model *m)
{
    gguf_writer_str(w, "general.architecture", str_from(m->arch));
    gguf_writer_str(w, "general.name", STR("random weights"));
    gguf_writer_str(w, "general.license", STR("cc0-1.0"));
    gguf_writer_u32(w, "general.file_type", file_type(m->type));
    gguf_writer_u32(w, "general.quantization_version", 2);
    write_arch_keys(w, m);
    if (tiny_recurrent(m))
        tiny_recurrent_keys(w, m);
    if (tiny_dense(m))
        tiny_dense_keys(w, m);
    if (tiny_experts(m))
        tiny_experts_keys(w, m);
    if (tiny_mla(m))
        tiny_mla_keys(w, m);
    if (!m->no_vocab)
        write_vocab(w, m);
}

static int write_tensor(struct gguf_writer *w, const struct tiny_model *m, const struct tensor *t,
                        struct error *err)
{
    uint64_t row_bytes;
    if (!weight_row_bytes(t->type, t->cols, &row_bytes))
        return error_set(err, ERR_INVALID, "rows of %" PRIu32 " do not fit type %" PRIu32, t->cols,
                         t->type);
    uint32_t pool = m->row_pool > 0 ? MIN(m->row_pool, t->rows) : t->rows;
    bool keep = pool < t->rows;
    CLEANUP_FREE float *row = xcalloc(t->cols, sizeof(*row));
    CLEANUP_FREE char *packed = xcalloc(keep ? pool : 1, row_bytes);
    uint64_t state = random_seed(m->seed, t->name);
    for (uint32_t i = 0; i < t->rows; i++) {
        char *at = packed + (keep ? i % pool * row_bytes : 0);
        if (i < pool) {
            fill_row(m, t, &state, row);
            if (!quantize_row(t->type, row, NULL, t->cols, at))
                return error_set(err, ERR_UNSUPPORTED, "no quantiser for type %" PRIu32, t->type);
        }
        int r = gguf_writer_data(w, at, row_bytes, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static uint32_t tensor_dims(const struct tensor *t)
{
    switch (t->fill) {
    case FILL_NORM:
    case FILL_BIAS:
    case FILL_ROPE:
    case FILL_FACTORS:
    case FILL_ROUTER:
    case FILL_DECAY:
        return 1;
    case FILL_EXPERTS:
    case FILL_HEADS:
    case FILL_STREAMS:
        return 3;
    default:
        return 2;
    }
}

/* One file with tensors from .. to-1; metadata only in the first. */
static int write_part(const struct tiny_model *m, const struct tensor_list *l, size_t from,
                      size_t to, uint32_t part, const char *path, struct error *err)
{
    CLEANUP(cleanup_gguf_writer) struct gguf_writer *w = gguf_writer_new();
    if (part == 0)
        write_metadata(w, m);
    if (m->n_parts > 1) {
        gguf_writer_u16(w, "split.no", (uint16_t)part);
        gguf_writer_u16(w, "split.count", (uint16_t)m->n_parts);
        gguf_writer_i32(w, "split.tensors.count", (int32_t)l->n);
    }
    for (size_t i = from; i < to; i++) {
        const struct tensor *t = &l->items[i];
        uint64_t dims[3] = {t->cols, t->rows, 1};
        if (t->fill == FILL_EXPERTS) {
            dims[1] = t->rows / m->n_experts;
            dims[2] = m->n_experts;
        }
        if (t->fill == FILL_HEADS) {
            dims[1] = t->rows / m->n_heads;
            dims[2] = m->n_heads;
        }
        if (t->fill == FILL_STREAMS) {
            dims[2] = TINY_STREAMS - 1;
            dims[1] = t->rows / dims[2];
        }
        gguf_writer_tensor(w, str_from(t->name), t->type, tensor_dims(t), dims);
    }
    int r = gguf_writer_begin(w, path, err);
    for (size_t i = from; r == 0 && i < to; i++)
        r = write_tensor(w, m, &l->items[i], err);
    return r < 0 ? r : gguf_writer_end(w, err);
}

static int write_parts(const struct tiny_model *m, const struct tensor_list *l, const char *path,
                       struct error *err)
{
    char tail[40];
    snprintf(tail, sizeof(tail), "-00001-of-%05" PRIu32 ".gguf", m->n_parts);
    if (!str_ends_with(str_from(path), str_from(tail)))
        return error_set(err, ERR_INVALID, "'%s': the name of the first part must end in '%s'",
                         path, tail);
    int stem = (int)(strlen(path) - strlen(tail));
    for (uint32_t i = 0; i < m->n_parts; i++) {
        CLEANUP_FREE char *part =
            xasprintf("%.*s-%05" PRIu32 "-of-%05" PRIu32 ".gguf", stem, path, i + 1, m->n_parts);
        int r = write_part(m, l, l->n * i / m->n_parts, l->n * (i + 1) / m->n_parts, i, part, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int tiny_model_write(const struct tiny_model *model, const char *path, struct error *err)
{
    struct tiny_model m = *model;
    if (m.n_layers == 0 || m.n_embd == 0 || m.n_heads == 0 || m.n_kv_heads == 0 || m.n_ff == 0 ||
        m.n_vocab == 0 || m.n_ctx == 0 || !quantize_supports(m.type))
        return error_set(err, ERR_INVALID, "a size is 0, or the type has no quantiser");
    if (!m.no_vocab && m.n_vocab < TINY_MODEL_MIN_VOCAB)
        return error_set(err, ERR_INVALID, "a vocabulary needs at least %d tokens",
                         TINY_MODEL_MIN_VOCAB);
    if (m.n_parts > 65535)
        return error_set(err, ERR_INVALID, "%" PRIu32 " parts are too many", m.n_parts);
    m.head = m.head > 0 ? m.head : m.n_embd / m.n_heads;
    m.rope_dims = m.rope_dims > 0 ? m.rope_dims : m.head;
    if (m.n_experts > 0 && m.n_experts_used == 0)
        m.n_experts_used = MIN(2, m.n_experts);
    tiny_recurrent_defaults(&m);
    tiny_dense_defaults(&m);
    if (tiny_mla(&m))
        tiny_mla_defaults(&m);
    struct tensor_list l = {0};
    list_all(&l, &m);
    int r =
        m.n_parts > 1 ? write_parts(&m, &l, path, err) : write_part(&m, &l, 0, l.n, 0, path, err);
    free(l.items);
    return r;
}

int tiny_model_shape(const char *name, struct tiny_model *m, struct error *err)
{
    static const struct {
        const char *name;
        struct tiny_model model;
    } shapes[] = {
        {"smollm2-135m",
         {.arch = "llama",
          .n_layers = 30,
          .n_embd = 576,
          .n_heads = 9,
          .n_kv_heads = 3,
          .n_ff = 1536,
          .n_vocab = 49152,
          .n_ctx = 8192,
          .freq_base = 100000}},
        {"qwen3-0.6b",
         {.arch = "qwen3",
          .n_layers = 28,
          .n_embd = 1024,
          .n_heads = 16,
          .n_kv_heads = 8,
          .head = 128,
          .n_ff = 3072,
          .n_vocab = 151936,
          .n_ctx = 40960,
          .freq_base = 1e6,
          .eps = 1e-6}},
        {"llama-3.2-1b",
         {.arch = "llama",
          .n_layers = 16,
          .n_embd = 2048,
          .n_heads = 32,
          .n_kv_heads = 8,
          .n_ff = 8192,
          .n_vocab = 128256,
          .n_ctx = 131072,
          .freq_base = 500000,
          .rope_freqs = true,
          .rope_factor = 32}},
    };
    for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
        if (strcmp(name, shapes[i].name) != 0)
            continue;
        *m = shapes[i].model;
        m->row_pool = 256; /* random numbers for a billion weights would take minutes */
        return 0;
    }
    return error_set(err, ERR_INVALID, "no shape '%s' (smollm2-135m, qwen3-0.6b, llama-3.2-1b)",
                     name);
}
