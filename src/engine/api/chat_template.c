/* SPDX-License-Identifier: Apache-2.0
 *
 * Choosing and rendering chat templates. */
#include "engine/api/chat_template.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "engine/api/messages.h"
#include "engine/api/tool_prompt.h"

enum { TEMPLATE_FILE_MAX = 1 << 20 };

static const char chatml[] =
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message.role + '\\n' + (message.content or '') + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}";

/* Some templates (SmolVLM's, Idefics3's) walk over the parts of a content and show nothing of a
 * plain string. Which kind this is, a message of one word tells. */
static bool shows_word(struct chat_template *t, bool parts)
{
    static const char word[] = "Quetzalcoatl";
    CLEANUP_JSON struct json *messages = js_array();
    struct json *message = js_object();
    js_set_cstr(message, "role", "user");
    js_set_cstr(message, "content", word);
    js_push(messages, message);
    CLEANUP_JSON struct json *none = js_object();
    const struct chat_prompt prompt = {
        .messages = messages, .kwargs = none, .add_generation_prompt = true};
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
    bool before = t->wants_parts;
    t->wants_parts = parts;
    int r = chat_template_render(t, &prompt, &out, NULL);
    t->wants_parts = before;
    return r == 0 && str_find(buf_str(&out), str_from(word)) >= 0;
}

static bool probe(void *ctx, struct json *messages, const struct json *tools, struct buf *out);

/* What the template does with tools. Where none of the trials was rendered, its text must tell. */
static void find_tools(struct chat_template *t)
{
    for (int with_tools = 0; with_tools < 2; with_tools++)
        template_probe(probe, t, with_tools, &t->shows[with_tools]);
    enum shown shown = t->shows[1].tools;
    t->knows_tools = shown == SHOWN_YES ||
                     (shown == SHOWN_NEVER_RENDERED && (t->tool_use || strstr(t->source, "tool")));
}

int chat_template_create(const struct chat_template_sources *src, struct chat_template **ret,
                         struct error *err)
{
    CLEANUP_BUF struct buf file = BUF_INIT(TEMPLATE_FILE_MAX);
    struct chat_template *t = xcalloc(1, sizeof(*t));
    struct str text = src->plain;
    int r = 0;
    if (src->file) {
        r = file_read(src->file, &file, err);
        text = buf_str(&file);
    } else if (text.len == 0) {
        text = str_from(chatml);
        t->is_default = true;
    }
    if (r == 0)
        r = template_parse(text, &t->plain, err);
    if (r == 0 && !src->file && src->tool_use.len > 0)
        r = template_parse(src->tool_use, &t->tool_use, err);
    if (r < 0) {
        chat_template_free(t);
        return r;
    }
    t->source = str_dup(text);
    t->bos = str_dup(src->bos);
    t->eos = str_dup(src->eos);
    t->dialect = dialect_detect(src->tool_use.len > 0 && !src->file ? src->tool_use : text,
                                src->has_token, src->ctx);
    if (!t->dialect.reasoning)
        t->dialect.reasoning = dialect_detect(text, NULL, NULL).reasoning;
    t->wants_parts = !shows_word(t, false) && shows_word(t, true);
    find_tools(t);
    *ret = t;
    return 0;
}

void chat_template_free(struct chat_template *t)
{
    if (!t)
        return;
    template_free(t->plain);
    template_free(t->tool_use);
    free(t->source);
    free(t->bos);
    free(t->eos);
    free(t);
}

