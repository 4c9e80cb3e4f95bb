/* SPDX-License-Identifier: Apache-2.0
 *
 * The generated tables behind engine/text/unicode.h. */
#ifndef ENGINE_TEXT_UNICODE_TABLES_H
#define ENGINE_TEXT_UNICODE_TABLES_H

#include <stddef.h>
#include <stdint.h>

#include "engine/text/unicode.h"

struct unicode_range {
    uint32_t first;
    enum unicode_class cls;
};
extern const struct unicode_range unicode_ranges[];
extern const size_t unicode_ranges_n;

struct unicode_pair {
    uint32_t from, to;
};
extern const struct unicode_pair unicode_lower[];
extern const size_t unicode_lower_n;
extern const struct unicode_pair unicode_base[];
extern const size_t unicode_base_n;

#endif
