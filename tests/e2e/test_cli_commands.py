#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docker-model's commands against a stand-in for the runner (see cli_support.py for why)."""
import json
import os
import re
import signal
import socket
import stat
import subprocess
import threading
import time

from cli_support import (CLI, ID_A, ID_B, Answer, CliTest, main, model, sse)


class Finding(CliTest):
    def test_nothing_is_running(self):
        err = self.fails("list")
        self.assertIn("Failed to list models: error querying /models: ", err)
        self.assertIn("localhost:12434", err)
        self.assertIn("start-runner", err)
        self.assertIn("MODEL_RUNNER_HOST", err)
        self.assertNotIn("\033", err)  # not a terminal

    def test_status_without_a_runner(self):
        done = self.cli("status")
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stdout.startswith("Docker Model Runner is not running\n"), done.stdout)
        self.assertIn("start-runner", done.stdout)
        done = self.cli("status", "--json")
        self.assertEqual((done.returncode, done.stderr), (1, ""))
        self.assertEqual(json.loads(done.stdout)["running"], False)

    def test_503_is_not_running(self):
        self.fake({"GET /models": Answer(503, "starting\n", "text/plain")})
        err = self.fails("list")
        self.assertTrue(err.startswith("Docker Model Runner is not running. Please start it and try again.\n\n"), err)
        self.assertIn("What's next:", err)
        self.assertEqual(self.cli("status").returncode, 1)

    def test_default_socket_is_used_when_it_is_alive(self):
        path = os.path.join(self.home, "run", "model-runner", "model-runner.sock")
        os.makedirs(os.path.dirname(path))
        self.fake({"GET /models": Answer(body=[model(ID_A, ["docker.io/ai/here:latest"])])}, unix_path=path)
        del self.env["MODEL_RUNNER_HOST"]
        self.assertIn("here", self.ok("list"))
        status = json.loads(self.ok("status", "--json"))
        self.assertEqual(status["kind"], "Docker Engine")
        self.assertEqual(status["endpointHost"], f"unix://{path}")

    def test_dead_default_socket_is_passed_over(self):
        path = os.path.join(self.home, "run", "model-runner", "model-runner.sock")
        os.makedirs(os.path.dirname(path))
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(path)
        dead.close()
        self.assertIn("localhost:12434", self.fails("list"))

    def test_explicit_socket_and_base_path(self):
        path = os.path.join(self.home, "s.sock")
        self.fake(unix_path=path)
        self.assertIn("MODEL NAME", self.ok("list"))
        runner = self.fake({"GET /base/path/models": Answer(body=b"[]")})
        self.ok("list", MODEL_RUNNER_HOST=runner.url + "/base/path/")
        self.assertEqual(runner.paths(), ["GET /base/path/models"])
        self.assertIn("ftp://h", self.fails("list", MODEL_RUNNER_HOST="ftp://h"))

    def test_named_context(self):
        runner = self.fake()
        url = self.env.pop("MODEL_RUNNER_HOST")
        self.assertEqual(self.ok("context", "create", "lab", "--host", url, "--description", "the lab"),
                         'Context "lab" created.\n')
        self.assertEqual(self.ok("context", "use", "lab"), 'Current context is now "lab".\n')
        self.ok("list")
        self.assertEqual(runner.paths(), ["GET /models"])

    def test_headers(self):
        runner = self.fake({"POST /engines/unload": Answer(body={"unloaded_runners": 2})})
        self.ok("unload", "--all", USER_AGENT="compose/2.40")
        headers = runner.requests[0]["headers"]
        self.assertRegex(headers["User-Agent"], r"^docker-model-cli/v\d+\.\d+\.\d+ compose/2\.40$")
        self.assertEqual(headers["Content-Type"], "application/json")
        self.assertNotIn("Authorization", headers)


