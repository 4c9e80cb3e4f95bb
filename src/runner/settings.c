/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings, see settings.h. */
#include "runner/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/str.h"

#define SECOND_NS INT64_C(1000000000)

enum {
    DEFAULT_PORT = 12434,
    DEFAULT_TLS_PORT = 12444,
    MAX_MODELS = 64,
    MAX_PULLS = 64,
    DEFAULT_PULLS = 2,
    MAX_BODY_MIB = 4096,
    MAX_MEMORY_MIB = 1 << 24,
    MAX_REQUESTS_MIB = 4096,
    DEFAULT_REQUESTS_MIB = 8,
    DEFAULT_BODY_MIB = 64,
};

#define AT(member) offsetof(struct serve_options, member)
const struct opt serve_opts[] = {
    {"socket", 's', OPT_STRING, AT(socket), "PATH",
     "listen on this Unix socket instead of the one in the user's runtime directory",
     .env = "MODEL_RUNNER_SOCK"},
    {"no-socket", 0, OPT_FLAG, AT(no_socket), .help = "do not listen on a Unix socket"},
    {"socket-group", 0, OPT_STRING, AT(socket_group), "GROUP",
     "let this group use the sockets, too (mode 0660)", .env = "MODEL_RUNNER_SOCKET_GROUP"},
    {"docker-socket", 0, OPT_STRING, AT(docker_socket), "PATH",
     "stand in front of the Docker engine: serve models and pass everything else on to it, on this "
     "socket (default: docker.sock beside the runner's own)",
     .env = "MODEL_RUNNER_DOCKER_SOCKET", .bare = ""},
    {"docker-engine", 0, OPT_STRING, AT(docker_engine), "PATH",
     "the Docker engine's own socket (default /var/run/docker.sock)",
     .env = "MODEL_RUNNER_DOCKER_ENGINE"},
    {"tcp", 0, OPT_FLAG, AT(tcp), .help = "listen on TCP too, on 127.0.0.1:12434"},
    {"host", 0, OPT_STRING, AT(host), "HOST", "listen on TCP too, on this address",
     .env = "MODEL_RUNNER_LISTEN"},
    {"port", 'p', OPT_INT, AT(port), "N", "listen on TCP too, on this port",
     .env = "MODEL_RUNNER_PORT", .min = 0, .max = 65535},
    {"tls", 0, OPT_FLAG, AT(tls),
     .help = "listen with TLS too, on port 12444; without --tls-cert with a certificate that signs "
             "itself",
     .env = "MODEL_RUNNER_TLS_ENABLED"},
    {"tls-port", 0, OPT_INT, AT(tls_port), "N", "listen with TLS too, on this port",
     .env = "MODEL_RUNNER_TLS_PORT", .min = 0, .max = 65535},
    {"tls-cert", 0, OPT_STRING, AT(tls_cert), "FILE", "the certificate (PEM) for TLS",
     .env = "MODEL_RUNNER_TLS_CERT"},
    {"tls-key", 0, OPT_STRING, AT(tls_key), "FILE", "its private key (PEM)",
     .env = "MODEL_RUNNER_TLS_KEY"},
    {"containers", 0, OPT_STRING, AT(containers), "ADDRESS",
     "listen for containers too, on port 80 of Docker's bridge or of this address",
     .env = "MODEL_RUNNER_CONTAINERS", .bare = ""},
    {"tokens", 0, OPT_STRING, AT(tokens), "FILE",
     "the access tokens (default: tokens.json in ~/.docker/model-runner)", .env = TOKENS_ENV},
    {"settings-file", 0, OPT_STRING, AT(settings_file), "FILE",
     "keeps what is configured for models (default: settings.json in ~/.docker/model-runner)",
     .env = "MODEL_RUNNER_SETTINGS_FILE"},
    {"require-token", 0, OPT_FLAG, AT(require_token),
     .help = "ask for a token on loopback addresses, too", .env = "MODEL_RUNNER_REQUIRE_TOKEN"},
    {"no-token", 0, OPT_FLAG, AT(no_token),
     .help = "ask for no token, even where others than this machine can connect; such requests may "
             "use models on the bridge and do everything elsewhere",
     .env = "MODEL_RUNNER_NO_TOKEN"},
    {"models-path", 0, OPT_STRING, AT(models_path), "DIR",
     "the model store (default ~/.docker/models)", .env = "MODELS_PATH"},
    {"engine", 0, OPT_STRING, AT(engine), "FILE",
     "the model-engine to run (default: beside this program, then in PATH)",
     .env = "MODEL_ENGINE_PATH"},
    {"backend", 0, OPT_STRING, AT(backend), "NAME",
     "the engine for all models that have none configured: native (model-engine), llama.cpp, or "
     "auto: model-engine, and llama.cpp for what that does not know (default auto)",
     .env = "MODEL_RUNNER_BACKEND"},
    {"llama-server", 0, OPT_STRING, AT(llama_server), "PATH",
     "llama.cpp's llama-server, or its directory (default: in PATH and where Homebrew and "
     "distributions put it)",
     .env = "LLAMA_SERVER_PATH"},
    {"idle-timeout", 0, OPT_DURATION, AT(idle_timeout_ns), "DURATION",
     "unload a model that was idle for so long; -1 = never (default 5m)",
     .env = "MODEL_RUNNER_IDLE_TIMEOUT"},
    {"load-timeout", 0, OPT_DURATION, AT(load_timeout_ns), "DURATION",
     "give up loading a model after so long (default 10m)", .env = "MODEL_RUNNER_LOAD_TIMEOUT"},
    {"wait-timeout", 0, OPT_DURATION, AT(wait_timeout_ns), "DURATION",
     "how long a request waits for another model to make room (default 5m)",
     .env = "MODEL_RUNNER_WAIT_TIMEOUT"},
    {"max-models", 0, OPT_INT, AT(max_models), "N",
     "how many models are loaded at most (default: one a CPU, 8 at most)",
     .env = "MODEL_RUNNER_MAX_MODELS", .min = 1, .max = MAX_MODELS},
    {"max-pulls", 0, OPT_INT, AT(max_pulls), "N",
     "how many models are pulled at a time, others wait (default 2)",
     .env = "MODEL_RUNNER_MAX_PULLS", .min = 1, .max = MAX_PULLS},
    {"max-memory", 0, OPT_INT, AT(max_memory_mib), "MIB",
     "how much memory all loaded models take together (default: what the machine has)",
     .env = "MODEL_RUNNER_MAX_MEMORY", .min = 1, .max = MAX_MEMORY_MIB},
    {"max-body", 0, OPT_INT, AT(max_body_mib), "MIB",
     "how large the body of an inference request may be (default 64)",
     .env = "MODEL_RUNNER_MAX_BODY", .min = 1, .max = MAX_BODY_MIB},
    {"requests", 0, OPT_STRING, AT(requests), "MODE",
     "what `docker model requests` may show: on, redacted (no texts) or off (default on)",
     .env = "MODEL_RUNNER_REQUESTS"},
    {"requests-memory", 0, OPT_INT, AT(requests_mib), "MIB",
     "how much memory the requests that it shows take at most (default 8)",
     .env = "MODEL_RUNNER_REQUESTS_MEMORY", .min = 1, .max = MAX_REQUESTS_MIB},
    {"origins", 0, OPT_STRING, AT(origins), "LIST",
     "web origins that may use the API besides those of this machine, comma-separated; * = all",
     .env = "DMR_ORIGINS"},
    {"allowed-hosts", 0, OPT_STRING, AT(allowed_hosts), "LIST",
     "further names by which clients may address this daemon over TCP; * = all",
     .env = "MODEL_RUNNER_ALLOWED_HOSTS"},
    {"log-level", 'l', OPT_STRING, AT(log_level), "LEVEL", "debug, info, warn or error",
     .env = "LOG_LEVEL"},
    OPT_END,
};

