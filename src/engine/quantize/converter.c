/* SPDX-License-Identifier: Apache-2.0
 *
 * Chunks of rows are spread over a pool's threads; each result depends on its row alone. */
#include "engine/quantize/converter.h"

#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "engine/backend/cpu/pool.h"
#include "engine/backend/cpu/topology.h"
#include "engine/kernels/types.h"
#include "engine/quantize/quantize.h"

struct converter {
    struct pool *pool;
    float *row; /* [threads][row_cols] */
    size_t row_cols;
    unsigned char *out;
    size_t out_bytes;
};

int converter_create(uint32_t n_threads, struct converter **ret, struct error *err)
{
    CLEANUP(cleanup_converter) struct converter *c = xcalloc(1, sizeof(*c));
    int r = pool_create(n_threads > 0 ? n_threads : topology_cores(), &c->pool, err);
    if (r == 0)
        *ret = TAKE(c);
    return r;
}

void converter_free(struct converter *c)
{
    if (!c)
        return;
    pool_free(c->pool);
    free(c->row);
    free(c->out);
    free(c);
}

static int make_room(struct converter *c, size_t cols, size_t bytes, struct error *err)
{
    if (cols > c->row_cols) {
        free(TAKE(c->row));
        c->row_cols = 0;
        c->row = alloc_array(cols * pool_threads(c->pool), sizeof(*c->row));
        if (!c->row)
            return error_set(err, ERR_NOMEM, "out of memory for rows of %zu", cols);
        c->row_cols = cols;
    }
    if (bytes > c->out_bytes) {
        free(TAKE(c->out));
        c->out_bytes = 0;
        c->out = alloc_array(bytes, 1);
        if (!c->out)
            return error_set(err, ERR_NOMEM, "out of memory for %zu bytes of a tensor", bytes);
        c->out_bytes = bytes;
    }
    return 0;
}

/* ---- one chunk ---- */

struct chunk {
    const struct converter *c;
    const struct rows *rows;
    uint64_t first;
    uint32_t type;
    size_t row_bytes;
    const float *importance;
    _Atomic uint64_t bad_row; /* first found row the type cannot hold; UINT64_MAX = none */
};

/* The first number that is not finite or too large, or n. */
static size_t find_bad(const float *x, size_t n, float max)
{
    size_t bad = 0;
    for (size_t i = 0; i < n; i++)
        bad += !(fabsf(x[i]) <= max);
    if (bad == 0)
        return n;
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(x[i]) <= max))
            return i;
    return n;
}

static void chunk_rows(void *arg, size_t begin, size_t end, uint32_t thread)
{
    struct chunk *k = arg;
    size_t cols = k->rows->n_cols;
    float *x = k->c->row + k->c->row_cols * thread;
    for (size_t i = begin; i < end; i++) {
        uint64_t row = k->first + i;
        const float *importance =
            k->importance ? k->importance + row / k->rows->rows_per_matrix * cols : NULL;
        k->rows->read(k->rows, row, x);
        if (find_bad(x, cols, quantize_max(k->type)) < cols)
            atomic_store(&k->bad_row, row);
        else
            quantize_row(k->type, x, importance, cols, k->c->out + i * k->row_bytes);
    }
}

static int refuse_row(const struct chunk *k, uint64_t row, struct error *err)
{
    float max = quantize_max(k->type), *x = k->c->row;
    const char *type = weight_type_info(k->type)->name;
    k->rows->read(k->rows, row, x);
    size_t col = find_bad(x, k->rows->n_cols, max);
    if (!isfinite(x[col]))
        return error_set(err, ERR_CORRUPT,
                         "tensor '%.*s': row %" PRIu64 " has a number that is not finite",
                         STR_ARG(k->rows->name), row);
    return error_set(err, ERR_UNSUPPORTED,
                     "tensor '%.*s': row %" PRIu64 " has the number %g; %s holds %g at most",
                     STR_ARG(k->rows->name), row, (double)x[col], type, (double)max);
}

int converter_write(struct converter *c, const struct rows *rows, uint32_t type,
                    const float *importance, struct gguf_writer *w, struct error *err)
{
    enum { GRAIN = 4 };
    uint64_t row_bytes;
    if (!quantize_supports(type) || !weight_row_bytes(type, rows->n_cols, &row_bytes))
        return error_set(err, ERR_UNSUPPORTED, "tensor '%.*s' cannot be written as %s",
                         STR_ARG(rows->name), weight_type_info(type)->name);
    size_t per_chunk = (size_t)MAX(1, (uint64_t)CONVERTER_CHUNK / row_bytes);
    per_chunk = (size_t)MIN(per_chunk, rows->n_rows);
    int r = make_room(c, rows->n_cols, per_chunk * (size_t)row_bytes, err);
    for (uint64_t first = 0; r == 0 && first < rows->n_rows; first += per_chunk) {
        size_t n = (size_t)MIN(per_chunk, rows->n_rows - first);
        struct chunk k = {c, rows, first, type, (size_t)row_bytes, importance, UINT64_MAX};
        pool_run(c->pool, n, GRAIN, chunk_rows, &k);
        uint64_t bad = atomic_load(&k.bad_row);
        r = bad != UINT64_MAX ? refuse_row(&k, bad, err)
                              : gguf_writer_data(w, c->out, n * (size_t)row_bytes, err);
    }
    return r;
}
