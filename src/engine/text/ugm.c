/* SPDX-License-Identifier: Apache-2.0
 *
 * Unigram ("t5": T5, XLM-RoBERTa, BGE-M3, …): of all ways to cover the text with tokens the one
 * with the highest sum of scores, found from left to right (Viterbi). A character that is no token
 * costs more than any token does and becomes the unknown token, a run of them one.
 *
 * Before that the text is normalised: by the compiled map of the SentencePiece model, which
 * replaces the longest prefix it knows, and by the rules for spaces.
 *
 * The sums are those of llama.cpp bit for bit (double, from the beginning of the text), because
 * they decide ties. Memory does not grow with the text all the same: a place that no token crosses
 * lies on every path, so what is before it can be given out, and only the sum goes on. */
#include "engine/text/vocab.h"

#include <float.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/utf8.h"

enum {
    UNKNOWN_PENALTY = 10,     /* below the worst normal token */
    NORMALISED_PER_BYTE = 32, /* growth at most; NFKC's worst character takes 11 */
};

struct ugm_step {
    double sum;    /* the best of all ways to get here */
    uint32_t from; /* where the token before begins, relative to the segment */
    int32_t id;
};

/* ---- the map of the SentencePiece model ----
 * u32 size in bytes of a double array whose entries are u32 (base in bits 10 to 30, shifted by 8
 * more if bit 9 is set; the byte that leads here in bits 0 to 7; bit 8: its base leads to a value);
 * then the replacements, each ended by NUL, that values are offsets of. */

static uint32_t read_u32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static int charsmap_init(struct charsmap *m, struct str bytes, struct error *err)
{
    if (bytes.len == 0)
        return 0;
    const unsigned char *p = (const unsigned char *)bytes.ptr;
    uint32_t size = bytes.len > 4 ? read_u32(p) : 0;
    if (bytes.len <= 4 || size >= bytes.len - 4)
        return error_set(err, ERR_CORRUPT,
                         "tokenizer.ggml.precompiled_charsmap has %zu bytes, fewer than it says",
                         bytes.len);
    m->n_nodes = size / 4;
    m->nodes = alloc_array((size_t)m->n_nodes + 1, sizeof(*m->nodes));
    m->replacements = malloc(bytes.len - 4 - size);
    if (!m->nodes || !m->replacements)
        return error_set(err, ERR_NOMEM, "no memory for a map of %zu bytes", bytes.len);
    for (uint32_t i = 0; i < m->n_nodes; i++)
        m->nodes[i] = read_u32(p + 4 + 4 * (size_t)i);
    m->replacements_len = bytes.len - 4 - size;
    memcpy(m->replacements, p + 4 + size, m->replacements_len);
    return 0;
}

static uint32_t node_base(uint32_t node)
{
    return node >> 10 << (node & 0x200 ? 8 : 0);
}

/* What the longest prefix of s in the map becomes, and its length; 0 = s does not begin with one.
 * -ERR_CORRUPT where the map leads outside itself. */
static int charsmap_longest(const struct charsmap *m, struct str s, struct str *ret,
                            size_t *ret_len)
{
    *ret_len = 0;
    if (m->n_nodes == 0)
        return 0;
    uint32_t value = 0, at = node_base(m->nodes[0]);
    for (size_t i = 0; i < s.len && s.ptr[i] != '\0'; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        at ^= c;
        if (at >= m->n_nodes)
            return -ERR_CORRUPT;
        uint32_t node = m->nodes[at];
        if ((node & 0x800000ffu) != c)
            break;
        at ^= node_base(node);
        if (node & 0x100) {
            if (at >= m->n_nodes)
                return -ERR_CORRUPT;
            value = m->nodes[at] & 0x7fffffffu;
            *ret_len = i + 1;
        }
    }
    if (*ret_len == 0)
        return 0;
    if (value >= m->replacements_len)
        return -ERR_CORRUPT;
    size_t room = m->replacements_len - value, len = strnlen(m->replacements + value, room);
    if (len == room)
        return -ERR_CORRUPT;
    *ret = str_make(m->replacements + value, len);
    return 0;
}

/* ---- making ---- */

static int32_t type_of(const struct vocab_source *src, int32_t id)
{
    return src->types ? src->types[id] : TOKEN_NORMAL;
}

/* Neither the map nor a user-defined token begins with these. */
static void find_plain(struct tokenizer *t)
{
    const struct charsmap *m = &t->charsmap;
    for (unsigned c = 1; c < ARRAY_LEN(t->plain); c++) {
        uint32_t at = m->n_nodes > 0 ? node_base(m->nodes[0]) ^ c : 0;
        bool mapped = m->n_nodes > 0 && (at >= m->n_nodes || (m->nodes[at] & 0x800000ffu) == c);
        t->plain[c] = !mapped && trie_step(&t->user_defined, 0, (unsigned char)c) == 0;
    }
}

