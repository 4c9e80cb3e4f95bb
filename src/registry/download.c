/* SPDX-License-Identifier: Apache-2.0
 *
 * The download engine: blobs side by side, each over several connections, on one thread.
 *
 *                 next_blob()            start()                 on_headers(), on_data()
 *   what is  ───────────────────▶ part ───────────▶ connection ─────────────────────────▶ write()
 *   missing  ◀─────────────────── (range)  ◀─────── ended: finish()
 *               what did not come          redirect, 401: start() again
 *
 * A blob's missing bytes are a range_set. A part takes a chunk from its front, asks for it with
 * one ranged request and hands the bytes to the sink as they come; what did not come goes back into
 * the set. A byte therefore belongs to the set or to one part, and is written once.
 *
 *   - The first part of a blob goes alone, until its answer shows that the source knows ranges and
 *     where the bytes are (a redirect's target serves the following parts, too). Then more parts
 *     join, as many as there are connections to spare; blobs with the fewest parts come first.
 *   - The number of connections starts with one for each blob, at most 4, and grows while that
 * makes the whole faster; a step that does not is taken back, and tried again some seconds later.
 * Bytes of one connection come in order, which saves the sink work: where one fills the line, or
 * the disk, it stays at one. 429 and connections that fail beside others that work reduce it, too.
 *   - Chunks last about two seconds, 4 to 32 MiB: long enough that the pause between two requests
 *     does not count, short enough that the sink can hash in order close behind; a connection
 * alone, whose bytes are in order anyway, gets up to 256 MiB, which spares servers that read ahead.
 * When nothing is left to give out, an idle connection takes the second half of the longest
 * remaining part.
 *   - A source that answers a ranged request with the whole blob (200) is read from its start by
 * one part, which hands on what is missing and skips the rest. One that lies about the range is
 * asked without ranges after its second lie.
 *   - What fails and may pass (broken or silent connections, 408, 429, 5xx, short bodies, an
 *     expired redirect target) is tried again, after a pause that doubles. Failures in a row are
 *     counted for each blob; bytes that arrive set the count back, so a bad line takes time
 *     but ends, and a dead one ends after max_tries. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "registry/headers.h"
#include "registry/internal.h"
#include "registry/ranges.h"

enum {
    WRITE_BYTES = 256 * 1024, /* handed to the sink at a time */
    RECEIVE_BYTES = 256 * 1024,
    FIRST_CONNECTIONS = 4,
    MIN_CHUNK = 4 << 20,
    FIRST_CHUNK = 8 << 20,
    MAX_CHUNK = 32 << 20,
    MAX_CHUNK_ALONE = 256 << 20, /* of a connection that has no other beside it */
    STEAL_MIN = 2 << 20,         /* a part is not split into smaller pieces */
    FEW_BYTES = 16 * 1024,       /* a connection that brought less is not replaced at once */
    TICK_MS = 250,
    LOOK_MS = 100, /* at the rate, and the time of four answers in addition */
    LOOK_MAX_MS = 1000,
    HOLD_MS = 5000, /* after a step that did not pay */
    TOLD_MS = 100,  /* between two calls of progress() */
    ERROR_BODY_MAX = 16 * 1024,
};

struct download;

/* One connection's work. */
struct part {
    struct guard guard; /* first: see guard_on_connect() */
    struct download *d;
    struct http_flight *flight; /* NULL = free */
    size_t blob;
    struct url url;
    unsigned redirects;
    unsigned auth_generation;

    uint64_t start, at, end; /* asked for [start, end), at is the next byte */
    bool ranged;             /* asked for with a Range header */
    bool whole;              /* the body is the whole blob, whatever was asked for */
    uint64_t body_at;        /* whole: offset of the next byte of the body */
    char *buffer;            /* bytes in front of `at`, not yet handed on */
    size_t buffered;
    uint64_t n_new;          /* bytes handed on by this request */
    int64_t started_ms, window_ms;
    uint64_t window_bytes;

