/* SPDX-License-Identifier: Apache-2.0
 *
 * How much memory there is, and who has it. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stdint.h>
#include <sys/types.h>

/* Bytes the system can give without swapping, and no more than the container's limit leaves; 0 if
 * the system does not say. */
uint64_t memory_available(void);

/* What a process has in memory now, files that it mapped included; 0 if that is not known. */
uint64_t memory_of_process(pid_t pid);

enum { MEMORY_TEXT_MAX = 24 };
/* "4.7 GiB", "12 MiB" */
void memory_text(uint64_t bytes, char out[MEMORY_TEXT_MAX]);

#endif
