/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking for models in other programs' directories. */
#include "cli/adopt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/file.h"
#include "base/json.h"
#include "base/paths.h"
#include "base/str.h"
#include "oci/media_types.h"
#include "oci/quantization.h"
#include "oci/reference.h"

enum { MANIFEST_MAX = 1 << 20, SHARD_TAIL = sizeof("-00001-of-00003.gguf") - 1 };

struct finder {
    struct found_models *out;
    size_t n_entries; /* looked at so far */
};

void found_models_release(struct found_models *f)
{
    for (size_t i = 0; i < f->n; i++) {
        struct found_model *m = &f->items[i];
        free(m->name);
        free(m->quantization);
        free(m->gguf);
        free(m->mmproj);
        free(m->license);
    }
    free(f->items);
    *f = (struct found_models){0};
}

/* ---- files ---- */

/* A regular file, not a link, that begins as a GGUF file does. */
static bool is_gguf(const char *path, uint64_t *ret_bytes)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    char magic[4];
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || read(fd, magic, 4) != 4 ||
        memcmp(magic, "GGUF", 4) != 0)
        return false;
    *ret_bytes = (uint64_t)st.st_size;
    return true;
}

/* Names of the entries of a directory in order, without those that begin with a dot. */
static int list(struct finder *f, const char *dir, struct dirent ***ret)
{
    int n = scandir(dir, ret, NULL, alphasort);
    int kept = 0;
    for (int i = 0; i < n; i++) {
        if ((*ret)[i]->d_name[0] == '.' || ++f->n_entries > ADOPT_MAX_ENTRIES)
            free((*ret)[i]);
        else
            (*ret)[kept++] = (*ret)[i];
    }
    return n < 0 ? 0 : kept;
}

static void list_free(struct dirent **entries, int n)
{
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
}