int chat_prompt_parse(const struct json *body, struct chat_prompt *ret, struct error *err)
{
    *ret = (struct chat_prompt){
        .messages = js_get(body, "messages"), .add_generation_prompt = true, .kwargs = js_object()};
    const struct json *kwargs = js_get(body, "chat_template_kwargs");
    int r = js_want_bool(body, "add_generation_prompt", &ret->add_generation_prompt, err);
    if (r == 0)
        r = tool_wish_parse(body, &ret->tools, err);
    if (r == 0 && !js_is(kwargs, JS_NULL) && !js_is(kwargs, JS_OBJECT))
        r = error_set(err, ERR_INVALID, "'chat_template_kwargs' must be an object, not %s",
                      js_type_name(kwargs));
    if (r == 0)
        r = reasoning_wish_parse(body, &ret->reasoning, err);
    if (r < 0)
        return r;
    struct json_iter it = {0};
    while (js_next(kwargs, &it))
        js_set_n(ret->kwargs, it.key, js_ref(it.value));
    reasoning_set_variables(&ret->reasoning, ret->kwargs);
    return 0;
}

void chat_prompt_release(struct chat_prompt *p)
{
    js_free(p->kwargs);
    tool_wish_release(&p->tools);
    *p = (struct chat_prompt){0};
}

bool chat_reasoning_is_open(const struct chat_template *t, struct str prompt)
{
    const struct reasoning_format *r = t->dialect.reasoning;
    if (!r || !r->open)
        return r != NULL;
    return str_ends_with(str_trim(prompt), str_trim(str_from(r->open)));
}

/* Models know a system role; `developer` is OpenAI's newer name for it. */
static void rename_developer(struct json *messages)
{
    for (size_t i = 0; i < js_len(messages); i++)
        if (str_eq_c(js_get_str(js_at(messages, i), "role"), "developer"))
            js_set_cstr(js_at(messages, i), "role", "system");
}

/* Strings become arrays of one text. */
static void wrap_contents(struct json *messages)
{
    for (size_t i = 0; i < js_len(messages); i++) {
        struct json *message = js_at(messages, i);
        struct str text = js_get_str(message, "content");
        if (!text.ptr)
            continue;
        struct json *parts = js_array(), *part = js_object();
        js_set_cstr(part, "type", "text");
        js_set_str(part, "text", text);
        js_push(parts, part);
        js_set(message, "content", parts);
    }
}

/* How a prompt is tried. */
struct attempt {
    unsigned flags; /* messages_flags */
    bool by_user;   /* tools in words are told by the user */
    bool in_words;  /* so are calls that the template does not show */
};

/* Messages as the template wants them, which are taken over, and variables: the text. */
static int run(const struct chat_template *t, const struct json *kwargs, struct json *messages,
               const struct json *tools, bool generation, struct buf *out, bool *ret_raised,
               struct error *err)
{
    if (t->wants_parts)
        wrap_contents(messages);
    CLEANUP_JSON struct json *vars = kwargs ? js_copy(kwargs) : js_object();
    js_set(vars, "messages", messages);
    js_set(vars, "tools", tools ? js_copy(tools) : js_null());
    if (!js_get(vars, "documents"))
        js_set(vars, "documents", js_null());
    js_set_bool(vars, "add_generation_prompt", generation);
    js_set_cstr(vars, "bos_token", t->bos);
    js_set_cstr(vars, "eos_token", t->eos);

    struct template_options options = {.ret_raised = ret_raised};
    const struct template *use = tools && t->tool_use ? t->tool_use : t->plain;
    return template_render(use, vars, &options, out, err);
}

static bool probe(void *ctx, struct json *messages, const struct json *tools, struct buf *out)
{
    return run(ctx, NULL, messages, tools, true, out, NULL, NULL) == 0;
}

/* Tools, calls and results where the template knows nothing of them. */
static void tell_all(const struct chat_template *t, const struct chat_prompt *p, struct attempt how,
                     struct json *messages)
{
    for (size_t i = 0; i < js_len(messages); i++)
        if (js_len(js_get(js_at(messages, i), "tool_calls")) > 0)
            tool_prompt_write_calls(js_at(messages, i), t->dialect.calls);
    if (p->tools.tools)
        tool_prompt_instruct(messages, p->tools.tools, t->dialect.calls, how.by_user);
    tool_prompt_write_results(messages);
}

