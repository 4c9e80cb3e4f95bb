/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_tokenizer: how fast a vocabulary turns a text into tokens.
 *
 *     bench_tokenizer VOCABULARY.gguf TEXT...      →  TEXT  tokens  MB/s
 *
 * Each text is taken as one request: the best of several rounds that last at least a second
 * together counts. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "engine/run/vocab_load.h"

enum { ROUND_NS = 1000 * 1000 * 1000, TEXT_MAX = 256 << 20 };

static int measure(const struct tokenizer *t, const char *path, struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
    int r = file_read(path, &text, err);
    int64_t best = INT64_MAX, spent = 0;
    size_t n_tokens = 0;
    for (int rounds = 0; r == 0 && (rounds < 3 || spent < ROUND_NS); rounds++) {
        CLEANUP_TOKEN_LIST struct token_list ids = TOKEN_LIST_INIT;
        int64_t start = clock_mono_ns();
        r = tokenizer_encode(t, buf_str(&text), TOKENIZE_ADD_SPECIAL, &ids, err);
        int64_t took = clock_mono_ns() - start;
        best = MIN(best, took);
        spent += took;
        n_tokens = ids.n;
        if (spent > 20 * (int64_t)ROUND_NS)
            break;
    }
    if (r == 0)
        printf("%s\t%zu\t%.2f\n", path, n_tokens, (double)text.len * 1e3 / (double)best);
    return r;
}

int main(int argc, char **argv)
{
    struct error err = ERROR_INIT;
    CLEANUP(cleanup_gguf) struct gguf *g = NULL;
    CLEANUP(cleanup_tokenizer) struct tokenizer *t = NULL;
    if (argc < 3) {
        fprintf(stderr, "usage: bench_tokenizer VOCABULARY.gguf TEXT...\n");
        return 2;
    }
    int r = gguf_open(argv[1], GGUF_HEADER_ONLY, &g, &err);
    if (r == 0)
        r = vocab_load(g, &t, &err);
    for (int i = 2; r == 0 && i < argc; i++)
        r = measure(t, argv[i], &err);
    if (r < 0)
        fprintf(stderr, "bench_tokenizer: %s\n", err.msg);
    return r < 0;
}
