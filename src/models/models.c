/* SPDX-License-Identifier: Apache-2.0
 *
 * The models on this machine: finding, listing, running, naming, removing. */
#include "models/models.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "models/job.h"
#include "models/models_internal.h"

enum { DEFAULT_MAX_PULLS = 2 };

/* ---- opening ---- */

static int default_root(char **ret, struct error *err)
{
    const char *path = getenv("MODELS_PATH");
    if (path && *path) {
        *ret = xstrdup(path);
        return 0;
    }
    const char *home = getenv("HOME");
    if (!home || !*home)
        return error_set(err, ERR_INVALID,
                         "failed to get models path: HOME is not set; set MODELS_PATH");
    *ret = path_join(home, ".docker/models");
    return 0;
}

int models_open(const struct models_options *o, struct models **ret, struct error *err)
{
    CLEANUP_FREE char *root = NULL;
    int r = 0;
    if (o->root && *o->root)
        root = xstrdup(o->root);
    else
        r = default_root(&root, err);
    if (r < 0)
        return r;
    struct models *m = xcalloc(1, sizeof(*m));
    pthread_mutex_init(&m->meta_lock, NULL);
    pthread_mutex_init(&m->jobs_lock, NULL);
    pthread_cond_init(&m->jobs_changed, NULL);
    m->max_pulls = o->max_pulls ? o->max_pulls : DEFAULT_MAX_PULLS;
    m->default_registry = xstrdup(
        o->default_registry && *o->default_registry ? o->default_registry : oci_default_registry());
    struct registry_options from_env = registry_options_from_env();
    r = store_open(root, &m->store, err);
    if (r == 0)
        r = registry_new(o->registry ? o->registry : &from_env, &m->registry, err);
    if (r < 0) {
        models_close(m);
        return r;
    }
    *ret = m;
    return 0;
}

void models_close(struct models *m)
{
    if (!m)
        return;
    jobs_end(m);
    models__meta_clear(m);
    registry_free(m->registry);
    store_close(m->store);
    pthread_cond_destroy(&m->jobs_changed);
    pthread_mutex_destroy(&m->jobs_lock);
    pthread_mutex_destroy(&m->meta_lock);
    free(m->default_registry);
    free(m);
}

const char *models_root(const struct models *m)
{
    return store_root(m->store);
}

/* ---- finding ---- */

static int not_found(const char *name, struct error *err)
{
    return error_set(err, ERR_NOT_FOUND, "get model '\"%s\"': model not found", name);
}

int models__find(struct models *m, const struct store_index *idx, const char *name, int flags,
                 const struct store_model **ret, struct error *err)
{
    struct oci_reference ref;
    const struct store_model *found = NULL;
    int r = oci_reference_parse(str_from(name), m->default_registry, &ref, err);
    if (r == 0)
        r = store_index_find(idx, &ref, &found, NULL, err);
    if (r < 0)
        return r;
    if (!found && (flags & MODELS_PARTIAL))
        found = store_index_find_partial(idx, str_trim(str_from(name)));
    if (!found)
        return not_found(name, err);
    *ret = found;
    return 0;
}

int models__open(struct models *m, const char *name, int flags, struct model_meta **ret,
                 struct error *err)
{
    CLEANUP_INDEX const struct store_index *idx = NULL;
    const struct store_model *found = NULL;
    int r = store_index_get(m->store, &idx, err);
    if (r == 0)
        r = models__find(m, idx, name, flags, &found, err);
    return r == 0 ? models__meta_get(m, &found->id, ret, err) : r;
}

int models_resolve_id(struct models *m, const char *name, int flags,
                      char ret_id[OCI_DIGEST_TEXT_MAX], struct error *err)
{
    CLEANUP_INDEX const struct store_index *idx = NULL;
    const struct store_model *found = NULL;
    int r = store_index_get(m->store, &idx, err);
    if (r == 0)
        r = models__find(m, idx, name, flags, &found, err);
    if (r == 0)
        memcpy(ret_id, found->id.text, OCI_DIGEST_TEXT_MAX);
    return r;
}

/* ---- listing ---- */

void models__info_fill(const struct store_model *s, const struct model_meta *meta,
                       struct model_info *i)
{
    *i = (struct model_info){
        .created = meta->config.created_s,
        .format = meta->config.format,
        .quantization = meta->config.quantization,
        .parameters = meta->config.parameters,
        .architecture = meta->config.architecture,
        .size = meta->config.size,
        .context_size = meta->config.context_size,
        .bytes = meta->bytes,
        .config_json = meta->config_json,
        .meta = meta,
    };
    memcpy(i->id, s->id.text, sizeof(i->id));
    if (s->n_tags)
        i->tags = xcalloc(s->n_tags, sizeof(*i->tags));
    for (; i->n_tags < s->n_tags; i->n_tags++)
        i->tags[i->n_tags] = xstrdup(s->tags[i->n_tags]);
}

