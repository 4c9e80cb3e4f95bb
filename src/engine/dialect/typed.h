/* SPDX-License-Identifier: Apache-2.0
 *
 * Arguments without types: some formats write every value as bare text, and what it is, is known
 * from the parameters' schema.
 *
 *     schema of the property        text         JSON
 *     string                        5            "5"
 *     integer, number               5            5
 *     boolean                       true, True   true
 *     null                          null, None   null
 *     object, array                 {"a": 1}     {"a": 1}; Python's form is taken, too
 *     several, string among them    as one of the others if it reads as that, else the string
 *     no type named                 as JSON if it is any but a string, else the string
 *     none: not in the schema       the string
 *
 * A text that is nothing of what the schema wants stays a string: whoever called sees what the
 * model wrote. `$ref` within the schema, `enum`, `const`, `anyOf`, `oneOf` and `allOf` are looked
 * into. */
#ifndef ENGINE_DIALECT_TYPED_H
#define ENGINE_DIALECT_TYPED_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/str.h"

/* Types a value may have by its schema, as bits of 1 << enum json_type; numbers: JS_INT for whole
 * ones, JS_REAL for all. 0 = the schema does not say. `root`: where references lead. */
unsigned typed_kinds(const struct json *root, const struct json *schema);

/* Is the property a string whatever its text is? */
bool typed_is_string(const struct json *parameters, struct str key);

/* Appends the JSON of the text for the property `key` of `parameters` (may be NULL). */
void typed_value(const struct json *parameters, struct str key, struct str text, struct buf *out);

#endif