static bool is_directory(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- models ---- */

/* Takes what it can name; everything is copied but `source`. */
static void add(struct finder *f, const struct found_model *m)
{
    struct oci_reference ref;
    if (f->out->n == ADOPT_MAX_MODELS ||
        oci_reference_parse(str_from(m->name), NULL, &ref, NULL) < 0)
        return;
    for (size_t i = 0; i < f->out->n; i++)
        if (strcmp(f->out->items[i].name, m->name) == 0)
            return; /* an older snapshot of it */
    f->out->items = xrealloc(f->out->items, f->out->n + 1, sizeof(*f->out->items));
    f->out->items[f->out->n++] = (struct found_model){
        .name = xstrdup(m->name),
        .source = m->source,
        .quantization = xstrdup(m->quantization ? m->quantization : ""),
        .gguf = xstrdup(m->gguf),
        .mmproj = m->mmproj ? xstrdup(m->mmproj) : NULL,
        .license = m->license ? xstrdup(m->license) : NULL,
        .bytes = m->bytes,
    };
}

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
        if (!file || !is_gguf(file, &bytes))
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
    if (shards == 0 || !file || !is_gguf(file, &bytes))
        return;
    if (shards > 1)
        bytes = shard_bytes(r, dir, name, shards);
    if (bytes == 0)
        return;
    CLEANUP_FREE char *model = xasprintf("%s%s%s", r->name, *quantization ? ":" : "", quantization);
    add(r->finder, &(struct found_model){.name = model,
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
    int n = list(r->finder, dir, &entries);
    CLEANUP_FREE char *mmproj = NULL;
    uint64_t bytes;
    for (int i = 0; i < n && !mmproj; i++) {
        if (oci_file_kind(str_from(entries[i]->d_name)) != OCI_LAYER_MMPROJ)
            continue;
        CLEANUP_FREE char *path = path_join(dir, entries[i]->d_name);
        CLEANUP_FREE char *file = real_file(r, path);
        if (file && is_gguf(file, &bytes))
            mmproj = TAKE(path);
    }
    for (int i = 0; i < n; i++) {
        CLEANUP_FREE char *path = path_join(dir, entries[i]->d_name);
        CLEANUP_FREE char *next = xasprintf("%s%s/", below, entries[i]->d_name);
        if (oci_file_kind(str_from(entries[i]->d_name)) == OCI_LAYER_GGUF)
            add_repository_file(r, dir, below, entries[i]->d_name, mmproj);
        else if (depth < ADOPT_MAX_DEPTH && is_directory(path))
            walk_repository(r, path, next, depth + 1);
    }
    list_free(entries, n);
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
    int n = list(r->finder, dir, &entries);
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
    list_free(entries, n);
}

static void find_hugging_face(struct finder *f, const char *hub)
{
    struct dirent **entries = NULL;
    int n = list(f, hub, &entries);
    for (int i = 0; i < n; i++) {
        CLEANUP_FREE char *dir = path_join(hub, entries[i]->d_name);
        CLEANUP_FREE char *name = name_of_cache(entries[i]->d_name);
        CLEANUP_FREE char *blobs = path_join(dir, "blobs");
        CLEANUP_FREE char *snapshots = path_join(dir, "snapshots");
        if (name && is_directory(dir) && is_directory(snapshots))
            walk_snapshots(&(struct repository){f, "Hugging Face", name, blobs}, snapshots);
    }
    list_free(entries, n);
}

static void find_lm_studio(struct finder *f, const char *root)
{
    struct dirent **publishers = NULL, **repositories = NULL;
    int n = list(f, root, &publishers);
    for (int i = 0; i < n; i++) {
        CLEANUP_FREE char *publisher = path_join(root, publishers[i]->d_name);
        int m = is_directory(publisher) ? list(f, publisher, &repositories) : 0;
        for (int k = 0; k < m; k++) {
            CLEANUP_FREE char *dir = path_join(publisher, repositories[k]->d_name);
            CLEANUP_FREE char *name =
                xasprintf("hf.co/%s/%s", publishers[i]->d_name, repositories[k]->d_name);
            if (is_directory(dir))
                walk_repository(&(struct repository){f, "LM Studio", name, NULL}, dir, "", 0);
        }
        list_free(repositories, m);
        repositories = NULL;
    }
    list_free(publishers, n);
}

/* ---- Ollama ---- */

/* "sha256:HEX" → ROOT/blobs/sha256-HEX; NULL for what is no digest. The caller frees. */
static char *ollama_blob(const char *root, struct str digest)
{
    struct oci_digest checked;
    CLEANUP_FREE char *text = digest.ptr ? str_dup(digest) : NULL;
    if (!text || oci_digest_parse(str_from(text), &checked, NULL) < 0)
        return NULL;
    return xasprintf("%s/blobs/%s-%s", root, oci_digest_algorithm(&checked),
                     oci_digest_hex(&checked));
}

static char *ollama_quantization(const char *root, const struct json *manifest)
{
    CLEANUP_FREE char *path = ollama_blob(root, js_get_str(js_get(manifest, "config"), "digest"));
    CLEANUP_BUF struct buf text = BUF_INIT(MANIFEST_MAX);
    CLEANUP_JSON struct json *config = NULL;
    if (!path || file_read(path, &text, NULL) < 0 ||
        js_parse(buf_str(&text), "a config", &config, NULL) < 0)
        return xstrdup("");
    return xstrdup(js_get_cstr(config, "file_type", ""));
}

/* `name`: HOST/NAMESPACE/MODEL/TAG, the manifest's path. */
static void add_ollama(struct finder *f, const char *root, const char *path, const char *name)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MANIFEST_MAX);
    CLEANUP_JSON struct json *manifest = NULL;
    if (file_read(path, &text, NULL) < 0 ||
        js_parse(buf_str(&text), "a manifest", &manifest, NULL) < 0)
        return;
    CLEANUP_FREE char *gguf = NULL, *mmproj = NULL, *license = NULL;
    const struct {
        const char *type;
        char **path;
    } kinds[] = {
        {"application/vnd.ollama.image.model", &gguf},
        {"application/vnd.ollama.image.projector", &mmproj},
        {"application/vnd.ollama.image.license", &license},
    };
    const struct json *layers = js_get(manifest, "layers");
    for (size_t i = 0; i < js_len(layers); i++)
        for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
            if (!*kinds[k].path &&
                str_eq_c(js_get_str(js_at(layers, i), "mediaType"), kinds[k].type))
                *kinds[k].path = ollama_blob(root, js_get_str(js_at(layers, i), "digest"));
    uint64_t bytes, other;
    if (!gguf || !is_gguf(gguf, &bytes))
        return;
    if (mmproj && !is_gguf(mmproj, &other)) {
        free(mmproj);
        mmproj = NULL;
    }
    /* "registry.ollama.ai/library/llama3.2/latest" → "ollama/llama3.2:latest" */
    const char *rest = strchr(name, '/');
    rest = rest ? rest + 1 : name;
    if (strncmp(rest, "library/", 8) == 0)
        rest += 8;
    CLEANUP_FREE char *model = xasprintf("ollama/%s", rest);
    char *tag = strrchr(model, '/');
    if (tag && tag > model + sizeof("ollama/") - 1)
        *tag = ':';
    CLEANUP_FREE char *quantization = ollama_quantization(root, manifest);
    add(f, &(struct found_model){.name = model,
                                 .source = "Ollama",
                                 .quantization = quantization,
                                 .gguf = gguf,
                                 .mmproj = mmproj,
                                 .license = license,
                                 .bytes = bytes});
}

