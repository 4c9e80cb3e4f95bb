#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""llama.cpp's llama-server as an engine behind the daemon: chosen by name, by a model's settings, and
by itself for what model-engine does not know. With a stand-in, and with the real program where there
is one (see llama_server_stand_in.py)."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = os.environ.get("MR_ROOT") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "unit", "runner"))
from daemon_support import BUILD, Daemon  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
STAND_IN = os.path.join(HERE, "llama_server_stand_in.py")
ENGINE = os.path.join(BUILD, "model-engine")
MAKE_MODEL = os.path.join(BUILD, "tools", "make_tiny_model")
REAL = os.environ.get("MODEL_RUNNER_TEST_LLAMA_SERVER") or shutil.which("llama-server")
CHAT = "/engines/v1/chat/completions"


def tiny_model():
    path = os.path.join(BUILD, f"llamacpp-{os.getpid()}.gguf")
    try:
        subprocess.run([MAKE_MODEL, path], check=True, stdout=subprocess.DEVNULL)
        with open(path, "rb") as f:
            return f.read()
    finally:
        os.unlink(path)


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.weights = tiny_model()
        # The same file under the name of an architecture that nobody knows, as long as the other.
        cls.foreign = cls.weights.replace(b"llama", b"lambs")

    def start(self, *options, **env):
        d = Daemon(*options, engine=ENGINE, env=dict(env, MR_LLAMA_LOG="/dev/null"))
        self.addCleanup(d.close)
        d.load("ai/tiny", weights=self.weights)
        return d

    def chat(self, d, **members):
        body = {"model": "ai/tiny", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}
        return d.request("POST", CHAT, json.dumps(dict(body, **members)))

    def backends(self, d):
        return [(row["backend_name"], row["mode"]) for row in d.request("GET", "/engines/ps").json]


