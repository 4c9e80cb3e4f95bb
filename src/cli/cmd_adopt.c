/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model adopt: models that other programs have on this machine, linked into the store. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/adopt.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/package.h"
#include "cli/print.h"
#include "cli/table.h"
#include "oci/reference.h"

struct adopt_options {
    bool all, copy, dry_run, json;
};

const struct opt adopt_opts[] = {
    {"all", 'a', OPT_FLAG, offsetof(struct adopt_options, all), .help = "Adopt all of them"},
    {"copy", 0, OPT_FLAG, offsetof(struct adopt_options, copy),
     .help = "Copy files that cannot be linked (another disk, a remote runner)"},
    {"dry-run", 'n', OPT_FLAG, offsetof(struct adopt_options, dry_run),
     .help = "Only say what would be adopted"},
    {"json", 0, OPT_FLAG, offsetof(struct adopt_options, json),
     .help = "List what was found as JSON"},
    OPT_END,
};

/* ---- what the store has ---- */

static bool same_name(const char *a, struct str b)
{
    struct oci_reference x, y;
    return oci_reference_parse(str_from(a), oci_default_registry(), &x, NULL) == 0 &&
           oci_reference_parse(b, oci_default_registry(), &y, NULL) == 0 &&
           oci_reference_eq(&x, &y);
}

static bool is_stored(const struct json *models, const char *name)
{
    for (size_t i = 0; i < js_len(models); i++) {
        const struct json *tags = js_get(js_at(models, i), "tags");
        for (size_t k = 0; k < js_len(tags); k++)
            if (same_name(name, js_to_str(js_at(tags, k))))
                return true;
    }
    return false;
}

/* ---- showing ---- */

static void print_found(const struct found_models *f, const struct json *stored)
{
    static const char *const header[] = {"MODEL NAME", "SOURCE", "QUANTIZATION", "SIZE", "ADOPTED"};
    struct table t;
    table_init(&t, header, ARRAY_LEN(header));
    for (size_t i = 0; i < f->n; i++) {
        const struct found_model *m = &f->items[i];
        char size[SIZE_TEXT_MAX];
        size_text((double)m->bytes, size);
        table_row(&t, (const char *const[]){m->name, m->source, m->quantization, size,
                                            is_stored(stored, m->name) ? "yes"
                                            : m->obstacle              ? "cannot be"
                                                                       : ""});
    }
    table_print(&t, stdout);
    table_release(&t);
}

static void print_found_json(const struct found_models *f, const struct json *stored)
{
    CLEANUP_JSON struct json *list = js_array();
    for (size_t i = 0; i < f->n; i++) {
        const struct found_model *m = &f->items[i];
        struct json *v = js_object();
        js_set_cstr(v, "name", m->name);
        js_set_cstr(v, "source", m->source);
        js_set_cstr(v, "quantization", m->quantization);
        js_set_int(v, "size", (int64_t)m->bytes);
        js_set_cstr(v, "gguf", m->gguf);
        if (m->mmproj)
            js_set_cstr(v, "mmproj", m->mmproj);
        if (m->leaves)
            js_set_cstr(v, "leaves", m->leaves);
        if (m->obstacle)
            js_set_cstr(v, "obstacle", m->obstacle);
        js_set_bool(v, "adopted", is_stored(stored, m->name));
        js_push(list, v);
    }
    CLEANUP_FREE char *text = js_text(list, JS_INDENT_4);
    puts(text);
}

/* ---- adopting ---- */

static int adopt(const struct found_model *m, const struct json *stored,
                 const struct adopt_options *o, struct error *err)
{
    if (m->obstacle)
        return error_set(err, ERR_UNSUPPORTED, "%s", m->obstacle);
    if (is_stored(stored, m->name)) {
        printf("%s is in the store already\n", m->name);
        return 0;
    }
    if (o->dry_run) {
        printf("Would adopt %s from %s\n", m->name, m->source);
        return 0;
    }
    struct artifact_source source = {
        .gguf = m->gguf,
        .mmproj = m->mmproj,
        .licenses = (const char *const *)m->licenses,
        .n_licenses = m->n_licenses,
    };
    unsigned flags = PACKAGE_QUIET | (o->copy ? 0 : PACKAGE_NO_COPY);
    int r = package_model(&source, NULL, m->name, flags, err);
    if (r == -ERR_UNSUPPORTED && !o->copy)
        return error_wrap(err, "without --copy");
    if (r < 0)
        return r;
    printf("Adopted %s from %s\n", m->name, m->source);
    if (m->leaves)
        printf("  without its %s, which only %s understands\n", m->leaves, m->source);
    return 0;
}

static const struct found_model *find_named(const struct found_models *f, const char *name)
{
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->items[i].name, name) == 0 || same_name(f->items[i].name, str_from(name)))
            return &f->items[i];
    return NULL;
}

/* One that cannot be adopted does not keep the others out. */
static int adopt_all(const struct found_models *f, const struct json *stored,
                     const struct adopt_options *o)
{
    int exit_code = 0;
    for (size_t i = 0; i < f->n; i++) {
        struct error err = ERROR_INIT;
        if (adopt(&f->items[i], stored, o, &err) == 0)
            continue;
        error_wrap(&err, "%s", f->items[i].name);
        exit_code = cli_fail("Failed to adopt", &err);
    }
    return exit_code;
}

static int adopt_named(const struct found_models *f, const struct json *stored,
                       const struct adopt_options *o, const struct opt_args *args)
{
    int exit_code = 0;
    for (int i = 0; i < args->n; i++) {
        struct error err = ERROR_INIT;
        const struct found_model *m = find_named(f, args->v[i]);
        int r = m ? adopt(m, stored, o, &err)
                  : error_set(&err, ERR_NOT_FOUND,
                              "no other program here has it; 'docker model adopt' lists what was "
                              "found");
        if (r == 0)
            continue;
        error_wrap(&err, "%s", args->v[i]);
        exit_code = cli_fail("Failed to adopt", &err);
    }
    return exit_code;
}

static int run(const struct adopt_options *o, const struct opt_args *args)
{
    struct error err = ERROR_INIT;
    CLEANUP(found_models_release) struct found_models found = {0};
    CLEANUP_JSON struct json *stored = NULL;
    if (o->all && args->n > 0)
        return cli_usage("adopt", "--all and names exclude each other");
    if (adopt_find(&found, &err) < 0 ||
        api_get_json("/models", "failed to list models", &stored, &err) < 0)
        return cli_fail("Failed to adopt", &err);
    if (o->all)
        return adopt_all(&found, stored, o);
    if (args->n > 0)
        return adopt_named(&found, stored, o, args);
    if (o->json) {
        print_found_json(&found, stored);
    } else if (found.n == 0) {
        puts("No models of Hugging Face, Ollama or LM Studio were found.");
    } else {
        print_found(&found, stored);
        puts("\nTo use one without a copy:  docker model adopt MODEL   (or --all)");
    }
    return 0;
}

int cmd_adopt(int argc, char **argv)
{
    struct adopt_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("adopt", argc, argv, &o, &args, &exit_code))
        return exit_code;
    return run(&o, &args);
}
