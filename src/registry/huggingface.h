/* SPDX-License-Identifier: Apache-2.0
 *
 * Models in repositories of Hugging Face, or of a mirror of it (HF_ENDPOINT): which files make up
 * "hf.co/ORG/REPO:TAG", and where they are.
 *
 *     struct registry_repo *site;
 *     hf_open(r, bearer, &site, err);
 *     struct hf_model m;
 *     hf_resolve(site, &ref, cancel, &m, err);
 *     for each m.files[i]:
 *         with has_sha256:  one blob of registry_download(), .path = file->url_path,
 *                           .digest = &file->sha256, .size = file->size
 *         without:          hf_fetch_small(site, file, cancel, &buf, err), a few kilobytes
 *     on failure: hf_explain(&m, err)
 *     hf_model_release(&m);
 *     registry_repo_close(site);
 *
 * Choice of files. Revision "main". A repository with GGUF files gives one of them (or one set of
 * shards), the projector that belongs to it and a chat template (.jinja); any other gives all its
 * safetensors files with configuration, tokenizer and template.
 *   TAG names the quantisation as it stands in the file's name or its folder's, in any case of
 *   letters: a whole word, so that F16 is not BF16 and Q4_K not Q4_K_M; Q4_K_XL also finds
 *   UD-Q4_K_XL when there is no plain one. A TAG that is nowhere is ERR_NOT_FOUND, with what there
 *   is, the nearest first.
 *   Without TAG ("latest", "main"): the only one; Q4_K_M; else the first by name.
 *   Where several files fit, the quantisation at the end of the name, then the shorter path, then
 *   the first by name wins.
 *   Projectors: beside the weights before elsewhere; F16, BF16, F32, Q8_0, then by name.
 *
 * Listings are bounded, paths are checked (relative, without "..", no control characters), and what
 * a listing says about sizes and hashes is what downloads are held to. Errors carry the codes of
 * registry.h and say what to do about gated and private models. */
#ifndef REGISTRY_HUGGINGFACE_H
#define REGISTRY_HUGGINGFACE_H

#include "oci/media_types.h"
#include "registry/registry.h"

enum {
    HF_MAX_FILES = 100000, /* of one listing */
    HF_MAX_PATH = 1024,
    HF_MAX_SMALL = 16 << 20, /* bytes of a file without a SHA-256 */
    HF_QUANTIZATION_MAX = 64,
};

struct hf_file {
    char *path;     /* in the repository: "Q4_K_M/model-00001-of-00002.gguf" */
    char *url_path; /* for struct registry_blob: "/ORG/REPO/resolve/main/…", percent-encoded */
    uint64_t size;
    bool has_sha256;
    struct oci_digest sha256; /* when has_sha256 */
    char git_oid[41];         /* of a file without; "" if the listing told none */
    enum oci_layer_kind kind; /* by its name: GGUF, SAFETENSORS, MMPROJ, TEMPLATE, FILE */
};

struct hf_model {
    char *repository;                       /* "Org/Repo" as typed */
    char *page;                             /* "https://huggingface.co/Org/Repo" */
    bool gguf;                              /* else safetensors */
    char quantization[HF_QUANTIZATION_MAX]; /* as the file's name says, upper case; "" if nothing */
    struct hf_file *files; /* weights by path (shards in order), projector, template, others */
    size_t n_files;
    uint64_t total_bytes;
    int64_t last_modified; /* seconds since 1970, the date for the artifact; 0 = not told */
    bool gated;            /* its owner lets in by name only */
    bool has_token;        /* we showed one */
};

/* bearer: of the request; NULL or "" = the registry's HF_TOKEN, if it has one. */
int hf_open(struct registry *r, const char *bearer, struct registry_repo **ret, struct error *err);

/* ref must be a name at huggingface.co (oci_reference_is_hugging_face). */
int hf_resolve(struct registry_repo *site, const struct oci_reference *ref,
               struct http_cancel *cancel, struct hf_model *ret, struct error *err);
void hf_model_release(struct hf_model *m); /* a zeroed one is fine */

/* Appends a file without has_sha256 (or any other of at most HF_MAX_SMALL bytes) to out; its size
 * and its hash are checked. */
int hf_fetch_small(struct registry_repo *site, const struct hf_file *file,
                   struct http_cancel *cancel, struct buf *out, struct error *err);

/* Says in *err, the failure of a download of this model, what the user can do about it: accept the
 * licence, set HF_TOKEN. Other errors stay as they are. Returns -err->code. */
int hf_explain(const struct hf_model *m, struct error *err);

#endif
