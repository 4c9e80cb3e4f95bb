/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors are values: a kind and a sentence.
 *
 * A function that can fail takes `struct error *err` as its last parameter and
 * returns 0 or a negative `-(int)enum errc`. It fills *err on failure and leaves
 * it alone on success. Layers on the way up may put their context in front with
 * error_wrap(): "pull ai/smollm2: manifest: the registry answered 401".
 *
 *     int store_open(const char *root, struct store **ret, struct error *err)
 *     {
 *         if (access(root, R_OK) != 0)
 *             return error_errno(err, errno, "cannot read the model store '%s'", root);
 *         ...
 *     }
 *
 * The sentence says what happened, to what, and what to do; it has no final full
 * stop and no newline. Text that came from outside may be put in with %s: control
 * characters and invalid UTF-8 are shown as \xNN, so a hostile file cannot write
 * to the user's terminal. `err` may be NULL when the caller only wants the code.
 *
 * The kind maps to an HTTP status, an exit code and an OpenAI error type in one
 * place, error.c.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdarg.h>

#include "base/compiler.h"

enum errc {
    ERR_NONE = 0,
    ERR_INVALID,     /* the caller's input is wrong */
    ERR_NOT_FOUND,   /* the thing named does not exist */
    ERR_CONFLICT,    /* the thing exists already, or is in use */
    ERR_CORRUPT,     /* stored or received data is damaged */
    ERR_DENIED,      /* permission or authentication */
    ERR_TOO_LARGE,   /* a limit is exceeded */
    ERR_BUSY,        /* try again later: queue full, all slots taken */
    ERR_CANCELED,    /* the client left or the user pressed Ctrl-C */
    ERR_TIMEOUT,     /* it took too long */
    ERR_UNAVAILABLE, /* a service that is needed does not answer */
    ERR_IO,          /* the operating system refused a read, write, … */
    ERR_NOMEM,       /* out of memory */
    ERR_UNSUPPORTED, /* valid, but not something this program can do */
    ERR_INTERNAL,    /* our own mistake */
};

enum { ERROR_MSG_MAX = 1024 };

struct error {
    enum errc code;
    char msg[ERROR_MSG_MAX];
};

#define ERROR_INIT                  \
    {                               \
        .code = ERR_NONE, .msg = "" \
    }

/* Fills *err and returns -code. */
int error_set(struct error *err, enum errc code, const char *fmt, ...) ATTR_PRINTF(3, 4);
int error_vset(struct error *err, enum errc code, const char *fmt, va_list args) ATTR_PRINTF(3, 0);

/* As error_set, with the kind that fits errno value `errnum` and ": strerror" appended. */
int error_errno(struct error *err, int errnum, const char *fmt, ...) ATTR_PRINTF(3, 4);

/* Puts "context: " in front of the message; returns -err->code. */
int error_wrap(struct error *err, const char *fmt, ...) ATTR_PRINTF(2, 3);

/* Another kind for the same sentence; returns -code. */
int error_recode(struct error *err, enum errc code);

/* Copies *from into *err (either may be NULL) and returns -from->code. */
int error_copy(struct error *err, const struct error *from);

/* Short name of a kind as used in logs: "not_found". */
const char *errc_name(enum errc code);

/* The HTTP status a server answers with: ERR_NOT_FOUND → 404. */
int errc_http_status(enum errc code);

/* The kind for an HTTP status received from a server: 404 → ERR_NOT_FOUND; 2xx → ERR_NONE. */
enum errc errc_from_http_status(int status);

/* The OpenAI error type: "invalid_request_error", "not_found_error", … */
const char *errc_openai_type(enum errc code);

/* Process exit code. Docker's plugins know one failure code, so this is 0 or 1, and 130 for
 * ERR_CANCELED as shells expect after Ctrl-C. */
int errc_exit_code(enum errc code);

/* The exit status by which an engine says that it is whole and the model is not for it: another
 * engine may run it. */
enum { EXIT_UNSUPPORTED = 3 };

#endif
