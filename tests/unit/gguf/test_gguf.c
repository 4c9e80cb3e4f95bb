/* SPDX-License-Identifier: Apache-2.0
 *
 * The GGUF reader: values and tensors of good files, sentences for bad ones. Files are put together
 * byte by byte, so that every field can be wrong. */
#include "test.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"
#include "gguf/gguf.h"
#include "temp_dir.h"

/* ---- putting files together ---- */

static void put(struct buf *b, uint64_t v, size_t bytes)
{
    buf_append_bytes(b, &v, bytes);
}

static void put_text(struct buf *b, const char *s)
{
    put(b, strlen(s), 8);
    buf_append_c(b, s);
}

static void put_header(struct buf *b, uint64_t n_tensors, uint64_t n_kvs)
{
    buf_append_c(b, "GGUF");
    put(b, 3, 4);
    put(b, n_tensors, 8);
    put(b, n_kvs, 8);
}

static void put_key(struct buf *b, const char *key, uint32_t type)
{
    put_text(b, key);
    put(b, type, 4);
}

static void put_u32(struct buf *b, const char *key, uint32_t v)
{
    put_key(b, key, GGUF_U32);
    put(b, v, 4);
}

static void put_array(struct buf *b, const char *key, uint32_t item_type, uint64_t n)
{
    put_key(b, key, GGUF_ARRAY);
    put(b, item_type, 4);
    put(b, n, 8);
}

static void put_tensor(struct buf *b, const char *name, uint64_t cols, uint64_t rows, uint32_t type,
                       uint64_t offset)
{
    put_text(b, name);
    put(b, 2, 4);
    put(b, cols, 8);
    put(b, rows, 8);
    put(b, type, 4);
    put(b, offset, 8);
}

static void put_data(struct buf *b, size_t bytes)
{
    while (b->len % 32 != 0)
        buf_push(b, 0);
    for (size_t i = 0; i < bytes; i++)
        buf_push(b, (char)i);
}

#define BUF() BUF_INIT(1 << 20)

static struct gguf *open_good(const struct buf *b, unsigned flags)
{
    struct error err = ERROR_INIT;
    struct gguf *g = NULL;
    assert_ok(gguf_open_bytes(b->data, b->len, flags, &g, &err));
    return g;
}

/* The file is copied to a block of its exact size, so that ASan sees a byte too far. */
static void expect_bad(const struct buf *b, unsigned flags, enum errc kind, const char *part)
{
    struct error err = ERROR_INIT;
    struct gguf *g = NULL;
    CLEANUP_FREE char *exact = malloc(b->len > 0 ? b->len : 1);
    assert_non_null(exact);
    memcpy(exact, b->data, b->len);
    assert_fails(gguf_open_bytes(exact, b->len, flags, &g, &err), kind, part);
    assert_null(g);
}

/* ---- metadata ---- */

static void put_values(struct buf *b)
{
    put_header(b, 0, 14);
    put_key(b, "u8", GGUF_U8), put(b, 200, 1);
    put_key(b, "i8", GGUF_I8), put(b, (uint64_t)-100, 1);
    put_key(b, "i32", GGUF_I32), put(b, (uint64_t)-70000, 4);
    put_u32(b, "u32", 4000000000u);
    put_key(b, "u64", GGUF_U64), put(b, UINT64_MAX, 8);
    put_key(b, "i64", GGUF_I64), put(b, (uint64_t)INT64_MIN, 8);
    put_key(b, "f32", GGUF_F32), put(b, 0x3fc00000, 4);         /* 1.5 */
    put_key(b, "f64", GGUF_F64), put(b, 0xc004000000000000, 8); /* -2.5 */
    put_key(b, "bool", GGUF_BOOL), put(b, 1, 1);
    put_key(b, "str", GGUF_STRING), put_text(b, "hello");
    put_array(b, "strs", GGUF_STRING, 3), put_text(b, "a"), put_text(b, ""), put_text(b, "ccc");
    put_array(b, "i16s", GGUF_I16, 2), put(b, (uint64_t)-2, 2), put(b, 7, 2);
    put_array(b, "bools", GGUF_BOOL, 2), put(b, 0, 1), put(b, 1, 1);
    put_array(b, "none", GGUF_F32, 0);
    put_data(b, 0);
}

