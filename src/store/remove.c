/* SPDX-License-Identifier: Apache-2.0
 *
 * Names and removal: tag, untag, remove, and the cleaning of what nothing names. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "store/store_internal.h"

/* ---- tags ---- */

int store_tag(struct store *s, const struct oci_digest *id, const char *tag, struct error *err)
{
    CLEANUP_LOCK struct store_lock lock = STORE_LOCK_INIT;
    CLEANUP_INDEX const struct store_index *now = NULL;
    int r = store__lock_index(s, &lock, err);
    if (r == 0)
        r = store_index_get(s, &now, err);
    if (r < 0)
        return r;
    struct store_index *next = store__index_edit(now);
    struct store_model *model = store__index_model(next, id);
    if (!model) {
        store_index_unref(next);
        return error_set(err, ERR_NOT_FOUND, "model not found");
    }
    for (size_t i = 0; i < model->n_tags; i++) {
        if (strcmp(model->tags[i], tag) == 0) {
            store_index_unref(next);
            return 0; /* it has it */
        }
    }
    store__index_take_tag(next, tag);
    store__model_add_tag(model, tag);
    return store__index_publish(s, next, err);
}

int store_untag(struct store *s, const char *tag, struct error *err)
{
    CLEANUP_LOCK struct store_lock lock = STORE_LOCK_INIT;
    CLEANUP_INDEX const struct store_index *now = NULL;
    int r = store__lock_index(s, &lock, err);
    if (r == 0)
        r = store_index_get(s, &now, err);
    if (r < 0)
        return r;
    struct store_index *next = store__index_edit(now);
    if (!store__index_take_tag(next, tag)) {
        store_index_unref(next);
        return error_set(err, ERR_NOT_FOUND, "no model has the tag '%s'", tag);
    }
    return store__index_publish(s, next, err);
}

/* ---- sets of digests ---- */

struct digest_set {
    struct oci_digest *items; /* sorted by digest_set_sort() before asking */
    size_t n, cap;
};

static void set_add(struct digest_set *set, const struct oci_digest *d)
{
    if (set->n == set->cap) {
        set->cap = set->cap ? 2 * set->cap : 64;
        set->items = xrealloc(set->items, set->cap, sizeof(*set->items));
    }
    set->items[set->n++] = *d;
}

static int digest_cmp(const void *a, const void *b)
{
    return strcmp(((const struct oci_digest *)a)->text, ((const struct oci_digest *)b)->text);
}

static void set_sort(struct digest_set *set)
{
    if (set->n)
        qsort(set->items, set->n, sizeof(*set->items), digest_cmp);
}

static bool set_has(const struct digest_set *set, const struct oci_digest *d)
{
    return set->n && bsearch(d, set->items, set->n, sizeof(*set->items), digest_cmp);
}

static void set_release(struct digest_set *set)
{
    free(set->items);
}
#define CLEANUP_SET CLEANUP(set_release)

/* What the models of the index consist of, as the index says. */
static void collect_files(const struct store_index *idx, struct digest_set *set)
{
    for (size_t i = 0; i < idx->n_models; i++)
        for (size_t k = 0; k < idx->models[i].n_files; k++)
            set_add(set, &idx->models[i].files[k]);
    set_sort(set);
}

/* And as their manifests say, should the two differ. */
static void collect_layers(struct store *s, const struct store_index *idx, struct digest_set *set)
{
    for (size_t i = 0; i < idx->n_models; i++) {
        const struct store_model *m = &idx->models[i];
        CLEANUP_BUF struct buf text = BUF_INIT(OCI_MANIFEST_MAX_BYTES);
        struct oci_manifest manifest = {0};
        if (store_read_manifest(s, &m->id, &text, NULL) < 0 ||
            oci_manifest_parse(buf_str(&text), &manifest, NULL) < 0)
            continue;
        set_add(set, &manifest.config.digest);
        for (size_t k = 0; k < manifest.n_layers; k++)
            set_add(set, &manifest.layers[k].digest);
        oci_manifest_release(&manifest);
    }
    set_sort(set);
}

