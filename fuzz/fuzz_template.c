/* SPDX-License-Identifier: Apache-2.0
 *
 * Chat templates: parsing any text, and rendering it over a fixed conversation with a small
 * budget. */
#include <stddef.h>
#include <stdint.h>

#include "engine/template/template.h"

enum { TEMPLATE_MAX = 4096, OUTPUT_MAX = 1 << 20, STEPS_MAX = 50000 };

static const char vars_text[] =
    "{\"messages\":[{\"role\":\"user\",\"content\":\"Hi, \\u00fc\\u4e16\"},"
    "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"1\",\"function\":"
    "{\"name\":\"f\",\"arguments\":{\"a\":[1,2.5,true,null],\"b\":\"x\\ny\"}}}]}],"
    "\"tools\":null,\"n\":7,\"f\":-1.5,\"s\":\" some Text, with words \",\"l\":[3,1,2],"
    "\"d\":{\"b\":1,\"a\":{\"c\":[]}},\"add_generation_prompt\":true}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct json *vars;
    struct error err = ERROR_INIT;
    if (!vars && js_parse(str_from(vars_text), "the variables", &vars, &err) < 0)
        return 0;
    struct template *t = NULL;
    if (size > TEMPLATE_MAX || template_parse(str_make((const char *)data, size), &t, &err) < 0)
        return 0;
    CLEANUP_BUF struct buf out = BUF_INIT(OUTPUT_MAX);
    const struct template_options o = {.now = {.tv_sec = 1773500966}, .max_steps = STEPS_MAX};
    template_render(t, vars, &o, &out, &err);
    template_free(t);
    return 0;
}
