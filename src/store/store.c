/* SPDX-License-Identifier: Apache-2.0
 *
 * Opening a store, and reading from it. */
#include "store/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/json.h"
#include "store/store_internal.h"

enum { LAYOUT_MAX_BYTES = 64 << 10 };

/* ---- layout.json ---- */

/* Is the directory empty, or a store that lacks only its layout.json? Others keep models in
 * directories named blobs and manifests too, so the index must be there. */
static int only_store_files(int root, bool *ret, struct error *err)
{
    static const char *const harmless[] = {".", "..", "models.json", "lost+found"};
    static const char *const areas[] = {"blobs", "manifests", "bundles"};
    int fd = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        int e = errno;
        if (fd >= 0)
            close(fd);
        return error_errno(err, e, "cannot list the model store");
    }
    bool only = true, index = false, content = false;
    for (struct dirent *e; only && (e = readdir(d));) {
        only = strncmp(e->d_name, ".model-runner.", 14) == 0 ||
               strncmp(e->d_name, "models.json.tmp-", 16) == 0 ||
               strncmp(e->d_name, "layout.json.tmp-", 16) == 0;
        for (size_t i = 0; !only && i < ARRAY_LEN(harmless); i++)
            only = strcmp(e->d_name, harmless[i]) == 0;
        for (size_t i = 0; !only && i < ARRAY_LEN(areas); i++)
            only = content |= strcmp(e->d_name, areas[i]) == 0;
        index |= strcmp(e->d_name, "models.json") == 0;
    }
    closedir(d);
    *ret = only && (index || !content);
    return 0;
}

static int check_version(const struct store *s, struct str text, struct error *err)
{
    CLEANUP_JSON struct json *layout = NULL;
    struct error why;
    if (js_parse(text, "layout.json", &layout, &why) < 0)
        return error_set(err, ERR_CORRUPT, "the model store '%s' is damaged: %s", s->root, why.msg);
    struct str version = js_get_str(layout, "version");
    if (!str_starts_with(version, STR("1.")))
        return error_set(err, ERR_UNSUPPORTED,
                         "the model store '%s' has layout version '%.*s'; this program knows 1.x",
                         s->root, STR_ARG(version));
    return 0;
}

int store__write_layout(const struct store *s, struct error *err)
{
    CLEANUP_FREE char *layout = path_join(s->root, "layout.json");
    CLEANUP_FREE char *models = path_join(s->root, "models.json");
    int r = 0;
    if (!file_exists(models))
        r = file_write_atomic(models, STR("{\n  \"models\": []\n}"), 0644, err);
    if (r == 0 && !file_exists(layout))
        r = file_write_atomic(layout, STR("{\n  \"version\": \"1.0.0\"\n}"), 0644, err);
    return r;
}

static int check_layout(struct store *s, struct error *err)
{
    CLEANUP_FD int root = -1;
    int r = store__open_root(s, &root, err);
    if (r < 0)
        return r;
    CLEANUP_BUF struct buf text = BUF_INIT(LAYOUT_MAX_BYTES);
    r = store__read_at(root, "layout.json", "layout.json", &text, err);
    if (r == 0)
        return check_version(s, buf_str(&text), err);
    if (r != -ERR_NOT_FOUND)
        return error_wrap(err, "model store '%s'", s->root);
    bool ours = false;
    r = only_store_files(root, &ours, err);
    if (r < 0)
        return r;
    if (!ours)
        return error_set(
            err, ERR_INVALID,
            "'%s' is not a model store (it has files but no layout.json); give an empty "
            "or new directory",
            s->root);
    CLEANUP_LOCK struct store_lock lock = STORE_LOCK_INIT;
    r = store__lock_index(s, &lock, err);
    if (r == 0)
        r = store__write_layout(s, err);
    return r;
}

/* ---- opening ---- */

