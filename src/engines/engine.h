/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine table. An engine is a program that serves OpenAI HTTP on a Unix socket for one model,
 * and answers its health path with 200 once it can; everything that differs from one engine to the
 * next is in its row. Adding an engine is adding a file with a row, its line in engine_table[] and
 * its test. Nothing here starts a process: the runner does that with what the row says. */
#ifndef ENGINES_ENGINE_H
#define ENGINES_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/argv.h"
#include "base/error.h"
#include "base/json.h"
#include "base/str.h"

/* What a request wants done. */
enum engine_mode { MODE_COMPLETION, MODE_EMBEDDING, MODE_RERANKING, MODE_IMAGE, MODE_COUNT };

const char *engine_mode_name(enum engine_mode mode); /* "completion", "embedding", … */
int engine_mode_parse(struct str name, enum engine_mode *ret, struct error *err);

/* One process to start. */
struct engine_launch {
    const char *binary;
    const char *model_path;
    const char *mmproj_path;   /* NULL = none */
    const char *template_path; /* NULL = the one in the model */
    const char *socket_path;
    int lifeline_fd; /* of the child: end of file there means that the daemon is gone */
    enum engine_mode mode;
    int64_t context_size;     /* 0 = the engine's choice */
    const char *const *flags; /* of the user, checked by engine_check_flags() */
    size_t n_flags;
    const struct json *config; /* the model's settings as POST /engines/_configure has them, or NULL */
};

/* Where the user says that programs are; NULL = look for them. */
struct engine_places {
    const char *model_engine;
    const char *llama_server; /* the program, or the directory that it is in */
};

/* What a process will take, as far as the model's file tells it before anything is loaded. */
struct engine_need {
    uint64_t weights;        /* bytes, with the buffers around them */
    uint64_t context;        /* bytes of the keys and values of all sequences */
    uint64_t context_tokens; /* of one sequence: as asked for, or the least that is of use */
};
/* For GGUF files; `bytes` are those of all files of the model. A file that cannot be read needs its
 * bytes: the engine will say what is wrong with it. */
void engine_need_of(const struct engine_launch *l, uint64_t bytes, struct engine_need *ret);

struct engine {
    const char *name;  /* in URLs, `ps` and settings */
    const char *title; /* in messages */
    const char *health_path;
    const char *const *formats; /* of models, NULL-terminated */
    unsigned modes;             /* bit 1 << enum engine_mode */
    bool one_process;           /* a process that serves one of its modes serves them all */
    const char *binary_name;    /* of the program looked for */

    /* The program to run; the user's word, if there is one, counts alone. */
    int (*find)(const struct engine_places *places, char **ret_path, struct error *err);
    /* What version that program is, for people; ERR_UNSUPPORTED when it is too old. Runs it, or
     * takes milliseconds. */
    int (*version)(const char *binary, char **ret, struct error *err);
    int (*argv)(const struct engine_launch *l, struct argv *ret, struct error *err);
};

extern const struct engine *const engine_table[];
extern const size_t engine_count;

/* The first engine for a model format ("" counts as gguf); ERR_UNSUPPORTED names it. */
int engine_for_format(const char *format, const struct engine **ret, struct error *err);

/* NULL when there is none of that name. */
const struct engine *engine_by_name(struct str name);

/* Does it run models of this format ("" counts as gguf)? */
bool engine_runs(const struct engine *e, const char *format);

/* Is `name` a backend that a URL or a request may name? These are hints: the model decides. */
bool engine_backend_known(struct str name);
extern const char *const engine_backends[]; /* their names, NULL-terminated */

/* Do requests that name `backend` ("" = any) mean this engine? "llama.cpp" is the name that clients
 * know for "whatever runs GGUF here". */
bool engine_answers_to(const struct engine *e, struct str backend);

/* Are these flags of a user fit to be put on an engine's command line? Only flags of the list that
 * Docker Model Runner allows for llama.cpp: none that names a file or opens a port. */
int engine_check_flags(const char *const *flags, size_t n, struct error *err);

/* A sentence for what an engine's last words on standard error mean; NULL if they say nothing
 * known. */
const char *engine_explain(struct str tail);

/* What an engine's option is when nobody sets it, and what the same is called in requests. */
struct engine_default {
    const char *option;  /* of the engine's program: "--temp" */
    const char *request; /* "temperature"; NULL = not for requests to choose */
    const char *value;
};
extern const struct engine_default engine_native_defaults[]; /* ended by a NULL option */

/* The value that flags give an option of the built-in engine; NULL = none. Borrowed. */
const char *engine_native_flag(const char *const *flags, size_t n, const char *option);
/* Does the flag ("--top-k=5", "-ngl") mean anything to the built-in engine? */
bool engine_native_knows(const char *flag);

extern const struct engine engine_native, engine_llamacpp;

#endif
