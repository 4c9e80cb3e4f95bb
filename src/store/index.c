/* SPDX-License-Identifier: Apache-2.0
 *
 * models.json: reading, the cached state, changing, writing.
 *
 * A state is immutable and counted; readers take a reference under a mutex and then look at
 * leisure. It is read again when the file's identity (inode, size, time of change) differs from the
 * one that was read, so a lookup costs one lstat(). A change copies the state, edits the copy and
 * publishes it, all under the index lock. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/json.h"
#include "store/store_internal.h"

enum {
    INDEX_MAX_BYTES = 64 << 20,
    INDEX_MAX_MODELS = 100000,
    INDEX_MAX_TAGS = 10000, /* of one model */
};

struct index_box {
    struct store_index idx; /* first: the public part */
    size_t cap;
    atomic_uint refs;
};

static struct index_box *box_of(const struct store_index *idx)
{
    return CONTAINER_OF((struct store_index *)(uintptr_t)idx, struct index_box, idx);
}

static struct index_box *box_new(void)
{
    struct index_box *b = xcalloc(1, sizeof(*b));
    atomic_init(&b->refs, 1);
    return b;
}

/* The states of an index share what did not change between them: tags and files of a model belong
 * to all the states that have it. */
static void model_release(struct store_model *m)
{
    if (atomic_fetch_sub(m->owners, 1) != 1)
        return;
    for (size_t i = 0; i < m->n_tags; i++)
        free(m->tags[i]);
    free(m->tags);
    free(m->files);
    free(m->owners);
}

static atomic_uint *one_owner(void)
{
    atomic_uint *n = xmalloc(sizeof(*n));
    atomic_init(n, 1);
    return n;
}

/* Makes the model this state's own, before it is changed. */
static void model_own(struct store_model *m)
{
    if (atomic_load(m->owners) == 1)
        return;
    struct store_model own = *m;
    own.owners = one_owner();
    own.tags = own.n_tags ? xcalloc(own.n_tags, sizeof(*own.tags)) : NULL;
    for (size_t i = 0; i < own.n_tags; i++)
        own.tags[i] = xstrdup(m->tags[i]);
    own.files = own.n_files ? xcalloc(own.n_files, sizeof(*own.files)) : NULL;
    if (own.n_files)
        memcpy(own.files, m->files, own.n_files * sizeof(*own.files));
    model_release(m);
    *m = own;
}

void store_index_unref(const struct store_index *idx)
{
    if (!idx)
        return;
    struct index_box *b = box_of(idx);
    if (atomic_fetch_sub(&b->refs, 1) != 1)
        return;
    for (size_t i = 0; i < b->idx.n_models; i++)
        model_release(&b->idx.models[i]);
    free(b->idx.models);
    free(b);
}

/* ---- changing a copy ---- */

struct store_model *store__index_add(struct store_index *idx, const struct oci_digest *id)
{
    struct index_box *b = box_of(idx);
    if (idx->n_models == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 16;
        idx->models = xrealloc(idx->models, b->cap, sizeof(*idx->models));
    }
    struct store_model *m = &idx->models[idx->n_models++];
    *m = (struct store_model){.id = *id, .owners = one_owner()};
    return m;
}

void store__model_add_tag(struct store_model *m, const char *tag)
{
    model_own(m);
    m->tags = xrealloc(m->tags, m->n_tags + 1, sizeof(*m->tags));
    m->tags[m->n_tags++] = xstrdup(tag);
}

void store__model_set_files(struct store_model *m, const struct oci_manifest *manifest)
{
    model_own(m);
    free(m->files);
    m->n_files = manifest->n_layers + 1;
    m->files = xcalloc(m->n_files, sizeof(*m->files));
    for (size_t i = 0; i < manifest->n_layers; i++)
        m->files[i] = manifest->layers[i].digest;
    m->files[manifest->n_layers] = manifest->config.digest;
}

