/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading mmproj files. */
#include "engine/vision/mmproj.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"

/* ---- the facts ---- */

static const struct {
    const char *name;
    enum projector projector;
    uint32_t merge_default;
} projectors[] = {
    {"idefics3", PROJECTOR_IDEFICS3, 0},
    {"gemma3", PROJECTOR_GEMMA3, 4},
};

static int want_projector(const struct gguf *g, struct mmproj_desc *d, struct error *err)
{
    struct str arch = {0}, name = {0};
    bool has_vision = false;
    int r = gguf_want_str(g, "general.architecture", &arch, err);
    if (r == 0)
        r = gguf_want_bool(g, "clip.has_vision_encoder", &has_vision, err);
    if (r == 0)
        r = gguf_want_str(g, "clip.projector_type", &name, err);
    if (r == 0)
        r = gguf_want_str(g, "clip.vision.projector_type", &name, err);
    if (r < 0)
        return r;
    if (!str_eq_c(arch, "clip"))
        return error_set(err, ERR_UNSUPPORTED,
                         "general.architecture is '%.*s', but a multimodal projector is a 'clip'",
                         STR_ARG(arch));
    if (!has_vision)
        return error_set(err, ERR_UNSUPPORTED,
                         "the projector has no vision encoder (clip.has_vision_encoder)");
    for (size_t i = 0; i < ARRAY_LEN(projectors); i++) {
        if (!str_eq_c(name, projectors[i].name))
            continue;
        d->projector = projectors[i].projector;
        d->merge = projectors[i].merge_default;
        return 0;
    }
    return error_set(err, ERR_UNSUPPORTED,
                     "projectors of the kind '%.*s' (clip.projector_type) are not supported; "
                     "idefics3 and gemma3 are",
                     STR_ARG(name));
}

static int get_channels(const struct gguf *g, const char *key, float out[3], struct error *err)
{
    CLEANUP_FREE float *v = NULL;
    size_t n = 0;
    int r = gguf_get_f32_array(g, key, &v, &n, err);
    if (r < 0)
        return r;
    if (n < 3)
        return error_set(err, ERR_CORRUPT, "%s has %zu values, 3 are needed", key, n);
    for (size_t i = 0; i < 3; i++) {
        if (!isfinite(v[i]))
            return error_set(err, ERR_CORRUPT, "%s: value %zu is not finite", key, i);
        out[i] = v[i];
    }
    return 0;
}

struct range {
    const char *key;
    uint32_t *value;
    uint32_t min, max;
    bool optional;
};

static int get_ranges(const struct gguf *g, const struct range *keys, size_t n, struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        int r = keys[i].optional ? gguf_want_u32(g, keys[i].key, keys[i].value, err)
                                 : gguf_get_u32(g, keys[i].key, keys[i].value, err);
        if (r < 0)
            return r;
        if (*keys[i].value < keys[i].min || *keys[i].value > keys[i].max)
            return error_set(err, ERR_CORRUPT,
                             "%s is %" PRIu32 ", but %" PRIu32 " to %" PRIu32 " is possible",
                             keys[i].key, *keys[i].value, keys[i].min, keys[i].max);
    }
    return 0;
}

static int get_activation(const struct gguf *g, struct mmproj_desc *d, struct error *err)
{
    bool gelu = false, silu = false;
    int r = gguf_want_bool(g, "clip.use_gelu", &gelu, err);
    if (r == 0)
        r = gguf_want_bool(g, "clip.use_silu", &silu, err);
    if (r < 0)
        return r;
    if (gelu == silu)
        return error_set(err, gelu ? ERR_CORRUPT : ERR_UNSUPPORTED,
                         gelu ? "clip.use_gelu and clip.use_silu are both set"
                              : "the encoder uses the quick GELU (neither clip.use_gelu nor "
                                "clip.use_silu is set), which is not supported");
    d->act = gelu ? ACT_GELU_TANH : ACT_SILU;
    return 0;
}