    int status;
    bool has_range, lied, encoded, enough, wrong_size;
    struct content_range range;
    uint64_t length; /* Content-Length, UINT64_MAX = none */
    int64_t retry_after_s;
    char *location;
    struct challenge challenge;
    struct buf error_body;
};

struct blob {
    const struct registry_blob *b;
    struct range_set missing;
    uint64_t received, told;
    int64_t told_ms;
    unsigned n_parts;
    bool ranges_known; /* the source answered a ranged request with 206 */
    bool no_ranges;
    bool done;
    unsigned lies, tries, challenges;
    int64_t not_before_ms, failed_ms;
    size_t endpoint;
    char *location; /* where redirects led to; NULL = not known */
};

struct download {
    struct registry_repo *repo;
    const struct registry_download *want;
    struct http_cancel *cancel;
    struct http_multi *multi;
    struct blob *blobs;
    size_t n_open; /* not done */
    struct part *parts;
    unsigned n_parts, max_parts, target;
    int64_t not_before_ms; /* for new connections: the server asked for it */
    uint64_t chunk;

    int64_t rate_ms;      /* begin of what is measured */
    uint64_t rate_bytes;  /* since then */
    int64_t answer_ms;    /* from a request to the first bytes handed on; -1 = none yet */
    unsigned before;      /* connections before a step that is being tried; 0 = none is */
    uint64_t before_rate; /* bytes/s */
    int64_t hold_ms;      /* no further step until then */

    int sink_result; /* negative: a callback of the caller ended it */
    struct error *err;
};

/* No step upwards for a while. */
static void hold(struct download *d, int64_t now)
{
    d->before = 0;
    d->hold_ms = now + HOLD_MS;
}

static struct endpoint *endpoint_of(const struct part *p)
{
    return &p->d->repo->endpoints[p->d->blobs[p->blob].endpoint];
}

/* ---- bytes to the sink ---- */

static void tell(struct download *d, struct blob *b, bool now)
{
    int64_t t = clock_mono_ms();
    if (!d->want->progress || b->told == b->received || (!now && t - b->told_ms < TOLD_MS))
        return;
    b->told = b->received;
    b->told_ms = t;
    d->want->progress(d->want->ctx, (size_t)(b - d->blobs), b->received);
}

static bool hand_on(struct part *p, uint64_t offset, struct str bytes)
{
    struct download *d = p->d;
    struct blob *b = &d->blobs[p->blob];
    int r = d->want->write(d->want->ctx, p->blob, offset, bytes, d->err);
    if (r < 0) {
        d->sink_result = r;
        return false;
    }
    b->received += bytes.len;
    d->rate_bytes += bytes.len;
    if (d->answer_ms < 0)
        d->answer_ms = clock_mono_ms() - p->started_ms;
    p->n_new += bytes.len;
    b->tries = 0;
    tell(d, b, false);
    return true;
}

static bool flush(struct part *p)
{
    if (p->buffered == 0 || p->d->sink_result < 0)
        return p->d->sink_result == 0;
    size_t n = p->buffered;
    p->buffered = 0;
    return hand_on(p, p->at - n, str_make(p->buffer, n));
}

static bool take_ranged(struct part *p, struct str bytes)
{
    while (bytes.len > 0) {
        if (p->at == p->end) {
            p->enough = true;
            return false;
        }
        size_t n = MIN(bytes.len, WRITE_BYTES - p->buffered);
        n = (size_t)MIN((uint64_t)n, p->end - p->at);
        memcpy(p->buffer + p->buffered, bytes.ptr, n);
        p->buffered += n;
        p->at += n;
        bytes = str_sub(bytes, n, SIZE_MAX);
        bool last = p->at == p->end && !p->whole;
        if ((p->buffered == WRITE_BYTES || last) && !flush(p))
            return false;
    }
    return true;
}

