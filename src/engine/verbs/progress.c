/* SPDX-License-Identifier: Apache-2.0
 *
 * The progress line. Names come from files: what is not printable is not printed. */
#include "engine/verbs/progress.h"

#include <stdio.h>

void verb_progress_end(struct verb_progress *p)
{
    if (p->drawn)
        fputs("\r\033[K", stderr);
    p->drawn = false;
}

void verb_progress_step(void *ctx, size_t n_done, size_t n_all, struct str tensor)
{
    struct verb_progress *p = ctx;
    if (!p->enabled)
        return;
    fprintf(stderr, "\r\033[K[%zu/%zu] ", n_done + 1, n_all);
    for (size_t i = 0; i < tensor.len; i++)
        fputc(tensor.ptr[i] > ' ' && tensor.ptr[i] < 127 ? tensor.ptr[i] : '?', stderr);
    p->drawn = true;
}

void verb_progress_note(void *ctx, const char *text)
{
    verb_progress_end(ctx);
    fprintf(stderr, "model-engine: %s\n", text);
}
