/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model install-runner, start-runner and their relatives: the runner as a service. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/program.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/print.h"
#include "cli/service.h"

enum { READY_MS = 15000, PAUSE_MS = 50, LOG_MAX = 1 << 20, LOG_SHOWN = 1000 };

struct service_options {
    bool system, debug, do_not_track, tls, models, images;
    int64_t port, tls_port;
    const char *host, *gpu, *backend, *llama_server, *proxy_cert, *tls_cert, *tls_key, *program;
};

#define AT(member) offsetof(struct service_options, member)
#define SYSTEM_OPT                                                                                \
    {                                                                                             \
        "system", 0, OPT_FLAG, AT(system), .help = "A service of the machine instead of the user" \
    }
/* Both in the order of the names, between which the llama-server's version stands. */
/* clang-format off */
#define COMMON_OPTS_TO_HOST                                                              \
    {"debug", 0, OPT_FLAG, AT(debug), .help = "Log more"},                               \
    {"do-not-track", 0, OPT_FLAG, AT(do_not_track), .help = "Nothing is tracked anyway"}, \
    {"gpu", 0, OPT_STRING, AT(gpu), "KIND", "none, auto, cuda, rocm, musa or cann"},     \
    {"host", 0, OPT_STRING, AT(host), "ADDRESS", "Listen on this address (default 127.0.0.1)"}
#define COMMON_OPTS_FROM_PORT                                                            \
    {"port", 0, OPT_INT, AT(port), "N", "Listen on this TCP port (default 12434)",       \
     .min = 0, .max = 65535},                                                            \
    {"proxy-cert", 0, OPT_STRING, AT(proxy_cert), "FILE",                                \
     "Trust the certificate of this authority (PEM), too: a proxy's"}
/* clang-format on */
#define BACKEND_OPT                                                                               \
    {                                                                                             \
        "backend", 0, OPT_STRING, AT(backend), "NAME", "The engine: llama.cpp, vllm or diffusers" \
    }
#define TLS_OPTS                                                                                \
    {"tls", 0, OPT_FLAG, AT(tls), .help = "Listen with TLS, too"},                              \
        {"tls-cert", 0, OPT_STRING, AT(tls_cert), "FILE", "The certificate for TLS (PEM)"},     \
        {"tls-key", 0, OPT_STRING, AT(tls_key), "FILE", "Its private key (PEM)"},               \
    {                                                                                           \
        "tls-port", 0, OPT_INT, AT(tls_port), "N", "Port for TLS (default 12444)", .min = 0,    \
                                                                                   .max = 65535 \
    }
#define MODELS_OPT                                                                             \
    {                                                                                          \
        "models", 0, OPT_FLAG, AT(models), .help = "Remove the models of the local store, too" \
    }

const struct opt install_runner_opts[] = {
    BACKEND_OPT,
    COMMON_OPTS_TO_HOST,
    {"llama-server-version", 0, OPT_STRING, AT(llama_server), "VERSION",
     "No effect: the llama-server of this machine is used"},
    COMMON_OPTS_FROM_PORT,
    SYSTEM_OPT,
    TLS_OPTS,
    OPT_END,
};
const struct opt start_runner_opts[] = {
    BACKEND_OPT, COMMON_OPTS_TO_HOST, COMMON_OPTS_FROM_PORT, SYSTEM_OPT, TLS_OPTS, OPT_END};
const struct opt restart_runner_opts[] = {COMMON_OPTS_TO_HOST, COMMON_OPTS_FROM_PORT, SYSTEM_OPT,
                                          OPT_END};
const struct opt stop_runner_opts[] = {MODELS_OPT, SYSTEM_OPT, OPT_END};
const struct opt uninstall_runner_opts[] = {
    {"backend", 0, OPT_STRING, AT(backend), "NAME", "Uninstall only this engine"},
    {"images", 0, OPT_FLAG, AT(images), .help = "No effect: the runner is no container"},
    MODELS_OPT,
    SYSTEM_OPT,
    OPT_END,
};
const struct opt service_unit_opts[] = {
    {"program", 0, OPT_STRING, AT(program), "FILE", "The model-runner to start"},
    SYSTEM_OPT,
    OPT_END,
};
#undef AT

