/* SPDX-License-Identifier: Apache-2.0
 *
 * Models from registries, see pull.h. */
#include "models/pull.h"

#include <inttypes.h>
#include <string.h>

#include "models/fetch.h"
#include "models/hf_pull.h"
#include "models/job.h"
#include "oci/manifest.h"

/* One pull. */
struct pull {
    struct job *j;
    struct models *m;
    struct oci_reference ref;
    char tag[OCI_REFERENCE_TEXT_MAX]; /* what it will be called; "" = by its digest only */
};

/* ---- what is there already ---- */

static bool is_complete(struct models *m, const struct model_meta *meta)
{
    for (size_t i = 0; i < meta->manifest.n_layers; i++)
        if (!store_has_blob(m->store, &meta->manifest.layers[i].digest,
                            meta->manifest.layers[i].size))
            return false;
    return true;
}

/* 1 when the model is in the store, whole, and has got the tag now. */
static int use_stored(struct pull *p, const struct oci_digest *id, struct error *err)
{
    CLEANUP_INDEX const struct store_index *idx = NULL;
    int r = store_index_get(p->m->store, &idx, err);
    if (r < 0)
        return r;
    bool indexed = false;
    for (size_t i = 0; i < idx->n_models && !indexed; i++)
        indexed = oci_digest_eq(&idx->models[i].id, id);
    CLEANUP_META struct model_meta *meta = NULL;
    if (!indexed || models__meta_get(p->m, id, &meta, NULL) < 0 || !is_complete(p->m, meta))
        return 0;
    if (p->tag[0]) {
        struct error why = ERROR_INIT;
        r = store_tag(p->m->store, id, p->tag, &why);
        if (r == -ERR_NOT_FOUND)
            return 0; /* removed just now */
        if (r < 0)
            return error_copy(err, &why);
    }
    job_done(p->j, "Using cached model: %.200s", meta->config.size);
    return 1;
}

/* ---- judging a manifest ---- */

/* Everything that would make the model unusable is found before the first layer comes. */
static int check_manifest(const struct oci_manifest *man, enum oci_config_kind *ret_kind,
                          struct error *err)
{
    uint64_t total;
    int r = oci_config_kind_of(man->config.media_type, ret_kind, err);
    if (r == 0)
        r = oci_manifest_layer_bytes(man, &total, err);
    if (r < 0)
        return r;
    if (man->n_layers == 0)
        return error_set(err, ERR_CORRUPT, "the manifest has no layers: there is no model in it");
    if (man->config.size > OCI_CONFIG_MAX_BYTES)
        return error_set(err, ERR_TOO_LARGE,
                         "the model's config has %" PRIu64 " bytes; at most %d are allowed",
                         man->config.size, OCI_CONFIG_MAX_BYTES);
    for (size_t i = 0; i < man->n_layers; i++)
        for (size_t k = 0; k < i; k++)
            if (oci_digest_eq(&man->layers[i].digest, &man->layers[k].digest) &&
                man->layers[i].size != man->layers[k].size)
                return error_set(err, ERR_CORRUPT,
                                 "the manifest gives layer %s two different sizes",
                                 man->layers[i].digest.text);
    struct bundle plan = {0};
    r = bundle_plan(man, *ret_kind, &plan, err);
    bundle_release(&plan);
    return r;
}

/* ---- the parts ---- */

static int fetch_config(struct pull *p, struct registry_repo *repo, struct store_txn *t,
                        const struct oci_manifest *man, enum oci_config_kind kind,
                        struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT(OCI_CONFIG_MAX_BYTES);
    const struct oci_descriptor *d = &man->config;
    int r;
    bool stored = store_txn_hold(t, &d->digest, d->size, NULL) == 0 &&
                  store_read_blob(p->m->store, &d->digest, &text, NULL) == 0;
    if (!stored) {
        buf_clear(&text);
        r = registry_fetch_small(repo, &d->digest, d->size, job_cancel(p->j), &text, err);
        if (r < 0)
            return r;
    }
    struct oci_model_config config = {0};
    r = oci_model_config_parse(buf_str(&text), kind, &config, err);
    if (r < 0)
        return r;
    oci_model_config_release(&config);
    struct oci_digest digest;
    return stored ? 0 : store_txn_add_bytes(t, buf_str(&text), &digest, err);
}

