/* SPDX-License-Identifier: Apache-2.0
 *
 * The functions of engine/model/model.h that the batcher calls. */
#include "fake_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "engine/backend/backend.h"

static uint32_t hash_add(uint32_t h, int32_t id)
{
    return (h ^ (uint32_t)id) * 16777619u + 1;
}

static int32_t next_of(uint32_t h)
{
    return FAKE_BYTE + 'a' + (int32_t)((h >> 7) % 26);
}

int32_t fake_next(const int32_t *ids, uint32_t n)
{
    uint32_t h = 2166136261u;
    for (uint32_t i = 0; i < n; i++)
        h = hash_add(h, ids[i]);
    return next_of(h);
}

/* A hash of `n` ids. */
struct fake_state {
    uint32_t hash;
    int32_t n;
};

uint64_t model_state_bytes(const struct model *m)
{
    return m->state_bytes;
}

int model_set_context(struct model *m, uint32_t n_ctx, struct error *err)
{
    (void)m;
    (void)n_ctx;
    (void)err;
    return 0;
}

int model_kv_create(struct model *m, uint32_t n_pages, uint32_t n_states, enum kv_type type,
                    struct kv **ret, struct error *err)
{
    (void)type;
    (void)err;
    m->rows = xcalloc((size_t)n_pages * KV_PAGE_TOKENS, sizeof(*m->rows));
    m->n_pages = n_pages;
    m->states = xcalloc(n_states, sizeof(*m->states));
    m->n_states = n_states;
    *ret = (struct kv *)(void *)m;
    return 0;
}

void model_kv_free(struct model *m, struct kv *kv)
{
    (void)kv;
    free(m->rows);
    free(m->states);
    m->rows = NULL;
    m->states = NULL;
}

struct backend *model_backend(const struct model *m)
{
    return (struct backend *)(uintptr_t)&m->backend;
}

static void copy_page(struct backend *b, struct kv *kv, int32_t from, int32_t to)
{
    (void)kv;
    struct model *m = CONTAINER_OF(b, struct model, backend);
    memcpy(m->rows + to * KV_PAGE_TOKENS, m->rows + from * KV_PAGE_TOKENS,
           KV_PAGE_TOKENS * sizeof(*m->rows));
}

static int32_t *row(struct model *m, const struct batch_seq *s, int32_t position)
{
    int32_t page = s->pages[position / KV_PAGE_TOKENS];
    if (page < 0 || (uint32_t)page >= m->n_pages)
        abort(); /* the test's run ends here, loudly */
    return &m->rows[page * KV_PAGE_TOKENS + position % KV_PAGE_TOKENS];
}

static struct fake_state *state_at(struct model *m, int32_t state)
{
    if (state < 0 || (uint32_t)state >= m->n_states)
        abort();
    return &m->states[state];
}

static struct fake_state state_before(struct model *m, const struct batch_seq *s)
{
    struct fake_state start = {.hash = 2166136261u};
    if (s->state_in >= 0)
        start = *state_at(m, s->state_in);
    if (start.n != s->n_past || s->state_in == s->state_out)
        abort(); /* not the state behind these tokens */
    return start;
}

static void write_state(struct model *m, const struct batch_seq *s)
{
    struct fake_state now = state_before(m, s);
    for (int32_t k = 0; k < s->n; k++, now.n++)
        now.hash = hash_add(now.hash, *row(m, s, s->n_past + k));
    *state_at(m, s->state_out) = now;
}

static int32_t answer(struct model *m, const struct batch_seq *s, int32_t position)
{
    if (m->script) {
        size_t at = (size_t)(position + 1) - m->script_at;
        unsigned char c = (unsigned char)m->script[at % strlen(m->script)];
        return c == 1 ? FAKE_EOS : FAKE_BYTE + c;
    }
    uint32_t h = 2166136261u;
    for (int32_t p = 0; p <= position; p++)
        h = hash_add(h, *row(m, s, p));
    if (m->n_states == 0)
        return next_of(h);
    const struct fake_state *state = state_at(m, s->state_out);
    if (state->n != position + 1) /* outputs are wanted of a part's last token only */
        abort();
    return state->hash == h ? next_of(h) : FAKE_BYTE + '!';
}

static void raise_to(atomic_uint *max, uint32_t v)
{
    if (atomic_load(max) < v)
        atomic_store(max, v);
}

static bool wait_step(struct model *m, const volatile bool *cancel)
{
    uint32_t takes_us = atomic_load(&m->step_us);
    atomic_store(&m->now_us, takes_us);
    for (uint32_t us = 0; us < takes_us; us += 100) {
        if (cancel && __atomic_load_n(cancel, __ATOMIC_RELAXED))
            return false;
        usleep(100);
    }
    return true;
}

