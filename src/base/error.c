/* SPDX-License-Identifier: Apache-2.0
 *
 * The error value and the one table that maps its kinds to the outside world. */
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

static const struct errc_row {
    const char *name;
    const char *openai_type;
    int http_status;
    int exit_code;
} errc_table[] = {
    [ERR_NONE] = {"ok", "", 200, 0},
    [ERR_INVALID] = {"invalid", "invalid_request_error", 400, 1},
    [ERR_NOT_FOUND] = {"not_found", "not_found_error", 404, 1},
    [ERR_CONFLICT] = {"conflict", "invalid_request_error", 409, 1},
    [ERR_CORRUPT] = {"corrupt", "invalid_request_error", 422, 1},
    [ERR_DENIED] = {"denied", "permission_error", 403, 1},
    [ERR_TOO_LARGE] = {"too_large", "invalid_request_error", 413, 1},
    [ERR_BUSY] = {"busy", "rate_limit_error", 429, 1},
    [ERR_CANCELED] = {"canceled", "canceled_error", 499, 130},
    [ERR_TIMEOUT] = {"timeout", "timeout_error", 504, 1},
    [ERR_UNAVAILABLE] = {"unavailable", "unavailable_error", 503, 1},
    [ERR_IO] = {"io", "server_error", 500, 1},
    [ERR_NOMEM] = {"nomem", "server_error", 500, 1},
    [ERR_UNSUPPORTED] = {"unsupported", "not_supported_error", 501, 1},
    [ERR_INTERNAL] = {"internal", "server_error", 500, 1},
};

static const struct errc_row *errc_row(enum errc code)
{
    if ((size_t)code >= ARRAY_LEN(errc_table))
        code = ERR_INTERNAL;
    return &errc_table[code];
}

/* Puts one raw sentence into err->msg in printable form. */
static void set_msg(struct error *err, enum errc code, const char *raw)
{
    err->code = code;
    utf8_printable(err->msg, sizeof(err->msg), raw, strlen(raw));
}

int error_vset(struct error *err, enum errc code, const char *fmt, va_list args)
{
    if (err) {
        char raw[ERROR_MSG_MAX];
        vsnprintf(raw, sizeof(raw), fmt, args);
        set_msg(err, code, raw);
    }
    return -(int)code;
}

int error_set(struct error *err, enum errc code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    int r = error_vset(err, code, fmt, args);
    va_end(args);
    return r;
}

static enum errc errc_from_errno(int errnum)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_DENIED;
    case EEXIST:
    case EADDRINUSE:
        return ERR_CONFLICT;
    case EBUSY:
    case EAGAIN:
        return ERR_BUSY;
    case ENOMEM:
        return ERR_NOMEM;
    case EINVAL:
    case ENAMETOOLONG:
        return ERR_INVALID;
    case EFBIG:
    case EOVERFLOW:
        return ERR_TOO_LARGE;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case EHOSTUNREACH:
    case ENETUNREACH:
        return ERR_UNAVAILABLE;
    case ETIMEDOUT:
        return ERR_TIMEOUT;
    case EINTR:
    case ECANCELED:
        return ERR_CANCELED;
    default:
        return ERR_IO;
    }
}

int error_errno(struct error *err, int errnum, const char *fmt, ...)
{
    enum errc code = errc_from_errno(errnum);
    if (err) {
        char raw[ERROR_MSG_MAX];
        va_list args;
        va_start(args, fmt);
        vsnprintf(raw, sizeof(raw), fmt, args);
        va_end(args);
        char reason[128];
        /* The GNU strerror_r is thread-safe and returns the text to use. */
        const char *text = strerror_r(errnum, reason, sizeof(reason));
        size_t len = strlen(raw);
        snprintf(raw + len, sizeof(raw) - len, ": %s", text);
        set_msg(err, code, raw);
    }
    return -(int)code;
}

int error_wrap(struct error *err, const char *fmt, ...)
{
    if (!err)
        return -(int)ERR_INTERNAL;
    char raw[ERROR_MSG_MAX];
    va_list args;
    va_start(args, fmt);
    vsnprintf(raw, sizeof(raw), fmt, args);
    va_end(args);

    /* The context may fill half of the message at most: the reason matters more. */
    char context[ERROR_MSG_MAX / 2];
    utf8_printable(context, sizeof(context), raw, strlen(raw));
    char whole[2 * ERROR_MSG_MAX];
    snprintf(whole, sizeof(whole), "%s: %s", context, err->msg);
    utf8_printable(err->msg, sizeof(err->msg), whole, strlen(whole));
    return -(int)err->code;
}

int error_recode(struct error *err, enum errc code)
{
    if (err)
        err->code = code;
    return -(int)code;
}

int error_copy(struct error *err, const struct error *from)
{
    if (!from)
        return 0;
    if (err && err != from)
        *err = *from;
    return -(int)from->code;
}

const char *errc_name(enum errc code)
{
    return errc_row(code)->name;
}

int errc_http_status(enum errc code)
{
    return errc_row(code)->http_status;
}

enum errc errc_from_http_status(int status)
{
    if (status >= 200 && status < 400)
        return ERR_NONE;
    switch (status) {
    case 401:
    case 403:
        return ERR_DENIED;
    case 408:
        return ERR_TIMEOUT;
    case 502:
        return ERR_UNAVAILABLE;
    default:
        break;
    }
    for (size_t i = 1; i < ARRAY_LEN(errc_table); i++)
        if (errc_table[i].http_status == status)
            return (enum errc)i;
    return status >= 400 && status < 500 ? ERR_INVALID : ERR_IO;
}

const char *errc_openai_type(enum errc code)
{
    return errc_row(code)->openai_type;
}

int errc_exit_code(enum errc code)
{
    return errc_row(code)->exit_code;
}
