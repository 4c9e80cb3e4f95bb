/* SPDX-License-Identifier: Apache-2.0
 *
 * No sandbox: systems and processors that have none the engine knows. */
#include "engine/sandbox.h"

int sandbox_enter(struct error *err)
{
    return error_set(err, ERR_UNSUPPORTED, "this system has no sandbox the engine knows");
}
