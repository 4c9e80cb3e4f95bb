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

/* What requests carry along; each may be set and, with "default", taken back. */
static const struct param {
    const char *name;
    const char *key; /* in the request */
    const char *help;
    double min, max;
    bool whole; /* a whole number */
} params[] = {
    {"temperature", "temperature", "How much chance there is in answers", 0, 5, false},
    {"top_p", "top_p", "Least share of probability to choose from", 0, 1, false},
    {"top_k", "top_k", "How many tokens to choose from; 0 = all", 0, 1e6, true},
    {"min_p", "min_p", "Least probability beside the likeliest token's", 0, 1, false},
    {"repeat_penalty", "repeat_penalty", "Penalty of repeated tokens; 1 = none", 0.01, 100, false},
    {"presence_penalty", "presence_penalty", "Penalty of tokens that occurred", -2, 2, false},
    {"frequency_penalty", "frequency_penalty", "The same for each time", -2, 2, false},
    {"seed", "seed", "Seed of the random numbers", 0, INT32_MAX, true},
    {"num_predict", "max_tokens", "Tokens of an answer at most", 1, INT32_MAX, true},
};

static void help_set(const struct session *s)
{
    fputs("Available Commands:\n"
          "  /set system <text>      Set the system message; without text, clear it\n"
          "  /set num_ctx <value>    Set the context size in tokens\n"
          "  /set <name> <value>     Set one of these for this chat; \"default\" takes it back:\n",
          stderr);
    for (size_t i = 0; i < ARRAY_LEN(params); i++) {
        const struct json *now = js_get(s->params, params[i].key);
        CLEANUP_FREE char *value = now ? js_text(now, JS_COMPACT) : NULL;
        fprintf(stderr, "    %-18s %s%s%s%s\n", params[i].name, params[i].help,
                value ? " (now " : "", value ? value : "", value ? ")" : "");
    }
    fputc('\n', stderr);
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
    struct str topic = next_word(&args);
    if (str_eq_c(topic, "set") || str_eq_c(topic, "/set"))
        help_set(s);
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

static const struct param *find_param(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(params); i++)
        if (str_eq_c(name, params[i].name))
            return &params[i];
    return NULL;
}

static void set_param(struct session *s, const struct param *p, struct str value)
{
    double real = 0;
    int64_t whole = 0;
    if (value.len == 0) {
        fprintf(stderr, "Usage: /set %s <value>\n", p->name);
        return;
    }
    if (str_eq_c(value, "default")) {
        js_del(s->params, p->key);
        fprintf(stderr, "%s is the model's own again.\n", p->name);
        return;
    }
    bool good = p->whole ? str_to_i64(value, p->name, &whole, NULL) == 0
                         : str_to_f64(value, p->name, &real, NULL) == 0;
    real = p->whole ? (double)whole : real;
    if (!good || real < p->min || real > p->max) {
        fprintf(stderr, "Invalid value for %s: ", p->name);
        print_line_text(stderr, value);
        fprintf(stderr, " (must be a %s from %g to %g)\n", p->whole ? "whole number" : "number",
                p->min, p->max);
        return;
    }
    if (p->whole)
        js_set_int(s->params, p->key, whole);
    else
        js_set_real(s->params, p->key, real);
    fprintf(stderr, "Set %s to %.*s\n", p->name, STR_ARG(value));
}

static bool do_set(struct session *s, struct str args)
{
    struct str option = next_word(&args);
    if (option.len == 0) {
        help_set(s);
    } else if (str_eq_c(option, "system")) {
        set_system(s, args);
    } else if (str_eq_c(option, "num_ctx")) {
        set_num_ctx(s, next_word(&args));
    } else if (find_param(option)) {
        set_param(s, find_param(option), next_word(&args));
    } else if (str_eq_c(option, "parameter")) {
        struct str name = next_word(&args);
        if (str_eq_c(name, "num_ctx")) {
            set_num_ctx(s, next_word(&args));
        } else if (find_param(name)) {
            set_param(s, find_param(name), next_word(&args));
        } else {
            fputs("Unknown parameter: ", stderr);
            print_line_text(stderr, name);
            fputs("\nAvailable parameters: num_ctx", stderr);
            for (size_t i = 0; i < ARRAY_LEN(params); i++)
                fprintf(stderr, ", %s", params[i].name);
            fputc('\n', stderr);
        }
    } else {
        fputs("Unknown /set option: ", stderr);
        print_line_text(stderr, option);
        fputc('\n', stderr);
        help_set(s);
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
