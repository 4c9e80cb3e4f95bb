/* SPDX-License-Identifier: Apache-2.0
 *
 * The requests to Hugging Face, and what its answers mean to a user.
 *
 *     GET {base}/api/models/ORG/REPO/tree/main?recursive=true    the files, page after page
 *     GET {base}/api/models/ORG/REPO/tree/main/DIR?recursive=…   for a mirror that does not recurse
 *     GET {base}/api/models/ORG/REPO/revision/main               date, gated or not
 *     GET {base}/ORG/REPO/resolve/main/PATH                      a file, often by a redirect
 *
 * The next page comes from a Link header. Mirrors pass on one that names Hugging Face itself, so
 * only its path and query are used: listings never leave the base. */
#include "registry/huggingface.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "registry/huggingface_internal.h"
#include "registry/internal.h"

enum {
    MAX_PAGE_BYTES = 4 << 20,
    MAX_PAGES = 500,
    MAX_DIRS_BYTES = 4 << 20,
};

int hf_open(struct registry *r, const char *bearer, struct registry_repo **ret, struct error *err)
{
    const char *token = bearer && *bearer ? bearer : registry_hf_token(r);
    return registry_site_open(r, registry_hf_endpoint(r), token, ret, err);
}

/* ---- failures ---- */

struct failure {
    int status;
    char code[64]; /* X-Error-Code: "GatedRepo", "RepoNotFound", "RevisionNotFound", … */
};

static void note_error_code(void *ctx, struct str name, struct str value)
{
    struct failure *f = ctx;
    if (str_eq_nocase(name, STR("X-Error-Code")))
        snprintf(f->code, sizeof(f->code), "%.*s", STR_ARG(value));
}

static int denied(const char *name, const char *page, bool gated, bool has_token, struct error *err)
{
    if (gated)
        return error_set(
            err, ERR_DENIED,
            "UNAUTHORIZED - Authentication required for this model: %s is gated; accept "
            "its terms at %s and %s",
            name, page,
            has_token ? "use a token (HF_TOKEN) of the account that did"
                      : "set HF_TOKEN to a token of that account");
    if (has_token)
        return error_set(
            err, ERR_DENIED,
            "UNAUTHORIZED - Authentication required for this model: %s does not exist, "
            "or the token (HF_TOKEN) is not valid or has no access to it",
            name);
    return error_set(err, ERR_DENIED,
                     "UNAUTHORIZED - Authentication required for this model: %s does not exist, or "
                     "is private; check the name, or set HF_TOKEN to a token that has access",
                     name);
}

static int explain_failure(const struct registry_repo *site, const struct failure *f,
                           const char *repository, const char *doing, struct error *err)
{
    CLEANUP_FREE char *name = xasprintf("hf.co/%s", repository);
    CLEANUP_FREE char *page = xasprintf("%s/%s", registry_hf_endpoint(site->r), repository);
    switch (f->status) {
    case 401:
    case 403:
        return denied(name, page, strcmp(f->code, "GatedRepo") == 0, site->bearer != NULL, err);
    case 404:
        if (strcmp(f->code, "RevisionNotFound") == 0)
            return error_set(err, ERR_NOT_FOUND,
                             "MANIFEST_UNKNOWN - Model not found: %s has no revision 'main'", name);
        if (strcmp(f->code, "EntryNotFound") == 0)
            return error_set(err, ERR_NOT_FOUND,
                             "MANIFEST_UNKNOWN - Model not found: %s has changed meanwhile (%s)",
                             name, doing);
        return error_set(err, ERR_NOT_FOUND,
                         "MANIFEST_UNKNOWN - Model not found: there is no %s; check the name",
                         page);
    case 429:
        return error_set(err, ERR_BUSY, "TOOMANYREQUESTS - %s asks to come back later (%s)%s",
                         registry_repo_host(site), doing,
                         site->bearer ? "" : "; a token in HF_TOKEN has a higher limit");
    default:
        return error_set(err, f->status >= 500 ? ERR_UNAVAILABLE : ERR_IO,
                         "UNKNOWN - %s: %s answered %d%s%s", doing, registry_repo_host(site),
                         f->status, *f->code ? " " : "", f->code);
    }
}

