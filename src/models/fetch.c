/* SPDX-License-Identifier: Apache-2.0
 *
 * Layers from a source into the store, see fetch.h.
 *
 * Rounds: what nobody else downloads is downloaded; what another process has in its hands is
 * looked at again afterwards, when no lock of ours is held, so that two processes never wait for
 * each other. */
#include "models/fetch.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "store/partial.h"

enum {
    ROUND_MAX = 512, /* layers at once: each takes a file descriptor */
    WAIT_MS = 200,
    SPACE_MARGIN = 16 << 20, /* the file system's own needs, and the manifest's */
};

struct item {
    const struct fetch_layer *layer;
    struct store_partial *partial; /* open while this round downloads it */
    size_t row;                    /* of the job's board */
    bool listed;                   /* has a row */
    bool done;
    bool resumed; /* something was there before */
    bool again;   /* it came wrong once */
};

struct fetch {
    struct job *j;
    struct models *m;
    struct store_txn *t;
    struct item *items;
    size_t n;
    struct item **round; /* in the order of the download's blobs */
    size_t n_round;
};

static void list(struct fetch *f, struct item *it)
{
    if (!it->listed)
        it->row = job_add_layer(f->j, it->layer->digest.text, it->layer->size);
    it->listed = true;
}

/* ---- choosing what to download ---- */

/* Opens what is free. *ret_waiting: how many layers others have in their hands. */
static int open_round(struct fetch *f, size_t *ret_waiting, struct error *err)
{
    f->n_round = 0;
    *ret_waiting = 0;
    for (size_t i = 0; i < f->n && f->n_round < ROUND_MAX; i++) {
        struct item *it = &f->items[i];
        const struct fetch_layer *l = it->layer;
        if (it->done)
            continue;
        if (store_txn_hold(f->t, &l->digest, l->size, NULL) == 0) {
            it->done = true;
            if (it->listed)
                job_layer(f->j, it->row, l->size);
            continue;
        }
        struct error why = ERROR_INIT;
        int r = store_partial_open(f->t, &l->digest, l->size, &it->partial, &why);
        if (r == -ERR_BUSY) {
            list(f, it);
            job_layer(f->j, it->row, store_partial_peek(f->m->store, &l->digest, l->size));
            (*ret_waiting)++;
            continue;
        }
        if (r < 0)
            return error_copy(err, &why);
        it->resumed = store_partial_received(it->partial) > 0;
        f->round[f->n_round++] = it;
    }
    return 0;
}

static int check_space(struct fetch *f, struct error *err)
{
    uint64_t needed = 0, available;
    for (size_t i = 0; i < f->n_round; i++)
        if (add_overflows(needed, store_partial_needs(f->round[i]->partial), &needed))
            needed = UINT64_MAX;
    int r = store_free_space(f->m->store, &available, err);
    if (r < 0)
        return r;
    if (needed > 0 && add_overflows(needed, SPACE_MARGIN, &needed))
        needed = UINT64_MAX;
    if (needed > available)
        return error_set(err, ERR_IO,
                         "not enough space in '%s': %.2f GB (%" PRIu64 " bytes) are needed, "
                         "%.2f GB (%" PRIu64 " bytes) are available; remove models with "
                         "'docker model rm' or 'docker model prune', or set MODELS_PATH",
                         models_root(f->m), (double)needed / 1e9, needed, (double)available / 1e9,
                         available);
    for (size_t i = 0; r == 0 && i < f->n_round; i++)
        r = store_partial_reserve(f->round[i]->partial, err);
    return r;
}

/* What clients are told of a round, once it is clear that it can begin. */
static void list_round(struct fetch *f)
{
    for (size_t i = 0; i < f->n_round; i++) {
        struct item *it = f->round[i];
        list(f, it);
        job_layer(f->j, it->row, store_partial_received(it->partial));
    }
}

/* ---- downloading ---- */

static int on_write(void *ctx, size_t blob, uint64_t offset, struct str bytes, struct error *err)
{
    struct fetch *f = ctx;
    f->m->pulled_bytes += bytes.len;
    return store_partial_write(f->round[blob]->partial, offset, bytes.ptr, bytes.len, err);
}

static int on_blob_done(void *ctx, size_t blob, struct error *err)
{
    (void)err;
    struct fetch *f = ctx;
    job_layer(f->j, f->round[blob]->row, f->round[blob]->layer->size);
    return 0;
}

static void on_progress(void *ctx, size_t blob, uint64_t received)
{
    struct fetch *f = ctx;
    job_layer(f->j, f->round[blob]->row, received);
}

