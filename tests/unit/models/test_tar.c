/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading tar archives of any origin. */
#include "test.h"

#include "base/alloc.h"
#include "models/tar.h"

struct source {
    struct str data;
    size_t step; /* bytes a read gives at most */
};

static ssize_t read_source(void *ctx, void *p, size_t n, struct error *err)
{
    (void)err;
    struct source *s = ctx;
    n = MIN(MIN(n, s->step), s->data.len);
    if (n)
        memcpy(p, s->data.ptr, n);
    s->data = str_sub(s->data, n, SIZE_MAX);
    return (ssize_t)n;
}

/* Lists an archive as "name:size=content;" …; returns what tar_next() ended with. */
static int list(struct str data, size_t step, struct buf *out, struct error *err)
{
    struct source s = {.data = data, .step = step};
    struct tar_reader t;
    struct tar_entry e;
    int r;
    tar_reader_init(&t, read_source, &s);
    while ((r = tar_next(&t, &e, err)) > 0) {
        buf_printf(out, "%s%s:%llu=", e.name,
                   e.type == TAR_DIR    ? "/"
                   : e.type == TAR_LINK ? "@"
                                        : "",
                   (unsigned long long)e.size);
        char p[7];
        ssize_t n;
        while ((n = tar_read(&t, p, sizeof(p), err)) > 0)
            buf_append_bytes(out, p, (size_t)n);
        if (n < 0) {
            r = (int)n;
            break;
        }
        buf_push(out, ';');
    }
    tar_reader_release(&t);
    return r;
}

static void add(struct buf *tar, const char *name, enum tar_type type, const char *content)
{
    static const char zeros[TAR_BLOCK];
    size_t n = content ? strlen(content) : 0;
    tar_write_header(tar, name, type, n);
    if (n)
        buf_append_bytes(tar, content, n);
    buf_append_bytes(tar, zeros, tar_padding(n));
}

static void end(struct buf *tar)
{
    static const char zeros[TAR_END];
    buf_append_bytes(tar, zeros, sizeof(zeros));
}

/* Rewrites a header field and its checksum. */
static void patch(struct buf *tar, size_t header, size_t at, const void *p, size_t n)
{
    unsigned char *h = (unsigned char *)tar->data + header;
    memcpy(h + at, p, n);
    memset(h + 148, ' ', 8);
    unsigned sum = 0;
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += h[i];
    char text[8];
    snprintf(text, sizeof(text), "%06o", sum);
    memcpy(h + 148, text, 7);
}

static void test_read__own(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf tar = BUF_INIT(1 << 20);
    add(&tar, "blobs", TAR_DIR, NULL);
    add(&tar, "a", TAR_FILE, "hello world");
    add(&tar, "empty", TAR_FILE, "");
    add(&tar, "b", TAR_FILE, "x");
    end(&tar);
    for (size_t step = 1; step < 2000; step = step * 3 + 1) {
        CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
        assert_ok(list(buf_str(&tar), step, &out, &err));
        assert_string_equal(buf_cstr(&out), "blobs/:0=;a:11=hello world;empty:0=;b:1=x;");
    }
}

static void test_read__cut_off_anywhere(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf tar = BUF_INIT(1 << 20);
    add(&tar, "a", TAR_FILE, "hello world");
    end(&tar);
    for (size_t n = 0; n < 2 * TAR_BLOCK; n += 13) {
        struct error err = ERROR_INIT;
        CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
        assert_fails(list(str_make(tar.data, n), 100, &out, &err), ERR_CORRUPT, "unexpected EOF");
    }
}

