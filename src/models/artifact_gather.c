/* SPDX-License-Identifier: Apache-2.0
 *
 * What goes into an artifact: weights from a file, its shards, a directory or an existing model,
 * and what is added to them. Everything is opened and checked here, before a byte is written
 * anywhere. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/utf8.h"
#include "gguf/gguf.h"
#include "models/artifact_internal.h"
#include "models/gguf_info.h"
#include "models/safetensors_info.h"

enum {
    TEXT_MAX = 4 << 20, /* of a template or a licence */
    DIR_MAX_DEPTH = 16,
};

/* ---- files ---- */

/* `name`: the path in the artifact. */
static int add_named(struct builder *b, const char *path, const char *name, const char *media_type,
                     struct error *err)
{
    CLEANUP_FD int fd = -1;
    struct stat st;
    int r = file_open_regular(path, &fd, &st, err);
    if (r < 0)
        return r;
    struct artifact *a = b->a;
    if (a->n_files == ARTIFACT_MAX_FILES)
        return error_set(err, ERR_TOO_LARGE, "more than %d files in one model", ARTIFACT_MAX_FILES);
    a->files = xrealloc(a->files, a->n_files + 1, sizeof(*a->files));
    b->stats = xrealloc(b->stats, a->n_files + 1, sizeof(*b->stats));
    b->stats[a->n_files] = st;
    a->files[a->n_files++] = (struct artifact_file){
        .path = path_absolute(path),
        .name = xstrdup(name),
        .media_type = media_type,
        .size = (uint64_t)st.st_size,
    };
    a->total_bytes += (uint64_t)st.st_size;
    return 0;
}

static int add_file(struct builder *b, const char *path, const char *media_type, struct error *err)
{
    return add_named(b, path, path_base(path), media_type, err);
}

/* A template or licence, known to be a regular file, must be text. */
static int check_text(const char *path, const char *what, struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
    int r = file_read(path, &text, err);
    if (r < 0)
        return error_wrap(err, "%s", what);
    struct str s = buf_str(&text);
    if (s.len == 0)
        return error_set(err, ERR_INVALID, "the %s '%s' is empty", what, path);
    if (!utf8_valid(s.ptr, s.len) || str_find_char(s, '\0') >= 0)
        return error_set(err, ERR_INVALID, "the %s '%s' is not UTF-8 text", what, path);
    return 0;
}

/* Opens a GGUF whole, so that everything in its directory is checked. */
static int check_gguf(const char *path, struct gguf **ret, struct error *err)
{
    int r = gguf_open(path, 0, ret, err);
    if (r < 0)
        return error_wrap(err, "'%s' is not a usable GGUF file", path);
    return 0;
}

static bool is_mmproj(const struct gguf *g)
{
    struct str architecture = {NULL, 0};
    return gguf_want_str(g, "general.architecture", &architecture, NULL) == 0 &&
           str_eq_c(architecture, "clip");
}

static int check_mmproj(const char *path, struct error *err)
{
    CLEANUP(cleanup_gguf) struct gguf *g = NULL;
    int r = check_gguf(path, &g, err);
    if (r == 0 && !is_mmproj(g))
        return error_set(err, ERR_INVALID,
                         "'%s' is no multimodal projector: its architecture is not \"clip\"", path);
    return r;
}

/* Fills the config from what must be a model. */
static int describe_gguf(struct builder *b, const char *path, struct error *err)
{
    CLEANUP(cleanup_gguf) struct gguf *g = NULL;
    int r = check_gguf(path, &g, err);
    if (r < 0)
        return r;
    if (is_mmproj(g))
        return error_set(err, ERR_INVALID,
                         "'%s' is a multimodal projector; it goes with a model, as --mmproj", path);
    gguf_info_fill(g, &b->config);
    return 0;
}

/* ---- weights: GGUF ---- */

/* "NAME-00002-of-00005.gguf": fills the number of shards and the length of NAME. */
static bool is_shard_name(const char *base, const char *ending, unsigned *ret_number,
                          unsigned *ret_total, size_t *ret_stem)
{
    static const char pattern[] = "-#####-of-#####";
    size_t n = strlen(base), tail = sizeof(pattern) - 1 + strlen(ending);
    if (n <= tail || strcmp(base + n - strlen(ending), ending) != 0)
        return false;
    const char *p = base + n - tail;
    for (size_t i = 0; pattern[i]; i++) {
        bool fits = pattern[i] == '#' ? p[i] >= '0' && p[i] <= '9' : p[i] == pattern[i];
        if (!fits)
            return false;
    }
    *ret_number = (unsigned)strtoul(p + 1, NULL, 10);
    *ret_total = (unsigned)strtoul(p + 10, NULL, 10);
    *ret_stem = n - tail;
    return *ret_total > 0;
}

