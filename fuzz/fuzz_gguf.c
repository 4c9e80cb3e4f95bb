/* SPDX-License-Identifier: Apache-2.0
 *
 * The GGUF reader and what reads a model's facts from it: every value is fetched as every type,
 * every tensor is looked up and its first and last byte are read. */
#include <stdlib.h>

#include "base/buf.h"
#include "base/str.h"
#include "engine/model/descriptor.h"
#include "engine/model/weights.h"
#include "gguf/gguf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned char sink;

static void read_scalars(const struct gguf *g, const char *key)
{
    uint32_t u32;
    uint64_t u64;
    int64_t i64;
    double f64;
    bool flag;
    struct str s;
    struct error err = ERROR_INIT;
    gguf_get_u32(g, key, &u32, &err);
    gguf_get_u64(g, key, &u64, &err);
    gguf_get_i64(g, key, &i64, &err);
    gguf_get_f64(g, key, &f64, &err);
    gguf_get_bool(g, key, &flag, &err);
    if (gguf_get_str(g, key, &s, &err) == 0 && s.len > 0)
        sink = (unsigned char)s.ptr[s.len - 1];
}

static void read_arrays(const struct gguf *g, const char *key)
{
    struct error err = ERROR_INIT;
    struct str *strs = NULL;
    int32_t *i32 = NULL;
    uint32_t *u32 = NULL;
    float *f32 = NULL;
    bool *flags = NULL;
    uint32_t layers[4];
    size_t n = 0;
    if (gguf_get_str_array(g, key, &strs, &n, &err) == 0)
        for (size_t i = 0; i < n; i++)
            if (strs[i].len > 0)
                sink = (unsigned char)strs[i].ptr[strs[i].len - 1];
    gguf_get_i32_array(g, key, &i32, &n, &err);
    gguf_get_u32_array(g, key, &u32, &n, &err);
    gguf_get_f32_array(g, key, &f32, &n, &err);
    gguf_get_bool_array(g, key, &flags, &n, &err);
    gguf_get_u32_per_layer(g, key, 4, layers, &err);
    free(strs);
    free(i32);
    free(u32);
    free(f32);
    free(flags);
}

static void read_metadata(const struct gguf *g)
{
    for (size_t i = 0; i < gguf_n_kv(g) && i < 1000; i++) {
        CLEANUP_BUF struct buf text = BUF_INIT(1 << 20);
        gguf_kv_text(g, i, &text);
        CLEANUP_FREE char *key = str_dup(gguf_kv_key(g, i));
        if (key) {
            read_scalars(g, key);
            read_arrays(g, key);
        }
    }
}

static void read_tensors(const struct gguf *g)
{
    for (size_t i = 0; i < gguf_n_tensors(g); i++) {
        const struct gguf_tensor *t = gguf_tensor_at(g, i);
        if (gguf_tensor_find(g, t->name) != t)
            abort();
        const unsigned char *bytes = t->data;
        if (bytes)
            sink = bytes[0] ^ bytes[t->bytes - 1];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const unsigned modes[] = {0, GGUF_HEADER_ONLY};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        struct error err = ERROR_INIT;
        CLEANUP(cleanup_gguf) struct gguf *g = NULL;
        if (gguf_open_bytes(data, size, modes[i], &g, &err) < 0)
            continue;
        read_metadata(g);
        read_tensors(g);
        CLEANUP_DESCRIPTOR struct descriptor d = {0};
        if (descriptor_read(g, &d, &err) == 0 && modes[i] == 0)
            weights_check(g, &d, &err);
    }
    return 0;
}
