/* SPDX-License-Identifier: Apache-2.0
 *
 * Rights of requests, see access.h. */
#include "runner/access.h"

#include <stdio.h>

#include "runner/respond.h"

static struct str shown_token(const struct http_request *r)
{
    struct str value = str_from(http_request_header(r, "Authorization"));
    struct str scheme = str_sub(value, 0, 7);
    if (value.ptr && str_eq_nocase(scheme, STR("Bearer ")))
        return str_trim(str_sub(value, 7, SIZE_MAX));
    value = str_from(http_request_header(r, "X-Api-Key"));
    return value.ptr ? str_trim(value) : STR("");
}

bool access_check(const struct entrance *e, struct http_request *r, struct grant *ret)
{
    *ret = (struct grant){.anything = !e->without_inference_only,
                          .inference_only = e->without_inference_only};
    if (!e->tokens)
        return true;
    struct str token = shown_token(r);
    struct error err = ERROR_INIT;
    int64_t wait_s = 0;
    int result = token.len > 0 ? tokens_check(e->tokens, token, ret, &wait_s, &err)
                               : error_set(&err, ERR_DENIED,
                                           "an access token is needed here: send it as "
                                           "'Authorization: Bearer TOKEN'; 'model-runner token "
                                           "create NAME' makes one");
    if (result == 0)
        return true;
    if (err.code == ERR_BUSY) {
        char seconds[24];
        snprintf(seconds, sizeof(seconds), "%lld", (long long)wait_s);
        http_respond_header(r, "Retry-After", seconds);
        respond_openai_error(r, 429, &err);
        return false;
    }
    /* Clients of OpenAI's API send some key always; where none is needed, any will do. */
    if (!e->needs_token)
        return true;
    http_respond_header(r, "WWW-Authenticate", "Bearer realm=\"model-runner\"");
    respond_openai_error(r, 401, &err);
    return false;
}