/* ---- options → what the service is told ---- */

static bool is_one_of(const char *s, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(s, *list) == 0)
            return true;
    return false;
}

static int check_options(const struct service_options *o, struct error *err)
{
    static const char *const gpus[] = {"none", "auto", "cuda", "rocm", "musa", "cann", NULL};
    static const char *const backends[] = {"llama.cpp", "vllm", "diffusers", NULL};
    unsigned char address[sizeof(struct in6_addr)];
    if (o->gpu && !is_one_of(o->gpu, gpus))
        return error_set(err, ERR_INVALID, "unknown GPU specification: \"%s\"", o->gpu);
    if (o->backend && *o->backend && !is_one_of(o->backend, backends))
        return error_set(err, ERR_INVALID,
                         "unknown backend: \"%s\" (supported: llama.cpp, vllm, diffusers)",
                         o->backend);
    if (o->backend && (strcmp(o->backend, "vllm") == 0 || strcmp(o->backend, "diffusers") == 0))
        return error_set(err, ERR_UNSUPPORTED,
                         "the backend %s is not available here: models in GGUF run without it",
                         o->backend);
    if (o->host && inet_pton(AF_INET, o->host, address) != 1 &&
        inet_pton(AF_INET6, o->host, address) != 1)
        return error_set(err, ERR_INVALID, "invalid host: must be a valid IP-address: %s", o->host);
    if (!o->tls_cert != !o->tls_key)
        return error_set(err, ERR_INVALID, "--tls-cert and --tls-key go together");
    return 0;
}

/* The system's authorities and one more, in a file beside the environment; SSL_CERT_FILE takes the
 * place of the system's. */
static int add_proxy_cert(const struct service_options *o, struct json *env, struct error *err)
{
    static const char *const stores[] = {"/etc/ssl/certs/ca-certificates.crt",
                                         "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"};
    enum { STORE_MAX = 8 << 20 };
    CLEANUP_BUF struct buf all = BUF_INIT(STORE_MAX), own = BUF_INIT(1 << 20);
    CLEANUP_FREE char *env_file = NULL;
    int r = file_read(o->proxy_cert, &own, err);
    if (r == 0 && str_find(buf_str(&own), STR("-----BEGIN CERTIFICATE-----")) < 0)
        r = error_set(err, ERR_INVALID, "'%s' is no certificate in PEM", o->proxy_cert);
    if (r == 0)
        r = service_env_file(o->system, &env_file, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < ARRAY_LEN(stores) && all.len == 0; i++)
        if (file_exists(stores[i]))
            r = file_read(stores[i], &all, err);
    buf_push(&all, '\n');
    buf_append(&all, buf_str(&own));
    CLEANUP_FREE char *dir = path_dir(env_file), *path = path_join(dir, "authorities.pem");
    if (r == 0)
        r = dir_make(dir, 0755, err);
    if (r == 0)
        r = file_write_atomic(path, buf_str(&all), 0644, err);
    if (r == 0)
        js_set_cstr(env, "SSL_CERT_FILE", path);
    return r;
}

static void set_number(struct json *env, const char *name, int64_t n)
{
    char text[24];
    snprintf(text, sizeof(text), "%lld", (long long)n);
    js_set_cstr(env, name, text);
}

/* What of this environment the service needs, too. A service of the machine has a user and
 * directories of its own. */
static void inherit(bool system, struct json *env)
{
    static const char *const names[] = {
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "MODEL_RUNNER_REGISTRY_MIRRORS",
        "LLAMA_SERVER_PATH",
        "MODELS_PATH",
        "DOCKER_CONFIG",
    };
    size_t n = ARRAY_LEN(names) - (system ? 2 : 0);
    for (size_t i = 0; i < n; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            js_set_cstr(env, names[i], value);
    }
}

