/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the CPU backend: its state and the parts of its executor. */
#ifndef ENGINE_BACKEND_CPU_CPU_H
#define ENGINE_BACKEND_CPU_CPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/backend/backend.h"
#include "engine/backend/cpu/pool.h"
#include "engine/kernels/kernels.h"

/* What an adapter adds to a product: factor * B (A x). */
struct low_rank {
    const struct weight *a, *b; /* NULL: the adapter leaves this weight alone */
    float factor;
};

struct weight {
    enum weight_type type;
    uint32_t rows, cols;
    size_t row_bytes;
    const unsigned char *data; /* the caller's, or `owned` */
    float *owned;
    float *scales; /* of products, one for scale_rows rows each; NULL = none */
    uint32_t scale_rows;
    struct low_rank *low_rank; /* [ADAPTERS_MAX], or NULL */
};

/* Pages lie one after the other; in a page, the layers; in a layer, the keys of each head as
 * [head_k][KV_PAGE_TOKENS] (transposed: see ATTN_TILE), then the values of each head as
 * [KV_PAGE_TOKENS][head_v]. */
struct kv {
    enum kv_type type;
    size_t item_bytes;
    uint32_t n_layers, n_pages;
    uint32_t *n_kv_heads, *head_k, *head_v; /* [n_layers] */
    size_t *layer_at;                       /* [n_layers] offset in a page */
    size_t page_bytes;
    size_t map_bytes;
    unsigned char *map;
    /* State slots lie one after the other; in a slot, the layers. */
    uint32_t n_states;
    uint32_t *state;  /* [n_layers] floats */
    size_t *state_at; /* [n_layers] offset in a slot, in floats */
    size_t state_floats;
    size_t states_bytes;
    float *states;
};

/* A float array that grows and never shrinks; its content is not kept. */
struct scratch {
    float *data;
    size_t cap;
};

/* cos and sin of a batch's positions for one set of rope parameters. */
struct rope_table {
    const float *inv_freq; /* NULL: this table is free */
    uint32_t dims;
    float mscale;
    struct scratch cos_sin; /* [n_tokens][2][dims/2] */
};

/* Some tokens of one sequence, for attention. */
struct query_chunk {
    const struct batch_seq *seq;
    uint32_t first, n; /* within the sequence's part */
};

enum {
    ROPE_TABLES = 4,
    QUERY_CHUNK = 16,
    MATMUL_PAD = 16, /* floats between vectors: one cache line, see matmul.c */
};

struct backend_cpu {
    struct backend base;
    struct kernels k;
    struct pool *pool;
    uint32_t n_threads;

    /* grown by need, reused by every batch */
    struct scratch *slots;
    size_t n_slots;
    struct scratch *thread_scratch; /* [n_threads] */
    struct scratch vectors;         /* matmul's copy of its input */
    struct scratch middle;          /* low_rank.c: products with A */
    struct scratch experts;         /* experts.c: the chosen rows on their way */
    struct expert_routes *routes;
    int32_t *positions;         /* [cap_tokens] */
    struct query_chunk *chunks; /* [cap_tokens] */
    size_t cap_tokens;
    uint32_t *op_rows; /* [cap_ops] rows that each operation reads */
    size_t cap_ops;
    struct rope_table rope[ROPE_TABLES];
};

/* One call of execute(). */
struct run {
    struct backend_cpu *b;
    const struct plan *plan;
    struct kv *kv;
    const struct batch *batch;
    const volatile bool *cancel;
    float **slot; /* [n_slots] rows of the slot's width */
    size_t n_chunks;
    unsigned rope_next;       /* table to overwrite next */
    const float **row_scales; /* [n_tokens] of the adapters; NULL = no sequence has any */
    bool *selected;           /* then: [n_slots] it holds the rows that OP_SELECT chose */
};

static inline bool run_canceled(const struct run *run)
{
    return run->cancel && __atomic_load_n(run->cancel, __ATOMIC_RELAXED);
}

static inline struct backend_cpu *backend_cpu_of(struct backend *b)
{
    return (struct backend_cpu *)(void *)b;
}

/* Room for n floats; ERR_NOMEM names `what`. */
int scratch_reserve(struct scratch *s, uint64_t n, const char *what, struct error *err);
void scratch_release(struct scratch *s);

