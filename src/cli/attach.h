/* SPDX-License-Identifier: Apache-2.0
 *
 * Files named in a prompt:
 *
 *     @notes.txt  @"my notes.txt"  @'my notes.txt'  @my\ notes.txt
 *                         replaced by the file's text; left as it is when there is no such file
 *     ./cat.png  /tmp/cat.jpg  "my cat.webp"  @cat.png
 *                         taken out of the text and sent along as an image
 *
 * Only regular files are read, and only up to a limit. */
#ifndef CLI_ATTACH_H
#define CLI_ATTACH_H

#include "base/error.h"
#include "base/json.h"

/* The "content" of the message: a string, or with images an array of parts, images first. */
int attach_prompt(const char *prompt, struct json **ret_content, struct error *err);

#endif
