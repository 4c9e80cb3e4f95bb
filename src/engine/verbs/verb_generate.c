/* SPDX-License-Identifier: Apache-2.0
 *
 * model-engine generate: continues a prompt on the terminal. */
#include <stdio.h>
#include <unistd.h>

#include "base/compiler.h"
#include "engine/run/batcher.h"
#include "engine/verbs/lora_option.h"
#include "engine/verbs/verbs.h"

struct generate_options {
    const char *model, *prompt;
    int64_t n_predict, seed, top_k, ctx_size, threads;
    double temp, top_p, min_p, repeat_penalty;
    bool ignore_eos;
    struct opt_list lora;
};

const struct opt verb_generate_opts[] = {
    {"model", 'm', OPT_STRING, offsetof(struct generate_options, model), "FILE",
     "the model, a .gguf file or the first of its parts"},
    {"prompt", 'p', OPT_STRING, offsetof(struct generate_options, prompt), "TEXT",
     "the text to continue"},
    {"n-predict", 'n', OPT_INT, offsetof(struct generate_options, n_predict), "N",
     "tokens at most; -1, the default, until the model ends or the context is full", .min = -1,
     .max = INT32_MAX},
    {"temp", 0, OPT_REAL, offsetof(struct generate_options, temp), "T",
     "temperature; 0 always takes the likeliest token (default 0.8)", .min = 0, .max = 100},
    {"top-k", 0, OPT_INT, offsetof(struct generate_options, top_k), "K",
     "draw from the K likeliest tokens; 0 = all (default 40)", .min = 0, .max = INT32_MAX},
    {"top-p", 0, OPT_REAL, offsetof(struct generate_options, top_p), "P",
     "draw from the likeliest tokens with this probability together (default 0.95)", .min = 0,
     .max = 1},
    {"min-p", 0, OPT_REAL, offsetof(struct generate_options, min_p), "P",
     "drop tokens less likely than this part of the likeliest (default 0.05)", .min = 0, .max = 1},
    {"repeat-penalty", 0, OPT_REAL, offsetof(struct generate_options, repeat_penalty), "X",
     "make recent tokens less likely; 1, the default, does not", .min = 0.01, .max = 100},
    {"seed", 's', OPT_INT, offsetof(struct generate_options, seed), "S",
     "seed of the random numbers; -1, the default, takes a new one"},
    {"ignore-eos", 0, OPT_FLAG, offsetof(struct generate_options, ignore_eos),
     .help = "do not let the model end its text"},
    {"ctx-size", 'c', OPT_INT, offsetof(struct generate_options, ctx_size), "N",
     "context size in tokens; 0, the default, chooses one", .min = 0, .max = CTX_SIZE_MAX},
    {"threads", 't', OPT_INT, offsetof(struct generate_options, threads), "N",
     "threads; 0, the default, takes the physical cores", .min = 0, .max = 1024},
    LORA_OPTION(offsetof(struct generate_options, lora)),
    OPT_END,
};

/* Prints the events of g; the text stays unbuffered so that each token shows at once. */
static int print_events(struct generation *g, struct error *err)
{
    struct generation_event *e;
    int r = 0;
    while (r == 0 && generation_next(g, &e) > 0) {
        if (e->kind == EVENT_ERROR) {
            r = error_copy(err, e->error);
        } else if (e->kind == EVENT_TEXT) {
            fwrite(e->text.ptr, 1, e->text.len, stdout);
            r = verb_flush(err);
        }
        generation_event_free(e);
    }
    if (r == 0 && isatty(STDOUT_FILENO))
        putchar('\n');
    return r;
}

static int generate(const struct generate_options *o, struct lm *lm, struct error *err)
{
    CLEANUP_TOKEN_LIST struct token_list ids = TOKEN_LIST_INIT;
    int r = lm_tokenize_prompt(lm, str_from(o->prompt), &ids, err);
    if (r < 0)
        return r;
    struct batcher_options bo = {
        .ctx_size = o->ctx_size > 0 ? (uint32_t)o->ctx_size : lm_default_ctx_size(lm, 1, KV_F16),
        .n_parallel = 1,
    };
    struct batcher *b;
    r = batcher_create(lm, &bo, &b, err);
    if (r < 0)
        return r;

    struct prompt prompt = {ids.ids, ids.n};
    struct generation_request req = GENERATION_REQUEST_INIT;
    req.prompts = &prompt;
    req.n_predict = o->n_predict;
    req.sampling.temperature = o->temp;
    req.sampling.top_k = o->top_k;
    req.sampling.top_p = o->top_p;
    req.sampling.min_p = o->min_p;
    req.sampling.repeat_penalty = o->repeat_penalty;
    req.sampling.ignore_eos = o->ignore_eos;
    req.sampling.seed = o->seed == -1 ? sampling_random_seed() : (uint64_t)o->seed;
    lm_adapter_scales(lm, req.scales);
    struct generation *g;
    r = batcher_submit(b, &req, &g, err);
    if (r == 0) {
        r = print_events(g, err);
        generation_free(g);
    }
    batcher_free(b);
    return r;
}

int verb_generate(int argc, char **argv)
{
    struct generate_options o = {.n_predict = -1,
                                 .seed = -1,
                                 .temp = 0.8,
                                 .top_k = 40,
                                 .top_p = 0.95,
                                 .min_p = 0.05,
                                 .repeat_penalty = 1};
    int exit_code;
    if (verb_parse(argc, argv, &o, &exit_code) < 0)
        return exit_code;
    struct error err = ERROR_INIT;
    if (!o.model || !o.prompt) {
        error_set(&err, ERR_INVALID, "generate needs --model FILE and --prompt TEXT");
        return verb_fail(&err);
    }
    struct lm *lm = NULL;
    struct lm_options lo = {.n_threads = (uint32_t)o.threads};
    int r = lora_option_parse(&o.lora, &lo, &err);
    if (r == 0)
        r = lm_open(o.model, &lo, &lm, &err);
    if (r == 0)
        r = generate(&o, lm, &err);
    lm_close(lm);
    lora_option_release(&lo);
    opt_list_release(&o.lora);
    return r < 0 ? verb_fail(&err) : 0;
}
