/* SPDX-License-Identifier: Apache-2.0
 *
 * What a chat template shows of a conversation with tools, found by trying: a short one is
 * rendered, and what is in it looked for. Many templates leave out calls, results or the tools
 * themselves without a word, some only in one of the forms that messages can have. */
#ifndef ENGINE_API_TEMPLATE_PROBE_H
#define ENGINE_API_TEMPLATE_PROBE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/json.h"

enum shown { SHOWN_NO, SHOWN_YES, SHOWN_NEVER_RENDERED };

/* What a message with calls has as content. */
enum call_content { CONTENT_NULL, CONTENT_EMPTY, CONTENT_TEXT, CALL_CONTENTS };

struct template_shows {
    enum shown tools;
    enum shown results;
    /* Calls, and a second one in the same message; [1]: with arguments as values, not as text. */
    enum shown calls[2][CALL_CONTENTS];
    enum shown second_call[2][CALL_CONTENTS];
};

enum call_content call_content_of(const struct json *message); /* a normalised one */

/* Renders messages (normalised; taken over) with tools or, NULL, without, and says if all went
 * well. */
typedef bool probe_render(void *ctx, struct json *messages, const struct json *tools,
                          struct buf *out);

void template_probe(probe_render *render, void *ctx, bool with_tools, struct template_shows *ret);

#endif
