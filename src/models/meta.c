/* SPDX-License-Identifier: Apache-2.0
 *
 * What is known about each model without opening its weights, read once per id. */
#include <stdlib.h>
#include <string.h>

#include "models/models_internal.h"

void models__meta_unref(const struct model_meta *meta)
{
    struct model_meta *x = (struct model_meta *)(uintptr_t)meta;
    if (!x || atomic_fetch_sub(&x->refs, 1) != 1)
        return;
    oci_manifest_release(&x->manifest);
    oci_model_config_release(&x->config);
    free(x->config_json);
    free(x);
}

/* Older configs do not say what format the weights have; the layers do. */
static void infer_format(struct model_meta *x)
{
    static const struct {
        enum oci_layer_kind kind;
        const char *format;
    } formats[] = {
        {OCI_LAYER_GGUF, "gguf"},
        {OCI_LAYER_SAFETENSORS, "safetensors"},
        {OCI_LAYER_DDUF, "dduf"},
    };
    for (size_t f = 0; !*x->config.format && f < ARRAY_LEN(formats); f++) {
        for (size_t i = 0; i < x->manifest.n_layers; i++) {
            if (oci_layer_kind(&x->manifest.layers[i]) != formats[f].kind)
                continue;
            free(x->config.format);
            x->config.format = xstrdup(formats[f].format);
            break;
        }
    }
}

static int take_manifest(struct model_meta *x, struct str text, struct error *err)
{
    int r = oci_manifest_parse(text, &x->manifest, err);
    if (r == 0)
        r = oci_config_kind_of(x->manifest.config.media_type, &x->kind, err);
    if (r == 0)
        r = oci_manifest_layer_bytes(&x->manifest, &x->bytes, err);
    return r;
}

static int take_config(struct model_meta *x, struct str text, struct error *err)
{
    int r = oci_model_config_parse(text, x->kind, &x->config, err);
    if (r < 0)
        return r;
    infer_format(x);
    CLEANUP_BUF struct buf json = BUF_INIT((size_t)OCI_CONFIG_MAX_BYTES * 6);
    oci_model_config_write_inner(&x->config, &json);
    r = buf_check(&json, "the model config", err);
    if (r < 0)
        return r;
    x->config_json = buf_take(&json);
    x->whole = true;
    return x->config_json ? 0 : error_set(err, ERR_NOMEM, "out of memory");
}

struct model_meta *models__meta_new(const struct oci_digest *id)
{
    struct model_meta *x = xcalloc(1, sizeof(*x));
    atomic_init(&x->refs, 1);
    x->id = *id;
    return x;
}

int models__meta_parse(const struct oci_digest *id, struct str manifest, struct str config,
                       struct model_meta **ret, struct error *err)
{
    struct model_meta *x = models__meta_new(id);
    int r = take_manifest(x, manifest, err);
    if (r == 0)
        r = take_config(x, config, err);
    if (r < 0) {
        models__meta_unref(x);
        return r;
    }
    *ret = x;
    return 0;
}

static int meta_read(struct models *m, const struct oci_digest *id, struct model_meta **ret,
                     struct error *err)
{
    struct model_meta *x = models__meta_new(id);
    CLEANUP_BUF struct buf manifest = BUF_INIT(OCI_MANIFEST_MAX_BYTES);
    CLEANUP_BUF struct buf config = BUF_INIT(OCI_CONFIG_MAX_BYTES);
    int r = store_read_manifest(m->store, id, &manifest, err);
    if (r == 0)
        r = take_manifest(x, buf_str(&manifest), err);
    if (r == 0)
        r = store_read_blob(m->store, &x->manifest.config.digest, &config, err);
    if (r == 0)
        r = take_config(x, buf_str(&config), err);
    if (r < 0) {
        models__meta_unref(x);
        return error_wrap(err, "model %.19s cannot be read", id->text);
    }
    *ret = x;
    return 0;
}

static struct model_meta **bucket_of(struct models *m, const struct oci_digest *id)
{
    char head[9] = "";
    strncpy(head, oci_digest_hex(id), 8);
    return &m->buckets[strtoul(head, NULL, 16) % META_BUCKETS];
}

