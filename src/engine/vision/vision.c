/* SPDX-License-Identifier: Apache-2.0
 *
 * Pictures in prompts. */
#include "engine/vision/vision.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/digest.h"
#include "engine/vision/encoder.h"
#include "engine/vision/tiles.h"

enum { CACHE_BYTES = 64 << 20, KEY_BYTES = 16, LAYOUT_MAX = 1 << 16 };

struct picture_data {
    struct tiles tiles;
    char (*digest)[SHA256_HEX + 1]; /* [n_squares] of the pixels */
    struct buf text;                /* what the pieces' texts point to */
};

/* Rows of a square that was encoded, newest first. */
struct kept {
    char digest[SHA256_HEX + 1];
    float *rows;
    struct kept *next;
};

struct vision {
    struct backend *backend;
    struct mmproj mmproj;
    struct encoder *encoder;      /* guarded by: lock */
    struct kept *kept;            /* guarded by: lock */
    size_t n_kept, most_kept;     /* n_kept guarded by: lock */
    unsigned char key[KEY_BYTES]; /* makes the ids unpredictable */
    pthread_mutex_t lock;
};

/* ---- life ---- */

static int open_vision(struct vision *v, const char *path, const struct vision_options *o,
                       struct error *err)
{
    struct backend_cpu_options bo = {.n_threads = o->n_threads};
    int r = backend_cpu_create(&bo, &v->backend, err);
    if (r == 0)
        r = mmproj_load(path, v->backend, &v->mmproj, err);
    if (r < 0)
        return r;
    const struct mmproj_desc *d = &v->mmproj.desc;
    if (d->n_text != o->n_embd)
        return error_set(err, ERR_INVALID,
                         "%s makes rows of %" PRIu32
                         " numbers, but the model's embeddings have %" PRIu32
                         ": it belongs to another model",
                         path, d->n_text, o->n_embd);
    if (getrandom(v->key, sizeof(v->key), 0) != (ssize_t)sizeof(v->key))
        return error_set(err, ERR_IO, "the system gave no random numbers");
    uint64_t square = (uint64_t)mmproj_n_tokens(d) * d->n_text * sizeof(float);
    v->most_kept = (size_t)((o->cache_bytes ? o->cache_bytes : CACHE_BYTES) / square);
    return encoder_create(&v->mmproj, &v->encoder, err);
}

int vision_open(const char *path, const struct vision_options *o, struct vision **ret,
                struct error *err)
{
    struct vision *v = xcalloc(1, sizeof(*v));
    pthread_mutex_init(&v->lock, NULL);
    int r = open_vision(v, path, o, err);
    if (r < 0)
        vision_close(v);
    else
        *ret = v;
    return r;
}

static void kept_free(struct kept *k)
{
    free(k->rows);
    free(k);
}

void vision_close(struct vision *v)
{
    if (!v)
        return;
    while (v->kept) {
        struct kept *k = v->kept;
        v->kept = k->next;
        kept_free(k);
    }
    encoder_free(v->encoder);
    mmproj_release(&v->mmproj);
    if (v->backend)
        v->backend->ops->destroy(v->backend);
    pthread_mutex_destroy(&v->lock);
    free(v);
}

const char *vision_name(const struct vision *v)
{
    return v->mmproj.desc.projector == PROJECTOR_GEMMA3 ? "gemma3" : "idefics3";
}

uint32_t vision_square_tokens(const struct vision *v)
{
    return mmproj_n_tokens(&v->mmproj.desc);
}

uint32_t vision_n_embd(const struct vision *v)
{
    return v->mmproj.desc.n_text;
}

bool vision_squares_are_whole(const struct vision *v)
{
    return v->mmproj.desc.projector == PROJECTOR_GEMMA3;
}

uint64_t vision_bytes(const struct vision *v)
{
    return v->mmproj.tensors.bytes;
}

/* ---- what stands in the prompt ---- */

/* Pieces are noted as offsets first, as the text moves while it grows. */
struct layout {
    struct picture *p;
    struct buf *text;
    size_t begun; /* where the current text begins */
};

static void add_piece(struct layout *l, struct piece piece)
{
    struct picture *p = l->p;
    p->pieces = xrealloc(p->pieces, p->n_pieces + 1, sizeof(*p->pieces));
    p->pieces[p->n_pieces++] = piece;
}

static void end_text(struct layout *l)
{
    if (l->text->len > l->begun)
        add_piece(l, (struct piece){.text = {NULL, l->text->len - l->begun}});
    l->begun = l->text->len;
}

static void add_square(struct layout *l, uint32_t square)
{
    end_text(l);
    add_piece(l, (struct piece){.square = square});
}

static void lay_out_idefics3(struct layout *l, const struct tiles *t)
{
    for (uint32_t i = 0; i < t->rows * t->cols; i++) {
        if (i > 0 && i % t->cols == 0)
            buf_push(l->text, '\n');
        buf_printf(l->text, "<fake_token_around_image><row_%" PRIu32 "_col_%" PRIu32 ">",
                   i / t->cols + 1, i % t->cols + 1);
        add_square(l, i);
    }
    if (t->rows > 0)
        buf_append_c(l->text, "\n\n");
    buf_append_c(l->text, "<fake_token_around_image><global-img>");
    add_square(l, t->n_squares - 1);
    buf_append_c(l->text, "<fake_token_around_image>");
    end_text(l);
}

