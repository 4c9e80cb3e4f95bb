/* SPDX-License-Identifier: Apache-2.0
 *
 * Stores for tests: a temporary root, small models, and a store as a Docker Model Runner leaves it.
 */
#ifndef TESTS_UNIT_STORE_FIXTURE_H
#define TESTS_UNIT_STORE_FIXTURE_H

#include "store/store.h"

struct fixture {
    char root[64];      /* a new directory */
    char store_dir[80]; /* root/models, not there yet */
};

/* For cmocka's setup and teardown: *state is a struct fixture. In memory where there is such a
 * place, because these tests sync a lot; or on a disk, where each sync takes a while, so that
 * processes get into each other's way. */
int fixture_setup(void **state);
int fixture_setup_on_disk(void **state);
int fixture_teardown(void **state);

/* Publishes a model of one GGUF layer with this content (and a config that depends on it), under a
 * full tag or NULL. */
int fixture_add(struct store *s, const char *content, const char *tag, struct oci_digest *ret_id,
                struct error *err);

/* The manifest text of such a model, and its two blobs. */
void fixture_manifest(const char *content, struct buf *config, struct buf *manifest);

void fixture_write(const char *dir, const char *name, const char *content); /* makes directories */
char *fixture_read(const char *dir, const char *name); /* NULL if absent; the caller frees */
bool fixture_exists(const char *dir, const char *name);

/* Number of names in dir/name, without "." and ".."; 0 if absent. */
size_t fixture_count(const char *dir, const char *name);

#endif
