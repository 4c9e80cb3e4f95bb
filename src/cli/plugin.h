/* SPDX-License-Identifier: Apache-2.0
 *
 * The side of docker-model that docker sees: the handshake, the forms of the command line, the
 * completion protocol. */
#ifndef CLI_PLUGIN_H
#define CLI_PLUGIN_H

#include <stdio.h>

/* Runs the command line; returns the exit code. */
int plugin_main(int argc, char **argv);

/* Rearranges argv in place: docker's global options are read and dropped, and so is the word
 * "model" behind them, also behind "help" and "__complete". Returns the new argc; argv[1] is then
 * the command. Negative: an error was printed. */
int plugin_normalize(int argc, char **argv);

/* What `docker-model docker-cli-plugin-metadata` prints. */
void plugin_print_metadata(FILE *to);

#endif