/* ---- removal of a model ---- */

void store_removal_release(struct store_removal *r)
{
    for (size_t i = 0; i < r->n_untagged; i++)
        free(r->untagged[i]);
    free(r->untagged);
    *r = (struct store_removal){0};
}

static void removal_untag(struct store_removal *r, const char *tag)
{
    r->untagged = xrealloc(r->untagged, r->n_untagged + 1, sizeof(*r->untagged));
    r->untagged[r->n_untagged++] = xstrdup(tag);
}

static void unlink_in(const struct store *s, enum store_area area, const struct oci_digest *d)
{
    CLEANUP_FD int dir = -1;
    if (store__open_area(s, area, oci_digest_algorithm(d), false, &dir, NULL) == 0)
        unlinkat(dir, oci_digest_hex(d), 0);
}

static void remove_bundle(const struct store *s, const struct oci_digest *id)
{
    CLEANUP_FD int dir = -1;
    if (store__open_area(s, STORE_BUNDLES, oci_digest_algorithm(id), false, &dir, NULL) == 0)
        dir_remove_tree_at(dir, oci_digest_hex(id), NULL);
}

/* The files of a model that the index does not name any more. What cannot be removed stays for
 * store_prune(): the model is gone in any case. */
static void remove_files(struct store *s, const struct store_model *m,
                         const struct store_index *left)
{
    /* Of the model's own files, which are few, those that others have, too. */
    CLEANUP_SET struct digest_set own = {0}, used = {0};
    for (size_t i = 0; i < m->n_files; i++)
        set_add(&own, &m->files[i]);
    set_sort(&own);
    for (size_t i = 0; i < left->n_models; i++)
        for (size_t k = 0; k < left->models[i].n_files; k++)
            if (set_has(&own, &left->models[i].files[k]))
                set_add(&used, &left->models[i].files[k]);
    set_sort(&used);
    unlink_in(s, STORE_MANIFESTS, &m->id);
    remove_bundle(s, &m->id);
    for (size_t i = 0; i < m->n_files; i++)
        if (!set_has(&used, &m->files[i]))
            unlink_in(s, STORE_BLOBS, &m->files[i]);
}

static bool is_full(struct store *s)
{
    enum { LITTLE = 1 << 20 };
    uint64_t left;
    return store_free_space(s, &left, NULL) == 0 && left < LITTLE;
}

/* The index without the model. On a disk so full that not even an index can be written, the model's
 * own files go first: who asks for its removal does not need them, and should this be cut short, the
 * model is in the index without them, which `verify` says and another removal mends. */
static int drop_model(struct store *s, const struct store_index *now,
                      const struct store_model *model, struct error *err)
{
    size_t at = (size_t)(model - now->models);
    struct store_index *next = store__index_edit(now);
    store__index_drop(next, at);
    struct error why = ERROR_INIT;
    int r = store__index_publish(s, next, &why);
    if (r == -ERR_IO && is_full(s)) {
        next = store__index_edit(now);
        store__index_drop(next, at);
        remove_files(s, model, next);
        r = store__index_publish(s, next, &why);
    }
    return r < 0 ? error_copy(err, &why) : 0;
}

int store_remove(struct store *s, const struct oci_reference *ref, const char *name, unsigned flags,
                 struct store_removal *ret, struct error *err)
{
    CLEANUP_LOCK struct store_lock lock = STORE_LOCK_INIT;
    CLEANUP_INDEX const struct store_index *now = NULL;
    const struct store_model *model = NULL;
    ptrdiff_t tag = -1;
    int r = store__lock_index(s, &lock, err);
    if (r == 0)
        r = store_index_get(s, &now, err);
    if (r == 0)
        r = store_index_find(now, ref, &model, &tag, err);
    if (r < 0)
        return r;
    if (!model)
        return error_set(err, ERR_NOT_FOUND, "model not found");
    if (tag < 0 && model->n_tags > 1 && !(flags & STORE_REMOVE_FORCE))
        return error_set(err, ERR_CONFLICT,
                         "unable to delete \"%s\" (must be forced) due to multiple tag references: "
                         "resource conflict",
                         name);

