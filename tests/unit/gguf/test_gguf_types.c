/* SPDX-License-Identifier: Apache-2.0
 *
 * The two tables of element types, the file's and the kernels', say the same. */
#include "test.h"

#include "engine/kernels/types.h"
#include "gguf/gguf_types.h"

static void test_gguf_types__agree_with_kernels(void **state)
{
    (void)state;
    size_t n = 0;
    for (uint32_t t = 0; t < 1000; t++) {
        const struct gguf_type_info *a = gguf_type_info(t);
        const struct weight_type_info *b = weight_type_info(t);
        if (!a != !b)
            fail_msg("only one table knows type %u", t);
        if (!a)
            continue;
        n++;
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->block_items, b->block_items);
        assert_int_equal(a->block_bytes, b->block_bytes);
    }
    assert_true(n > 30);
    assert_null(gguf_type_info(UINT32_MAX));
}

static void test_gguf_types__file_types(void **state)
{
    (void)state;
    assert_string_equal(gguf_file_type_name(15), "Q4_K_M");
    assert_string_equal(gguf_file_type_name(0), "F32");
    assert_null(gguf_file_type_name(4));
    assert_null(gguf_file_type_name(UINT32_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gguf_types__agree_with_kernels),
        cmocka_unit_test(test_gguf_types__file_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
