/* SPDX-License-Identifier: Apache-2.0
 *
 * Tar archives (POSIX.1-2008 pax, "ustar Interchange Format"): blocks of 512 bytes, a header block
 * before each entry's data,
 *
 *     0 name[100]  100 mode[8]  108 uid[8]  116 gid[8]  124 size[12]  136 mtime[12]
 *     148 checksum[8]  156 type  157 linkname[100]  257 "ustar\0" "00"  265 uname[32]
 *     297 gname[32]  329 devmajor[8]  337 devminor[8]  345 prefix[155]
 *
 * numbers in octal, or binary with the top bit of the first byte set (GNU). An entry of type 'x'
 * holds "LENGTH key=value\n" records for the entry behind it; of type 'L', its name. */
#include "models/tar.h"

#include <stdio.h>
#include <string.h>

enum {
    NAME_AT = 0,
    NAME_LEN = 100,
    SIZE_AT = 124,
    SIZE_LEN = 12,
    CHECKSUM_AT = 148,
    CHECKSUM_LEN = 8,
    TYPE_AT = 156,
    MAGIC_AT = 257,
    PREFIX_AT = 345,
    PREFIX_LEN = 155,
};

/* Sizes above this are no archive that anybody means. */
#define MAX_ENTRY ((uint64_t)1 << 50)

void tar_reader_init(struct tar_reader *t, tar_read_fn read, void *ctx)
{
    *t = (struct tar_reader){.read = read, .ctx = ctx, .name = BUF_INIT(TAR_NAME_MAX)};
}

void tar_reader_release(struct tar_reader *t)
{
    buf_release(&t->name);
}

static int corrupt(struct error *err, const char *what)
{
    return error_set(err, ERR_CORRUPT, "this is not a valid tar archive: %s", what);
}

/* Exactly n bytes; 0 or negative. *ret_none (may be NULL): the stream had ended before the first.
 */
static int read_exact(struct tar_reader *t, void *p, size_t n, bool *ret_none, struct error *err)
{
    if (ret_none)
        *ret_none = false;
    for (size_t done = 0; done < n;) {
        ssize_t got = t->read(t->ctx, (char *)p + done, n - done, err);
        if (got < 0)
            return (int)got;
        if (got == 0 && done == 0 && ret_none) {
            *ret_none = true;
            return 0;
        }
        if (got == 0)
            return error_set(err, ERR_CORRUPT, "unexpected EOF");
        done += (size_t)got;
    }
    return 0;
}

static int skip(struct tar_reader *t, uint64_t n, struct error *err)
{
    char scratch[16 * TAR_BLOCK];
    while (n > 0) {
        size_t part = (size_t)MIN(n, (uint64_t)sizeof(scratch));
        int r = read_exact(t, scratch, part, NULL, err);
        if (r < 0)
            return r;
        n -= part;
    }
    return 0;
}

/* ---- header fields ---- */

static bool parse_number(const unsigned char *p, size_t n, uint64_t *ret)
{
    uint64_t v = 0;
    if (p[0] & 0x80) { /* binary, big-endian; the sign bit must not be set */
        if (p[0] != 0x80)
            return false;
        for (size_t i = 1; i < n; i++) {
            if (v >> 56)
                return false;
            v = v << 8 | p[i];
        }
        *ret = v;
        return true;
    }
    size_t i = 0;
    while (i < n && p[i] == ' ')
        i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) {
        if (v >> 61)
            return false;
        v = v << 3 | (uint64_t)(p[i] - '0');
    }
    for (; i < n; i++)
        if (p[i] != ' ' && p[i] != '\0')
            return false;
    *ret = v;
    return true;
}

static bool checksum_is_right(const unsigned char *block)
{
    uint64_t want, sum = 0;
    int64_t signed_sum = 0; /* some old programs summed signed bytes */
    if (!parse_number(block + CHECKSUM_AT, CHECKSUM_LEN, &want))
        return false;
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        unsigned char c = i >= CHECKSUM_AT && i < CHECKSUM_AT + CHECKSUM_LEN ? ' ' : block[i];
        sum += c;
        signed_sum += (signed char)c;
    }
    return sum == want || (signed_sum >= 0 && (uint64_t)signed_sum == want);
}

static size_t field_len(const unsigned char *p, size_t n)
{
    return strnlen((const char *)p, n);
}

/* The name of the header block, with the ustar prefix. */
static void header_name(struct tar_reader *t, const unsigned char *block)
{
    size_t prefix =
        memcmp(block + MAGIC_AT, "ustar", 6) == 0 ? field_len(block + PREFIX_AT, PREFIX_LEN) : 0;
    buf_clear(&t->name);
    if (prefix) {
        buf_append_bytes(&t->name, block + PREFIX_AT, prefix);
        buf_push(&t->name, '/');
    }
    buf_append_bytes(&t->name, block + NAME_AT, field_len(block + NAME_AT, NAME_LEN));
}

