/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model doctor: is the runner there, as new as this program, with an engine and its
 * settings, and may this user open its socket. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/paths.h"
#include "base/program.h"
#include "cli/api.h"
#include "cli/doctor.h"

/* GET, with a short patience; NULL when there is no JSON answer with 200. */
static struct json *ask(const char *path, struct error *err)
{
    struct http_call http = HTTP_CALL_INIT;
    http.connect_timeout_ms = 3000;
    http.timeout_ms = 5000;
    const struct api_call call = {.path = path, .http = &http};
    struct json *answer = NULL;
    struct error why = ERROR_INIT;
    if (api_call_json(&call, "the question", &answer, &why) < 0)
        error_copy(err, &why);
    return answer;
}

void check_runner(struct doctor *d)
{
    if (!d->daemon)
        return;
    CLEANUP_FREE char *place = daemon_place(d->daemon);
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *models = ask("/models", &err);
    d->answers = models != NULL;
    if (models)
        doctor_foundf(d, "runner", FINDING_OK, NULL, "answers at %s", place);
    else
        doctor_foundf(d, "runner", FINDING_PROBLEM,
                      err.code == ERR_DENIED ? "set MODEL_RUNNER_TOKEN to an access token of it"
                      : d->is_local          ? "docker model start-runner"
                                    : "look after that machine, or unset MODEL_RUNNER_HOST",
                      "no runner answers at %s: %s", place, err.msg);
}

void check_version(struct doctor *d)
{
    if (!d->answers)
        return;
    CLEANUP_JSON struct json *answer = ask("/version", NULL);
    const char *theirs = js_get_cstr(answer, "version", "unknown"), *ours = "v" MR_VERSION;
    if (strcmp(theirs, ours) == 0)
        doctor_foundf(d, "version", FINDING_OK, NULL, "docker-model and the runner are both %s",
                      ours);
    else
        doctor_foundf(d, "version", FINDING_PROBLEM,
                      "docker model restart-runner runs the version that is installed; if they "
                      "still differ, update both",
                      "docker-model is %s, the runner %s", ours, theirs);
}

void check_engine(struct doctor *d)
{
    static const char advice[] = "install the programs of one release together, side by side";
    struct error err = ERROR_INIT;
    if (d->answers) {
        CLEANUP_JSON struct json *status = ask("/engines/status", NULL);
        const char *text = js_get_cstr(status, "llama.cpp", "unknown");
        bool works = strncmp(text, "Running", 7) == 0;
        doctor_found(d, "engine", works ? FINDING_OK : FINDING_PROBLEM, text,
                     works ? NULL : advice);
    } else if (d->is_local) {
        CLEANUP_FREE char *path = NULL;
        if (program_find("model-engine", &path, &err) < 0)
            doctor_found(d, "engine", FINDING_PROBLEM, err.msg, advice);
        else
            doctor_found(d, "engine", FINDING_OK, path, NULL);
    }
}

void check_settings(struct doctor *d)
{
    enum { MAX_FILE = 4 << 20 };
    CLEANUP_FREE char *path = NULL;
    const char *given = doctor_setting(d, "MODEL_RUNNER_SETTINGS_FILE");
    if (given)
        path = xstrdup(given);
    else
        path_runner_state("settings.json", &path, NULL);
    if (!d->is_local || !path || !file_exists(path))
        return;
    CLEANUP_BUF struct buf text = BUF_INIT(MAX_FILE);
    CLEANUP_JSON struct json *file = NULL;
    struct error err = ERROR_INIT;
    int r = file_read(path, &text, &err);
    if (r == 0)
        r = js_parse(buf_str(&text), "it", &file, &err);
    if (r == 0 && !js_is(js_get(file, "models"), JS_ARRAY))
        r = error_set(&err, ERR_CORRUPT, "it has no list \"models\"");
    if (r == 0)
        doctor_foundf(d, "settings", FINDING_OK, NULL, "%zu models have settings in %s",
                      js_len(js_get(file, "models")), path);
    else
        doctor_foundf(d, "settings", FINDING_PROBLEM,
                      "mend it, or move it away to begin without settings",
                      "%s is damaged, and no runner starts with it: %s", path, err.msg);
}

/* ---- the socket ---- */

static int connect_to(const char *path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(addr.sun_path))
        return ENAMETOOLONG;
    memcpy(addr.sun_path, path, strlen(path));
    CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    return connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 || errno == EAGAIN ? 0 : errno;
}

/* Is this user a member by the database, whatever this session knows? */
static bool is_listed(const struct group *g)
{
    const struct passwd *me = getpwuid(geteuid());
    for (char **m = g->gr_mem; me && *m; m++)
        if (strcmp(*m, me->pw_name) == 0)
            return true;
    return false;
}

/* Why the socket cannot be opened, from its owner and mode. */
static void explain_denied(struct doctor *d, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        doctor_foundf(d, "socket", FINDING_PROBLEM,
                      "start the runner as this user, or with --socket and --socket-group",
                      "%s: the directory may not be entered: %s", path, strerror(errno));
        return;
    }
    const struct passwd *owner = getpwuid(st.st_uid);
    CLEANUP_FREE char *who =
        owner ? xstrdup(owner->pw_name) : xasprintf("user %u", (unsigned)st.st_uid);
    const struct group *g = getgrgid(st.st_gid);
    if (!(st.st_mode & S_IWGRP) || !g) {
        doctor_foundf(d, "socket", FINDING_PROBLEM,
                      "start the runner as this user, or with --socket-group for a group of both",
                      "%s is for %s alone", path, who);
    } else if (is_listed(g)) {
        doctor_foundf(d, "group", FINDING_PROBLEM, "log out and in again (or: newgrp)",
                      "%s is for the group %s, which this session does not know of yet", path,
                      g->gr_name);
    } else {
        CLEANUP_FREE char *advice =
            xasprintf("sudo usermod -aG %s $USER, then log out and in again", g->gr_name);
        doctor_foundf(d, "group", FINDING_PROBLEM, advice,
                      "%s is for %s and the group %s, and this user is not in it", path, who,
                      g->gr_name);
    }
}

void check_socket(struct doctor *d)
{
    CLEANUP_FREE char *own = NULL;
    const char *path = d->daemon ? d->daemon->unix_path : NULL;
    if (!path && d->is_local && !getenv("MODEL_RUNNER_HOST") &&
        path_default_socket(&own, NULL) == 0)
        path = own;
    if (!path)
        return;
    int error = connect_to(path);
    if (error == 0)
        doctor_found(d, "socket", FINDING_OK, path, NULL);
    else if (error == EACCES || error == EPERM)
        explain_denied(d, path);
    else if (error == ECONNREFUSED)
        doctor_foundf(d, "socket", FINDING_PROBLEM, "docker model start-runner",
                      "nobody listens on %s: its runner has ended", path);
    else if (path != own || error != ENOENT)
        doctor_foundf(d, "socket", FINDING_PROBLEM, "start the runner there, or name another place",
                      "%s: %s", path, strerror(error));
}
