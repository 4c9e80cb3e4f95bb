/* SPDX-License-Identifier: Apache-2.0
 *
 * Models in Ollama's store: manifests/HOST/NAMESPACE/MODEL/TAG name files in blobs/. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/json.h"
#include "cli/adopt_internal.h"
#include "oci/digest.h"

enum { MANIFEST_MAX = 1 << 20 };

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
    if (!path || !adopt__read(path, &text) ||
        js_parse(buf_str(&text), "a config", &config, NULL) < 0)
        return xstrdup("");
    return xstrdup(js_get_cstr(config, "file_type", ""));
}

/* ---- a manifest's layers ---- */

struct layers {
    char *gguf, *mmproj;
    char *licenses[ADOPT_MAX_LICENSES];
    size_t n_licenses;
    char *leaves;         /* see struct found_model */
    const char *obstacle; /* likewise */
};

static void layers_release(struct layers *l)
{
    free(l->gguf);
    free(l->mmproj);
    for (size_t i = 0; i < l->n_licenses; i++)
        free(l->licenses[i]);
    free(l->leaves);
}

/* Ollama's templates are written in Go's language and its parameters are its own: what has no place
 * in the artifact is named. */
static void leave(struct layers *l, const char *what)
{
    if (l->leaves && strstr(l->leaves, what))
        return;
    char *all = l->leaves ? xasprintf("%s, %s", l->leaves, what) : xstrdup(what);
    free(l->leaves);
    l->leaves = all;
}

static void take_file(struct layers *l, char **place, char *path, const char *obstacle)
{
    if (*place) {
        l->obstacle = obstacle;
        free(path);
        return;
    }
    *place = path;
}

/* `kind`: what follows "application/vnd.ollama.image.". Takes over `path`, which may be NULL. */
static void take_layer(struct layers *l, const char *kind, char *path)
{
    static const char *const left[] = {"template", "params", "system", "messages", "prompt"};
    uint64_t bytes;
    if (strcmp(kind, "model") == 0) {
        take_file(l, &l->gguf, path, "it consists of several weight files");
        return;
    }
    if (strcmp(kind, "projector") == 0) {
        if (!path || !adopt__is_gguf(path, &bytes))
            l->obstacle = "its projector is missing or no GGUF file";
        take_file(l, &l->mmproj, path, "it has several projectors");
        return;
    }
    if (strcmp(kind, "license") == 0 && path && l->n_licenses < ADOPT_MAX_LICENSES &&
        adopt__read(path, NULL)) {
        l->licenses[l->n_licenses++] = path;
        return;
    }
    free(path);
    if (strcmp(kind, "license") == 0)
        leave(l, "licenses");
    if (strcmp(kind, "adapter") == 0)
        l->obstacle = "it needs an adapter (LoRA)";
    for (size_t i = 0; i < ARRAY_LEN(left); i++)
        if (strcmp(kind, left[i]) == 0)
            leave(l, kind);
}

static void read_layers(const char *root, const struct json *layers, struct layers *l)
{
    static const char lead[] = "application/vnd.ollama.image.";
    for (size_t i = 0; i < js_len(layers); i++) {
        const char *type = js_get_cstr(js_at(layers, i), "mediaType", "");
        if (strncmp(type, lead, sizeof(lead) - 1) == 0)
            take_layer(l, type + sizeof(lead) - 1,
                       ollama_blob(root, js_get_str(js_at(layers, i), "digest")));
    }
}

/* `name`: HOST/NAMESPACE/MODEL/TAG, the manifest's path. */
static void add_ollama(struct finder *f, const char *root, const char *path, const char *name)
{
    CLEANUP_BUF struct buf text = BUF_INIT(MANIFEST_MAX);
    CLEANUP_JSON struct json *manifest = NULL;
    if (!adopt__read(path, &text) || js_parse(buf_str(&text), "a manifest", &manifest, NULL) < 0)
        return;
    CLEANUP(layers_release) struct layers l = {0};
    read_layers(root, js_get(manifest, "layers"), &l);
    uint64_t bytes;
    if (!l.gguf || !adopt__is_gguf(l.gguf, &bytes))
        return;
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
    adopt__add(f, &(struct found_model){.name = model,
                                        .source = "Ollama",
                                        .quantization = quantization,
                                        .gguf = l.gguf,
                                        .mmproj = l.mmproj,
                                        .licenses = l.licenses,
                                        .n_licenses = l.n_licenses,
                                        .bytes = bytes,
                                        .leaves = l.leaves,
                                        .obstacle = l.obstacle});
}

static void walk_manifests(struct finder *f, const char *root, const char *dir, const char *below,
                           int depth)
{
    struct dirent **entries = NULL;
    int n = adopt__list(f, dir, &entries);
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
    adopt__list_free(entries, n);
}

void adopt__find_ollama(struct finder *f, const char *root)
{
    CLEANUP_FREE char *manifests = path_join(root, "manifests");
    walk_manifests(f, root, manifests, "", 0);
}