static enum tar_type type_of(unsigned char c)
{
    switch (c) {
    case '0':
    case '\0':
    case '7':
        return TAR_FILE;
    case '5':
        return TAR_DIR;
    case '1':
    case '2':
        return TAR_LINK;
    default:
        return TAR_OTHER;
    }
}

/* ---- extended headers ---- */

/* What an extended header says about the next entry. */
struct override {
    bool has_name, has_size;
    uint64_t size;
};

static int set_long_name(struct tar_reader *t, struct str name, struct override *o,
                         struct error *err)
{
    if (name.len == 0 || name.len > TAR_NAME_MAX || str_find_char(name, '\0') >= 0)
        return corrupt(err, "a long name that is none");
    buf_clear(&t->name);
    buf_append(&t->name, name);
    o->has_name = true;
    return 0;
}

static int parse_pax(struct tar_reader *t, struct str text, struct override *o, struct error *err)
{
    while (text.len > 0) {
        ptrdiff_t space = str_find_char(text, ' ');
        uint64_t len;
        if (space <= 0 || str_to_u64(str_sub(text, 0, (size_t)space), "length", &len, NULL) < 0 ||
            len > text.len || len < (uint64_t)space + 2 || text.ptr[len - 1] != '\n')
            return corrupt(err, "a damaged pax header");
        struct str record = str_sub(text, (size_t)space + 1, (size_t)len - (size_t)space - 2);
        ptrdiff_t equals = str_find_char(record, '=');
        if (equals <= 0)
            return corrupt(err, "a damaged pax header");
        struct str key = str_sub(record, 0, (size_t)equals);
        struct str value = str_sub(record, (size_t)equals + 1, SIZE_MAX);
        if (str_eq_c(key, "path")) {
            int r = set_long_name(t, value, o, err);
            if (r < 0)
                return r;
        } else if (str_eq_c(key, "size")) {
            if (str_to_u64(value, "size", &o->size, NULL) < 0)
                return corrupt(err, "a damaged size in a pax header");
            o->has_size = true;
        } else if (str_starts_with(key, STR("GNU.sparse."))) {
            return corrupt(err, "sparse files are not supported");
        }
        text = str_sub(text, (size_t)len, SIZE_MAX);
    }
    return 0;
}

/* Reads the data of an extended header (type 'x' or 'L') of `size` bytes. */
static int read_extended(struct tar_reader *t, unsigned char type, uint64_t size,
                         struct override *o, struct error *err)
{
    if (size > TAR_PAX_MAX)
        return corrupt(err, "an extended header that is too large");
    CLEANUP_BUF struct buf data = BUF_INIT(TAR_PAX_MAX + TAR_BLOCK);
    size_t padded = (size_t)size + tar_padding(size);
    char *p = buf_reserve(&data, padded);
    if (!p)
        return buf_check(&data, "an extended header", err);
    int r = read_exact(t, p, padded, NULL, err);
    if (r < 0)
        return r;
    struct str text = str_make(p, (size_t)size);
    if (type == 'x')
        return parse_pax(t, text, o, err);
    text.len = strnlen(text.ptr, text.len);
    return set_long_name(t, text, o, err);
}

/* ---- entries ---- */

