/* SPDX-License-Identifier: Apache-2.0
 *
 * Table-driven checks of templates: each row is rendered with the same variables. */
#ifndef TESTS_UNIT_ENGINE_TEMPLATE_RENDER_CHECK_H
#define TESTS_UNIT_ENGINE_TEMPLATE_RENDER_CHECK_H

#include "test.h"

#include "base/buf.h"
#include "base/json.h"
#include "engine/template/template.h"

struct render_case {
    const char *template, *want;
};

static const char check_vars[] =
    "{\"x\": 5, \"f\": 1.5, \"s\": \"Hello World\", \"u\": \"Ünïcødé ß ΣΑΣ Привет\", \"l\": [3, "
    "1, 2], \"d\": {\"b\": 1, \"a\": 2, \"items\": 7}, \"n\": null, \"t\": true, \"e\": \"\", \""
    "msgs\": [{\"role\": \"user\", \"content\": \"hi\"}, {\"role\": \"assistant\", \"content\": "
    "\"yo\", \"tool_calls\": [{\"n\": 1}]}, {\"role\": \"User\", \"content\": null}], \"nest\": "
    "[{\"n\": \"a\", \"c\": [{\"n\": \"b\", \"c\": []}, {\"n\": \"d\", \"c\": [{\"n\": \"e\", \""
    "c\": []}]}]}], \"big\": 9007199254740993, \"fl\": [0.1, 1e+16, 1e-05, 1.0, 123456789.123, 1"
    "e+22, 2.5, -0.0, 1e+100], \"q\": \"it's \\\"q\\\" \\n\\t\\\\ é\342\200\213\\u0007\", \"line"
    "s\": \"a\\n\\n  b\\r\\nc\\n\"}";

/* Renders `text` with the given options (may be NULL). */
static inline int render_text(const char *text, const struct template_options *o, struct buf *out,
                              struct error *err)
{
    CLEANUP_JSON struct json *vars = NULL;
    struct template *t = NULL;
    int r = js_parse(str_from(check_vars), "the variables", &vars, err);
    if (r == 0)
        r = template_parse(str_from(text), &t, err);
    if (r == 0)
        r = template_render(t, vars, o, out, err);
    template_free(t);
    return r;
}

/* Checks every row and fails once at the end, so that one run shows all that is wrong. */
static inline void check_cases(const struct render_case *cases, size_t n)
{
    size_t failed = 0;
    for (size_t i = 0; i < n; i++) {
        struct error err = ERROR_INIT;
        CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
        int r = render_text(cases[i].template, NULL, &out, &err);
        if (r == 0 && str_eq_c(buf_str(&out), cases[i].want))
            continue;
        print_error("%s\n  got    '%s'\n  wanted '%s'\n", cases[i].template,
                    r < 0 ? err.msg : buf_cstr(&out), cases[i].want);
        failed++;
    }
    if (failed)
        fail_msg("%zu of %zu templates failed", failed, n);
}

#endif
