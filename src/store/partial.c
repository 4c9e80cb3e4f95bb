/* SPDX-License-Identifier: Apache-2.0
 *
 * Downloads into the store, see partial.h. */
#include "store/partial.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/clock.h"
#include "store/store_internal.h"

enum {
    SAVE_BYTES = 4 << 20,    /* the ranges file is replaced after so many new bytes */
    SYNC_BYTES = 128 << 20,  /* the data is synced after so many */
    PIECE_BYTES = 512 << 10, /* large, as waking a thread costs as much as copying 100 KB */
    N_PIECES = 8,
    THREAD_MIN_BYTES = 1 << 20, /* smaller blobs are written and hashed without threads */
    STATE_MAX_BYTES = 4 << 20,
    ADOPT_MIN_AGE_S = 30, /* a DMR that still writes touches its file more often */
    BOOT_ID_MAX = 64,
};

static const char state_magic[] = "model-runner partial 1";

/* Bytes between the caller, who brings them, and the two threads: the writer writes every piece, in
 * the order in which they came; the hasher takes those that come in the blob's own order straight
 * from here, and reads back what did not. So neither waits for the other. */
struct piece {
    char *bytes; /* allocated when first used */
    size_t n;
    uint64_t offset, serial;
    enum { PIECE_FREE, PIECE_FILLING, PIECE_QUEUED, PIECE_WRITING, PIECE_WRITTEN } state;
    bool hashing; /* the hasher is at it */
};

struct store_partial {
    struct store_txn *t;
    struct store *s;
    struct oci_digest digest;
    uint64_t size;
    int fd;
    char name[96], state_name[96]; /* in blobs/sha256 */
    char boot[BOOT_ID_MAX];

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct ranges written; /* guarded by: lock */
    struct ranges synced;  /* guarded by: lock; part of `written` */
    uint64_t unsaved;      /* guarded by: lock; written since the ranges file was replaced */
    uint64_t unsynced;     /* guarded by: lock; written since the last sync began */
    uint64_t hashed;       /* guarded by: lock */
    struct piece pieces[N_PIECES]; /* guarded by: lock; the bytes are of whom the state names */
    struct piece *filling;         /* the caller's; NULL = none */
    uint64_t serial;               /* guarded by: lock */
    bool no_more;                  /* guarded by: lock; nothing will be queued any more */
    bool stop;                     /* guarded by: lock; the hasher need not go on */
    bool hasher_done;              /* guarded by: lock */
    struct error thread_error;     /* guarded by: lock; code 0 = none */
    bool has_writer, has_hasher;
    pthread_t writer, hasher;
    struct sha256 *hash; /* the hasher's; without one, the caller's */
};

/* ---- the ranges file ---- */

/* Changes with every start of the machine; "" if it is not told. */
static void read_boot_id(char out[BOOT_ID_MAX])
{
    CLEANUP_BUF struct buf text = BUF_INIT(BOOT_ID_MAX - 1);
    out[0] = '\0';
    if (file_read("/proc/sys/kernel/random/boot_id", &text, NULL) < 0)
        return;
    struct str id = str_trim(buf_str(&text));
    memcpy(out, id.ptr, id.len);
    out[id.len] = '\0';
}

static void append_ranges(struct buf *out, char kind, const struct ranges *r)
{
    for (size_t i = 0; i < r->n; i++)
        buf_printf(out, "%c %" PRIu64 " %" PRIu64 "\n", kind, r->items[i].offset,
                   r->items[i].length);
}

