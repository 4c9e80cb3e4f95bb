/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model search: what could be pulled from Docker Hub and Hugging Face. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/print.h"
#include "cli/search.h"
#include "cli/table.h"

enum { DEFAULT_LIMIT = 32, MAX_LIMIT = 10000, DESCRIPTION_BYTES = 50, NUMBER_TEXT_MAX = 32 };

struct search_options {
    int64_t limit;
    const char *source;
    bool json;
};

const struct opt search_opts[] = {
    {"json", 0, OPT_FLAG, offsetof(struct search_options, json), .help = "Print results as JSON"},
    {"limit", 'n', OPT_INT, offsetof(struct search_options, limit), "N",
     "Maximum number of results to show (default 32)", .min = 1, .max = MAX_LIMIT},
    {"source", 0, OPT_STRING, offsetof(struct search_options, source), "SOURCE",
     "Where to search: all, dockerhub or huggingface (default all)"},
    OPT_END,
};

/* At most 50 bytes, of whole characters. */
static char *shortened(const char *s)
{
    size_t n = strlen(s);
    if (n <= DESCRIPTION_BYTES)
        return xstrdup(s);
    size_t keep = utf8_complete_prefix(s, DESCRIPTION_BYTES - 3);
    return xasprintf("%.*s...", (int)keep, s);
}

/* "1.2M", "45.0K", "812". */
static void count_text(int64_t n, char out[NUMBER_TEXT_MAX])
{
    if (n >= 1000000)
        snprintf(out, NUMBER_TEXT_MAX, "%.1fM", (double)n / 1e6);
    else if (n >= 1000)
        snprintf(out, NUMBER_TEXT_MAX, "%.1fK", (double)n / 1e3);
    else
        snprintf(out, NUMBER_TEXT_MAX, "%lld", (long long)n);
}

/* "256.35 MB". */
static void bytes_text(int64_t bytes, char out[NUMBER_TEXT_MAX])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double v = (double)bytes;
    size_t unit = 0;
    for (; v >= 1000 && unit + 1 < ARRAY_LEN(units); unit++)
        v /= 1000;
    if (bytes <= 0)
        snprintf(out, NUMBER_TEXT_MAX, "n/a");
    else
        snprintf(out, NUMBER_TEXT_MAX, "%.2f %s", v, units[unit]);
}

static void print_table(const struct search_results *r)
{
    static const char *const header[] = {"NAME",      "DESCRIPTION", "BACKEND", "SIZE",
                                         "DOWNLOADS", "STARS",       "SOURCE"};
    struct table t;
    table_init(&t, header, ARRAY_LEN(header));
    for (size_t i = 0; i < r->n; i++) {
        const struct search_hit *h = &r->hits[i];
        CLEANUP_FREE char *description = shortened(h->description);
        char size[NUMBER_TEXT_MAX], downloads[NUMBER_TEXT_MAX], stars[NUMBER_TEXT_MAX];
        bytes_text(h->size, size);
        count_text(h->downloads, downloads);
        count_text(h->stars, stars);
        const char *const cells[] = {h->name,
                                     description,
                                     h->backend,
                                     size,
                                     downloads,
                                     stars,
                                     search_source_name(h->source)};
        table_row(&t, cells);
    }
    table_print(&t, stdout);
    table_release(&t);
}

static void print_hits_json(const struct search_results *r)
{
    CLEANUP_JSON struct json *list = js_array();
    for (size_t i = 0; i < r->n; i++) {
        const struct search_hit *h = &r->hits[i];
        struct json *v = js_object();
        js_set_cstr(v, "Name", h->name);
        js_set_cstr(v, "Description", h->description);
        js_set_int(v, "Downloads", h->downloads);
        js_set_int(v, "Stars", h->stars);
        js_set_cstr(v, "Source", search_source_name(h->source));
        js_set_bool(v, "Official", h->source == SEARCH_HUB);
        js_set_cstr(v, "UpdatedAt", h->updated);
        js_set_cstr(v, "Backend", h->backend);
        js_set_int(v, "Size", h->size);
        js_push(list, v);
    }
    print_json(stdout, list, JS_INDENT_4);
}

int cmd_search(int argc, char **argv)
{
    struct search_options o = {.limit = DEFAULT_LIMIT, .source = "all"};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("search", argc, argv, &o, &args, &exit_code))
        return exit_code;
    const char *term = args.n > 0 ? args.v[0] : "";
    bool sources[SEARCH_SOURCES];
    struct error err = ERROR_INIT, failed[SEARCH_SOURCES] = {0};
    if (search_sources_parse(o.source, sources, &err) < 0)
        return cli_fail(NULL, &err);
    struct search_results r = {0};
    if (search_run(term, (size_t)o.limit, sources, &r, failed, &err) < 0)
        return cli_fail("search failed", &err);
    for (int s = 0; s < SEARCH_SOURCES; s++) {
        if (failed[s].code != ERR_NONE)
            fprintf(stderr, "Warning: failed to search %s: %s\n",
                    search_source_name((enum search_source)s), failed[s].msg);
    }
    if (o.json) {
        print_hits_json(&r);
    } else if (r.n > 0) {
        print_table(&r);
    } else if (*term) {
        fputs("No models found matching \"", stdout);
        print_line_text(stdout, str_from(term));
        fputs("\"\n", stdout);
    } else {
        puts("No models found");
    }
    search_results_release(&r);
    return 0;
}