/* Adds the weights: the file, or all shards of it. */
static int add_gguf_files(struct builder *b, const char *path, struct error *err)
{
    unsigned number, total;
    size_t stem;
    if (!is_shard_name(path_base(path), ".gguf", &number, &total, &stem))
        return add_file(b, path, OCI_TYPE_GGUF, err);
    if (total > ARTIFACT_MAX_SHARDS)
        return error_set(err, ERR_INVALID, "'%s': %u shards; at most %d are allowed", path, total,
                         ARTIFACT_MAX_SHARDS);
    CLEANUP_FREE char *dir = path_dir(path);
    unsigned found = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned i = 1; i <= total; i++) {
            CLEANUP_FREE char *name =
                xasprintf("%.*s-%05u-of-%05u.gguf", (int)stem, path_base(path), i, total);
            CLEANUP_FREE char *shard = path_join(dir, name);
            if (pass == 0) {
                found += file_exists(shard);
                continue;
            }
            int r = add_file(b, shard, OCI_TYPE_GGUF, err);
            if (r < 0)
                return r;
        }
        if (found != total)
            return error_set(err, ERR_INVALID,
                             "incomplete shard set: found %u of %u shards for '%s'", found, total,
                             path);
    }
    return 0;
}

static int add_gguf(struct builder *b, const char *path, struct error *err)
{
    int r = add_gguf_files(b, path, err);
    return r < 0 ? r : describe_gguf(b, b->a->files[0].path, err);
}

/* ---- weights: DDUF ---- */

/* A DDUF file is a ZIP archive, for image models; what is in it is its engine's business. */
static int check_dduf(const char *path, struct error *err)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char magic[4] = {0};
    if (fd < 0 || read(fd, magic, 4) != 4 || memcmp(magic, "PK\3\4", 4) != 0)
        return error_set(err, ERR_INVALID, "'%s' is not a DDUF file (no ZIP archive)", path);
    return 0;
}

static int add_dduf(struct builder *b, const char *path, struct error *err)
{
    int r = add_file(b, path, OCI_TYPE_DDUF, err);
    if (r == 0)
        r = check_dduf(path, err);
    if (r < 0)
        return r;
    char size[GGUF_INFO_TEXT_MAX];
    format_decimal_size(b->a->files[0].size, size);
    b->config.format = xstrdup("dduf");
    b->config.architecture = xstrdup("diffusers");
    b->config.size = xstrdup(size);
    oci_map_set(&b->config.diffusers, STR("layout"), STR("dduf"));
    oci_map_set(&b->config.diffusers, STR("dduf_file"), str_from(path_base(path)));
    return 0;
}

/* ---- weights: a directory ---- */

static const char *media_type_of(const char *name)
{
    switch (oci_file_kind(str_from(name))) {
    case OCI_LAYER_GGUF:
        return OCI_TYPE_GGUF;
    case OCI_LAYER_SAFETENSORS:
        return OCI_TYPE_SAFETENSORS;
    case OCI_LAYER_DDUF:
        return OCI_TYPE_DDUF;
    case OCI_LAYER_MMPROJ:
        return OCI_TYPE_MMPROJ;
    case OCI_LAYER_TEMPLATE:
        return OCI_TYPE_TEMPLATE;
    case OCI_LAYER_LICENSE:
        return OCI_TYPE_LICENSE;
    default:
        return OCI_TYPE_FILE;
    }
}

