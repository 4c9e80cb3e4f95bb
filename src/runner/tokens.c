/* SPDX-License-Identifier: Apache-2.0
 *
 * Access tokens, see tokens.h. */
#include "runner/tokens.h"

#include <errno.h>
#include <fnmatch.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/log.h"

enum { MAX_FILE = 1 << 20, MAX_TOKENS = 1000, SECRET_BYTES = 32 };

#define TOKEN_PREFIX "mr-"

/* ---- the file ---- */

static int check_entry(const struct json *e, const char *path, struct error *err)
{
    int64_t per_minute = 0;
    bool inference = false;
    const struct json *models = js_get(e, "models");
    bool ok = js_is(e, JS_OBJECT) && js_get_str(e, "sha256").len == SHA256_HEX &&
              js_get_str(e, "name").len > 0 && (!models || js_is(models, JS_ARRAY)) &&
              js_want_int(e, "per_minute", 0, INT32_MAX, &per_minute, NULL) == 0 &&
              js_want_bool(e, "inference", &inference, NULL) == 0;
    for (size_t i = 0; ok && i < js_len(models); i++)
        ok = js_is(js_at(models, i), JS_STRING);
    if (ok)
        return 0;
    return error_set(err, ERR_CORRUPT, "the token file '%s' has a malformed entry", path);
}

int tokens_read(const char *path, struct json **ret, struct error *err)
{
    CLEANUP_FD int fd = -1;
    struct stat st;
    if (!file_exists(path)) {
        *ret = js_array();
        return 0;
    }
    int r = file_open_regular(path, &fd, &st, err);
    if (r < 0)
        return r;
    if ((st.st_mode & 0077) != 0)
        return error_set(
            err, ERR_DENIED,
            "the token file '%s' can be read by others: make it private with chmod 600", path);
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_FILE);
    CLEANUP_JSON struct json *list = NULL;
    r = fd_read_all(fd, path, &text, err);
    if (r == 0)
        r = js_parse(buf_str(&text), "the token file", &list, err);
    if (r == 0 && (!js_is(list, JS_ARRAY) || js_len(list) > MAX_TOKENS))
        r = error_set(err, ERR_CORRUPT, "the token file '%s' is not a list of tokens", path);
    for (size_t i = 0; r == 0 && i < js_len(list); i++)
        r = check_entry(js_at(list, i), path, err);
    if (r == 0)
        *ret = TAKE(list);
    return r;
}

static int write_tokens(const char *path, const struct json *list, struct error *err)
{
    CLEANUP_FREE char *text = js_text(list, JS_INDENT_2);
    return file_write_atomic(path, str_from(text), 0600, err);
}

static ptrdiff_t find_name(const struct json *list, const char *name)
{
    for (size_t i = 0; i < js_len(list); i++)
        if (strcmp(js_get_cstr(js_at(list, i), "name", ""), name) == 0)
            return (ptrdiff_t)i;
    return -1;
}

static int make_secret(char **ret, struct error *err)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    enum { CHARS = (SECRET_BYTES * 8 + 5) / 6 };
    unsigned char random[CHARS]; /* 6 bits of each are used */
    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return error_errno(err, errno, "the system gives no random numbers");
    char text[CHARS + 1] = "";
    for (size_t i = 0; i < CHARS; i++)
        text[i] = alphabet[random[i] & 63];
    *ret = xasprintf(TOKEN_PREFIX "%s", text);
    return 0;
}

static struct json *make_entry(const char *name, const struct token_limits *limits,
                               const char *secret)
{
    char sum[SHA256_HEX + 1], created[CLOCK_TEXT_MAX];
    sha256_hex(str_from(secret), sum);
    clock_rfc3339_utc((struct timespec){.tv_sec = clock_wall_s()}, created);
    struct json *e = js_object();
    js_set_cstr(e, "name", name);
    js_set_cstr(e, "sha256", sum);
    js_set_cstr(e, "created", created);
    js_set_bool(e, "inference", limits->inference);
    if (limits->n_models > 0) {
        struct json *models = js_array();
        for (size_t i = 0; i < limits->n_models; i++)
            js_push(models, js_cstr(limits->models[i]));
        js_set(e, "models", models);
    }
    if (limits->per_minute > 0)
        js_set_int(e, "per_minute", limits->per_minute);
    return e;
}