/* From the body of the whole blob: what is missing. */
static bool take_whole(struct part *p, struct str bytes)
{
    struct blob *b = &p->d->blobs[p->blob];
    if (bytes.len > b->b->size - p->body_at) {
        p->wrong_size = true;
        return false;
    }
    uint64_t from = p->body_at;
    p->body_at += bytes.len;
    struct registry_range cut;
    while (range_set_cut(&b->missing, from, p->body_at - from, &cut)) {
        if (cut.offset != p->at && !flush(p))
            return false;
        struct str piece = str_sub(bytes, (size_t)(cut.offset - from), (size_t)cut.length);
        p->at = cut.offset;
        p->end = cut.offset + cut.length; /* it is this part's until it is written */
        if (!take_ranged(p, piece))
            return false;
        bytes = str_sub(bytes, (size_t)(p->end - from), SIZE_MAX);
        from = p->end;
    }
    if (b->missing.n == 0 && p->body_at < b->b->size) {
        p->enough = true; /* the rest is there already */
        return false;
    }
    return true;
}

/* ---- callbacks of a connection ---- */

static void on_header(void *ctx, struct str name, struct str value)
{
    struct part *p = ctx;
    if (str_eq_nocase(name, STR("Content-Range"))) {
        p->has_range = content_range_parse(value, &p->range);
    } else if (str_eq_nocase(name, STR("Content-Length"))) {
        if (str_to_u64(value, "", &p->length, NULL) < 0)
            p->length = UINT64_MAX;
    } else if (str_eq_nocase(name, STR("Content-Encoding"))) {
        p->encoded = value.len > 0 && !str_eq_nocase(value, STR("identity"));
    } else if (str_eq_nocase(name, STR("Location"))) {
        free(p->location);
        p->location = memchr(value.ptr, '\0', value.len) ? NULL : str_dup(value);
    } else if (str_eq_nocase(name, STR("Retry-After"))) {
        p->retry_after_s = retry_after_parse(value, clock_wall_s());
    } else if (str_eq_nocase(name, STR("WWW-Authenticate"))) {
        challenge_add(&p->challenge, value);
    }
}

/* The whole blob comes although a piece was asked for: the piece goes back, everything that is
 * missing is taken from this body. */
static void become_whole(struct part *p)
{
    struct blob *b = &p->d->blobs[p->blob];
    range_set_put(&b->missing, (struct registry_range){p->at, p->end - p->at});
    p->whole = true;
    p->at = p->end = p->body_at = 0;
    b->no_ranges = b->no_ranges || p->ranged;
}

static int on_headers(void *ctx, int status)
{
    struct part *p = ctx;
    struct blob *b = &p->d->blobs[p->blob];
    p->status = status;
    if (status != 200 && status != 206)
        return 0;
    b->challenges = 0;
    if (p->encoded) {
        p->lied = true;
        return -ERR_CORRUPT;
    }
    if (status == 200) {
        p->wrong_size = p->length != UINT64_MAX && p->length != b->b->size;
        become_whole(p);
        return p->wrong_size ? -ERR_CORRUPT : 0;
    }
    const struct content_range *c = &p->range;
    /* A shorter range than asked for is an answer; another one is not. */
    p->lied = !p->ranged || !p->has_range || c->first != p->at || c->last >= p->end ||
              (c->total != UINT64_MAX && c->total != b->b->size) ||
              (p->length != UINT64_MAX && p->length != c->last - c->first + 1);
    if (p->lied)
        return -ERR_CORRUPT;
    b->ranges_known = true;
    return 0;
}

static int on_data(void *ctx, struct str piece)
{
    struct part *p = ctx;
    if (p->status != 200 && p->status != 206) {
        buf_append(&p->error_body, str_sub(piece, 0, ERROR_BODY_MAX - p->error_body.len));
        p->enough = p->error_body.len == ERROR_BODY_MAX;
        return p->enough ? -ERR_TOO_LARGE : 0;
    }
    p->window_bytes += piece.len;
    return (p->whole ? take_whole(p, piece) : take_ranged(p, piece)) ? 0 : -ERR_CANCELED;
}

/* ---- starting ---- */

static void answer_clear(struct part *p)
{
    p->status = 0;
    p->has_range = p->lied = p->encoded = p->enough = p->wrong_size = p->whole = false;
    p->length = UINT64_MAX;
    p->retry_after_s = -1;
    free(TAKE(p->location));
    challenge_release(&p->challenge);
    buf_release(&p->error_body);
    p->error_body = BUF_INIT(ERROR_BODY_MAX);
}

