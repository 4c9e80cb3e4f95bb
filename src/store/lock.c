/* SPDX-License-Identifier: Apache-2.0
 *
 * The two lock files. Another program may empty the store and with it remove them; a lock on a
 * removed file protects nothing, so after locking the name must still lead to the same file. */
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "store/store_internal.h"

const char store__lock_name[] = ".model-runner.lock";
const char store__writers_name[] = ".model-runner.writers";

static int open_lock(const struct store *s, const char *name, int *ret_fd, struct error *err)
{
    CLEANUP_FD int root = -1;
    int r = store__open_root(s, &root, err);
    if (r < 0)
        return r;
    int fd = openat(root, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return error_errno(err, errno, "cannot open the lock '%s/%s'", s->root, name);
    *ret_fd = fd;
    return 0;
}

static bool still_named(const struct store *s, const char *name, int fd)
{
    CLEANUP_FREE char *path = path_join(s->root, name);
    struct stat named, held;
    return lstat(path, &named) == 0 && fstat(fd, &held) == 0 && named.st_dev == held.st_dev &&
           named.st_ino == held.st_ino;
}

/* how: LOCK_SH or LOCK_EX, perhaps with LOCK_NB. */
static int lock_file(const struct store *s, const char *name, int how, int *ret_fd,
                     struct error *err)
{
    for (;;) {
        CLEANUP_FD int fd = -1;
        int r = open_lock(s, name, &fd, err);
        if (r < 0)
            return r;
        while (flock(fd, how) != 0) {
            if (errno == EWOULDBLOCK)
                return error_set(err, ERR_BUSY,
                                 "a model is being added to the store '%s'; try again when that is "
                                 "done",
                                 s->root);
            if (errno != EINTR)
                return error_errno(err, errno, "cannot lock '%s/%s'", s->root, name);
        }
        if (still_named(s, name, fd)) {
            *ret_fd = TAKE_FD(fd);
            return 0;
        }
    }
}

int store__lock_index(struct store *s, struct store_lock *ret, struct error *err)
{
    pthread_mutex_lock(&s->change_lock);
    int fd;
    int r = lock_file(s, store__lock_name, LOCK_EX, &fd, err);
    if (r < 0) {
        pthread_mutex_unlock(&s->change_lock);
        return r;
    }
    *ret = (struct store_lock){.fd = fd, .s = s};
    return 0;
}

int store__lock_writers(struct store *s, bool exclusive, struct store_lock *ret, struct error *err)
{
    int fd;
    int r = lock_file(s, store__writers_name, exclusive ? LOCK_EX | LOCK_NB : LOCK_SH, &fd, err);
    if (r == 0)
        *ret = (struct store_lock){.fd = fd};
    return r;
}

void store__unlock(struct store_lock *l)
{
    if (l->fd < 0)
        return;
    close(l->fd);
    l->fd = -1;
    if (l->s)
        pthread_mutex_unlock(&l->s->change_lock);
    l->s = NULL;
}