int model_eval(struct model *m, struct kv *kv, const struct batch *batch, float *out,
               const volatile bool *cancel, struct error *err)
{
    (void)kv;
    atomic_fetch_add(&m->n_steps, 1);
    uint32_t n_seqs = 0; /* a sequence's parts share its table */
    for (int32_t i = 0; i < batch->n_seqs; i++)
        n_seqs += i == 0 || batch->seqs[i].pages != batch->seqs[i - 1].pages;
    raise_to(&m->max_seqs, n_seqs);
    raise_to(&m->max_tokens, (uint32_t)batch->n_tokens);
    if (atomic_load(&m->fail))
        return error_set(err, ERR_NOMEM, "the fake is out of memory");
    if (!wait_step(m, cancel)) {
        atomic_fetch_add(&m->n_canceled, 1);
        for (int32_t i = 0; m->n_states > 0 && i < batch->n_seqs; i++)
            *state_at(m, batch->seqs[i].state_out) = (struct fake_state){.n = -1};
        return error_set(err, ERR_CANCELED, "canceled");
    }
    atomic_fetch_add(&m->n_tokens, (uint32_t)batch->n_tokens);
    for (int32_t i = 0; i < batch->n_seqs; i++) {
        const struct batch_seq *s = &batch->seqs[i];
        for (int32_t k = 0; k < s->n; k++) {
            const float *media = batch->rows ? batch->rows[s->first + k] : NULL;
            *row(m, s, s->n_past + k) = media ? (int32_t)*media : batch->ids[s->first + k];
            if (s->sees && s->sees[k] >= s->n_past + s->n)
                abort();
        }
    }
    for (int32_t i = 0; m->n_states > 0 && i < batch->n_seqs; i++)
        write_state(m, &batch->seqs[i]);
    for (int32_t o = 0; o < batch->n_out; o++) {
        const struct batch_seq *s = batch->seqs;
        while (batch->out_rows[o] >= s->first + s->n)
            s++;
        int32_t position = s->n_past + batch->out_rows[o] - s->first;
        float *logits = out + (size_t)o * FAKE_VOCAB;
        for (int32_t id = 0; id < FAKE_VOCAB; id++)
            logits[id] = (float)((id * 31) % 17) / 10;
        logits[answer(m, s, position)] = 9;
        if (m->nan_from > 0 && (uint32_t)position >= m->nan_from)
            logits[5] = NAN;
    }
    return 0;
}

void fake_open(struct model *m, struct lm *lm)
{
    static const struct backend_ops ops = {.name = "fake", .kv_copy_page = copy_page};
    *m = (struct model){.backend = {.ops = &ops}};

    struct str tokens[FAKE_VOCAB] = {STR("<unk>"), STR("<s>"), STR("</s>")};
    float scores[FAKE_VOCAB] = {0};
    int32_t types[FAKE_VOCAB] = {TOKEN_UNKNOWN, TOKEN_CONTROL, TOKEN_CONTROL};
    static char names[256][8];
    for (int i = 0; i < 256; i++) {
        snprintf(names[i], sizeof(names[i]), "<0x%02X>", (unsigned)i);
        tokens[FAKE_BYTE + i] = str_from(names[i]);
        types[FAKE_BYTE + i] = TOKEN_BYTE;
    }
    struct vocab_source src = {
        .model = STR("llama"),
        .n_tokens = FAKE_VOCAB,
        .tokens = tokens,
        .scores = scores,
        .types = types,
        .bos = 1,
        .eos = FAKE_EOS,
        .eot = -1,
        .eom = -1,
        .unk = 0,
        .sep = -1,
        .pad = -1,
        .cls = -1,
        .mask = -1,
        .fim_pre = -1,
        .fim_suf = -1,
        .fim_mid = -1,
        .add_bos = 1,
        .add_eos = 0,
        .add_space_prefix = 0,
        .remove_extra_whitespaces = -1,
    };
    struct error err = ERROR_INIT;
    *lm = (struct lm){
        .model = m, .n_vocab = FAKE_VOCAB, .n_embd = 1, .n_ctx_train = 1024, .n_eog = 1};
    if (tokenizer_create(&src, &lm->tokenizer, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    lm->eog = xmalloc(sizeof(*lm->eog));
    lm->eog[0] = FAKE_EOS;
}

void fake_close(struct lm *lm)
{
    tokenizer_free(lm->tokenizer);
    free(lm->eog);
}