/* Under the lock, or while no thread runs. */
static int save_state(struct store_partial *p, struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT(STATE_MAX_BYTES);
    buf_printf(&text, "%s\nsize %" PRIu64 "\nboot %s\n", state_magic, p->size, p->boot);
    append_ranges(&text, 's', &p->synced);
    append_ranges(&text, 'w', &p->written);
    buf_append_c(&text, "end\n");
    int r = buf_check(&text, p->state_name, err);
    if (r < 0)
        return r;
    char temp[96];
    int dir = store__txn_dir(p->t);
    store__temp_name(p->s, STORE_TEMP_PREFIX, STORE_INCOMPLETE, temp);
    CLEANUP_FD int fd = openat(dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_errno(err, errno, "cannot create a file in the model store '%s'", p->s->root);
    r = fd_write_all(fd, "to the model store", text.data, text.len, err);
    if (r == 0 && renameat(dir, temp, dir, p->state_name) != 0)
        r = error_errno(err, errno, "cannot replace '%s' in the model store", p->state_name);
    if (r < 0)
        unlinkat(dir, temp, 0);
    else
        p->unsaved = 0;
    return r;
}

static bool take_number(struct str *line, uint64_t *ret)
{
    struct str word;
    return str_split_next(line, ' ', &word) && str_to_u64(word, "a range", ret, NULL) == 0;
}

static bool take_range(struct str line, uint64_t size, struct ranges *r)
{
    uint64_t offset, length;
    if (!take_number(&line, &offset) || !take_number(&line, &length) || line.ptr || length == 0 ||
        offset > size || length > size - offset)
        return false;
    ranges_add(r, offset, length);
    return true;
}

/* False, with unspecified ranges, when the text is not a whole ranges file for this size. */
static bool parse_state(struct str text, uint64_t size, const char *boot, struct ranges *written,
                        struct ranges *synced)
{
    struct str line;
    uint64_t n;
    if (!str_split_next(&text, '\n', &line) || !str_eq_c(line, state_magic))
        return false;
    bool this_boot = false;
    while (str_split_next(&text, '\n', &line)) {
        if (str_eq_c(line, "end"))
            return true;
        struct str kind;
        if (!str_split_next(&line, ' ', &kind))
            return false;
        bool good = true;
        if (str_eq_c(kind, "size"))
            good = take_number(&line, &n) && n == size;
        else if (str_eq_c(kind, "boot"))
            this_boot = *boot && str_eq_c(line, boot);
        else if (str_eq_c(kind, "s"))
            good = take_range(line, size, synced) && take_range(line, size, written);
        else if (str_eq_c(kind, "w"))
            good = !this_boot || take_range(line, size, written);
        if (!good)
            return false;
    }
    return false;
}

/* Reads what is there; an absent or damaged ranges file means: nothing. */
static void load_state(int dir, const char *name, uint64_t size, uint64_t on_disk, const char *boot,
                       struct ranges *written, struct ranges *synced)
{
    CLEANUP_BUF struct buf text = BUF_INIT(STATE_MAX_BYTES);
    if (store__read_at(dir, name, name, &text, NULL) < 0 ||
        !parse_state(buf_str(&text), size, boot, written, synced)) {
        ranges_release(written);
        ranges_release(synced);
    }
    ranges_clip(written, on_disk);
    ranges_clip(synced, on_disk);
}

/* ---- writing, hashing and syncing beside the download ---- */

static int write_at(struct store_partial *p, uint64_t offset, const char *bytes, size_t n,
                    struct error *err)
{
    while (n > 0) {
        ssize_t w = pwrite(p->fd, bytes, n, (off_t)offset);
        if (w < 0 && errno == EINTR)
            continue;
        if (w <= 0)
            return error_errno(err, w < 0 ? errno : EIO, "cannot write blob %s to the model store",
                               p->digest.text);
        bytes += w;
        offset += (uint64_t)w;
        n -= (size_t)w;
    }
    return 0;
}

/* Notes what has been written, with the lock held; *ret_saved: the ranges file was replaced. */
static int note_written(struct store_partial *p, uint64_t offset, size_t n, bool *ret_saved,
                        struct error *err)
{
    ranges_add(&p->written, offset, n);
    p->unsaved += n;
    p->unsynced += n;
    *ret_saved = p->unsaved >= SAVE_BYTES;
    return *ret_saved ? save_state(p, err) : 0;
}

/* Lets the disk begin, so that syncing has less to wait for. */
static void begin_writeback(const struct store_partial *p)
{
    sync_file_range(p->fd, 0, 0, SYNC_FILE_RANGE_WRITE);
}

/* A piece that is written is free once it is hashed. With the lock held. */
static void release_piece(struct store_partial *p, struct piece *x)
{
    if (x->state == PIECE_WRITTEN && !x->hashing && x->offset + x->n <= p->hashed)
        x->state = PIECE_FREE;
}

static struct piece *next_queued(struct store_partial *p)
{
    struct piece *first = NULL;
    for (size_t i = 0; i < N_PIECES; i++) {
        struct piece *x = &p->pieces[i];
        if (x->state == PIECE_QUEUED && (!first || x->serial < first->serial))
            first = x;
    }
    return first;
}

/* With the lock held, which is let go meanwhile. */
static void write_piece(struct store_partial *p, struct piece *x)
{
    struct error why = ERROR_INIT;
    bool saved = false;
    x->state = PIECE_WRITING;
    bool lost = p->thread_error.code != ERR_NONE; /* a disk that is full is not asked again */
    pthread_mutex_unlock(&p->lock);
    int r = lost ? 0 : write_at(p, x->offset, x->bytes, x->n, &why);
    pthread_mutex_lock(&p->lock);
    if (r == 0 && !lost)
        r = note_written(p, x->offset, x->n, &saved, &why);
    if (r < 0)
        p->thread_error = why;
    x->state = r < 0 || lost ? PIECE_FREE : PIECE_WRITTEN;
    release_piece(p, x);
    pthread_cond_broadcast(&p->changed);
    if (saved) {
        pthread_mutex_unlock(&p->lock);
        begin_writeback(p);
        pthread_mutex_lock(&p->lock);
    }
}

static void *writer_main(void *ctx)
{
    struct store_partial *p = ctx;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        struct piece *x = next_queued(p);
        if (x)
            write_piece(p, x);
        else if (p->no_more)
            break;
        else
            pthread_cond_wait(&p->changed, &p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

/* The piece whose bytes are the next to be hashed; NULL: they have to be read back, or are not
 * there yet. */
static struct piece *next_in_order(struct store_partial *p)
{
    for (size_t i = 0; i < N_PIECES; i++) {
        struct piece *x = &p->pieces[i];
        if (x->state >= PIECE_QUEUED && x->offset == p->hashed)
            return x;
    }
    return NULL;
}

/* Where the first piece behind the hashed bytes begins: what is read back ends there. */
static uint64_t next_offset(const struct store_partial *p)
{
    uint64_t first = p->size;
    for (size_t i = 0; i < N_PIECES; i++)
        if (p->pieces[i].state >= PIECE_QUEUED && p->pieces[i].offset > p->hashed)
            first = MIN(first, p->pieces[i].offset);
    return first;
}

/* With the lock held, which is let go meanwhile. */
static void hash_piece(struct store_partial *p, struct piece *x)
{
    x->hashing = true;
    pthread_mutex_unlock(&p->lock);
    sha256_update(p->hash, x->bytes, x->n);
    pthread_mutex_lock(&p->lock);
    x->hashing = false;
    p->hashed += x->n;
    release_piece(p, x);
    pthread_cond_broadcast(&p->changed);
}

/* Reads some of what is written back and hashes it; with the lock held, which is let go
 * meanwhile. */
static void hash_back(struct store_partial *p, char *chunk, uint64_t upto)
{
    size_t n = (size_t)MIN((uint64_t)PIECE_BYTES, upto - p->hashed);
    uint64_t at = p->hashed;
    pthread_mutex_unlock(&p->lock);
    ssize_t got;
    do
        got = pread(p->fd, chunk, n, (off_t)at);
    while (got < 0 && errno == EINTR);
    int e = errno;
    if (got > 0)
        sha256_update(p->hash, chunk, (size_t)got);
    pthread_mutex_lock(&p->lock);
    if (got > 0)
        p->hashed += (uint64_t)got;
    else
        error_errno(&p->thread_error, got < 0 ? e : EIO, "cannot read blob %s back",
                    p->digest.text);
    for (size_t i = 0; i < N_PIECES; i++)
        release_piece(p, &p->pieces[i]);
    pthread_cond_broadcast(&p->changed);
}

/* Makes durable what has been written; with the lock held, which is let go meanwhile. */
static void sync_some(struct store_partial *p)
{
    struct ranges now = {0};
    ranges_copy(&now, &p->written);
    p->unsynced = 0;
    pthread_mutex_unlock(&p->lock);
    int e = fdatasync(p->fd) == 0 ? 0 : errno;
    pthread_mutex_lock(&p->lock);
    if (e) {
        error_errno(&p->thread_error, e, "cannot sync blob %s", p->digest.text);
        ranges_release(&now);
        return;
    }
    ranges_release(&p->synced);
    p->synced = now;
}

static void hash_all(struct store_partial *p)
{
    CLEANUP_FREE char *chunk = xmalloc(PIECE_BYTES);
    pthread_mutex_lock(&p->lock);
    while (!p->stop && p->thread_error.code == ERR_NONE && p->hashed < p->size) {
        uint64_t prefix = ranges_prefix(&p->written);
        struct piece *x = next_in_order(p);
        if (p->unsynced >= SYNC_BYTES)
            sync_some(p);
        else if (x)
            hash_piece(p, x);
        else if (p->hashed < prefix)
            hash_back(p, chunk, MIN(prefix, next_offset(p)));
        else
            pthread_cond_wait(&p->changed, &p->lock);
    }
    p->hasher_done = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
}

static void *hasher_main(void *p)
{
    hash_all(p);
    return NULL;
}

static void start_hasher(struct store_partial *p)
{
    if (!p->has_hasher && p->size >= THREAD_MIN_BYTES)
        p->has_hasher = pthread_create(&p->hasher, NULL, hasher_main, p) == 0;
}

static void start_writer(struct store_partial *p)
{
    if (!p->has_writer && p->size >= THREAD_MIN_BYTES)
        p->has_writer = pthread_create(&p->writer, NULL, writer_main, p) == 0;
}

/* Hands the piece that is being filled to the threads; with the lock held. */
static void submit(struct store_partial *p)
{
    if (!p->filling)
        return;
    p->filling->serial = p->serial++;
    p->filling->state = PIECE_QUEUED;
    p->filling = NULL;
    pthread_cond_broadcast(&p->changed);
}

/* Waits until everything that was brought is written. */
static void join_writer(struct store_partial *p)
{
    if (!p->has_writer)
        return;
    pthread_mutex_lock(&p->lock);
    submit(p);
    p->no_more = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->writer, NULL);
    p->has_writer = false;
}

static void join_hasher(struct store_partial *p, bool stop)
{
    if (!p->has_hasher)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop |= stop;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->hasher, NULL);
    p->has_hasher = false;
}

/* Waits for a piece to fill; with the lock held. A written one that waits for the hasher only is
 * taken from it, the last in the blob's order first: it can read that back. */
static struct piece *take_piece(struct store_partial *p)
{
    for (;;) {
        struct piece *best = NULL;
        for (size_t i = 0; i < N_PIECES; i++) {
            struct piece *x = &p->pieces[i];
            if (x->hashing)
                continue;
            if (x->state == PIECE_FREE)
                return x;
            if (x->state == PIECE_WRITTEN && (!best || x->offset > best->offset))
                best = x;
        }
        if (best)
            return best;
        pthread_cond_wait(&p->changed, &p->lock);
    }
}

/* An empty piece to fill, after the last one has been handed on. */
static int next_piece(struct store_partial *p, struct error *err)
{
    pthread_mutex_lock(&p->lock);
    submit(p);
    int r = p->thread_error.code != ERR_NONE ? error_copy(err, &p->thread_error) : 0;
    if (r == 0) {
        struct piece *x = take_piece(p);
        if (!x->bytes)
            x->bytes = xmalloc(PIECE_BYTES);
        x->state = PIECE_FILLING;
        x->n = 0;
        p->filling = x;
    }
    pthread_mutex_unlock(&p->lock);
    return r;
}

/* Copies bytes into pieces; whole ones go to the threads. */
static int queue(struct store_partial *p, uint64_t offset, const char *bytes, size_t n,
                 struct error *err)
{
    while (n > 0) {
        struct piece *x = p->filling;
        if (!x || x->offset + x->n != offset || x->n == PIECE_BYTES) {
            int r = next_piece(p, err);
            if (r < 0)
                return r;
            x = p->filling;
            x->offset = offset;
        }
        size_t part = MIN(n, PIECE_BYTES - x->n);
        memcpy(x->bytes + x->n, bytes, part);
        x->n += part;
        bytes += part;
        offset += part;
        n -= part;
    }
    return 0;
}

/* ---- opening ---- */

static bool is_file(int dir, const char *name, struct stat *st)
{
    return fstatat(dir, name, st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st->st_mode);
}

/* Renames what a DMR left to our name. True if that has been done. */
static bool adopt(int dir, const struct oci_digest *digest, uint64_t size, const char *name)
{
    char theirs[96];
    struct stat st;
    snprintf(theirs, sizeof(theirs), "%s%s", oci_digest_hex(digest), STORE_INCOMPLETE);
    return !is_file(dir, name, &st) && is_file(dir, theirs, &st) && st.st_nlink == 1 &&
           (uint64_t)st.st_size <= size && clock_wall_s() - st.st_mtime >= ADOPT_MIN_AGE_S &&
           renameat2(dir, theirs, dir, name, RENAME_NOREPLACE) == 0;
}

/* Opens and locks the file; ERR_BUSY if somebody else has it. */
static int open_locked(struct store *s, int dir, const char *name, int *ret_fd, struct error *err)
{
    for (;;) {
        CLEANUP_FD int fd = openat(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (fd < 0)
            return error_errno(err, errno, "cannot create a file in the model store '%s'", s->root);
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            if (errno == EWOULDBLOCK)
                return error_set(err, ERR_BUSY, "another process downloads %.19s", name);
            if (errno != EINTR)
                return error_errno(err, errno, "cannot lock '%s' in the model store", name);
            continue;
        }
        struct stat named, held;
        if (fstat(fd, &held) != 0 || !S_ISREG(held.st_mode))
            return error_set(err, ERR_CORRUPT, "'%s' in the model store is not a regular file",
                             name);
        if (fstatat(dir, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && named.st_dev == held.st_dev &&
            named.st_ino == held.st_ino) {
            *ret_fd = TAKE_FD(fd);
            return 0;
        }
    }
}

static void partial_free(struct store_partial *p)
{
    if (p->fd >= 0)
        close(p->fd);
    sha256_free(p->hash);
    for (size_t i = 0; i < N_PIECES; i++)
        free(p->pieces[i].bytes);
    ranges_release(&p->written);
    ranges_release(&p->synced);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static void remove_files(struct store_partial *p)
{
    /* In this order: without the file itself, its ranges could be those of a newer one. */
    int dir = store__txn_dir(p->t);
    unlinkat(dir, p->state_name, 0);
    unlinkat(dir, p->name, 0);
}

/* What is there, as far as the ranges file (or the DMR's file) tells. */
static int load_received(struct store_partial *p, bool adopted, struct error *err)
{
    struct stat st;
    if (fstat(p->fd, &st) != 0)
        return error_errno(err, errno, "cannot look at '%s' in the model store", p->name);
    if (adopted)
        ranges_add(&p->written, 0, (uint64_t)st.st_size);
    else
        load_state(store__txn_dir(p->t), p->state_name, p->size, (uint64_t)st.st_size, p->boot,
                   &p->written, &p->synced);
    if (adopted)
        return save_state(p, err);
    if (p->written.n == 0 && st.st_size > 0 && ftruncate(p->fd, 0) != 0)
        return error_errno(err, errno, "cannot empty '%s' in the model store", p->name);
    return 0;
}

int store_partial_open(struct store_txn *t, const struct oci_digest *digest, uint64_t size,
                       struct store_partial **ret, struct error *err)
{
    if (strcmp(oci_digest_algorithm(digest), "sha256") != 0)
        return error_set(err, ERR_UNSUPPORTED, "%.20s…: only sha256 blobs can be stored",
                         digest->text);
    if (size > INT64_MAX)
        return error_set(err, ERR_TOO_LARGE, "blob %s: a size of %" PRIu64 " bytes is not possible",
                         digest->text, size);
    struct store_partial *p = xcalloc(1, sizeof(*p));
    *p = (struct store_partial){
        .t = t, .s = store__txn_store(t), .digest = *digest, .size = size, .fd = -1};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    p->hash = sha256_new();
    read_boot_id(p->boot);
    snprintf(p->name, sizeof(p->name), "%s%s", oci_digest_hex(digest), STORE_PARTIAL);
    snprintf(p->state_name, sizeof(p->state_name), "%s%s", oci_digest_hex(digest), STORE_RANGES);

    int dir = store__txn_dir(t);
    bool adopted = adopt(dir, digest, size, p->name);
    int r = open_locked(p->s, dir, p->name, &p->fd, err);
    struct stat st;
    if (r == 0 && is_file(dir, oci_digest_hex(digest), &st) && (uint64_t)st.st_size == size) {
        remove_files(p); /* somebody finished it just now */
        r = error_set(err, ERR_BUSY, "blob %s has arrived", digest->text);
    }
    if (r == 0)
        r = load_received(p, adopted, err);
    if (r < 0) {
        partial_free(p);
        return r;
    }
    *ret = p;
    return 0;
}

const struct store_range *store_partial_have(const struct store_partial *p, size_t *ret_n)
{
    *ret_n = p->written.n;
    return p->written.items;
}

uint64_t store_partial_received(const struct store_partial *p)
{
    return ranges_total(&p->written);
}

uint64_t store_partial_needs(const struct store_partial *p)
{
    struct stat st;
    if (fstat(p->fd, &st) != 0)
        return p->size;
    uint64_t taken = (uint64_t)st.st_blocks * 512;
    return taken < p->size ? p->size - taken : 0;
}

int store_partial_reserve(struct store_partial *p, struct error *err)
{
    return store__reserve(p->fd, p->size, p->digest.text, err);
}

/* ---- writing ---- */

int store_partial_write(struct store_partial *p, uint64_t offset, const void *bytes, size_t n,
                        struct error *err)
{
    if (offset > p->size || n > p->size - offset)
        return error_set(err, ERR_CORRUPT, "blob %s is longer than the %" PRIu64 " bytes announced",
                         p->digest.text, p->size);
    start_writer(p);
    start_hasher(p);
    if (p->has_writer)
        return queue(p, offset, bytes, n, err);
    int r = write_at(p, offset, bytes, n, err);
    bool saved = false;
    pthread_mutex_lock(&p->lock);
    if (r == 0)
        r = note_written(p, offset, n, &saved, err);
    if (r == 0 && p->thread_error.code != ERR_NONE)
        r = error_copy(err, &p->thread_error);
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    if (saved)
        begin_writeback(p);
    return r;
}

void store_partial_close(struct store_partial *p)
{
    if (!p)
        return;
    join_writer(p);
    join_hasher(p, true);
    if (p->written.n == 0)
        remove_files(p);
    else if (p->unsaved > 0)
        save_state(p, NULL);
    partial_free(p);
}

/* ---- the end ---- */

/* Waits until the hasher has hashed everything. */
static int await_hash(struct store_partial *p, store_progress_fn progress, void *ctx,
                      struct error *err)
{
    enum { TICK_NS = 100 * 1000 * 1000 };
    int r = 0;
    pthread_mutex_lock(&p->lock);
    while (!p->hasher_done && r == 0) {
        uint64_t hashed = p->hashed;
        pthread_mutex_unlock(&p->lock);
        if (progress && progress(ctx, hashed) != 0)
            r = error_set(err, ERR_CANCELED, "canceled");
        pthread_mutex_lock(&p->lock);
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += TICK_NS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        if (!p->hasher_done && r == 0)
            pthread_cond_timedwait(&p->changed, &p->lock, &until);
    }
    pthread_mutex_unlock(&p->lock);
    join_hasher(p, r < 0);
    return r;
}

static int check_digest(struct store_partial *p, struct error *err)
{
    char hex[SHA256_HEX + 1];
    sha256_final_hex(TAKE(p->hash), hex);
    if (strcmp(hex, oci_digest_hex(&p->digest)) == 0)
        return 0;
    remove_files(p);
    p->written.n = 0;
    return error_set(err, ERR_CORRUPT,
                     "blob digest mismatch for \"%s\": expected %s, got sha256:%s", p->digest.text,
                     p->digest.text, hex);
}

/* The final name, and a second one that holds the blob for the transaction. Where the file system
 * has no links, the transaction gives it its name in the end. */
static int publish(struct store_partial *p, struct error *err)
{
    int dir = store__txn_dir(p->t);
    if (p->size < (uint64_t)INT64_MAX && ftruncate(p->fd, (off_t)p->size) != 0)
        return error_errno(err, errno, "cannot set the size of blob %s", p->digest.text);
    if (fsync(p->fd) != 0)
        return error_errno(err, errno, "cannot sync blob %s", p->digest.text);
    char held[96];
    store__temp_name(p->s, STORE_TEMP_PREFIX, STORE_INCOMPLETE, held);
    bool linked = linkat(dir, p->name, dir, held, 0) == 0;
    const char *to = linked ? oci_digest_hex(&p->digest) : held;
    if (renameat(dir, p->name, dir, to) != 0) {
        int e = errno;
        if (linked)
            unlinkat(dir, held, 0);
        return error_errno(err, e, "cannot name blob %s in the model store", p->digest.text);
    }
    unlinkat(dir, p->state_name, 0);
    char damaged[96]; /* an earlier one that had gone bad */
    snprintf(damaged, sizeof(damaged), "%s%s", oci_digest_hex(&p->digest), STORE_DAMAGED);
    unlinkat(dir, damaged, 0);
    struct stat st;
    if (fstat(p->fd, &st) == 0)
        store__set_checked(p->s, &p->digest, &st);
    store__txn_stage(p->t, &p->digest, p->size, held);
    return store__fsync_dir(dir, "the blobs", err);
}

int store_partial_finish(struct store_partial *p, store_progress_fn progress, void *ctx,
                         struct error *err)
{
    join_writer(p);
    pthread_mutex_lock(&p->lock);
    int r = p->thread_error.code != ERR_NONE ? error_copy(err, &p->thread_error) : 0;
    if (r == 0 && ranges_total(&p->written) != p->size)
        r = error_set(err, ERR_CORRUPT, "a blob ended before all of its bytes were there");
    pthread_mutex_unlock(&p->lock);
    if (r < 0) {
        store_partial_close(p);
        return r;
    }
    start_hasher(p);
    if (p->has_hasher)
        r = await_hash(p, progress, ctx, err);
    else
        hash_all(p);
    if (r == 0 && p->thread_error.code != ERR_NONE)
        r = error_copy(err, &p->thread_error);
    if (r < 0) {
        store_partial_close(p);
        return r;
    }
    r = check_digest(p, err);
    if (r == 0)
        r = publish(p, err);
    partial_free(p);
    return r;
}

/* ---- looking from outside ---- */

uint64_t store_partial_peek(struct store *s, const struct oci_digest *digest, uint64_t size)
{
    CLEANUP_FD int dir = -1;
    char name[160];
    struct ranges written = {0}, synced = {0};
    char boot[BOOT_ID_MAX];
    if (store__open_area(s, STORE_BLOBS, oci_digest_algorithm(digest), false, &dir, NULL) < 0)
        return 0;
    read_boot_id(boot);
    snprintf(name, sizeof(name), "%s%s", oci_digest_hex(digest), STORE_RANGES);
    load_state(dir, name, size, size, boot, &written, &synced);
    uint64_t n = ranges_total(&written);
    ranges_release(&written);
    ranges_release(&synced);
    return n;
}

int store_free_space(struct store *s, uint64_t *ret, struct error *err)
{
    struct statvfs fs;
    if (statvfs(s->root, &fs) != 0)
        return error_errno(err, errno, "cannot look at the file system of '%s'", s->root);
    if (mul_overflows(fs.f_bavail, fs.f_frsize, ret))
        *ret = UINT64_MAX;
    return 0;
}
