/* SPDX-License-Identifier: Apache-2.0
 *
 * Flags that a user may hand to an engine through POST /engines/_configure.
 *
 * The list is the one that Docker Model Runner documents for llama.cpp. Flags that name a file,
 * load code or open a port are not in it, and no item may contain a path separator: a client of the
 * daemon must not choose what the engine opens. */
#include <string.h>

#include "engines/engine.h"

/* One a line would be all that is to be seen in this file. */
/* clang-format off */
static const char *const allowed[] = {
    "-t", "--threads", "-tb", "--threads-batch", "-C", "--cpu-mask", "-Cr", "--cpu-range",
    "--cpu-strict", "--prio", "--poll", "-Cb", "--cpu-mask-batch", "-Crb", "--cpu-range-batch",
    "--cpu-strict-batch", "--prio-batch", "--poll-batch", "-c", "--ctx-size", "-n", "--predict",
    "--n-predict", "--keep", "-b", "--batch-size", "-ub", "--ubatch-size", "--swa-full", "-fa",
    "--flash-attn", "--perf", "--no-perf", "--samplers", "-s", "--seed", "--temp", "--temperature",
    "--top-k", "--top-p", "--min-p", "--top-nsigma", "--xtc-probability", "--xtc-threshold",
    "--typical", "--repeat-last-n", "--repeat-penalty", "--presence-penalty", "--frequency-penalty",
    "--dry-multiplier", "--dry-base", "--dry-allowed-length", "--dry-penalty-last-n", "--mirostat",
    "--mirostat-lr", "--mirostat-ent", "--ignore-eos", "--dynatemp-range", "--dynatemp-exp", "-dev",
    "--device", "-ngl", "--gpu-layers", "--n-gpu-layers", "-sm", "--split-mode", "-ts",
    "--tensor-split", "-mg", "--main-gpu", "-fit", "--fit", "-fitt", "--fit-target", "-fitc",
    "--fit-ctx", "-kvo", "--kv-offload", "-nkvo", "--no-kv-offload", "--repack", "-nr",
    "--no-repack", "--no-host", "-ctk", "--cache-type-k", "-ctv", "--cache-type-v", "--mlock",
    "--mmap", "--no-mmap", "-dio", "--direct-io", "-ndio", "--no-direct-io", "-cram", "--cache-ram",
    "-kvu", "--kv-unified", "--context-shift", "--no-context-shift", "--rope-scaling",
    "--rope-scale", "--rope-freq-base", "--rope-freq-scale", "--yarn-orig-ctx", "--yarn-ext-factor",
    "--yarn-attn-factor", "--yarn-beta-slow", "--yarn-beta-fast", "-np", "--parallel", "-cb",
    "--cont-batching", "-nocb", "--no-cont-batching", "--warmup", "--no-warmup", "-to", "--timeout",
    "--threads-http", "--cache-prompt", "--no-cache-prompt", "--cache-reuse",
    "--sleep-idle-seconds", "--mmproj-auto", "--no-mmproj", "--no-mmproj-auto", "--mmproj-offload",
    "--no-mmproj-offload", "--image-min-tokens", "--image-max-tokens", "--spm-infill",
    "--spec-draft-threads", "--spec-draft-threads-batch", "--spec-draft-cpu-mask",
    "--spec-draft-cpu-range", "--spec-draft-cpu-strict", "--spec-draft-prio", "--spec-draft-poll",
    "--spec-draft-cpu-mask-batch", "--spec-draft-cpu-strict-batch", "--spec-draft-prio-batch",
    "--spec-draft-poll-batch", "--spec-draft-override-tensor", "--spec-draft-cpu-moe",
    "--spec-draft-n-cpu-moe", "--spec-draft-ncmoe", "--spec-draft-n-max", "--spec-draft-n-min",
    "--spec-draft-p-split", "--spec-draft-p-min", "--spec-draft-backend-sampling",
    "--spec-draft-device", "--spec-draft-ngl", "--spec-draft-type-k", "--spec-draft-type-v",
    "--no-spec-draft-backend-sampling", "--spec-type", "--spec-ngram-mod-n-min",
    "--spec-ngram-mod-n-max", "--spec-ngram-mod-n-match", "--spec-ngram-simple-size-n",
    "--spec-ngram-simple-size-m", "--spec-ngram-simple-min-hits", "--spec-ngram-map-k-size-n",
    "--spec-ngram-map-k-size-m", "--spec-ngram-map-k-min-hits", "--spec-ngram-map-k4v-size-n",
    "--spec-ngram-map-k4v-size-m", "--spec-ngram-map-k4v-min-hits", "-td", "--threads-draft",
    "-tbd", "--threads-batch-draft", "-Cd", "--cpu-mask-draft", "-Crd", "--cpu-range-draft",
    "--cpu-strict-draft", "--prio-draft", "--poll-draft", "-Cbd", "--cpu-mask-batch-draft",
    "--cpu-strict-batch-draft", "--prio-batch-draft", "--poll-batch-draft", "-otd",
    "--override-tensor-draft", "-cmoed", "--cpu-moe-draft", "-ncmoed", "--n-cpu-moe-draft",
    "--draft-n-max", "--draft-max", "--draft-n-min", "--draft-min", "--draft-p-split",
    "--draft-p-min", "-devd", "--device-draft", "-ngld", "--gpu-layers-draft",
    "--n-gpu-layers-draft", "-ctkd", "--cache-type-k-draft", "-ctvd", "--cache-type-v-draft", "-cd",
    "--ctx-size-draft", "--lora-init-without-apply", "--control-vector-layer-range", "--grammar",
    "-j", "--json-schema", "-bs", "--backend-sampling", "--chat-template", "--chat-template-kwargs",
    "--jinja", "--no-jinja", "--pooling", "--reasoning-format", "--reasoning-budget",
    "--prefill-assistant", "--no-prefill-assistant", "--api-prefix", "--webui", "--no-webui",
    "--webui-config", "--api-key", "--metrics", "--no-metrics", "--props", "--slots", "--no-slots",
    "--embedding", "--embeddings", "--rerank", "--reranking", "-sps", "--slot-prompt-similarity",
    "-cmoe", "--cpu-moe", "-ncmoe", "--n-cpu-moe", "--check-tensors", "--op-offload",
    "--no-op-offload", "-v", "--verbose",
};
/* clang-format on */