static int check_facts(const struct mmproj_desc *d, struct error *err)
{
    if (d->side % d->patch != 0)
        return error_set(err, ERR_CORRUPT,
                         "clip.vision.image_size is %" PRIu32
                         ", no multiple of clip.vision.patch_size, %" PRIu32,
                         d->side, d->patch);
    uint32_t grid = mmproj_grid(d);
    if (grid * grid > MMPROJ_MAX_PATCHES)
        return error_set(err, ERR_CORRUPT,
                         "clip.vision.image_size of %" PRIu32 " makes %" PRIu32
                         " patches; %d are possible",
                         d->side, grid * grid, MMPROJ_MAX_PATCHES);
    if (grid % d->merge != 0)
        return error_set(err, ERR_CORRUPT,
                         "clip.vision.projector.scale_factor is %" PRIu32
                         ", which does not divide the %" PRIu32 " patches of a row",
                         d->merge, grid);
    if (d->n_embd % d->n_heads != 0)
        return error_set(err, ERR_CORRUPT,
                         "clip.vision.attention.head_count is %" PRIu32
                         ", which does not divide clip.vision.embedding_length, %" PRIu32,
                         d->n_heads, d->n_embd);
    if (d->longest_edge > 0 && d->longest_edge > 16 * d->side)
        return error_set(err, ERR_CORRUPT,
                         "clip.vision.preproc_image_size is %" PRIu32
                         ", more than 16 times clip.vision.image_size",
                         d->longest_edge);
    for (size_t i = 0; i < 3; i++)
        if (d->std[i] <= 0)
            return error_set(err, ERR_CORRUPT, "clip.vision.image_std: value %zu is not positive",
                             i);
    if (!(d->eps > 0 && d->eps < 1))
        return error_set(err, ERR_CORRUPT,
                         "clip.vision.attention.layer_norm_epsilon is %g, not between 0 and 1",
                         (double)d->eps);
    return 0;
}

int mmproj_describe(const struct gguf *g, struct mmproj_desc *ret, struct error *err)
{
    struct mmproj_desc d = {0};
    int r = want_projector(g, &d, err);
    if (r < 0)
        return r;
    const struct range ranges[] = {
        {"clip.vision.image_size", &d.side, 1, MMPROJ_MAX_SIDE, false},
        {"clip.vision.patch_size", &d.patch, 1, 256, false},
        {"clip.vision.embedding_length", &d.n_embd, 1, MMPROJ_MAX_WIDTH, false},
        {"clip.vision.feed_forward_length", &d.n_ff, 1, MMPROJ_MAX_WIDTH, false},
        {"clip.vision.block_count", &d.n_layers, 1, MMPROJ_MAX_LAYERS, false},
        {"clip.vision.attention.head_count", &d.n_heads, 1, 1024, false},
        {"clip.vision.projection_dim", &d.n_text, 1, MMPROJ_MAX_WIDTH, false},
        {"clip.vision.projector.scale_factor", &d.merge, 1, 64, true},
        {"clip.vision.preproc_image_size", &d.longest_edge, 0, 16 * MMPROJ_MAX_SIDE, true},
    };
    double eps = 0;
    r = get_ranges(g, ranges, ARRAY_LEN(ranges), err);
    if (r == 0)
        r = gguf_get_f64(g, "clip.vision.attention.layer_norm_epsilon", &eps, err);
    if (r == 0)
        r = get_channels(g, "clip.vision.image_mean", d.mean, err);
    if (r == 0)
        r = get_channels(g, "clip.vision.image_std", d.std, err);
    if (r == 0)
        r = get_activation(g, &d, err);
    d.eps = (float)eps;
    if (r == 0)
        r = check_facts(&d, err);
    if (r < 0)
        return r;
    *ret = d;
    return 0;
}

/* ---- the weights ---- */

enum dim { DIM_EMBD, DIM_FF };

static const struct {
    const char *name;
    bool vector;
    enum dim rows, cols;
} layer_tensors[VT_COUNT] = {
    [VT_LN1] = {"ln1.weight", true, 0, DIM_EMBD},
    [VT_LN1_BIAS] = {"ln1.bias", true, 0, DIM_EMBD},
    [VT_Q] = {"attn_q.weight", false, DIM_EMBD, DIM_EMBD},
    [VT_Q_BIAS] = {"attn_q.bias", true, 0, DIM_EMBD},
    [VT_K] = {"attn_k.weight", false, DIM_EMBD, DIM_EMBD},
    [VT_K_BIAS] = {"attn_k.bias", true, 0, DIM_EMBD},
    [VT_V] = {"attn_v.weight", false, DIM_EMBD, DIM_EMBD},
    [VT_V_BIAS] = {"attn_v.bias", true, 0, DIM_EMBD},
    [VT_OUT] = {"attn_out.weight", false, DIM_EMBD, DIM_EMBD},
    [VT_OUT_BIAS] = {"attn_out.bias", true, 0, DIM_EMBD},
    [VT_LN2] = {"ln2.weight", true, 0, DIM_EMBD},
    [VT_LN2_BIAS] = {"ln2.bias", true, 0, DIM_EMBD},
    [VT_UP] = {"ffn_up.weight", false, DIM_FF, DIM_EMBD},
    [VT_UP_BIAS] = {"ffn_up.bias", true, 0, DIM_FF},
    [VT_DOWN] = {"ffn_down.weight", false, DIM_EMBD, DIM_FF},
    [VT_DOWN_BIAS] = {"ffn_down.bias", true, 0, DIM_EMBD},
};

