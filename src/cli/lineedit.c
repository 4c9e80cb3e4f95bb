/* SPDX-License-Identifier: Apache-2.0
 *
 * Line editing over libedit, see lineedit.h.
 *
 * Characters are read by a function of ours, for two reasons: a bracketed paste must not be
 * submitted line by line, and the grey hint must go away with the first key. */
#include "cli/lineedit.h"

#include <errno.h>
#include <histedit.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/utf8.h"
#include "cli/print.h"

enum {
    HISTORY_LINES = 100,
    HISTORY_MAX_BYTES = 8 << 20,
    ESCAPE_WAIT_MS = 30, /* the bytes of one escape sequence come together */
};

#define PASTE_ON "\033[?2004h"
#define PASTE_OFF "\033[?2004l"
#define PASTE_BEGIN "\033[200~"
#define PASTE_END "\033[201~"

struct lineedit {
    EditLine *el;
    History *history;
    char *history_path;
    const char *prompt;
    const char *hint; /* shown now; NULL = not */
    unsigned columns; /* of the window that the line was drawn in; 0 = not known */
    bool escapes;     /* the terminal knows escape sequences */
    bool interrupted, interrupted_empty, to_editor, in_paste, paste_line;
    unsigned char pending[64]; /* bytes that were read and not used yet */
    size_t n_pending;
};

static struct lineedit *self(EditLine *el)
{
    struct lineedit *l = NULL;
    el_get(el, EL_CLIENTDATA, &l);
    return l;
}

static char *get_prompt(EditLine *el)
{
    return (char *)(uintptr_t)self(el)->prompt;
}

/* ---- keys ---- */

static unsigned char on_interrupt(EditLine *el, int c)
{
    (void)c;
    struct lineedit *l = self(el);
    const LineInfo *line = el_line(el);
    l->interrupted_empty = line->lastchar == line->buffer;
    l->interrupted = true;
    return CC_NEWLINE;
}

static unsigned char on_editor(EditLine *el, int c)
{
    (void)c;
    self(el)->to_editor = true;
    return CC_NEWLINE;
}

static unsigned char on_suspend(EditLine *el, int c)
{
    (void)el;
    (void)c;
    /* libedit puts the terminal right before the stop and after it. */
    kill(0, SIGTSTP);
    return CC_REDISPLAY;
}

static unsigned char on_tab(EditLine *el, int c)
{
    (void)c;
    return el_insertstr(el, "        ") == 0 ? CC_REFRESH : CC_ERROR;
}

/* ---- reading characters ---- */

