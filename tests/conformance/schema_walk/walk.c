/* SPDX-License-Identifier: Apache-2.0
 *
 * Answers of a model that knows nothing: reads one JSON schema a line, walks through the masks of
 * its grammar by chance, and prints each finished text, one line for each:
 *
 *     {"schema": 3, "text": "[1,2]"}     the line of the schema, from 0
 *     {"schema": 3, "cut": true}         it found no end in time
 *     {"schema": 3, "refused": "…"}      once, in place of texts
 *
 *     schema_walk WALKS SEED < schemas.jsonl */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/grammar/grammar.h"

/* Tokens of several bytes, which masks have to take whole or leave: with ends of strings, of
 * characters and of values in their middle. */
static const char *const pieces[] = {
    "{\"",      "\":",  "\":\"",   "\",\"", "\"}",   "\"]",   "}]",       "},{\"", ", ",
    ": ",       "\n  ", "\\n",     "\\\"",  "\\u00", "\\ud8", "tru",      "false", "null",
    "0.",       "e+",   "-1",      "123",   "000",   "2024-", ":00",      "T0",    "\xc3",
    "\xc3\xa9", "name", "a\",\"b", "x-a",   "[[",    "]]",    "\xf0\x9f", "99999", "Z\"",
    "@a.",      "com",  "://",     "::",    "1\"",   "kind",  "kids",     " ",
};

enum { N_TOKENS = 256 + ARRAY_LEN(pieces) + 1, EOG = N_TOKENS - 1, SOFT_STEPS = 60, STEPS = 3000 };

static uint64_t rng;

static uint32_t chance(uint32_t n) /* 0 .. n - 1 */
{
    rng = rng * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((rng >> 33) % n);
}

/* One that is allowed. The longer a text is, the more those are liked that bring it to an end. */
static int32_t choose(const uint64_t *mask, uint32_t step)
{
    static const char closers[] = "\"}]0";
    bool closing = step > SOFT_STEPS && chance(4) > 0;
    int32_t found = -1;
    uint32_t n = 0;
    for (int32_t id = 0; id < N_TOKENS; id++) {
        if (!(mask[id / 64] >> (id % 64) & 1))
            continue;
        if (id == EOG && (closing || chance(3) == 0))
            return id;
        bool likes = !closing || (id > 0 && id < 256 && strchr(closers, id));
        if (likes && chance(++n) == 0)
            found = id;
    }
    for (int32_t id = 0; id < N_TOKENS && found < 0; id++) /* none that closes: any of them */
        if (mask[id / 64] >> (id % 64) & 1 && (id == EOG || chance(8) == 0))
            found = id;
    for (int32_t id = 0; id < N_TOKENS && found < 0; id++)
        if (mask[id / 64] >> (id % 64) & 1)
            found = id;
    return found;
}

static void put(int line, const char *key, struct json *value)
{
    CLEANUP_JSON struct json *out = js_object();
    CLEANUP_BUF struct buf text = BUF_INIT((size_t)1 << 20);
    js_set_int(out, "schema", line);
    js_set(out, key, value);
    js_write(out, JS_COMPACT, &text);
    printf("%.*s\n", (int)text.len, text.data);
}

static int walk(struct grammar *g, const struct grammar_vocab *vocab, const struct str *tokens,
                int line)
{
    struct error err = ERROR_INIT;
    CLEANUP(cleanup_matcher) struct matcher *m = NULL;
    CLEANUP_BUF struct buf text = BUF_INIT((size_t)1 << 20);
    if (matcher_create(g, vocab, &m, &err) < 0) {
        fprintf(stderr, "schema %d: %s\n", line, err.msg);
        return -1;
    }
    for (uint32_t step = 0; step < STEPS; step++) {
        uint64_t mask[(N_TOKENS + 63) / 64];
        if (matcher_mask(m, mask, &err) < 0) {
            fprintf(stderr, "schema %d: %s\n", line, err.msg);
            return -1;
        }
        int32_t id = choose(mask, step);
        if (id == EOG && !utf8_valid(text.data, text.len)) {
            fprintf(stderr, "schema %d: a text that is not UTF-8\n", line);
            return -1;
        }
        if (id == EOG) {
            put(line, "text", js_str(buf_str(&text)));
            return 0;
        }
        if (id < 0 || !matcher_accept_token(m, id)) {
            fprintf(stderr, "schema %d: %s behind '%.*s'\n", line,
                    id < 0 ? "no way out" : "a token that the mask allows is refused",
                    (int)text.len, text.data);
            return -1;
        }
        buf_append(&text, tokens[id]);
    }
    put(line, "cut", js_bool(true));
    return 0;
}

int main(int argc, char **argv)
{
    int n_walks = argc > 2 ? atoi(argv[1]) : 0;
    rng = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    struct error err = ERROR_INIT;
    static char bytes[256];
    struct str tokens[N_TOKENS] = {0};
    for (int i = 0; i < 256; i++) {
        bytes[i] = (char)i;
        tokens[i] = str_make(&bytes[i], 1);
    }
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        tokens[256 + i] = str_from(pieces[i]);
    int32_t eog = EOG;
    struct grammar_vocab *vocab;
    if (n_walks <= 0 || grammar_vocab_create(tokens, N_TOKENS, &eog, 1, &vocab, &err) < 0) {
        fprintf(stderr, "usage: schema_walk WALKS SEED < schemas.jsonl\n");
        return 2;
    }
    char *row = NULL;
    size_t cap = 0;
    ssize_t len;
    int r = 0;
    for (int line = 0; r == 0 && (len = getline(&row, &cap, stdin)) > 0; line++) {
        CLEANUP_JSON struct json *schema = NULL;
        CLEANUP(cleanup_grammar) struct grammar *g = NULL;
        r = js_parse(str_make(row, (size_t)len), "the schema", &schema, &err);
        if (r == 0 && grammar_from_schema(schema, &g, &err) < 0)
            put(line, "refused", js_str(str_from(err.msg)));
        for (int i = 0; r == 0 && g && i < n_walks; i++)
            r = walk(g, vocab, tokens, line);
    }
    free(row);
    grammar_vocab_free(vocab);
    return r < 0;
}
