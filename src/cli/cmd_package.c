/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model package: a GGUF file into the local store. */
#include <stdio.h>

#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/package.h"
#include "cli/print.h"
#include "oci/reference.h"

struct package_options {
    const char *gguf, *chat_template, *mmproj;
    struct opt_list licenses;
    int64_t context_size;
};

const struct opt package_opts[] = {
    {"chat-template", 0, OPT_STRING, offsetof(struct package_options, chat_template), "FILE",
     "Jinja chat template to use instead of the one in the GGUF file"},
    {"context-size", 0, OPT_INT, offsetof(struct package_options, context_size), "N",
     "Context size in tokens, instead of the model's own", .min = 1, .max = INT32_MAX},
    {"gguf", 0, OPT_STRING, offsetof(struct package_options, gguf), "FILE",
     "GGUF file (of a split model the first one)"},
    {"license", 'l', OPT_LIST, offsetof(struct package_options, licenses), "FILE",
     "License file; may be given several times"},
    {"mmproj", 0, OPT_STRING, offsetof(struct package_options, mmproj), "FILE",
     "Multimodal projector, a GGUF file"},
    OPT_END,
};

static void note(const char *doing, const char *path)
{
    if (!path)
        return;
    fprintf(stderr, "%s \"", doing);
    print_line_text(stderr, str_from(path));
    fputs("\"\n", stderr);
}

/* The name is checked before a large file is read for nothing. */
static int check_name(const char *name, struct error *err)
{
    struct oci_reference ref;
    int r = oci_reference_parse(str_from(name), oci_default_registry(), &ref, err);
    if (r < 0)
        return r;
    if (ref.kind == OCI_REF_ID || ref.digest.text[0])
        return error_set(err, ERR_INVALID, "'%s' is a digest: give the model a name", name);
    return 0;
}

static int package(const struct package_options *o, const char *name)
{
    if (!o->gguf)
        return cli_usage("package", "--gguf is required: it names the file to package.");
    struct error err = ERROR_INIT;
    if (check_name(name, &err) < 0)
        return cli_fail("package model", &err);

    note("Adding GGUF file from", o->gguf);
    if (o->context_size > 0)
        fprintf(stderr, "Setting context size %lld\n", (long long)o->context_size);
    for (size_t i = 0; i < o->licenses.n; i++)
        note("Adding license file from", o->licenses.items[i]);
    note("Adding chat template file from", o->chat_template);
    note("Adding multimodal projector file from", o->mmproj);
    struct artifact_source source = {
        .gguf = o->gguf,
        .mmproj = o->mmproj,
        .chat_template = o->chat_template,
        .licenses = o->licenses.items,
        .n_licenses = o->licenses.n,
        .context_size = (int32_t)o->context_size,
    };
    if (package_model(&source, name, false, &err) < 0) {
        fputs("Failed to package model\n", stderr);
        return cli_fail("package model", &err);
    }
    fputs("Model loaded successfully\n", stderr);
    return 0;
}

int cmd_package(int argc, char **argv)
{
    struct package_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("package", argc, argv, &o, &args, &exit_code)) {
        opt_list_release(&o.licenses);
        return exit_code;
    }
    exit_code = package(&o, args.v[0]);
    opt_list_release(&o.licenses);
    return exit_code;
}
