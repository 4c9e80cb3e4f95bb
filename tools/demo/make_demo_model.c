/* SPDX-License-Identifier: Apache-2.0
 *
 * Constructs the demo model: a real transformer of the `llama` architecture whose weights are
 * written down instead of trained.
 *
 *     make_demo_model OUT.gguf
 *
 * The residual stream is cut into named regions (enum below). Words are random codes of 64 values
 * +-1/8: a code's product with itself is 1, with another one about 0. One dimension holds a large
 * constant, so that RMSNorm divides by nearly the same number everywhere; the norms' weights turn
 * it into 1 and leave the rest as it is.
 *
 *   layer 0, attention   head 0 copies the code of the word before into BACK1, head 1 that of the
 *                        third word before into BACK3, head 2 looks for the latest role marker
 *                        and writes into IS_USER who speaks, head 3 sees whether a word begins
 *   layer 0, MLP         takes TOPIC away from words that the user did not say and from pieces of
 *                        longer words
 *   layer 1, attention   head 0 looks for the latest word with a TOPIC and writes it into ABOUT
 *   layer 1, MLP         one neuron for each word of each answer: ABOUT, CUR, BACK1, BACK3 → the
 *                        code of the next word into NEXT
 *   output               compares NEXT with the code of every token
 *
 * "Latest" and "the one before" are made of RoPE: a query turned by one step's angle meets the key
 * of the neighbour; the slowest pair of dimensions, started at 45 degrees, falls with distance all
 * over the context. The result is the same file on every machine. */
#include <assert.h>
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/quantize/quantize.h"
#include "gguf/gguf_writer.h"
#include "text.h"
#include "vocab.h"

enum {
    CODE = 64,     /* values of a word's code, and the size of a head */
    N_HEADS = 5,
    WIDTH = N_HEADS * CODE,
    N_LAYERS = 2,
    CONTEXT = 2048,
    MAX_TOPICS = 13,

    /* Regions of the residual stream. */
    CUR = 0,
    BACK1 = CODE,
    BACK3 = 2 * CODE,
    NEXT = 3 * CODE,
    ONE = 4 * CODE,      /* the constant, alone in its block of 32 so that quantising spares it */
    MARK = ONE + 32,     /* this token is the marker of: the user, somebody else */
    IS_USER = MARK + 2,  /* the user speaks here */
    INNER = IS_USER + 1, /* a keyword without a space: it may be a piece of a longer word */
    BORDER = INNER + 1,  /* a word may begin behind this token without a space */
    AT_BORDER = BORDER + 1, /* the token before is such a one */
    TOPIC = AT_BORDER + 1,  /* this word calls up a topic */
    ABOUT = TOPIC + MAX_TOPICS, /* the topic of the question */
};

static_assert(ABOUT + MAX_TOPICS == WIDTH, "the regions fill the stream");

#define ONE_SIZE 64.0f      /* the constant in the stream */
#define RECENCY 10000.0     /* size of a score that must tell positions apart, before the softmax */
#define NEIGHBOUR 40.0      /* size of each pair's share in the neighbour's score */
enum { NEIGHBOUR_PAIRS = 12 };

/* A row-major matrix of f32, [rows][cols]: rows are outputs as in the GGUF file. */
struct matrix {
    size_t rows, cols;
    float *v;
};

static struct matrix matrix_new(size_t rows, size_t cols)
{
    return (struct matrix){rows, cols, xcalloc(rows * cols, sizeof(float))};
}

static float *at(struct matrix *m, size_t row, size_t col)
{
    return &m->v[row * m->cols + col];
}

struct layer {
    struct matrix q, k, v, o, gate, up, down;
};

struct demo {
    struct demo_vocab vocab;
    struct matrix codes; /* [n_tokens][CODE] */
    struct matrix embed, output;
    struct layer layers[N_LAYERS];
    size_t n_neurons;
    double freq_base;
};

/* ---- words and codes ---- */

