/* SPDX-License-Identifier: Apache-2.0
 *
 * The border between a model and the hardware that runs it.
 *
 * A model is compiled once into a *plan*: a list of operations over numbered *slots* (activations)
 * and *weights*. A backend keeps the weights and the KV cache in its own memory and executes the
 * plan for a *batch*: some tokens of some sequences. The CPU backend is the first; a GPU backend is
 * another table of the same functions. No file format, no architecture name and no HTTP below here.
 *
 * Shapes: a slot is [n_rows][width] f32, row-major, one row a token; n_rows is the batch's n_tokens
 * before OP_SELECT and n_out behind it. A weight is [rows][cols] in its file type: one row makes one
 * output value.
 *
 * Numerics: weights are used as their exact values, activations stay f32, sums are f32. The result
 * for one token does not depend on what else is in the batch: every backend adds up each output in
 * an order fixed by its instruction set level alone, so that a greedy answer is the same alone and
 * among others, in one piece and in chunks.
 *
 * Threads: one thread at a time calls into a backend; it uses its own pool inside.
 */
#ifndef ENGINE_BACKEND_BACKEND_H
#define ENGINE_BACKEND_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "engine/kernels/types.h"

struct backend;
struct weight; /* a tensor in the backend's memory */
struct kv;     /* a KV cache in the backend's memory */

/* ---- weights ---- */

struct weight_desc {
    const char *name;       /* for messages */
    enum weight_type type;
    uint32_t rows, cols;    /* a vector (norm, bias) is one row */
    const void *data;       /* rows * row size bytes, as in the file; checked by the caller */
    /* What products with it are multiplied by: n_scales, one for as many rows each; copied. NULL =
     * nothing. */
    const float *scales;
    uint32_t n_scales;
};

/* Adapters change what some sequences see of a weight W: W + Σ_i scale_i * factor_i * B_i A_i, with
 * matrices of low rank. They are numbered; a sequence has a scale for each (batch_seq). */
enum { ADAPTERS_MAX = 16 };

/* ---- KV cache: pages of KV_PAGE_TOKENS tokens; a sequence has a table of page numbers ----
 *
 * A layer that is not attention carries a state of fixed size from token to token instead: the last
 * inputs of a convolution, a matrix. The cache holds them in *state slots*; a slot has the states
 * of all layers after some token of one sequence. An execution reads the slot state_in of a
 * sequence and writes state_out, so a slot that was written once never changes: what is computed
 * next from it may be canceled or branch, and a slot kept is a snapshot, without a copy. */

enum { KV_PAGE_TOKENS = 32 };

enum kv_type { KV_F16, KV_F32 };

struct kv_desc {
    uint32_t n_layers;
    uint32_t n_pages;
    enum kv_type type;
    const uint32_t *n_kv_heads; /* [n_layers] */
    const uint32_t *head_k;     /* [n_layers] width of a key head */
    const uint32_t *head_v;     /* [n_layers] width of a value head */
    uint32_t n_states;          /* state slots */
    const uint32_t *state;      /* [n_layers] floats of a layer's state, 0 = none; NULL = no layer
                                   has any */
};

/* ---- the plan ---- */

