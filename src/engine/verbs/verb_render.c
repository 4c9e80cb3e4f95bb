/* SPDX-License-Identifier: Apache-2.0
 *
 * model-engine render --template F: renders a chat template, JSON lines.
 *
 *     {"vars":{"messages":[{"role":"user","content":"Hi"}]}}  →  {"text":"<|user|>Hi"}
 *     ... where the template calls raise_exception('no')       →  {"raised":"no"}
 *
 * "vars" is the complete context. --now fixes what strftime_now sees. A template with a syntax
 * error answers every line with that error. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/file.h"
#include "engine/template/template.h"
#include "engine/verbs/jsonl.h"
#include "engine/verbs/verbs.h"

struct render_options {
    const char *template_path;
    const char *now;
};

const struct opt verb_render_opts[] = {
    {"template", 't', OPT_STRING, offsetof(struct render_options, template_path), "FILE",
     "the Jinja template"},
    {"now", 0, OPT_STRING, offsetof(struct render_options, now), "TIME",
     "what strftime_now sees, as 2026-03-14T15:09:26 (default the clock)"},
    OPT_END,
};

enum { TEMPLATE_FILE_MAX = 16 << 20, TEXT_MAX_BYTES = 256 << 20 };

struct render_job {
    struct template *template; /* NULL: it could not be parsed; `syntax` says why */
    struct error syntax;
    struct timespec now;
};

static int answer(void *ctx, const struct json *in, struct json *out, struct error *err)
{
    const struct render_job *job = ctx;
    const struct json *vars = js_get(in, "vars");
    if (!job->template)
        return error_copy(err, &job->syntax);
    if (!js_is(vars, JS_OBJECT))
        return error_set(err, ERR_INVALID, "a line needs 'vars', an object");
    bool raised = false;
    CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX_BYTES);
    CLEANUP_BUF struct buf raised_text = BUF_INIT(TEXT_MAX_BYTES);
    struct template_options o = {.now = job->now, .ret_raised = &raised,
                                 .ret_raised_text = &raised_text};
    int r = template_render(job->template, vars, &o, &text, err);
    if (r < 0 && !raised)
        return r;
    if (raised)
        js_set_str(out, "raised", buf_str(&raised_text));
    else
        js_set_str(out, "text", buf_str(&text));
    return 0;
}

/* ISO 8601: a date, with or without a time of day, with or without an offset. Without one it is
 * local time, which is what strftime_now shows. */
static int parse_now(const char *text, struct timespec *ret, struct error *err)
{
    struct tm tm = {.tm_isdst = -1};
    int used = 0;
    size_t len = strlen(text);
    int n = sscanf(text, "%4d-%2d-%2d%n%*1[Tt ]%2d:%2d%n:%2d%n", &tm.tm_year, &tm.tm_mon,
                   &tm.tm_mday, &used, &tm.tm_hour, &tm.tm_min, &used, &tm.tm_sec, &used);
    const char *rest = text + used;
    if (n < 3 || n == 4)
        return error_set(err, ERR_INVALID, "--now: '%s' is no ISO 8601 time", text);
    if (*rest == '.')
        rest += 1 + strspn(rest + 1, "0123456789");
    if ((size_t)(rest - text) != len)
        return clock_parse_rfc3339(str_from(text), ret, err);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *ret = (struct timespec){.tv_sec = mktime(&tm)};
    return 0;
}

static int open_template(const char *path, struct render_job *job, struct error *err)
{
    if (!path)
        return error_set(err, ERR_INVALID, "--template is missing");
    CLEANUP_BUF struct buf source = BUF_INIT(TEMPLATE_FILE_MAX);
    int r = file_read(path, &source, err);
    if (r == 0)
        template_parse(buf_str(&source), &job->template, &job->syntax);
    return r;
}

int verb_render(int argc, char **argv)
{
    struct render_options o = {0};
    struct render_job job = {0};
    struct error err = ERROR_INIT;
    int exit_code;
    if (verb_parse(argc, argv, &o, &exit_code) < 0)
        return exit_code;
    int r = o.now ? parse_now(o.now, &job.now, &err) : 0;
    if (r == 0)
        r = open_template(o.template_path, &job, &err);
    if (r == 0)
        r = jsonl_run(answer, &job, &err);
    if (r == 0 && !job.template)
        r = error_copy(&err, &job.syntax);
    template_free(job.template);
    return r < 0 ? verb_fail(&err) : 0;
}
