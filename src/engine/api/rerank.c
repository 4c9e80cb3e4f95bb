/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /v1/rerank and /rerank, in the shape of Jina, Cohere and llama-server, and POST /score, in
 * that of vLLM.
 *
 * The scores are the model's own numbers: what its head gives, for a head with several classes the
 * first. A model without such a head cannot rank; its scores (/score only) are the cosines of the
 * texts' vectors. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "engine/api/embed.h"

/* ---- a query and a document as one text ---- */

static int encode(const struct service *s, struct str text, unsigned flags, struct token_list *out,
                  struct error *err)
{
    return tokenizer_encode(s->lm->tokenizer, text, flags, out, err);
}

static void push(struct token_list *out, bool wanted, int32_t id)
{
    if (wanted && id >= 0)
        token_list_push(out, id);
}

/* The text of the model's template for ranking with {query} and {document} replaced, in one pass,
 * so that neither can bring in the other. */
static void fill_template(struct str template, struct str query, struct str document,
                          struct buf *out)
{
    static const struct str marks[] = {{"{query}", 7}, {"{document}", 10}};
    while (template.len > 0) {
        size_t i = 0;
        while (i < ARRAY_LEN(marks) && !str_starts_with(template, marks[i]))
            i++;
        if (i < ARRAY_LEN(marks))
            buf_append(out, i == 0 ? query : document);
        else
            buf_push(out, template.ptr[0]);
        template = str_sub(template, i < ARRAY_LEN(marks) ? marks[i].len : 1, SIZE_MAX);
    }
}

/* As llama-server puts them together: the template of the file, or
 * [BOS] query [EOS] [SEP] document [EOS] with what the vocabulary adds of these. */
static int pair_tokens(const struct service *s, struct str query, struct str document,
                       struct token_list *out, struct error *err)
{
    const struct tokenizer *t = s->lm->tokenizer;
    struct str template = lm_metadata(s->lm, "tokenizer.chat_template.rerank");
    if (template.len > 0) {
        CLEANUP_BUF struct buf text = BUF_INIT(CHAT_TEXT_MAX);
        fill_template(template, query, document, &text);
        int r = buf_check(&text, "the text to be ranked", err);
        return r < 0 ? r : encode(s, buf_str(&text), TOKENIZE_PARSE_SPECIAL, out, err);
    }
    int32_t eos = tokenizer_eos(t) >= 0 ? tokenizer_eos(t) : tokenizer_sep(t);
    push(out, tokenizer_adds_bos(t), tokenizer_bos(t));
    int r = encode(s, query, 0, out, err);
    push(out, tokenizer_adds_eos(t), eos);
    push(out, tokenizer_adds_sep(t), tokenizer_sep(t));
    if (r == 0)
        r = encode(s, document, 0, out, err);
    push(out, tokenizer_adds_eos(t), eos);
    if (r == 0 && out->n == 0)
        r = error_set(err, ERR_INVALID, "query and document are both empty");
    return r;
}

static float score_of(const struct embedding *e, size_t i)
{
    uint32_t n_rows, width;
    return embedding_rows(e, i, &n_rows, &width)[0];
}

/* ---- rerank ---- */

struct ranked {
    size_t index;
    float score;
};