class Listing(CliTest):
    def setUp(self):
        super().setUp()
        self.models = [model(ID_A, ["docker.io/ai/smollm2:latest", "docker.io/ai/smollm2:135M"], int(time.time()) - 7300),
                       model(ID_B, None, size="<b>&\u009b\x1b[2J"), model("sha256:" + "c3" * 32, ["docker.io/o/z:v1"])]
        self.runner = self.fake({"GET /models": Answer(body=self.models),
                                 "GET /engines/v1/models": Answer(body={"object": "list", "data": [
                                     {"id": "b", "created": 0}, {"id": "a", "created": int(time.time()) - 90}]})})
        self.runner.routes["GET /models_elsewhere"] = Answer()

    def test_table(self):
        lines = self.ok("ls").split("\n")
        self.assertEqual(lines[0].split("  ")[0], "MODEL NAME")
        self.assertEqual([l.split()[0] for l in lines[1:-1]], ["<none>", "o/z:v1", "smollm2", "smollm2:135M"])
        self.assertEqual(len({len(l) for l in lines[2:-1]}), 1)
        self.assertTrue(all(l.endswith("  ") for l in lines[:-1]))
        self.assertRegex(lines[3], r"^smollm2 +134\.52M +Q4_0 +llama +a1a1a1a1a1a1 +2 hours ago +8192 +85\.77MiB +$")
        self.assertNotIn("\x1b", lines[1])

    def test_json_is_the_servers_and_nothing_else(self):
        done = self.cli("ls", "--json")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(json.loads(done.stdout), self.models)
        self.assertTrue(done.stdout.startswith('[\n    {\n        "id": "sha256:'))
        self.assertIn('"<b>&\\u009b\\u001B[2J"', done.stdout)

    def test_filters(self):
        self.assertEqual(len(json.loads(self.ok("ls", "--json", "smollm2"))), 1)
        self.assertEqual(self.ok("ls", "--json", "nothing"), "null\n")
        self.assertEqual(len(self.ok("ls", "smollm2:135M").splitlines()), 2)
        self.assertEqual(self.ok("ls", "-q"), "a1a1a1a1a1a1\nb2b2b2b2b2b2\nc3c3c3c3c3c3\n")
        self.runner.routes["GET /models"] = Answer(body=b"[]")
        self.assertEqual(self.ok("ls", "--json"), "[]\n")
        self.assertEqual(self.ok("ls", "--json", "x"), "[]\n")
        self.assertEqual(len(self.ok("ls").splitlines()), 1)

    def test_openai(self):
        self.assertEqual(json.loads(self.ok("ls", "--openai"))["object"], "list")
        out = self.ok("ls", "--openaiurl", self.runner.url + "/engines/v1")
        self.assertEqual([l.split()[0] for l in out.splitlines()[1:]], ["a", "b"])
        self.assertIn("--quiet flag cannot be used with --openai flag", self.fails("ls", "-q", "--openai"))
        self.assertIn("--quiet flag cannot be used with --openaiurl flag", self.fails("ls", "-q", "--openaiurl", "http://h"))

    def test_server_errors(self):
        self.runner.routes["GET /models"] = Answer(500, "the store is damaged\n", "text/plain")
        self.assertEqual(self.fails("ls"), "Failed to list models: failed to list models: "
                         "500 Internal Server Error: the store is damaged\n")
        self.runner.routes["GET /models"] = Answer(200, "<html>", "text/html")
        self.assertIn("the runner's answer to /models", self.fails("ls"))
        self.runner.routes["GET /models"] = Answer(200, b"[{", cut=True)
        self.assertIn("error querying /models", self.fails("ls"))

    def test_inspect_and_show(self):
        self.runner.routes["GET /models/ai/smollm2:135M"] = Answer(body=self.models[0])
        self.runner.routes["GET /models/odd%20name"] = Answer(body={"id": "x", "config": None})
        self.assertEqual(json.loads(self.ok("inspect", "ai/smollm2:135M")), self.models[0])
        self.assertEqual(json.loads(self.ok("inspect", "odd name")), {"id": "x", "config": None})
        show = self.ok("show", "ai/smollm2:135M")
        self.assertTrue(show.startswith(f"Model:       {ID_A}\nTags:        docker.io/ai/smollm2:latest, "))
        self.assertIn("\n\nFormat:       gguf\nArchitecture: llama\nParameters:   134.52M\nSize:         85.77MiB\n"
                      "Quantization: Q4_0\n\nGGUF Metadata:\n  general.architecture: llama\n", show)
        self.assertRegex(show, r"Created:     \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\n")
        self.assertEqual(self.ok("show", "odd name"), "Model:       x\n")
        self.assertEqual(self.fails("inspect", "none"), "Failed to get model none: none: model not found\n")
        self.runner.routes["GET /models/bad"] = Answer(500, b"")
        self.assertEqual(self.fails("inspect", "bad"),
                         "Failed to get model bad: failed to list models: 500 Internal Server Error\n")
        self.assertIn("--remote flag cannot be used with --openai flag", self.fails("inspect", "-r", "--openai", "x"))
        self.runner.routes["GET /models/far?remote=true"] = Answer(body={"id": "far"})
        self.assertIn('"far"', self.ok("inspect", "--remote", "far"))


