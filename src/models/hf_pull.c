/* SPDX-License-Identifier: Apache-2.0
 *
 * Models from Hugging Face, see hf_pull.h. */
#include "models/hf_pull.h"

int hf_pull(struct job *j, struct models *m, const struct oci_reference *ref, const char *tag,
            struct error *err)
{
    (void)j;
    (void)m;
    (void)tag;
    return error_set(err, ERR_UNSUPPORTED, "%s/%s cannot be pulled yet", ref->domain,
                     ref->repository);
}
