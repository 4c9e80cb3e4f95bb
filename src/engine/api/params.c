/* SPDX-License-Identifier: Apache-2.0
 *
 * Common fields of completion requests. */
#include "engine/api/params.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "engine/run/batcher.h"

enum { BIAS_MAX = 1 << 16 }; /* entries of logit_bias */

/* ---- sampling ---- */

static int parse_numbers(const struct json *body, int64_t default_seed, struct params *p,
                         struct error *err)
{
    struct sampling *s = &p->sampling;
    const struct {
        const char *name;
        double min, max;
        double *to;
    } reals[] = {
        {"temperature", 0, 100, &s->temperature},
        {"top_p", 0, 1, &s->top_p},
        {"min_p", 0, 1, &s->min_p},
        {"typical_p", 0, 1, &s->typical_p},
        {"repeat_penalty", 0.01, 100, &s->repeat_penalty},
        {"frequency_penalty", -100, 100, &s->frequency_penalty},
        {"presence_penalty", -100, 100, &s->presence_penalty},
    };
    int64_t n = 1, seed = default_seed;
    const struct {
        const char *name;
        int64_t min, max;
        int64_t *to;
    } ints[] = {
        {"top_k", -1, INT32_MAX, &s->top_k},
        {"repeat_last_n", -1, INT32_MAX, &s->repeat_last_n},
        {"seed", INT64_MIN, INT64_MAX, &seed},
        {"n", 1, N_MAX, &n},
        /* Three names for one thing; the newest one wins. */
        {"n_predict", -1, INT32_MAX, &p->n_predict},
        {"max_tokens", -1, INT32_MAX, &p->n_predict},
        {"max_completion_tokens", -1, INT32_MAX, &p->n_predict},
    };
    const struct {
        const char *name;
        bool *to;
    } bools[] = {
        {"ignore_eos", &s->ignore_eos},
        {"stream", &p->stream},
        {"cache_prompt", &p->cache_prompt},
    };
    int r = 0;
    for (size_t i = 0; i < ARRAY_LEN(reals) && r == 0; i++)
        r = js_want_real(body, reals[i].name, reals[i].min, reals[i].max, reals[i].to, err);
    for (size_t i = 0; i < ARRAY_LEN(ints) && r == 0; i++)
        r = js_want_int(body, ints[i].name, ints[i].min, ints[i].max, ints[i].to, err);
    for (size_t i = 0; i < ARRAY_LEN(bools) && r == 0; i++)
        r = js_want_bool(body, bools[i].name, bools[i].to, err);
    if (r < 0)
        return r;
    p->n = (uint32_t)n;
    s->seed = seed == -1 ? sampling_random_seed() : (uint64_t)seed;
    return 0;
}

/* ---- logit_bias: {"15043": 1.5} or [[15043, 1.5], [2, false]]; false = never ---- */

static int parse_bias_value(const struct json *v, float *ret, struct error *err)
{
    if (js_is(v, JS_BOOL) && !js_to_bool(v, true)) {
        *ret = -INFINITY;
        return 0;
    }
    double d = js_to_real(v, (double)NAN);
    if (!(d >= -1e6 && d <= 1e6))
        return error_set(err, ERR_INVALID,
                         "a bias in 'logit_bias' must be a number or false, not %s",
                         js_is_number(v) ? "one of this size" : js_type_name(v));
    *ret = (float)d;
    return 0;
}

static int push_bias(struct params *p, int64_t id, const struct json *value, struct error *err)
{
    if (id < 0 || id > INT32_MAX)
        return error_set(err, ERR_INVALID, "'logit_bias' must name tokens by their ids");
    float bias = 0;
    int r = parse_bias_value(value, &bias, err);
    if (r < 0)
        return r;
    p->bias[p->sampling.n_bias++] = (struct logit_bias){(int32_t)id, bias};
    return 0;
}

static int parse_bias(const struct json *body, struct params *p, struct error *err)
{
    const struct json *v = js_get(body, "logit_bias");
    if (js_is(v, JS_NULL))
        return 0;
    if (!js_is(v, JS_OBJECT) && !js_is(v, JS_ARRAY))
        return error_set(err, ERR_INVALID,
                         "'logit_bias' must be an object {\"id\": bias} or an array [[id, bias]], "
                         "not %s",
                         js_type_name(v));
    if (js_len(v) > BIAS_MAX)
        return error_set(err, ERR_INVALID, "'logit_bias' has %zu entries, at most %d are possible",
                         js_len(v), BIAS_MAX);
    p->bias = xcalloc(js_len(v) + 1, sizeof(*p->bias));
    p->sampling.bias = p->bias;

    int r = 0;
    if (js_is(v, JS_OBJECT)) {
        struct json_iter it = {0};
        while (r == 0 && js_next(v, &it)) {
            int64_t id;
            r = str_to_i64(it.key, "a token id in 'logit_bias'", &id, err);
            if (r == 0)
                r = push_bias(p, id, it.value, err);
        }
        return r;
    }
    for (size_t i = 0; i < js_len(v) && r == 0; i++) {
        const struct json *pair = js_at(v, i);
        if (!js_is(pair, JS_ARRAY) || js_len(pair) != 2)
            return error_set(err, ERR_INVALID, "'logit_bias' must consist of pairs [id, bias]");
        r = push_bias(p, js_to_int(js_at(pair, 0), -1), js_at(pair, 1), err);
    }
    return r;
}

