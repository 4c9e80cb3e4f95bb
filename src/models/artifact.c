/* SPDX-License-Identifier: Apache-2.0
 *
 * The config and the manifest of a model artifact. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "models/artifact_internal.h"

static int hash_files(struct builder *b, struct error *err)
{
    for (size_t i = 0; i < b->a->n_files; i++) {
        struct artifact_file *f = &b->a->files[i];
        int r = f->path ? artifact__read_file(f, NULL, NULL, b, &f->digest, err) : 0;
        if (r < 0)
            return r;
        b->done += f->path ? f->size : 0;
    }
    return 0;
}

/* ---- config and manifest ---- */

static int read_epoch(struct builder *b, struct error *err)
{
    const char *text = getenv("SOURCE_DATE_EPOCH");
    if (!text || !*text)
        return 0;
    uint64_t s;
    int r = str_to_u64(str_from(text), "SOURCE_DATE_EPOCH", &s, err);
    if (r < 0)
        return r;
    if (s > 253402300799u)
        return error_set(err, ERR_INVALID, "SOURCE_DATE_EPOCH lies behind the year 9999");
    b->has_epoch = true;
    b->epoch = (time_t)s;
    return 0;
}

static void time_text(const struct builder *b, struct timespec t, char out[CLOCK_TEXT_MAX])
{
    clock_rfc3339_utc(b->has_epoch ? (struct timespec){.tv_sec = b->epoch} : t, out);
}

static void set_created(struct builder *b)
{
    struct timespec newest = {0};
    if (b->a->n_files > 0 && !b->a->files[0].path && b->config.created[0])
        return; /* a variant is as old as what it is made from */
    for (size_t i = 0; i < b->a->n_files; i++) {
        struct timespec t = b->stats[i].st_mtim;
        if (t.tv_sec > newest.tv_sec || (t.tv_sec == newest.tv_sec && t.tv_nsec > newest.tv_nsec))
            newest = t;
    }
    char text[CLOCK_TEXT_MAX];
    time_text(b, newest, text);
    free(b->config.created);
    b->config.created = xstrdup(text);
}

static int make_config(struct builder *b, enum artifact_format format, struct error *err)
{
    struct artifact *a = b->a;
    set_created(b);
    b->config.diff_ids = xcalloc(a->n_files, sizeof(*b->config.diff_ids));
    for (size_t i = 0; i < a->n_files; i++)
        b->config.diff_ids[b->config.n_diff_ids++] = a->files[i].digest;
    CLEANUP_BUF struct buf text = BUF_INIT(OCI_CONFIG_MAX_BYTES);
    if (format == ARTIFACT_CNCF)
        oci_model_config_write_cncf(&b->config, &text);
    else
        oci_model_config_write(&b->config, &text);
    int r = buf_check(&text, "the config of the model", err);
    if (r < 0)
        return r;
    a->config_digest = oci_digest_of(buf_str(&text));
    a->config_len = text.len;
    a->config = buf_take(&text);
    return a->config ? 0 : error_set(err, ERR_NOMEM, "out of memory");
}

/* The annotations that tell where a layer's file goes and what it was. */
static void annotate(const struct builder *b, size_t i, const char *name,
                     struct oci_descriptor *layer)
{
    const struct artifact_file *f = &b->a->files[i];
    if (f->base_layer) {
        oci_map_release(&layer->annotations);
        oci_map_copy(&f->base_layer->annotations, &layer->annotations);
        if (name && oci_map_get(&layer->annotations, OCI_ANNOTATION_FILEPATH).ptr)
            oci_map_set(&layer->annotations, STR(OCI_ANNOTATION_FILEPATH), str_from(name));
        return;
    }
    char mtime[CLOCK_TEXT_MAX];
    time_text(b, b->stats[i].st_mtim, mtime);
    CLEANUP_BUF struct buf text = BUF_INIT(64 << 10);
    buf_append_c(&text, "{\"name\":");
    oci_write_string(str_from(name), &text);
    buf_printf(&text,
               ",\"mode\":%u,\"uid\":0,\"gid\":0,\"size\":%llu,\"mtime\":\"%s\",\"typeflag\":0}",
               (unsigned)(b->stats[i].st_mode & 0777), (unsigned long long)f->size, mtime);
    oci_map_set(&layer->annotations, STR(OCI_ANNOTATION_FILE_METADATA), buf_str(&text));
    oci_map_set(&layer->annotations, STR(OCI_ANNOTATION_UNTESTED), STR("false"));
    oci_map_set(&layer->annotations, STR(OCI_ANNOTATION_FILEPATH), str_from(name));
}

