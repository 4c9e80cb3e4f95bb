/* SPDX-License-Identifier: Apache-2.0
 *
 * Quantisation labels in the names of files: "SmolLM2-135M-Q4_K_M.gguf" says Q4_K_M.
 *
 * A label is found by its form, so that "Q4_K" is known to be another word than the start of
 * "Q4_K_M":
 *
 *     label  = ["UD-"] (("Q" | "IQ" | "TQ") digits {"_" part} | "BF16" | "F16" | "MXFP4" …)
 *     part   = digits | K | S | M | L | XS | XXS | XL | NL | …
 *
 * with no letter or digit before and behind. */
#ifndef OCI_QUANTIZATION_H
#define OCI_QUANTIZATION_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

/* The last label that a path names, "Q4_K_M" or "UD-Q4_K_XL" as written there: the one in the base
 * name counts before one in a folder's name. {NULL, 0} if there is none. */
struct str oci_quantization_of(struct str path);

/* The next label at or behind *at, which moves behind it. */
bool oci_quantization_next(struct str s, size_t *at, struct str *ret);

#endif
