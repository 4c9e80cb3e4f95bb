/* SPDX-License-Identifier: Apache-2.0
 *
 * Push: blobs first, several at once, the manifest last. A push that broke off can be repeated:
 * what the registry has by then is not sent again.
 *
 *     struct registry_push p = {
 *         .ref = &ref, .bearer = bearer,
 *         .blobs = blobs, .n_blobs = n,              // config and layers, in any order
 *         .manifest = bytes, .manifest_type = OCI_TYPE_MANIFEST,
 *         .open = …, .read_at = …, .close = …, .progress = …, .ctx = job,
 *     };
 *     registry_push(r, &p, cancel, err);
 *
 * For each blob: HEAD, and nothing more when it is there; else a mount from `mount_from`, if there
 * is one and the registry does it; else an upload in pieces, which goes on after a break where the
 * registry says it stands. A registry that does not take pieces gets the blob in one request.
 *
 * The upload location may be on another host: that gets no credentials. Errors are those of
 * registry.h. */
#ifndef REGISTRY_PUSH_H
#define REGISTRY_PUSH_H

#include "registry/registry.h"

struct registry_push_blob {
    const struct oci_digest *digest;
    uint64_t size;
    const char *mount_from; /* repository of the same registry that has it, perhaps: "ai/smollm2";
                               NULL = none */
};

enum registry_push_state {
    REGISTRY_PUSH_SENDING, /* `done` bytes have been sent */
    REGISTRY_PUSH_EXISTS,  /* the registry had it: nothing is sent */
    REGISTRY_PUSH_MOUNTED, /* taken over from another repository: nothing is sent */
    REGISTRY_PUSH_DONE,    /* all of it was sent and accepted */
};

struct registry_push {
    const struct oci_reference
        *ref;           /* where to: a name with a tag, or with the manifest's digest */
    const char *bearer; /* replaces all credentials; NULL or "" = none */
    const struct registry_push_blob *blobs; /* a digest twice is sent once */
    size_t n_blobs;
    struct str manifest; /* the exact bytes */
    const char *manifest_type;

    /* The blob's bytes. Called on threads of the push, for several blobs at once; for one file one
     * call at a time, offsets in any order. read_at fills all n bytes or fails: 0 or a negative
     * error. close may be NULL. */
    int (*open)(void *ctx, size_t blob, void **ret_file, struct error *err);
    int (*read_at)(void *file, uint64_t offset, void *p, size_t n, struct error *err);
    void (*close)(void *file);

    /* May be NULL. One call at a time, on any thread of the push. `done` never falls, and is the
     * size in the three final states, of which each blob comes to one. At most ten times a second
     * for each blob, and once at its end. */
    void (*progress)(void *ctx, size_t blob, enum registry_push_state state, uint64_t done);
    void *ctx;

    unsigned max_parallel; /* blobs at once; 0 = 5 */
    uint64_t piece_bytes;  /* of one request; 0 = 64 MiB */
};

/* To the end or to an error that trying again does not mend; the manifest is sent only when every
 * blob is there. Returns when all its threads have ended. */
int registry_push(struct registry *r, const struct registry_push *p, struct http_cancel *cancel,
                  struct error *err);

#endif