/* Puts what the options say over `env`. */
static int apply_options(const struct service_options *o, struct json *env, struct error *err)
{
    int r = check_options(o, err);
    if (r < 0)
        return r;
    if (o->port > 0 || !js_get(env, "MODEL_RUNNER_PORT"))
        set_number(env, "MODEL_RUNNER_PORT", o->port > 0 ? o->port : DAEMON_PORT);
    if (o->host)
        js_set_cstr(env, "MODEL_RUNNER_LISTEN", o->host);
    if (o->debug)
        js_set_cstr(env, "LOG_LEVEL", "debug");
    if (o->do_not_track)
        js_set_cstr(env, "DO_NOT_TRACK", "1");
    if (o->gpu && strcmp(o->gpu, "none") == 0)
        js_set_cstr(env, "LLAMA_ARGS", "-ngl 0 --metrics");
    else if (o->gpu)
        js_del(env, "LLAMA_ARGS");
    if (o->tls || o->tls_port > 0 || o->tls_cert)
        js_set_cstr(env, "MODEL_RUNNER_TLS_ENABLED", "true");
    if (o->tls_port > 0)
        set_number(env, "MODEL_RUNNER_TLS_PORT", o->tls_port);
    if (o->tls_cert) {
        CLEANUP_FREE char *cert = path_absolute(o->tls_cert), *key = path_absolute(o->tls_key);
        js_set_cstr(env, "MODEL_RUNNER_TLS_CERT", cert);
        js_set_cstr(env, "MODEL_RUNNER_TLS_KEY", key);
    }
    return o->proxy_cert ? add_proxy_cert(o, env, err) : 0;
}

/* Does anything say how the runner is to be? Then its environment is written anew. */
static bool says_something(const struct service_options *o)
{
    return o->port > 0 || o->host || o->gpu || o->backend || o->debug || o->do_not_track ||
           o->proxy_cert || o->tls || o->tls_port > 0 || o->tls_cert;
}

/* ---- start and end ---- */

struct service {
    const struct service_options *o;
    const struct service_manager *m;
    char *program, *name;
    struct json *env;
};

static void service_release(struct service *s)
{
    free(s->program);
    free(s->name);
    js_free(s->env);
}

static int open_service(const struct service_options *o, struct service *s, struct error *err)
{
    s->o = o;
    int r = service_find(o->system, &s->m, err);
    if (r == 0 && o->system && geteuid() != 0)
        r = error_set(err, ERR_DENIED,
                      "a system service needs root: use sudo, or leave --system "
                      "out for a service of your own");
    if (r == 0)
        r = program_find("model-runner", &s->program, err);
    if (r == 0)
        r = service_env_read(o->system, &s->env, err);
    if (r == 0)
        s->name = service_name(s->m, o->system);
    return r;
}

/* Does anybody answer where this service will? */
static bool answers(const struct service *s)
{
    CLEANUP_FREE char *path = NULL, *url = NULL;
    struct http_call call = HTTP_CALL_INIT;
    struct http_result res = {0};
    if (!s->o->system && path_default_socket(&path, NULL) == 0) {
        call.unix_path = path;
        call.url = "http://localhost/";
    } else {
        url = xasprintf("http://127.0.0.1:%s/", js_get_cstr(s->env, "MODEL_RUNNER_PORT", "12434"));
        call.url = url;
    }
    call.timeout_ms = 2000;
    bool there = http_perform(&call, &res, NULL) == 0;
    http_result_release(&res);
    return there;
}

/* Why it ended: the last it wrote, or where that is to be read. */
static int died(const struct service *s, struct error *err)
{
    if (s->m->logs)
        return error_set(err, ERR_UNAVAILABLE, "the runner ended at once: '%s' says why",
                         s->o->system ? "journalctl --unit model-runner" : s->m->logs);
    CLEANUP_FREE char *path = NULL;
    CLEANUP_BUF struct buf text = BUF_INIT(LOG_MAX);
    if (service_log_file(&path, NULL) < 0 || file_read(path, &text, NULL) < 0)
        return error_set(err, ERR_UNAVAILABLE, "the runner ended at once");
    struct str tail = str_trim(buf_str(&text));
    if (tail.len > LOG_SHOWN)
        tail = str_sub(tail, tail.len - LOG_SHOWN, SIZE_MAX);
    ptrdiff_t line = str_rfind_char(tail, '\n');
    if (line >= 0)
        tail = str_sub(tail, (size_t)line + 1, SIZE_MAX);
    return error_set(err, ERR_UNAVAILABLE, "the runner ended at once: %.*s (%s)", STR_ARG(tail),
                     path);
}