static int is_wanted(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

/* Adds the files below `dir` in the order of their names; those that begin with a dot and links are
 * left out. `prefix`: path of dir in the artifact, "" or ending in '/'. */
static int add_directory(struct builder *b, const char *dir, const char *prefix, int depth,
                         struct error *err)
{
    if (depth > DIR_MAX_DEPTH)
        return error_set(err, ERR_INVALID, "'%s' is nested too deep", dir);
    struct dirent **entries = NULL;
    int n = scandir(dir, &entries, is_wanted, alphasort);
    if (n < 0)
        return error_errno(err, errno, "cannot read the directory '%s'", dir);
    int r = 0;
    for (int i = 0; i < n; i++) {
        CLEANUP_FREE char *path = path_join(dir, entries[i]->d_name);
        CLEANUP_FREE char *name = xasprintf("%s%s", prefix, entries[i]->d_name);
        struct stat st;
        if (r == 0 && lstat(path, &st) != 0)
            r = error_errno(err, errno, "cannot look at '%s'", path);
        if (r == 0 && S_ISDIR(st.st_mode)) {
            CLEANUP_FREE char *below = xasprintf("%s/", name);
            r = add_directory(b, path, below, depth + 1, err);
        } else if (r == 0 && S_ISREG(st.st_mode)) {
            r = add_named(b, path, name, media_type_of(name), err);
        }
        free(entries[i]);
    }
    free(entries);
    return r;
}

/* Every "NAME-00001-of-0000N" with this ending has all its siblings. */
static int check_shards(const struct builder *b, const char *ending, struct error *err)
{
    for (size_t i = 0; i < b->a->n_files; i++) {
        const char *name = b->a->files[i].name;
        unsigned number, total, found = 0;
        size_t stem;
        if (!is_shard_name(name, ending, &number, &total, &stem))
            continue;
        for (size_t k = 0; k < b->a->n_files; k++) {
            const char *other = b->a->files[k].name;
            unsigned other_number, other_total;
            size_t other_stem;
            found += is_shard_name(other, ending, &other_number, &other_total, &other_stem) &&
                     other_total == total && other_stem == stem && memcmp(other, name, stem) == 0;
        }
        if (found != total)
            return error_set(err, ERR_INVALID,
                             "incomplete shard set: found %u of %u shards for '%s'", found, total,
                             b->a->files[i].path);
    }
    return 0;
}

/* The files of a directory that are no safetensors, by what their names say that they are. A split
 * GGUF is opened at its first part, with all others. */
static int check_directory(const struct builder *b, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < b->a->n_files; i++) {
        const struct artifact_file *f = &b->a->files[i];
        unsigned number = 1, total;
        size_t stem;
        if (strcmp(f->media_type, OCI_TYPE_MMPROJ) == 0)
            r = check_mmproj(f->path, err);
        else if (strcmp(f->media_type, OCI_TYPE_DDUF) == 0)
            r = check_dduf(f->path, err);
        else if (strcmp(f->media_type, OCI_TYPE_TEMPLATE) == 0)
            r = check_text(f->path, "chat template", err);
        is_shard_name(f->name, ".gguf", &number, &total, &stem);
        if (strcmp(f->media_type, OCI_TYPE_GGUF) != 0 || number != 1)
            continue;
        CLEANUP(cleanup_gguf) struct gguf *g = NULL;
        r = check_gguf(f->path, &g, err);
    }
    return r;
}

static int describe_directory(struct builder *b, const char *dir, struct error *err)
{
    struct artifact *a = b->a;
    CLEANUP_FREE const char **weights = xcalloc(a->n_files + 1, sizeof(*weights));
    const char *gguf = NULL, *config = NULL, *dduf = NULL;
    size_t n = 0;
    for (size_t i = 0; i < a->n_files; i++) {
        const struct artifact_file *f = &a->files[i];
        if (strcmp(f->media_type, OCI_TYPE_SAFETENSORS) == 0)
            weights[n++] = f->path;
        if (strcmp(f->media_type, OCI_TYPE_GGUF) == 0 && !gguf)
            gguf = f->path;
        if (strcmp(f->media_type, OCI_TYPE_DDUF) == 0)
            dduf = f->path;
        if (strcmp(f->name, "config.json") == 0)
            config = f->path;
    }
    if (a->n_files == 0)
        return error_set(err, ERR_INVALID, "no files found in directory: %s", dir);
    if (n > 0)
        return safetensors_info_fill(weights, n, config, &b->config, err);
    if (gguf)
        return describe_gguf(b, gguf, err);
    if (!dduf)
        return error_set(err, ERR_INVALID,
                         "no weight files (safetensors, GGUF, or DDUF) found in directory: %s",
                         dir);
    b->config.format = xstrdup("dduf");
    return 0;
}

static int add_weights_directory(struct builder *b, const char *dir, struct error *err)
{
    b->per_file = true;
    int r = add_directory(b, dir, "", 0, err);
    if (r == 0)
        r = check_shards(b, ".safetensors", err);
    if (r == 0)
        r = check_shards(b, ".gguf", err);
    if (r == 0)
        r = check_directory(b, err);
    return r < 0 ? r : describe_directory(b, dir, err);
}

/* ---- weights: another model's ---- */

/* A layer of the base that a new file of the same kind replaces. */
static bool is_replaced(const struct artifact_source *src, enum oci_layer_kind kind)
{
    return (kind == OCI_LAYER_TEMPLATE && src->chat_template) ||
           (kind == OCI_LAYER_MMPROJ && src->mmproj);
}