void model_info_release(struct model_info *i)
{
    for (size_t k = 0; k < i->n_tags; k++)
        free(i->tags[k]);
    free(i->tags);
    models__meta_unref(i->meta);
    *i = (struct model_info){0};
}

int models_list(struct models *m, struct model_list *ret, struct error *err)
{
    CLEANUP_INDEX const struct store_index *idx = NULL;
    int r = store_index_get(m->store, &idx, err);
    if (r < 0)
        return r;
    enum { WORTH_SAVING = 32 }; /* models that had to be read */
    size_t n_fresh;
    struct model_list l = {.items = xcalloc(idx->n_models + 1, sizeof(*l.items))};
    CLEANUP_FREE struct model_meta **metas = xcalloc(idx->n_models + 1, sizeof(*metas));
    models__metas(m, idx, metas, &n_fresh);
    for (size_t i = 0; i < idx->n_models; i++)
        if (metas[i])
            models__info_fill(&idx->models[i], metas[i], &l.items[l.n++]);
    if (n_fresh >= WORTH_SAVING)
        models__summaries_save(m, &l);
    *ret = l;
    return 0;
}

void model_list_release(struct model_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        model_info_release(&l->items[i]);
    free(l->items);
    *l = (struct model_list){0};
}

int models_get(struct models *m, const char *name, int flags, struct model_info *ret,
               struct error *err)
{
    CLEANUP_INDEX const struct store_index *idx = NULL;
    const struct store_model *found = NULL;
    struct model_meta *meta = NULL;
    int r = store_index_get(m->store, &idx, err);
    if (r == 0)
        r = models__find(m, idx, name, flags, &found, err);
    if (r == 0)
        r = models__meta_get(m, &found->id, &meta, err);
    if (r == 0)
        models__info_fill(found, meta, ret);
    return r;
}

/* ---- running ---- */

/* What config.json of the bundle holds. */
static int bundle_config(struct models *m, const struct model_meta *meta, struct buf *out,
                         struct error *err)
{
    if (meta->kind == OCI_CONFIG_CNCF)
        return store_read_blob(m->store, &meta->manifest.config.digest, out, err);
    return buf_append_c(out, meta->config_json) < 0 ? buf_check(out, "config.json", err) : 0;
}

static bool is_weight(enum oci_layer_kind kind)
{
    return kind == OCI_LAYER_GGUF || kind == OCI_LAYER_SAFETENSORS || kind == OCI_LAYER_DDUF;
}

static void set_once(char **path, const struct bundle *b, const struct bundle_file *f)
{
    if (!*path)
        *path = path_join(b->dir, f->path);
}

static void pick_files(const struct bundle *b, struct model_files *f)
{
    for (size_t i = 0; i < b->n_files; i++) {
        const struct bundle_file *x = &b->files[i];
        if (is_weight(x->kind))
            set_once(&f->model_path, b, x);
        else if (x->kind == OCI_LAYER_MMPROJ)
            set_once(&f->mmproj_path, b, x);
        else if (x->kind == OCI_LAYER_TEMPLATE && str_ends_with(str_from(x->path), STR(".jinja")))
            set_once(&f->template_path, b, x);
    }
}

int models_resolve_file(struct models *m, const char *name, struct model_files *ret,
                        struct error *err)
{
    CLEANUP_META struct model_meta *meta = NULL;
    CLEANUP_BUF struct buf config = BUF_INIT((size_t)OCI_CONFIG_MAX_BYTES * 6);
    int r = models__open(m, name, MODELS_EXACT, &meta, err);
    if (r == 0)
        r = bundle_config(m, meta, &config, err);
    if (r < 0)
        return r;
    struct bundle b = {0};
    r = bundle_plan(&meta->manifest, meta->kind, &b, err);
    if (r == 0)
        r = store_bundle(m->store, &meta->id, buf_str(&config), &b, err);
    if (r < 0) {
        bundle_release(&b);
        return error_wrap(err, "model '%s'", name);
    }
    struct model_files f = {.context_size = meta->config.context_size, .bytes = meta->bytes};
    memcpy(f.id, meta->id.text, sizeof(f.id));
    pick_files(&b, &f);
    f.dir = TAKE(b.dir);
    f.format = xstrdup(meta->config.format);
    f.architecture = xstrdup(meta->config.architecture);
    bundle_release(&b);
    if (!f.model_path) {
        model_files_release(&f);
        return error_set(err, ERR_UNSUPPORTED, "model '%s' has no weights", name);
    }
    *ret = f;
    return 0;
}

