/* SPDX-License-Identifier: Apache-2.0
 *
 * Tar archives as a stream, in both directions: POSIX ustar with pax headers for what does not fit.
 *
 * The reader takes archives from strangers. It understands ustar, pax "path" and "size", GNU long
 * names and binary sizes; it never touches a file system, so names are only text to be judged by
 * the caller. Every header is checked and every size bounded.
 *
 *     struct tar_reader t;
 *     tar_reader_init(&t, read, ctx);
 *     while ((r = tar_next(&t, &entry, err)) > 0)      // entry.name lives until the next call
 *         while ((n = tar_read(&t, p, sizeof(p), err)) > 0)   // or not: the rest is skipped
 *             ...
 *     tar_reader_release(&t);
 */
#ifndef MODELS_TAR_H
#define MODELS_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"

enum {
    TAR_BLOCK = 512,
    TAR_NAME_MAX = 4096,     /* of a long name */
    TAR_PAX_MAX = 64 * 1024, /* bytes of one pax header */
    TAR_MAX_ENTRIES = 100000,
};

/* Gives up to n bytes; 0 at the end of the stream, negative with *err filled. */
typedef ssize_t (*tar_read_fn)(void *ctx, void *p, size_t n, struct error *err);

/* Takes n bytes; 0, or negative with *err filled. */
typedef int (*tar_write_fn)(void *ctx, const void *p, size_t n, struct error *err);

enum tar_type { TAR_FILE, TAR_DIR, TAR_LINK /* hard or symbolic */, TAR_OTHER };

struct tar_entry {
    const char *name; /* as it stands in the archive; without NUL bytes */
    enum tar_type type;
    uint64_t size; /* of the data; 0 unless TAR_FILE */
};

struct tar_reader {
    tar_read_fn read;
    void *ctx;
    struct buf name;
    uint64_t left;    /* data bytes of the entry not read yet */
    uint64_t padding; /* behind them */
    size_t n_entries;
    bool ended;
};

void tar_reader_init(struct tar_reader *t, tar_read_fn read, void *ctx);
void tar_reader_release(struct tar_reader *t);

/* 1 and the next entry, 0 at the end of the archive, negative on errors: ERR_CORRUPT for what is no
 * archive; a stream that ends in the middle of one is ERR_CORRUPT, "unexpected EOF". */
int tar_next(struct tar_reader *t, struct tar_entry *ret, struct error *err);

/* Data of the current entry; 0 at its end. */
ssize_t tar_read(struct tar_reader *t, void *p, size_t n, struct error *err);

/* ---- writing ---- */

/* Appends the header blocks of an entry; the data and tar_padding() zero bytes follow. Names of up
 * to 100 bytes. mtime 0 and no owner: the same content makes the same archive. */
void tar_write_header(struct buf *out, const char *name, enum tar_type type, uint64_t size);
size_t tar_header_size(uint64_t size);
size_t tar_padding(uint64_t size);

/* What ends an archive: two blocks of zeros. */
enum { TAR_END = 2 * TAR_BLOCK };

/* The same, handed to a writer. */
int tar_send_header(tar_write_fn write, void *ctx, const char *name, enum tar_type type,
                    uint64_t size, struct error *err);
int tar_send_zeros(tar_write_fn write, void *ctx, size_t n, struct error *err); /* up to TAR_END */
int tar_send_bytes(tar_write_fn write, void *ctx, const char *name, struct str data,
                   struct error *err); /* a whole entry */

/* Bytes an entry with this much data takes, header and padding included. */
uint64_t tar_entry_bytes(uint64_t size);

#endif
