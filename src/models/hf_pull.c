/* SPDX-License-Identifier: Apache-2.0
 *
 * Models from Hugging Face, see hf_pull.h.
 *
 * GGUF files become the layers of an artifact of config v0.1, safetensors those of one of v0.2. The
 * same files of the same date give the same artifact, wherever they are pulled. */
#include "models/hf_pull.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "gguf/gguf.h"
#include "models/fetch.h"
#include "models/gguf_info.h"
#include "registry/huggingface.h"

/* One pull. */
struct hf {
    struct job *j;
    struct models *m;
    const char *tag;
    struct registry_repo *site;
    struct hf_model model;
    struct oci_digest *digests; /* of the files; those of small ones once they are there */
    struct store_txn *t;
};

/* ---- what is there already ---- */

/* The stored model that has the tag; NULL if there is none that can be used. */
static struct model_meta *stored_model(const struct hf *h)
{
    struct model_meta *meta = NULL;
    if (models__open(h->m, h->tag, MODELS_EXACT, &meta, NULL) < 0)
        return NULL;
    for (size_t i = 0; i < meta->manifest.n_layers; i++) {
        const struct oci_descriptor *d = &meta->manifest.layers[i];
        if (!store_has_blob(h->m->store, &d->digest, d->size)) {
            models__meta_unref(meta);
            return NULL;
        }
    }
    return meta;
}

/* Do the layers that can be compared without downloading agree with the files of the repository? */
static bool is_same(const struct hf *h, const struct model_meta *meta)
{
    if (meta->manifest.n_layers != h->model.n_files)
        return false;
    for (size_t i = 0; i < h->model.n_files; i++) {
        const struct hf_file *f = &h->model.files[i];
        const struct oci_descriptor *d = &meta->manifest.layers[i];
        if (f->size != d->size || (f->has_sha256 && !oci_digest_eq(&f->sha256, &d->digest)))
            return false;
    }
    return true;
}

static void use_stored(const struct hf *h, const struct model_meta *meta)
{
    job_done(h->j, "Using cached model: %.200s", meta->config.size);
}

/* ---- the files ---- */

static int fetch_small_files(struct hf *h, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < h->model.n_files; i++) {
        const struct hf_file *f = &h->model.files[i];
        if (f->has_sha256) {
            h->digests[i] = f->sha256;
            continue;
        }
        CLEANUP_BUF struct buf text = BUF_INIT(HF_MAX_SMALL);
        r = hf_fetch_small(h->site, f, job_cancel(h->j), &text, err);
        if (r == 0)
            r = store_txn_add_bytes(h->t, buf_str(&text), &h->digests[i], err);
    }
    return r;
}

static int fetch_large_files(struct hf *h, struct error *err)
{
    struct fetch_layer *layers = xcalloc(h->model.n_files + 1, sizeof(*layers));
    size_t n = 0;
    for (size_t i = 0; i < h->model.n_files; i++) {
        const struct hf_file *f = &h->model.files[i];
        if (f->has_sha256)
            layers[n++] = (struct fetch_layer){
                .digest = f->sha256,
                .size = f->size,
                .path = f->url_path,
                .gguf = f->kind == OCI_LAYER_GGUF,
            };
    }
    int r = fetch_layers(h->j, h->m, h->site, h->t, layers, n, err);
    free(layers);
    return r;
}

/* ---- the config ---- */

