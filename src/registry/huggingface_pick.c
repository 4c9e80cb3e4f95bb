/* SPDX-License-Identifier: Apache-2.0
 *
 * The choice of files from a listing, by their names alone.
 *
 * GGUF files come in groups: a file by itself, or the shards "NAME-00001-of-00003.gguf". A group
 * has a quantisation label (oci/quantization.h). A tag is compared with labels first, then without
 * "UD-", then as words anywhere in the path that cut no label in two ("i1-Q4_K_M", a folder's name,
 * the whole file name). The first kind of match that there is at all decides. */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "oci/quantization.h"
#include "registry/huggingface_internal.h"

struct group {
    struct str stem;  /* path without ".gguf" and the shard's number */
    struct str label; /* in the stem; {NULL, 0} = none */
    size_t first, n;  /* of the sorted files */
    unsigned shards;  /* that there should be; 0 = no set */
};

/* One weight file. */
struct weight {
    size_t entry;
    struct str stem;
    unsigned index, shards; /* 0 of 0 = no shard */
};

/* ---- words ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool starts_nocase(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_eq_nocase(str_sub(s, 0, prefix.len), prefix);
}

static bool ends_nocase(struct str s, struct str suffix)
{
    return s.len >= suffix.len && str_eq_nocase(str_sub(s, s.len - suffix.len, suffix.len), suffix);
}

static struct str base_name(struct str path)
{
    ptrdiff_t slash = str_rfind_char(path, '/');
    return str_sub(path, (size_t)(slash + 1), SIZE_MAX);
}

static struct str folder_name(struct str path)
{
    ptrdiff_t slash = str_rfind_char(path, '/');
    return str_sub(path, 0, slash < 0 ? 0 : (size_t)slash);
}

static struct str without_ud(struct str label)
{
    return starts_nocase(label, STR("UD-")) ? str_sub(label, 3, SIZE_MAX) : label;
}

/* Does s[from, to) begin or end inside one of its labels? */
static bool cuts_label(struct str s, size_t from, size_t to)
{
    size_t at = 0;
    struct str label;
    while (oci_quantization_next(s, &at, &label)) {
        struct str bare = without_ud(label); /* "UD" may be left out */
        size_t begin = (size_t)(bare.ptr - s.ptr), end = begin + bare.len;
        if (from < end && to > begin && (from > begin || to < end))
            return true;
    }
    return false;
}

static bool has_words(struct str s, struct str words)
{
    for (size_t i = 0; i + words.len <= s.len; i++) {
        if ((i == 0 || !is_word(s.ptr[i - 1])) &&
            (i + words.len == s.len || !is_word(s.ptr[i + words.len])) &&
            str_eq_nocase(str_sub(s, i, words.len), words) && !cuts_label(s, i, i + words.len))
            return true;
    }
    return false;
}

/* ---- groups ---- */

/* Takes "-00001-of-00003" off a name. */
static bool split_shard(struct str *name, unsigned *ret_index, unsigned *ret_shards)
{
    enum { SUFFIX = sizeof("-00001-of-00003") - 1 };
    if (name->len <= SUFFIX)
        return false;
    struct str s = str_sub(*name, name->len - SUFFIX, SUFFIX);
    uint64_t index, shards;
    if (s.ptr[0] != '-' || !str_eq_c(str_sub(s, 6, 4), "-of-") ||
        str_to_u64(str_sub(s, 1, 5), "", &index, NULL) < 0 ||
        str_to_u64(str_sub(s, 10, 5), "", &shards, NULL) < 0 || index < 1 || index > shards)
        return false;
    name->len -= SUFFIX;
    *ret_index = (unsigned)index;
    *ret_shards = (unsigned)shards;
    return true;
}

static int by_group(const void *pa, const void *pb)
{
    const struct weight *a = pa, *b = pb;
    int c = str_cmp(a->stem, b->stem);
    if (c == 0)
        c = (a->shards > b->shards) - (a->shards < b->shards);
    return c ? c : (a->index > b->index) - (a->index < b->index);
}

/* Statistics that quantisers leave beside the weights. */
static bool is_imatrix(struct str path)
{
    return has_words(base_name(path), STR("imatrix")) && !oci_quantization_of(base_name(path)).ptr;
}

