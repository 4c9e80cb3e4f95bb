/* SPDX-License-Identifier: Apache-2.0
 *
 * Looking for models in other programs' directories. */
#include "cli/adopt_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
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
#include "oci/reference.h"

enum { TEXT_MAX = 1 << 20 };

void found_models_release(struct found_models *f)
{
    for (size_t i = 0; i < f->n; i++) {
        struct found_model *m = &f->items[i];
        free(m->name);
        free(m->quantization);
        free(m->gguf);
        free(m->mmproj);
        for (size_t k = 0; k < m->n_licenses; k++)
            free(m->licenses[k]);
        free(m->licenses);
        free(m->leaves);
    }
    free(f->items);
    *f = (struct found_models){0};
}

/* ---- files ---- */

bool adopt__is_gguf(const char *path, uint64_t *ret_bytes)
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

bool adopt__read(const char *path, struct buf *out)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    return !out || fd_read_all(fd, path, out, NULL) == 0;
}

int adopt__list(struct finder *f, const char *dir, struct dirent ***ret)
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

void adopt__list_free(struct dirent **entries, int n)
{
    for (int i = 0; i < n; i++)
        free(entries[i]);
    free(entries);
}

bool adopt__is_directory(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* ---- models ---- */

const struct found_model *adopt__named(const struct finder *f, const char *name)
{
    for (size_t i = 0; i < f->out->n; i++)
        if (strcmp(f->out->items[i].name, name) == 0)
            return &f->out->items[i];
    return NULL;
}

static char **copy_list(char *const *list, size_t n)
{
    char **copy = xcalloc(n + 1, sizeof(*copy));
    for (size_t i = 0; i < n; i++)
        copy[i] = xstrdup(list[i]);
    return copy;
}

void adopt__add(struct finder *f, const struct found_model *m)
{
    struct oci_reference ref;
    if (f->out->n == ADOPT_MAX_MODELS || adopt__named(f, m->name) ||
        oci_reference_parse(str_from(m->name), NULL, &ref, NULL) < 0)
        return;
    f->out->items = xrealloc(f->out->items, f->out->n + 1, sizeof(*f->out->items));
    f->out->items[f->out->n++] = (struct found_model){
        .name = xstrdup(m->name),
        .source = m->source,
        .quantization = xstrdup(m->quantization ? m->quantization : ""),
        .gguf = xstrdup(m->gguf),
        .mmproj = m->mmproj ? xstrdup(m->mmproj) : NULL,
        .licenses = copy_list(m->licenses, m->n_licenses),
        .n_licenses = m->n_licenses,
        .bytes = m->bytes,
        .leaves = m->leaves ? xstrdup(m->leaves) : NULL,
        .obstacle = m->obstacle,
    };
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

/* LM Studio's home: its models, and the folder that its settings name in their place. */
static void find_lm_studio_home(struct finder *f, const char *home)
{
    CLEANUP_FREE char *models = path_join(home, "models");
    CLEANUP_FREE char *settings = path_join(home, "settings.json");
    CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
    CLEANUP_JSON struct json *v = NULL;
    adopt__find_lm_studio(f, models);
    if (!adopt__read(settings, &text) || js_parse(buf_str(&text), "settings", &v, NULL) < 0)
        return;
    const char *folder = js_get_cstr(v, "downloadsFolder", "");
    if (folder[0] == '/')
        adopt__find_lm_studio(f, folder);
}

static void find_lm_studios(struct finder *f, const char *home)
{
    static const char *const homes[] = {".lmstudio", ".cache/lm-studio", ".config/LM Studio"};
    for (size_t i = 0; i < ARRAY_LEN(homes); i++) {
        CLEANUP_FREE char *dir = path_join(home, homes[i]);
        find_lm_studio_home(f, dir);
    }
    CLEANUP_FREE char *pointer = path_join(home, ".lmstudio-home-pointer");
    CLEANUP_BUF struct buf text = BUF_INIT(PATH_MAX);
    if (!adopt__read(pointer, &text))
        return;
    CLEANUP_FREE char *dir = str_dup(str_trim(buf_str(&text)));
    if (dir[0] == '/')
        find_lm_studio_home(f, dir);
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
        {adopt__find_hugging_face, "HF_HUB_CACHE", ""},
        {adopt__find_hugging_face, "HUGGINGFACE_HUB_CACHE", ""},
        {adopt__find_hugging_face, "HF_HOME", "/hub"},
        {adopt__find_hugging_face, "XDG_CACHE_HOME", "/huggingface/hub"},
        {adopt__find_hugging_face, NULL, "/.cache/huggingface/hub"},
        {adopt__find_ollama, "OLLAMA_MODELS", ""},
        {adopt__find_ollama, NULL, "/.ollama/models"},
    };
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (places[i].variable) {
            find_at_variable(&f, places[i].find, places[i].variable, places[i].below);
            continue;
        }
        CLEANUP_FREE char *path = xasprintf("%s%s", home, places[i].below);
        places[i].find(&f, path);
    }
    adopt__find_ollama(&f, "/usr/share/ollama/.ollama/models");
    find_lm_studios(&f, home);
    if (ret->n > 0)
        qsort(ret->items, ret->n, sizeof(*ret->items), by_name);
    return 0;
}
