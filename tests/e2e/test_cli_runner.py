#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docker-model with the real runner, engine and demo model: the whole way of a prompt."""
import json
import os
import re
import subprocess
import time
import unittest

from cli_support import BUILD, CLI, DEMO, RUNNER, RunnerTest, Terminal, main

READY = DEMO and all(os.access(p, os.X_OK) for p in (RUNNER, os.path.join(BUILD, "model-engine")))


@unittest.skipUnless(READY, "the runner, the engine or the demo model is not built")
class WithRunner(RunnerTest):
    def test_package_to_remove(self):
        done = self.cli("package", "--gguf", DEMO, "demo:v1")
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)
        self.assertTrue(done.stderr.endswith("Model loaded successfully\n"), done.stderr)
        listed = json.loads(self.ok("ls", "--json"))
        self.assertEqual(listed[0]["tags"], ["docker.io/ai/demo:v1"])
        self.assertEqual(listed[0]["config"]["format"], "gguf")
        model_id = listed[0]["id"]
        self.assertIn(model_id[7:19], self.ok("ls", "demo"))
        self.assertEqual(json.loads(self.ok("inspect", "demo:v1"))["id"], model_id)
        self.assertEqual(json.loads(self.ok("inspect", "--openai", "demo:v1"))["object"], "model")
        # The same file again is the same model.
        self.ok("package", "--gguf", os.path.relpath(DEMO, self.home), "demo:v2")
        self.ok("tag", "demo:v1", "myorg/other")
        self.assertEqual(self.ok("ls", "-q"), model_id[7:19] + "\n")
        self.assertIn("(must be forced)", self.fails("rm", model_id[7:19]))
        self.assertEqual(self.ok("rm", "demo:v1"), "Untagged: docker.io/ai/demo:v1\n")
        self.ok("rm", "demo:v2")
        self.assertEqual(self.ok("rm", "myorg/other"), f"Untagged: docker.io/myorg/other:latest\nDeleted: {model_id}\n")
        self.assertEqual(self.ok("ls", "--json"), "[]\n")
        self.assertEqual(self.fails("inspect", "demo:v1"), "Failed to get model demo:v1: demo:v1: model not found\n")

    def test_package_with_everything(self):
        for name, text in [("t.jinja", "{{ messages[0].content }}"), ("L", "do what you like")]:
            with open(os.path.join(self.home, name), "w") as f:
                f.write(text)
        self.ok("package", "--gguf", DEMO, "--chat-template", "t.jinja", "-l", "L", "--context-size", "64", "o/full:x")
        self.assertEqual(json.loads(self.ok("inspect", "o/full:x"))["config"]["context_size"], 64)
        err = self.fails("package", "--gguf", os.path.join(self.home, "L"), "bad")
        self.assertIn("Failed to package model\npackage model: ", err)
        self.assertIn("GGUF", err)
        self.assertIn("package model: ", self.fails("package", "--gguf", DEMO, "a:b:c"))
        self.assertIn("One of --gguf, --safetensors-dir, --dduf, or --from is required", self.fails("package", "x"))
        self.assertIn("only one source", self.fails("package", "--gguf", DEMO, "--from", "o/full:x", "x"))
        self.assertIn('invalid --format value "zip"', self.fails("package", "--gguf", DEMO, "--format", "zip", "x"))

    def test_settings_and_where_they_come_from(self):
        self.ok("package", "--gguf", DEMO, "demo")
        rows = lambda: {l.split()[0]: l.split()[1:3] for l in self.ok("show", "--effective", "demo").splitlines()}
        self.assertEqual(rows()["SETTING"], ["VALUE", "SOURCE"])
        self.assertEqual(rows()["context-size"], ["auto", "default"])
        self.ok("configure", "--context-size", "64", "demo", "--", "--temp", "0.1")
        self.ok("unload", "--all")
        self.assertEqual(rows()["context-size"], ["64", "configure"])
        self.assertEqual(rows()["temperature"], ["0.1", "configure"])
        # Compose and the API set the same things as the command line.
        self.ok("compose", "--project-name=p", "up", "--model=demo", "--context-size=96", "service")
        self.assertEqual(rows()["context-size"], ["96", "configure"])
        self.assertEqual(rows()["temperature"], ["0.1", "configure"])
        self.ok("configure", "--reset", "demo")
        self.assertEqual(self.ok("configure", "show"), "[]\n")
        self.assertEqual(self.fails("show", "--effective", "none"), "Failed to get model none: none: model not found\n")
        # What the daemon says of the engine's defaults is what the engine says of itself.
        engine = subprocess.run([os.path.join(BUILD, "model-engine"), "help", "serve"], stdout=subprocess.PIPE,
                                text=True, timeout=30).stdout
        names = {"temp": "temperature", "top-k": "top_k", "top-p": "top_p", "min-p": "min_p", "typical": "typical_p",
                 "repeat-penalty": "repeat_penalty", "repeat-last-n": "repeat_last_n", "seed": "seed",
                 "presence-penalty": "presence_penalty", "frequency-penalty": "frequency_penalty",
                 "predict": "max_tokens", "parallel": "parallel"}
        for option, name in names.items():
            said = re.search(rf"--{option} [A-Z]+ .*?\(default\s+([-\d.]*\d)", engine, re.S)
            self.assertEqual(rows()[name][0], said.group(1), option)

    def test_run_a_local_file(self):
        done = self.cli("run", DEMO, "Hello, who are you?")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(len(done.stdout), 20)
        self.assertTrue(done.stdout.endswith("\n"))
        self.assertIn(f"Packaging the file {DEMO} as the model local/demo\n", done.stderr)
        self.assertIn("local/demo", self.ok("ls"))
        # Greedy at temperature 0 or not, the demo model knows one answer; a second run loads nothing anew.
        self.assertEqual(self.cli("run", DEMO, "Hello, who are you?").stdout, done.stdout)

    def test_run_a_file_that_is_none(self):
        err = self.fails("run", "./typo.gguf", "hi")
        self.assertIn("typo.gguf': No such file", err)
        self.assertNotIn("Pulling", err)
        with open(os.path.join(self.home, "near.gguf"), "w"):
            pass
        self.assertIn("write ./near.gguf", self.fails("run", "near.gguf", "hi"))

    def test_ps_unload_and_debug(self):
        self.ok("package", "--gguf", DEMO, "demo")
        self.assertEqual(len(self.ok("ps").splitlines()), 1)
        self.assertEqual(self.ok("run", "-d", "demo"), "")
        self.assertRegex(self.ok("ps").splitlines()[1], r"^demo +\S+ +completion +.*(from now|Loading\.\.\.)")
        done = self.cli("run", "--debug", "demo", "hi")
        self.assertRegex(done.stderr, r"first token after \d+ ms, \d+ tokens at [\d.]+ tokens/s; prompt: \d+ tokens")
        self.assertRegex(done.stdout, r"Token usage: \d+ prompt \+ \d+ completion = \d+ total\n$")
        self.assertEqual(self.ok("unload", "demo"), "Unloaded 1 model(s).\n")
        self.assertEqual(len(self.ok("ps").splitlines()), 1)
        self.assertEqual(self.ok("unload", "--all"), "No models are running.\n")
        self.assertRegex(self.ok("df"), r"^TYPE +SIZE +\nModels +[\d.]+\wB")

    def test_status_and_version(self):
        status = json.loads(self.ok("status", "--json"))
        self.assertEqual((status["running"], status["kind"]), (True, "Docker Engine"))
        self.assertIn("Running", " ".join(status["backends"].values()))
        self.assertRegex(self.ok("version"), r"Server:\n Version:    v\d+\.\d+\.\d+\n Engine:     Docker Engine\n$")

    def test_chat(self):
        self.ok("package", "--gguf", DEMO, "demo")
        t = Terminal([CLI, "run", "demo"], self.env)
        self.addCleanup(t.close)
        for text in (b"Hello, who are you?\r", b"How do I pull a model?\r"):
            t.expect(rb"> ")
            t.send(text)
            t.expect(rb"\r\n.*\S.*\r\n", 60)
        t.expect(rb"> ")
        t.send(b"/bye\r")
        self.assertEqual(t.wait(), 0)

    def test_piped_and_missing(self):
        self.ok("package", "--gguf", DEMO, "demo")
        self.assertGreater(len(self.ok("run", "demo", input="Hello, who are you?")), 10)
        err = self.fails("run", "no/such/model", "hi")
        self.assertIn("Unable to find model 'no/such/model' locally. Pulling from the server.\n", err)
        self.assertIn("Failed to pull model: ", err)

    def test_runner_that_went_away(self):
        self.stop()
        self.assertIn("start-runner", self.fails("ls"))
        done = self.cli("status")
        self.assertEqual(done.returncode, 1)
        self.assertTrue(re.match("Docker Model Runner is not running", done.stdout))


if __name__ == "__main__":
    main()