int store_open(const char *root, struct store **ret, struct error *err)
{
    int r = dir_make(root, 0755, err);
    if (r < 0)
        return error_wrap(err, "model store");
    struct store *s = xcalloc(1, sizeof(*s));
    s->root = path_absolute(root);
    pthread_mutex_init(&s->change_lock, NULL);
    pthread_mutex_init(&s->cache_lock, NULL);
    pthread_mutex_init(&s->checked_lock, NULL);
    r = check_layout(s, err);
    if (r < 0) {
        store_close(s);
        return r;
    }
    store__sweep(s);
    *ret = s;
    return 0;
}

void store_close(struct store *s)
{
    if (!s)
        return;
    store_index_unref(s->cache);
    store__checked_release(s);
    pthread_mutex_destroy(&s->checked_lock);
    pthread_mutex_destroy(&s->change_lock);
    pthread_mutex_destroy(&s->cache_lock);
    free(s->root);
    free(s);
}

const char *store_root(const struct store *s)
{
    return s->root;
}

/* ---- reading ---- */

/* Appends a small file of an area and checks that it is what its name says. */
static int read_checked(struct store *s, enum store_area area, const struct oci_digest *digest,
                        const char *what, struct buf *out, struct error *err)
{
    CLEANUP_FD int dir = -1;
    int r = store__open_area(s, area, oci_digest_algorithm(digest), false, &dir, err);
    if (r < 0)
        return r;
    size_t before = out->len;
    char name[OCI_DIGEST_TEXT_MAX + 32];
    snprintf(name, sizeof(name), "%s %s", what, digest->text);
    r = store__read_at(dir, oci_digest_hex(digest), name, out, err);
    if (r < 0)
        return r;
    if (strcmp(oci_digest_algorithm(digest), "sha256") != 0)
        return 0;
    struct oci_digest got = oci_digest_of(str_sub(buf_str(out), before, SIZE_MAX));
    if (oci_digest_eq(&got, digest))
        return 0;
    buf_truncate(out, before);
    return error_set(err, ERR_CORRUPT, "%s is damaged: its content has the digest %s", name,
                     got.text);
}

int store_read_manifest(struct store *s, const struct oci_digest *id, struct buf *out,
                        struct error *err)
{
    return read_checked(s, STORE_MANIFESTS, id, "manifest", out, err);
}

int store_read_blob(struct store *s, const struct oci_digest *digest, struct buf *out,
                    struct error *err)
{
    return read_checked(s, STORE_BLOBS, digest, "blob", out, err);
}

int store_open_blob(struct store *s, const struct oci_digest *digest, uint64_t size, int *ret_fd,
                    struct error *err)
{
    CLEANUP_FD int dir = -1;
    int r = store__open_area(s, STORE_BLOBS, oci_digest_algorithm(digest), false, &dir, err);
    if (r < 0)
        return r;
    CLEANUP_FD int fd =
        openat(dir, oci_digest_hex(digest), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "cannot open blob %s", digest->text);
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return error_set(err, ERR_CORRUPT, "blob %s is not a regular file", digest->text);
    if (size != UINT64_MAX && (uint64_t)st.st_size != size)
        return error_set(err, ERR_CORRUPT, "blob %s has %lld bytes instead of %llu", digest->text,
                         (long long)st.st_size, (unsigned long long)size);
    *ret_fd = TAKE_FD(fd);
    return 0;
}

void store_has_manifests(struct store *s, const struct store_index *idx, bool *ret)
{
    CLEANUP_FD int dir = -1;
    bool there = store__open_area(s, STORE_MANIFESTS, "sha256", false, &dir, NULL) == 0;
    for (size_t i = 0; i < idx->n_models; i++) {
        const struct oci_digest *id = &idx->models[i].id;
        struct stat st;
        ret[i] = there && strcmp(oci_digest_algorithm(id), "sha256") == 0 &&
                 fstatat(dir, oci_digest_hex(id), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                 S_ISREG(st.st_mode);
    }
}

bool store_has_blob(struct store *s, const struct oci_digest *digest, uint64_t size)
{
    CLEANUP_FD int fd = -1;
    return store_open_blob(s, digest, size, &fd, NULL) == 0;
}
