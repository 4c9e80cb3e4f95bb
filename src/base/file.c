/* SPDX-License-Identifier: Apache-2.0
 *
 * Files and paths. */
#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/alloc.h"

int fd_read_all(int fd, const char *what, struct buf *out, struct error *err)
{
    for (;;) {
        size_t want = MIN((size_t)65536, out->max - out->len);
        char probe;
        char *to = want ? buf_reserve(out, want) : &probe;
        if (!to)
            return buf_check(out, what, err);
        ssize_t n = read(fd, to, want ? want : 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_errno(err, errno, "cannot read %s", what);
        if (n == 0)
            return 0;
        if (want == 0)
            return error_set(err, ERR_TOO_LARGE, "%s is larger than the limit of %zu bytes", what,
                             out->max);
        buf_added(out, (size_t)n);
    }
}

int file_read(const char *path, struct buf *out, struct error *err)
{
    if (strcmp(path, "-") == 0)
        return fd_read_all(STDIN_FILENO, "standard input", out, err);
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "cannot open '%s'", path);
    char what[256];
    snprintf(what, sizeof(what), "'%s'", path);
    return fd_read_all(fd, what, out, err);
}

int fd_write_all(int fd, const char *what, const void *p, size_t n, struct error *err)
{
    const char *s = p;
    while (n > 0) {
        ssize_t w = write(fd, s, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return error_errno(err, errno, "cannot write %s", what);
        s += w;
        n -= (size_t)w;
    }
    return 0;
}

int dir_sync(const char *path, struct error *err)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "cannot open the directory '%s'", path);
    /* Some file systems cannot sync directories and say EINVAL; there is nothing more to do. */
    if (fsync(fd) != 0 && errno != EINVAL)
        return error_errno(err, errno, "cannot sync the directory '%s'", path);
    return 0;
}

int file_write_atomic(const char *path, struct str content, mode_t mode, struct error *err)
{
    CLEANUP_FREE char *temp = xasprintf("%s.tmp-XXXXXX", path);
    CLEANUP_FD int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "cannot create '%s'", temp);
    int r = fd_write_all(fd, path, content.ptr, content.len, err);
    if (r == 0 && fchmod(fd, mode) != 0)
        r = error_errno(err, errno, "cannot set the mode of '%s'", temp);
    if (r == 0 && fsync(fd) != 0)
        r = error_errno(err, errno, "cannot sync '%s'", temp);
    if (r == 0 && rename(temp, path) != 0)
        r = error_errno(err, errno, "cannot rename '%s' to '%s'", temp, path);
    if (r < 0) {
        unlink(temp);
        return r;
    }
    CLEANUP_FREE char *dir = path_dir(path);
    return dir_sync(dir, err);
}

int dir_make(const char *path, mode_t mode, struct error *err)
{
    CLEANUP_FREE char *p = xstrdup(path);
    for (char *slash = p + 1; *p && (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        if (mkdir(p, mode) != 0 && errno != EEXIST)
            return error_errno(err, errno, "cannot create the directory '%s'", p);
        *slash = '/';
    }
    if (mkdir(p, mode) != 0 && errno != EEXIST)
        return error_errno(err, errno, "cannot create the directory '%s'", p);
    struct stat st;
    if (stat(p, &st) != 0)
        return error_errno(err, errno, "cannot look at '%s'", p);
    if (!S_ISDIR(st.st_mode))
        return error_set(err, ERR_CONFLICT, "'%s' is in the way: it is not a directory", p);
    return 0;
}

int file_lock(const char *path, int *ret, struct error *err)
{
    CLEANUP_FREE char *dir = path_dir(path), *lock = xasprintf("%s.lock", path);
    int r = dir_make(dir, 0700, err);
    if (r < 0)
        return r;
    CLEANUP_FD int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || flock(fd, LOCK_EX) != 0)
        return error_errno(err, errno, "cannot lock '%s'", lock);
    *ret = TAKE_FD(fd);
    return 0;
}

