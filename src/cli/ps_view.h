/* SPDX-License-Identifier: Apache-2.0
 *
 * What `ps` shows of a running model. */
#ifndef CLI_PS_VIEW_H
#define CLI_PS_VIEW_H

#include <time.h>

#include "base/json.h"
#include "oci/reference.h"

/* An id becomes its 12 digits; a name is lower-cased and shortened as in `list`. */
void ps_model_name(struct str name, char out[OCI_REFERENCE_TEXT_MAX]);

/* "Loading...", "Forever", "4 minutes from now", "Expiring" for a row of GET /engines/ps. */
enum { PS_UNTIL_MAX = 80 };
void ps_until(const struct json *row, struct timespec now, char out[PS_UNTIL_MAX]);

#endif