/* The spellings under which a keyword may appear in a question. */
static void each_variant(const char *keyword, size_t len, bool with_space,
                         void (*fn)(struct demo_vocab *v, struct str word, void *ctx),
                         struct demo_vocab *v, void *ctx)
{
    char word[64];
    for (int form = 0; form < 3; form++) {
        if (form == 2 && len > 4)
            continue; /* all capitals: only what is usually written so */
        size_t n = 0;
        if (with_space)
            word[n++] = ' ';
        for (size_t i = 0; i < len; i++) {
            bool capital = form == 2 || (form == 1 && i == 0);
            word[n++] = capital ? (char)(keyword[i] - 'a' + 'A') : keyword[i];
        }
        fn(v, str_make(word, n), ctx);
    }
}

static void add_word(struct demo_vocab *v, struct str word, void *ctx)
{
    (void)ctx;
    demo_vocab_add_word(v, word);
}

static void each_keyword(size_t topic, bool with_space,
                         void (*fn)(struct demo_vocab *v, struct str word, void *ctx),
                         struct demo_vocab *v, void *ctx)
{
    struct str rest = str_from(demo_topics[topic].keywords), keyword;
    while (str_split_next(&rest, ' ', &keyword))
        if (keyword.len > 0)
            each_variant(keyword.ptr, keyword.len, with_space, fn, v, ctx);
}

static void make_vocab(struct demo_vocab *v)
{
    demo_vocab_init(v);
    for (size_t t = 0; t < demo_n_topics; t++) {
        struct str text = str_from(demo_topics[t].answer), word;
        while (demo_next_word(&text, &word))
            demo_vocab_add_word(v, word);
        each_keyword(t, true, add_word, v, NULL);
        each_keyword(t, false, add_word, v, NULL);
    }
}

static uint64_t random_state = 0x9E3779B97F4A7C15u;

static uint64_t next_random(void) /* xorshift64* */
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545F4914F6CDD1Du;
}

static void make_codes(struct demo *d)
{
    d->codes = matrix_new(d->vocab.n, CODE);
    for (size_t i = 0; i < d->vocab.n; i++) {
        uint64_t bits = next_random();
        for (size_t j = 0; j < CODE; j++)
            *at(&d->codes, i, j) = (bits >> j & 1) ? 0.125f : -0.125f;
    }
}

/* ---- embedding and output ---- */

struct keyword_ctx {
    struct demo *d;
    size_t topic;
};

static void mark_topic(struct demo_vocab *v, struct str word, void *ctx)
{
    struct keyword_ctx *k = ctx;
    size_t id = (size_t)demo_vocab_find(v, word);
    *at(&k->d->embed, id, TOPIC + k->topic) = 1.0f;
    *at(&k->d->embed, id, INNER) = word.ptr[0] == ' ' ? 0.0f : 1.0f;
}

static void make_embedding(struct demo *d)
{
    d->embed = matrix_new(d->vocab.n, WIDTH);
    for (size_t i = 0; i < d->vocab.n; i++) {
        memcpy(at(&d->embed, i, CUR), at(&d->codes, i, 0), CODE * sizeof(float));
        *at(&d->embed, i, ONE) = ONE_SIZE;
    }
    for (size_t t = 0; t < demo_n_topics; t++) {
        struct keyword_ctx ctx = {d, t};
        each_keyword(t, true, mark_topic, &d->vocab, &ctx);
        each_keyword(t, false, mark_topic, &d->vocab, &ctx);
    }
    for (int c = 0; c < 128; c++) {
        char byte = (char)c;
        if (!isalnum(c))
            *at(&d->embed, (size_t)demo_vocab_find(&d->vocab, str_make(&byte, 1)), BORDER) = 1.0f;
    }
    /* The beginning of a text counts as a user who has not said anything known yet. */
    static const struct {
        enum demo_special token;
        bool user;
    } marks[] = {{DEMO_BEGIN, true}, {DEMO_USER, true}, {DEMO_ASSISTANT, false},
                 {DEMO_SYSTEM, false}};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
        *at(&d->embed, marks[i].token, MARK + (marks[i].user ? 0 : 1)) = 1.0f;
        *at(&d->embed, marks[i].token, BORDER) = 1.0f;
        if (marks[i].user)
            *at(&d->embed, marks[i].token, TOPIC) = 1.0f;
    }
}

