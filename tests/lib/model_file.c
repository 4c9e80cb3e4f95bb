/* SPDX-License-Identifier: Apache-2.0
 *
 * Good files, and ones with a number patched in their bytes. */
#include "model_file.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "engine/model/weights.h"
#include "test.h"

char *model_file_write(const char *dir, const struct tiny_model *t)
{
    struct error err = ERROR_INIT;
    char *path = path_join(dir, "m.gguf");
    assert_ok(tiny_model_write(t, path, &err));
    return path;
}

void model_file_patch(const char *path, const char *key, const uint32_t *to)
{
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf b = BUF_INIT(1 << 24);
    assert_ok(file_read(path, &b, &err));
    char *at = memmem(b.data, b.len, key, strlen(key));
    assert_non_null(at);
    at += strlen(key) + sizeof(uint32_t); /* over the type */
    memcpy(at, to, sizeof(*to));
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(b.data, 1, b.len, f), b.len);
    assert_int_equal(fclose(f), 0);
}

int model_file_read(const char *path, struct descriptor *d, struct error *err)
{
    CLEANUP(cleanup_gguf) struct gguf *g = NULL;
    int r = gguf_open(path, 0, &g, err);
    if (r == 0)
        r = descriptor_read(g, d, err);
    return r < 0 ? r : weights_check(g, d, err);
}
