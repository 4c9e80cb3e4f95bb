/* SPDX-License-Identifier: Apache-2.0
 *
 * Stores for tests. */
#include "fixture.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"

static int setup_in(const char *base, void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    snprintf(f->root, sizeof(f->root), "%s/test-store-XXXXXX", base);
    if (!mkdtemp(f->root))
        return -1;
    snprintf(f->store_dir, sizeof(f->store_dir), "%s/models", f->root);
    *state = f;
    return 0;
}

int fixture_setup(void **state)
{
    return setup_in(access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", state);
}

int fixture_setup_on_disk(void **state)
{
    return setup_in("/tmp", state);
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    int r = dir_remove_tree(f->root, NULL);
    free(f);
    return r;
}

void fixture_manifest(const char *content, struct buf *config, struct buf *manifest)
{
    struct oci_digest layer = oci_digest_of(str_from(content));
    buf_printf(config,
               "{\"config\":{\"format\":\"gguf\",\"architecture\":\"llama\",\"context_size\":512},"
               "\"descriptor\":{\"created\":\"2025-03-24T11:49:41Z\"},"
               "\"rootfs\":{\"type\":\"rootfs\",\"diff_ids\":[\"%s\"]}}",
               layer.text);
    struct oci_digest c = oci_digest_of(buf_str(config));
    struct oci_manifest m = {0};
    oci_manifest_set_config(&m, OCI_TYPE_CONFIG_V01, &c, config->len);
    oci_manifest_add_layer(&m, OCI_TYPE_GGUF, &layer, strlen(content));
    oci_manifest_write(&m, manifest);
    oci_manifest_release(&m);
}

int fixture_add(struct store *s, const char *content, const char *tag, struct oci_digest *ret_id,
                struct error *err)
{
    CLEANUP_BUF struct buf config = BUF_INIT(1 << 20);
    CLEANUP_BUF struct buf manifest = BUF_INIT(1 << 20);
    fixture_manifest(content, &config, &manifest);
    struct store_txn *t;
    int r = store_begin(s, &t, err);
    if (r < 0)
        return r;
    r = store_txn_add_bytes(t, str_from(content), NULL, err);
    if (r == 0)
        r = store_txn_add_bytes(t, buf_str(&config), NULL, err);
    if (r < 0) {
        store_abort(t);
        return r;
    }
    return store_commit(t, buf_str(&manifest), tag, ret_id, err);
}

void fixture_write(const char *dir, const char *name, const char *content)
{
    CLEANUP_FREE char *path = path_join(dir, name);
    CLEANUP_FREE char *parent = path_dir(path);
    dir_make(parent, 0755, NULL);
    FILE *f = fopen(path, "w");
    if (!f || fputs(content, f) < 0 || fclose(f) != 0)
        abort();
}

char *fixture_read(const char *dir, const char *name)
{
    CLEANUP_FREE char *path = path_join(dir, name);
    struct buf text = BUF_INIT(1 << 24);
    if (file_read(path, &text, NULL) < 0) {
        buf_release(&text);
        return NULL;
    }
    return text.data ? buf_take(&text) : xstrdup("");
}

bool fixture_exists(const char *dir, const char *name)
{
    CLEANUP_FREE char *path = path_join(dir, name);
    struct stat st;
    return lstat(path, &st) == 0;
}

size_t fixture_count(const char *dir, const char *name)
{
    CLEANUP_FREE char *path = path_join(dir, name);
    DIR *d = opendir(path);
    size_t n = 0;
    for (struct dirent *e; d && (e = readdir(d));)
        n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
    if (d)
        closedir(d);
    return n;
}