struct store_index *store__index_edit(const struct store_index *from)
{
    struct index_box *b = box_new();
    b->cap = from->n_models + 1;
    b->idx.models = xcalloc(b->cap, sizeof(*b->idx.models));
    if (from->n_models)
        memcpy(b->idx.models, from->models, from->n_models * sizeof(*from->models));
    b->idx.n_models = from->n_models;
    for (size_t i = 0; i < from->n_models; i++)
        atomic_fetch_add(from->models[i].owners, 1);
    return &b->idx;
}

struct store_model *store__index_model(struct store_index *idx, const struct oci_digest *id)
{
    for (size_t i = 0; i < idx->n_models; i++)
        if (oci_digest_eq(&idx->models[i].id, id))
            return &idx->models[i];
    return NULL;
}

void store__index_drop(struct store_index *idx, size_t at)
{
    model_release(&idx->models[at]);
    memmove(&idx->models[at], &idx->models[at + 1],
            (idx->n_models - at - 1) * sizeof(*idx->models));
    idx->n_models--;
}

static bool has_tag(const struct store_model *m, const char *tag)
{
    for (size_t k = 0; k < m->n_tags; k++)
        if (strcmp(m->tags[k], tag) == 0)
            return true;
    return false;
}

bool store__index_take_tag(struct store_index *idx, const char *tag)
{
    bool found = false;
    for (size_t i = 0; i < idx->n_models; i++) {
        struct store_model *m = &idx->models[i];
        if (!has_tag(m, tag))
            continue;
        found = true;
        model_own(m);
        size_t kept = 0;
        for (size_t k = 0; k < m->n_tags; k++) {
            if (strcmp(m->tags[k], tag) == 0)
                free(m->tags[k]);
            else
                m->tags[kept++] = m->tags[k];
        }
        m->n_tags = kept;
    }
    return found;
}

/* ---- reading ---- */

int store__read_at(int dirfd, const char *name, const char *what, struct buf *out,
                   struct error *err)
{
    CLEANUP_FD int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "cannot open %s", what);
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return error_set(err, ERR_CORRUPT, "%s is not a regular file", what);
    return fd_read_all(fd, what, out, err);
}

static int parse_strings(const struct json *entry, size_t at, struct store_model *m,
                         struct error *err)
{
    const struct json *tags = js_get(entry, "tags"), *files = js_get(entry, "files");
    if ((!js_is(tags, JS_NULL) && !js_is(tags, JS_ARRAY)) || js_len(tags) > INDEX_MAX_TAGS)
        return error_set(err, ERR_CORRUPT, "models.json: entry %zu: 'tags' is no list of names",
                         at);
    for (size_t i = 0; i < js_len(tags); i++) {
        const char *tag = js_to_cstr(js_at(tags, i));
        if (!tag)
            return error_set(err, ERR_CORRUPT, "models.json: entry %zu: a tag is not text", at);
        /* Older stores hold shorter forms; all are compared in the full one. */
        struct oci_reference ref;
        char full[OCI_REFERENCE_TEXT_MAX];
        if (oci_reference_parse(str_from(tag), NULL, &ref, NULL) == 0 && ref.kind != OCI_REF_ID) {
            oci_reference_text(&ref, full);
            tag = full;
        }
        store__model_add_tag(m, tag);
    }
    if (!js_is(files, JS_NULL) && !js_is(files, JS_ARRAY))
        return error_set(err, ERR_CORRUPT, "models.json: entry %zu: 'files' is no list", at);
    size_t n = js_len(files);
    if (n > OCI_MANIFEST_MAX_LAYERS + 1)
        return error_set(err, ERR_CORRUPT, "models.json: entry %zu has %zu files", at, n);
    if (n)
        m->files = xcalloc(n, sizeof(*m->files));
    for (size_t i = 0; i < n; i++) {
        struct error why;
        if (oci_digest_parse(js_to_str(js_at(files, i)), &m->files[i], &why) < 0)
            return error_set(err, ERR_CORRUPT, "models.json: entry %zu: %s", at, why.msg);
        m->n_files = i + 1;
    }
    return 0;
}

