/* SPDX-License-Identifier: Apache-2.0
 *
 * Which files are known to hold what their digest says: ROOT/.model-runner.checked has a line for
 * every blob that was hashed,
 *
 *     <64 hex> <inode> <size> <modification time, ns>
 *
 * and a file that still has this identity is taken to be the same. One that was written to since,
 * that was restored from a backup, or that a DMR has put there is hashed before an engine gets it.
 * A disk that changes bits behind the file's back is found by `docker model verify` only.
 *
 * The file is a memory, not a promise: without it, everything is hashed once more. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#include "store/store_internal.h"

enum { FILE_MAX = 8 << 20, LINE_LEN_MAX = 160 };

static const char file_name[] = ".model-runner.checked";

struct checked {
    struct checked *next;
    char hex[SHA256_HEX + 1];
    uint64_t inode, size;
    int64_t mtime_ns;
};

static struct checked **bucket_of(struct store *s, const char *hex)
{
    unsigned n = 0;
    for (int i = 0; i < 3; i++)
        n = n * 16 + (unsigned)(hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10);
    return &s->checked[n % STORE_CHECKED_BUCKETS];
}

static int64_t mtime_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static void insert(struct store *s, const struct checked *c)
{
    struct checked *x = xmalloc(sizeof(*x));
    *x = *c;
    struct checked **bucket = bucket_of(s, c->hex);
    x->next = *bucket;
    *bucket = x;
}

static void forget(struct store *s, const char *hex)
{
    for (struct checked **at = bucket_of(s, hex); *at;) {
        struct checked *x = *at;
        if (strcmp(x->hex, hex) != 0) {
            at = &x->next;
            continue;
        }
        *at = x->next;
        free(x);
    }
}

void store__checked_release(struct store *s)
{
    for (size_t i = 0; i < STORE_CHECKED_BUCKETS; i++) {
        while (s->checked[i]) {
            struct checked *x = s->checked[i];
            s->checked[i] = x->next;
            free(x);
        }
    }
}

/* ---- the file ---- */

/* A line; inode 0 takes back what was said about the digest. */
static void read_line(struct store *s, struct str line)
{
    struct checked c = {0};
    struct str hex, inode, size, mtime;
    if (!str_split_next(&line, ' ', &hex) || !str_split_next(&line, ' ', &inode) ||
        !str_split_next(&line, ' ', &size) || !str_split_next(&line, ' ', &mtime) ||
        hex.len != SHA256_HEX)
        return;
    memcpy(c.hex, hex.ptr, SHA256_HEX);
    struct oci_digest digest;
    if (!store__digest_of_name("sha256", c.hex, &digest) ||
        str_to_u64(inode, "", &c.inode, NULL) < 0 || str_to_u64(size, "", &c.size, NULL) < 0 ||
        str_to_i64(mtime, "", &c.mtime_ns, NULL) < 0)
        return;
    if (c.inode)
        insert(s, &c);
    else
        forget(s, c.hex);
}