static int fetch_all(struct pull *p, struct registry_repo *repo, struct store_txn *t,
                     const struct oci_manifest *man, struct error *err)
{
    enum oci_config_kind kind;
    uint64_t total;
    int r = check_manifest(man, &kind, err);
    if (r == 0)
        r = fetch_config(p, repo, t, man, kind, err);
    if (r == 0)
        r = oci_manifest_layer_bytes(man, &total, err);
    if (r < 0)
        return r;
    job_total(p->j, total);
    struct fetch_layer *layers = xcalloc(man->n_layers, sizeof(*layers));
    for (size_t i = 0; i < man->n_layers; i++)
        layers[i] = (struct fetch_layer){
            .digest = man->layers[i].digest,
            .size = man->layers[i].size,
            .gguf = oci_layer_kind(&man->layers[i]) == OCI_LAYER_GGUF,
        };
    r = fetch_layers(p->j, p->m, repo, t, layers, man->n_layers, err);
    free(layers);
    return r;
}

static int store_model_of(struct pull *p, struct registry_repo *repo,
                          const struct registry_manifest *got, struct error *err)
{
    struct oci_manifest man = {0};
    struct store_txn *t = NULL;
    int r = oci_manifest_parse(buf_str(&got->bytes), &man, err);
    if (r < 0)
        return r;
    r = store_begin(p->m->store, &t, err);
    if (r == 0)
        r = fetch_all(p, repo, t, &man, err);
    oci_manifest_release(&man);
    if (r < 0) {
        store_abort(t);
        return r;
    }
    struct oci_digest id;
    r = store_commit(t, buf_str(&got->bytes), p->tag[0] ? p->tag : NULL, &id, err);
    if (r == 0)
        job_done(p->j, "Model pulled successfully");
    return r;
}

/* Failures of the network have been tried again already; others may be those of a registry that
 * does not answer HEAD well, and GET tells more of them. */
static bool is_final(int r)
{
    return r == -ERR_UNAVAILABLE || r == -ERR_TIMEOUT || r == -ERR_BUSY || r == -ERR_IO ||
           r == -ERR_CANCELED;
}

