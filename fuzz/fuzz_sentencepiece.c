/* SPDX-License-Identifier: Apache-2.0
 *
 * SentencePiece models: every piece is touched. */
#include "engine/import/sentencepiece.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile char sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = ERROR_INIT;
    struct sp_model m;
    int r = sp_model_parse(data, size, &m, &err);
    for (size_t i = 0; r == 0 && i < m.n; i++)
        if (m.pieces[i].text.len > 0)
            sink = m.pieces[i].text.ptr[m.pieces[i].text.len - 1];
    sp_model_release(&m);
    return 0;
}
