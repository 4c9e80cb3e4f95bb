/* SPDX-License-Identifier: Apache-2.0
 *
 * Drawing progress: bars in docker's manner and a line for the whole on a terminal, plain lines
 * elsewhere. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/print.h"
#include "cli/progress.h"

enum {
    /* More layers than this are added up but not drawn: a hostile stream cannot fill the memory. */
    LAYERS_MAX = 256,
    ID_MAX = 24,
    ID_SHOWN = 12,
    REDRAW_MS = 100,
    SAMPLE_MS = 500,
    SAMPLES = 12, /* the rate is that of the last seconds */
};

struct layer {
    char id[ID_MAX];
    uint64_t size, current;
};

/* How much had been received when. */
struct sample {
    int64_t at_ms;
    uint64_t bytes;
};

struct progress_view {
    FILE *to;
    enum progress_mode mode;
    bool tty;
    struct layer layers[LAYERS_MAX];
    size_t n;
    uint64_t total;    /* of the whole model, as it was told */
    uint64_t received; /* since the start: what was there before does not count */
    struct sample samples[SAMPLES];
    size_t n_samples;
    int64_t started_ms, drawn_ms;
    size_t rows; /* on the screen now */
    struct progress_sink sink;
};

/* The part of "sha256:0123…" that is shown. */
static void short_id(struct str id, char out[ID_MAX])
{
    if (str_starts_with(id, STR("sha256:")))
        id = str_sub(id, 7, id.len - 7);
    CLEANUP_BUF struct buf text = BUF_INIT(4 * ID_SHOWN + 1);
    append_line_text(&text, str_sub(id, 0, ID_SHOWN));
    snprintf(out, ID_MAX, "%.*s", ID_SHOWN, buf_cstr(&text));
}

/* *ret_new: seen for the first time. */
static struct layer *find_layer(struct progress_view *v, struct str id, bool *ret_new)
{
    char shown[ID_MAX];
    short_id(id, shown);
    *ret_new = false;
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->layers[i].id, shown) == 0)
            return &v->layers[i];
    if (v->n == LAYERS_MAX)
        return NULL;
    *ret_new = true;
    struct layer *l = &v->layers[v->n++];
    *l = (struct layer){0};
    memcpy(l->id, shown, sizeof(shown));
    return l;
}

/* ---- the rate ---- */

static void take_sample(struct progress_view *v, int64_t now)
{
    if (v->n_samples > 0 && now - v->samples[v->n_samples - 1].at_ms < SAMPLE_MS)
        return;
    if (v->n_samples == SAMPLES) {
        memmove(v->samples, v->samples + 1, (SAMPLES - 1) * sizeof(*v->samples));
        v->n_samples--;
    }
    v->samples[v->n_samples++] = (struct sample){now, v->received};
}

/* Bytes a second; 0 = not known yet. */
static double rate_now(const struct progress_view *v, int64_t now)
{
    if (v->n_samples == 0 || now - v->samples[0].at_ms < SAMPLE_MS)
        return 0;
    return (double)(v->received - v->samples[0].bytes) * 1e3 / (double)(now - v->samples[0].at_ms);
}

static uint64_t sum_of(const struct progress_view *v)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < v->n; i++)
        sum += v->layers[i].current;
    return sum;
}

/* All that is known of: some layers may have been there before, and some are yet to come. */
static uint64_t size_of_layers(const struct progress_view *v)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < v->n; i++)
        sum += v->layers[i].size;
    return sum;
}

/* ---- drawing on a terminal ---- */

static void terminal_size(FILE *to, int *ret_columns, int *ret_rows)
{
    struct winsize size;
    *ret_columns = 80;
    *ret_rows = 24;
    if (ioctl(fileno(to), TIOCGWINSZ, &size) != 0)
        return;
    if (size.ws_col > 0)
        *ret_columns = size.ws_col;
    if (size.ws_row > 0)
        *ret_rows = size.ws_row;
}

static void append_bar(struct buf *out, uint64_t current, uint64_t size, size_t width)
{
    static const char full[] = "==================================================";
    size_t filled = size ? (size_t)((double)width * ((double)current / (double)size)) : 0;
    filled = MIN(filled, width);
    buf_printf(out, " [%.*s>%*s]", (int)filled, full, (int)(width - filled), "");
}

static void append_layer(const struct progress_view *v, const struct layer *l, int columns,
                         struct buf *out)
{
    enum { BAR = 50, WIDE = 110 };
    bool done = l->size > 0 && l->current >= l->size, pull = v->mode == PROGRESS_PULL;
    const char *status = l->current == 0 ? "Waiting"
                         : done          ? (pull ? "Pull complete" : "Push complete")
                                         : (pull ? "Downloading" : "Uploading");
    buf_printf(out, "%s: %-13s", l->id, status);
    if (l->current == 0 || done)
        return;
    char now[SIZE_TEXT_MAX], all[SIZE_TEXT_MAX];
    size_text_short((double)l->current, now);
    size_text_short((double)l->size, all);
    if (columns > WIDE)
        append_bar(out, l->current, l->size, BAR);
    if (l->size > 0)
        buf_printf(out, " %8s/%s", now, all);
    else
        buf_printf(out, " %8s", now);
}

