/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model configure: settings a model is loaded with. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/configure.h"
#include "cli/print.h"

/* Numbers that were not given keep this value. */
#define ABSENT INT64_MIN
#define ABSENT_REAL (-1e300)

struct configure_options {
    int64_t context_size, num_tokens;
    const char *backend, *draft_model, *hf_overrides, *mode, *keep_alive;
    double min_acceptance, gpu_memory;
    enum opt_tristate think;
    bool reset;
};

const struct opt configure_opts[] = {
    {"backend", 0, OPT_STRING, offsetof(struct configure_options, backend), "NAME",
     "The engine to run it with: native or llama.cpp; auto = as it fits"},
    {"context-size", 0, OPT_INT, offsetof(struct configure_options, context_size), "N",
     "Context size in tokens", .min = INT32_MIN, .max = INT32_MAX},
    {"gpu-memory-utilization", 0, OPT_REAL, offsetof(struct configure_options, gpu_memory),
     "FRACTION", "Fraction of GPU memory to use, 0.0 to 1.0 (vLLM only)"},
    {"hf_overrides", 0, OPT_STRING, offsetof(struct configure_options, hf_overrides), "JSON",
     "Hugging Face model configuration overrides (vLLM only)"},
    {"keep-alive", 0, OPT_STRING, offsetof(struct configure_options, keep_alive), "DURATION",
     "How long the model stays loaded when idle: 5m, 1h, 0 to unload at once, -1 for ever"},
    {"mode", 0, OPT_STRING, offsetof(struct configure_options, mode), "MODE",
     "completion, embedding, reranking or image-generation"},
    {"reset", 0, OPT_FLAG, offsetof(struct configure_options, reset),
     .help = "Forget what was set before"},
    {"speculative-draft-model", 0, OPT_STRING, offsetof(struct configure_options, draft_model),
     "MODEL", "Draft model for speculative decoding"},
    {"speculative-min-acceptance-rate", 0, OPT_REAL,
     offsetof(struct configure_options, min_acceptance), "RATE",
     "Minimum acceptance rate for speculative decoding"},
    {"speculative-num-tokens", 0, OPT_INT, offsetof(struct configure_options, num_tokens), "N",
     "Number of tokens to predict speculatively", .min = INT32_MIN, .max = INT32_MAX},
    {"think", 0, OPT_TRISTATE, offsetof(struct configure_options, think),
     .help = "Whether the model may reason before it answers"},
    OPT_END,
};

int configure_model(const struct json *request, struct error *err)
{
    CLEANUP_FREE char *body = js_text(request, JS_COMPACT);
    struct api_call call = {.path = "/engines/_configure", .body = str_from(body)};
    struct http_result res = {0};
    int r = api_perform(&call, &res, err);
    if (r == 0 && res.status != 202) {
        CLEANUP_JSON struct json *hold = NULL;
        struct str text = api_error_text(&res, &hold);
        enum errc code = api_status_code(res.status);
        char status[64];
        if (res.status == 409)
            r = error_set(err, code, "%.*s", STR_ARG(text));
        else
            r = error_set(err, code, "%.*s (%s)", STR_ARG(text),
                          api_status_text(res.status, status));
    }
    http_result_release(&res);
    return r;
}

static int set_mode(struct json *request, const char *mode, struct error *err)
{
    static const char *const modes[] = {"completion", "embedding", "reranking", "image-generation"};
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        if (strcasecmp(mode, modes[i]) == 0) {
            js_set_cstr(request, "mode", modes[i]);
            return 0;
        }
    }
    return error_set(err, ERR_INVALID,
                     "invalid mode \"%s\": must be one of completion, embedding, reranking, "
                     "image-generation",
                     mode);
}

