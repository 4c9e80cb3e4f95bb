/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of models: what they mean, what they look like, where they go wrong. */
#include "test.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "oci/reference.h"

#define HEX64 "354bf30d0aa3af413d2aa5ae4f23c66d78980072d1e07a5b0d776e9606a2f0b9"

static void test_parse__full_form(void **state)
{
    (void)state;
    static const struct {
        const char *typed, *registry, *full, *familiar;
    } cases[] = {
        {"smollm2", NULL, "docker.io/ai/smollm2:latest", "ai/smollm2:latest"},
        {"gemma3:v1", NULL, "docker.io/ai/gemma3:v1", "ai/gemma3:v1"},
        {"  gemma3  ", NULL, "docker.io/ai/gemma3:latest", "ai/gemma3:latest"},
        {"model:", NULL, "docker.io/ai/model:latest", "ai/model:latest"},
        {"MyModel", NULL, "docker.io/ai/mymodel:latest", "ai/mymodel:latest"},
        {"SmolLM2:360M-Q4", NULL, "docker.io/ai/smollm2:360M-Q4", "ai/smollm2:360M-Q4"},
        {"abc123", NULL, "docker.io/ai/abc123:latest", "ai/abc123:latest"},
        {"myorg/m", NULL, "docker.io/myorg/m:latest", "myorg/m:latest"},
        {"a/b/c:1_2.3-x", NULL, "docker.io/a/b/c:1_2.3-x", "a/b/c:1_2.3-x"},
        {"docker.io/smollm2", NULL, "docker.io/ai/smollm2:latest", "ai/smollm2:latest"},
        {"index.docker.io/ai/x", NULL, "docker.io/ai/x:latest", "ai/x:latest"},
        {"reg.io:5000/a/b", NULL, "reg.io:5000/a/b:latest", "reg.io:5000/a/b:latest"},
        {"REG.io/A/B:T", NULL, "reg.io/a/b:T", "reg.io/a/b:T"},
        {"registry.example.com/model", NULL, "registry.example.com/model:latest",
         "registry.example.com/model:latest"},
        {"localhost/m", NULL, "localhost/m:latest", "localhost/m:latest"},
        {"localhost:5000/m:t", NULL, "localhost:5000/m:t", "localhost:5000/m:t"},
        {"[::1]:5000/m", NULL, "[::1]:5000/m:latest", "[::1]:5000/m:latest"},
        {"hf.co/Org/Model-GGUF:Q4_K_M", NULL, "huggingface.co/org/model-gguf:Q4_K_M",
         "huggingface.co/org/model-gguf:Q4_K_M"},
        {"HuggingFace.co/gpt2", NULL, "huggingface.co/gpt2:latest", "huggingface.co/gpt2:latest"},
        {"a__b/c--d.e_f", NULL, "docker.io/a__b/c--d.e_f:latest", "a__b/c--d.e_f:latest"},
        {"smollm2@sha256:" HEX64, NULL, "docker.io/ai/smollm2@sha256:" HEX64,
         "ai/smollm2@sha256:" HEX64},
        {"o/m:t@sha256:" HEX64, NULL, "docker.io/o/m:t@sha256:" HEX64, "o/m:t@sha256:" HEX64},
        {"smollm2", "registry.local:5000", "registry.local:5000/ai/smollm2:latest",
         "registry.local:5000/ai/smollm2:latest"},
        {"o/m", "registry.local:5000", "registry.local:5000/o/m:latest",
         "registry.local:5000/o/m:latest"},
        {"docker.io/o/m", "registry.local:5000", "docker.io/o/m:latest", "o/m:latest"},
        {"o/m", "index.docker.io", "docker.io/o/m:latest", "o/m:latest"},
        {HEX64, NULL, "sha256:" HEX64, "sha256:" HEX64},
        {"sha256:" HEX64, NULL, "sha256:" HEX64, "sha256:" HEX64},
        {"sha256:abc", NULL, "docker.io/ai/sha256:abc", "ai/sha256:abc"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct oci_reference r, again;
        char text[OCI_REFERENCE_TEXT_MAX];
        assert_ok(oci_reference_parse(str_from(cases[i].typed), cases[i].registry, &r, &err));
        oci_reference_text(&r, text);
        assert_string_equal(text, cases[i].full);
        oci_reference_familiar(&r, text);
        assert_string_equal(text, cases[i].familiar);
        /* The full form is a fixed point. */
        oci_reference_text(&r, text);
        assert_ok(oci_reference_parse(str_from(text), NULL, &again, &err));
        assert_true(oci_reference_eq(&r, &again));
    }
}

static void test_parse__ids(void **state)
{
    (void)state;
    static const struct {
        const char *typed;
        enum oci_reference_kind kind;
        const char *short_id;
    } cases[] = {
        {"354bf30d0aa3", OCI_REF_SHORT_ID, "354bf30d0aa3"},
        {"sha256:354bf30d0aa3", OCI_REF_SHORT_ID, "354bf30d0aa3"},
        {"sha256:354bf30d0aa3af41", OCI_REF_SHORT_ID, "354bf30d0aa3af41"},
        {"354bf30d0aa3af41", OCI_REF_NAME, ""}, /* only 12 or 64 digits without the prefix */
        {"354BF30D0AA3", OCI_REF_NAME, ""},     /* ids are lower case */
        {"354bf30d0aa", OCI_REF_NAME, ""},
        {HEX64, OCI_REF_ID, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct oci_reference r;
        assert_ok(oci_reference_parse(str_from(cases[i].typed), NULL, &r, &err));
        assert_int_equal(r.kind, cases[i].kind);
        assert_string_equal(r.short_id, cases[i].short_id);
    }
}

static void test_parse__keeps_the_case_for_hugging_face(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct oci_reference r;
    assert_ok(oci_reference_parse(STR("hf.co/Qwen/Qwen2.5-GGUF:Q8_0"), NULL, &r, &err));
    assert_true(oci_reference_is_hugging_face(&r));
    assert_string_equal(r.repository, "qwen/qwen2.5-gguf");
    assert_string_equal(r.typed_repository, "Qwen/Qwen2.5-GGUF");
    assert_string_equal(r.tag, "Q8_0");
}

static void test_parse__shows_where_it_goes_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *typed, *message;
    } cases[] = {
        {"", "the model name is empty"},
        {"   ", "the model name is empty"},
        {"a:b:c", "'a:b:c': unexpected ':' at column 4"},
        {"invalid:reference:format", "unexpected ':' at column 18"},
        {"a b", "unexpected '\\x20' at column 2"},
        {"a//b", "unexpected '/' at column 3"},
        {"/a", "unexpected '/' at column 1"},
        {"a/", "the name ends too early, at column 3"},
        {"-a", "unexpected '-' at column 1"},
        {"a-", "unexpected '-' at column 2"},
        {"a..b", "unexpected '.' at column 3"},
        {"a/../b", "unexpected '.' at column 3"},
        {"../etc/passwd", "unexpected '.' at column 1"},
        {"a___b", "unexpected '_' at column 4"},
        {"a:-x", "unexpected '-' at column 3"},
        {"a:b/c", "unexpected 'b' at column 3"},
        {"reg.io:99999/a", "99999 is not a port"},
        {"reg.io:0/a", "0 is not a port"},
        {"reg..io/a", "unexpected '.' at column 5"},
        {"reg-.io/a", "unexpected '-' at column 4"},
        {"[::1/a", "unexpected '/' at column 5"},
        {"a@sha256:xyz", "column 3"},
        {"a@sha256:00", "instead of 64"},
        {"a@md5:00", "is not a digest"},
        {"a\xc3\xa4", "unexpected '\\xc3' at column 2"},
        {"a\x1b[31m", "unexpected '\\x1b' at column 2"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct oci_reference r;
        assert_fails(oci_reference_parse(str_from(cases[i].typed), NULL, &r, &err), ERR_INVALID,
                     cases[i].message);
    }
    struct error err = ERROR_INIT;
    struct oci_reference r;
    assert_fails(oci_reference_parse(STR("a\0b"), NULL, &r, &err), ERR_INVALID, "column 2");
    assert_fails(oci_reference_parse(STR("m"), "not a host", &r, &err), ERR_INVALID,
                 "default registry");
}

static void test_parse__bounds(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct oci_reference r;
    char text[4096];
    memset(text, 'a', sizeof(text));
    assert_ok(oci_reference_parse(str_make(text, 252), NULL, &r, &err)); /* "ai/" is added */
    assert_fails(oci_reference_parse(str_make(text, 253), NULL, &r, &err), ERR_INVALID,
                 "the name is longer than 255");
    assert_fails(oci_reference_parse(str_make(text, sizeof(text)), NULL, &r, &err), ERR_INVALID,
                 "characters; at most");
    text[1] = ':';
    assert_ok(oci_reference_parse(str_make(text, 2 + 128), NULL, &r, &err));
    assert_fails(oci_reference_parse(str_make(text, 2 + 129), NULL, &r, &err), ERR_INVALID,
                 "the tag is longer than 128");
    text[1] = 'a';
    text[300] = '.';
    text[302] = '/';
    assert_fails(oci_reference_parse(str_make(text, 310), NULL, &r, &err), ERR_INVALID,
                 "the registry is longer than 255");
}

static void test_display_name(void **state)
{
    (void)state;
    static const struct {
        const char *tag, *registry, *shown;
    } cases[] = {
        {"ai/gemma3:latest", NULL, "gemma3"},
        {"ai/gemma3:v1", NULL, "gemma3:v1"},
        {"docker.io/ai/gemma3:latest", NULL, "gemma3"},
        {"index.docker.io/ai/gemma3:latest", NULL, "gemma3"},
        {"docker.io/myorg/m:latest", NULL, "myorg/m"},
        {"hf.co/b/m:Q4_K_S", NULL, "hf.co/b/m:Q4_K_S"},
        {"hf.co/b/m:latest", NULL, "hf.co/b/m"},
        {"", NULL, ""},
        {"reg.local:5000/ai/x:latest", "reg.local:5000", "x"},
        {"docker.io/ai/x:latest", "reg.local:5000", "docker.io/ai/x"},
        {"docker.io/ai/x:latest", "docker.io", "x"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char shown[OCI_REFERENCE_TEXT_MAX];
        oci_display_name(str_from(cases[i].tag), cases[i].registry, shown);
        assert_string_equal(shown, cases[i].shown);
    }
}

static void test_default_registry(void **state)
{
    (void)state;
    setenv("DEFAULT_REGISTRY", "", 1);
    assert_string_equal(oci_default_registry(), "docker.io");
    setenv("DEFAULT_REGISTRY", "reg.local:5000", 1);
    assert_string_equal(oci_default_registry(), "reg.local:5000");
    unsetenv("DEFAULT_REGISTRY");
    assert_string_equal(oci_default_registry(), "docker.io");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse__full_form),
        cmocka_unit_test(test_parse__ids),
        cmocka_unit_test(test_parse__keeps_the_case_for_hugging_face),
        cmocka_unit_test(test_parse__shows_where_it_goes_wrong),
        cmocka_unit_test(test_parse__bounds),
        cmocka_unit_test(test_display_name),
        cmocka_unit_test(test_default_registry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
