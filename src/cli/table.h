/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables as docker prints them: no rules, left-aligned, every cell (the last one too) padded to
 * the widest of its column and two spaces. Widths are terminal columns, so wide characters line up.
 *
 *     struct table t;
 *     table_init(&t, (const char *const[]){"NAME", "SIZE"}, 2);
 *     table_row(&t, (const char *const[]){"smollm2", "256 MiB"});
 *     table_print(&t, stdout);
 *     table_release(&t);
 *
 * Cells are copied, and made safe to print. */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stddef.h>
#include <stdio.h>

struct table {
    size_t n_columns;
    size_t n_cells; /* the header included */
    size_t cap;
    char **cells;
};

void table_init(struct table *t, const char *const *header, size_t n_columns);
void table_row(struct table *t, const char *const *cells); /* n_columns of them; NULL = empty */
void table_print(const struct table *t, FILE *to);
void table_release(struct table *t);

#endif