static void make_output(struct demo *d)
{
    const float gain = 50.0f;
    d->output = matrix_new(d->vocab.n, WIDTH);
    for (size_t i = 0; i < d->vocab.n; i++)
        for (size_t j = 0; j < CODE; j++)
            *at(&d->output, i, NEXT + j) = gain * *at(&d->codes, i, j);
    /* Where no answer is under way (a raw prompt), it is the assistant's turn. */
    *at(&d->output, DEMO_ASSISTANT, ONE) = 0.3f * gain;
}

/* ---- attention ---- */

static double angle(const struct demo *d, size_t pair)
{
    return pow(d->freq_base, -2.0 * (double)pair / CODE);
}

/* Head `head` copies n values at `from` of the token it looks at to `to`. */
static void copy_values(struct layer *l, size_t head, size_t from, size_t n, size_t to)
{
    for (size_t i = 0; i < n; i++) {
        *at(&l->v, head * CODE + i, from + i) = 1.0f;
        *at(&l->o, to + i, head * CODE + i) = 1.0f;
    }
}

/* Head `head` looks `distance` tokens back. */
static void look_back(struct demo *d, struct layer *l, size_t head, double distance)
{
    double size = sqrt(NEIGHBOUR * sqrt(CODE));
    for (size_t pair = 0; pair < NEIGHBOUR_PAIRS; pair++) {
        size_t row = head * CODE + 2 * pair;
        double turn = distance * angle(d, pair);
        *at(&l->q, row, ONE) = (float)(size * cos(turn));
        *at(&l->q, row + 1, ONE) = (float)(-size * sin(turn));
        *at(&l->k, row, ONE) = (float)size;
    }
}

/* Head `head` looks at the latest token that has one of the n features at `key`. */
static void look_for_latest(struct layer *l, size_t head, size_t key, size_t n)
{
    double size = sqrt(RECENCY * sqrt(CODE));
    size_t row = head * CODE + CODE - 2; /* the slowest pair */
    *at(&l->q, row, ONE) = (float)(size * sqrt(0.5));
    *at(&l->q, row + 1, ONE) = (float)(size * sqrt(0.5));
    for (size_t i = 0; i < n; i++)
        *at(&l->k, row, key + i) = (float)size;
}

/* ---- MLP ---- */

/* Layer 0: takes the topic away where it does not count. Two neurons make a step from 0 to 1 as
 *
 *     4 topic - 2 is_user + inner - at_border - 2
 *
 * goes from 0.3 to 0.5: it is at least 1 for a topic that somebody else names or that is a piece of
 * a word, at most 0 for one that counts, and negative without a topic. */
static void make_topic_filter(struct layer *l)
{
    const float steep = 100.0f, low = 0.3f, high = 0.5f;
    for (size_t t = 0; t < demo_n_topics; t++) {
        for (size_t side = 0; side < 2; side++) {
            size_t neuron = 2 * t + side;
            *at(&l->gate, neuron, TOPIC + t) = 4 * steep;
            *at(&l->gate, neuron, IS_USER) = -2 * steep;
            *at(&l->gate, neuron, INNER) = steep;
            *at(&l->gate, neuron, AT_BORDER) = -steep;
            *at(&l->gate, neuron, ONE) = -steep * (2 + (side == 0 ? low : high));
            *at(&l->up, neuron, ONE) = 1.0f;
            *at(&l->down, TOPIC + t, neuron) = (side == 0 ? -1.0f : 1.0f) / (steep * (high - low));
        }
    }
}

