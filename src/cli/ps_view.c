/* SPDX-License-Identifier: Apache-2.0
 *
 * What `ps` shows of a running model, see ps_view.h. */
#include "cli/ps_view.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/model.h"

/* When the runner names no time of its own. */
#define KEEP_ALIVE_DEFAULT_NS (INT64_C(5) * 60 * 1000000000)

void ps_model_name(struct str name, char out[OCI_REFERENCE_TEXT_MAX])
{
    if (str_starts_with(name, STR("sha256:"))) {
        struct str id = model_short_id(name);
        snprintf(out, OCI_REFERENCE_TEXT_MAX, "%.*s", STR_ARG(id));
        return;
    }
    CLEANUP_FREE char *lower = xasprintf("%.*s", STR_ARG(name));
    for (char *c = lower; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    oci_display_name(str_from(lower), oci_default_registry(), out);
}

static void from_now(int64_t ns, char out[PS_UNTIL_MAX])
{
    char text[CLOCK_TEXT_MAX];
    clock_human(ns / 1000000000, text);
    snprintf(out, PS_UNTIL_MAX, "%s from now", text);
}

void ps_until(const struct json *row, struct timespec now, char out[PS_UNTIL_MAX])
{
    if (js_get_bool(row, "loading", false)) {
        snprintf(out, PS_UNTIL_MAX, "Loading...");
        return;
    }
    int64_t keep_alive = KEEP_ALIVE_DEFAULT_NS;
    struct str text = js_get_str(row, "keep_alive");
    if (text.len > 0 && duration_parse(text, &keep_alive, NULL) < 0)
        keep_alive = KEEP_ALIVE_DEFAULT_NS;
    if (keep_alive < 0) {
        snprintf(out, PS_UNTIL_MAX, "Forever");
        return;
    }
    struct timespec last = {0};
    struct str last_text = js_get_str(row, "last_used");
    /* The zero time, year 1, means "not idle yet". */
    bool known = !str_starts_with(last_text, STR("0001-")) &&
                 clock_parse_rfc3339(last_text, &last, NULL) == 0;
    if (js_get_bool(row, "in_use", false) || !known) {
        from_now(keep_alive, out);
        return;
    }
    /* A clock that is far off must not overflow the nanoseconds. */
    int64_t idle_s = (int64_t)now.tv_sec - (int64_t)last.tv_sec;
    int64_t idle = 0, left = 0;
    if (__builtin_mul_overflow(idle_s, INT64_C(1000000000), &idle) ||
        __builtin_add_overflow(idle, now.tv_nsec - last.tv_nsec, &idle) ||
        __builtin_sub_overflow(keep_alive, idle, &left) || left <= 0)
        snprintf(out, PS_UNTIL_MAX, "Expiring");
    else
        from_now(left, out);
}
