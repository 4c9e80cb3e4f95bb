/* SPDX-License-Identifier: Apache-2.0
 *
 * Dequantisation against the blocks of ../shared/conformance/logits/dequant.jsonl (or MR_SHARED):
 * every level must give the same f32 bits as the values there. Skipped where the set is not
 * present. */
#include "test.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "engine/kernels/f16.h"
#include "engine/kernels/kernels.h"
#include "shared_set.h"

/* The set prints nine significant digits, which name one f32. */
static float value_at(const struct json *values, size_t i)
{
    return (float)js_to_real(js_at(values, i), (double)NAN);
}

static unsigned char *bytes_from_hex(struct str hex)
{
    unsigned char *bytes = xmalloc(hex.len / 2);
    for (size_t i = 0; i < hex.len / 2; i++) {
        char two[3] = {hex.ptr[2 * i], hex.ptr[2 * i + 1], 0};
        bytes[i] = (unsigned char)strtoul(two, NULL, 16);
    }
    return bytes;
}

/* Compares one line of the set at one level; returns whether the engine computes with its type. */
static bool check_line(const struct json *line, const struct kernels *k)
{
    const char *type = js_get_cstr(line, "type", "?");
    int64_t id = js_get_int(line, "type_id", -1);
    const struct weight_type_info *info = weight_type_info((uint32_t)id);
    assert_non_null(info);
    assert_string_equal(info->name, type);
    assert_int_equal(info->block_items, js_get_int(line, "block_elems", 0));
    assert_int_equal(info->block_bytes, js_get_int(line, "block_bytes", 0));
    assert_int_equal(info->can_compute, k->weight[id].dequant != NULL);
    if (!info->can_compute)
        return false;

    const struct json *values = js_get(line, "values");
    size_t n = js_len(values);
    struct str hex = js_get_str(line, "hex");
    uint64_t row_bytes;
    assert_true(weight_row_bytes((uint32_t)id, (uint32_t)n, &row_bytes));
    assert_int_equal(hex.len, 2 * row_bytes);
    CLEANUP_FREE unsigned char *bytes = bytes_from_hex(hex);
    CLEANUP_FREE float *got = xcalloc(n, sizeof(*got));
    k->weight[id].dequant(bytes, got, n);
    for (size_t i = 0; i < n; i++) {
        float want = value_at(values, i);
        if (f32_bits(got[i]) != f32_bits(want) && !(got[i] == 0.0f && want == 0.0f))
            fail_msg("%s at level %s: item %zu is %.9g, wanted %.9g", type, k->level, i,
                     (double)got[i], (double)want);
    }
    return true;
}

static void test_dequant__shared_set(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *path = shared_path("conformance/logits/dequant.jsonl");
    if (!file_exists(path))
        skip();
    CLEANUP_BUF struct buf text = BUF_INIT((size_t)16 << 20);
    assert_ok(file_read(path, &text, &err));

    size_t n_checked = 0;
    struct str rest = buf_str(&text), part;
    while (str_split_next(&rest, '\n', &part)) {
        if (str_trim(part).len == 0)
            continue;
        CLEANUP_JSON struct json *line = NULL;
        assert_ok(js_parse(part, "the set", &line, &err));
        const char *level;
        for (size_t l = 0; (level = kernels_level_at(l)) != NULL; l++) {
            struct kernels k;
            assert_ok(kernels_init(level, &k, &err));
            n_checked += check_line(line, &k);
        }
    }
    assert_true(n_checked >= 24 * 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_dequant__shared_set)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
