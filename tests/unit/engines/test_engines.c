/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine table: modes, formats, names, flags of users, and the command line of model-engine. */
#include "test.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/program.h"
#include "engines/engine.h"
#include "gguf/gguf_writer.h"

static void test_engines__modes(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    static const char *const names[] = {"completion", "embedding", "reranking", "image-generation"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        enum engine_mode mode = MODE_COUNT;
        assert_ok(engine_mode_parse(str_from(names[i]), &mode, &err));
        assert_string_equal(engine_mode_name(mode), names[i]);
    }
    enum engine_mode mode;
    assert_fails(engine_mode_parse(STR("Completion"), &mode, &err), ERR_INVALID,
                 "unknown backend mode: \"Completion\"");
    assert_fails(engine_mode_parse(STR(""), &mode, &err), ERR_INVALID, "unknown backend mode");
}

static void test_engines__rows_are_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < engine_count; i++) {
        const struct engine *e = engine_table[i];
        assert_true(engine_backend_known(str_from(e->name)));
        assert_true(e->health_path[0] == '/');
        assert_true(e->title && e->binary_name && e->find && e->version && e->argv &&
                    e->formats[0]);
        assert_true(e->modes != 0 && e->modes < 1U << MODE_COUNT);
    }
}

static void test_engines__choice(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    const struct engine *e = NULL;
    assert_ok(engine_for_format("gguf", &e, &err));
    assert_string_equal(e->name, "native");
    assert_ok(engine_for_format("", &e, &err));
    assert_string_equal(e->name, "native");
    assert_fails(engine_for_format("safetensors", &e, &err), ERR_UNSUPPORTED, "'safetensors'");
    assert_true(engine_backend_known(STR("llama.cpp")));
    assert_false(engine_backend_known(STR("llama")));
    assert_false(engine_backend_known(STR("")));
    assert_true(engine_answers_to(&engine_native, STR("")));
    assert_true(engine_answers_to(&engine_native, STR("native")));
    assert_true(engine_answers_to(&engine_native, STR("llama.cpp")));
    assert_false(engine_answers_to(&engine_native, STR("vllm")));
}

