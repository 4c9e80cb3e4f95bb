/* SPDX-License-Identifier: Apache-2.0
 *
 * How much memory this process may still take. */
#ifndef ENGINE_RUN_MEMORY_H
#define ENGINE_RUN_MEMORY_H

#include <stdint.h>

/* Bytes the system can give without swapping, and no more than the container's limit leaves; 0 if
 * the system does not say. */
uint64_t memory_available(void);

#endif
