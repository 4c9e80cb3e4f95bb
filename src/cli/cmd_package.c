/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model package: files, or an existing model with something new, into the local store. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/json.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/package.h"
#include "cli/print.h"
#include "cli/transfer.h"
#include "oci/reference.h"

struct package_options {
    const char *gguf, *safetensors_dir, *dduf, *from, *chat_template, *mmproj, *format;
    struct opt_list licenses;
    int64_t context_size;
    bool push;
};

const struct opt package_opts[] = {
    {"chat-template", 0, OPT_STRING, offsetof(struct package_options, chat_template), "FILE",
     "Jinja chat template to use instead of the one in the model"},
    {"context-size", 0, OPT_INT, offsetof(struct package_options, context_size), "N",
     "Context size in tokens, instead of the model's own", .min = 1, .max = INT32_MAX},
    {"dduf", 0, OPT_STRING, offsetof(struct package_options, dduf), "FILE",
     "DDUF file, an image model"},
    {"format", 0, OPT_STRING, offsetof(struct package_options, format), "FORMAT",
     "Form of the artifact: docker (the default) or cncf (ModelPack)"},
    {"from", 0, OPT_STRING, offsetof(struct package_options, from), "MODEL",
     "Stored model to make a variant of; its files are shared"},
    {"gguf", 0, OPT_STRING, offsetof(struct package_options, gguf), "FILE",
     "GGUF file (of a split model the first one)"},
    {"license", 'l', OPT_LIST, offsetof(struct package_options, licenses), "FILE",
     "License file; may be given several times"},
    {"mmproj", 0, OPT_STRING, offsetof(struct package_options, mmproj), "FILE",
     "Multimodal projector, a GGUF file"},
    {"push", 0, OPT_FLAG, offsetof(struct package_options, push),
     .help = "Push the model to its registry, too"},
    {"safetensors-dir", 0, OPT_STRING, offsetof(struct package_options, safetensors_dir), "DIR",
     "Directory of safetensors files with their configuration"},
    OPT_END,
};

static void note(const char *doing, const char *what)
{
    if (!what)
        return;
    fprintf(stderr, "%s \"", doing);
    print_line_text(stderr, str_from(what));
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

static void note_all(const struct package_options *o)
{
    note("Adding GGUF file from", o->gguf);
    note("Adding DDUF file from", o->dduf);
    if (o->safetensors_dir) {
        fputs("Scanning directory \"", stderr);
        print_line_text(stderr, str_from(o->safetensors_dir));
        fputs("\" for safetensors model...\n", stderr);
    }
    note("Reading model from daemon:", o->from);
    if (o->context_size > 0)
        fprintf(stderr, "Setting context size %lld\n", (long long)o->context_size);
    for (size_t i = 0; i < o->licenses.n; i++)
        note("Adding license file from", o->licenses.items[i]);
    note("Adding chat template file from", o->chat_template);
    note("Adding multimodal projector file from", o->mmproj);
}

/* What is wrong with the options, or 0; then the exit code. */
static int check_options(const struct package_options *o)
{
    int n =
        (o->gguf != NULL) + (o->safetensors_dir != NULL) + (o->dduf != NULL) + (o->from != NULL);
    if (n == 0)
        return cli_usage("package",
                         "One of --gguf, --safetensors-dir, --dduf, or --from is required.");
    if (n > 1)
        return cli_usage("package", "Cannot specify more than one of --gguf, --safetensors-dir, "
                                    "--dduf, or --from. Please use only one source.");
    const struct {
        const char *option, *value;
    } paths[] = {
        {"gguf", o->gguf}, {"safetensors-dir", o->safetensors_dir}, {"dduf", o->dduf},
        {"from", o->from}, {"chat-template", o->chat_template},     {"mmproj", o->mmproj},
    };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++)
        if (paths[i].value && !*paths[i].value)
            return cli_usage("package", "--%s is empty", paths[i].option);
    for (size_t i = 0; i < o->licenses.n; i++)
        if (!*o->licenses.items[i])
            return cli_usage("package", "--license is empty");
    if (o->format && strcmp(o->format, "docker") != 0 && strcmp(o->format, "cncf") != 0)
        return cli_usage("package", "invalid --format value \"%s\": must be \"docker\" or \"cncf\"",
                         o->format);
    return 0;
}

static int push(const char *name)
{
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *message = NULL;
    fputs("Pushing model to registry...\n", stderr);
    if (transfer_push(name, stderr, &message, &err) < 0)
        return cli_fail("package model: pushing (the model is in the local store)", &err);
    fputs("Model pushed successfully\n", stderr);
    return 0;
}

static int package(const struct package_options *o, const char *name)
{
    int exit_code = check_options(o);
    if (exit_code != 0)
        return exit_code;
    struct error err = ERROR_INIT;
    if (check_name(name, &err) < 0)
        return cli_fail("package model", &err);
    note_all(o);
    struct artifact_source source = {
        .gguf = o->gguf,
        .safetensors_dir = o->safetensors_dir,
        .dduf = o->dduf,
        .mmproj = o->mmproj,
        .chat_template = o->chat_template,
        .licenses = o->licenses.items,
        .n_licenses = o->licenses.n,
        .context_size = (int32_t)o->context_size,
        .format = o->format && strcmp(o->format, "cncf") == 0 ? ARTIFACT_CNCF : ARTIFACT_DOCKER,
    };
    if (package_model(&source, o->from, name, 0, &err) < 0) {
        fputs("Failed to package model\n", stderr);
        return cli_fail("package model", &err);
    }
    fputs(o->from ? "Model variant created successfully\n" : "Model loaded successfully\n", stderr);
    return o->push ? push(name) : 0;
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
