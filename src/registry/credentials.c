/* SPDX-License-Identifier: Apache-2.0
 *
 * Who we are to a registry. The first of these that knows the host:
 *
 *   1. DOCKER_USERNAME and DOCKER_PASSWORD (or DOCKER_HUB_USER and DOCKER_HUB_PASSWORD): for Docker
 *      Hub, and for the host that DEFAULT_REGISTRY names. Never for any other: a model's name must
 *      not decide who gets the user's password.
 *   2. config.json, credHelpers[host]: the helper of this host.
 *   3. config.json, credsStore: the helper for all hosts.
 *   4. config.json, auths[host]: "auth" (base64 of user:password), "username" and "password",
 *      "identitytoken" (exchanged for a token), "registrytoken" (used as it is).
 *
 * The file is read anew for each operation, so that a login counts at once. A mirror has
 * credentials of its own, under its own name, and never those of Docker Hub. A helper that fails
 * falls through to the next. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/base64.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "registry/helper.h"
#include "registry/internal.h"

#define HUB_SERVER "https://index.docker.io/v1/"

enum { CONFIG_MAX_BYTES = 4 << 20 };

void credentials_release(struct credentials *c)
{
    free(c->user);
    free(c->password);
    free(c->identity_token);
    free(c->bearer);
    *c = (struct credentials){0};
}

/* A key of auths as a host: without scheme, "/v1/" and the like; Hub's names are one. */
static struct str key_host(struct str key)
{
    ptrdiff_t scheme = str_find(key, STR("://"));
    if (scheme >= 0)
        key = str_sub(key, (size_t)scheme + 3, SIZE_MAX);
    while (str_ends_with(key, STR("/")))
        key = str_sub(key, 0, key.len - 1);
    if (str_ends_with(key, STR("/v1")) || str_ends_with(key, STR("/v2")))
        key = str_sub(key, 0, key.len - 3);
    if (str_eq_nocase(key, STR("docker.io")) || str_eq_nocase(key, STR("registry-1.docker.io")) ||
        str_eq_nocase(key, STR("index.docker.io")))
        return STR("docker.io");
    return key;
}

/* The member of an object whose key means the host; an exact key first. */
static const struct json *find_host(const struct json *object, const char *host)
{
    const struct json *exact = js_get(object, host);
    if (exact)
        return exact;
    struct str want = key_host(str_from(host));
    struct json_iter it = {0};
    while (js_next(object, &it)) {
        if (str_eq_nocase(key_host(it.key), want))
            return it.value;
    }
    return NULL;
}

static void from_auth_entry(const struct json *entry, struct credentials *ret)
{
    const char *identity = js_get_cstr(entry, "identitytoken", "");
    const char *bearer = js_get_cstr(entry, "registrytoken", "");
    if (*identity)
        ret->identity_token = xstrdup(identity);
    if (*bearer && strcspn(bearer, "\r\n") == strlen(bearer))
        ret->bearer = xstrdup(bearer);
    CLEANUP_BUF struct buf plain = BUF_INIT(64 << 10);
    if (base64_decode(str_trim(js_get_str(entry, "auth")), &plain, NULL) == 0) {
        struct str whole = buf_str(&plain);
        ptrdiff_t colon = str_find_char(whole, ':');
        if (colon > 0 && !memchr(whole.ptr, '\0', whole.len)) {
            ret->user = str_dup(str_sub(whole, 0, (size_t)colon));
            ret->password = str_dup(str_sub(whole, (size_t)colon + 1, SIZE_MAX));
            return;
        }
    }
    const char *user = js_get_cstr(entry, "username", "");
    const char *password = js_get_cstr(entry, "password", "");
    if (*user) {
        ret->user = xstrdup(user);
        ret->password = xstrdup(password);
    }
}

/* 1 = it gave some, 0 = it has none or fails, negative = canceled. */
static int from_helper(const char *helper, const char *host, struct http_cancel *cancel,
                       struct credentials *ret, struct error *err)
{
    if (!helper || !*helper)
        return 0;
    struct error failed = ERROR_INIT;
    char *user = NULL, *secret = NULL;
    const char *server = registry__host_is_hub(host) ? HUB_SERVER : host;
    int r = credential_helper_get(helper, server, cancel, &user, &secret, &failed);
    if (r == -ERR_CANCELED)
        return error_copy(err, &failed);
    if (r < 0) {
        log_debug("credentials for %s: %s", host, failed.msg);
        return 0;
    }
    if (!user)
        return 0;
    if (strcmp(user, "<token>") == 0) {
        free(user);
        ret->identity_token = secret;
    } else {
        ret->user = user;
        ret->password = secret;
    }
    return 1;
}

static int from_config(struct registry *r, const char *host, struct http_cancel *cancel,
                       struct credentials *ret, struct error *err)
{
    if (!r->docker_config_dir)
        return 0;
    CLEANUP_FREE char *path = path_join(r->docker_config_dir, "config.json");
    CLEANUP_BUF struct buf text = BUF_INIT(CONFIG_MAX_BYTES);
    CLEANUP_JSON struct json *config = NULL;
    struct error failed = ERROR_INIT;
    int res = file_read(path, &text, &failed);
    if (res == 0)
        res = js_parse(buf_str(&text), path, &config, &failed);
    if (res < 0) {
        if (res != -ERR_NOT_FOUND)
            log_debug("no credentials for %s: %s", host, failed.msg);
        return 0;
    }
    const char *helper = js_to_cstr(find_host(js_get(config, "credHelpers"), host));
    res = from_helper(helper, host, cancel, ret, err);
    if (res == 0)
        res = from_helper(js_get_cstr(config, "credsStore", NULL), host, cancel, ret, err);
    if (res == 0)
        from_auth_entry(find_host(js_get(config, "auths"), host), ret);
    return MIN(res, 0);
}

int credentials_find(struct registry *r, const char *host, bool upstream, struct http_cancel *cancel,
                     struct credentials *ret, struct error *err)
{
    bool ours = registry__host_is_hub(host) || strcmp(host, r->default_registry) == 0;
    *ret = (struct credentials){0};
    if (r->hub_user && upstream && ours) {
        ret->user = xstrdup(r->hub_user);
        ret->password = xstrdup(r->hub_password);
        return 0;
    }
    int res = from_config(r, host, cancel, ret, err);
    if (res < 0)
        credentials_release(ret);
    return res;
}
