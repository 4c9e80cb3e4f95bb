/* SPDX-License-Identifier: Apache-2.0
 *
 * The reference that the engine is compared with: a forward pass in double precision, as plain as
 * it can be written, for small models. It shares no code with src/: it reads the file, unpacks the
 * weights and knows the architectures by itself. It trusts the file. */
#ifndef TESTS_LIB_REF_FORWARD_H
#define TESTS_LIB_REF_FORWARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ref_model;

/* NULL, with a line on standard error, if the file is not understood. One file, not split. */
struct ref_model *ref_model_open(const char *path);
void ref_model_free(struct ref_model *m);
size_t ref_model_n_vocab(const struct ref_model *m);

/* logits: [n][n_vocab], of every position of one sequence. */
void ref_model_forward(const struct ref_model *m, const int32_t *ids, size_t n, double *logits);

/* ---- for the references of other architectures ---- */

/* A number under the architecture's prefix. */
double ref_model_number(const struct ref_model *m, const char *suffix, double fallback);
/* Item i of an array of f32; `key` is the whole name. */
double ref_model_item(const struct ref_model *m, const char *key, size_t i);
/* Whether a string under the architecture's prefix is this one. */
bool ref_model_text_is(const struct ref_model *m, const char *suffix, const char *text);
/* [rows][cols], NULL = there is none. */
const double *ref_model_tensor(const struct ref_model *m, const char *name, size_t *ret_rows);
const char *ref_model_arch(const struct ref_model *m);

/* Unpacks n values of a weight type; false for a type that is not known here. */
bool ref_unpack(uint32_t type, const unsigned char *p, size_t n, double *out);

#endif
