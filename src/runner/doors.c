/* SPDX-License-Identifier: Apache-2.0
 *
 * The daemon's listeners, see doors.h. */
#include "runner/doors.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/certificate.h"
#include "base/file.h"
#include "base/log.h"
#include "base/paths.h"
#include "door/door.h"
#include "http/address.h"
#include "http/server.h"
#include "runner/access.h"
#include "runner/routes.h"

#define CONTAINERS_NAME "model-runner.docker.internal"

enum {
    CONTAINERS_PORT = 80,
    CERTIFICATE_DAYS = 365,
    CERTIFICATE_RENEW_DAYS = 30,
    MAX_PEM = 1 << 20,
};

struct doors {
    const struct settings *settings;
    pthread_mutex_t opening; /* held until all are open: the first may be asked about the last */
    struct tokens *tokens;
    struct entrance local, tcp, containers;
    struct http_server *unix_server, *tcp_server, *tls_server, *containers_server;
    struct http_server *door_server; /* answers what comes through the door */
    struct door *docker;
    char fingerprint[FINGERPRINT_TEXT];
    char containers_host[ADDRESS_TEXT_MAX];
};

/* ---- Unix sockets ---- */

/* How a socket of ours is made; those at default places lie in a directory of this user. */
static int unix_listen(struct doors *d, const char *path, bool is_default, struct http_listen *ret,
                       struct error *err)
{
    const char *group = d->settings->socket_group;
    *ret = (struct http_listen){
        .unix_path = path, .unix_group = group, .unix_mode = group ? 0660 : 0600};
    if (!is_default)
        return 0;
    CLEANUP_FREE char *dir = path_dir(path);
    return dir_make_private(dir, err);
}

static int open_unix(struct doors *d, struct error *err)
{
    const struct settings *s = d->settings;
    struct http_server_options o = {.handler = routes_handle, .ctx = &d->local};
    int r = unix_listen(d, s->socket, s->socket_is_default, &o.listen, err);
    if (r == 0)
        r = http_server_start(&o, &d->unix_server, err);
    if (r == 0)
        log_info("listening on unix://%s", s->socket);
    return r;
}

static int open_docker(struct doors *d, struct error *err)
{
    const struct settings *s = d->settings;
    const struct http_server_options server = {
        .listen.nowhere = true, .handler = routes_handle, .ctx = &d->local};
    struct door_options door = {
        .behind = s->docker_engine, .behind_name = "the Docker engine", .is_ours = routes_own};
    int r = unix_listen(d, s->docker_socket, s->docker_socket_is_default, &door.listen, err);
    if (r == 0)
        r = http_server_start(&server, &d->door_server, err);
    door.ours = d->door_server;
    if (r == 0)
        r = door_open(&door, &d->docker, err);
    if (r == 0)
        log_info("listening on unix://%s in front of the Docker engine at unix://%s",
                 s->docker_socket, s->docker_engine);
    return r;
}

/* ---- certificates ---- */

static int read_pem(const char *path, struct buf *out, struct error *err)
{
    int r = file_read(path, out, err);
    return r < 0 ? error_wrap(err, "TLS") : r;
}

/* Makes a certificate that signs itself, where there is none that will last for a while. ca.crt is
 * where the command line looks for whom to trust. */
static int own_certificate(const char *host, char **ret_cert, char **ret_key, struct error *err)
{
    CLEANUP_FREE char *config = NULL;
    int r = path_docker_config(&config, err);
    if (r < 0)
        return r;
    CLEANUP_FREE char *ours = path_join(config, "model-runner");
    CLEANUP_FREE char *dir = path_join(ours, "certs");
    CLEANUP_FREE char *cert = path_join(dir, "server.crt"), *key = path_join(dir, "server.key");
    CLEANUP_FREE char *ca = path_join(dir, "ca.crt");
    CLEANUP_BUF struct buf cert_text = BUF_INIT(MAX_PEM), key_text = BUF_INIT(MAX_PEM);
    char fingerprint[FINGERPRINT_TEXT];
    int days = -1;
    if (!file_exists(key) || file_read(cert, &cert_text, NULL) < 0 ||
        certificate_look(buf_str(&cert_text), fingerprint, &days, NULL) < 0 ||
        days < CERTIFICATE_RENEW_DAYS) {
        const char *const names[] = {"localhost",           "127.0.0.1", "::1", CONTAINERS_NAME,
                                     "docker-model-runner", host,        NULL};
        buf_clear(&cert_text);
        r = dir_make_private(dir, err);
        if (r == 0)
            r = certificate_make(names, CERTIFICATE_DAYS, &cert_text, &key_text, err);
        if (r == 0)
            r = file_write_atomic(key, buf_str(&key_text), 0600, err);
        if (r == 0)
            r = file_write_atomic(cert, buf_str(&cert_text), 0644, err);
        if (r == 0)
            r = file_write_atomic(ca, buf_str(&cert_text), 0644, err);
    }
    if (r == 0) {
        *ret_cert = TAKE(cert);
        *ret_key = TAKE(key);
    }
    buf_release(&key_text);
    return r;
}

