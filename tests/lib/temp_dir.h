/* SPDX-License-Identifier: Apache-2.0
 *
 * A directory of a test program's own, for cmocka_run_group_tests(tests, make_dir, remove_dir). */
#ifndef TESTS_LIB_TEMP_DIR_H
#define TESTS_LIB_TEMP_DIR_H

#include <stdlib.h>

#include "base/file.h"

static char dir[] = "/tmp/mr-test-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    return dir_remove_tree(dir, NULL);
}

#endif