/* ---- the rest ---- */

static int parse_stops(const struct json *body, struct params *p, struct error *err)
{
    const struct json *v = js_get(body, "stop");
    if (js_is(v, JS_NULL))
        return 0;
    bool one = js_is(v, JS_STRING);
    if (!one && !js_is(v, JS_ARRAY))
        return error_set(err, ERR_INVALID, "'stop' must be a string or an array of strings, not %s",
                         js_type_name(v));
    size_t n = one ? 1 : js_len(v);
    p->stops = xcalloc(n + 1, sizeof(*p->stops));
    for (size_t i = 0; i < n; i++) {
        const struct json *s = one ? v : js_at(v, i);
        if (!js_is(s, JS_STRING))
            return error_set(err, ERR_INVALID, "'stop[%zu]' must be a string, not %s", i,
                             js_type_name(s));
        p->stops[p->n_stops++] = js_to_str(s);
    }
    return 0;
}

/* Chat: "logprobs": true, "top_logprobs": 0..20. Text: "logprobs": 0..20. */
static int parse_logprobs(const struct json *body, enum params_dialect dialect, struct params *p,
                          struct error *err)
{
    int64_t top = -1;
    int r;
    if (dialect == PARAMS_TEXT && !js_is(js_get(body, "logprobs"), JS_BOOL)) {
        r = js_want_int(body, "logprobs", 0, TOP_LOGPROBS_MAX, &top, err);
        p->logprobs = top >= 0;
    } else {
        r = js_want_bool(body, "logprobs", &p->logprobs, err);
        if (r == 0)
            r = js_want_int(body, "top_logprobs", 0, TOP_LOGPROBS_MAX, &top, err);
        if (r == 0 && top > 0 && !p->logprobs)
            r = error_set(err, ERR_INVALID, "'top_logprobs' needs 'logprobs' to be true");
    }
    if (top > 0)
        p->n_top_logprobs = (uint32_t)top;
    return r;
}

static int parse_stream_options(const struct json *body, struct params *p, struct error *err)
{
    const struct json *v = js_get(body, "stream_options");
    if (js_is(v, JS_NULL))
        return 0;
    if (!js_is(v, JS_OBJECT))
        return error_set(err, ERR_INVALID, "'stream_options' must be an object, not %s",
                         js_type_name(v));
    return js_want_bool(v, "include_usage", &p->include_usage, err);
}

/* Is there something in this field? null, false, "", [] and {} are nothing. */
static bool asks_for(const struct json *v)
{
    switch (js_type(v)) {
    case JS_NULL:
        return false;
    case JS_BOOL:
        return js_to_bool(v, false);
    case JS_STRING:
        return js_to_str(v).len > 0;
    case JS_ARRAY:
    case JS_OBJECT:
        return js_len(v) > 0;
    default:
        return true;
    }
}

/* What would change the answer must not be left out in silence. */
static int refuse_unsupported(const struct json *body, struct error *err)
{
    static const char *const fields[] = {"audio", "dynatemp_range", "context_shift"};
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (asks_for(js_get(body, fields[i])) && js_get_real(body, fields[i], 1) > 0)
            return error_set(err, ERR_UNSUPPORTED, "'%s' is not supported by this engine",
                             fields[i]);

    int64_t mirostat = 0, best_of = 1;
    int r = js_want_int(body, "mirostat", 0, 2, &mirostat, err);
    if (r == 0)
        r = js_want_int(body, "best_of", 1, INT32_MAX, &best_of, err);
    if (r == 0 && mirostat > 0)
        r = error_set(err, ERR_UNSUPPORTED, "'mirostat' is not supported by this engine");
    if (r == 0 && best_of > js_get_int(body, "n", 1))
        r = error_set(err, ERR_UNSUPPORTED,
                      "'best_of' larger than 'n' is not supported by this engine");
    return r;
}

