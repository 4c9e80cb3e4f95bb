/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model gateway: a router to several providers, which no build of this program has. The
 * options are known, so that scripts get that sentence and not one about an option. */
#include "cli/cli.h"
#include "cli/cmd.h"

struct gateway_options {
    const char *config, *host;
    int64_t port;
    bool verbose;
};

const struct opt gateway_opts[] = {
    {"config", 'c', OPT_STRING, offsetof(struct gateway_options, config), "FILE",
     "Configuration file"},
    {"host", 0, OPT_STRING, offsetof(struct gateway_options, host), "ADDRESS",
     "Address to listen on"},
    {"port", 'p', OPT_INT, offsetof(struct gateway_options, port), "PORT", "Port to listen on",
     .min = 1, .max = 65535},
    {"verbose", 'v', OPT_FLAG, offsetof(struct gateway_options, verbose), .help = "Log more"},
    OPT_END,
};

int cmd_gateway(int argc, char **argv)
{
    struct gateway_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("gateway", argc, argv, &o, &args, &exit_code))
        return exit_code;
    return cli_fail_text(
        "gateway is not available in this build. The runner itself serves the APIs "
        "of OpenAI, Anthropic and Ollama: docker model status says where");
}