static int download(struct fetch *f, struct registry_repo *repo, struct error *err)
{
    struct registry_blob *blobs = xcalloc(f->n_round, sizeof(*blobs));
    struct registry_range **have = xcalloc(f->n_round, sizeof(*have));
    for (size_t i = 0; i < f->n_round; i++) {
        const struct item *it = f->round[i];
        size_t n;
        const struct store_range *ranges = store_partial_have(it->partial, &n);
        have[i] = xcalloc(n + 1, sizeof(**have));
        for (size_t k = 0; k < n; k++)
            have[i][k] = (struct registry_range){ranges[k].offset, ranges[k].length};
        blobs[i] = (struct registry_blob){
            .name = it->layer->digest.text,
            .path = it->layer->path,
            .digest = &it->layer->digest,
            .size = it->layer->size,
            .have = have[i],
            .n_have = n,
        };
    }
    const struct registry_download d = {
        .blobs = blobs,
        .n_blobs = f->n_round,
        .write = on_write,
        .blob_done = on_blob_done,
        .progress = on_progress,
        .ctx = f,
    };
    int r = registry_download(repo, &d, job_cancel(f->j), err);
    for (size_t i = 0; i < f->n_round; i++)
        free(have[i]);
    free(have);
    free(blobs);
    return r;
}

static int on_hash(void *ctx, uint64_t done)
{
    (void)done;
    struct fetch *f = ctx;
    return http_cancel_fired(job_cancel(f->j));
}

/* A file that calls itself GGUF and is none will not load; better said now than then. */
static void look_at_header(struct fetch *f, const struct item *it)
{
    char magic[4];
    CLEANUP_FD int fd = -1;
    if (!it->layer->gguf ||
        store_open_blob(f->m->store, &it->layer->digest, it->layer->size, &fd, NULL) < 0)
        return;
    if (pread(fd, magic, sizeof(magic), 0) != (ssize_t)sizeof(magic) ||
        memcmp(magic, "GGUF", sizeof(magic)) != 0)
        job_warn(f->j, "layer %.19s is said to be a GGUF file, but does not begin like one",
                 it->layer->digest.text);
}

/* Hashes what is left, publishes the blobs. What was resumed and came out wrong is fetched once
 * more from its start. */
static int finish_round(struct fetch *f, struct error *err)
{
    int r = 0;
    for (size_t i = 0; i < f->n_round; i++) {
        struct item *it = f->round[i];
        struct store_partial *p = TAKE(it->partial);
        if (r < 0) {
            store_partial_close(p);
            continue;
        }
        struct error why = ERROR_INIT;
        r = store_partial_finish(p, on_hash, f, &why);
        if (r == -ERR_CORRUPT && it->resumed && !it->again) {
            it->again = true;
            r = 0;
            job_warn(f->j, "what was there of layer %.19s was damaged; it is downloaded again",
                     it->layer->digest.text);
        } else if (r < 0) {
            error_copy(err, &why);
        } else {
            it->done = true;
            look_at_header(f, it);
        }
    }
    return r;
}

static void close_round(struct fetch *f)
{
    for (size_t i = 0; i < f->n; i++)
        store_partial_close(TAKE(f->items[i].partial));
}

/* ---- all of it ---- */

static bool all_done(const struct fetch *f)
{
    for (size_t i = 0; i < f->n; i++)
        if (!f->items[i].done)
            return false;
    return true;
}

static int run(struct fetch *f, struct registry_repo *repo, struct error *err)
{
    while (!all_done(f)) {
        size_t waiting;
        int r = open_round(f, &waiting, err);
        if (r < 0)
            return r;
        if (http_cancel_fired(job_cancel(f->j)))
            return error_set(err, ERR_CANCELED, "canceled");
        if (f->n_round == 0) {
            if (waiting > 0)
                nanosleep(&(struct timespec){.tv_nsec = WAIT_MS * 1000000L}, NULL);
            continue;
        }
        r = check_space(f, err);
        if (r < 0)
            return r;
        list_round(f);
        r = download(f, repo, err);
        if (r == 0)
            r = finish_round(f, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int fetch_layers(struct job *j, struct models *m, struct registry_repo *repo, struct store_txn *t,
                 const struct fetch_layer *layers, size_t n, struct error *err)
{
    struct fetch f = {.j = j, .m = m, .t = t};
    f.items = xcalloc(n + 1, sizeof(*f.items));
    f.round = xcalloc(n + 1, sizeof(struct item *));
    for (size_t i = 0; i < n; i++) {
        bool twice = false;
        for (size_t k = 0; k < f.n && !twice; k++)
            twice = oci_digest_eq(&f.items[k].layer->digest, &layers[i].digest);
        if (!twice)
            f.items[f.n++].layer = &layers[i];
    }
    int r = run(&f, repo, err);
    close_round(&f);
    free(f.items);
    free(f.round);
    return r;
}
