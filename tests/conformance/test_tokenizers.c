/* SPDX-License-Identifier: Apache-2.0
 *
 * Every vocabulary of ../shared/conformance/tokenizers (or MR_SHARED) against the ids, texts and
 * pieces recorded there: X.gguf.inp/.out are pairs of text and ids, X.extra.jsonl has rows in both
 * directions, X.meta.json the special ids. Rows on which the reference engines disagree among
 * themselves are run but not counted. Skipped where the set is not present. */
#include "test.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "engine/run/vocab_load.h"
#include "shared_set.h"

enum { SHOWN_MAX = 5 }; /* failures printed per file */

struct tally {
    const char *file;
    size_t n, failed, disputed;
};

static void tally_add(struct tally *t, bool ok, bool disputed, const char *what, struct str text)
{
    t->n++;
    if (ok)
        return;
    if (disputed) {
        t->disputed++;
        return;
    }
    if (t->failed++ < SHOWN_MAX) {
        char shown[160];
        utf8_printable(shown, sizeof(shown), text.ptr, text.len);
        print_error("%s: wrong %s for '%s'\n", t->file, what, shown);
    }
}

static bool ids_equal(const struct token_list *got, const struct json *want)
{
    if (got->n != js_len(want))
        return false;
    for (size_t i = 0; i < got->n; i++) {
        if (got->ids[i] != js_to_int(js_at(want, i), -1))
            return false;
    }
    return true;
}

static void append_hex(struct buf *out, struct str bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        buf_printf(out, "%02x", (unsigned char)bytes.ptr[i]);
}

static bool decode_matches(const struct tokenizer *t, const struct token_list *ids,
                           const struct json *row)
{
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf text = BUF_INIT((size_t)1 << 20), hex = BUF_INIT((size_t)2 << 20);
    if (tokenizer_decode(t, ids->ids, ids->n, true, &text, &err) < 0)
        return false;
    if (js_is(js_get(row, "detokenized"), JS_STRING))
        return str_eq(buf_str(&text), js_get_str(row, "detokenized"));
    append_hex(&hex, buf_str(&text));
    return str_eq(buf_str(&hex), js_get_str(row, "detokenized_hex"));
}

static bool pieces_match(const struct tokenizer *t, const struct token_list *ids,
                         const struct json *row)
{
    struct error err = ERROR_INIT;
    const struct json *pieces = js_get(row, "pieces_hex");
    for (size_t i = 0; i < js_len(pieces) && i < ids->n; i++) {
        CLEANUP_BUF struct buf piece = BUF_INIT((size_t)1 << 20);
        CLEANUP_BUF struct buf hex = BUF_INIT((size_t)2 << 20);
        if (tokenizer_piece(t, ids->ids[i], true, &piece, &err) < 0)
            return false;
        append_hex(&hex, buf_str(&piece));
        if (!str_eq(buf_str(&hex), js_to_str(js_at(pieces, i))))
            return false;
    }
    return true;
}

/* The stream gives the pieces one behind the other, in whole characters. */
static bool stream_matches(const struct tokenizer *t, const struct token_list *ids)
{
    struct error err = ERROR_INIT;
    CLEANUP_DETOKENIZER struct detokenizer d;
    detokenizer_init(&d, t, true, true);
    CLEANUP_BUF struct buf all = BUF_INIT((size_t)1 << 20), stream = BUF_INIT((size_t)2 << 20);
    bool ok = true;
    for (size_t i = 0; i < ids->n; i++) {
        size_t before = stream.len;
        ok = ok && tokenizer_piece(t, ids->ids[i], true, &all, &err) == 0 &&
             detokenizer_feed(&d, ids->ids[i], &stream, &err) == 0 &&
             utf8_valid(buf_cstr(&stream) + before, stream.len - before);
    }
    detokenizer_flush(&d, &stream);
    return ok && (str_eq(buf_str(&stream), buf_str(&all)) || !utf8_valid(all.data, all.len));
}

static void check_row(const struct tokenizer *t, const struct json *row, struct tally *tally)
{
    struct error err = ERROR_INIT;
    struct str text = js_get_str(row, "text");
    bool disputed = js_len(js_get(row, "disagree")) > 0;
    unsigned flags = (js_get_bool(row, "add_special", false) ? TOKENIZE_ADD_SPECIAL : 0u) |
                     (js_get_bool(row, "parse_special", false) ? TOKENIZE_PARSE_SPECIAL : 0u);
    struct token_list ids = TOKEN_LIST_INIT;
    assert_ok(tokenizer_encode(t, text, flags, &ids, &err));
    tally_add(tally, ids_equal(&ids, js_get(row, "ids")), disputed, "ids", text);

    struct token_list given = TOKEN_LIST_INIT;
    for (size_t i = 0; i < js_len(js_get(row, "ids")); i++)
        token_list_push(&given, (int32_t)js_to_int(js_at(js_get(row, "ids"), i), -1));
    tally_add(tally, decode_matches(t, &given, row), disputed, "text", text);
    tally_add(tally, pieces_match(t, &given, row), disputed, "pieces", text);
    tally_add(tally, stream_matches(t, &given), disputed, "stream", text);
    token_list_release(&given);
    token_list_release(&ids);
}

