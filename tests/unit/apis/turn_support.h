/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of all APIs do: translate a request, feed an engine's answer, look at what comes
 * out. */
#ifndef TESTS_UNIT_APIS_TURN_SUPPORT_H
#define TESTS_UNIT_APIS_TURN_SUPPORT_H

#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "apis/turn.h"
#include "base/alloc.h"

/* JSON in tests has ' for ". */
static inline struct json *parse(const char *text)
{
    struct error err = ERROR_INIT;
    struct json *v = NULL;
    char *copy = xstrdup(text);
    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    assert_ok(js_parse(str_from(copy), text, &v, &err));
    free(copy);
    return v;
}

static inline int begin(struct turn *t, const struct api *api, const char *request,
                        struct error *err)
{
    struct json *v = parse(request);
    int r = turn_begin(t, api, v, NULL, err);
    js_free(v);
    return r;
}

/* `part` of a value equals what is written. */
static inline void assert_json(const struct json *v, const char *want)
{
    struct json *w = parse(want);
    if (!js_equal(v, w)) {
        char *got = js_text(v, JS_COMPACT);
        fail_msg("got %s\nwanted %s", got, want);
    }
    js_free(w);
}

/* The request becomes this chat completion. */
static inline void assert_body(const struct api *api, const char *request, const char *want)
{
    struct error err = ERROR_INIT;
    struct turn t;
    assert_ok(begin(&t, api, request, &err));
    assert_json(t.body, want);
    turn_release(&t);
}

static inline void assert_refused(const struct api *api, const char *request, const char *why)
{
    struct error err = ERROR_INIT;
    struct turn t;
    if (begin(&t, api, request, &err) == 0)
        fail_msg("%s was taken", request);
    if (!strstr(err.msg, why))
        fail_msg("'%s' lacks '%s'", err.msg, why);
    turn_release(&t);
}

/* Feeds chunks, a NULL ends them; the stream's text. */
static inline char *stream(struct turn *t, const char *const *chunks)
{
    struct error err = ERROR_INIT;
    struct buf out = BUF_INIT((size_t)1 << 20);
    turn_open(t, &out);
    for (size_t i = 0; chunks[i]; i++) {
        struct json *v = parse(chunks[i]);
        assert_ok(turn_chunk(t, v, &out, &err));
        js_free(v);
    }
    turn_end(t, &out);
    char *text = xstrdup(buf_cstr(&out));
    buf_release(&out);
    return text;
}

static inline struct json *whole(struct turn *t, const char *completion)
{
    struct error err = ERROR_INIT;
    struct json *v = parse(completion), *answer = NULL;
    assert_ok(turn_whole(t, v, &answer, &err));
    js_free(v);
    return answer;
}

/* The JSON values of a stream's "data: " lines, or of its lines. */
static inline struct json *events(const char *text)
{
    struct json *list = js_array(), *v;
    struct error err = ERROR_INIT;
    struct str rest = str_from(text), line;
    while (str_split_next(&rest, '\n', &line)) {
        if (str_starts_with(line, STR("data: ")))
            line = str_sub(line, 6, SIZE_MAX);
        else if (!str_starts_with(line, STR("{")))
            continue;
        assert_ok(js_parse(line, "an event", &v, &err));
        js_push(list, v);
    }
    return list;
}

/* The values of a key in all events, as one text: "a,b,c". */
static inline void assert_all(const struct json *list, const char *key, const char *want)
{
    struct buf out = BUF_INIT((size_t)1 << 20);
    for (size_t i = 0; i < js_len(list); i++) {
        struct str s = js_get_str(js_at(list, i), key);
        buf_printf(&out, "%s%.*s", i ? "," : "", STR_ARG(s));
    }
    assert_string_equal(buf_cstr(&out), want);
    buf_release(&out);
}

/* What most tests have the model say. */
static const char *const talk[] = {
    "{'choices':[{'index':0,'delta':{'role':'assistant','content':null}}]}",
    "{'choices':[{'index':0,'delta':{'reasoning_content':'hm'}}]}",
    "{'choices':[{'index':0,'delta':{'content':'It '}}]}",
    "{'choices':[{'index':0,'delta':{'content':'rains'}}]}",
    "{'choices':[{'index':0,'delta':{'tool_calls':[{'index':0,'id':'c1','type':'function',"
    "'function':{'name':'wet','arguments':''}}]}}]}",
    "{'choices':[{'index':0,'delta':{'tool_calls':[{'index':0,'function':{'arguments':"
    "'{\\\"a\\\":'}}]}}]}",
    "{'choices':[{'index':0,'delta':{'tool_calls':[{'index':0,'function':{'arguments':'1}'}}]}}]}",
    "{'choices':[{'index':0,'delta':{'tool_calls':[{'index':1,'id':'c2','type':'function',"
    "'function':{'name':'dry','arguments':'{}'}}]}}]}",
    "{'choices':[{'index':0,'delta':{},'finish_reason':'tool_calls'}],'timings':{'prompt_ms':2,"
    "'predicted_ms':3}}",
    "{'choices':[],'usage':{'prompt_tokens':10,'completion_tokens':7,'total_tokens':17,"
    "'prompt_tokens_details':{'cached_tokens':4},'completion_tokens_details':{'reasoning_tokens':"
    "2}}}",
    NULL};

static const char talk_whole[] =
    "{'choices':[{'index':0,'finish_reason':'tool_calls','message':{'role':'assistant',"
    "'reasoning_content':'hm','content':'It rains','tool_calls':[{'id':'c1','type':'function',"
    "'function':{'name':'wet','arguments':'{\\\"a\\\":1}'}},{'id':'c2','type':'function',"
    "'function':{'name':'dry','arguments':'{}'}}]}}],'usage':{'prompt_tokens':10,"
    "'completion_tokens':7,'prompt_tokens_details':{'cached_tokens':4}}}";

#endif