static void test_read__extensions(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf tar = BUF_INIT(1 << 20);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
    add(&tar, "pax", TAR_FILE, "19 path=long/name1\n9 size=3\n12 other=no\n");
    patch(&tar, 0, 156, "x", 1);
    size_t at = tar.len;
    add(&tar, "short", TAR_FILE, "abc");
    patch(&tar, at, 124, "00000000000", 11); /* the pax header's size counts */
    at = tar.len;
    add(&tar, "././@LongLink", TAR_FILE, "gnu/long/name");
    patch(&tar, at, 156, "L", 1);
    at = tar.len;
    add(&tar, "short2", TAR_FILE, "de");
    patch(&tar, at, 124, "\x80\0\0\0\0\0\0\0\0\0\0\x02", 12); /* binary size */
    at = tar.len;
    add(&tar, "global", TAR_FILE, "12 comment=x\n");
    patch(&tar, at, 156, "g", 1);
    at = tar.len;
    add(&tar, "link", TAR_FILE, "");
    patch(&tar, at, 156, "2", 1);
    at = tar.len;
    add(&tar, "base", TAR_FILE, "z");
    patch(&tar, at, 345, "some/prefix", 12);
    end(&tar);
    assert_ok(list(buf_str(&tar), 512, &out, &err));
    assert_string_equal(buf_cstr(&out),
                        "long/name1:3=abc;gnu/long/name:2=de;link@:0=;some/prefix/base:1=z;");
}

static void test_read__hostile(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        const char *bytes;
        size_t n;
        bool keep_checksum;
    } cases[] = {
        {148, "77777\0 ", 7, true},                                           /* wrong checksum */
        {124, "9999999999", 10, false},                                       /* no octal number */
        {124, "\x80\x01\0\0\0\0\0\0\0\0\0\0", 12, false},                     /* beyond 64 bits */
        {124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12, false}, /* negative */
        {124, "\x80\0\0\0\0\x7f\xff\xff\xff\xff\xff\xff", 12, false},         /* absurd */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        CLEANUP_BUF struct buf tar = BUF_INIT(1 << 20);
        CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
        add(&tar, "a", TAR_FILE, "hello");
        if (cases[i].keep_checksum)
            memcpy(tar.data + cases[i].at, cases[i].bytes, cases[i].n);
        else
            patch(&tar, 0, cases[i].at, cases[i].bytes, cases[i].n);
        end(&tar);
        assert_fails(list(buf_str(&tar), 512, &out, &err), ERR_CORRUPT, "not a valid tar archive");
    }
    static const char *const pax[] = {
        "x",
        "99 path=a\n",
        "0 path=a\n",
        "9 path=a",
        "9 =aaaaa\n",
        "5 pat\n",
        "7 path=\n",
        "-9 path=a\n",
        "18446744073709551615 path=a\n",
        "23 size=99999999999999\n99",
        "26 GNU.sparse.major=1\n....",
        "30 size=9999999999999999999999\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(pax); i++) {
        struct error err = ERROR_INIT;
        CLEANUP_BUF struct buf tar = BUF_INIT(1 << 20);
        CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
        add(&tar, "pax", TAR_FILE, pax[i]);
        patch(&tar, 0, 156, "x", 1);
        add(&tar, "a", TAR_FILE, "hello");
        end(&tar);
        int r = list(buf_str(&tar), 512, &out, &err);
        assert_true(r == -ERR_CORRUPT);
    }
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf tar = BUF_INIT(1 << 20);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 16);
    char *text = xmalloc(5001);
    memset(text, 'a', 5000);
    text[5000] = '\0';
    add(&tar, "L", TAR_FILE, text); /* a name beyond the limit */
    patch(&tar, 0, 156, "L", 1);
    end(&tar);
    assert_fails(list(buf_str(&tar), 512, &out, &err), ERR_CORRUPT, "long name");
    free(text);
    assert_fails(list(STR("this is a text file, not an archive at all"), 512, &out, &err),
                 ERR_CORRUPT, "unexpected EOF");
}

static void test_write__large_sizes(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    static const uint64_t sizes[] = {0,           1,           511,          512,
                                     8589934591u, 8589934592u, 99999999999u, 1125899906842624u};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        CLEANUP_BUF struct buf tar = BUF_INIT(1 << 20);
        tar_write_header(&tar, "big", TAR_FILE, sizes[i]);
        assert_int_equal(tar.len, tar_header_size(sizes[i]));
        struct source s = {.data = buf_str(&tar), .step = 512};
        struct tar_reader t;
        struct tar_entry e;
        tar_reader_init(&t, read_source, &s);
        assert_int_equal(tar_next(&t, &e, &err), 1);
        assert_true(e.size == sizes[i]);
        tar_reader_release(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read__own),          cmocka_unit_test(test_read__cut_off_anywhere),
        cmocka_unit_test(test_read__extensions),   cmocka_unit_test(test_read__hostile),
        cmocka_unit_test(test_write__large_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