static bool is_allowed(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
        if (str_eq_c(name, allowed[i]))
            return true;
    return false;
}

/* "-1", "-0.5", "-.5": a value, although it begins like a flag. */
static bool is_number(struct str s)
{
    return s.len > 1 && s.ptr[0] == '-' &&
           ((s.ptr[1] >= '0' && s.ptr[1] <= '9') || s.ptr[1] == '.');
}

static int check_flag(struct str item, struct error *err)
{
    ptrdiff_t eq = str_find_char(item, '=');
    struct str name = eq < 0 ? item : str_sub(item, 0, (size_t)eq);
    if (!is_allowed(name))
        return error_set(err, ERR_INVALID,
                         "runtime flag \"%.*s\" is not allowed for backend \"llama.cpp\"",
                         STR_ARG(name));
    struct str value = eq < 0 ? STR("") : str_sub(item, (size_t)eq + 1, SIZE_MAX);
    if (value.len > 0 && value.ptr[0] == '-' && !is_number(value))
        return error_set(err, ERR_INVALID,
                         "invalid flag \"%.*s\": value cannot start with '-' unless followed by a "
                         "digit",
                         STR_ARG(item));
    return 0;
}

int engine_check_flags(const char *const *flags, size_t n, struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        struct str item = str_from(flags[i]);
        if (strpbrk(flags[i], "/\\"))
            return error_set(err, ERR_INVALID,
                             "invalid runtime flag \"%s\": paths are not allowed (contains '/' or "
                             "'\\')",
                             flags[i]);
        if (item.len == 0 || item.ptr[0] != '-' || is_number(item))
            continue;
        int r = check_flag(item, err);
        if (r < 0)
            return r;
    }
    return 0;
}
