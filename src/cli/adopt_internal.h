/* SPDX-License-Identifier: Apache-2.0
 *
 * What the seekers of adopt.c share. */
#ifndef CLI_ADOPT_INTERNAL_H
#define CLI_ADOPT_INTERNAL_H

#include <dirent.h>

#include "base/buf.h"
#include "cli/adopt.h"

struct finder {
    struct found_models *out;
    size_t n_entries; /* looked at so far */
};

/* A regular file, not a link, that begins as a GGUF file does. */
bool adopt__is_gguf(const char *path, uint64_t *ret_bytes);

/* A regular file that is no link; reads it unless out is NULL. */
bool adopt__read(const char *path, struct buf *out);

bool adopt__is_directory(const char *path); /* not through a link */

/* Entries of a directory in order, without those that begin with a dot; their number. Each counts
 * against ADOPT_MAX_ENTRIES. Freed with adopt__list_free(). */
int adopt__list(struct finder *f, const char *dir, struct dirent ***ret);
void adopt__list_free(struct dirent **entries, int n);

/* The model of this name, or NULL. */
const struct found_model *adopt__named(const struct finder *f, const char *name);

/* Takes the model if it can be named and none has its name; everything is copied but `source`. */
void adopt__add(struct finder *f, const struct found_model *m);

/* Each looks below a root; one that is absent has no models. */
void adopt__find_hugging_face(struct finder *f, const char *hub);
void adopt__find_lm_studio(struct finder *f, const char *root);
void adopt__find_ollama(struct finder *f, const char *root);

#endif
