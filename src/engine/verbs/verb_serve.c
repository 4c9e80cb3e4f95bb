/* SPDX-License-Identifier: Apache-2.0
 *
 * model-engine serve: the process the daemon starts for a model.
 *
 *     listen ─► confine ─► load ─► ready ─► (SIGTERM, SIGINT, lifeline) ─► stop
 *
 * A watcher thread waits for the end: a signal, or the end of file on the lifeline, a pipe whose
 * other end the daemon holds, so that the engine does not outlive it however it dies. While the
 * model is loading there is nothing worth saving and the watcher ends the process at once; later it
 * wakes the main thread, which stops in order, and ends the process itself should that take too
 * long. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "engine/api/api.h"
#include "engine/backend/backend.h"
#include "engine/sandbox.h"
#include "engine/verbs/lora_option.h"
#include "engine/verbs/verbs.h"

enum { STOP_SECONDS = 5, DEFAULT_PARALLEL = 4 };

struct serve_options {
    const char *model, *socket, *host, *template_file, *cache_type, *alias, *mmproj, *pooling;
    int64_t port, ctx_size, n_parallel, threads, lifeline_fd;
    bool no_sandbox;
    struct opt_list lora;
    struct params_defaults defaults;
};

#define DEFAULT_AT(field) offsetof(struct serve_options, defaults.field)

const struct opt verb_serve_opts[] = {
    {"model", 'm', OPT_STRING, offsetof(struct serve_options, model), "FILE",
     "the model, a .gguf file or the first of its parts"},
    {"mmproj", 0, OPT_STRING, offsetof(struct serve_options, mmproj), "FILE",
     "the model's multimodal projector, with which it sees images"},
    LORA_OPTION(offsetof(struct serve_options, lora)),
    {"socket", 0, OPT_STRING, offsetof(struct serve_options, socket), "PATH",
     "listen on this Unix socket, open to the own user only"},
    {"host", 0, OPT_STRING, offsetof(struct serve_options, host), "ADDRESS",
     "listen on this address; without --socket the default is 127.0.0.1"},
    {"port", 0, OPT_INT, offsetof(struct serve_options, port), "N",
     "TCP port; 0 takes a free one and logs it (default 8080)", .min = 0, .max = 65535},
    {"ctx-size", 'c', OPT_INT, offsetof(struct serve_options, ctx_size), "N",
     "context size of a sequence in tokens; 0 or -1, the default, chooses one", .min = -1,
     .max = CTX_SIZE_MAX},
    {"parallel", 0, OPT_INT, offsetof(struct serve_options, n_parallel), "N",
     "sequences at a time (default 4)", .min = 1, .max = PARALLEL_MAX},
    {"threads", 't', OPT_INT, offsetof(struct serve_options, threads), "N",
     "threads; 0 or -1, the default, takes the physical cores", .min = -1, .max = 1024},
    {"chat-template-file", 0, OPT_STRING, offsetof(struct serve_options, template_file), "FILE",
     "chat template to use in place of the model's"},
    {"cache-type", 0, OPT_STRING, offsetof(struct serve_options, cache_type), "TYPE",
     "type of the KV cache: f16, the default, or f32"},
    {"pooling", 0, OPT_STRING, offsetof(struct serve_options, pooling), "KIND",
     "how a text's vectors become one embedding: mean, cls, last or rank; the default is the "
     "model's"},
    {"alias", 'a', OPT_STRING, offsetof(struct serve_options, alias), "NAME",
     "the model's name in answers (default: the one in the file)"},
    {"lifeline-fd", 0, OPT_INT, offsetof(struct serve_options, lifeline_fd), "FD",
     "exit when this open descriptor reaches its end", .min = 0, .max = INT32_MAX},
    {"no-sandbox", 0, OPT_FLAG, offsetof(struct serve_options, no_sandbox),
     .help = "do not confine the process before it opens the model"},
    {"temp", 0, OPT_REAL, DEFAULT_AT(sampling.temperature), "T", "temperature (default 0.8)",
     .min = 0, .max = 100},
    {"top-k", 0, OPT_INT, DEFAULT_AT(sampling.top_k), "N", "likeliest tokens kept (default 40)",
     .min = -1, .max = INT32_MAX},
    {"top-p", 0, OPT_REAL, DEFAULT_AT(sampling.top_p), "P", "probability kept (default 0.95)",
     .min = 0, .max = 1},
    {"min-p", 0, OPT_REAL, DEFAULT_AT(sampling.min_p), "P",
     "least probability beside the likeliest token's (default 0.05)", .min = 0, .max = 1},
    {"typical", 0, OPT_REAL, DEFAULT_AT(sampling.typical_p), "P",
     "locally typical probability kept (default 1, off)", .min = 0, .max = 1},
    {"repeat-penalty", 0, OPT_REAL, DEFAULT_AT(sampling.repeat_penalty), "X",
     "penalty of repeated tokens (default 1, off)", .min = 0.01, .max = 100},
    {"repeat-last-n", 0, OPT_INT, DEFAULT_AT(sampling.repeat_last_n), "N",
     "tokens the penalties look back (default 64; -1 = all)", .min = -1, .max = INT32_MAX},
    {"presence-penalty", 0, OPT_REAL, DEFAULT_AT(sampling.presence_penalty), "X",
     "penalty of tokens that occurred (default 0)", .min = -100, .max = 100},
    {"frequency-penalty", 0, OPT_REAL, DEFAULT_AT(sampling.frequency_penalty), "X",
     "penalty of tokens for each time they occurred (default 0)", .min = -100, .max = 100},
    {"seed", 's', OPT_INT, DEFAULT_AT(seed), "S",
     "seed of the random numbers (default -1, a new one for each request)"},
    {"predict", 'n', OPT_INT, DEFAULT_AT(n_predict), "N",
     "tokens of an answer at most (default -1, until the context is full)", .min = -1,
     .max = INT32_MAX},
    OPT_END,
};

/* ---- the end ---- */

