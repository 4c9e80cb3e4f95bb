/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of commands: parser, help, man page and completion all come from it. */
#include "cli/cli.h"
#include "cli/cmd.h"

static const struct command context_commands[] = {
    {"create", .args = "NAME", .summary = "Create a named runner context",
     .opts = context_create_opts, .min_args = 1, .max_args = 1, .run = cmd_context_create},
    {"inspect", .args = "NAME...", .summary = "Show contexts as JSON", .min_args = 1,
     .max_args = -1, .run = cmd_context_inspect},
    {"ls", "list", .summary = "List the contexts", .run = cmd_context_ls},
    {"rm", "remove", "NAME...", "Remove contexts", .min_args = 1, .max_args = -1,
     .run = cmd_context_rm},
    {"use", .args = "NAME", .summary = "Make a context the current one",
     .details = "\"default\" is the context that finds the runner by itself.", .min_args = 1,
     .max_args = 1, .run = cmd_context_use},
    COMMAND_END,
};

static const struct command configure_commands[] = {
    {"show", .args = "[MODEL]", .summary = "Show the configurations", .max_args = 1,
     .complete = COMPLETE_MODELS, .run = cmd_configure_show},
    COMMAND_END,
};

static const struct command compose_commands[] = {
    {"down", .args = "[SERVICE]", .summary = "Do nothing: models stay configured",
     .opts = compose_opts, .max_args = -1, .run = cmd_compose_down},
    {"metadata", .summary = "Describe the options of a provider service", .opts = compose_opts,
     .max_args = -1, .run = cmd_compose_metadata},
    {"up", .args = "[SERVICE]", .summary = "Pull and configure the models of a service",
     .opts = compose_up_opts, .max_args = -1, .run = cmd_compose_up},
    COMMAND_END,
};

