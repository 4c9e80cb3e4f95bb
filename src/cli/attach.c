/* SPDX-License-Identifier: Apache-2.0
 *
 * Files named in a prompt, see attach.h. */
#include "cli/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/file.h"

enum {
    PATH_MAX_BYTES = 4096,
    TEXT_MAX_BYTES = 16 << 20,
    IMAGE_MAX_BYTES = 100 << 20,
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The word that starts at s: quoted, or up to white space with backslash escapes. Returns how many
 * bytes it took, 0 when it is no word; `path` gets it without quotes and escapes. */
static size_t read_word(struct str s, char path[PATH_MAX_BYTES])
{
    if (s.len == 0 || is_space(s.ptr[0]))
        return 0;
    size_t used = 0, i = 0;
    char quote = s.ptr[0] == '"' || s.ptr[0] == '\'' ? s.ptr[0] : 0;
    if (quote)
        i++;
    for (; i < s.len; i++) {
        char c = s.ptr[i];
        if (quote ? c == quote : is_space(c))
            break;
        if (!quote && c == '\\' && i + 1 < s.len)
            c = s.ptr[++i];
        if (c == '\0' || used + 1 >= PATH_MAX_BYTES)
            return 0;
        path[used++] = c;
    }
    path[used] = '\0';
    if (quote) {
        if (i >= s.len || used == 0)
            return 0; /* the quote is not closed: an apostrophe */
        i++;
    }
    return i;
}

static bool is_regular_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool is_image_name(const char *path)
{
    static const char *const endings[] = {".jpg", ".jpeg", ".png", ".webp"};
    size_t len = strlen(path);
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        size_t n = strlen(endings[i]);
        if (len > n && strcasecmp(path + len - n, endings[i]) == 0)
            return true;
    }
    return false;
}

/* "look at @notes.txt." names notes.txt: drops punctuation from the end of an unquoted word until
 * there is such a file. Returns how many bytes were dropped, or -1 when there is none. */
static int find_file(char *path, bool quoted)
{
    int dropped = 0;
    for (;;) {
        if (is_regular_file(path))
            return dropped;
        size_t len = strlen(path);
        if (quoted || len < 2 || !strchr(".,;:!?)]}\"'", path[len - 1]))
            return -1;
        path[len - 1] = '\0';
        dropped++;
    }
}

/* ---- images ---- */

static const char *image_type(struct str data, const char *path)
{
    if (str_starts_with(data, STR("\xFF\xD8\xFF")))
        return "image/jpeg";
    if (str_starts_with(data, STR("\x89PNG")))
        return "image/png";
    if (str_starts_with(data, STR("RIFF")) && str_eq_c(str_sub(data, 8, 4), "WEBP"))
        return "image/webp";
    const char *ending = strrchr(path, '.');
    return strcasecmp(ending, ".png") == 0    ? "image/png"
           : strcasecmp(ending, ".webp") == 0 ? "image/webp"
                                              : "image/jpeg";
}

static int image_part(const char *path, struct json **ret, struct error *err)
{
    CLEANUP_BUF struct buf data = BUF_INIT(IMAGE_MAX_BYTES);
    struct error why = ERROR_INIT;
    if (file_read(path, &data, &why) < 0) {
        if (why.code == ERR_TOO_LARGE)
            error_set(&why, ERR_TOO_LARGE, "file size exceeds maximum limit (100 MB)");
        return error_set(err, why.code, "couldn't process image \"%s\": %s", path, why.msg);
    }
    CLEANUP_BUF struct buf url = BUF_INIT((size_t)IMAGE_MAX_BYTES * 2);
    buf_printf(&url, "data:%s;base64,", image_type(buf_str(&data), path));
    base64_encode(buf_str(&data), &url);
    int r = buf_check(&url, "the image", err);
    if (r < 0)
        return r;
    struct json *part = js_object(), *image = js_object();
    js_set_cstr(part, "type", "image_url");
    js_set_str(image, "url", buf_str(&url));
    js_set(part, "image_url", image);
    *ret = part;
    return 0;
}

/* ---- the prompt ---- */

struct scan {
    struct buf text;
    struct json *images; /* NULL until the first */
};

static int add_image(struct scan *scan, const char *path, struct error *err)
{
    struct json *part = NULL;
    int r = image_part(path, &part, err);
    if (r < 0)
        return r;
    if (!scan->images)
        scan->images = js_array();
    js_push(scan->images, part);
    return 0;
}

static bool looks_like_path(struct str s)
{
    return str_starts_with(s, STR("/")) || str_starts_with(s, STR("./")) ||
           str_starts_with(s, STR("../")) || str_starts_with(s, STR("\"")) ||
           str_starts_with(s, STR("'"));
}

/* Looks for a file at the start of s. Returns the bytes that stood for it, 0 for none. */
static ssize_t take_file(struct scan *scan, struct str s, struct error *err)
{
    bool included = s.ptr[0] == '@';
    struct str rest = included ? str_sub(s, 1, s.len - 1) : s;
    if (!included && !looks_like_path(rest))
        return 0;
    char path[PATH_MAX_BYTES];
    size_t used = read_word(rest, path);
    if (used == 0)
        return 0;
    bool quoted = rest.ptr[0] == '"' || rest.ptr[0] == '\'';
    int dropped = find_file(path, quoted);
    if (dropped < 0 || (!included && !is_image_name(path)))
        return 0;
    int r;
    if (is_image_name(path)) {
        r = add_image(scan, path, err);
    } else {
        struct error why = ERROR_INIT;
        r = file_read(path, &scan->text, &why);
        if (r == -ERR_DENIED)
            return 0; /* not readable: stays as it was typed */
        if (r < 0)
            return error_set(err, why.code, "cannot include \"%s\": %s", path, why.msg);
    }
    return r < 0 ? r : (ssize_t)(used + included - (size_t)dropped);
}

static int scan_prompt(struct scan *scan, struct str s, struct error *err)
{
    bool word_start = true;
    while (s.len > 0) {
        if (word_start) {
            ssize_t used = take_file(scan, s, err);
            if (used < 0)
                return (int)used;
            if (used > 0) {
                s = str_sub(s, (size_t)used, s.len - (size_t)used);
                word_start = false;
                continue;
            }
        }
        word_start = is_space(s.ptr[0]) || s.ptr[0] == '(' || s.ptr[0] == '[';
        buf_push(&scan->text, s.ptr[0]);
        s = str_sub(s, 1, s.len - 1);
    }
    return buf_check(&scan->text, "the prompt with its files", err);
}

int attach_prompt(const char *prompt, struct json **ret_content, struct error *err)
{
    struct scan scan = {.text = BUF_INIT(TEXT_MAX_BYTES)};
    int r = scan_prompt(&scan, str_from(prompt), err);
    if (r == 0 && !scan.images) {
        *ret_content = js_str(buf_str(&scan.text));
    } else if (r == 0) {
        struct str text = str_trim(buf_str(&scan.text));
        if (text.len > 0) {
            struct json *part = js_object();
            js_set_cstr(part, "type", "text");
            js_set_str(part, "text", text);
            js_push(scan.images, part);
        }
        *ret_content = TAKE(scan.images);
    }
    js_free(scan.images);
    buf_release(&scan.text);
    return r;
}