static int await_ready(const struct service *s, struct error *err)
{
    struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000L};
    int64_t until_ms = clock_mono_ms() + READY_MS;
    while (!answers(s)) {
        if (s->m->state(s->o->system) != SERVICE_RUNNING)
            return died(s, err);
        if (clock_mono_ms() > until_ms)
            return error_set(err, ERR_TIMEOUT, "the runner took too long to initialize");
        nanosleep(&pause, NULL);
    }
    return 0;
}

static void print_where(const struct service *s)
{
    CLEANUP_FREE char *path = NULL;
    const char *host = js_get_cstr(s->env, "MODEL_RUNNER_LISTEN", "127.0.0.1");
    fputs("It listens on ", stdout);
    if (!s->o->system && path_default_socket(&path, NULL) == 0)
        printf("unix://%s and ", path);
    printf(strchr(host, ':') ? "http://[%s]:%s\n" : "http://%s:%s\n", host,
           js_get_cstr(s->env, "MODEL_RUNNER_PORT", "12434"));
}

/* Starts what is installed and stopped, and waits until it answers. */
static int start(const struct service *s, const char *done, struct error *err)
{
    if (answers(s))
        return error_set(err, ERR_CONFLICT,
                         "a runner that is not this service answers already: stop it first, or "
                         "use it as it is");
    int r = s->m->start(s->o->system, s->program, s->env, err);
    if (r == 0)
        r = await_ready(s, err);
    if (r < 0)
        return r;
    printf("%s %s.\n", done, s->name);
    print_where(s);
    if (s->m == &service_process)
        puts("No service manager is in charge here: after the machine has started anew, say "
             "'docker model start-runner'.");
    return 0;
}

static int install(struct service *s, struct error *err)
{
    inherit(s->o->system, s->env);
    int r = apply_options(s->o, s->env, err);
    return r == 0 ? s->m->install(s->o->system, s->program, s->env, err) : r;
}

static int install_and_start(struct service *s, struct error *err)
{
    int r = install(s, err);
    if (r == 0)
        r = start(s, "Installed and started", err);
    if (r == 0 && s->m == &service_systemd && !s->o->system)
        puts("It ends when you log out; to keep it: loginctl enable-linger");
    return r;
}

static int remove_models(struct error *err)
{
    const struct api_call call = {.method = "DELETE", .path = "/models/purge"};
    struct http_result res = {0};
    int r = api_perform(&call, &res, err);
    if (r == 0 && res.status != 200)
        r = error_set(err, api_status_code(res.status), "the models were not removed: %.*s",
                      STR_ARG(str_trim(buf_str(&res.body))));
    else if (r < 0)
        error_wrap(err, "the models were not removed, which only a running runner can do");
    http_result_release(&res);
    return r;
}

static int stop(const struct service *s, struct error *err)
{
    int r = s->o->models ? remove_models(err) : 0;
    return r == 0 ? s->m->stop(s->o->system, err) : r;
}

static int uninstall(const struct service *s, struct error *err)
{
    CLEANUP_FREE char *env_file = NULL;
    enum service_state state = s->m->state(s->o->system);
    int r = 0;
    if (state == SERVICE_RUNNING || s->o->models)
        r = stop(s, err);
    if (r == 0 && state != SERVICE_ABSENT)
        r = s->m->remove(s->o->system, err);
    if (r == 0 && service_env_file(s->o->system, &env_file, NULL) == 0) {
        CLEANUP_FREE char *dir = path_dir(env_file), *pem = path_join(dir, "authorities.pem");
        unlink(env_file);
        unlink(pem);
    }
    return r;
}

/* ---- the commands ---- */

static int do_install(struct service *s, struct error *err)
{
    enum service_state state = s->m->state(s->o->system);
    if (state != SERVICE_RUNNING) {
        js_free(s->env); /* of an earlier install: these options alone count */
        s->env = js_object();
        return install_and_start(s, err);
    }
    printf("Model Runner is already running (%s)\n", s->name);
    if (says_something(s->o))
        puts("To run it with these options: docker model reinstall-runner …");
    return 0;
}