/* The variable without the spaces and quotes that env files leave around values; NULL if it is
 * empty or not set. The text lives in `space`. */
static const char *variable(const char *name, char *space, size_t size)
{
    const char *value = getenv(name);
    if (!value)
        return NULL;
    struct str s = str_trim(str_from(value));
    while (s.len > 0 && (s.ptr[0] == '"' || s.ptr[0] == '\''))
        s = str_sub(s, 1, SIZE_MAX);
    while (s.len > 0 && (s.ptr[s.len - 1] == '"' || s.ptr[s.len - 1] == '\''))
        s = str_sub(s, 0, s.len - 1);
    if (s.len == 0 || s.len >= size)
        return NULL;
    memcpy(space, s.ptr, s.len);
    space[s.len] = '\0';
    return space;
}

static const char *text_setting(const char *option, const char *name)
{
    if (option && *option)
        return option;
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static int number_setting(int64_t option, const char *name, int64_t min, int64_t max,
                          int64_t fallback, int64_t *ret, struct error *err)
{
    char space[64];
    *ret = option ? option : fallback;
    const char *value = option ? NULL : variable(name, space, sizeof(space));
    if (!value)
        return 0;
    int64_t n;
    if (str_to_i64(str_from(value), name, &n, NULL) < 0 || n < min || n > max)
        return error_set(err, ERR_INVALID, "%s is '%s': it must be a number from %lld to %lld",
                         name, value, (long long)min, (long long)max);
    *ret = n;
    return 0;
}

static int duration_setting(int64_t option, const char *name, int64_t fallback, int64_t *ret,
                            struct error *err)
{
    char space[64];
    *ret = option != INT64_MIN ? option : fallback;
    const char *value = option != INT64_MIN ? NULL : variable(name, space, sizeof(space));
    if (!value)
        return 0;
    if (duration_parse(str_from(value), ret, NULL) < 0)
        return error_set(err, ERR_INVALID, "%s is '%s': it must be a duration such as 5m", name,
                         value);
    return 0;
}

static bool flag_setting(bool option, const char *name)
{
    char space[16];
    return option || str_is_true(str_from(variable(name, space, sizeof(space))));
}

/* A file of the daemon's own: what is given, or `name` in its default place; the caller frees. */
static int state_file(const char *given, const char *name, char **ret, struct error *err)
{
    if (!given)
        return path_runner_state(name, ret, err);
    *ret = path_absolute(given);
    return 0;
}

int settings_token_file(const char *option, char **ret, struct error *err)
{
    return state_file(text_setting(option, TOKENS_ENV), "tokens.json", ret, err);
}

/* TLS, the containers' address, and who needs a token. */
static int door_settings(const struct serve_options *o, struct settings *s, struct error *err)
{
    int64_t port = 0;
    int r = number_setting(o->tls_port, "MODEL_RUNNER_TLS_PORT", 1, 65535, 0, &port, err);
    if (r == 0)
        r = settings_token_file(o->tokens, &s->token_file, err);
    if (r == 0)
        r = state_file(text_setting(o->settings_file, "MODEL_RUNNER_SETTINGS_FILE"),
                       "settings.json", &s->settings_file, err);
    if (r < 0)
        return r;
    s->tls = flag_setting(o->tls, "MODEL_RUNNER_TLS_ENABLED") || o->tls_port > 0;
    s->tls_port = (uint16_t)(port > 0 ? port : DEFAULT_TLS_PORT);
    s->tls_cert = text_setting(o->tls_cert, "MODEL_RUNNER_TLS_CERT");
    s->tls_key = text_setting(o->tls_key, "MODEL_RUNNER_TLS_KEY");
    if (!s->tls_cert != !s->tls_key)
        return error_set(err, ERR_INVALID, "TLS needs both a certificate and its key");
    s->containers_host = o->containers ? o->containers : getenv("MODEL_RUNNER_CONTAINERS");
    s->containers = o->containers || (s->containers_host && *s->containers_host);
    if (s->containers_host &&
        (!*s->containers_host || strcmp(s->containers_host, "bridge") == 0))
        s->containers_host = NULL;
    s->require_token = flag_setting(o->require_token, "MODEL_RUNNER_REQUIRE_TOKEN");
    s->no_token = flag_setting(o->no_token, "MODEL_RUNNER_NO_TOKEN");
    if (s->require_token && s->no_token)
        return error_set(err, ERR_INVALID, "--require-token and --no-token exclude each other");
    return 0;
}

static int engine_setting(const struct serve_options *o, struct settings *s, struct error *err)
{
    const char *name = text_setting(o->backend, "MODEL_RUNNER_BACKEND");
    if (!name || strcmp(name, "auto") == 0)
        return 0;
    s->engine = engine_by_name(str_from(name));
    return s->engine ? 0
                     : error_set(err, ERR_INVALID, "--backend must be auto, %s or %s, not '%s'",
                                 engine_native.name, engine_llamacpp.name, name);
}

/* A Unix socket unless it is switched off, and TCP when any setting of it is given. */
static int listen_settings(const struct serve_options *o, struct settings *s, struct error *err)
{
    int64_t port = 0;
    int r = number_setting(o->port, "MODEL_RUNNER_PORT", 1, 65535, 0, &port, err);
    if (r < 0)
        return r;
    const char *host = text_setting(o->host, "MODEL_RUNNER_LISTEN");
    s->tcp = o->tcp || host || port > 0;
    s->host = host ? host : "127.0.0.1";
    s->port = (uint16_t)(port > 0 ? port : DEFAULT_PORT);
    s->socket = "";
    if (o->no_socket) {
        if (!s->tcp && !o->tls && !o->docker_socket && !o->containers)
            return error_set(err, ERR_INVALID, "--no-socket needs --tcp, --host or --port");
        return 0;
    }
    s->socket = text_setting(o->socket, "MODEL_RUNNER_SOCK");
    if (s->socket)
        return 0;
    s->socket_is_default = true;
    r = path_default_socket(&s->default_socket, err);
    s->socket = s->default_socket;
    return r;
}

/* Does the path name the same file as the other, or would it? */
static bool is_same_path(const char *a, const char *b)
{
    struct stat sa, sb;
    if (stat(a, &sa) == 0 && stat(b, &sb) == 0)
        return sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
    return strcmp(a, b) == 0;
}

/* The socket in front of the Docker engine, when it is asked for. */
static int docker_settings(const struct serve_options *o, struct settings *s, struct error *err)
{
    s->docker_engine = text_setting(o->docker_engine, "MODEL_RUNNER_DOCKER_ENGINE");
    if (!s->docker_engine)
        s->docker_engine = "/var/run/docker.sock";
    if (strncmp(s->docker_engine, "unix://", 7) == 0)
        s->docker_engine += 7;
    s->docker_socket = o->docker_socket ? o->docker_socket : getenv("MODEL_RUNNER_DOCKER_SOCKET");
    if (!s->docker_socket || (!o->docker_socket && !*s->docker_socket)) {
        s->docker_socket = NULL;
        return 0;
    }
    if (!*s->docker_socket || strcmp(s->docker_socket, "default") == 0) {
        CLEANUP_FREE char *dir = NULL;
        int r = path_runtime_dir(&dir, err);
        if (r < 0)
            return r;
        s->docker_socket_is_default = true;
        s->default_docker_socket = path_join(dir, "docker.sock");
        s->docker_socket = s->default_docker_socket;
    }
    if (is_same_path(s->docker_socket, s->docker_engine))
        return error_set(err, ERR_INVALID,
                         "'%s' is the Docker engine's own socket: let the engine listen elsewhere "
                         "and name that place with --docker-engine, or choose another path for "
                         "--docker-socket",
                         s->docker_socket);
    return 0;
}

/* The directory of the default sockets is for this user alone. */
static int group_settings(const struct serve_options *o, struct settings *s, struct error *err)
{
    s->socket_group = text_setting(o->socket_group, "MODEL_RUNNER_SOCKET_GROUP");
    if (s->socket_group && (s->socket_is_default || s->docker_socket_is_default))
        return error_set(err, ERR_INVALID,
                         "a group cannot reach a socket in this user's private directory: give a "
                         "path with --%ssocket",
                         s->socket_is_default ? "" : "docker-");
    return 0;
}

static int limits(const struct serve_options *o, struct settings *s, struct error *err)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    int64_t models = 0, pulls = 0, body_mib = 0, memory_mib = 0, requests_mib = 0;
    int r = number_setting(o->max_models, "MODEL_RUNNER_MAX_MODELS", 1, MAX_MODELS,
                           cpus < 1 ? 1 : MIN(cpus, 8), &models, err);
    if (r == 0)
        r = number_setting(o->max_pulls, "MODEL_RUNNER_MAX_PULLS", 1, MAX_PULLS, DEFAULT_PULLS,
                           &pulls, err);
    if (r == 0)
        r = number_setting(o->max_body_mib, "MODEL_RUNNER_MAX_BODY", 1, MAX_BODY_MIB,
                           DEFAULT_BODY_MIB, &body_mib, err);
    if (r == 0)
        r = number_setting(o->max_memory_mib, "MODEL_RUNNER_MAX_MEMORY", 1, MAX_MEMORY_MIB, 0,
                           &memory_mib, err);
    if (r == 0)
        r = number_setting(o->requests_mib, "MODEL_RUNNER_REQUESTS_MEMORY", 1, MAX_REQUESTS_MIB,
                           DEFAULT_REQUESTS_MIB, &requests_mib, err);
    const char *requests = text_setting(o->requests, "MODEL_RUNNER_REQUESTS");
    if (r == 0 && requests)
        r = journal_mode_parse(str_from(requests), &s->journal_mode, err);
    if (r == 0)
        r = duration_setting(o->idle_timeout_ns, "MODEL_RUNNER_IDLE_TIMEOUT", 300 * SECOND_NS,
                             &s->idle_timeout_ns, err);
    if (r == 0)
        r = duration_setting(o->load_timeout_ns, "MODEL_RUNNER_LOAD_TIMEOUT", 600 * SECOND_NS,
                             &s->load_timeout_ns, err);
    if (r == 0)
        r = duration_setting(o->wait_timeout_ns, "MODEL_RUNNER_WAIT_TIMEOUT", 300 * SECOND_NS,
                             &s->wait_timeout_ns, err);
    if (r < 0)
        return r;
    if (s->load_timeout_ns <= 0 || s->wait_timeout_ns < 0)
        return error_set(err, ERR_INVALID, "the load and wait timeouts must be positive");
    s->max_models = (unsigned)models;
    s->journal_bytes = (uint64_t)requests_mib << 20;
    s->max_memory_bytes = (uint64_t)memory_mib << 20;
    s->max_pulls = (unsigned)pulls;
    s->max_body_bytes = (uint64_t)body_mib << 20;
    return 0;
}

