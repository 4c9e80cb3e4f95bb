/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests of other APIs and what engines answer to them. The first byte chooses the API; the first
 * line is a request, each other one a chunk, and the last one a whole answer, too. */
#include <stddef.h>
#include <stdint.h>

#include "apis/turn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct api *const apis[] = {&api_anthropic, &api_responses, &api_ollama_chat,
                                             &api_ollama_generate};
    if (size < 1 || size > 1 << 16)
        return 0;
    struct str rest = {(const char *)data + 1, size - 1}, line;
    struct error err = ERROR_INIT;
    CLEANUP_JSON struct json *request = NULL;
    if (!str_split_next(&rest, '\n', &line) || js_parse(line, "the request", &request, &err) < 0)
        return 0;
    struct turn t;
    CLEANUP_BUF struct buf out = BUF_INIT((size_t)1 << 24);
    int r = turn_begin(&t, apis[data[0] % ARRAY_LEN(apis)], request, NULL, &err);
    if (r == 0)
        turn_open(&t, &out);
    CLEANUP_JSON struct json *last = NULL;
    while (r == 0 && str_split_next(&rest, '\n', &line)) {
        js_free(last);
        last = NULL;
        r = js_parse(line, "a chunk", &last, &err);
        if (r == 0)
            r = turn_chunk(&t, last, &out, &err);
    }
    if (r == 0) {
        CLEANUP_JSON struct json *answer = NULL;
        turn_end(&t, &out);
        (void)!turn_whole(&t, last, &answer, &err);
    }
    turn_release(&t);
    return 0;
}
