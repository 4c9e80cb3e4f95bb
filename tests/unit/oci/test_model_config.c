/* SPDX-License-Identifier: Apache-2.0
 *
 * Model configs of both families, and text maps. */
#include "test.h"

#include "base/alloc.h"
#include "oci/model_config.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const char docker[] =
    "{\"config\":{\"format\":\"gguf\",\"quantization\":\"Q4_K_M\",\"parameters\":\"361.82 M\","
    "\"architecture\":\"llama\",\"size\":\"256.35 MiB\","
    "\"gguf\":{\"a.b\":\"1\",\"general.architecture\":\"llama\"},\"context_size\":4096},"
    "\"descriptor\":{\"created\":\"2025-03-24T11:49:41.12Z\"},"
    "\"rootfs\":{\"type\":\"rootfs\",\"diff_ids\":[\"sha256:" HEX_A "\"]}}";

static void test_docker__round_trip(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct oci_model_config c;
    assert_ok(oci_model_config_parse(str_from(docker), OCI_CONFIG_V01, &c, &err));
    assert_string_equal(c.format, "gguf");
    assert_string_equal(c.parameters, "361.82 M"); /* as it stands, with its space */
    assert_int_equal(c.context_size, 4096);
    assert_int_equal(c.created_s, 1742816981);
    assert_int_equal(c.n_diff_ids, 1);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    oci_model_config_write(&c, &out);
    assert_string_equal(buf_cstr(&out), docker);
    oci_model_config_release(&c);
}

static void test_docker__lenient(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "{\"config\":null}",
        "{\"config\":[],\"descriptor\":7,\"rootfs\":\"x\",\"new\":{}}",
        "{\"config\":{\"context_size\":0}}",
        "{\"config\":{\"context_size\":-5}}",
        "{\"config\":{\"context_size\":99999999999}}",
        "{\"config\":{\"context_size\":\"x\",\"format\":7}}",
        "{\"descriptor\":{\"created\":\"yesterday\"},\"rootfs\":{\"diff_ids\":[7,\"sha256:x\"]}}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct error err = ERROR_INIT;
        struct oci_model_config c;
        assert_ok(oci_model_config_parse(str_from(texts[i]), OCI_CONFIG_V01, &c, &err));
        assert_int_equal(c.context_size, 0);
        assert_int_equal(c.created_s, 0);
        assert_int_equal(c.n_diff_ids, 0);
        assert_string_equal(c.format, "");
        CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
        oci_model_config_write_inner(&c, &out);
        assert_string_equal(buf_cstr(&out), "{}");
        oci_model_config_release(&c);
    }
}

static void test_docker__metadata_of_other_types(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct oci_model_config c;
    assert_ok(oci_model_config_parse(
        STR("{\"config\":{\"gguf\":{\"z\":1,\"b\":true,\"a\":\"x\\u0000y\"}}}"), OCI_CONFIG_V01, &c,
        &err));
    assert_str(oci_map_get(&c.gguf, "z"), "1");
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    oci_model_config_write_inner(&c, &out);
    assert_string_equal(buf_cstr(&out),
                        "{\"gguf\":{\"a\":\"x\\u0000y\",\"b\":\"true\",\"z\":\"1\"}}");
    oci_model_config_release(&c);
}

static void test_cncf(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct oci_model_config c;
    static const char text[] =
        "{\"descriptor\":{\"createdAt\":\"2025-03-24T12:49:41+01:00\",\"family\":\"qwen2\"},"
        "\"modelfs\":{\"type\":\"layers\",\"diffIds\":[\"sha256:" HEX_A "\"]},"
        "\"config\":{\"format\":\"gguf\",\"paramSize\":\"8B\",\"quantization\":\"Q4_0\"}}";
    /* Also under Docker's media type: the content tells. */
    for (int kind = OCI_CONFIG_V01; kind <= OCI_CONFIG_CNCF; kind++) {
        assert_ok(oci_model_config_parse(str_from(text), (enum oci_config_kind)kind, &c, &err));
        assert_string_equal(c.parameters, "8B");
        assert_string_equal(c.size, "8B");
        assert_string_equal(c.architecture, "qwen2");
        assert_int_equal(c.created_s, 1742816981);
        assert_int_equal(c.n_diff_ids, 1);
        oci_model_config_release(&c);
    }
}

static void test_refuses(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct oci_model_config c;
    assert_fails(oci_model_config_parse(STR("{"), OCI_CONFIG_V01, &c, &err), ERR_CORRUPT, "JSON");
    assert_fails(oci_model_config_parse(STR("[1]"), OCI_CONFIG_V01, &c, &err), ERR_CORRUPT,
                 "object");
    char *big = xcalloc(1, OCI_CONFIG_MAX_BYTES + 1);
    assert_fails(
        oci_model_config_parse(str_make(big, OCI_CONFIG_MAX_BYTES + 1), OCI_CONFIG_V01, &c, &err),
        ERR_TOO_LARGE, "at most");
    free(big);
}

static void test_map__strings(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    oci_write_string(STR("a\"\\\n\t\x01<>&/\xe2\x80\xa8\xff\xc3\xa4"), &out);
    assert_string_equal(buf_cstr(&out),
                        "\"a\\\"\\\\\\n\\t\\u0001\\u003c\\u003e\\u0026/\\u2028\\ufffd\xc3\xa4\"");
    struct oci_map m = {0};
    oci_map_set(&m, STR("b"), STR("1"));
    oci_map_set(&m, STR("a"), STR("2"));
    oci_map_set(&m, STR("b"), STR("3"));
    assert_int_equal(m.n, 2);
    assert_str(oci_map_get(&m, "b"), "3");
    assert_null(oci_map_get(&m, "c").ptr);
    oci_map_release(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_docker__round_trip),
        cmocka_unit_test(test_docker__lenient),
        cmocka_unit_test(test_docker__metadata_of_other_types),
        cmocka_unit_test(test_cncf),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_map__strings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
