/* SPDX-License-Identifier: Apache-2.0
 *
 * Chat templates: a Jinja interpreter for the templates that model files carry.
 *
 * It behaves as jinja2's ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True) with
 * the loopcontrols extension, Hugging Face's `generation` tag, raise_exception, strftime_now and
 * tojson as transformers has them. Byte-exact is the goal: Python's own text forms (True, None,
 * 1.0, repr of lists) are part of it.
 *
 * A template comes from a stranger: parsing is bounded in size and depth, rendering in steps, depth
 * and output, and a template sees nothing but the variables it is given and the clock.
 *
 *     struct template *t;
 *     template_parse(text, &t, err);
 *     template_render(t, vars, &options, &out, err);
 *
 * Threads: a parsed template is only read; any number of renderings may run at once.
 */
#ifndef ENGINE_TEMPLATE_TEMPLATE_H
#define ENGINE_TEMPLATE_TEMPLATE_H

#include <stdint.h>
#include <time.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "base/str.h"

struct template;

/* Syntax errors say where: "chat template, line 12: unexpected 'endif'". The text is copied. */
int template_parse(struct str text, struct template **ret, struct error *err);
void template_free(struct template *t); /* NULL is fine */

struct template_options {
    struct timespec now;   /* what strftime_now sees; zero = the clock */
    uint64_t max_steps;    /* 0 = the default, 30 million: seconds at most */
    bool *ret_raised;      /* may be NULL; set to true when the template itself called
                              raise_exception: err->msg is then its text (code ERR_INVALID) */
    struct buf *ret_raised_text; /* may be NULL; gets that text unshortened */
};

/* Appends the rendering of `vars` (an object: the complete context) to out; out->max bounds it.
 * Run-time errors name the line. `o` may be NULL. */
int template_render(const struct template *t, const struct json *vars,
                    const struct template_options *o, struct buf *out, struct error *err);

/* Does the source refer to this variable name at all (e.g. "tools", "enable_thinking")? */
bool template_mentions(const struct template *t, const char *name);

#endif
