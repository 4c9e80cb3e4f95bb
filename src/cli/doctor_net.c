/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model doctor: the port, proxies, certificates. */
#include <dirent.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/certificate.h"
#include "base/file.h"
#include "base/paths.h"
#include "cli/api.h"
#include "cli/doctor.h"
#include "http/client.h"

enum { CONNECT_MS = 3000, FEW_DAYS = 14 };

static int connect_one(const struct addrinfo *a)
{
    CLEANUP_FD int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return errno;
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return 0;
    if (errno != EINPROGRESS)
        return errno;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if (poll(&p, 1, CONNECT_MS) <= 0)
        return ETIMEDOUT;
    int error = 0;
    socklen_t n = sizeof(error);
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 ? error : errno;
}

int doctor_connect(const char *host, const char *port, struct error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int r = getaddrinfo(host, port, &hints, &list);
    if (r != 0)
        return error_set(err, ERR_UNAVAILABLE, "%s", gai_strerror(r));
    int error = ECONNREFUSED;
    for (const struct addrinfo *a = list; a && error; a = a->ai_next)
        error = connect_one(a);
    freeaddrinfo(list);
    return error ? error_set(err, ERR_UNAVAILABLE, "%s", strerror(error)) : 0;
}

/* ---- the port ---- */

/* Does the runner, or another of its kind, answer there? */
static bool is_runner(const char *port)
{
    CLEANUP_FREE char *url = xasprintf("http://127.0.0.1:%s/", port);
    struct http_call call = HTTP_CALL_INIT;
    struct http_result res = {0};
    call.url = url;
    call.timeout_ms = CONNECT_MS;
    call.max_body = 4096;
    bool is = http_perform(&call, &res, NULL) == 0 &&
              str_find(buf_str(&res.body), STR("Docker Model Runner")) >= 0;
    http_result_release(&res);
    return is;
}

/* The kernel's number of the socket that listens on this TCP port; 0 = unknown. */
static unsigned long listening_inode(unsigned port)
{
    static const char *const tables[] = {"/proc/net/tcp", "/proc/net/tcp6"};
    unsigned long found = 0;
    for (size_t i = 0; i < ARRAY_LEN(tables) && !found; i++) {
        FILE *f = fopen(tables[i], "re");
        char line[512];
        while (f && !found && fgets(line, sizeof(line), f)) {
            unsigned local = 0, state = 0;
            unsigned long inode = 0;
            if (sscanf(line,
                       " %*[^:]: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*s %*s %lu",
                       &local, &state, &inode) == 3 &&
                local == port && state == 0x0A)
                found = inode;
        }
        if (f)
            fclose(f);
    }
    return found;
}

/* Does the process have that socket open? */
static bool holds(const char *pid, const char *wanted)
{
    char path[64], target[64];
    snprintf(path, sizeof(path), "/proc/%.16s/fd", pid);
    DIR *fds = opendir(path);
    bool found = false;
    for (const struct dirent *e; fds && !found && (e = readdir(fds));) {
        ssize_t n = readlinkat(dirfd(fds), e->d_name, target, sizeof(target) - 1);
        target[n > 0 ? n : 0] = '\0';
        found = strcmp(target, wanted) == 0;
    }
    if (fds)
        closedir(fds);
    return found;
}

/* "nginx (process 123)", as far as this user may see; the caller frees. */
static char *port_user(unsigned port)
{
    char wanted[64], path[64];
    unsigned long inode = listening_inode(port);
    snprintf(wanted, sizeof(wanted), "socket:[%lu]", inode);
    DIR *proc = inode ? opendir("/proc") : NULL;
    char *who = NULL;
    for (const struct dirent *e; proc && !who && (e = readdir(proc));) {
        CLEANUP_BUF struct buf name = BUF_INIT(256);
        if (e->d_name[0] < '0' || e->d_name[0] > '9' || !holds(e->d_name, wanted))
            continue;
        snprintf(path, sizeof(path), "/proc/%.16s/comm", e->d_name);
        file_read(path, &name, NULL);
        who = xasprintf("%.*s (process %s)", STR_ARG(str_trim(buf_str(&name))), e->d_name);
    }
    if (proc)
        closedir(proc);
    return who ? who : xstrdup("another program, of another user");
}

void check_port(struct doctor *d)
{
    const char *text = doctor_setting(d, "MODEL_RUNNER_PORT");
    int64_t port = DAEMON_PORT;
    if (!d->is_local)
        return;
    if (text && (str_to_i64(str_from(text), "port", &port, NULL) < 0 || port < 1 || port > 65535)) {
        doctor_foundf(d, "port", FINDING_PROBLEM, "a number from 1 to 65535",
                      "MODEL_RUNNER_PORT is no port: %s", text);
        return;
    }
    char number[8];
    snprintf(number, sizeof(number), "%d", (int)port);
    if (doctor_connect("127.0.0.1", number, NULL) < 0) {
        doctor_foundf(d, "port", FINDING_OK, NULL, "%s is free", number);
    } else if (is_runner(number)) {
        doctor_foundf(d, "port", FINDING_OK, NULL, "%s is the runner's", number);
    } else {
        CLEANUP_FREE char *who = port_user((unsigned)port);
        doctor_foundf(d, "port", FINDING_PROBLEM,
                      "end that program, or choose another port: docker model reinstall-runner "
                      "--port N",
                      "%s is used by %s", number, who);
    }
}

/* ---- proxies ---- */

