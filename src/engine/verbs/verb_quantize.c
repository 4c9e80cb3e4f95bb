/* SPDX-License-Identifier: Apache-2.0
 *
 * model-engine quantize: a GGUF file with smaller weights. */
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/compiler.h"
#include "engine/quantize/requantize.h"
#include "engine/verbs/progress.h"
#include "engine/verbs/verbs.h"

struct quantize_options {
    const char *type, *imatrix;
    int64_t threads;
    bool pure;
};

const struct opt verb_quantize_opts[] = {
    {"type", 't', OPT_STRING, offsetof(struct quantize_options, type), "TYPE",
     "what to make of the weights: Q4_K_M, Q8_0, F16 and others"},
    {"imatrix", 0, OPT_STRING, offsetof(struct quantize_options, imatrix), "FILE",
     "an importance matrix of this model, GGUF or .dat: where to be exact"},
    {"pure", 0, OPT_FLAG, offsetof(struct quantize_options, pure),
     .help = "the same type for all weights, no mixture"},
    {"threads", 0, OPT_INT, offsetof(struct quantize_options, threads), "N",
     "threads; 0, the default, takes the physical cores", .min = 0, .max = 512},
    OPT_END,
};

static void print_result(const char *out, const struct requantize_result *result)
{
    const double mib = 1 << 20;
    printf("%s: %zu tensors, %zu converted, %.1f MiB -> %.1f MiB\n", out, result->n_tensors,
           result->n_converted, (double)result->bytes_before / mib,
           (double)result->bytes_after / mib);
    if (result->n_fallback > 0)
        printf("%zu tensors have another type than asked for, as said above\n", result->n_fallback);
}

int verb_quantize(int argc, char **argv)
{
    struct quantize_options o = {0};
    struct opt_args args;
    struct error err = ERROR_INIT;
    int exit_code;
    if (verb_parse_args(argc, argv, &o, &args, &exit_code) < 0)
        return exit_code;
    if (!o.type) {
        error_set(&err, ERR_INVALID, "--type is missing; Q4_K_M is a good choice");
        return verb_fail(&err);
    }
    struct verb_progress progress = {.enabled = isatty(STDERR_FILENO)};
    struct requantize_options ro = {
        .type = o.type,
        .imatrix = o.imatrix,
        .pure = o.pure,
        .n_threads = (uint32_t)o.threads,
        .note = verb_progress_note,
        .progress = verb_progress_step,
        .ctx = &progress,
    };
    struct requantize_result result;
    int r = requantize_file(args.v[0], args.v[1], &ro, &result, &err);
    verb_progress_end(&progress);
    if (r < 0)
        return verb_fail(&err);
    print_result(args.v[1], &result);
    return verb_flush(&err) < 0 ? verb_fail(&err) : 0;
}