static void test_gguf__scalars(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf b = BUF();
    put_values(&b);
    struct gguf *g = open_good(&b, 0);
    uint32_t u32 = 0;
    uint64_t u64 = 0;
    int64_t i64 = 0;
    double f64 = 0;
    bool flag = false;
    struct str s;
    assert_ok(gguf_get_u32(g, "u8", &u32, &err));
    assert_int_equal(u32, 200);
    assert_ok(gguf_get_u32(g, "u32", &u32, &err));
    assert_true(u32 == 4000000000u);
    assert_ok(gguf_get_i64(g, "i8", &i64, &err));
    assert_int_equal(i64, -100);
    assert_ok(gguf_get_i64(g, "i32", &i64, &err));
    assert_int_equal(i64, -70000);
    assert_ok(gguf_get_i64(g, "i64", &i64, &err));
    assert_true(i64 == INT64_MIN);
    assert_ok(gguf_get_u64(g, "u64", &u64, &err));
    assert_true(u64 == UINT64_MAX);
    assert_ok(gguf_get_f64(g, "f32", &f64, &err));
    assert_true(f64 == 1.5);
    assert_ok(gguf_get_f64(g, "f64", &f64, &err));
    assert_true(f64 == -2.5);
    assert_ok(gguf_get_f64(g, "i8", &f64, &err));
    assert_true(f64 == -100);
    assert_ok(gguf_get_bool(g, "bool", &flag, &err));
    assert_true(flag);
    assert_ok(gguf_get_str(g, "str", &s, &err));
    assert_str(s, "hello");
    gguf_free(g);
}

static void test_gguf__absent_and_wrong(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf b = BUF();
    put_values(&b);
    struct gguf *g = open_good(&b, 0);
    uint32_t u32 = 77;
    int64_t i64 = 77;
    bool flag = false;
    double f64;
    struct str s;
    assert_fails(gguf_get_u32(g, "nothing", &u32, &err), ERR_NOT_FOUND, "no key 'nothing'");
    assert_ok(gguf_want_u32(g, "nothing", &u32, &err));
    assert_int_equal(u32, 77);
    assert_fails(gguf_want_u32(g, "i8", &u32, &err), ERR_CORRUPT, "'i8' is -100");
    assert_fails(gguf_get_u32(g, "u64", &u32, &err), ERR_CORRUPT, "18446744073709551615");
    assert_fails(gguf_get_i64(g, "u64", &i64, &err), ERR_CORRUPT, "needed");
    assert_fails(gguf_get_u32(g, "f32", &u32, &err), ERR_CORRUPT, "'f32' is of type f32");
    assert_fails(gguf_get_u32(g, "bool", &u32, &err), ERR_CORRUPT, "type bool");
    assert_fails(gguf_get_u32(g, "str", &u32, &err), ERR_CORRUPT, "type string");
    assert_fails(gguf_get_f64(g, "strs", &f64, &err), ERR_CORRUPT, "array of string");
    assert_fails(gguf_get_bool(g, "u8", &flag, &err), ERR_CORRUPT, "a bool");
    assert_fails(gguf_get_str(g, "u8", &s, &err), ERR_CORRUPT, "a string");
    assert_int_equal(u32, 77);
    assert_int_equal(i64, 77);
    gguf_free(g);
}

static void test_gguf__arrays(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf b = BUF();
    put_values(&b);
    struct gguf *g = open_good(&b, 0);
    struct str *strs = NULL;
    int32_t *i32 = NULL;
    float *f32 = NULL;
    bool *flags = NULL;
    uint32_t *u32 = NULL;
    size_t n = 0;
    assert_ok(gguf_get_str_array(g, "strs", &strs, &n, &err));
    assert_int_equal(n, 3);
    assert_str(strs[0], "a");
    assert_str(strs[1], "");
    assert_str(strs[2], "ccc");
    assert_ok(gguf_get_i32_array(g, "i16s", &i32, &n, &err));
    assert_int_equal(n, 2);
    assert_int_equal(i32[0], -2);
    assert_ok(gguf_get_f32_array(g, "i16s", &f32, &n, &err));
    assert_true(f32[0] == -2 && f32[1] == 7);
    assert_ok(gguf_get_bool_array(g, "bools", &flags, &n, &err));
    assert_true(!flags[0] && flags[1]);
    assert_fails(gguf_get_u32_array(g, "i16s", &u32, &n, &err), ERR_CORRUPT, "is -2");
    assert_fails(gguf_get_i32_array(g, "strs", &i32, &n, &err), ERR_CORRUPT, "array of string");
    assert_fails(gguf_get_i32_array(g, "u8", &i32, &n, &err), ERR_CORRUPT, "type u8");
    assert_fails(gguf_get_str_array(g, "nothing", &strs, &n, &err), ERR_NOT_FOUND, "nothing");
    free(f32);
    f32 = (float *)1;
    assert_ok(gguf_get_f32_array(g, "none", &f32, &n, &err));
    assert_null(f32);
    assert_int_equal(n, 0);
    enum gguf_type type;
    uint64_t count;
    assert_true(gguf_array_info(g, "strs", &type, &count));
    assert_int_equal(type, GGUF_STRING);
    assert_int_equal(count, 3);
    assert_false(gguf_array_info(g, "u8", &type, &count));
    free(strs);
    free(i32);
    free(flags);
    gguf_free(g);
}