/* The weight files of one kind, sorted so that shards follow each other. */
static size_t find_weights(const struct hf_listing *l, enum oci_layer_kind kind, const char *suffix,
                           struct weight *ret)
{
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        struct str path = str_from(l->entries[i].path);
        if (oci_file_kind(path) != kind || is_imatrix(path))
            continue;
        struct weight *w = &ret[n++];
        *w = (struct weight){.entry = i, .stem = str_sub(path, 0, path.len - strlen(suffix))};
        split_shard(&w->stem, &w->index, &w->shards);
    }
    if (n > 0)
        qsort(ret, n, sizeof(*ret), by_group);
    return n;
}

static size_t make_groups(const struct weight *weights, size_t n, struct group *ret)
{
    size_t n_groups = 0;
    for (size_t i = 0; i < n; i++) {
        const struct weight *w = &weights[i];
        struct group *last = n_groups > 0 ? &ret[n_groups - 1] : NULL;
        if (last && w->shards > 0 && last->shards == w->shards && str_eq(last->stem, w->stem)) {
            last->n++;
            continue;
        }
        ret[n_groups++] = (struct group){.stem = w->stem,
                                         .label = oci_quantization_of(w->stem),
                                         .first = i,
                                         .n = 1,
                                         .shards = w->shards};
    }
    return n_groups;
}

static int check_shards(const struct group *g, const char *name, struct error *err)
{
    if (g->shards == 0 || g->n == g->shards)
        return 0;
    return error_set(err, ERR_CORRUPT, "%s: incomplete shard set: found %zu of %u shards for %.*s",
                     name, g->n, g->shards, STR_ARG(g->stem));
}

/* ---- the tag ---- */

static bool is_default_tag(const char *tag)
{
    return !*tag || strcmp(tag, "latest") == 0 || strcmp(tag, "main") == 0;
}

enum { MATCH_LABEL, MATCH_BARE_LABEL, MATCH_WORDS, MATCH_NONE };

static int match(const struct group *g, struct str tag)
{
    if (g->label.ptr && str_eq_nocase(g->label, tag))
        return MATCH_LABEL;
    if (g->label.ptr && str_eq_nocase(without_ud(g->label), tag))
        return MATCH_BARE_LABEL;
    if (ends_nocase(tag, STR(".gguf")))
        tag.len -= strlen(".gguf");
    return tag.len > 0 && has_words(g->stem, tag) ? MATCH_WORDS : MATCH_NONE;
}

static size_t depth(struct str path)
{
    size_t n = 0;
    for (size_t i = 0; i < path.len; i++)
        n += path.ptr[i] == '/';
    return n;
}

/* Of two groups that fit equally, is a the plainer one? */
static bool is_plainer(const struct group *a, const struct group *b, struct str wanted)
{
    bool fits_a = a->label.ptr && str_eq_nocase(without_ud(a->label), wanted);
    bool fits_b = b->label.ptr && str_eq_nocase(without_ud(b->label), wanted);
    if (fits_a != fits_b)
        return fits_a;
    bool ends_a = a->label.ptr && a->label.ptr + a->label.len == a->stem.ptr + a->stem.len;
    bool ends_b = b->label.ptr && b->label.ptr + b->label.len == b->stem.ptr + b->stem.len;
    if (ends_a != ends_b)
        return ends_a;
    if (depth(a->stem) != depth(b->stem))
        return depth(a->stem) < depth(b->stem);
    if (a->stem.len != b->stem.len)
        return a->stem.len < b->stem.len;
    return str_cmp(a->stem, b->stem) < 0;
}

static const struct group *best_match(const struct group *groups, size_t n, struct str tag)
{
    const struct group *best = NULL;
    int best_kind = MATCH_NONE;
    for (size_t i = 0; i < n; i++) {
        int kind = match(&groups[i], tag);
        struct str wanted = kind == MATCH_WORDS ? STR("Q4_K_M") : tag;
        if (kind < best_kind || (best && kind == best_kind && kind != MATCH_NONE &&
                                 is_plainer(&groups[i], best, wanted))) {
            best = &groups[i];
            best_kind = kind;
        }
    }
    return best;
}

/* ---- near misses ---- */

