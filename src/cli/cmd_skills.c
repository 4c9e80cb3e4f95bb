/* SPDX-License-Identifier: Apache-2.0
 *
 * docker model skills: puts what an assistant should know about this program where coding
 * assistants look for such texts. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/paths.h"
#include "cli/cli.h"
#include "cli/cmd.h"
#include "cli/print.h"

struct skills_options {
    bool codex, claude, opencode, force;
    const char *dest;
};

const struct opt skills_opts[] = {
    {"claude", 0, OPT_FLAG, offsetof(struct skills_options, claude),
     .help = "Install for Claude Code (~/.claude/skills)"},
    {"codex", 0, OPT_FLAG, offsetof(struct skills_options, codex),
     .help = "Install for Codex (~/.codex/skills)"},
    {"dest", 0, OPT_STRING, offsetof(struct skills_options, dest), "DIR",
     "Install into this directory"},
    {"force", 'f', OPT_FLAG, offsetof(struct skills_options, force),
     .help = "Replace what is there"},
    {"opencode", 0, OPT_FLAG, offsetof(struct skills_options, opencode),
     .help = "Install for Open Code (~/.config/opencode/skills)"},
    OPT_END,
};

#define SKILL "docker-model-runner"

static const char text[] =
    "---\n"
    "name: docker-model-runner\n"
    "description: Run language models on this machine with Docker Model Runner: pull and run\n"
    "  models, call the OpenAI, Anthropic and Ollama APIs, package models, use them in Compose.\n"
    "---\n"
    "\n"
    "# Docker Model Runner\n"
    "\n"
    "Models are OCI artifacts. `docker model` fetches and manages them; a daemon loads one when a\n"
    "request needs it. Nothing is sent to anybody.\n"
    "\n"
    "## Everyday commands\n"
    "\n"
    "    docker model status                 # is it running, and where; exit status 1 if not\n"
    "    docker model doctor                 # what is wrong, and what to do\n"
    "    docker model pull ai/smollm2        # Docker Hub; any registry; hf.co/org/name:Q4_K_M\n"
    "    docker model run ai/smollm2 \"…\"     # one answer; without a prompt, a chat\n"
    "    docker model list; docker model ps  # what is here; what is in memory\n"
    "    docker model inspect NAME           # JSON\n"
    "    docker model show --effective NAME  # every setting and where it comes from\n"
    "    docker model configure --context-size 8192 NAME\n"
    "    docker model logs; docker model requests NAME\n"
    "\n"
    "## The API\n"
    "\n"
    "`docker model status` prints the URL. Over TCP (`model-runner serve --tcp`) it is\n"
    "`http://localhost:12434`:\n"
    "\n"
    "- OpenAI: `/engines/v1/chat/completions`, `/completions`, `/embeddings`, `/models`, "
    "`/responses`\n"
    "- Anthropic: base URL `http://localhost:12434/anthropic`\n"
    "- Ollama: `/api/chat`, `/api/generate`, `/api/embed`, …\n"
    "- from a container: `http://model-runner.docker.internal/engines/v1`\n"
    "\n"
    "Any API key is accepted on this machine. Models are not pulled by requests: a name that is\n"
    "not here is a 404, so pull first. `response_format` with a JSON schema is always kept to;\n"
    "`tools` and streaming work as with OpenAI.\n"
    "\n"
    "## Compose\n"
    "\n"
    "    services:\n"
    "      app:\n"
    "        models: [llm]          # sets LLM_URL and LLM_MODEL\n"
    "    models:\n"
    "      llm:\n"
    "        model: ai/smollm2\n"
    "        context_size: 4096\n"
    "\n"
    "## Packaging\n"
    "\n"
    "    docker model package --gguf /absolute/path/model.gguf org/name:tag\n"
    "    docker model push org/name:tag\n";

/* Writes the text below a directory of skills; what is there stays unless it may be replaced. A
 * link in the place of the skill's directory would lead elsewhere and is refused. */
static int install(const char *dir, bool force, struct error *err)
{
    CLEANUP_FREE char *own = path_join(dir, SKILL);
    CLEANUP_FREE char *file = path_join(own, "SKILL.md");
    struct stat st;
    if (lstat(own, &st) == 0 && !S_ISDIR(st.st_mode))
        return error_set(err, ERR_CONFLICT, "'%s' is no directory: please remove it", own);
    if (lstat(file, &st) == 0 && !force)
        return error_set(err, ERR_CONFLICT, "file already exists: %s (use --force to overwrite)",
                         file);
    int r = dir_make(own, 0755, err);
    if (r == 0)
        r = file_write_atomic(file, STR(text), 0644, err);
    if (r == 0) {
        fputs("Installed Docker Model Runner skills to ", stdout);
        print_line_text(stdout, str_from(dir));
        putchar('\n');
    }
    return r;
}

int cmd_skills(int argc, char **argv)
{
    struct skills_options o = {0};
    struct opt_args args;
    int exit_code;
    if (!cli_parse("skills", argc, argv, &o, &args, &exit_code))
        return exit_code;
    const struct {
        bool wanted;
        const char *dir;
    } targets[] = {
        {o.codex, ".codex/skills"},
        {o.claude, ".claude/skills"},
        {o.opencode, ".config/opencode/skills"},
    };
    struct error err = ERROR_INIT;
    CLEANUP_FREE char *home = NULL;
    if (!o.codex && !o.claude && !o.opencode && !(o.dest && *o.dest))
        return cli_fail_text("no target specified. Use --codex, --claude, --opencode, or --dest");
    int r = path_home(&home, &err);
    for (size_t i = 0; r == 0 && i < ARRAY_LEN(targets); i++) {
        CLEANUP_FREE char *dir = path_join(home, targets[i].dir);
        if (targets[i].wanted)
            r = install(dir, o.force, &err);
    }
    if (r == 0 && o.dest && *o.dest)
        r = install(o.dest, o.force, &err);
    return r < 0 ? cli_fail(NULL, &err) : 0;
}