static void test_gguf__per_layer(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf b = BUF();
    put_values(&b);
    struct gguf *g = open_good(&b, 0);
    uint32_t v[3];
    assert_ok(gguf_get_u32_per_layer(g, "u8", 3, v, &err));
    assert_true(v[0] == 200 && v[1] == 200 && v[2] == 200);
    assert_fails(gguf_get_u32_per_layer(g, "i16s", 3, v, &err), ERR_CORRUPT, "2 values");
    assert_fails(gguf_get_u32_per_layer(g, "i16s", 2, v, &err), ERR_CORRUPT, "-2");
    assert_fails(gguf_get_u32_per_layer(g, "strs", 3, v, &err), ERR_CORRUPT, "array of string");
    assert_fails(gguf_get_u32_per_layer(g, "nothing", 3, v, &err), ERR_NOT_FOUND, "nothing");
    gguf_free(g);
}

static void test_gguf__text(void **state)
{
    (void)state;
    static const char *const want[] = {
        "200",
        "-100",
        "-70000",
        "4000000000",
        "18446744073709551615",
        "-9223372036854775808",
        "1.500000",
        "-2.500000",
        "true",
        "hello",
        "a, , ccc",
        "-2, 7",
        "false, true",
        "",
    };
    CLEANUP_BUF struct buf b = BUF();
    put_values(&b);
    struct gguf *g = open_good(&b, 0);
    assert_int_equal(gguf_n_kv(g), ARRAY_LEN(want));
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        CLEANUP_BUF struct buf text = BUF();
        assert_true(gguf_kv_text(g, i, &text));
        assert_str(buf_str(&text), want[i]);
    }
    assert_str(gguf_kv_key(g, 1), "i8");
    gguf_free(g);
}

static void test_gguf__text_of_long_arrays(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF(), text = BUF();
    put_header(&b, 0, 3);
    put_array(&b, "fifty", GGUF_U8, 50);
    for (int i = 0; i < 50; i++)
        put(&b, 1, 1);
    put_array(&b, "more", GGUF_U8, 51);
    for (int i = 0; i < 51; i++)
        put(&b, 1, 1);
    put_array(&b, "nested", GGUF_ARRAY, 1);
    put(&b, GGUF_U8, 4), put(&b, 1, 8), put(&b, 9, 1);
    put_data(&b, 0);
    struct gguf *g = open_good(&b, 0);
    assert_true(gguf_kv_text(g, 0, &text));
    assert_int_equal(text.len, 50 + 49 * 2);
    buf_clear(&text);
    assert_false(gguf_kv_text(g, 1, &text));
    assert_false(gguf_kv_text(g, 2, &text));
    assert_int_equal(text.len, 0);
    gguf_free(g);
}

/* ---- tensors ---- */

