/* SPDX-License-Identifier: Apache-2.0
 *
 * make_tiny_mmproj: writes a multimodal projector with random weights.
 *
 *     make_tiny_mmproj --projector gemma3 --n-text 64 /tmp/mmproj.gguf */
#include <stdio.h>

#include "base/compiler.h"
#include "base/opt.h"
#include "tiny_mmproj.h"

struct options {
    const char *projector;
    int64_t n_text, seed;
};

static const struct opt opts[] = {
    {"projector", 'p', OPT_STRING, offsetof(struct options, projector), "KIND",
     "idefics3 (the default), gemma3, or another name"},
    {"n-text", 0, OPT_INT, offsetof(struct options, n_text), "N",
     "width of the language model (default 64)", .min = 1, .max = 1 << 16},
    {"seed", 0, OPT_INT, offsetof(struct options, seed), "N", "seed of the random numbers"},
    OPT_END,
};

static const struct command command = {
    .name = "make_tiny_mmproj",
    .args = "FILE",
    .summary = "write a multimodal projector with random weights",
    .opts = opts,
    .min_args = 1,
    .max_args = 1,
};

static const struct program program = {
    .name = "make_tiny_mmproj",
    .man_name = "make_tiny_mmproj",
    .version = MR_VERSION,
    .summary = "write a multimodal projector with random weights",
};

int main(int argc, char **argv)
{
    struct tiny_mmproj m = tiny_mmproj_default;
    struct options o = {.projector = m.projector, .n_text = m.n_text, .seed = 1};
    struct opt_args args;
    struct error err = ERROR_INIT;
    if (opt_parse(&command, argc, argv, &o, &args, &err) < 0)
        return opt_usage_error(&program, &command, &err);
    m.projector = o.projector;
    m.n_text = (uint32_t)o.n_text;
    m.seed = (uint64_t)o.seed;
    if (tiny_mmproj_write(&m, args.v[0], &err) < 0) {
        fprintf(stderr, "make_tiny_mmproj: %s\n", err.msg);
        return errc_exit_code(err.code);
    }
    return 0;
}
