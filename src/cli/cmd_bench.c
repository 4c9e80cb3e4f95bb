/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model bench: how fast a model answers several clients at a time. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/api.h"
#include "cli/bench.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/print.h"

enum { LEVELS_MAX = 16, CONCURRENCY_MAX = 256 };
#define SECOND 1000000000.0
#define MILLISECOND 1000000.0

static const char default_prompt[] =
    "Write a summary of about 100 words on whales: their kinds, what they eat, how they live.";

struct bench_options {
    const char *prompt, *concurrency;
    int64_t duration, timeout;
    bool json;
};

const struct opt bench_opts[] = {
    {"concurrency", 0, OPT_STRING, offsetof(struct bench_options, concurrency), "N,N...",
     "Numbers of clients to try, one after the other (default 1,2,4,8)"},
    {"duration", 0, OPT_DURATION, offsetof(struct bench_options, duration), "DURATION",
     "How long to send requests for each number (default 30s)"},
    {"json", 0, OPT_FLAG, offsetof(struct bench_options, json), .help = "Print JSON"},
    {"prompt", 0, OPT_STRING, offsetof(struct bench_options, prompt), "TEXT",
     "What to ask (default: a text about whales)"},
    {"timeout", 0, OPT_DURATION, offsetof(struct bench_options, timeout), "DURATION",
     "Longest time for one answer (default 5m)"},
    OPT_END,
};

/* "1,2,4" → numbers; their count, or a negative error. */
static int parse_levels(const char *text, int out[LEVELS_MAX], struct error *err)
{
    struct str rest = str_from(text), part;
    int n = 0;
    while (str_split_next(&rest, ',', &part)) {
        uint64_t v;
        if (str_to_u64(str_trim(part), "", &v, NULL) < 0 || v < 1 || v > CONCURRENCY_MAX)
            return error_set(err, ERR_INVALID,
                             "invalid --concurrency \"%s\": give numbers from 1 to %d, as in 1,2,4",
                             text, CONCURRENCY_MAX);
        if (n == LEVELS_MAX)
            return error_set(err, ERR_INVALID, "--concurrency takes at most %d numbers",
                             LEVELS_MAX);
        out[n++] = (int)v;
    }
    return n > 0 ? n : error_set(err, ERR_INVALID, "--concurrency needs a number");
}

static double per_second(double n, const struct bench_result *r)
{
    return r->elapsed_ns > 0 ? n / ((double)r->elapsed_ns / SECOND) : 0;
}

static double tps(const struct bench_result *r)
{
    return per_second((double)r->total_tokens, r);
}

static struct json *result_json(const struct bench_result *r)
{
    struct json *o = js_object(), *counts = js_array();
    for (size_t i = 0; i < r->n; i++)
        js_push(counts, js_int(r->samples[i].tokens));
    js_set_int(o, "Concurrency", r->concurrency);
    js_set_real(o, "MeanRPS", per_second((double)r->n, r));
    js_set_int(o, "TotalTokens", r->total_tokens);
    js_set_real(o, "TPS", tps(r));
    js_set_int(o, "TotalTime", r->elapsed_ns);
    js_set_int(o, "Requests", (int64_t)r->n);
    js_set(o, "TokenCounts", counts);
    js_set_int(o, "MedianTimeToFirstToken", bench_first_token_ns(r));
    js_set_int(o, "MedianTimePerToken", bench_per_token_ns(r));
    return o;
}

static void print_result(const struct bench_result *r)
{
    printf("  Tokens per second: %.2f TPS\n", tps(r));
    printf("  Requests per second: %.2f RPS\n", per_second((double)r->n, r));
    printf("  Total tokens: %lld\n", (long long)r->total_tokens);
    printf("  Total requests: %zu\n", r->n);
    printf("  Total time: %.2fs\n", (double)r->elapsed_ns / SECOND);
    printf("  Time to first token: %.2f ms (median)\n",
           (double)bench_first_token_ns(r) / MILLISECOND);
    printf("  Time per token: %.2f ms (median)\n\n", (double)bench_per_token_ns(r) / MILLISECOND);
}

