/* SPDX-License-Identifier: Apache-2.0
 *
 * The verbs of model-engine. One file a verb: verb_NAME.c holds its option table and its function;
 * main.c lists them all in one table, `model_engine_program`.
 *
 *     struct info_options { const char *model; };
 *     const struct opt verb_info_opts[] = {
 *         {"model", 'm', OPT_STRING, offsetof(struct info_options, model), "FILE", "the model"},
 *         OPT_END,
 *     };
 *
 *     int verb_info(int argc, char **argv)                  // argv[0] is "info"
 *     {
 *         struct info_options o = {0};
 *         int exit_code;
 *         if (verb_parse(argc, argv, &o, &exit_code) < 0)
 *             return exit_code;
 *         ...
 *         return verb_fail(&err);                           // prints the error, gives the exit
 * code
 *     }
 *
 * The verbs that read JSON lines answer each line with one line, flushed, {"error":"…"} for a line
 * that cannot be answered, and go on with the next one.
 */
#ifndef ENGINE_VERBS_VERBS_H
#define ENGINE_VERBS_VERBS_H

#include "base/error.h"
#include "base/opt.h"

extern const struct program model_engine_program;

int verb_serve(int argc, char **argv);
int verb_generate(int argc, char **argv);
int verb_bench(int argc, char **argv);
int verb_tokenize(int argc, char **argv);
int verb_constrain(int argc, char **argv);
int verb_render(int argc, char **argv);
int verb_eval(int argc, char **argv);
int verb_embed(int argc, char **argv);
int verb_info(int argc, char **argv);
int verb_import(int argc, char **argv);
int verb_quantize(int argc, char **argv);
int verb_version(int argc, char **argv);

extern const struct opt verb_serve_opts[];
extern const struct opt verb_generate_opts[];
extern const struct opt verb_bench_opts[];
extern const struct opt verb_tokenize_opts[];
extern const struct opt verb_constrain_opts[];
extern const struct opt verb_render_opts[];
extern const struct opt verb_eval_opts[];
extern const struct opt verb_embed_opts[];
extern const struct opt verb_info_opts[];
extern const struct opt verb_import_opts[];
extern const struct opt verb_quantize_opts[];

/* Parses the options of the verb argv[0], which takes no arguments. On failure, and after --help,
 * stores the exit code and returns negative. */
int verb_parse(int argc, char **argv, void *values, int *ret_exit_code);

/* The same for a verb with arguments. */
int verb_parse_args(int argc, char **argv, void *values, struct opt_args *ret, int *ret_exit_code);

/* Prints "model-engine: MESSAGE" to standard error; returns the exit code. */
int verb_fail(const struct error *err);

/* Flushes standard output; fails when it cannot be written any more. */
int verb_flush(struct error *err);

#endif
