/* SPDX-License-Identifier: Apache-2.0
 *
 * Local files → config, manifest and tar of a model artifact. */
#include "models/artifact.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "gguf/gguf.h"
#include "models/gguf_info.h"
#include "models/tar.h"
#include "oci/manifest.h"
#include "oci/model_config.h"

enum {
    TEXT_MAX = 4 << 20, /* of a template or a licence */
    CHUNK = 1 << 20,
};

/* What is gathered while building. */
struct builder {
    struct artifact *a;
    struct stat *stats; /* of a->files */
    struct oci_model_config config;
    artifact_progress_fn progress;
    void *ctx;
    uint64_t done;
    bool has_epoch;
    time_t epoch; /* SOURCE_DATE_EPOCH */
};

/* ---- gathering files ---- */

static int add_file(struct builder *b, const char *path, const char *media_type, struct error *err)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) != 0)
        return error_errno(err, errno, "cannot open '%s'", path);
    if (!S_ISREG(st.st_mode))
        return error_set(err, ERR_INVALID, "'%s' is not a regular file", path);
    struct artifact *a = b->a;
    a->files = xrealloc(a->files, a->n_files + 1, sizeof(*a->files));
    b->stats = xrealloc(b->stats, a->n_files + 1, sizeof(*b->stats));
    b->stats[a->n_files] = st;
    a->files[a->n_files++] = (struct artifact_file){
        .path = path_absolute(path),
        .name = xstrdup(path_base(path)),
        .media_type = media_type,
        .size = (uint64_t)st.st_size,
    };
    a->total_bytes += (uint64_t)st.st_size;
    return 0;
}

/* "NAME-00002-of-00005.gguf": fills the number of shards and the length of NAME. */
static bool is_shard_name(const char *base, unsigned *ret_total, size_t *ret_stem)
{
    static const char pattern[] = "-#####-of-#####.gguf";
    size_t n = strlen(base), tail = sizeof(pattern) - 1;
    if (n <= tail)
        return false;
    const char *p = base + n - tail;
    for (size_t i = 0; i < tail; i++) {
        bool fits = pattern[i] == '#' ? p[i] >= '0' && p[i] <= '9' : p[i] == pattern[i];
        if (!fits)
            return false;
    }
    *ret_total = (unsigned)strtoul(p + 10, NULL, 10);
    *ret_stem = n - tail;
    return *ret_total > 0;
}

/* Adds the weights: the file, or all shards of it. */
static int add_weights(struct builder *b, const char *path, struct error *err)
{
    unsigned total;
    size_t stem;
    if (!is_shard_name(path_base(path), &total, &stem))
        return add_file(b, path, OCI_TYPE_GGUF, err);
    if (total > ARTIFACT_MAX_SHARDS)
        return error_set(err, ERR_INVALID, "'%s': %u shards; at most %d are allowed", path, total,
                         ARTIFACT_MAX_SHARDS);
    CLEANUP_FREE char *dir = path_dir(path);
    unsigned found = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (unsigned i = 1; i <= total; i++) {
            CLEANUP_FREE char *name =
                xasprintf("%.*s-%05u-of-%05u.gguf", (int)stem, path_base(path), i, total);
            CLEANUP_FREE char *shard = path_join(dir, name);
            if (pass == 0) {
                found += file_exists(shard);
                continue;
            }
            int r = add_file(b, shard, OCI_TYPE_GGUF, err);
            if (r < 0)
                return r;
        }
        if (found != total)
            return error_set(err, ERR_INVALID,
                             "incomplete shard set: found %u of %u shards for '%s'", found, total,
                             path);
    }
    return 0;
}

/* A template or licence must be text. */
static int check_text(const char *path, const char *what, struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT(TEXT_MAX);
    int r = file_read(path, &text, err);
    if (r < 0)
        return error_wrap(err, "%s", what);
    struct str s = buf_str(&text);
    if (s.len == 0)
        return error_set(err, ERR_INVALID, "the %s '%s' is empty", what, path);
    if (!utf8_valid(s.ptr, s.len) || str_find_char(s, '\0') >= 0)
        return error_set(err, ERR_INVALID, "the %s '%s' is not UTF-8 text", what, path);
    return 0;
}