static int do_reinstall(struct service *s, struct error *err)
{
    int r = check_options(s->o, err);
    if (r == 0)
        r = uninstall(s, err);
    if (r < 0)
        return r;
    js_free(s->env);
    s->env = js_object();
    return install_and_start(s, err);
}

static int do_start(struct service *s, struct error *err)
{
    enum service_state state = s->m->state(s->o->system);
    if (state == SERVICE_ABSENT)
        return install_and_start(s, err);
    if (state == SERVICE_RUNNING)
        return do_install(s, err);
    int r = says_something(s->o) ? install(s, err) : 0;
    return r == 0 ? start(s, "Started", err) : r;
}

static int do_restart(struct service *s, struct error *err)
{
    enum service_state state = s->m->state(s->o->system);
    if (state == SERVICE_ABSENT)
        return install_and_start(s, err);
    int r = says_something(s->o) ? install(s, err) : 0;
    if (r == 0 && state == SERVICE_RUNNING)
        r = stop(s, err);
    return r == 0 ? start(s, "Restarted", err) : r;
}

static int do_stop(struct service *s, struct error *err)
{
    if (s->m->state(s->o->system) != SERVICE_RUNNING) {
        if (answers(s))
            return error_set(err, ERR_CONFLICT,
                             "a runner answers, but it is not this service: end it where it was "
                             "started");
        puts("Model Runner is not running");
        return s->o->models ? remove_models(err) : 0;
    }
    int r = stop(s, err);
    if (r == 0)
        printf("Stopped %s.\n", s->name);
    return r;
}

static int do_uninstall(struct service *s, struct error *err)
{
    if (s->o->backend)
        return error_set(err, ERR_UNSUPPORTED,
                         "there is no backend '%s' to uninstall: the built-in engine belongs to "
                         "the runner, and llama-server to whoever installed it",
                         s->o->backend);
    bool absent = s->m->state(s->o->system) == SERVICE_ABSENT;
    int r = uninstall(s, err);
    if (r == 0 && absent)
        puts("Model Runner is not installed as a service");
    else if (r == 0)
        printf("Uninstalled %s.\n", s->name);
    return r;
}

static int run(const char *command, int argc, char **argv,
               int (*verb)(struct service *, struct error *), const char *what)
{
    struct service_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse(command, argc, argv, &o, &args, &exit_code))
        return exit_code;
    struct error err = ERROR_INIT;
    CLEANUP(service_release) struct service s = {0};
    int r = open_service(&o, &s, &err);
    if (r == 0)
        r = verb(&s, &err);
    return r == 0 ? 0 : cli_fail_text("%s: %s", what, err.msg);
}

int cmd_install_runner(int argc, char **argv)
{
    return run("install-runner", argc, argv, do_install, "Failed to install the runner");
}

int cmd_reinstall_runner(int argc, char **argv)
{
    return run("reinstall-runner", argc, argv, do_reinstall, "Failed to install the runner");
}

int cmd_start_runner(int argc, char **argv)
{
    return run("start-runner", argc, argv, do_start, "Failed to start the runner");
}

int cmd_restart_runner(int argc, char **argv)
{
    return run("restart-runner", argc, argv, do_restart, "Failed to start the runner");
}

int cmd_stop_runner(int argc, char **argv)
{
    return run("stop-runner", argc, argv, do_stop, "Failed to stop the runner");
}

int cmd_uninstall_runner(int argc, char **argv)
{
    return run("uninstall-runner", argc, argv, do_uninstall, "Failed to uninstall the runner");
}

int cmd_service_unit(int argc, char **argv)
{
    struct service_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("service-unit", argc, argv, &o, &args, &exit_code))
        return exit_code;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *found = NULL;
    if (!o.program && program_find("model-runner", &found, &err) < 0)
        return cli_fail(NULL, &err);
    CLEANUP_FREE char *text = service_unit_text(o.system, o.program ? o.program : found);
    fputs(text, stdout);
    return 0;
}
