/* SPDX-License-Identifier: Apache-2.0
 *
 * Credentials and tokens: who gets them, and above all who does not. */
#include "test.h"

#include "fake.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "oci/media_types.h"
#include "registry/internal.h"

#define MANIFEST "{\"schemaVersion\":2,\"layers\":[]}"

struct world {
    struct fake *registry, *service;
    char dir[64];
    const char *wanted;    /* Authorization that the registry accepts */
    const char *challenge; /* of its 401; %u is the service's port */
    const char *redirect;  /* of its manifests, after authorisation; %u likewise */
    const char *answer;    /* of the service */
    int service_status;
    atomic_uint n_service;
    char seen_by_registry[4096], seen_by_service[4096], service_request[8192];
    struct registry_options options;
};

/* Puts a port in the place of every %u. */
static void fill_in(char *out, size_t size, const char *text, uint16_t port)
{
    size_t n = 0;
    for (const char *p = text; *p && n + 8 < size; p++) {
        if (p[0] == '%' && p[1] == 'u') {
            n += (size_t)snprintf(out + n, size - n, "%u", (unsigned)port);
            p++;
        } else {
            out[n++] = *p;
        }
    }
    out[n] = '\0';
}

static void on_registry(struct fake_conn *c, const struct fake_request *r, void *ctx)
{
    struct world *w = ctx;
    char text[4096] = "";
    if (strcmp(r->path, "/v2/") == 0) {
        fake_answer(c, 200, "", STR(""));
        return;
    }
    snprintf(w->seen_by_registry, sizeof(w->seen_by_registry), "%s", fake_header(r, "Authorization"));
    if (w->wanted && strcmp(w->seen_by_registry, w->wanted) != 0) {
        if (w->challenge) {
            char realm[2048];
            fill_in(realm, sizeof(realm), w->challenge, fake_port(w->service));
            snprintf(text, sizeof(text), "WWW-Authenticate: %s\r\n", realm);
        }
        fake_answer(c, 401, text, STR("{\"errors\":[{\"code\":\"UNAUTHORIZED\"}]}"));
        return;
    }
    if (w->redirect) {
        char to[512];
        fill_in(to, sizeof(to), w->redirect, fake_port(w->service));
        snprintf(text, sizeof(text), "Location: %s\r\n", to);
        fake_answer(c, 307, text, STR(""));
        return;
    }
    fake_answer(c, 200, "Content-Type: " OCI_TYPE_MANIFEST "\r\n", STR(MANIFEST));
}

static void on_service(struct fake_conn *c, const struct fake_request *r, void *ctx)
{
    struct world *w = ctx;
    atomic_fetch_add(&w->n_service, 1);
    snprintf(w->seen_by_service, sizeof(w->seen_by_service), "%s", fake_header(r, "Authorization"));
    snprintf(w->service_request, sizeof(w->service_request), "%s %.2000s %.4000s", r->method, r->path,
             r->body);
    fake_answer(c, w->service_status ? w->service_status : 200,
                "Content-Type: application/json\r\n", str_from(w->answer));
}