static bool is_unauthorized(const struct error *err)
{
    return err->code == ERR_DENIED && str_starts_with(str_from(err->msg), STR("UNAUTHORIZED"));
}

/* GET; everything but 200 is an error in the user's words. */
static int get(struct registry_repo *site, const char *path, const char *repository,
               const char *doing, size_t max_body, struct http_cancel *cancel,
               struct registry_response *ret, struct error *err)
{
    struct failure f = {0};
    struct error failed = ERROR_INIT;
    struct registry_request req = {.path = path,
                                   .on_header = note_error_code,
                                   .ctx = &f,
                                   .max_body = max_body,
                                   .idempotent = true};
    struct registry_response res = {0};
    int r = registry_request(site, &req, cancel, &res, &failed);
    if (r < 0) {
        f.status = 401;
        return is_unauthorized(&failed) ? explain_failure(site, &f, repository, doing, err)
                                        : error_copy(err, &failed);
    }
    if (res.status != 200) {
        f.status = res.status;
        registry_response_release(&res);
        return explain_failure(site, &f, repository, doing, err);
    }
    *ret = res;
    return 0;
}

int hf_explain(const struct hf_model *m, struct error *err)
{
    if (!is_unauthorized(err) || !m->repository)
        return -(int)err->code;
    CLEANUP_FREE char *name = xasprintf("hf.co/%s", m->repository);
    return denied(name, m->page, m->gated, m->has_token, err);
}

/* ---- the listing ---- */

/* The path and query of the next page, if it is one of this API's. */
static char *next_path(const struct registry_response *res)
{
    const char *api = res->link_next ? strstr(res->link_next, "/api/models/") : NULL;
    return api ? xstrdup(api) : NULL;
}

static int list_tree(struct registry_repo *site, const char *repository, const char *dir,
                     unsigned *pages, struct http_cancel *cancel, struct hf_listing *l,
                     struct buf *dirs, struct error *err)
{
    CLEANUP_FREE char *repo_text = url_encode(str_from(repository), "/");
    CLEANUP_FREE char *dir_text = url_encode(str_from(dir), "/");
    CLEANUP_FREE char *path = xasprintf("/api/models/%s/tree/main%s%s?recursive=true", repo_text,
                                        *dir ? "/" : "", dir_text);
    while (path) {
        ++*pages;
        struct registry_response res = {0};
        int r =
            get(site, path, repository, "listing of the files", MAX_PAGE_BYTES, cancel, &res, err);
        if (r < 0)
            return r;
        r = hf_listing_add(l, buf_str(&res.body), dirs, err);
        char *next = r == 0 ? next_path(&res) : NULL;
        registry_response_release(&res);
        if (r < 0)
            return error_wrap(err, "hf.co/%s", repository);
        bool circular = next && strcmp(next, path) == 0;
        free(path);
        path = next;
        if (circular || (next && *pages >= MAX_PAGES))
            return error_set(err, ERR_TOO_LARGE, "the listing of hf.co/%s does not end",
                             repository);
    }
    return 0;
}

/* Everything in the repository. A mirror that lists one level at a time is asked for each folder.
 */