int ugm_init(struct tokenizer *t, const struct vocab_source *src, struct error *err)
{
    int r = charsmap_init(&t->charsmap, src->charsmap, err);
    if (r < 0)
        return r;
    float min_score = FLT_MAX;
    r = words_init(t, err);
    if (r == 0 && trie_init(&t->user_defined) < 0)
        r = words_no_memory(t, err);
    for (int32_t id = 0; r == 0 && id < t->n_tokens; id++) {
        int32_t type = type_of(src, id);
        if (type == TOKEN_NORMAL)
            min_score = MIN(min_score, t->scores[id]);
        if (type == TOKEN_NORMAL || type == TOKEN_USER_DEFINED || type == TOKEN_UNUSED)
            r = words_add(t, strtab_get(&t->strings, id), id, err);
        if (r == 0 && type == TOKEN_USER_DEFINED &&
            trie_add(&t->user_defined, strtab_get(&t->strings, id), id) < 0)
            r = words_no_memory(t, err);
    }
    t->unknown_score = min_score - UNKNOWN_PENALTY;
    for (int32_t id = 0; id < t->n_tokens; id++) /* they are taken before all others */
        if (t->attrs[id] & IS_USER_DEFINED)
            t->scores[id] = 0;
    if (r == 0)
        find_plain(t);
    return r;
}

void ugm_release(struct tokenizer *t)
{
    trie_release(&t->user_defined);
    free(t->charsmap.nodes);
    free(t->charsmap.replacements);
}

/* ---- normalising ---- */

/* How far s goes along the user-defined tokens: what may be one of them is left as it is. */
static size_t user_defined_prefix(const struct tokenizer *t, struct str s)
{
    uint32_t node = 0;
    size_t n = 0;
    while (n < s.len && (node = trie_step(&t->user_defined, node, (unsigned char)s.ptr[n])) != 0)
        n++;
    return n;
}

/* How much of s stays as it is because nothing that is replaced begins with these characters. */
static size_t plain_prefix(const struct tokenizer *t, struct str s)
{
    size_t n = 0;
    for (; n < s.len; n++) {
        unsigned char c = (unsigned char)s.ptr[n];
        if (c >= ARRAY_LEN(t->plain) || !t->plain[c])
            break;
    }
    return n;
}

/* The beginning of s normalised, and how much of s that was. */
static int normalise_prefix(const struct tokenizer *t, struct str s, struct str *ret,
                            size_t *ret_len)
{
    size_t len = plain_prefix(t, s);
    if (len == 0)
        len = user_defined_prefix(t, s);
    if (len == 0) {
        int r = charsmap_longest(&t->charsmap, s, ret, ret_len);
        if (r < 0 || *ret_len > 0)
            return r;
        uint32_t cp;
        len = utf8_decode(s.ptr, s.len, &cp);
    }
    *ret = len > 0 ? str_sub(s, 0, len) : STR("\xef\xbf\xbd");
    *ret_len = len > 0 ? len : 1;
    return 0;
}

struct spaces {
    const struct tokenizer *t;
    bool prefix_given, in_word;
};

/* Appends normalised text with spaces as the vocabulary wants them. */
static void append_spaced(struct spaces *sp, struct str s, struct buf *out)
{
    const struct tokenizer *t = sp->t;
    for (size_t i = 0; i < s.len;) {
        if (s.ptr[i] == ' ') {
            sp->in_word = false;
            if (!t->merge_spaces)
                buf_append(out, ESCAPED_SPACE);
            i++;
            continue;
        }
        if (!sp->in_word) {
            sp->in_word = true;
            if ((t->add_space_prefix && !sp->prefix_given) || t->merge_spaces) {
                buf_append(out, ESCAPED_SPACE);
                sp->prefix_given = true;
            }
        }
        const char *space = memchr(s.ptr + i, ' ', s.len - i);
        size_t end = space ? (size_t)(space - s.ptr) : s.len;
        buf_append(out, str_sub(s, i, end - i));
        i = end;
    }
}

static int normalise(const struct tokenizer *t, struct str text, struct buf *out, struct error *err)
{
    struct spaces sp = {.t = t};
    struct str run = {0}; /* parts that stay as they are and lie behind each other */
    while (text.len > 0) {
        struct str part = {0};
        size_t len = 0;
        if (normalise_prefix(t, text, &part, &len) < 0)
            return error_set(err, ERR_CORRUPT,
                             "tokenizer.ggml.precompiled_charsmap leads outside itself");
        text = str_sub(text, len, SIZE_MAX);
        if (run.len > 0 && part.ptr == run.ptr + run.len) {
            run.len += part.len;
            continue;
        }
        append_spaced(&sp, run, out);
        run = part;
    }
    append_spaced(&sp, run, out);
    return buf_check(out, "the normalised text", err);
}