/* ---- TCP ---- */

/* Others than this machine can connect there, so somebody must have said who may. */
static int check_tokens(const struct doors *d, const char *host, struct error *err)
{
    CLEANUP_JSON struct json *list = NULL;
    int r = tokens_read(d->settings->token_file, &list, err);
    if (r < 0 || js_len(list) > 0)
        return r;
    return error_set(err, ERR_DENIED,
                     "others could connect to %s, and there is no access token: make one with "
                     "'model-runner token create NAME', or let everybody in with --no-token",
                     host);
}

static int tcp_entrance(struct doors *d, struct error *err)
{
    const struct settings *s = d->settings;
    bool open = !address_is_loopback_only(s->host);
    d->tcp.needs_token = !s->no_token && (open || s->require_token);
    return d->tcp.needs_token ? check_tokens(d, s->host, err) : 0;
}

static int open_tcp(struct doors *d, struct error *err)
{
    const struct settings *s = d->settings;
    const struct http_server_options o = {
        .listen = {.host = s->host, .port = s->port}, .handler = routes_handle, .ctx = &d->tcp};
    int r = http_server_start(&o, &d->tcp_server, err);
    if (r == 0)
        log_info("listening on http://%s:%u", s->host, (unsigned)http_server_port(d->tcp_server));
    return r;
}

static int open_tls(struct doors *d, struct error *err)
{
    const struct settings *s = d->settings;
    CLEANUP_FREE char *cert = NULL, *key = NULL;
    CLEANUP_BUF struct buf cert_text = BUF_INIT(MAX_PEM), key_text = BUF_INIT(MAX_PEM);
    int days = 0;
    int r = 0;
    if (!s->tls_cert)
        r = own_certificate(s->host, &cert, &key, err);
    if (r == 0)
        r = read_pem(s->tls_cert ? s->tls_cert : cert, &cert_text, err);
    if (r == 0)
        r = read_pem(s->tls_key ? s->tls_key : key, &key_text, err);
    if (r == 0) {
        r = certificate_look(buf_str(&cert_text), d->fingerprint, &days, err);
        if (r < 0)
            error_wrap(err, "TLS: '%s'", s->tls_cert ? s->tls_cert : cert);
    }
    if (r < 0)
        return r;
    if (days < 0)
        log_warn("the certificate for TLS has run out");
    const struct http_server_options o = {.listen = {.host = s->host, .port = s->tls_port},
                                          .handler = routes_handle,
                                          .ctx = &d->tcp,
                                          .tls_cert = buf_cstr(&cert_text),
                                          .tls_key = buf_cstr(&key_text)};
    r = http_server_start(&o, &d->tls_server, err);
    if (r == 0)
        log_info("listening on https://%s:%u, certificate SHA-256 %s", s->host,
                 (unsigned)http_server_port(d->tls_server), d->fingerprint);
    return r;
}

static int open_containers(struct doors *d, struct error *err)
{
    const struct settings *s = d->settings;
    if (s->containers_host)
        snprintf(d->containers_host, sizeof(d->containers_host), "%s", s->containers_host);
    else if (!address_of_interface("docker0", d->containers_host))
        return error_set(err, ERR_NOT_FOUND,
                         "there is no network interface docker0: start Docker first, or give the "
                         "address of a bridge with --containers=ADDRESS");
    d->containers.needs_token = !s->no_token;
    d->containers.without_inference_only = true;
    int r = s->no_token ? 0 : check_tokens(d, d->containers_host, err);
    if (r < 0)
        return r;
    struct http_server_options o = {.listen = {.host = d->containers_host, .port = CONTAINERS_PORT},
                                    .handler = routes_handle,
                                    .ctx = &d->containers};
    r = http_server_start(&o, &d->containers_server, err);
    if (r == -(int)ERR_DENIED) {
        log_warn("%s; containers are served on port %u instead", err->msg, (unsigned)s->port);
        o.listen.port = s->port;
        r = http_server_start(&o, &d->containers_server, err);
    }
    if (r == 0)
        log_info("listening for containers on http://%s:%u", d->containers_host,
                 (unsigned)http_server_port(d->containers_server));
    return r;
}

