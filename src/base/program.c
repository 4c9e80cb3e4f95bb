/* SPDX-License-Identifier: Apache-2.0
 *
 * Where programs are, see program.h. */
#include "base/program.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/str.h"

bool program_is_one(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* An empty part would be the current directory: a file there never runs by accident. */
char *program_find_in(const char *directories, const char *name)
{
    struct str rest = str_from(directories);
    struct str part;
    while (str_split_next(&rest, ':', &part)) {
        if (part.len == 0 || part.ptr[0] != '/')
            continue;
        char *path = xasprintf("%.*s/%s", STR_ARG(part), name);
        if (program_is_one(path))
            return path;
        free(path);
    }
    return NULL;
}

char *program_on_path(const char *name)
{
    const char *path = getenv("PATH");
    return program_find_in(path && *path ? path : "/usr/local/bin:/usr/bin:/bin", name);
}

int program_find(const char *name, char **ret_path, struct error *err)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n > 0) {
        self[n] = '\0';
        CLEANUP_FREE char *dir = path_dir(self);
        CLEANUP_FREE char *near = xasprintf("%s:%s/../libexec/model-runner", dir, dir);
        *ret_path = program_find_in(near, name);
        if (*ret_path)
            return 0;
    }
    *ret_path = program_on_path(name);
    if (*ret_path)
        return 0;
    return error_set(err, ERR_NOT_FOUND,
                     "'%s' is neither beside this program, nor in ../libexec/model-runner, nor in "
                     "PATH",
                     name);
}
