/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model context: named runners. None of these commands contacts a runner. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/context_store.h"
#include "cli/print.h"
#include "cli/table.h"

struct create_options {
    const char *host, *ca_cert, *description;
    bool tls, skip_verify;
};

const struct opt context_create_opts[] = {
    {"description", 0, OPT_STRING, offsetof(struct create_options, description), "TEXT",
     "Description of the context"},
    {"host", 0, OPT_STRING, offsetof(struct create_options, host), "URL",
     "Address of the runner, e.g. http://192.168.1.100:12434"},
    {"tls", 0, OPT_FLAG, offsetof(struct create_options, tls), .help = "Use TLS"},
    {"tls-ca-cert", 0, OPT_STRING, offsetof(struct create_options, ca_cert), "FILE",
     "Certificate of the authority to trust, in PEM"},
    {"tls-skip-verify", 0, OPT_FLAG, offsetof(struct create_options, skip_verify),
     .help = "Do not check the runner's certificate"},
    OPT_END,
};

static int check_host(const char *host, struct error *err)
{
    struct str s = str_from(host);
    ptrdiff_t scheme = str_find(s, STR("://"));
    if (scheme <= 0 || (size_t)scheme + 3 >= s.len || s.ptr[scheme + 3] == '/')
        return error_set(err, ERR_INVALID,
                         "invalid --host URL: must include scheme and host, e.g. "
                         "http://192.168.1.100:12434");
    struct str name = str_sub(s, 0, (size_t)scheme);
    if (!str_eq_c(name, "http") && !str_eq_c(name, "https"))
        return error_set(err, ERR_INVALID,
                         "invalid --host URL: unsupported scheme \"%.*s\" (must be http or https)",
                         STR_ARG(name));
    return 0;
}

struct create {
    const char *name;
    const struct create_options *options;
    const char *ca_cert; /* absolute */
};

static int create_context(struct json *doc, void *ctx, struct error *err)
{
    const struct create *c = ctx;
    struct json *contexts = js_get(doc, "contexts");
    if (js_get(contexts, c->name))
        return error_set(err, ERR_CONFLICT, "context \"%s\" already exists", c->name);
    struct json *tls = js_object(), *entry = js_object();
    js_set_bool(tls, "enabled", c->options->tls);
    if (c->options->skip_verify)
        js_set_bool(tls, "skipVerify", true);
    if (c->ca_cert)
        js_set_cstr(tls, "caCert", c->ca_cert);
    js_set_cstr(entry, "host", c->options->host);
    js_set(entry, "tls", tls);
    if (c->options->description && *c->options->description)
        js_set_cstr(entry, "description", c->options->description);
    char now[CLOCK_TEXT_MAX];
    clock_rfc3339_utc((struct timespec){.tv_sec = time(NULL)}, now);
    js_set_cstr(entry, "createdAt", now);
    js_set(contexts, c->name, entry);
    return 0;
}

int cmd_context_create(int argc, char **argv)
{
    struct create_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("context create", argc, argv, &o, &args, &exit_code))
        return exit_code;
    if (!o.host || !*o.host)
        return cli_fail_text("--host is required");
    struct error err = ERROR_INIT;
    if (context_check_name(args.v[0], &err) < 0 || check_host(o.host, &err) < 0)
        return cli_fail(NULL, &err);
    CLEANUP_FREE char *ca_cert = o.ca_cert ? path_absolute(o.ca_cert) : NULL;
    if (ca_cert && access(ca_cert, R_OK) != 0)
        return cli_fail_text("--tls-ca-cert: cannot read \"%s\": %s", ca_cert, strerror(errno));
    struct create c = {.name = args.v[0], .options = &o, .ca_cert = ca_cert};
    if (context_store_change(create_context, &c, &err) < 0)
        return cli_fail(NULL, &err);
    printf("Context \"%s\" created.\n", args.v[0]);
    return 0;
}

static int use_context(struct json *doc, void *ctx, struct error *err)
{
    const char *name = ctx;
    if (strcmp(name, CONTEXT_DEFAULT) == 0) {
        js_del(doc, "current");
        return 0;
    }
    if (!js_get(js_get(doc, "contexts"), name))
        return error_set(err, ERR_NOT_FOUND, "context \"%s\" not found", name);
    js_set_cstr(doc, "current", name);
    return 0;
}

static void warn_about_override(void)
{
    const char *host = getenv("MODEL_RUNNER_HOST");
    if (!host || !*host)
        return;
    fputs("Warning: MODEL_RUNNER_HOST=\"", stderr);
    print_line_text(stderr, str_from(host));
    fputs("\" overrides the active context.\n", stderr);
}

