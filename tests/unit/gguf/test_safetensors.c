/* SPDX-License-Identifier: Apache-2.0
 *
 * The safetensors reader: what is in a file, and what is refused. */
#include "gguf/safetensors.h"

#include "test.h"

#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"

static char path[64];

static void write_file(const char *header, size_t n_data)
{
    CLEANUP_BUF struct buf file = BUF_INIT(1 << 20);
    uint64_t n = strlen(header);
    for (int i = 0; i < 8; i++)
        buf_push(&file, (char)(n >> 8 * i));
    buf_append_c(&file, header);
    for (size_t i = 0; i < n_data; i++)
        buf_push(&file, (char)i);
    assert_int_equal(file_write_atomic(path, buf_str(&file), 0600, NULL), 0);
}

static void test_safetensors__reads(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct safetensors *s;
    write_file("{\"b\":{\"dtype\":\"F16\",\"shape\":[2,3],\"data_offsets\":[4,16]},"
               "\"__metadata__\":{\"format\":\"pt\"},"
               "\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},"
               "\"q\":{\"dtype\":\"F4\",\"shape\":[5],\"data_offsets\":[16,19]},"
               "\"e\":{\"dtype\":\"I64\",\"shape\":[0,7],\"data_offsets\":[19,19]}}",
               19);
    assert_ok(safetensors_open(path, &s, &err));
    assert_int_equal(safetensors_n(s), 4);
    assert_str(safetensors_at(s, 0)->name, "a");
    assert_int_equal(safetensors_at(s, 0)->n_items, 1);
    const struct safetensors_tensor *b = safetensors_find(s, STR("b"));
    assert_non_null(b);
    assert_int_equal(b->n_dims, 2);
    assert_int_equal(b->dims[0], 2);
    assert_int_equal(b->dims[1], 3);
    assert_int_equal(((const unsigned char *)b->data)[0], 4);
    assert_null(safetensors_find(s, STR("__metadata__")));
    assert_string_equal(js_get_cstr(safetensors_metadata(s), "format", ""), "pt");
    safetensors_free(s);
}

static void test_safetensors__refused(void **state)
{
    (void)state;
    static const struct {
        const char *header, *part;
    } cases[] = {
        {"[]", "no JSON object"},
        {"{", "no safetensors file"},
        {"{\"a\":{\"shape\":[1],\"data_offsets\":[0,4]}}", "'a' has no dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", "'a' has no shape"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", "no whole number"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}",
         "too many dimensions"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,2],\"data_offsets\":[0,4]}}",
         "larger than anything"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", "another number"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", "beyond the end"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
         "shares bytes"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct safetensors *s = NULL;
        write_file(cases[i].header, 8);
        assert_fails(safetensors_open(path, &s, &err), ERR_CORRUPT, cases[i].part);
        assert_non_null(strstr(err.msg, path));
    }
}

static void test_safetensors__lengths(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct safetensors *s = NULL;
    static const char huge[] = "\xff\xff\xff\xff\xff\xff\xff\xff{}";
    for (size_t n = 0; n <= sizeof(huge); n++) {
        assert_ok(file_write_atomic(path, str_make(huge, n), 0600, &err));
        assert_fails(safetensors_open(path, &s, &err), ERR_CORRUPT, "cut short");
    }
    unlink(path);
    assert_fails(safetensors_open(path, &s, &err), ERR_NOT_FOUND, path);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(path, sizeof(path), "/tmp/mr-safetensors-%d", (int)getpid());
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safetensors__reads),
        cmocka_unit_test(test_safetensors__refused),
        cmocka_unit_test(test_safetensors__lengths),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
