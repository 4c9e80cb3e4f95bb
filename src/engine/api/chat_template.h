/* SPDX-License-Identifier: Apache-2.0
 *
 * The chat template of a model: from messages to the text of the prompt.
 *
 * Where it comes from, first found: a file given on the command line; `tokenizer.chat_template` of
 * the model (and `tokenizer.chat_template.tool_use`, taken instead when a request has tools); else
 * ChatML, the most common form, which a model without a template may or may not understand.
 *
 * What a template sees: messages, tools (none without any), documents (none),
 * add_generation_prompt, bos_token, eos_token, and the request's chat_template_kwargs. */
#ifndef ENGINE_API_CHAT_TEMPLATE_H
#define ENGINE_API_CHAT_TEMPLATE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/str.h"
#include "engine/template/template.h"

struct chat_template {
    struct template *plain;
    struct template *tool_use; /* NULL = the plain one */
    char *source;              /* text of the plain one */
    bool is_default;           /* it is ChatML for want of another */
    bool wants_parts; /* it shows content only as an array of {"type": "text", "text": …} */
    char *bos, *eos;  /* their texts, "" if there are none */
};

struct chat_template_sources {
    const char *file;    /* NULL = none */
    struct str plain;    /* from the model; empty = none */
    struct str tool_use; /* likewise */
    struct str bos, eos;
};

int chat_template_create(const struct chat_template_sources *src, struct chat_template **ret,
                         struct error *err);
void chat_template_free(struct chat_template *t); /* NULL is fine */

/* What a request gives to its template; everything borrowed. */
struct chat_prompt {
    const struct json *messages; /* as the client sent them; checked here */
    const struct json *tools;    /* NULL = none */
    const struct json *kwargs;   /* an object or NULL */
    bool add_generation_prompt;
};

/* Takes messages, tools, tool_choice, chat_template_kwargs and add_generation_prompt of a body. */
int chat_prompt_parse(const struct json *body, struct chat_prompt *ret, struct error *err);

enum { CHAT_TEXT_MAX = 256 << 20 };

/* Appends the prompt's text to out. Messages that are wrong, and those that the template itself
 * refuses, are ERR_INVALID. */
int chat_template_render(const struct chat_template *t, const struct chat_prompt *p,
                         struct buf *out, struct error *err);

#endif
