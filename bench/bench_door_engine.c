/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine of bench_door.py: it answers at once and sends `max_tokens` events one by one, each
 * when a datagram comes to "SOCKET.gate", so that only the way to it is measured. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/json.h"
#include "http/server.h"

static int gate = -1;

static int open_gate(const char *socket_path)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s.gate", socket_path);
    if (n < 0 || (size_t)n >= sizeof(addr.sun_path))
        return -1;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) == 0 ? fd : -1;
}

static void handle(struct http_request *r, void *ctx)
{
    (void)ctx;
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf body = BUF_INIT(1 << 20);
    CLEANUP_JSON struct json *request = NULL;
    if (strcmp(http_request_method(r), "GET") == 0) {
        http_respond(r, 200, "application/json", STR("{\"status\":\"ok\"}"));
        return;
    }
    if (http_request_read_all(r, &body, &err) < 0 ||
        js_parse(buf_str(&body), "the request", &request, &err) < 0) {
        http_respond_text(r, 400, err.msg);
        return;
    }
    http_stream_begin(r, 200, "text/event-stream");
    for (int64_t i = 0; i < js_get_int(request, "max_tokens", 1); i++) {
        char text[64], go;
        if (i > 0 && recv(gate, &go, 1, 0) < 0)
            return;
        snprintf(text, sizeof(text), "data: %lld\n\n", (long long)i);
        if (http_stream_write(r, str_from(text)) < 0)
            return;
    }
}

/* serve --model FILE --socket PATH --lifeline-fd N … */
int main(int argc, char **argv)
{
    const char *path = NULL;
    int lifeline = -1;
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], "--socket") == 0)
            path = argv[i + 1];
        else if (strcmp(argv[i], "--lifeline-fd") == 0)
            lifeline = atoi(argv[i + 1]);
    }
    struct error err = ERROR_INIT;
    struct http_server *server = NULL;
    if (!path || (gate = open_gate(path)) < 0)
        return 2;
    const struct http_server_options o = {.listen.unix_path = path, .handler = handle};
    if (http_server_start(&o, &server, &err) < 0) {
        fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    char byte;
    while (read(lifeline, &byte, 1) > 0)
        ;
    return 0;
}
