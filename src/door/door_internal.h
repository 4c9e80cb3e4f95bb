/* SPDX-License-Identifier: Apache-2.0
 *
 * Between door.c, which waits for events, and relay.c, which serves one client's connection. */
#ifndef DOOR_DOOR_INTERNAL_H
#define DOOR_DOOR_INTERNAL_H

#include <pthread.h>
#include <stdint.h>

#include "base/buf.h"
#include "door/body.h"
#include "door/door.h"
#include "http/listen.h"

enum {
    FLOW_MAX = 64 * 1024,
    HEAD_MAX = 1024 * 1024, /* as the Docker engine allows, whose clients send credentials there */
    BIG_HEADS = 32,         /* connections whose head may be larger than FLOW_MAX at a time */
};

enum end_name { CLIENT, OTHER, OURS, N_ENDS };

/* One of a connection's sockets, in the epoll set with edge-triggered events. */
struct end {
    struct relay *relay;
    int fd; /* -1 = none */
    bool readable, writable;
    bool hung_up; /* the peer is gone altogether */
    bool half;    /* the peer sends no more; what it sent before may be unread */
    bool eof;     /* all that was read */
    bool shut;    /* we send no more */
    bool broken;  /* the peer takes no more */
};

/* Bytes on their way. The first `ready` of them may be sent; what is behind is not understood yet,
 * and the first `scanned` have no end of a head among them. */
struct flow {
    struct buf bytes;
    size_t ready;
    size_t scanned;
};

enum relay_state {
    RELAY_IDLE,    /* the next request is awaited, or its head is not complete */
    RELAY_MESSAGE, /* a request and its answer are on their way */
    RELAY_TUNNEL,  /* whatever comes goes through */
    RELAY_LAST,    /* an answer of our own goes out, and the rest of the request to nowhere */
    RELAY_DEAD,    /* to be freed */
};

struct relay {
    struct door *door;
    struct relay *prev, *next;
    struct relay *next_waiting; /* in door->waiting, or in door->dead */
    bool waiting;
    bool big_head;
    enum relay_state state;
    int64_t deadline_ms; /* INT64_MAX = none */
    struct end ends[N_ENDS];
    enum end_name target; /* where the last request went; CLIENT = nowhere yet */
    struct flow up, down;
    struct body request, response;
    bool response_begun;
    bool asked_head; /* the request under way is a HEAD */
};

struct door {
    struct listener listener;
    struct door_options options;
    char *behind;
    char *behind_name;
    pthread_t thread;
    bool runs;
    int epoll_fd;
    int wake_fd;
    bool accepting;
    unsigned n_relays;
    unsigned n_big_heads;
    int64_t next_deadline_ms;
    int64_t accept_again_ms; /* descriptors had run out; INT64_MAX = they have not */
    struct relay *relays;
    struct relay *waiting; /* have work left that nobody will tell of again */
    struct relay *dead;    /* closed; events under way may still name them */
};

struct relay *relay_new(struct door *d, int fd);
/* An event of one of its sockets. */
void relay_event(struct end *e, uint32_t events);
/* Moves what can be moved, up to a fair share. */
void relay_work(struct relay *r);
void relay_late(struct relay *r);  /* its deadline has passed */
void relay_close(struct relay *r); /* all but the struct itself */

/* door.c */
bool door_watch(struct door *d, struct end *e);
void door_set_deadline(struct relay *r, int64_t timeout_ms); /* negative = none */

#endif