class WithStandIn(Case):
    def start(self, *options, **env):
        self.log = os.path.join(BUILD, f"llamacpp-{os.getpid()}.log")
        self.addCleanup(lambda: os.path.exists(self.log) and os.unlink(self.log))
        d = Daemon("--llama-server", STAND_IN, *options, engine=ENGINE, env=dict(env, MR_LLAMA_LOG=self.log))
        self.addCleanup(d.close)
        d.load("ai/tiny", weights=self.weights)
        return d

    def argv(self):
        """Of the last start, without the paths, which differ from run to run."""
        with open(self.log, encoding="utf-8") as f:
            args = json.loads(f.read().splitlines()[-1])
        for flag in "--model", "--host":
            self.assertTrue(args[args.index(flag) + 1].startswith("/"))
            args[args.index(flag) + 1] = "PATH"
        return " ".join(args)

    def test_native_is_the_default(self):
        d = self.start()
        self.assertEqual(self.chat(d).status, 200)
        self.assertEqual(self.backends(d), [("native", "completion")])
        self.assertFalse(os.path.exists(self.log))

    def test_chosen_for_all_models(self):
        d = self.start("--backend", "llama.cpp")
        r = self.chat(d)
        self.assertEqual((r.status, r.json["choices"][0]["message"]["content"]), (200, "llama.cpp here"))
        self.assertNotIn("access-control-allow-origin", {k.lower() for k in dict(r.headers)})
        self.assertEqual(self.argv(), "-ngl 999 --metrics --model PATH --host PATH --jinja")
        self.assertEqual(self.backends(d), [("llama.cpp", "completion")])

    def test_streams(self):
        d = self.start("--backend", "llama.cpp")
        r = self.chat(d, stream=True)
        events = [json.loads(line[6:]) for line in r.text.split("\n") if line.startswith("data: {")]
        self.assertEqual("".join(c["delta"].get("content", "") for e in events for c in e["choices"]),
                         "llama.cpp here")
        self.assertTrue(r.text.rstrip().endswith("data: [DONE]"))

    def test_other_dialects_reach_it(self):
        d = self.start("--backend", "llama.cpp")
        r = d.request("POST", "/anthropic/v1/messages", json.dumps(
            {"model": "ai/tiny", "max_tokens": 8, "messages": [{"role": "user", "content": "Hi"}]}))
        self.assertEqual(r.json["content"], [{"type": "text", "text": "llama.cpp here"}])
        r = d.request("POST", "/api/chat", json.dumps(
            {"model": "ai/tiny", "stream": False, "messages": [{"role": "user", "content": "Hi"}]}))
        self.assertEqual(r.json["message"]["content"], "llama.cpp here")

    def test_modes_have_processes_of_their_own(self):
        d = self.start("--backend", "llama.cpp", "--max-models", "3")
        self.assertEqual(self.chat(d).status, 200)
        r = d.request("POST", "/v1/embeddings", json.dumps({"model": "ai/tiny", "input": "Hi"}))
        self.assertEqual((r.status, r.json["data"][0]["embedding"]), (200, [0.6, 0.8]))
        self.assertEqual(self.argv(), "-ngl 999 --metrics --model PATH --host PATH --embeddings --jinja")
        r = d.request("POST", "/rerank", json.dumps({"model": "ai/tiny", "query": "a", "documents": ["b", "c"]}))
        self.assertEqual(len(r.json["results"]), 2)
        self.assertEqual(self.argv(),
                         "-ngl 999 --metrics --model PATH --host PATH --embeddings --reranking --jinja")
        self.assertEqual(sorted(self.backends(d)), [("llama.cpp", "completion"), ("llama.cpp", "embedding"),
                                                    ("llama.cpp", "reranking")])

    def test_chosen_for_one_model(self):
        d = self.start()
        self.assertEqual(self.chat(d).status, 200)
        r = d.request("POST", "/engines/_configure", json.dumps(
            {"model": "ai/tiny", "backend": "llama.cpp", "context-size": 512, "runtime-flags": ["--temp", "0.1"],
             "llamacpp": {"reasoning-budget": 0}}))
        self.assertEqual(r.status, 202)
        self.assertEqual(self.chat(d).json["choices"][0]["message"]["content"], "llama.cpp here")
        self.assertEqual(self.argv(), "-ngl 999 --metrics --model PATH --host PATH --reasoning-budget 0 "
                                      "--ctx-size 512 --temp 0.1 --jinja")
        r = d.request("POST", "/engines/_configure", json.dumps({"model": "ai/tiny", "backend": "native"}))
        self.assertEqual(r.status, 202)
        self.assertNotEqual(self.chat(d).json["choices"][0]["message"]["content"], "llama.cpp here")
        r = d.request("POST", "/engines/_configure", json.dumps({"model": "ai/tiny", "backend": "nobody"}))
        self.assertEqual(r.status, 400)
        self.assertIn('unknown backend: "nobody"', r.text)

    def test_takes_what_the_other_does_not_know(self):
        d = self.start()
        d.load("ai/foreign", weights=self.foreign)
        for _ in range(2):
            r = self.chat(d, model="ai/foreign")
            self.assertEqual((r.status, r.json["choices"][0]["message"]["content"]), (200, "llama.cpp here"))
        self.assertEqual(self.backends(d), [("llama.cpp", "completion")])
        r = d.request("POST", "/v1/embeddings", json.dumps({"model": "ai/foreign", "input": "Hi"}))
        self.assertEqual(r.status, 200, r.text)
        self.assertIn("Trying llama.cpp", d.errors())
        with open(self.log, encoding="utf-8") as f:
            self.assertEqual(len(f.read().splitlines()), 2)  # once a mode; the second chat found it running

    def test_a_wish_is_not_changed(self):
        d = self.start("--backend", "native")
        d.load("ai/foreign", weights=self.foreign)
        r = self.chat(d, model="ai/foreign")
        self.assertEqual(r.status, 500)
        self.assertIn("lambs", r.text)
        self.assertFalse(os.path.exists(self.log))

    def test_llama_args_replace_the_base(self):
        d = self.start("--backend", "llama.cpp", LLAMA_ARGS="--no-warmup 'a b'")
        self.assertEqual(self.chat(d).status, 200)
        self.assertEqual(self.argv(), "--no-warmup a b --model PATH --host PATH --jinja")

    def test_llama_args_leave_what_is_ours(self):
        d = self.start("--backend", "llama.cpp", LLAMA_ARGS="--host=0.0.0.0")
        r = self.chat(d)
        self.assertEqual(r.status, 500)
        self.assertIn("LLAMA_ARGS cannot override --host", r.text)

    def test_too_old(self):
        d = self.start("--backend", "llama.cpp", MR_LLAMA_BUILD="4699")
        r = self.chat(d)
        self.assertEqual(r.status, 500)
        self.assertIn("is build b4699, older than b4700", r.text)
        self.assertTrue(d.request("GET", "/engines/status").json["llama.cpp"].startswith("Error: "))

    def test_last_words_are_explained(self):
        for words, meaning in [
                ("ggml_backend_cuda_buffer_type_alloc_buffer: cudaMalloc failed: out of memory", "GPU memory"),
                ("llama_model_load: error loading model: unknown model architecture: 'x'", "architecture"),
                ("main: couldn't bind HTTP server socket, hostname: x.sock", "cannot listen on its socket"),
                ("error: invalid argument: --x", "runtime flags")]:
            with self.subTest(words=words):
                d = self.start("--backend", "llama.cpp", MR_LLAMA_FAIL=words)
                r = self.chat(d)
                self.assertEqual(r.status, 500)
                self.assertIn(meaning, r.text)
                self.assertIn(words, r.text)

    def test_status_names_the_version(self):
        d = self.start()
        status = d.request("GET", "/engines/status").json
        self.assertEqual(status["llama.cpp"], "Running: llama.cpp b9879 (0123abcd)")
        self.assertTrue(status["native"].startswith("Running: model-engine "))

    def test_the_directory_of_it_is_enough(self):
        with tempfile.TemporaryDirectory() as place:
            os.symlink(STAND_IN, os.path.join(place, "com.docker.llama-server"))
            d = Daemon(engine=ENGINE, env={"LLAMA_SERVER_PATH": place, "MR_LLAMA_LOG": "/dev/null"})
            self.addCleanup(d.close)
            self.assertEqual(d.request("GET", "/engines/status").json["llama.cpp"],
                             "Running: llama.cpp b9879 (0123abcd)")

    def test_unload_by_its_name(self):
        d = self.start("--backend", "llama.cpp")
        self.assertEqual(self.chat(d).status, 200)
        r = d.request("POST", "/engines/unload", json.dumps({"all": True, "backend": "llama.cpp"}))
        self.assertEqual(r.json, {"unloaded_runners": 1})
        self.assertEqual(self.backends(d), [])