enum op_kind {
    OP_EMBED,    /* dst = w[id] * scale                                      (w: [vocab][width]) */
    OP_INPUT,    /* dst = batch->rows[t], where that is not NULL; other rows keep what they have */
    OP_RMS_NORM, /* dst = a / sqrt(mean(a²) + eps) * w, over groups of `head` values (0 = the row);
                    w has the width of a group or of the row, NULL = ones */
    OP_LAYER_NORM, /* dst = (a - mean) / sqrt(var + eps) * w + bias, over groups as above; bias has
                      the width of w, NULL = zeros */
    OP_MATMUL, /* dst[r] = Σ_c w[r][c] * a[c] + bias[r]                    (bias may be NULL), and
                  what the row's adapters add to that */
    OP_MATMUL_HEADS, /* a, dst and w fall into `head` equal parts: each part of dst is the product of
                        that part of w's rows with that part of a; w: [head * rows][cols] */
    OP_ROPE,   /* dst = a with its heads of `head` values rotated by the token's position; in place
                  when dst == a */
    OP_KV_STORE,  /* writes key slot a and value slot b of `layer` at the tokens' positions */
    OP_ATTENTION, /* dst = softmax(q·Kᵀ * scale) V over the sequence's cache of `layer`; a = q;
                     bias: NULL, or for each head a score that takes part in the softmax, but has
                     no value (a "sink") */
    OP_ADD,       /* dst = a + b */
    OP_ADD_ROW,   /* dst = a + bias, the same for every row */
    OP_ADD_POSITION, /* dst = a + w[position of the row]           (w: [positions][width]) */
    OP_MUL,          /* dst = a * b */
    OP_MUL_NUMBER,   /* dst = a * b, where b has one number a row */
    OP_SCALE,        /* dst = a * scale */
    OP_SCALE_POSITION, /* dst = a * (1 + scale * ln(1 + floor(position / length))) */
    OP_ACT,          /* dst = act(a) */
    OP_XIELU,        /* dst = xIELU(a), see xielu_params */
    OP_GLU,          /* dst = act(a) * b */
    OP_SELECT,       /* dst = the rows of a named by batch->out_rows; n_rows becomes n_out */
    OP_SOFTCAP,      /* dst = cap * tanh(a / cap)                                (cap in scale) */
    OP_SLICE,     /* columns of a to columns of dst; the others of dst are kept, see slice_params */
    OP_CONV1D,    /* causal convolution of each channel over time, see conv_params */
    OP_SSM_SCAN,  /* the selective scans of Mamba 1 and 2, see scan_params */
    OP_DELTA_NET, /* the gated delta rule, see delta_params */
    OP_EXPERTS,   /* a mixture of feed-forward parts, see expert_params */
    OP_MUL_ROW,   /* dst = a * w, the same for every row */
    OP_SPARSE,    /* dst = relu(a - (mean(a) + scale * deviation(a))), of rows */
    OP_MATCH_LENGTH, /* dst = a, each group as wide as b scaled to the length of b */
    OP_MIX_STREAMS,  /* see stream_params */
    OP_ADD_STREAMS,
};

enum act_kind { ACT_SILU, ACT_GELU_TANH, ACT_GELU_ERF, ACT_RELU, ACT_SIGMOID, ACT_RELU_SQR };

enum rope_kind {
    ROPE_ADJACENT, /* pairs (2i, 2i+1): the `llama` family's files */
    ROPE_HALVES,   /* pairs (i, i + dims/2): "NeoX" */
};

struct rope_params {
    enum rope_kind kind;
    uint32_t dims;          /* leading values of each head that are rotated; the rest is kept */
    const float *inv_freq;  /* [dims/2], in double computed: freq_base^(-2i/dims), divided by factors
                               and scaled as the model says; owned by the plan */
    float mscale;           /* multiplies sin and cos; 1 normally */
};

struct attention_params {
    uint32_t n_heads, n_kv_heads, head_k, head_v;
    float scale;
    float softcap;    /* 0 = none: cap * tanh(score / cap) */
    uint32_t window;  /* 0 = none; causal: keys older than `window` tokens are not seen; otherwise
                         those more than window / 2 away on either side */
    bool causal;      /* false: every key of the sequence is seen (embedding models) */
    const float *slopes; /* ALiBi: [n_heads], slope times the distance to the key is taken off the
                            score; NULL = none; owned by the plan */
};

/* Of each group of `group` values of a row of slot a, the `n` from `at` on; what is taken from
 * group i stands at dst_at + i * step of the row of dst, and again, `copies` times in all, behind
 * what the last group gave. 0: a step of n, one copy. */
struct slice_params {
    uint32_t group, at, n, dst_at, step, copies;
};

/* The recurrent operations have their part of the layer's state at `state_at` (in floats). Their
 * tokens are summed up one by one, so that chunks of any size give the same bits. */

/* dst[t][c] = act(Σ_j w[j][c] * x[t - width + 1 + j][c] + bias[c]), j < width: x are the `channels`
 * columns from `at` on of slot a, w is F32 [width][channels], bias may be NULL.
 * State: the last width - 1 rows of x, oldest first. */
enum { CONV_WIDTH_MAX = 64 };

struct conv_params {
    uint32_t width, channels, at;
    bool silu; /* act; else none */
    uint32_t state_at;
};

/* For each head h of `head` values, with group g = h / (n_heads / n_groups), dt = softplus(dt[h] +
 * dt_bias[h]):
 *
 *     S[p][n] = exp(dt * A) * S[p][n] + dt * x[p] * B[n]
 *     dst[p] = Σ_n S[p][n] * C[n] + D[h] * x[p]
 *
 * Slot a: x at 0, B at b_at, C at c_at (each [n_groups][n_state]); slot b: dt at dt_at.
 * Mamba 2: w = A [n_heads]; state [n_heads][n_state][head].
 * Mamba 1: head is 1, n_groups is 1, w = A [n_heads][n_state]; state [n_heads][n_state].
 * B and C come from slot bc. */
