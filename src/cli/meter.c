/* SPDX-License-Identifier: Apache-2.0
 *
 * Progress in one line, see meter.h. */
#include "cli/meter.h"

#include <stdio.h>

void meter_show(struct meter *m, uint64_t done, uint64_t total)
{
    if (!m->shown || total == 0)
        return;
    int percent = done < total ? (int)((double)done * 100.0 / (double)total) : 100;
    if (percent == m->percent)
        return;
    fprintf(stderr, "\r\033[2K%s %d%%", m->doing, percent);
    fflush(stderr);
    m->percent = percent;
}

void meter_end(struct meter *m)
{
    if (m->shown && m->percent >= 0)
        fputs("\r\033[2K", stderr);
    m->percent = -1;
}
