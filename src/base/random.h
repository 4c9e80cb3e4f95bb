/* SPDX-License-Identifier: Apache-2.0
 *
 * Names that nobody else gives, from the system's random numbers. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>

#define RANDOM_LOWER "abcdefghijklmnopqrstuvwxyz0123456789"
#define RANDOM_LETTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZ" RANDOM_LOWER
#define RANDOM_HEX "0123456789abcdef"

/* Writes n characters of the alphabet (at most 256) and a NUL. For names that must differ, not for
 * secrets: where the system has no random numbers the clock stands in for them. */
void random_name(const char *alphabet, size_t n, char *out);

#endif