/* Opens a GGUF whole, so that everything in its directory is checked. */
static int check_gguf(const char *path, struct gguf **ret, struct error *err)
{
    int r = gguf_open(path, 0, ret, err);
    if (r < 0)
        return error_wrap(err, "'%s' is not a usable GGUF file", path);
    return 0;
}

static int gather(struct builder *b, const struct artifact_source *src, struct error *err)
{
    if (!src->gguf || !*src->gguf)
        return error_set(err, ERR_INVALID, "no GGUF file to package");
    if (src->n_licenses > ARTIFACT_MAX_LICENSES)
        return error_set(err, ERR_INVALID, "more than %d licence files", ARTIFACT_MAX_LICENSES);
    if (src->context_size < 0)
        return error_set(err, ERR_INVALID, "the context size must not be negative");
    int r = add_weights(b, src->gguf, err);
    if (r < 0)
        return r;
    struct gguf *g;
    r = check_gguf(b->a->files[0].path, &g, err);
    if (r < 0)
        return r;
    gguf_info_fill(g, &b->config);
    gguf_free(g);
    if (src->context_size > 0)
        b->config.context_size = src->context_size;

    for (size_t i = 0; r == 0 && i < src->n_licenses; i++) {
        r = check_text(src->licenses[i], "licence", err);
        if (r == 0)
            r = add_file(b, src->licenses[i], OCI_TYPE_LICENSE, err);
    }
    if (r == 0 && src->chat_template) {
        r = check_text(src->chat_template, "chat template", err);
        if (r == 0)
            r = add_file(b, src->chat_template, OCI_TYPE_TEMPLATE, err);
    }
    if (r == 0 && src->mmproj) {
        r = check_gguf(src->mmproj, &g, err);
        if (r == 0) {
            gguf_free(g);
            r = add_file(b, src->mmproj, OCI_TYPE_MMPROJ, err);
        }
    }
    return r;
}

/* ---- hashing ---- */

/* Reads a file of the artifact through fn, which may be NULL, hashing it. The file must be as long
 * as it was. */
static int read_file(const struct artifact_file *f, artifact_sink_fn sink, void *sink_ctx,
                     struct builder *progress, struct oci_digest *ret, struct error *err)
{
    CLEANUP_FD int fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "cannot open '%s'", f->path);
    CLEANUP_FREE char *chunk = xmalloc(CHUNK);
    struct sha256 *hash = sha256_new();
    int r = 0;
    uint64_t done = 0;
    while (r == 0 && done < f->size) {
        ssize_t n = read(fd, chunk, (size_t)MIN((uint64_t)CHUNK, f->size - done));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            r = error_errno(err, errno, "cannot read '%s'", f->path);
        else if (n == 0)
            r = error_set(err, ERR_CONFLICT, "'%s' changed while it was being packaged", f->path);
        if (r < 0)
            break;
        sha256_update(hash, chunk, (size_t)n);
        done += (uint64_t)n;
        if (sink)
            r = sink(sink_ctx, chunk, (size_t)n, err);
        if (r == 0 && progress && progress->progress &&
            progress->progress(progress->ctx, progress->done + done, progress->a->total_bytes) != 0)
            r = error_set(err, ERR_CANCELED, "canceled");
    }
    if (r < 0) {
        sha256_free(hash);
        return r;
    }
    char hex[SHA256_HEX + 1];
    sha256_final_hex(hash, hex);
    *ret = oci_digest_from_sha256_hex(hex);
    return 0;
}

static int hash_files(struct builder *b, struct error *err)
{
    for (size_t i = 0; i < b->a->n_files; i++) {
        struct artifact_file *f = &b->a->files[i];
        int r = read_file(f, NULL, NULL, b, &f->digest, err);
        if (r < 0)
            return r;
        b->done += f->size;
    }
    return 0;
}

