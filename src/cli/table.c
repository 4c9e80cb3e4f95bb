/* SPDX-License-Identifier: Apache-2.0
 *
 * Tables, see table.h. */
#include "cli/table.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/utf8.h"
#include "cli/print.h"

void table_init(struct table *t, const char *const *header, size_t n_columns)
{
    *t = (struct table){.n_columns = n_columns};
    table_row(t, header);
}

void table_row(struct table *t, const char *const *cells)
{
    if (t->n_cells + t->n_columns > t->cap) {
        t->cap = 2 * t->cap + 8 * t->n_columns;
        t->cells = xrealloc(t->cells, t->cap, sizeof(*t->cells));
    }
    for (size_t i = 0; i < t->n_columns; i++) {
        struct str text = str_from(cells[i] ? cells[i] : "");
        struct buf b = BUF_INIT(4 * text.len + 1);
        append_line_text(&b, text);
        char *cell = buf_take(&b);
        t->cells[t->n_cells++] = cell ? cell : xstrdup("");
    }
}

void table_print(const struct table *t, FILE *to)
{
    size_t *widths = xcalloc(t->n_columns, sizeof(*widths));
    for (size_t i = 0; i < t->n_cells; i++) {
        size_t width = utf8_width(t->cells[i], strlen(t->cells[i]));
        widths[i % t->n_columns] = MAX(widths[i % t->n_columns], width);
    }
    for (size_t i = 0; i < t->n_cells; i++) {
        size_t column = i % t->n_columns;
        size_t width = utf8_width(t->cells[i], strlen(t->cells[i]));
        fprintf(to, "%s%*s", t->cells[i], (int)(widths[column] - width + 2), "");
        if (column + 1 == t->n_columns)
            fputc('\n', to);
    }
    free(widths);
}

void table_release(struct table *t)
{
    for (size_t i = 0; i < t->n_cells; i++)
        free(t->cells[i]);
    free(t->cells);
    *t = (struct table){0};
}
