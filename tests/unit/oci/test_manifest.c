/* SPDX-License-Identifier: Apache-2.0
 *
 * Digests, manifests, media types. */
#include "test.h"

#include "base/alloc.h"
#include "oci/manifest.h"

#define HEX_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define HEX_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void test_digest__parse(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct oci_digest d;
    assert_ok(oci_digest_parse(STR("sha256:" HEX_A), &d, &err));
    assert_string_equal(oci_digest_hex(&d), HEX_A);
    assert_string_equal(oci_digest_algorithm(&d), "sha256");
    assert_ok(oci_digest_parse(STR("sha512:" HEX_A HEX_B), &d, &err));
    assert_string_equal(oci_digest_algorithm(&d), "sha512");
    static const char *const bad[] = {
        "",
        "sha256:",
        HEX_A,
        "sha256:" HEX_A "0",
        "sha256:AAAA",
        "SHA256:" HEX_A,
        "sha256:../../../x",
        "sha512:" HEX_A,
        "md5:00",
        "sha256:/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_fails(oci_digest_parse(str_from(bad[i]), &d, &err), ERR_INVALID, "digest");
    assert_fails(
        oci_digest_parse(
            STR("sha256:\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), &d,
            &err),
        ERR_INVALID, "0-9 and a-f");
}

static void test_digest__of_bytes(void **state)
{
    (void)state;
    struct oci_digest d = oci_digest_of(STR("abc"));
    assert_string_equal(d.text,
                        "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static const char whole[] =
    "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.manifest.v1+json\","
    "\"config\":{\"mediaType\":\"application/vnd.docker.ai.model.config.v0.1+json\",\"size\":12,"
    "\"digest\":\"sha256:" HEX_A "\"},"
    "\"layers\":[{\"mediaType\":\"application/vnd.docker.ai.gguf.v3\",\"size\":9007199254740993,"
    "\"digest\":\"sha256:" HEX_B "\",\"annotations\":{\"a\":\"\\u003cx\\u0026y\\u003e\","
    "\"org.cncf.model.filepath\":\"m.gguf\"}},"
    "{\"mediaType\":\"application/vnd.docker.ai.license\",\"size\":0,\"digest\":\"sha256:" HEX_A
    "\"}]}";

static void test_manifest__round_trip(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct oci_manifest m;
    assert_ok(oci_manifest_parse(str_from(whole), &m, &err));
    assert_int_equal(m.n_layers, 2);
    assert_null(m.artifact_type);
    assert_true(m.layers[0].size == 9007199254740993u);
    assert_str(oci_layer_path(&m.layers[0]), "m.gguf");
    assert_str(oci_map_get(&m.layers[0].annotations, "a"), "<x&y>");
    assert_null(oci_layer_path(&m.layers[1]).ptr);
    assert_int_equal(oci_layer_kind(&m.layers[0]), OCI_LAYER_GGUF);
    assert_int_equal(oci_layer_kind(&m.layers[1]), OCI_LAYER_LICENSE);
    CLEANUP_BUF struct buf out = BUF_INIT(1 << 20);
    oci_manifest_write(&m, &out);
    assert_string_equal(buf_cstr(&out), whole);
    oci_manifest_release(&m);
}

static void test_manifest__refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum errc code;
        const char *message;
    } cases[] = {
        {"", ERR_CORRUPT, "not valid JSON"},
        {"[]", ERR_CORRUPT, "not a JSON object"},
        {"{\"schemaVersion\":1}", ERR_UNSUPPORTED, "schemaVersion"},
        {"{\"schemaVersion\":2}", ERR_CORRUPT, "config"},
        {"{\"schemaVersion\":2,\"manifests\":[]}", ERR_UNSUPPORTED, "list of manifests"},
        {"{\"schemaVersion\":2,\"mediaType\":\"" OCI_TYPE_INDEX "\",\"config\":{}}",
         ERR_UNSUPPORTED, "list of manifests"},
        {"{\"schemaVersion\":2,\"mediaType\":\"text/html\"}", ERR_UNSUPPORTED, "not a manifest"},
        {"{\"schemaVersion\":2,\"config\":{\"size\":-1}}", ERR_CORRUPT, "size"},
        {"{\"schemaVersion\":2,\"config\":{\"size\":1e30}}", ERR_CORRUPT, "size"},
        {"{\"schemaVersion\":2,\"config\":{\"size\":1,\"digest\":\"sha256:../x\"}}", ERR_CORRUPT,
         "digest"},
        {"{\"schemaVersion\":2,\"config\":{\"size\":1,\"digest\":\"sha256:" HEX_A
         "\",\"mediaType\":7}}",
         ERR_CORRUPT, "mediaType"},
        {"{\"schemaVersion\":2,\"config\":{\"size\":1,\"digest\":\"sha256:" HEX_A "\"}}",
         ERR_CORRUPT, "layers"},
        {"{\"schemaVersion\":2,\"config\":{\"size\":1,\"digest\":\"sha256:" HEX_A
         "\"},\"layers\":[7]}",
         ERR_CORRUPT, "layer 1"},
        {"{\"schemaVersion\":2,\"config\":{\"size\":1,\"digest\":\"sha256:" HEX_A
         "\",\"mediaType\":\"a\\u0000b\"},\"layers\":[]}",
         ERR_CORRUPT, "NUL"},
        {"{\"schemaVersion\":2,\"config\":{\"size\":1,\"digest\":\"sha256:" HEX_A
         "\",\"annotations\":{\"a\":1}},\"layers\":[]}",
         ERR_CORRUPT, "annotation 'a'"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct oci_manifest m;
        assert_fails(oci_manifest_parse(str_from(cases[i].text), &m, &err), cases[i].code,
                     cases[i].message);
    }
}

static void test_manifest__bounds(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct oci_manifest m;
    CLEANUP_BUF struct buf text = BUF_INIT(16 << 20);
    buf_printf(&text, "{\"schemaVersion\":2,\"config\":{\"size\":1,\"digest\":\"sha256:" HEX_A
                      "\"},\"layers\":[");
    for (int i = 0; i <= OCI_MANIFEST_MAX_LAYERS; i++)
        buf_printf(&text, "%s{\"size\":9223372036854775807,\"digest\":\"sha256:" HEX_B "\"}",
                   i ? "," : "");
    buf_append_c(&text, "]}");
    assert_fails(oci_manifest_parse(buf_str(&text), &m, &err), ERR_TOO_LARGE, "layers");
    buf_clear(&text);
    buf_printf(&text, "{\"schemaVersion\":2,\"config\":{\"size\":1,\"digest\":\"sha256:" HEX_A
                      "\"},\"layers\":[");
    for (int i = 0; i < 3; i++)
        buf_printf(&text, "%s{\"size\":9223372036854775807,\"digest\":\"sha256:" HEX_B "\"}",
                   i ? "," : "");
    buf_append_c(&text, "]}");
    assert_ok(oci_manifest_parse(buf_str(&text), &m, &err));
    uint64_t sum;
    assert_fails(oci_manifest_layer_bytes(&m, &sum, &err), ERR_CORRUPT, "do not add up");
    oci_manifest_release(&m);
    char *big = xmalloc(OCI_MANIFEST_MAX_BYTES + 1);
    memset(big, ' ', OCI_MANIFEST_MAX_BYTES + 1);
    assert_fails(oci_manifest_parse(str_make(big, OCI_MANIFEST_MAX_BYTES + 1), &m, &err),
                 ERR_TOO_LARGE, "manifest has");
    free(big);
}

static void test_config_kind(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    enum oci_config_kind kind;
    assert_ok(oci_config_kind_of(OCI_TYPE_CONFIG_V02, &kind, &err));
    assert_int_equal(kind, OCI_CONFIG_V02);
    assert_fails(
        oci_config_kind_of("application/vnd.docker.ai.model.config.v99.0+json", &kind, &err),
        ERR_UNSUPPORTED, "config.v99.0+json\" is not supported (supported: ");
    assert_true(strstr(err.msg, "- try upgrading: unsupported model config media type") != NULL);
}

static void test_file_kind(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum oci_layer_kind kind;
    } cases[] = {
        {"model.gguf", OCI_LAYER_GGUF},
        {"dir.x/Model-Q4.GGUF", OCI_LAYER_GGUF},
        {"mmproj-model-f16.gguf", OCI_LAYER_MMPROJ},
        {"x.mmproj", OCI_LAYER_MMPROJ},
        {"model-00001-of-00002.safetensors", OCI_LAYER_SAFETENSORS},
        {"sd.dduf", OCI_LAYER_DDUF},
        {"template.jinja", OCI_LAYER_TEMPLATE},
        {"chat_template.json", OCI_LAYER_TEMPLATE},
        {"LICENSE", OCI_LAYER_LICENSE},
        {"NOTICE.txt", OCI_LAYER_LICENSE},
        {"README.md", OCI_LAYER_DOC},
        {"config.json", OCI_LAYER_FILE},
        {"tokenizer.model", OCI_LAYER_FILE},
        {"weights.bin", OCI_LAYER_OTHER},
        {"", OCI_LAYER_OTHER},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(oci_file_kind(str_from(cases[i].name)), cases[i].kind);
    assert_int_equal(
        oci_layer_kind_of("application/vnd.cncf.model.weight.v1.raw", STR("a/mmproj.gguf")),
        OCI_LAYER_MMPROJ);
    assert_int_equal(
        oci_layer_kind_of("application/vnd.cncf.model.weight.v1.gguf", (struct str){NULL, 0}),
        OCI_LAYER_GGUF);
    assert_int_equal(oci_layer_kind_of("text/plain", STR("a.gguf")), OCI_LAYER_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_digest__parse),
        cmocka_unit_test(test_digest__of_bytes),
        cmocka_unit_test(test_manifest__round_trip),
        cmocka_unit_test(test_manifest__refuses),
        cmocka_unit_test(test_manifest__bounds),
        cmocka_unit_test(test_config_kind),
        cmocka_unit_test(test_file_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