/* ---- all of them ---- */

static int open_all(struct doors *d, struct error *err)
{
    const struct settings *s = d->settings;
    int r = 0;
    if (s->tcp || s->tls)
        r = tcp_entrance(d, err);
    if (r == 0 && s->docker_socket)
        r = open_docker(d, err);
    if (r == 0 && s->tcp)
        r = open_tcp(d, err);
    if (r == 0 && s->tls)
        r = open_tls(d, err);
    if (r == 0 && s->containers)
        r = open_containers(d, err);
    if (r < 0 || !*s->socket)
        return r;
    r = open_unix(d, err);
    if (r < 0 && s->socket_is_default && s->tcp) {
        log_warn("no Unix socket: %s", err->msg);
        return 0;
    }
    return r;
}

int doors_open(struct daemon *daemon, struct doors **ret, struct error *err)
{
    struct doors *d = xcalloc(1, sizeof(*d));
    d->settings = daemon->settings;
    d->tokens = tokens_open(daemon->settings->token_file);
    d->local = (struct entrance){.daemon = daemon};
    d->tcp = d->containers = (struct entrance){.daemon = daemon, .tokens = d->tokens};
    pthread_mutex_init(&d->opening, NULL);
    pthread_mutex_lock(&d->opening);
    *ret = d;
    int r = open_all(d, err);
    pthread_mutex_unlock(&d->opening);
    if (r < 0) {
        doors_close(d);
        *ret = NULL;
    }
    return r;
}

void doors_close(struct doors *d)
{
    if (!d)
        return;
    door_close(d->docker);
    http_server_stop(d->door_server);
    http_server_stop(d->unix_server);
    http_server_stop(d->tcp_server);
    http_server_stop(d->tls_server);
    http_server_stop(d->containers_server);
    tokens_close(d->tokens);
    pthread_mutex_destroy(&d->opening);
    free(d);
}

static struct json *describe_tcp(const char *scheme, const char *host, const struct http_server *s,
                                 const struct entrance *e)
{
    struct json *v = js_object();
    bool v6 = strchr(host, ':') != NULL;
    CLEANUP_FREE char *url = xasprintf("%s://%s%s%s:%u", scheme, v6 ? "[" : "", host, v6 ? "]" : "",
                                       (unsigned)http_server_port(s));
    js_set_cstr(v, "url", url);
    js_set_bool(v, "token", e->needs_token);
    return v;
}

struct json *doors_describe(struct doors *d)
{
    const struct settings *s = d->settings;
    struct json *v = js_object();
    pthread_mutex_lock(&d->opening);
    if (d->unix_server)
        js_set_cstr(v, "socket", s->socket);
    if (d->docker)
        js_set_cstr(v, "dockerSocket", s->docker_socket);
    if (d->tcp_server)
        js_set(v, "tcp", describe_tcp("http", s->host, d->tcp_server, &d->tcp));
    if (d->tls_server) {
        struct json *tls = describe_tcp("https", s->host, d->tls_server, &d->tcp);
        js_set_cstr(tls, "fingerprint", d->fingerprint);
        js_set(v, "tls", tls);
    }
    if (d->containers_server) {
        uint16_t port = http_server_port(d->containers_server);
        struct json *c =
            describe_tcp("http", d->containers_host, d->containers_server, &d->containers);
        CLEANUP_FREE char *name = port == CONTAINERS_PORT
                                      ? xstrdup("http://" CONTAINERS_NAME)
                                      : xasprintf("http://" CONTAINERS_NAME ":%u", (unsigned)port);
        js_set_cstr(c, "address", d->containers_host);
        js_set_cstr(c, "name", name);
        js_set(v, "containers", c);
    }
    pthread_mutex_unlock(&d->opening);
    return v;
}