static int signal_pipe[2] = {-1, -1};

static void on_signal(int signo)
{
    int saved = errno;
    char c = (char)signo;
    ssize_t n = write(signal_pipe[1], &c, 1);
    (void)n; /* full: another signal is on its way already */
    errno = saved;
}

struct watcher {
    int lifeline_fd; /* -1 = none */
    atomic_bool serving;
    int stop_pipe[2]; /* closed at the writing end: the main thread shall stop */
};

/* Waits for a signal or the end of the lifeline. */
static const char *wait_for_end(const struct watcher *w)
{
    struct pollfd fds[2] = {{.fd = signal_pipe[0], .events = POLLIN},
                            {.fd = w->lifeline_fd, .events = POLLIN}};
    for (;;) {
        if (poll(fds, 2, -1) < 0) {
            if (errno == EINTR)
                continue;
            return "poll failed";
        }
        if (fds[0].revents)
            return "signal";
        if (fds[1].revents) {
            char c[64];
            ssize_t n = read(w->lifeline_fd, c, sizeof(c));
            if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
                return "the daemon has gone";
        }
    }
}

static void mask_end_signals(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(how, &set, NULL);
}

static void *watcher_main(void *arg)
{
    struct watcher *w = arg;
    mask_end_signals(SIG_UNBLOCK);
    const char *reason = wait_for_end(w);
    log_info("stopping: %s", reason);
    if (!atomic_load(&w->serving))
        _exit(0);
    close(w->stop_pipe[1]);
    sleep(STOP_SECONDS);
    log_warn("stopping took longer than %d s, giving up", STOP_SECONDS);
    _exit(1);
}

static int watcher_start(struct watcher *w, struct error *err)
{
    if (pipe2(signal_pipe, O_CLOEXEC | O_NONBLOCK) != 0 || pipe2(w->stop_pipe, O_CLOEXEC) != 0)
        return error_errno(err, errno, "cannot make a pipe");
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);
    /* All threads to come inherit this; the watcher alone takes these signals. */
    mask_end_signals(SIG_BLOCK);
    pthread_t thread;
    int e = pthread_create(&thread, NULL, watcher_main, w);
    if (e != 0)
        return error_errno(err, e, "cannot start a thread");
    pthread_detach(thread);
    return 0;
}

static void wait_for_stop(const struct watcher *w)
{
    char c;
    while (read(w->stop_pipe[0], &c, 1) < 0 && errno == EINTR)
        ;
}

/* ---- the beginning ---- */

static int start_server(const struct serve_options *o, struct api *api, struct http_server **ret,
                        struct error *err)
{
    struct http_server_options so = {.handler = api_handle, .ctx = api};
    if (o->socket) {
        so.listen.unix_path = o->socket;
    } else {
        so.listen.host = o->host;
        so.listen.port = (uint16_t)o->port;
    }
    int r = http_server_start(&so, ret, err);
    if (r < 0)
        return r;
    if (o->socket)
        log_info("listening on %s", o->socket);
    else
        log_info("listening on http://%s:%u", o->host, (unsigned)http_server_port(*ret));
    return 0;
}

