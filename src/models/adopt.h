/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF files that other tools keep on this machine: finding them, and linking them into the store
 * without a copy.
 *
 * Looked at are the caches of Hugging Face ($HF_HUB_CACHE, $HF_HOME/hub, ~/.cache/huggingface/hub),
 * Ollama ($OLLAMA_MODELS, ~/.ollama/models) and LM Studio (~/.lmstudio/models,
 * ~/.cache/lm-studio/models). Everything found there is foreign: bounded, checked, and no link
 * that leads out of the cache is followed. */
#ifndef MODELS_ADOPT_H
#define MODELS_ADOPT_H

#include <stdbool.h>

#include "models/models.h"

enum adopt_source { ADOPT_HF, ADOPT_OLLAMA, ADOPT_LMSTUDIO, ADOPT_FILE };

const char *adopt_source_name(enum adopt_source s); /* "hf", "ollama", "lmstudio", "file" */

/* One model found: a file, or the shards of a split one, and its projector. */
struct adoptable {
    enum adopt_source source;
    char *path;   /* of the (first) file */
    char *mmproj; /* NULL = none beside it */
    char *name;   /* the name it would get, in the form that users type */
    char *quantization, *architecture, *parameters; /* "" = the file does not say */
    uint64_t bytes;
    size_t n_files;
};

struct adoptable_list {
    struct adoptable *items; /* by source, then by name */
    size_t n;
    bool cut; /* there is more than ADOPT_MAX */
};

enum { ADOPT_MAX = 2000 };

/* Files that cannot be read as GGUF are left out. */
int models_adoptable(struct models *m, struct adoptable_list *ret, struct error *err);
void adoptable_list_release(struct adoptable_list *l);

/* How a file gets into the store. */
enum adopt_mode {
    ADOPT_LINK, /* blocks shared by the file system, else a hard link: no space, no time */
    ADOPT_COPY,
};

/* What models_adopt() did. */
struct adopted {
    char id[OCI_DIGEST_TEXT_MAX];
    uint64_t bytes;
    bool hard_linked; /* an edit of the original would damage the model; this is noticed on loading */
};

/* Takes one GGUF file (with its shards and mmproj, which may be NULL) into the store under a name.
 * The file is hashed. ADOPT_LINK fails with ERR_UNSUPPORTED across file systems. */
int models_adopt(struct models *m, const char *path, const char *mmproj, const char *name,
                 enum adopt_mode mode, artifact_progress_fn progress, void *ctx,
                 struct adopted *ret, struct error *err);

#endif
