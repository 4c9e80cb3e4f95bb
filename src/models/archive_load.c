/* SPDX-License-Identifier: Apache-2.0
 *
 * Models from tar streams, see archive.h. The entries may come in any order, so that nothing is
 * judged before the end: until then blobs belong to a transaction, which takes them away with it. */
#include <stdlib.h>
#include <string.h>

#include "models/archive.h"
#include "models/models_internal.h"
#include "models/tar.h"
#include "oci/layout.h"

enum {
    CHUNK = 1 << 20,
    MAX_TRAILER = 1 << 20,
    MAX_BLOBS = 2 * OCI_MANIFEST_MAX_LAYERS, /* of one archive */
};

static const char dmr_manifest[] = "manifest.json";

struct loading {
    struct models *m;
    struct store_txn *t;
    struct tar_reader tar;
    char *chunk;
    size_t n_blobs;
    struct buf index;    /* index.json; empty = none so far */
    struct buf manifest; /* manifest.json of a DMR */
};

/* ---- the entries ---- */

/* Judges an entry's name. *ret_small: the buffer that a small file goes to, NULL for others.
 * *ret_digest is filled, and *ret_blob set, for a blob. */
static int classify(struct loading *l, const char *name, struct buf **ret_small, bool *ret_blob,
                    struct oci_digest *ret_digest, struct error *err)
{
    struct str s = str_from(name), rest, part, parts[3];
    while (str_starts_with(s, STR("./")))
        s = str_sub(s, 2, SIZE_MAX);
    size_t n = 0;
    rest = s;
    while (str_split_next(&rest, '/', &part)) {
        if (str_eq_c(part, ".."))
            return error_set(err, ERR_INVALID, "invalid path detected: %s", name);
        if (n < ARRAY_LEN(parts))
            parts[n] = part;
        n++;
    }
    if (str_eq_c(s, OCI_LAYOUT_INDEX))
        *ret_small = &l->index;
    else if (str_eq_c(s, dmr_manifest))
        *ret_small = &l->manifest;
    if (n != 3 || !str_eq_c(parts[0], "blobs"))
        return 0;
    CLEANUP_FREE char *digest = xasprintf("%.*s:%.*s", STR_ARG(parts[1]), STR_ARG(parts[2]));
    *ret_blob = oci_digest_parse(str_from(digest), ret_digest, NULL) == 0;
    return 0;
}

static int load_blob(struct loading *l, const struct oci_digest *digest, uint64_t size,
                     struct error *err)
{
    if (++l->n_blobs > MAX_BLOBS)
        return error_set(err, ERR_TOO_LARGE, "the archive has more than %d blobs", MAX_BLOBS);
    if (store_txn_hold(l->t, digest, size, NULL) == 0)
        return 0; /* the reader skips the data */
    struct store_sink *k;
    int r = store_sink_open(l->t, digest, size, &k, err);
    if (r < 0)
        return r;
    ssize_t n;
    while ((n = tar_read(&l->tar, l->chunk, CHUNK, err)) > 0) {
        r = store_sink_write(k, l->chunk, (size_t)n, err);
        if (r < 0)
            break;
    }
    if (n < 0 || r < 0) {
        store_sink_abandon(k);
        return n < 0 ? (int)n : r;
    }
    return store_sink_finish(k, NULL, err);
}

static int load_small(struct loading *l, const char *name, uint64_t size, struct buf *out,
                      struct error *err)
{
    if (size >= out->max)
        return error_set(err, ERR_TOO_LARGE, "%s has %llu bytes; at most %zu are allowed", name,
                         (unsigned long long)size, out->max - 1);
    if (out->len)
        return error_set(err, ERR_CORRUPT, "%s is in the archive twice", name);
    char *p = buf_reserve(out, (size_t)size + 1);
    if (!p)
        return buf_check(out, name, err);
    while (out->len < size) {
        ssize_t n = tar_read(&l->tar, p + out->len, (size_t)size - out->len, err);
        if (n <= 0)
            return n < 0 ? (int)n : error_set(err, ERR_CORRUPT, "unexpected EOF");
        buf_added(out, (size_t)n);
    }
    return 0;
}