/* Best first; equals in the order they came. */
static int cmp_ranked(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

struct rerank {
    struct str query;
    const struct json *documents;
    bool tei; /* text-embeddings-inference's shape: `texts` in, an array out */
    bool return_documents;
    int64_t top_n;
};

static struct str document_text(const struct json *v)
{
    return js_is(v, JS_OBJECT) ? js_get_str(v, "text") : js_to_str(v);
}

static int parse_rerank(const struct json *body, struct rerank *r, struct error *err)
{
    int ret = js_want_str(body, "query", &r->query, err);
    if (ret < 0)
        return ret;
    if (!r->query.ptr)
        return error_set(err, ERR_INVALID, "'query' is missing");
    r->documents = js_get(body, "documents");
    if (!r->documents) {
        r->documents = js_get(body, "texts");
        r->tei = true;
    }
    if (!js_is(r->documents, JS_ARRAY) || js_len(r->documents) == 0)
        return error_set(err, ERR_INVALID, "'documents' must be an array of at least one text");
    if (js_len(r->documents) > EMBED_TEXTS_MAX)
        return error_set(err, ERR_INVALID, "'documents' has %zu texts, at most %d are possible",
                         js_len(r->documents), EMBED_TEXTS_MAX);
    for (size_t i = 0; i < js_len(r->documents); i++)
        if (!document_text(js_at(r->documents, i)).ptr)
            return error_set(err, ERR_INVALID,
                             "'documents[%zu]' must be a text or an object with a 'text'", i);
    r->top_n = (int64_t)js_len(r->documents);
    ret = js_want_int(body, "top_n", 1, INT32_MAX, &r->top_n, err);
    if (ret == 0)
        ret = js_want_bool(body, r->tei ? "return_text" : "return_documents", &r->return_documents,
                           err);
    return ret;
}

static struct json *results_json(const struct rerank *r, const struct embedding *e)
{
    size_t n = js_len(r->documents);
    CLEANUP_FREE struct ranked *all = xcalloc(n, sizeof(*all));
    for (size_t i = 0; i < n; i++)
        all[i] = (struct ranked){i, score_of(e, i)};
    qsort(all, n, sizeof(*all), cmp_ranked);
    struct json *results = js_array();
    for (size_t i = 0; i < n && (int64_t)i < r->top_n; i++) {
        struct json *item = js_object();
        struct str text = document_text(js_at(r->documents, all[i].index));
        js_set_int(item, "index", (int64_t)all[i].index);
        js_set_real(item, r->tei ? "score" : "relevance_score", (double)all[i].score);
        if (r->return_documents && r->tei) {
            js_set_str(item, "text", text);
        } else if (r->return_documents) {
            struct json *document = js_object();
            js_set_str(document, "text", text);
            js_set(item, "document", document);
        }
        js_push(results, item);
    }
    return results;
}

static int check_ranks(const struct service *s, struct error *err)
{
    if (s->pooling == POOLING_RANK)
        return 0;
    return error_set(err, ERR_INVALID,
                     lm_can_rank(s->lm)
                         ? "this model was loaded for embeddings, with --pooling %s; it can rank "
                           "with --pooling rank"
                         : "this model cannot rank: it has no head for that and makes embeddings "
                           "(pooling %s); use a reranker, or /v1/embeddings",
                     pooling_name(s->pooling));
}

void route_rerank(struct http_request *req, const struct service *s)
{
    CLEANUP_JSON struct json *body = NULL;
    CLEANUP_EMBED_TEXTS struct embed_texts texts = {0};
    struct rerank rerank = {0};
    struct error err = ERROR_INIT;
    if (api_read_body(req, &body) < 0)
        return;
    int r = check_ranks(s, &err);
    if (r == 0)
        r = parse_rerank(body, &rerank, &err);
    if (r == 0)
        embed_texts_init(&texts, js_len(rerank.documents));
    for (size_t i = 0; i < texts.n && r == 0; i++)
        r = pair_tokens(s, rerank.query, document_text(js_at(rerank.documents, i)), &texts.lists[i],
                        &err);
    if (r < 0) {
        api_respond_error(req, &err);
        return;
    }
    struct embedding *e;
    if (embed_run(req, s, &texts, POOLING_RANK, &e) < 0)
        return;
    CLEANUP_JSON struct json *results = results_json(&rerank, e);
    embed_free(s, e);
    if (rerank.tei) {
        http_respond_json(req, 200, results);
        return;
    }
    CLEANUP_JSON struct json *answer = js_object();
    embed_set_model(body, s, answer);
    js_set_cstr(answer, "object", "list");
    js_set(answer, "usage", embed_usage(&texts));
    js_set(answer, "results", js_ref(results));
    http_respond_json(req, 200, answer);
}

/* ---- score ---- */

/* One text or an array of them. */
static int check_side(const struct json *v, const char *name, size_t *ret_n, struct error *err)
{
    *ret_n = js_is(v, JS_ARRAY) ? js_len(v) : 1;
    bool good = js_is(v, JS_STRING) || (js_is(v, JS_ARRAY) && *ret_n > 0);
    for (size_t i = 0; js_is(v, JS_ARRAY) && i < *ret_n; i++)
        good = good && js_is(js_at(v, i), JS_STRING);
    if (!good)
        return error_set(err, ERR_INVALID, "'%s' must be a text or an array of texts", name);
    if (*ret_n > EMBED_TEXTS_MAX)
        return error_set(err, ERR_INVALID, "'%s' has %zu texts, at most %d are possible", name,
                         *ret_n, EMBED_TEXTS_MAX);
    return 0;
}

struct score {
    const struct json *sides[2];
    size_t n_sides[2];
    size_t n; /* pairs */
};

/* One text against many, or as many as there are on the other side, pair by pair. */
static int parse_score(const struct json *body, struct score *s, struct error *err)
{
    static const char *const names[2][2] = {{"text_1", "queries"}, {"text_2", "documents"}};
    for (int i = 0; i < 2; i++) {
        const char *name = js_get(body, names[i][0]) ? names[i][0] : names[i][1];
        s->sides[i] = js_get(body, name);
        if (!s->sides[i])
            return error_set(err, ERR_INVALID, "'%s' is missing", names[i][0]);
        int r = check_side(s->sides[i], name, &s->n_sides[i], err);
        if (r < 0)
            return r;
    }
    if (s->n_sides[0] != s->n_sides[1] && s->n_sides[0] != 1)
        return error_set(err, ERR_INVALID,
                         "'text_1' must be one text or as many as 'text_2' has, %zu, not %zu",
                         s->n_sides[1], s->n_sides[0]);
    s->n = s->n_sides[1];
    return 0;
}

static struct str side_text(const struct score *s, int side, size_t i)
{
    const struct json *v = s->sides[side];
    if (!js_is(v, JS_ARRAY))
        return js_to_str(v);
    return js_to_str(js_at(v, s->n_sides[side] == 1 ? 0 : i));
}

/* With a head: the pairs. Without: the texts of the first side, then those of the second. */
static int score_texts(const struct service *s, const struct score *score, bool ranks,
                       struct embed_texts *ret, struct error *err)
{
    const unsigned flags = TOKENIZE_ADD_SPECIAL | TOKENIZE_PARSE_SPECIAL;
    embed_texts_init(ret, ranks ? score->n : 2 * score->n);
    int r = 0;
    for (size_t i = 0; i < score->n && r == 0; i++) {
        struct str first = side_text(score, 0, i), second = side_text(score, 1, i);
        if (ranks) {
            r = pair_tokens(s, first, second, &ret->lists[i], err);
            continue;
        }
        r = encode(s, first, flags, &ret->lists[i], err);
        if (r == 0)
            r = encode(s, second, flags, &ret->lists[score->n + i], err);
        if (r == 0 && (ret->lists[i].n == 0 || ret->lists[score->n + i].n == 0))
            r = error_set(err, ERR_INVALID, "a text of pair %zu is empty", i);
    }
    return r;
}

static double cosine(const struct embedding *e, size_t i, size_t k)
{
    uint32_t n_rows, width;
    const float *a = embedding_rows(e, i, &n_rows, &width);
    const float *b = embedding_rows(e, k, &n_rows, &width);
    double ab = 0, aa = 0, bb = 0;
    for (uint32_t d = 0; d < width; d++) {
        ab += (double)a[d] * (double)b[d];
        aa += (double)a[d] * (double)a[d];
        bb += (double)b[d] * (double)b[d];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

void route_score(struct http_request *req, const struct service *s)
{
    CLEANUP_JSON struct json *body = NULL;
    CLEANUP_EMBED_TEXTS struct embed_texts texts = {0};
    struct score score = {0};
    struct error err = ERROR_INIT;
    bool ranks = s->pooling == POOLING_RANK;
    if (api_read_body(req, &body) < 0)
        return;
    int r = s->pooling != POOLING_NONE ? parse_score(body, &score, &err)
                                       : error_set(&err, ERR_INVALID,
                                                   "with pooling 'none' texts have no vectors to "
                                                   "compare");
    if (r == 0)
        r = score_texts(s, &score, ranks, &texts, &err);
    if (r < 0) {
        api_respond_error(req, &err);
        return;
    }
    struct embedding *e;
    if (embed_run(req, s, &texts, s->pooling, &e) < 0)
        return;
    struct json *data = js_array();
    for (size_t i = 0; i < score.n; i++) {
        struct json *item = js_object();
        js_set_int(item, "index", (int64_t)i);
        js_set_cstr(item, "object", "score");
        js_set_real(item, "score", ranks ? (double)score_of(e, i) : cosine(e, i, score.n + i));
        js_push(data, item);
    }
    embed_free(s, e);
    CLEANUP_JSON struct json *answer = js_object();
    char id[48];
    snprintf(id, sizeof(id), "score-%016" PRIx64, sampling_random_seed());
    js_set_cstr(answer, "id", id);
    js_set_cstr(answer, "object", "list");
    js_set_int(answer, "created", clock_wall_s());
    embed_set_model(body, s, answer);
    js_set(answer, "data", data);
    js_set(answer, "usage", embed_usage(&texts));
    http_respond_json(req, 200, answer);
}
