#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the daemon tells about its work: /metrics, judged by Prometheus's own tool, and the journal of
requests. With the real engine."""
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest

ROOT = os.environ.get("MR_ROOT") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "unit", "runner"))
from daemon_support import BUILD, RUNNER, Daemon  # noqa: E402

ENGINE = os.path.join(BUILD, "model-engine")
MAKE_MODEL = os.path.join(BUILD, "tools", "make_tiny_model")
CLI = os.path.join(BUILD, "docker-model")
MODEL = "docker.io/ai/tiny:latest"


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        path = os.path.join(BUILD, f"watch-{os.getpid()}.gguf")
        cls.addClassCleanup(lambda: os.path.exists(path) and os.unlink(path))
        subprocess.run([MAKE_MODEL, path], check=True, stdout=subprocess.DEVNULL)
        with open(path, "rb") as f:
            cls.weights = f.read()

    def start(self, *options, **kw):
        d = Daemon(*options, engine=ENGINE, **kw)
        self.addCleanup(d.close)
        self.id = d.load("ai/tiny", weights=self.weights)
        return d

    def ask(self, d, path="/v1/completions", model="tiny", **members):
        body = {"model": model, "prompt": "one two three", "temperature": 0, "max_tokens": 8, "ignore_eos": True}
        return d.post(path, dict(body, **members), headers={"User-Agent": "test/1"})


class Metrics(Case):
    def read(self, d):
        r = d.get("/metrics")
        self.assertEqual((r.status, r.headers["Content-Type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        return r.text

    def value(self, text, series):
        found = re.search("^model_runner_" + re.escape(series) + r" (\S+)$", text, re.M)
        self.assertTrue(found, series + "\n" + text)
        return float(found.group(1))

    def test_prometheus_accepts_them(self):
        promtool = shutil.which("promtool")
        self.assertTrue(promtool, "promtool is missing: tools/setup.sh --test installs it")
        d = self.start()
        for text in self.read(d), (self.ask(d), self.ask(d, stream=True), self.read(d))[-1]:
            done = subprocess.run([promtool, "check", "metrics"], input=text, text=True, check=False, timeout=60,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_requests_and_tokens(self):
        d = self.start()
        self.assertEqual(self.ask(d).status, 200)
        self.assertEqual(self.ask(d, stream=True).status, 200)
        self.assertEqual(self.ask(d, path="/v1/chat/completions", messages=[{"role": "user", "content": "Hi"}]).status, 200)
        self.assertEqual(self.ask(d, model="absent").status, 404)
        self.assertEqual(self.ask(d, temperature="hot").status, 400)
        text = self.read(d)
        self.assertEqual(self.value(text, 'requests_total{api="openai",mode="completion",code="200"}'), 3)
        self.assertEqual(self.value(text, 'requests_total{api="openai",mode="completion",code="404"}'), 1)
        self.assertEqual(self.value(text, 'requests_total{api="openai",mode="completion",code="400"}'), 1)
        self.assertEqual(self.value(text, f'completion_tokens_total{{model="{MODEL}"}}'), 24)
        self.assertGreater(self.value(text, f'prompt_tokens_total{{model="{MODEL}"}}'), 3)
        self.assertNotIn("absent", text)
        self.assertEqual(self.value(text, "time_to_first_token_seconds_count"), 1)
        self.assertEqual(self.value(text, "time_per_token_seconds_count"), 1)
        self.assertEqual(self.value(text, "request_duration_seconds_count"), 5)
        self.assertEqual(self.value(text, 'model_loads_total{result="ok"}'), 1)
        self.assertEqual(self.value(text, "models_loaded"), 1)
        self.assertGreater(self.value(text, "engine_memory_bytes"), 1 << 20)
        self.assertEqual(self.value(text, "store_models"), 1)
        self.assertGreater(self.value(text, "store_bytes"), len(self.weights))
        self.assertEqual(self.value(text, "requests_active"), 0)

    def test_other_dialects_are_told_apart(self):
        d = self.start()
        messages = [{"role": "user", "content": "Hi"}]
        self.assertEqual(d.post("/anthropic/v1/messages",
                                {"model": "tiny", "max_tokens": 4, "messages": messages}).status, 200)
        self.assertEqual(d.post("/api/chat", {"model": "tiny", "stream": False, "messages": messages,
                                              "options": {"num_predict": 4}}).status, 200)
        self.assertEqual(d.post("/v1/embeddings", {"model": "tiny", "input": "Hi"}).status, 200)
        text = self.read(d)
        for series in 'api="anthropic",mode="completion"', 'api="ollama",mode="completion"', 'api="openai",mode="embedding"':
            self.assertEqual(self.value(text, f'requests_total{{{series},code="200"}}'), 1)

    def test_failures_are_counted(self):
        d = self.start()
        d.load("ai/bad", weights=b"no model")
        self.assertEqual(self.ask(d, model="ai/bad").status, 500)
        self.assertEqual(d.post("/models/create", {"from": "127.0.0.1:1/x/y"}).status, 502)
        text = self.read(d)
        self.assertEqual(self.value(text, 'model_loads_total{result="failed"}'), 1)
        self.assertEqual(self.value(text, 'pulls_total{result="failed"}'), 1)
        self.assertEqual(self.value(text, 'requests_total{api="openai",mode="completion",code="500"}'), 1)

    def test_a_client_that_leaves(self):
        d = self.start()
        c = d.connect()
        c.request("POST", "/v1/completions", json.dumps({"model": "tiny", "prompt": "a", "max_tokens": 100000,
                                                          "ignore_eos": True, "stream": True}))
        r = c.getresponse()
        self.assertTrue(r.readline().startswith(b"data: "))
        self.assertEqual(self.value(self.read(d), "requests_active"), 1)
        c.close()
        r.close()
        d.wait_for(lambda: self.value(self.read(d), "requests_active") == 0)


class Journal(Case):
    def records(self, d, query=""):
        r = d.get("/engines/requests" + query)
        self.assertEqual(r.status, 200)
        return r.json

    def test_nothing_yet(self):
        self.assertEqual(self.records(self.start()), [])

    def test_a_record(self):
        d = self.start()
        answer = self.ask(d).json
        group, = self.records(d)
        self.assertEqual((group["count"], group["model"], group["config"]), (1, self.id, {}))
        record, = group["records"]
        self.assertTrue(record["id"].startswith(self.id + "_"))
        self.assertEqual({k: record[k] for k in ("model", "method", "url", "status_code", "user_agent")},
                         {"model": "tiny", "method": "POST", "url": "/v1/completions", "status_code": 200,
                          "user_agent": "test/1"})
        self.assertEqual(json.loads(record["request"])["prompt"], "one two three")
        self.assertEqual(json.loads(record["response"]), answer)
        self.assertNotIn("error", record)
        self.assertNotIn("origin", record)

    def test_streams_are_folded(self):
        d = self.start()
        whole = self.ask(d).json["choices"][0]["text"]
        messages = [{"role": "user", "content": "Hi"}]
        chat = self.ask(d, path="/v1/chat/completions", messages=messages).json["choices"][0]["message"]["content"]
        self.ask(d, stream=True)
        self.ask(d, path="/v1/chat/completions", messages=messages, stream=True)
        text, streamed = [json.loads(r["response"]) for r in self.records(d)[0]["records"][2:]]
        self.assertEqual((text["object"], text["choices"][0]["text"]), ("text_completion", whole))
        self.assertEqual((streamed["object"], streamed["choices"][0]["message"]),
                         ("chat.completion", {"role": "assistant", "content": chat}))
        self.assertEqual(streamed["choices"][0]["finish_reason"], "length")

    def test_a_long_stream_is_not_shown_as_whole(self):
        d = self.start()
        self.ask(d, path="/v1/chat/completions", messages=[{"role": "user", "content": "Hi"}], stream=True, max_tokens=600)
        record, = self.records(d)[0]["records"]
        choice, = json.loads(record["response"])["choices"]
        self.assertRegex(choice["message"]["content"], r"...\.\.\.\[truncated \d+ bytes\]$")
        self.assertIsNone(choice["finish_reason"])

    def test_errors(self):
        d = self.start()
        message = self.ask(d, temperature="hot").json["error"]["message"]
        record, = self.records(d)[0]["records"]
        self.assertEqual(record["status_code"], 400)
        self.assertEqual(json.loads(record["error"])["error"]["message"], message)
        self.assertNotIn("response", record)

    def test_the_last_ten_of_a_model(self):
        d = self.start()
        d.load("ai/other", weights=self.weights + b"\0")
        for i in range(13):
            self.ask(d, prompt=f"number {i}", max_tokens=1)
        self.ask(d, model="ai/other", max_tokens=1)
        groups = {g["model"]: g for g in self.records(d)}
        self.assertEqual(len(groups), 2)
        self.assertEqual([json.loads(r["request"])["prompt"] for r in groups[self.id]["records"]],
                         [f"number {i}" for i in range(3, 13)])
        self.assertEqual(len(self.records(d, "?model=ai/other")), 1)
        self.assertEqual(self.records(d, "?model=absent"), [])

    def test_media_is_cut(self):
        d = self.start()
        picture = "data:image/png;base64," + "A" * 200000
        self.ask(d, path="/v1/chat/completions", messages=[
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": picture}}]}])
        record, = self.records(d)[0]["records"]
        url = json.loads(record["request"])["messages"][0]["content"][0]["image_url"]["url"]
        self.assertEqual(url, picture[:100] + f"...[truncated {len(picture) - 100} chars]")

    def test_bounded_in_bytes(self):
        d = self.start("--requests-memory", "1")
        names = [f"ai/m{i}" for i in range(4)]
        for i, name in enumerate(names):
            d.load(name, weights=self.weights + b"\0" * (i + 1))
        for name in names:
            for _ in range(10):
                self.ask(d, model=name, prompt="x " * 30000)
        text = d.get("/engines/requests").body
        self.assertLess(len(text), 2 << 20)
        self.assertEqual(self.records(d)[-1]["records"][-1]["model"], names[-1])

    def test_off_and_redacted(self):
        d = self.start("--requests", "off")
        self.ask(d)
        self.assertEqual(self.records(d), [])
        d = self.start(env={"MODEL_RUNNER_REQUESTS": "redacted"})
        self.ask(d, prompt="a secret")
        record, = self.records(d)[0]["records"]
        self.assertEqual((record["request"], record["status_code"]), ("", 200))
        self.assertNotIn("response", record)
        done = subprocess.run([RUNNER, "serve", "--requests", "x"], stderr=subprocess.PIPE, text=True, check=False,
                              timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--requests must be on, redacted or off, not 'x'", done.stderr)

    def test_the_stream(self):
        d = self.start()
        self.ask(d, prompt="first", max_tokens=1)
        c = d.connect()
        c.request("GET", "/engines/requests?include_existing=true", headers={"Accept": "text/event-stream"})
        r = c.getresponse()
        self.addCleanup(c.close)
        self.addCleanup(r.close)

        def event():
            lines = []
            while line := r.readline().decode().rstrip("\n"):
                lines.append(line)
            return lines[0].removeprefix("event: "), json.loads(lines[1].removeprefix("data: "))
        kind, (group,) = event()
        self.assertEqual((kind, group["model"], json.loads(group["records"][0]["request"])["prompt"]),
                         ("existing_request", "tiny", "first"))
        self.assertEqual(event(), ("connected", {"status": "connected"}))
        self.ask(d, prompt="second", max_tokens=1)
        kind, (group,) = event()
        self.assertEqual((kind, json.loads(group["records"][0]["request"])["prompt"]), ("new_request", "second"))

    def test_the_command(self):
        d = self.start()
        self.ask(d, prompt="first", max_tokens=1)
        env = dict(d.env, MODEL_RUNNER_HOST="unix://" + d.sock)
        out = subprocess.run([CLI, "requests", "--model", "tiny"], env=env, stdout=subprocess.PIPE, check=True,
                             timeout=60).stdout
        self.assertEqual(json.loads(out), self.records(d))
        p = subprocess.Popen([CLI, "requests", "-f", "--include-existing"], env=env, stdout=subprocess.PIPE)
        self.addCleanup(p.stdout.close)
        self.addCleanup(p.wait)
        self.addCleanup(p.kill)
        self.assertIn(b"Connected", p.stdout.readline())
        self.assertIn("first", json.loads(p.stdout.readline())[0]["records"][0]["request"])

    def test_only_for_those_who_manage(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        file = os.path.join(place.name, "tokens.json")
        tokens = {}
        for name, options in [("use", ["--inference"]), ("all", [])]:
            done = subprocess.run([RUNNER, "token", "create", "--tokens", file, name, *options], stdout=subprocess.PIPE,
                                  text=True, check=True, timeout=60)
            tokens[name] = done.stdout.split()[-1]
        d = self.start("--require-token", "--tokens", file, tcp=True)
        for path in "/engines/requests", "/metrics":
            for name, status in [(None, 401), ("use", 403), ("all", 200)]:
                c = http.client.HTTPConnection("127.0.0.1", d.port, timeout=60)
                c.request("GET", path, headers={"Authorization": "Bearer " + tokens[name]} if name else {})
                self.assertEqual(c.getresponse().status, status, (path, name))
                c.close()

    def test_many_at_once(self):
        d = self.start()
        threads = [threading.Thread(target=lambda: [self.ask(d, max_tokens=1, stream=True) for _ in range(5)])
                   for _ in range(8)]
        for t in threads:
            t.start()
        while any(t.is_alive() for t in threads):
            self.records(d)
            d.get("/metrics")
        for t in threads:
            t.join()
        self.assertEqual(len(self.records(d)[0]["records"]), 10)


if __name__ == "__main__":
    unittest.main()