static int load_entries(struct loading *l, struct error *err)
{
    struct tar_entry e;
    int r;
    while ((r = tar_next(&l->tar, &e, err)) > 0) {
        struct oci_digest digest;
        struct buf *small = NULL;
        bool is_blob = false;
        r = classify(l, e.name, &small, &is_blob, &digest, err);
        if (r == 0 && e.type == TAR_FILE && small)
            r = load_small(l, e.name, e.size, small, err);
        else if (r == 0 && e.type == TAR_FILE && is_blob)
            r = load_blob(l, &digest, e.size, err);
        if (r < 0)
            return r;
    }
    return r;
}

/* Reads what stands behind the archive's end, so that the sender can finish. */
static void drain(models_read_fn read, void *ctx)
{
    char scratch[4096];
    struct error ignored;
    for (size_t done = 0; done < MAX_TRAILER;) {
        ssize_t n = read(ctx, scratch, sizeof(scratch), &ignored);
        if (n <= 0)
            return;
        done += (size_t)n;
    }
}

/* ---- the models ---- */

/* A model that can be published. */
struct candidate {
    struct buf manifest;
    char *name; /* in full; NULL = none */
};

struct candidates {
    struct candidate *items;
    size_t n;
};

static void candidates_release(struct candidates *c)
{
    for (size_t i = 0; i < c->n; i++) {
        buf_release(&c->items[i].manifest);
        free(c->items[i].name);
    }
    free(c->items);
}

/* Is the manifest that of a model, and is all that it names there? */
static int check_model(struct loading *l, struct str manifest, struct error *err)
{
    struct oci_manifest m = {0};
    int r = oci_manifest_parse(manifest, &m, err);
    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i <= m.n_layers; i++) {
        const struct oci_descriptor *d = i < m.n_layers ? &m.layers[i] : &m.config;
        r = store_txn_hold(l->t, &d->digest, d->size, err);
        if (r == -ERR_NOT_FOUND)
            r = error_set(
                err, ERR_CORRUPT,
                "missing blob \"%s\" for manifest - refusing to write unless all blobs exist",
                d->digest.text);
    }
    enum oci_config_kind kind;
    CLEANUP_BUF struct buf config = BUF_INIT(OCI_CONFIG_MAX_BYTES);
    CLEANUP_META struct model_meta *meta = NULL;
    struct oci_digest id = oci_digest_of(manifest);
    if (r == 0)
        r = oci_config_kind_of(m.config.media_type, &kind, err);
    if (r == 0)
        r = store_txn_read(l->t, &m.config.digest, &config, err);
    if (r == 0)
        r = models__meta_parse(&id, manifest, buf_str(&config), &meta, err);
    oci_manifest_release(&m);
    return r;
}

static int add_candidate(struct loading *l, struct candidates *c, struct str manifest,
                         const char *name, struct error *err)
{
    int r = check_model(l, manifest, err);
    if (r < 0)
        return r;
    c->items = xrealloc(c->items, c->n + 1, sizeof(*c->items));
    struct candidate *x = &c->items[c->n++];
    *x = (struct candidate){.manifest = BUF_INIT(OCI_MANIFEST_MAX_BYTES)};
    /* A name of the archive's maker that is none of ours is not worth the model. */
    char full[OCI_REFERENCE_TEXT_MAX];
    if (name && models__target(l->m, name, full, NULL) == 0)
        x->name = xstrdup(full);
    buf_append(&x->manifest, manifest);
    return buf_check(&x->manifest, "the manifest", err);
}