/* Layer 1: a neuron that fires when every code given is there, and writes `next`. */
static void add_neuron(struct demo *d, struct layer *l, size_t neuron, size_t topic,
                       const int32_t *history, size_t n_history, int32_t next)
{
    static const size_t regions[] = {CUR, BACK1, BACK3};
    const float steep = 60.0f, margin = 0.35f;
    *at(&l->gate, neuron, ABOUT + topic) = steep;
    for (size_t h = 0; h < n_history; h++)
        for (size_t j = 0; j < CODE; j++)
            *at(&l->gate, neuron, regions[h] + j) = steep * *at(&d->codes, (size_t)history[h], j);
    *at(&l->gate, neuron, ONE) = -steep * ((float)(n_history + 1) - margin);
    *at(&l->up, neuron, ONE) = 1.0f;
    for (size_t j = 0; j < CODE; j++)
        *at(&l->down, NEXT + j, neuron) = *at(&d->codes, (size_t)next, j) / (steep * margin);
}

/* The words of an answer as tokens, the end included. */
static size_t answer_tokens(const struct demo *d, size_t topic, int32_t *out, size_t max)
{
    struct str text = str_from(demo_topics[topic].answer), word;
    size_t n = 0;
    while (demo_next_word(&text, &word)) {
        int32_t id = demo_vocab_find(&d->vocab, word);
        if (id < 0 || n + 2 > max) {
            fprintf(stderr, "make_demo_model: the answer '%s' is too long or has odd words\n",
                    demo_topics[topic].name);
            exit(1);
        }
        out[n++] = id;
    }
    out[n++] = DEMO_END;
    return n;
}

enum { MAX_WORDS = 256, HISTORY = 3 };

/* The words of an answer that decide what follows word i: the word itself, the one before, and the
 * third one before, as far as the answer has them. "docker model" alone would not tell whether
 * "pull" or "run" is next. */
static size_t history_of(const int32_t *words, size_t i, int32_t out[HISTORY])
{
    static const size_t distance[HISTORY] = {0, 1, 3};
    size_t n = 0;
    while (n < HISTORY && distance[n] <= i) {
        out[n] = words[i - distance[n]];
        n++;
    }
    return n;
}

/* Is there a neuron already that fires after word i? It must then say the same. */
static bool known_history(const char *name, const int32_t *words, size_t i)
{
    int32_t mine[HISTORY], theirs[HISTORY];
    size_t n_mine = history_of(words, i, mine);
    for (size_t j = 0; j < i; j++) {
        size_t n = history_of(words, j, theirs);
        if (n > n_mine || memcmp(mine, theirs, n * sizeof(mine[0])) != 0)
            continue;
        if (words[j + 1] == words[i + 1])
            return true;
        fprintf(stderr, "make_demo_model: the answer '%s' goes on in two ways after word %zu\n",
                name, i);
        exit(1);
    }
    return false;
}

/* Adds the neurons of one answer from neuron number `first` on (only counts when l is NULL);
 * returns the next free number. */
static size_t add_answer(struct demo *d, struct layer *l, size_t topic, size_t first)
{
    int32_t words[MAX_WORDS], history[HISTORY], start = DEMO_ASSISTANT;
    size_t n = answer_tokens(d, topic, words, MAX_WORDS), neuron = first;
    if (l)
        add_neuron(d, l, neuron, topic, &start, 1, words[0]);
    neuron++;
    for (size_t i = 0; i + 1 < n; i++) {
        if (known_history(demo_topics[topic].name, words, i))
            continue;
        size_t n_history = history_of(words, i, history);
        if (l)
            add_neuron(d, l, neuron, topic, history, n_history, words[i + 1]);
        neuron++;
    }
    return neuron;
}

