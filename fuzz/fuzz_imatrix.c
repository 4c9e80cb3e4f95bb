/* SPDX-License-Identifier: Apache-2.0
 *
 * Importance matrices, both formats. What is accepted holds only numbers that can be importance. */
#include <math.h>
#include <stdlib.h>

#include "engine/quantize/imatrix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    CLEANUP(cleanup_imatrix) struct imatrix *m = NULL;
    if (imatrix_parse(data, size, &m, &err) < 0)
        return 0;
    if (imatrix_n(m) == 0)
        abort();
    size_t n;
    const float *v = imatrix_find(m, STR("blk.0.ffn_up.weight"), &n);
    for (size_t i = 0; v && i < n; i++)
        if (!(v[i] >= 0) || !isfinite(v[i]))
            abort();
    return 0;
}
