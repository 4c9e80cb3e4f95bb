/* SPDX-License-Identifier: Apache-2.0
 *
 * index.json of an OCI image layout: what was read is written and reads the same again. */
#include <stdlib.h>

#include "oci/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct oci_layout l = {0}, again = {0};
    struct error err = ERROR_INIT;
    if (oci_layout_parse(str_make((const char *)data, size), &l, &err) < 0)
        return 0;
    CLEANUP_BUF struct buf out = BUF_INIT(SIZE_MAX / 4);
    oci_layout_write(&l, &out);
    if (out.len <= OCI_LAYOUT_MAX_BYTES) {
        if (oci_layout_parse(buf_str(&out), &again, &err) < 0 || again.n != l.n)
            abort();
        for (size_t i = 0; i < l.n; i++)
            if (!oci_digest_eq(&l.items[i].digest, &again.items[i].digest))
                abort();
        oci_layout_release(&again);
    }
    oci_layout_release(&l);
    return 0;
}
