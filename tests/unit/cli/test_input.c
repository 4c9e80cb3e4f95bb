/* SPDX-License-Identifier: Apache-2.0
 *
 * What a user types: multi-line messages, files named in a prompt, slash commands. */
#include "test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/compiler.h"
#include "base/file.h"
#include "cli/attach.h"
#include "cli/repl.h"

static void test_input__messages(void **state)
{
    (void)state;
    /* Lines with '+' in front were ended by a line break in a paste. Messages are joined by '|'. */
    static const struct {
        const char *lines[6];
        const char *want;
    } cases[] = {
        {{"hello"}, "hello|"},
        {{"a", "b"}, "a|b|"},
        {{"\"\"\"one", "two\"\"\"", "c"}, "one\ntwo|c|"},
        {{"\"\"\"", "one", "\"\"\""}, "one\n|"},
        {{"\"\"\"one\"\"\""}, "one|"},
        {{"\"\"\"\"\"\""}, "|"},
        {{"say \"\"\"x\"\"\""}, "say \"\"\"x\"\"\"|"},
        {{"+p1", "+p2", "p3", "x"}, "p1\np2\np3|x|"},
        {{"+\"\"\"p1", "p2", "+p3", "p4\"\"\""}, "p1\np2\np3\np4|"},
        {{"+a", "\"\"\"b", "c"}, "a\n\"\"\"b|c|"},
        {{"+", "x"}, "\nx|"},
        {{"\"\"\"open"}, "..."},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct repl_input in = REPL_INPUT_INIT;
        CLEANUP_BUF struct buf got = BUF_INIT(1024);
        for (size_t k = 0; cases[i].lines[k]; k++) {
            const char *line = cases[i].lines[k];
            bool pasted = line[0] == '+';
            if (repl_input_add(&in, line + pasted, pasted)) {
                buf_printf(&got, "%s|", buf_cstr(&in.text));
                repl_input_clear(&in);
            }
        }
        if (repl_input_pending(&in))
            buf_append_c(&got, "...");
        if (strcmp(buf_cstr(&got), cases[i].want) != 0)
            fail_msg("case %zu: '%s', wanted '%s'", i, buf_cstr(&got), cases[i].want);
        buf_release(&in.text);
    }
}

/* ---- files in a prompt ---- */

static char dir[] = "/tmp/test-cli-input.XXXXXX";

static void write_file(const char *name, struct str content)
{
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *path = path_join(dir, name);
    assert_ok(file_write_atomic(path, content, 0600, &err));
}

static int make_files(void **state)
{
    (void)state;
    if (!mkdtemp(dir) || chdir(dir) != 0)
        return -1;
    write_file("notes.txt", STR("the notes"));
    write_file("my notes.txt", STR("spaced"));
    write_file("cat.png", STR("\x89PNG\r\n\x1a\n"));
    write_file("my cat.JPG", STR("\xFF\xD8\xFF\xE0"));
    write_file("odd.webp", STR("??"));
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    return chdir("/") == 0 && dir_remove_tree(dir, NULL) == 0 ? 0 : -1;
}

static void test_attach__prompts(void **state)
{
    (void)state;
    static const struct {
        const char *prompt, *want; /* as JSON text */
    } cases[] = {
        {"plain", "\"plain\""},
        {"see @notes.txt now", "\"see the notes now\""},
        {"@notes.txt", "\"the notes\""},
        {"(@notes.txt).", "\"(the notes).\""},
        {"@\"my notes.txt\"!", "\"spaced!\""},
        {"@'my notes.txt'", "\"spaced\""},
        {"@my\\ notes.txt", "\"spaced\""},
        {"mail me@notes.txt", "\"mail me@notes.txt\""},
        {"@missing.txt and @", "\"@missing.txt and @\""},
        {"@.", "\"@.\""},
        {"it's @/dev/zero isn't it", "\"it's @/dev/zero isn't it\""},
        {"./notes.txt stays", "\"./notes.txt stays\""},
        {"./missing.png stays", "\"./missing.png stays\""},
        {"cat.png stays", "\"cat.png stays\""},
        {"what is ./cat.png?",
         "[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/png;base64,iVBORw0KGgo=\"}},"
         "{\"type\":\"text\",\"text\":\"what is ?\"}]"},
        {"@cat.png", "[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/"
                     "png;base64,iVBORw0KGgo=\"}}]"},
        {"\"my cat.JPG\" ./odd.webp vs",
         "[{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/jpeg;base64,/9j/4A==\"}},"
         "{\"type\":\"image_url\",\"image_url\":{\"url\":\"data:image/webp;base64,Pz8=\"}},"
         "{\"type\":\"text\",\"text\":\"vs\"}]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        struct json *content = NULL;
        assert_ok(attach_prompt(cases[i].prompt, &content, &err));
        CLEANUP_FREE char *text = js_text(content, JS_COMPACT);
        js_free(content);
        if (strcmp(text, cases[i].want) != 0)
            fail_msg("'%s' became %s, wanted %s", cases[i].prompt, text, cases[i].want);
    }
}

static void test_attach__limits(void **state)
{
    (void)state;
    CLEANUP_BUF struct buf big = BUF_INIT(32 << 20);
    char *space = buf_reserve(&big, 17 << 20);
    assert_non_null(space);
    memset(space, 'x', 17 << 20);
    buf_added(&big, 17 << 20);
    write_file("big.txt", buf_str(&big));
    struct error err = ERROR_INIT;
    struct json *content = NULL;
    assert_fails(attach_prompt("@big.txt", &content, &err), ERR_TOO_LARGE, "big.txt");
    /* A word that is longer than any path is only a word. */
    buf_truncate(&big, 100000);
    big.data[0] = '@';
    assert_ok(attach_prompt(buf_cstr(&big), &content, &err));
    js_free(content);
}

/* ---- commands ---- */

static void test_commands__system_and_leave(void **state)
{
    (void)state;
    struct session s;
    session_init(&s, &chat_runner, "m", false, false);
    assert_false(repl_command(&s, "/set system  be  brief "));
    assert_string_equal(s.system, "be  brief");
    assert_false(repl_command(&s, "/set system"));
    assert_null(s.system);
    assert_false(repl_command(&s, "/? shortcuts"));
    assert_false(repl_command(&s, "/set num_ctx many"));
    assert_false(repl_command(&s, "/nope \033[2J"));
    assert_false(repl_command(&s, "/byebye"));
    assert_true(repl_command(&s, "/bye"));
    assert_true(repl_command(&s, "/exit now"));
    session_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_input__messages),
        cmocka_unit_test(test_attach__prompts),
        cmocka_unit_test(test_attach__limits),
        cmocka_unit_test(test_commands__system_and_leave),
    };
    return cmocka_run_group_tests(tests, make_files, remove_files);
}