void model_files_release(struct model_files *f)
{
    free(f->dir);
    free(f->model_path);
    free(f->mmproj_path);
    free(f->template_path);
    free(f->format);
    free(f->architecture);
    *f = (struct model_files){0};
}

/* ---- names ---- */

int models__target(struct models *m, const char *name, char ret[OCI_REFERENCE_TEXT_MAX],
                   struct error *err)
{
    struct oci_reference ref;
    int r = oci_reference_parse(str_from(name), m->default_registry, &ref, err);
    if (r < 0)
        return r;
    if (ref.kind == OCI_REF_ID || ref.digest.text[0])
        return error_set(err, ERR_INVALID,
                         "'%s' is a digest; a model gets a name, such as myorg/model:tag", name);
    oci_reference_text(&ref, ret);
    return 0;
}

int models_tag(struct models *m, const char *name, const char *repo, const char *tag,
               struct error *err)
{
    char target[OCI_REFERENCE_TEXT_MAX], id[OCI_DIGEST_TEXT_MAX];
    CLEANUP_FREE char *typed = xasprintf("%s:%s", repo, tag);
    int r = models__target(m, typed, target, err);
    if (r == 0)
        r = models_resolve_id(m, name, MODELS_PARTIAL, id, err);
    struct oci_digest digest;
    if (r == 0)
        r = oci_digest_parse(str_from(id), &digest, err);
    if (r == 0)
        r = store_tag(m->store, &digest, target, err);
    return r;
}

static void removal_write(const struct store_removal *done, struct buf *out)
{
    buf_push(out, '[');
    for (size_t i = 0; i < done->n_untagged; i++) {
        buf_append_c(out, i ? ",{\"Untagged\":" : "{\"Untagged\":");
        oci_write_string(str_from(done->untagged[i]), out);
        buf_push(out, '}');
    }
    if (done->deleted)
        buf_printf(out, "%s{\"Deleted\":\"%s\"}", done->n_untagged ? "," : "", done->id.text);
    buf_push(out, ']');
}

int models_remove(struct models *m, const char *name, bool force, struct buf *out,
                  struct error *err)
{
    struct oci_reference ref;
    int r = oci_reference_parse(str_from(name), m->default_registry, &ref, err);
    if (r < 0)
        return r;
    struct store_removal done;
    struct error why = ERROR_INIT;
    r = store_remove(m->store, &ref, name, force ? STORE_REMOVE_FORCE : 0, &done, &why);
    if (r == -ERR_NOT_FOUND)
        return not_found(name, err);
    if (r < 0)
        return error_copy(err, &why);
    removal_write(&done, out);
    store_removal_release(&done);
    return buf_check(out, "the list of what was removed", err);
}

/* ---- care ---- */

int models_disk_usage(struct models *m, uint64_t *ret, struct error *err)
{
    return store_disk_usage(m->store, ret, err);
}

uint64_t models_pulled_bytes(struct models *m)
{
    return m->pulled_bytes;
}

int models_waste(struct models *m, uint64_t *ret_bytes, uint64_t *ret_partial, struct error *err)
{
    struct store_waste waste;
    int r = store_waste(m->store, &waste, err);
    if (r == 0) {
        *ret_bytes = waste.bytes;
        *ret_partial = waste.partial_bytes;
    }
    return r;
}

int models_purge(struct models *m, struct error *err)
{
    int r = store_reset(m->store, err);
    if (r == 0)
        models__meta_clear(m);
    return r;
}

int models_prune(struct models *m, int64_t min_age_s, uint64_t *ret_bytes, struct error *err)
{
    return store_prune(m->store, min_age_s, ret_bytes, err);
}

int models_verify(struct models *m, const char *name, models_found_fn found,
                  models_verify_fn progress, void *ctx, size_t *ret_bad, struct error *err)
{
    if (!name)
        return store_verify(m->store, NULL, found, progress, ctx, ret_bad, err);
    char text[OCI_DIGEST_TEXT_MAX];
    struct oci_digest id;
    int r = models_resolve_id(m, name, MODELS_EXACT, text, err);
    if (r == 0)
        r = oci_digest_parse(str_from(text), &id, err);
    return r == 0 ? store_verify(m->store, &id, found, progress, ctx, ret_bad, err) : r;
}
