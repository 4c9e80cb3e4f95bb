/* SPDX-License-Identifier: Apache-2.0
 *
 * Wishes about reasoning, see reasoning.h. */
#include "engine/api/reasoning.h"

#include "base/compiler.h"

static int set_effort(struct str word, const char *field, struct reasoning_wish *w,
                      struct error *err)
{
    static const char *const words[] = {"minimal", "low", "medium", "high", "xhigh"};
    if (!word.ptr)
        return 0;
    w->on = str_eq_c(word, "none") ? REASONING_OFF : REASONING_ON;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_eq_c(word, words[i]))
            w->effort = words[i];
    if (w->on == REASONING_ON && !w->effort)
        return error_set(err, ERR_INVALID,
                         "'%s' must be 'none', 'minimal', 'low', 'medium', 'high' or 'xhigh'",
                         field);
    return 0;
}

/* A number of tokens: 0 switches reasoning off. */
static int set_budget(const struct json *from, const char *key, struct reasoning_wish *w,
                      struct error *err)
{
    int64_t n = INT64_MIN;
    int r = js_want_int(from, key, -1, INT32_MAX, &n, err);
    if (r < 0 || n == INT64_MIN)
        return r;
    w->budget = n;
    if (n == 0)
        w->on = REASONING_OFF;
    return 0;
}

static int parse_thinking(const struct json *thinking, struct reasoning_wish *w, struct error *err)
{
    struct str type = js_get_str(thinking, "type");
    if (js_is(thinking, JS_NULL))
        return 0;
    if (js_is(thinking, JS_BOOL)) {
        w->on = js_to_bool(thinking, true) ? REASONING_ON : REASONING_OFF;
        return 0;
    }
    if (str_eq_c(type, "disabled"))
        w->on = REASONING_OFF;
    else if (str_eq_c(type, "enabled") || str_eq_c(type, "adaptive"))
        w->on = REASONING_ON;
    else
        return error_set(err, ERR_INVALID,
                         "'thinking' must be true, false, or an object of type 'enabled', "
                         "'adaptive' or 'disabled'");
    return set_budget(thinking, "budget_tokens", w, err);
}

static int parse_reasoning(const struct json *reasoning, struct reasoning_wish *w,
                           struct error *err)
{
    if (js_is(reasoning, JS_NULL))
        return 0;
    if (!js_is(reasoning, JS_OBJECT))
        return error_set(err, ERR_INVALID, "'reasoning' must be an object, not %s",
                         js_type_name(reasoning));
    bool enabled = true;
    struct str effort = {0};
    int r = js_want_bool(reasoning, "enabled", &enabled, err);
    if (r == 0)
        r = js_want_str(reasoning, "effort", &effort, err);
    if (r == 0)
        r = set_effort(effort, "reasoning.effort", w, err);
    if (r == 0)
        r = set_budget(reasoning, "max_tokens", w, err);
    if (r == 0 && !enabled)
        w->on = REASONING_OFF;
    return r;
}

/* What the template is told by the client itself holds for the limit, too. */
static void look_at_kwargs(const struct json *kwargs, struct reasoning_wish *w)
{
    static const char *const names[] = {"enable_thinking", "thinking"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct json *v = js_get(kwargs, names[i]);
        if (js_is(v, JS_BOOL))
            w->on = js_to_bool(v, true) ? REASONING_ON : REASONING_OFF;
    }
}

static int parse_format(const struct json *body, struct reasoning_wish *w, struct error *err)
{
    struct str word = STR("auto");
    int r = js_want_str(body, "reasoning_format", &word, err);
    w->keep = r == 0 && str_eq_c(word, "none");
    if (r == 0 && !w->keep && !str_eq_c(word, "auto") && !str_eq_c(word, "deepseek"))
        return error_set(err, ERR_INVALID,
                         "'reasoning_format' must be 'none', 'auto' or 'deepseek'");
    return r;
}

int reasoning_wish_parse(const struct json *body, struct reasoning_wish *ret, struct error *err)
{
    *ret = (struct reasoning_wish){.budget = -1};
    struct str effort = {0};
    int r = js_want_str(body, "reasoning_effort", &effort, err);
    if (r == 0)
        r = set_effort(effort, "reasoning_effort", ret, err);
    if (r == 0)
        r = parse_reasoning(js_get(body, "reasoning"), ret, err);
    if (r == 0)
        r = parse_thinking(js_get(body, "thinking"), ret, err);
    if (r == 0)
        r = set_budget(body, "thinking_budget_tokens", ret, err);
    if (r == 0)
        r = set_budget(body, "reasoning_budget", ret, err);
    if (r == 0)
        r = parse_format(body, ret, err);
    look_at_kwargs(js_get(body, "chat_template_kwargs"), ret);
    if (ret->on == REASONING_OFF)
        ret->budget = 0;
    return r;
}

static void set_default(struct json *kwargs, const char *key, struct json *value)
{
    if (js_get(kwargs, key))
        js_free(value);
    else
        js_set(kwargs, key, value);
}

void reasoning_set_variables(const struct reasoning_wish *w, struct json *kwargs)
{
    if (w->on != REASONING_DEFAULT) {
        bool on = w->on == REASONING_ON;
        set_default(kwargs, "enable_thinking", js_bool(on)); /* Qwen 3, GLM, SmolLM 3, … */
        set_default(kwargs, "thinking", js_bool(on));        /* Granite, DeepSeek V3.1 */
    }
    if (w->effort) /* gpt-oss knows three of them */
        set_default(kwargs, "reasoning_effort",
                    js_cstr(w->effort[0] == 'm' && w->effort[1] == 'i' ? "low"
                            : w->effort[0] == 'x'                      ? "high"
                                                                       : w->effort));
    if (w->budget >= 0) /* Seed-OSS */
        set_default(kwargs, "thinking_budget", js_int(w->budget));
}
