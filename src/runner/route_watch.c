/* SPDX-License-Identifier: Apache-2.0
 *
 * Routes for those who look after the daemon: what it counts, and the last requests. */
#include <strings.h>

#include "runner/journal.h"
#include "runner/metrics.h"
#include "runner/respond.h"
#include "runner/routes.h"

void route_metrics(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    enum { TEXT_MAX = 4 << 20 };
    struct metrics_now now = {.pulled_bytes = models_pulled_bytes(d->models)};
    CLEANUP_JSON struct json *loaded = scheduler_ps(d->scheduler);
    now.loaded = (unsigned)js_len(loaded);
    for (size_t i = 0; i < js_len(loaded); i++)
        now.engine_bytes += (uint64_t)js_get_int(js_at(loaded, i), "memory", 0);
    struct error err = ERROR_INIT;
    CLEANUP(model_list_release) struct model_list list = {0};
    if (models_list(d->models, &list, &err) < 0 ||
        models_disk_usage(d->models, &now.store_bytes, &err) < 0) {
        respond_error(r, &err);
        return;
    }
    now.models = list.n;
    CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
    metrics_write(d->metrics, &now, &text);
    http_respond(r, 200, "text/plain; version=0.0.4; charset=utf-8", buf_str(&text));
}

void route_requests(struct daemon *d, struct http_request *r, const struct route_args *args)
{
    (void)args;
    const char *accept = http_request_header(r, "Accept");
    const char *model = http_request_query(r, "model");
    if (!model)
        model = "";
    if (accept && strcasecmp(accept, "text/event-stream") == 0) {
        journal_follow(d->journal, d->scheduler, r, model, query_flag(r, "include_existing"));
        return;
    }
    CLEANUP_JSON struct json *list = journal_list(d->journal, d->models, d->scheduler, model);
    http_respond_json(r, 200, list);
}
