/* SPDX-License-Identifier: Apache-2.0
 *
 * Default directories. Values of variables count only when they are absolute, as the XDG base
 * directory specification demands: a relative one would mean another place in every directory. */
#include "base/paths.h"

#include <pwd.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"

static const char *absolute_env(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] == '/' ? value : NULL;
}

int path_home(char **ret, struct error *err)
{
    const char *home = absolute_env("HOME");
    if (home) {
        *ret = xstrdup(home);
        return 0;
    }
    struct passwd entry, *found = NULL;
    char space[4096];
    if (getpwuid_r(getuid(), &entry, space, sizeof(space), &found) == 0 && found &&
        found->pw_dir && found->pw_dir[0] == '/') {
        *ret = xstrdup(found->pw_dir);
        return 0;
    }
    return error_set(err, ERR_NOT_FOUND,
                     "no home directory is known for user %u: set HOME to one",
                     (unsigned)getuid());
}

static int below_home(const char *name, char **ret, struct error *err)
{
    CLEANUP_FREE char *home = NULL;
    int r = path_home(&home, err);
    if (r < 0)
        return r;
    *ret = path_join(home, name);
    return 0;
}

int path_docker_config(char **ret, struct error *err)
{
    const char *dir = getenv("DOCKER_CONFIG");
    if (dir && *dir) {
        *ret = path_absolute(dir);
        return 0;
    }
    return below_home(".docker", ret, err);
}

int path_runner_state(const char *name, char **ret, struct error *err)
{
    CLEANUP_FREE char *config = NULL;
    int r = path_docker_config(&config, err);
    if (r == 0)
        *ret = xasprintf("%s/model-runner/%s", config, name);
    return r;
}

int path_config_home(char **ret, struct error *err)
{
    const char *dir = absolute_env("XDG_CONFIG_HOME");
    if (dir) {
        *ret = xstrdup(dir);
        return 0;
    }
    return below_home(".config", ret, err);
}

int path_runtime_dir(char **ret, struct error *err)
{
    const char *dir = absolute_env("XDG_RUNTIME_DIR");
    if (dir) {
        *ret = path_join(dir, "model-runner");
        return 0;
    }
    char user_dir[64];
    snprintf(user_dir, sizeof(user_dir), "/run/user/%u", (unsigned)getuid());
    struct stat st;
    if (stat(user_dir, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == getuid()) {
        *ret = path_join(user_dir, "model-runner");
        return 0;
    }
    return below_home(".docker/model-runner/run", ret, err);
}

int path_default_socket(char **ret, struct error *err)
{
    CLEANUP_FREE char *dir = NULL;
    int r = path_runtime_dir(&dir, err);
    if (r < 0)
        return r;
    *ret = path_join(dir, "model-runner.sock");
    return 0;
}

int path_models(char **ret, struct error *err)
{
    const char *dir = getenv("MODELS_PATH");
    if (dir && *dir) {
        *ret = path_absolute(dir);
        return 0;
    }
    return below_home(".docker/models", ret, err);
}
