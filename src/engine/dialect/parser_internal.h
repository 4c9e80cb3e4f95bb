/* SPDX-License-Identifier: Apache-2.0
 *
 * The parser from the inside. A state is a function that takes what it can of the input and says
 * whether it got on; false means that it needs to see more. Input from `raw_from` on is kept: it
 * becomes content if the call that began there turns out to be none. */
#ifndef ENGINE_DIALECT_PARSER_INTERNAL_H
#define ENGINE_DIALECT_PARSER_INTERNAL_H

#include "base/buf.h"
#include "engine/dialect/json_scan.h"
#include "engine/dialect/parser.h"

enum {
    HEAD_MAX = 512, /* bytes of what stands around a call's name */
    NAME_MAX_BYTES = 256,
};
#define CONTROL_MARK '\xff'

typedef bool (*parser_state)(struct dialect_parser *p);

/* A JSON call as it is read. */
struct call_object {
    struct json_scan scan;
    uint32_t base; /* depth of the object whose keys count: 1, or 2 within "function" */
    enum call_field {
        FIELD_NONE,
        FIELD_NAME,
        FIELD_ARGS,
        FIELD_FUNCTION,
        FIELD_OTHER,
    } field;
    bool in_value;
    bool direct;     /* the value goes to the arguments as it comes */
    struct buf text; /* the key or value under way */
};

struct output_delta {
    enum delta_kind kind;
    uint32_t call;
    size_t from, len, id_len; /* in `out`; the id behind the text */
};

struct dialect_parser {
    struct dialect d;
    const struct json *tools;
    bool calls_on, eager, keep_reasoning;

    struct buf in;
    size_t at;       /* the first byte not taken yet */
    size_t scan;     /* a state's own place, looked at but not taken; >= at */
    size_t raw_from; /* SIZE_MAX = nothing is kept */
    bool ended;
    parser_state state;

    struct buf space; /* white space at the end of what was said, which may turn out not to count */
    enum delta_kind spoken; /* where the space would go */
    bool trim;              /* white space comes before anything was said here */
    bool at_start;          /* reasoning, or a bare call, may begin here */

    /* A section of calls. */
    bool bare;         /* it began without a mark */
    bool fresh;        /* nothing but white space since its mark */
    bool in_list;      /* of JSON calls */
    bool code_section; /* its mark announces code */
    uint32_t n_calls;  /* given */
    bool trailing;     /* a section's end may still come */
    struct call_object object;
    struct buf name, id, args;
    bool name_known, announced;
    size_t args_given; /* of args, in eager mode */
    size_t value_from; /* of a parameter, in `in` */
    struct str key;    /* of it, in `key_text` */
    struct buf key_text;
    bool value_is_text, value_is_open;
    uint32_t n_params;

    /* Harmony. */
    enum { HARMONY_CONTENT, HARMONY_REASONING, HARMONY_CALL } channel;

    struct buf out;
    struct output_delta *deltas; /* [n_deltas] */
    size_t n_deltas, cap_deltas, next_delta;
};

/* ---- looking ---- */

enum look { LOOK_NO, LOOK_YES, LOOK_MORE };

/* Does the text come at in[at]? "\n" in it stands for any white space or none if `loose`. Control
 * marks in the input count only so far as a token must be there whole. */
enum look parser_look(const struct dialect_parser *p, size_t at, struct str text, bool loose,
                      size_t *ret_end);
/* The first of these marks (up to n, NULL ends them) that comes at `at`; more may be needed to
 * know. */
enum look parser_look_any(const struct dialect_parser *p, size_t at, const char *const *marks,
                          size_t n, size_t *ret_index, size_t *ret_end);
void parser_skip_space(struct dialect_parser *p);
/* in[from..to) without control marks. */
void parser_plain(const struct dialect_parser *p, size_t from, size_t to, struct buf *out);

/* ---- saying ---- */

void parser_say(struct dialect_parser *p, enum delta_kind kind, struct str text);
void parser_give_call(struct dialect_parser *p); /* its name and id */
void parser_give_arguments(struct dialect_parser *p, struct str text);
/* What stands between two parts: the space at the end of the last one is dropped. */
void parser_part(struct dialect_parser *p);

/* ---- calls ---- */

const struct json *parser_tool(const struct dialect_parser *p, struct str name); /* its function */
void parser_call_begin(struct dialect_parser *p);
/* The name is known; false if it cannot be one. */
bool parser_call_named(struct dialect_parser *p);
/* More was put into p->args. */
void parser_call_grew(struct dialect_parser *p);
/* The call is whole; false if it is none after all. */
bool parser_call_end(struct dialect_parser *p);
/* What was kept is content; goes on there. */
bool parser_call_fail(struct dialect_parser *p);

/* A section of calls begins at p->at, behind its mark. */
bool parser_section_begin(struct dialect_parser *p, size_t mark_from, const char *mark);
bool parser_section_bare(struct dialect_parser *p);
/* Its end: content follows. */
bool parser_section_end(struct dialect_parser *p);

/* States. */
bool parser_start(struct dialect_parser *p);
bool parser_content(struct dialect_parser *p);
bool parser_reasoning(struct dialect_parser *p);
bool parser_section(struct dialect_parser *p); /* behind BEGIN: which form is it? */
bool parser_json_gap(struct dialect_parser *p);
bool parser_heads(struct dialect_parser *p);
bool parser_python(struct dialect_parser *p);
bool parser_harmony(struct dialect_parser *p);

/* One byte of a JSON call. */
enum json_step call_object_byte(struct dialect_parser *p, unsigned char c);
void call_object_begin(struct dialect_parser *p);
/* The arguments came as a value of any kind: makes them an object or says that they are none. */
bool parser_take_arguments(struct dialect_parser *p, struct str json);

#endif