bool doctor_proxy_address(const char *value, struct proxy_address *ret)
{
    struct str s = str_trim(str_from(value));
    ptrdiff_t scheme = str_find(s, STR("://"));
    bool tls = str_starts_with(s, STR("https://"));
    if (scheme >= 0)
        s = str_sub(s, (size_t)scheme + 3, SIZE_MAX);
    ptrdiff_t slash = str_find_char(s, '/');
    if (slash >= 0)
        s = str_sub(s, 0, (size_t)slash);
    ptrdiff_t user = str_rfind_char(s, '@');
    if (user >= 0)
        s = str_sub(s, (size_t)user + 1, SIZE_MAX);
    ptrdiff_t colon = str_rfind_char(s, ':');
    ptrdiff_t bracket = str_rfind_char(s, ']');
    struct str host = s, port = tls ? STR("443") : STR("1080"); /* libcurl's */
    if (colon > bracket) {
        host = str_sub(s, 0, (size_t)colon);
        port = str_sub(s, (size_t)colon + 1, SIZE_MAX);
    }
    if (host.len > 2 && host.ptr[0] == '[')
        host = str_sub(host, 1, host.len - 2);
    int64_t n = 0;
    if (host.len == 0 || host.len >= sizeof(ret->host) || str_find_char(host, ' ') >= 0 ||
        str_to_i64(port, "port", &n, NULL) < 0 || n < 1 || n > 65535)
        return false;
    snprintf(ret->host, sizeof(ret->host), "%.*s", STR_ARG(host));
    snprintf(ret->port, sizeof(ret->port), "%d", (int)n);
    return true;
}

static bool check_one_proxy(struct doctor *d, const char *name, const char *value)
{
    static const char advice[] = "mend or unset it here and in the runner's environment, then "
                                 "docker model restart-runner; NO_PROXY names exceptions";
    struct proxy_address a;
    struct error err = ERROR_INIT;
    if (!doctor_proxy_address(value, &a)) {
        doctor_foundf(d, "proxy", FINDING_PROBLEM, "write http://HOST:PORT",
                      "%s is no address of a proxy", name);
        return false;
    }
    if (doctor_connect(a.host, a.port, &err) == 0)
        return true;
    doctor_foundf(d, "proxy", FINDING_PROBLEM, advice, "%s points to %s port %s: %s", name, a.host,
                  a.port, err.msg);
    return false;
}

void check_proxy(struct doctor *d)
{
    static const char *const names[] = {"HTTPS_PROXY", "https_proxy", "HTTP_PROXY",
                                        "http_proxy",  "ALL_PROXY",   "all_proxy"};
    const char *seen[ARRAY_LEN(names)] = {0};
    size_t n = 0;
    bool good = true;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *value = doctor_setting(d, names[i]);
        bool known = !value;
        for (size_t k = 0; k < n && !known; k++)
            known = strcmp(seen[k], value) == 0;
        if (known)
            continue;
        seen[n++] = value;
        good = check_one_proxy(d, names[i], value) && good;
    }
    if (good)
        doctor_found(d, "proxy", FINDING_OK, n > 0 ? "somebody listens there" : "none is set",
                     NULL);
}

/* ---- certificates ---- */

static bool check_pem(struct doctor *d, const char *name, const char *path)
{
    CLEANUP_BUF struct buf text = BUF_INIT(8 << 20);
    char fingerprint[FINGERPRINT_TEXT];
    int days = 0;
    struct error err = ERROR_INIT;
    int r = file_read(path, &text, &err);
    if (r == 0)
        r = certificate_look(buf_str(&text), fingerprint, &days, &err);
    if (r < 0)
        doctor_foundf(d, "certificates", FINDING_PROBLEM,
                      "name a file with certificates in PEM, or unset it", "%s: %s: %s", name, path,
                      err.msg);
    else if (days < 0)
        doctor_foundf(d, "certificates", FINDING_PROBLEM, "get a new one",
                      "%s: the certificate in %s has run out %d days ago", name, path, -days);
    else if (days < FEW_DAYS)
        doctor_foundf(d, "certificates", FINDING_WARNING, "get a new one",
                      "%s: the certificate in %s runs out in %d days", name, path, days);
    return r == 0 && days >= FEW_DAYS;
}

/* Docker's per-registry authorities: ~/.docker/certs.d/HOST:PORT/ca.crt. */
static bool check_certs_d(struct doctor *d)
{
    CLEANUP_FREE char *config = NULL;
    if (path_docker_config(&config, NULL) < 0)
        return true;
    CLEANUP_FREE char *dir = path_join(config, "certs.d");
    DIR *hosts = opendir(dir);
    bool good = true;
    for (const struct dirent *e; hosts && (e = readdir(hosts));) {
        CLEANUP_FREE char *path = xasprintf("%s/%s/ca.crt", dir, e->d_name);
        if (e->d_name[0] != '.' && file_exists(path))
            good = check_pem(d, "certs.d", path) && good;
    }
    if (hosts)
        closedir(hosts);
    return good;
}

void check_authorities(struct doctor *d)
{
    static const char *const names[] = {"SSL_CERT_FILE", "MODEL_RUNNER_TLS_CA_CERT",
                                        "MODEL_RUNNER_TLS_CERT"};
    bool good = check_certs_d(d);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *path = doctor_setting(d, names[i]);
        if (path)
            good = check_pem(d, names[i], path) && good;
    }
    if (good)
        doctor_found(d, "certificates", FINDING_OK, "nothing is wrong with them", NULL);
}
