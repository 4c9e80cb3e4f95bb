/* SPDX-License-Identifier: Apache-2.0
 *
 * The models' settings on disk, see settings_file.h. */
#include "runner/settings_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"

enum { VERSION = 1, MAX_FILE = 4 << 20, MAX_ROWS = 10000 };

static int damaged(const char *path, const char *why, struct error *err)
{
    return error_set(err, ERR_CORRUPT,
                     "the settings file '%s' is damaged: %s. Mend it, or move it away to begin "
                     "without settings; it was left as it is",
                     path, why);
}

static bool is_row(const struct json *row)
{
    return js_is(row, JS_OBJECT) && js_get_str(row, "model").len > 0 &&
           js_get_str(row, "mode").len > 0 && js_is(js_get(row, "config"), JS_OBJECT);
}

/* The whole file, checked; *ret is what a new one begins with when there is none. */
static int read_file(const char *path, struct json **ret, struct error *err)
{
    struct stat st;
    if (lstat(path, &st) != 0 && errno == ENOENT) {
        *ret = js_object();
        js_set_int(*ret, "version", VERSION);
        js_set(*ret, "models", js_array());
        return 0;
    }
    CLEANUP_FD int fd = -1;
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_FILE);
    CLEANUP_JSON struct json *file = NULL;
    struct error why = ERROR_INIT;
    int r = file_open_regular(path, &fd, &st, err);
    if (r == 0)
        r = fd_read_all(fd, path, &text, err);
    if (r < 0)
        return error_wrap(err, "the models' settings");
    if (js_parse(buf_str(&text), "it", &file, &why) < 0)
        return damaged(path, why.msg, err);
    int64_t version = js_get_int(file, "version", 0);
    if (version > VERSION)
        return error_set(err, ERR_UNSUPPORTED,
                         "the settings file '%s' is of version %lld, from a newer model-runner: "
                         "use that, or move the file away",
                         path, (long long)version);
    const struct json *rows = js_get(file, "models");
    if (version < 1 || !js_is(rows, JS_ARRAY) || js_len(rows) > MAX_ROWS)
        return damaged(path, "it is no object with \"version\" and \"models\"", err);
    for (size_t i = 0; i < js_len(rows); i++) {
        CLEANUP_FREE char *what = xasprintf(
            "entry %zu of \"models\" needs the texts \"model\" and \"mode\" and an object "
            "\"config\"",
            i + 1);
        if (!is_row(js_at(rows, i)))
            return damaged(path, what, err);
    }
    *ret = TAKE(file);
    return 0;
}

int settings_file_read(const char *path, struct json **ret, struct error *err)
{
    CLEANUP_JSON struct json *file = NULL;
    int r = read_file(path, &file, err);
    if (r == 0)
        *ret = js_ref(js_get(file, "models"));
    return r;
}

static bool same_text(const struct json *a, const struct json *b, const char *key)
{
    struct str x = js_get_str(a, key), y = js_get_str(b, key);
    return x.len > 0 && str_eq(x, y);
}

int settings_file_put(const char *path, struct json *row, struct error *err)
{
    CLEANUP_FD int lock = -1;
    CLEANUP_JSON struct json *file = NULL;
    int r = file_lock(path, &lock, err);
    if (r == 0)
        r = read_file(path, &file, err);
    if (r < 0)
        return r;
    struct json *rows = js_get(file, "models");
    for (size_t i = js_len(rows); i-- > 0;) {
        const struct json *old = js_at(rows, i);
        if (same_text(old, row, "mode") &&
            (same_text(old, row, "id") || same_text(old, row, "model")))
            js_remove(rows, i);
    }
    if (js_len(js_get(row, "config")) > 0)
        js_push(rows, js_ref(row));
    if (js_len(rows) > MAX_ROWS)
        return error_set(err, ERR_TOO_LARGE, "the settings file '%s' is full", path);
    CLEANUP_FREE char *text = js_text(file, JS_INDENT_2);
    return file_write_atomic(path, str_from(text), 0600, err);
}
