/* SPDX-License-Identifier: Apache-2.0
 *
 * The events of a streamed response. An item is open while its part lasts:
 *
 *     response.created, response.in_progress
 *     response.output_item.added
 *       response.content_part.added                          of a message or reasoning
 *         response.output_text.delta … response.output_text.done
 *       response.content_part.done
 *     response.output_item.done
 *     …
 *     response.completed, or response.incomplete, or response.failed
 *
 * Source: https://platform.openai.com/docs/api-reference/responses-streaming. */
#include "apis/responses.h"
#include "base/alloc.h"
#include "http/sse.h"

/* Writes an event and frees its fields. */
static void event(struct turn *t, const char *type, struct json *fields, struct buf *out)
{
    CLEANUP_JSON struct json *e = js_object();
    js_set_cstr(e, "type", type);
    js_set_int(e, "sequence_number", t->sequence++);
    struct json_iter it = {0};
    while (js_next(fields, &it))
        js_set_n(e, it.key, js_ref(it.value));
    js_free(fields);
    CLEANUP_FREE char *text = js_text(e, JS_COMPACT);
    sse_write(out, type, str_from(text));
}

static void response_event(struct turn *t, const char *type, struct json *response, struct buf *out)
{
    struct json *v = js_object();
    js_set(v, "response", response);
    event(t, type, v, out);
}

void responses_open(struct turn *t, struct buf *out)
{
    response_event(t, "response.created", responses_object(t, "in_progress", NULL), out);
    response_event(t, "response.in_progress", responses_object(t, "in_progress", NULL), out);
}

/* What every event of the open item says. */
static struct json *place(const struct turn *t, bool content)
{
    struct json *v = js_object();
    js_set_cstr(v, "item_id", t->item_id);
    js_set_int(v, "output_index", t->item - 1);
    if (content)
        js_set_int(v, "content_index", 0);
    return v;
}

static void item_event(struct turn *t, const char *type, struct json *item, struct buf *out)
{
    struct json *v = js_object();
    js_set_int(v, "output_index", t->item - 1);
    js_set(v, "item", item);
    event(t, type, v, out);
}

static void part_event(struct turn *t, const char *type, enum turn_part part, struct str text,
                       struct buf *out)
{
    struct json *v = place(t, true);
    js_set(v, "part", responses_part(part, text));
    event(t, type, v, out);
}

static void begin_item(struct turn *t, enum turn_part part, size_t call, struct buf *out)
{
    t->item++;
    t->item_at = part == PART_TEXT ? t->text.len : part == PART_REASONING ? t->reasoning.len : 0;
    responses_item_id(part, t->item_id);
    item_event(t, "response.output_item.added",
               responses_item(t, part, call, t->item_id, "in_progress", false), out);
    if (part != PART_CALL)
        part_event(t, "response.content_part.added", part, STR(""), out);
}

static void close_item(struct turn *t, const char *status, struct buf *out)
{
    if (t->part == PART_NONE)
        return;
    bool text = t->part == PART_TEXT;
    struct json *v = place(t, t->part != PART_CALL);
    if (t->part == PART_CALL) {
        js_set_cstr(v, "name", t->calls[t->call].name);
        js_set_str(v, "arguments", buf_str(&t->calls[t->call].arguments));
        event(t, "response.function_call_arguments.done", v, out);
    } else {
        struct str whole = responses_text(t, t->part);
        js_set_str(v, "text", whole);
        if (text)
            js_set(v, "logprobs", js_array());
        event(t, text ? "response.output_text.done" : "response.reasoning_text.done", v, out);
        part_event(t, "response.content_part.done", t->part, whole, out);
    }
    struct json *item = responses_item(t, t->part, t->call, t->item_id, status, true);
    js_push(t->output, js_ref(item));
    item_event(t, "response.output_item.done", item, out);
}

void responses_piece(struct turn *t, enum turn_part part, size_t call, struct str piece,
                     struct buf *out)
{
    if (part != t->part || call != t->call) {
        close_item(t, "completed", out);
        begin_item(t, part, call, out);
    }
    if (piece.len == 0)
        return;
    struct json *v = place(t, part != PART_CALL);
    js_set_str(v, "delta", piece);
    if (part == PART_TEXT)
        js_set(v, "logprobs", js_array());
    event(t,
          part == PART_CALL   ? "response.function_call_arguments.delta"
          : part == PART_TEXT ? "response.output_text.delta"
                              : "response.reasoning_text.delta",
          v, out);
}

void responses_end(struct turn *t, struct buf *out)
{
    const char *status = responses_status(t);
    close_item(t, status, out);
    response_event(t, t->finish == TURN_LENGTH ? "response.incomplete" : "response.completed",
                   responses_object(t, status, NULL), out);
}

void responses_broken(struct turn *t, int status, const char *message, struct buf *out)
{
    (void)status;
    struct json *v = js_object();
    js_set_cstr(v, "code", "server_error");
    js_set_cstr(v, "message", message);
    js_set(v, "param", js_null());
    event(t, "error", v, out);
    response_event(t, "response.failed", responses_object(t, "failed", message), out);
}