static int list_all(struct registry_repo *site, const char *repository, struct http_cancel *cancel,
                    struct hf_listing *l, struct error *err)
{
    CLEANUP_BUF struct buf dirs = BUF_INIT(MAX_DIRS_BYTES), more = BUF_INIT(MAX_DIRS_BYTES);
    unsigned pages = 0;
    int r = list_tree(site, repository, "", &pages, cancel, l, &dirs, err);
    while (r == 0 && dirs.len > 0) {
        r = hf_listing_sort(l, err);
        struct hf_listing found = {0};
        for (size_t at = 0; r == 0 && at < dirs.len; at += strlen(dirs.data + at) + 1) {
            if (!hf_listing_has_under(l, dirs.data + at) && pages < MAX_PAGES)
                r = list_tree(site, repository, dirs.data + at, &pages, cancel, &found, &more, err);
        }
        for (size_t i = 0; r == 0 && i < found.n; i++) {
            if (l->n == l->cap) {
                l->cap = MAX(l->cap * 2, (size_t)64);
                l->entries = xrealloc(l->entries, l->cap, sizeof(*l->entries));
            }
            l->entries[l->n++] = found.entries[i];
            found.entries[i].path = NULL;
        }
        bool grown = found.n > 0;
        hf_listing_release(&found);
        buf_clear(&dirs);
        if (r == 0 && grown)
            r = buf_append(&dirs, buf_str(&more));
        buf_clear(&more);
        if (r == 0 && l->n > HF_MAX_FILES)
            r = error_set(err, ERR_TOO_LARGE, "more than %d files", HF_MAX_FILES);
    }
    return r == 0 ? hf_listing_sort(l, err) : r;
}

/* Date and gate; without them a model can be pulled as well. */
static int ask_about(struct registry_repo *site, struct hf_model *m, struct http_cancel *cancel,
                     struct error *err)
{
    CLEANUP_FREE char *repo_text = url_encode(str_from(m->repository), "/");
    CLEANUP_FREE char *path = xasprintf("/api/models/%s/revision/main", repo_text);
    struct registry_request req = {.path = path, .max_body = MAX_PAGE_BYTES};
    struct registry_response res = {0};
    struct error failed = ERROR_INIT;
    int r = registry_request(site, &req, cancel, &res, &failed);
    if (r == -ERR_CANCELED)
        return error_copy(err, &failed);
    CLEANUP_JSON struct json *v = NULL;
    struct timespec date = {0};
    if (r == 0 && res.status == 200 && js_parse(buf_str(&res.body), "the answer", &v, NULL) == 0) {
        const struct json *gated = js_get(v, "gated");
        m->gated = js_to_bool(gated, false) || js_to_str(gated).len > 0;
        if (clock_parse_rfc3339(js_get_str(v, "lastModified"), &date, NULL) == 0 && date.tv_sec > 0)
            m->last_modified = date.tv_sec;
    }
    registry_response_release(&res);
    return 0;
}

/* ---- the model ---- */

static int add_file(struct hf_model *m, const struct hf_entry *e, struct error *err)
{
    if (!e->has_sha256 && e->size > HF_MAX_SMALL)
        return error_set(
            err, ERR_UNSUPPORTED,
            "hf.co/%s: the listing tells no SHA-256 for '%s', so its %llu bytes cannot "
            "be checked",
            m->repository, e->path, (unsigned long long)e->size);
    if (add_overflows(m->total_bytes, e->size, &m->total_bytes) || m->total_bytes > INT64_MAX)
        return error_set(err, ERR_CORRUPT, "hf.co/%s: the sizes of its files are impossible",
                         m->repository);
    CLEANUP_FREE char *repo_text = url_encode(str_from(m->repository), "/");
    CLEANUP_FREE char *path_text = url_encode(str_from(e->path), "/");
    struct hf_file *f = &m->files[m->n_files++];
    *f = (struct hf_file){.path = xstrdup(e->path),
                          .url_path = xasprintf("/%s/resolve/main/%s", repo_text, path_text),
                          .size = e->size,
                          .has_sha256 = e->has_sha256,
                          .sha256 = e->sha256,
                          .kind = oci_file_kind(str_from(e->path))};
    memcpy(f->git_oid, e->git_oid, sizeof(f->git_oid));
    if (f->kind == OCI_LAYER_DOC)
        f->kind = OCI_LAYER_FILE;
    return 0;
}

static int take_choice(struct hf_model *m, const struct hf_listing *l, const struct hf_choice *c,
                       struct error *err)
{
    m->gguf = c->gguf;
    memcpy(m->quantization, c->quantization, sizeof(m->quantization));
    m->files = alloc_array_zero(c->n_files, sizeof(*m->files));
    if (!m->files)
        return error_set(err, ERR_NOMEM, "out of memory");
    int r = 0;
    for (size_t i = 0; r == 0 && i < c->n_files; i++)
        r = add_file(m, &l->entries[c->files[i]], err);
    return r;
}

