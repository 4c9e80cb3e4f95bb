/* SPDX-License-Identifier: Apache-2.0
 *
 * The sandbox on Linux: no_new_privs and a seccomp filter for all threads.
 *
 * The filter is a list of what is denied; everything else is allowed. A list of what is allowed
 * would be tighter but breaks with every new libc; what a hostile file could want, the network,
 * other programs, other processes, the file system, is a short list. Denied calls fail with EPERM,
 * so that code that can do without goes on. Three get ENOSYS, as they hide their flags behind a
 * pointer the filter cannot follow, and libc knows how to do without them: clone3, openat2,
 * io_uring.
 *
 *     load arch    other than ours                → kill
 *     load nr      x32 (bit 30 on x86-64)         → EPERM
 *     nr in list                                  → EPERM / ENOSYS
 *     nr == open, openat                          → EPERM if the flags can change a file
 *     nr == clone                                 → EPERM if it is no thread
 *     otherwise                                   → allow
 *
 * Removing files is denied with the rest, also for the engine's own socket: a filter sees numbers,
 * not paths. */
#include "engine/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "base/compiler.h"

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#else
#define OUR_ARCH AUDIT_ARCH_AARCH64
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

struct denied {
    uint32_t nr;
    uint32_t errnum;
};

/* clang-format off */
#define DENY(name) {(uint32_t)SYS_##name, EPERM}

static const struct denied denied[] = {
    /* connections */
    DENY(socket), DENY(socketpair), DENY(connect), DENY(bind), DENY(listen),
    /* programs and processes */
    DENY(execve), DENY(execveat), DENY(ptrace), DENY(process_vm_readv), DENY(process_vm_writev),
    DENY(kill), DENY(setns), DENY(unshare), DENY(chroot), DENY(pivot_root), DENY(personality),
    {(uint32_t)SYS_clone3, ENOSYS},
#ifdef SYS_fork
    DENY(fork), DENY(vfork),
#endif
#ifdef SYS_pidfd_getfd
    DENY(pidfd_open), DENY(pidfd_getfd), DENY(pidfd_send_signal),
#endif
    /* the file system */
    {(uint32_t)SYS_openat2, ENOSYS},
    DENY(unlinkat), DENY(mkdirat), DENY(mknodat), DENY(linkat), DENY(symlinkat), DENY(renameat2),
    DENY(fchmod), DENY(fchmodat), DENY(fchown), DENY(fchownat), DENY(truncate), DENY(utimensat),
    DENY(setxattr), DENY(lsetxattr), DENY(removexattr), DENY(lremovexattr), DENY(mount),
    DENY(umount2), DENY(open_by_handle_at),
#ifdef SYS_renameat
    DENY(renameat),
#endif
#ifdef SYS_unlink
    DENY(creat), DENY(unlink), DENY(mkdir), DENY(rmdir), DENY(mknod), DENY(link), DENY(symlink),
    DENY(rename), DENY(chmod), DENY(chown), DENY(lchown), DENY(utime), DENY(utimes),
    DENY(futimesat),
#endif
    /* the kernel's less trodden parts */
    {(uint32_t)SYS_io_uring_setup, ENOSYS}, {(uint32_t)SYS_io_uring_enter, ENOSYS},
    {(uint32_t)SYS_io_uring_register, ENOSYS},
    DENY(bpf), DENY(perf_event_open), DENY(userfaultfd), DENY(add_key), DENY(request_key),
    DENY(keyctl), DENY(init_module), DENY(finit_module), DENY(delete_module), DENY(kexec_load),
    DENY(swapon), DENY(swapoff), DENY(reboot), DENY(quotactl), DENY(acct), DENY(fanotify_init),
};
/* clang-format on */

/* O_TMPFILE needs one of the writing modes. */
enum { WRITE_FLAGS = O_ACCMODE | O_CREAT | O_TRUNC };
_Static_assert(O_RDONLY == 0, "reading is the absence of the other flags");

#define LOAD(field) \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
/* The low half of an argument; both systems are little-endian. */
#define LOAD_ARG(i) \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * (i)))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, (what))
#define FAIL(errnum) (SECCOMP_RET_ERRNO | ((uint32_t)(errnum)&SECCOMP_RET_DATA))

enum { HEAD = 6, TAIL = 16 };

static void put(struct sock_filter *f, size_t *n, struct sock_filter what)
{
    f[(*n)++] = what;
}

/* For call `nr`: EPERM if argument `arg` has any bit of `mask` set (or, inverted, has not). Leaves
 * the call's number loaded for what follows. */
static void put_flag_check(struct sock_filter *f, size_t *n, uint32_t nr, unsigned arg,
                           uint32_t mask, bool deny_if_set)
{
    put(f, n, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 4));
    put(f, n, (struct sock_filter)LOAD_ARG(arg));
    put(f, n,
        (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, mask, deny_if_set ? 0 : 1,
                                     deny_if_set ? 1 : 0));
    put(f, n, (struct sock_filter)RETURN(FAIL(EPERM)));
    put(f, n, (struct sock_filter)RETURN(SECCOMP_RET_ALLOW));
}

static unsigned short build(struct sock_filter *f)
{
    size_t n = 0;
    put(f, &n, (struct sock_filter)LOAD(arch));
    put(f, &n, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0));
    put(f, &n, (struct sock_filter)RETURN(SECCOMP_RET_KILL_PROCESS));
    put(f, &n, (struct sock_filter)LOAD(nr));
    put(f, &n, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1));
    put(f, &n, (struct sock_filter)RETURN(FAIL(EPERM)));
    for (size_t i = 0; i < ARRAY_LEN(denied); i++) {
        put(f, &n, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, denied[i].nr, 0, 1));
        put(f, &n, (struct sock_filter)RETURN(FAIL(denied[i].errnum)));
    }
#ifdef SYS_open
    put_flag_check(f, &n, SYS_open, 1, WRITE_FLAGS, true);
#endif
    put_flag_check(f, &n, SYS_openat, 2, WRITE_FLAGS, true);
    put_flag_check(f, &n, SYS_clone, 0, CLONE_THREAD, false);
    put(f, &n, (struct sock_filter)RETURN(SECCOMP_RET_ALLOW));
    return (unsigned short)n;
}

int sandbox_enter(struct error *err)
{
    if (SANITIZED)
        return error_set(err, ERR_UNSUPPORTED, "a sanitizer's own work would be forbidden");
    struct sock_filter filter[HEAD + 2 * ARRAY_LEN(denied) + TAIL];
    struct sock_fprog program = {.len = build(filter), .filter = filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return error_errno(err, errno, "cannot set no_new_privs");
    /* TSYNC: the HTTP server's threads run already. */
    long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
    if (r > 0)
        return error_set(err, ERR_UNSUPPORTED, "thread %ld cannot take on the seccomp filter", r);
    if (r < 0)
        return errno == ENOSYS || errno == EINVAL
                   ? error_set(err, ERR_UNSUPPORTED, "this kernel has no seccomp filters")
                   : error_errno(err, errno, "cannot install the seccomp filter");
    return 0;
}