/* Sends the request of a part whose url and range are set. */
static int send_part(struct part *p, struct error *err)
{
    struct download *d = p->d;
    struct blob *b = &d->blobs[p->blob];
    struct endpoint *ep = endpoint_of(p);
    answer_clear(p);
    guard_release(&p->guard);
    int r = guard_init(&p->guard, d->repo, ep, &p->url, err);
    if (r < 0)
        return r;
    struct http_call call = HTTP_CALL_INIT;
    r = call_prepare(&p->guard, &call, err);
    if (r < 0)
        return r;
    const char *headers[4] = {"Accept-Encoding: identity"};
    size_t n = 1;
    CLEANUP_FREE char *authorization = NULL;
    if (ep->authorization && url_is_own(ep, &p->url)) {
        authorization = xasprintf("Authorization: %s", ep->authorization);
        headers[n++] = authorization;
    }
    char range[80];
    p->ranged = !b->no_ranges && (p->at > 0 || p->end < b->b->size);
    if (p->ranged) {
        snprintf(range, sizeof(range), "Range: bytes=%llu-%llu", (unsigned long long)p->at,
                 (unsigned long long)p->end - 1);
        headers[n++] = range;
    }
    call.headers = headers;
    call.on_header = on_header;
    call.on_headers = on_headers;
    call.on_data = on_data;
    call.stall_timeout_ms = d->repo->r->stall_ms;
    call.http1_only = true;
    call.receive_bytes = RECEIVE_BYTES;
    p->auth_generation = ep->auth_generation;
    p->start = p->at;
    p->n_new = 0;
    p->started_ms = p->window_ms = clock_mono_ms();
    p->window_bytes = 0;
    return http_multi_start(d->multi, &call, &p->flight, err);
}

/* From the start: the blob's URL, or where its redirects led to before. */
static int start(struct part *p, struct error *err)
{
    struct download *d = p->d;
    struct blob *b = &d->blobs[p->blob];
    struct endpoint *ep = endpoint_of(p);
    int r = endpoint_connect(d->repo, ep, d->cancel, NULL, err);
    if (r < 0)
        return r;
    CLEANUP_URL struct url u = {0};
    p->redirects = 0;
    if (b->location) {
        r = url_parse(b->location, NULL, &u, err);
    } else if (b->b->path) {
        r = endpoint_url(ep, b->b->path, &u, err);
    } else {
        CLEANUP_FREE char *path =
            xasprintf("/v2/%s/blobs/%s", d->repo->name, b->b->digest->text);
        r = endpoint_url(ep, path, &u, err);
    }
    if (r < 0)
        return r;
    url_release(&p->url);
    p->url = u;
    u = (struct url){0};
    return send_part(p, err);
}

/* Ends a part: what it did not bring is missing again. */
static void part_end(struct part *p)
{
    struct blob *b = &p->d->blobs[p->blob];
    http_flight_free(TAKE(p->flight));
    flush(p);
    range_set_put(&b->missing, (struct registry_range){p->at, p->end - p->at});
    b->n_parts--;
    p->d->n_parts--;
    p->blob = SIZE_MAX;
}

/* ---- what became of a part ---- */