/* Changes of one character that lead from a to b; both are cut at 64 bytes. */
static unsigned distance(struct str a, struct str b)
{
    enum { LONGEST = 64 };
    a = str_sub(a, 0, LONGEST);
    b = str_sub(b, 0, LONGEST);
    unsigned row[LONGEST + 1];
    for (size_t k = 0; k <= b.len; k++)
        row[k] = (unsigned)k;
    for (size_t i = 0; i < a.len; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i + 1;
        for (size_t k = 0; k < b.len; k++) {
            unsigned change = diagonal + (upper(a.ptr[i]) != upper(b.ptr[k]));
            diagonal = row[k + 1];
            row[k + 1] = MIN(change, MIN(row[k], row[k + 1]) + 1);
        }
    }
    return row[b.len];
}

/* The start of a name is near to the name. */
static unsigned farness(struct str name, struct str tag)
{
    struct str bare = without_ud(name);
    if (starts_nocase(name, tag) || starts_nocase(bare, tag))
        return 0;
    return MIN(distance(name, tag), distance(bare, tag));
}

struct near {
    struct str name;
    unsigned distance;
};

static int by_distance(const void *pa, const void *pb)
{
    const struct near *a = pa, *b = pb;
    if (a->distance != b->distance)
        return a->distance < b->distance ? -1 : 1;
    return str_cmp(a->name, b->name);
}

static int tag_unknown(const struct group *groups, size_t n, struct str tag, const char *name,
                       struct error *err)
{
    enum { MOST = 16 };
    struct near *all = alloc_array(n, sizeof(*all));
    if (!all)
        return error_set(err, ERR_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++) {
        struct str s = groups[i].label.ptr ? groups[i].label : base_name(groups[i].stem);
        all[i] = (struct near){s, farness(s, tag)};
    }
    qsort(all, n, sizeof(*all), by_distance);
    CLEANUP_BUF struct buf list = BUF_INIT(700);
    size_t shown = 0, left = 0;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && str_eq_nocase(all[i].name, all[i - 1].name))
            continue;
        if (shown == MOST || list.len + all[i].name.len + 2 > list.max) {
            left++;
            continue;
        }
        buf_printf(&list, "%s%.*s", shown++ > 0 ? ", " : "", STR_ARG(all[i].name));
    }
    free(all);
    if (left > 0)
        return error_set(err, ERR_NOT_FOUND,
                         "%s has no '%.*s'; it has, the nearest first: %s and %zu more", name,
                         STR_ARG(tag), buf_cstr(&list), left);
    return error_set(err, ERR_NOT_FOUND, "%s has no '%.*s'; it has%s: %s", name, STR_ARG(tag),
                     shown > 1 ? ", the nearest first" : "", buf_cstr(&list));
}

/* ---- what goes with the weights ---- */

/* 0 = in the folder of the weights, 1 = at the top, 2 = elsewhere. */
static int closeness(struct str path, struct str folder)
{
    struct str own = folder_name(path);
    return str_eq(own, folder) ? 0 : own.len == 0 ? 1 : 2;
}

static int precision_rank(struct str path)
{
    static const char *const order[] = {"F16", "FP16", "BF16", "F32", "FP32", "Q8_0"};
    struct str label = oci_quantization_of(path);
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        if (label.ptr && str_eq_nocase(label, str_from(order[i])))
            return (int)i;
    }
    return ARRAY_LEN(order);
}

static size_t find_projector(const struct hf_listing *l, struct str folder)
{
    size_t best = SIZE_MAX;
    int best_rank = 0;
    for (size_t i = 0; i < l->n; i++) {
        struct str path = str_from(l->entries[i].path);
        if (oci_file_kind(path) != OCI_LAYER_MMPROJ)
            continue;
        int rank = closeness(path, folder) * 100 + precision_rank(path);
        if (best == SIZE_MAX || rank < best_rank) {
            best = i;
            best_rank = rank;
        }
    }
    return best;
}

static size_t find_template(const struct hf_listing *l, struct str folder)
{
    size_t best = SIZE_MAX;
    int best_rank = 0;
    for (size_t i = 0; i < l->n; i++) {
        struct str path = str_from(l->entries[i].path);
        if (!ends_nocase(path, STR(".jinja")) || closeness(path, folder) == 2)
            continue;
        int rank = closeness(path, folder) * 2 + !str_eq_c(base_name(path), "chat_template.jinja");
        if (best == SIZE_MAX || rank < best_rank) {
            best = i;
            best_rank = rank;
        }
    }
    return best;
}