    struct store_removal done = {.id = model->id};
    done.deleted = tag < 0 || model->n_tags == 1;
    if (done.deleted) {
        for (size_t i = 0; i < model->n_tags; i++)
            removal_untag(&done, model->tags[i]);
    } else {
        removal_untag(&done, model->tags[tag]);
    }
    if (done.deleted) {
        r = drop_model(s, now, model, err);
    } else {
        struct store_index *next = store__index_edit(now);
        store__index_take_tag(next, model->tags[tag]);
        r = store__index_publish(s, next, err);
    }
    if (r < 0) {
        store_removal_release(&done);
        return r;
    }
    if (done.deleted) {
        CLEANUP_INDEX const struct store_index *left = NULL;
        if (store_index_get(s, &left, NULL) == 0)
            remove_files(s, model, left);
    }
    *ret = done;
    return 0;
}

/* ---- cleaning ---- */

/* Calls fn for every name in a directory; it may remove it. */
typedef void (*entry_fn)(int dirfd, const char *name, const struct stat *st, void *ctx);

static void each_in(int dir, entry_fn fn, void *ctx)
{
    int listing = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = listing >= 0 ? fdopendir(listing) : NULL;
    if (!d) {
        if (listing >= 0)
            close(listing);
        return;
    }
    for (struct dirent *e; (e = readdir(d));) {
        struct stat st;
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
            fn(dir, e->d_name, &st, ctx);
    }
    closedir(d);
}

static void each_entry(const struct store *s, enum store_area area, const char *algorithm,
                       entry_fn fn, void *ctx)
{
    CLEANUP_FD int dir = -1;
    if (store__open_area(s, area, algorithm, false, &dir, NULL) == 0)
        each_in(dir, fn, ctx);
}

static bool starts_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

enum { TEMP_MIN_AGE_S = 3600 };

/* Not time(): its clock ticks coarsely, and may be a second behind the times of files. */
static time_t now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec;
}

/* What sweeping needs to know. */
struct sweep {
    time_t now;
    int64_t temp_min_age_s;
};

/* The names that file_write_atomic() makes. They may be a DMR's, which knows no locks, so they must
 * have an age. */
static bool is_old_temp(const char *name, const struct stat *st, const struct sweep *w)
{
    return S_ISREG(st->st_mode) && strstr(name, ".tmp-") &&
           (int64_t)(w->now - st->st_mtime) >= w->temp_min_age_s;
}

/* Temporary files of ours and half-made bundles; nobody of us writes now. */
static void sweep_entry(int dirfd, const char *name, const struct stat *st, void *ctx)
{
    bool ours = starts_with(name, STORE_TEMP_PREFIX) && strstr(name, STORE_INCOMPLETE);
    if ((S_ISREG(st->st_mode) && ours) || is_old_temp(name, st, ctx))
        unlinkat(dirfd, name, 0);
    else if (S_ISDIR(st->st_mode) && starts_with(name, ".tmp-"))
        dir_remove_tree_at(dirfd, name, NULL);
}

static void sweep_root_entry(int dirfd, const char *name, const struct stat *st, void *ctx)
{
    bool index = starts_with(name, "models.json.tmp-") || starts_with(name, "layout.json.tmp-");
    if (index && is_old_temp(name, st, ctx))
        unlinkat(dirfd, name, 0);
}

static void sweep_locked(struct store *s, int64_t temp_min_age_s)
{
    struct sweep w = {.now = now_s(), .temp_min_age_s = temp_min_age_s};
    each_entry(s, STORE_BLOBS, "sha256", sweep_entry, &w);
    each_entry(s, STORE_MANIFESTS, "sha256", sweep_entry, &w);
    each_entry(s, STORE_BUNDLES, "sha256", sweep_entry, &w);
    CLEANUP_FD int root = -1;
    if (store__open_root(s, &root, NULL) == 0)
        each_in(root, sweep_root_entry, &w);
}

