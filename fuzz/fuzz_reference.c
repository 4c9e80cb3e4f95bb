/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of models: no input crashes; what is accepted has a full form that means the same. */
#include <stdlib.h>

#include "oci/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make((const char *)data, size);
    struct oci_reference ref, again;
    struct error err;
    char full[OCI_REFERENCE_TEXT_MAX], familiar[OCI_REFERENCE_TEXT_MAX];
    oci_display_name(text, "reg.local:5000", familiar);
    if (oci_reference_parse(text, NULL, &ref, &err) < 0)
        return 0;
    oci_reference_text(&ref, full);
    oci_reference_familiar(&ref, familiar);
    if (oci_reference_parse(str_from(full), NULL, &again, &err) < 0 ||
        !oci_reference_eq(&ref, &again))
        abort();
    oci_display_name(str_from(full), NULL, familiar);
    return 0;
}
