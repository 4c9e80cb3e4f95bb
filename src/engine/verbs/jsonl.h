/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON lines: the loop of the verbs that answer each line of standard input with one line. */
#ifndef ENGINE_VERBS_JSONL_H
#define ENGINE_VERBS_JSONL_H

#include "base/error.h"
#include "base/json.h"

/* Answers one line: fills the empty object `out`, or fails. */
typedef int (*jsonl_answer)(void *ctx, const struct json *in, struct json *out, struct error *err);

/* Reads until the end of input. A line that is no JSON, or that `answer` fails on, is answered with
 * {"error":"…"}; empty lines are passed over. Fails when input or output is lost. */
int jsonl_run(jsonl_answer answer, void *ctx, struct error *err);

/* An array of token ids below n_vocab under `key`: *ret is the caller's, *ret_n > 0. */
int jsonl_ids(const struct json *in, const char *key, uint32_t n_vocab, int32_t **ret,
              size_t *ret_n, struct error *err);

#endif
