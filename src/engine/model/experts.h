/* SPDX-License-Identifier: Apache-2.0
 *
 * Facts of models whose feed-forward parts are mixtures of experts. */
#ifndef ENGINE_MODEL_EXPERTS_H
#define ENGINE_MODEL_EXPERTS_H

#include "engine/model/arch.h"

/* Their counts, before the layers are known; refuses ways of routing that are not computed. */
int experts_read(const struct gguf *g, const struct arch *a, struct descriptor *d,
                 struct error *err);

/* Their width, and which tensors stand in place of those of one part; the layers are known. */
int experts_read_widths(const struct gguf *g, const struct arch *a, struct descriptor *d,
                        struct error *err);

#endif
