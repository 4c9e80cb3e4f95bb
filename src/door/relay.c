/* SPDX-License-Identifier: Apache-2.0
 *
 * One client's connection through the door.
 *
 *                 head complete               request and answer complete
 *     RELAY_IDLE ───────────────▶ RELAY_MESSAGE ───────────────▶ RELAY_IDLE
 *         │                           │ 101, or an answer without an end
 *         │ refused, or               ▼
 *         ▼ nobody behind        RELAY_TUNNEL
 *     RELAY_LAST
 *
 * Bytes that are read go to a flow, are understood there (its `ready` grows), and leave it. Reading
 * stops while a flow is full, and of the client also while an answer is awaited, so that nothing
 * behind a request is taken for another one before it is clear that it is. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/log.h"
#include "door/door_internal.h"

enum {
    HEAD_TIMEOUT_MS = 10 * 1000, /* for a head that has begun */
    LAST_TIMEOUT_MS = 5 * 1000,  /* for a client that goes on sending after an error */
    SHARE = 32,                  /* steps before others get their turn */
};

struct relay *relay_new(struct door *d, int fd)
{
    struct relay *r = xcalloc(1, sizeof(*r));
    r->door = d;
    r->deadline_ms = INT64_MAX;
    r->up.bytes = BUF_INIT(HEAD_MAX + FLOW_MAX);
    r->down.bytes = BUF_INIT(HEAD_MAX + FLOW_MAX);
    for (size_t i = 0; i < N_ENDS; i++)
        r->ends[i] = (struct end){.relay = r, .fd = -1};
    r->ends[CLIENT].fd = fd;
    if (!door_watch(d, &r->ends[CLIENT]))
        r->state = RELAY_DEAD;
    return r;
}

static void end_close(struct end *e)
{
    if (e->fd >= 0)
        close(e->fd);
    *e = (struct end){.relay = e->relay, .fd = -1};
}

static void give_back_big_head(struct relay *r)
{
    r->door->n_big_heads -= r->big_head;
    r->big_head = false;
}

void relay_close(struct relay *r)
{
    for (size_t i = 0; i < N_ENDS; i++)
        end_close(&r->ends[i]);
    give_back_big_head(r);
    buf_release(&r->up.bytes);
    buf_release(&r->down.bytes);
}

void relay_event(struct end *e, uint32_t events)
{
    if (e->fd < 0)
        return;
    e->readable = e->readable || events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    e->writable = e->writable || events & (EPOLLOUT | EPOLLHUP | EPOLLERR);
    e->half = e->half || events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    e->hung_up = e->hung_up || events & (EPOLLHUP | EPOLLERR);
}

/* ---- bytes in and out; each tells whether something moved ---- */

static struct str not_understood(const struct flow *f)
{
    return str_sub(buf_str(&f->bytes), f->ready, SIZE_MAX);
}

static bool flow_receive(struct flow *f, struct end *e, size_t max)
{
    if (e->fd < 0 || !e->readable || e->eof || f->bytes.len >= max)
        return false;
    size_t want = MIN(max - f->bytes.len, (size_t)FLOW_MAX);
    char *to = buf_reserve(&f->bytes, want);
    if (!to)
        return false;
    ssize_t n = recv(e->fd, to, want, MSG_DONTWAIT);
    if (n > 0) {
        buf_added(&f->bytes, (size_t)n);
        /* There is no more, and an event will tell of what comes; the end tells itself once. */
        e->readable = (size_t)n == want || e->half;
        return true;
    }
    if (n < 0 && errno == EINTR)
        return true;
    e->readable = false;
    if (n < 0 && errno == EAGAIN)
        return false;
    e->eof = e->half = true;
    e->hung_up = e->hung_up || n < 0;
    return true;
}

static void flow_drop(struct flow *f, size_t n)
{
    buf_consume(&f->bytes, n);
    f->ready -= n;
}