class Changing(CliTest):
    def test_rm(self):
        runner = self.fake({
            "DELETE /models/a?force=false": Answer(body=[{"Untagged": "docker.io/ai/a:latest"}, {"Deleted": ID_A}]),
            "DELETE /models/b?force=false": Answer(409, "unable to delete \"b\" (must be forced) due to multiple tag "
                                                   "references: resource conflict\n", "text/plain"),
            "DELETE /models/b?force=true": Answer(body=[{"Deleted": ID_B}])})
        self.assertEqual(self.ok("rm", "a"), f"Untagged: docker.io/ai/a:latest\nDeleted: {ID_A}\n")
        done = self.cli("rm", "a", "none", "b")
        self.assertEqual(done.returncode, 1)
        self.assertIn("Untagged", done.stdout)  # what was done before is told
        self.assertEqual(done.stderr, "Failed to remove model: no such model: none\n")
        self.assertNotIn("DELETE /models/b?force=false", runner.paths())  # stopped at the first failure
        self.assertTrue(self.fails("rm", "b").startswith(
            "Failed to remove model: removing b failed with status 409 Conflict: unable to delete"))
        self.assertEqual(self.ok("rm", "-f", "b"), f"Deleted: {ID_B}\n")

    def test_ps_df_unload(self):
        runner = self.fake({
            "GET /engines/ps": Answer(body=[
                {"backend_name": "llama.cpp", "model_name": "ai/SmolLM2", "mode": "completion", "loading": True,
                 "last_used": "0001-01-01T00:00:00Z"},
                {"backend_name": "llama.cpp", "model_name": ID_B, "mode": "embedding", "keep_alive": "-1",
                 "last_used": "2026-01-01T00:00:00Z"}]),
            "GET /engines/df": Answer(body={"models_disk_usage": 256350000, "default_backend_disk_usage": 12}),
            "POST /engines/unload": Answer(body={"unloaded_runners": 1})})
        self.assertEqual(self.ok("ps"), "MODEL NAME    BACKEND    MODE        UNTIL       \n"
                                        "smollm2       llama.cpp  completion  Loading...  \n"
                                        "b2b2b2b2b2b2  llama.cpp  embedding   Forever     \n")
        self.assertEqual(self.ok("df"), "TYPE              SIZE      \nModels            256.35MB  \n"
                                        "Inference engine  12.00B    \n")
        self.assertEqual(self.ok("unload", "a", "b", "--backend", "vllm"), "Unloaded 1 model(s).\n")
        self.assertEqual(runner.last_json("/engines/unload"), {"all": False, "backend": "vllm", "models": ["a", "b"]})
        runner.routes["POST /engines/unload"] = Answer(body={"unloaded_runners": 0})
        self.assertEqual(self.ok("stop", "--all"), "No models are running.\n")
        self.assertEqual(self.ok("stop", "x"), "No such model(s) running.\n")
        self.assertTrue(self.fails("unload").startswith(
            "'docker model unload' requires MODEL unless --all is specified.\n\nUsage:  docker model unload "))
        self.assertIn("does not take MODEL when --all", self.fails("unload", "--all", "x"))

    def test_status_and_version(self):
        runner = self.fake({"GET /engines/status": Answer(body={
            "vllm": "Not Installed: no binary: here", "zz": "Odd", "llama.cpp": "Running: native 1.0", "mlx": "Error: x"})})
        self.assertEqual(self.ok("status"), "Docker Model Runner is running\n\n"
                         "BACKEND    STATUS         DETAILS          \n"
                         "llama.cpp  Running        native 1.0       \n"
                         "mlx        Error          x                \n"
                         "vllm       Not Installed  no binary: here  \n"
                         "zz         Odd                             \n")
        out = self.ok("status", "--json")
        self.assertEqual(out.count("\n"), 1)
        status = json.loads(out)
        self.assertEqual(status["endpoint"], runner.url + "/v1/")
        self.assertEqual(status["kind"], "Docker Engine (Manual Install)")
        out = self.ok("version")
        self.assertRegex(out, r"^Client:\n Version:    v\d+\.\d+\.\d+\n OS/Arch:    linux/\w+\n\nServer:\n"
                              r" Version:    v9\.8\.7\n Engine:     Docker Engine \(Manual Install\)\n$")
        self.assertIn("(not reachable)", self.ok("version", MODEL_RUNNER_HOST="http://127.0.0.1:1"))

    def test_tag(self):
        runner = self.fake({"POST /models/a/tag*": Answer(201, {"message": "ok"})})
        self.assertEqual(self.ok("tag", "a", "MyOrg/B:V1"), 'Model "a" tagged successfully with "MyOrg/B:V1"\n')
        self.assertEqual(runner.paths(), ["POST /models/a/tag?repo=docker.io/myorg/b&tag=V1"])
        self.assertIn("tagging failed with status 404 Not Found: not found", self.fails("tag", "x", "b"))
        self.assertIn("invalid tag: ", self.fails("tag", "a", "a:b:c"))

    def test_purge(self):
        runner = self.fake({"POST /engines/unload": Answer(body={"unloaded_runners": 0}),
                            "DELETE /models/purge": Answer(body=b"")})
        out = self.ok("purge", input="n\n")
        self.assertTrue(out.startswith("WARNING! This will remove the entire models directory.\nAre you sure"))
        self.assertTrue(out.endswith("Operation cancelled.\n"))
        self.assertEqual(runner.paths(), [])
        self.assertEqual(self.fails("purge", input=""), "EOF: nobody answers; use --force\n")
        self.ok("purge", input="y\n")
        self.assertEqual(runner.paths(), ["POST /engines/unload", "DELETE /models/purge"])
        self.assertEqual(self.ok("purge", "--force"), "")

    def test_configure(self):
        runner = self.fake({"POST /engines/_configure": Answer(202, b""),
                            "GET /engines/_configure*": Answer(body=[{"Backend": "llama.cpp", "Model": "m"}])})
        self.assertEqual(self.ok("configure", "--context-size", "4096", "--think=false", "--keep-alive", "1h", "--mode",
                                 "Embedding", "--speculative-draft-model", "d", "m", "--", "--temp", "0.2"), "")
        self.assertEqual(runner.last_json("/engines/_configure"), {
            "model": "m", "context-size": 4096, "runtime-flags": ["--temp", "0.2"], "keep_alive": "1h", "mode": "embedding",
            "speculative": {"draft_model": "d"}, "llamacpp": {"reasoning-budget": 0}})
        self.ok("config", "--hf_overrides", '{"a":1}', "--gpu-memory-utilization", "0.5", "m")
        self.assertEqual(runner.last_json("/engines/_configure"), {
            "model": "m", "vllm": {"hf-overrides": {"a": 1}, "gpu-memory-utilization": 0.5}})
        for args, text in [((), "Exactly one model must be specified, got 0"),
                           (("a", "b"), "Exactly one model must be specified, got 2"),
                           (("a", "b", "--", "c"), "before --, got 2"),
                           (("--mode", "x", "m"), 'invalid mode "x": must be one of'),
                           (("--gpu-memory-utilization", "1.5", "m"), "must be between 0.0 and 1.0"),
                           (("--hf_overrides", "[", "m"), "invalid --hf_overrides JSON"),
                           (("--context-size", "x", "m"), 'invalid argument "x" for "--context-size" flag')]:
            self.assertIn(text, self.fails("configure", *args))
        for backend, sent in [("llama.cpp", "llama.cpp"), ("auto", None)]:
            self.ok("configure", "--backend", backend, "m")
            self.assertEqual(runner.last_json("/engines/_configure"), {"model": "m", "backend": sent})
        runner.routes["POST /engines/_configure"] = Answer(409, "runner already active\n", "text/plain")
        self.assertEqual(self.fails("configure", "m"), "runner already active\n")
        self.assertEqual(self.ok("configure", "show", "m"),
                         '[\n  {\n    "Backend": "llama.cpp",\n    "Model": "m"\n  }\n]\n')
        self.assertEqual(runner.paths()[-1], "GET /engines/_configure?model=m")

    def test_logs_and_requests(self):
        runner = self.fake({"GET /logs*": Answer(body=["[t] gr\u00fc".encode()[:-1], b"\xbc\xc3\x9f\n", b"end"],
                                                 content_type="text/plain", pause=0.05),
                            "GET /engines/requests*": Answer(body=b"[]\n")})
        self.assertEqual(self.ok("logs"), "[t] gr\u00fc\u00df\nend")
        self.ok("logs", "-f", "--no-engines")
        self.assertEqual(runner.paths(), ["GET /logs?follow=false&no-engines=false", "GET /logs?follow=true&no-engines=true"])
        self.assertEqual(self.ok("requests", "--model", "a b"), "[]\n")
        self.assertEqual(runner.paths()[-1], "GET /engines/requests?model=a%20b")
        self.assertIn("can only be used with --follow", self.fails("requests", "--include-existing"))
        runner.routes["GET /engines/requests*"] = Answer(
            body=[b"event: connected\ndata: {}\n\n", b"event: new_request\ndata: [1]\n\n"], content_type="text/event-stream")
        self.assertEqual(self.ok("requests", "-f"), "Connected to request stream. Press Ctrl+C to stop.\n[1]\n"
                                                   "Stream closed by server.\n")
        runner.routes["GET /logs*"] = Answer(404, "service log not found\n", "text/plain")
        self.assertEqual(self.fails("logs"), "Failed to get logs: service log not found\n")

    def test_output_that_nobody_reads(self):
        self.fake({"GET /logs*": Answer(body=[b"x" * 65536] * 64, content_type="text/plain", pause=0.01)})
        p = subprocess.Popen([CLI, "logs", "-f"], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        p.stdout.read(10)
        p.stdout.close()
        self.assertEqual(p.wait(60), 1)
        p.stderr.close()


class Transfers(CliTest):
    LAYER = {"type": "progress", "message": "Downloaded: 1.00 MB", "total": 3000000,
             "layer": {"id": "sha256:" + "ab" * 32, "size": 3000000, "current": 1500000}, "mode": "pull"}

    def stream(self, *lines):
        return Answer(body=[json.dumps(l).encode() + b"\n" if isinstance(l, dict) else l for l in lines],
                      content_type="text/plain")

    def test_pull(self):
        runner = self.fake({"POST /models/create": self.stream(
            self.LAYER, {"type": "warning", "message": "slow\x1b[2J"}, {"type": "success", "message": "Model pulled successfully"})})
        done = self.cli("pull", "smollm2")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "Downloaded 1.50MB of 3.00MB\nModel pulled successfully\n")
        self.assertEqual(done.stderr, "Warning: slow\\x1b[2J\n")
        self.assertEqual(runner.last_json("/models/create"), {"from": "smollm2"})
        self.ok("pull", "HF.co/a/b", HF_TOKEN="secret")
        self.assertEqual(runner.last_json("/models/create"), {"from": "HF.co/a/b", "bearer-token": "secret"})
        self.ok("pull", "smollm2", HF_TOKEN="secret")
        self.assertEqual(runner.last_json("/models/create"), {"from": "smollm2"})

    def test_escaped_lines(self):
        self.fake({"POST /models/create": Answer(
            body=b"{&#34;type&#34;:&#34;success&#34;,&#34;message&#34;:&#34;Using cached model: 1 MiB&#34;}\n",
            content_type="text/plain")})
        self.assertEqual(self.ok("pull", "x"), "Using cached model: 1 MiB\n")

    def test_push(self):
        runner = self.fake({"POST /models/o/m:v1/push": self.stream({"type": "success", "message": "Model pushed successfully"})})
        self.assertEqual(self.ok("push", "o/m:v1"), "Model pushed successfully\n")
        self.assertEqual(runner.last_json("/models/o/m:v1/push"), {})

    def test_failures(self):
        runner = self.fake({"POST /models/create": Answer(404, "Model not found\n", "text/plain")})
        self.assertEqual(self.fails("pull", "x"),
                         "Failed to pull model: pulling x failed with status 404 Not Found: Model not found\n")
        runner.routes["POST /models/create"] = self.stream(self.LAYER, {"type": "error", "message": "Error: disk full"}, b"disk full\n")
        self.assertEqual(self.fails("pull", "x"), "Failed to pull model: Error: disk full\n")
        runner.routes["POST /models/create"] = Answer(body=b"<html>proxy</html>")
        self.assertIn("unexpected response from server (not valid progress data): <html>proxy", self.fails("pull", "x"))
        self.assertEqual(len(runner.requests), 3)  # none of these was tried again
        self.fails("pull", "x", MODEL_RUNNER_HOST="http://127.0.0.1:1", timeout=20)  # nobody there: no waiting either

    def test_retry(self):
        answers = [Answer(502, "bad gateway", "text/plain"),
                   self.stream({"type": "success", "message": "Model pulled successfully"})]
        runner = self.fake({"POST /models/create": lambda request: answers.pop(0)})
        done = self.cli("pull", "x")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "Retrying download (attempt 1/4) in 1s...\n")
        self.assertEqual(done.stdout, "\nModel pulled successfully\n")
        self.assertEqual(len(runner.requests), 2)