static void test_gguf__tensors(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF();
    put_header(&b, 2, 0);
    put_tensor(&b, "b", 64, 2, 8, 64); /* Q8_0: 4 blocks of 34 bytes */
    put_tensor(&b, "a", 4, 4, 0, 0);
    put_data(&b, 64 + 136);
    struct gguf *g = open_good(&b, 0);
    assert_int_equal(gguf_n_tensors(g), 2);
    assert_int_equal(gguf_alignment(g), 32);
    const struct gguf_tensor *t = gguf_tensor_find(g, STR("b"));
    assert_ptr_equal(t, gguf_tensor_at(g, 0));
    assert_int_equal(t->bytes, 136);
    assert_int_equal(t->n_items, 128);
    assert_true(t->dims[0] == 64 && t->dims[1] == 2 && t->dims[2] == 1 && t->dims[3] == 1);
    assert_int_equal(((const unsigned char *)t->data)[0], 64);
    assert_int_equal(((const unsigned char *)gguf_tensor_find(g, STR("a"))->data)[1], 1);
    assert_null(gguf_tensor_find(g, STR("c")));
    assert_null(gguf_tensor_find(g, STR("")));
    assert_null(gguf_tensor_at(g, 2));
    gguf_tensor_unneeded(g, t); /* bytes in memory: nothing happens */
    gguf_free(g);
}

static void test_gguf__header_only(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF();
    put_header(&b, 1, 1);
    put_u32(&b, "split.count", 5);
    put_tensor(&b, "a", 1 << 20, 1 << 20, 0, 0); /* 4 TiB that are not there */
    expect_bad(&b, 0, ERR_CORRUPT, "tensor 'a'");
    struct gguf *g = open_good(&b, GGUF_HEADER_ONLY);
    assert_null(gguf_tensor_at(g, 0)->data);
    assert_true(gguf_tensor_at(g, 0)->bytes == (uint64_t)4 << 40);
    assert_int_equal(gguf_split_count(g), 5);
    assert_int_equal(gguf_n_parts(g), 1);
    gguf_free(g);
}

/* ---- bad files ---- */

static void test_gguf__every_prefix_is_refused(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf b = BUF();
    put_header(&b, 1, 2);
    put_key(&b, "s", GGUF_STRING), put_text(&b, "text");
    put_array(&b, "strs", GGUF_STRING, 2), put_text(&b, "x"), put_text(&b, "y");
    put_tensor(&b, "a", 4, 4, 0, 0);
    put_data(&b, 64);
    gguf_free(open_good(&b, 0));
    for (size_t n = 0; n < b.len; n++) {
        struct error err = ERROR_INIT;
        struct gguf *g = NULL;
        CLEANUP_FREE char *cut = malloc(n + 1);
        assert_non_null(cut);
        memcpy(cut, b.data, n);
        if (gguf_open_bytes(cut, n, 0, &g, &err) == 0)
            fail_msg("the first %zu bytes of %zu were accepted", n, b.len);
        assert_true(strlen(err.msg) > 10);
    }
}

static void test_gguf__versions(void **state)
{
    (void)state;
    static const struct {
        uint32_t version;
        const char *part; /* NULL = good */
    } rows[] = {
        {2, NULL},
        {3, NULL},
        {1, "version 1"},
        {0, "version 0"},
        {4, "version 4"},
        {0x03000000, "big-endian"},
        {0x02000000, "big-endian"},
        {UINT32_MAX, "4294967295"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP_BUF struct buf b = BUF();
        put_header(&b, 0, 0);
        memcpy(b.data + 4, &rows[i].version, 4);
        put_data(&b, 0);
        if (rows[i].part) {
            expect_bad(&b, 0, ERR_UNSUPPORTED, rows[i].part);
        } else {
            struct gguf *g = open_good(&b, 0);
            assert_int_equal(gguf_version(g), rows[i].version);
            gguf_free(g);
        }
    }
    CLEANUP_BUF struct buf b = BUF();
    buf_append_c(&b, "GGML0000000000000000000000000000");
    expect_bad(&b, 0, ERR_CORRUPT, "not a GGUF file");
}

static void test_gguf__bad_counts(void **state)
{
    (void)state;
    static const uint64_t counts[] = {2, 1 << 20, (uint64_t)1 << 32, (uint64_t)1 << 60, UINT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        CLEANUP_BUF struct buf b = BUF(), c = BUF();
        put_header(&b, 0, counts[i]);
        put_u32(&b, "a", 1);
        expect_bad(&b, GGUF_HEADER_ONLY, ERR_CORRUPT, "key");
        put_header(&c, counts[i], 0);
        put_tensor(&c, "a", 4, 4, 0, 0);
        expect_bad(&c, GGUF_HEADER_ONLY, ERR_CORRUPT, "tensor");
    }
    /* One tensor fewer than there are: the data would begin inside the list. */
    CLEANUP_BUF struct buf b = BUF();
    put_header(&b, 1, 0);
    put_tensor(&b, "a", 4, 4, 0, 0);
    put_tensor(&b, "b", 4, 4, 0, 64);
    put_data(&b, 128);
    expect_bad(&b, 0, ERR_CORRUPT, "padding");
}

static void test_gguf__bad_lengths(void **state)
{
    (void)state;
    static const uint64_t lengths[] = {
        200, 1 << 20, (uint64_t)1 << 40, (uint64_t)1 << 63, UINT64_MAX, UINT64_MAX - 7};
    for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
        CLEANUP_BUF struct buf key = BUF(), text = BUF(), name = BUF(), array = BUF(), strs = BUF();
        put_header(&key, 0, 1);
        put(&key, lengths[i], 8), buf_append_c(&key, "abcdefghijklmnop");
        expect_bad(&key, GGUF_HEADER_ONLY, ERR_CORRUPT, "key 1 of 1");
        put_header(&text, 0, 1);
        put_key(&text, "k", GGUF_STRING), put(&text, lengths[i], 8), buf_append_c(&text, "abcdef");
        expect_bad(&text, GGUF_HEADER_ONLY, ERR_CORRUPT, "key 'k'");
        put_header(&name, 1, 0);
        put(&name, lengths[i], 8);
        for (int k = 0; k < 40; k++)
            buf_push(&name, 'n');
        expect_bad(&name, GGUF_HEADER_ONLY, ERR_CORRUPT, "tensor 1 of 1");
        put_header(&array, 0, 1);
        put_array(&array, "k", GGUF_U64, lengths[i]), put(&array, 1, 8);
        expect_bad(&array, GGUF_HEADER_ONLY, ERR_CORRUPT, "key 'k'");
        put_header(&strs, 0, 1);
        put_array(&strs, "k", GGUF_STRING, lengths[i]), put_text(&strs, "abc");
        expect_bad(&strs, GGUF_HEADER_ONLY, ERR_CORRUPT, "key 'k'");
    }
}

