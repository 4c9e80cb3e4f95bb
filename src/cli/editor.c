/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing a message in the user's editor, see editor.h. */
#include "cli/editor.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"

extern char **environ;

enum { TEXT_MAX_BYTES = 16 << 20 };

/* EDITOR may hold options ("code --wait"), so a shell takes it apart; the file's name stays an
 * argument and is never part of what the shell reads. */
static int run_editor(const char *path, struct error *err)
{
    const char *editor = getenv("EDITOR");
    CLEANUP_FREE char *script = xasprintf("%s \"$1\"", editor && *editor ? editor : "vi");
    char *argv[] = {(char[]){"sh"}, (char[]){"-c"},          script,
                    (char[]){"sh"}, (char *)(uintptr_t)path, NULL};
    pid_t pid;
    int e = posix_spawn(&pid, "/bin/sh", NULL, NULL, argv, environ);
    if (e != 0)
        return error_errno(err, e, "cannot start the editor '%s'", editor ? editor : "vi");
    int status = 0;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return error_errno(err, errno, "cannot wait for the editor");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return error_set(err, ERR_IO, "the editor '%s' failed: set EDITOR to another",
                         editor && *editor ? editor : "vi");
    return 0;
}

static int edit_file(int fd, const char *path, const char *text, char **ret, struct error *err)
{
    int r = fd_write_all(fd, path, text, strlen(text), err);
    if (r == 0)
        r = run_editor(path, err);
    if (r < 0)
        return r;
    CLEANUP_BUF struct buf content = BUF_INIT(TEXT_MAX_BYTES);
    r = file_read(path, &content, err);
    if (r < 0)
        return r;
    while (content.len > 0 &&
           (content.data[content.len - 1] == '\n' || content.data[content.len - 1] == '\r'))
        buf_truncate(&content, content.len - 1);
    *ret = xstrdup(buf_cstr(&content));
    return 0;
}

int editor_run(const char *text, char **ret, struct error *err)
{
    const char *tmp = getenv("TMPDIR");
    CLEANUP_FREE char *path =
        path_join(tmp && *tmp ? tmp : "/tmp", "docker-model-prompt-XXXXXX.txt");
    CLEANUP_FD int fd = mkostemps(path, 4, O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "cannot make the file '%s' for the editor", path);
    int r = edit_file(fd, path, text, ret, err);
    unlink(path);
    return r;
}