class Running(CliTest):
    def chat(self, *args, **kw):
        return self.fake({"GET /models/m": Answer(body=model(ID_A, ["docker.io/ai/m:latest"])),
                          "POST /engines/v1/chat/completions": Answer(*args, content_type="text/event-stream", **kw)})

    def test_one_shot(self):
        runner = self.chat(200, sse("Hel", "lo"))
        self.assertEqual(self.ok("run", "m", "two", "words"), "Hello\n")
        self.assertEqual(runner.last_json("/engines/v1/chat/completions"), {
            "model": "m", "messages": [{"role": "user", "content": "two words"}], "stream": True})

    def test_piped_prompt(self):
        runner = self.chat(200, sse("ok"))
        self.ok("run", "m", "sum up:", input="line 1\nline 2\n")
        self.assertEqual(runner.last_json("/engines/v1/chat/completions")["messages"][0]["content"],
                         "sum up:\n\nline 1\nline 2\n")
        self.ok("run", "m", input="only this")
        self.assertEqual(runner.last_json("/engines/v1/chat/completions")["messages"][0]["content"], "only this")
        self.assertIn("there is no prompt", self.fails("run", "m", input=""))
        self.assertIn("a chat needs a terminal", self.fails("run", "m"))  # /dev/null is a character device

    def test_answers_come_as_they_are_made(self):
        seen = threading.Event()
        pieces = sse("first ", "second")
        self.chat(200, [pieces[0], lambda: seen.wait(60), *pieces[1:]])
        p = subprocess.Popen([CLI, "run", "m", "x"], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.addCleanup(p.stdout.close)
        self.assertEqual(os.read(p.stdout.fileno(), 100), b"first ")
        seen.set()
        self.assertEqual(p.stdout.read(), b"second\n")
        self.assertEqual(p.wait(30), 0)

    def test_reasoning_usage_and_debug(self):
        runner = self.chat(200, sse({"choices": [{"delta": {"reasoning_content": "hm"}}]}, "yes", {
            "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
            "timings": {"prompt_per_second": 10, "predicted_per_second": 33.3}}))
        self.assertEqual(self.ok("run", "m", "x"), "Thinking:\nhm\n\n--\n\nyes\n\n"
                                                  "Token usage: 1 prompt + 2 completion = 3 total\n")
        done = self.cli("run", "--debug", "m", "x")
        self.assertIn("Running model m with prompt x\n", done.stderr)
        self.assertRegex(done.stderr, r"first token after \d+ ms, 2 tokens at 33\.3 tokens/s; prompt: 1 tokens at 10\.0")
        self.assertEqual(runner.last_json("/engines/v1/chat/completions")["stream_options"], {"include_usage": True})

    def test_color(self):
        self.chat(200, sse("```\nx\n```\n"))
        self.assertNotIn("\033", self.ok("run", "m", "x"))
        self.assertNotIn("\033", self.ok("run", "--color", "auto", "m", "x"))
        self.assertIn("\033[36mx", self.ok("run", "--color", "yes", "m", "x"))
        self.assertEqual(self.fails("run", "--color", "blue", "m", "x"),
                         '--color must be one of: auto, yes, no (got "blue")\n')

    def test_failures(self):
        runner = self.chat(500, [b"unable to load runner: too big\n"])
        self.assertEqual(self.fails("run", "m", "x"), "Failed to generate a response: error response: status=500 "
                                                     "body=unable to load runner: too big\n")
        done = {"choices": [{"delta": {"content": "par"}}]}, {"error": {"message": "the engine died\x1b[2J"}}
        runner.routes["POST /engines/v1/chat/completions"] = Answer(body=sse(*done, done=False), content_type="text/event-stream")
        result = self.cli("run", "m", "x")
        self.assertEqual((result.returncode, result.stdout), (1, "par\n"))
        self.assertEqual(result.stderr, "Failed to generate a response: the engine died\\x1b[2J\n")
        runner.routes["POST /engines/v1/chat/completions"] = Answer(body=sse("par", done=False),
                                                                     content_type="text/event-stream", cut=True)
        self.assertEqual(self.cli("run", "m", "x").returncode, 1)
        runner.routes["GET /models/m"] = Answer(500, b"")
        self.assertEqual(self.fails("run", "m", "x"),
                         "Failed to inspect model: failed to list models: 500 Internal Server Error\n")

    def test_missing_model_is_pulled(self):
        runner = self.chat(200, sse("ok"))
        runner.routes["POST /models/create"] = Answer(body={"type": "success", "message": "Model pulled successfully"})
        done = self.cli("run", "new", "x")
        self.assertEqual((done.returncode, done.stdout), (0, "ok\n"))
        self.assertTrue(done.stderr.startswith("Unable to find model 'new' locally. Pulling from the server.\n"))
        del runner.routes["POST /models/create"]
        self.assertIn("Failed to pull model: pulling new failed with status 404", self.fails("run", "new", "x"))

    def test_detach(self):
        runner = self.chat(200, [b""])
        self.assertEqual(self.ok("run", "-d", "m", input="not read"), "")
        self.assertEqual(runner.last_json("/engines/v1/chat/completions"), {"model": "m", "messages": [], "stream": False})
        self.assertEqual(runner.requests[-1]["headers"]["X-Preload-Only"], "true")
        self.assertIn("--detach flag cannot be used with --openaiurl flag", self.fails("run", "-d", "--openaiurl", "http://h", "m"))
        runner.routes["POST /engines/v1/chat/completions"] = Answer(500, "no room", "text/plain")
        self.assertEqual(self.fails("run", "-d", "m"), "Failed to load model: preload failed: status=500 body=no room\n")

    def test_other_server(self):
        runner = self.fake({"POST /v1/chat/completions": Answer(body={
            "choices": [{"message": {"content": "whole"}, "finish_reason": "stop"}]})})
        url = self.env.pop("MODEL_RUNNER_HOST")
        self.assertEqual(self.ok("run", "--openaiurl", url + "/v1", "any", "x"), "whole\n")
        self.assertEqual(runner.paths(), ["POST /v1/chat/completions"])
        err = self.fails("run", "--openaiurl", "http://127.0.0.1:1/v1", "any", "x")
        self.assertNotIn("start-runner", err)  # not the runner's fault

    def test_ctrl_c_closes_the_connection(self):
        runner = self.chat(200, sse(*["x"] * 200), pause=0.05)
        p = subprocess.Popen([CLI, "run", "m", "x"], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        self.addCleanup(p.stdout.close)
        os.read(p.stdout.fileno(), 1)
        p.send_signal(signal.SIGINT)
        self.assertEqual(p.wait(30), -signal.SIGINT)
        self.assertTrue(runner.gone.wait(30))

    def test_files_in_the_prompt(self):
        runner = self.chat(200, sse("ok"))
        with open(os.path.join(self.home, "n.txt"), "w") as f:
            f.write("the notes")
        with open(os.path.join(self.home, "c.png"), "wb") as f:
            f.write(b"\x89PNG\r\n\x1a\n")
        self.ok("run", "m", "see @n.txt and ./c.png")
        content = runner.last_json("/engines/v1/chat/completions")["messages"][0]["content"]
        self.assertEqual(content[0]["image_url"]["url"], "data:image/png;base64,iVBORw0KGgo=")
        self.assertEqual(content[1], {"type": "text", "text": "see the notes and"})


class Contexts(CliTest):
    def test_life_of_a_context(self):
        self.ok("context", "create", "b", "--host", "https://h:1", "--tls", "--tls-skip-verify")
        self.ok("context", "create", "a.1", "--host", "http://h:2", "--description", "second")
        path = os.path.join(self.home, ".docker", "model", "contexts.json")
        self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o600)
        with open(path) as f:
            text = f.read()
        doc = json.loads(text)
        self.assertTrue(text.startswith('{\n    "version": 1,') and text.endswith("}\n"))
        self.assertNotIn("current", doc)
        self.assertEqual(doc["contexts"]["b"]["tls"], {"enabled": True, "skipVerify": True})
        self.assertEqual(doc["contexts"]["a.1"]["tls"], {"enabled": False})
        self.assertRegex(doc["contexts"]["b"]["createdAt"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.ok("context", "use", "b")
        lines = self.ok("context", "ls").splitlines()
        self.assertEqual([l.split()[0] for l in lines], ["NAME", "default", "a.1", "b"])
        self.assertEqual([l.split()[-1] == "*" for l in lines], [False, False, False, True])
        self.assertEqual([c["name"] for c in json.loads(self.ok("context", "inspect", "default", "b"))], ["default", "b"])
        done = self.cli("context", "rm", "b", "nope", "a.1", "default")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, 'Context "a.1" removed.\n')
        self.assertEqual(done.stderr, 'Error: b: context "b" is currently active; switch to another context first\n'
                                      'Error: nope: context "nope" not found\n'
                                      'Error: default: context name "default" is reserved and cannot be removed\n'
                                      "one or more contexts could not be removed\n")
        self.ok("context", "use", "default")
        self.ok("context", "remove", "b")

    def test_refusals(self):
        for args, text in [(("x",), "--host is required"),
                           (("x", "--host", "h:1"), "invalid --host URL: must include scheme and host, e.g. http://192"),
                           (("x", "--host", "ftp://h"), 'invalid --host URL: unsupported scheme "ftp" (must be http or https)'),
                           (("default", "--host", "http://h"), 'context name "default" is reserved'),
                           (("-x", "--host", "http://h"), "unknown shorthand flag"),
                           (("a/b", "--host", "http://h"), 'invalid context name "a/b": must match'),
                           (("x", "--host", "http://h", "--tls-ca-cert", "/no"), '--tls-ca-cert: cannot read "/no"')]:
            self.assertIn(text, self.fails("context", "create", *args))
        self.ok("context", "create", "x", "--host", "http://h")
        self.assertEqual(self.fails("context", "create", "x", "--host", "http://h"), 'context "x" already exists\n')
        self.assertEqual(self.fails("context", "use", "y"), 'context "y" not found\n')
        self.assertIn('Warning: MODEL_RUNNER_HOST="http://h" overrides the active context.',
                      self.cli("context", "ls", MODEL_RUNNER_HOST="http://h").stderr)

    def test_writers_do_not_lose_each_other(self):
        names = [f"c{i}" for i in range(8)]
        threads = [threading.Thread(target=self.cli, args=("context", "create", n, "--host", "http://h")) for n in names]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        path = os.path.join(self.home, ".docker", "model", "contexts.json")
        with open(path) as f:
            self.assertEqual(sorted(json.load(f)["contexts"]), names)

    def test_damaged_store(self):
        os.makedirs(os.path.join(self.home, ".docker", "model"))
        path = os.path.join(self.home, ".docker", "model", "contexts.json")
        with open(path, "w") as f:
            f.write("{oops")
        self.assertIn("contexts.json", self.fails("context", "ls"))
        self.fake()
        del self.env["MODEL_RUNNER_HOST"]
        self.assertIn("Warning: ", self.fails("list"))  # falls through to the default address


class Compose(CliTest):
    def test_metadata(self):
        out = self.ok("compose", "metadata")
        self.assertFalse(out.endswith("\n"))
        doc = json.loads(out)
        self.assertEqual([p["name"] for p in doc["up"]["parameters"]], [
            "backend", "context-size", "model", "runtime-flags", "speculative-draft-model",
            "speculative-min-acceptance-rate", "speculative-num-tokens"])
        self.assertIsNone(doc["down"]["parameters"])

    def events(self, *args):
        done = self.cli("compose", "--project-name=p", *args)
        return done.returncode, [(e["type"], e["message"]) for e in map(json.loads, done.stdout.splitlines())]

    def test_up(self):
        runner = self.fake({"GET /models": Answer(body=[model(ID_A, ["docker.io/ai/a:latest"])]),
                            "POST /models/create": Answer(body={"type": "success", "message": "Model pulled successfully"}),
                            "POST /engines/_configure": Answer(202, b"")})
        code, events = self.events("up", "--model=ai/a", "--model=b", "--context-size=4096", "--runtime-flags=--temp 0.1", "svc")
        self.assertEqual(code, 0)
        self.assertEqual(events, [
            ("info", "Initializing model runner..."), ("info", "Model pulled successfully"),
            ("info", "Setting context size to 4096"), ("info", "Setting raw runtime flags to --temp 0.1"),
            ("setenv", "MODEL=ai/a,b"), ("info", "Successfully configured backend for model ai/a"),
            ("info", "Successfully configured backend for model b"), ("setenv", f"URL={runner.url}/engines/v1/")])
        self.assertEqual(runner.last_json("/models/create"), {"from": "b"})  # the other one is there
        self.assertEqual(runner.last_json("/engines/_configure"),
                         {"model": "b", "context-size": 4096, "raw-runtime-flags": "--temp 0.1"})

    def test_up_fails(self):
        self.fake()
        self.assertEqual(self.events("up", "svc"), (1, [("error", "options.model is required")]))
        code, events = self.events("up", "--model=x", "svc")
        self.assertEqual((code, events[-1][0]), (1, "error"))
        self.assertEqual(self.events("down", "svc"), (0, []))


class CommandLine(CliTest):
    def test_metadata_and_forms(self):
        doc = json.loads(self.ok("docker-cli-plugin-metadata"))
        self.assertEqual((doc["SchemaVersion"], doc["Vendor"], doc["ShortDescription"]),
                         ("0.1.0", "Docker Inc.", "Docker Model Runner"))
        self.assertGreaterEqual(tuple(map(int, doc["Version"].lstrip("v").split("."))), (1, 0, 6))
        self.fake()
        for args in (["ls"], ["model", "ls"], ["--context", "default", "model", "ls"], ["-D", "model", "ls"]):
            self.assertIn("MODEL NAME", self.ok(*args))

    def test_help(self):
        top = self.ok("--help")
        self.assertEqual(top, self.ok())
        self.assertEqual(top, self.ok("help"))
        self.assertNotIn("compose", top)  # hidden
        names = re.findall(r"^  (\w+) ", top.split("Commands:")[1], re.M)
        for name in names + ["compose", "configure"]:
            text = self.ok(name, "--help")
            self.assertTrue(text.startswith(f"Usage:  docker model {name}"), text)
            self.assertEqual(text, self.ok("help", name))
            self.assertLessEqual(max(map(len, text.splitlines())), 80)
            if "COMMAND" not in text.splitlines()[0]:
                self.assertEqual(text, self.ok("model", name, "-h"))

    def test_wrong_use(self):
        for args, text in [(("ps", "x"), "'docker model ps' accepts no arguments\n\nUsage:  docker model ps\n"),
                           (("inspect",), "'docker model inspect' requires 1 argument(s).\n\nUsage:  docker model inspect MODEL\n"),
                           (("rm",), "'docker model rm' requires at least 1 argument(s).\n"),
                           (("list", "a", "b"), "accepts at most 1 arg(s), received 2"),
                           (("list", "--foo"), "unknown flag: --foo\n\nUsage:  docker model list [OPTIONS] [MODEL]\n\n"
                                               "Run 'docker model list --help' for more information\n"),
                           (("list", "-x"), "unknown shorthand flag: 'x' in -x"),
                           (("lst",), 'unknown command "lst" for "docker model"'),
                           (("context", "foo"), 'unknown command "foo"'),
                           (("run", "--color"), "flag needs an argument: --color")]:
            done = self.cli(*args)
            self.assertEqual((done.returncode, done.stdout), (1, ""), args)
            self.assertIn(text, done.stderr)

    def test_completion(self):
        self.fake({"GET /models": Answer(body=[model(ID_A, ["docker.io/ai/smollm2:latest"]), model(ID_B, None)])})
        self.assertEqual(self.ok("__complete", "model", "run", "smo"), "smollm2\n:4\n")
        self.assertIn("list\t", self.ok("__complete", "model", "li"))
        self.assertIn("--json\t", self.ok("__complete", "list", "--j"))
        self.assertEqual(self.ok("__complete", "ps", ""), ":4\n")
        self.assertEqual(self.ok("__complete", "run", "smo", MODEL_RUNNER_HOST="http://127.0.0.1:1"), ":4\n")
        for shell in ("bash", "zsh", "fish"):
            self.assertIn("__complete", self.ok("completion", shell))

    def test_full_disk_is_an_error(self):
        self.fake()
        with open("/dev/full", "w") as full:
            p = subprocess.run([CLI, "ls"], env=self.env, stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(p.returncode, 1)
        self.assertIn("standard output", p.stderr)

    def test_plugin_socket_ends_the_work(self):
        """docker names an abstract socket; when it closes that, the plugin must stop."""
        name = f"docker-model-test-{os.getpid()}"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind("\0" + name)
        listener.listen(1)
        self.addCleanup(listener.close)
        runner = self.fake({"GET /models": Answer(body=[b"["] + [b" "] * 200 + [b"]"], pause=0.05)})
        p = subprocess.Popen([CLI, "ls"], env=dict(self.env, DOCKER_CLI_PLUGIN_SOCKET="@" + name), stdout=subprocess.DEVNULL)
        conn, _ = listener.accept()
        time.sleep(0.3)
        self.assertIsNone(p.poll())
        conn.close()
        self.assertNotEqual(p.wait(30), 0)
        self.assertTrue(runner.gone.wait(30))


if __name__ == "__main__":
    main()
