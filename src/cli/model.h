/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the runner's model objects: short ids, the rows of `list`, which of them a filter keeps.
 */
#ifndef CLI_MODEL_H
#define CLI_MODEL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/json.h"
#include "base/str.h"
#include "oci/reference.h"

/* The 12 hex digits people see: characters 7..19 of "sha256:…"; shorter text comes back whole. */
struct str model_short_id(struct str id);

/* One row of `list`. */
struct model_row {
    char *name; /* as shown */
    const struct json *model;
};

/* A row for each tag of each model in the array of GET /models, sorted as `list` shows them: by
 * the name in front of the last ':' without regard to case, then rows without a variant, then by
 * the variant. A model without tags is "<none>". `filter` NULL keeps all. The models are borrowed.
 */
struct model_filter;
struct model_rows {
    struct model_row *rows;
    size_t n;
};
void model_rows_make(const struct json *models, const struct model_filter *filter,
                     struct model_rows *ret);
void model_rows_release(struct model_rows *r);

/* What `list MODEL` keeps: names are compared in full form on both sides, so "smollm2" finds
 * docker.io/ai/smollm2 with any tag, "smollm2:latest" that tag only, and an id its model. */
struct model_filter {
    struct oci_reference ref;
    bool any_tag;
};
int model_filter_parse(const char *text, struct model_filter *ret, struct error *err);
bool model_filter_keeps(const struct model_filter *f, struct str id, struct str tag);

/* The context length a model was packaged with or trained for: config.context_size, else the
 * "<architecture>.context_length" of the GGUF metadata. "" if unknown. Borrowed or in `space`. */
const char *model_context(const struct json *model, char space[32]);

#endif
