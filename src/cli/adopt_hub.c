/* SPDX-License-Identifier: Apache-2.0
 *
 * Models in directories that are laid out as repositories of Hugging Face: its own cache, and LM
 * Studio's. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/adopt_internal.h"
#include "oci/media_types.h"
#include "oci/quantization.h"

enum { SHARD_TAIL = sizeof("-00001-of-00003.gguf") - 1 };

/* ---- repositories as Hugging Face has them: Hugging Face's cache, LM Studio ---- */

/* One repository on this disk. */
struct repository {
    struct finder *finder;
    const char *source;
    char *name;  /* "hf.co/org/repo" */
    char *blobs; /* where its links may lead, NULL = nowhere */
};

/* The file behind a name of the repository: the file itself, or what a link to its blobs leads to.
 * NULL for anything else; the caller frees. */
static char *real_file(const struct repository *r, const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return NULL;
    if (S_ISREG(st.st_mode))
        return xstrdup(path);
    if (!S_ISLNK(st.st_mode) || !r->blobs)
        return NULL;
    CLEANUP_FREE char *target = realpath(path, NULL);
    CLEANUP_FREE char *blobs = realpath(r->blobs, NULL);
    size_t n = blobs ? strlen(blobs) : 0;
    bool inside = target && blobs && strncmp(target, blobs, n) == 0 && target[n] == '/' &&
                  !strchr(target + n + 1, '/');
    return inside ? TAKE(target) : NULL;
}

/* 1 for what is no shard, the number of files for the first shard, 0 for a later one. */
static unsigned shards_of(const char *name)
{
    size_t n = strlen(name);
    unsigned index, total;
    char end[8];
    if (n <= SHARD_TAIL ||
        sscanf(name + n - SHARD_TAIL, "-%5u-of-%5u.%4s", &index, &total, end) != 3)
        return 1;
    return index == 1 ? total : 0;
}

/* The size of all shards, 0 unless every one is there. */
static uint64_t shard_bytes(const struct repository *r, const char *dir, const char *first,
                            unsigned total)
{
    uint64_t sum = 0, bytes;
    size_t stem = strlen(first) - SHARD_TAIL;
    for (unsigned i = 1; i <= total; i++) {
        CLEANUP_FREE char *name = xasprintf("%.*s-%05u-of-%05u.gguf", (int)stem, first, i, total);
        CLEANUP_FREE char *path = path_join(dir, name);
        CLEANUP_FREE char *file = real_file(r, path);
        if (!file || !adopt__is_gguf(file, &bytes))
            return 0;
        sum += bytes;
    }
    return sum;
}

static char *tag_of(const char *path)
{
    struct str label = oci_quantization_of(str_from(path));
    char *tag = label.ptr ? str_dup(label) : xstrdup("");
    for (char *c = tag; *c; c++)
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
    return tag;
}

/* "REPO:Q4_K_M". Where another file of the repository has that name already, the file's own name
 * tells the two apart; the same file in an older snapshot is the same name, and so left out. */
static char *model_name(const struct repository *r, const char *file, const char *quantization)
{
    char *name = xasprintf("%s%s%s", r->name, *quantization ? ":" : "", quantization);
    const struct found_model *other = adopt__named(r->finder, name);
    if (!other || strcmp(path_base(other->gguf), file) == 0)
        return name;
    free(name);
    size_t stem = strlen(file) - (sizeof(".gguf") - 1);
    if (shards_of(file) > 1)
        stem = strlen(file) - SHARD_TAIL;
    return xasprintf("%s:%.*s", r->name, (int)stem, file);
}

/* A weight file and its projector become a model. `below`: path in the repository. */
static void add_repository_file(const struct repository *r, const char *dir, const char *below,
                                const char *name, const char *mmproj)
{
    CLEANUP_FREE char *path = path_join(dir, name);
    CLEANUP_FREE char *file = real_file(r, path);
    CLEANUP_FREE char *place = xasprintf("%s%s", below, name);
    CLEANUP_FREE char *quantization = tag_of(place);
    unsigned shards = shards_of(name);
    uint64_t bytes = 0;
    if (shards == 0 || !file || !adopt__is_gguf(file, &bytes))
        return;
    if (shards > 1)
        bytes = shard_bytes(r, dir, name, shards);
    if (bytes == 0)
        return;
    CLEANUP_FREE char *model = model_name(r, name, quantization);
    adopt__add(r->finder, &(struct found_model){.name = model,
                                                .source = r->source,
                                                .quantization = quantization,
                                                .gguf = path,
                                                .mmproj = (char *)(uintptr_t)mmproj,
                                                .bytes = bytes});
}

