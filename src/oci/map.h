/* SPDX-License-Identifier: Apache-2.0
 *
 * Text → text, kept sorted by key: annotations and metadata maps, whose JSON form must come out the
 * same byte for byte wherever it is made. And the JSON string form that the format's other writers
 * use (Go's): <, > and & and the line separators escaped. */
#ifndef OCI_MAP_H
#define OCI_MAP_H

#include <stddef.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"

struct oci_pair {
    char *key;
    char *value; /* terminated, but may hold NUL bytes before its end */
    size_t value_len;
};

struct oci_map {
    struct oci_pair *items;
    size_t n, cap;
};

void oci_map_release(struct oci_map *m);
void oci_map_set(struct oci_map *m, struct str key, struct str value); /* replaces */
struct str oci_map_get(const struct oci_map *m, const char *key);      /* {NULL, 0} if absent */
void oci_map_copy(const struct oci_map *from, struct oci_map *to);     /* to is empty */

/* Takes the string members of a JSON object; other members are written as compact JSON text. */
void oci_map_from_json(const struct json *object, struct oci_map *to);

void oci_map_write(const struct oci_map *m, struct buf *out); /* {"a":"b"} */

/* A JSON string literal; what is not UTF-8 becomes U+FFFD. */
void oci_write_string(struct str s, struct buf *out);

#endif
