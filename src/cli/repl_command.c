/* SPDX-License-Identifier: Apache-2.0
 *
 * The slash commands of the interactive chat. A table: word, action. Help and results go to
 * standard error, so that standard output holds the conversation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/configure.h"
#include "cli/print.h"
#include "cli/repl.h"

/* The next word of *rest; *rest then starts at the word behind it. */
static struct str next_word(struct str *rest)
{
    *rest = str_trim(*rest);
    size_t n = 0;
    while (n < rest->len && rest->ptr[n] != ' ' && rest->ptr[n] != '\t')
        n++;
    struct str word = str_sub(*rest, 0, n);
    *rest = str_trim(str_sub(*rest, n, rest->len - n));
    return word;
}

static void help_all(void)
{
    fputs("Available Commands:\n"
          "  /bye            Leave the chat (also /exit)\n"
          "  /set            Set a session variable\n"
          "  /?, /help       Show this help\n"
          "  /? set          Help for /set\n"
          "  /? files        Help for files in a message\n"
          "  /? shortcuts    Help for keyboard shortcuts\n"
          "\n"
          "Use \"\"\" to begin and end a multi-line message.\n\n",
          stderr);
}

static void help_set(void)
{
    fputs("Available Commands:\n"
          "  /set system <text>      Set the system message; without text, clear it\n"
          "  /set num_ctx <value>    Set the context size in tokens\n\n",
          stderr);
}

static void help_files(void)
{
    fputs("Files in a message:\n"
          "  @path, @\"path with spaces\"     Include the file's text\n"
          "  ./image.png, \"my image.jpg\"    Send an image (.jpg, .jpeg, .png, .webp)\n\n",
          stderr);
}

static void help_shortcuts(void)
{
    fputs("Available keyboard shortcuts:\n"
          "  Ctrl + a    Move to the beginning of the line (Home)\n"
          "  Ctrl + e    Move to the end of the line (End)\n"
          "   Alt + b    Move back one word\n"
          "   Alt + f    Move forward one word\n"
          "  Ctrl + k    Delete the text behind the cursor\n"
          "  Ctrl + u    Delete the text in front of the cursor\n"
          "  Ctrl + w    Delete the word in front of the cursor\n"
          "  Ctrl + l    Clear the screen\n"
          "  Ctrl + x    Continue in $EDITOR\n"
          "  Ctrl + p    Previous line of the history (up)\n"
          "  Ctrl + n    Next line of the history (down)\n"
          "  Ctrl + c    Stop the answer; discard the line\n"
          "  Ctrl + d    Leave the chat (/bye)\n\n",
          stderr);
}

static bool do_help(struct session *s, struct str args)
{
    (void)s;
    struct str topic = next_word(&args);
    if (str_eq_c(topic, "set") || str_eq_c(topic, "/set"))
        help_set();
    else if (str_eq_c(topic, "files"))
        help_files();
    else if (str_eq_c(topic, "shortcuts"))
        help_shortcuts();
    else
        help_all();
    return false;
}

static void set_system(struct session *s, struct str text)
{
    CLEANUP_FREE char *copy = str_dup(text);
    session_set_system(s, copy);
    fputs(text.len > 0 ? "Set system message.\n" : "Cleared system message.\n", stderr);
}

static void set_num_ctx(struct session *s, struct str value)
{
    if (value.len == 0) {
        fputs("Usage: /set num_ctx <value>\n", stderr);
        return;
    }
    int64_t n = 0;
    if (str_to_i64(value, "num_ctx", &n, NULL) < 0 || n <= 0 || n > INT32_MAX) {
        fputs("Invalid value for num_ctx: ", stderr);
        print_line_text(stderr, value);
        fputs(" (must be a positive integer)\n", stderr);
        return;
    }
    CLEANUP_JSON struct json *request = js_object();
    js_set_cstr(request, "model", s->model);
    js_set_int(request, "context-size", n);
    struct error err = ERROR_INIT;
    if (configure_model(request, &err) < 0)
        fprintf(stderr, "Failed to set num_ctx: %s\n", err.msg);
    else
        fprintf(stderr, "Set num_ctx to %lld\n", (long long)n);
}

static bool do_set(struct session *s, struct str args)
{
    struct str option = next_word(&args);
    if (option.len == 0) {
        help_set();
    } else if (str_eq_c(option, "system")) {
        set_system(s, args);
    } else if (str_eq_c(option, "num_ctx")) {
        set_num_ctx(s, next_word(&args));
    } else if (str_eq_c(option, "parameter")) {
        struct str name = next_word(&args);
        if (str_eq_c(name, "num_ctx")) {
            set_num_ctx(s, next_word(&args));
        } else {
            fputs("Unknown parameter: ", stderr);
            print_line_text(stderr, name);
            fputs("\nAvailable parameters: num_ctx\n", stderr);
        }
    } else {
        fputs("Unknown /set option: ", stderr);
        print_line_text(stderr, option);
        fputc('\n', stderr);
        help_set();
    }
    return false;
}

static bool do_leave(struct session *s, struct str args)
{
    (void)s;
    (void)args;
    return true;
}

bool repl_command(struct session *s, const char *line)
{
    static const struct {
        const char *word;
        bool (*run)(struct session *s, struct str args);
    } table[] = {
        {"/bye", do_leave}, {"/exit", do_leave}, {"/?", do_help},
        {"/help", do_help}, {"/set", do_set},
    };
    struct str args = str_from(line);
    struct str word = next_word(&args);
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (str_eq_c(word, table[i].word))
            return table[i].run(s, args);
    fputs("Unknown command '", stdout);
    print_line_text(stdout, word);
    fputs("'. Type /? for help\n", stdout);
    return false;
}
