/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model doctor: runs the checks and tells what they found. */
#include "cli/doctor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/print.h"
#include "cli/service.h"
#include "http/address.h"

struct doctor_options {
    bool json;
};

const struct opt doctor_opts[] = {
    {"json", 0, OPT_FLAG, offsetof(struct doctor_options, json), .help = "Format output in JSON"},
    OPT_END,
};

static const char *const kind_names[] = {
    [FINDING_OK] = "ok",
    [FINDING_WARNING] = "warning",
    [FINDING_PROBLEM] = "problem",
};

void doctor_found(struct doctor *d, const char *check, enum finding_kind kind, const char *message,
                  const char *advice)
{
    struct json *f = js_object();
    js_set_cstr(f, "check", check);
    js_set_cstr(f, "status", kind_names[kind]);
    js_set_cstr(f, "message", message);
    if (advice)
        js_set_cstr(f, "advice", advice);
    js_push(d->findings, f);
    d->has_problem = d->has_problem || kind == FINDING_PROBLEM;
}

void doctor_foundf(struct doctor *d, const char *check, enum finding_kind kind, const char *advice,
                   const char *fmt, ...)
{
    struct error text = ERROR_INIT;
    va_list args;
    va_start(args, fmt);
    error_vset(&text, ERR_INVALID, fmt, args);
    va_end(args);
    doctor_found(d, check, kind, text.msg, advice);
}

const char *doctor_setting(const struct doctor *d, const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : js_get_cstr(d->env, name, NULL);
}

/* "http://localhost:12434" → whether that is here. */
static bool is_here(const struct daemon *d)
{
    if (d->unix_path)
        return true;
    struct str s = str_from(d->base_url);
    ptrdiff_t scheme = str_find(s, STR("://"));
    s = scheme >= 0 ? str_sub(s, (size_t)scheme + 3, SIZE_MAX) : s;
    size_t n = s.len > 0 && s.ptr[0] == '[' ? strcspn(s.ptr, "]") + 1 : strcspn(s.ptr, ":/");
    CLEANUP_FREE char *host = xasprintf("%.*s", (int)MIN(n, s.len), s.ptr);
    return address_is_loopback_only(host);
}

/* Foreign text under the first of its lines, which begin behind `indent` columns. */
static void print_finding(const struct json *f)
{
    static const char *const colors[] = {"\033[32m", "\033[33m", "\033[31m"};
    const char *status = js_get_cstr(f, "status", "");
    size_t kind = FINDING_PROBLEM;
    while (kind > 0 && strcmp(kind_names[kind], status) != 0)
        kind--;
    bool color = print_color(stdout);
    printf("%s%-9s%s%-13s", color ? colors[kind] : "", status, color ? "\033[0m" : "",
           js_get_cstr(f, "check", ""));
    print_line_text(stdout, js_get_str(f, "message"));
    const char *advice = js_get_cstr(f, "advice", NULL);
    if (advice) {
        printf("\n%-22s→ ", "");
        print_line_text(stdout, str_from(advice));
    }
    putchar('\n');
}

int cmd_doctor(int argc, char **argv)
{
    /* The socket and the runner first: they explain the others. */
    static void (*const checks[])(struct doctor *) = {
        check_socket,   check_runner, check_version, check_port,  check_engine,
        check_settings, check_store,  check_gpu,     check_proxy, check_authorities,
    };
    struct doctor_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("doctor", argc, argv, &o, &args, &exit_code))
        return exit_code;
    CLEANUP_JSON struct json *findings = js_array(), *env = NULL;
    struct error err = ERROR_INIT;
    service_env_read(false, &env, NULL);
    struct doctor d = {.findings = findings, .env = env, .is_local = true};
    if (daemon_find(&d.daemon, &err) < 0)
        doctor_found(&d, "runner", FINDING_PROBLEM, err.msg,
                     "mend MODEL_RUNNER_HOST or the current context");
    else
        d.is_local = is_here(d.daemon);
    for (size_t i = 0; i < ARRAY_LEN(checks); i++)
        checks[i](&d);
    if (o.json) {
        CLEANUP_JSON struct json *out = js_object();
        js_set_bool(out, "healthy", !d.has_problem);
        js_set(out, "findings", js_ref(findings));
        print_json(stdout, out, JS_INDENT_4);
        return d.has_problem;
    }
    for (size_t i = 0; i < js_len(findings); i++)
        print_finding(js_at(findings, i));
    return d.has_problem;
}