int hf_resolve(struct registry_repo *site, const struct oci_reference *ref,
               struct http_cancel *cancel, struct hf_model *ret, struct error *err)
{
    CLEANUP_FREE char *name = xasprintf("hf.co/%s", ref->typed_repository);
    if (*ref->digest.text)
        return error_set(
            err, ERR_INVALID,
            "%s@%s: Hugging Face knows no models by digest; give a quantisation as the "
            "tag",
            name, ref->digest.text);
    const char *slash = strchr(ref->typed_repository, '/');
    if (slash && strchr(slash + 1, '/'))
        return error_set(err, ERR_INVALID,
                         "%s: a repository of Hugging Face is hf.co/ORG/NAME; a file or folder in "
                         "it is chosen by the quantisation, as the tag",
                         name);
    struct hf_model m = {
        .repository = xstrdup(ref->typed_repository),
        .page = xasprintf("%s/%s", registry_hf_endpoint(site->r), ref->typed_repository),
        .has_token = site->bearer != NULL};
    struct hf_listing l = {0};
    struct hf_choice c = {0};
    int r = list_all(site, m.repository, cancel, &l, err);
    if (r == 0)
        r = hf_choose(&l, ref->tag, name, &c, err);
    if (r == 0)
        r = take_choice(&m, &l, &c, err);
    if (r == 0)
        r = ask_about(site, &m, cancel, err);
    free(c.files);
    hf_listing_release(&l);
    if (r < 0) {
        hf_model_release(&m);
        return r;
    }
    *ret = m;
    return 0;
}

void hf_model_release(struct hf_model *m)
{
    for (size_t i = 0; i < m->n_files; i++) {
        free(m->files[i].path);
        free(m->files[i].url_path);
    }
    free(m->files);
    free(m->repository);
    free(m->page);
    *m = (struct hf_model){0};
}

/* ---- small files ---- */

/* "ORG/REPO" of "/ORG/REPO/resolve/main/…". */
static char *repository_of(const struct hf_file *file)
{
    const char *end = strstr(file->url_path, "/resolve/main/");
    return xasprintf("%.*s", end ? (int)(end - file->url_path - 1) : 0, file->url_path + 1);
}

int hf_fetch_small(struct registry_repo *site, const struct hf_file *file,
                   struct http_cancel *cancel, struct buf *out, struct error *err)
{
    if (file->size > HF_MAX_SMALL)
        return error_set(err, ERR_TOO_LARGE, "'%s' is larger than %d bytes", file->path,
                         HF_MAX_SMALL);
    CLEANUP_FREE char *repository = repository_of(file);
    struct registry_response res = {0};
    int r = get(site, file->url_path, repository, file->path, HF_MAX_SMALL, cancel, &res, err);
    if (r < 0)
        return r;
    struct str bytes = buf_str(&res.body);
    char oid[GIT_OID_HEX + 1];
    struct oci_digest digest = oci_digest_of(bytes);
    git_blob_oid(bytes, oid);
    if (bytes.len != file->size)
        r = error_set(err, ERR_CORRUPT, "'%s' has %zu bytes instead of %llu", file->path, bytes.len,
                      (unsigned long long)file->size);
    else if (file->has_sha256 && !oci_digest_eq(&digest, &file->sha256))
        r = error_set(err, ERR_CORRUPT, "'%s' is %s instead of %s", file->path, digest.text,
                      file->sha256.text);
    else if (!file->has_sha256 && *file->git_oid && strcmp(oid, file->git_oid) != 0)
        r = error_set(err, ERR_CORRUPT, "'%s' is git object %s instead of %s", file->path, oid,
                      file->git_oid);
    else if (buf_append(out, bytes) < 0)
        r = buf_check(out, file->path, err);
    registry_response_release(&res);
    return r;
}