static int set_vllm(struct json *request, const struct configure_options *o, struct error *err)
{
    CLEANUP_JSON struct json *vllm = js_object();
    if (o->hf_overrides) {
        struct json *overrides = NULL;
        struct error why = ERROR_INIT;
        if (js_parse(str_from(o->hf_overrides), "the value", &overrides, &why) < 0)
            return error_set(err, ERR_INVALID, "invalid --hf_overrides JSON: %s", why.msg);
        js_set(vllm, "hf-overrides", overrides);
        if (!js_is(overrides, JS_OBJECT))
            return error_set(err, ERR_INVALID, "invalid --hf_overrides JSON: it must be an object");
    }
    if (o->gpu_memory > ABSENT_REAL) {
        if (!(o->gpu_memory >= 0 && o->gpu_memory <= 1))
            return error_set(err, ERR_INVALID,
                             "--gpu-memory-utilization must be between 0.0 and 1.0, got %g",
                             o->gpu_memory);
        js_set_real(vllm, "gpu-memory-utilization", o->gpu_memory);
    }
    if (js_len(vllm) > 0)
        js_set(request, "vllm", TAKE(vllm));
    return 0;
}

static int make_request(const struct configure_options *o, const char *model, char *const *flags,
                        int n_flags, struct json *request, struct error *err)
{
    js_set_cstr(request, "model", model);
    if (o->backend && strcmp(o->backend, "auto") == 0)
        js_set(request, "backend", js_null());
    else if (o->backend)
        js_set_cstr(request, "backend", o->backend);
    if (o->reset)
        js_set_bool(request, "reset", true);
    if (o->context_size != ABSENT)
        js_set_int(request, "context-size", o->context_size);
    if (n_flags > 0) {
        struct json *list = js_array();
        for (int i = 0; i < n_flags; i++)
            js_push(list, js_cstr(flags[i]));
        js_set(request, "runtime-flags", list);
    }
    CLEANUP_JSON struct json *speculative = js_object();
    if (o->draft_model)
        js_set_cstr(speculative, "draft_model", o->draft_model);
    if (o->num_tokens != ABSENT)
        js_set_int(speculative, "num_tokens", o->num_tokens);
    if (o->min_acceptance > ABSENT_REAL)
        js_set_real(speculative, "min_acceptance_rate", o->min_acceptance);
    if (js_len(speculative) > 0)
        js_set(request, "speculative", TAKE(speculative));
    if (o->think != TRISTATE_ABSENT) {
        struct json *llamacpp = js_object();
        js_set_int(llamacpp, "reasoning-budget", o->think == TRISTATE_TRUE ? -1 : 0);
        js_set(request, "llamacpp", llamacpp);
    }
    if (o->keep_alive)
        js_set_cstr(request, "keep_alive", o->keep_alive);
    int r = set_vllm(request, o, err);
    if (r == 0 && o->mode)
        r = set_mode(request, o->mode, err);
    return r;
}

int cmd_configure(int argc, char **argv)
{
    struct configure_options o = {
        .context_size = ABSENT,
        .num_tokens = ABSENT,
        .min_acceptance = ABSENT_REAL,
        .gpu_memory = ABSENT_REAL,
    };
    struct opt_args args;
    int exit_code;
    if (!cli_parse("configure", argc, argv, &o, &args, &exit_code))
        return exit_code;
    int n_models = args.dashdash >= 0 ? args.dashdash : args.n;
    if (n_models != 1)
        return cli_fail_text("Exactly one model must be specified%s, got %d",
                             args.dashdash >= 0 ? " before --" : "", n_models);
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *request = js_object();
    if (make_request(&o, args.v[0], args.v + 1, args.n - 1, request, &err) < 0 ||
        configure_model(request, &err) < 0)
        return cli_fail(NULL, &err);
    return 0;
}

int cmd_configure_show(int argc, char **argv)
{
    struct opt_args args;
    int exit_code;
    if (!cli_parse("configure show", argc, argv, NULL, &args, &exit_code))
        return exit_code;
    CLEANUP_FREE char *model = args.n > 0 ? url_encode(str_from(args.v[0]), "") : NULL;
    CLEANUP_FREE char *path =
        xasprintf("/engines/_configure%s%s", model ? "?model=" : "", model ? model : "");
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *configs = NULL;
    if (api_get_json(path, "failed to get the configuration", &configs, &err) < 0)
        return cli_fail(NULL, &err);
    print_json(stdout, configs, JS_INDENT_2);
    return 0;
}