struct scan_params {
    uint32_t n_heads, head, n_groups, n_state;
    uint16_t bc; /* slot */
    uint32_t b_at, c_at, dt_at;
    const struct weight *d; /* [n_heads] */
    bool per_state;         /* Mamba 1 */
    uint32_t state_at;
};

/* For each value head h, with key head k(h) = h / (n_v_heads / n_k_heads), or h % n_k_heads where
 * `tiled`; q, k scaled to length 1 (eps added to the squared length):
 *
 *     decay = exp(w[h] * softplus(alpha[h] + bias[h])),  beta = sigmoid(beta[h])
 *     S = decay * S;  S = S + k (beta * (v - kᵀ S))ᵀ;  dst = qᵀ S / sqrt(head_k)
 *
 * Slot a: [q of all key heads][k][v of all value heads]; slot b: alpha; slot beta.
 * State [n_v_heads][head_k][head_v]. */
struct delta_params {
    uint32_t n_k_heads, n_v_heads, head_k, head_v;
    uint16_t beta; /* slot */
    bool tiled;
    uint32_t state_at;
};

/* How scores become shares. */
enum router_kind {
    ROUTER_CHOSEN,  /* softmax over the scores of the chosen */
    ROUTER_SOFTMAX, /* softmax over all scores */
    ROUTER_SIGMOID, /* each by itself */
};

enum { EXPERT_GROUPS_MAX = 64 };

/* Slot b: for each row the router's score of each expert; it is overwritten. The scores become
 * shares p; the n_used experts whose share (ROUTER_CHOSEN: score) and `favor` together are largest
 * are chosen, of equal ones the first. With `norm` p of the chosen is divided by their sum; times
 * `scale`:
 *
 *     dst = Σ_e p[e] * (down[e] h[e] + down_bias[e])              from the best to the worst
 *     h[e] = act(gate[e] a + gate_bias[e]) * (up[e] a + up_bias[e])
 *
 * or, where `clamped`, with g and u the two factors:  g = min(g, 7);  u = min(max(u, -7), 7);
 * h[e] = g * sigmoid(1.702 g) * (u + 1).
 *
 * gate, up: [n_experts][n_ff] rows as wide as slot a; down: [n_experts][width of a] rows of n_ff.
 * The biases are F32, a row for each expert, all three or none; favor is a vector or NULL. */
struct expert_params {
    uint32_t n_experts, n_used, n_ff;
    enum router_kind router;
    bool norm, clamped;
    /* More than 1: experts fall into groups of neighbours, and only those of the n_groups_used
     * groups whose two best are together the largest are chosen from; of equal groups the first.
     * Not with ROUTER_CHOSEN. */
    uint32_t n_groups, n_groups_used;
    const struct weight *favor;
    const struct weight *gate, *up, *down;
    const struct weight *gate_bias, *up_bias, *down_bias;
};

/* Rows that are n streams, one behind the other.
 *
 *     MIX   dst[r] = a[r] + Σ_k b[r * n + k] * a[k]     b: [n][n] numbers of the row; not in place
 *     ADD   dst[r] = a[r] + c[r] * b, r >= first        b: as wide as a stream; c[r] = 1, or 1 + the
 *                                                       numbers of slot coefs, as wide as n */
struct stream_params {
    uint32_t n, first;
    bool has_coefs;
    uint16_t coefs; /* slot */
};

/* x > 0: (p x + beta) x; else n (exp(min(x, eps)) - 1 - x) + beta x. */
struct xielu_params {
    float p, n, beta, eps;
};

struct op {
    enum op_kind kind;
    uint16_t dst, a, b;        /* slot numbers */
    uint16_t layer;            /* KV_STORE, ATTENTION and what has a state */
    const struct weight *w;
    const struct weight *bias; /* a single row, F32, or NULL */
    uint32_t head;             /* RMS_NORM and LAYER_NORM groups, ROPE heads, parts */
    uint32_t length;           /* SCALE_POSITION */
    float eps;
    float scale;
    enum act_kind act;
    union {
        struct rope_params rope;
        struct attention_params attn;
        struct slice_params slice;
        struct conv_params conv;
        struct scan_params scan;
        struct delta_params delta;
        struct expert_params experts;
        struct xielu_params xielu;
        struct stream_params streams;
    };
};

