/* SPDX-License-Identifier: Apache-2.0
 *
 * model-engine import: a directory of safetensors becomes a GGUF file. */
#include <stdio.h>
#include <unistd.h>

#include "base/compiler.h"
#include "engine/import/import_model.h"
#include "engine/verbs/progress.h"
#include "engine/verbs/verbs.h"

struct import_verb_options {
    const char *type;
    int64_t threads;
};

const struct opt verb_import_opts[] = {
    {"type", 't', OPT_STRING, offsetof(struct import_verb_options, type), "TYPE",
     "what to make of the weights: BF16, F16, Q8_0, Q4_K_M and others; by default as they are"},
    {"threads", 0, OPT_INT, offsetof(struct import_verb_options, threads), "N",
     "threads; 0, the default, takes the physical cores", .min = 0, .max = 512},
    OPT_END,
};

int verb_import(int argc, char **argv)
{
    struct import_verb_options o = {0};
    struct opt_args args;
    struct error err = ERROR_INIT;
    int exit_code;
    if (verb_parse_args(argc, argv, &o, &args, &exit_code) < 0)
        return exit_code;
    struct verb_progress progress = {.enabled = isatty(STDERR_FILENO)};
    struct import_options io = {
        .type = o.type,
        .n_threads = (uint32_t)o.threads,
        .note = verb_progress_note,
        .progress = verb_progress_step,
        .ctx = &progress,
    };
    struct import_result result;
    int r = import_model(args.v[0], args.v[1], &io, &result, &err);
    verb_progress_end(&progress);
    if (r < 0)
        return verb_fail(&err);
    printf("%s: %zu tensors, %.1f MiB\n", args.v[1], result.n_tensors,
           (double)result.bytes / (1 << 20));
    return verb_flush(&err) < 0 ? verb_fail(&err) : 0;
}