static unsigned window_columns(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/* Draws the line again. In a window of another width it stands elsewhere now: terminals break it
 * anew and take the cursor along, so its first row is as far up as the text before the cursor is
 * long. libedit takes the place of the cursor for that of the prompt. */
static void redraw(struct lineedit *l)
{
    unsigned columns = window_columns();
    if (l->escapes && columns > 0 && columns != l->columns) {
        const LineInfo *line = el_line(l->el);
        size_t before = utf8_width(l->prompt, strlen(l->prompt)) +
                        utf8_width(line->buffer, (size_t)(line->cursor - line->buffer));
        if (before >= columns)
            printf("\033[%zuA", before / columns);
        fputs("\r\033[J", stdout);
        fflush(stdout);
        l->columns = columns;
    }
    el_set(l->el, EL_REFRESH);
}

/* Reads more bytes into pending. 1 = some came, 0 = none within the time, -1 = the end. */
static int more_bytes(struct lineedit *l, int wait_ms)
{
    if (l->n_pending == sizeof(l->pending))
        return 0;
    struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
    int ready = poll(&p, 1, wait_ms);
    if (ready == 0)
        return 0;
    ssize_t n = ready < 0 ? -1
                          : read(STDIN_FILENO, l->pending + l->n_pending,
                                 sizeof(l->pending) - l->n_pending);
    if (n < 0 && errno == EINTR) {
        /* The window changed, or the program was stopped and goes on. */
        redraw(l);
        return 0;
    }
    if (n <= 0)
        return -1;
    l->n_pending += (size_t)n;
    return 1;
}

static void use_bytes(struct lineedit *l, size_t n)
{
    memmove(l->pending, l->pending + n, l->n_pending - n);
    l->n_pending -= n;
}

static bool pending_is(struct lineedit *l, const char *sequence)
{
    size_t len = strlen(sequence);
    /* Wait for the rest as long as what is there fits. */
    while (l->n_pending < len && memcmp(l->pending, sequence, l->n_pending) == 0 &&
           more_bytes(l, ESCAPE_WAIT_MS) > 0)
        ;
    return l->n_pending >= len && memcmp(l->pending, sequence, len) == 0;
}

static void drop_hint(struct lineedit *l)
{
    if (!l->hint)
        return;
    l->hint = NULL;
    fputs("\033[K", stdout);
    fflush(stdout);
}

static void show_hint(const struct lineedit *l)
{
    size_t width = utf8_width(l->hint, strlen(l->hint));
    if (window_columns() < width + 8)
        return;
    printf("\033[90m%s\033[0m\033[%zuD", l->hint, width);
    fflush(stdout);
}

static int get_char(EditLine *el, wchar_t *ret)
{
    struct lineedit *l = self(el);
    if (l->hint && l->n_pending == 0)
        show_hint(l);
    for (;;) {
        while (l->n_pending == 0)
            if (more_bytes(l, -1) < 0)
                return 0;
        if (l->escapes && window_columns() != l->columns)
            redraw(l); /* the signal came while a key was at work */
        drop_hint(l);
        if (l->pending[0] == '\033') {
            if (pending_is(l, PASTE_BEGIN)) {
                use_bytes(l, strlen(PASTE_BEGIN));
                l->in_paste = true;
                continue;
            }
            if (pending_is(l, PASTE_END)) {
                use_bytes(l, strlen(PASTE_END));
                l->in_paste = false;
                continue;
            }
        }
        uint32_t cp = 0;
        size_t n;
        while ((n = utf8_decode((const char *)l->pending, l->n_pending, &cp)) == 0 &&
               utf8_complete_prefix((const char *)l->pending, l->n_pending) == 0 &&
               more_bytes(l, ESCAPE_WAIT_MS) > 0)
            ;
        if (n == 0) {
            use_bytes(l, 1); /* not UTF-8: there is no such key */
            continue;
        }
        use_bytes(l, n);
        if (l->in_paste) {
            if (cp == '\r' || cp == '\n') {
                /* "\r\n" is one line break. */
                if (cp == '\r' && l->n_pending > 0 && l->pending[0] == '\n')
                    use_bytes(l, 1);
                l->paste_line = true;
                cp = '\n';
            } else if (cp == '\t') {
                cp = ' ';
            } else if (cp < 0x20 || cp == 0x7F) {
                continue; /* pasted control characters are no commands */
            }
        }
        *ret = (wchar_t)cp;
        return 1;
    }
}

/* ---- history ---- */

static bool is_clean(struct str line)
{
    for (size_t i = 0; i < line.len; i++)
        if ((unsigned char)line.ptr[i] < 0x20 && line.ptr[i] != '\t')
            return false;
    return line.len > 0 && utf8_valid(line.ptr, line.len);
}

static void load_history(struct lineedit *l)
{
    CLEANUP_BUF struct buf text = BUF_INIT(HISTORY_MAX_BYTES);
    if (!l->history_path || file_read(l->history_path, &text, NULL) < 0)
        return;
    struct str rest = buf_str(&text), line;
    HistEvent event;
    while (str_split_next(&rest, '\n', &line)) {
        if (!is_clean(line))
            continue;
        char *copy = str_dup(line);
        if (copy)
            history(l->history, &event, H_ENTER, copy);
        free(copy);
    }
}

static void save_history(struct lineedit *l)
{
    if (!l->history_path)
        return;
    CLEANUP_BUF struct buf text = BUF_INIT(HISTORY_MAX_BYTES);
    HistEvent event;
    for (int r = history(l->history, &event, H_LAST); r == 0;
         r = history(l->history, &event, H_PREV)) {
        struct str line = str_from(event.str);
        while (line.len > 0 && line.ptr[line.len - 1] == '\n')
            line.len--;
        buf_append(&text, line);
        buf_push(&text, '\n');
    }
    CLEANUP_FREE char *dir = path_dir(l->history_path);
    /* A history that cannot be written is no reason to disturb the chat. */
    if (dir_make(dir, 0700, NULL) == 0)
        (void)file_write_atomic(l->history_path, buf_str(&text), 0600, NULL);
}

void lineedit_remember(struct lineedit *l, const char *line)
{
    HistEvent event;
    if (!is_clean(str_from(line)))
        return;
    history(l->history, &event, H_ENTER, line);
    save_history(l);
}

/* ---- lines ---- */

/* Characters need a locale with UTF-8; the C locale gets one. */
static void set_locale(void)
{
    if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
        setlocale(LC_CTYPE, "C.UTF-8");
}

int lineedit_open(const char *history_path, struct lineedit **ret, struct error *err)
{
    if (!isatty(STDIN_FILENO))
        return error_set(err, ERR_INVALID,
                         "a chat needs a terminal, and standard input is none: give a prompt");
    set_locale();
    struct lineedit *l = xcalloc(1, sizeof(*l));
    l->el = el_init("docker-model", stdin, stdout, stderr);
    l->history = history_init();
    if (!l->el || !l->history) {
        lineedit_close(l);
        return error_set(err, ERR_IO, "cannot set up the terminal for line editing");
    }
    HistEvent event;
    history(l->history, &event, H_SETSIZE, HISTORY_LINES);
    history(l->history, &event, H_SETUNIQUE, 1);
    l->history_path = history_path ? xstrdup(history_path) : NULL;
    load_history(l);

    el_set(l->el, EL_CLIENTDATA, l);
    el_set(l->el, EL_EDITOR, "emacs");
    el_set(l->el, EL_SIGNAL, 1);
    el_set(l->el, EL_PROMPT, get_prompt);
    el_set(l->el, EL_HIST, history, l->history);
    el_set(l->el, EL_ADDFN, "model-interrupt", "Discard the line", on_interrupt);
    el_set(l->el, EL_ADDFN, "model-editor", "Continue in $EDITOR", on_editor);
    el_set(l->el, EL_ADDFN, "model-suspend", "Stop the program for now", on_suspend);
    el_set(l->el, EL_ADDFN, "model-tab", "Insert spaces", on_tab);
    el_set(l->el, EL_BIND, "^C", "model-interrupt", NULL);
    el_set(l->el, EL_BIND, "^X", "model-editor", NULL);
    el_set(l->el, EL_BIND, "^Z", "model-suspend", NULL);
    el_set(l->el, EL_BIND, "^I", "model-tab", NULL);
    el_set(l->el, EL_BIND, "^W", "ed-delete-prev-word", NULL);
    el_set(l->el, EL_BIND, "^U", "vi-kill-line-prev", NULL);
    el_set(l->el, EL_BIND, "\\e[3~", "ed-delete-next-char", NULL);
    el_set(l->el, EL_BIND, "\\e[H", "ed-move-to-beg", NULL);
    el_set(l->el, EL_BIND, "\\e[F", "ed-move-to-end", NULL);
    el_set(l->el, EL_BIND, "\\e[1~", "ed-move-to-beg", NULL);
    el_set(l->el, EL_BIND, "\\e[4~", "ed-move-to-end", NULL);
    /* Ctrl-C and Ctrl-Z are keys while a line is edited, and signals otherwise. */
    el_set(l->el, EL_SETTY, "-d", "-isig", NULL);
    el_set(l->el, EL_GETCFN, get_char);
    l->escapes = print_color(stdout);
    *ret = l;
    return 0;
}

void lineedit_close(struct lineedit *l)
{
    if (!l)
        return;
    if (l->history)
        history_end(l->history);
    if (l->el)
        el_end(l->el);
    free(l->history_path);
    free(l);
}

enum line_result lineedit_read(struct lineedit *l, const char *prompt, const char *hint,
                               char **ret_line)
{
    l->prompt = prompt ? prompt : "";
    l->columns = window_columns();
    l->hint = l->escapes && !l->in_paste ? hint : NULL;
    l->interrupted = l->to_editor = l->paste_line = false;
    if (l->escapes)
        fputs(PASTE_ON, stdout);
    /* Before the prompt is shown: what is typed at a prompt is a key, also Ctrl-C. */
    el_set(l->el, EL_PREP_TERM, 1);
    int n = 0;
    const char *line = el_gets(l->el, &n);
    if (l->escapes)
        fputs(PASTE_OFF, stdout);
    fflush(stdout);
    if (l->interrupted) {
        l->in_paste = false;
        return l->interrupted_empty ? LINE_INTERRUPT_EMPTY : LINE_INTERRUPT;
    }
    if (l->to_editor && (!line || n <= 0)) {
        *ret_line = xstrdup("");
        return LINE_EDITOR;
    }
    if (!line || n <= 0)
        return LINE_EOF;
    struct str s = str_make(line, (size_t)n);
    if (s.ptr[s.len - 1] == '\n')
        s.len--;
    *ret_line = str_dup(s);
    if (!*ret_line)
        alloc_failed();
    return l->to_editor ? LINE_EDITOR : l->paste_line ? LINE_PASTED : LINE_TEXT;
}