static int confine(const struct serve_options *o, struct error *err)
{
    if (o->no_sandbox) {
        log_warn("the sandbox is off: the model's file is read with all rights of the user");
        return 0;
    }
    int r = sandbox_enter(err);
    if (r == -ERR_UNSUPPORTED) {
        log_warn("no sandbox: %s", err->msg);
        return 0;
    }
    return r;
}

/* Everything that makes a service, released in one place. */
struct loaded {
    struct lm *lm;
    struct chat_template *chat_template;
    struct batcher *batcher;
    struct vision *vision;
    struct error why_blind; /* a projector of a kind that is not supported */
    enum pooling pooling;
    struct lora lora; /* n = 0: not initialised */
};

static void loaded_release(struct loaded *l)
{
    if (l->lora.n > 0)
        lora_release(&l->lora);
    batcher_free(l->batcher);
    vision_close(l->vision);
    chat_template_free(l->chat_template);
    lm_close(l->lm);
}

static int choose_pooling(const struct serve_options *o, struct loaded *l, struct error *err)
{
    l->pooling = lm_default_pooling(l->lm);
    int r = o->pooling ? pooling_parse(str_from(o->pooling), &l->pooling, err) : 0;
    if (r == 0 && o->pooling && l->pooling == POOLING_RANK && !lm_can_rank(l->lm))
        r = error_set(err, ERR_INVALID,
                      "--pooling rank: this model has no head for ranking (a tensor 'cls' or "
                      "'cls.output')");
    if (l->pooling == POOLING_RANK && !lm_can_rank(l->lm)) {
        log_warn("the model says that it ranks, but has no head for that; its texts are embedded "
                 "by their first token");
        l->pooling = POOLING_CLS;
    }
    return r;
}

static bool has_token(void *ctx, struct str text)
{
    const struct lm *lm = ctx;
    return tokenizer_find(lm->tokenizer, text) >= 0;
}

static int load_template(const struct serve_options *o, struct loaded *l, struct error *err)
{
    struct chat_template_sources src = {
        .file = o->template_file,
        .plain = lm_metadata(l->lm, "tokenizer.chat_template"),
        .tool_use = lm_metadata(l->lm, "tokenizer.chat_template.tool_use"),
        .bos = lm_bos_text(l->lm),
        .eos = lm_eos_text(l->lm),
        .has_token = has_token,
        .ctx = l->lm,
    };
    struct error why = ERROR_INIT;
    int r = chat_template_create(&src, &l->chat_template, &why);
    if (r < 0 && !o->template_file && r != -ERR_NOMEM) {
        /* The model still completes text; its chats get a template it may not know. */
        log_warn("the model's chat template cannot be used, ChatML is used in its place: %s",
                 why.msg);
        src.plain = src.tool_use = STR("");
        r = chat_template_create(&src, &l->chat_template, err);
    } else if (r < 0) {
        r = error_copy(err, &why);
    } else if (l->chat_template->is_default) {
        log_warn("the model has no chat template, ChatML is used");
    }
    return r;
}

static int load_vision(const struct serve_options *o, struct loaded *l, struct error *err)
{
    if (!o->mmproj)
        return 0;
    struct vision_options vo = {.n_embd = l->lm->n_embd, .n_threads = (uint32_t)MAX(o->threads, 0)};
    int r = vision_open(o->mmproj, &vo, &l->vision, err);
    if (r == -ERR_UNSUPPORTED) { /* the model still reads */
        log_warn("images cannot be used: %s", err->msg);
        l->why_blind = *err;
        r = 0;
    } else if (r == 0) {
        log_info("loaded %s: a projector of the kind %s, %u tokens a square", o->mmproj,
                 vision_name(l->vision), vision_square_tokens(l->vision));
    }
    return r;
}

static int load(const struct serve_options *o, enum kv_type kv_type, struct loaded *l,
                struct error *err)
{
    int64_t start = clock_mono_ms();
    struct lm_options lo = {.n_threads = (uint32_t)MAX(o->threads, 0)};
    int r = lora_option_parse(&o->lora, &lo, err);
    if (r == 0)
        r = lm_open(o->model, &lo, &l->lm, err);
    lora_option_release(&lo);
    if (r == 0)
        r = choose_pooling(o, l, err);
    if (r == 0)
        r = load_template(o, l, err);
    if (r == 0)
        r = load_vision(o, l, err);
    if (r < 0)
        return r;

