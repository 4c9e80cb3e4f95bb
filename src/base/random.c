/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/compiler.h"

void random_name(const char *alphabet, size_t n, char *out)
{
    size_t letters = strlen(alphabet);
    unsigned char random[64]; /* getrandom() gives up to 256 bytes whole */
    for (size_t i = 0; i < n; i++) {
        size_t at = i % sizeof(random);
        if (at == 0 && getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random)) {
            int64_t now = clock_mono_ns();
            memset(random, 0, sizeof(random));
            memcpy(random, &now, sizeof(now));
        }
        out[i] = alphabet[random[at] % letters];
    }
    out[n] = '\0';
}
