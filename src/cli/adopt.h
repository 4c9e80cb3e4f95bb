/* SPDX-License-Identifier: Apache-2.0
 *
 * GGUF models that other programs have on this machine.
 *
 *     Hugging Face  $HF_HUB_CACHE, $HUGGINGFACE_HUB_CACHE, $HF_HOME/hub,
 *                   $XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub:
 *                   models--ORG--REPO/snapshots/COMMIT/…, links into models--ORG--REPO/blobs
 *     Ollama        $OLLAMA_MODELS, ~/.ollama/models, /usr/share/ollama/.ollama/models:
 *                   manifests/HOST/…/TAG name blobs/sha256-HEX
 *     LM Studio     models of its home (~/.lmstudio-home-pointer, ~/.lmstudio, ~/.cache/lm-studio)
 *                   and the downloadsFolder of its settings.json: PUBLISHER/REPO/FILE.gguf
 *
 * Such trees are data of others: nothing is followed out of them (Hugging Face's links lead to the
 * repository's own blobs, or are passed over), depth and number of entries are bounded, and only
 * regular files that begin as a GGUF does count. */
#ifndef CLI_ADOPT_H
#define CLI_ADOPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct found_model {
    char *name; /* as it would be stored: "hf.co/org/repo:Q4_K_M", "ollama/llama3.2:latest" */
    const char *source; /* "Hugging Face", "Ollama", "LM Studio" */
    char *quantization; /* "" = not told by a name */
    char *gguf;         /* the file, of a split model the first one */
    char *mmproj;       /* NULL = none */
    char **licenses;    /* files */
    size_t n_licenses;
    uint64_t bytes; /* of all its weights */
    char
        *leaves; /* what the other program has besides and cannot come along: "template"; or NULL */
    const char *obstacle; /* why it cannot be adopted, static; NULL = it can */
};

struct found_models {
    struct found_model *items;
    size_t n;
};

enum {
    ADOPT_MAX_ENTRIES = 200000,
    ADOPT_MAX_DEPTH = 8,
    ADOPT_MAX_MODELS = 4096,
    ADOPT_MAX_LICENSES = 16, /* of one model */
};

/* Sorted by name; names are unique. A tree that is absent or cannot be read has no models. */
int adopt_find(struct found_models *ret, struct error *err);
void found_models_release(struct found_models *f); /* a zeroed one is fine */

#endif
