/* SPDX-License-Identifier: Apache-2.0
 *
 * What the verbs share. */
#include "engine/verbs/verbs.h"

#include <errno.h>
#include <stdio.h>

int verb_parse(int argc, char **argv, void *values, int *ret_exit_code)
{
    struct opt_args args;
    return verb_parse_args(argc, argv, values, &args, ret_exit_code);
}

int verb_parse_args(int argc, char **argv, void *values, struct opt_args *ret, int *ret_exit_code)
{
    const struct command *cmd = opt_find_command(model_engine_program.commands, argv[0]);
    struct error err = ERROR_INIT;
    int r = opt_parse(cmd, argc, argv, values, ret, &err);
    if (r < 0)
        *ret_exit_code = opt_usage_error(&model_engine_program, cmd, &err);
    return r;
}

int verb_fail(const struct error *err)
{
    fprintf(stderr, "model-engine: %s\n", err->msg);
    return errc_exit_code(err->code);
}

int verb_flush(struct error *err)
{
    if (fflush(stdout) != 0)
        return error_errno(err, errno, "cannot write to standard output");
    return 0;
}

int verb_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("model-engine %s\n", model_engine_program.version);
    return 0;
}
