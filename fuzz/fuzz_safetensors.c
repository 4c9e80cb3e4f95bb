/* SPDX-License-Identifier: Apache-2.0
 *
 * The directory of safetensors files: every tensor is looked up and its first and last byte read. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "gguf/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile unsigned char sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char path[64];
    if (!path[0])
        snprintf(path, sizeof(path), "/dev/shm/mr-fuzz-safetensors-%d", (int)getpid());
    struct error err = ERROR_INIT;
    CLEANUP(cleanup_safetensors) struct safetensors *s = NULL;
    if (file_write_atomic(path, str_make((const char *)data, size), 0600, &err) < 0)
        return 0;
    int r = safetensors_open(path, &s, &err);
    unlink(path);
    for (size_t i = 0; r == 0 && i < safetensors_n(s); i++) {
        const struct safetensors_tensor *t = safetensors_at(s, i);
        const unsigned char *bytes = t->data;
        if (t->bytes > 0)
            sink = bytes[0] ^ bytes[t->bytes - 1];
        if (!safetensors_find(s, t->name))
            abort();
    }
    return 0;
}
