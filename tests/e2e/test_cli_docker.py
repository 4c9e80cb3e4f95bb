#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The real docker CLI with docker-model linked into its plugin directory. Needs no Docker engine.

Skipped, visibly, where docker is not installed.
"""
import json
import os
import shutil
import subprocess
import unittest

from cli_support import CLI, ID_A, Answer, CliTest, Terminal, main, model, sse

DOCKER = shutil.which("docker")


@unittest.skipUnless(DOCKER, "the docker CLI is not installed")
class Plugin(CliTest):
    def setUp(self):
        super().setUp()
        plugins = os.path.join(self.home, ".docker", "cli-plugins")
        os.makedirs(plugins)
        os.symlink(CLI, os.path.join(plugins, "docker-model"))
        self.runner = self.fake({
            "GET /models": Answer(body=[model(ID_A, ["docker.io/ai/smollm2:latest"])]),
            "GET /models/m": Answer(body=model(ID_A, ["docker.io/ai/m:latest"])),
            "POST /engines/v1/chat/completions": lambda request: Answer(
                200, sse(*["word "] * 60) if b"long" in request["body"] else sse("I am ", "here."), "text/event-stream",
                pause=0.05)})

    def docker(self, *args, **kw):
        kw.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run([DOCKER, *args], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              timeout=60, **kw)

    def works(self, *args):
        done = self.docker(*args)
        self.assertEqual(done.returncode, 0, f"docker {args}: {done.stdout}{done.stderr}")
        return done.stdout

    def test_docker_knows_the_plugin(self):
        self.assertRegex(self.works("--help"), r"model\* +Docker Model Runner")
        info = self.docker("info", "--format", "{{json .ClientInfo.Plugins}}")
        plugins = {p["Name"]: p for p in json.loads(info.stdout.strip() or "[]")}
        self.assertEqual(plugins["model"]["Vendor"], "Docker Inc.")
        self.assertNotIn("Err", plugins["model"])

    def test_commands(self):
        self.assertIn("smollm2", self.works("model", "list"))
        self.assertIn("smollm2", self.works("--context", "default", "model", "ls"))
        self.assertIn("smollm2", self.works("-D", "-l", "error", "model", "ls"))
        self.assertIn("Client:", self.works("model", "version"))
        self.assertEqual(json.loads(self.works("model", "status", "--json"))["running"], True)
        self.assertEqual(self.works("model", "run", "m", "hi"), "I am here.\n")

    def test_help(self):
        top = self.works("model", "--help")
        self.assertTrue(top.startswith("Usage:  docker model COMMAND"), top)
        self.assertEqual(self.works("help", "model"), top)
        self.assertTrue(self.works("model", "run", "--help").startswith("Usage:  docker model run"))
        self.assertEqual(self.works("model"), top)

    def test_errors_and_exit_codes(self):
        done = self.docker("model", "inspect", "none")
        self.assertEqual((done.returncode, done.stderr), (1, "Failed to get model none: none: model not found\n"))
        self.assertEqual(self.docker("model", "list", "--foo").returncode, 1)

    def test_piped_prompt(self):
        done = subprocess.run([DOCKER, "model", "run", "m", "sum up:"], env=self.env, input="text", text=True,
                              stdout=subprocess.PIPE, timeout=60)
        self.assertEqual(done.stdout, "I am here.\n")
        self.assertEqual(self.runner.last_json("/engines/v1/chat/completions")["messages"][0]["content"], "sum up:\n\ntext")

    def test_completion(self):
        self.assertIn("smollm2", self.works("__complete", "model", "run", "smo"))
        self.assertIn("list\t", self.works("__complete", "model", "li"))

    def test_config_option(self):
        other = os.path.join(self.home, "other")
        os.makedirs(os.path.join(other, "cli-plugins"))
        os.symlink(CLI, os.path.join(other, "cli-plugins", "docker-model"))
        self.works("--config", other, "model", "context", "create", "x", "--host", "http://h")
        self.assertTrue(os.path.exists(os.path.join(other, "model", "contexts.json")))

    def test_ctrl_c_in_a_chat_reaches_only_the_answer(self):
        """docker gets the terminal's SIGINT too, and must not take the plugin down with it."""
        t = Terminal([DOCKER, "model", "run", "m"], self.env)
        self.addCleanup(t.close)
        for _ in range(4):
            t.expect(rb"> ")
            t.send(b"long\r")
            t.expect(rb"word word ")
            t.send(b"\x03")
        t.expect(rb"> ")
        t.send(b"hi\r")
        t.expect(rb"I am here\.")
        t.send(b"/bye\r")
        self.assertEqual(t.wait(), 0)


if __name__ == "__main__":
    main()