static bool all_zero(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

/* One header block: 1 = an entry, 0 = the end, 2 = an extended header was taken in. */
static int read_header(struct tar_reader *t, struct override *o, struct tar_entry *ret,
                       struct error *err)
{
    unsigned char block[TAR_BLOCK];
    bool none;
    int r = read_exact(t, block, sizeof(block), &none, err);
    if (r < 0)
        return r;
    if (none || all_zero(block, sizeof(block))) {
        t->ended = true;
        /* An archive that ends without its end mark was cut off. */
        return none ? error_set(err, ERR_CORRUPT, "unexpected EOF") : 0;
    }
    uint64_t size;
    if (!checksum_is_right(block))
        return corrupt(err, "a header's checksum is wrong");
    if (!parse_number(block + SIZE_AT, SIZE_LEN, &size) || size > MAX_ENTRY)
        return corrupt(err, "a header's size is damaged");
    if (++t->n_entries > TAR_MAX_ENTRIES)
        return error_set(err, ERR_TOO_LARGE, "the tar archive has more than %d entries",
                         TAR_MAX_ENTRIES);
    unsigned char type = block[TYPE_AT];
    if (type == 'x' || type == 'L') {
        r = read_extended(t, type, size, o, err);
        return r < 0 ? r : 2;
    }
    if (type == 'g' || type == 'K') { /* global settings, a long link target: of no use here */
        r = skip(t, size + tar_padding(size), err);
        return r < 0 ? r : 2;
    }
    if (o->has_size)
        size = o->size;
    if (size > MAX_ENTRY)
        return corrupt(err, "a header's size is damaged");
    if (!o->has_name)
        header_name(t, block);
    *ret = (struct tar_entry){.name = buf_cstr(&t->name), .type = type_of(type)};
    /* Links and directories have no data, whatever their size field says. */
    bool data = ret->type == TAR_FILE || ret->type == TAR_OTHER;
    t->left = data ? size : 0;
    t->padding = data ? tar_padding(size) : 0;
    ret->size = ret->type == TAR_FILE ? size : 0;
    return 1;
}

int tar_next(struct tar_reader *t, struct tar_entry *ret, struct error *err)
{
    if (t->ended)
        return 0;
    int r = skip(t, t->left, err);
    if (r == 0)
        r = skip(t, t->padding, err);
    if (r < 0)
        return r;
    t->left = t->padding = 0;
    struct override o = {0};
    do
        r = read_header(t, &o, ret, err);
    while (r == 2);
    return r;
}

ssize_t tar_read(struct tar_reader *t, void *p, size_t n, struct error *err)
{
    size_t want = (size_t)MIN((uint64_t)n, t->left);
    if (want == 0)
        return 0;
    ssize_t got = t->read(t->ctx, p, want, err);
    if (got < 0)
        return got;
    if (got == 0)
        return error_set(err, ERR_CORRUPT, "unexpected EOF");
    t->left -= (uint64_t)got;
    return got;
}

/* ---- writing ---- */

/* Sizes that eleven octal digits cannot hold go into a pax header. */
#define USTAR_SIZE_LIMIT ((uint64_t)1 << 33)

size_t tar_padding(uint64_t size)
{
    return (size_t)(-size & (TAR_BLOCK - 1));
}

size_t tar_header_size(uint64_t size)
{
    return size < USTAR_SIZE_LIMIT ? TAR_BLOCK : 3 * TAR_BLOCK;
}

static void write_block(struct buf *out, const char *name, char type, const char *mode,
                        uint64_t size)
{
    char block[TAR_BLOCK] = {0};
    size_t len = strlen(name);
    memcpy(block + NAME_AT, name, MIN(len, (size_t)NAME_LEN));
    memcpy(block + 100, mode, 7);
    memcpy(block + 108, "0000000", 7);
    memcpy(block + 116, "0000000", 7);
    for (int i = 0; i < 11; i++)
        block[SIZE_AT + i] = (char)('0' + (size >> (3 * (10 - i)) & 7));
    memset(block + 136, '0', 11);
    block[TYPE_AT] = type;
    memcpy(block + MAGIC_AT, "ustar\00000", 8);
    memset(block + CHECKSUM_AT, ' ', CHECKSUM_LEN);
    unsigned sum = 0;
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += (unsigned char)block[i];
    for (int i = 0; i < 6; i++)
        block[CHECKSUM_AT + i] = (char)('0' + (sum >> (3 * (5 - i)) & 7));
    block[CHECKSUM_AT + 6] = '\0';
    buf_append_bytes(out, block, sizeof(block));
}

void tar_write_header(struct buf *out, const char *name, enum tar_type type, uint64_t size)
{
    if (size >= USTAR_SIZE_LIMIT) {
        /* "NN size=DIGITS\n", where NN counts itself; two digits always suffice. */
        char record[64], pad[TAR_BLOCK] = {0};
        snprintf(record, sizeof(record), " size=%llu\n", (unsigned long long)size);
        size_t len = strlen(record) + 2;
        snprintf(record, sizeof(record), "%zu size=%llu\n", len, (unsigned long long)size);
        write_block(out, "pax", 'x', "0000644", len);
        buf_append_bytes(out, record, len);
        buf_append_bytes(out, pad, TAR_BLOCK - len);
        size = 0;
    }
    if (type == TAR_DIR)
        write_block(out, name, '5', "0000755", 0);
    else
        write_block(out, name, '0', "0000666", size);
}

int tar_send_header(tar_write_fn write, void *ctx, const char *name, enum tar_type type,
                    uint64_t size, struct error *err)
{
    CLEANUP_BUF struct buf block = BUF_INIT(4 * TAR_BLOCK);
    tar_write_header(&block, name, type, size);
    return write(ctx, block.data, block.len, err);
}

int tar_send_zeros(tar_write_fn write, void *ctx, size_t n, struct error *err)
{
    static const char zeros[TAR_END];
    return n ? write(ctx, zeros, n, err) : 0;
}

int tar_send_bytes(tar_write_fn write, void *ctx, const char *name, struct str data,
                   struct error *err)
{
    int r = tar_send_header(write, ctx, name, TAR_FILE, data.len, err);
    if (r == 0 && data.len)
        r = write(ctx, data.ptr, data.len, err);
    return r == 0 ? tar_send_zeros(write, ctx, tar_padding(data.len), err) : r;
}

uint64_t tar_entry_bytes(uint64_t size)
{
    return tar_header_size(size) + size + tar_padding(size);
}