static bool is_given(const struct opt *o, const struct serve_options *given)
{
    static const struct serve_options none = SERVE_OPTIONS_INIT;
    static const size_t sizes[] = {
        [OPT_FLAG] = sizeof(bool),       [OPT_STRING] = sizeof(char *), [OPT_INT] = sizeof(int64_t),
        [OPT_REAL] = sizeof(double),     [OPT_DURATION] = sizeof(int64_t),
    };
    return memcmp((const char *)given + o->offset, (const char *)&none + o->offset,
                  sizes[o->type]) != 0;
}

const char *settings_source(const struct settings *s, const char *option)
{
    char space[4096];
    for (const struct opt *o = serve_opts; o->name; o++) {
        if (strcmp(o->name, option) != 0)
            continue;
        if (is_given(o, &s->given))
            return "daemon option";
        if (o->env && variable(o->env, space, sizeof(space)))
            return o->env;
    }
    return "default";
}

int settings_load(const struct serve_options *o, struct settings *ret, struct error *err)
{
    char space[64];
    struct settings s = {.given = *o};
    const char *level = o->log_level ? o->log_level : variable("LOG_LEVEL", space, sizeof(space));
    int r = log_level_parse(level, &s.log_level, err);
    if (r == 0)
        r = limits(o, &s, err);
    if (r == 0)
        r = listen_settings(o, &s, err);
    if (r == 0)
        r = docker_settings(o, &s, err);
    if (r == 0)
        r = door_settings(o, &s, err);
    if (r == 0)
        r = group_settings(o, &s, err);
    if (r == 0)
        r = engine_setting(o, &s, err);
    if (r < 0) {
        settings_release(&s);
        return r;
    }
    s.models_path = o->models_path;
    s.places.model_engine = text_setting(o->engine, "MODEL_ENGINE_PATH");
    s.places.llama_server = text_setting(o->llama_server, "LLAMA_SERVER_PATH");
    s.origins = text_setting(o->origins, "DMR_ORIGINS");
    s.allowed_hosts = text_setting(o->allowed_hosts, "MODEL_RUNNER_ALLOWED_HOSTS");
    *ret = s;
    return 0;
}

void settings_release(struct settings *s)
{
    free(s->default_socket);
    free(s->default_docker_socket);
    free(s->token_file);
    free(s->settings_file);
    *s = (struct settings){0};
}