int cmd_context_use(int argc, char **argv)
{
    struct opt_args args;
    int exit_code;
    if (!cli_parse("context use", argc, argv, NULL, &args, &exit_code))
        return exit_code;
    struct error err = ERROR_INIT;
    if (context_store_change(use_context, args.v[0], &err) < 0)
        return cli_fail(NULL, &err);
    printf("Current context is now \"%s\".\n", args.v[0]);
    return 0;
}

static int by_name(const void *pa, const void *pb)
{
    const char *const *a = pa, *const *b = pb;
    return strcmp(*a, *b);
}

int cmd_context_ls(int argc, char **argv)
{
    struct opt_args args;
    int exit_code;
    if (!cli_parse("context ls", argc, argv, NULL, &args, &exit_code))
        return exit_code;
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *doc = NULL;
    if (context_store_read(&doc, &err) < 0)
        return cli_fail(NULL, &err);
    warn_about_override();

    const struct json *contexts = js_get(doc, "contexts");
    const char *current = context_store_current(doc);
    const char **names = xcalloc(js_len(contexts) + 1, sizeof(*names));
    size_t n = 0;
    struct json_iter it = {0};
    while (js_next(contexts, &it))
        names[n++] = it.key.ptr;
    qsort(names, n, sizeof(*names), by_name);

    struct table t;
    table_init(&t, (const char *const[]){"NAME", "HOST", "DESCRIPTION", "CURRENT"}, 4);
    table_row(&t, (const char *const[]){CONTEXT_DEFAULT, "(auto-detect)",
                                        "Auto-detected Docker context",
                                        strcmp(current, CONTEXT_DEFAULT) == 0 ? "*" : ""});
    for (size_t i = 0; i < n; i++) {
        const struct json *entry = js_get(contexts, names[i]);
        table_row(&t, (const char *const[]){names[i], js_get_cstr(entry, "host", ""),
                                            js_get_cstr(entry, "description", ""),
                                            strcmp(current, names[i]) == 0 ? "*" : ""});
    }
    table_print(&t, stdout);
    table_release(&t);
    free(names);
    return 0;
}

static int remove_context(struct json *doc, void *ctx, struct error *err)
{
    const char *name = ctx;
    struct json *contexts = js_get(doc, "contexts");
    if (strcmp(name, CONTEXT_DEFAULT) == 0)
        return error_set(err, ERR_INVALID,
                         "context name \"default\" is reserved and cannot be removed");
    if (!js_get(contexts, name))
        return error_set(err, ERR_NOT_FOUND, "context \"%s\" not found", name);
    if (strcmp(context_store_current(doc), name) == 0)
        return error_set(err, ERR_CONFLICT,
                         "context \"%s\" is currently active; switch to another context first",
                         name);
    js_del(contexts, name);
    return 0;
}

int cmd_context_rm(int argc, char **argv)
{
    struct opt_args args;
    int exit_code;
    if (!cli_parse("context rm", argc, argv, NULL, &args, &exit_code))
        return exit_code;
    bool failed = false;
    for (int i = 0; i < args.n; i++) {
        struct error err = ERROR_INIT;
        if (context_store_change(remove_context, args.v[i], &err) < 0) {
            fprintf(stderr, "Error: %s: %s\n", args.v[i], err.msg);
            failed = true;
        } else {
            printf("Context \"%s\" removed.\n", args.v[i]);
        }
    }
    return failed ? cli_fail_text("one or more contexts could not be removed") : 0;
}

static struct json *inspect_entry(const char *name, const struct json *entry)
{
    struct json *out = js_object();
    struct json *tls = js_get(entry, "tls");
    js_set_cstr(out, "name", name);
    js_set_cstr(out, "host", js_get_cstr(entry, "host", "(auto-detect)"));
    if (tls) {
        js_set(out, "tls", js_ref(tls));
    } else {
        tls = js_object();
        js_set_bool(tls, "enabled", false);
        js_set(out, "tls", tls);
    }
    const char *description =
        js_get_cstr(entry, "description", entry ? "" : "Auto-detected Docker context");
    if (*description)
        js_set_cstr(out, "description", description);
    js_set_cstr(out, "createdAt", js_get_cstr(entry, "createdAt", "0001-01-01T00:00:00Z"));
    return out;
}

int cmd_context_inspect(int argc, char **argv)
{
    struct opt_args args;
    int exit_code;
    if (!cli_parse("context inspect", argc, argv, NULL, &args, &exit_code))
        return exit_code;
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *doc = NULL, *out = js_array();
    if (context_store_read(&doc, &err) < 0)
        return cli_fail(NULL, &err);
    for (int i = 0; i < args.n; i++) {
        const struct json *entry = js_get(js_get(doc, "contexts"), args.v[i]);
        if (!entry && strcmp(args.v[i], CONTEXT_DEFAULT) != 0)
            return cli_fail_text("context \"%s\" not found", args.v[i]);
        js_push(out, inspect_entry(args.v[i], entry));
    }
    print_json(stdout, out, JS_INDENT_4);
    return 0;
}
