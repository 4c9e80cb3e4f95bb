/* SPDX-License-Identifier: Apache-2.0
 *
 * model-runner, the daemon: its command line, and its life between two signals. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/opt.h"
#include "runner/cmd_token.h"
#include "runner/daemon.h"

static const struct program program;

/* Waits for a signal to end; SIGHUP is not one, a terminal that closes leaves the daemon alone. */
static int await_signal(const sigset_t *signals)
{
    int got = 0;
    while (sigwait(signals, &got) != 0)
        ;
    return got;
}

/* Who sends the signal again does not want to wait: it then does what it does to any program. The
 * engines die with this process. */
static void *await_second_signal(void *signals)
{
    int got = await_signal(signals);
    signal(got, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, signals, NULL);
    raise(got);
    return NULL;
}

/* Each client needs two descriptors, and two more while an engine works for it. */
static void raise_descriptor_limit(void)
{
    enum { ENOUGH = 16384 };
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= ENOUGH)
        return;
    limit.rlim_cur = MIN(limit.rlim_max, (rlim_t)ENOUGH);
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int serve(const struct settings *settings, struct error *err)
{
    raise_descriptor_limit();
    /* Blocked before any thread is made, so that no thread but one that waits for them takes them.
     * Static, because the second waiter outlives this function. */
    static sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of one write */

    struct daemon d;
    int r = daemon_start(settings, &d, err);
    if (r < 0)
        return r;
    log_info("ending, because of signal %d", await_signal(&signals));
    pthread_t second;
    if (pthread_create(&second, NULL, await_second_signal, &signals) == 0)
        pthread_detach(second);
    daemon_stop(&d);
    log_info("Docker Model Runner stopped");
    return 0;
}

static int run_serve(int argc, char **argv)
{
    struct serve_options o = SERVE_OPTIONS_INIT;
    struct opt_args args;
    struct error err = ERROR_INIT;
    const struct command *command = opt_find_command(program.commands, "serve");
    if (opt_parse(command, argc, argv, &o, &args, &err) < 0)
        return opt_usage_error(&program, command, &err);
    struct settings settings;
    int r = settings_load(&o, &settings, &err);
    if (r == 0) {
        log_set_level(settings.log_level);
        r = serve(&settings, &err);
        settings_release(&settings);
    }
    if (r == 0)
        return 0;
    fprintf(stderr, "model-runner: %s\n", err.msg);
    return errc_exit_code(err.code);
}

static int run_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    printf("model-runner version %s\n", MR_VERSION);
    return 0;
}

static const struct command commands[] = {
    {
        .name = "serve",
        .summary = "Serve models until SIGINT or SIGTERM",
        .details = "Listens on a Unix socket that only this user can open, and on TCP when asked. "
                   "A model is loaded when a request names it and unloaded when it has been idle; "
                   "each runs in an engine process of its own, which ends with the daemon.\n\n"
                   "Options win over environment variables.",
        .opts = serve_opts,
        .run = run_serve,
    },
    {.name = "token",
     .summary = "Make, list and remove access tokens",
     .details = "Where others than this machine can connect, the daemon asks for a token. A token may "
                "do everything, or only what its options say. The file of tokens holds no token, "
                "only their SHA-256 sums, and a change counts at once.",
     .sub = token_commands},
    {.name = "version", .summary = "Print the version", .run = run_version},
    COMMAND_END,
};

static const struct program program = {
    .name = "model-runner",
    .man_name = "model-runner",
    .version = MR_VERSION,
    .summary = "run local models behind an OpenAI-style HTTP API",
    .details = "The daemon behind 'docker model': it keeps the model store, starts an engine "
               "process for each model that is asked for, and answers HTTP.",
    .commands = commands,
};

int main(int argc, char **argv)
{
    return opt_dispatch(&program, argc - 1, argv + 1);
}
