/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_grammar VOCABULARY.gguf: what a mask costs. Random documents are written through the masks
 * of some schemas; prints the time to compile, and median, 99th percentile and most of the masks,
 * each with its step of the matcher. */
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "engine/grammar/grammar.h"
#include "engine/run/vocab_load.h"
#include "engine/text/tokenizer.h"
#include "gguf/gguf.h"

enum { STEPS_MAX = 200000, DOCUMENT_TOKENS = 400, DOCUMENTS = 40 };

static const struct {
    const char *name, *schema;
} schemas[] = {
    {"person",
     "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"},\"age\":{\"type\":"
     "\"integer\",\"minimum\":0,\"maximum\":150},\"email\":{\"type\":\"string\",\"format\":"
     "\"email\"},\"tags\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"maxLength\":60},"
     "\"maxItems\":5},\"address\":{\"type\":\"object\",\"properties\":{\"street\":{\"type\":"
     "\"string\"},\"zip\":{\"type\":\"string\",\"pattern\":\"^[0-9]{5}$\"}},\"required\":["
     "\"street\"]}},\"required\":[\"name\",\"age\",\"tags\",\"address\"]}"},
    {"any json", "{}"},
    {"tree",
     "{\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"v\":{\"type\":\"string\"},\"kids\":"
     "{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/n\"}}},\"required\":[\"v\",\"kids\"],"
     "\"additionalProperties\":false}},\"$ref\":\"#/$defs/n\"}"},
};

static int compare_ns(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static uint64_t rng_state = 1;

static uint32_t rng(void)
{
    rng_state = rng_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(rng_state >> 33);
}

/* A token of the mask, somewhere from a random place on; -1 if there is none. */
static int32_t pick(const uint64_t *mask, uint32_t n)
{
    uint32_t begin = rng() % n;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = (begin + i) % n;
        if (mask[id / 64] >> (id % 64) & 1)
            return (int32_t)id;
    }
    return -1;
}

static int write_documents(struct grammar *g, const struct grammar_vocab *v, uint32_t n_tokens,
                           int64_t *times, size_t *n, struct error *err)
{
    uint64_t *mask = xcalloc(((size_t)n_tokens + 63) / 64, sizeof(*mask));
    int r = 0;
    for (int d = 0; d < DOCUMENTS && r == 0; d++) {
        CLEANUP(cleanup_matcher) struct matcher *m = NULL;
        r = matcher_create(g, v, &m, err);
        for (int t = 0; t < DOCUMENT_TOKENS && r == 0 && matcher_may_go_on(m); t++) {
            int64_t begin = clock_mono_ns();
            r = matcher_mask(m, mask, err);
            int32_t id = pick(mask, n_tokens);
            if (r < 0 || id < 0)
                break;
            if (!matcher_accept_token(m, id))
                r = error_set(err, ERR_INTERNAL, "token %d does not fit its mask", id);
            times[(*n)++] = clock_mono_ns() - begin;
            if (matcher_may_end(m) && rng() % 4 == 0)
                break;
        }
    }
    free(mask);
    return r;
}

static int bench(const char *name, const struct json *schema, const struct grammar_vocab *v,
                 uint32_t n_tokens, int64_t *times, struct error *err)
{
    CLEANUP(cleanup_grammar) struct grammar *g = NULL;
    size_t n = 0;
    int64_t begin = clock_mono_ns();
    int r = grammar_from_schema(schema, &g, err);
    int64_t compiled = clock_mono_ns();
    if (r == 0)
        r = grammar_prepare(g, v, err);
    int64_t prepared = clock_mono_ns();
    if (r == 0)
        r = write_documents(g, v, n_tokens, times, &n, err);
    if (r < 0 || n == 0)
        return r;
    qsort(times, n, sizeof(*times), compare_ns);
    printf("%-12s %6u states, compiled in %.2f ms, prepared in %.2f ms; %zu masks: median %.1f us, "
           "p99 %.1f us, most %.1f us\n",
           name, grammar_n_states(g), (double)(compiled - begin) / 1e6,
           (double)(prepared - compiled) / 1e6, n, (double)times[n / 2] / 1e3,
           (double)times[n * 99 / 100] / 1e3, (double)times[n - 1] / 1e3);
    return 0;
}

