/* SPDX-License-Identifier: Apache-2.0
 *
 * The interactive chat: prompt, multi-line input, Ctrl-C and Ctrl-D. The slash commands are in
 * repl_command.c. */
#include "cli/repl.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/paths.h"
#include "cli/cli.h"
#include "cli/editor.h"
#include "cli/interrupt.h"
#include "cli/lineedit.h"
#include "cli/print.h"
#include "http/client.h"

#define QUOTES "\"\"\""

bool repl_input_add(struct repl_input *in, const char *line, bool pasted)
{
    struct str s = str_from(line);
    if (!in->in_block && in->text.len == 0 && !in->in_paste && str_starts_with(s, STR(QUOTES))) {
        in->in_block = true;
        s = str_sub(s, 3, s.len - 3);
        if (s.len == 0)
            return false; /* the line was only the opening */
    }
    in->in_paste = pasted;
    if (in->in_block && str_ends_with(s, STR(QUOTES))) {
        in->in_block = in->in_paste = false;
        buf_append(&in->text, str_sub(s, 0, s.len - 3));
        return true;
    }
    buf_append(&in->text, s);
    if (!in->in_block && !pasted)
        return true;
    buf_push(&in->text, '\n');
    return false;
}

bool repl_input_pending(const struct repl_input *in)
{
    return in->in_block || in->in_paste;
}

void repl_input_clear(struct repl_input *in)
{
    buf_clear(&in->text);
    in->in_block = in->in_paste = false;
}

/* ---- loading the model while the user still types ---- */

struct preload {
    pthread_t thread;
    bool started;
    const char *model;
    struct http_cancel *cancel;
};

static void *preload(void *ctx)
{
    struct preload *p = ctx;
    struct error err = ERROR_INIT;
    if (chat_preload(p->model, p->cancel, &err) < 0 && err.code != ERR_CANCELED)
        fprintf(stderr, "\nbackground model preload failed: %s\n", err.msg);
    return NULL;
}

static void preload_start(struct preload *p, const struct session *s)
{
    *p = (struct preload){.model = s->model, .cancel = http_cancel_new()};
    if (!s->endpoint->other)
        p->started = pthread_create(&p->thread, NULL, preload, p) == 0;
}

static void preload_stop(struct preload *p)
{
    http_cancel_fire(p->cancel);
    if (p->started)
        pthread_join(p->thread, NULL);
    http_cancel_free(p->cancel);
}

/* ---- the loop ---- */

static void ask(struct session *s, const char *prompt)
{
    struct error err = ERROR_INIT;
    interrupt_begin();
    int r = session_ask(s, prompt, &err);
    bool interrupted = interrupt_end();
    if (r < 0 && interrupted) {
        if (s->view.part == VIEW_START)
            putchar('\n'); /* behind the terminal's ^C */
    } else if (r < 0) {
        fprintf(stderr, "Failed to generate a response: %s\n", err.msg);
    }
    fflush(stdout);
}

/* Lets the user finish the message in an editor, shows what came of it, and asks it. */
static void ask_from_editor(struct session *s, struct repl_input *in, const char *line)
{
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *text = NULL;
    buf_append_c(&in->text, line);
    putchar('\n');
    fflush(stdout);
    if (editor_run(buf_cstr(&in->text), &text, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
    } else if (str_trim(str_from(text)).len > 0) {
        print_text(stdout, str_from(text));
        putchar('\n');
        fflush(stdout);
        ask(s, text);
    }
    repl_input_clear(in);
}

static char *history_path(void)
{
    const char *off = getenv("DOCKER_MODEL_NOHISTORY");
    CLEANUP_FREE char *home = NULL;
    if ((off && *off) || path_home(&home, NULL) < 0)
        return NULL;
    return path_join(home, ".docker/model/history");
}

/* A Ctrl-C that comes between the end of an answer and the next prompt means neither. */
static void ignore_sigint(int signal_number)
{
    (void)signal_number;
}

int repl_run(struct session *s)
{
    struct error err = ERROR_INIT;
    struct sigaction ignore = {.sa_handler = ignore_sigint, .sa_flags = SA_RESTART};
    sigemptyset(&ignore.sa_mask);
    sigaction(SIGINT, &ignore, NULL);
    struct lineedit *editor = NULL;
    CLEANUP_FREE char *path = history_path();
    if (lineedit_open(path, &editor, &err) < 0)
        return cli_fail(NULL, &err);
    struct preload loading;
    preload_start(&loading, s);

    struct repl_input in = REPL_INPUT_INIT;
    bool leave = false;
    while (!leave) {
        bool more = repl_input_pending(&in);
        char *line = NULL;
        enum line_result r =
            lineedit_read(editor, more ? ". " : "> ",
                          more ? (in.in_block ? "Use \"\"\" to end multi-line input" : NULL)
                               : "Send a message (/? for help)",
                          &line);
        switch (r) {
        case LINE_EOF:
            putchar('\n');
            leave = true;
            break;
        case LINE_INTERRUPT:
            putchar('\n');
            repl_input_clear(&in);
            break;
        case LINE_INTERRUPT_EMPTY:
            fputs(more ? "\n" : "\nUse Ctrl + d or /bye to exit.\n", stdout);
            repl_input_clear(&in);
            break;
        case LINE_EDITOR:
            ask_from_editor(s, &in, line);
            break;
        case LINE_TEXT:
        case LINE_PASTED:
            lineedit_remember(editor, line);
            if (!more && r == LINE_TEXT && line[0] == '/') {
                leave = repl_command(s, line);
            } else if (repl_input_add(&in, line, r == LINE_PASTED)) {
                if (buf_check(&in.text, "the message", &err) < 0)
                    fprintf(stderr, "%s\n", err.msg);
                else if (str_trim(buf_str(&in.text)).len > 0)
                    ask(s, buf_cstr(&in.text));
                repl_input_clear(&in);
            }
            break;
        }
        free(line);
        fflush(stdout);
    }
    buf_release(&in.text);
    preload_stop(&loading);
    lineedit_close(editor);
    return 0;
}
