/* SPDX-License-Identifier: Apache-2.0
 *
 * Dialects: how a family of models writes its reasoning and its tool calls.
 *
 * A dialect is data, found once per model from the text of its chat template (dialect_detect). The
 * parser (parser.h) reads answers by it, api/call_grammar.c writes grammars from it.
 *
 * A section of calls, in general:
 *
 *     BEGIN  call call …  END
 *
 * Whatever the family is, a section whose first character is '{' or '[' may hold calls as JSON,
 * because models mix forms; otherwise calls have the family's style:
 *
 *     CALLS_HEADED   HEAD {"city": "Paris"} CLOSE
 *     CALLS_PARAMS   HEAD  PARAM key KEY_END value PARAM_END …  CLOSE    values are bare text
 *     CALLS_PYTHON   get_weather(city="Paris", days=3)
 *     CALLS_BRACES   HEAD {city:<|"|>Paris<|"|>,days:3} CLOSE            Gemma
 *     CALLS_HARMONY  gpt-oss: channels, see harmony.c
 *
 * Sources of the formats: the chat templates of the models and the model cards. */
#ifndef ENGINE_DIALECT_DIALECT_H
#define ENGINE_DIALECT_DIALECT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

enum call_style {
    CALLS_JSON,
    CALLS_HEADED,
    CALLS_PARAMS,
    CALLS_PYTHON,
    CALLS_BRACES,
    CALLS_HARMONY,
};

enum call_flags {
    CALLS_BARE = 1 << 0,        /* a section may begin without BEGIN, as the whole answer */
    CALLS_KNOWN_NAMES = 1 << 1, /* BEGIN is no token of its own: only names of tools make a call */
    CALLS_OPEN = 1 << 2,        /* the generation prompt ends with BEGIN */
    CALLS_NAME_IS_KEY = 1 << 3, /* {"get_weather": {"city": "Paris"}} */
    CALLS_LIST = 1 << 4,        /* JSON calls stand in an array even if there is one */
    CALLS_ONE = 1 << 5,         /* at most one call in an answer */
    CALLS_LINES = 1 << 6, /* a value stands on lines of its own; the breaks are not part of it */
    CALLS_TYPED = 1 << 7, /* KEY_END says if a value is a string: its first form */
    CALLS_CODE = 1 << 8,  /* what is no call in a section is code for a tool named python */
};

enum { CALL_FORMS = 3 };

struct call_format {
    const char *name;
    enum call_style style;
    unsigned flags;
    const char *begin[CALL_FORMS]; /* the first is the usual one */
    const char *end[CALL_FORMS];   /* NULL = the end of the answer, or the next call */
    /* What opens a call, with places: %n name, %i id, %k Kimi's "functions.name:0", %x anything.
     * "\n" stands for any white space or none. */
    const char *head[CALL_FORMS];
    const char *close[CALL_FORMS]; /* any of them, in any order, or none; the first ends a call */
    const char *between;           /* calls, when written */
    const char *param, *key_end[2], *param_end;
    const char *name_key, *args_key, *id_key; /* of JSON calls, when written */
    const char *quote;                        /* of strings, CALLS_BRACES */
    const char *content_name;                 /* this "name" heads content */
    const char *frame[4];                     /* texts around content that are not part of it */
};

struct reasoning_format {
    const char *name;
    const char *open, *close; /* NULL open: reasoning always comes first, up to `close` */
    const char *force;        /* what is written to end it early; has `close` in it */
    bool calls_end_it;        /* the beginning of a call ends it, too */
};

struct dialect {
    const struct call_format *calls;          /* never NULL */
    const struct reasoning_format *reasoning; /* NULL = the template knows none */
    bool has_tools; /* the template has calls of its own; else `calls` is the generic format */
};

/* What a chat template's text (and the vocabulary, by `has_token`, may be NULL) says. */
struct dialect dialect_detect(struct str source, bool (*has_token)(void *ctx, struct str text),
                              void *ctx);

/* Tables, ended by an entry without a name. The last call format is the generic one. */
extern const struct call_format dialect_call_formats[];
extern const struct reasoning_format dialect_reasoning_formats[];
const struct call_format *dialect_call_format(struct str name); /* NULL = there is none */
const struct reasoning_format *dialect_reasoning_format(struct str name);

#endif