/* Opens the weights by names that show the shards' order, which blobs have not. */
static int open_weights(struct hf *h, struct gguf **ret, struct error *err)
{
    char dir[] = "/tmp/model-runner-XXXXXX";
    if (!mkdtemp(dir))
        return error_errno(err, errno, "cannot make a directory in /tmp");
    CLEANUP_FREE char *first = NULL;
    int r = 0;
    for (size_t i = 0; i < h->model.n_files; i++) {
        if (h->model.files[i].kind != OCI_LAYER_GGUF)
            continue;
        CLEANUP_FREE char *blob = store_blob_path(h->m->store, &h->digests[i]);
        char *link = path_join(dir, path_base(h->model.files[i].path));
        if (r == 0 && symlink(blob, link) != 0)
            r = error_errno(err, errno, "cannot make a link in /tmp");
        if (first)
            free(link);
        else
            first = link;
    }
    if (r == 0)
        r = first ? gguf_open(first, 0, ret, err) : error_set(err, ERR_CORRUPT, "no weights");
    dir_remove_tree(dir, NULL);
    return r;
}

static void describe_gguf(struct hf *h, struct oci_model_config *c)
{
    CLEANUP(cleanup_gguf) struct gguf *g = NULL;
    struct error why = ERROR_INIT;
    if (open_weights(h, &g, &why) == 0) {
        gguf_info_fill(g, c);
        return;
    }
    job_warn(h->j, "the weights cannot be read: %s", why.msg);
    c->format = xstrdup("gguf");
}

static void describe_safetensors(const struct hf *h, struct oci_model_config *c)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < h->model.n_files; i++)
        if (h->model.files[i].kind == OCI_LAYER_SAFETENSORS)
            bytes += h->model.files[i].size;
    c->format = xstrdup("safetensors");
    c->size = xasprintf("%.2fGB", (double)bytes / 1e9);
}

static int make_config(struct hf *h, const char *date, struct oci_digest *ret, size_t *ret_size,
                       struct error *err)
{
    struct oci_model_config c = {0};
    if (h->model.gguf)
        describe_gguf(h, &c);
    else
        describe_safetensors(h, &c);
    c.created = xstrdup(date);
    c.diff_ids = xcalloc(h->model.n_files, sizeof(*c.diff_ids));
    for (; c.n_diff_ids < h->model.n_files; c.n_diff_ids++)
        c.diff_ids[c.n_diff_ids] = h->digests[c.n_diff_ids];
    CLEANUP_BUF struct buf text = BUF_INIT(OCI_CONFIG_MAX_BYTES);
    oci_model_config_write(&c, &text);
    oci_model_config_release(&c);
    int r = buf_check(&text, "the config of the model", err);
    if (r == 0)
        r = store_txn_add_bytes(h->t, buf_str(&text), ret, err);
    *ret_size = text.len;
    return r;
}

/* ---- the manifest ---- */

static const char *media_type(enum oci_layer_kind kind)
{
    switch (kind) {
    case OCI_LAYER_GGUF:
        return OCI_TYPE_GGUF;
    case OCI_LAYER_SAFETENSORS:
        return OCI_TYPE_SAFETENSORS;
    case OCI_LAYER_MMPROJ:
        return OCI_TYPE_MMPROJ;
    case OCI_LAYER_TEMPLATE:
        return OCI_TYPE_TEMPLATE;
    default:
        return OCI_TYPE_FILE;
    }
}

static void annotate(const struct hf *h, const struct hf_file *f, const char *date,
                     struct oci_descriptor *layer)
{
    const char *base = path_base(f->path);
    CLEANUP_BUF struct buf text = BUF_INIT(64 << 10);
    buf_append_c(&text, "{\"name\":");
    oci_write_string(str_from(base), &text);
    buf_printf(&text,
               ",\"mode\":420,\"uid\":0,\"gid\":0,\"size\":%" PRIu64
               ",\"mtime\":\"%s\",\"typeflag\":0}",
               f->size, date);
    oci_map_set(&layer->annotations, STR(OCI_ANNOTATION_FILE_METADATA), buf_str(&text));
    oci_map_set(&layer->annotations, STR(OCI_ANNOTATION_UNTESTED), STR("false"));
    oci_map_set(&layer->annotations, STR(OCI_ANNOTATION_FILEPATH),
                str_from(h->model.gguf ? base : f->path));
}

