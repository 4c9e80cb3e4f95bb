/* SPDX-License-Identifier: Apache-2.0
 *
 * --lora FILE[=SCALE]. A '=' in the file's name is fine: only a number behind the last one is a
 * scale. */
#include "engine/verbs/lora_option.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/str.h"

int lora_option_parse(const struct opt_list *given, struct lm_options *lo, struct error *err)
{
    if (given->n > ADAPTERS_MAX)
        return error_set(err, ERR_INVALID, "--lora can be given %d times at most", ADAPTERS_MAX);
    for (size_t i = 0; i < given->n; i++) {
        struct str text = str_from(given->items[i]);
        ptrdiff_t at = str_rfind_char(text, '=');
        double scale = 1;
        if (at > 0 &&
            str_to_f64(str_sub(text, (size_t)at + 1, SIZE_MAX), "the scale", &scale, NULL) == 0)
            text.len = (size_t)at;
        else
            scale = 1;
        struct lm_adapter *a = &lo->adapters[lo->n_adapters++];
        a->path = xasprintf("%.*s", (int)text.len, text.ptr);
        a->scale = (float)scale;
    }
    return 0;
}

void lora_option_release(struct lm_options *lo)
{
    for (uint32_t i = 0; i < lo->n_adapters; i++)
        free(lo->adapters[i].path);
}
