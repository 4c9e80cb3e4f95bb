/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model doctor: checks of what commonly goes wrong, one small function each. A check adds
 * what it finds; it changes nothing and waits for nothing longer than a few seconds. */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"

enum finding_kind {
    FINDING_OK,
    FINDING_WARNING, /* works, but not as well as it could */
    FINDING_PROBLEM,
};

struct daemon; /* cli/daemon.h */

struct doctor {
    struct json *findings; /* [{"check", "status", "message", "advice"?}] */
    bool has_problem;
    const struct daemon *daemon; /* NULL: where the runner is cannot even be read */
    bool is_local;               /* it is on this machine, if anywhere */
    bool answers;
    struct json *env; /* of the service, where there is one */
};

/* advice may be NULL. Both may hold foreign text. */
void doctor_found(struct doctor *d, const char *check, enum finding_kind kind, const char *message,
                  const char *advice);
void doctor_foundf(struct doctor *d, const char *check, enum finding_kind kind, const char *advice,
                   const char *fmt, ...) ATTR_PRINTF(5, 6);

/* What a setting of the daemon is: this environment, else the service's; NULL = none. Borrowed. */
const char *doctor_setting(const struct doctor *d, const char *name);

/* Does the runner answer, and is it as old as this program? Sets d->answers. */
void check_runner(struct doctor *d);
void check_version(struct doctor *d);
/* May this user open the socket, and does anybody listen there? */
void check_socket(struct doctor *d);
/* Is the TCP port free, or the runner's? */
void check_port(struct doctor *d);
/* Does anybody listen where the proxy variables point? */
void check_proxy(struct doctor *d);
/* Do the files of certificates that the environment names hold some? */
void check_authorities(struct doctor *d);
/* Room in the store, the right to write there, and how fast its disk is. */
void check_store(struct doctor *d);
/* Is the file of the models' settings whole? */
void check_settings(struct doctor *d);
void check_engine(struct doctor *d);
/* Is there a GPU, and does anything use it? */
void check_gpu(struct doctor *d);

/* ---- shared by checks, and tried by tests ---- */

/* Can a connection be made? The reason why not is in err. */
int doctor_connect(const char *host, const char *port, struct error *err);

/* What a proxy variable points to, without the password; false when it is no address. */
struct proxy_address {
    char host[256], port[8];
};
bool doctor_proxy_address(const char *value, struct proxy_address *ret);

/* GPUs that /dev and /sys below `root` ("" = this machine's) show. */
struct gpu_look {
    const char *kind;  /* "NVIDIA", "AMD", …; NULL = no GPU */
    bool has_driver;   /* its device files are there */
    bool is_reachable; /* and this user may open them */
    char device[64];   /* the file that was tried */
};
void doctor_look_for_gpu(const char *root, struct gpu_look *ret);

/* The name of the file system that `path` lies on, if it is one that is reached over a network or
 * through a program; NULL otherwise. */
const char *doctor_slow_filesystem(const char *path);

#endif
