/* SPDX-License-Identifier: Apache-2.0
 *
 * A conversation with a model, see session.h. */
#include "cli/session.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "cli/attach.h"

void session_init(struct session *s, const struct chat_endpoint *endpoint, const char *model,
                  bool color, bool debug)
{
    *s = (struct session){.endpoint = endpoint,
                          .model = model,
                          .messages = js_array(),
                          .params = js_object(),
                          .debug = debug};
    chat_view_init(&s->view, stdout, color);
}

void session_release(struct session *s)
{
    free(s->system);
    js_free(s->messages);
    js_free(s->params);
    *s = (struct session){0};
}

void session_set_system(struct session *s, const char *text)
{
    free(s->system);
    s->system = text && *text ? xstrdup(text) : NULL;
}

static struct json *make_message(const char *role, struct json *content)
{
    struct json *message = js_object();
    js_set_cstr(message, "role", role);
    js_set(message, "content", content);
    return message;
}

int session_ask(struct session *s, const char *prompt, struct error *err)
{
    struct json *content = NULL;
    int r = attach_prompt(prompt, &content, err);
    if (r < 0)
        return r;
    struct json *question = make_message("user", content);
    CLEANUP_JSON struct json *messages = js_array();
    if (s->system)
        js_push(messages, make_message("system", js_cstr(s->system)));
    for (size_t i = 0; i < js_len(s->messages); i++)
        js_push(messages, js_ref(js_at(s->messages, i)));
    js_push(messages, js_ref(question));

    struct chat_request request = {
        .endpoint = s->endpoint,
        .model = s->model,
        .messages = messages,
        .params = s->params,
        .want_usage = s->debug,
    };
    char *answer = NULL;
    struct chat_stats stats;
    chat_view_begin(&s->view);
    r = chat_send(&request, &s->view.sink, &answer, &stats, err);
    chat_view_end(&s->view);
    if (r < 0) {
        /* What was shown of the answer ends its line. */
        if (s->view.part != VIEW_START) {
            fputc('\n', s->view.to);
            fflush(s->view.to);
        }
        js_free(question);
        return r;
    }
    chat_view_usage(&s->view, &stats);
    fputc('\n', s->view.to);
    fflush(s->view.to);
    if (s->debug)
        chat_print_stats(stderr, &stats);
    js_push(s->messages, question);
    js_push(s->messages, make_message("assistant", js_cstr(answer)));
    free(answer);
    return 0;
}
