/* SPDX-License-Identifier: Apache-2.0
 *
 * Bundles: planning the names, linking the files, publishing by rename. */
#include "store/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "store/store_internal.h"

void bundle_release(struct bundle *b)
{
    free(b->dir);
    for (size_t i = 0; i < b->n_files; i++)
        free(b->files[i].path);
    free(b->files);
    *b = (struct bundle){0};
}

/* ---- the plan ---- */

static int check_path(struct str path, struct error *err)
{
    const char *trouble = NULL;
    if (path.len == 0)
        trouble = "it is empty";
    else if (path.len > BUNDLE_PATH_MAX)
        trouble = "it is too long";
    else if (path.ptr[0] == '/')
        trouble = "it is absolute";
    for (size_t i = 0; !trouble && i < path.len; i++)
        if ((unsigned char)path.ptr[i] < 0x20 || path.ptr[i] == 0x7f || path.ptr[i] == '\\')
            trouble = "it holds a character that file names should not have";
    size_t depth = 0;
    struct str rest = path, part;
    while (!trouble && str_split_next(&rest, '/', &part)) {
        if (part.len == 0 || str_eq_c(part, ".") || str_eq_c(part, ".."))
            trouble = "it has a part that is empty, '.' or '..'";
        else if (part.len > 255 || ++depth > BUNDLE_MAX_DEPTH)
            trouble = "it is too long";
    }
    if (!trouble)
        return 0;
    return error_set(err, ERR_CORRUPT, "invalid file path \"%.*s\" of a layer: %s",
                     (int)MIN(path.len, (size_t)200), path.ptr ? path.ptr : "", trouble);
}

/* Adds a file; the same content for the same path once only. Takes path over. */
static int add_file(struct bundle *b, char *path, const struct oci_descriptor *d,
                    enum oci_layer_kind kind, struct error *err)
{
    for (size_t i = 0; i < b->n_files; i++) {
        if (strcmp(b->files[i].path, path) != 0)
            continue;
        bool same = oci_digest_eq(&b->files[i].digest, &d->digest);
        int r = same
                    ? 0
                    : error_set(err, ERR_CORRUPT,
                                "filepath collision: annotations \"%s\" and \"%s\" both resolve to "
                                "\"%s\"",
                                path, path, path);
        free(path);
        return r;
    }
    b->files = xrealloc(b->files, b->n_files + 1, sizeof(*b->files));
    b->files[b->n_files++] =
        (struct bundle_file){.path = path, .kind = kind, .digest = d->digest, .size = d->size};
    return 0;
}

static int add_at_annotation(struct bundle *b, const struct oci_descriptor *d,
                             enum oci_layer_kind kind, struct error *err)
{
    struct str path = oci_layer_path(d);
    int r = check_path(path, err);
    if (r < 0)
        return r;
    char *copy = str_dup(path);
    return copy ? add_file(b, copy, d, kind, err) : error_set(err, ERR_NOMEM, "out of memory");
}

/* Weights without a path of their own: stem.ext, or stem-00001-of-0000N.ext. */
static char *weight_name(const char *ext, size_t at, size_t n)
{
    if (n == 1)
        return xasprintf("model.%s", ext);
    return xasprintf("model-%05zu-of-%05zu.%s", at + 1, n, ext);
}