static void world_start(struct world *w)
{
    *w = (struct world){.answer = "{\"token\":\"T\"}"};
    snprintf(w->dir, sizeof(w->dir), "/tmp/mr-auth-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    w->registry = fake_start(on_registry, w);
    w->service = fake_start(on_service, w);
    w->options = (struct registry_options){
        .docker_config_dir = w->dir, .certs_dirs = "/nonexistent", .backoff_ms = 2};
}

static void world_stop(struct world *w)
{
    struct error err = ERROR_INIT;
    fake_stop(w->registry);
    fake_stop(w->service);
    assert_ok(dir_remove_tree(w->dir, &err));
}

/* Writes config.json; %u is the registry's port. */
static void write_config(struct world *w, const char *format)
{
    struct error err = ERROR_INIT;
    char path[128], text[4096];
    snprintf(path, sizeof(path), "%s/config.json", w->dir);
    fill_in(text, sizeof(text), format, fake_port(w->registry));
    assert_ok(file_write_atomic(path, str_from(text), 0600, &err));
}

static int resolve_with(struct world *w, struct registry *r, const char *bearer, struct error *ret)
{
    struct error err = ERROR_INIT;
    struct registry_repo *repo = NULL;
    struct oci_reference ref;
    char name[64];
    snprintf(name, sizeof(name), "127.0.0.1:%u/ai/m:1", (unsigned)fake_port(w->registry));
    assert_ok(oci_reference_parse(str_from(name), NULL, &ref, &err));
    assert_ok(registry_repo_open(r, &ref, REGISTRY_PULL, bearer, &repo, &err));
    struct registry_manifest m = {0};
    int res = registry_resolve(repo, NULL, NULL, &m, ret);
    if (res == 0)
        assert_str(buf_str(&m.bytes), MANIFEST);
    registry_manifest_release(&m);
    registry_repo_close(repo);
    return res;
}

static int resolve(struct world *w, struct error *ret)
{
    struct error err = ERROR_INIT;
    struct registry *r = NULL;
    assert_ok(registry_new(&w->options, &r, &err));
    int res = resolve_with(w, r, NULL, ret);
    registry_free(r);
    return res;
}

#define BEARER "Bearer realm=\"http://127.0.0.1:%u/token\",service=\"reg & co\""
#define STRANGER "Bearer realm=\"http://localhost:%u/token\",service=\"s\""
#define JOE "am9lOnNlOmNyZXQ=" /* joe:se:cret */

static void test_auth__anonymous_token(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct world w;
    world_start(&w);
    w.wanted = "Bearer T";
    w.challenge = BEARER;
    w.options.hub_user = "hub"; /* must stay here */
    w.options.hub_password = "secret";
    struct registry *r = NULL;
    assert_ok(registry_new(&w.options, &r, &err));
    assert_ok(resolve_with(&w, r, NULL, &err));
    assert_string_equal(w.seen_by_service, "");
    assert_non_null(strstr(w.service_request, "GET /token?service=reg%20%26%20co"));
    assert_non_null(strstr(w.service_request, "scope=repository:ai/m:pull"));
    assert_ok(resolve_with(&w, r, NULL, &err));
    assert_int_equal(w.n_service, 1); /* the token is kept */
    w.wanted = "Bearer U";
    w.answer = "{\"access_token\":\"U\",\"expires_in\":1}";
    assert_ok(resolve_with(&w, r, NULL, &err));
    assert_int_equal(w.n_service, 2); /* and replaced when it is not accepted any more */
    registry_free(r);
    world_stop(&w);
}

static void test_auth__stored(void **state)
{
    (void)state;
    static const struct {
        const char *config, *wanted, *challenge, *at_service, *request;
    } cases[] = {
        {"{\"auths\":{\"127.0.0.1:%u\":{\"auth\":\"" JOE "\"}}}", "Basic " JOE, "Basic realm=\"x\"",
         "", NULL},
        {"{\"auths\":{\"https://127.0.0.1:%u/v1/\":{\"auth\":\"" JOE "\"}}}", "Bearer T", BEARER,
         "Basic " JOE, "GET /token?"},
        {"{\"auths\":{\"127.0.0.1:%u\":{\"username\":\"joe\",\"password\":\"se:cret\"}}}", "Bearer T",
         BEARER, "Basic " JOE, "account=joe"},
        {"{\"auths\":{\"127.0.0.1:%u\":{\"identitytoken\":\"id&1\"}}}", "Bearer T", BEARER, "",
         "refresh_token=id%261"},
        {"{\"auths\":{\"127.0.0.1:%u\":{\"registrytoken\":\"T\"}}}", "Bearer T", BEARER, "", NULL},
        /* Those of others, and files that are none. */
        {"{\"auths\":{\"127.0.0.2:%u\":{\"auth\":\"" JOE "\"}}}", "Bearer T", BEARER, "", "GET"},
        {"{\"auths\":{\"127.0.0.1:%u\":{\"auth\":\"!!\"}}}", "Bearer T", BEARER, "", "GET"},
        {"{\"auths\":{\"127.0.0.1:%u\":7}}", "Bearer T", BEARER, "", "GET"},
        {"{\"auths\":", "Bearer T", BEARER, "", "GET"},
        {"{\"credsStore\":\"../../bin/sh\",\"credHelpers\":{\"127.0.0.1:%u\":\"no/such\"}}",
         "Bearer T", BEARER, "", "GET"},
        /* A token service that is not the registry's gets none. */
        {"{\"auths\":{\"127.0.0.1:%u\":{\"auth\":\"" JOE "\"}}}", "Bearer T", STRANGER, "", "GET"},
        {"{\"auths\":{\"127.0.0.1:%u\":{\"identitytoken\":\"id\"}}}", "Bearer T", STRANGER, "", "GET"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct world w;
        world_start(&w);
        write_config(&w, cases[i].config);
        w.wanted = cases[i].wanted;
        w.challenge = cases[i].challenge;
        print_message("case %zu\n", i);
        assert_ok(resolve(&w, &err));
        assert_string_equal(w.seen_by_service, cases[i].at_service);
        assert_int_equal(w.n_service, cases[i].request ? 1 : 0);
        if (cases[i].request)
            assert_non_null(strstr(w.service_request, cases[i].request));
        if (strstr(cases[i].challenge, "localhost"))
            assert_null(strstr(w.service_request, "id"));
        world_stop(&w);
    }
}

static void write_helper(struct world *w, const char *script)
{
    struct error err = ERROR_INIT;
    char path[128];
    snprintf(path, sizeof(path), "%s/docker-credential-mr-test", w->dir);
    assert_ok(file_write_atomic(path, str_from(script), 0755, &err));
    snprintf(path, sizeof(path), "relative:%s:/usr/bin:/bin", w->dir);
    setenv("PATH", path, 1);
}

static void test_auth__helpers(void **state)
{
    (void)state;
    static const struct {
        const char *script, *at_service, *request;
    } cases[] = {
        {"#!/bin/sh\nread s; [ \"$1\" = get ] || exit 1\n"
         "echo \"{\\\"ServerURL\\\":\\\"$s\\\",\\\"Username\\\":\\\"joe\\\",\\\"Secret\\\":\\\"se:cret\\\"}\"\n",
         "Basic " JOE, "account=joe"},
        {"#!/bin/sh\necho '{\"Username\":\"<token>\",\"Secret\":\"idt\"}'\n", "",
         "refresh_token=idt"},
        /* Nothing known, and failures: what auths says counts. */
        {"#!/bin/sh\necho 'credentials not found in native keychain'\nexit 1\n",
         "Basic YW5uOnA=", "account=ann"},
        {"#!/bin/sh\nexit 3\n", "Basic YW5uOnA=", "account=ann"},
        {"#!/bin/sh\necho nonsense\n", "Basic YW5uOnA=", "account=ann"},
        {"#!/bin/sh\nexec 0<&-\nhead -c 1000000 /dev/zero\n", "Basic YW5uOnA=", "account=ann"},
    };
    CLEANUP_FREE char *path = xstrdup(getenv("PATH") ? getenv("PATH") : "");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        for (int store = 0; store < 2; store++) {
            struct error err = ERROR_INIT;
            struct world w;
            world_start(&w);
            write_helper(&w, cases[i].script);
            write_config(&w, store ? "{\"credsStore\":\"mr-test\",\"auths\":{\"127.0.0.1:%u\":"
                                     "{\"auth\":\"YW5uOnA=\"}}}"
                                   : "{\"credHelpers\":{\"127.0.0.1:%u\":\"mr-test\"},\"auths\":"
                                     "{\"127.0.0.1:%u\":{\"auth\":\"YW5uOnA=\"}}}");
            w.wanted = "Bearer T";
            w.challenge = BEARER;
            print_message("case %zu.%d\n", i, store);
            assert_ok(resolve(&w, &err));
            assert_string_equal(w.seen_by_service, cases[i].at_service);
            assert_non_null(strstr(w.service_request, cases[i].request));
            world_stop(&w);
        }
    }
    setenv("PATH", path, 1);
}

static void test_auth__refusals(void **state)
{
    (void)state;
    static char huge[3 << 20];
    memset(huge, 'x', sizeof(huge) - 1);
    static const struct {
        const char *challenge, *answer;
        int status;
        enum errc code;
        const char *text;
        unsigned n_service;
    } cases[] = {
        {NULL, NULL, 0, ERR_DENIED, "docker login 127.0.0.1", 0},
        {"Basic realm=\"x\"", NULL, 0, ERR_DENIED, "docker login", 0},
        {"Bearer service=\"no realm\"", NULL, 0, ERR_DENIED, "docker login", 0},
        {"Bearer realm=\"http://169.254.169.254/t\"", NULL, 0, ERR_DENIED, "link-local", 0},
        {"Bearer realm=\"http://10.1.2.3/t\"", NULL, 0, ERR_DENIED, "private", 0},
        {"Bearer realm=\"http://[fe80::1]/t\"", NULL, 0, ERR_DENIED, "link-local", 0},
        {"Bearer realm=\"http://0xA9FEA9FE/t\"", NULL, 0, ERR_DENIED, "169.254.169.254", 0},
        {"Bearer realm=\"file:///etc/passwd\"", NULL, 0, ERR_UNAVAILABLE, "only http and https", 0},
        {"Bearer realm=\"/token\"", NULL, 0, ERR_UNAVAILABLE, "not a URL", 0},
        {"Bearer realm=\"http://u:p@127.0.0.1:%u/\"", NULL, 0, ERR_UNAVAILABLE, "user name", 0},
        {BEARER, "{\"details\":\"leak-me\"}", 401, ERR_DENIED, "answered 401", 1},
        {BEARER, "{\"details\":\"leak-me\"}", 403, ERR_DENIED, "127.0.0.1", 1},
        {BEARER, "leak-me", 500, ERR_UNAVAILABLE, "answered 500", 3},
        {BEARER, "leak-me", 429, ERR_BUSY, "answered 429", 3},
        {BEARER, "{}", 0, ERR_UNAVAILABLE, "without a token", 1},
        {BEARER, "leak-me", 0, ERR_UNAVAILABLE, "without a token", 1},
        {BEARER, "{\"token\":\"a\\r\\nHost: leak-me\"}", 0, ERR_UNAVAILABLE, "without a token", 1},
        {BEARER, "{\"token\":[1]}", 0, ERR_UNAVAILABLE, "without a token", 1},
        {BEARER, huge, 0, ERR_UNAVAILABLE, "too much text", 1},
        {BEARER, "{\"token\":\"wrong\"}", 0, ERR_DENIED, "UNAUTHORIZED", 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct world w;
        world_start(&w);
        w.wanted = "Bearer T";
        w.challenge = cases[i].challenge;
        w.answer = cases[i].answer ? cases[i].answer : "";
        w.service_status = cases[i].status;
        assert_fails(resolve(&w, &err), cases[i].code, cases[i].text);
        print_message("%s\n", err.msg);
        assert_null(strstr(err.msg, "leak-me"));
        assert_int_equal(w.n_service, cases[i].n_service);
        world_stop(&w);
    }
}

static void test_auth__wrong_password(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct world w;
    world_start(&w);
    write_config(&w, "{\"auths\":{\"127.0.0.1:%u\":{\"auth\":\"" JOE "\"}}}");
    w.wanted = "Basic else";
    w.challenge = "Basic realm=\"x\"";
    assert_fails(resolve(&w, &err), ERR_DENIED, "user joe");
    assert_null(strstr(err.msg, "cret"));
    w.challenge = BEARER;
    w.service_status = 401;
    assert_fails(resolve(&w, &err), ERR_DENIED, "to user joe");
    assert_null(strstr(err.msg, "cret"));
    world_stop(&w);
}

static void test_auth__bearer_of_the_request(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct world w;
    struct registry *r = NULL;
    world_start(&w);
    write_config(&w, "{\"auths\":{\"127.0.0.1:%u\":{\"auth\":\"" JOE "\"}}}");
    w.wanted = "Bearer mine";
    w.challenge = BEARER;
    assert_ok(registry_new(&w.options, &r, &err));
    assert_ok(resolve_with(&w, r, "mine", &err));
    assert_fails(resolve_with(&w, r, "other", &err), ERR_DENIED, "UNAUTHORIZED");
    assert_int_equal(w.n_service, 0);
    struct oci_reference ref;
    struct registry_repo *repo = NULL;
    assert_ok(oci_reference_parse(STR("a/b"), NULL, &ref, &err));
    assert_fails(registry_repo_open(r, &ref, REGISTRY_PULL, "a\r\nb: c", &repo, &err), ERR_INVALID,
                 "bearer token");
    registry_free(r);
    world_stop(&w);
}

static void test_auth__redirect_gets_no_secret(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct world w;
    world_start(&w);
    write_config(&w, "{\"auths\":{\"127.0.0.1:%u\":{\"auth\":\"" JOE "\"}}}");
    w.wanted = "Basic " JOE;
    w.challenge = "Basic realm=\"x\"";
    w.redirect = "http://127.0.0.1:%u/elsewhere"; /* another port is another host */
    w.answer = MANIFEST;
    assert_ok(resolve(&w, &err));
    assert_int_equal(w.n_service, 1);
    assert_string_equal(w.seen_by_service, "");
    world_stop(&w);
}

static void test_auth__realm_belongs(void **state)
{
    (void)state;
    static const struct {
        const char *host, *realm;
        bool belongs;
    } cases[] = {
        {"registry-1.docker.io", "auth.docker.io", true},
        {"ghcr.io", "ghcr.io", true},
        {"ghcr.io", "token.ghcr.io", true},
        {"ghcr.io", "evil.io", false},
        {"registry.gitlab.com", "gitlab.com", true},
        {"registry.example.co.uk", "auth.example.co.uk", true},
        {"example.co.uk", "evil.co.uk", false},
        {"example.com.au", "evil.com.au", false},
        {"a.example.com", "example.com.evil.com", false},
        {"a.example.com", "evilexample.com", false},
        {"a.example.com", "a.example.com.evil", false},
        {"example.com", "evil.com", false},
        {"localhost", "evil.com", false},
        {"10.0.0.1", "10.0.0.2", false},
        {"10.0.0.1", "9.10.0.0.1", true}, /* no such address exists */
        {"192.168.0.1", "x.168.0.1", false},
        {"[::1]", "[::2]", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        print_message("%s %s\n", cases[i].host, cases[i].realm);
        assert_int_equal(registry__realm_belongs(cases[i].host, cases[i].realm), cases[i].belongs);
    }
}

static bool allowed(struct guard *g, const char *address)
{
    struct sockaddr_storage a = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&a;
    if (inet_pton(AF_INET, address, &v4->sin_addr) == 1)
        a.ss_family = AF_INET;
    else if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1)
        a.ss_family = AF_INET6;
    g->refused = (struct error)ERROR_INIT;
    int r = guard_on_connect(g, (struct sockaddr *)&a);
    assert_int_equal(r, -(int)g->refused.code);
    return r == 0;
}

/* What a name means at the moment of connecting is what counts. */
static void test_guard(void **state)
{
    (void)state;
    static char registry_host[] = "reg.example", other_host[] = "cdn.example", no_hosts[] = "",
                hosts[] = "x,cdn.example", all_hosts[] = "*";
    struct registry r = {.insecure_hosts = no_hosts};
    struct registry_repo repo = {.r = &r};
    struct endpoint ep = {.host = registry_host};
    struct guard own = {.repo = &repo, .ep = &ep, .own = true, .target = {.host = registry_host}};
    struct guard other = {.repo = &repo, .ep = &ep, .target = {.host = other_host, .port = 443}};

    /* Nothing known of the registry yet. */
    assert_true(allowed(&own, "127.0.0.1") && allowed(&own, "10.0.0.1") && allowed(&own, "8.8.8.8"));
    assert_true(allowed(&other, "8.8.8.8"));
    assert_false(allowed(&other, "10.0.0.1") || allowed(&other, "127.0.0.1"));

    /* A public one stays public. */
    ep.kind_known = true;
    ep.kind = ADDRESS_GLOBAL;
    assert_true(allowed(&own, "8.8.4.4"));
    assert_false(allowed(&own, "127.0.0.1") || allowed(&own, "::1") || allowed(&own, "169.254.1.1"));
    assert_false(allowed(&other, "::ffff:10.0.0.1") || allowed(&other, "fe80::1"));

    /* A private one may send to its neighbours, not to this machine or to metadata services. */
    ep.kind = ADDRESS_PRIVATE;
    assert_true(allowed(&own, "10.0.0.1") && allowed(&other, "192.168.0.1"));
    assert_false(allowed(&other, "127.0.0.1") || allowed(&other, "169.254.169.254"));
    ep.kind = ADDRESS_LOOPBACK;
    assert_true(allowed(&other, "127.0.0.2"));
    assert_false(allowed(&other, "10.0.0.1") || allowed(&other, "fd00:ec2::254"));

    /* The user's word counts, when it names the host. */
    r.insecure_hosts = all_hosts;
    assert_false(allowed(&other, "10.0.0.1"));
    r.insecure_hosts = hosts;
    assert_true(allowed(&other, "10.0.0.1"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_auth__anonymous_token),
        cmocka_unit_test(test_auth__stored),
        cmocka_unit_test(test_auth__helpers),
        cmocka_unit_test(test_auth__refusals),
        cmocka_unit_test(test_auth__wrong_password),
        cmocka_unit_test(test_auth__bearer_of_the_request),
        cmocka_unit_test(test_auth__redirect_gets_no_secret),
        cmocka_unit_test(test_auth__realm_belongs),
        cmocka_unit_test(test_guard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
