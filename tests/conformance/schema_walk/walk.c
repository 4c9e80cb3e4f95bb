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

#include "base/utf8.h"
#include "grammar_walk.h"

/* Tokens of several bytes, which masks have to take whole or leave: with ends of strings, of
 * characters and of values in their middle. */
static const char *const pieces[] = {
    "{\"",      "\":",  "\":\"",   "\",\"", "\"}",   "\"]",   "}]",       "},{\"", ", ",
    ": ",       "\n  ", "\\n",     "\\\"",  "\\u00", "\\ud8", "tru",      "false", "null",
    "0.",       "e+",   "-1",      "123",   "000",   "2024-", ":00",      "T0",    "\xc3",
    "\xc3\xa9", "name", "a\",\"b", "x-a",   "[[",    "]]",    "\xf0\x9f", "99999", "Z\"",
    "@a.",      "com",  "://",     "::",    "1\"",   "kind",  "kids",     " ",
};

static void put(int line, const char *key, struct json *value)
{
    CLEANUP_JSON struct json *out = js_object();
    CLEANUP_BUF struct buf text = BUF_INIT((size_t)1 << 20);
    js_set_int(out, "schema", line);
    js_set(out, key, value);
    js_write(out, JS_COMPACT, &text);
    printf("%.*s\n", (int)text.len, text.data);
}

static int walk(struct grammar *g, const struct walk_vocab *vocab, uint64_t *rng, int line)
{
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf text = BUF_INIT((size_t)1 << 20);
    int r = grammar_walk(g, vocab, rng, &text, &err);
    if (r == 0 && !utf8_valid(text.data, text.len)) {
        fprintf(stderr, "schema %d: a text that is not UTF-8\n", line);
        return -1;
    }
    if (r < 0)
        fprintf(stderr, "schema %d: %s\n", line, err.msg);
    else if (r == 0)
        put(line, "text", js_str(buf_str(&text)));
    else
        put(line, "cut", js_bool(true));
    return r < 0 ? r : 0;
}

int main(int argc, char **argv)
{
    int n_walks = argc > 2 ? atoi(argv[1]) : 0;
    uint64_t rng = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    struct error err = ERROR_INIT;
    static struct walk_vocab vocab;
    if (n_walks <= 0 || walk_vocab_init(&vocab, pieces, ARRAY_LEN(pieces), NULL, 0, &err) < 0) {
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
            r = walk(g, &vocab, &rng, line);
    }
    free(row);
    grammar_vocab_free(vocab.vocab);
    return r < 0;
}