/* ModelPack's types say little, so readers go by the name: it must show what the file is. The
 * caller frees. */
static char *cncf_name(const struct artifact_file *f)
{
    static const struct {
        const char *media_type;
        enum oci_layer_kind kind;
        const char *lead,
            *plain; /* put in front of a name that does not show it; for want of one */
    } rules[] = {
        {OCI_TYPE_GGUF, OCI_LAYER_GGUF, NULL, "model.gguf"},
        {OCI_TYPE_MMPROJ, OCI_LAYER_MMPROJ, "mmproj-", "mmproj.gguf"},
        {OCI_TYPE_TEMPLATE, OCI_LAYER_TEMPLATE, "chat_template-", "chat_template.jinja"},
        {OCI_TYPE_LICENSE, OCI_LAYER_LICENSE, "LICENSE-", "LICENSE"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (strcmp(f->media_type, rules[i].media_type) != 0)
            continue;
        if (!f->name)
            return xstrdup(rules[i].plain);
        if (oci_file_kind(str_from(f->name)) != rules[i].kind)
            return rules[i].lead ? xasprintf("%s%s", rules[i].lead, f->name)
                                 : xasprintf("%s.gguf", f->name);
    }
    return xstrdup(f->name ? f->name : "file");
}

static void add_layer(const struct builder *b, size_t i, enum artifact_format format,
                      struct oci_manifest *m)
{
    const struct artifact_file *f = &b->a->files[i];
    CLEANUP_FREE char *cncf = format == ARTIFACT_CNCF ? cncf_name(f) : NULL;
    const char *type = cncf ? oci_cncf_type(f->media_type, str_from(cncf)) : f->media_type;
    struct oci_descriptor *layer = oci_manifest_add_layer(m, type, &f->digest, f->size);
    annotate(b, i, cncf ? cncf : f->name, layer);
    if (cncf)
        oci_map_set(&layer->annotations, STR(OCI_ANNOTATION_FILEPATH), str_from(cncf));
}

static int make_manifest(struct builder *b, enum artifact_format format, struct error *err)
{
    struct artifact *a = b->a;
    struct oci_manifest m = {0};
    const char *config_type = b->per_file ? OCI_TYPE_CONFIG_V02 : OCI_TYPE_CONFIG_V01;
    if (format == ARTIFACT_CNCF) {
        m.artifact_type = xstrdup(OCI_TYPE_CNCF_ARTIFACT);
        config_type = OCI_TYPE_CONFIG_CNCF;
    }
    oci_manifest_set_config(&m, config_type, &a->config_digest, a->config_len);
    for (size_t i = 0; i < a->n_files; i++)
        add_layer(b, i, format, &m);
    CLEANUP_BUF struct buf text = BUF_INIT(OCI_MANIFEST_MAX_BYTES);
    oci_manifest_write(&m, &text);
    oci_manifest_release(&m);
    int r = buf_check(&text, "the manifest of the model", err);
    if (r < 0)
        return r;
    a->id = oci_digest_of(buf_str(&text));
    a->manifest_len = text.len;
    a->manifest = buf_take(&text);
    return a->manifest ? 0 : error_set(err, ERR_NOMEM, "out of memory");
}

int artifact_build(const struct artifact_source *src, artifact_progress_fn progress, void *ctx,
                   struct artifact **ret, struct error *err)
{
    struct builder b = {.a = xcalloc(1, sizeof(*b.a)), .progress = progress, .ctx = ctx};
    int r = read_epoch(&b, err);
    if (r == 0)
        r = artifact__gather(&b, src, err);
    if (r == 0)
        r = hash_files(&b, err);
    if (r == 0)
        r = make_config(&b, src->format, err);
    if (r == 0)
        r = make_manifest(&b, src->format, err);
    for (size_t i = 0; i < b.a->n_files; i++)
        b.a->files[i].base_layer = NULL;
    oci_manifest_release(&b.base);
    oci_model_config_release(&b.config);
    free(b.stats);
    if (r < 0) {
        artifact_free(b.a);
        return r;
    }
    *ret = b.a;
    return 0;
}

void artifact_free(struct artifact *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->n_files; i++) {
        free(a->files[i].path);
        free(a->files[i].name);
    }
    free(a->files);
    free(a->config);
    free(a->manifest);
    free(a);
}
