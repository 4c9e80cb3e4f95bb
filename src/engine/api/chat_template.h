/* SPDX-License-Identifier: Apache-2.0
 *
 * The chat template of a model: from messages to the text of the prompt.
 *
 * Where it comes from, first found: a file given on the command line; `tokenizer.chat_template` of
 * the model (and `tokenizer.chat_template.tool_use`, taken instead when a request has tools); else
 * ChatML, the most common form, which a model without a template may or may not understand.
 *
 * What a template sees: messages, tools (none without any), documents (none),
 * add_generation_prompt, bos_token, eos_token, what reasoning.h makes of the wishes about
 * reasoning, and the request's chat_template_kwargs. Where it shows no tools, they are told in
 * words, and so are calls and results that it would leave out (template_probe.h, tool_prompt.h). */
#ifndef ENGINE_API_CHAT_TEMPLATE_H
#define ENGINE_API_CHAT_TEMPLATE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/str.h"
#include "engine/api/reasoning.h"
#include "engine/api/template_probe.h"
#include "engine/api/tools.h"
#include "engine/dialect/dialect.h"
#include "engine/template/template.h"

struct chat_template {
    struct template *plain;
    struct template *tool_use;      /* NULL = the plain one */
    char *source;                   /* text of the plain one */
    bool is_default;                /* it is ChatML for want of another */
    bool knows_tools;               /* else they are told in words */
    struct template_shows shows[2]; /* without tools, with some */
    bool wants_parts;       /* it shows content only as an array of {"type": "text", "text": …} */
    char *bos, *eos;        /* their texts, "" if there are none */
    struct dialect dialect; /* what answers look like */
};

struct chat_template_sources {
    const char *file;    /* NULL = none */
    struct str plain;    /* from the model; empty = none */
    struct str tool_use; /* likewise */
    struct str bos, eos;
    bool (*has_token)(void *ctx, struct str text); /* of the vocabulary; NULL = not known */
    void *ctx;
};

int chat_template_create(const struct chat_template_sources *src, struct chat_template **ret,
                         struct error *err);
void chat_template_free(struct chat_template *t); /* NULL is fine */

/* What a request gives to its template. */
struct chat_prompt {
    const struct json *messages; /* borrowed: as the client sent them; checked when rendered */
    struct json *kwargs;         /* an object */
    struct tool_wish tools;
    struct reasoning_wish reasoning;
    bool add_generation_prompt;
};

/* Release in any case. */
int chat_prompt_parse(const struct json *body, struct chat_prompt *ret, struct error *err);
void chat_prompt_release(struct chat_prompt *p);

/* Does a prompt that the template wrote end within reasoning? */
bool chat_reasoning_is_open(const struct chat_template *t, struct str prompt);

enum { CHAT_TEXT_MAX = 256 << 20 };

/* Appends the prompt's text to out. Messages that are wrong, and those that the template itself
 * refuses, are ERR_INVALID. */
int chat_template_render(const struct chat_template *t, const struct chat_prompt *p,
                         struct buf *out, struct error *err);

#endif