/* Reads what this and other processes have added since the last time. */
static void read_news(struct store *s)
{
    CLEANUP_FD int root = -1;
    if (store__open_root(s, &root, NULL) < 0)
        return;
    CLEANUP_FD int fd = openat(root, file_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return;
    if (st.st_ino != s->checked_inode || st.st_size < s->checked_read) {
        store__checked_release(s);
        s->checked_inode = st.st_ino;
        s->checked_read = 0;
    }
    if (st.st_size > FILE_MAX) { /* many years of use: begin again */
        unlinkat(root, file_name, 0);
        return;
    }
    CLEANUP_BUF struct buf text = BUF_INIT(FILE_MAX + LINE_LEN_MAX);
    if (st.st_size == s->checked_read || lseek(fd, s->checked_read, SEEK_SET) < 0 ||
        fd_read_all(fd, file_name, &text, NULL) < 0)
        return;
    struct str rest = buf_str(&text), line;
    for (ptrdiff_t end; (end = str_find_char(rest, '\n')) >= 0;) {
        line = str_sub(rest, 0, (size_t)end);
        rest = str_sub(rest, (size_t)end + 1, SIZE_MAX);
        read_line(s, line);
        s->checked_read += end + 1;
    }
}

/* Failing to write costs another hashing some day, so it is no error. */
static void write_line(struct store *s, const char *hex, const struct stat *st)
{
    CLEANUP_FD int root = -1;
    if (store__open_root(s, &root, NULL) < 0)
        return;
    CLEANUP_FD int fd = openat(
        root, file_name, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
    if (fd < 0)
        return;
    /* The line break in front keeps it apart from one that a crash cut short. */
    char line[LINE_LEN_MAX];
    int n = snprintf(line, sizeof(line), "\n%s %" PRIu64 " %" PRIu64 " %" PRId64 "\n", hex,
                     st ? (uint64_t)st->st_ino : 0, st ? (uint64_t)st->st_size : 0,
                     st ? mtime_ns(st) : 0);
    fd_write_all(fd, file_name, line, (size_t)n, NULL);
}

/* ---- asking and telling ---- */

static bool lookup(struct store *s, const char *hex, const struct stat *st)
{
    for (const struct checked *x = *bucket_of(s, hex); x; x = x->next)
        if (strcmp(x->hex, hex) == 0 && x->inode == (uint64_t)st->st_ino &&
            x->size == (uint64_t)st->st_size && x->mtime_ns == mtime_ns(st))
            return true;
    return false;
}

bool store__is_checked(struct store *s, const struct oci_digest *digest, const struct stat *st)
{
    if (strcmp(oci_digest_algorithm(digest), "sha256") != 0)
        return true; /* nothing here makes such a digest */
    pthread_mutex_lock(&s->checked_lock);
    bool known = lookup(s, oci_digest_hex(digest), st);
    if (!known) {
        read_news(s);
        known = lookup(s, oci_digest_hex(digest), st);
    }
    pthread_mutex_unlock(&s->checked_lock);
    return known;
}

void store__set_checked(struct store *s, const struct oci_digest *digest, const struct stat *st)
{
    if (strcmp(oci_digest_algorithm(digest), "sha256") != 0)
        return;
    pthread_mutex_lock(&s->checked_lock);
    if (st || *bucket_of(s, oci_digest_hex(digest)))
        write_line(s, oci_digest_hex(digest), st);
    read_news(s);
    pthread_mutex_unlock(&s->checked_lock);
}

/* ---- damage ---- */

/* Takes a blob that is not what its name says out of the way, so that nobody uses it and the next
 * pull gets it again. Somebody may have put a good one there meanwhile: only this inode is meant. */
static void set_aside(struct store *s, const struct oci_digest *digest, const struct stat *st)
{
    CLEANUP_LOCK struct store_lock lock = STORE_LOCK_INIT;
    CLEANUP_FD int dir = -1;
    struct stat now;
    if (store__lock_index(s, &lock, NULL) < 0 ||
        store__open_area(s, STORE_BLOBS, "sha256", false, &dir, NULL) < 0 ||
        fstatat(dir, oci_digest_hex(digest), &now, AT_SYMLINK_NOFOLLOW) != 0 ||
        now.st_ino != st->st_ino)
        return;
    char name[OCI_DIGEST_TEXT_MAX + sizeof(STORE_DAMAGED)];
    snprintf(name, sizeof(name), "%s" STORE_DAMAGED, oci_digest_hex(digest));
    if (renameat(dir, oci_digest_hex(digest), dir, name) == 0)
        fsync(dir);
}

int store__hash_blob(struct store *s, const struct oci_digest *digest, uint64_t size,
                     store_progress_fn progress, void *ctx, struct error *err)
{
    CLEANUP_FD int fd = -1;
    struct stat before, after;
    int r = store_open_blob(s, digest, size, &fd, err);
    if (r < 0 || strcmp(oci_digest_algorithm(digest), "sha256") != 0)
        return r;
    if (fstat(fd, &before) != 0)
        return error_errno(err, errno, "cannot look at blob %s", digest->text);
    struct sha256 *hash = sha256_new();
    r = store__copy(fd, -1, digest->text, size, hash, progress, ctx, err);
    if (r < 0) {
        sha256_free(hash);
        return r;
    }
    char hex[SHA256_HEX + 1];
    sha256_final_hex(hash, hex);
    if (strcmp(hex, oci_digest_hex(digest)) != 0) {
        store__set_checked(s, digest, NULL);
        set_aside(s, digest, &before);
        return error_set(err, ERR_CORRUPT,
                         "blob %s is damaged: its content has the digest sha256:%s; it was set "
                         "aside",
                         digest->text, hex);
    }
    bool still = fstat(fd, &after) == 0 && mtime_ns(&before) == mtime_ns(&after);
    if (still && !store__is_checked(s, digest, &after))
        store__set_checked(s, digest, &after);
    return 0;
}

int store__trust_blob(struct store *s, const struct oci_digest *digest, uint64_t size,
                      struct stat *ret, struct error *err)
{
    CLEANUP_FD int fd = -1;
    int r = store_open_blob(s, digest, size, &fd, err);
    if (r < 0)
        return r;
    if (fstat(fd, ret) != 0)
        return error_errno(err, errno, "cannot look at blob %s", digest->text);
    return store__is_checked(s, digest, ret) ? 0
                                             : store__hash_blob(s, digest, size, NULL, NULL, err);
}
