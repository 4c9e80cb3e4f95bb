/* SPDX-License-Identifier: Apache-2.0
 *
 * Showing an answer as it comes, see chat_view.h. */
#include "cli/chat_view.h"

#include "cli/print.h"

#define STYLE_ITALIC "\033[3m"
#define STYLE_GREY "\033[90m"
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

/* In colour, without the control characters: escape sequences are ours alone. */
static void write_colored(struct chat_view *v, struct str s)
{
    enum { SEQUENCE_MAX = 32 };
    CLEANUP_BUF struct buf clean = BUF_INIT(3 * s.len + 1);
    CLEANUP_BUF struct buf out =
        BUF_INIT((3 * s.len + MARKDOWN_HELD_MAX) * SEQUENCE_MAX + SEQUENCE_MAX);
    append_terminal_text(&clean, s);
    markdown_write(&v->markdown, buf_str(&clean), &out);
    fwrite(buf_cstr(&out), 1, out.len, v->to);
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
    markdown_begin(&v->markdown);
}

void chat_view_init(struct chat_view *v, FILE *to, bool color)
{
    *v = (struct chat_view){.to = to, .filter = print_is_tty(to), .color = color};
    v->sink = (struct chat_sink){on_content, on_reasoning, on_notice, v};
    chat_view_begin(v);
}

void chat_view_end(struct chat_view *v)
{
    CLEANUP_BUF struct buf out = BUF_INIT(256);
    markdown_end(&v->markdown, &out);
    fwrite(buf_cstr(&out), 1, out.len, v->to);
    style(v, STYLE_OFF);
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
    fprintf(to, "Answer: %.2f s", (double)s->total_ns / 1e9);
    if (s->first_token_ns >= 0)
        fprintf(to, ", first token after %lld ms", (long long)(s->first_token_ns / 1000000));
    double speed = s->predicted_per_second;
    if (speed < 0 && s->completion_tokens > 1 && s->first_token_ns >= 0 &&
        s->total_ns > s->first_token_ns)
        speed =
            (double)(s->completion_tokens - 1) * 1e9 / (double)(s->total_ns - s->first_token_ns);
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
