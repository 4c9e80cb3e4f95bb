/* SPDX-License-Identifier: Apache-2.0
 *
 * SentencePiece models: what is read, and that nothing cut or bent is believed. */
#include "test.h"

#include "base/compiler.h"
#include "engine/import/sentencepiece.h"

/* Two pieces ("<unk>", unknown, and "\u2581a" of score -1.5), a field that is not known, the
 * trainer's and the normalizer's facts. */
static const unsigned char good[] = {
    0x0a, 0x09, 0x0a, 0x05, '<',  'u',  'n',  'k',  '>',  0x18, 0x02,             /* piece 0 */
    0x0a, 0x0b, 0x0a, 0x04, 0xe2, 0x96, 0x81, 'a',  0x15, 0x00, 0x00, 0xc0, 0xbf, /* piece 1 */
    0x32, 0x02, 0x08, 0x01,                                                       /* field 6 */
    0x12, 0x15, 0x18, 0x02, 0xc0, 0x02, 0x00, 0xc8, 0x02, 0x01, /* bpe, unk, bos */
    0xd0, 0x02, 0x02, 0xe1, 0x02, 1,    2,    3,    4,          /* eos, … */
    5,    6,    7,    8,                                        /* … a fixed64 */
    0x1a, 0x02, 0x18, 0x00,                                     /* no prefix */
};

static void test_sp_model__reads(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct sp_model m;
    assert_ok(sp_model_parse(good, sizeof(good), &m, &err));
    assert_int_equal(m.n, 2);
    assert_str(m.pieces[0].text, "<unk>");
    assert_int_equal(m.pieces[0].type, 2);
    assert_str(m.pieces[1].text, "\xe2\x96\x81"
                                 "a");
    assert_true(m.pieces[1].score == -1.5f);
    assert_int_equal(m.pieces[1].type, 1);
    assert_int_equal(m.model_type, SP_BPE);
    assert_int_equal(m.unk, 0);
    assert_int_equal(m.bos, 1);
    assert_int_equal(m.eos, 2);
    assert_int_equal(m.pad, -1);
    assert_false(m.add_dummy_prefix);
    sp_model_release(&m);
}

/* Between fields a model may end; anywhere else it is cut off. */
static void test_sp_model__cut(void **state)
{
    (void)state;
    static const size_t between[] = {11, 24, 28, 51, 55};
    for (size_t len = 0; len <= sizeof(good); len++) {
        struct error err = ERROR_INIT;
        struct sp_model m;
        bool whole = false;
        for (size_t i = 0; i < ARRAY_LEN(between); i++)
            whole |= len == between[i];
        int r = sp_model_parse(good, len, &m, &err);
        if ((r == 0) != whole)
            fail_msg("%zu bytes: %d", len, r);
        sp_model_release(&m);
    }
}

static void refuse(const unsigned char *bytes, size_t n, const char *why)
{
    struct error err = ERROR_INIT;
    struct sp_model m;
    assert_fails(sp_model_parse(bytes, n, &m, &err), ERR_CORRUPT, why);
    sp_model_release(&m);
}

static void test_sp_model__bad(void **state)
{
    (void)state;
    const unsigned char type[] = {0x0a, 0x02, 0x18, 0x07};
    const unsigned char nan[] = {0x0a, 0x05, 0x15, 0x00, 0x00, 0xc0, 0x7f};
    const unsigned char group[] = {0x0a, 0x01, 0x0b};
    const unsigned char longest[] = {0x08, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1};
    const unsigned char length[] = {0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0};
    refuse(type, sizeof(type), "type or score");
    refuse(nan, sizeof(nan), "type or score");
    refuse(group, sizeof(group), "unknown form");
    refuse(longest, sizeof(longest), "too long");
    refuse(length, sizeof(length), "cut off");
    refuse(good, 0, "0 pieces");
    refuse((const unsigned char *)"{\"model\": {}}", 13, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sp_model__reads),
        cmocka_unit_test(test_sp_model__cut),
        cmocka_unit_test(test_sp_model__bad),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