void store__sweep(struct store *s)
{
    CLEANUP_LOCK struct store_lock writers = STORE_LOCK_INIT;
    CLEANUP_LOCK struct store_lock lock = STORE_LOCK_INIT;
    if (store__lock_writers(s, true, &writers, NULL) == 0 && store__lock_index(s, &lock, NULL) == 0)
        sweep_locked(s, TEMP_MIN_AGE_S);
}

struct prune {
    struct store *s;
    const struct store_index *idx;
    struct digest_set *used;
    bool look_into_manifests; /* before a file counts as not used; that has not been done yet */
    const char *algorithm;
    int64_t min_age_s;
    time_t now;
    bool look_only;
    uint64_t freed, partial; /* partial: of unfinished downloads */
};

static bool prune_old_enough(const struct prune *p, const struct stat *st)
{
    time_t touched = MAX(st->st_mtime, st->st_ctime);
    return (int64_t)(p->now - touched) >= p->min_age_s;
}

static bool is_used(struct prune *p, const struct oci_digest *digest)
{
    if (!set_has(p->used, digest) && p->look_into_manifests) {
        collect_layers(p->s, p->idx, p->used);
        p->look_into_manifests = false;
    }
    return set_has(p->used, digest);
}

static void prune_file(int dirfd, const char *name, const struct stat *st, void *ctx)
{
    struct prune *p = ctx;
    struct oci_digest digest;
    bool unnamed = store__digest_of_name(p->algorithm, name, &digest) && !is_used(p, &digest);
    bool partial =
        strstr(name, STORE_INCOMPLETE) || strstr(name, STORE_PARTIAL) || strstr(name, STORE_RANGES);
    bool rubbish = unnamed || partial || strstr(name, STORE_DAMAGED);
    if (!S_ISREG(st->st_mode) || !rubbish || !prune_old_enough(p, st))
        return;
    /* Downloads come in pieces of any order: what lies between them takes no space. */
    uint64_t bytes = MIN((uint64_t)st->st_size, (uint64_t)st->st_blocks * 512);
    if (!p->look_only && (unlinkat(dirfd, name, 0) != 0 || st->st_nlink > 1))
        return;
    p->freed += bytes;
    if (partial)
        p->partial += bytes;
}

static void prune_bundle(int dirfd, const char *name, const struct stat *st, void *ctx)
{
    struct prune *p = ctx;
    struct oci_digest digest;
    if (!p->look_only && S_ISDIR(st->st_mode) &&
        store__digest_of_name(p->algorithm, name, &digest) && !is_used(p, &digest) &&
        prune_old_enough(p, st))
        dir_remove_tree_at(dirfd, name, NULL);
}

/* A store that has lost its index still has all its models: they must not be taken for rubbish. */
static int check_index_is_there(const struct store *s, struct error *err)
{
    CLEANUP_FREE char *path = path_join(s->root, "models.json");
    if (file_exists(path))
        return 0;
    return error_set(err, ERR_CORRUPT,
                     "the model store '%s' has no models.json; nothing is removed (restore it, or "
                     "empty the store with purge)",
                     s->root);
}

static void prune_all(struct store *s, const struct store_index *idx, struct prune *p)
{
    p->s = s;
    p->idx = idx;
    static const char *const algorithms[] = {"sha256", "sha512"};

    /* Bundles first: their links would hide that a blob's space comes back. */
    CLEANUP_SET struct digest_set models = {0}, blobs = {0};
    for (size_t i = 0; i < idx->n_models; i++)
        set_add(&models, &idx->models[i].id);
    set_sort(&models);
    collect_files(idx, &blobs);
    bool look = true;
    for (size_t i = 0; i < ARRAY_LEN(algorithms); i++) {
        p->algorithm = algorithms[i];
        p->used = &models;
        each_entry(s, STORE_BUNDLES, p->algorithm, prune_bundle, p);
        each_entry(s, STORE_MANIFESTS, p->algorithm, prune_file, p);
        p->used = &blobs;
        p->look_into_manifests = look;
        each_entry(s, STORE_BLOBS, p->algorithm, prune_file, p);
        look = p->look_into_manifests;
        p->look_into_manifests = false;
    }
}

