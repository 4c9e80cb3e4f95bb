/* SPDX-License-Identifier: Apache-2.0
 *
 * Fuzzes what happens to the body of a completion request before a model is needed: JSON, sampling
 * parameters, messages, tools, the chat template, stop strings. The first byte cuts the text that
 * the stop strings of the body are looked for in. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "engine/api/chat_template.h"
#include "engine/api/params.h"
#include "engine/run/stop_matcher.h"

static const char template_text[] =
    "{% for m in messages %}{{ m.role }}:{{ m.content }}{% if m.tool_calls %}"
    "{% for c in m.tool_calls %}{{ c.function.name }}({{ c.function.arguments | tojson }})"
    "{% endfor %}{% endif %}{% endfor %}{% if tools %}{{ tools | tojson(indent=2) }}{% endif %}"
    "{{ kwarg | default('') }}";

static void match_stops(const struct params *p, struct str text, size_t piece)
{
    struct stop_matcher m;
    if (stop_matcher_init(&m, p->stops, p->n_stops, NULL) < 0)
        return;
    CLEANUP_BUF struct buf out = BUF_INIT((size_t)1 << 20);
    bool found = false;
    for (size_t at = 0; at < text.len && !found; at += piece)
        found = stop_matcher_feed(&m, str_sub(text, at, piece), &out);
    stop_matcher_flush(&m, &out);
    if (!found && out.len != text.len)
        abort();
    stop_matcher_release(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 65536)
        return 0;
    struct str text = {(const char *)data + 1, size - 1};
    struct json *body;
    if (js_parse(text, "the request body", &body, NULL) < 0)
        return 0;

    const struct params_defaults defaults = PARAMS_DEFAULTS;
    struct params p;
    if (params_parse(body, PARAMS_TEXT, &defaults, &p, NULL) == 0)
        match_stops(&p, text, 1 + data[0] % 16u);
    params_release(&p);
    (void)!params_parse(body, PARAMS_CHAT, &defaults, &p, NULL);
    params_release(&p);

    static struct chat_template *template;
    if (!template) {
        struct chat_template_sources src = {.plain = str_from(template_text)};
        if (chat_template_create(&src, &template, NULL) < 0)
            abort();
    }
    CLEANUP(chat_prompt_release) struct chat_prompt prompt = {0};
    if (chat_prompt_parse(body, &prompt, NULL) == 0) {
        CLEANUP_BUF struct buf out = BUF_INIT((size_t)8 << 20);
        (void)!chat_template_render(template, &prompt, &out, NULL);
    }
    js_free(body);
    return 0;
}
