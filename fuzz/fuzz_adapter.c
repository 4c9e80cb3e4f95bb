/* SPDX-License-Identifier: Apache-2.0
 *
 * LoRA adapters on a small model; what is accepted is computed with. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "engine/model/model.h"
#include "tiny_model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char model_path[64], path[64];

static void remove_model(void)
{
    unlink(model_path);
}

static void make_files(void)
{
    const struct tiny_model shape = {.arch = "llama",
                                     .n_layers = 1,
                                     .n_embd = 8,
                                     .n_heads = 2,
                                     .n_kv_heads = 1,
                                     .n_ff = 8,
                                     .n_vocab = 16,
                                     .n_ctx = 32,
                                     .no_vocab = true,
                                     .untied = true};
    snprintf(model_path, sizeof(model_path), "/dev/shm/mr-fuzz-model-%d", (int)getpid());
    snprintf(path, sizeof(path), "/dev/shm/mr-fuzz-adapter-%d", (int)getpid());
    if (tiny_model_write(&shape, model_path, NULL) < 0)
        abort();
    atexit(remove_model);
}

static void compute(struct model *m)
{
    struct kv *kv = NULL;
    const int32_t ids[] = {1, 2, 3}, page = 0, row = 2;
    const float scales[ADAPTERS_MAX] = {1};
    const struct batch_seq seq = {.n = 3, .pages = &page, .scales = scales};
    const struct batch batch = {
        .n_tokens = 3, .ids = ids, .n_seqs = 1, .seqs = &seq, .n_out = 1, .out_rows = &row};
    float logits[16];
    if (model_kv_create(m, 1, 0, KV_F32, &kv, NULL) < 0 ||
        model_eval(m, kv, &batch, logits, NULL, NULL) < 0)
        abort();
    model_kv_free(m, kv);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!path[0])
        make_files();
    struct model *m = NULL;
    const struct model_options options = {.n_threads = 1};
    if (file_write_atomic(path, str_make((const char *)data, size), 0600, NULL) < 0)
        return 0;
    if (model_load(model_path, &options, &m, NULL) < 0)
        abort();
    if (model_add_adapter(m, path, NULL) == 0)
        compute(m);
    model_free(m);
    unlink(path);
    return 0;
}