static bool flow_send(struct flow *f, struct end *e)
{
    if (f->ready == 0)
        return false;
    if (e->fd < 0 || e->shut) {
        flow_drop(f, f->ready);
        return true;
    }
    if (!e->writable)
        return false;
    ssize_t n = send(e->fd, f->bytes.data, f->ready, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n > 0) {
        flow_drop(f, (size_t)n);
        return true;
    }
    if (n < 0 && errno == EINTR)
        return true;
    e->writable = false;
    if (n < 0 && errno == EAGAIN)
        return false;
    /* It takes no more. What it had sent before that is still worth reading. */
    e->broken = e->shut = e->half = e->readable = true;
    return true;
}

static bool end_shut(struct end *e)
{
    if (e->fd < 0 || e->shut)
        return false;
    e->shut = true;
    shutdown(e->fd, SHUT_WR);
    return true;
}

/* ---- answers of our own ---- */

/* As the Docker engine says errors, so that its clients show the sentence. */
static void refuse(struct relay *r, const char *status, const char *message)
{
    CLEANUP_BUF struct buf body = BUF_INIT(16 * 1024);
    buf_printf(&body, "{\"message\":");
    js_write_string(str_from(message), &body);
    buf_printf(&body, "}\n");
    struct flow *down = &r->down;
    buf_printf(&down->bytes,
               "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
               "Connection: close\r\n\r\n%s",
               status, body.len, r->asked_head ? "" : buf_cstr(&body));
    down->ready = down->bytes.len;
    buf_clear(&r->up.bytes);
    r->up.ready = 0;
    r->state = RELAY_LAST;
    door_set_deadline(r, LAST_TIMEOUT_MS);
    log_debug("door: %s: %s", status, message);
}

/* ---- the two servers ---- */

static bool connect_other(struct relay *r)
{
    struct door *d = r->door;
    struct end *e = &r->ends[OTHER];
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    memcpy(addr.sun_path, d->behind, strlen(d->behind)); /* door_open() measured it */
    e->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (e->fd >= 0 && connect(e->fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 &&
        door_watch(d, e))
        return true;
    CLEANUP_FREE char *message =
        xasprintf("model-runner stands in front of %s and cannot reach it at unix://%s: %s. Is it "
                  "running?",
                  d->behind_name, d->behind, strerror(errno));
    end_close(e);
    refuse(r, "503 Service Unavailable", message);
    return false;
}

static bool connect_ours(struct relay *r)
{
    int pair[2];
    struct end *e = &r->ends[OURS];
    struct error err = ERROR_INIT;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        refuse(r, "503 Service Unavailable", "model-runner has no descriptor left");
        return false;
    }
    e->fd = pair[0];
    if (http_server_adopt(r->door->options.ours, pair[1], &err) == 0 && door_watch(r->door, e))
        return true;
    end_close(e);
    refuse(r, "503 Service Unavailable", *err.msg ? err.msg : "model-runner is busy");
    return false;
}

/* A connection to the server that the request is for; false when the client was refused. */
static bool reach(struct relay *r, enum end_name target)
{
    r->target = target;
    struct end *e = &r->ends[target];
    if (e->fd >= 0 && !e->half)
        return true;
    end_close(e);
    return target == OTHER ? connect_other(r) : connect_ours(r);
}

/* ---- understanding ---- */

static void begin_tunnel(struct relay *r)
{
    r->state = RELAY_TUNNEL;
    door_set_deadline(r, -1);
}

/* A request of `len` bytes of head stands at the beginning of what is not understood. */
static void begin_request(struct relay *r, size_t len)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\n";
    struct str head = str_sub(not_understood(&r->up), 0, len);
    struct request_head request;
    const char *why;
    r->asked_head = false;
    r->up.scanned = 0;
    give_back_big_head(r);
    if (str_eq_c(head, preface)) {
        if (reach(r, OTHER))
            begin_tunnel(r);
        return;
    }
    if (!request_head_parse(head, &request, &why)) {
        refuse(r, "400 Bad Request", why);
        return;
    }
    r->asked_head = str_eq_c(request.method, "HEAD");
    if (!reach(r, r->door->options.is_ours(request.target) ? OURS : OTHER))
        return;
    r->request = body_begin(request.body, request.length);
    r->response_begun = false;
    r->up.ready += len;
    r->state = RELAY_MESSAGE;
    door_set_deadline(r, -1);
}

