/* SPDX-License-Identifier: Apache-2.0
 *
 * Compiler extensions and tiny generic helpers. Every attribute and GNU
 * extension the project uses has its name here, so that the rest of the code
 * reads as plain C17.
 *
 * Cleanup: a local declared with one of the CLEANUP_* macros is released when
 * it leaves its scope, on every path. Hand ownership over with TAKE():
 *
 *     CLEANUP_FREE char *name = strdup(x);
 *     ...
 *     obj->name = TAKE(name);      // name is NULL now; nothing is freed
 */
#ifndef BASE_COMPILER_H
#define BASE_COMPILER_H

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define ATTR_PRINTF(fmt_at, args_at) __attribute__((format(printf, fmt_at, args_at)))
#define ATTR_CHECK __attribute__((warn_unused_result))
#define ATTR_NORETURN __attribute__((noreturn))
#define ATTR_UNUSED __attribute__((unused))
#define ATTR_ALIGNED(n) __attribute__((aligned(n)))
#define ATTR_PACKED __attribute__((packed))
#define ATTR_INLINE inline __attribute__((always_inline))
#define ATTR_FALLTHROUGH __attribute__((fallthrough))
#define UINT128 unsigned __int128
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

/* The object that contains `member` at address `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr) - offsetof(type, member)))

/* Moves a pointer out of a variable and leaves NULL behind. */
#define TAKE(p) __extension__({ __typeof__(p) take_ = (p); (p) = NULL; take_; })

/* Moves a file descriptor out of a variable and leaves -1 behind. */
#define TAKE_FD(fd) __extension__({ int take_ = (fd); (fd) = -1; take_; })

/* CLEANUP(fn): calls fn(&variable) at the end of the scope. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))

static inline void cleanup_free_(void *p)
{
    void **pp = (void **)p;
    free(*pp);
}

static inline void cleanup_close_(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

#define CLEANUP_FREE CLEANUP(cleanup_free_)
#define CLEANUP_FD CLEANUP(cleanup_close_)

/* Defines cleanup_NAME(struct X **) for a destructor that accepts NULL, to be used as
 * CLEANUP(cleanup_NAME) struct X *x = NULL; */
#define DEFINE_CLEANUP(name, type, destructor)      \
    static inline void cleanup_##name(type **p)     \
    {                                               \
        destructor(*p);                             \
    }                                               \
    struct base_require_semicolon

#endif
