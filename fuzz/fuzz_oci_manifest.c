/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifests and model configs: no input crashes; what is written from an accepted one reads back.
 */
#include <stdlib.h>

#include "oci/manifest.h"
#include "oci/model_config.h"

static void manifest(struct str text)
{
    struct oci_manifest m, again;
    struct error err;
    if (oci_manifest_parse(text, &m, &err) < 0)
        return;
    struct buf out = BUF_INIT(SIZE_MAX / 4);
    oci_manifest_write(&m, &out);
    for (size_t i = 0; i < m.n_layers; i++)
        (void)oci_layer_kind(&m.layers[i]);
    uint64_t bytes;
    (void)oci_manifest_layer_bytes(&m, &bytes, &err);
    if (out.len <= OCI_MANIFEST_MAX_BYTES) {
        if (oci_manifest_parse(buf_str(&out), &again, &err) < 0 || again.n_layers != m.n_layers)
            abort();
        oci_manifest_release(&again);
    }
    buf_release(&out);
    oci_manifest_release(&m);
}

static void config(struct str text)
{
    struct oci_model_config c, again;
    struct error err;
    if (oci_model_config_parse(text, OCI_CONFIG_V01, &c, &err) < 0)
        return;
    struct buf out = BUF_INIT(SIZE_MAX / 4);
    oci_model_config_write(&c, &out);
    if (out.len <= OCI_CONFIG_MAX_BYTES) {
        if (oci_model_config_parse(buf_str(&out), OCI_CONFIG_V01, &again, &err) < 0)
            abort();
        oci_model_config_release(&again);
    }
    buf_release(&out);
    oci_model_config_release(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make((const char *)data, size);
    manifest(text);
    config(text);
    return 0;
}