static void walk_manifests(struct finder *f, const char *root, const char *dir, const char *below,
                           int depth)
{
    struct dirent **entries = NULL;
    int n = list(f, dir, &entries);
    for (int i = 0; i < n; i++) {
        CLEANUP_FREE char *path = path_join(dir, entries[i]->d_name);
        CLEANUP_FREE char *name = xasprintf("%s%s%s", below, *below ? "/" : "", entries[i]->d_name);
        struct stat st;
        if (lstat(path, &st) != 0)
            continue;
        if (S_ISREG(st.st_mode) && depth >= 2)
            add_ollama(f, root, path, name);
        else if (S_ISDIR(st.st_mode) && depth < ADOPT_MAX_DEPTH)
            walk_manifests(f, root, path, name, depth + 1);
    }
    list_free(entries, n);
}

static void find_ollama(struct finder *f, const char *root)
{
    CLEANUP_FREE char *manifests = path_join(root, "manifests");
    walk_manifests(f, root, manifests, "", 0);
}

/* ---- all of them ---- */

static int by_name(const void *pa, const void *pb)
{
    const struct found_model *a = pa, *b = pb;
    return strcmp(a->name, b->name);
}

/* $VARIABLE + suffix if it is set. */
static void find_at_variable(struct finder *f, void (*find)(struct finder *, const char *),
                             const char *variable, const char *suffix)
{
    const char *value = getenv(variable);
    if (!value || !*value)
        return;
    CLEANUP_FREE char *path = xasprintf("%s%s", value, suffix);
    find(f, path);
}

int adopt_find(struct found_models *ret, struct error *err)
{
    CLEANUP_FREE char *home = NULL;
    int r = path_home(&home, err);
    if (r < 0)
        return r;
    *ret = (struct found_models){0};
    struct finder f = {.out = ret};
    const struct {
        void (*find)(struct finder *, const char *);
        const char *variable, *below; /* of the variable, or of the home without one */
    } places[] = {
        {find_hugging_face, "HF_HUB_CACHE", ""},
        {find_hugging_face, "HUGGINGFACE_HUB_CACHE", ""},
        {find_hugging_face, "HF_HOME", "/hub"},
        {find_hugging_face, NULL, "/.cache/huggingface/hub"},
        {find_ollama, "OLLAMA_MODELS", ""},
        {find_ollama, NULL, "/.ollama/models"},
        {find_lm_studio, NULL, "/.lmstudio/models"},
        {find_lm_studio, NULL, "/.cache/lm-studio/models"},
    };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (places[i].variable) {
            find_at_variable(&f, places[i].find, places[i].variable, places[i].below);
            continue;
        }
        CLEANUP_FREE char *path = xasprintf("%s%s", home, places[i].below);
        places[i].find(&f, path);
    }
    find_ollama(&f, "/usr/share/ollama/.ollama/models");
    if (ret->n > 0)
        qsort(ret->items, ret->n, sizeof(*ret->items), by_name);
    return 0;
}