static void test_gguf__bad_values(void **state)
{
    (void)state;
    static const uint32_t types[] = {13, 14, 255, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        CLEANUP_BUF struct buf b = BUF(), c = BUF();
        put_header(&b, 0, 1);
        put_key(&b, "k", types[i]), put(&b, 0, 8);
        expect_bad(&b, GGUF_HEADER_ONLY, ERR_CORRUPT, "key 'k'");
        put_header(&c, 0, 1);
        put_array(&c, "k", types[i], 0);
        expect_bad(&c, GGUF_HEADER_ONLY, ERR_CORRUPT, "key 'k'");
    }
    CLEANUP_BUF struct buf flag = BUF(), flags = BUF(), twice = BUF(), nameless = BUF(),
                           deep = BUF();
    put_header(&flag, 0, 1);
    put_key(&flag, "k", GGUF_BOOL), put(&flag, 2, 1);
    expect_bad(&flag, GGUF_HEADER_ONLY, ERR_CORRUPT, "bool");
    put_header(&flags, 0, 1);
    put_array(&flags, "k", GGUF_BOOL, 2), put(&flags, 0xff00, 2);
    expect_bad(&flags, GGUF_HEADER_ONLY, ERR_CORRUPT, "bool");
    put_header(&twice, 0, 3);
    put_u32(&twice, "k", 1), put_u32(&twice, "l", 1), put_u32(&twice, "k", 1);
    expect_bad(&twice, GGUF_HEADER_ONLY, ERR_CORRUPT, "'k' is there twice");
    put_header(&nameless, 0, 1);
    put_u32(&nameless, "", 1);
    expect_bad(&nameless, GGUF_HEADER_ONLY, ERR_CORRUPT, "0 bytes");
    put_header(&deep, 0, 1);
    put_array(&deep, "k", GGUF_ARRAY, 1);
    for (int i = 0; i < 2000; i++)
        put(&deep, GGUF_ARRAY, 4), put(&deep, 1, 8);
    put(&deep, GGUF_U8, 4), put(&deep, 0, 8);
    expect_bad(&deep, GGUF_HEADER_ONLY, ERR_CORRUPT, "nested");
}

