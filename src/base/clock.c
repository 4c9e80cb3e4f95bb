/* SPDX-License-Identifier: Apache-2.0
 *
 * Clocks, timestamps and durations. Duration texts follow Go's time.Duration, the human ones
 * docker/go-units' HumanDuration, because existing clients compare them. */
#include "base/clock.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

int64_t clock_mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

int64_t clock_mono_ms(void)
{
    return clock_mono_ns() / 1000000;
}

int64_t clock_wall_s(void)
{
    return (int64_t)time(NULL);
}

/* ".5" for half a second, "" for none. */
static void fraction(long ns, char out[12])
{
    out[0] = '\0';
    if (ns <= 0 || ns >= 1000000000)
        return;
    snprintf(out, 12, ".%09u", (unsigned)ns % 1000000000u);
    for (size_t n = strlen(out); out[n - 1] == '0'; n--)
        out[n - 1] = '\0';
}

void clock_rfc3339(struct timespec t, char out[CLOCK_TEXT_MAX])
{
    struct tm tm;
    localtime_r(&t.tv_sec, &tm);
    char date[24], frac[12];
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    fraction(t.tv_nsec, frac);
    long off = tm.tm_gmtoff / 60;
    if (off == 0)
        snprintf(out, CLOCK_TEXT_MAX, "%s%sZ", date, frac);
    else
        snprintf(out, CLOCK_TEXT_MAX, "%s%s%c%02d:%02d", date, frac, off < 0 ? '-' : '+',
                 (int)(labs(off) / 60 % 100), (int)(labs(off) % 60));
}

void clock_rfc3339_utc(struct timespec t, char out[CLOCK_TEXT_MAX])
{
    struct tm tm;
    gmtime_r(&t.tv_sec, &tm);
    char date[24], frac[12];
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
    fraction(t.tv_nsec, frac);
    snprintf(out, CLOCK_TEXT_MAX, "%s%sZ", date, frac);
}

