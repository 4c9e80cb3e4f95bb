/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokenizers: a vocabulary and a text, both from the input. Encoding must give ids of the
 * vocabulary, decoding must take them all, a stream must give whole characters.
 *
 *     byte    kind: model in bits 0, 1 and 7, switches between
 *     byte    pre-tokenizer: index of a rule
 *     tokens  { byte length, byte type, bytes }, ended by length 255
 *     merges  { byte length, bytes }, ended by length 255; for "t5" see make_map()
 *     text    the rest
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "engine/text/pretokenizer_rules.h"
#include "engine/text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ITEMS_MAX = 256, END = 255, MAP_BYTES = 4096 };

struct input {
    const uint8_t *p;
    size_t n;
};

static uint8_t take_byte(struct input *in)
{
    if (in->n == 0)
        return END;
    in->n--;
    return *in->p++;
}

static struct str take_bytes(struct input *in, size_t n)
{
    struct str s = str_make((const char *)in->p, MIN(n, in->n));
    in->p += s.len;
    in->n -= s.len;
    return s;
}

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void run(const struct tokenizer *t, struct str text, unsigned flags)
{
    CLEANUP_TOKEN_LIST struct token_list ids = TOKEN_LIST_INIT;
    CLEANUP_BUF struct buf whole = BUF_INIT(1 << 24);
    CLEANUP_BUF struct buf stream = BUF_INIT(1 << 24);
    CLEANUP_DETOKENIZER struct detokenizer d;
    detokenizer_init(&d, t, true, flags & TOKENIZE_ADD_SPECIAL);
    int r = tokenizer_encode(t, text, flags, &ids, NULL);
    /* A map may lead outside itself, or make the text grow too much. */
    check(r == 0 || r == -ERR_CORRUPT || r == -ERR_TOO_LARGE);
    for (size_t i = 0; i < ids.n; i++) {
        check(ids.ids[i] >= 0 && (size_t)ids.ids[i] < tokenizer_n_tokens(t));
        check(detokenizer_feed(&d, ids.ids[i], &stream, NULL) == 0);
        check(utf8_valid(stream.data, stream.len));
    }
    detokenizer_flush(&d, &stream);
    check(utf8_valid(stream.data, stream.len));
    check(tokenizer_decode(t, ids.ids, ids.n, true, &whole, NULL) == 0);
}

/* A map whose nodes are the first merge again and again, with the others as replacements. */
static struct str make_map(const struct str *merges, size_t n, struct buf *out)
{
    const uint32_t size = MAP_BYTES;
    buf_append_bytes(out, &size, sizeof(size));
    while (out->len < MAP_BYTES + 4) {
        struct str s = merges[0].len > 0 ? merges[0] : STR("\0");
        buf_append(out, str_sub(s, 0, MAP_BYTES + 4 - out->len));
    }
    for (size_t i = 1; i < n; i++) {
        buf_append(out, str_sub(merges[i], 0, 8));
        buf_push(out, '\0');
    }
    return buf_str(out);
}

/* PLaMo 2 must have a token for every byte. */
static void add_byte_tokens(struct vocab_source *src, struct str *tokens, int32_t *types)
{
    static char names[256][8];
    for (unsigned b = 0; b < 256; b++) {
        snprintf(names[b], sizeof(names[b]), "<0x%02X>", b);
        tokens[src->n_tokens] = str_from(names[b]);
        types[src->n_tokens++] = TOKEN_BYTE;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const models[] = {"llama", "gpt2",   "gemma4", "bert",
                                         "t5",    "plamo2", "rwkv",   "whitespace"};
    struct input in = {data, size};
    uint8_t kind = take_byte(&in), rule = take_byte(&in);
    struct str tokens[ITEMS_MAX + 256], merges[ITEMS_MAX];
    int32_t types[ITEMS_MAX + 256];
    float scores[ITEMS_MAX + 256] = {0};
    struct vocab_source src = VOCAB_SOURCE_INIT;

    uint8_t len;
    while (src.n_tokens < ITEMS_MAX && (len = take_byte(&in)) != END) {
        uint8_t type = take_byte(&in);
        types[src.n_tokens] = type & 7;
        scores[src.n_tokens] = (float)(type >> 3);
        tokens[src.n_tokens++] = take_bytes(&in, len);
    }
    while (src.n_merges < ITEMS_MAX && (len = take_byte(&in)) != END)
        merges[src.n_merges++] = take_bytes(&in, len);

    src.model = str_from(models[(kind & 3) | (kind >> 5 & 4)]);
    const struct pretokenizer_rule *r = pretokenizer_rule_at(rule);
    struct str names = str_from(r ? r->names : ""), name;
    str_split_next(&names, ' ', &name);
    src.pre = name;
    src.name = kind & 4 ? STR("phi-3") : STR("");
    src.tokens = tokens;
    src.types = types;
    src.scores = scores;
    src.merges = merges;
    src.bos = kind >> 4 & 7;
    src.remove_extra_whitespaces = kind >> 6 & 1;
    CLEANUP_BUF struct buf map = BUF_INIT(2 * MAP_BYTES);
    if (str_eq_c(src.model, "t5") && src.n_merges > 0)
        src.charsmap = make_map(merges, src.n_merges, &map);
    if (str_eq_c(src.model, "plamo2"))
        add_byte_tokens(&src, tokens, types);
    src.add_space_prefix = kind & 8 ? 0 : -1;

    struct tokenizer *t = NULL;
    if (tokenizer_create(&src, &t, NULL) < 0)
        return 0;
    struct str text = take_bytes(&in, in.n);
    for (unsigned flags = 0; flags < 4; flags++)
        run(t, text, flags);
    tokenizer_free(t);
    return 0;
}
