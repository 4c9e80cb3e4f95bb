/* SPDX-License-Identifier: Apache-2.0
 *
 * docker-model: the `docker model` command, run by docker as a plugin or by itself.
 *
 *     docker model list                     docker runs: docker-model model list
 *     docker --context x model list         docker runs: docker-model --context x model list
 *     docker help model                     docker runs: docker-model help model
 *     docker model li<TAB>                  docker runs: docker-model __complete model li
 *     docker-model list                     by hand, and what Compose runs
 *
 * So the word "model" is left out wherever it may stand, and the rest is the same program. */
#include <signal.h>
#include <stdio.h>

#include "cli/plugin.h"

int main(int argc, char **argv)
{
    /* A closed pipe is an error to report, not a reason to die without a word in mid-work. */
    signal(SIGPIPE, SIG_IGN);
    int exit_code = plugin_main(argc, argv);
    if ((fflush(stdout) != 0 || ferror(stdout)) && exit_code == 0) {
        perror("docker-model: cannot write to standard output");
        exit_code = 1;
    }
    return exit_code;
}