static void make_layers(struct demo *d)
{
    size_t n = 0;
    for (size_t t = 0; t < demo_n_topics; t++)
        n = add_answer(d, NULL, t, n);
    d->n_neurons = (n + 31) / 32 * 32; /* whole blocks for quantising */

    for (size_t i = 0; i < N_LAYERS; i++)
        d->layers[i] = (struct layer){
            .q = matrix_new(WIDTH, WIDTH), .k = matrix_new(WIDTH, WIDTH),
            .v = matrix_new(WIDTH, WIDTH), .o = matrix_new(WIDTH, WIDTH),
            .gate = matrix_new(d->n_neurons, WIDTH), .up = matrix_new(d->n_neurons, WIDTH),
            .down = matrix_new(WIDTH, d->n_neurons),
        };
    /* The slowest pair turns by 45 degrees over the whole context. */
    double slowest = 0.25 * acos(-1.0) / CONTEXT;
    d->freq_base = pow(slowest, -(double)CODE / (CODE - 2));

    struct layer *l = d->layers;
    look_back(d, &l[0], 0, 1);
    copy_values(&l[0], 0, CUR, CODE, BACK1);
    look_back(d, &l[0], 1, 3);
    copy_values(&l[0], 1, CUR, CODE, BACK3);
    look_for_latest(&l[0], 2, MARK, 2);
    copy_values(&l[0], 2, MARK, 1, IS_USER);
    look_back(d, &l[0], 3, 1);
    copy_values(&l[0], 3, BORDER, 1, AT_BORDER);
    make_topic_filter(&l[0]);
    look_for_latest(&l[1], 0, TOPIC, demo_n_topics);
    copy_values(&l[1], 0, TOPIC, demo_n_topics, ABOUT);
    for (size_t t = 0, neuron = 0; t < demo_n_topics; t++)
        neuron = add_answer(d, &l[1], t, neuron);
}

/* ---- the file ---- */

enum { TYPE_F32 = 0, TYPE_Q8_0 = 8 };

static const char chat_template[] =
    "{%- for message in messages -%}\n"
    "{{- '<|' + message['role'] + '|>' + message['content'] + '<|end|>' -}}\n"
    "{%- endfor -%}\n"
    "{%- if add_generation_prompt -%}{{- '<|assistant|>' -}}{%- endif -%}\n";

static void write_metadata(struct gguf_writer *w, const struct demo *d)
{
    gguf_writer_str(w, "general.architecture", STR("llama"));
    gguf_writer_str(w, "general.name", STR("model-runner demo (constructed)"));
    gguf_writer_str(w, "general.description",
                    STR("A constructed demo: a tiny transformer whose weights were written by a "
                        "program, not trained. It knows a few answers about model-runner."));
    gguf_writer_str(w, "general.author", STR("The model-runner authors"));
    gguf_writer_str(w, "general.license", STR("apache-2.0"));
    gguf_writer_u32(w, "general.file_type", 7); /* mostly Q8_0 */
    gguf_writer_u32(w, "general.quantization_version", 2);
    gguf_writer_u32(w, "llama.context_length", CONTEXT);
    gguf_writer_u32(w, "llama.embedding_length", WIDTH);
    gguf_writer_u32(w, "llama.block_count", N_LAYERS);
    gguf_writer_u32(w, "llama.feed_forward_length", (uint32_t)d->n_neurons);
    gguf_writer_u32(w, "llama.attention.head_count", N_HEADS);
    gguf_writer_u32(w, "llama.attention.head_count_kv", N_HEADS);
    gguf_writer_f32(w, "llama.attention.layer_norm_rms_epsilon", 1e-6f);
    gguf_writer_u32(w, "llama.rope.dimension_count", CODE);
    gguf_writer_f32(w, "llama.rope.freq_base", (float)d->freq_base);
    gguf_writer_u32(w, "llama.vocab_size", (uint32_t)d->vocab.n);
    gguf_writer_str(w, "tokenizer.ggml.model", STR("gpt2"));
    gguf_writer_str(w, "tokenizer.ggml.pre", STR("gpt-2"));
    gguf_writer_str_array(w, "tokenizer.ggml.tokens", d->vocab.tokens, d->vocab.n);
    gguf_writer_i32_array(w, "tokenizer.ggml.token_type", d->vocab.types, d->vocab.n);
    gguf_writer_str_array(w, "tokenizer.ggml.merges", d->vocab.merges, d->vocab.n_merges);
    gguf_writer_u32(w, "tokenizer.ggml.bos_token_id", DEMO_BEGIN);
    gguf_writer_u32(w, "tokenizer.ggml.eos_token_id", DEMO_END);
    gguf_writer_bool(w, "tokenizer.ggml.add_bos_token", true);
    gguf_writer_str(w, "tokenizer.chat_template", str_from(chat_template));
}

