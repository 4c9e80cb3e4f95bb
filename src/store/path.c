/* SPDX-License-Identifier: Apache-2.0
 *
 * Directories and file names of a store. Directories are opened one component at a time without
 * following links; names inside them come from checked digests. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "store/store_internal.h"

static const char *const area_names[] = {
    [STORE_BLOBS] = "blobs",
    [STORE_MANIFESTS] = "manifests",
    [STORE_BUNDLES] = "bundles",
};

int store__open_root(const struct store *s, int *ret_fd, struct error *err)
{
    int fd = open(s->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "cannot open the model store '%s'", s->root);
    *ret_fd = fd;
    return 0;
}

/* One step down, made if asked for. */
static int open_step(const struct store *s, int parent, const char *name, bool make, int *ret_fd,
                     struct error *err)
{
    if (make && mkdirat(parent, name, 0755) != 0 && errno != EEXIST)
        return error_errno(err, errno, "cannot create '%s' in the model store '%s'", name, s->root);
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        *ret_fd = fd;
        return 0;
    }
    if (errno == ELOOP || errno == ENOTDIR)
        return error_set(
            err, ERR_DENIED,
            "'%s' in the model store '%s' is not a directory of its own; links are not "
            "followed (to keep models elsewhere set MODELS_PATH)",
            name, s->root);
    return error_errno(err, errno, "cannot open '%s' in the model store '%s'", name, s->root);
}

int store__open_area(const struct store *s, enum store_area area, const char *algorithm, bool make,
                     int *ret_fd, struct error *err)
{
    CLEANUP_FD int root = -1;
    CLEANUP_FD int dir = -1;
    int r = store__open_root(s, &root, err);
    if (r == 0)
        r = open_step(s, root, area_names[area], make, &dir, err);
    if (r == 0)
        r = open_step(s, dir, algorithm, make, ret_fd, err);
    return r;
}

char *store__path(const struct store *s, enum store_area area, const struct oci_digest *digest)
{
    return xasprintf("%s/%s/%s/%s", s->root, area_names[area], oci_digest_algorithm(digest),
                     oci_digest_hex(digest));
}

char *store_blob_path(const struct store *s, const struct oci_digest *digest)
{
    return store__path(s, STORE_BLOBS, digest);
}

void store__temp_name(struct store *s, const char *prefix, const char *suffix, char out[96])
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(out, 96, "%s%lx-%llx%05lx-%x%s", prefix, (unsigned long)getpid(),
             (unsigned long long)now.tv_sec, (unsigned long)now.tv_nsec >> 10,
             atomic_fetch_add(&s->temp_counter, 1), suffix);
}

bool store__digest_of_name(const char *algorithm, const char *name, struct oci_digest *ret)
{
    char text[OCI_DIGEST_TEXT_MAX];
    int n = snprintf(text, sizeof(text), "%s:%s", algorithm, name);
    return n > 0 && (size_t)n < sizeof(text) && oci_digest_parse(str_from(text), ret, NULL) == 0;
}

int store__fsync_dir(int fd, const char *what, struct error *err)
{
    if (fsync(fd) != 0 && errno != EINVAL)
        return error_errno(err, errno, "cannot sync %s of the model store", what);
    return 0;
}
