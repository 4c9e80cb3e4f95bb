/* SPDX-License-Identifier: Apache-2.0
 *
 * Listening sockets.
 *
 * A Unix socket is made in an order that leaves no gap: a lock file beside it is taken first (two
 * servers that start at once cannot both find the other's socket dead); then an old socket is
 * tried with connect() and removed only when nobody answers; then bind() makes the file with at
 * most the wanted permissions, because Linux takes them from the unbound socket; and only then
 * listen() lets anybody in. */
#include "http/listen.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/str.h"

static int unix_address(const char *path, struct sockaddr_un *ret, struct error *err)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len == 0)
        return error_set(err, ERR_INVALID, "the socket path is empty");
    if (len >= sizeof(ret->sun_path))
        return error_set(err, ERR_INVALID,
                         "the socket path '%s' has %zu characters, the system allows %zu: choose a "
                         "shorter one",
                         path, len, sizeof(ret->sun_path) - 1);
    memcpy(ret->sun_path, path, len + 1);
    return 0;
}

/* Takes the lock file of a socket path. A lock file that its last holder removed between our
 * open() and flock() guards nothing, so the name is checked again afterwards. */
static int lock_take(const char *lock_path, int *ret_fd, struct error *err)
{
    enum { TRIES = 16 };
    for (int i = 0; i < TRIES; i++) {
        CLEANUP_FD int fd = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return error_errno(err, errno, "cannot open the lock file '%s'", lock_path);
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            if (errno == EWOULDBLOCK)
                return error_set(err, ERR_CONFLICT, "'%s' is in use by another server", lock_path);
            return error_errno(err, errno, "cannot lock '%s'", lock_path);
        }
        struct stat held, named;
        if (fstat(fd, &held) == 0 && stat(lock_path, &named) == 0 && held.st_dev == named.st_dev &&
            held.st_ino == named.st_ino) {
            *ret_fd = TAKE_FD(fd);
            return 0;
        }
    }
    return error_set(err, ERR_CONFLICT, "the lock file '%s' keeps changing", lock_path);
}

/* Removes a socket file that nobody answers at; anything else there is a conflict. */
static int remove_dead_socket(const char *path, const struct sockaddr_un *addr, struct error *err)
{
    struct stat st;
    if (lstat(path, &st) != 0) {
        if (errno == ENOENT)
            return 0;
        return error_errno(err, errno, "cannot look at the socket path '%s'", path);
    }
    if (!S_ISSOCK(st.st_mode))
        return error_set(err, ERR_CONFLICT,
                         "'%s' exists and is not a socket: move it away or choose another path",
                         path);
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return error_errno(err, errno, "cannot create a socket");
    /* EAGAIN: somebody listens, and the queue is full. */
    if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN ||
        errno == EINPROGRESS)
        return error_set(err, ERR_CONFLICT, "another server already listens on '%s'", path);
    if (errno != ECONNREFUSED && errno != ENOENT)
        return error_errno(err, errno, "cannot tell whether a server listens on '%s'", path);
    if (unlink(path) != 0 && errno != ENOENT)
        return error_errno(err, errno, "cannot remove the dead socket '%s'", path);
    return 0;
}

static int find_group(const char *name, gid_t *ret, struct error *err)
{
    uint64_t number;
    if (str_to_u64(str_from(name), "the group", &number, NULL) == 0 && number < UINT32_MAX) {
        *ret = (gid_t)number;
        return 0;
    }
    errno = 0;
    const struct group *g = getgrnam(name);
    if (!g)
        return error_set(err, ERR_NOT_FOUND, "there is no group '%s' on this system", name);
    *ret = g->gr_gid;
    return 0;
}