static int parse_adapters(const struct json *body, struct lora *lora, struct params *p,
                          struct error *err)
{
    const struct json *list = js_get(body, "lora");
    lora_current(lora, p->scales);
    return js_is(list, JS_NULL) ? 0 : lora_parse(list, lora ? lora->n : 0, p->scales, err);
}

/* ---- what the answer must be ---- */

/* Whatever is wrong with a schema or grammar, the request is. */
static int bad_grammar(int r, const char *field, struct error *err)
{
    if (r < 0 && r != -ERR_NOMEM && r != -ERR_INTERNAL)
        r = error_recode(err, ERR_INVALID);
    if (r < 0)
        error_wrap(err, "'%s'", field);
    return r;
}

static int parse_schema(struct json *schema, const char *field, struct params *p, struct error *err)
{
    js_free(p->schema);
    p->schema = js_ref(schema);
    return bad_grammar(grammar_from_schema(schema, &p->grammar, err), field, err);
}

/* OpenAI's {"type": "json_schema", "json_schema": {"schema": …}} and {"type": "json_object"}, where
 * llama-server takes a "schema", too. */
static int parse_response_format(const struct json *format, struct params *p, struct error *err)
{
    struct str type = js_get_str(format, "type");
    const struct json *wrapper = js_get(format, "json_schema");
    struct json *schema = js_get(format, "schema");
    if (!type.ptr)
        return error_set(err, ERR_INVALID, "'response_format' must be an object with a 'type'");
    if (str_eq_c(type, "text"))
        return 0;
    if (str_eq_c(type, "json_object")) {
        CLEANUP_JSON struct json *any = js_object();
        js_set_cstr(any, "type", "object");
        return parse_schema(schema ? schema : any, "response_format", p, err);
    }
    if (!str_eq_c(type, "json_schema"))
        return error_set(err, ERR_INVALID,
                         "'response_format' of type '%.*s' is none of 'text', 'json_object' and "
                         "'json_schema'",
                         STR_ARG(type));
    schema = js_get(wrapper, "schema") ? js_get(wrapper, "schema") : schema;
    if (!schema)
        return error_set(err, ERR_INVALID,
                         "'response_format' of type 'json_schema' needs a 'json_schema' with a "
                         "'schema'");
    return parse_schema(schema, "response_format", p, err);
}

static int parse_grammar(const struct json *body, struct params *p, struct error *err)
{
    const struct json *format = js_get(body, "response_format");
    const struct json *gbnf = js_get(body, "grammar");
    struct json *schema = js_get(body, "json_schema");
    bool has_schema = !js_is(schema, JS_NULL), has_gbnf = asks_for(gbnf);
    int r = 0;
    if (!js_is(format, JS_NULL))
        r = parse_response_format(format, p, err);
    if (r == 0 && (p->grammar != NULL) + has_schema + has_gbnf > 1)
        return error_set(err, ERR_INVALID,
                         "only one of 'response_format', 'json_schema' and 'grammar' can be given");
    if (r == 0 && has_schema)
        r = parse_schema(schema, "json_schema", p, err);
    if (r == 0 && has_gbnf && !js_is(gbnf, JS_STRING))
        return error_set(err, ERR_INVALID, "'grammar' must be a string, not %s",
                         js_type_name(gbnf));
    if (r == 0 && has_gbnf)
        p->gbnf = js_to_str(gbnf);
    if (r == 0 && has_gbnf)
        r = bad_grammar(grammar_from_gbnf(js_to_str(gbnf), &p->grammar, err), "grammar", err);
    return r;
}

int params_parse(const struct json *body, enum params_dialect dialect,
                 const struct params_defaults *defaults, struct params *ret, struct error *err)
{
    *ret = (struct params){
        .sampling = defaults->sampling, .n_predict = defaults->n_predict, .cache_prompt = true};
    int r = js_want_str(body, "model", &ret->model, err);
    if (r == 0)
        r = parse_numbers(body, defaults->seed, ret, err);
    if (r == 0)
        r = parse_bias(body, ret, err);
    if (r == 0)
        r = parse_stops(body, ret, err);
    if (r == 0)
        r = parse_logprobs(body, dialect, ret, err);
    if (r == 0)
        r = parse_stream_options(body, ret, err);
    if (r == 0)
        r = refuse_unsupported(body, err);
    if (r == 0)
        r = parse_adapters(body, defaults->lora, ret, err);
    if (r == 0)
        r = parse_grammar(body, ret, err);
    return r;
}

void params_release(struct params *p)
{
    free(p->bias);
    free(p->stops);
    grammar_unref(p->grammar);
    js_free(p->schema);
    *p = (struct params){0};
}
