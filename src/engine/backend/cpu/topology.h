/* SPDX-License-Identifier: Apache-2.0
 *
 * How many threads are worth starting. */
#ifndef ENGINE_BACKEND_CPU_TOPOLOGY_H
#define ENGINE_BACKEND_CPU_TOPOLOGY_H

#include <stdint.h>

/* The physical cores among the CPUs this process may use, no more than its container's CPU quota.
 * At least 1. */
uint32_t topology_cores(void);

#endif
