/* SPDX-License-Identifier: Apache-2.0
 *
 * The runner as a service of this machine: of systemd or launchd, or where neither is in charge
 * (containers, bare machines) a process of its own.
 *
 * A manager is a row of functions in a file of its own. What the service is told lies in its
 * environment file, private to the user, and is the same for all of them. */
#ifndef CLI_SERVICE_H
#define CLI_SERVICE_H

#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"

enum service_state { SERVICE_ABSENT, SERVICE_STOPPED, SERVICE_RUNNING };

struct service_manager {
    const char *title; /* "systemd" */
    const char *logs;  /* how to read the service's messages; NULL = in a file, log_file() */

    bool (*present)(bool system); /* in charge of this machine */
    enum service_state (*state)(bool system);
    /* Makes it begin with the machine or the session; does not start it. */
    int (*install)(bool system, const char *program, const struct json *env, struct error *err);
    int (*start)(bool system, const char *program, const struct json *env, struct error *err);
    int (*stop)(bool system, struct error *err); /* returns when it has ended */
    int (*remove)(bool system, struct error *err);
};

extern const struct service_manager service_systemd, service_launchd, service_process;

/* The one in charge. ERR_UNSUPPORTED: a system service where there is no service manager. */
int service_find(bool system, const struct service_manager **ret, struct error *err);

/* "the systemd user service model-runner.service"; the caller frees. */
char *service_name(const struct service_manager *m, bool system);

/* ---- what the managers share ---- */

/* Runs a program found in PATH; what it prints is the error when it fails. argv[0] is its name. */
int service_command(const char *const *argv, struct error *err);
/* The same for what it prints, appended to out; false when it failed or is not there. */
bool service_query(const char *const *argv, struct buf *out);

/* ~/.config/model-runner/service.env, or /etc/model-runner/service.env; the caller frees. */
int service_env_file(bool system, char **ret, struct error *err);
int service_env_write(bool system, const struct json *env, struct error *err);
/* An empty object when there is none. */
int service_env_read(bool system, struct json **ret, struct error *err);

/* The file that a service without a journal writes its messages to; the caller frees. */
int service_log_file(char **ret, struct error *err);

/* The unit for systemd, the caller frees: the one source of the files in packaging/systemd, too. */
char *service_unit_text(bool system, const char *program);

/* The job for launchd, the caller frees. */
char *service_launchd_text(const char *program, const struct json *env, const char *log_file);

#endif