/* weight.c */
int cpu_weight_load(struct backend *b, const struct weight_desc *desc, struct weight **ret,
                    bool *ret_keeps_data, struct error *err);
void cpu_weight_free(struct backend *b, struct weight *w);
/* The values of a weight of one row, which is always kept as f32; NULL for NULL. */
const float *weight_vector(const struct weight *w);

/* kv_cache.c */
int cpu_kv_create(struct backend *b, const struct kv_desc *desc, struct kv **ret,
                  struct error *err);
void cpu_kv_free(struct backend *b, struct kv *kv);
void cpu_kv_copy_page(struct backend *b, struct kv *kv, int32_t from, int32_t to);
unsigned char *kv_keys(const struct kv *kv, int32_t page, uint32_t layer, uint32_t head);
unsigned char *kv_values(const struct kv *kv, int32_t page, uint32_t layer, uint32_t head);
float *kv_state(const struct kv *kv, int32_t state, uint32_t layer);

/* check.c: whether plan and batch fit together, before anything is touched. Fills op_rows and, for
 * each slot, the most rows it ever holds (slot_rows [n_slots]). */
int check_batch(const struct plan *plan, const struct kv *kv, const struct batch *batch,
                struct error *err);
int check_plan(const struct plan *plan, const struct kv *kv, const struct batch *batch,
               uint32_t *op_rows, uint32_t *slot_rows, struct error *err);

/* execute.c */
int cpu_execute(struct backend *b, const struct plan *plan, struct kv *kv,
                const struct batch *batch, float *out, const volatile bool *cancel,
                struct error *err);

/* matmul.c */
void run_matmul(struct run *run, const struct op *op, uint32_t n_rows);
void run_matmul_heads(struct run *run, const struct op *op, uint32_t n_rows);
/* Floats it needs for each thread, and once. */
uint64_t matmul_scratch(const struct backend_cpu *b, const struct weight *w, uint32_t n_rows);
uint64_t matmul_copy(const struct backend_cpu *b, const struct weight *w, uint32_t n_rows);

/* y[t][r] = Σ_c w[begin + r][c] * x[t][c], r < end - begin, on this thread; `panel`: room for
 * matmul_scratch() floats. */
void matmul_rows(const struct backend_cpu *b, const struct weight *w, size_t begin, size_t end,
                 const float *x, size_t x_stride, uint32_t n_x, float *y, size_t y_stride,
                 float *panel);

/* low_rank.c */
int cpu_weight_adapt(struct backend *backend, struct weight *w, uint32_t index,
                     const struct weight *a, const struct weight *b, float factor,
                     struct error *err);
/* Floats it needs for each thread, and once. */
uint64_t low_rank_scratch(const struct backend_cpu *b, const struct weight *w);
uint64_t low_rank_middle(const struct weight *w);
/* Around a batch; then, behind each operation, and behind each matrix multiplication. */
int low_rank_begin(struct run *run, struct error *err);
void low_rank_end(struct run *run);
void low_rank_follow(struct run *run, const struct op *op);
void run_low_rank(struct run *run, const struct op *op, uint32_t n_rows);

/* experts.c */
int experts_reserve(struct backend_cpu *b, const struct expert_params *p, uint32_t n_rows,
                    struct error *err);
void experts_release(struct backend_cpu *b);
/* Floats it needs for each thread. */
uint64_t experts_scratch(const struct backend_cpu *b, const struct expert_params *p,
                         uint32_t n_rows);
void run_experts(struct run *run, const struct op *op, uint32_t n_rows);

/* attention.c */
void run_kv_store(struct run *run, const struct op *op);
void run_attention(struct run *run, const struct op *op);
uint64_t attention_scratch(const struct attention_params *p);

/* recurrent.c */
void run_conv1d(struct run *run, const struct op *op);
void run_ssm_scan(struct run *run, const struct op *op);
void run_delta_net(struct run *run, const struct op *op);
uint64_t delta_net_scratch(const struct delta_params *p);

/* streams.c */
void run_streams(struct run *run, const struct op *op, uint32_t n_rows);

/* execute.c */
act_fn act_kernel(const struct kernels *k, enum act_kind kind);

/* rope.c */
int run_rope(struct run *run, const struct op *op, struct error *err);

#endif
