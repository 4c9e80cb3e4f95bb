/* SPDX-License-Identifier: Apache-2.0
 *
 * Puts file, descriptor, weights, plan and backend together. */
#include "engine/model/model.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "engine/model/adapter.h"
#include "engine/model/encoder.h"
#include "engine/model/plan.h"
#include "engine/model/weights.h"

struct model {
    struct gguf *gguf;
    struct descriptor desc;
    struct backend *backend;
    struct weights weights;
    struct encoder_weights encoder; /* in place of `weights` if it is one */
    struct model_plan logits;       /* no operations for an encoder */
    struct model_plan hidden;
    struct model_plan rank, dense; /* no operations where there is no such head */
    uint32_t rank_width, dense_width;
    struct adapter *adapters[ADAPTERS_MAX];
    uint32_t n_adapters;
};

DEFINE_CLEANUP(model, struct model, model_free);

static void build_plans(struct model *m, uint32_t n_ctx)
{
    model_plan_release(&m->logits);
    model_plan_release(&m->hidden);
    model_plan_build(&m->logits, &m->desc, &m->weights, n_ctx, PLAN_LOGITS);
    model_plan_build(&m->hidden, &m->desc, &m->weights, n_ctx, PLAN_HIDDEN);
}

static int load(struct model *m, const struct model_options *o, struct error *err)
{
    int r = descriptor_read(m->gguf, &m->desc, err);
    if (r < 0)
        return r;
    struct backend_cpu_options cpu = {.n_threads = o ? o->n_threads : 0};
    r = backend_cpu_create(&cpu, &m->backend, err);
    if (r < 0)
        return r;
    const struct head_weights *head = &m->weights.head;
    if (m->desc.encoder) {
        r = encoder_weights_load(&m->encoder, m->gguf, &m->desc, m->backend, err);
        if (r < 0)
            return r;
        head = &m->encoder.head;
        encoder_plan_build(&m->hidden, &m->desc, &m->encoder);
    } else {
        r = weights_load(&m->weights, m->gguf, &m->desc, m->backend, err);
        if (r < 0)
            return r;
        build_plans(m, m->desc.n_ctx_train);
    }
    if (head_can_rank(head))
        head_plan_build(&m->rank, &m->desc, head, true, &m->rank_width);
    if (head_has_dense(head))
        head_plan_build(&m->dense, &m->desc, head, false, &m->dense_width);
    return 0;
}

int model_load(const char *path, const struct model_options *o, struct model **ret,
               struct error *err)
{
    CLEANUP(cleanup_model) struct model *m = xcalloc(1, sizeof(*m));
    int r = gguf_open(path, 0, &m->gguf, err);
    if (r < 0)
        return r;
    r = load(m, o, err);
    if (r < 0)
        return error_wrap(err, "'%s'", path);
    *ret = TAKE(m);
    return 0;
}

void model_free(struct model *m)
{
    if (!m)
        return;
    model_plan_release(&m->logits);
    model_plan_release(&m->hidden);
    model_plan_release(&m->rank);
    model_plan_release(&m->dense);
    for (uint32_t i = 0; i < m->n_adapters; i++)
        adapter_free(m->adapters[i]);
    encoder_weights_release(&m->encoder);
    weights_release(&m->weights);
    if (m->backend)
        m->backend->ops->destroy(m->backend);
    descriptor_release(&m->desc);
    gguf_free(m->gguf);
    free(m);
}

int model_add_adapter(struct model *m, const char *path, struct error *err)
{
    const struct adapter_target target = {&m->desc, &m->weights.tensors, &m->logits.plan,
                                          m->backend};
    if (!model_generates(m))
        return error_set(err, ERR_UNSUPPORTED, "a model of architecture '%s' takes no adapters",
                         m->desc.arch);
    if (m->n_adapters == ADAPTERS_MAX)
        return error_set(err, ERR_TOO_LARGE, "at most %d adapters are possible", ADAPTERS_MAX);
    int r = adapter_load(path, &target, m->n_adapters, &m->adapters[m->n_adapters], err);
    if (r == 0)
        m->n_adapters++;
    return r;
}

uint32_t model_n_adapters(const struct model *m)
{
    return m->n_adapters;
}

int model_set_context(struct model *m, uint32_t n_ctx, struct error *err)
{
    if (m->desc.learned_positions && n_ctx > m->desc.n_ctx_train)
        return error_set(err, ERR_INVALID,
                         "a context of %" PRIu32 " tokens is not possible: a %s model has learned "
                         "the positions of %" PRIu32 " tokens",
                         n_ctx, m->desc.arch, m->desc.n_ctx_train);
    if (!m->desc.encoder)
        build_plans(m, n_ctx);
    return 0;
}

const struct descriptor *model_descriptor(const struct model *m)
{
    return &m->desc;
}

const struct gguf *model_gguf(const struct model *m)
{
    return m->gguf;
}

struct backend *model_backend(const struct model *m)
{
    return m->backend;
}

uint64_t model_weight_bytes(const struct model *m)
{
    return m->weights.tensors.bytes + m->encoder.tensors.bytes;
}

/* ---- the KV cache ---- */

/* The per-layer arrays of a kv_desc. */
struct kv_shape {
    uint32_t *n_kv_heads, *head_k, *head_v, *state;
};

static void kv_shape_release(struct kv_shape *s)
{
    free(s->n_kv_heads);
    free(s->head_k);
    free(s->head_v);
    free(s->state);
}

