/* SPDX-License-Identifier: Apache-2.0
 *
 * The commands: one cmd_*.c each, put together in commands.c. */
#ifndef CLI_CMD_H
#define CLI_CMD_H

#include "base/opt.h"

extern const struct opt configure_opts[];
extern const struct opt adopt_opts[];
extern const struct opt bench_opts[];
extern const struct opt context_create_opts[];
extern const struct opt compose_opts[];
extern const struct opt compose_up_opts[];
extern const struct opt doctor_opts[];
extern const struct opt gateway_opts[];
extern const struct opt inspect_opts[];
extern const struct opt install_runner_opts[];
extern const struct opt launch_opts[];
extern const struct opt list_opts[];
extern const struct opt load_opts[];
extern const struct opt logs_opts[];
extern const struct opt package_opts[];
extern const struct opt pull_opts[];
extern const struct opt prune_opts[];
extern const struct opt purge_opts[];
extern const struct opt push_opts[];
extern const struct opt requests_opts[];
extern const struct opt restart_runner_opts[];
extern const struct opt rm_opts[];
extern const struct opt run_opts[];
extern const struct opt save_opts[];
extern const struct opt search_opts[];
extern const struct opt service_unit_opts[];
extern const struct opt show_opts[];
extern const struct opt skills_opts[];
extern const struct opt start_runner_opts[];
extern const struct opt status_opts[];
extern const struct opt stop_runner_opts[];
extern const struct opt uninstall_runner_opts[];
extern const struct opt unload_opts[];

int cmd_bench(int argc, char **argv);
int cmd_compose(int argc, char **argv);
int cmd_compose_down(int argc, char **argv);
int cmd_compose_metadata(int argc, char **argv);
int cmd_compose_up(int argc, char **argv);
int cmd_configure(int argc, char **argv);
int cmd_configure_show(int argc, char **argv);
int cmd_adopt(int argc, char **argv);
int cmd_context_create(int argc, char **argv);
int cmd_context_inspect(int argc, char **argv);
int cmd_context_ls(int argc, char **argv);
int cmd_context_rm(int argc, char **argv);
int cmd_context_use(int argc, char **argv);
int cmd_df(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_gateway(int argc, char **argv);
int cmd_inspect(int argc, char **argv);
int cmd_install_runner(int argc, char **argv);
int cmd_launch(int argc, char **argv);
int cmd_list(int argc, char **argv);
int cmd_load(int argc, char **argv);
int cmd_logs(int argc, char **argv);
int cmd_package(int argc, char **argv);
int cmd_prune(int argc, char **argv);
int cmd_ps(int argc, char **argv);
int cmd_pull(int argc, char **argv);
int cmd_purge(int argc, char **argv);
int cmd_push(int argc, char **argv);
int cmd_reinstall_runner(int argc, char **argv);
int cmd_requests(int argc, char **argv);
int cmd_restart_runner(int argc, char **argv);
int cmd_rm(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_save(int argc, char **argv);
int cmd_search(int argc, char **argv);
int cmd_service_unit(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_skills(int argc, char **argv);
int cmd_start_runner(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_stop_runner(int argc, char **argv);
int cmd_tag(int argc, char **argv);
int cmd_uninstall_runner(int argc, char **argv);
int cmd_unload(int argc, char **argv);
int cmd_verify(int argc, char **argv);
int cmd_version(int argc, char **argv);

#endif
