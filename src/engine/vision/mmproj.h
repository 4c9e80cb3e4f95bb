/* SPDX-License-Identifier: Apache-2.0
 *
 * A multimodal projector: the second file of a model that sees. It holds an image encoder (a vision
 * transformer) and the projection of its output into the embedding space of the language model.
 *
 * Format: GGUF with general.architecture = "clip", as llama.cpp's converter writes it. Of the many
 * kinds, named by clip.projector_type, these are computed; others are refused by name:
 *
 *     idefics3   SmolVLM, SmolVLM2, Idefics3: neighbouring patches are merged, one matrix
 *     gemma3     Gemma 3: patches are averaged, RMS norm, one matrix
 *
 * The encoder is SigLIP's:
 *
 *     x = Wpatch pixels + bpatch + position
 *     for each layer:  x = x + Wo attention(norm(x)),  x = x + Wdown act(Wup norm(x))
 *     x = norm(x)
 *
 * LayerNorms with biases, every patch sees every patch, biases everywhere. */
#ifndef ENGINE_VISION_MMPROJ_H
#define ENGINE_VISION_MMPROJ_H

#include "engine/backend/backend.h"
#include "engine/model/tensor_set.h"
#include "gguf/gguf.h"

enum projector { PROJECTOR_IDEFICS3, PROJECTOR_GEMMA3 };

enum {
    MMPROJ_MAX_SIDE = 4096, /* of the encoder's input, in pixels */
    MMPROJ_MAX_PATCHES = 1 << 14,
    MMPROJ_MAX_LAYERS = 256,
    MMPROJ_MAX_WIDTH = 1 << 16,
};

struct mmproj_desc {
    enum projector projector;
    uint32_t side;         /* of the square the encoder takes, in pixels */
    uint32_t patch;        /* of a patch, in pixels; divides side */
    uint32_t merge;        /* merge x merge patches make one token; divides side / patch */
    uint32_t longest_edge; /* idefics3: pictures are scaled to it before they are cut; 0 = not */
    uint32_t n_layers, n_embd, n_heads, n_ff;
    uint32_t n_text; /* width of what comes out: the language model's n_embd */
    enum act_kind act;
    float eps;
    float mean[3], std[3]; /* of the channels, of pixels in 0..1 */
};

/* The same for every layer. */
enum mmproj_tensor {
    VT_LN1,
    VT_LN1_BIAS,
    VT_Q,
    VT_Q_BIAS,
    VT_K,
    VT_K_BIAS,
    VT_V,
    VT_V_BIAS,
    VT_OUT,
    VT_OUT_BIAS,
    VT_LN2,
    VT_LN2_BIAS,
    VT_UP,
    VT_UP_BIAS,
    VT_DOWN,
    VT_DOWN_BIAS,
    VT_COUNT,
};

struct mmproj_layer {
    struct weight *t[VT_COUNT];
};

struct mmproj {
    struct mmproj_desc desc;
    struct gguf *g;
    struct backend *backend; /* borrowed */
    struct tensor_set tensors;
    struct weight *patch, *patch_bias; /* [n_embd][3 * patch * patch] */
    struct weight *position;           /* [n_patches][n_embd] */
    struct weight *post_norm, *post_norm_bias;
    struct weight *project_norm; /* gemma3 */
    struct weight *project;      /* [n_text][n_embd], idefics3: [n_text][n_embd * merge²] */
    struct mmproj_layer *layers; /* [n_layers] */
};

/* Patches in a row of the encoder's square, and tokens a square makes. */
static inline uint32_t mmproj_grid(const struct mmproj_desc *d)
{
    return d->side / d->patch;
}

static inline uint32_t mmproj_n_tokens(const struct mmproj_desc *d)
{
    uint32_t n = mmproj_grid(d) / d->merge;
    return n * n;
}

/* Reads and checks the facts. ERR_UNSUPPORTED for another kind of file or projector. */
int mmproj_describe(const struct gguf *g, struct mmproj_desc *ret, struct error *err);

int mmproj_load(const char *path, struct backend *b, struct mmproj *ret, struct error *err);
void mmproj_release(struct mmproj *m); /* a zeroed one is fine */

#endif