class WithoutIt(Case):
    def test_says_that_it_is_not_here(self):
        d = self.start("--llama-server", "/nonexistent/llama-server")
        d.load("ai/foreign", weights=self.foreign)
        r = self.chat(d, model="ai/foreign")
        self.assertEqual(r.status, 500)
        self.assertIn("lambs", r.text)
        self.assertIn("Another engine may know it: '/nonexistent/llama-server'", r.text)
        r = d.request("POST", "/engines/_configure", json.dumps({"model": "ai/tiny", "backend": "llama.cpp"}))
        self.assertEqual(r.status, 202)
        self.assertIn("'/nonexistent/llama-server' is neither llama-server", self.chat(d).text)

    def test_a_backend_that_there_is_not(self):
        done = subprocess.run([os.path.join(BUILD, "model-runner"), "serve", "--backend", "x"], text=True,
                              stderr=subprocess.PIPE, check=False, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--backend must be auto, native or llama.cpp, not 'x'", done.stderr)


class WithTheRealOne(Case):
    def test_chat_stream_and_embeddings(self):
        if not REAL:
            print("no llama-server here: only the stand-in was tried")
            return
        d = self.start("--backend", "llama.cpp", "--llama-server", REAL)
        r = self.chat(d)
        self.assertEqual(r.status, 200, r.text)
        self.assertEqual(r.json["choices"][0]["message"]["role"], "assistant")
        self.assertTrue(self.chat(d, stream=True).text.rstrip().endswith("data: [DONE]"))
        r = d.request("POST", "/v1/embeddings", json.dumps({"model": "ai/tiny", "input": "Hi"}))
        self.assertEqual(r.status, 200, r.text)
        print(d.request("GET", "/engines/status").json["llama.cpp"])


if __name__ == "__main__":
    unittest.main()
