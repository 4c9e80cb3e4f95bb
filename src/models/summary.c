/* SPDX-License-Identifier: Apache-2.0
 *
 * What a list says of each model, kept in one file, so that the first list of a new process need not
 * read and parse two small files for each of thousands of models: ROOT/.model-runner.models is
 *
 *     model-runner models 1 <sha256 of all that follows>
 *     <id> <created> <context size> <bytes of layers> <six lengths>
 *     <format><quantization><parameters><architecture><size><config as JSON text>
 *     …
 *
 * An entry belongs to a digest, so it cannot become wrong, only superfluous: it counts while the
 * index names the model and the manifest is there. The file is a memory, not a promise: one that is
 * absent, cut short or damaged is not used, and is written anew when enough had to be read. */
#include <string.h>

#include "base/file.h"
#include "models/models_internal.h"

enum { FILE_MAX = 64 << 20, N_STRINGS = 6 };

static const char file_name[] = ".model-runner.models";
static const char magic[] = "model-runner models 1 ";

static char *file_path(const struct models *m)
{
    return path_join(models_root(m), file_name);
}

/* ---- writing ---- */

static void write_entry(const struct model_meta *x, struct buf *out)
{
    const struct oci_model_config *c = &x->config;
    const char *const texts[N_STRINGS] = {c->format,       c->quantization, c->parameters,
                                          c->architecture, c->size,         x->config_json};
    buf_printf(out, "%s %lld %d %llu", x->id.text, (long long)c->created_s, (int)c->context_size,
               (unsigned long long)x->bytes);
    for (size_t i = 0; i < N_STRINGS; i++)
        buf_printf(out, " %zu", strlen(texts[i]));
    buf_push(out, '\n');
    for (size_t i = 0; i < N_STRINGS; i++)
        buf_append_c(out, texts[i]);
    buf_push(out, '\n');
}

void models__summaries_save(struct models *m, const struct model_list *l)
{
    CLEANUP_BUF struct buf body = BUF_INIT(FILE_MAX);
    CLEANUP_BUF struct buf text = BUF_INIT(FILE_MAX + 256);
    CLEANUP_FREE char *path = file_path(m);
    char hex[SHA256_HEX + 1];
    for (size_t i = 0; i < l->n; i++)
        write_entry(l->items[i].meta, &body);
    sha256_hex(buf_str(&body), hex);
    buf_printf(&text, "%s%s\n", magic, hex);
    buf_append(&text, buf_str(&body));
    if (!body.failed && !text.failed)
        file_write_atomic(path, buf_str(&text), 0644, NULL);
}

/* ---- reading ---- */

static bool take_u64(struct str *line, uint64_t *ret)
{
    struct str word;
    return str_split_next(line, ' ', &word) && str_to_u64(word, "", ret, NULL) == 0;
}

static bool take_text(struct str *rest, uint64_t n, char **ret)
{
    if (n > rest->len || memchr(rest->ptr, '\0', (size_t)n))
        return false;
    *ret = str_dup(str_sub(*rest, 0, (size_t)n));
    *rest = str_sub(*rest, (size_t)n, SIZE_MAX);
    return *ret != NULL;
}

/* The next entry, as a meta that knows no manifest; NULL at the end, or when it is none. */
static struct model_meta *read_entry(struct str *rest)
{
    struct str line, id, created;
    struct oci_digest digest;
    int64_t created_s;
    uint64_t context, bytes, n[N_STRINGS];
    if (!str_split_next(rest, '\n', &line) || !str_split_next(&line, ' ', &id) ||
        oci_digest_parse(id, &digest, NULL) < 0 || !str_split_next(&line, ' ', &created) ||
        str_to_i64(created, "", &created_s, NULL) < 0 || !take_u64(&line, &context) ||
        context > INT32_MAX || !take_u64(&line, &bytes))
        return NULL;
    for (size_t i = 0; i < N_STRINGS; i++)
        if (!take_u64(&line, &n[i]))
            return NULL;
    struct model_meta *x = models__meta_new(&digest);
    struct oci_model_config *c = &x->config;
    char **const texts[N_STRINGS] = {&c->format,       &c->quantization, &c->parameters,
                                     &c->architecture, &c->size,         &x->config_json};
    bool good = true;
    for (size_t i = 0; good && i < N_STRINGS; i++)
        good = take_text(rest, n[i], texts[i]);
    if (!good || rest->len == 0 || rest->ptr[0] != '\n') {
        models__meta_unref(x);
        return NULL;
    }
    *rest = str_sub(*rest, 1, SIZE_MAX);
    c->created_s = created_s;
    c->context_size = (int32_t)context;
    x->bytes = bytes;
    return x;
}

/* The part behind the first line, if that has its digest. */
static bool check(struct str text, struct str *ret)
{
    struct str line;
    char hex[SHA256_HEX + 1];
    if (!str_split_next(&text, '\n', &line) || !str_starts_with(line, str_from(magic)))
        return false;
    sha256_hex(text, hex);
    *ret = text;
    return str_eq_c(str_sub(line, strlen(magic), SIZE_MAX), hex);
}

size_t models__summaries_load(struct models *m, void (*take)(struct models *, struct model_meta *))
{
    CLEANUP_BUF struct buf text = BUF_INIT(FILE_MAX + 256);
    CLEANUP_FREE char *path = file_path(m);
    struct str rest;
    size_t n = 0;
    if (file_read(path, &text, NULL) < 0 || !check(buf_str(&text), &rest))
        return 0;
    for (struct model_meta *x; (x = read_entry(&rest)); n++)
        take(m, x);
    return n;
}
