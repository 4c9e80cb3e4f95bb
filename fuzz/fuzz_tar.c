/* SPDX-License-Identifier: Apache-2.0
 *
 * Tar archives: no input crashes, hangs, or gives more data than it has. */
#include <stdlib.h>
#include <string.h>

#include "models/tar.h"

static ssize_t read_input(void *ctx, void *p, size_t n, struct error *err)
{
    (void)err;
    struct str *s = ctx;
    if (n > s->len)
        n = s->len;
    if (n > 700)
        n = 700; /* pieces across block borders */
    if (n)
        memcpy(p, s->ptr, n);
    *s = str_sub(*s, n, SIZE_MAX);
    return (ssize_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str input = str_make((const char *)data, size);
    struct tar_reader t;
    struct tar_entry e;
    struct error err;
    char p[1000];
    size_t total = 0;
    tar_reader_init(&t, read_input, &input);
    while (tar_next(&t, &e, &err) > 0) {
        if (strlen(e.name) > TAR_NAME_MAX)
            abort();
        uint64_t got = 0;
        ssize_t n;
        while ((n = tar_read(&t, p, sizeof(p), &err)) > 0)
            got += (uint64_t)n;
        if (got > e.size && e.type == TAR_FILE)
            abort();
        total += (size_t)got;
    }
    if (total > size)
        abort();
    tar_reader_release(&t);
    return 0;
}
