/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a language model. */
#include "engine/run/lm.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/memory.h"
#include "engine/run/cache.h"
#include "engine/run/vocab_load.h"
#include "gguf/gguf.h"

enum {
    DEFAULT_CTX_MIN = 512, /* a default context is never smaller, unless the model's is */
    DEFAULT_CTX_STEP = 256,
};

static int find_eog(struct lm *lm, struct error *err)
{
    size_t n = 0;
    for (uint32_t id = 0; id < lm->n_vocab; id++)
        n += tokenizer_is_eog(lm->tokenizer, (int32_t)id);
    lm->eog = alloc_array(n + 1, sizeof(*lm->eog));
    if (!lm->eog)
        return error_set(err, ERR_NOMEM, "out of memory for %zu tokens", n);
    for (uint32_t id = 0; id < lm->n_vocab; id++)
        if (tokenizer_is_eog(lm->tokenizer, (int32_t)id))
            lm->eog[lm->n_eog++] = (int32_t)id;
    return 0;
}

static void read_facts(struct lm *lm)
{
    const struct gguf *g = model_gguf(lm->model);
    const struct descriptor *d = model_descriptor(lm->model);
    lm->n_vocab = d->n_vocab;
    lm->n_ctx_train = d->n_ctx_train;
    lm->n_embd = d->n_embd;
    lm->file_bytes = gguf_file_bytes(g);
    for (size_t i = 0; i < gguf_n_tensors(g); i++)
        lm->n_params += gguf_tensor_at(g, i)->n_items;
    struct str name = lm_metadata(lm, "general.name");
    lm->name = name.len > 0 ? str_dup(name) : xstrdup(path_base(lm->path));
}

int lm_open(const char *path, const struct lm_options *o, struct lm **ret, struct error *err)
{
    struct lm *lm = xcalloc(1, sizeof(*lm));
    lm->path = xstrdup(path);
    pthread_mutex_init(&lm->lock, NULL);
    struct model_options mo = {.n_threads = o->n_threads};
    int r = model_load(path, &mo, &lm->model, err);
    if (r == 0) {
        read_facts(lm);
        r = vocab_load(model_gguf(lm->model), &lm->tokenizer, err);
    }
    if (r == 0 && tokenizer_n_tokens(lm->tokenizer) != lm->n_vocab)
        r = error_set(err, ERR_CORRUPT,
                      "%s: the vocabulary has %zu tokens, but token_embd.weight has %u rows", path,
                      tokenizer_n_tokens(lm->tokenizer), lm->n_vocab);
    if (r == 0)
        r = find_eog(lm, err);
    for (uint32_t i = 0; r == 0 && i < o->n_adapters; i++) {
        r = model_add_adapter(lm->model, o->adapters[i].path, err);
        if (r == 0)
            lm->adapters[lm->n_adapters++] =
                (struct lm_adapter){xstrdup(o->adapters[i].path), o->adapters[i].scale};
    }
    if (r < 0) {
        lm_close(lm);
        return r;
    }
    *ret = lm;
    return 0;
}

void lm_close(struct lm *lm)
{
    if (!lm)
        return;
    grammar_vocab_free(lm->grammar_vocab);
    pthread_mutex_destroy(&lm->lock);
    tokenizer_free(lm->tokenizer);
    model_free(lm->model);
    for (uint32_t i = 0; i < lm->n_adapters; i++)
        free(lm->adapters[i].path);
    free(lm->eog);
    free(lm->path);
    free(lm->name);
    free(lm);
}

void lm_adapter_scales(const struct lm *lm, float ret[ADAPTERS_MAX])
{
    for (uint32_t i = 0; i < ADAPTERS_MAX; i++)
        ret[i] = i < lm->n_adapters ? lm->adapters[i].scale : 0;
}

static struct str token_text(const struct lm *lm, int32_t id)
{
    return id >= 0 ? tokenizer_token_text(lm->tokenizer, id) : STR("");
}

struct str lm_bos_text(const struct lm *lm)
{
    return token_text(lm, tokenizer_bos(lm->tokenizer));
}

struct str lm_eos_text(const struct lm *lm)
{
    return token_text(lm, tokenizer_eos(lm->tokenizer));
}

struct str lm_metadata(const struct lm *lm, const char *key)
{
    struct str value = {NULL, 0};
    if (gguf_want_str(model_gguf(lm->model), key, &value, NULL) < 0)
        return (struct str){NULL, 0};
    return value;
}

int lm_tokenize_prompt(const struct lm *lm, struct str text, struct token_list *out,
                       struct error *err)
{
    struct str bos = lm_bos_text(lm);
    bool has_bos = bos.len > 0 && str_starts_with(text, bos);
    unsigned flags = TOKENIZE_PARSE_SPECIAL | (has_bos ? 0u : (unsigned)TOKENIZE_ADD_SPECIAL);
    return tokenizer_encode(lm->tokenizer, text, flags, out, err);
}

uint32_t lm_fitting_ctx_size(uint32_t n_ctx_train, uint64_t token_bytes, uint64_t fixed_bytes)
{
    uint64_t n_ctx = n_ctx_train > 0 ? n_ctx_train : DEFAULT_CTX_MIN;
    uint64_t available = memory_available();
    if (available > 0 && token_bytes > 0) {
        uint64_t half = available / 2;
        uint64_t fits = (half > fixed_bytes ? half - fixed_bytes : 0) / token_bytes;
        fits = MAX(fits - fits % DEFAULT_CTX_STEP, (uint64_t)DEFAULT_CTX_MIN);
        n_ctx = MIN(n_ctx, fits);
    }
    return (uint32_t)MIN(n_ctx, (uint64_t)1 << 24);
}

uint32_t lm_default_ctx_size(const struct lm *lm, uint32_t n_seqs, enum kv_type type)
{
    uint64_t state_bytes = model_state_bytes(lm->model);
    return lm_fitting_ctx_size(lm->n_ctx_train, model_kv_token_bytes(lm->model, type) * n_seqs,
                               state_bytes * cache_n_states(state_bytes, n_seqs, lm->n_ctx_train));
}
