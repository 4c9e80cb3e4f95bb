/* SPDX-License-Identifier: Apache-2.0
 *
 * Certificates, over libcrypto. */
#include "base/certificate.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/compiler.h"

DEFINE_CLEANUP(x509, X509, X509_free);
DEFINE_CLEANUP(pkey, EVP_PKEY, EVP_PKEY_free);
DEFINE_CLEANUP(bio, BIO, BIO_free_all);

static bool add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = e && X509_add_ext(x, e, -1) == 1;
    X509_EXTENSION_free(e);
    return ok;
}

static bool is_address(const char *name)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

static bool fill(X509 *x, EVP_PKEY *key, const char *const *names, int days)
{
    CLEANUP_BUF struct buf alternatives = BUF_INIT(4096);
    for (size_t i = 0; names[i]; i++)
        buf_printf(&alternatives, "%s%s:%s", i ? "," : "", is_address(names[i]) ? "IP" : "DNS",
                   names[i]);
    BIGNUM *serial = BN_new();
    bool ok = serial && BN_rand(serial, 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
              BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(x));
    BN_free(serial);
    X509_NAME *subject = X509_get_subject_name(x);
    return ok && X509_set_version(x, 2) == 1 &&
           X509_gmtime_adj(X509_getm_notBefore(x), -3600) && /* clocks differ */
           X509_gmtime_adj(X509_getm_notAfter(x), (long)days * 24 * 3600) &&
           X509_set_pubkey(x, key) == 1 &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)names[0],
                                      -1, -1, 0) == 1 &&
           X509_set_issuer_name(x, subject) == 1 &&
           add_extension(x, NID_subject_alt_name, buf_cstr(&alternatives)) &&
           add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(x, NID_key_usage, "critical,digitalSignature") &&
           add_extension(x, NID_ext_key_usage, "serverAuth") && X509_sign(x, key, EVP_sha256()) > 0;
}

static bool append(struct buf *out, BIO *bio)
{
    char *text = NULL;
    long n = BIO_get_mem_data(bio, &text);
    return n > 0 && buf_append(out, str_make(text, (size_t)n)) == 0;
}

int certificate_make(const char *const *names, int days, struct buf *ret_cert, struct buf *ret_key,
                     struct error *err)
{
    CLEANUP(cleanup_pkey) EVP_PKEY *key = EVP_EC_gen("P-256");
    CLEANUP(cleanup_x509) X509 *x = X509_new();
    CLEANUP(cleanup_bio) BIO *cert_text = BIO_new(BIO_s_mem());
    CLEANUP(cleanup_bio) BIO *key_text = BIO_new(BIO_s_mem());
    if (key && x && cert_text && key_text && fill(x, key, names, days) &&
        PEM_write_bio_X509(cert_text, x) == 1 &&
        PEM_write_bio_PrivateKey(key_text, key, NULL, NULL, 0, NULL, NULL) == 1 &&
        append(ret_cert, cert_text) && append(ret_key, key_text))
        return 0;
    return error_set(err, ERR_INTERNAL, "cannot make a certificate");
}

int certificate_look(struct str pem, char ret_fingerprint[FINGERPRINT_TEXT], int *ret_days,
                     struct error *err)
{
    CLEANUP(cleanup_bio) BIO *bio = BIO_new_mem_buf(pem.ptr, (int)MIN(pem.len, 1u << 20));
    CLEANUP(cleanup_x509) X509 *x = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    unsigned char sum[SHA256_BYTES];
    unsigned n = 0;
    int seconds = 0;
    if (!x || X509_digest(x, EVP_sha256(), sum, &n) != 1 || n != sizeof(sum) ||
        ASN1_TIME_diff(ret_days, &seconds, NULL, X509_get0_notAfter(x)) != 1)
        return error_set(err, ERR_INVALID, "it holds no certificate in PEM form");
    if (seconds < 0 && *ret_days == 0)
        *ret_days = -1;
    for (size_t i = 0; i < n; i++)
        snprintf(ret_fingerprint + 3 * i, 4, "%02X%s", sum[i], i + 1 < n ? ":" : "");
    return 0;
}