static int pull_from(struct pull *p, struct registry_repo *repo, struct error *err)
{
    struct oci_digest id;
    struct error why = ERROR_INIT;
    /* Asking for the digest alone is cheap, also by the registries' way of counting. */
    int r = registry_resolve_digest(repo, NULL, job_cancel(p->j), &id, &why);
    if (is_final(r))
        return error_copy(err, &why);
    if (r == 0) {
        r = use_stored(p, &id, err);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    struct registry_manifest got = {0};
    r = registry_resolve(repo, NULL, job_cancel(p->j), &got, err);
    if (r == 0)
        r = use_stored(p, &got.digest, err);
    if (r == 0)
        r = store_model_of(p, repo, &got, err);
    registry_manifest_release(&got);
    return r < 0 ? r : 0;
}

static int pull_oci(struct pull *p, struct error *err)
{
    struct registry_repo *repo = NULL;
    int r =
        registry_repo_open(p->m->registry, &p->ref, REGISTRY_PULL, job_bearer(p->j), &repo, err);
    if (r == 0)
        r = pull_from(p, repo, err);
    registry_repo_close(repo);
    return r;
}

/* ---- names ---- */

/* Only a name can be looked up in a registry. */
static int parse_name(const struct models *m, const char *name, struct oci_reference *ret,
                      struct error *err)
{
    int r = oci_reference_parse(str_from(name), m->default_registry, ret, err);
    if (r == 0 && (ret->kind == OCI_REF_ID || !ret->repository[0]))
        r = error_set(err, ERR_INVALID, "'%s' is the id of a model, not a name at a registry",
                      name);
    if (r == 0)
        ret->kind = OCI_REF_NAME;
    return r;
}

static void tag_text(const struct oci_reference *ref, char out[OCI_REFERENCE_TEXT_MAX])
{
    out[0] = '\0';
    if (!ref->tag[0])
        return;
    struct oci_reference tag = *ref;
    tag.digest.text[0] = '\0';
    oci_reference_text(&tag, out);
}

static int pull_work(struct job *j, struct models *m, struct error *err)
{
    struct pull p = {.j = j, .m = m};
    int r = parse_name(m, job_name(j), &p.ref, err);
    if (r < 0)
        return r;
    tag_text(&p.ref, p.tag);
    r = job_take_slot(j, m, err);
    if (r < 0)
        return r;
    r = oci_reference_is_hugging_face(&p.ref) ? hf_pull(j, m, &p.ref, p.tag, err)
                                              : pull_oci(&p, err);
    job_give_slot(m);
    if (r < 0 && r != -ERR_UNSUPPORTED && r != -ERR_CANCELED)
        error_wrap(err, "failed to pull model \"%s\"", job_name(j));
    return r;
}

int models_pull(struct models *m, const char *name, const char *bearer, models_event_fn fn,
                void *ctx, struct http_cancel *cancel, char ret_message[MODELS_MESSAGE_MAX],
                struct error *err)
{
    struct oci_reference ref;
    char key[OCI_REFERENCE_TEXT_MAX];
    int r = parse_name(m, name, &ref, err);
    if (r < 0)
        return r;
    oci_reference_text(&ref, key);
    const struct job_request q = {
        .work = pull_work, .kind = "pull", .name = name, .key = key, .bearer = bearer};
    return job_follow(m, &q, fn, ctx, cancel, ret_message, err);
}

/* ---- looking without pulling ---- */

static int get_remote(struct registry_repo *repo, struct http_cancel *cancel,
                      struct model_info *ret, struct error *err)
{
    struct registry_manifest got = {0};
    struct oci_manifest man = {0};
    enum oci_config_kind kind;
    CLEANUP_BUF struct buf config = BUF_INIT(OCI_CONFIG_MAX_BYTES);
    int r = registry_resolve(repo, NULL, cancel, &got, err);
    if (r == 0)
        r = oci_manifest_parse(buf_str(&got.bytes), &man, err);
    if (r == 0)
        r = oci_config_kind_of(man.config.media_type, &kind, err);
    if (r == 0)
        r = registry_fetch_small(repo, &man.config.digest, man.config.size, cancel, &config, err);
    struct model_meta *meta = NULL;
    if (r == 0)
        r = models__meta_parse(&got.digest, buf_str(&got.bytes), buf_str(&config), &meta, err);
    if (r == 0) {
        const struct store_model nowhere = {.id = got.digest};
        models__info_fill(&nowhere, meta, ret);
    }
    oci_manifest_release(&man);
    registry_manifest_release(&got);
    return r;
}

int models_get_remote(struct models *m, const char *name, const char *bearer,
                      struct http_cancel *cancel, struct model_info *ret, struct error *err)
{
    struct oci_reference ref;
    struct registry_repo *repo = NULL;
    int r = parse_name(m, name, &ref, err);
    if (r == 0)
        r = registry_repo_open(m->registry, &ref, REGISTRY_PULL, bearer, &repo, err);
    if (r == 0)
        r = get_remote(repo, cancel, ret, err);
    registry_repo_close(repo);
    if (r < 0 && r != -ERR_UNSUPPORTED && r != -ERR_INVALID)
        error_wrap(err, "failed to pull model \"%s\"", name);
    return r;
}