static void append_duration(int64_t seconds, struct buf *out)
{
    if (seconds >= 3600)
        buf_printf(out, "%lldh%02lldm", (long long)(seconds / 3600),
                   (long long)(seconds / 60 % 60));
    else if (seconds >= 60)
        buf_printf(out, "%lldm%02llds", (long long)(seconds / 60), (long long)(seconds % 60));
    else
        buf_printf(out, "%llds", (long long)seconds);
}

static void append_total(const struct progress_view *v, int64_t now, bool ended, struct buf *out)
{
    char done[SIZE_TEXT_MAX], all[SIZE_TEXT_MAX], speed[SIZE_TEXT_MAX];
    /* For a push the number told is that of each layer. */
    uint64_t sum = sum_of(v), size = size_of_layers(v);
    size_text_short((double)sum, done);
    size_text_short((double)size, all);
    int percent = size ? (int)(100.0 * (double)sum / (double)size) : 0;
    buf_printf(out, "%-*s: %3d%% %10s/%s", ID_SHOWN, "Total", MIN(percent, 100), done, all);
    double elapsed = (double)(now - v->started_ms) / 1e3;
    double rate = ended ? (elapsed > 0 ? (double)v->received / elapsed : 0) : rate_now(v, now);
    if (rate < 1)
        return;
    size_text_short(rate, speed);
    buf_printf(out, "  %s/s", speed);
    if (ended) {
        buf_append_c(out, "  in ");
        append_duration((int64_t)elapsed, out);
    } else if (size > sum) {
        buf_append_c(out, "  ");
        append_duration((int64_t)((double)(size - sum) / rate) + 1, out);
        buf_append_c(out, " left");
    }
}

/* A row never wraps: the count of rows must be right. */
static void end_row(struct buf *out, size_t row_start, int columns)
{
    if (out->len - row_start > (size_t)columns - 1)
        buf_truncate(out, row_start + (size_t)columns - 1);
    buf_append_c(out, "\033[K\n");
}

static void redraw(struct progress_view *v, int64_t now, bool ended)
{
    int columns, rows;
    terminal_size(v->to, &columns, &rows);
    CLEANUP_BUF struct buf out = BUF_INIT(256 << 10);
    if (v->rows > 0)
        buf_printf(&out, "\033[%zuA\r", v->rows);
    size_t shown = MIN(v->n, (size_t)MAX(rows - 2, 1));
    /* Where not all fit, those that are done are left out first. */
    size_t done_hidden = v->n - shown, drawn = 0;
    for (size_t i = 0; i < v->n && drawn < shown; i++) {
        const struct layer *l = &v->layers[i];
        if (done_hidden > 0 && l->size > 0 && l->current >= l->size) {
            done_hidden--;
            continue;
        }
        size_t start = out.len;
        append_layer(v, l, columns, &out);
        end_row(&out, start, columns);
        drawn++;
    }
    size_t start = out.len;
    append_total(v, now, ended, &out);
    end_row(&out, start, columns);
    v->rows = drawn + 1;
    buf_append_c(&out, "\033[J");
    fwrite(buf_str(&out).ptr, 1, out.len, v->to);
    fflush(v->to);
    v->drawn_ms = now;
}

/* ---- taking the stream ---- */

static void print_note(const struct progress_view *v, struct str message)
{
    /* Above the bars, not among them. */
    if (message.len == 0 || v->rows > 0)
        return;
    print_line_text(v->to, message);
    fputc('\n', v->to);
    fflush(v->to);
}

static void print_plain(const struct progress_view *v)
{
    char now[SIZE_TEXT_MAX], all[SIZE_TEXT_MAX];
    size_text((double)sum_of(v), now);
    size_text((double)v->total, all);
    fprintf(v->to, "%s %s of %s\n", v->mode == PROGRESS_PULL ? "Downloaded" : "Uploaded", now, all);
    fflush(v->to);
}

static void on_progress(void *ctx, const struct progress *p)
{
    struct progress_view *v = ctx;
    if (p->layer_id.len == 0) {
        print_note(v, p->message);
        return;
    }
    bool fresh;
    struct layer *l = find_layer(v, p->layer_id, &fresh);
    if (!l)
        return;
    int64_t now = clock_mono_ms();
    bool begins = l->current == 0;
    if (!fresh && p->layer_current > l->current)
        v->received += p->layer_current - l->current;
    l->size = p->layer_size;
    l->current = MAX(l->current, p->layer_current);
    v->total = p->total;
    take_sample(v, now);
    if (!v->tty) {
        print_plain(v);
        return;
    }
    bool done = l->size > 0 && l->current >= l->size;
    if (begins || done || now - v->drawn_ms >= REDRAW_MS)
        redraw(v, now, false);
}

static void on_warning(void *ctx, struct str message)
{
    struct progress_view *v = ctx;
    v->rows = 0; /* the bars are drawn anew below it */
    fputs("Warning: ", stderr);
    print_line_text(stderr, message);
    fputc('\n', stderr);
}

struct progress_view *progress_view_new(FILE *to, enum progress_mode mode)
{
    struct progress_view *v = xcalloc(1, sizeof(*v));
    v->to = to;
    v->mode = mode;
    v->tty = print_is_tty(to);
    v->started_ms = clock_mono_ms();
    v->sink = (struct progress_sink){.progress = on_progress, .warning = on_warning, .ctx = v};
    return v;
}

const struct progress_sink *progress_view_sink(struct progress_view *v)
{
    return &v->sink;
}

void progress_view_free(struct progress_view *v)
{
    if (v->tty && v->n > 0)
        redraw(v, clock_mono_ms(), true);
    free(v);
}