/* ---- the choice ---- */

static void choose_file(struct hf_choice *c, size_t entry)
{
    if (entry != SIZE_MAX)
        c->files[c->n_files++] = entry;
}

/* The listing is sorted by path, which is not the order of the stems. */
static const struct group *first_by_path(const struct weight *weights, const struct group *groups,
                                         size_t n)
{
    const struct group *best = &groups[0];
    for (size_t i = 1; i < n; i++) {
        if (weights[groups[i].first].entry < weights[best->first].entry)
            best = &groups[i];
    }
    return best;
}

static int choose_gguf(const struct hf_listing *l, const struct weight *weights,
                       const struct group *groups, size_t n_groups, struct str tag,
                       const char *name, struct hf_choice *c, struct error *err)
{
    const struct group *g = NULL;
    if (!is_default_tag(tag.ptr)) {
        g = best_match(groups, n_groups, tag);
        if (!g)
            return tag_unknown(groups, n_groups, tag, name, err);
    } else if (n_groups > 1) {
        g = best_match(groups, n_groups, STR("Q4_K_M"));
    }
    if (!g)
        g = first_by_path(weights, groups, n_groups);
    int r = check_shards(g, name, err);
    if (r < 0)
        return r;
    c->gguf = true;
    for (size_t i = 0; i < MIN(g->label.len, (size_t)HF_QUANTIZATION_MAX - 1); i++)
        c->quantization[i] = upper(g->label.ptr[i]);
    for (size_t i = 0; i < g->n; i++)
        choose_file(c, weights[g->first + i].entry);
    struct str folder = folder_name(g->stem);
    choose_file(c, find_projector(l, folder));
    choose_file(c, find_template(l, folder));
    return 0;
}

static int choose_safetensors(const struct hf_listing *l, const struct group *groups,
                              size_t n_groups, struct str tag, const char *name,
                              struct hf_choice *c, struct error *err)
{
    if (!is_default_tag(tag.ptr))
        return error_set(err, ERR_NOT_FOUND,
                         "%s has no '%.*s': it has safetensors files, which come without "
                         "quantisations; leave the tag out",
                         name, STR_ARG(tag));
    for (size_t i = 0; i < n_groups; i++) {
        int r = check_shards(&groups[i], name, err);
        if (r < 0)
            return r;
    }
    for (int weights = 1; weights >= 0; weights--) {
        for (size_t i = 0; i < l->n; i++) {
            enum oci_layer_kind kind = oci_file_kind(str_from(l->entries[i].path));
            bool other =
                kind == OCI_LAYER_FILE || kind == OCI_LAYER_TEMPLATE || kind == OCI_LAYER_DOC;
            if (weights ? kind == OCI_LAYER_SAFETENSORS : other)
                choose_file(c, i);
        }
    }
    return 0;
}

int hf_choose(const struct hf_listing *l, const char *tag, const char *name, struct hf_choice *ret,
              struct error *err)
{
    struct hf_choice c = {0};
    CLEANUP_FREE struct weight *weights = alloc_array(l->n + 1, sizeof(*weights));
    CLEANUP_FREE struct group *groups = alloc_array(l->n + 1, sizeof(*groups));
    c.files = alloc_array(l->n + 1, sizeof(*c.files));
    if (!weights || !groups || !c.files) {
        free(c.files);
        return error_set(err, ERR_NOMEM, "out of memory");
    }
    int r;
    size_t n = find_weights(l, OCI_LAYER_GGUF, ".gguf", weights);
    if (n > 0) {
        size_t n_groups = make_groups(weights, n, groups);
        r = choose_gguf(l, weights, groups, n_groups, str_from(tag), name, &c, err);
    } else if ((n = find_weights(l, OCI_LAYER_SAFETENSORS, ".safetensors", weights)) > 0) {
        size_t n_groups = make_groups(weights, n, groups);
        r = choose_safetensors(l, groups, n_groups, str_from(tag), name, &c, err);
    } else {
        r = error_set(err, ERR_NOT_FOUND,
                      "no model weight files (GGUF or SafeTensors) found in repository %s", name);
    }
    if (r < 0) {
        free(c.files);
        return r;
    }
    *ret = c;
    return 0;
}
