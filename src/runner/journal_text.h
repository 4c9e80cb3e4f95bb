/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts of the journal in the form that is shown. Pure functions. */
#ifndef RUNNER_JOURNAL_TEXT_H
#define RUNNER_JOURNAL_TEXT_H

#include <stdint.h>

#include "base/buf.h"
#include "base/str.h"

/* An event stream of chat or text completions as the one answer that it makes: contents, reasoning
 * and tool calls joined. What cannot be read is left out. cut_bytes > 0: so many bytes at the end of
 * the stream are missing; then the texts say so and have no finish_reason. The caller frees. */
char *journal_fold_stream(struct str events, uint64_t cut_bytes);

/* A request with media (image_url.url, input_audio.data) of more than 100 characters cut to those
 * and a note. Text that is no JSON comes back as it is. The caller frees. */
char *journal_cut_media(struct str request);

#endif