/* ---- config and manifest ---- */

static int read_epoch(struct builder *b, struct error *err)
{
    const char *text = getenv("SOURCE_DATE_EPOCH");
    if (!text || !*text)
        return 0;
    uint64_t s;
    int r = str_to_u64(str_from(text), "SOURCE_DATE_EPOCH", &s, err);
    if (r < 0)
        return r;
    if (s > 253402300799u)
        return error_set(err, ERR_INVALID, "SOURCE_DATE_EPOCH lies behind the year 9999");
    b->has_epoch = true;
    b->epoch = (time_t)s;
    return 0;
}

static void time_text(const struct builder *b, struct timespec t, char out[CLOCK_TEXT_MAX])
{
    clock_rfc3339_utc(b->has_epoch ? (struct timespec){.tv_sec = b->epoch} : t, out);
}

static void set_created(struct builder *b)
{
    struct timespec newest = {0};
    for (size_t i = 0; i < b->a->n_files; i++) {
        struct timespec t = b->stats[i].st_mtim;
        if (t.tv_sec > newest.tv_sec || (t.tv_sec == newest.tv_sec && t.tv_nsec > newest.tv_nsec))
            newest = t;
    }
    char text[CLOCK_TEXT_MAX];
    time_text(b, newest, text);
    b->config.created = xstrdup(text);
}

static int make_config(struct builder *b, struct error *err)
{
    struct artifact *a = b->a;
    set_created(b);
    b->config.diff_ids = xcalloc(a->n_files, sizeof(*b->config.diff_ids));
    for (size_t i = 0; i < a->n_files; i++)
        b->config.diff_ids[b->config.n_diff_ids++] = a->files[i].digest;
    CLEANUP_BUF struct buf text = BUF_INIT(OCI_CONFIG_MAX_BYTES);
    oci_model_config_write(&b->config, &text);
    int r = buf_check(&text, "the config of the model", err);
    if (r < 0)
        return r;
    a->config_digest = oci_digest_of(buf_str(&text));
    a->config_len = text.len;
    a->config = buf_take(&text);
    return a->config ? 0 : error_set(err, ERR_NOMEM, "out of memory");
}

/* The annotations that tell where a layer's file goes and what it was. */
static void annotate(const struct builder *b, size_t i, struct oci_descriptor *layer)
{
    const struct artifact_file *f = &b->a->files[i];
    char mtime[CLOCK_TEXT_MAX];
    time_text(b, b->stats[i].st_mtim, mtime);
    CLEANUP_BUF struct buf text = BUF_INIT(64 << 10);
    buf_append_c(&text, "{\"name\":");
    oci_write_string(str_from(f->name), &text);
    buf_printf(&text,
               ",\"mode\":%u,\"uid\":0,\"gid\":0,\"size\":%llu,\"mtime\":\"%s\",\"typeflag\":0}",
               (unsigned)(b->stats[i].st_mode & 0777), (unsigned long long)f->size, mtime);
    oci_map_set(&layer->annotations, STR(OCI_ANNOTATION_FILE_METADATA), buf_str(&text));
    oci_map_set(&layer->annotations, STR(OCI_ANNOTATION_UNTESTED), STR("false"));
    oci_map_set(&layer->annotations, STR(OCI_ANNOTATION_FILEPATH), str_from(f->name));
}

