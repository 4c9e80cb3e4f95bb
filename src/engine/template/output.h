/* SPDX-License-Identifier: Apache-2.0
 *
 * Filters and functions that live in files of their own and stand in other files' tables. */
#ifndef ENGINE_TEMPLATE_OUTPUT_H
#define ENGINE_TEMPLATE_OUTPUT_H

#include "engine/template/builtins.h"

struct value filter_tojson(struct render *r, const struct call *c);
struct value filter_pprint(struct render *r, const struct call *c);
struct value filter_wordwrap(struct render *r, const struct call *c);
struct value function_strftime_now(struct render *r, const struct call *c);

#endif