/* The type by its constant, so that it need not be owned; NULL if it is none of ours. */
static const char *known_type(const char *media_type)
{
    static const char *const types[] = {OCI_TYPE_GGUF,   OCI_TYPE_SAFETENSORS, OCI_TYPE_DDUF,
                                        OCI_TYPE_MMPROJ, OCI_TYPE_TEMPLATE,    OCI_TYPE_LICENSE,
                                        OCI_TYPE_FILE,   OCI_TYPE_VLLM_TAR,    OCI_TYPE_DIR_TAR};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(types[i], media_type) == 0)
            return types[i];
    return NULL;
}

/* Docker's type for a layer of any family. */
static const char *type_of_layer(const struct oci_descriptor *d)
{
    const char *known = known_type(d->media_type);
    struct str path = oci_layer_path(d);
    CLEANUP_FREE char *name = path.ptr ? str_dup(path) : NULL;
    return known ? known : name ? media_type_of(name) : OCI_TYPE_FILE;
}

static int add_base(struct builder *b, const struct artifact_source *src, struct error *err)
{
    enum oci_config_kind kind;
    int r = oci_manifest_parse(src->base.manifest, &b->base, err);
    if (r == 0)
        r = oci_config_kind_of(b->base.config.media_type, &kind, err);
    if (r == 0)
        r = oci_model_config_parse(src->base.config, kind, &b->config, err);
    if (r < 0)
        return r;
    b->per_file = kind == OCI_CONFIG_V02;
    free(b->config.diff_ids);
    b->config.diff_ids = NULL;
    b->config.n_diff_ids = 0;
    struct artifact *a = b->a;
    a->files = xcalloc(b->base.n_layers + 1, sizeof(*a->files));
    b->stats = xcalloc(b->base.n_layers + 1, sizeof(*b->stats));
    for (size_t i = 0; i < b->base.n_layers; i++) {
        const struct oci_descriptor *d = &b->base.layers[i];
        if (is_replaced(src, oci_layer_kind(d)))
            continue;
        struct str path = oci_layer_path(d);
        a->files[a->n_files++] = (struct artifact_file){
            .name = path.ptr ? str_dup(path) : NULL,
            .media_type = type_of_layer(d),
            .digest = d->digest,
            .size = d->size,
            .base_layer = &b->base.layers[i],
        };
    }
    return 0;
}

/* ---- all of it ---- */

static int add_weights(struct builder *b, const struct artifact_source *src, struct error *err)
{
    int n = (src->gguf != NULL) + (src->safetensors_dir != NULL) + (src->dduf != NULL) +
            (src->base.manifest.ptr != NULL);
    if (n != 1)
        return error_set(err, ERR_INVALID, "%s to package", n ? "more than one model" : "no model");
    if (src->gguf)
        return add_gguf(b, src->gguf, err);
    if (src->safetensors_dir)
        return add_weights_directory(b, src->safetensors_dir, err);
    if (src->dduf)
        return add_dduf(b, src->dduf, err);
    return add_base(b, src, err);
}

static int add_extras(struct builder *b, const struct artifact_source *src, struct error *err)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < src->n_licenses; i++) {
        r = add_file(b, src->licenses[i], OCI_TYPE_LICENSE, err);
        if (r == 0)
            r = check_text(src->licenses[i], "licence", err);
    }
    if (r == 0 && src->chat_template) {
        r = add_file(b, src->chat_template, OCI_TYPE_TEMPLATE, err);
        if (r == 0)
            r = check_text(src->chat_template, "chat template", err);
    }
    if (r == 0 && src->mmproj) {
        r = add_file(b, src->mmproj, OCI_TYPE_MMPROJ, err);
        if (r == 0)
            r = check_mmproj(src->mmproj, err);
    }
    return r;
}

int artifact__gather(struct builder *b, const struct artifact_source *src, struct error *err)
{
    if (src->n_licenses > ARTIFACT_MAX_LICENSES)
        return error_set(err, ERR_INVALID, "more than %d licence files", ARTIFACT_MAX_LICENSES);
    if (src->context_size < 0)
        return error_set(err, ERR_INVALID, "the context size must not be negative");
    if (src->context_size > 0 && src->format == ARTIFACT_CNCF)
        return error_set(err, ERR_INVALID,
                         "a ModelPack artifact has no context size; leave it out, or package in "
                         "Docker's format");
    int r = add_weights(b, src, err);
    if (r < 0)
        return r;
    if (src->context_size > 0)
        b->config.context_size = src->context_size;
    return add_extras(b, src, err);
}