static int make_manifest(struct builder *b, struct error *err)
{
    struct artifact *a = b->a;
    struct oci_manifest m = {0};
    oci_manifest_set_config(&m, OCI_TYPE_CONFIG_V01, &a->config_digest, a->config_len);
    for (size_t i = 0; i < a->n_files; i++) {
        const struct artifact_file *f = &a->files[i];
        annotate(b, i, oci_manifest_add_layer(&m, f->media_type, &f->digest, f->size));
    }
    CLEANUP_BUF struct buf text = BUF_INIT(OCI_MANIFEST_MAX_BYTES);
    oci_manifest_write(&m, &text);
    oci_manifest_release(&m);
    int r = buf_check(&text, "the manifest of the model", err);
    if (r < 0)
        return r;
    a->id = oci_digest_of(buf_str(&text));
    a->manifest_len = text.len;
    a->manifest = buf_take(&text);
    return a->manifest ? 0 : error_set(err, ERR_NOMEM, "out of memory");
}

int artifact_build(const struct artifact_source *src, artifact_progress_fn progress, void *ctx,
                   struct artifact **ret, struct error *err)
{
    struct builder b = {.a = xcalloc(1, sizeof(*b.a)), .progress = progress, .ctx = ctx};
    int r = read_epoch(&b, err);
    if (r == 0)
        r = gather(&b, src, err);
    if (r == 0)
        r = hash_files(&b, err);
    if (r == 0)
        r = make_config(&b, err);
    if (r == 0)
        r = make_manifest(&b, err);
    oci_model_config_release(&b.config);
    free(b.stats);
    if (r < 0) {
        artifact_free(b.a);
        return r;
    }
    *ret = b.a;
    return 0;
}

void artifact_free(struct artifact *a)
{
    if (!a)
        return;
    for (size_t i = 0; i < a->n_files; i++) {
        free(a->files[i].path);
        free(a->files[i].name);
    }
    free(a->files);
    free(a->config);
    free(a->manifest);
    free(a);
}

/* ---- tar ---- */

static void blob_name(const struct oci_digest *d, char out[OCI_DIGEST_TEXT_MAX + 8])
{
    snprintf(out, OCI_DIGEST_TEXT_MAX + 8, "blobs/%s/%s", oci_digest_algorithm(d),
             oci_digest_hex(d));
}

static int send_file(const struct artifact_file *f, artifact_sink_fn sink, void *ctx,
                     struct error *err)
{
    char name[OCI_DIGEST_TEXT_MAX + 8];
    blob_name(&f->digest, name);
    struct oci_digest now;
    int r = tar_send_header(sink, ctx, name, TAR_FILE, f->size, err);
    if (r == 0)
        r = read_file(f, sink, ctx, NULL, &now, err);
    if (r == 0 && !oci_digest_eq(&now, &f->digest))
        r = error_set(err, ERR_CONFLICT, "'%s' changed while it was being packaged", f->path);
    return r == 0 ? tar_send_zeros(sink, ctx, tar_padding(f->size), err) : r;
}

int artifact_write_tar(const struct artifact *a, artifact_sink_fn sink, void *sink_ctx,
                       struct error *err)
{
    char name[OCI_DIGEST_TEXT_MAX + 8];
    int r = tar_send_header(sink, sink_ctx, "blobs", TAR_DIR, 0, err);
    if (r == 0)
        r = tar_send_header(sink, sink_ctx, "blobs/sha256", TAR_DIR, 0, err);
    for (size_t i = 0; r == 0 && i < a->n_files; i++)
        r = send_file(&a->files[i], sink, sink_ctx, err);
    blob_name(&a->config_digest, name);
    if (r == 0)
        r = tar_send_bytes(sink, sink_ctx, name, str_make(a->config, a->config_len), err);
    if (r == 0)
        r = tar_send_bytes(sink, sink_ctx, "manifest.json", str_make(a->manifest, a->manifest_len),
                           err);
    return r == 0 ? tar_send_zeros(sink, sink_ctx, TAR_END, err) : r;
}

uint64_t artifact_tar_size(const struct artifact *a)
{
    uint64_t n = 2 * (uint64_t)TAR_BLOCK + TAR_END;
    for (size_t i = 0; i < a->n_files; i++)
        n += tar_entry_bytes(a->files[i].size);
    return n + tar_entry_bytes(a->config_len) + tar_entry_bytes(a->manifest_len);
}
