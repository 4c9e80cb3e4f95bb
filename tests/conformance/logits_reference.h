/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of conformance/logits: models, and what another engine made of them. */
#ifndef TESTS_CONFORMANCE_LOGITS_REFERENCE_H
#define TESTS_CONFORMANCE_LOGITS_REFERENCE_H

#include "test.h"

#include "base/buf.h"
#include "base/json.h"
#include "shared_set.h"

static inline char *reference_path(const char *name) /* the caller frees */
{
    CLEANUP_FREE char *dir = shared_path("conformance/logits");
    return path_join(dir, name);
}

static inline struct json *read_reference(const char *name) /* fails the test if it cannot */
{
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *path = reference_path(name);
    CLEANUP_BUF struct buf text = BUF_INIT((size_t)64 << 20);
    struct json *ref = NULL;
    assert_ok(file_read(path, &text, &err));
    assert_ok(js_parse(buf_str(&text), name, &ref, &err));
    return ref;
}

#endif
