/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of models: the one grammar that every command, route and index entry goes through.
 *
 *     [registry[:port]/]repository[:tag][@digest]        or an id
 *
 *     smollm2                     docker.io/ai/smollm2:latest
 *     SmolLM2:360M-Q4             docker.io/ai/smollm2:360M-Q4       names lose their case, tags not
 *     myorg/m                     docker.io/myorg/m:latest
 *     reg.io:5000/a/b@sha256:…    reg.io:5000/a/b@sha256:…
 *     hf.co/Org/Model:Q4_K_M      huggingface.co/org/model:Q4_K_M    case kept in typed_repository
 *     354bf30d0aa3                a short id: 12 hex digits (or sha256: and at least 12)
 *     sha256:<64>, <64 hex>       an id
 *
 * The first part is a registry when it contains '.' or ':' or is "localhost". A name of one part
 * in Docker Hub (or in the default registry) belongs to the organisation "ai". A missing or empty
 * tag is "latest" unless a digest is given. "index.docker.io" is docker.io, "hf.co" is
 * huggingface.co.
 *
 * Everything is bounded: repository 255 bytes, tag 128, as registries have it. Pure text: nothing
 * here looks into a store or reads the environment, except oci_default_registry(). */
#ifndef OCI_REFERENCE_H
#define OCI_REFERENCE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"
#include "oci/digest.h"

enum {
    OCI_DOMAIN_MAX = 255,
    OCI_REPOSITORY_MAX = 255,
    OCI_TAG_MAX = 128,
    /* domain/repository:tag@digest and a NUL */
    OCI_REFERENCE_TEXT_MAX =
        OCI_DOMAIN_MAX + OCI_REPOSITORY_MAX + OCI_TAG_MAX + OCI_DIGEST_TEXT_MAX + 4,
};

#define OCI_HUB_DOMAIN "docker.io"
#define OCI_HF_DOMAIN "huggingface.co"

enum oci_reference_kind {
    OCI_REF_NAME,     /* domain, repository and a tag or a digest */
    OCI_REF_ID,       /* only `digest`: the id of a stored model */
    OCI_REF_SHORT_ID, /* `short_id`, the start of an id; it may also be a name, which is filled in:
                         look for the id first */
};

struct oci_reference {
    enum oci_reference_kind kind;
    char domain[OCI_DOMAIN_MAX + 1];               /* "docker.io", "localhost:5000" */
    char repository[OCI_REPOSITORY_MAX + 1];       /* "ai/smollm2", lower case */
    char typed_repository[OCI_REPOSITORY_MAX + 1]; /* the same with the case as typed */
    char tag[OCI_TAG_MAX + 1];                     /* "" when only a digest names the thing */
    struct oci_digest digest;                      /* text "" if none */
    char short_id[SHA256_HEX + 1];                 /* hex digits; "" unless OCI_REF_SHORT_ID */
};

/* Reads a name. default_registry: host for names without a registry, NULL or "" for docker.io.
 * Spaces around the text do not count. Errors are ERR_INVALID and show the place:
 * "'a:b:c': unexpected ':' at column 4". */
int oci_reference_parse(struct str text, const char *default_registry, struct oci_reference *ret,
                        struct error *err);

/* $DEFAULT_REGISTRY if it is set, else docker.io. */
const char *oci_default_registry(void);

/* Full form: "docker.io/ai/smollm2:latest", "docker.io/ai/x@sha256:…", "sha256:…" for an id. This
 * is what the index of a store keeps. */
void oci_reference_text(const struct oci_reference *r, char out[OCI_REFERENCE_TEXT_MAX]);

/* Without the tag and digest: "docker.io/ai/smollm2". */
void oci_reference_repo(const struct oci_reference *r, char out[OCI_REFERENCE_TEXT_MAX]);

/* Familiar form: the full one without "docker.io/": "ai/smollm2:latest". */
void oci_reference_familiar(const struct oci_reference *r, char out[OCI_REFERENCE_TEXT_MAX]);

/* How `list` and `ps` show a stored tag: without the registry if it is Docker Hub (or the default
 * one, when that is another), without "ai/", without ":latest". Any text is fine; the result is
 * never longer than the tag and is cut at OCI_REFERENCE_TEXT_MAX. */
void oci_display_name(struct str tag, const char *default_registry,
                      char out[OCI_REFERENCE_TEXT_MAX]);

bool oci_reference_is_hub(const struct oci_reference *r);
bool oci_reference_is_hugging_face(const struct oci_reference *r);

/* Same domain, repository and tag (digest-only names: same digest). */
bool oci_reference_eq(const struct oci_reference *a, const struct oci_reference *b);

#endif