/* One tensor of the file: a Q8_0 matrix, or a norm if m is NULL. */
struct tensor {
    char name[48];
    const struct matrix *m;
};

static size_t list_tensors(struct demo *d, struct tensor *out)
{
    size_t n = 0;
    out[n++] = (struct tensor){"token_embd.weight", &d->embed};
    out[n++] = (struct tensor){"output.weight", &d->output};
    out[n++] = (struct tensor){"output_norm.weight", NULL};
    for (size_t i = 0; i < N_LAYERS; i++) {
        struct layer *l = &d->layers[i];
        const struct {
            const char *name;
            const struct matrix *m;
        } parts[] = {{"attn_norm", NULL},    {"attn_q", &l->q},      {"attn_k", &l->k},
                     {"attn_v", &l->v},      {"attn_output", &l->o}, {"ffn_norm", NULL},
                     {"ffn_gate", &l->gate}, {"ffn_up", &l->up},     {"ffn_down", &l->down}};
        for (size_t p = 0; p < ARRAY_LEN(parts); p++, n++) {
            snprintf(out[n].name, sizeof(out[n].name), "blk.%zu.%s.weight", i, parts[p].name);
            out[n].m = parts[p].m;
        }
    }
    return n;
}

/* A norm's weight undoes its division: the constant becomes 1, everything else stays. */
static void norm_weights(float out[WIDTH])
{
    for (size_t i = 0; i < WIDTH; i++)
        out[i] = ONE_SIZE / sqrtf((float)WIDTH);
    out[ONE] = 1.0f / sqrtf((float)WIDTH);
}

static int write_file(struct demo *d, const char *path, struct error *err)
{
    CLEANUP(cleanup_gguf_writer) struct gguf_writer *w = gguf_writer_new();
    write_metadata(w, d);
    struct tensor tensors[3 + 9 * N_LAYERS];
    size_t n = list_tensors(d, tensors);
    for (size_t i = 0; i < n; i++) {
        const struct matrix *m = tensors[i].m;
        uint64_t dims[2] = {WIDTH, 1};
        if (m)
            dims[0] = m->cols, dims[1] = m->rows;
        gguf_writer_tensor(w, str_from(tensors[i].name), m ? TYPE_Q8_0 : TYPE_F32, m ? 2 : 1, dims);
    }
    int r = gguf_writer_begin(w, path, err);
    for (size_t i = 0; r == 0 && i < n; i++) {
        const struct matrix *m = tensors[i].m;
        if (!m) {
            float norm[WIDTH];
            norm_weights(norm);
            r = gguf_writer_data(w, norm, sizeof(norm), err);
            continue;
        }
        size_t bytes = m->rows * m->cols / 32 * 34;
        CLEANUP_FREE unsigned char *packed = xmalloc(bytes);
        if (!quantize_row(TYPE_Q8_0, m->v, NULL, m->rows * m->cols, packed))
            return error_set(err, ERR_INTERNAL, "%s does not fit Q8_0", tensors[i].name);
        r = gguf_writer_data(w, packed, bytes, err);
    }
    return r < 0 ? r : gguf_writer_end(w, err);
}

static void demo_release(struct demo *d)
{
    demo_vocab_release(&d->vocab);
    free(d->codes.v);
    free(d->embed.v);
    free(d->output.v);
    for (size_t i = 0; i < N_LAYERS; i++) {
        struct layer *l = &d->layers[i];
        struct matrix *all[] = {&l->q, &l->k, &l->v, &l->o, &l->gate, &l->up, &l->down};
        for (size_t m = 0; m < ARRAY_LEN(all); m++)
            free(all[m]->v);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: make_demo_model OUT.gguf\n");
        return 1;
    }
    struct demo d = {0};
    make_vocab(&d.vocab);
    make_codes(&d);
    make_embedding(&d);
    make_output(&d);
    make_layers(&d);
    struct error err = ERROR_INIT;
    int r = write_file(&d, argv[1], &err);
    if (r < 0)
        fprintf(stderr, "make_demo_model: %s\n", err.msg);
    demo_release(&d);
    return r < 0 ? 1 : 0;
}
