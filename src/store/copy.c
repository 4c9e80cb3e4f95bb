/* SPDX-License-Identifier: Apache-2.0
 *
 * Moving bytes between files: clone where the file system can, else copy. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>

#include "store/store_internal.h"

enum { CHUNK = 1 << 20 };

int store__copy(int from, int to, const char *what, uint64_t n, struct sha256 *hash,
                store_progress_fn progress, void *ctx, struct error *err)
{
    CLEANUP_FREE char *chunk = xmalloc(CHUNK);
    for (uint64_t done = 0; done < n;) {
        ssize_t got = read(from, chunk, (size_t)MIN((uint64_t)CHUNK, n - done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(err, errno, "cannot read %s", what);
        if (got == 0)
            return error_set(err, ERR_CONFLICT, "%s became shorter while it was being read", what);
        if (hash)
            sha256_update(hash, chunk, (size_t)got);
        if (to >= 0) {
            int r = fd_write_all(to, "to the model store", chunk, (size_t)got, err);
            if (r < 0)
                return r;
        }
        done += (uint64_t)got;
        if (progress && progress(ctx, done) != 0)
            return error_set(err, ERR_CANCELED, "canceled");
    }
    return 0;
}

bool store__clone(int from, int to)
{
    return ioctl(to, FICLONE, from) == 0;
}

int store__reserve(int fd, uint64_t n, const char *what, struct error *err)
{
    if (n == 0)
        return 0;
    if (n > INT64_MAX)
        return error_set(err, ERR_TOO_LARGE, "%s: a size of %llu bytes is not possible", what,
                         (unsigned long long)n);
    int r;
    do
        r = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)n);
    while (r != 0 && errno == EINTR);
    if (r == 0)
        return 0;
    int e = errno;
    struct statvfs fs;
    if ((e == ENOSPC || e == EDQUOT) && fstatvfs(fd, &fs) == 0)
        return error_set(err, ERR_IO,
                         "not enough space for %s: %.1f MB are needed, %.1f MB are free", what,
                         (double)n / 1e6, (double)fs.f_bavail * (double)fs.f_frsize / 1e6);
    /* Where reserving is not known, writing will tell. */
    if (e == EOPNOTSUPP || e == ENOSYS || e == EINVAL)
        return 0;
    return error_errno(err, e, "cannot reserve space for %s", what);
}

static int copy_named(int from_dir, const char *from_name, int to_dir, const char *to_name,
                      const char *what, struct error *err)
{
    CLEANUP_FD int from = openat(from_dir, from_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (from < 0)
        return error_errno(err, errno, "cannot open %s", what);
    struct stat st;
    if (fstat(from, &st) != 0 || !S_ISREG(st.st_mode))
        return error_set(err, ERR_CORRUPT, "%s is not a regular file", what);
    CLEANUP_FD int to = openat(to_dir, to_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (to < 0)
        return error_errno(err, errno, "cannot create a copy of %s", what);
    int r = 0;
    if (!store__clone(from, to)) {
        r = store__reserve(to, (uint64_t)st.st_size, what, err);
        if (r == 0)
            r = store__copy(from, to, what, (uint64_t)st.st_size, NULL, NULL, NULL, err);
    }
    if (r == 0 && fsync(to) != 0)
        r = error_errno(err, errno, "cannot sync a copy of %s", what);
    if (r < 0)
        unlinkat(to_dir, to_name, 0);
    return r;
}

int store__link_or_copy(int from_dir, const char *from_name, int to_dir, const char *to_name,
                        const char *what, struct error *err)
{
    struct stat st;
    if (fstatat(from_dir, from_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return error_errno(err, errno, "cannot look at %s", what);
    if (!S_ISREG(st.st_mode))
        return error_set(err, ERR_CORRUPT, "%s is not a regular file", what);
    if (linkat(from_dir, from_name, to_dir, to_name, 0) == 0)
        return 0;
    switch (errno) {
    case EXDEV:  /* another file system */
    case EPERM:  /* one without hard links, or a file of somebody else */
    case EMLINK: /* too many links */
    case ENOSYS:
    case EOPNOTSUPP:
        return copy_named(from_dir, from_name, to_dir, to_name, what, err);
    default:
        return error_errno(err, errno, "cannot link %s", what);
    }
}