/* Weights at this place, and in the folders below it. */
static void walk_repository(const struct repository *r, const char *dir, const char *below,
                            int depth)
{
    struct dirent **entries = NULL;
    int n = adopt__list(r->finder, dir, &entries);
    CLEANUP_FREE char *mmproj = NULL;
    uint64_t bytes;
    for (int i = 0; i < n && !mmproj; i++) {
        if (oci_file_kind(str_from(entries[i]->d_name)) != OCI_LAYER_MMPROJ)
            continue;
        CLEANUP_FREE char *path = path_join(dir, entries[i]->d_name);
        CLEANUP_FREE char *file = real_file(r, path);
        if (file && adopt__is_gguf(file, &bytes))
            mmproj = TAKE(path);
    }
    for (int i = 0; i < n; i++) {
        CLEANUP_FREE char *path = path_join(dir, entries[i]->d_name);
        CLEANUP_FREE char *next = xasprintf("%s%s/", below, entries[i]->d_name);
        if (oci_file_kind(str_from(entries[i]->d_name)) == OCI_LAYER_GGUF)
            add_repository_file(r, dir, below, entries[i]->d_name, mmproj);
        else if (depth < ADOPT_MAX_DEPTH && adopt__is_directory(path))
            walk_repository(r, path, next, depth + 1);
    }
    adopt__list_free(entries, n);
}

/* "models--org--repo" → "hf.co/org/repo"; NULL for other names. */
static char *name_of_cache(const char *folder)
{
    static const char lead[] = "models--";
    if (strncmp(folder, lead, sizeof(lead) - 1) != 0)
        return NULL;
    char *name = xasprintf("hf.co/%s", folder + sizeof(lead) - 1);
    char *dashes = strstr(name, "--");
    if (!dashes) {
        free(name);
        return NULL;
    }
    *dashes = '/';
    memmove(dashes + 1, dashes + 2, strlen(dashes + 2) + 1);
    return name;
}

static int newest_first(const void *pa, const void *pb)
{
    const struct stat *a = pa, *b = pb;
    return (a->st_mtime < b->st_mtime) - (a->st_mtime > b->st_mtime);
}

/* All snapshots of a cached repository, the newest first. */
static void walk_snapshots(const struct repository *r, const char *dir)
{
    struct snapshot {
        struct stat st; /* first, for newest_first() */
        char *path;
    } *all = NULL;
    struct dirent **entries = NULL;
    int n = adopt__list(r->finder, dir, &entries);
    size_t n_all = 0;
    for (int i = 0; i < n; i++) {
        CLEANUP_FREE char *path = path_join(dir, entries[i]->d_name);
        struct stat st;
        if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode))
            continue;
        all = xrealloc(all, n_all + 1, sizeof(*all));
        all[n_all++] = (struct snapshot){st, TAKE(path)};
    }
    if (n_all > 0)
        qsort(all, n_all, sizeof(*all), newest_first);
    for (size_t i = 0; i < n_all; i++) {
        walk_repository(r, all[i].path, "", 0);
        free(all[i].path);
    }
    free(all);
    adopt__list_free(entries, n);
}

void adopt__find_hugging_face(struct finder *f, const char *hub)
{
    struct dirent **entries = NULL;
    int n = adopt__list(f, hub, &entries);
    for (int i = 0; i < n; i++) {
        CLEANUP_FREE char *dir = path_join(hub, entries[i]->d_name);
        CLEANUP_FREE char *name = name_of_cache(entries[i]->d_name);
        CLEANUP_FREE char *blobs = path_join(dir, "blobs");
        CLEANUP_FREE char *snapshots = path_join(dir, "snapshots");
        if (name && adopt__is_directory(dir) && adopt__is_directory(snapshots))
            walk_snapshots(&(struct repository){f, "Hugging Face", name, blobs}, snapshots);
    }
    adopt__list_free(entries, n);
}

void adopt__find_lm_studio(struct finder *f, const char *root)
{
    struct dirent **publishers = NULL, **repositories = NULL;
    int n = adopt__list(f, root, &publishers);
    for (int i = 0; i < n; i++) {
        CLEANUP_FREE char *publisher = path_join(root, publishers[i]->d_name);
        int m = adopt__is_directory(publisher) ? adopt__list(f, publisher, &repositories) : 0;
        for (int k = 0; k < m; k++) {
            CLEANUP_FREE char *dir = path_join(publisher, repositories[k]->d_name);
            CLEANUP_FREE char *name =
                xasprintf("hf.co/%s/%s", publishers[i]->d_name, repositories[k]->d_name);
            if (adopt__is_directory(dir))
                walk_repository(&(struct repository){f, "LM Studio", name, NULL}, dir, "", 0);
        }
        adopt__list_free(repositories, m);
        repositories = NULL;
    }
    adopt__list_free(publishers, n);
}
