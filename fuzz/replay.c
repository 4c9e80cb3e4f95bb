/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a fuzz target over files, without libFuzzer: the corpora are regression tests.
 *
 *     replay_NAME DIRECTORY...       each file in it, shortened copies of it, and no input at all */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An exact copy, so that a sanitizer sees the first byte read behind the end. */
static void run_copy(const char *data, size_t size)
{
    uint8_t *copy = xmalloc(size);
    if (size)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

static int run_file(const char *path)
{
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf b = BUF_INIT((size_t)64 << 20);
    if (file_read(path, &b, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    run_copy(b.data, b.len);
    for (size_t cut = 1; cut <= 8; cut++)
        run_copy(b.data, b.len * cut / 9);
    return 0;
}

int main(int argc, char **argv)
{
    int bad = argc < 2, n = 0;
    run_copy("", 0);
    for (int i = 1; i < argc; i++) {
        DIR *d = opendir(argv[i]);
        if (!d) {
            fprintf(stderr, "cannot open the corpus '%s'\n", argv[i]);
            return 1;
        }
        for (struct dirent *e; (e = readdir(d));) {
            if (e->d_name[0] == '.')
                continue;
            CLEANUP_FREE char *path = path_join(argv[i], e->d_name);
            bad |= run_file(path);
            n++;
        }
        closedir(d);
    }
    if (n == 0) {
        fprintf(stderr, "the corpus is empty\n");
        bad = 1;
    }
    printf("%sok 1 - %d inputs replayed\n", bad ? "not " : "", n);
    return bad;
}