int token_create(const char *path, const char *name, const struct token_limits *limits, char **ret,
                 struct error *err)
{
    CLEANUP_FD int lock = -1;
    CLEANUP_JSON struct json *list = NULL;
    CLEANUP_FREE char *secret = NULL;
    if (!*name)
        return error_set(err, ERR_INVALID, "a token needs a name");
    int r = file_lock(path, &lock, err); /* two commands at a time must not lose a token */
    if (r == 0)
        r = tokens_read(path, &list, err);
    if (r == 0 && find_name(list, name) >= 0)
        r = error_set(err, ERR_CONFLICT, "there is a token '%s' already: remove it first", name);
    if (r == 0 && js_len(list) >= MAX_TOKENS)
        r = error_set(err, ERR_TOO_LARGE, "there are %d tokens already", MAX_TOKENS);
    if (r == 0)
        r = make_secret(&secret, err);
    if (r < 0)
        return r;
    js_push(list, make_entry(name, limits, secret));
    r = write_tokens(path, list, err);
    if (r == 0)
        *ret = TAKE(secret);
    return r;
}

int token_remove(const char *path, const char *name, struct error *err)
{
    CLEANUP_FD int lock = -1;
    CLEANUP_JSON struct json *list = NULL, *rest = js_array();
    int r = file_lock(path, &lock, err);
    if (r == 0)
        r = tokens_read(path, &list, err);
    if (r < 0)
        return r;
    if (find_name(list, name) < 0)
        return error_set(err, ERR_NOT_FOUND, "there is no token '%s'", name);
    for (size_t i = 0; i < js_len(list); i++)
        if (strcmp(js_get_cstr(js_at(list, i), "name", ""), name) != 0)
            js_push(rest, js_ref(js_at(list, i)));
    return write_tokens(path, rest, err);
}

/* ---- the daemon's side ---- */

/* Requests that a token may still make; as many as its limit come back in a minute. */
struct budget {
    char sum[SHA256_HEX + 1];
    double left;
    int64_t at_ms;
};

struct tokens {
    char *path;
    pthread_mutex_t lock;
    struct json *list; /* guarded by: lock, as all below */
    struct stat seen;  /* the file that `list` is from */
    bool read;
    struct budget *budgets;
    size_t n_budgets;
};

struct tokens *tokens_open(const char *path)
{
    struct tokens *t = xcalloc(1, sizeof(*t));
    t->path = xstrdup(path);
    pthread_mutex_init(&t->lock, NULL);
    t->list = js_array();
    return t;
}

void tokens_close(struct tokens *t)
{
    if (!t)
        return;
    js_free(t->list);
    pthread_mutex_destroy(&t->lock);
    free(t->budgets);
    free(t->path);
    free(t);
}

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mode == b->st_mode && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
           a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* A file that cannot be understood lets nobody in. */
static void refresh(struct tokens *t)
{
    struct stat st = {0};
    if (stat(t->path, &st) != 0)
        st = (struct stat){0};
    if (t->read && is_same_file(&st, &t->seen))
        return;
    struct error err = ERROR_INIT;
    struct json *list = NULL;
    if (tokens_read(t->path, &list, &err) < 0) {
        log_error("%s", err.msg);
        list = js_array();
    }
    js_free(t->list);
    t->list = list;
    t->seen = st;
    t->read = true;
}

