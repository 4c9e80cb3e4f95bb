/* SPDX-License-Identifier: Apache-2.0
 *
 * Drawing progress: bars in docker's manner on a terminal, plain lines elsewhere. */
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/print.h"
#include "cli/progress.h"

/* More layers than this are added up but not drawn: a hostile stream cannot fill the memory. */
enum { LAYERS_MAX = 256, ID_MAX = 24, ID_SHOWN = 12 };

struct layer {
    char id[ID_MAX];
    uint64_t size, current;
};

struct progress_view {
    FILE *to;
    enum progress_mode mode;
    bool tty;
    struct layer layers[LAYERS_MAX];
    size_t n;
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

static struct layer *find_layer(struct progress_view *v, struct str id)
{
    char shown[ID_MAX];
    short_id(id, shown);
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->layers[i].id, shown) == 0)
            return &v->layers[i];
    if (v->n == LAYERS_MAX)
        return NULL;
    struct layer *l = &v->layers[v->n++];
    memcpy(l->id, shown, sizeof(shown));
    if (v->tty)
        fputc('\n', v->to); /* the line it will be drawn in */
    return l;
}

static int terminal_columns(FILE *to)
{
    struct winsize size;
    if (ioctl(fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

static void draw(const struct progress_view *v, const struct layer *l)
{
    enum { BAR = 50 };
    bool done = l->size > 0 && l->current >= l->size, pull = v->mode == PROGRESS_PULL;
    const char *status = l->current == 0 ? "Waiting"
                         : done          ? (pull ? "Pull complete" : "Push complete")
                                         : (pull ? "Downloading" : "Uploading");
    size_t up = v->n - (size_t)(l - v->layers);
    fprintf(v->to, "\033[%zuA\r\033[2K%s: %-13s", up, l->id, status);
    if (l->current > 0 && !done) {
        char now[SIZE_TEXT_MAX], all[SIZE_TEXT_MAX];
        size_text_short((double)l->current, now);
        size_text_short((double)l->size, all);
        size_t filled = l->size ? (size_t)(BAR * ((double)l->current / (double)l->size)) : 0;
        if (filled > BAR)
            filled = BAR;
        if (terminal_columns(v->to) > 110) {
            static const char full[] = "==================================================";
            fprintf(v->to, " [%.*s>%*s]", (int)filled, full, (int)(BAR - filled), "");
        }
        if (l->size > 0)
            fprintf(v->to, " %8s/%s", now, all);
        else
            fprintf(v->to, " %8s", now);
    }
    fprintf(v->to, "\r\033[%zuB", up);
    fflush(v->to);
}

static void on_progress(void *ctx, const struct progress *p)
{
    struct progress_view *v = ctx;
    if (p->layer_id.len == 0) {
        if (!v->tty && p->message.len > 0) {
            print_line_text(v->to, p->message);
            fputc('\n', v->to);
            fflush(v->to);
        }
        return;
    }
    struct layer *l = find_layer(v, p->layer_id);
    if (!l)
        return;
    l->size = p->layer_size;
    l->current = p->layer_current;
    if (v->tty) {
        draw(v, l);
        return;
    }
    double sum = 0;
    for (size_t i = 0; i < v->n; i++)
        sum += (double)v->layers[i].current;
    char now[SIZE_TEXT_MAX], all[SIZE_TEXT_MAX];
    size_text(sum, now);
    size_text((double)p->total, all);
    fprintf(v->to, "%s %s of %s\n", v->mode == PROGRESS_PULL ? "Downloaded" : "Uploaded", now, all);
    fflush(v->to);
}

static void on_warning(void *ctx, struct str message)
{
    (void)ctx;
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
    v->sink = (struct progress_sink){.progress = on_progress, .warning = on_warning, .ctx = v};
    return v;
}

const struct progress_sink *progress_view_sink(struct progress_view *v)
{
    return &v->sink;
}

void progress_view_free(struct progress_view *v)
{
    free(v);
}