static void test_engines__flags(void **state)
{
    (void)state;
    static const struct {
        const char *flags[3];
        const char *error; /* NULL = allowed */
    } rows[] = {
        {{0}, NULL},
        {{"--threads=4"}, NULL},
        {{"--temp", "0.2"}, NULL},
        {{"--seed", "-1"}, NULL},
        {{"--seed=-1"}, NULL},
        {{"--temp=-.5"}, NULL},
        {{"-ngl", "999"}, NULL},
        {{"--spec-ngram-map-k4v-size-n", "3"}, NULL},
        {{"--ctx-size-draft", "3"}, NULL},
        {{"--seed=--log-file=x"}, "value cannot start with '-'"},
        {{"--log-file", "x"},
         "runtime flag \"--log-file\" is not allowed for backend \"llama.cpp\""},
        {{"--model=x"}, "\"--model\" is not allowed"},
        {{"-m", "x"}, "\"-m\" is not allowed"},
        {{"--port", "1"}, "is not allowed"},
        {{"--host=x"}, "is not allowed"},
        {{"--", "x"}, "is not allowed"},
        {{"-"}, "is not allowed"},
        {{"--temp", "../x"}, "paths are not allowed"},
        {{"--temp", "a\\b"}, "paths are not allowed"},
        {{"--chat-template=http://x"}, "paths are not allowed"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        size_t n = 0;
        while (n < 3 && rows[i].flags[n])
            n++;
        int r = engine_check_flags(rows[i].flags, n, &err);
        if (!rows[i].error && r != 0)
            fail_msg("row %zu: %s", i, err.msg);
        if (rows[i].error && (r != -(int)ERR_INVALID || !strstr(err.msg, rows[i].error)))
            fail_msg("row %zu: %d '%s'", i, r, err.msg);
    }
}

static void test_engines__native_argv(void **state)
{
    (void)state;
    static const struct {
        const char *template_path;
        int64_t context;
        const char *flags[6];
        const char *want; /* behind the fixed part */
    } rows[] = {
        {NULL, 0, {0}, ""},
        {NULL, 4096, {0}, " --ctx-size 4096"},
        {"/t.jinja", 0, {0}, " --chat-template-file /t.jinja"},
        {NULL, 0, {"-c", "99", "-np", "2"}, " --ctx-size 99 --parallel 2"},
        {NULL, 7, {"--ctx-size=99", "--threads=3"}, " --ctx-size 7 --threads 3"},
        {NULL, 0, {"--temp", "0.1", "-v", "-t", "3"}, " --temp 0.1 --threads 3"},
        {NULL, 0, {"--parallel"}, ""},
        {NULL, 0, {"--pooling", "cls", "--no-context-shift"}, " --pooling cls"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error err = ERROR_INIT;
        struct engine_launch l = {.binary = "/bin/e",
                                  .model_path = "/m.gguf",
                                  .socket_path = "/s.sock",
                                  .lifeline_fd = 3,
                                  .template_path = rows[i].template_path,
                                  .context_size = rows[i].context,
                                  .flags = rows[i].flags};
        while (l.n_flags < 6 && rows[i].flags[l.n_flags])
            l.n_flags++;
        struct argv argv = {0};
        assert_ok(engine_native.argv(&l, &argv, &err));
        CLEANUP_BUF struct buf line = BUF_INIT(4096);
        for (size_t j = 0; j < argv.n; j++)
            buf_printf(&line, "%s%s", j ? " " : "", argv.v[j]);
        assert_null(argv.v[argv.n]);
        char want[256];
        snprintf(want, sizeof(want),
                 "/bin/e serve --model /m.gguf --socket /s.sock --lifeline-fd 3%s", rows[i].want);
        if (strcmp(buf_cstr(&line), want) != 0)
            fail_msg("row %zu: '%s', wanted '%s'", i, buf_cstr(&line), want);
        argv_release(&argv);
    }
    static const char *const shift[] = {"--context-shift"};
    const struct engine_launch l = {
        .binary = "/bin/e", .model_path = "/m", .socket_path = "/s", .flags = shift, .n_flags = 1};
    struct argv argv = {0};
    struct error err = ERROR_INIT;
    assert_fails(engine_native.argv(&l, &argv, &err), ERR_UNSUPPORTED, "--context-shift");
    argv_release(&argv);
}

static void test_engines__find(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    char *path = NULL;
    char dir[] = "/tmp/mr-engines-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *program = path_join(dir, "model-engine-of-the-test");
    const struct engine_places places = {.model_engine = program};
    assert_fails(engine_native.find(&places, &path, &err), ERR_NOT_FOUND, "not an executable file");
    assert_fails(program_find("model-engine-of-the-test", &path, &err), ERR_NOT_FOUND,
                 "'model-engine-of-the-test' is neither");
    assert_ok(file_write_atomic(program, STR("#!/bin/sh\n"), 0644, &err));
    assert_fails(engine_native.find(&places, &path, &err), ERR_NOT_FOUND, "not an executable file");
    assert_int_equal(chmod(program, 0755), 0);
    assert_ok(engine_native.find(&places, &path, &err));
    assert_string_equal(path, program);
    free(path);
    char *list = NULL;
    assert_true(asprintf(&list, "relative::/nonexistent:%s", dir) > 0);
    setenv("PATH", list, 1);
    assert_ok(program_find("model-engine-of-the-test", &path, &err));
    assert_string_equal(path, program);
    free(path);
    free(list);
    free(program);
    assert_ok(dir_remove_tree(dir, &err));
}

static void test_engines__need(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    char dir[] = "/tmp/mr-engines-XXXXXX";
    assert_non_null(mkdtemp(dir));
    char *path = path_join(dir, "m.gguf");
    struct gguf_writer *w = gguf_writer_new();
    gguf_writer_str(w, "general.architecture", STR("llama"));
    gguf_writer_u32(w, "llama.block_count", 10);
    gguf_writer_u32(w, "llama.context_length", 100000);
    gguf_writer_u32(w, "llama.embedding_length", 1024);
    gguf_writer_u32(w, "llama.attention.head_count", 16);
    gguf_writer_u32(w, "llama.attention.head_count_kv", 4);
    assert_ok(gguf_writer_begin(w, path, &err));
    assert_ok(gguf_writer_end(w, &err));
    gguf_writer_free(w);

    enum { TOKEN = 10 * 4 * (64 + 64) * 2 }; /* layers, heads, width of key and value, bytes */
    struct engine_launch l = {.model_path = path, .mode = MODE_COMPLETION};
    struct engine_need need;
    engine_need_of(&l, 1000, &need);
    assert_int_equal(need.weights, 1050);
    assert_int_equal(need.context_tokens, 4096);
    assert_int_equal(need.context, 4 * 4096 * (uint64_t)TOKEN);
    l.context_size = 100;
    engine_need_of(&l, 1000, &need);
    assert_int_equal(need.context, 4 * 100 * TOKEN);
    l.mode = MODE_EMBEDDING;
    engine_need_of(&l, 1000, &need);
    assert_int_equal(need.context, 100 * TOKEN);

    /* What is no model needs its bytes. */
    assert_ok(file_write_atomic(path, STR("GGUF and nothing"), 0644, &err));
    engine_need_of(&l, 100, &need);
    assert_int_equal(need.weights, 105);
    assert_int_equal(need.context, 0);
    free(path);
    assert_ok(dir_remove_tree(dir, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_engines__modes),       cmocka_unit_test(test_engines__rows_are_whole),
        cmocka_unit_test(test_engines__choice),      cmocka_unit_test(test_engines__flags),
        cmocka_unit_test(test_engines__native_argv), cmocka_unit_test(test_engines__find),
        cmocka_unit_test(test_engines__need),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