static const struct json *find_token(const struct json *list, struct str token)
{
    char sum[SHA256_HEX + 1];
    const struct json *found = NULL;
    sha256_hex(token, sum);
    /* All are looked at, in constant time each: how long it takes tells nothing. */
    for (size_t i = 0; i < js_len(list); i++)
        if (digest_equal(js_get_str(js_at(list, i), "sha256"), str_from(sum)))
            found = js_at(list, i);
    return found;
}

static struct budget *find_budget(struct tokens *t, const char *sum, int64_t per_minute)
{
    for (size_t i = 0; i < t->n_budgets; i++)
        if (strcmp(t->budgets[i].sum, sum) == 0)
            return &t->budgets[i];
    if (t->n_budgets == MAX_TOKENS)
        t->n_budgets = 0; /* removed ones among them; everybody starts anew */
    t->budgets = xrealloc(t->budgets, t->n_budgets + 1, sizeof(*t->budgets));
    struct budget *b = &t->budgets[t->n_budgets++];
    *b = (struct budget){.left = (double)per_minute, .at_ms = clock_mono_ms()};
    memcpy(b->sum, sum, sizeof(b->sum));
    return b;
}

/* 0, or the seconds to wait. */
static int64_t spend(struct tokens *t, const struct json *token)
{
    enum { MINUTE_MS = 60000 };
    int64_t per_minute = js_get_int(token, "per_minute", 0), now = clock_mono_ms();
    if (per_minute == 0)
        return 0;
    struct budget *b = find_budget(t, js_get_cstr(token, "sha256", ""), per_minute);
    b->left += (double)(now - b->at_ms) * (double)per_minute / MINUTE_MS;
    b->left = MIN(b->left, (double)per_minute);
    b->at_ms = now;
    if (b->left >= 1) {
        b->left -= 1;
        return 0;
    }
    return 1 + (int64_t)((1 - b->left) * 60 / (double)per_minute);
}

int tokens_check(struct tokens *t, struct str token, struct grant *ret, int64_t *ret_wait_s,
                 struct error *err)
{
    int r = 0;
    pthread_mutex_lock(&t->lock);
    refresh(t);
    const struct json *found = find_token(t->list, token);
    if (!found) {
        r = error_set(err, ERR_DENIED, "the access token is not known here");
    } else if ((*ret_wait_s = spend(t, found)) > 0) {
        r = error_set(err, ERR_BUSY,
                      "this token may make %lld requests a minute: try again in %lld s",
                      (long long)js_get_int(found, "per_minute", 0), (long long)*ret_wait_s);
    } else {
        const struct json *models = js_get(found, "models");
        bool inference = js_get_bool(found, "inference", false);
        *ret = (struct grant){.anything = !inference && !models,
                              .inference_only = inference || models,
                              .models = models ? js_copy(models) : NULL};
    }
    pthread_mutex_unlock(&t->lock);
    return r;
}

void grant_release(struct grant *g)
{
    js_free(g->models);
    *g = (struct grant){0};
}

bool grant_covers_model(const struct grant *g, const char *full_name)
{
    static const char hub[] = "docker.io/";
    if (g->anything || !g->models)
        return true;
    if (strchr(full_name, '@')) /* the digest decides then, and it may be another model's */
        return false;
    const char *bare =
        strncmp(full_name, hub, strlen(hub)) == 0 ? full_name + strlen(hub) : full_name;
    const char *slash = strrchr(bare, '/');
    const char *tag = strchr(slash ? slash : bare, ':');
    CLEANUP_FREE char *untagged = tag ? xasprintf("%.*s", (int)(tag - bare), bare) : xstrdup(bare);
    for (size_t i = 0; i < js_len(g->models); i++) {
        const char *pattern = js_to_cstr(js_at(g->models, i));
        if (fnmatch(pattern, full_name, 0) == 0 || fnmatch(pattern, bare, 0) == 0 ||
            fnmatch(pattern, untagged, 0) == 0)
            return true;
    }
    return false;
}
