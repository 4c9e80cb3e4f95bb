/* SPDX-License-Identifier: Apache-2.0
 *
 * Random projectors. */
#include "tiny_mmproj.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "engine/kernels/f16.h"
#include "engine/kernels/types.h"
#include "gguf/gguf_writer.h"
#include "random.h"

const struct tiny_mmproj tiny_mmproj_default = {
    .projector = "idefics3",
    .side = 16,
    .patch = 4,
    .merge = 2,
    .longest_edge = 32,
    .n_layers = 2,
    .n_embd = 32,
    .n_heads = 4,
    .n_ff = 48,
    .n_text = 64,
    .seed = 1,
};

/* Declares the tensors (data false), or writes their values. */
struct tensor_sink {
    struct gguf_writer *w;
    const struct tiny_mmproj *m;
    bool data;
    int r;
    struct error *err;
};

static void put(struct tensor_sink *s, const char *name, uint32_t n_dims, const uint64_t *dims)
{
    bool vector = n_dims == 1;
    uint32_t type = vector ? WT_F32 : s->m->type;
    if (!s->data) {
        gguf_writer_tensor(s->w, str_from(name), type, n_dims, dims);
        return;
    }
    uint64_t n = 1, state = random_seed(s->m->seed, name);
    for (uint32_t i = 0; i < n_dims; i++)
        n *= dims[i];
    /* Matrices keep the size of their input, norms are near one, biases near zero. */
    bool norm = vector && strstr(name, ".weight");
    float scale = vector ? 0.2f : sqrtf(3.0f * (float)dims[n_dims - 1] / (float)n);
    for (uint64_t i = 0; i < n && s->r == 0; i++) {
        float f = (norm ? 1.0f : 0.0f) + scale * random_uniform(&state);
        uint16_t h = f32_to_f16(f);
        s->r = type == WT_F16 ? gguf_writer_data(s->w, &h, sizeof(h), s->err)
                              : gguf_writer_data(s->w, &f, sizeof(f), s->err);
    }
}

#define PUT(s, name, ...)                                                  \
    put((s), (name), sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), \
        (uint64_t[]){__VA_ARGS__})

static void put_layer(struct tensor_sink *s, uint32_t layer)
{
    const struct tiny_mmproj *m = s->m;
    const char *up = m->swapped_names ? "ffn_down" : "ffn_up";
    const char *down = m->swapped_names ? "ffn_up" : "ffn_down";
    const struct {
        const char *name, *part;
        uint32_t cols, rows; /* rows 0 = a vector */
    } rows[] = {
        {"ln1", "weight", m->n_embd, 0},
        {"ln1", "bias", m->n_embd, 0},
        {"attn_q", "weight", m->n_embd, m->n_embd},
        {"attn_q", "bias", m->n_embd, 0},
        {"attn_k", "weight", m->n_embd, m->n_embd},
        {"attn_k", "bias", m->n_embd, 0},
        {"attn_v", "weight", m->n_embd, m->n_embd},
        {"attn_v", "bias", m->n_embd, 0},
        {"attn_out", "weight", m->n_embd, m->n_embd},
        {"attn_out", "bias", m->n_embd, 0},
        {"ln2", "weight", m->n_embd, 0},
        {"ln2", "bias", m->n_embd, 0},
        {up, "weight", m->n_embd, m->n_ff},
        {up, "bias", m->n_ff, 0},
        {down, "weight", m->n_ff, m->n_embd},
        {down, "bias", m->n_embd, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char name[64];
        snprintf(name, sizeof(name), "v.blk.%" PRIu32 ".%s.%s", layer, rows[i].name, rows[i].part);
        put(s, name, rows[i].rows ? 2 : 1, (uint64_t[]){rows[i].cols, rows[i].rows});
    }
}

static void put_all(struct tensor_sink *s)
{
    const struct tiny_mmproj *m = s->m;
    uint64_t grid = m->side / m->patch;
    PUT(s, "v.patch_embd.weight", m->patch, m->patch, 3, m->n_embd);
    PUT(s, "v.patch_embd.bias", m->n_embd);
    PUT(s, "v.position_embd.weight", m->n_embd, grid * grid);
    for (uint32_t i = 0; i < m->n_layers; i++)
        put_layer(s, i);
    PUT(s, "v.post_ln.weight", m->n_embd);
    PUT(s, "v.post_ln.bias", m->n_embd);
    if (strcmp(m->projector, "gemma3") == 0) {
        PUT(s, "mm.soft_emb_norm.weight", m->n_embd);
        PUT(s, "mm.input_projection.weight", m->n_text, m->n_embd);
    } else {
        PUT(s, "mm.model.fc.weight", (uint64_t)m->n_embd * m->merge * m->merge, m->n_text);
    }
}

static void put_facts(struct gguf_writer *w, const struct tiny_mmproj *m)
{
    static const float half[3] = {0.5f, 0.5f, 0.5f};
    gguf_writer_str(w, "general.architecture", STR("clip"));
    gguf_writer_str(w, "general.name", STR("a random projector"));
    gguf_writer_bool(w, "clip.has_vision_encoder", true);
    gguf_writer_str(w, "clip.projector_type", str_from(m->projector));
    gguf_writer_bool(w, "clip.use_gelu", true);
    gguf_writer_u32(w, "clip.vision.image_size", m->side);
    gguf_writer_u32(w, "clip.vision.patch_size", m->patch);
    gguf_writer_u32(w, "clip.vision.embedding_length", m->n_embd);
    gguf_writer_u32(w, "clip.vision.feed_forward_length", m->n_ff);
    gguf_writer_u32(w, "clip.vision.block_count", m->n_layers);
    gguf_writer_u32(w, "clip.vision.projection_dim", m->n_text);
    gguf_writer_u32(w, "clip.vision.attention.head_count", m->n_heads);
    gguf_writer_f32(w, "clip.vision.attention.layer_norm_epsilon", 1e-6f);
    gguf_writer_u32(w, "clip.vision.projector.scale_factor", m->merge);
    gguf_writer_f32_array(w, "clip.vision.image_mean", half, 3);
    gguf_writer_f32_array(w, "clip.vision.image_std", half, 3);
    if (m->longest_edge > 0)
        gguf_writer_u32(w, "clip.vision.preproc_image_size", m->longest_edge);
}

int tiny_mmproj_write(const struct tiny_mmproj *m, const char *path, struct error *err)
{
    CLEANUP(cleanup_gguf_writer) struct gguf_writer *w = gguf_writer_new();
    struct tensor_sink sink = {.w = w, .m = m, .err = err};
    put_facts(w, m);
    put_all(&sink);
    int r = gguf_writer_begin(w, path, err);
    if (r < 0)
        return r;
    sink.data = true;
    put_all(&sink);
    return sink.r < 0 ? sink.r : gguf_writer_end(w, err);
}
