/* SPDX-License-Identifier: Apache-2.0
 *
 * The pictures of a chat request.
 *
 * A part of a message's content may be a picture, in OpenAI's form or Anthropic's:
 *
 *     {"type": "image_url", "image_url": {"url": "data:image/png;base64,…"}}
 *     {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "…"}}
 *
 * Chat templates know text. media_extract() takes the pictures out and leaves a marker in the text
 * of the message that no client can write, because it is random; the rendered prompt is cut at the
 * markers, and the pictures go in there (prompts.h). Text next to a picture is not set off by a
 * line break.
 *
 * The engine opens no connections, so pictures are sent, not pointed at: other URLs are refused. */
#ifndef ENGINE_API_MEDIA_H
#define ENGINE_API_MEDIA_H

#include "base/error.h"
#include "base/json.h"
#include "engine/vision/vision.h"

enum {
    MEDIA_MAX_PICTURES = 64,
    MEDIA_MARKER_MAX = 64,
    MEDIA_PICTURE_MAX_BYTES = 32 << 20,
};

struct media {
    char marker[MEDIA_MARKER_MAX];
    struct picture **pictures; /* [n_pictures] in the order of the messages */
    size_t n_pictures;
};

/* *ret: the messages without pictures, a new value; NULL if there were none, then the given ones
 * are as good. `v` NULL: the model does not see, and pictures are refused; `why_blind` (may be
 * NULL) says more. */
int media_extract(const struct json *messages, const struct vision *v, const char *why_blind,
                  struct media *m, struct json **ret, struct error *err);
void media_release(struct media *m); /* a zeroed one is fine */

#endif