static int make_manifest(struct hf *h, struct buf *out, struct error *err)
{
    char date[CLOCK_TEXT_MAX];
    clock_rfc3339_utc((struct timespec){.tv_sec = (time_t)h->model.last_modified}, date);
    struct oci_digest config;
    size_t config_size;
    int r = make_config(h, date, &config, &config_size, err);
    if (r < 0)
        return r;
    struct oci_manifest man = {0};
    oci_manifest_set_config(&man, h->model.gguf ? OCI_TYPE_CONFIG_V01 : OCI_TYPE_CONFIG_V02,
                            &config, config_size);
    for (size_t i = 0; i < h->model.n_files; i++) {
        const struct hf_file *f = &h->model.files[i];
        annotate(h, f, date,
                 oci_manifest_add_layer(&man, media_type(f->kind), &h->digests[i], f->size));
    }
    oci_manifest_write(&man, out);
    oci_manifest_release(&man);
    return buf_check(out, "the manifest of the model", err);
}

/* ---- all of it ---- */

static int store_files(struct hf *h, struct error *err)
{
    char size[GGUF_INFO_TEXT_MAX];
    snprintf(size, sizeof(size), h->model.total_bytes >= 1000000000 ? "%.2f GB" : "%.2f MB",
             (double)h->model.total_bytes / (h->model.total_bytes >= 1000000000 ? 1e9 : 1e6));
    /* Said only now: an error of the listing is answered with a status of its own. */
    job_note(h->j, "Fetching file list...");
    if (h->model.gguf && h->model.quantization[0])
        job_note(h->j, "Selected %s quantization", h->model.quantization);
    job_total(h->j, h->model.total_bytes);
    job_note(h->j, "Found %zu files (%s total)", h->model.n_files, size);
    int r = store_begin(h->m->store, &h->t, err);
    if (r == 0)
        r = fetch_small_files(h, err);
    if (r == 0)
        r = fetch_large_files(h, err);
    if (r < 0)
        return r;
    job_note(h->j, "Building model artifact...");
    CLEANUP_BUF struct buf manifest = BUF_INIT(OCI_MANIFEST_MAX_BYTES);
    r = make_manifest(h, &manifest, err);
    if (r < 0)
        return r;
    struct oci_digest id;
    r = store_commit(TAKE(h->t), buf_str(&manifest), h->tag, &id, err);
    if (r == 0)
        job_done(h->j, "Model pulled successfully");
    return r;
}

/* Nobody there is no reason to fail when the model is here. */
static bool is_outage(int r)
{
    return r == -ERR_UNAVAILABLE || r == -ERR_TIMEOUT || r == -ERR_BUSY;
}

static int pull_files(struct hf *h, const struct oci_reference *ref, struct error *err)
{
    CLEANUP_META struct model_meta *stored = stored_model(h);
    struct error why = ERROR_INIT;
    int r = hf_resolve(h->site, ref, job_cancel(h->j), &h->model, &why);
    if (stored && is_outage(r)) {
        job_warn(h->j, "%s; the model is used as it is", why.msg);
        use_stored(h, stored);
        return 0;
    }
    if (r < 0)
        return error_copy(err, &why);
    if (stored && is_same(h, stored)) {
        use_stored(h, stored);
        return 0;
    }
    h->digests = xcalloc(h->model.n_files + 1, sizeof(*h->digests));
    r = store_files(h, err);
    return r < 0 && r != -ERR_CANCELED ? hf_explain(&h->model, err) : r;
}

int hf_pull(struct job *j, struct models *m, const struct oci_reference *ref, const char *tag,
            struct error *err)
{
    struct hf h = {.j = j, .m = m, .tag = tag};
    int r = hf_open(m->registry, job_bearer(j), &h.site, err);
    if (r == 0)
        r = pull_files(&h, ref, err);
    store_abort(h.t);
    free(h.digests);
    hf_model_release(&h.model);
    registry_repo_close(h.site);
    return r;
}