/* Something that may pass went wrong; *cause is what the caller hears when it does not. */
static int part_failed(struct part *p, const struct error *cause, struct error *err)
{
    struct download *d = p->d;
    struct blob *b = &d->blobs[p->blob];
    int64_t now = clock_mono_ms();
    flush(p);
    uint64_t n_new = p->n_new;
    bool dry = n_new == 0;
    int64_t retry_after_s = p->retry_after_s;
    bool was_first_of_round = p->started_ms >= b->failed_ms;
    bool slow_down = p->status == 429 || p->status == 503 || (dry && d->n_parts > 1);
    int status = p->status;
    part_end(p);
    if (slow_down && d->target > 1) {
        d->target--;
        hold(d, now); /* it may grow again */
    }
    if (n_new < FEW_BYTES && !dry)
        b->not_before_ms = now + d->repo->r->backoff_ms / 8;
    if (!dry)
        return 0;
    /* Connections that break together count once. */
    if (was_first_of_round) {
        b->tries++;
        b->failed_ms = now;
        b->not_before_ms = now + retry_pause_ms(d->repo->r, b->tries, retry_after_s);
        if (status == 429)
            d->not_before_ms = MAX(d->not_before_ms, b->not_before_ms);
    }
    bool too_long = retry_after_s > REGISTRY_MAX_WAIT_S;
    if (b->tries < d->repo->r->max_tries && !too_long)
        return 0;
    if (b->endpoint + 1 < d->repo->n_endpoints) {
        b->endpoint++;
        b->tries = 0;
        b->not_before_ms = 0;
        free(TAKE(b->location));
        return 0;
    }
    if (too_long)
        return asks_to_wait(d->repo->endpoints[b->endpoint].host, status, retry_after_s, err);
    error_copy(err, cause);
    return error_wrap(err, "%s: given up after %u tries without a new byte", b->b->name, b->tries);
}

/* An answer that is final. A mirror's is not, as long as there is somebody else to ask. */
static int part_refused(struct part *p, struct error *err)
{
    struct download *d = p->d;
    struct blob *b = &d->blobs[p->blob];
    struct registry_response res = {.status = p->status, .body = BUF_INIT(ERROR_BODY_MAX)};
    buf_append(&res.body, buf_str(&p->error_body));
    part_end(p);
    int r = 0;
    if (b->endpoint + 1 < d->repo->n_endpoints) {
        b->endpoint++;
        free(TAKE(b->location));
    } else {
        r = registry_error(d->repo, &res, b->b->name, err);
    }
    buf_release(&res.body);
    return r;
}

static int part_redirected(struct part *p, struct error *err)
{
    struct url next = {0};
    int r = p->redirects++ < REGISTRY_MAX_REDIRECTS
                ? redirect_target(endpoint_of(p), &p->url, p->location, &next, err)
                : error_set(err, ERR_UNAVAILABLE, "%s: stopped after 10 redirects",
                            p->d->blobs[p->blob].b->name);
    if (r == 0) {
        url_release(&p->url);
        p->url = next;
        r = send_part(p, err);
    }
    if (r < 0)
        part_end(p);
    return r;
}

static int part_unauthorized(struct part *p, struct error *err)
{
    /* New tokens in a row that are not accepted; several connections may use one up together. */
    enum { MAX_CHALLENGES = 8 };
    struct download *d = p->d;
    struct blob *b = &d->blobs[p->blob];
    if (p->auth_generation == endpoint_of(p)->auth_generation && b->challenges++ >= MAX_CHALLENGES)
        return part_refused(p, err);
    int r = endpoint_authorize(d->repo, endpoint_of(p), &p->challenge, p->auth_generation, d->cancel,
                               err);
    http_multi_forgive(d->multi);
    if (r == 0)
        r = start(p, err);
    if (r < 0)
        part_end(p);
    return r;
}

static int wrong_size(struct part *p, struct error *err)
{
    const struct registry_blob *b = p->d->blobs[p->blob].b;
    uint64_t length = p->length;
    part_end(p);
    if (length == UINT64_MAX)
        return error_set(err, ERR_CORRUPT, "%s is larger than the %llu bytes it should have", b->name,
                         (unsigned long long)b->size);
    return error_set(err, ERR_CORRUPT, "%s has %llu bytes where the manifest says %llu", b->name,
                     (unsigned long long)length, (unsigned long long)b->size);
}