int store_prune(struct store *s, int64_t min_age_s, uint64_t *ret_bytes, struct error *err)
{
    CLEANUP_LOCK struct store_lock writers = STORE_LOCK_INIT;
    CLEANUP_LOCK struct store_lock lock = STORE_LOCK_INIT;
    CLEANUP_INDEX const struct store_index *idx = NULL;
    int r = store__lock_writers(s, true, &writers, err);
    if (r == 0)
        r = store__lock_index(s, &lock, err);
    if (r == 0)
        r = check_index_is_there(s, err);
    if (r == 0)
        r = store_index_get(s, &idx, err);
    if (r < 0)
        return r;
    sweep_locked(s, MIN(min_age_s, (int64_t)TEMP_MIN_AGE_S));
    struct prune p = {.min_age_s = min_age_s, .now = now_s()};
    prune_all(s, idx, &p);
    *ret_bytes = p.freed;
    return 0;
}

int store_waste(struct store *s, struct store_waste *ret, struct error *err)
{
    CLEANUP_INDEX const struct store_index *idx = NULL;
    int r = check_index_is_there(s, err);
    if (r == 0)
        r = store_index_get(s, &idx, err);
    if (r < 0)
        return r;
    struct prune p = {.now = now_s(), .look_only = true};
    prune_all(s, idx, &p);
    *ret = (struct store_waste){.bytes = p.freed, .partial_bytes = p.partial};
    return 0;
}

/* ---- reset ---- */

static int reset_entries(struct store *s, struct error *err)
{
    CLEANUP_FD int root = -1;
    int r = store__open_root(s, &root, err);
    if (r < 0)
        return r;
    int listing = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = listing >= 0 ? fdopendir(listing) : NULL;
    if (!d) {
        int e = errno;
        if (listing >= 0)
            close(listing);
        return error_errno(err, e, "cannot list the model store '%s'", s->root);
    }
    /* The index goes first, so that a reset that is cut short leaves no broken models. */
    if (unlinkat(root, "models.json", 0) != 0 && errno != ENOENT)
        r = error_errno(err, errno, "cannot remove models.json");
    for (struct dirent *e; r == 0 && (e = readdir(d));) {
        const char *n = e->d_name;
        if (strcmp(n, ".") == 0 || strcmp(n, "..") == 0 || strcmp(n, store__lock_name) == 0 ||
            strcmp(n, store__writers_name) == 0 || strcmp(n, "layout.json") == 0)
            continue;
        r = dir_remove_tree_at(root, n, err);
    }
    closedir(d);
    return r;
}

static int check_may_reset(const struct store *s, struct error *err)
{
    CLEANUP_FREE char *layout = path_join(s->root, "layout.json");
    if (file_exists(layout))
        return 0;
    DIR *d = opendir(s->root);
    if (!d)
        return error_errno(err, errno, "cannot list '%s'", s->root);
    bool empty = true;
    for (struct dirent *e; empty && (e = readdir(d));)
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
                strcmp(e->d_name, store__lock_name) == 0 ||
                strcmp(e->d_name, store__writers_name) == 0;
    closedir(d);
    if (empty)
        return 0;
    return error_set(err, ERR_CONFLICT,
                     "refusing to reset: directory \"%s\" does not appear to be a model store "
                     "(missing layout.json)",
                     s->root);
}

int store_reset(struct store *s, struct error *err)
{
    CLEANUP_LOCK struct store_lock writers = STORE_LOCK_INIT;
    CLEANUP_LOCK struct store_lock lock = STORE_LOCK_INIT;
    int r = dir_make(s->root, 0755, err);
    if (r == 0)
        r = store__lock_writers(s, true, &writers, err);
    if (r == 0)
        r = store__lock_index(s, &lock, err);
    if (r == 0)
        r = check_may_reset(s, err);
    if (r == 0)
        r = reset_entries(s, err);
    return r == 0 ? store__write_layout(s, err) : r;
}
