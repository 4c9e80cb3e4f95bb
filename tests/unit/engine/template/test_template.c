/* SPDX-License-Identifier: Apache-2.0
 *
 * The module from the outside: options, exceptions, the clock, threads, names. */
#include "render_check.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static void test_template__raise_exception(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    bool raised = false;
    CLEANUP_BUF struct buf out = BUF_INIT(1000);
    CLEANUP_BUF struct buf text = BUF_INIT(10000);
    struct template_options o = {.ret_raised = &raised, .ret_raised_text = &text};
    const char *source = "a{{ raise_exception('roles must alternate: ' ~ s) }}";
    assert_fails(render_text(source, &o, &out, &err), ERR_INVALID, "roles must alternate: Hello");
    assert_string_equal(err.msg, "roles must alternate: Hello World");
    assert_true(raised);
    assert_str(buf_str(&text), "roles must alternate: Hello World");
    assert_int_equal(out.len, 0);

    assert_fails(render_text("{{ raise_exception('x' * 5000) }}", &o, &out, &err), ERR_INVALID,
                 "xx");
    assert_int_equal(text.len, strlen("roles must alternate: Hello World") + 5000);

    assert_fails(render_text("{{ y.a }}", &o, &out, &err), ERR_INVALID, "undefined");
    assert_false(raised);
}

static void test_template__clock(void **state)
{
    static const char *const cases[][2] = {
        {"%Y-%m-%d %H:%M:%S", "2026-03-14 15:09:26"},
        {"%d %b %Y, %A %-d %B", "14 Mar 2026, Saturday 14 March"},
        {"%f|%z|%Z|%%|%", "500000|||%|%"},
        {"%I:%M %p %j %U %y", "03:09 PM 073 10 26"},
        {"%e|%_d|%3d|%Q", "14|14|014|%Q"},
        {"", ""},
    };
    (void)state;
    struct template_options o = {.now = {.tv_sec = 1773500966, .tv_nsec = 500000000}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct error err = ERROR_INIT;
        char source[100];
        CLEANUP_BUF struct buf out = BUF_INIT(1000);
        snprintf(source, sizeof(source), "{{ strftime_now('%s') }}", cases[i][0]);
        assert_ok(render_text(source, &o, &out, &err));
        assert_str(buf_str(&out), cases[i][1]);
    }
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf out = BUF_INIT(1000);
    assert_ok(render_text("{{ strftime_now('%Y')|int > 2025 }}", NULL, &out, &err));
    assert_str(buf_str(&out), "True");
}

static void test_template__appends(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    CLEANUP_BUF struct buf out = BUF_INIT(1000);
    buf_append(&out, STR("before "));
    assert_ok(render_text("{{ x }}", NULL, &out, &err));
    assert_str(buf_str(&out), "before 5");
    assert_int_equal(render_text("z{{ y.a }}", NULL, &out, NULL), -ERR_INVALID);
    assert_str(buf_str(&out), "before 5");
}

static void test_template__mentions(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct template *t = NULL;
    const char *source = "{% if tools %}{{ messages[0].content }}{% endif %}{# system #}"
                         "{% for m in messages %}{{ m.role }}'think'{% endfor %}";
    assert_ok(template_parse(str_from(source), &t, &err));
    assert_true(template_mentions(t, "tools"));
    assert_true(template_mentions(t, "messages"));
    assert_false(template_mentions(t, "content"));
    assert_false(template_mentions(t, "system"));
    assert_false(template_mentions(t, "think"));
    template_free(t);
    template_free(NULL);
}

/* Variables that are no object at all read as an empty context. */
static void test_template__no_vars(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct template *t = NULL;
    CLEANUP_BUF struct buf out = BUF_INIT(1000);
    assert_ok(template_parse(STR("{{ x is defined }}"), &t, &err));
    assert_ok(template_render(t, NULL, NULL, &out, &err));
    assert_str(buf_str(&out), "False");
    template_free(t);
}

/* Templates are copied, and a NUL is a character like others. */
static void test_template__bytes(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct template *t = NULL;
    char source[] = "a\0{{ 'b\0c'|length }}";
    CLEANUP_BUF struct buf out = BUF_INIT(1000);
    assert_ok(template_parse(str_make(source, sizeof(source) - 1), &t, &err));
    memset(source, '#', sizeof(source));
    assert_ok(template_render(t, NULL, NULL, &out, &err));
    assert_true(str_eq(buf_str(&out), str_make("a\0" "3", 3)));
    template_free(t);
}

struct thread_job {
    const struct template *t;
    struct json *vars; /* its own */
    bool ok;
};

static void *render_often(void *arg)
{
    struct thread_job *job = arg;
    job->ok = true;
    for (int i = 0; i < 50; i++) {
        struct error err = ERROR_INIT;
        CLEANUP_BUF struct buf out = BUF_INIT(1000);
        int r = template_render(job->t, job->vars, NULL, &out, &err);
        job->ok &= r == 0 && str_eq_c(buf_str(&out), "4ü3ü2ü1ü");
    }
    return NULL;
}

static void test_template__threads(void **state)
{
    (void)state;
    struct error err = ERROR_INIT;
    struct template *t = NULL;
    const char *source = "{% macro f(n) %}{{ n ~ 'ü'[0] }}{% if n > 1 %}{{ f(n - 1) }}{% endif %}"
                         "{% endmacro %}{{ f(x) }}";
    assert_ok(template_parse(str_from(source), &t, &err));
    struct thread_job jobs[4];
    pthread_t threads[4];
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        jobs[i] = (struct thread_job){.t = t};
        assert_ok(js_parse(STR("{\"x\": 4}"), "the variables", &jobs[i].vars, &err));
        assert_int_equal(pthread_create(&threads[i], NULL, render_often, &jobs[i]), 0);
    }
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        pthread_join(threads[i], NULL);
        assert_true(jobs[i].ok);
        js_free(jobs[i].vars);
    }
    template_free(t);
}

int main(void)
{
    setenv("TZ", "UTC", 1);
    tzset();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_template__raise_exception),
        cmocka_unit_test(test_template__clock),
        cmocka_unit_test(test_template__appends),
        cmocka_unit_test(test_template__mentions),
        cmocka_unit_test(test_template__no_vars),
        cmocka_unit_test(test_template__bytes),
        cmocka_unit_test(test_template__threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