/* The body ended, or was cut off: was it all? */
static int part_answered(struct part *p, int r, const struct error *broken, struct error *err)
{
    struct blob *b = &p->d->blobs[p->blob];
    struct endpoint *ep = endpoint_of(p);
    if (p->wrong_size)
        return wrong_size(p, err);
    flush(p);
    bool all = p->whole ? p->at == p->end && p->body_at == b->b->size : p->at == p->end;
    if (!all && !p->enough) {
        struct error cause = ERROR_INIT;
        if (r < 0)
            cause = *broken;
        else
            error_set(&cause, ERR_IO, "%s sent fewer bytes than it announced", ep->host);
        return part_failed(p, &cause, err);
    }
    if (!b->location && !url_is_own(ep, &p->url))
        b->location = xstrdup(p->url.text);
    part_end(p);
    return 0;
}

static int finish(struct part *p, struct error *err)
{
    struct download *d = p->d;
    struct blob *b = &d->blobs[p->blob];
    struct endpoint *ep = endpoint_of(p);
    struct error failed = ERROR_INIT;
    const struct http_result *res = NULL;
    int r = http_flight_result(p->flight, &res, &failed);
    guard_note(&p->guard, ep, res);
    bool final = (r < 0 && r == -(int)p->guard.refused.code) ||
                 res->fault == HTTP_FAULT_CERTIFICATE;
    if (r < 0 && p->status == 0)
        call_explain(&p->guard, res, r, &failed);
    http_flight_free(TAKE(p->flight));
    if (d->sink_result < 0)
        return d->sink_result;
    if (final) {
        part_end(p);
        return error_copy(err, &failed);
    }
    if (p->lied) {
        if (++b->lies >= 2)
            b->no_ranges = true;
        error_set(&failed, ERR_CORRUPT, p->encoded ? "%s sends %s compressed, which was not asked for"
                                                   : "%s sends other bytes of %s than were asked for",
                  p->url.host, b->b->name);
        return part_failed(p, &failed, err);
    }
    if (p->status == 200 || p->status == 206)
        return part_answered(p, r, &failed, err);
    if (p->status == 0) { /* no answer */
        if (r == 0)
            error_set(&failed, ERR_UNAVAILABLE, "%s gave no answer", p->url.host);
        return part_failed(p, &failed, err);
    }
    if (status_is_redirect(p->status))
        return part_redirected(p, err);
    if (p->status == 401 && url_is_own(ep, &p->url))
        return part_unauthorized(p, err);
    error_set(&failed, p->status == 429 ? ERR_BUSY : ERR_UNAVAILABLE, "%s answered %d", p->url.host,
              p->status);
    if (p->status == 416) {
        b->no_ranges = true;
        return part_failed(p, &failed, err);
    }
    if (!url_is_own(ep, &p->url) && !status_is_passing(p->status)) {
        /* A signed address that is over: the registry gives another one. One that it gave just now
         * should have worked. */
        free(TAKE(b->location));
        if (p->redirects > 0)
            return part_failed(p, &failed, err);
        part_end(p);
        return 0;
    }
    return status_is_passing(p->status) ? part_failed(p, &failed, err) : part_refused(p, err);
}

/* ---- giving out work ---- */

static struct part *free_part(struct download *d)
{
    for (unsigned i = 0; i < d->max_parts; i++) {
        if (d->parts[i].blob == SIZE_MAX)
            return &d->parts[i];
    }
    return NULL;
}

/* The open blob with the fewest connections that can use one more now; *until: when one can at the
 * latest, if none can. */
static struct blob *next_blob(struct download *d, int64_t now, int64_t *until)
{
    struct blob *best = NULL;
    if (now < d->not_before_ms) {
        *until = MIN(*until, d->not_before_ms);
        return NULL;
    }
    for (size_t i = 0; i < d->want->n_blobs; i++) {
        struct blob *b = &d->blobs[i];
        if (b->done || b->missing.n == 0)
            continue;
        if (b->n_parts > 0 && (!b->ranges_known || b->no_ranges))
            continue;
        if (now < b->not_before_ms) {
            *until = MIN(*until, b->not_before_ms);
            continue;
        }
        if (!best || b->n_parts < best->n_parts)
            best = b;
    }
    return best;
}