static int lay_out(const struct vision *v, struct picture *p, struct error *err)
{
    const struct tiles *t = &p->data->tiles;
    struct layout l = {.p = p, .text = &p->data->text};
    if (v->mmproj.desc.projector == PROJECTOR_GEMMA3) {
        buf_append_c(l.text, "<start_of_image>");
        add_square(&l, 0);
        buf_append_c(l.text, "<end_of_image>");
        end_text(&l);
    } else {
        lay_out_idefics3(&l, t);
    }
    const char *at = buf_cstr(l.text);
    for (size_t i = 0; i < p->n_pieces; i++) {
        if (p->pieces[i].text.len == 0)
            continue;
        p->pieces[i].text.ptr = at;
        at += p->pieces[i].text.len;
    }
    return buf_check(l.text, "the text around an image", err);
}

/* ---- reading ---- */

static int read_picture(const struct vision *v, struct str bytes, struct picture *p,
                        struct error *err)
{
    CLEANUP_IMAGE struct image image = {0};
    int r = image_decode(bytes, &image, err);
    if (r == 0)
        r = tiles_make(&v->mmproj.desc, &image, &p->data->tiles, err);
    if (r < 0)
        return r;
    const struct tiles *t = &p->data->tiles;
    p->width = image.width;
    p->height = image.height;
    p->n_squares = t->n_squares;
    p->data->digest = xcalloc(t->n_squares, sizeof(*p->data->digest));
    for (uint32_t i = 0; i < t->n_squares; i++) {
        const struct image *s = &t->squares[i];
        sha256_hex(str_make((const char *)s->rgb, (size_t)s->width * s->height * 3),
                   p->data->digest[i]);
    }
    return lay_out(v, p, err);
}

int vision_read(const struct vision *v, struct str bytes, struct picture **ret, struct error *err)
{
    struct picture *p = xcalloc(1, sizeof(*p));
    p->data = xcalloc(1, sizeof(*p->data));
    p->data->text = BUF_INIT(LAYOUT_MAX);
    int r = read_picture(v, bytes, p, err);
    if (r < 0)
        picture_free(p);
    else
        *ret = p;
    return r;
}

void picture_free(struct picture *p)
{
    if (!p)
        return;
    tiles_release(&p->data->tiles);
    buf_release(&p->data->text);
    free(p->data->digest);
    free(p->data);
    free(p->pieces);
    free(p);
}

void vision_ids(const struct vision *v, const struct picture *p, uint32_t square, int32_t *out)
{
    /* One hash per square, over the key and the pixels' digest; then a generator's numbers. */
    char hex[SHA256_HEX + 1];
    struct sha256 *h = sha256_new();
    sha256_update(h, v->key, sizeof(v->key));
    sha256_update(h, p->data->digest[square], SHA256_HEX);
    sha256_final_hex(h, hex);
    hex[16] = '\0';
    uint64_t state = strtoull(hex, NULL, 16);
    for (uint32_t i = 0; i < vision_square_tokens(v); i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        out[i] = -1 - (int32_t)(state >> 33);
    }
}

/* ---- encoding ---- */

static size_t square_floats(const struct vision *v)
{
    return (size_t)vision_square_tokens(v) * v->mmproj.desc.n_text;
}

/* Finds kept rows and moves them to the front. */
static bool recall(struct vision *v, const char *digest, float *out)
{
    for (struct kept **link = &v->kept; *link; link = &(*link)->next) {
        struct kept *k = *link;
        if (strcmp(k->digest, digest) != 0)
            continue;
        memcpy(out, k->rows, square_floats(v) * sizeof(float));
        *link = k->next;
        k->next = v->kept;
        v->kept = k;
        return true;
    }
    return false;
}

static void keep(struct vision *v, const char *digest, const float *rows)
{
    if (v->most_kept == 0)
        return;
    struct kept *k;
    if (v->n_kept < v->most_kept) {
        k = xcalloc(1, sizeof(*k));
        k->rows = alloc_array(square_floats(v), sizeof(float));
        if (!k->rows) { /* then it is computed again */
            free(k);
            return;
        }
        v->n_kept++;
    } else { /* the oldest makes room */
        struct kept **last = &v->kept;
        while ((*last)->next)
            last = &(*last)->next;
        k = *last;
        *last = NULL;
    }
    memcpy(k->digest, digest, sizeof(k->digest));
    memcpy(k->rows, rows, square_floats(v) * sizeof(float));
    k->next = v->kept;
    v->kept = k;
}

int vision_encode(struct vision *v, const struct picture *p, uint32_t square, float *out,
                  const volatile bool *cancel, struct error *err)
{
    const char *digest = p->data->digest[square];
    int r = 0;
    pthread_mutex_lock(&v->lock);
    if (!recall(v, digest, out)) {
        r = encoder_run(v->encoder, &p->data->tiles.squares[square], out, cancel, err);
        if (r == 0)
            keep(v, digest, out);
    }
    pthread_mutex_unlock(&v->lock);
    return r;
}
