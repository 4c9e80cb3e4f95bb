/* SPDX-License-Identifier: Apache-2.0
 *
 * Listings of Hugging Face repositories: the first line is a tag, the rest an answer of the API.
 * Whatever is accepted has paths that stay in a folder; what is chosen exists, once. */
#include <stdlib.h>
#include <string.h>

#include "registry/huggingface_internal.h"

static void check(bool ok)
{
    if (!ok)
        abort();
}

static void check_paths(const struct hf_listing *l)
{
    for (size_t i = 0; i < l->n; i++) {
        const char *path = l->entries[i].path;
        check(*path && *path != '/' && !strchr(path, '\\') && strcmp(path, "..") != 0 &&
              strncmp(path, "../", 3) != 0 && !strstr(path, "/../") && strlen(path) <= HF_MAX_PATH);
        check(i == 0 || strcmp(l->entries[i - 1].path, path) < 0);
    }
}

static void choose(const struct hf_listing *l, const char *tag)
{
    struct hf_choice c;
    if (hf_choose(l, tag, "hf.co/org/repo", &c, NULL) < 0)
        return;
    check(c.n_files > 0 && c.n_files <= l->n);
    for (size_t i = 0; i < c.n_files; i++) {
        check(c.files[i] < l->n);
        for (size_t k = 0; k < i && i < 64; k++)
            check(c.files[i] != c.files[k]);
    }
    free(c.files);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_make((const char *)data, size), line = {0};
    if (!str_split_next(&rest, '\n', &line) || !rest.ptr)
        return 0;
    char tag[OCI_TAG_MAX + 1] = "";
    memcpy(tag, line.ptr, line.len < OCI_TAG_MAX ? line.len : OCI_TAG_MAX);
    struct hf_listing l = {0};
    CLEANUP_BUF struct buf dirs = BUF_INIT(1 << 20);
    if (hf_listing_add(&l, rest, &dirs, NULL) == 0 && hf_listing_sort(&l, NULL) == 0) {
        check_paths(&l);
        choose(&l, tag);
        choose(&l, "latest");
        for (size_t at = 0; at < dirs.len; at += strlen(dirs.data + at) + 1)
            (void)hf_listing_has_under(&l, dirs.data + at);
    }
    hf_listing_release(&l);
    return 0;
}