static struct kv_desc kv_shape_init(struct kv_shape *s, const struct descriptor *d,
                                    uint32_t n_pages, uint32_t n_states, enum kv_type type)
{
    s->n_kv_heads = xcalloc(d->n_layers, sizeof(uint32_t));
    s->head_k = xcalloc(d->n_layers, sizeof(uint32_t));
    s->head_v = xcalloc(d->n_layers, sizeof(uint32_t));
    s->state = xcalloc(d->n_layers, sizeof(uint32_t));
    for (uint32_t i = 0; i < d->n_layers; i++) {
        s->n_kv_heads[i] = descriptor_kept_heads(d, i);
        s->head_k[i] = d->layers[i].head_k;
        s->head_v[i] = d->layers[i].head_v;
        s->state[i] = (uint32_t)descriptor_layer_state(d, i);
    }
    return (struct kv_desc){
        .n_layers = d->encoder ? 1 : d->n_layers,
        .n_pages = n_pages,
        .type = type,
        .n_kv_heads = s->n_kv_heads,
        .head_k = s->head_k,
        .head_v = s->head_v,
        .n_states = n_states,
        .state = s->state,
    };
}

int model_kv_create(struct model *m, uint32_t n_pages, uint32_t n_states, enum kv_type type,
                    struct kv **ret, struct error *err)
{
    CLEANUP(kv_shape_release) struct kv_shape s = {0};
    struct kv_desc desc = kv_shape_init(&s, &m->desc, n_pages, n_states, type);
    return m->backend->ops->kv_create(m->backend, &desc, ret, err);
}

void model_kv_free(struct model *m, struct kv *kv)
{
    if (kv)
        m->backend->ops->kv_free(m->backend, kv);
}

uint32_t descriptor_kept_heads(const struct descriptor *d, uint32_t layer)
{
    return d->layers[layer].kv_layer == layer ? d->layers[layer].n_kv_heads : 0;
}

uint64_t descriptor_kv_token_bytes(const struct descriptor *d, enum kv_type type)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < (d->encoder ? 1 : d->n_layers); i++) {
        const struct layer_desc *l = &d->layers[i];
        sum += (uint64_t)descriptor_kept_heads(d, i) * (l->head_k + l->head_v);
    }
    return sum * (type == KV_F16 ? 2 : 4);
}

uint64_t model_kv_token_bytes(const struct model *m, enum kv_type type)
{
    return descriptor_kv_token_bytes(&m->desc, type);
}

uint64_t model_state_bytes(const struct model *m)
{
    return descriptor_state_bytes(&m->desc);
}

/* ---- evaluation ---- */

static int check_ids(const struct model *m, const struct batch *batch, struct error *err)
{
    for (int32_t i = 0; i < batch->n_tokens; i++) {
        if (batch->rows && batch->rows[i])
            continue;
        if (batch->ids[i] < 0 || (uint32_t)batch->ids[i] >= m->desc.n_vocab)
            return error_set(err, ERR_INVALID,
                             "token id %" PRId32
                             " is out of range: the model knows ids 0 to %" PRIu32,
                             batch->ids[i], m->desc.n_vocab - 1);
    }
    return 0;
}

static int execute(struct model *m, const struct model_plan *p, struct kv *kv,
                   const struct batch *batch, float *out, const volatile bool *cancel,
                   struct error *err)
{
    int r = check_ids(m, batch, err);
    return r < 0 ? r : m->backend->ops->execute(m->backend, &p->plan, kv, batch, out, cancel, err);
}

bool model_generates(const struct model *m)
{
    return m->logits.ops != NULL;
}

int model_eval(struct model *m, struct kv *kv, const struct batch *batch, float *out,
               const volatile bool *cancel, struct error *err)
{
    if (!model_generates(m))
        return error_set(err, ERR_UNSUPPORTED,
                         "a model of architecture '%s' makes embeddings; it generates no text",
                         m->desc.arch);
    return execute(m, &m->logits, kv, batch, out, cancel, err);
}

int model_hidden(struct model *m, struct kv *kv, const struct batch *batch, float *out,
                 const volatile bool *cancel, struct error *err)
{
    return execute(m, &m->hidden, kv, batch, out, cancel, err);
}

uint32_t model_head_width(const struct model *m, bool rank)
{
    return rank ? m->rank_width : m->dense_width;
}

int model_head(struct model *m, bool rank, const float *rows, uint32_t n, float *out,
               struct error *err)
{
    if (model_head_width(m, rank) == 0)
        return error_set(err, ERR_UNSUPPORTED, "this model has no head for %s",
                         rank ? "ranking" : "embeddings");
    CLEANUP_FREE const float **at = xcalloc(n, sizeof(*at));
    CLEANUP_FREE int32_t *numbers = xcalloc(n, sizeof(*numbers));
    for (uint32_t i = 0; i < n; i++) {
        at[i] = rows + (size_t)i * m->desc.n_embd;
        numbers[i] = (int32_t)i;
    }
    const struct batch_seq seq = {.n = (int32_t)n};
    const struct batch batch = {.n_tokens = (int32_t)n,
                                .rows = at,
                                .n_seqs = 1,
                                .seqs = &seq,
                                .n_out = (int32_t)n,
                                .out_rows = numbers};
    const struct model_plan *p = rank ? &m->rank : &m->dense;
    return m->backend->ops->execute(m->backend, &p->plan, NULL, &batch, out, NULL, err);
}
