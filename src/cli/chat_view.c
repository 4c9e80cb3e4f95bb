/* SPDX-License-Identifier: Apache-2.0
 *
 * Showing an answer as it comes, see chat_view.h. */
#include "cli/chat_view.h"

#include "cli/print.h"

#define STYLE_ITALIC "\033[3m"
#define STYLE_GREY "\033[90m"
#define STYLE_CODE "\033[36m"
#define STYLE_OFF "\033[0m"

static void style(const struct chat_view *v, const char *sequence)
{
    if (v->color)
        fputs(sequence, v->to);
}

static void write_plain(const struct chat_view *v, struct str s)
{
    if (!v->filter) {
        fwrite(s.ptr, 1, s.len, v->to);
        return;
    }
    CLEANUP_BUF struct buf b = BUF_INIT(3 * s.len + 1);
    append_terminal_text(&b, s);
    fwrite(buf_cstr(&b), 1, b.len, v->to);
}

/* The backticks held back were no fence. */
static void release_backticks(struct chat_view *v)
{
    if (v->backticks == 0)
        return;
    if (v->in_code)
        style(v, STYLE_CODE);
    for (; v->backticks > 0; v->backticks--)
        fputc('`', v->to);
}

/* Colours lines between ``` fences. A fence is known after three backticks at the start of a line,
 * so at most two characters wait for what follows. */
static void write_colored(struct chat_view *v, struct str s)
{
    while (s.len > 0) {
        char c = s.ptr[0];
        if (v->line_start && c == '`') {
            s = str_sub(s, 1, s.len - 1);
            if (++v->backticks == 3) {
                v->backticks = 0;
                v->line_start = false;
                v->in_fence = true;
                fputs(STYLE_OFF STYLE_GREY "```", v->to);
            }
            continue;
        }
        if (v->line_start) {
            if (v->backticks > 0)
                release_backticks(v);
            else if (v->in_code && c != '\n')
                fputs(STYLE_CODE, v->to);
            v->line_start = false;
        }
        ptrdiff_t end = str_find_char(s, '\n');
        struct str part = end < 0 ? s : str_sub(s, 0, (size_t)end);
        write_plain(v, part);
        s = str_sub(s, part.len, s.len - part.len);
        if (end < 0)
            continue;
        if (v->in_fence) {
            v->in_code = !v->in_code;
            v->in_fence = false;
            fputs(STYLE_OFF, v->to);
        } else if (v->in_code) {
            fputs(STYLE_OFF, v->to);
        }
        fputc('\n', v->to);
        v->line_start = true;
        s = str_sub(s, 1, s.len - 1);
    }
}

static void on_content(void *ctx, struct str text)
{
    struct chat_view *v = ctx;
    if (v->part == VIEW_REASONING)
        fputs("\n\n--\n\n", v->to);
    v->part = VIEW_CONTENT;
    if (v->color)
        write_colored(v, text);
    else
        write_plain(v, text);
    fflush(v->to);
}

static void on_reasoning(void *ctx, struct str text)
{
    struct chat_view *v = ctx;
    if (v->part != VIEW_REASONING) {
        if (v->part == VIEW_CONTENT) {
            chat_view_end(v);
            fputs("\n\n", v->to);
        }
        style(v, STYLE_ITALIC);
        fputs("Thinking:", v->to);
        style(v, STYLE_OFF);
        fputc('\n', v->to);
        v->part = VIEW_REASONING;
    }
    write_plain(v, text);
    fflush(v->to);
}

static void on_notice(void *ctx, struct str line)
{
    (void)ctx;
    print_line_text(stderr, line);
    fputc('\n', stderr);
}

void chat_view_begin(struct chat_view *v)
{
    v->part = VIEW_START;
    v->in_code = v->in_fence = false;
    v->line_start = true;
    v->backticks = 0;
}

void chat_view_init(struct chat_view *v, FILE *to, bool color)
{
    *v = (struct chat_view){.to = to, .filter = print_is_tty(to), .color = color};
    v->sink = (struct chat_sink){on_content, on_reasoning, on_notice, v};
    chat_view_begin(v);
}

void chat_view_end(struct chat_view *v)
{
    release_backticks(v);
    style(v, STYLE_OFF);
    v->in_code = v->in_fence = false;
    fflush(v->to);
}

void chat_view_usage(struct chat_view *v, const struct chat_stats *stats)
{
    if (!stats->has_usage)
        return;
    fputs("\n\n", v->to);
    style(v, STYLE_GREY);
    fprintf(v->to, "Token usage: %lld prompt + %lld completion = %lld total",
            (long long)stats->prompt_tokens, (long long)stats->completion_tokens,
            (long long)stats->total_tokens);
    style(v, STYLE_OFF);
}

void chat_print_stats(FILE *to, const struct chat_stats *s)
{
    fprintf(to, "Answer: %.2f s", (double)s->total_ms / 1000.0);
    if (s->first_token_ms >= 0)
        fprintf(to, ", first token after %lld ms", (long long)s->first_token_ms);
    double speed = s->predicted_per_second;
    if (speed < 0 && s->completion_tokens > 1 && s->first_token_ms >= 0 &&
        s->total_ms > s->first_token_ms)
        speed =
            (double)(s->completion_tokens - 1) * 1000.0 / (double)(s->total_ms - s->first_token_ms);
    if (s->completion_tokens >= 0)
        fprintf(to, ", %lld tokens", (long long)s->completion_tokens);
    if (speed >= 0)
        fprintf(to, " at %.1f tokens/s", speed);
    if (s->prompt_tokens >= 0)
        fprintf(to, "; prompt: %lld tokens", (long long)s->prompt_tokens);
    if (s->prompt_per_second >= 0)
        fprintf(to, " at %.1f tokens/s", s->prompt_per_second);
    fputc('\n', to);
}
