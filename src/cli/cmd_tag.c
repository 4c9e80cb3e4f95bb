/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model tag: another name for a model. */
#include <stdio.h>

#include "base/alloc.h"
#include "cli/api.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/print.h"
#include "cli/tag.h"
#include "oci/reference.h"

int tag_model(const char *source, const char *target, struct error *err)
{
    struct oci_reference ref;
    struct error why = ERROR_INIT;
    if (oci_reference_parse(str_from(target), oci_default_registry(), &ref, &why) < 0)
        return error_set(err, why.code, "invalid tag: %s", why.msg);
    if (ref.kind == OCI_REF_ID || ref.digest.text[0])
        return error_set(err, ERR_INVALID, "invalid tag: '%s' is a digest; give a name with a tag",
                         target);
    char repo[OCI_REFERENCE_TEXT_MAX];
    oci_reference_repo(&ref, repo);
    CLEANUP_FREE char *repo_encoded = url_encode(str_from(repo), "/:");
    CLEANUP_FREE char *query = xasprintf("/tag?repo=%s&tag=%s", repo_encoded, ref.tag);
    CLEANUP_FREE char *path = api_model_path(source, query);
    struct api_call call = {.method = "POST", .path = path};
    struct http_result res = {0};
    int r = api_perform(&call, &res, err);
    if (r == 0 && res.status != 201 && res.status != 200) {
        char status[64];
        CLEANUP_JSON struct json *hold = NULL;
        struct str text = api_error_text(&res, &hold);
        r = error_set(err, api_status_code(res.status), "tagging failed with status %s: %.*s",
                      api_status_text(res.status, status), STR_ARG(text));
    }
    http_result_release(&res);
    return r;
}

int cmd_tag(int argc, char **argv)
{
    struct opt_args args;
    int exit_code;
    if (!cli_parse("tag", argc, argv, NULL, &args, &exit_code))
        return exit_code;
    struct error err = ERROR_INIT;
    if (tag_model(args.v[0], args.v[1], &err) < 0)
        return cli_fail("failed to tag model", &err);
    printf("Model \"%s\" tagged successfully with \"%s\"\n", args.v[0], args.v[1]);
    return 0;
}
