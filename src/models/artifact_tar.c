/* SPDX-License-Identifier: Apache-2.0
 *
 * An artifact as a stream: the tar that POST /models/load takes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/alloc.h"
#include "models/artifact_internal.h"
#include "models/tar.h"

enum { CHUNK = 1 << 20 };

int artifact__read_file(const struct artifact_file *f, artifact_sink_fn sink, void *sink_ctx,
                        struct builder *progress, struct oci_digest *ret, struct error *err)
{
    CLEANUP_FD int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "cannot open '%s'", f->path);
    CLEANUP_FREE char *chunk = xmalloc(CHUNK);
    struct sha256 *hash = sha256_new();
    int r = 0;
    uint64_t done = 0;
    while (r == 0 && done < f->size) {
        ssize_t n = read(fd, chunk, (size_t)MIN((uint64_t)CHUNK, f->size - done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            r = error_errno(err, errno, "cannot read '%s'", f->path);
        else if (n == 0)
            r = error_set(err, ERR_CONFLICT, "'%s' changed while it was being packaged", f->path);
        if (r < 0)
            break;
        sha256_update(hash, chunk, (size_t)n);
        done += (uint64_t)n;
        if (sink)
            r = sink(sink_ctx, chunk, (size_t)n, err);
        if (r == 0 && progress && progress->progress &&
            progress->progress(progress->ctx, progress->done + done, progress->a->total_bytes) != 0)
            r = error_set(err, ERR_CANCELED, "canceled");
    }
    if (r < 0) {
        sha256_free(hash);
        return r;
    }
    char hex[SHA256_HEX + 1];
    sha256_final_hex(hash, hex);
    *ret = oci_digest_from_sha256_hex(hex);
    return 0;
}

static void blob_name(const struct oci_digest *d, char out[OCI_DIGEST_TEXT_MAX + 8])
{
    snprintf(out, OCI_DIGEST_TEXT_MAX + 8, "blobs/%s/%s", oci_digest_algorithm(d),
             oci_digest_hex(d));
}

static int send_file(const struct artifact_file *f, artifact_sink_fn sink, void *ctx,
                     struct error *err)
{
    char name[OCI_DIGEST_TEXT_MAX + 8];
    blob_name(&f->digest, name);
    struct oci_digest now;
    int r = tar_send_header(sink, ctx, name, TAR_FILE, f->size, err);
    if (r == 0)
        r = artifact__read_file(f, sink, ctx, NULL, &now, err);
    if (r == 0 && !oci_digest_eq(&now, &f->digest))
        r = error_set(err, ERR_CONFLICT, "'%s' changed while it was being packaged", f->path);
    return r == 0 ? tar_send_zeros(sink, ctx, tar_padding(f->size), err) : r;
}

int artifact_write_tar(const struct artifact *a, artifact_sink_fn sink, void *sink_ctx,
                       struct error *err)
{
    char name[OCI_DIGEST_TEXT_MAX + 8];
    int r = tar_send_header(sink, sink_ctx, "blobs", TAR_DIR, 0, err);
    if (r == 0)
        r = tar_send_header(sink, sink_ctx, "blobs/sha256", TAR_DIR, 0, err);
    for (size_t i = 0; r == 0 && i < a->n_files; i++)
        if (a->files[i].path)
            r = send_file(&a->files[i], sink, sink_ctx, err);
    blob_name(&a->config_digest, name);
    if (r == 0)
        r = tar_send_bytes(sink, sink_ctx, name, str_make(a->config, a->config_len), err);
    if (r == 0)
        r = tar_send_bytes(sink, sink_ctx, "manifest.json", str_make(a->manifest, a->manifest_len),
                           err);
    return r == 0 ? tar_send_zeros(sink, sink_ctx, TAR_END, err) : r;
}

uint64_t artifact_tar_size(const struct artifact *a)
{
    uint64_t n = 2 * (uint64_t)TAR_BLOCK + TAR_END;
    for (size_t i = 0; i < a->n_files; i++)
        n += a->files[i].path ? tar_entry_bytes(a->files[i].size) : 0;
    return n + tar_entry_bytes(a->config_len) + tar_entry_bytes(a->manifest_len);
}
