/* SPDX-License-Identifier: Apache-2.0
 *
 * The option --lora of the verbs that run a model. */
#ifndef ENGINE_VERBS_LORA_OPTION_H
#define ENGINE_VERBS_LORA_OPTION_H

#include "base/error.h"
#include "base/opt.h"
#include "engine/run/lm.h"

/* The row of an option table; `at` is the offset of its struct opt_list. */
#define LORA_OPTION(at)                                                                            \
    {                                                                                              \
        "lora", 0, OPT_LIST, (at), "FILE[=SCALE]",                                                 \
            "a LoRA adapter of the model, GGUF, and how much it counts (default 1); may be given " \
            "several times"                                                                        \
    }

/* "FILE" or "FILE=0.5" for each, into lo->adapters. The paths are freed by lora_option_release().
 */
int lora_option_parse(const struct opt_list *given, struct lm_options *lo, struct error *err);
void lora_option_release(struct lm_options *lo);

#endif
