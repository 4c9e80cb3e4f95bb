#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The daemon with the real engine: parallel streams, engines and daemons that are killed, clients that
leave, hostile models."""
import json
import os
import signal
import subprocess
import sys
import threading
import time
import unittest

ROOT = os.environ.get("MR_ROOT") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "unit", "runner"))
from daemon_support import BUILD, Daemon  # noqa: E402

ENGINE = os.environ.get("MR_ENGINE") or os.path.join(BUILD, "model-engine")
MAKE_MODEL = os.path.join(BUILD, "tools", "make_tiny_model")
MANY = 60000  # far more than an engine makes before a test is through with it


class RunnerWithEngine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        path = os.path.join(BUILD, f"runner-engine-{os.getpid()}.gguf")
        cls.addClassCleanup(lambda: os.path.exists(path) and os.unlink(path))
        subprocess.run([MAKE_MODEL, "--n-ctx", "65536", path], check=True, stdout=subprocess.DEVNULL)
        with open(path, "rb") as f:
            cls.weights = f.read()

    def setUp(self):
        self.d = Daemon(engine=ENGINE)
        self.addCleanup(self.d.close)
        self.d.load("ai/tiny", weights=self.weights)

    def ask(self, **members):
        request = {"model": "tiny", "prompt": "one two three", "temperature": 0, "max_tokens": 64, "ignore_eos": True}
        return dict(request, **members)

    def stream(self, **members):
        """(connection, response) of a streaming request that has begun."""
        c = self.d.connect()
        c.request("POST", "/v1/completions", json.dumps(self.ask(stream=True, **members)))
        r = c.getresponse()
        self.addCleanup(c.close)
        return c, r

    @staticmethod
    def events(response):
        return [json.loads(line[6:]) for line in response.read().decode().split("\n")
                if line.startswith("data: {")]

    def text_of(self, **members):
        _, r = self.stream(**members)
        self.assertEqual(r.status, 200)
        return "".join(e["choices"][0]["text"] for e in self.events(r))

    def test_parallel_streams_say_what_one_says(self):
        alone = self.text_of()
        self.assertTrue(alone)
        texts = []
        threads = [threading.Thread(target=lambda: texts.append(self.text_of())) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(texts, [alone] * 4)
        self.assertEqual(len(self.d.engines()), 1)

    def test_engine_killed_in_a_stream(self):
        _, r = self.stream(max_tokens=MANY)
        self.assertTrue(r.readline().startswith(b"data: "))
        pid, = self.d.engines()
        os.kill(pid, signal.SIGSTOP)  # so that it cannot be done before it is killed
        os.kill(pid, signal.SIGKILL)
        last = self.events(r)[-1]
        self.assertIn("terminated unexpectedly", last["error"]["message"])
        self.assertEqual(sorted(last["error"]), ["code", "message", "param", "type"])
        self.assertTrue(self.text_of())
        self.assertNotEqual(self.d.engines(), [pid])

    def test_daemon_killed_in_a_stream(self):
        _, r = self.stream(max_tokens=MANY)
        self.assertTrue(r.readline().startswith(b"data: "))
        self.assertEqual(len(self.d.engines()), 1)
        self.d.process.kill()
        self.d.process.wait()
        end = time.monotonic() + 30
        while self.d.engines() and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual(self.d.engines(), [])

    def test_a_client_that_leaves_frees_the_model(self):
        c, r = self.stream(max_tokens=MANY, n=1)
        self.assertTrue(r.readline().startswith(b"data: "))
        r.close()
        c.close()
        self.d.wait_for(lambda: not self.d.get("/engines/ps").json[0].get("in_use"))
        self.assertEqual(self.d.post("/engines/unload", {"all": True}).json, {"unloaded_runners": 1})
        self.assertEqual(self.d.engines(), [])

    def test_errors_of_the_engine_come_through(self):
        answer = self.d.post("/v1/completions", self.ask(temperature="hot"))
        self.assertEqual(answer.status, 400)
        self.assertIn("temperature", answer.json["error"]["message"])

    def test_a_file_that_is_no_model(self):
        self.d.load("ai/broken", weights=b"GGUF" + b"\xff" * 1000)
        answer = self.d.post("/v1/completions", self.ask(model="broken"))
        self.assertEqual(answer.status, 500)
        message = answer.json["error"]["message"]
        self.assertTrue(message.startswith("unable to load runner: error waiting for runner to be ready: "), message)
        self.assertEqual(self.d.post("/v1/completions", self.ask()).status, 200)

    def test_settings_reach_the_engine(self):
        self.assertEqual(self.d.post("/engines/_configure", {"model": "tiny", "context-size": 64}).status, 202)
        answer = self.d.post("/v1/completions", self.ask(prompt="word " * 200))
        self.assertEqual(answer.status, 400, answer.text)
        self.assertIn("64", answer.json["error"]["message"])


if __name__ == "__main__":
    unittest.main()
