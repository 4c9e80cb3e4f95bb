/* SPDX-License-Identifier: Apache-2.0
 *
 * Templates from the outside: parse, render, free; and the limits of a rendering. */
#include "engine/template/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/template/interp.h"

/* ---- limits and failures ---- */

struct value render_fail(struct render *r, enum errc code, const char *fmt, ...)
{
    if (r->failed)
        return value_error();
    r->failed = true;
    char msg[ERROR_MSG_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(msg, sizeof(msg), fmt, args);
    va_end(args);
    error_set(r->err, code, "chat template, line %u: %s", r->line, msg);
    return value_error();
}

struct value render_fail_type(struct render *r, const char *fmt, ...)
{
    char msg[ERROR_MSG_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(msg, sizeof(msg), fmt, args);
    va_end(args);
    return render_fail(r, ERR_INVALID, "%s", msg);
}

bool render_steps(struct render *r, uint64_t n)
{
    if (r->failed)
        return false;
    if (n > r->steps_left) {
        r->steps_left = 0;
        render_fail(r, ERR_TOO_LARGE, "the template does too much work");
        return false;
    }
    r->steps_left -= n;
    return true;
}

void *render_alloc(struct render *r, size_t n, size_t size)
{
    void *p = r->failed ? NULL : pool_alloc(&r->pool, n, size);
    if (!p)
        render_fail(r, ERR_TOO_LARGE, "the template needs more than %zu MiB of memory",
                    RENDER_MAX_MEMORY >> 20);
    return p;
}

char *render_bytes(struct render *r, size_t n)
{
    char *p = r->failed ? NULL : pool_bytes(&r->text_pool, n);
    if (!p)
        render_fail(r, ERR_TOO_LARGE, "the template needs more than %zu MiB of memory",
                    RENDER_MAX_MEMORY >> 20);
    return p;
}

bool render_enter(struct render *r)
{
    if (!render_steps(r, 1))
        return false;
    if (r->depth >= RENDER_MAX_DEPTH) {
        render_fail(r, ERR_TOO_LARGE, "calls and blocks are nested too deeply");
        return false;
    }
    r->depth++;
    return true;
}

void render_leave(struct render *r)
{
    r->depth--;
}

bool render_nest(struct render *r)
{
    if (r->failed || !render_steps(r, 1))
        return false;
    if (r->nesting >= RENDER_MAX_NESTING) {
        render_fail(r, ERR_TOO_LARGE, "a value is nested deeper than %d levels",
                    RENDER_MAX_NESTING);
        return false;
    }
    r->nesting++;
    return true;
}

/* ---- parse ---- */

/* A copy with "\r\n" and "\r" made "\n", and without one newline at the very end. */
static bool copy_source(struct template *t, struct str text)
{
    char *p = pool_bytes(&t->pool, text.len);
    size_t n = 0;
    if (!p)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        p[n++] = text.ptr[i] == '\r' ? '\n' : text.ptr[i];
        if (text.ptr[i] == '\r' && i + 1 < text.len && text.ptr[i + 1] == '\n')
            i++;
    }
    if (n > 0 && p[n - 1] == '\n')
        n--;
    t->source = str_make(p, n);
    return true;
}

int template_parse(struct str text, struct template **ret, struct error *err)
{
    struct error ignored = ERROR_INIT;
    if (!err)
        err = &ignored;
    if (text.len > TEMPLATE_MAX_BYTES)
        return error_set(err, ERR_TOO_LARGE,
                         "the chat template has %zu bytes; at most %d are allowed", text.len,
                         TEMPLATE_MAX_BYTES);
    if (!utf8_valid(text.ptr, text.len))
        return error_set(err, ERR_INVALID, "the chat template is not valid UTF-8");
    struct template *t = calloc(1, sizeof(*t));
    if (!t)
        return error_set(err, ERR_NOMEM, "out of memory for the chat template");
    t->pool = POOL_INIT((size_t)1 << 30);
    int r = copy_source(t, text) ? 0 : error_set(err, ERR_NOMEM,
                                                 "out of memory for the chat template");
    if (r == 0)
        r = template__parse_source(t, err);
    if (r == 0)
        r = template__bind_names(t, err);
    if (r < 0) {
        template_free(t);
        return r;
    }
    *ret = t;
    return 0;
}

void template_free(struct template *t)
{
    if (!t)
        return;
    pool_release(&t->pool);
    free(t);
}

bool template_mentions(const struct template *t, const char *name)
{
    for (size_t i = 0; i < t->n_names; i++)
        if (str_eq_c(t->names[i], name))
            return true;
    return false;
}

/* ---- render ---- */

static struct timespec now_or(const struct template_options *o)
{
    struct timespec t = {0};
    if (o)
        t = o->now;
    if (t.tv_sec == 0 && t.tv_nsec == 0)
        clock_gettime(CLOCK_REALTIME, &t);
    return t;
}

int template_render(const struct template *t, const struct json *vars,
                    const struct template_options *o, struct buf *out, struct error *err)
{
    struct error ignored = ERROR_INIT;
    struct render r = {
        .t = t,
        .vars = vars,
        .out = out,
        .pool = POOL_INIT(RENDER_MAX_MEMORY),
        .text_pool = POOL_INIT(RENDER_MAX_MEMORY),
        .steps_left = o && o->max_steps ? o->max_steps : RENDER_MAX_STEPS,
        .now = now_or(o),
        .o = o,
        .err = err ? err : &ignored,
        .line = 1,
    };
    r.random_state = (uint64_t)r.now.tv_sec * 1000000007u + (uint64_t)r.now.tv_nsec + 1;
    size_t before = out->len;
    struct value context = value_dict(&r);
    r.context = context.d;
    r.act = is_error(context) ? NULL : activation_new(&r, &t->fn, NULL);
    if (r.act) {
        scope_enter(&r, t->scope);
        exec_body(&r, &t->body);
    }
    if (!r.failed && out->failed)
        render_fail(&r, out->failed, "the text grows beyond %zu bytes", out->max);
    pool_release(&r.pool);
    pool_release(&r.text_pool);
    if (o && o->ret_raised)
        *o->ret_raised = r.raised;
    if (!r.failed)
        return 0;
    if (out->len > before)
        buf_truncate(out, before);
    return -(int)r.err->code;
}
