/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys of an architecture. */
#include "engine/model/keys.h"

#include <inttypes.h>
#include <stdio.h>

const char *key_of(const struct descriptor *d, const char *suffix, char out[KEY_MAX])
{
    snprintf(out, KEY_MAX, "%s.%s", d->arch, suffix);
    return out;
}

int read_count(const struct gguf *g, const struct descriptor *d, const char *suffix, bool required,
               uint32_t min, uint32_t max, uint32_t *ret, struct error *err)
{
    char buf[KEY_MAX];
    const char *key = key_of(d, suffix, buf);
    uint32_t v = *ret;
    int r = required ? gguf_get_u32(g, key, &v, err) : gguf_want_u32(g, key, &v, err);
    if (r < 0)
        return r;
    if (v < min || v > max)
        return error_set(err, ERR_CORRUPT,
                         "%s is %" PRIu32 ", but a number from %" PRIu32 " to %" PRIu32
                         " is needed",
                         key, v, min, max);
    *ret = v;
    return 0;
}

int read_real(const struct gguf *g, const struct descriptor *d, const char *suffix, double min,
              double max, double *ret, struct error *err)
{
    char buf[KEY_MAX];
    const char *key = key_of(d, suffix, buf);
    double v = *ret;
    int r = gguf_want_f64(g, key, &v, err);
    if (r < 0)
        return r;
    if (!(v >= min && v <= max))
        return error_set(err, ERR_CORRUPT, "%s is %g, but a number from %g to %g is needed", key, v,
                         min, max);
    *ret = v;
    return 0;
}
