/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256, and git's SHA-1, over libcrypto. */
#include "base/digest.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/alloc.h"
#include "base/compiler.h"

struct sha256 {
    EVP_MD_CTX *ctx;
};

/* libcrypto fails here only without memory. */
static void must(int ok)
{
    if (!ok)
        alloc_failed();
}

static void write_hex(const unsigned char *md, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[md[i] >> 4];
        out[2 * i + 1] = digits[md[i] & 15];
    }
    out[2 * n] = '\0';
}

struct sha256 *sha256_new(void)
{
    struct sha256 *h = xcalloc(1, sizeof(*h));
    h->ctx = EVP_MD_CTX_new();
    must(h->ctx && EVP_DigestInit_ex(h->ctx, EVP_sha256(), NULL));
    return h;
}

void sha256_update(struct sha256 *h, const void *p, size_t n)
{
    must(EVP_DigestUpdate(h->ctx, p, n));
}

void sha256_final_hex(struct sha256 *h, char out[SHA256_HEX + 1])
{
    unsigned char md[SHA256_BYTES];
    must(EVP_DigestFinal_ex(h->ctx, md, NULL));
    write_hex(md, sizeof(md), out);
    sha256_free(h);
}

void sha256_free(struct sha256 *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->ctx);
    free(h);
}

void sha256_hex(struct str data, char out[SHA256_HEX + 1])
{
    struct sha256 *h = sha256_new();
    sha256_update(h, data.ptr, data.len);
    sha256_final_hex(h, out);
}

void git_blob_oid(struct str data, char out[GIT_OID_HEX + 1])
{
    unsigned char md[GIT_OID_HEX / 2];
    char head[32];
    int n = snprintf(head, sizeof(head), "blob %zu", data.len);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    must(ctx && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) &&
         EVP_DigestUpdate(ctx, head, (size_t)n + 1) && EVP_DigestUpdate(ctx, data.ptr, data.len) &&
         EVP_DigestFinal_ex(ctx, md, NULL));
    EVP_MD_CTX_free(ctx);
    write_hex(md, sizeof(md), out);
}

bool digest_equal(struct str a, struct str b)
{
    return a.len == b.len && CRYPTO_memcmp(a.ptr, b.ptr, a.len) == 0;
}

int sha256_file_hex(const char *path, char out[SHA256_HEX + 1], struct error *err)
{
    CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, errno, "cannot open '%s'", path);
    enum { CHUNK = 1 << 20 };
    CLEANUP_FREE char *chunk = xmalloc(CHUNK);
    struct sha256 *h = sha256_new();
    for (;;) {
        ssize_t n = read(fd, chunk, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int e = errno;
            sha256_free(h);
            return error_errno(err, e, "cannot read '%s'", path);
        }
        if (n == 0)
            break;
        sha256_update(h, chunk, (size_t)n);
    }
    sha256_final_hex(h, out);
    return 0;
}
