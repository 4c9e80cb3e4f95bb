/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model status and version: is a runner there, which, and what can it do. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/alloc.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/print.h"
#include "cli/table.h"

struct status_options {
    bool json;
};

const struct opt status_opts[] = {
    {"json", 0, OPT_FLAG, offsetof(struct status_options, json), .help = "Format output in JSON"},
    OPT_END,
};

/* ---- the table ---- */

struct backend_row {
    const char *name;
    char *state, *details;
    int rank;
};

/* "Running: llama.cpp b9879" → state and details. */
static struct backend_row backend_row(const char *name, struct str text)
{
    static const char *const order[] = {"Running", "Error", "Not Installed", "Installing"};
    ptrdiff_t colon = str_find(text, STR(": "));
    struct str state = colon >= 0 ? str_sub(text, 0, (size_t)colon) : text;
    struct str details =
        colon >= 0 ? str_sub(text, (size_t)colon + 2, text.len) : (struct str){"", 0};
    struct backend_row row = {
        .name = name,
        .state = xasprintf("%.*s", STR_ARG(state)),
        .details = xasprintf("%.*s", STR_ARG(details)),
        .rank = (int)ARRAY_LEN(order),
    };
    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        if (str_eq_c(state, order[i]))
            row.rank = (int)i;
    return row;
}

static int compare_backends(const void *pa, const void *pb)
{
    const struct backend_row *a = pa, *b = pb;
    return a->rank != b->rank ? a->rank - b->rank : strcmp(a->name, b->name);
}

static void print_backends(const struct json *backends)
{
    size_t n = 0;
    struct backend_row *rows = xcalloc(js_len(backends) + 1, sizeof(*rows));
    struct json_iter it = {0};
    while (js_next(backends, &it)) {
        if (js_is(it.value, JS_STRING))
            rows[n++] = backend_row(it.key.ptr, js_to_str(it.value));
    }
    qsort(rows, n, sizeof(*rows), compare_backends);
    struct table t;
    table_init(&t, (const char *const[]){"BACKEND", "STATUS", "DETAILS"}, 3);
    for (size_t i = 0; i < n; i++) {
        table_row(&t, (const char *const[]){rows[i].name, rows[i].state, rows[i].details});
        free(rows[i].state);
        free(rows[i].details);
    }
    table_print(&t, stdout);
    table_release(&t);
    free(rows);
}

/* ---- endpoints ---- */

static void print_status_json(const struct daemon *d, bool running, struct json *backends)
{
    CLEANUP_FREE char *container = daemon_container_url(d), *place = daemon_place(d);
    CLEANUP_FREE char *endpoint = xasprintf("%s/v1/", container);
    CLEANUP_FREE char *host = NULL;
    if (d->unix_path)
        host = TAKE(place);
    else if (d->kind == DAEMON_MANUAL)
        host = xasprintf("%s/v1/", place);
    else
        host = xasprintf("http://127.0.0.1:%d/v1/", DAEMON_PORT);
    CLEANUP_JSON struct json *out = js_object();
    js_set_bool(out, "running", running);
    js_set(out, "backends", backends ? js_ref(backends) : js_object());
    js_set_cstr(out, "kind", daemon_kind_name(d));
    js_set_cstr(out, "endpoint", endpoint);
    js_set_cstr(out, "endpointHost", host);
    print_json(stdout, out, JS_COMPACT);
}

static void print_door(const char *who, const char *what, const struct json *door)
{
    fputs(who, stdout);
    print_text(stdout, str_from(what));
    puts(js_get_bool(door, "token", false) ? "   (needs an access token)" : "");
}

