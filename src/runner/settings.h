/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon's settings: built-in values, then the environment, then options. Strings are borrowed
 * from the environment and argv, which outlive everything, or owned where it says so. */
#ifndef RUNNER_SETTINGS_H
#define RUNNER_SETTINGS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/log.h"
#include "base/opt.h"
#include "engines/engine.h"
#include "runner/journal.h"

/* What `serve` parses; settings_load() turns it into settings. */
struct serve_options {
    const char *socket;
    bool no_socket;
    const char *socket_group;
    const char *docker_socket; /* "" = the default path */
    const char *docker_engine;
    bool tcp;
    const char *host;
    int64_t port;
    bool tls;
    int64_t tls_port;
    const char *tls_cert;
    const char *tls_key;
    const char *containers; /* "" = on Docker's bridge */
    const char *tokens;
    const char *settings_file;
    bool require_token;
    bool no_token;
    const char *models_path;
    const char *engine;
    const char *llama_server;
    const char *backend;
    const char *origins;
    const char *allowed_hosts;
    int64_t idle_timeout_ns;
    int64_t load_timeout_ns;
    int64_t wait_timeout_ns;
    int64_t max_models;
    int64_t max_pulls;
    int64_t max_body_mib;
    const char *requests;
    int64_t requests_mib;
    int64_t max_memory_mib;
    const char *log_level;
};

struct settings {
    const char *socket;        /* "" = none */
    bool socket_is_default;    /* nobody asked for it: failing to make it is no error beside TCP */
    char *default_socket;      /* owned */
    const char *socket_group;  /* may use the sockets, too; NULL = only this user */
    const char *docker_socket; /* where the Docker engine's clients are received; NULL = nowhere */
    bool docker_socket_is_default;
    char *default_docker_socket; /* owned */
    const char *docker_engine;   /* the engine's own socket */
    bool tcp;
    const char *host;
    uint16_t port;
    bool tls; /* on `host`, too */
    uint16_t tls_port;
    const char *tls_cert, *tls_key; /* files; NULL = made by ourselves */
    bool containers;                /* listen where the containers of this machine find us */
    const char *containers_host;    /* NULL = the address of Docker's bridge */
    char *token_file;               /* owned */
    char *settings_file;            /* owned; of the models; NULL = they are not kept */
    bool require_token;             /* on loopback, too */
    bool no_token;                  /* nowhere */
    const char *models_path;   /* NULL = the store's own rule */
    struct engine_places places;
    const struct engine *engine; /* for all models; NULL = as it fits */
    const char *origins;       /* comma list of web origins let in besides this machine's */
    const char *allowed_hosts; /* comma list of names in Host headers, likewise */
    int64_t idle_timeout_ns;   /* negative = never */
    int64_t load_timeout_ns;
    int64_t wait_timeout_ns;
    unsigned max_models;
    unsigned max_pulls;
    uint64_t max_body_bytes;
    enum journal_mode journal_mode;
    uint64_t journal_bytes;
    uint64_t max_memory_bytes; /* of all engines; 0 = what the machine has */
    enum log_level log_level;
    struct serve_options given; /* the options as they were given */
};

#define SERVE_OPTIONS_INIT   \
    ((struct serve_options){ \
        .idle_timeout_ns = INT64_MIN, .load_timeout_ns = INT64_MIN, .wait_timeout_ns = INT64_MIN})

extern const struct opt serve_opts[];

#define TOKENS_ENV "MODEL_RUNNER_TOKENS"

/* The token file: `option`, the environment, or its default place; the caller frees. */
int settings_token_file(const char *option, char **ret, struct error *err);

/* Where the value of the setting with this option comes from: "daemon option", the name of an
 * environment variable, or "default". Static. */
const char *settings_source(const struct settings *s, const char *option);

int settings_load(const struct serve_options *o, struct settings *ret, struct error *err);
void settings_release(struct settings *s);

#endif
