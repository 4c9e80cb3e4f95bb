/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine's sandbox: what a process that is about to read a stranger's file gives up for good.
 */
#ifndef ENGINE_SANDBOX_H
#define ENGINE_SANDBOX_H

#include "base/error.h"

/* From now on this process, with all its threads, cannot make or open connections, listen, start
 * programs or processes, look into other processes, or change anything in the file system. What is
 * open stays usable: a listening socket accepts on, files can be opened for reading.
 * ERR_UNSUPPORTED where there is no such thing: another system, an old kernel, a sanitizer build.
 */
int sandbox_enter(struct error *err);

#endif