static int parse_index(struct str text, struct store_index *idx, struct error *err)
{
    CLEANUP_JSON struct json *root = NULL;
    struct error why;
    if (js_parse(text, "models.json", &root, &why) < 0)
        return error_set(err, ERR_CORRUPT, "%s", why.msg);
    const struct json *models = js_get(root, "models");
    if (!js_is(root, JS_OBJECT) || (!js_is(models, JS_NULL) && !js_is(models, JS_ARRAY)))
        return error_set(err, ERR_CORRUPT, "models.json: 'models' is not a list");
    if (js_len(models) > INDEX_MAX_MODELS)
        return error_set(err, ERR_TOO_LARGE, "models.json: more than %d models", INDEX_MAX_MODELS);
    for (size_t i = 0; i < js_len(models); i++) {
        const struct json *entry = js_at(models, i);
        struct oci_digest id;
        if (oci_digest_parse(js_get_str(entry, "id"), &id, &why) < 0)
            return error_set(err, ERR_CORRUPT, "models.json: entry %zu: %s", i + 1, why.msg);
        int r = parse_strings(entry, i + 1, store__index_add(idx, &id), err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Reads models.json of the opened root; absent = empty. */
static int read_index(struct store *s, int root, struct index_box **ret, struct error *err)
{
    struct index_box *b = box_new();
    CLEANUP_BUF struct buf text = BUF_INIT(INDEX_MAX_BYTES);
    struct error why;
    int r = store__read_at(root, "models.json", "models.json", &text, &why);
    if (r == -ERR_NOT_FOUND)
        r = 0;
    else if (r == 0)
        r = parse_index(buf_str(&text), &b->idx, &why);
    if (r < 0) {
        store_index_unref(&b->idx);
        return error_set(err, why.code, "the index of the model store '%s' cannot be read: %s",
                         s->root, why.msg);
    }
    *ret = b;
    return 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Puts idx (one reference, handed over) in the cache. Under cache_lock. */
static void cache_set(struct store *s, const struct store_index *idx, const struct stat *st)
{
    store_index_unref(s->cache);
    s->cache = idx;
    s->cache_absent = !st;
    if (st)
        s->cache_stat = *st;
}

static int refresh(struct store *s, struct error *err)
{
    CLEANUP_FD int root = -1;
    int r = store__open_root(s, &root, err);
    if (r < 0)
        return r;
    struct stat st;
    bool absent = fstatat(root, "models.json", &st, AT_SYMLINK_NOFOLLOW) != 0;
    if (s->cache && absent == s->cache_absent && (absent || same_file(&st, &s->cache_stat)))
        return 0;
    /* stat before read: when the file is replaced in between, the next call reads again. */
    struct index_box *b = NULL;
    r = read_index(s, root, &b, err);
    if (r == 0)
        cache_set(s, &b->idx, absent ? NULL : &st);
    return r;
}

int store_index_get(struct store *s, const struct store_index **ret, struct error *err)
{
    pthread_mutex_lock(&s->cache_lock);
    int r = refresh(s, err);
    if (r == 0) {
        atomic_fetch_add(&box_of(s->cache)->refs, 1);
        *ret = s->cache;
    }
    pthread_mutex_unlock(&s->cache_lock);
    return r;
}

/* ---- writing ---- */

static void write_model(const struct store_model *m, struct buf *out)
{
    buf_append(out, STR("    {\n      \"id\": \""));
    buf_append_c(out, m->id.text);
    buf_append_c(out, m->n_tags ? "\",\n      \"tags\": [\n" : "\",\n      \"tags\": [");
    for (size_t i = 0; i < m->n_tags; i++) {
        buf_append_c(out, "        ");
        oci_write_string(str_from(m->tags[i]), out);
        buf_append_c(out, i + 1 < m->n_tags ? ",\n" : "\n      ");
    }
    buf_append_c(out, m->n_files ? "],\n      \"files\": [\n" : "],\n      \"files\": [");
    for (size_t i = 0; i < m->n_files; i++) {
        buf_append(out, STR("        \""));
        buf_append_c(out, m->files[i].text);
        buf_append_c(out, i + 1 < m->n_files ? "\",\n" : "\"\n      ");
    }
    buf_append(out, STR("]\n    }"));
}

static int write_index(struct store *s, const struct store_index *idx, struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT(INDEX_MAX_BYTES);
    buf_append_c(&text, "{\n  \"models\": [");
    for (size_t i = 0; i < idx->n_models; i++) {
        buf_append_c(&text, i ? ",\n" : "\n");
        write_model(&idx->models[i], &text);
    }
    buf_append_c(&text, idx->n_models ? "\n  ]\n}" : "]\n}");
    int r = buf_check(&text, "models.json", err);
    if (r < 0)
        return r;
    CLEANUP_FREE char *path = path_join(s->root, "models.json");
    return file_write_atomic(path, buf_str(&text), 0644, err);
}

int store__index_publish(struct store *s, struct store_index *idx, struct error *err)
{
    int r = write_index(s, idx, err);
    if (r < 0) {
        store_index_unref(idx);
        return r;
    }
    CLEANUP_FREE char *path = path_join(s->root, "models.json");
    struct stat st;
    pthread_mutex_lock(&s->cache_lock);
    if (lstat(path, &st) == 0) {
        cache_set(s, idx, &st);
    } else {
        store_index_unref(s->cache);
        s->cache = NULL;
        store_index_unref(idx);
    }
    pthread_mutex_unlock(&s->cache_lock);
    return 0;
}

/* ---- searching ---- */

static int find_short_id(const struct store_index *idx, const char *hex,
                         const struct store_model **ret, struct error *err)
{
    const struct store_model *found = NULL;
    size_t n = strlen(hex);
    for (size_t i = 0; i < idx->n_models; i++) {
        if (strncmp(oci_digest_hex(&idx->models[i].id), hex, n) != 0)
            continue;
        if (found)
            return error_set(err, ERR_CONFLICT, "'%s' is the start of several model ids: %s and %s",
                             hex, found->id.text, idx->models[i].id.text);
        found = &idx->models[i];
    }
    *ret = found;
    return 0;
}

int store_index_find(const struct store_index *idx, const struct oci_reference *ref,
                     const struct store_model **ret, ptrdiff_t *ret_tag, struct error *err)
{
    const struct store_model *found = NULL;
    ptrdiff_t tag = -1;
    if (ref->kind == OCI_REF_SHORT_ID) {
        int r = find_short_id(idx, ref->short_id, &found, err);
        if (r < 0)
            return r;
    }
    if (!found && ref->digest.text[0]) {
        for (size_t i = 0; !found && i < idx->n_models; i++)
            if (oci_digest_eq(&idx->models[i].id, &ref->digest))
                found = &idx->models[i];
    } else if (!found) {
        char text[OCI_REFERENCE_TEXT_MAX];
        oci_reference_text(ref, text);
        for (size_t i = 0; !found && i < idx->n_models; i++) {
            const struct store_model *m = &idx->models[i];
            for (size_t k = 0; !found && k < m->n_tags; k++) {
                if (strcmp(m->tags[k], text) == 0) {
                    found = m;
                    tag = (ptrdiff_t)k;
                }
            }
        }
    }
    *ret = found;
    if (ret_tag)
        *ret_tag = tag;
    return 0;
}

const struct store_model *store_index_find_partial(const struct store_index *idx, struct str name)
{
    for (size_t i = 0; i < idx->n_models; i++) {
        const struct store_model *m = &idx->models[i];
        for (size_t k = 0; k < m->n_tags; k++) {
            struct str last = str_from(path_base(m->tags[k]));
            ptrdiff_t colon = str_rfind_char(last, ':');
            if (colon >= 0)
                last.len = (size_t)colon;
            if (str_eq_nocase(last, name))
                return m;
        }
    }
    return NULL;
}