int clock_parse_rfc3339(struct str s, struct timespec *ret, struct error *err)
{
    char text[64];
    int used = 0;
    struct tm tm = {0};
    if (s.len == 0 || s.len >= sizeof(text))
        return error_set(err, ERR_INVALID, "'%.*s' is not an RFC 3339 time", STR_ARG(s));
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    if (sscanf(text, "%4d-%2d-%2d%*1[Tt ]%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
               &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 6 || used == 0)
        return error_set(err, ERR_INVALID, "'%s' is not an RFC 3339 time", text);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    const char *p = text + used;
    long ns = 0;
    if (*p == '.') {
        long scale = 100000000;
        for (p++; isdigit((unsigned char)*p); p++, scale /= 10)
            ns += (*p - '0') * scale;
    }
    int oh = 0, om = 0, n = 0;
    long offset = 0;
    if ((*p == 'Z' || *p == 'z') && p[1] == '\0')
        offset = 0;
    else if ((*p == '+' || *p == '-') && sscanf(p + 1, "%2d:%2d%n", &oh, &om, &n) == 2 && p[1 + n] == '\0')
        offset = (*p == '-' ? -1 : 1) * (oh * 3600L + om * 60L);
    else
        return error_set(err, ERR_INVALID, "'%s' is not an RFC 3339 time", text);
    time_t t = timegm(&tm);
    *ret = (struct timespec){.tv_sec = t - offset, .tv_nsec = ns};
    return 0;
}

void clock_human(int64_t s, char out[CLOCK_TEXT_MAX])
{
    int64_t minutes = s / 60, hours = (s + 1800) / 3600;
    if (s < 1)
        snprintf(out, CLOCK_TEXT_MAX, "Less than a second");
    else if (s == 1)
        snprintf(out, CLOCK_TEXT_MAX, "1 second");
    else if (s < 60)
        snprintf(out, CLOCK_TEXT_MAX, "%lld seconds", (long long)s);
    else if (minutes == 1)
        snprintf(out, CLOCK_TEXT_MAX, "About a minute");
    else if (minutes < 60)
        snprintf(out, CLOCK_TEXT_MAX, "%lld minutes", (long long)minutes);
    else if (hours == 1)
        snprintf(out, CLOCK_TEXT_MAX, "About an hour");
    else if (hours < 48)
        snprintf(out, CLOCK_TEXT_MAX, "%lld hours", (long long)hours);
    else if (hours < 24 * 7 * 2)
        snprintf(out, CLOCK_TEXT_MAX, "%lld days", (long long)(hours / 24));
    else if (hours < 24 * 30 * 2)
        snprintf(out, CLOCK_TEXT_MAX, "%lld weeks", (long long)(hours / 24 / 7));
    else if (hours < 24 * 365 * 2)
        snprintf(out, CLOCK_TEXT_MAX, "%lld months", (long long)(hours / 24 / 30));
    else
        snprintf(out, CLOCK_TEXT_MAX, "%lld years", (long long)(hours / 24 / 365));
}

static const struct {
    const char *name;
    double ns;
} duration_units[] = {
    {"ns", 1},   {"us", 1e3}, {"\xC2\xB5s", 1e3}, {"\xCE\xBCs", 1e3},
    {"ms", 1e6}, {"s", 1e9},  {"m", 6e10},        {"h", 3.6e12},
};

int duration_parse(struct str s, int64_t *ret_ns, struct error *err)
{
    struct str rest = s;
    bool negative = false;
    if (rest.len > 0 && (rest.ptr[0] == '-' || rest.ptr[0] == '+')) {
        negative = rest.ptr[0] == '-';
        rest = str_sub(rest, 1, SIZE_MAX);
    }
    if (str_eq_c(rest, "0") || (negative && str_eq_c(rest, "1"))) {
        *ret_ns = negative ? -1 : 0;
        if (str_eq_c(rest, "0"))
            *ret_ns = 0;
        return 0;
    }
    double total = 0;
    bool any = false;
    while (rest.len > 0) {
        size_t n = 0;
        double value = 0, scale = 1;
        bool dot = false, digit = false;
        for (; n < rest.len && (isdigit((unsigned char)rest.ptr[n]) || (rest.ptr[n] == '.' && !dot)); n++) {
            if (rest.ptr[n] == '.') {
                dot = true;
                continue;
            }
            digit = true;
            value = value * 10 + (rest.ptr[n] - '0');
            if (dot)
                scale *= 10;
        }
        rest = str_sub(rest, n, SIZE_MAX);
        size_t u = 0;
        while (u < rest.len && !isdigit((unsigned char)rest.ptr[u]) && rest.ptr[u] != '.')
            u++;
        double unit = 0;
        for (size_t i = 0; i < ARRAY_LEN(duration_units); i++)
            if (str_eq_c(str_sub(rest, 0, u), duration_units[i].name))
                unit = duration_units[i].ns;
        if (!digit || unit == 0) {
            any = false;
            break;
        }
        total += value / scale * unit;
        rest = str_sub(rest, u, SIZE_MAX);
        any = true;
    }
    if (!any || total > 9.2e18)
        return error_set(err, ERR_INVALID,
                         "invalid duration \"%.*s\": use a number with a unit, such as 30s, 5m or "
                         "1h30m; 0 for at once, -1 for never",
                         STR_ARG(s));
    *ret_ns = (int64_t)(negative ? -total : total);
    return 0;
}

void duration_text(int64_t ns, char out[CLOCK_TEXT_MAX])
{
    if (ns == 0) {
        snprintf(out, CLOCK_TEXT_MAX, "0s");
        return;
    }
    const char *sign = ns < 0 ? "-" : "";
    uint64_t u = ns < 0 ? (uint64_t)0 - (uint64_t)ns : (uint64_t)ns;
    if (u < 1000)
        snprintf(out, CLOCK_TEXT_MAX, "%s%lluns", sign, (unsigned long long)u);
    else if (u < 1000000)
        snprintf(out, CLOCK_TEXT_MAX, "%s%.10g\xC2\xB5s", sign, (double)u / 1e3);
    else if (u < 1000000000)
        snprintf(out, CLOCK_TEXT_MAX, "%s%.10gms", sign, (double)u / 1e6);
    else {
        uint64_t s = u / 1000000000, h = s / 3600, m = s / 60 % 60;
        char frac[12];
        fraction((long)(u % 1000000000), frac);
        if (h)
            snprintf(out, CLOCK_TEXT_MAX, "%s%lluh%llum%llu%ss", sign, (unsigned long long)h,
                     (unsigned long long)m, (unsigned long long)(s % 60), frac);
        else if (m)
            snprintf(out, CLOCK_TEXT_MAX, "%s%llum%llu%ss", sign, (unsigned long long)m,
                     (unsigned long long)(s % 60), frac);
        else
            snprintf(out, CLOCK_TEXT_MAX, "%s%llu%ss", sign, (unsigned long long)s, frac);
    }
}
