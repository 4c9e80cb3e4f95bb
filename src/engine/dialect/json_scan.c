/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON's grammar as a machine over bytes. */
#include "engine/dialect/json_scan.h"

#include <string.h>

#include "base/compiler.h"

enum number_state {
    NUM_MINUS,
    NUM_ZERO,
    NUM_INT,
    NUM_POINT,
    NUM_FRACTION,
    NUM_E,
    NUM_SIGN,
    NUM_EXP
};

static bool is_space(unsigned char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static bool in_object(const struct json_scan *s)
{
    return s->depth > 0 && s->is_object >> (s->depth - 1) & 1;
}

static enum json_step value_done(struct json_scan *s)
{
    s->phase = JSON_AFTER_VALUE;
    return s->depth == 0 ? JSON_DONE : JSON_MORE;
}

static enum json_step open_container(struct json_scan *s, bool object)
{
    if (s->depth == JSON_SCAN_DEPTH_MAX)
        return JSON_BAD;
    uint64_t bit = (uint64_t)1 << s->depth++;
    s->is_object = object ? s->is_object | bit : s->is_object & ~bit;
    s->phase = object ? JSON_WANT_KEY_OR_END : JSON_WANT_VALUE_OR_END;
    return JSON_MORE;
}

static enum json_step close_container(struct json_scan *s, bool object)
{
    if (s->depth == 0 || in_object(s) != object)
        return JSON_BAD;
    s->depth--;
    return value_done(s);
}

static enum json_step begin_value(struct json_scan *s, unsigned char c)
{
    switch (c) {
    case '{':
        return open_container(s, true);
    case '[':
        return open_container(s, false);
    case '"':
        s->phase = JSON_IN_STRING;
        s->string_is_key = false;
        return JSON_MORE;
    case 't':
        s->word = "rue";
        break;
    case 'f':
        s->word = "alse";
        break;
    case 'n':
        s->word = "ull";
        break;
    default:
        if (c != '-' && !is_digit(c))
            return JSON_BAD;
        s->number = c == '-' ? NUM_MINUS : c == '0' ? NUM_ZERO : NUM_INT;
        s->phase = JSON_IN_NUMBER;
        return JSON_MORE;
    }
    s->phase = JSON_IN_WORD;
    return JSON_MORE;
}

/* The state behind c, or -1 if c cannot follow. */
static int number_next(uint8_t state, unsigned char c)
{
    switch (state) {
    case NUM_MINUS:
        return c == '0' ? NUM_ZERO : is_digit(c) ? NUM_INT : -1;
    case NUM_ZERO:
    case NUM_INT:
        if (is_digit(c))
            return state == NUM_INT ? NUM_INT : -1;
        return c == '.' ? NUM_POINT : c == 'e' || c == 'E' ? NUM_E : -1;
    case NUM_POINT:
        return is_digit(c) ? NUM_FRACTION : -1;
    case NUM_FRACTION:
        return is_digit(c) ? NUM_FRACTION : c == 'e' || c == 'E' ? NUM_E : -1;
    case NUM_E:
        return is_digit(c) ? NUM_EXP : c == '+' || c == '-' ? NUM_SIGN : -1;
    default:
        return is_digit(c) ? NUM_EXP : -1;
    }
}

static bool number_is_whole(uint8_t state)
{
    return state == NUM_ZERO || state == NUM_INT || state == NUM_FRACTION || state == NUM_EXP;
}

static enum json_step string_byte(struct json_scan *s, unsigned char c)
{
    if (c == '\\') {
        s->phase = JSON_IN_ESCAPE;
    } else if (c == '"') {
        if (!s->string_is_key)
            return value_done(s);
        s->phase = JSON_WANT_COLON;
    }
    return JSON_MORE;
}

static enum json_step escape_byte(struct json_scan *s, unsigned char c)
{
    if (c == 'u') {
        s->phase = JSON_IN_HEX;
        s->hex_left = 4;
        return JSON_MORE;
    }
    s->phase = JSON_IN_STRING;
    return c != '\0' && strchr("\"\\/bfnrt", c) ? JSON_MORE : JSON_BAD;
}

static enum json_step hex_byte(struct json_scan *s, unsigned char c)
{
    bool hex = is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
    if (--s->hex_left == 0)
        s->phase = JSON_IN_STRING;
    return hex ? JSON_MORE : JSON_BAD;
}

static enum json_step after_value(struct json_scan *s, unsigned char c)
{
    if (c == ']' || c == '}')
        return close_container(s, c == '}');
    if (c != ',' || s->depth == 0)
        return JSON_BAD;
    s->phase = in_object(s) ? JSON_WANT_KEY : JSON_WANT_VALUE;
    return JSON_MORE;
}

enum json_step json_scan_byte(struct json_scan *s, unsigned char c)
{
    switch (s->phase) {
    case JSON_IN_STRING:
        return string_byte(s, c);
    case JSON_IN_ESCAPE:
        return escape_byte(s, c);
    case JSON_IN_HEX:
        return hex_byte(s, c);
    case JSON_IN_WORD:
        if (c != (unsigned char)*s->word)
            return JSON_BAD;
        s->word++;
        return *s->word == '\0' ? value_done(s) : JSON_MORE;
    case JSON_IN_NUMBER: {
        int next = number_next(s->number, c);
        if (next >= 0) {
            s->number = (uint8_t)next;
            return JSON_MORE;
        }
        if (!number_is_whole(s->number))
            return JSON_BAD;
        if (value_done(s) == JSON_DONE)
            return JSON_DONE_BEFORE;
        break; /* the byte belongs to the container */
    }
    default:
        break;
    }
    if (is_space(c))
        return JSON_MORE;
    switch (s->phase) {
    case JSON_WANT_VALUE_OR_END:
        return c == ']' ? close_container(s, false) : begin_value(s, c);
    case JSON_WANT_VALUE:
        return begin_value(s, c);
    case JSON_WANT_KEY_OR_END:
    case JSON_WANT_KEY:
        if (c == '}' && s->phase == JSON_WANT_KEY_OR_END)
            return close_container(s, true);
        s->phase = JSON_IN_STRING;
        s->string_is_key = true;
        return c == '"' ? JSON_MORE : JSON_BAD;
    case JSON_WANT_COLON:
        s->phase = JSON_WANT_VALUE;
        return c == ':' ? JSON_MORE : JSON_BAD;
    default:
        return after_value(s, c);
    }
}

bool json_scan_may_end(const struct json_scan *s)
{
    return s->depth == 0 && s->phase == JSON_IN_NUMBER && number_is_whole(s->number);
}

void json_scan_put(bool in_string, unsigned char c, struct buf *out)
{
    if (!in_string || c >= 0x20)
        buf_push(out, (char)c);
    else if (c == '\n')
        buf_append(out, STR("\\n"));
    else if (c == '\t')
        buf_append(out, STR("\\t"));
    else if (c == '\r')
        buf_append(out, STR("\\r"));
    else
        buf_printf(out, "\\u%04x", c);
}
