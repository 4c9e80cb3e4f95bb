/* SPDX-License-Identifier: Apache-2.0
 *
 * Routes that say who answers here. */
#include "base/json.h"
#include "runner/doors.h"
#include "runner/routes.h"

void route_root(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)d;
    (void)args;
    /* The second line is what Testcontainers waits for: Docker Desktop says it. */
    http_respond(r, 200, "text/plain; charset=utf-8",
                 STR("Docker Model Runner is running\nThe service is running"));
}

void route_version(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)d;
    (void)args;
    CLEANUP_JSON struct json *v = js_object();
    js_set_cstr(v, "version", "v" MR_VERSION);
    http_respond_json(r, 200, v);
}

void route_doors(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    CLEANUP_JSON struct json *v = doors_describe(d->doors);
    http_respond_json(r, 200, v);
}

/* The daemon writes its log to standard error, where systemd and Docker keep it. */
void route_logs(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)d;
    (void)args;
    http_respond_text(r, 404, "service log not found");
}