static int open_unix(const char *path, mode_t mode, const char *group, struct listener *l,
                     struct error *err)
{
    struct sockaddr_un addr;
    gid_t gid = (gid_t)-1;
    int r = unix_address(path, &addr, err);
    if (r == 0 && group)
        r = find_group(group, &gid, err);
    if (r < 0)
        return r;
    CLEANUP_FREE char *lock_path = xasprintf("%s.lock", path);
    r = lock_take(lock_path, &l->lock_fd, err);
    if (r < 0)
        return r;
    r = remove_dead_socket(path, &addr, err);
    if (r < 0)
        return r;
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (l->fd < 0)
        return error_errno(err, errno, "cannot create a socket");
    if (fchmod(l->fd, mode) != 0)
        return error_errno(err, errno, "cannot set the permissions of a socket");
    if (bind(l->fd, (const struct sockaddr *)&addr, sizeof(addr)) != 0)
        return error_errno(err, errno, "cannot create the socket '%s'", path);
    l->path = xstrdup(path);
    struct stat st;
    if (lstat(path, &st) != 0)
        return error_errno(err, errno, "cannot look at the socket '%s'", path);
    l->dev = st.st_dev;
    l->ino = st.st_ino;
    if (group && lchown(path, (uid_t)-1, gid) != 0)
        return error_errno(err, errno, "cannot give the socket '%s' to the group '%s'", path,
                           group);
    /* bind() took the umask off; give back what it took. */
    if ((st.st_mode & 07777) != mode && chmod(path, mode) != 0)
        return error_errno(err, errno, "cannot set the permissions of the socket '%s'", path);
    if (listen(l->fd, SOMAXCONN) != 0)
        return error_errno(err, errno, "cannot listen on '%s'", path);
    l->is_unix = true;
    return 0;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage addr = {0};
    socklen_t len = sizeof(addr);
    if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        return 0;
    if (addr.ss_family == AF_INET)
        return ntohs(((const struct sockaddr_in *)(const void *)&addr)->sin_port);
    if (addr.ss_family == AF_INET6)
        return ntohs(((const struct sockaddr_in6 *)(const void *)&addr)->sin6_port);
    return 0;
}

static int listen_on(const struct addrinfo *a)
{
    CLEANUP_FD int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0)
        return -1;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, SOMAXCONN) != 0)
        return -1;
    return TAKE_FD(fd);
}

static int open_tcp(const char *host, uint16_t port, struct listener *l, struct error *err)
{
    char service[8];
    snprintf(service, sizeof(service), "%u", (unsigned)port);
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    int gai = getaddrinfo(host, service, &hints, &list);
    if (gai != 0)
        return error_set(err, ERR_INVALID, "cannot listen on '%s': %s", host, gai_strerror(gai));
    int reason = EADDRNOTAVAIL;
    for (const struct addrinfo *a = list; a && l->fd < 0; a = a->ai_next) {
        l->fd = listen_on(a);
        if (l->fd < 0)
            reason = errno;
    }
    freeaddrinfo(list);
    if (l->fd < 0)
        return error_errno(err, reason, "cannot listen on %s port %u", host, (unsigned)port);
    l->port = bound_port(l->fd);
    return 0;
}

static int adopt(int fd, struct listener *l, struct error *err)
{
    int listening = 0;
    socklen_t len = sizeof(listening);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) != 0 || !listening)
        return error_set(err, ERR_INVALID, "descriptor %d is not a listening socket", fd);
    struct sockaddr_storage addr = {0};
    len = sizeof(addr);
    if (getsockname(fd, (struct sockaddr *)&addr, &len) != 0)
        return error_errno(err, errno, "cannot look at the listening socket");
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    l->fd = fd;
    l->is_unix = addr.ss_family == AF_UNIX;
    l->port = bound_port(fd);
    return 0;
}

int listener_open(const struct http_listen *what, struct listener *ret, struct error *err)
{
    struct listener l = LISTENER_INIT;
    int r;
    if (what->unix_path)
        r = open_unix(what->unix_path, what->unix_mode ? what->unix_mode : 0600, what->unix_group,
                      &l, err);
    else if (what->host)
        r = open_tcp(what->host, what->port, &l, err);
    else
        r = adopt(what->listen_fd, &l, err);
    if (r < 0) {
        listener_close(&l);
        return r;
    }
    *ret = l;
    return 0;
}

void listener_close(struct listener *l)
{
    if (l->fd >= 0)
        close(l->fd);
    struct stat st;
    if (l->path && lstat(l->path, &st) == 0 && st.st_dev == l->dev && st.st_ino == l->ino)
        unlink(l->path);
    if (l->lock_fd >= 0) {
        if (l->path) {
            CLEANUP_FREE char *lock_path = xasprintf("%s.lock", l->path);
            unlink(lock_path);
        }
        close(l->lock_fd);
    }
    free(l->path);
    *l = LISTENER_INIT;
}
