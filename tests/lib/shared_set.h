/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the conformance data is that tests read when it is present: in MR_SHARED, or in SHARED_DIR,
 * which the build says. */
#ifndef TESTS_LIB_SHARED_SET_H
#define TESTS_LIB_SHARED_SET_H

#include <stdlib.h>

#include "base/file.h"

/* The path of a file or a directory of the data; the caller frees. */
static inline char *shared_path(const char *name)
{
    const char *shared = getenv("MR_SHARED");
    return path_join(shared ? shared : SHARED_DIR, name);
}

#endif