static void grow_head(struct relay *r, size_t len)
{
    static const char status[] = "431 Request Header Fields Too Large";
    if (len >= HEAD_MAX) {
        give_back_big_head(r);
        refuse(r, status, "the head of the request is too large");
    } else if (!r->big_head && r->door->n_big_heads == BIG_HEADS) {
        refuse(r, status, "too many requests have large heads: try again later");
    } else if (!r->big_head) {
        r->big_head = true;
        r->door->n_big_heads++;
    }
}

static bool await_request(struct relay *r)
{
    struct flow *up = &r->up;
    struct str bytes = not_understood(up);
    if (bytes.len == up->scanned)
        return false;
    ptrdiff_t len = head_find_end(bytes, &up->scanned);
    if (len > 0) {
        begin_request(r, (size_t)len);
    } else if (len == HEAD_BAD) {
        refuse(r, "400 Bad Request", "a line of the request's head ends without CR");
    } else {
        if (r->deadline_ms == INT64_MAX)
            door_set_deadline(r, HEAD_TIMEOUT_MS);
        if (bytes.len >= FLOW_MAX)
            grow_head(r, bytes.len);
    }
    return true;
}

static bool pass_request(struct relay *r)
{
    struct str bytes = not_understood(&r->up);
    if (bytes.len == 0 || body_ended(&r->request))
        return false;
    ptrdiff_t n = body_feed(&r->request, bytes);
    if (n < 0)
        r->state = RELAY_DEAD; /* where it ends is not known, nor what comes then */
    else
        r->up.ready += (size_t)n;
    return n != 0;
}

static bool begin_response(struct relay *r)
{
    struct flow *down = &r->down;
    struct str bytes = not_understood(down);
    if (bytes.len == down->scanned)
        return false;
    struct response_head response;
    ptrdiff_t len = head_find_end(bytes, &down->scanned);
    if (len == HEAD_MORE) {
        if (bytes.len >= HEAD_MAX)
            r->state = RELAY_DEAD;
        return r->state == RELAY_DEAD;
    }
    if (len == HEAD_BAD ||
        !response_head_parse(str_sub(bytes, 0, (size_t)len), r->asked_head, &response) ||
        response.status == 101 || response.body == BODY_TO_END) {
        begin_tunnel(r);
        return true;
    }
    down->scanned = 0;
    down->ready += (size_t)len;
    if (response.status < 200) /* the final one is still to come */
        return true;
    r->response = body_begin(response.body, response.length);
    r->response_begun = true;
    return true;
}

static bool pass_response(struct relay *r)
{
    if (!r->response_begun)
        return begin_response(r);
    struct str bytes = not_understood(&r->down);
    if (bytes.len == 0)
        return false;
    ptrdiff_t n = body_ended(&r->response) ? -1 : body_feed(&r->response, bytes);
    if (n < 0)
        begin_tunnel(r); /* not for us to judge: the client shall see it */
    else
        r->down.ready += (size_t)n;
    return true;
}

static bool pass_all(struct flow *f)
{
    bool more = f->ready < f->bytes.len;
    f->ready = f->bytes.len;
    return more;
}

static bool understand(struct relay *r)
{
    bool moved = false;
    switch (r->state) {
    case RELAY_IDLE:
        return await_request(r);
    case RELAY_MESSAGE:
        moved = pass_request(r);
        if (r->state == RELAY_MESSAGE)
            moved |= pass_response(r);
        if (r->state == RELAY_MESSAGE && body_ended(&r->request) && r->response_begun &&
            body_ended(&r->response) && r->up.ready == 0) {
            r->state = RELAY_IDLE;
            return true;
        }
        return moved;
    case RELAY_TUNNEL:
        moved = pass_all(&r->up);
        return pass_all(&r->down) || moved;
    case RELAY_LAST:
        buf_clear(&r->up.bytes);
        break;
    case RELAY_DEAD:
        break;
    }
    return false;
}

/* ---- moving ---- */

/* A client that left while its request is under way: its bytes are not read then, so the end of
 * them is looked for. */
