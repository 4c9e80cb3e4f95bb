/* SPDX-License-Identifier: Apache-2.0
 *
 * A line on a terminal that says how much of something is done, drawn over itself:
 *
 *     struct meter m = {.shown = print_is_tty(stderr), .doing = "Reading", .percent = -1};
 *     meter_show(&m, done, total);
 *     meter_end(&m);                  // takes the line away again
 */
#ifndef CLI_METER_H
#define CLI_METER_H

#include <stdbool.h>
#include <stdint.h>

struct meter {
    bool shown;
    const char *doing;
    int percent; /* shown last; -1 = nothing yet */
};

/* total 0: not known, nothing is shown. */
void meter_show(struct meter *m, uint64_t done, uint64_t total);
void meter_end(struct meter *m);

#endif
