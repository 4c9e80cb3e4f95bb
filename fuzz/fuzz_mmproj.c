/* SPDX-License-Identifier: Apache-2.0
 *
 * The facts of a multimodal projector. */
#include "engine/vision/mmproj.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    CLEANUP(cleanup_gguf) struct gguf *g = NULL;
    struct mmproj_desc d;
    if (gguf_open_bytes(data, size, GGUF_HEADER_ONLY, &g, &err) == 0)
        mmproj_describe(g, &d, &err);
    return 0;
}
