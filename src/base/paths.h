/* SPDX-License-Identifier: Apache-2.0
 *
 * Where things lie when nobody says otherwise: the one place that knows the directories which the
 * command line and the daemon must agree on. Every function gives an allocated absolute path that
 * the caller frees; nothing is created here. */
#ifndef BASE_PATHS_H
#define BASE_PATHS_H

#include "base/error.h"

/* $HOME, else the user's entry in the password database. */
int path_home(char **ret, struct error *err);

/* $DOCKER_CONFIG, else ~/.docker. */
int path_docker_config(char **ret, struct error *err);

/* A file of the runner's own state: model-runner/NAME in the directory above. */
int path_runner_state(const char *name, char **ret, struct error *err);

/* $XDG_CONFIG_HOME, else ~/.config. */
int path_config_home(char **ret, struct error *err);

/* The user's private directory for sockets, the first of these:
 *     $XDG_RUNTIME_DIR/model-runner
 *     /run/user/UID/model-runner         when /run/user/UID is a directory of this user
 *     ~/.docker/model-runner/run         on machines without either */
int path_runtime_dir(char **ret, struct error *err);

/* The daemon's Unix socket: model-runner.sock in the runtime directory. */
int path_default_socket(char **ret, struct error *err);

/* The store: $MODELS_PATH, else ~/.docker/models. */
int path_models(char **ret, struct error *err);

#endif