/* The part with the most to do that can give half of it away. */
static struct part *longest_part(struct download *d)
{
    struct part *best = NULL;
    for (unsigned i = 0; i < d->max_parts; i++) {
        struct part *p = &d->parts[i];
        if (p->blob == SIZE_MAX || !p->flight || p->whole || p->status != 206 ||
            d->blobs[p->blob].no_ranges || p->end - p->at < 2 * (uint64_t)STEAL_MIN)
            continue;
        if (!best || p->end - p->at > best->end - best->at)
            best = p;
    }
    return best;
}

static int give_out(struct download *d, int64_t *until, struct error *err)
{
    struct part *p;
    while (d->n_parts < d->target && (p = free_part(d))) {
        struct blob *b = next_blob(d, clock_mono_ms(), until);
        struct registry_range range = {0};
        if (b) {
            range_set_take(&b->missing, b->no_ranges ? UINT64_MAX : d->chunk, &range);
        } else {
            struct part *rich = longest_part(d);
            if (!rich || clock_mono_ms() < d->not_before_ms ||
                clock_mono_ms() < d->blobs[rich->blob].not_before_ms)
                return 0;
            uint64_t middle = rich->at + (rich->end - rich->at) / 2;
            range = (struct registry_range){middle, rich->end - middle};
            rich->end = middle;
            b = &d->blobs[rich->blob];
        }
        p->blob = (size_t)(b - d->blobs);
        p->at = range.offset;
        p->end = range.offset + range.length;
        b->n_parts++;
        d->n_parts++;
        int r = start(p, err);
        if (r < 0) {
            part_end(p);
            return r;
        }
    }
    return 0;
}

/* Blobs that are complete. */
static int close_blobs(struct download *d)
{
    for (size_t i = 0; i < d->want->n_blobs; i++) {
        struct blob *b = &d->blobs[i];
        if (b->done || b->n_parts > 0 || b->missing.n > 0)
            continue;
        b->done = true;
        d->n_open--;
        tell(d, b, true);
        int r = d->want->blob_done ? d->want->blob_done(d->want->ctx, i, d->err) : 0;
        if (r < 0) {
            d->sink_result = r;
            return r;
        }
    }
    return 0;
}

static int64_t look_ms(const struct download *d)
{
    return d->answer_ms < 0 ? LOOK_MS : MIN(LOOK_MS + 4 * d->answer_ms, (int64_t)LOOK_MAX_MS);
}

/* Are more connections faster? */
static void climb(struct download *d, int64_t now, uint64_t rate)
{
    if (d->n_parts < d->target || d->answer_ms < 0)
        return;
    if (d->before > 0 && rate < d->before_rate + d->before_rate / 8) {
        d->target = MIN(d->target, d->before);
        hold(d, now);
        return;
    }
    if (now < d->hold_ms || d->target == d->max_parts)
        return;
    d->before = d->target;
    d->before_rate = rate;
    d->target = MIN(d->target < FIRST_CONNECTIONS ? 2 * d->target : d->target + 2, d->max_parts);
}

/* Now and then: is the line faster with more connections, how long do chunks last. */
static void measure(struct download *d, int64_t now)
{
    if (now - d->rate_ms < look_ms(d))
        return;
    uint64_t rate = d->rate_bytes * 1000 / (uint64_t)(now - d->rate_ms);
    d->rate_ms = now;
    d->rate_bytes = 0;
    climb(d, now, rate);
    if (!d->repo->r->chunk_bytes && d->n_parts > 0) {
        uint64_t each = 2 * rate / d->n_parts;
        uint64_t most = d->n_parts == 1 ? MAX_CHUNK_ALONE : MAX_CHUNK;
        d->chunk = MAX((uint64_t)MIN_CHUNK, MIN(each, most));
    }
}