/* Removes what directory `dirfd` calls `name`, links themselves rather than their targets. */
static int remove_at(int dirfd, const char *name, int depth, struct error *err)
{
    if (unlinkat(dirfd, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return error_errno(err, errno, "cannot remove '%s'", name);
    if (depth > 64)
        return error_set(err, ERR_TOO_LARGE, "cannot remove '%s': nested too deeply", name);
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "cannot open '%s' to remove it", name);
    DIR *d = fdopendir(fd);
    if (!d) {
        close(fd);
        return error_errno(err, errno, "cannot list '%s' to remove it", name);
    }
    int r = 0;
    for (struct dirent *e; r == 0 && (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            r = remove_at(fd, e->d_name, depth + 1, err);
    closedir(d);
    if (r == 0 && unlinkat(dirfd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        r = error_errno(err, errno, "cannot remove '%s'", name);
    return r;
}

int dir_remove_tree_at(int dirfd, const char *name, struct error *err)
{
    return remove_at(dirfd, name, 0, err);
}

int dir_remove_tree(const char *path, struct error *err)
{
    return remove_at(AT_FDCWD, path, 0, err);
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

int file_open_regular(const char *path, int *ret, struct stat *ret_stat, struct error *err)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, ret_stat) != 0)
        return error_errno(err, errno, "cannot open '%s'", path);
    if (!S_ISREG(ret_stat->st_mode))
        return error_set(err, ERR_INVALID, "'%s' is not a regular file", path);
    *ret = TAKE_FD(fd);
    return 0;
}

int file_size(const char *path, uint64_t *ret, struct error *err)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return error_errno(err, errno, "cannot look at '%s'", path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, ERR_INVALID, "'%s' is not a regular file", path);
    *ret = (uint64_t)st.st_size;
    return 0;
}

char *path_join(const char *dir, const char *name)
{
    size_t n = strlen(dir);
    while (n > 1 && dir[n - 1] == '/')
        n--;
    while (*name == '/')
        name++;
    return xasprintf("%.*s%s%s", (int)n, dir, n == 1 && dir[0] == '/' ? "" : "/", name);
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *path_dir(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return xstrdup(".");
    if (slash == path)
        return xstrdup("/");
    return xasprintf("%.*s", (int)(slash - path), path);
}

char *path_absolute(const char *path)
{
    if (path[0] == '/')
        return xstrdup(path);
    char *cwd = getcwd(NULL, 0);
    char *p = path_join(cwd ? cwd : ".", path);
    free(cwd);
    return p;
}

int file_map_open(const char *path, struct file_map *ret, struct error *err)
{
    CLEANUP_FD int fd = -1;
    struct stat st;
    int r = file_open_regular(path, &fd, &st, err);
    if (r < 0)
        return r;
    struct file_map m = {.size = (size_t)st.st_size};
    if (m.size > 0) {
        void *p = mmap(NULL, m.size, PROT_READ, MAP_SHARED, fd, 0);
        if (p == MAP_FAILED)
            return error_errno(err, errno, "cannot map '%s'", path);
        m.data = p;
    }
    *ret = m;
    return 0;
}

void file_map_close(struct file_map *m)
{
    if (m->data)
        munmap((void *)(uintptr_t)m->data, m->size);
    *m = (struct file_map){0};
}

int dir_make_private(const char *path, struct error *err)
{
    CLEANUP_FREE char *parent = path_dir(path);
    int r = dir_make(parent, 0755, err);
    if (r < 0)
        return r;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return error_errno(err, errno, "cannot make the directory '%s'", path);
    struct stat st;
    if (lstat(path, &st) != 0)
        return error_errno(err, errno, "cannot look at the directory '%s'", path);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
        return error_set(err, ERR_DENIED, "'%s' is not a directory of this user", path);
    if ((st.st_mode & 0077) != 0 && chmod(path, 0700) != 0)
        return error_errno(err, errno, "cannot make the directory '%s' private", path);
    return 0;
}