/* A file beside the vocabulary: X.gguf → X + suffix. False if there is none. */
static bool read_beside(const char *gguf_path, const char *suffix, struct buf *out)
{
    struct error err = ERROR_INIT;
    size_t stem = strlen(gguf_path) - strlen(".gguf");
    CLEANUP_FREE char *path = xasprintf("%.*s%s", (int)stem, gguf_path, suffix);
    if (!file_exists(path))
        return false;
    assert_ok(file_read(path, out, &err));
    return true;
}

static void check_rows(const struct tokenizer *t, const char *path, struct tally *tally)
{
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf text = BUF_INIT((size_t)16 << 20);
    if (!read_beside(path, ".extra.jsonl", &text))
        return;
    struct str rest = buf_str(&text), line;
    while (str_split_next(&rest, '\n', &line)) {
        if (str_trim(line).len == 0)
            continue;
        CLEANUP_JSON struct json *row = NULL;
        assert_ok(js_parse(line, "a row", &row, &err));
        check_row(t, row, tally);
    }
}

static void check_pair(const struct tokenizer *t, struct str text, struct str ids_line,
                       struct tally *tally)
{
    struct error err = ERROR_INIT;
    struct token_list got = TOKEN_LIST_INIT;
    assert_ok(tokenizer_encode(t, text, 0, &got, &err));
    struct str rest = str_trim(ids_line), word;
    size_t n = 0;
    bool ok = true;
    while (rest.len > 0 && str_split_next(&rest, ' ', &word)) {
        int64_t id;
        if (word.len == 0)
            continue;
        assert_ok(str_to_i64(word, "an id", &id, &err));
        ok = ok && n < got.n && got.ids[n] == id;
        n++;
    }
    tally_add(tally, ok && n == got.n, false, "ids", text);
    token_list_release(&got);
}

static void check_pairs(const struct tokenizer *t, const char *path, struct tally *tally)
{
    const struct str separator = STR("\n__ggml_vocab_test__\n");
    CLEANUP_BUF struct buf in = BUF_INIT((size_t)1 << 20), out = BUF_INIT((size_t)1 << 20);
    if (!read_beside(path, ".gguf.inp", &in) || !read_beside(path, ".gguf.out", &out))
        return;
    struct str texts = buf_str(&in), lines = buf_str(&out), line;
    while (texts.len > 0 && str_split_next(&lines, '\n', &line)) {
        ptrdiff_t end = str_find(texts, separator);
        struct str text = end < 0 ? texts : str_sub(texts, 0, (size_t)end);
        check_pair(t, text, line, tally);
        texts = end < 0 ? str_make("", 0) : str_sub(texts, (size_t)end + separator.len, SIZE_MAX);
    }
}

static void check_meta(const struct tokenizer *t, const char *path, struct tally *tally)
{
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf text = BUF_INIT((size_t)1 << 20);
    if (!read_beside(path, ".meta.json", &text))
        return;
    CLEANUP_JSON struct json *meta = NULL;
    assert_ok(js_parse(buf_str(&text), "the metadata", &meta, &err));
    const struct {
        const char *key;
        int64_t got;
    } numbers[] = {
        {"n_tokens", (int64_t)tokenizer_n_tokens(t)},
        {"bos", tokenizer_bos(t)},
        {"eos", tokenizer_eos(t)},
        {"eot", tokenizer_eot(t)},
        {"add_bos", tokenizer_adds_bos(t)},
        {"add_eos", tokenizer_adds_eos(t)},
    };
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        const struct json *v = js_get(meta, numbers[i].key);
        int64_t want = js_is(v, JS_BOOL) ? js_to_bool(v, false) : js_to_int(v, -2);
        tally_add(tally, want == numbers[i].got, false, "metadata", str_from(numbers[i].key));
    }
    const struct json *eog = js_get(meta, "eog");
    for (int32_t id = 0; id < (int32_t)tokenizer_n_tokens(t); id++) {
        bool want = false;
        for (size_t i = 0; i < js_len(eog); i++)
            want = want || js_to_int(js_at(eog, i), -1) == id;
        if (want != tokenizer_is_eog(t, id))
            tally_add(tally, false, false, "end of generation", tokenizer_token_text(t, id));
    }
}

static bool check_file(const char *path)
{
    struct error err = ERROR_INIT;
    CLEANUP(cleanup_gguf) struct gguf *g = NULL;
    CLEANUP(cleanup_tokenizer) struct tokenizer *t = NULL;
    assert_ok(gguf_open(path, GGUF_HEADER_ONLY, &g, &err));
    assert_ok(vocab_load(g, &t, &err));
    struct tally tally = {.file = path_base(path)};
    check_pairs(t, path, &tally);
    check_rows(t, path, &tally);
    check_meta(t, path, &tally);
    if (tally.failed > 0)
        print_error("%s: %zu of %zu checks failed, %zu more on disputed rows\n", tally.file,
                    tally.failed, tally.n, tally.disputed);
    assert_true(tally.n > 0);
    return tally.failed == 0;
}

static void test_tokenizers__shared_set(void **state)
{
    (void)state;
    CLEANUP_FREE char *pattern = shared_path("conformance/tokenizers/*.gguf");
    glob_t found = {0};
    if (glob(pattern, 0, NULL, &found) != 0)
        skip();
    size_t n_failed = 0;
    for (size_t i = 0; i < found.gl_pathc; i++)
        n_failed += !check_file(found.gl_pathv[i]);
    size_t n = found.gl_pathc;
    globfree(&found);
    if (n_failed > 0)
        fail_msg("%zu of %zu vocabularies", n_failed, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_tokenizers__shared_set)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