static void test_gguf__bad_alignment(void **state)
{
    (void)state;
    static const uint32_t bad[] = {0, 1, 3, 4, 24, 33, 1u << 31, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        CLEANUP_BUF struct buf b = BUF();
        put_header(&b, 0, 1);
        put_u32(&b, "general.alignment", bad[i]);
        expect_bad(&b, GGUF_HEADER_ONLY, ERR_CORRUPT, "general.alignment");
    }
    CLEANUP_BUF struct buf b = BUF();
    put_header(&b, 0, 1);
    put_key(&b, "general.alignment", GGUF_STRING), put_text(&b, "32");
    expect_bad(&b, GGUF_HEADER_ONLY, ERR_CORRUPT, "general.alignment");
}

static void test_gguf__bad_tensors(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t cols, rows;
        uint32_t type;
        uint64_t offset;
        const char *part;
    } rows[] = {
        {"", 4, 4, 0, 0, "0 bytes"},
        {"n234567890123456789012345678901234567890123456789012345678901234x", 4, 4, 0, 0,
         "65 bytes"},
        {"t", 0, 4, 0, 0, "dimension 0 is 0"},
        {"t", 4, 0, 0, 0, "dimension 1 is 0"},
        {"t", UINT64_MAX, 4, 0, 0, "too large"},
        {"t", (uint64_t)1 << 32, (uint64_t)1 << 32, 0, 0, "too large"},
        {"t", (uint64_t)1 << 33, (uint64_t)1 << 31, 0, 0, "too large"},
        {"t", INT64_MAX, 1, 0, 0, "too large"},
        {"t", 4 + ((uint64_t)1 << 62), 4, 0, 0, "too large"},
        {"t", 4, 5, 0, 0, "beyond the end"},
        {"t", 4, 4, 4, 0, "unknown element type 4"},
        {"t", 4, 4, 31, 0, "unknown element type 31"},
        {"t", 4, 4, 41, 0, "unknown element type 41"},
        {"t", 4, 4, UINT32_MAX, 0, "unknown element type"},
        {"t", 33, 1, 8, 0, "rows of 33"},
        {"t", 128, 1, 12, 0, "rows of 128"},
        {"t", 4, 4, 0, 1, "not aligned"},
        {"t", 4, 4, 0, 32, "beyond the end"},
        {"t", 4, 4, 0, (uint64_t)1 << 63, "beyond the end"},
        {"t", 4, 4, 0, UINT64_MAX - 31, "beyond the end"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        CLEANUP_BUF struct buf b = BUF();
        put_header(&b, 1, 0);
        put_tensor(&b, rows[i].name, rows[i].cols, rows[i].rows, rows[i].type, rows[i].offset);
        put_data(&b, 64);
        expect_bad(&b, 0, ERR_CORRUPT, rows[i].part);
    }
}

static void test_gguf__bad_tensor_lists(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf twice = BUF(), overlap = BUF();
    put_header(&twice, 2, 0);
    put_tensor(&twice, "t", 4, 4, 0, 0), put_tensor(&twice, "t", 4, 4, 0, 64);
    put_data(&twice, 128);
    expect_bad(&twice, 0, ERR_CORRUPT, "'t' is there twice");
    put_header(&overlap, 2, 0);
    put_tensor(&overlap, "t", 4, 4, 0, 32), put_tensor(&overlap, "u", 4, 4, 0, 0);
    put_data(&overlap, 96);
    expect_bad(&overlap, 0, ERR_CORRUPT, "overlap");
    static const uint32_t n_dims[] = {0, 5, 1u << 31, UINT32_MAX};
    for (size_t i = 0; i < ARRAY_LEN(n_dims); i++) {
        CLEANUP_BUF struct buf b = BUF();
        put_header(&b, 1, 0);
        put_tensor(&b, "t", 4, 4, 0, 0);
        memcpy(b.data + 24 + 8 + 1, &n_dims[i], 4);
        put_data(&b, 64);
        expect_bad(&b, 0, ERR_CORRUPT, "dimensions");
    }
}

/* ---- parts ---- */

struct part {
    uint32_t no, count;
    int64_t n_tensors;
    const char *tensor;
};

static char *write_part(const char *name, const struct part *p)
{
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf b = BUF();
    put_header(&b, 1, 3);
    put_u32(&b, "split.no", p->no);
    put_u32(&b, "split.count", p->count);
    put_key(&b, "split.tensors.count", GGUF_I32), put(&b, (uint64_t)p->n_tensors, 4);
    put_tensor(&b, p->tensor, 4, 4, 0, 0);
    put_data(&b, 64);
    char *path = path_join(dir, name);
    assert_ok(file_write_atomic(path, buf_str(&b), 0600, &err));
    return path;
}