static void look_for_end(struct end *client)
{
    int n = 0;
    if (client->half && !client->eof && ioctl(client->fd, FIONREAD, &n) == 0 && n == 0)
        client->eof = true;
}

static bool receive(struct relay *r)
{
    struct end *client = &r->ends[CLIENT], *target = &r->ends[r->target];
    bool moved = false;
    switch (r->state) {
    case RELAY_IDLE:
        return flow_receive(&r->up, client, r->big_head ? HEAD_MAX : FLOW_MAX);
    case RELAY_MESSAGE:
        if (!body_ended(&r->request))
            moved = flow_receive(&r->up, client, FLOW_MAX);
        else
            look_for_end(client);
        return flow_receive(&r->down, target, r->response_begun ? FLOW_MAX : HEAD_MAX) || moved;
    case RELAY_TUNNEL:
        moved = flow_receive(&r->up, client, FLOW_MAX);
        return flow_receive(&r->down, target, FLOW_MAX) || moved;
    case RELAY_LAST:
        return flow_receive(&r->up, client, FLOW_MAX);
    case RELAY_DEAD:
        break;
    }
    return false;
}

/* Servers close connections that are idle. The one that answered last ends the client's, too. */
static void drop_idle_servers(struct relay *r)
{
    for (enum end_name i = OTHER; i < N_ENDS; i++) {
        struct end *e = &r->ends[i];
        if (e->fd < 0 || !e->half)
            continue;
        if (i != r->target)
            end_close(e);
        else if (r->down.ready == 0)
            r->state = RELAY_DEAD;
    }
}

/* Passes the ends of streams on, once all that came before them has gone. */
static bool pass_ends(struct relay *r)
{
    struct end *client = &r->ends[CLIENT], *target = &r->ends[r->target];
    bool up_done = client->eof && r->up.ready == 0, down_done = r->down.ready == 0;
    if (client->broken) {
        r->state = RELAY_DEAD;
        return false;
    }
    switch (r->state) {
    case RELAY_IDLE:
        if (up_done && (down_done || client->hung_up))
            r->state = RELAY_DEAD;
        else
            drop_idle_servers(r);
        return false;
    case RELAY_MESSAGE:
        if (up_done && client->hung_up) {
            r->state = RELAY_DEAD;
            return false;
        }
        if (target->eof) { /* in the middle of the answer: the client shall see as much of it */
            begin_tunnel(r);
            return true;
        }
        return up_done && end_shut(target);
    case RELAY_TUNNEL:
        down_done = target->eof && down_done;
        if ((up_done && (down_done || client->hung_up)) || (down_done && target->hung_up)) {
            r->state = RELAY_DEAD;
            return false;
        }
        return (up_done && end_shut(target)) || (down_done && end_shut(client));
    case RELAY_LAST:
        if (client->eof && (down_done || client->hung_up)) {
            r->state = RELAY_DEAD;
            return false;
        }
        return down_done && end_shut(client);
    case RELAY_DEAD:
        break;
    }
    return false;
}

static bool step(struct relay *r)
{
    bool moved = receive(r);
    moved = understand(r) || moved;
    if (r->state == RELAY_DEAD)
        return false;
    moved = flow_send(&r->up, &r->ends[r->target]) || moved;
    moved = flow_send(&r->down, &r->ends[CLIENT]) || moved;
    return (pass_ends(r) || moved) && r->state != RELAY_DEAD;
}

void relay_work(struct relay *r)
{
    r->waiting = false;
    for (int i = 0; i < SHARE; i++) {
        if (step(r))
            continue;
        /* An idle connection holds no memory. */
        if (r->up.bytes.len == 0)
            buf_release(&r->up.bytes);
        if (r->down.bytes.len == 0)
            buf_release(&r->down.bytes);
        return;
    }
    r->waiting = true;
}

void relay_late(struct relay *r)
{
    if (r->state == RELAY_IDLE) {
        give_back_big_head(r);
        refuse(r, "408 Request Timeout", "the head of the request came too slowly");
    } else {
        r->state = RELAY_DEAD;
    }
}
