#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docker model launch, with stand-ins for the applications and for docker which write down how they
were started: the applications themselves are not in the distribution."""
import json
import os
import stat

from cli_support import CliTest, main

KEY = "sk-docker-model-runner"


class Launch(CliTest):
    def setUp(self):
        super().setUp()
        self.bin = os.path.join(self.home, "bin")
        self.log = os.path.join(self.home, "started")
        os.makedirs(self.bin)
        self.env.update(PATH=self.bin + ":/usr/bin:/bin", MODEL_RUNNER_HOST="http://localhost:12434")

    def program(self, name):
        path = os.path.join(self.bin, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(f"#!/bin/sh\n{{ echo {name} \"$@\"; env | grep -E '^(OPENAI|OPEN_AI|ANTHROPIC)' | sort; }} > {self.log}\nexit 7\n")
        os.chmod(path, stat.S_IRWXU)

    def started(self):
        with open(self.log, encoding="utf-8") as f:
            return f.read().splitlines()

    def test_list(self):
        self.program("codex")
        out = self.ok("launch")
        self.assertTrue(out.startswith("Supported apps:\n\n  anythingllm     "), out)
        self.assertIn("\n  codex           Codex CLI\n", out)
        self.assertIn("\n  opencode        Open Code AI code editor (not installed)\n", out)
        self.assertTrue(out.endswith("\nUsage: docker model launch [APP] [-- APP_ARGS...]\n"))

    def test_a_program_takes_its_place(self):
        self.program("codex")
        done = self.cli("launch", "codex", "--model", "ai/m", "--", "--full-auto", "a b")
        self.assertEqual(done.returncode, 7)
        url = "http://localhost:12434/v1"
        self.assertEqual(self.started(), ["codex --model ai/m --full-auto a b", f"OPENAI_API_BASE={url}",
                                          f"OPENAI_API_BASE_URL={url}", f"OPENAI_API_KEY={KEY}", f"OPENAI_BASE_URL={url}",
                                          f"OPEN_AI_KEY={KEY}"])
        self.cli("launch", "codex", "--", "x" * 100000)
        self.assertEqual(self.started()[0], "codex " + "x" * 100000)
        self.program("claude")
        self.cli("launch", "claude")
        self.assertEqual(self.started(), ["claude", f"ANTHROPIC_API_KEY={KEY}",
                                          "ANTHROPIC_BASE_URL=http://localhost:12434/anthropic"])

    def test_containers(self):
        self.program("docker")
        self.cli("launch", "openwebui", "--port", "8081", "--detach")
        line = self.started()[0]
        self.assertTrue(line.startswith("docker run --rm -d --add-host=host.docker.internal:host-gateway -p 8081:8080 "
                                        "-v openwebui_data:/app/backend/data -e "), line)
        self.assertIn("-e OPENAI_API_BASE=http://host.docker.internal:12434/engines/v1 ", line)
        self.assertTrue(line.endswith("-e WEBUI_AUTH=false ghcr.io/open-webui/open-webui:latest"), line)
        self.cli("launch", "anythingllm", "--image", "mine:1", "--", "x")
        line = self.started()[0]
        self.assertIn("-p 3001:3001 ", line)
        self.assertTrue(line.endswith("-e DOCKER_MODEL_RUNNER_BASE_PATH=http://host.docker.internal:12434 mine:1 x"), line)

    def test_dry_run_and_config(self):
        self.assertTrue(self.ok("launch", "openwebui", "--dry-run").startswith("Would run: docker run --rm "))
        out = self.ok("launch", "codex", "--dry-run", "--", "x")
        self.assertEqual(out.splitlines()[:2], ["Would run: codex x", "  OPENAI_API_BASE=http://localhost:12434/v1"])
        self.assertIn("  ANTHROPIC_API_KEY=", self.ok("launch", "claude", "--config"))
        self.assertIn("openclaw config set", self.ok("launch", "openclaw"))

    def test_opencode_keeps_what_it_had(self):
        self.program("opencode")
        path = os.path.join(self.home, ".config", "opencode", "opencode.json")
        os.makedirs(os.path.dirname(path))
        with open(path, "w", encoding="utf-8") as f:
            json.dump({"theme": "dark", "provider": {"other": {"name": "x"}}}, f)
        self.cli("launch", "opencode", "--model", "ai/m")
        with open(path, encoding="utf-8") as f:
            config = json.load(f)
        self.assertEqual((config["theme"], config["provider"]["other"], config["model"]), ("dark", {"name": "x"}, "dmr/ai/m"))
        self.assertEqual(config["provider"]["dmr"]["options"], {"baseURL": "http://localhost:12434/v1"})
        self.assertEqual(list(config["provider"]["dmr"]["models"]), ["ai/m"])
        with open(path, "w", encoding="utf-8") as f:
            f.write("not JSON")
        os.unlink(self.log)
        self.assertIn("opencode.json", self.fails("launch", "opencode", "--model", "ai/m"))
        self.assertFalse(os.path.exists(self.log))

    def test_errors(self):
        self.assertEqual(self.fails("launch", "vim"), 'unsupported app "vim" (supported: anythingllm, claude, codex, '
                                                      "openclaw, opencode, openwebui)\n")
        self.assertEqual(self.fails("launch", "codex", "x", "y"),
                         "unexpected arguments: x y\nUse '--' to pass extra arguments to the app\n")
        self.assertIn("codex is not installed", self.fails("launch", "codex"))
        self.assertIn("are for applications in containers", self.fails("launch", "codex", "--detach"))
        self.assertIn("--model is for", self.fails("launch", "openwebui", "--model", "x"))
        self.env["MODEL_RUNNER_HOST"] = "unix:///run/x.sock"
        self.assertIn("serve --tcp --containers", self.fails("launch", "openwebui"))


if __name__ == "__main__":
    main()
