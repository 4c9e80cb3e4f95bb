#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""model-engine as a process: starting, ending, clients that leave, files that are wrong."""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from engine_process import ENGINE, EngineProcess, make_model

GREEDY = {"temperature": 0, "ignore_eos": True}


class EngineProcessTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="mr-process-")
        cls.model = os.path.join(cls.directory, "tiny.gguf")
        # Slow enough that a long answer takes many seconds.
        make_model(cls.model, n_layers=4, n_embd=256, n_heads=4, n_ff=512, n_vocab=512, n_ctx=65536)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.directory)

    def start(self, *arguments, **options):
        engine = EngineProcess(options.pop("model", self.model), *arguments, **options)
        self.addCleanup(engine.stop)
        return engine

    def wait_until(self, what, seconds=60):
        end = time.monotonic() + seconds
        while not what():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.005)

    def wait_idle(self, engine, seconds=60):
        end = time.monotonic() + seconds
        while engine.metric("requests_processing") + engine.metric("requests_deferred") > 0:
            self.assertLess(time.monotonic(), end, "work goes on for nobody")
            time.sleep(0.005)

    # ---- clients that leave ----

    def test_client_leaves_a_stream(self):
        engine = self.start("--ctx-size", "32768", "--parallel", "2")
        stream = engine.stream("/v1/completions", dict(GREEDY, prompt="x", max_tokens=-1))
        got = 0
        for _ in stream:
            got += 1
            if got == 5:
                break
        self.assertEqual(sum(s["is_processing"] for s in engine.get("/slots")[1]), 1)
        stream.close()
        self.wait_idle(engine)
        predicted = engine.metric("tokens_predicted_total")
        self.assertLess(predicted, 32000)
        time.sleep(0.1)
        self.assertEqual(engine.metric("tokens_predicted_total"), predicted)
        self.assertEqual(engine.metric("requests_canceled_total"), 1)

    def test_client_leaves_during_a_long_prompt(self):
        engine = self.start("--ctx-size", "65536", "--parallel", "1")
        prompt = list(range(300, 500)) * 250  # 50000 tokens
        connection = engine.stream_connection("/v1/completions", {"prompt": prompt, "max_tokens": 5})
        self.wait_until(lambda: engine.metric("requests_processing") > 0)
        connection.close()
        self.wait_idle(engine)
        self.assertLess(engine.metric("prompt_tokens_total"), 50000)
        status, answer = engine.post("/v1/completions", {"prompt": "x", "max_tokens": 1})
        self.assertEqual(status, 200, answer)

    def test_client_leaves_before_an_answer_that_is_not_streamed(self):
        engine = self.start("--ctx-size", "32768", "--parallel", "1")
        connection = engine.stream_connection(
            "/v1/completions", dict(GREEDY, prompt="x", max_tokens=-1), stream=False)
        self.wait_until(lambda: engine.metric("tokens_predicted_total") >= 5)
        connection.close()
        self.wait_idle(engine)

    # ---- the end ----

    def test_signals(self):
        for signo in (signal.SIGTERM, signal.SIGINT):
            engine = EngineProcess(self.model, "--ctx-size", "4096")
            self.assertEqual(engine.stop(signo), 0)

    def test_signal_during_a_stream(self):
        engine = EngineProcess(self.model, "--ctx-size", "32768")
        stream = engine.stream("/v1/completions", dict(GREEDY, prompt="x", max_tokens=-1))
        next(iter(stream))
        self.assertEqual(engine.stop(), 0)
        stream.close()

    def test_lifeline(self):
        engine = self.start("--ctx-size", "4096")
        engine.close_lifeline()
        self.assertEqual(engine.process.wait(60), 0)

    # ---- the beginning ----

    def test_refuses_what_is_no_model(self):
        bad = os.path.join(self.directory, "bad.gguf")
        # 3: it may be a model that another engine knows.
        for content, status in [(b"", 1), (b"GGUF" + b"\xff" * 100, 3), (b"x" * 5000, 1)]:
            with open(bad, "wb") as f:
                f.write(content)
            engine = EngineProcess(bad, wait=False)
            code = engine.process.wait(60)
            log = engine.log_text()
            engine.stop()
            self.assertEqual(code, status, log)
            self.assertIn("model-engine: ", log)
            self.assertIn("bad.gguf", log)

    def test_wrong_options(self):
        for argv in (["serve"], ["serve", "--model", "/nonexistent.gguf", "--port", "0"],
                     ["serve", "--model", self.model, "--port", "99999"],
                     ["serve", "--model", self.model, "--cache-type", "q9"],
                     ["serve", "--model", self.model, "--socket", "/nonexistent/dir/s"],
                     ["serve", "--model", self.model, "--nope"], ["generate"], ["bench"], ["nope"]):
            done = subprocess.run([ENGINE, *argv], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=60)
            self.assertEqual(done.returncode, 1, argv)
            self.assertTrue(done.stderr, argv)

    def test_default_context_is_said(self):
        engine = self.start()
        n_ctx = engine.get("/props")[1]["default_generation_settings"]["n_ctx"]
        self.assertLessEqual(n_ctx, 65536)
        self.assertIn(f"context {n_ctx} tokens", engine.log_text())

    def test_sandbox(self):
        engine = self.start("--ctx-size", "512")
        if "no sandbox" in engine.log_text():
            self.skipTest("this build or system has no sandbox")
        with open(f"/proc/{engine.process.pid}/status") as f:
            status = dict(line.split(":\t", 1) for line in f.read().splitlines() if ":\t" in line)
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))
        # Every thread, also those of the HTTP server, which were there before. Threads that serve
        # one connection come and go meanwhile; one that has ended cannot do harm.
        seen = 0
        for task in os.listdir(f"/proc/{engine.process.pid}/task"):
            try:
                with open(f"/proc/{engine.process.pid}/task/{task}/status") as f:
                    text = f.read()
            except (FileNotFoundError, ProcessLookupError):
                continue
            self.assertIn("Seccomp:\t2", text)
            seen += 1
        self.assertGreaterEqual(seen, 2)
        self.assertEqual(engine.post("/v1/completions", {"prompt": "x", "max_tokens": 3})[0], 200)

    def test_template_file_and_its_refusals(self):
        path = os.path.join(self.directory, "template.jinja")
        with open(path, "w") as f:
            f.write("{% if messages|length > 1 %}{{ raise_exception('only one message, please') }}{% endif %}"
                    "[{{ messages[0].content }}]")
        engine = self.start("--ctx-size", "512", "--chat-template-file", path)
        one = {"messages": [{"role": "user", "content": "a"}]}
        self.assertEqual(engine.post("/apply-template", one), (200, {"prompt": "[a]"}))
        status, answer = engine.post("/v1/chat/completions", {"messages": one["messages"] * 2})
        self.assertEqual(status, 400)
        self.assertIn("only one message, please", answer["error"]["message"])

    # ---- the other verbs ----

    def test_generate(self):
        argv = [ENGINE, "generate", "--model", self.model, "--prompt", "Hello", "--n-predict", "12",
                "--temp", "0", "--ignore-eos", "--ctx-size", "512"]
        texts = [subprocess.run(argv, stdout=subprocess.PIPE, check=True, timeout=60).stdout for _ in range(2)]
        self.assertEqual(texts[0], texts[1])
        engine = self.start("--ctx-size", "512")
        answer = engine.post("/v1/completions", dict(GREEDY, prompt="Hello", max_tokens=12))[1]
        self.assertEqual(answer["choices"][0]["text"], texts[0].decode("utf-8"))

    def test_bench(self):
        done = subprocess.run([ENGINE, "bench", "--model", self.model, "-p", "16", "-n", "4", "-t", "1",
                               "-r", "2", "--json"], stdout=subprocess.PIPE, check=True, timeout=60)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual([(l["test"], l["threads"]) for l in lines], [("pp16", 1), ("tg4", 1)])
        for l in lines:
            self.assertLessEqual(0 < l["min"] <= l["median"], l["max"])


if __name__ == "__main__":
    unittest.main()
