/* SPDX-License-Identifier: Apache-2.0
 *
 * Start and end of the daemon's parts. */
#include "runner/daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/log.h"
#include "base/paths.h"
#include "runner/response_store.h"
#include "runner/routes.h"

/* A socket's path has 107 characters; "/engines/engine-PID-N.sock" needs its share. */
enum { STOP_GRACE_MS = 5000, LONGEST_RUNTIME_DIR = 64 };

/* Downloads that nobody has gone on with for so long are given up. */
enum { LEFTOVER_AGE_S = 7 * 24 * 3600 };

/* Makes a directory that only this user can enter, or checks that it is one: whoever owns the
 * directory of a socket can put another socket in its place. */
static int make_private_dir(const char *path, struct error *err)
{
    CLEANUP_FREE char *parent = path_dir(path);
    int r = dir_make(parent, 0755, err);
    if (r < 0)
        return r;
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return error_errno(err, errno, "cannot make the directory '%s'", path);
    struct stat st;
    if (lstat(path, &st) != 0)
        return error_errno(err, errno, "cannot look at the directory '%s'", path);
    if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid())
        return error_set(err, ERR_DENIED, "'%s' is not a directory of this user", path);
    if ((st.st_mode & 0077) != 0 && chmod(path, 0700) != 0)
        return error_errno(err, errno, "cannot make the directory '%s' private", path);
    return 0;
}

/* How a socket of ours is made; those at default places lie in a directory of this user. */
static int unix_listen(struct daemon *d, const char *path, bool is_default, struct http_listen *ret,
                       struct error *err)
{
    const char *group = d->settings->socket_group;
    *ret = (struct http_listen){
        .unix_path = path, .unix_group = group, .unix_mode = group ? 0660 : 0600};
    if (!is_default)
        return 0;
    CLEANUP_FREE char *dir = path_dir(path);
    return make_private_dir(dir, err);
}

static int listen_unix(struct daemon *d, struct error *err)
{
    const struct settings *s = d->settings;
    struct http_server_options o = {.handler = routes_handle, .ctx = d};
    int r = unix_listen(d, s->socket, s->socket_is_default, &o.listen, err);
    if (r == 0)
        r = http_server_start(&o, &d->unix_server, err);
    if (r == 0)
        log_info("listening on unix://%s", s->socket);
    return r;
}

static int listen_tcp(struct daemon *d, struct error *err)
{
    const struct settings *s = d->settings;
    const struct http_server_options o = {
        .listen = {.host = s->host, .port = s->port}, .handler = routes_handle, .ctx = d};
    int r = http_server_start(&o, &d->tcp_server, err);
    if (r == 0)
        log_info("listening on http://%s:%u", s->host, (unsigned)http_server_port(d->tcp_server));
    return r;
}

static int open_docker_door(struct daemon *d, struct error *err)
{
    const struct settings *s = d->settings;
    const struct http_server_options server = {
        .listen.nowhere = true, .handler = routes_handle, .ctx = d};
    struct door_options door = {
        .behind = s->docker_engine, .behind_name = "the Docker engine", .is_ours = routes_own};
    int r = unix_listen(d, s->docker_socket, s->docker_socket_is_default, &door.listen, err);
    if (r == 0)
        r = http_server_start(&server, &d->door_server, err);
    door.ours = d->door_server;
    if (r == 0)
        r = door_open(&door, &d->docker_door, err);
    if (r == 0)
        log_info("listening on unix://%s in front of the Docker engine at unix://%s",
                 s->docker_socket, s->docker_engine);
    return r;
}

static int listen_all(struct daemon *d, struct error *err)
{
    const struct settings *s = d->settings;
    if (s->docker_socket) {
        int r = open_docker_door(d, err);
        if (r < 0)
            return r;
    }
    if (s->tcp) {
        int r = listen_tcp(d, err);
        if (r < 0)
            return r;
    }
    if (!*s->socket)
        return 0;
    int r = listen_unix(d, err);
    if (r < 0 && s->socket_is_default && s->tcp) {
        log_warn("no Unix socket: %s", err->msg);
        return 0;
    }
    return r;
}

/* The engines' sockets lie beside ours in a directory of their own, so that two daemons of one user
 * do not meet there either. */
static int make_engine_dir(struct daemon *d, struct error *err)
{
    CLEANUP_FREE char *runtime = NULL;
    int r = path_runtime_dir(&runtime, err);
    if (r == 0 && strlen(runtime) > LONGEST_RUNTIME_DIR)
        r = error_set(err, ERR_INVALID, "'%s' is too long for sockets", runtime);
    if (r == 0)
        r = make_private_dir(runtime, err);
    if (r == 0) {
        d->engine_dir = path_join(runtime, "engines");
        r = make_private_dir(d->engine_dir, err);
    }
    if (r == 0)
        return 0;
    /* A machine without a home that can be written, or with a long one: a fresh directory. */
    free(d->engine_dir);
    d->engine_dir = xstrdup("/tmp/model-runner-XXXXXX");
    if (!mkdtemp(d->engine_dir)) {
        free(TAKE(d->engine_dir));
        return r;
    }
    return 0;
}

static void *clean_store(void *models)
{
    struct error err = ERROR_INIT;
    uint64_t freed;
    /* What is read here once is not read any more when the first client asks for it. */
    struct model_list list;
    if (models_list(models, &list, NULL) == 0)
        model_list_release(&list);
    int r = models_prune(models, LEFTOVER_AGE_S, &freed, &err);
    if (r < 0)
        log_debug("old leftovers stay in the store: %s", err.msg);
    else if (freed > 0)
        log_info("removed %.2f MB of old leftovers from the store", (double)freed / 1e6);
    return NULL;
}

static int open_models(struct daemon *d, struct error *err)
{
    const struct models_options o = {
        .root = d->settings->models_path,
        .max_pulls = d->settings->max_pulls,
    };
    int r = models_open(&o, &d->models, err);
    if (r == 0)
        d->has_cleaner = pthread_create(&d->cleaner, NULL, clean_store, d->models) == 0;
    return r;
}

int daemon_start(const struct settings *settings, struct daemon *ret, struct error *err)
{
    struct daemon *d = ret;
    *d = (struct daemon){.settings = settings};
    int r = make_engine_dir(d, err);
    if (r == 0)
        r = open_models(d, err);
    if (r == 0) {
        const struct scheduler_options o = {
            .models = d->models,
            .socket_dir = d->engine_dir,
            .engine_path = settings->engine_path,
            .idle_timeout_ns = settings->idle_timeout_ns < 0 ? -1 : settings->idle_timeout_ns,
            .load_timeout_ms = settings->load_timeout_ns / 1000000,
            .wait_timeout_ms = settings->wait_timeout_ns / 1000000,
            .stop_grace_ms = STOP_GRACE_MS,
            .max_runners = settings->max_models,
        };
        r = scheduler_start(&o, &d->scheduler, err);
    }
    d->responses = response_store_new();
    if (r == 0)
        r = listen_all(d, err);
    if (r < 0)
        daemon_stop(d);
    return r;
}

void daemon_stop(struct daemon *d)
{
    door_close(d->docker_door);
    http_server_stop(d->door_server);
    http_server_stop(d->unix_server);
    http_server_stop(d->tcp_server);
    scheduler_stop(d->scheduler);
    response_store_free(d->responses);
    if (d->has_cleaner)
        pthread_join(d->cleaner, NULL);
    models_close(d->models);
    if (d->engine_dir && strncmp(d->engine_dir, "/tmp/", 5) == 0)
        rmdir(d->engine_dir);
    free(d->engine_dir);
    *d = (struct daemon){0};
}