/* Where the runner is reached; one that does not tell is not asked twice. */
static void print_doors(void)
{
    CLEANUP_JSON struct json *doors = NULL;
    if (api_get_json("/engines/doors", "", &doors, NULL) < 0)
        return;
    const char *socket = js_get_cstr(doors, "socket", NULL);
    const char *docker = js_get_cstr(doors, "dockerSocket", NULL);
    const struct json *tcp = js_get(doors, "tcp"), *tls = js_get(doors, "tls");
    const struct json *containers = js_get(doors, "containers");
    puts("");
    if (socket) {
        CLEANUP_FREE char *text = xasprintf("unix://%s", socket);
        print_door("Socket:      ", text, NULL);
    }
    if (docker) {
        CLEANUP_FREE char *text = xasprintf("DOCKER_HOST=unix://%s", docker);
        print_door("Docker:      ", text, NULL);
    }
    if (tcp)
        print_door("Host:        ", js_get_cstr(tcp, "url", ""), tcp);
    if (tls) {
        print_door("Host, TLS:   ", js_get_cstr(tls, "url", ""), tls);
        CLEANUP_FREE char *sum = xasprintf("SHA-256 %s", js_get_cstr(tls, "fingerprint", ""));
        print_door("             ", sum, NULL);
    }
    if (containers) {
        const char *address = js_get_cstr(containers, "address", "");
        CLEANUP_FREE char *add = xasprintf("--add-host=model-runner.docker.internal:%s", address);
        CLEANUP_FREE char *compose =
            xasprintf("extra_hosts: [\"model-runner.docker.internal:%s\"]", address);
        print_door("Containers:  ", js_get_cstr(containers, "name", ""), containers);
        print_door("  docker run ", add, NULL);
        print_door("  Compose    ", compose, NULL);
        print_door("  or without a name, ", js_get_cstr(containers, "url", ""), NULL);
    }
}

int cmd_status(int argc, char **argv)
{
    struct status_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("status", argc, argv, &o, &args, &exit_code))
        return exit_code;
    static const char what[] = "Failed to get Docker Model Runner status";
    struct error err = ERROR_INIT;
    const struct daemon *d = NULL;
    if (daemon_find(&d, &err) < 0)
        return cli_fail(what, &err);

    struct api_call call = {.path = "/models"};
    struct http_result res = {0};
    int r = api_perform(&call, &res, &err);
    int status = res.status;
    http_result_release(&res);
    if (r == 0 && status != 200) {
        char text[64];
        error_set(&err, ERR_IO, "unexpected status %s from %s", api_status_text(status, text),
                  d->base_url);
        return cli_fail(what, &err);
    }
    if (r < 0) {
        /* Nobody is there: that is an answer, and which address was tried is part of it. */
        if (err.code != ERR_UNAVAILABLE)
            return cli_fail(what, &err);
        if (o.json) {
            print_status_json(d, false, NULL);
            return 1;
        }
        puts("Docker Model Runner is not running");
        if (strcmp(err.msg, API_NOT_RUNNING) != 0)
            printf("(%s)\n", err.msg);
        cli_next_steps(stdout, cli_start_hints);
        return 1;
    }

    CLEANUP_JSON struct json *backends = NULL;
    if (api_get_json("/engines/status", "failed to get the backends' status", &backends, &err) < 0)
        return cli_fail(what, &err);
    if (o.json) {
        print_status_json(d, true, backends);
        return 0;
    }
    puts("Docker Model Runner is running\n");
    print_backends(backends);
    print_doors();
    return 0;
}

/* ---- version ---- */

/* Go's names for what uname says, which docker uses. */
static const char *go_arch(const char *machine)
{
    if (strcmp(machine, "x86_64") == 0)
        return "amd64";
    if (strcmp(machine, "aarch64") == 0)
        return "arm64";
    return machine;
}

int cmd_version(int argc, char **argv)
{
    struct opt_args args;
    int exit_code;
    if (!cli_parse("version", argc, argv, NULL, &args, &exit_code))
        return exit_code;
    struct utsname system;
    memset(&system, 0, sizeof(system));
    uname(&system);
    for (char *c = system.sysname; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    printf("Client:\n Version:    v%s\n OS/Arch:    %s/%s\n\n", MR_VERSION, system.sysname,
           go_arch(system.machine));

    struct http_call http = HTTP_CALL_INIT;
    http.connect_timeout_ms = 3000;
    http.timeout_ms = 5000;
    struct api_call call = {.path = "/version", .http = &http};
    struct http_result res = {0};
    CLEANUP_JSON struct json *answer = NULL;
    const struct daemon *d = NULL;
    bool reached = daemon_find(&d, NULL) == 0 && api_perform(&call, &res, NULL) == 0 &&
                   res.status == 200 &&
                   js_parse(buf_str(&res.body), "the runner's answer", &answer, NULL) == 0;
    http_result_release(&res);
    fputs("Server:\n Version:    ", stdout);
    if (reached)
        print_line_text(stdout, js_get_str(answer, "version"));
    else
        fputs("(not reachable)", stdout);
    printf("\n Engine:     %s\n", d ? daemon_kind_name(d) : "(unknown)");
    return 0;
}