static int read_layout(struct loading *l, struct candidates *c, struct error *err)
{
    struct oci_layout layout = {0};
    int r = oci_layout_parse(buf_str(&l->index), &layout, err);
    if (r < 0)
        return r;
    if (layout.n > ARCHIVE_MAX_MODELS)
        r = error_set(err, ERR_TOO_LARGE, "the archive has more than %d models",
                      ARCHIVE_MAX_MODELS);
    else if (layout.n == 0)
        r = error_set(err, ERR_INVALID, "the archive has no model");
    for (size_t i = 0; r == 0 && i < layout.n; i++) {
        const struct oci_layout_entry *e = &layout.items[i];
        CLEANUP_BUF struct buf text = BUF_INIT(OCI_MANIFEST_MAX_BYTES);
        r = store_txn_read(l->t, &e->digest, &text, err);
        if (r == -ERR_NOT_FOUND)
            r = error_set(err, ERR_CORRUPT, "the manifest %s is not in the archive",
                          e->digest.text);
        if (r == 0 && text.len != e->size)
            r = error_set(err, ERR_CORRUPT, "the manifest %s has %zu bytes instead of %llu",
                          e->digest.text, text.len, (unsigned long long)e->size);
        if (r == 0)
            r = add_candidate(l, c, buf_str(&text), e->name, err);
    }
    oci_layout_release(&layout);
    return r;
}

static int publish(struct loading *l, const struct candidates *c, struct models_loaded_list *ret,
                   struct error *err)
{
    struct models_loaded_list done = {.items = xcalloc(c->n, sizeof(*done.items))};
    for (size_t i = 0; i < c->n; i++) {
        struct oci_digest id;
        int r = store_publish(l->t, buf_str(&c->items[i].manifest), c->items[i].name, &id, err);
        if (r < 0) {
            models_loaded_release(&done);
            return r;
        }
        struct models_loaded *x = &done.items[done.n++];
        memcpy(x->id, id.text, sizeof(x->id));
        x->name = TAKE(c->items[i].name);
    }
    *ret = done;
    return 0;
}

static int load(struct loading *l, models_read_fn read, void *ctx, struct models_loaded_list *ret,
                struct error *err)
{
    struct candidates c = {0};
    int r = load_entries(l, err);
    if (r == 0 && l->index.len)
        r = read_layout(l, &c, err);
    else if (r == 0 && l->manifest.len)
        r = add_candidate(l, &c, buf_str(&l->manifest), NULL, err);
    else if (r == 0)
        r = error_set(err, ERR_INVALID, "manifest not found");
    if (r == 0) {
        drain(read, ctx);
        r = publish(l, &c, ret, err);
    }
    candidates_release(&c);
    return r;
}

int models_load_archive(struct models *m, models_read_fn read, void *ctx,
                        struct models_loaded_list *ret, struct error *err)
{
    struct loading l = {
        .m = m,
        .index = BUF_INIT(OCI_LAYOUT_MAX_BYTES + 1),
        .manifest = BUF_INIT(OCI_MANIFEST_MAX_BYTES + 1),
    };
    int r = store_begin(m->store, &l.t, err);
    if (r < 0)
        return r;
    CLEANUP_FREE char *chunk = xmalloc(CHUNK);
    l.chunk = chunk;
    tar_reader_init(&l.tar, read, ctx);
    struct error why = ERROR_INIT;
    r = load(&l, read, ctx, ret, &why);
    tar_reader_release(&l.tar);
    store_abort(l.t);
    buf_release(&l.index);
    buf_release(&l.manifest);
    if (r == 0)
        return 0;
    if (strcmp(why.msg, "unexpected EOF") == 0)
        error_wrap(&why, "model load interrupted");
    return error_copy(err, &why);
}

void models_loaded_release(struct models_loaded_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->items[i].name);
    free(l->items);
    *l = (struct models_loaded_list){0};
}

int models_load(struct models *m, models_read_fn read, void *ctx, char ret_id[OCI_DIGEST_TEXT_MAX],
                struct error *err)
{
    struct models_loaded_list l = {0};
    int r = models_load_archive(m, read, ctx, &l, err);
    if (r == 0)
        memcpy(ret_id, l.items[0].id, OCI_DIGEST_TEXT_MAX);
    models_loaded_release(&l);
    return r;
}