/* Calls and results for a template that knows tools. *ret_hidden: some would be left out. */
static void adapt_calls(const struct chat_template *t, const struct template_shows *s,
                        struct attempt how, struct json *messages, bool *ret_hidden)
{
    bool values = how.flags & MESSAGES_PARSE_ARGUMENTS;
    for (size_t i = 0; i < js_len(messages); i++) {
        struct json *message = js_at(messages, i);
        size_t n = js_len(js_get(message, "tool_calls"));
        enum call_content content = call_content_of(message);
        if (n > 1 && s->calls[values][content] == SHOWN_YES &&
            s->second_call[values][content] != SHOWN_YES)
            tool_prompt_split_calls(messages, i);
        if (n == 0 || s->calls[values][content] != SHOWN_NO)
            continue;
        *ret_hidden = true;
        if (how.in_words)
            tool_prompt_write_calls(message, t->dialect.calls);
    }
    if (s->results == SHOWN_NO)
        tool_prompt_write_results(messages);
}

static int render(const struct chat_template *t, const struct chat_prompt *p, struct attempt how,
                  struct buf *out, struct error *err)
{
    struct json *messages;
    int r = messages_normalise(p->messages, how.flags, &messages, err);
    if (r < 0)
        return r;
    if (!strstr(t->source, "developer"))
        rename_developer(messages);
    bool hidden = false, raised = false;
    if (t->knows_tools || t->dialect.has_tools)
        adapt_calls(t, &t->shows[p->tools.tools != NULL], how, messages, &hidden);
    else
        tell_all(t, p, how, messages);
    if (!t->knows_tools && t->dialect.has_tools && p->tools.tools)
        tool_prompt_instruct(messages, p->tools.tools, t->dialect.calls, how.by_user);
    if (hidden && !how.in_words) {
        js_free(messages);
        return error_set(err, ERR_INVALID, "the chat template does not show calls in this form");
    }
    return run(t, p->kwargs, messages, p->tools.tools, p->add_generation_prompt, out, &raised, err);
}

static bool has_tool_calls(const struct json *messages)
{
    for (size_t i = 0; i < js_len(messages); i++)
        if (js_len(js_get(js_at(messages, i), "tool_calls")) > 0)
            return true;
    return false;
}

static bool has_null_content(const struct json *messages)
{
    for (size_t i = 0; i < js_len(messages); i++)
        if (js_is(js_get(js_at(messages, i), "content"), JS_NULL))
            return true;
    return false;
}

/* Templates differ in what they can use; the first way that one takes counts:
 *
 * - arguments of calls as values, and null where an assistant only called: Hugging Face's form
 * - "" for null, for templates that look into the content without asking
 * - arguments as the text that the client sent, for templates that put strings together
 * - tools in words told by the user, for templates that know no system
 * - calls that the template leaves out, in words */
int chat_template_render(const struct chat_template *t, const struct chat_prompt *p,
                         struct buf *out, struct error *err)
{
    size_t start = out->len;
    bool calls = has_tool_calls(p->messages), null = has_null_content(p->messages);
    bool in_words = p->tools.tools && !t->knows_tools;
    const struct {
        bool wanted;
        struct attempt how;
    } ways[] = {
        {true, {.flags = MESSAGES_PARSE_ARGUMENTS}},
        {null, {.flags = MESSAGES_PARSE_ARGUMENTS | MESSAGES_EMPTY_CONTENT}},
        {calls, {.flags = 0}},
        {calls && null, {.flags = MESSAGES_EMPTY_CONTENT}},
        {in_words, {.flags = MESSAGES_PARSE_ARGUMENTS | MESSAGES_EMPTY_CONTENT, .by_user = true}},
        {calls, {.flags = 0, .in_words = true}},
        {calls, {.flags = MESSAGES_EMPTY_CONTENT, .in_words = true}},
    };
    struct error first = ERROR_INIT;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        struct error why = ERROR_INIT;
        if (!ways[i].wanted)
            continue;
        buf_truncate(out, start);
        if (render(t, p, ways[i].how, out, &why) == 0)
            return 0;
        if (first.code == ERR_NONE)
            first = why;
    }
    return error_copy(err, &first);
}
