/* SPDX-License-Identifier: Apache-2.0
 *
 * Access tokens: who shows one over TCP may do what it says. The file holds no token, only SHA-256
 * sums (a token is 256 random bits, so a sum needs no salt):
 *
 *     [{"name": "ci", "sha256": "…", "created": "2026-…Z", "inference": true,
 *       "models": ["gemma*"], "per_minute": 60}, …]
 *
 * It must belong to nobody but its owner (mode 0600), and is read again when it changes. */
#ifndef RUNNER_TOKENS_H
#define RUNNER_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/json.h"
#include "base/str.h"

/* ---- the file; for the command line ---- */

struct token_limits {
    bool inference;            /* nothing but use of models */
    const char *const *models; /* patterns of names; n_models = 0: all; they imply `inference` */
    size_t n_models;
    int64_t per_minute; /* requests; 0 = any number */
};

/* Makes a token and adds it to the file; *ret is the token itself, which is shown only now. */
int token_create(const char *path, const char *name, const struct token_limits *limits, char **ret,
                 struct error *err);
int token_remove(const char *path, const char *name, struct error *err);
/* The file's content, an empty array if there is none. Anything malformed is ERR_CORRUPT. */
int tokens_read(const char *path, struct json **ret, struct error *err);

/* ---- for the daemon ---- */

struct tokens;

/* What a request may do. */
struct grant {
    bool anything; /* no limits; the rest is not looked at */
    bool inference_only;
    struct json *models; /* array of patterns, of this grant alone; NULL = all */
};
void grant_release(struct grant *g);

/* Does the grant cover this model? By its full name ("docker.io/ai/smollm2:latest"); patterns may
 * leave out docker.io and the tag. Ids and digests are no names. */
bool grant_covers_model(const struct grant *g, const char *full_name);

struct tokens *tokens_open(const char *path); /* the file need not exist */
void tokens_close(struct tokens *t);

/* 0 with *ret; ERR_DENIED: no such token; ERR_BUSY: too many requests of this one, *ret_wait_s. */
int tokens_check(struct tokens *t, struct str token, struct grant *ret, int64_t *ret_wait_s,
                 struct error *err);

#endif
