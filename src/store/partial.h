/* SPDX-License-Identifier: Apache-2.0
 *
 * Downloads into the store: a blob whose bytes arrive in any order, perhaps in several lives of the
 * program.
 *
 *     ROOT/blobs/sha256/<hex>.partial     the bytes so far, each at its place
 *     ROOT/blobs/sha256/<hex>.ranges      which of them are there
 *
 *     store_partial_open(t, &digest, size, &p, err);
 *     store_partial_have(p, &n);                          // what need not be fetched again
 *     while (more) store_partial_write(p, offset, bytes, len, err);
 *     store_partial_finish(p, NULL, NULL, err);           // or store_partial_close(p)
 *
 * The ranges file is replaced every few megabytes. It tells two kinds of ranges apart: those that
 * have been synced to the disk, and those that have only been written, which counts as long as the
 * machine has not been started anew. So a killed process loses a few megabytes at most, a power
 * failure what was not synced yet, and neither leaves a claim on bytes that are not there. Whatever
 * it claims, the blob gets its name only after its whole content has been hashed.
 *
 * Writing and hashing have a thread each behind store_partial_write(), which copies the bytes into
 * one of a few pieces and waits only where all are taken (4 MiB): whoever receives goes on receiving
 * meanwhile. What those threads cannot do is told by a later call, by _finish() at the latest.
 *
 * A partial file is locked while it is open; another process (or another transaction) that wants
 * the same blob is told ERR_BUSY, asks again, and finds the whole blob or goes on where the other
 * was killed. A file <hex>.incomplete, which a DMR left behind, is taken over.
 *
 * Threads: one at a time for one partial. */
#ifndef STORE_PARTIAL_H
#define STORE_PARTIAL_H

#include "store/ranges.h"
#include "store/store.h"

struct store_partial;

/* ERR_BUSY: another one downloads this blob, or has just finished: look with store_txn_hold(), wait
 * a little, try again. */
int store_partial_open(struct store_txn *t, const struct oci_digest *digest, uint64_t size,
                       struct store_partial **ret, struct error *err);

/* The ranges that were there when it was opened; valid until the first write. */
const struct store_range *store_partial_have(const struct store_partial *p, size_t *ret_n);
uint64_t store_partial_received(const struct store_partial *p); /* bytes that are there now */

/* Bytes of disk it has still to take. */
uint64_t store_partial_needs(const struct store_partial *p);

/* Takes them, where the file system can. */
int store_partial_reserve(struct store_partial *p, struct error *err);

/* Bytes at a place; inside the size, once each. They are the caller's again when it returns. */
int store_partial_write(struct store_partial *p, uint64_t offset, const void *bytes, size_t n,
                        struct error *err);

/* Waits until all is hashed, then gives the blob its name in the store and holds it for the
 * transaction. A wrong digest removes the file: ERR_CORRUPT. progress: called a few times a second
 * with the bytes hashed; a non-zero return ends the waiting with ERR_CANCELED. Frees p. */
int store_partial_finish(struct store_partial *p, store_progress_fn progress, void *ctx,
                         struct error *err);

/* Stops, keeping what is there for the next time. NULL is fine. */
void store_partial_close(struct store_partial *p);

/* Bytes that another one has received so far; 0 if there is no such download. */
uint64_t store_partial_peek(struct store *s, const struct oci_digest *digest, uint64_t size);

#endif
