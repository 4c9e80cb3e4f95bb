/* SPDX-License-Identifier: Apache-2.0
 *
 * Small GGUF files. */
#include "model_fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "gguf/gguf_writer.h"

void write_gguf(const char *dir, const char *name, uint64_t rows, unsigned part, unsigned parts)
{
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *path = path_join(dir, name);
    struct gguf_writer *w = gguf_writer_new();
    if (part <= 1) {
        /* What is called so is a projector. */
        bool clip = strstr(name, "mmproj") != NULL;
        gguf_writer_str(w, "general.architecture", clip ? STR("clip") : STR("llama"));
        gguf_writer_str(w, "general.name", STR("Tiny <test> & more"));
        gguf_writer_u32(w, "general.file_type", 0);
        gguf_writer_u32(w, "llama.context_length", 4096);
        gguf_writer_f32(w, "llama.rope.freq_base", 10000.0f);
        gguf_writer_i32_array(w, "short", (const int32_t[]){1, 2, 3}, 3);
    }
    if (parts) {
        gguf_writer_u16(w, "split.no", (uint16_t)(part - 1));
        gguf_writer_u16(w, "split.count", (uint16_t)parts);
        gguf_writer_i32(w, "split.tensors.count", (int32_t)parts);
    }
    CLEANUP_FREE char *tensor = xasprintf("blk.%u.weight", part);
    gguf_writer_tensor(w, str_from(tensor), 0, 2, (const uint64_t[]){8, rows});
    CLEANUP_FREE float *data = xcalloc(8 * rows, sizeof(*data));
    data[0] = (float)part;
    if (gguf_writer_begin(w, path, &err) < 0 ||
        gguf_writer_data(w, data, 8 * rows * sizeof(*data), &err) < 0 ||
        gguf_writer_end(w, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    gguf_writer_free(w);
    set_mtime(dir, name, 1700000000);
}

void set_mtime(const char *dir, const char *name, long seconds)
{
    CLEANUP_FREE char *path = path_join(dir, name);
    const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};
    if (utimensat(AT_FDCWD, path, times, 0) != 0)
        abort();
}
