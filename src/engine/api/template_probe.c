/* SPDX-License-Identifier: Apache-2.0
 *
 * Trying templates, see template_probe.h. */
#include "engine/api/template_probe.h"

#include "base/compiler.h"
#include "engine/api/messages.h"

/* Words that no template has of itself. */
#define TOOL_NAME "quetzalcoatl"
#define FIRST_VALUE "Xochimilco"
#define SECOND_VALUE "Popocatepetl"
#define RESULT "Teotihuacan"

#define CALL(id, value)                                                            \
    "{\"id\":\"" id "\",\"type\":\"function\",\"function\":{\"name\":\"" TOOL_NAME \
    "\",\"arguments\":\"{\\\"place\\\":\\\"" value "\\\"}\"}}"
#define ANSWERED(id, text)                                                 \
    "{\"role\":\"tool\",\"tool_call_id\":\"" id "\",\"name\":\"" TOOL_NAME \
    "\",\"content\":\"" text "\"}"
#define TALK(content, calls, results)                                                     \
    "[{\"role\":\"user\",\"content\":\"Q\"},{\"role\":\"assistant\",\"content\":" content \
    ",\"tool_calls\":[" calls "]}," results "]"

static const char tools_text[] =
    "[{\"type\":\"function\",\"function\":{\"name\":\"" TOOL_NAME "\",\"description\":\"D\","
    "\"parameters\":{\"type\":\"object\",\"properties\":{\"place\":{\"type\":\"string\","
    "\"description\":\"D\"}},\"required\":[\"place\"]}}}]";

struct probe {
    probe_render *render;
    void *ctx;
    const struct json *tools;
};

enum { PROBE_TEXT_MAX = 1 << 20 };

static struct json *parse(const char *text)
{
    struct json *v = NULL;
    js_parse(str_from(text), "a probe", &v, NULL);
    return v;
}

/* Which of the words come up when the conversation is rendered in this form? */
static void look(const struct probe *p, const char *talk, unsigned flags, const char *const *words,
                 size_t n, enum shown *ret)
{
    CLEANUP_JSON struct json *messages = parse(talk);
    CLEANUP_BUF struct buf out = BUF_INIT(PROBE_TEXT_MAX);
    struct json *normal;
    for (size_t i = 0; i < n; i++)
        ret[i] = SHOWN_NEVER_RENDERED;
    if (messages_normalise(messages, flags, &normal, NULL) < 0 ||
        !p->render(p->ctx, normal, p->tools, &out))
        return;
    for (size_t i = 0; i < n; i++)
        ret[i] = str_find(buf_str(&out), str_from(words[i])) >= 0 ? SHOWN_YES : SHOWN_NO;
}

enum call_content call_content_of(const struct json *message)
{
    struct str content = js_get_str(message, "content");
    return content.len > 0 ? CONTENT_TEXT : content.ptr ? CONTENT_EMPTY : CONTENT_NULL;
}

void template_probe(probe_render *render, void *ctx, bool with_tools, struct template_shows *ret)
{
#define ONE_CALL CALL("call12345", FIRST_VALUE)
#define TWO_CALLS ONE_CALL "," CALL("call67890", SECOND_VALUE)
#define ONE_RESULT ANSWERED("call12345", RESULT)
#define TWO_RESULTS ONE_RESULT "," ANSWERED("call67890", RESULT)
    static const char *const one_call[CALL_CONTENTS] = {
        [CONTENT_NULL] = TALK("null", ONE_CALL, ONE_RESULT),
        [CONTENT_EMPTY] = TALK("\"\"", ONE_CALL, ONE_RESULT),
        [CONTENT_TEXT] = TALK("\"T\"", ONE_CALL, ONE_RESULT),
    };
    static const char *const two_calls[CALL_CONTENTS] = {
        [CONTENT_NULL] = TALK("null", TWO_CALLS, TWO_RESULTS),
        [CONTENT_EMPTY] = TALK("\"\"", TWO_CALLS, TWO_RESULTS),
        [CONTENT_TEXT] = TALK("\"T\"", TWO_CALLS, TWO_RESULTS),
    };
    static const char *const name = TOOL_NAME, *const second = SECOND_VALUE;
    static const char *const call_and_result[] = {FIRST_VALUE, RESULT};
    CLEANUP_JSON struct json *tools = with_tools ? parse(tools_text) : NULL;
    const struct probe p = {render, ctx, tools};
    *ret = (struct template_shows){.tools = SHOWN_NO, .results = SHOWN_NEVER_RENDERED};
    if (with_tools)
        look(&p, "[{\"role\":\"user\",\"content\":\"Q\"}]", 0, &name, 1, &ret->tools);
    for (int values = 0; values < 2; values++) {
        unsigned flags = values ? MESSAGES_PARSE_ARGUMENTS : 0;
        for (size_t i = 0; i < CALL_CONTENTS; i++) {
            enum shown found[2];
            look(&p, one_call[i], flags, call_and_result, ARRAY_LEN(found), found);
            ret->calls[values][i] = found[0];
            if (ret->results == SHOWN_NEVER_RENDERED || found[1] == SHOWN_YES)
                ret->results = found[1];
            look(&p, two_calls[i], flags, &second, 1, &ret->second_call[values][i]);
        }
    }
}
