/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls as a family of models writes them: what an assistant said earlier, for chat templates that
 * would leave it out. Families that write values as bare text, or messages of their own, are given
 * JSON between their marks, which the parser reads in every family. */
#ifndef ENGINE_DIALECT_CALL_WRITER_H
#define ENGINE_DIALECT_CALL_WRITER_H

#include "base/buf.h"
#include "base/json.h"
#include "engine/dialect/dialect.h"

/* Appends `tool_calls` of a message, the arguments as text or as values. */
void calls_write(const struct call_format *f, const struct json *calls, struct buf *out);

#endif