/* A schema with 100 fields of mixed types, each second one required. */
static struct json *hundred_fields(void)
{
    CLEANUP_BUF struct buf text = BUF_INIT(1 << 20);
    static const char *const types[] = {
        "{\"type\":\"string\"}", "{\"type\":\"integer\"}", "{\"enum\":[\"a\",\"b\",\"c\"]}",
        "{\"type\":\"array\",\"items\":{\"type\":\"number\"}}", "{\"type\":[\"string\",\"null\"]}"};
    buf_append_c(&text, "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
    for (int i = 0; i < 100; i++)
        buf_printf(&text, "%s\"field_%03d\":%s", i ? "," : "", i, types[i % 5]);
    buf_append_c(&text, "},\"required\":[");
    for (int i = 0; i < 100; i += 2)
        buf_printf(&text, "%s\"field_%03d\"", i ? "," : "", i);
    buf_append_c(&text, "]}");
    struct json *ret = NULL;
    return js_parse(buf_str(&text), "the schema", &ret, NULL) == 0 ? ret : NULL;
}

/* The bytes of every token; control tokens have none here. */
static int make_vocab(const struct tokenizer *t, uint32_t n, struct grammar_vocab **ret,
                      struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT((size_t)1 << 28);
    CLEANUP_FREE size_t *ends = xcalloc((size_t)n + 1, sizeof(*ends));
    CLEANUP_FREE struct str *tokens = xcalloc((size_t)n + 1, sizeof(*tokens));
    int r = 0;
    for (uint32_t id = 0; id < n && r == 0; id++) {
        r = tokenizer_piece(t, (int32_t)id, false, &text, err);
        ends[id] = text.len;
    }
    for (uint32_t id = 0; id < n && r == 0; id++) {
        size_t begin = id ? ends[id - 1] : 0;
        tokens[id] = str_sub(buf_str(&text), begin, ends[id] - begin);
    }
    int32_t eos = tokenizer_eos(t);
    return r < 0 ? r : grammar_vocab_create(tokens, n, &eos, 1, ret, err);
}

static int run(const char *path, struct error *err)
{
    struct gguf *file = NULL;
    struct tokenizer *t = NULL;
    struct grammar_vocab *v = NULL;
    int64_t *times = xcalloc(STEPS_MAX, sizeof(*times));
    int r = gguf_open(path, GGUF_HEADER_ONLY, &file, err);
    if (r == 0)
        r = vocab_load(file, &t, err);
    uint32_t n = r == 0 ? (uint32_t)tokenizer_n_tokens(t) : 0;
    if (r == 0)
        r = make_vocab(t, n, &v, err);
    for (size_t i = 0; i < ARRAY_LEN(schemas) && r == 0; i++) {
        CLEANUP_JSON struct json *schema = NULL;
        r = js_parse(str_from(schemas[i].schema), "the schema", &schema, err);
        if (r == 0)
            r = bench(schemas[i].name, schema, v, n, times, err);
    }
    CLEANUP_JSON struct json *hundred = hundred_fields();
    if (r == 0)
        r = bench("100 fields", hundred, v, n, times, err);
    grammar_vocab_free(v);
    tokenizer_free(t);
    gguf_free(file);
    free(times);
    return r;
}

int main(int argc, char **argv)
{
    struct error err = ERROR_INIT;
    if (argc != 2) {
        fprintf(stderr, "usage: bench_grammar VOCABULARY.gguf\n");
        return 2;
    }
    if (run(argv[1], &err) == 0)
        return 0;
    fprintf(stderr, "bench_grammar: %s\n", err.msg);
    return 1;
}
