/* SPDX-License-Identifier: Apache-2.0
 *
 * One exchange of another API, done as an OpenAI chat completion: Anthropic's Messages, OpenAI's
 * Responses, Ollama's chat and generate. The chat completion is the one internal form; an API is a
 * file that turns its requests into one, and what the engine answers back into its own words.
 *
 *     struct turn t;
 *     r = turn_begin(&t, &api_anthropic, request, NULL, err);    // t.body is what to ask the
 * engine … a stream:  turn_open(&t, out); turn_chunk(&t, chunk, out) …; turn_end(&t, out); … a
 * whole:   answer = turn_whole(&t, completion); turn_release(&t);
 *
 * Everything here is text in, text out: no I/O, no clock but for time stamps. Threads: a turn
 * belongs to one. */
#ifndef APIS_TURN_H
#define APIS_TURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"

enum turn_part { PART_NONE, PART_REASONING, PART_TEXT, PART_CALL };

enum turn_finish { TURN_STOP, TURN_LENGTH, TURN_CALLS };

enum { TURN_TEXT_MAX = 64 << 20, TURN_CALLS_MAX = 256, TURN_ID_MAX = 48 };

struct turn_call {
    char *id, *name;
    struct buf arguments;
};

struct turn_usage {
    int64_t prompt, cached, completion, reasoning; /* tokens */
    int64_t prompt_ns, completion_ns;              /* 0 = the engine does not say */
};

struct turn;

struct api {
    const char *stream_type; /* Content-Type of its streams */
    const char *id_prefix;   /* of an answer's id */
    bool streams;            /* also when a request does not say */
    /* Fills t->body, without "model" and "stream". `before`: earlier messages in OpenAI's form,
     * NULL = none. */
    int (*translate)(struct turn *t, const struct json *request, const struct json *before,
                     struct error *err);
    /* A stream's first events. */
    void (*open)(struct turn *t, struct buf *out);
    /* More of a part; t->part is the one before, t->call its number. The first piece of a call may
     * be empty. */
    void (*piece)(struct turn *t, enum turn_part part, size_t call, struct str piece,
                  struct buf *out);
    /* A stream's last events; t is complete. */
    void (*end)(struct turn *t, struct buf *out);
    /* The whole answer; t is complete. */
    struct json *(*whole)(struct turn *t);
    /* The body of an error with this HTTP status, and how a stream that has begun tells it. */
    struct json *(*error)(int status, const char *message);
    void (*broken)(struct turn *t, int status, const char *message, struct buf *out);
};

extern const struct api api_anthropic, api_responses, api_ollama_chat, api_ollama_generate;

struct turn {
    const struct api *api;
    struct json *request;
    struct json *body;
    char *model;
    bool stream;
    char id[TURN_ID_MAX];
    int64_t created; /* Unix seconds */
    int64_t began_ns;

    /* what came so far */
    struct buf reasoning, text;
    struct turn_call *calls;
    size_t n_calls;
    enum turn_finish finish;
    char *stop; /* the stop string that ended it; NULL = none, or the engine does not say */
    struct turn_usage usage;

    /* the API's place in its stream */
    enum turn_part part;
    size_t call;
    int64_t sequence; /* of events */
    int64_t item;     /* blocks or items begun */
    size_t item_at;   /* where the open one begins in the text or reasoning */
    char item_id[TURN_ID_MAX];
    struct json *output; /* items that are done */
};

/* ERR_INVALID or ERR_UNSUPPORTED with what is wrong in the request; t is to be released in any
 * case. */
int turn_begin(struct turn *t, const struct api *api, struct json *request,
               const struct json *before, struct error *err);
void turn_release(struct turn *t);

void turn_open(struct turn *t, struct buf *out);
/* ERR_CORRUPT: not what an engine sends. */
int turn_chunk(struct turn *t, const struct json *chunk, struct buf *out, struct error *err);
void turn_end(struct turn *t, struct buf *out);
int turn_whole(struct turn *t, const struct json *completion, struct json **ret, struct error *err);

/* PREFIX and 24 letters and digits by chance. */
void turn_new_id(const char *prefix, char out[TURN_ID_MAX]);

#endif
