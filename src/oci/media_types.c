/* SPDX-License-Identifier: Apache-2.0
 *
 * Media types of model artifacts. */
#include "oci/media_types.h"

#include <string.h>

int oci_config_kind_of(const char *media_type, enum oci_config_kind *ret, struct error *err)
{
    static const struct {
        const char *type;
        enum oci_config_kind kind;
    } known[] = {
        {OCI_TYPE_CONFIG_V01, OCI_CONFIG_V01},
        {OCI_TYPE_CONFIG_V02, OCI_CONFIG_V02},
        {OCI_TYPE_CONFIG_CNCF, OCI_CONFIG_CNCF},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (strcmp(media_type, known[i].type) == 0) {
            *ret = known[i].kind;
            return 0;
        }
    }
    return error_set(
        err, ERR_UNSUPPORTED,
        "config type \"%s\" is not supported (supported: \"%s\", \"%s\", \"%s\") - try "
        "upgrading: unsupported model config media type",
        media_type, OCI_TYPE_CONFIG_V01, OCI_TYPE_CONFIG_V02, OCI_TYPE_CONFIG_CNCF);
}

/* Is `needle` (lower case) somewhere in s, in letters of any case? */
static bool contains_nocase(struct str s, struct str needle)
{
    for (size_t i = 0; i + needle.len <= s.len; i++)
        if (str_eq_nocase(str_sub(s, i, needle.len), needle))
            return true;
    return false;
}

static bool ends_nocase(struct str s, struct str end)
{
    return s.len >= end.len && str_eq_nocase(str_sub(s, s.len - end.len, end.len), end);
}

enum oci_layer_kind oci_file_kind(struct str name)
{
    ptrdiff_t slash = str_rfind_char(name, '/');
    if (slash >= 0)
        name = str_sub(name, (size_t)slash + 1, SIZE_MAX);
    if (ends_nocase(name, STR(".mmproj")))
        return OCI_LAYER_MMPROJ;
    if (ends_nocase(name, STR(".gguf")))
        return contains_nocase(name, STR("mmproj")) ? OCI_LAYER_MMPROJ : OCI_LAYER_GGUF;
    if (ends_nocase(name, STR(".safetensors")))
        return OCI_LAYER_SAFETENSORS;
    if (ends_nocase(name, STR(".dduf")))
        return OCI_LAYER_DDUF;
    if (ends_nocase(name, STR(".jinja")) || contains_nocase(name, STR("chat_template")))
        return OCI_LAYER_TEMPLATE;
    static const struct str licences[] = {
        {"license", 7}, {"licence", 7}, {"copying", 7}, {"notice", 6}};
    for (size_t i = 0; i < ARRAY_LEN(licences); i++)
        if (contains_nocase(name, licences[i]))
            return OCI_LAYER_LICENSE;
    if (ends_nocase(name, STR(".md")))
        return OCI_LAYER_DOC;
    static const struct str configs[] = {{".txt", 4}, {".json", 5}, {".vocab", 6}};
    for (size_t i = 0; i < ARRAY_LEN(configs); i++)
        if (ends_nocase(name, configs[i]))
            return OCI_LAYER_FILE;
    return str_eq_nocase(name, STR("tokenizer.model")) ? OCI_LAYER_FILE : OCI_LAYER_OTHER;
}

enum oci_layer_kind oci_layer_kind_of(const char *media_type, struct str path)
{
    static const struct {
        const char *type;
        enum oci_layer_kind kind;
    } known[] = {
        {OCI_TYPE_GGUF, OCI_LAYER_GGUF},
        {OCI_TYPE_SAFETENSORS, OCI_LAYER_SAFETENSORS},
        {OCI_TYPE_DDUF, OCI_LAYER_DDUF},
        {OCI_TYPE_MMPROJ, OCI_LAYER_MMPROJ},
        {OCI_TYPE_TEMPLATE, OCI_LAYER_TEMPLATE},
        {OCI_TYPE_LICENSE, OCI_LAYER_LICENSE},
        {OCI_TYPE_VLLM_TAR, OCI_LAYER_TAR},
        {OCI_TYPE_DIR_TAR, OCI_LAYER_TAR},
        {OCI_TYPE_CNCF_DOC, OCI_LAYER_DOC},
        {"application/vnd.cncf.model.weight.v1.safetensors", OCI_LAYER_SAFETENSORS},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (strcmp(media_type, known[i].type) == 0)
            return known[i].kind;
    /* The type only says "a weight" or "a file": the name tells more. */
    static const char *const by_name[] = {
        OCI_TYPE_FILE,
        OCI_TYPE_CNCF_WEIGHT,
        "application/vnd.cncf.model.weight.v1.gguf",
        OCI_TYPE_CNCF_CONFIG,
    };
    for (size_t i = 0; i < ARRAY_LEN(by_name); i++) {
        if (strcmp(media_type, by_name[i]) != 0)
            continue;
        enum oci_layer_kind kind = path.ptr ? oci_file_kind(path) : OCI_LAYER_OTHER;
        if (kind == OCI_LAYER_OTHER)
            kind = i == 2 ? OCI_LAYER_GGUF : OCI_LAYER_FILE;
        return kind;
    }
    return OCI_LAYER_OTHER;
}

const char *oci_cncf_type(const char *docker_type, struct str name)
{
    static const char *const weights[] = {OCI_TYPE_GGUF, OCI_TYPE_SAFETENSORS, OCI_TYPE_DDUF,
                                          OCI_TYPE_MMPROJ};
    for (size_t i = 0; i < ARRAY_LEN(weights); i++)
        if (strcmp(docker_type, weights[i]) == 0)
            return OCI_TYPE_CNCF_WEIGHT;
    enum oci_layer_kind kind = oci_file_kind(name);
    return strcmp(docker_type, OCI_TYPE_LICENSE) == 0 || kind == OCI_LAYER_DOC
               ? OCI_TYPE_CNCF_DOC
               : OCI_TYPE_CNCF_CONFIG;
}