/* Old files call the matrix that widens "ffn_down", and the other way round. */
static bool ffn_is_swapped(const struct gguf *g, const struct mmproj_desc *d)
{
    const struct gguf_tensor *t = gguf_tensor_find(g, STR("v.blk.0.ffn_down.weight"));
    return t && d->n_ff != d->n_embd && t->dims[0] == d->n_embd && t->dims[1] == d->n_ff;
}

static int want_layer(struct mmproj *m, uint32_t i, bool swapped, struct error *err)
{
    const struct mmproj_desc *d = &m->desc;
    for (uint32_t k = 0; k < VT_COUNT; k++) {
        uint32_t file_k = k;
        if (swapped && k >= VT_UP)
            file_k = k < VT_DOWN ? k + 2 : k - 2;
        char name[GGUF_MAX_NAME];
        snprintf(name, sizeof(name), "v.blk.%" PRIu32 ".%s", i, layer_tensors[file_k].name);
        int r = tensor_set_want(&m->tensors,
                                &(struct tensor_want){
                                    .name = name,
                                    .slot = &m->layers[i].t[k],
                                    .rows = layer_tensors[k].rows == DIM_FF ? d->n_ff : d->n_embd,
                                    .cols = layer_tensors[k].cols == DIM_FF ? d->n_ff : d->n_embd,
                                    .vector = layer_tensors[k].vector,
                                    .required = true,
                                },
                                err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int want_each(struct mmproj *m, const struct tensor_want *wants, size_t n, struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        int r = tensor_set_want(&m->tensors, &wants[i], err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int want_projection(struct mmproj *m, struct error *err)
{
    const struct mmproj_desc *d = &m->desc;
    const struct tensor_want gemma3[] = {
        {"mm.soft_emb_norm.weight", &m->project_norm, 1, d->n_embd, .vector = true,
         .required = true},
        {"mm.input_projection.weight", &m->project, d->n_text, d->n_embd, .transposed = true,
         .required = true},
    };
    const struct tensor_want idefics3[] = {
        {"mm.model.fc.weight", &m->project, d->n_text, d->n_embd * d->merge * d->merge,
         .required = true},
    };
    return d->projector == PROJECTOR_GEMMA3 ? want_each(m, gemma3, ARRAY_LEN(gemma3), err)
                                            : want_each(m, idefics3, ARRAY_LEN(idefics3), err);
}

static int want_all(struct mmproj *m, struct error *err)
{
    const struct mmproj_desc *d = &m->desc;
    const struct tensor_want wants[] = {
        {"v.patch_embd.weight", &m->patch, d->n_embd, 3 * d->patch * d->patch, .flat = true,
         .required = true},
        {"v.patch_embd.bias", &m->patch_bias, 1, d->n_embd, .vector = true, .required = true},
        {"v.position_embd.weight", &m->position, mmproj_grid(d) * mmproj_grid(d), d->n_embd,
         .required = true},
        {"v.post_ln.weight", &m->post_norm, 1, d->n_embd, .vector = true, .required = true},
        {"v.post_ln.bias", &m->post_norm_bias, 1, d->n_embd, .vector = true, .required = true},
    };
    int r = want_each(m, wants, ARRAY_LEN(wants), err);
    if (r == 0)
        r = want_projection(m, err);
    bool swapped = ffn_is_swapped(m->g, d);
    for (uint32_t i = 0; r == 0 && i < d->n_layers; i++)
        r = want_layer(m, i, swapped, err);
    if (r < 0)
        return r;
    char what[64];
    snprintf(what, sizeof(what), "a projector of %" PRIu32 " layers", d->n_layers);
    return tensor_set_complete(&m->tensors, what, err);
}

static int load(const char *path, struct backend *b, struct mmproj *m, struct error *err)
{
    m->backend = b;
    int r = gguf_open(path, 0, &m->g, err);
    if (r == 0)
        r = mmproj_describe(m->g, &m->desc, err);
    if (r == 0)
        r = tensor_set_init(&m->tensors, m->g, err);
    if (r < 0)
        return r;
    m->layers = xcalloc(m->desc.n_layers, sizeof(*m->layers));
    r = want_all(m, err);
    return r < 0 ? r : tensor_set_load(&m->tensors, b, err);
}

int mmproj_load(const char *path, struct backend *b, struct mmproj *ret, struct error *err)
{
    *ret = (struct mmproj){0};
    int r = load(path, b, ret, err);
    if (r < 0) {
        mmproj_release(ret);
        return error_wrap(err, "%s", path);
    }
    return 0;
}

void mmproj_release(struct mmproj *m)
{
    tensor_set_release(&m->tensors);
    free(m->layers);
    gguf_free(m->g);
    *m = (struct mmproj){0};
}