static const struct command commands[] = {
    {"adopt", .args = "[MODEL...]",
     .summary = "Use models that other programs have on this machine",
     .details = "Without MODEL, lists the GGUF models of Hugging Face's cache, Ollama and LM Studio.\n"
                "Adopting one clones or hard-links its files into the local store. Where neither is\n"
                "possible it is refused, unless --copy says that a copy will do.",
     .opts = adopt_opts, .max_args = -1, .run = cmd_adopt},
    {"bench", .args = "MODEL", .summary = "Measure how fast a model answers",
     .details = "For each number of clients: tokens and requests per second, the time to the first\n"
                "token and from token to token. Tokens are those of the answers; time includes\n"
                "waiting and reading the prompt.",
     .opts = bench_opts, .min_args = 1, .max_args = 1, .complete = COMPLETE_MODELS,
     .run = cmd_bench},
    {"compose", .summary = "Speak Docker Compose's provider protocol", .opts = compose_opts,
     .max_args = -1, .hidden = true, .sub = compose_commands, .run = cmd_compose},
    {"configure", "config", "MODEL [-- RUNTIME_FLAGS...]", "Configure how a model is run",
     .opts = configure_opts, .max_args = -1, .complete = COMPLETE_MODELS, .hidden = true,
     .sub = configure_commands, .run = cmd_configure},
    {"context", .summary = "Manage named runners", .sub = context_commands},
    {"df", .summary = "Show the disk usage of the Model Runner", .run = cmd_df},
    {"doctor", .summary = "Find what commonly goes wrong, and say what to do",
     .details = "Looks at the socket, the runner and its version, the port, the engine, the models' "
                "settings,\nthe store's disk, the GPU, proxies and certificates. Exit status 1 when "
                "it finds a problem.\n",
     .opts = doctor_opts, .run = cmd_doctor},
    {"gateway", .summary = "Route requests to several providers (not in this build)",
     .opts = gateway_opts, .run = cmd_gateway},
    {"inspect", .args = "MODEL", .summary = "Display detailed information on one model",
     .opts = inspect_opts, .min_args = 1, .max_args = 1, .complete = COMPLETE_MODELS,
     .run = cmd_inspect},
    {"install-runner", .summary = "Install the Model Runner as a service and start it",
     .details = "A service of systemd or launchd; where neither is in charge, a process of its own.",
     .opts = install_runner_opts, .run = cmd_install_runner},
    {"launch", .args = "[APP] [-- ARGS]",
     .summary = "Start an application that uses the models of the runner",
     .details = "Without APP, lists the applications. What is behind -- goes to the application.",
     .opts = launch_opts, .max_args = 64, .run = cmd_launch},
    {"list", "ls", "[MODEL]", "List the models in the local store",
     .details = "With MODEL, only what has this name (any tag, unless one is given) or id.",
     .opts = list_opts, .max_args = 1, .complete = COMPLETE_MODELS, .run = cmd_list},
    {"load", .summary = "Load models from an archive that save has written",
     .details = "Every file in it is checked against its digest while it is read.",
     .opts = load_opts, .run = cmd_load},
    {"logs", .summary = "Fetch the runner's logs", .opts = logs_opts, .run = cmd_logs},
    {"package", .args = "MODEL", .summary = "Package files as a model in the local store",
     .details = "A GGUF file (of a split model the first one), a directory of safetensors, a\n"
                "DDUF file, or with --from the weights of a model that is stored already.",
     .opts = package_opts, .min_args = 1, .max_args = 1, .run = cmd_package},
    {"prune", .summary = "Remove interrupted downloads and files that belong to no model",
     .opts = prune_opts, .run = cmd_prune},
    {"ps", .summary = "List running models", .run = cmd_ps},
    {"pull", .args = "MODEL",
     .summary = "Pull a model from Docker Hub, another registry or "
                "Hugging Face to the local store",
     .details = "What is interrupted goes on where it was when the same model is pulled again.",
     .opts = pull_opts, .min_args = 1, .max_args = 1, .run = cmd_pull},
    {"purge", .summary = "Remove all models", .opts = purge_opts, .run = cmd_purge},
    {"push", .args = "MODEL", .summary = "Push a model to a registry", .opts = push_opts,
     .min_args = 1, .max_args = 1, .complete = COMPLETE_MODELS, .run = cmd_push},
    {"reinstall-runner", .summary = "Install the service anew, with these options only",
     .opts = install_runner_opts, .run = cmd_reinstall_runner},
    {"requests", .summary = "Show the recorded requests and answers", .opts = requests_opts,
     .run = cmd_requests},
    {"restart-runner", .summary = "Restart the service, with changed options if any",
     .opts = restart_runner_opts, .run = cmd_restart_runner},
    {"rm", .args = "MODEL...", .summary = "Remove models from the local store", .opts = rm_opts,
     .min_args = 1, .max_args = -1, .complete = COMPLETE_MODELS, .run = cmd_rm},
    {"run", .args = "MODEL [PROMPT...]",
     .summary = "Run a model: answer a prompt, or chat without one",
     .details = "What is piped in is added to the prompt. @FILE in a prompt is replaced by the "
                "file's text, and\nimages named in it are sent along. MODEL may also be the path "
                "of a GGUF file (./model.gguf), which\nis packaged into the local store first.\n",
     .opts = run_opts, .min_args = 1, .max_args = -1, .complete = COMPLETE_MODELS, .run = cmd_run},
    {"save", .args = "MODEL...", .summary = "Save models to one archive, an OCI image layout",
     .details = "What the models share is in the archive once. docker model load reads it, and so "
                "do other tools\nfor OCI images.\n",
     .opts = save_opts, .min_args = 1, .max_args = -1, .complete = COMPLETE_MODELS,
     .run = cmd_save},
    {"search", .args = "[TERM]", .summary = "Search for models on Docker Hub and Hugging Face",
     .details = "Environment: DOCKER_HUB_URL and HF_ENDPOINT name other servers to ask, HF_TOKEN is "
                "sent to Hugging\nFace.\n",
     .opts = search_opts, .max_args = 1, .run = cmd_search},
    {"service-unit", .summary = "Print the unit file for systemd", .opts = service_unit_opts,
     .hidden = true, .run = cmd_service_unit},
    {"show", .args = "MODEL", .summary = "Show information about a model", .opts = show_opts,
     .min_args = 1, .max_args = 1, .complete = COMPLETE_MODELS, .run = cmd_show},
    {"skills", .summary = "Tell coding assistants how to use this program",
     .details = "Installs a short text where Codex, Claude Code or Open Code look for skills.",
     .opts = skills_opts, .run = cmd_skills},
    {"start-runner", .summary = "Start the service, installing it if need be",
     .opts = start_runner_opts, .run = cmd_start_runner},
    {"status", .summary = "Check whether the Model Runner is running", .opts = status_opts,
     .run = cmd_status},
    {"stop-runner", .summary = "Stop the service until it is started, or the session begins anew",
     .opts = stop_runner_opts, .run = cmd_stop_runner},
    {"tag", .args = "SOURCE TARGET", .summary = "Give a model another name", .min_args = 2,
     .max_args = 2, .complete = COMPLETE_MODELS, .run = cmd_tag},
    {"uninstall-runner", .summary = "Stop the service and remove it; models stay",
     .opts = uninstall_runner_opts, .run = cmd_uninstall_runner},
    {"unload", "stop", "(MODEL... [--backend NAME] | --all)", "Free the memory of running models",
     .opts = unload_opts, .max_args = -1, .complete = COMPLETE_MODELS, .run = cmd_unload},
    {"verify", .args = "[MODEL...]", .summary = "Check that stored models are what they should be",
     .details = "Reads every byte, compares it with the digests, and says what is broken and how "
                "to mend it.",
     .max_args = -1, .complete = COMPLETE_MODELS, .run = cmd_verify},
    {"version", .summary = "Show the Model Runner's version", .run = cmd_version},
    COMMAND_END,
};

