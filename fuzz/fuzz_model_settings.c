/* SPDX-License-Identifier: Apache-2.0
 *
 * The body of POST /engines/_configure: whatever is accepted must be accepted again when it is
 * merged over itself, and give the same settings. */
#include <stdlib.h>

#include "runner/model_settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEANUP_JSON struct json *request = NULL;
    if (js_parse(str_make((const char *)data, size), "the request body", &request, NULL) < 0)
        return 0;
    struct model_settings once, twice;
    if (model_settings_merge(NULL, request, &once, NULL) < 0)
        return 0;
    if (model_settings_merge(&once, request, &twice, NULL) < 0 ||
        !model_settings_same_process(&once, &twice) || once.keep_alive_ns != twice.keep_alive_ns)
        abort();
    model_settings_release(&once);
    model_settings_release(&twice);
    return 0;
}