static int plan_v01(const struct oci_manifest *m, struct bundle *b, struct error *err)
{
    size_t n_gguf = 0, n_safetensors = 0, gguf = 0, safetensors = 0;
    for (size_t i = 0; i < m->n_layers; i++) {
        n_gguf += oci_layer_kind(&m->layers[i]) == OCI_LAYER_GGUF;
        n_safetensors += oci_layer_kind(&m->layers[i]) == OCI_LAYER_SAFETENSORS;
    }
    for (size_t i = 0; i < m->n_layers; i++) {
        const struct oci_descriptor *d = &m->layers[i];
        enum oci_layer_kind kind = oci_layer_kind(d);
        bool annotated = oci_layer_path(d).ptr;
        int r = 0;
        switch (kind) {
        case OCI_LAYER_GGUF:
            r = add_file(b, weight_name("gguf", gguf++, n_gguf), d, kind, err);
            break;
        case OCI_LAYER_SAFETENSORS:
            r = annotated ? add_at_annotation(b, d, kind, err)
                          : add_file(b, weight_name("safetensors", safetensors, n_safetensors), d,
                                     kind, err);
            safetensors++;
            break;
        case OCI_LAYER_DDUF:
            r = add_file(b, xstrdup("model.dduf"), d, kind, err);
            break;
        case OCI_LAYER_MMPROJ:
            r = add_file(b, xstrdup("model.mmproj"), d, kind, err);
            break;
        case OCI_LAYER_TEMPLATE:
            r = add_file(b, xstrdup("template.jinja"), d, kind, err);
            break;
        case OCI_LAYER_FILE:
            r = annotated ? add_at_annotation(b, d, kind, err) : 0;
            break;
        case OCI_LAYER_LICENSE:
        case OCI_LAYER_DOC:
        case OCI_LAYER_TAR:
        case OCI_LAYER_OTHER:
            break;
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static int plan_annotated(const struct oci_manifest *m, struct bundle *b, struct error *err)
{
    for (size_t i = 0; i < m->n_layers; i++) {
        const struct oci_descriptor *d = &m->layers[i];
        if (!oci_layer_path(d).ptr)
            continue;
        int r = add_at_annotation(b, d, oci_layer_kind(d), err);
        if (r < 0)
            return r;
    }
    return 0;
}

int bundle_plan(const struct oci_manifest *m, enum oci_config_kind kind, struct bundle *ret,
                struct error *err)
{
    struct bundle b = {0};
    int r = kind == OCI_CONFIG_V01 ? plan_v01(m, &b, err) : plan_annotated(m, &b, err);
    if (r < 0) {
        bundle_release(&b);
        return r;
    }
    *ret = b;
    return 0;
}

/* ---- making it ---- */

/* Opens the directory of a file of the bundle under `model`, making what is missing; *ret_name is
 * the last part of the path. */
static int open_parent(int model, const char *path, int *ret_fd, const char **ret_name,
                       struct error *err)
{
    CLEANUP_FD int dir = openat(model, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct str rest = str_from(path), part;
    for (;;) {
        ptrdiff_t slash = str_find_char(rest, '/');
        if (dir < 0)
            return error_errno(err, errno, "cannot open the directory of '%s' in a bundle", path);
        if (slash < 0)
            break;
        str_split_next(&rest, '/', &part);
        char name[256];
        snprintf(name, sizeof(name), "%.*s", (int)part.len, part.ptr);
        if (mkdirat(dir, name, 0755) != 0 && errno != EEXIST)
            return error_errno(err, errno, "cannot create '%s' in a bundle", path);
        int next = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        close(dir);
        dir = next;
    }
    *ret_name = rest.ptr;
    *ret_fd = TAKE_FD(dir);
    return 0;
}

/* Is a file of the bundle the blob, or a copy of it, made where there are no hard links? The blob may
 * have been replaced since, for being damaged. */
static bool is_same(struct store *s, const struct bundle_file *f, const struct stat *st)
{
    CLEANUP_FD int fd = -1;
    struct stat blob;
    if (!S_ISREG(st->st_mode) || (uint64_t)st->st_size != f->size ||
        store_open_blob(s, &f->digest, f->size, &fd, NULL) < 0 || fstat(fd, &blob) != 0)
        return false;
    return (st->st_ino == blob.st_ino && st->st_dev == blob.st_dev) ||
           store__is_checked(s, &f->digest, st);
}

/* Are all planned files there? Each part of a path must be a directory, no link. */
static bool is_complete(struct store *s, const struct oci_digest *id, const struct bundle *b)
{
    CLEANUP_FD int area = -1;
    CLEANUP_FD int model = -1;
    if (store__open_area(s, STORE_BUNDLES, "sha256", false, &area, NULL) < 0)
        return false;
    char path[OCI_DIGEST_TEXT_MAX + 8];
    struct stat st;
    if (fstatat(area, oci_digest_hex(id), &st, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(st.st_mode))
        return false;
    snprintf(path, sizeof(path), "%s/model", oci_digest_hex(id));
    model = openat(area, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    for (size_t i = 0; model >= 0 && i < b->n_files; i++) {
        if (fstatat(model, b->files[i].path, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            !is_same(s, &b->files[i], &st))
            return false;
    }
    return model >= 0;
}

static int link_files(struct store *s, int model, const struct bundle *b, struct error *err)
{
    for (size_t i = 0; i < b->n_files; i++) {
        const struct bundle_file *f = &b->files[i];
        CLEANUP_FD int blob = -1; /* checks kind and size */
        CLEANUP_FD int blobs = -1;
        CLEANUP_FD int dir = -1;
        const char *name = NULL;
        int r = store_open_blob(s, &f->digest, f->size, &blob, err);
        if (r == 0)
            r = store__open_area(s, STORE_BLOBS, oci_digest_algorithm(&f->digest), false, &blobs,
                                 err);
        if (r == 0)
            r = open_parent(model, f->path, &dir, &name, err);
        if (r == 0)
            r = store__link_or_copy(blobs, oci_digest_hex(&f->digest), dir, name, f->digest.text,
                                    err);
        if (r < 0)
            return r;
        struct stat st; /* of a copy, if it is one */
        if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            !store__is_checked(s, &f->digest, &st))
            store__set_checked(s, &f->digest, &st);
    }
    return 0;
}

static int write_config(int dir, struct str config, struct error *err)
{
    CLEANUP_FD int fd = openat(dir, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_errno(err, errno, "cannot create config.json of a bundle");
    int r = fd_write_all(fd, "config.json of a bundle", config.ptr, config.len, err);
    if (r == 0)
        r = fd_write_all(fd, "config.json of a bundle", "\n", 1, err);
    if (r == 0 && fsync(fd) != 0)
        r = error_errno(err, errno, "cannot sync config.json of a bundle");
    return r;
}

/* Fills the new directory area/temp. */
static int fill(struct store *s, int area, const char *temp, struct str config,
                const struct bundle *b, struct error *err)
{
    if (mkdirat(area, temp, 0755) != 0)
        return error_errno(err, errno, "cannot create a bundle in '%s'", s->root);
    CLEANUP_FD int dir = openat(area, temp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0 || mkdirat(dir, "model", 0755) != 0)
        return error_errno(err, errno, "cannot create a bundle in '%s'", s->root);
    CLEANUP_FD int model = openat(dir, "model", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (model < 0)
        return error_errno(err, errno, "cannot open a bundle in '%s'", s->root);
    int r = link_files(s, model, b, err);
    if (r == 0)
        r = write_config(dir, config, err);
    if (r == 0)
        r = store__fsync_dir(model, "a bundle", err);
    if (r == 0)
        r = store__fsync_dir(dir, "a bundle", err);
    return r;
}

static bool has_model(struct store *s, const struct oci_digest *id)
{
    CLEANUP_INDEX const struct store_index *idx = NULL;
    if (store_index_get(s, &idx, NULL) < 0)
        return false;
    for (size_t i = 0; i < idx->n_models; i++)
        if (oci_digest_eq(&idx->models[i].id, id))
            return true;
    return false;
}

/* Gives area/temp the final name, under the index lock, so that it cannot outlive its model. What
 * stands there unfinished or damaged is moved out of the way to area/old. */
static int publish(struct store *s, const struct oci_digest *id, int area, const char *temp,
                   const char *old, const struct bundle *b, struct error *err)
{
    CLEANUP_LOCK struct store_lock lock = STORE_LOCK_INIT;
    int r = store__lock_index(s, &lock, err);
    if (r < 0)
        return r;
    if (!has_model(s, id))
        return error_set(err, ERR_NOT_FOUND, "model not found");
    if (is_complete(s, id, b))
        return 0; /* somebody else was faster */
    if (renameat(area, oci_digest_hex(id), area, old) != 0 && errno != ENOENT)
        return error_errno(err, errno, "cannot replace a bundle in '%s'", s->root);
    if (renameat(area, temp, area, oci_digest_hex(id)) != 0)
        return error_errno(err, errno, "cannot name a bundle in '%s'", s->root);
    return store__fsync_dir(area, "the bundles", err);
}

static int make(struct store *s, const struct oci_digest *id, struct str config,
                const struct bundle *b, struct error *err)
{
    CLEANUP_LOCK struct store_lock writers = STORE_LOCK_INIT;
    CLEANUP_FD int area = -1;
    int r = store__lock_writers(s, false, &writers, err);
    if (r == 0)
        r = store__open_area(s, STORE_BUNDLES, "sha256", true, &area, err);
    if (r < 0)
        return r;
    char temp[96], old[96];
    store__temp_name(s, ".tmp-", "", temp);
    store__temp_name(s, ".tmp-", "", old);
    r = fill(s, area, temp, config, b, err);
    if (r == 0)
        r = publish(s, id, area, temp, old, b, err);
    dir_remove_tree_at(area, temp, NULL);
    dir_remove_tree_at(area, old, NULL);
    return r;
}

int store_bundle(struct store *s, const struct oci_digest *id, struct str config, struct bundle *b,
                 struct error *err)
{
    if (strcmp(oci_digest_algorithm(id), "sha256") != 0)
        return error_set(err, ERR_UNSUPPORTED, "%.20s…: only sha256 models can be run", id->text);
    for (size_t i = 0; i < b->n_files; i++) {
        struct stat st;
        int r = store__trust_blob(s, &b->files[i].digest, b->files[i].size, &st, err);
        if (r < 0)
            return r;
    }
    if (!is_complete(s, id, b)) {
        int r = make(s, id, config, b, err);
        if (r < 0)
            return r;
    }
    CLEANUP_FREE char *dir = store__path(s, STORE_BUNDLES, id);
    free(b->dir);
    b->dir = path_join(dir, "model");
    return 0;
}
