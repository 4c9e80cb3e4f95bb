/* SPDX-License-Identifier: Apache-2.0
 *
 * The runner as a service of systemd: the user's own manager, or the system's. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/paths.h"
#include "cli/service.h"

#define UNIT "model-runner.service"

enum { ANSWER_MAX = 4096 };

/* systemctl --user VERB, or systemctl --system VERB. */
static int control(bool system, const char *verb, const char *unit, struct error *err)
{
    const char *const argv[] = {"systemctl", system ? "--system" : "--user", verb, unit, NULL};
    return service_command(argv, err);
}

/* Is there a manager to talk to? In a container there is often systemctl, but nobody behind it. */
static bool present(bool system)
{
    CLEANUP_BUF struct buf out = BUF_INIT(ANSWER_MAX);
    const char *const argv[] = {"systemctl", system ? "--system" : "--user", "show",
                                "--property=Version", NULL};
    return service_query(argv, &out) && str_find(buf_str(&out), STR("Version=")) >= 0;
}

static enum service_state state(bool system)
{
    CLEANUP_BUF struct buf out = BUF_INIT(ANSWER_MAX);
    const char *const argv[] = {"systemctl", system ? "--system" : "--user",
                                "show",      "--property=LoadState,ActiveState",
                                UNIT,        NULL};
    if (!service_query(argv, &out) || str_find(buf_str(&out), STR("LoadState=loaded")) < 0)
        return SERVICE_ABSENT;
    struct str said = buf_str(&out);
    bool active = str_find(said, STR("ActiveState=active")) >= 0 ||
                  str_find(said, STR("ActiveState=activating")) >= 0;
    return active ? SERVICE_RUNNING : SERVICE_STOPPED;
}

static int unit_file(bool system, char **ret, struct error *err)
{
    CLEANUP_FREE char *config = NULL;
    int r = system ? 0 : path_config_home(&config, err);
    if (r == 0)
        *ret =
            system ? xstrdup("/etc/systemd/system/" UNIT) : path_join(config, "systemd/user/" UNIT);
    return r;
}

static int install(bool system, const char *program, const struct json *env, struct error *err)
{
    CLEANUP_FREE char *path = NULL;
    int r = service_env_write(system, env, err);
    if (r == 0)
        r = unit_file(system, &path, err);
    if (r < 0)
        return r;
    CLEANUP_FREE char *dir = path_dir(path), *text = service_unit_text(system, program);
    r = dir_make(dir, 0755, err);
    if (r == 0)
        r = file_write_atomic(path, str_from(text), 0644, err);
    if (r == 0)
        r = control(system, "daemon-reload", NULL, err);
    return r == 0 ? control(system, "enable", UNIT, err) : r;
}

static int start(bool system, const char *program, const struct json *env, struct error *err)
{
    (void)program;
    (void)env;
    return control(system, "start", UNIT, err);
}

static int stop(bool system, struct error *err)
{
    return control(system, "stop", UNIT, err);
}

static int remove_unit(bool system, struct error *err)
{
    CLEANUP_FREE char *path = NULL;
    int r = unit_file(system, &path, err);
    if (r == 0)
        r = control(system, "disable", UNIT, err);
    if (r < 0)
        return r;
    if (unlink(path) != 0 && errno != ENOENT)
        return error_errno(err, errno, "cannot remove '%s'", path);
    return control(system, "daemon-reload", NULL, err);
}

const struct service_manager service_systemd = {
    .title = "systemd",
    .logs = "journalctl --user --unit model-runner",
    .present = present,
    .state = state,
    .install = install,
    .start = start,
    .stop = stop,
    .remove = remove_unit,
};
