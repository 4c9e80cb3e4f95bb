/* SPDX-License-Identifier: Apache-2.0
 *
 * Files: bounded reading, publication that survives a crash, directories, mapping.
 * Every descriptor is opened with O_CLOEXEC. */
#ifndef BASE_FILE_H
#define BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

struct stat; /* <sys/stat.h> */

/* Appends the whole file to out; more than out->max bytes is ERR_TOO_LARGE. `path` "-" is
 * standard input. */
int file_read(const char *path, struct buf *out, struct error *err);

/* Reads a descriptor to its end. `what` names it in errors. */
int fd_read_all(int fd, const char *what, struct buf *out, struct error *err);

/* Writes all n bytes, resuming after EINTR and short writes. */
int fd_write_all(int fd, const char *what, const void *p, size_t n, struct error *err);

/* Replaces `path` atomically: a temporary file in the same directory, written, fsynced, renamed,
 * and the directory fsynced. After a crash the old or the new content is there, whole. */
int file_write_atomic(const char *path, struct str content, mode_t mode, struct error *err);

/* Waits until nobody else holds the lock of `path` (the file path + ".lock", private to this user) and
 * takes it; the directory is made if need be. Closing *ret gives it back. */
int file_lock(const char *path, int *ret, struct error *err);

/* Makes the directory and its missing parents; an existing directory is fine. */
int dir_make(const char *path, mode_t mode, struct error *err);

/* Makes a directory that only this user can enter, or checks that it is one and makes it private:
 * whoever owns the directory of a socket can put another socket in its place. */
int dir_make_private(const char *path, struct error *err);

/* Makes a rename or a new file in this directory durable. */
int dir_sync(const char *path, struct error *err);

/* Removes a tree without following symbolic links; an absent path is fine. */
int dir_remove_tree(const char *path, struct error *err);
int dir_remove_tree_at(int dirfd, const char *name, struct error *err); /* in an opened directory */

/* Opens a regular file for reading, without waiting for anything else of that name (a pipe, a
 * device); its state goes to *ret_stat. The caller closes *ret. */
int file_open_regular(const char *path, int *ret, struct stat *ret_stat, struct error *err);

bool file_exists(const char *path);
int file_size(const char *path, uint64_t *ret, struct error *err); /* of a regular file */

/* dir + "/" + name, allocated; the caller frees. A single '/' between them. */
char *path_join(const char *dir, const char *name) ATTR_CHECK;

/* The part behind the last '/'; borrowed from path. */
const char *path_base(const char *path);

/* Directory part, allocated; "." if there is none. */
char *path_dir(const char *path) ATTR_CHECK;

/* Absolute form of `path` against the current directory, without resolving links; allocated. */
char *path_absolute(const char *path) ATTR_CHECK;

/* A regular file mapped read-only. */
struct file_map {
    const unsigned char *data; /* NULL if size is 0 */
    size_t size;
};
int file_map_open(const char *path, struct file_map *ret, struct error *err);
void file_map_close(struct file_map *m); /* a zeroed one is fine */

#endif
