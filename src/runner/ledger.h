/* SPDX-License-Identifier: Apache-2.0
 *
 * Who holds how much memory, and whether one more model fits. An engine counts with what it has in
 * memory, and with what its model was found to need before the load (engine_need_of()), whichever
 * is more: what it has not taken yet is promised to it. A load waits here until there is room. */
#ifndef RUNNER_LEDGER_H
#define RUNNER_LEDGER_H

#include <stdint.h>

#include "base/error.h"

struct runner;

/* With the scheduler's lock held. */
uint64_t ledger_held(const struct runner *r);

/* Waits until the load of this runner fits, in the order of the loads: idle engines that are not
 * pinned make room for it, those in use are waited for. ERR_NOMEM: it can never fit, with the
 * numbers; ERR_BUSY: it had to wait too long, with who holds what; ERR_CANCELED: it was stopped.
 * Takes the lock. */
int ledger_admit(struct runner *r, struct error *err);

#endif
