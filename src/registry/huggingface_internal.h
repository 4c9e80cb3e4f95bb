/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the Hugging Face client share: the listing of a repository, and the choice from
 * it, which is pure text. */
#ifndef REGISTRY_HUGGINGFACE_INTERNAL_H
#define REGISTRY_HUGGINGFACE_INTERNAL_H

#include "registry/huggingface.h"

struct hf_entry {
    char *path;
    uint64_t size;
    bool has_sha256;
    struct oci_digest sha256;
    char git_oid[GIT_OID_HEX + 1]; /* "" = not told */
};

/* Files, sorted by path in byte order, each once. */
struct hf_listing {
    struct hf_entry *entries;
    size_t n, cap;
};

void hf_listing_release(struct hf_listing *l);

/* Adds the entries of one answer: files to l, folders to *dirs (path, NUL, path, NUL, …). */
int hf_listing_add(struct hf_listing *l, struct str json, struct buf *dirs, struct error *err);

/* To be called once everything is added. */
int hf_listing_sort(struct hf_listing *l, struct error *err);
bool hf_listing_has_under(const struct hf_listing *l, const char *dir); /* when sorted */

/* Which files make up the model that `tag` names ("latest" and "main" name none); indices into the
 * listing for the caller to free. name: for messages, "hf.co/Org/Repo". */
struct hf_choice {
    bool gguf;
    char quantization[HF_QUANTIZATION_MAX];
    size_t *files;
    size_t n_files;
};
int hf_choose(const struct hf_listing *l, const char *tag, const char *name, struct hf_choice *ret,
              struct error *err);

#endif
