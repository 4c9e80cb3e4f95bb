/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding the runner, see daemon.h. */
#include "cli/daemon.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/str.h"
#include "cli/context_store.h"
#include "http/address.h"

void daemon_release(struct daemon *d)
{
    free(d->base_url);
    free(d->unix_path);
    free(d->ca_file);
    *d = (struct daemon){0};
}

const char *daemon_kind_name(const struct daemon *d)
{
    return d->kind == DAEMON_MANUAL ? "Docker Engine (Manual Install)" : "Docker Engine";
}

char *daemon_place(const struct daemon *d)
{
    return d->unix_path ? xasprintf("unix://%s", d->unix_path) : xstrdup(d->base_url);
}

char *daemon_container_url(const struct daemon *d)
{
    if (d->kind == DAEMON_MANUAL && !d->unix_path)
        return xstrdup(d->base_url);
    char bridge[ADDRESS_TEXT_MAX];
    bool found = address_of_interface("docker0", bridge);
    return xasprintf("http://%s:%d", found ? bridge : "host.docker.internal", DAEMON_PORT);
}

int daemon_parse_address(const char *address, bool tls, struct daemon *ret, struct error *err)
{
    struct str s = str_trim(str_from(address));
    if (str_starts_with(s, STR("unix://"))) {
        struct str path = str_sub(s, 7, s.len - 7);
        if (path.len == 0 || path.ptr[0] != '/')
            return error_set(err, ERR_INVALID,
                             "'%s' does not name a socket: use unix:///absolute/path", address);
        ret->unix_path = xasprintf("%.*s", STR_ARG(path));
        ret->base_url = xstrdup("http://localhost");
        return 0;
    }
    ptrdiff_t scheme = str_find(s, STR("://"));
    if (scheme >= 0 && !str_starts_with(s, STR("http://")) && !str_starts_with(s, STR("https://")))
        return error_set(err, ERR_UNSUPPORTED,
                         "'%s' has a scheme that is not known here: use http, https or unix",
                         address);
    struct str rest = scheme >= 0 ? str_sub(s, (size_t)scheme + 3, s.len) : s;
    if (rest.len == 0 || rest.ptr[0] == '/' || str_find_char(rest, ' ') >= 0)
        return error_set(err, ERR_INVALID, "'%s' is no address: use http://HOST:PORT", address);
    while (rest.len > 0 && rest.ptr[rest.len - 1] == '/')
        rest.len--;
    bool secure = tls || str_starts_with(s, STR("https://"));
    ret->base_url = xasprintf("%s://%.*s", secure ? "https" : "http", STR_ARG(rest));
    return 0;
}

/* Is somebody accepting connections there? */
static bool socket_alive(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(addr.sun_path))
        return false;
    memcpy(addr.sun_path, path, strlen(path));
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    /* EAGAIN: alive, with a full queue. */
    return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 || errno == EAGAIN;
}

struct tls_settings {
    bool on, skip_verify;
    char *ca_file;
};

static bool env_true(const char *name)
{
    const char *value = getenv(name);
    return value && strcmp(value, "true") == 0;
}

/* The environment beats what a context says. */
static int tls_from_env(struct tls_settings *tls, struct error *err)
{
    const char *on = getenv("MODEL_RUNNER_TLS");
    if (on && *on)
        tls->on = strcmp(on, "true") == 0;
    const char *skip = getenv("MODEL_RUNNER_TLS_SKIP_VERIFY");
    if (skip && *skip)
        tls->skip_verify = env_true("MODEL_RUNNER_TLS_SKIP_VERIFY");
    const char *ca = getenv("MODEL_RUNNER_TLS_CA_CERT");
    if (ca && *ca) {
        free(tls->ca_file);
        tls->ca_file = xstrdup(ca);
    }
    if (!tls->on || tls->skip_verify)
        return 0;
    if (!tls->ca_file) {
        /* The runner's own authority, if it made one on this machine. */
        CLEANUP_FREE char *home = NULL;
        if (path_home(&home, NULL) == 0) {
            CLEANUP_FREE char *own = path_join(home, ".docker/model-runner/certs/ca.crt");
            if (access(own, R_OK) == 0)
                tls->ca_file = TAKE(own);
        }
    } else if (access(tls->ca_file, R_OK) != 0) {
        return error_errno(err, errno,
                           "unable to load TLS configuration: failed to read CA certificate: %s",
                           tls->ca_file);
    }
    return 0;
}

static int find(struct daemon *d, struct error *err)
{
    struct tls_settings tls = {0};
    CLEANUP_FREE char *address = NULL;
    const char *env = getenv("MODEL_RUNNER_HOST");
    if (env && *env) {
        address = xstrdup(env);
    } else {
        struct context_entry entry = {0};
        struct error why = ERROR_INIT;
        int found = context_store_active(&entry, &why);
        if (found < 0)
            fprintf(stderr, "Warning: %s\n", why.msg);
        if (found > 0) {
            address = TAKE(entry.host);
            tls.on = entry.tls;
            tls.skip_verify = entry.skip_verify;
            tls.ca_file = TAKE(entry.ca_cert);
        }
        context_entry_release(&entry);
    }
    tls.on = tls.on || (address && str_starts_with(str_from(address), STR("https://")));
    int r = tls_from_env(&tls, err);
    d->insecure = tls.skip_verify;
    d->ca_file = tls.ca_file;
    if (r < 0)
        return r;

    if (address) {
        d->kind = DAEMON_MANUAL;
        return daemon_parse_address(address, tls.on, d, err);
    }
    d->kind = DAEMON_ENGINE;
    CLEANUP_FREE char *path = NULL;
    if (!tls.on && path_default_socket(&path, NULL) == 0 && socket_alive(path)) {
        d->unix_path = TAKE(path);
        d->base_url = xstrdup("http://localhost");
        return 0;
    }
    d->base_url = tls.on ? xasprintf("https://localhost:%d", DAEMON_TLS_PORT)
                         : xasprintf("http://localhost:%d", DAEMON_PORT);
    return 0;
}

int daemon_find(const struct daemon **ret, struct error *err)
{
    static struct daemon cached;
    if (!cached.base_url) {
        struct daemon d = {0};
        int r = find(&d, err);
        if (r < 0) {
            daemon_release(&d);
            return r;
        }
        cached = d;
    }
    *ret = &cached;
    return 0;
}
