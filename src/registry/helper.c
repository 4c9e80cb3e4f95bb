/* SPDX-License-Identifier: Apache-2.0
 *
 * Running a credential helper. */
#include "registry/helper.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "base/program.h"
#include "base/subprocess.h"

enum { HELPER_TIMEOUT_MS = 30 * 1000, HELPER_MAX_OUTPUT = 256 * 1024 };

static bool is_helper_name(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= 64 && *name != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == n;
}

int credential_helper_get(const char *name, const char *server, struct http_cancel *cancel,
                          char **ret_user, char **ret_secret, struct error *err)
{
    if (!is_helper_name(name))
        return error_set(err, ERR_INVALID, "'%s' is no name of a credential helper", name);
    CLEANUP_FREE char *file = xasprintf("docker-credential-%s", name);
    CLEANUP_FREE char *program = program_on_path(file);
    if (!program)
        return error_set(err, ERR_NOT_FOUND, "there is no docker-credential-%s on PATH", name);
    const char *const argv[] = {program, "get", NULL};
    const struct subprocess command = {.argv = argv,
                                       .input = str_from(server),
                                       .timeout_ms = HELPER_TIMEOUT_MS,
                                       .cancel_fd = http_cancel_fd(cancel)};
    CLEANUP_BUF struct buf text = BUF_INIT(HELPER_MAX_OUTPUT);
    bool well = false;
    int r = subprocess_run(&command, &text, &well, err);
    if (r < 0)
        return r;
    *ret_user = *ret_secret = NULL;
    if (!well) {
        if (str_find(buf_str(&text), STR("credentials not found")) >= 0)
            return 0;
        return error_set(err, ERR_UNAVAILABLE, "'%s' failed", program);
    }
    CLEANUP_JSON struct json *v = NULL;
    if (js_parse(buf_str(&text), "the helper's answer", &v, NULL) < 0)
        return error_set(err, ERR_UNAVAILABLE, "'%s' answers with something else than credentials",
                         program);
    const char *user = js_get_cstr(v, "Username", NULL), *secret = js_get_cstr(v, "Secret", NULL);
    if (user && secret) {
        *ret_user = xstrdup(user);
        *ret_secret = xstrdup(secret);
    }
    return 0;
}