/* ---- the best cover ---- */

struct cover {
    struct encoder *e;
    struct ugm_step *steps; /* of the segment under way: [0] its beginning */
    size_t cap;
    int32_t *ids; /* scratch for going back */
    size_t cap_ids;
    bool after_unknown; /* the last token given was the unknown one */
};

/* Makes steps up to `end`, those from *filled on not reached yet. */
static int steps_extend(struct cover *c, size_t *filled, size_t end)
{
    if (end >= c->cap) {
        size_t cap = MAX(2 * c->cap, end + 256);
        struct ugm_step *steps = reallocarray(c->steps, cap, sizeof(*steps));
        if (!steps)
            return -ERR_NOMEM;
        c->steps = steps;
        c->cap = cap;
    }
    for (; *filled <= end; (*filled)++)
        c->steps[*filled] = (struct ugm_step){.sum = -DBL_MAX, .id = c->e->t->unk};
    return 0;
}

static void step_offer(struct ugm_step *to, double sum, size_t from, int32_t id)
{
    if (sum > to->sum)
        *to = (struct ugm_step){.sum = sum, .from = (uint32_t)from, .id = id};
}

/* Gives out the tokens of the segment that ends at `end`. */
static int segment_emit(struct cover *c, size_t end)
{
    size_t n = 0;
    for (size_t at = end; at > 0; at = c->steps[at].from) {
        if (n == c->cap_ids) {
            size_t cap = c->cap_ids > 0 ? 2 * c->cap_ids : 64;
            int32_t *ids = reallocarray(c->ids, cap, sizeof(*ids));
            if (!ids)
                return -ERR_NOMEM;
            c->ids = ids;
            c->cap_ids = cap;
        }
        c->ids[n++] = c->steps[at].id;
    }
    while (n-- > 0) {
        bool unknown = c->ids[n] == c->e->t->unk;
        if (!(unknown && c->after_unknown))
            encoder_emit(c->e, c->ids[n]);
        c->after_unknown = unknown;
    }
    return 0;
}

static int cover_run(struct cover *c, struct str text)
{
    const struct tokenizer *t = c->e->t;
    size_t start = 0, filled = 0; /* of the segment */
    if (steps_extend(c, &filled, 0) < 0)
        return -ERR_NOMEM;
    c->steps[0].sum = 0;
    for (size_t at = 0; at < text.len;) {
        size_t here = at - start;
        double sum = c->steps[here].sum;
        size_t len = MIN((size_t)char_len((unsigned char)text.ptr[at]), text.len - at);
        if (steps_extend(c, &filled, here + len) < 0)
            return -ERR_NOMEM;
        bool whole_char = false;
        uint32_t node = 0;
        for (size_t end = at; end < text.len;) {
            node = trie_step(&t->words, node, (unsigned char)text.ptr[end++]);
            if (node == 0)
                break;
            int32_t id = t->words.values[node];
            if (id < 0)
                continue;
            whole_char = whole_char || end - at == len;
            if (end - start >= filled && steps_extend(c, &filled, end - start) < 0)
                return -ERR_NOMEM;
            step_offer(&c->steps[end - start], sum + (double)t->scores[id], here, id);
        }
        if (!whole_char)
            step_offer(&c->steps[here + len], sum + (double)t->unknown_score, here, t->unk);
        at += len;
        if (filled == at - start + 1) { /* nothing reaches beyond: every path comes through here */
            double carried = c->steps[at - start].sum;
            if (segment_emit(c, at - start) < 0)
                return -ERR_NOMEM;
            start = at;
            filled = 0;
            steps_extend(c, &filled, 0);
            c->steps[0].sum = carried;
        }
    }
    return 0;
}

int ugm_encode(struct encoder *e, struct str text, struct error *err)
{
    CLEANUP_BUF struct buf norm = BUF_INIT(text.len * NORMALISED_PER_BYTE + 64);
    int r = normalise(e->t, text, &norm, err);
    if (r < 0)
        return r;
    struct cover c = {.e = e};
    r = cover_run(&c, buf_str(&norm));
    free(c.steps);
    free(c.ids);
    return r < 0 ? error_set(err, ERR_NOMEM, "no memory to tokenize %zu bytes of text", text.len)
                 : 0;
}
