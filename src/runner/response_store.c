/* SPDX-License-Identifier: Apache-2.0
 *
 * Kept responses, see response_store.h. */
#include "runner/response_store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"

struct kept {
    struct kept *next; /* a newer one */
    char *id;
    char *items, *response; /* JSON texts */
    size_t bytes;
    int64_t until_ms;
};

struct response_store {
    pthread_mutex_t lock;
    struct kept *oldest, **end;
    size_t bytes;
};

struct response_store *response_store_new(void)
{
    struct response_store *s = xcalloc(1, sizeof(*s));
    pthread_mutex_init(&s->lock, NULL);
    s->end = &s->oldest;
    return s;
}

/* Takes out and frees what *link names. */
static void drop(struct response_store *s, struct kept **link)
{
    struct kept *k = *link;
    *link = k->next;
    if (s->end == &k->next)
        s->end = link;
    s->bytes -= k->bytes;
    free(k->id);
    free(k->items);
    free(k->response);
    free(k);
}

void response_store_free(struct response_store *s)
{
    if (!s)
        return;
    while (s->oldest)
        drop(s, &s->oldest);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

/* Makes room for `bytes`, and drops what is too old. With the lock held. */
static void make_room(struct response_store *s, size_t bytes)
{
    while (s->oldest &&
           (s->oldest->until_ms <= clock_mono_ms() || s->bytes + bytes > RESPONSES_MAX_BYTES))
        drop(s, &s->oldest);
}

static struct kept **find(struct response_store *s, const char *id)
{
    make_room(s, 0);
    struct kept **link = &s->oldest;
    while (*link && strcmp((*link)->id, id) != 0)
        link = &(*link)->next;
    return link;
}

void response_store_put(struct response_store *s, const char *id, const struct json *items,
                        const struct json *response)
{
    struct kept *k = xcalloc(1, sizeof(*k));
    k->id = xstrdup(id);
    k->items = js_text(items, JS_COMPACT);
    k->response = js_text(response, JS_COMPACT);
    k->bytes = sizeof(*k) + strlen(id) + strlen(k->items) + strlen(k->response);
    k->until_ms = clock_mono_ms() + (int64_t)RESPONSES_TTL_S * 1000;
    pthread_mutex_lock(&s->lock);
    make_room(s, k->bytes);
    *s->end = k;
    s->end = &k->next;
    s->bytes += k->bytes;
    make_room(s, 0); /* itself, if it is larger than everything */
    pthread_mutex_unlock(&s->lock);
}

bool response_store_get(struct response_store *s, const char *id, struct json **ret_items,
                        struct json **ret_response)
{
    pthread_mutex_lock(&s->lock);
    const struct kept *k = *find(s, id);
    CLEANUP_FREE char *items = k && ret_items ? xstrdup(k->items) : NULL;
    CLEANUP_FREE char *response = k && ret_response ? xstrdup(k->response) : NULL;
    bool found = k != NULL;
    pthread_mutex_unlock(&s->lock);
    if (items)
        js_parse(str_from(items), "a kept response", ret_items, NULL);
    if (response)
        js_parse(str_from(response), "a kept response", ret_response, NULL);
    return found;
}

bool response_store_delete(struct response_store *s, const char *id)
{
    pthread_mutex_lock(&s->lock);
    struct kept **link = find(s, id);
    bool found = *link != NULL;
    if (found)
        drop(s, link);
    pthread_mutex_unlock(&s->lock);
    return found;
}
