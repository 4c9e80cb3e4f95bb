/* SPDX-License-Identifier: Apache-2.0
 *
 * A reader for as much of protobuf as the file needs. */
#include "engine/import/sentencepiece.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"

struct message {
    const unsigned char *p, *end;
};

struct field {
    uint32_t number;
    uint64_t value;         /* of numbers; the bits of fixed ones */
    struct message content; /* of fields with a length */
    bool has_content;
};

static int cut(struct error *err)
{
    return error_set(err, ERR_CORRUPT, "no SentencePiece model: a message is cut off");
}

static int read_varint(struct message *m, uint64_t *ret, struct error *err)
{
    uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (m->p == m->end)
            return cut(err);
        unsigned char byte = *m->p++;
        v |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) {
            *ret = v;
            return 0;
        }
    }
    return error_set(err, ERR_CORRUPT, "no SentencePiece model: a number is too long");
}

static int read_fixed(struct message *m, size_t bytes, uint64_t *ret, struct error *err)
{
    if ((size_t)(m->end - m->p) < bytes)
        return cut(err);
    *ret = 0;
    for (size_t i = 0; i < bytes; i++)
        *ret |= (uint64_t)m->p[i] << (8 * i);
    m->p += bytes;
    return 0;
}

/* The next field: 1, 0 at the message's end. */
static int next_field(struct message *m, struct field *f, struct error *err)
{
    enum { VARINT = 0, FIXED64 = 1, CONTENT = 2, FIXED32 = 5 };
    uint64_t tag = 0, len = 0;
    if (m->p == m->end)
        return 0;
    int r = read_varint(m, &tag, err);
    if (r < 0)
        return r;
    *f = (struct field){.number = (uint32_t)(tag >> 3), .has_content = (tag & 7) == CONTENT};
    switch (tag & 7) {
    case VARINT:
        r = read_varint(m, &f->value, err);
        break;
    case FIXED64:
        r = read_fixed(m, 8, &f->value, err);
        break;
    case FIXED32:
        r = read_fixed(m, 4, &f->value, err);
        break;
    case CONTENT:
        r = read_varint(m, &len, err);
        if (r == 0 && len > (uint64_t)(m->end - m->p))
            r = cut(err);
        if (r == 0) {
            f->content = (struct message){m->p, m->p + len};
            m->p += len;
        }
        break;
    default:
        r = error_set(err, ERR_CORRUPT, "no SentencePiece model: a field of an unknown form");
    }
    return r < 0 ? r : 1;
}

/* ---- the messages ---- */

static int read_piece(struct message m, struct sp_piece *ret, struct error *err)
{
    struct field f;
    int r;
    *ret = (struct sp_piece){.type = 1};
    while ((r = next_field(&m, &f, err)) > 0) {
        uint32_t bits = (uint32_t)f.value;
        if (f.number == 1 && f.has_content)
            ret->text = str_make((const char *)f.content.p, (size_t)(f.content.end - f.content.p));
        else if (f.number == 2)
            memcpy(&ret->score, &bits, sizeof(bits));
        else if (f.number == 3)
            ret->type = f.value >= 1 && f.value <= 6 ? (int32_t)f.value : 0;
    }
    if (r == 0 && (ret->type == 0 || !isfinite(ret->score)))
        r = error_set(err, ERR_CORRUPT, "a piece has no valid type or score");
    return r;
}

static int read_trainer(struct message m, struct sp_model *ret, struct error *err)
{
    struct field f;
    int r;
    while ((r = next_field(&m, &f, err)) > 0) {
        int64_t v = (int32_t)(uint32_t)f.value; /* negative numbers come as 64 bits */
        switch (f.number) {
        case 3:
            ret->model_type = v;
            break;
        case 40:
            ret->unk = v;
            break;
        case 41:
            ret->bos = v;
            break;
        case 42:
            ret->eos = v;
            break;
        case 43:
            ret->pad = v;
            break;
        default:
            break;
        }
    }
    return r;
}

static int read_normalizer(struct message m, struct sp_model *ret, struct error *err)
{
    struct field f;
    int r;
    while ((r = next_field(&m, &f, err)) > 0)
        if (f.number == 3)
            ret->add_dummy_prefix = f.value != 0;
    return r;
}

static int count_pieces(struct message m, size_t *ret, struct error *err)
{
    struct field f;
    int r;
    *ret = 0;
    while ((r = next_field(&m, &f, err)) > 0)
        *ret += f.number == 1 && f.has_content;
    if (r == 0 && (*ret == 0 || *ret > SP_MAX_PIECES))
        r = error_set(err, ERR_CORRUPT, "a SentencePiece model of %zu pieces; 1 to %d are allowed",
                      *ret, SP_MAX_PIECES);
    return r;
}

int sp_model_parse(const void *data, size_t size, struct sp_model *ret, struct error *err)
{
    struct message m = {data, (const unsigned char *)data + size};
    struct field f;
    size_t n = 0;
    *ret = (struct sp_model){.model_type = SP_UNIGRAM,
                             .unk = 0,
                             .bos = 1,
                             .eos = 2,
                             .pad = -1,
                             .add_dummy_prefix = true};
    int r = count_pieces(m, &n, err);
    if (r < 0)
        return r;
    ret->pieces = alloc_array(n, sizeof(*ret->pieces));
    if (!ret->pieces)
        return error_set(err, ERR_NOMEM, "out of memory for %zu pieces", n);
    while ((r = next_field(&m, &f, err)) > 0) {
        int part = 0;
        if (f.number == 1 && f.has_content)
            part = read_piece(f.content, &ret->pieces[ret->n++], err);
        else if (f.number == 2 && f.has_content)
            part = read_trainer(f.content, ret, err);
        else if (f.number == 3 && f.has_content)
            part = read_normalizer(f.content, ret, err);
        if (part < 0)
            return part;
    }
    return r;
}

void sp_model_release(struct sp_model *m)
{
    free(m->pieces);
    *m = (struct sp_model){0};
}
