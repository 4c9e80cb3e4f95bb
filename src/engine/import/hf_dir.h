/* SPDX-License-Identifier: Apache-2.0
 *
 * A directory with a model in Hugging Face's form: JSON files that describe it and safetensors
 * files with its weights, one or several with an index.
 *
 * Names from the index are plain names of files in the directory; a tensor that two files have, or
 * that the index has and no file, is an error. Sizes and offsets are checked by gguf/safetensors.h.
 * Threads: an open directory is never changed. */
#ifndef ENGINE_IMPORT_HF_DIR_H
#define ENGINE_IMPORT_HF_DIR_H

#include <stdbool.h>
#include <stddef.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "gguf/safetensors.h"

enum {
    HF_MAX_FILES = 1024,
    HF_MAX_JSON = 128 << 20, /* bytes of one of the JSON files */
};

struct hf_dir {
    char *path;
    struct safetensors **files;
    size_t n_files;
    const struct safetensors_tensor **tensors; /* by name */
    bool *taken;                               /* [n_tensors], by hf_dir_take() */
    size_t n_tensors;
};

/* Opens the weights; *ret is zeroed at first and released also after an error. */
int hf_dir_open(const char *path, struct hf_dir *ret, struct error *err);
void hf_dir_release(struct hf_dir *d);

/* A JSON file of the directory; *ret is NULL if there is none. The caller frees it. */
int hf_dir_json(const struct hf_dir *d, const char *name, struct json **ret, struct error *err);

/* The text of a file; *ret_there says whether there is one. */
int hf_dir_text(const struct hf_dir *d, const char *name, struct buf *out, bool *ret_there,
                struct error *err);

/* The tensor of this name, or NULL, and marks it as made use of. */
const struct safetensors_tensor *hf_dir_take(struct hf_dir *d, const char *name);

#endif
