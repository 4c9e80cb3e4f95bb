/* SPDX-License-Identifier: Apache-2.0
 *
 * Seeing: from the bytes of a picture to what stands for it in a prompt.
 *
 *     struct vision *v;
 *     vision_open("mmproj.gguf", &(struct vision_options){.n_embd = 576}, &v, err);
 *     struct picture *p;
 *     vision_read(v, bytes, &p, err);               // decoded and cut; cheap
 *     for (each piece of p)                         // texts and squares, in the prompt's order
 *         piece->text, or vision_encode(v, p, piece->square, rows, &cancel, err);
 *
 * What stands around the squares is what the model was trained with:
 *
 *     gemma3     <start_of_image> SQUARE <end_of_image>
 *     idefics3   <fake_token_around_image><row_1_col_1> SQUARE … at the end of a row a line break;
 *                then a line break, <fake_token_around_image><global-img> SQUARE
 *                <fake_token_around_image>
 *
 * The rows of recent squares are kept, so that a chat that sends its pictures again with every turn
 * does not pay again.
 *
 * Threads: any number; encoding is done for one at a time, on threads of its own, so that a picture
 * does not hold up those who are being answered. */
#ifndef ENGINE_VISION_VISION_H
#define ENGINE_VISION_VISION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/str.h"

struct vision;

struct vision_options {
    uint32_t n_embd;      /* of the language model; a projector for another width is refused */
    uint32_t n_threads;   /* 0 = default */
    uint64_t cache_bytes; /* of rows kept; 0 = 64 MiB */
};

int vision_open(const char *path, const struct vision_options *o, struct vision **ret,
                struct error *err);
void vision_close(struct vision *v); /* NULL is fine */

const char *vision_name(const struct vision *v);       /* "idefics3" */
uint32_t vision_square_tokens(const struct vision *v); /* tokens of each square */
uint32_t vision_n_embd(const struct vision *v);        /* numbers in a row */
bool vision_squares_are_whole(const struct vision *v); /* a square's tokens see each other */
uint64_t vision_bytes(const struct vision *v);         /* of the projector's weights */

struct piece {
    struct str text; /* {NULL, 0} for a square */
    uint32_t square;
};

struct picture {
    struct piece *pieces; /* [n_pieces] */
    size_t n_pieces;
    uint32_t n_squares;
    uint32_t width, height; /* of the file */
    struct picture_data *data;
};

/* `bytes`: a PNG, JPEG or WebP file; not needed afterwards. */
int vision_read(const struct vision *v, struct str bytes, struct picture **ret, struct error *err);
void picture_free(struct picture *p); /* NULL is fine */
DEFINE_CLEANUP(picture, struct picture, picture_free);

/* Negative numbers that stand for the tokens of a square in a prompt: the same for the same
 * pixels as long as the process lives, and not to be guessed. out: [vision_square_tokens]. */
void vision_ids(const struct vision *v, const struct picture *p, uint32_t square, int32_t *out);

/* out: [vision_square_tokens][n_embd]. `cancel` (may be NULL) as in backend.h. */
int vision_encode(struct vision *v, const struct picture *p, uint32_t square, float *out,
                  const volatile bool *cancel, struct error *err);

#endif