static void test_gguf__parts(void **state)
{
    (void)state;
    static const struct {
        struct part first, second;
        const char *part; /* NULL = good */
    } rows[] = {
        {{0, 2, 2, "a"}, {1, 2, 2, "b"}, NULL},
        {{0, 2, 3, "a"}, {1, 2, 3, "b"}, "split.tensors.count is 3"},
        {{0, 2, 2, "a"}, {1, 2, 2, "a"}, "'a' is there twice"},
        {{0, 2, 2, "a"}, {0, 2, 2, "b"}, "part 1 of 2"},
        {{0, 2, 2, "a"}, {1, 3, 2, "b"}, "part 2 of 3"},
        {{0, 3, 3, "a"}, {1, 3, 3, "b"}, "must end in '-00001-of-00003.gguf'"},
        {{1, 2, 2, "a"}, {1, 2, 2, "b"}, "open the first part"},
        {{2, 2, 2, "a"}, {1, 2, 2, "b"}, "split.no is 2"},
        {{0, 65535, 2, "a"}, {1, 2, 2, "b"}, "at most 1024"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct gguf *g = NULL;
        CLEANUP_FREE char *first = write_part("m-00001-of-00002.gguf", &rows[i].first);
        CLEANUP_FREE char *second = write_part("m-00002-of-00002.gguf", &rows[i].second);
        assert_true(file_exists(second));
        int r = gguf_open(first, 0, &g, &err);
        if (rows[i].part) {
            assert_true(r < 0);
            if (!strstr(err.msg, rows[i].part))
                fail_msg("row %zu: '%s' lacks '%s'", i, err.msg, rows[i].part);
            continue;
        }
        assert_ok(r);
        assert_int_equal(gguf_n_parts(g), 2);
        assert_int_equal(gguf_n_tensors(g), 2);
        assert_int_equal(gguf_tensor_find(g, STR("b"))->part, 1);
        assert_int_equal(((const unsigned char *)gguf_tensor_find(g, STR("b"))->data)[5], 5);
        gguf_free(g);
    }
}

static void test_gguf__missing_parts(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct gguf *g = NULL;
    CLEANUP_FREE char *lonely = write_part("x-00001-of-00002.gguf", &(struct part){0, 2, 2, "a"});
    assert_fails(gguf_open(lonely, 0, &g, &err), ERR_NOT_FOUND, "x-00002-of-00002.gguf");
    CLEANUP_FREE char *odd = write_part("odd.gguf", &(struct part){0, 2, 2, "a"});
    assert_fails(gguf_open(odd, 0, &g, &err), ERR_INVALID, "must end in");
    assert_ok(gguf_open(odd, GGUF_HEADER_ONLY, &g, &err));
    gguf_free(g);
    CLEANUP_FREE char *one = write_part("one.gguf", &(struct part){0, 1, 1, "a"});
    assert_ok(gguf_open(one, 0, &g, &err));
    gguf_free(g);
    assert_fails(gguf_open(dir, 0, &g, &err), ERR_INVALID, "regular file");
    CLEANUP_FREE char *absent = path_join(dir, "absent.gguf");
    assert_fails(gguf_open(absent, 0, &g, &err), ERR_NOT_FOUND, "absent.gguf");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gguf__scalars),
        cmocka_unit_test(test_gguf__absent_and_wrong),
        cmocka_unit_test(test_gguf__arrays),
        cmocka_unit_test(test_gguf__per_layer),
        cmocka_unit_test(test_gguf__text),
        cmocka_unit_test(test_gguf__text_of_long_arrays),
        cmocka_unit_test(test_gguf__tensors),
        cmocka_unit_test(test_gguf__header_only),
        cmocka_unit_test(test_gguf__every_prefix_is_refused),
        cmocka_unit_test(test_gguf__versions),
        cmocka_unit_test(test_gguf__bad_counts),
        cmocka_unit_test(test_gguf__bad_lengths),
        cmocka_unit_test(test_gguf__bad_values),
        cmocka_unit_test(test_gguf__bad_alignment),
        cmocka_unit_test(test_gguf__bad_tensors),
        cmocka_unit_test(test_gguf__bad_tensor_lists),
        cmocka_unit_test(test_gguf__parts),
        cmocka_unit_test(test_gguf__missing_parts),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
