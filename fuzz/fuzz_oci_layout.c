/* SPDX-License-Identifier: Apache-2.0
 *
 * index.json of an OCI image layout: what was read is written and reads the same again, what is
 * refused is refused whole and with a word. */
#include <stdlib.h>
#include <string.h>

#include "oci/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_same(const struct oci_layout_entry *a, const struct oci_layout_entry *b)
{
    bool names = a->name && b->name ? strcmp(a->name, b->name) == 0 : a->name == b->name;
    return names && a->size == b->size && oci_digest_eq(&a->digest, &b->digest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct oci_layout l = {0}, again = {0};
    struct error err = ERROR_INIT;
    if (oci_layout_parse(str_make((const char *)data, size), &l, &err) < 0) {
        if (err.msg[0] == '\0' || l.n != 0)
            abort();
        return 0;
    }
    if (l.n > OCI_LAYOUT_MAX_ENTRIES)
        abort();
    CLEANUP_BUF struct buf out = BUF_INIT(SIZE_MAX / 4);
    oci_layout_write(&l, &out);
    if (out.len <= OCI_LAYOUT_MAX_BYTES) {
        if (oci_layout_parse(buf_str(&out), &again, &err) < 0 || again.n != l.n)
            abort();
        for (size_t i = 0; i < l.n; i++)
            if (!is_same(&l.items[i], &again.items[i]))
                abort();
        oci_layout_release(&again);
    }
    oci_layout_release(&l);
    return 0;
}