/* roff: the sections only a person can write. */
static const char man_extra[] =
    ".SH ENVIRONMENT\n"
    ".TP\n.B MODEL_RUNNER_HOST\n"
    "The runner's address: http://HOST:PORT, https://HOST:PORT or unix:///PATH. Without it the\n"
    "current context counts, then the user's own socket, then http://localhost:12434.\n"
    ".TP\n.B MODEL_RUNNER_TLS\n"
    "true: speak TLS.\n"
    ".TP\n.B MODEL_RUNNER_TLS_CA_CERT\n"
    "PEM file of the authority to trust, instead of the system's.\n"
    ".TP\n.B MODEL_RUNNER_TLS_SKIP_VERIFY\n"
    "true: do not check the runner's certificate.\n"
    ".TP\n.B HF_TOKEN\n"
    "Sent along when a model of Hugging Face is pulled or pushed.\n"
    ".TP\n.B DOCKER_CONFIG\n"
    "Directory of docker's configuration, ~/.docker otherwise.\n"
    ".TP\n.B DOCKER_MODEL_NOHISTORY\n"
    "When not empty, prompts of a chat are not saved.\n"
    ".TP\n.B NO_COLOR\n"
    "When not empty, output has no colours.\n"
    ".SH FILES\n"
    ".TP\n.I ~/.docker/model/history\n"
    "Prompts of former chats.\n"
    ".TP\n.I ~/.docker/model/contexts.json\n"
    "Named runners.\n"
    ".SH EXIT STATUS\n"
    "0 on success, 1 on failure, 130 when interrupted.\n";

const struct program cli_program = {
    .name = "docker model",
    .man_name = "docker-model",
    .version = "v" MR_VERSION,
    .summary = "Docker Model Runner",
    .details = "Pull, run and serve AI models on this machine.",
    .commands = commands,
    .man_extra = man_extra,
};