    struct batcher_options bo = {.n_parallel = (uint32_t)o->n_parallel, .kv_type = kv_type};
    const char *why = "as asked for";
    if (o->ctx_size > 0) {
        bo.ctx_size = (uint32_t)o->ctx_size;
        if (l->lm->n_ctx_train > 0 && bo.ctx_size > l->lm->n_ctx_train)
            log_warn("a context of %u tokens is more than the %u the model was trained with",
                     bo.ctx_size, l->lm->n_ctx_train);
    } else {
        bo.ctx_size = lm_default_ctx_size(l->lm, bo.n_parallel, kv_type);
        why = bo.ctx_size == l->lm->n_ctx_train ? "that of the training" : "what memory allows";
    }
    if (l->lm->n_adapters > 0) {
        float scales[ADAPTERS_MAX];
        lm_adapter_scales(l->lm, scales);
        lora_init(&l->lora, scales, l->lm->n_adapters);
    }
    r = batcher_create(l->lm, &bo, &l->batcher, err);
    if (r == 0) {
        const struct backend *backend = model_backend(l->lm->model);
        log_info("loaded %s in %lld ms: context %u tokens (%s), %u sequences, %u threads, %s",
                 l->lm->name, (long long)(clock_mono_ms() - start), bo.ctx_size, why, bo.n_parallel,
                 backend_cpu_threads(backend), backend_cpu_level(backend));
    }
    return r;
}

static int serve(const struct serve_options *o, enum kv_type kv_type, struct error *err)
{
    /* Lives as long as the process: its thread may still look at it while main returns. */
    static struct watcher w;
    w.lifeline_fd = (int)o->lifeline_fd;
    struct api *api = api_create();
    struct http_server *server = NULL;
    struct loaded l = {0};
    int r = watcher_start(&w, err);
    if (r == 0)
        r = start_server(o, api, &server, err);
    if (r == 0)
        r = confine(o, err);
    if (r == 0)
        r = load(o, kv_type, &l, err);
    if (r == 0) {
        struct service s = {.lm = l.lm,
                            .batcher = l.batcher,
                            .chat_template = l.chat_template,
                            .vision = l.vision,
                            .why_blind = l.why_blind.code ? l.why_blind.msg : NULL,
                            .alias = o->alias ? o->alias : l.lm->name,
                            .pooling = l.pooling,
                            .kv_type = kv_type,
                            .loaded_at = clock_wall_s(),
                            .defaults = o->defaults};
        s.defaults.lora = l.lora.n > 0 ? &l.lora : NULL;
        atomic_store(&w.serving, true);
        api_ready(api, &s);
        log_info("ready");
        wait_for_stop(&w);
    }
    http_server_stop(server);
    loaded_release(&l);
    api_free(api);
    return r;
}

int verb_serve(int argc, char **argv)
{
    struct serve_options o = {.port = 8080,
                              .n_parallel = DEFAULT_PARALLEL,
                              .lifeline_fd = -1,
                              .defaults = PARAMS_DEFAULTS};
    int exit_code;
    if (verb_parse(argc, argv, &o, &exit_code) < 0)
        return exit_code;
    struct error err = ERROR_INIT;
    enum kv_type kv_type = KV_F16;
    int r = 0;
    if (!o.model)
        r = error_set(&err, ERR_INVALID, "serve needs --model FILE");
    else if (o.socket && o.host)
        r = error_set(&err, ERR_INVALID, "--socket and --host exclude each other");
    else if (o.cache_type && strcmp(o.cache_type, "f32") == 0)
        kv_type = KV_F32;
    else if (o.cache_type && strcmp(o.cache_type, "f16") != 0)
        r = error_set(&err, ERR_INVALID, "--cache-type must be f16 or f32, not '%s'", o.cache_type);
    if (!o.host)
        o.host = "127.0.0.1";
    if (r == 0)
        r = serve(&o, kv_type, &err);
    opt_list_release(&o.lora);
    int status = r < 0 ? verb_fail(&err) : 0;
    return r == -(int)ERR_UNSUPPORTED ? EXIT_UNSUPPORTED : status;
}