/* Under meta_lock, like the three below. */
static struct model_meta *lookup(struct models *m, const struct oci_digest *id, bool whole)
{
    for (struct model_meta *x = *bucket_of(m, id); x; x = x->next) {
        if (oci_digest_eq(&x->id, id) && (x->whole || !whole)) {
            atomic_fetch_add(&x->refs, 1);
            return x;
        }
    }
    return NULL;
}

static void drop(struct models *m, const struct oci_digest *id)
{
    for (struct model_meta **at = bucket_of(m, id); *at; at = &(*at)->next) {
        struct model_meta *old = *at;
        if (!oci_digest_eq(&old->id, id))
            continue;
        *at = old->next;
        models__meta_unref(old);
        m->n_meta--;
        return;
    }
}

/* Takes the reference over, in place of a meta that is not whole. */
static void put(struct models *m, struct model_meta *x)
{
    drop(m, &x->id);
    struct model_meta **bucket = bucket_of(m, &x->id);
    x->next = *bucket;
    *bucket = x;
    m->n_meta++;
}

static void clear_locked(struct models *m)
{
    for (size_t i = 0; i < META_BUCKETS; i++) {
        while (m->buckets[i]) {
            struct model_meta *x = m->buckets[i];
            m->buckets[i] = x->next;
            models__meta_unref(x);
        }
    }
    m->n_meta = 0;
}

void models__meta_clear(struct models *m)
{
    pthread_mutex_lock(&m->meta_lock);
    clear_locked(m);
    pthread_mutex_unlock(&m->meta_lock);
}

static int get(struct models *m, const struct oci_digest *id, bool whole, struct model_meta **ret,
               size_t *n_fresh, struct error *err)
{
    pthread_mutex_lock(&m->meta_lock);
    struct model_meta *found = lookup(m, id, whole);
    pthread_mutex_unlock(&m->meta_lock);
    if (found) {
        *ret = found;
        return 0;
    }
    struct model_meta *fresh = NULL;
    int r = meta_read(m, id, &fresh, err);
    if (r < 0)
        return r;
    ++*n_fresh;
    pthread_mutex_lock(&m->meta_lock);
    found = lookup(m, id, true); /* another thread may have been as quick */
    if (!found) {
        if (m->n_meta >= META_MAX)
            clear_locked(m);
        atomic_fetch_add(&fresh->refs, 1);
        put(m, fresh);
    }
    pthread_mutex_unlock(&m->meta_lock);
    if (found)
        models__meta_unref(fresh);
    *ret = found ? found : fresh;
    return 0;
}

int models__meta_get(struct models *m, const struct oci_digest *id, struct model_meta **ret,
                     struct error *err)
{
    size_t n_fresh = 0;
    return get(m, id, true, ret, &n_fresh, err);
}

/* Under meta_lock. */
static void take_summary(struct models *m, struct model_meta *x)
{
    struct model_meta *known = lookup(m, &x->id, false);
    if (known || m->n_meta >= META_MAX) {
        models__meta_unref(known);
        models__meta_unref(x);
    } else {
        put(m, x);
    }
}

/* Under meta_lock. What a list says must not outlive what it says it of. */
static void load_summaries(struct models *m, const struct store_index *idx)
{
    if (m->summaries_loaded)
        return;
    m->summaries_loaded = true;
    if (models__summaries_load(m, take_summary) == 0)
        return;
    CLEANUP_FREE bool *there = xcalloc(idx->n_models + 1, sizeof(*there));
    store_has_manifests(m->store, idx, there);
    for (size_t i = 0; i < idx->n_models; i++)
        if (!there[i])
            drop(m, &idx->models[i].id);
}

void models__metas(struct models *m, const struct store_index *idx, struct model_meta **ret,
                   size_t *ret_fresh)
{
    *ret_fresh = 0;
    pthread_mutex_lock(&m->meta_lock);
    load_summaries(m, idx);
    pthread_mutex_unlock(&m->meta_lock);
    for (size_t i = 0; i < idx->n_models; i++)
        if (get(m, &idx->models[i].id, false, &ret[i], ret_fresh, NULL) < 0)
            ret[i] = NULL;
}