static void print_summary(const struct bench_result *results, int n)
{
    const struct bench_result *best = &results[0];
    for (int i = 1; i < n; i++)
        if (tps(&results[i]) > tps(best))
            best = &results[i];
    double base = tps(&results[0]);
    puts("Relative speed:");
    for (int i = 0; i < n; i++)
        printf("  %d: %.2fx\n", results[i].concurrency, base > 0 ? tps(&results[i]) / base : 0);
    printf("\nSummary:\n  Most tokens per second: %.2f TPS with concurrency %d\n\n", tps(best),
           best->concurrency);
    puts("Detailed Results:");
    printf("%-12s %-12s %-11s %-13s %s\n", "Concurrency", "Tokens/sec", "Rel. Speed",
           "Requests/sec", "Total Tokens");
    for (int i = 0; i < n; i++) {
        const struct bench_result *r = &results[i];
        char speed[32];
        snprintf(speed, sizeof(speed), "%.2fx", base > 0 ? tps(r) / base : 0);
        printf("%-12d %-12.2f %-11s %-13.2f %lld\n", r->concurrency, tps(r), speed,
               per_second((double)r->n, r), (long long)r->total_tokens);
    }
}

static void print_head(const struct bench_options *o, const int *levels, int n)
{
    char duration[CLOCK_TEXT_MAX];
    duration_text(o->duration, duration);
    fputs("Prompt: ", stdout);
    print_line_text(stdout, str_from(o->prompt));
    printf("\nDuration: %s per concurrency level\nConcurrency levels: [", duration);
    for (int i = 0; i < n; i++)
        printf("%s%d", i ? " " : "", levels[i]);
    puts("]\n");
}

static int check_model(const char *model, struct error *err)
{
    CLEANUP_FREE char *path = api_model_path(model, "");
    CLEANUP_JSON struct json *answer = NULL;
    return api_get_json(path, "Failed to inspect model", &answer, err);
}

int cmd_bench(int argc, char **argv)
{
    struct bench_options o = {.prompt = default_prompt,
                              .concurrency = "1,2,4,8",
                              .duration = (int64_t)(30 * SECOND),
                              .timeout = (int64_t)(300 * SECOND)};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("bench", argc, argv, &o, &args, &exit_code))
        return exit_code;
    struct error err = ERROR_INIT;
    int levels[LEVELS_MAX];
    int n = parse_levels(o.concurrency, levels, &err);
    if (n < 0)
        return cli_fail(NULL, &err);
    if (o.duration <= 0 || o.timeout < (int64_t)MILLISECOND)
        return cli_fail_text("--duration and --timeout must be longer than nothing");
    if (check_model(args.v[0], &err) < 0)
        return cli_fail(NULL, &err);

    if (!o.json)
        print_head(&o, levels, n);
    struct bench_result results[LEVELS_MAX] = {0};
    struct json *list = js_array();
    int r = 0, done = 0;
    for (; done < n && r == 0; done++) {
        struct bench_result *result = &results[done];
        result->concurrency = levels[done];
        if (!o.json)
            printf("Running benchmark with concurrency: %d\n", levels[done]);
        fflush(stdout);
        r = bench_level(args.v[0], o.prompt, o.duration, o.timeout, result, &err);
        if (r == 0 && o.json)
            js_push(list, result_json(result));
        else if (r == 0)
            print_result(result);
    }
    if (r == 0 && o.json) {
        CLEANUP_JSON struct json *out = js_object();
        js_set_cstr(out, "model", args.v[0]);
        js_set_cstr(out, "prompt", o.prompt);
        js_set(out, "results", js_ref(list));
        print_json(stdout, out, JS_INDENT_2);
    } else if (r == 0) {
        print_summary(results, n);
    }
    js_free(list);
    for (int i = 0; i < done; i++)
        bench_result_release(&results[i]);
    return r < 0 ? cli_fail("Failed to run the benchmark", &err) : 0;
}
