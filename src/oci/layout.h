/* SPDX-License-Identifier: Apache-2.0
 *
 * The two texts of an OCI image layout: oci-layout, and index.json, which says what is in it. */
#ifndef OCI_LAYOUT_H
#define OCI_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/str.h"
#include "oci/digest.h"

#define OCI_LAYOUT_FILE "oci-layout"
#define OCI_LAYOUT_INDEX "index.json"
#define OCI_LAYOUT_TEXT "{\"imageLayoutVersion\":\"1.0.0\"}"

enum { OCI_LAYOUT_MAX_BYTES = 4 << 20, OCI_LAYOUT_MAX_ENTRIES = 4096 };

/* One manifest of the layout. */
struct oci_layout_entry {
    struct oci_digest digest;
    uint64_t size;
    char *name; /* a reference, as it stands there; NULL = none, or only a tag */
};

struct oci_layout {
    struct oci_layout_entry *items;
    size_t n;
};

/* Reads index.json. ERR_CORRUPT for what is none, ERR_UNSUPPORTED when it names other indexes. */
int oci_layout_parse(struct str text, struct oci_layout *ret, struct error *err);
void oci_layout_release(struct oci_layout *l);

/* Takes a copy of name, which may be NULL. */
void oci_layout_add(struct oci_layout *l, const struct oci_digest *digest, uint64_t size,
                    const char *name);
void oci_layout_write(const struct oci_layout *l, struct buf *out);

#endif