struct plan {
    const struct op *ops;
    size_t n_ops;
    const uint32_t *slot_width; /* [n_slots] */
    uint16_t n_slots;
    uint16_t out_slot;          /* [n_out][slot_width]: the logits, or embeddings */
};

/* ---- the batch ---- */

/* One sequence's part: rows first .. first+n-1 of the batch are its tokens at positions
 * n_past .. n_past+n-1. Its cache is pages[0 .. ceil((n_past+n)/KV_PAGE_TOKENS)).
 *
 * Where layers have states: state_in is the slot after n_past tokens, -1 = the sequence begins;
 * state_out, another slot that no other part writes, the one after n_past+n. A sequence may have
 * several parts behind each other in one batch, each starting from the state the one before left:
 * so a state in the midst of a prompt can be kept. */
struct batch_seq {
    int32_t first, n;
    int32_t n_past;
    const int32_t *pages;
    const int32_t *sees; /* NULL, or [n]: the last position that each token's causal attention sees, in
                            place of its own; never less than that, ascending, within the part */
    int32_t state_in, state_out;
    const float *scales; /* [ADAPTERS_MAX] of the adapters; NULL = none has a part in it */
};

struct batch {
    int32_t n_tokens;
    const int32_t *ids;        /* [n_tokens], checked against the vocabulary by the caller */
    const float *const *rows;  /* NULL, or [n_tokens] of NULL or a vector as wide as OP_INPUT's slot:
                                  inputs that are no tokens, such as parts of a picture */
    int32_t n_seqs;
    const struct batch_seq *seqs;
    int32_t n_out;
    const int32_t *out_rows;   /* [n_out] rows whose output is wanted */
};

/* ---- the table of functions; every entry is required ---- */

struct backend_ops {
    const char *name; /* "cpu" */

    /* Copies or repacks the tensor; desc->data is not needed afterwards unless *ret_keeps_data. */
    int (*weight_load)(struct backend *b, const struct weight_desc *desc, struct weight **ret,
                       bool *ret_keeps_data, struct error *err);
    void (*weight_free)(struct backend *b, struct weight *w);

    /* Adapter `index` has the part factor * B A in products with w, OP_MATMUL's alone. a: [rank][cols
     * of w], bm: [rows of w][rank]; both are borrowed and must live as long as w is used. */
    int (*weight_adapt)(struct backend *b, struct weight *w, uint32_t index, const struct weight *a,
                        const struct weight *bm, float factor, struct error *err);

    int (*kv_create)(struct backend *b, const struct kv_desc *desc, struct kv **ret,
                     struct error *err);
    void (*kv_free)(struct backend *b, struct kv *kv);

    /* Copies page `from` over page `to`, all layers: for a sequence that branches inside a page. */
    void (*kv_copy_page)(struct backend *b, struct kv *kv, int32_t from, int32_t to);

    /* Runs the plan; writes [n_out][width of out_slot] floats to out. `cancel` (may be NULL) is
     * looked at between operations: when it turns true the call ends with ERR_CANCELED and the
     * cache rows and the slots state_out of this batch are undefined. */
    int (*execute)(struct backend *b, const struct plan *plan, struct kv *kv,
                   const struct batch *batch, float *out, const volatile bool *cancel,
                   struct error *err);

    /* The same rounding for weights on the host: one row as f32. For tests and for info. */
    void (*destroy)(struct backend *b);
};

struct backend {
    const struct backend_ops *ops;
};

/* Bytes a KV cache page takes over all layers, both K and V. ERR_TOO_LARGE on overflow. */
int kv_page_bytes(const struct kv_desc *desc, uint64_t *ret, struct error *err);
/* The same for a state slot. */
uint64_t kv_state_bytes(const struct kv_desc *desc);

/* ---- the CPU backend ---- */

struct backend_cpu_options {
    uint32_t n_threads; /* 0 = the physical cores this process may use */
};
int backend_cpu_create(const struct backend_cpu_options *o, struct backend **ret, struct error *err);

/* "avx512", "avx2", "scalar", …: what the kernel table chose (MR_CPU lowers it). */
const char *backend_cpu_level(const struct backend *b);
uint32_t backend_cpu_threads(const struct backend *b);

#endif
