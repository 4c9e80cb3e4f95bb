/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of named runners, see context_store.h. */
#include "cli/context_store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/paths.h"

enum { CONTEXTS_MAX_BYTES = 4 << 20 };

void context_entry_release(struct context_entry *e)
{
    free(e->host);
    free(e->ca_cert);
    *e = (struct context_entry){0};
}

static int store_dir(char **ret, struct error *err)
{
    CLEANUP_FREE char *config = NULL;
    int r = path_docker_config(&config, err);
    if (r < 0)
        return r;
    *ret = path_join(config, "model");
    return 0;
}

static struct json *empty_document(void)
{
    struct json *doc = js_object();
    js_set_int(doc, "version", 1);
    js_set(doc, "contexts", js_object());
    return doc;
}

int context_store_read(struct json **ret, struct error *err)
{
    CLEANUP_FREE char *dir = NULL;
    int r = store_dir(&dir, err);
    if (r < 0)
        return r;
    CLEANUP_FREE char *path = path_join(dir, "contexts.json");
    CLEANUP_BUF struct buf text = BUF_INIT(CONTEXTS_MAX_BYTES);
    r = file_read(path, &text, err);
    if (r == -ERR_NOT_FOUND) {
        *ret = empty_document();
        return 0;
    }
    if (r < 0)
        return error_wrap(err, "the context store");
    CLEANUP_JSON struct json *doc = NULL;
    r = js_parse(buf_str(&text), "the context store", &doc, err);
    if (r < 0)
        return error_wrap(err, "%s", path);
    if (!js_is(doc, JS_OBJECT))
        return error_set(err, ERR_CORRUPT, "%s: it must be a JSON object", path);
    int64_t version = js_get_int(doc, "version", 1);
    if (version != 1)
        return error_set(err, ERR_UNSUPPORTED,
                         "%s: version %lld is newer than this program knows: upgrade it", path,
                         (long long)version);
    if (!js_is(js_get(doc, "contexts"), JS_OBJECT))
        js_set(doc, "contexts", js_object());
    *ret = TAKE(doc);
    return 0;
}

const char *context_store_current(const struct json *doc)
{
    const char *current = js_get_cstr(doc, "current", "");
    return *current ? current : CONTEXT_DEFAULT;
}

int context_store_active(struct context_entry *ret, struct error *err)
{
    CLEANUP_JSON struct json *doc = NULL;
    int r = context_store_read(&doc, err);
    if (r < 0)
        return r;
    const char *current = context_store_current(doc);
    if (strcmp(current, CONTEXT_DEFAULT) == 0)
        return 0;
    const struct json *entry = js_get(js_get(doc, "contexts"), current);
    const char *host = js_get_cstr(entry, "host", "");
    if (!*host)
        return error_set(err, ERR_NOT_FOUND,
                         "the active context \"%s\" is not in the context store: run 'docker model "
                         "context use default'",
                         current);
    const struct json *tls = js_get(entry, "tls");
    const char *ca = js_get_cstr(tls, "caCert", "");
    *ret = (struct context_entry){
        .host = xstrdup(host),
        .tls = js_get_bool(tls, "enabled", false),
        .skip_verify = js_get_bool(tls, "skipVerify", false),
        .ca_cert = *ca ? xstrdup(ca) : NULL,
    };
    return 1;
}

int context_store_change(context_change_fn change, void *ctx, struct error *err)
{
    CLEANUP_FREE char *dir = NULL;
    int r = store_dir(&dir, err);
    if (r == 0)
        r = dir_make(dir, 0700, err);
    if (r < 0)
        return r;
    CLEANUP_FREE char *lock_path = path_join(dir, "contexts.lock");
    CLEANUP_FD int lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (lock < 0)
        return error_errno(err, errno, "cannot open '%s'", lock_path);
    while (flock(lock, LOCK_EX) != 0)
        if (errno != EINTR)
            return error_errno(err, errno, "cannot lock '%s'", lock_path);

    CLEANUP_JSON struct json *doc = NULL;
    r = context_store_read(&doc, err);
    if (r == 0)
        r = change(doc, ctx, err);
    if (r < 0)
        return r;
    CLEANUP_BUF struct buf text = BUF_INIT(CONTEXTS_MAX_BYTES);
    js_write(doc, JS_INDENT_4, &text);
    buf_push(&text, '\n');
    r = buf_check(&text, "the context store", err);
    if (r < 0)
        return r;
    CLEANUP_FREE char *path = path_join(dir, "contexts.json");
    return file_write_atomic(path, buf_str(&text), 0600, err);
}

static bool is_alnum(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

int context_check_name(const char *name, struct error *err)
{
    if (strcmp(name, CONTEXT_DEFAULT) == 0)
        return error_set(err, ERR_INVALID, "context name \"default\" is reserved");
    bool good = is_alnum(name[0]);
    for (const char *c = name; *c && good; c++)
        good = is_alnum(*c) || *c == '_' || *c == '.' || *c == '-';
    if (!good)
        return error_set(err, ERR_INVALID,
                         "invalid context name \"%s\": must match ^[a-zA-Z0-9][a-zA-Z0-9_.-]*$",
                         name);
    return 0;
}