/* Connections that send, but next to nothing. */
static int replace_slow(struct download *d, int64_t now, struct error *err)
{
    int64_t window = d->repo->r->stall_ms + d->repo->r->stall_ms / 2;
    for (unsigned i = 0; i < d->max_parts; i++) {
        struct part *p = &d->parts[i];
        if (p->blob == SIZE_MAX || now - p->window_ms < window)
            continue;
        bool slow = p->window_bytes < FEW_BYTES;
        p->window_ms = now;
        p->window_bytes = 0;
        if (!slow)
            continue;
        struct error cause = ERROR_INIT;
        error_set(&cause, ERR_TIMEOUT, "%s sends next to nothing", p->url.host);
        int r = part_failed(p, &cause, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int run(struct download *d, struct error *err)
{
    int r = close_blobs(d);
    while (r == 0 && d->n_open > 0) {
        int64_t now = clock_mono_ms();
        int64_t until = now + MIN((int64_t)TICK_MS, look_ms(d));
        r = give_out(d, &until, err);
        if (r == 0)
            r = http_multi_wait(d->multi, d->cancel, MAX(until - clock_mono_ms(), 0), err);
        measure(d, clock_mono_ms()); /* before those that ended are taken away */
        struct http_flight *f;
        while (r == 0 && (f = http_multi_next(d->multi)))
            r = finish(http_flight_ctx(f), err);
        if (r == 0 && d->sink_result < 0)
            r = d->sink_result;
        now = clock_mono_ms();
        if (r == 0)
            r = replace_slow(d, now, err);
        if (r == 0)
            r = close_blobs(d);
    }
    return r;
}

static int prepare(struct download *d, struct error *err)
{
    for (size_t i = 0; i < d->want->n_blobs; i++) {
        const struct registry_blob *b = &d->want->blobs[i];
        struct blob *s = &d->blobs[i];
        *s = (struct blob){.b = b, .endpoint = d->repo->at};
        if (!b->path && !b->digest)
            return error_set(err, ERR_INTERNAL, "'%s': a blob without path and digest", b->name);
        int r = range_set_missing(&s->missing, b->size, b->have, b->n_have, err);
        if (r < 0)
            return error_wrap(err, "%s", b->name);
        s->received = b->size - range_set_bytes(&s->missing);
        tell(d, s, true);
    }
    return 0;
}

int registry_download(struct registry_repo *repo, const struct registry_download *want,
                      struct http_cancel *cancel, struct error *err)
{
    struct error own = ERROR_INIT; /* callers may pass no err, our callbacks need one */
    struct download d = {
        .repo = repo,
        .want = want,
        .cancel = cancel,
        .multi = http_multi_new(),
        .blobs = xcalloc(want->n_blobs + 1, sizeof(*d.blobs)),
        .n_open = want->n_blobs,
        .max_parts = repo->r->max_connections,
        .target = (unsigned)MIN(MIN(repo->r->max_connections, (unsigned)FIRST_CONNECTIONS),
                                MAX(want->n_blobs, 1)),
        .answer_ms = -1,
        .chunk = repo->r->chunk_bytes ? repo->r->chunk_bytes : FIRST_CHUNK,
        .rate_ms = clock_mono_ms(),
        .err = &own,
    };
    d.parts = xcalloc(d.max_parts, sizeof(*d.parts));
    for (unsigned i = 0; i < d.max_parts; i++) {
        d.parts[i].d = &d;
        d.parts[i].blob = SIZE_MAX;
        d.parts[i].buffer = xmalloc(WRITE_BYTES);
    }
    int r = d.multi ? prepare(&d, &own)
                    : error_set(&own, ERR_INTERNAL, "the HTTP client cannot start");
    if (r == 0)
        r = run(&d, &own);
    for (unsigned i = 0; i < d.max_parts; i++) {
        struct part *p = &d.parts[i];
        if (p->blob != SIZE_MAX)
            part_end(p); /* keeps what came, unless the sink failed */
        answer_clear(p);
        guard_release(&p->guard);
        url_release(&p->url);
        free(p->buffer);
    }
    for (size_t i = 0; i < want->n_blobs; i++) {
        if (r < 0)
            tell(&d, &d.blobs[i], true);
        range_set_release(&d.blobs[i].missing);
        free(d.blobs[i].location);
    }
    free(d.parts);
    free(d.blobs);
    http_multi_free(d.multi);
    return r < 0 ? (own.code != ERR_NONE ? (error_copy(err, &own), r) : r) : 0;
}
