/* SPDX-License-Identifier: Apache-2.0
 *
 * The door's thread: new connections, events, deadlines. relay.c serves a connection. */
#include "door/door.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "door/door_internal.h"

enum { DEFAULT_CONNECTIONS = 4096, ACCEPTS = 64, OUT_OF_DESCRIPTORS_MS = 200 };

/* Set as the epoll key of what is no connection's socket. */
static char listener_key, wake_key;

bool door_watch(struct door *d, struct end *e)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = e};
    e->writable = e->readable = true; /* trying is cheaper than waiting for the first event */
    return epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, e->fd, &event) == 0;
}

void door_set_deadline(struct relay *r, int64_t timeout_ms)
{
    r->deadline_ms = timeout_ms < 0 ? INT64_MAX : clock_mono_ms() + timeout_ms;
    r->door->next_deadline_ms = MIN(r->door->next_deadline_ms, r->deadline_ms);
}

/* ---- the list of connections ---- */

static void add_relay(struct door *d, struct relay *r)
{
    r->next = d->relays;
    if (r->next)
        r->next->prev = r;
    d->relays = r;
    d->n_relays++;
}

/* Closed and out of the list; freed when no event can name it any more. */
static void bury(struct door *d, struct relay *r)
{
    if (r->prev)
        r->prev->next = r->next;
    else
        d->relays = r->next;
    if (r->next)
        r->next->prev = r->prev;
    d->n_relays--;
    relay_close(r);
    r->next_waiting = d->dead;
    d->dead = r;
}

static void work(struct door *d, struct relay *r)
{
    if (r->waiting || r->state == RELAY_DEAD)
        return; /* its turn comes, or it is over */
    relay_work(r);
    if (r->state == RELAY_DEAD) {
        bury(d, r);
    } else if (r->waiting) {
        r->next_waiting = d->waiting;
        d->waiting = r;
    }
}

static void work_on_waiting(struct door *d)
{
    struct relay *r = TAKE(d->waiting);
    while (r) {
        struct relay *next = r->next_waiting;
        r->waiting = false;
        if (r->state == RELAY_DEAD)
            bury(d, r);
        else
            work(d, r);
        r = next;
    }
}

static void free_dead(struct door *d)
{
    struct relay *r = TAKE(d->dead);
    while (r) {
        struct relay *next = r->next_waiting;
        free(r);
        r = next;
    }
}

/* ---- accepting ---- */

static void listen_to(struct door *d, bool on)
{
    struct epoll_event event = {.events = on ? EPOLLIN : 0, .data.ptr = &listener_key};
    if (d->accepting != on)
        epoll_ctl(d->epoll_fd, EPOLL_CTL_MOD, d->listener.fd, &event);
    d->accepting = on;
}

static void accept_some(struct door *d)
{
    for (int i = 0; i < ACCEPTS && d->n_relays < d->options.max_connections; i++) {
        int fd = accept4(d->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                log_warn("the door in front of %s: %s", d->behind_name, strerror(errno));
                d->accept_again_ms = clock_mono_ms() + OUT_OF_DESCRIPTORS_MS;
            }
            return;
        }
        struct relay *r = relay_new(d, fd);
        add_relay(d, r);
        if (r->state == RELAY_DEAD)
            bury(d, r);
        else
            work(d, r);
    }
}

/* ---- the loop ---- */

static void end_late_ones(struct door *d, int64_t now)
{
    if (now < d->next_deadline_ms)
        return;
    d->next_deadline_ms = INT64_MAX;
    for (struct relay *r = d->relays, *next; r; r = next) {
        next = r->next;
        if (r->deadline_ms > now) {
            d->next_deadline_ms = MIN(d->next_deadline_ms, r->deadline_ms);
            continue;
        }
        r->deadline_ms = INT64_MAX;
        relay_late(r);
        if (r->state == RELAY_DEAD && !r->waiting)
            bury(d, r);
        else
            work(d, r);
    }
}

static int time_left(const struct door *d)
{
    int64_t next = MIN(d->next_deadline_ms, d->accept_again_ms);
    if (d->waiting)
        return 0;
    if (next == INT64_MAX)
        return -1;
    return (int)MAX(next - clock_mono_ms(), 0);
}

static void *door_main(void *arg)
{
    struct door *d = arg;
    struct epoll_event events[128];
    for (;;) {
        int n = epoll_wait(d->epoll_fd, events, ARRAY_LEN(events), time_left(d));
        bool accept_wanted = false;
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &wake_key)
                return NULL;
            if (events[i].data.ptr == &listener_key) {
                accept_wanted = true;
                continue;
            }
            struct end *e = events[i].data.ptr;
            relay_event(e, events[i].events);
            work(d, e->relay);
        }
        work_on_waiting(d);
        int64_t now = clock_mono_ms();
        end_late_ones(d, now);
        if (accept_wanted)
            accept_some(d);
        free_dead(d);
        if (d->accept_again_ms <= now)
            d->accept_again_ms = INT64_MAX;
        listen_to(d, d->n_relays < d->options.max_connections && d->accept_again_ms == INT64_MAX);
    }
}

static int start(struct door *d, struct error *err)
{
    d->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    d->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event wake = {.events = EPOLLIN, .data.ptr = &wake_key};
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = &listener_key};
    if (d->epoll_fd < 0 || d->wake_fd < 0 ||
        fcntl(d->listener.fd, F_SETFL, O_NONBLOCK) != 0 ||
        epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, d->wake_fd, &wake) != 0 ||
        epoll_ctl(d->epoll_fd, EPOLL_CTL_ADD, d->listener.fd, &listening) != 0)
        return error_errno(err, errno, "cannot serve the socket '%s'", d->options.listen.unix_path);
    d->accepting = true;
    int error = pthread_create(&d->thread, NULL, door_main, d);
    if (error)
        return error_errno(err, error, "cannot start a thread for the socket '%s'",
                           d->options.listen.unix_path);
    d->runs = true;
    return 0;
}

int door_open(const struct door_options *o, struct door **ret, struct error *err)
{
    if (strlen(o->behind) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return error_set(err, ERR_INVALID, "the socket path '%s' is too long", o->behind);
    struct door *d = xcalloc(1, sizeof(*d));
    d->options = *o;
    d->options.max_connections = o->max_connections ? o->max_connections : DEFAULT_CONNECTIONS;
    d->behind = xstrdup(o->behind);
    d->behind_name = xstrdup(o->behind_name);
    d->listener = LISTENER_INIT;
    d->epoll_fd = d->wake_fd = -1;
    d->next_deadline_ms = d->accept_again_ms = INT64_MAX;
    int r = listener_open(&o->listen, &d->listener, err);
    if (r == 0)
        r = start(d, err);
    if (r < 0) {
        door_close(d);
        return r;
    }
    *ret = d;
    return 0;
}

void door_close(struct door *d)
{
    if (!d)
        return;
    if (d->runs) {
        eventfd_write(d->wake_fd, 1);
        pthread_join(d->thread, NULL);
    }
    while (d->relays)
        bury(d, d->relays);
    free_dead(d);
    listener_close(&d->listener);
    if (d->epoll_fd >= 0)
        close(d->epoll_fd);
    if (d->wake_fd >= 0)
        close(d->wake_fd);
    free(d->behind);
    free(d->behind_name);
    free(d);
}
