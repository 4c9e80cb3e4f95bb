#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The daemon from outside, over its sockets, with a stand-in for the engine: routes, errors, who is
let in, loads, crashes, unloading, limits, and what is left when it ends."""
import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import threading
import time
import unittest

from daemon_support import RUNNER, Daemon


class Case(unittest.TestCase):
    options = ()
    fake = ""
    env = {}
    tcp = False

    def setUp(self):
        self.d = Daemon(*self.options, fake=self.fake, env=self.env, tcp=self.tcp)
        self.addCleanup(self.d.close)

    def assert_error(self, answer, status, part):
        """An error in OpenAI's form."""
        self.assertEqual(answer.status, status, answer.text)
        error = answer.json["error"]
        self.assertEqual(sorted(error), ["code", "message", "param", "type"])
        self.assertIn(part, error["message"])

    def assert_text(self, answer, status, part):
        self.assertEqual(answer.status, status, answer.text)
        self.assertEqual(answer.headers["Content-Type"], "text/plain; charset=utf-8")
        self.assertEqual(answer.headers["X-Content-Type-Options"], "nosniff")
        self.assertIn(part, answer.text)
        self.assertTrue(answer.text.endswith("\n"))

    def ps(self):
        answer = self.d.get("/engines/ps")
        self.assertEqual(answer.status, 200)
        return answer.json


class Routes(Case):
    def test_fixed(self):
        self.assertIn("Docker Model Runner is running", self.d.get("/").text)
        self.assertEqual(self.d.post("/", "x").status, 200)
        self.assertRegex(self.d.get("/version").json["version"], r"^v\d+\.\d+\.\d+$")
        self.assert_text(self.d.get("/nothing"), 404, "404 page not found")
        for path in ("/models/", "/engines", "/engines/nothing", "/v1/nothing", "/engines/v1/chat/completions"):
            self.assert_text(self.d.get(path), 404, "not found")
        self.assert_text(self.d.request("PUT", "/models"), 404, "not found")
        self.assertEqual(self.d.request("HEAD", "/models").body, b"")

    def test_empty_store(self):
        self.assertEqual(self.d.get("/models").json, [])
        self.assertEqual(self.d.get("/v1/models").json, {"object": "list", "data": []})
        self.assertEqual(self.ps(), [])
        self.assertEqual(self.d.get("/engines/_configure").json, [])
        self.assertEqual(self.d.post("/engines/unload", {"all": True}).json, {"unloaded_runners": 0})
        self.assert_text(self.d.get("/models/none"), 404, "model not found")
        self.assert_text(self.d.get("/engines/v1/models/none"), 404, "model not found")
        self.assertIn("models_disk_usage", self.d.get("/engines/df").json)

    def test_status_names_every_backend(self):
        answer = self.d.get("/engines/status")
        self.assertFalse(answer.text.endswith("\n"))
        states = answer.json
        self.assertTrue(states["llama.cpp"].startswith("Running: "))
        self.assertTrue(states["vllm"].startswith("Not Installed"))

    def test_prefixes_and_double_slashes(self):
        model_id = self.d.load("ai/m:latest")
        for path in ("/models", "//models", "/exp/vDD4.40/models", "/exp/vDD4.40//models"):
            self.assertEqual(self.d.get(path).json[0]["id"], model_id, path)
        for path in ("/v1/models", "/engines/v1/models", "/engines/llama.cpp/v1/models",
                     "/exp/vDD4.40/v1/models", "/exp/vDD4.40/engines/native/v1/models"):
            self.assertEqual(self.d.get(path).json["data"][0]["id"], "docker.io/ai/m:latest", path)
        for name in ("m", "ai/m", "ai%2Fm", "ai/m:latest", "ai%2fm%3Alatest", "docker.io/ai/m:latest", model_id,
                     model_id[7:19]):
            self.assertEqual(self.d.get("/models/" + name).json["id"], model_id, name)

    def test_models(self):
        model_id = self.d.load("ai/m:latest")
        self.assertEqual(self.d.post("/models/ai/m/tag?repo=org/x&tag=v1").json,
                         {"message": 'Model tagged successfully with "org/x:v1"', "target": "org/x:v1"})
        self.assert_text(self.d.post("/models/ai/m/tag?repo=org/x"), 400, "missing repo or tag query parameter")
        self.assert_text(self.d.post("/models/none/tag?repo=org/x&tag=v1"), 404, "model not found")
        self.assert_text(self.d.post("/models/ai/m/other"), 404, 'unknown action "other"')
        self.assert_text(self.d.request("DELETE", "/models/" + model_id), 409,
                         "(must be forced) due to multiple tag references")
        self.assertEqual(self.d.request("DELETE", "/models/ai/m").json, [{"Untagged": "docker.io/ai/m:latest"}])
        self.assertEqual(self.d.request("DELETE", f"/models/{model_id}?force").json,
                         [{"Untagged": "docker.io/org/x:v1"}, {"Deleted": model_id}])
        self.assert_text(self.d.request("DELETE", "/models/m"), 404, "model not found")

    def test_export_is_what_load_takes(self):
        model_id = self.d.load("ai/m:latest", weights=b"w" * 300000)
        tar = self.d.get("/models/ai/m:latest/export")
        self.assertEqual(tar.headers["Content-Type"], "application/x-tar")
        self.assertEqual(self.d.request("DELETE", "/models/purge").status, 200)
        self.assertEqual(self.d.get("/models").json, [])
        loaded = self.d.post("/models/load", tar.body)
        self.assertEqual((loaded.status, loaded.json["type"], loaded.json["id"]), (200, "success", model_id))
        self.assertEqual(loaded.json["message"], "Model loaded successfully")

    def test_broken_load(self):
        self.assertGreaterEqual(self.d.post("/models/load", b"no tar at all").status, 400)
        self.assertGreaterEqual(self.d.post("/models/load", b"").status, 400)
        self.assertEqual(self.d.get("/models").json, [])


class Inference(Case):
    def test_refusals(self):
        self.d.load()
        chat = "/v1/chat/completions"
        self.assert_error(self.d.post(chat, "{bad json"), 400, "invalid request")
        self.assert_error(self.d.post(chat, "[]"), 400, "invalid request")
        self.assert_error(self.d.post(chat, ""), 400, "invalid request")
        self.assert_error(self.d.post(chat, "[" * 100000), 400, "invalid request")
        self.assert_error(self.d.post(chat, b'{"model":"\xff"}'), 400, "invalid request")
        self.assert_error(self.d.post(chat, {}), 400, "model is required")
        self.assert_error(self.d.post(chat, {"model": ""}), 400, "model is required")
        self.assert_error(self.d.post(chat, {"model": 7}), 400, "model is required")
        self.assert_error(self.d.chat("none"), 404, "model not found")
        self.assert_error(self.d.chat("no such name!"), 400, "error while getting model")
        self.assert_error(self.d.chat(path="/engines/foo/v1/chat/completions"), 404, "backend not found")
        self.assert_error(self.d.chat(path="/v1/images/generations"), 501, "unsupported backend mode")
        self.assertEqual(self.ps(), [])

    def test_paths(self):
        self.d.load()
        for path, want in (("/v1/chat/completions", None), ("/engines/v1/chat/completions", None),
                           ("/engines/llama.cpp/v1/chat/completions", None), ("/engines/vllm/v1/completions", None),
                           ("/exp/vDD4.40/engines/v1/embeddings", None), ("/v1/completions?x=1%2F&y", None),
                           ("/rerank", "/rerank"), ("/engines/native/score", "/score"), ("/v1/score", "/v1/score"),
                           ("/infill", "/infill"), ("/engines/tokenize", "/tokenize"),
                           ("/engines/llama.cpp/detokenize", "/detokenize"), ("/apply-template", "/apply-template")):
            answer = self.d.chat(path=path)
            self.assertEqual(answer.status, 200, answer.text)
            self.assertEqual(answer.json["path"], want or "/v1" + path.split("/v1", 1)[1])
        self.assertEqual(len(self.ps()), 1)  # one process serves them all

    def test_body_goes_unchanged(self):
        self.d.load()
        body = '{ "model" : "m", "fake":"echo", "x": [1,  2.50, "\\u00e9"] }'
        answer = self.d.post("/v1/chat/completions", body, headers={"Content-Type": "application/x-www-form-urlencoded"})
        self.assertEqual(answer.json["len"], len(body))
        self.assertEqual(answer.headers["X-Engine"], "fake")
        big = {"model": "m", "pad": "x" * (20 << 20)}
        self.assertGreater(self.d.post("/v1/chat/completions", big).json["len"], 20 << 20)

    def test_stream(self):
        self.d.load()
        c = self.d.connect()
        self.d.chat()
        c.request("POST", "/v1/chat/completions", json.dumps({"model": "m", "fake": "stream"}))
        r = c.getresponse()
        self.assertEqual(r.getheader("Content-Type"), "text/event-stream")
        lines = [line for line in r if line.startswith(b"data")]
        c.close()
        self.assertEqual(len(lines), 6)
        self.assertEqual(lines[-1], b"data: [DONE]\n")
        # Piece by piece, not at the end: of this one nothing follows.
        c = self.d.connect()
        c.request("POST", "/v1/chat/completions", json.dumps({"model": "m", "fake": "stall"}))
        self.assertTrue(c.getresponse().readline().startswith(b"data"))
        c.close()

    def test_preload_and_ps(self):
        self.d.load("org/name:tag")
        answer = self.d.chat("org/name:tag", headers={"X-Preload-Only": "true"})
        self.assertEqual((answer.status, answer.body), (200, b""))
        row, = self.ps()
        self.assertEqual((row["backend_name"], row["model_name"], row["mode"]), ("native", "org/name:tag", "completion"))
        self.assertNotIn("in_use", row)
        self.assertNotIn("loading", row)
        self.assertNotIn("keep_alive", row)
        self.assertRegex(row["last_used"], r"^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d")
        c = self.d.connect()
        c.request("POST", "/v1/chat/completions", json.dumps({"model": "org/name:tag", "fake": "silent"}))
        self.d.wait_for(lambda: self.ps()[0].get("in_use"))
        self.assertEqual(self.ps()[0]["last_used"], "0001-01-01T00:00:00Z")
        self.assertEqual(self.d.post("/engines/unload", {"all": True}).json, {"unloaded_runners": 0})
        c.close()
        self.d.wait_for(lambda: "cancel" in self.d.fake_log())
        self.d.wait_for(lambda: not self.ps()[0].get("in_use"))

    def test_a_client_that_leaves_stops_the_engine(self):
        self.d.load()
        for what in ("silent", "stall"):
            self.d.chat()
            before = self.d.fake_log().count("cancel")
            c = self.d.connect()
            c.request("POST", "/v1/chat/completions", json.dumps({"model": "m", "fake": what}))
            if what == "stall":
                self.assertTrue(c.getresponse().readline().startswith(b"data"))
            else:
                self.d.wait_for(lambda: self.ps()[0].get("in_use"))
            c.close()
            if c.sock:
                c.sock.close()
            del c
            self.d.wait_for(lambda: self.d.fake_log().count("cancel") == before + 1)
            self.assertNotIn("kept", self.d.fake_log())

    def test_engine_gets_only_what_it_needs(self):
        self.d.load()
        seen = self.d.chat().json
        self.assertNotIn("SECRET_TOKEN", seen["env"])
        argv = seen["argv"]
        self.assertEqual(argv[0], "serve")
        self.assertTrue(os.path.isfile(argv[argv.index("--model") + 1]))
        sock = argv[argv.index("--socket") + 1]
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(sock)).st_mode), 0o700)
        self.assertNotIn("--ctx-size", argv)
        with open(f"/proc/{seen['pid']}/stat", encoding="utf-8") as f:
            session = f.read().rsplit(")", 1)[1].split()[3]
        self.assertEqual(int(session), seen["pid"])  # Ctrl-C in the daemon's terminal is not for it

    def test_socket_is_private(self):
        self.assertEqual(stat.S_IMODE(os.stat(self.d.sock).st_mode), 0o600)

    def test_parallel_clients(self):
        self.d.load()
        answers = []

        def one():
            answers.append(self.d.chat(fake="stream").text.count("data:"))

        threads = [threading.Thread(target=one) for _ in range(20)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(answers, [6] * 20)
        self.assertEqual(sum(x.startswith("argv") for x in self.d.fake_log()), 1)  # they shared one load


class Crashes(Case):
    def test_before_the_answer(self):
        self.d.load()
        self.assert_error(self.d.chat(fake="die"), 500,
                          "model-engine terminated unexpectedly: model-engine failed: fake: a request killed me")
        self.assertEqual(self.d.chat().status, 200)

    def test_in_the_middle_of_a_stream(self):
        self.d.load()
        text = self.d.chat(fake="die-streaming").text
        events = [e for e in text.split("\n\n") if e]
        self.assertEqual(len(events), 4)
        error = json.loads(events[-1].removeprefix("data: "))["error"]
        self.assertIn("fake: died in the middle", error["message"])
        self.assertEqual(self.d.chat().status, 200)

    def test_killed_while_streaming(self):
        self.d.load()
        pid = self.d.chat().json["pid"]
        c = self.d.connect()
        c.request("POST", "/v1/chat/completions", json.dumps({"model": "m", "fake": "stall"}))
        r = c.getresponse()
        self.assertTrue(r.readline().startswith(b"data"))
        os.kill(pid, signal.SIGKILL)
        rest = r.read().decode()
        c.close()
        last = json.loads(rest.strip().split("\n\n")[-1].removeprefix("data: "))
        self.assertIn("signal: Killed", last["error"]["message"])
        again = self.d.chat()
        self.assertEqual(again.status, 200)
        self.assertNotEqual(again.json["pid"], pid)

    def test_killed_between_requests(self):
        self.d.load()
        for _ in range(5):
            pid = self.d.chat().json["pid"]
            os.kill(pid, signal.SIGKILL)
            answer = self.d.chat()  # at once: nobody may have noticed yet
            self.assertEqual(answer.status, 200, answer.text)
            self.assertNotEqual(answer.json["pid"], pid)

    def test_gone_without_reading_the_request(self):
        self.d.load()
        pid = self.d.chat(fake="deaf").json["pid"]
        answer = self.d.chat()
        self.assertEqual(answer.status, 200, answer.text)
        self.assertNotEqual(answer.json["pid"], pid)

    def test_killed_before_the_answer(self):
        self.d.load()
        pid = self.d.chat().json["pid"]
        answers = []
        asking = threading.Thread(target=lambda: answers.append(self.d.chat(fake="silent-first")))
        asking.start()
        self.d.wait_for(lambda: self.ps()[0].get("in_use"))
        os.kill(pid, signal.SIGKILL)
        asking.join()
        self.assertEqual(answers[0].status, 200, answers[0].text)
        self.assertNotEqual(answers[0].json["pid"], pid)

    def test_kill_minus_nine_of_the_daemon_ends_its_engines(self):
        self.d.load()
        self.assertEqual(self.d.chat().status, 200)
        self.assertEqual(len(self.d.engines()), 1)
        self.d.process.kill()
        self.d.process.wait()
        end = time.monotonic() + 30
        while self.d.engines() and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual(self.d.engines(), [])

    def test_socket_of_a_killed_daemon_is_taken_over(self):
        self.d.process.kill()
        self.d.process.wait()
        self.assertTrue(os.path.exists(self.d.sock))
        self.d.process = subprocess.Popen(self.d.process.args, env=self.d.env, stderr=self.d.stderr)
        self.d.wait_for(lambda: self.d.try_get() == 200)
        second = subprocess.run(self.d.process.args, env=self.d.env, capture_output=True, text=True, check=False)
        self.assertEqual(second.returncode, 1)
        self.assertIn("model-runner: ", second.stderr)
        self.assertEqual(self.d.try_get(), 200)

    def test_signals_end_it(self):
        self.d.load()
        self.d.chat()
        c = self.d.connect()
        c.request("POST", "/v1/chat/completions", json.dumps({"model": "m", "fake": "stall"}))
        r = c.getresponse()
        r.readline()
        self.assertEqual(self.d.stop(signal.SIGINT), 0)
        self.assertNotIn("it is killed", self.d.errors())
        c.close()

    def test_descriptors_suffice(self):
        with open(f"/proc/{self.d.process.pid}/limits", encoding="utf-8") as f:
            soft, hard = next(line.split()[3:5] for line in f if line.startswith("Max open files"))
        self.assertGreaterEqual(int(soft), min(int(hard), 4096))


class FailedLoad(Case):
    fake = "crash"

    def test_says_why(self):
        self.d.load()
        self.assert_error(self.d.chat(), 500,
                          "unable to load runner: error waiting for runner to be ready: model-engine terminated "
                          "unexpectedly: model-engine failed: loading; fake: the file is no model (exit status 3)")
        self.assertEqual(self.ps(), [])
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.d.chat().status)) for _ in range(5)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(answers, [500] * 5)

    def test_missing_engine(self):
        self.d.load()
        self.d.stop()
        self.d.process = subprocess.Popen([RUNNER, "serve", "--socket", self.d.sock, "--engine", "/no/such/engine"],
                                          env=self.d.env, stderr=self.d.stderr)
        self.d.wait_for(lambda: self.d.try_get() == 200)
        self.assert_error(self.d.chat(), 500, "unable to load runner: unable to start runner: the engine")
        self.assertIn("Not Installed", self.d.get("/engines/status").json["native"])


class NeverReady(Case):
    fake = "never"
    options = ("--load-timeout", "700ms")

    def test_gives_up(self):
        self.d.load()
        self.assert_error(self.d.chat(), 500, "inference backend took too long to initialize")
        self.d.wait_for(lambda: not self.d.engines())


class SlowLoad(Case):
    fake = "hold"

    def let_go(self):
        with open(self.d.log_path + ".go", "w", encoding="utf-8"):
            pass

    def test_a_load_belongs_to_nobody(self):
        self.d.load()
        c = self.d.connect()
        c.request("POST", "/v1/chat/completions", json.dumps({"model": "m"}))
        self.d.wait_for(lambda: self.ps() and self.ps()[0].get("loading"))
        answers = []
        waiting = threading.Thread(target=lambda: answers.append(self.d.chat().json["pid"]))
        waiting.start()
        c.close()  # the one who began the load leaves
        self.let_go()
        waiting.join()
        self.assertEqual(self.d.chat().json["pid"], answers[0])
        self.assertEqual(sum(x.startswith("argv") for x in self.d.fake_log()), 1)

    def test_ending_while_loading(self):
        self.d.load()
        c = self.d.connect()
        c.request("POST", "/v1/chat/completions", json.dumps({"model": "m"}))
        self.d.wait_for(lambda: len(self.d.engines()) == 1)
        self.assertEqual(self.d.stop(), 0)
        c.close()


class Stubborn(Case):
    fake = "stubborn"

    def test_a_stuck_engine_is_killed_and_blocks_nobody(self):
        self.d.load("ai/a", weights=b"GGUF a")
        self.d.load("ai/b", weights=b"GGUF b")
        self.assertEqual(self.d.chat("a").status, 200)
        pid, = self.d.engines()
        done = []
        unload = threading.Thread(target=lambda: done.append(self.d.post("/engines/unload", {"models": ["a"]}).json))
        unload.start()
        self.d.wait_for(lambda: self.ps() == [])
        self.assertEqual(self.d.chat("b").status, 200)
        unload.join()
        self.assertIn("it is killed", self.d.errors())
        self.assertEqual(done, [{"unloaded_runners": 1}])
        self.assertNotIn(pid, self.d.engines())


class StubbornAtTheEnd(Case):
    fake = "stubborn"

    def test_a_second_signal_ends_it_at_once(self):
        self.d.load()
        self.assertEqual(self.d.chat().status, 200)
        self.d.process.send_signal(signal.SIGTERM)
        self.d.wait_for(lambda: "ending" in self.d.errors())
        self.assertEqual(self.d.stop(signal.SIGTERM), -signal.SIGTERM)  # close() looks for engines


class Idle(Case):
    options = ("--idle-timeout", "300ms")

    def test_idle(self):
        self.d.load()
        self.assertEqual(self.d.chat().status, 200)
        self.d.wait_for(lambda: self.ps() == [] and not self.d.engines())
        self.assertEqual(self.d.chat().status, 200)
        self.assertEqual(sum(x.startswith("argv") for x in self.d.fake_log()), 2)

    def test_keep_alive(self):
        self.d.load()
        for text, shown in (("-1", "-1"), ("10m", "10m0s"), ("-5s", "-1")):
            self.assertEqual(self.d.post("/engines/_configure", {"model": "m", "keep_alive": text}).status, 202)
            self.assertEqual(self.d.chat().status, 200)
            time.sleep(0.5)
            row, = self.ps()
            self.assertEqual(row["keep_alive"], shown)
        self.assertEqual(self.d.post("/engines/_configure", {"model": "m", "keep_alive": "0"}).status, 202)
        self.d.wait_for(lambda: self.ps() == [])


class Room(Case):
    options = ("--max-models", "2")

    def test_room_is_made_from_the_least_recently_used(self):
        for name in ("a", "b", "c"):
            self.d.load("ai/" + name, weights=b"GGUF " + name.encode())
            self.d.post("/engines/_configure", {"model": name, "keep_alive": "1m"})
        self.d.wait_for(lambda: not any(r.get("loading") for r in self.ps()))
        self.d.post("/engines/unload", {"models": ["a", "b", "c"]})
        for name in ("a", "b", "c"):
            self.d.post("/engines/_configure", {"model": name, "keep_alive": "-1" if name == "a" else "1m"})
            self.assertEqual(self.d.chat(name).status, 200)
        names = sorted(r["model_name"] for r in self.ps())
        self.assertEqual(names, ["a", "c"])  # a is the older one, but to be kept


class NoRoom(Case):
    options = ("--max-models", "2", "--wait-timeout", "600ms")

    def test_no_room(self):
        clients = []
        for name in ("a", "b", "c"):
            self.d.load("ai/" + name, weights=b"GGUF " + name.encode())
        for name in ("a", "b"):
            c = self.d.connect()
            c.request("POST", "/v1/chat/completions", json.dumps({"model": name, "fake": "silent"}))
            clients.append(c)
        self.d.wait_for(lambda: sum(r.get("in_use", False) for r in self.ps()) == 2)
        answer = self.d.chat("c")
        self.assert_error(answer, 429, "all 2 places for models are in use")
        self.assertIn("Retry-After", answer.headers)
        for c in clients:
            c.close()
        self.d.wait_for(lambda: self.d.chat("c").status == 200)


class UnloadingByRequest(Case):
    def test_deleting_a_model_ends_its_engine(self):
        self.d.load()
        self.d.chat()
        self.assertEqual(self.d.request("DELETE", "/models/m").status, 200)
        self.assertEqual(self.ps(), [])
        self.assert_error(self.d.chat(), 404, "model not found")

    def test_unload_by_name_and_backend(self):
        for name in ("a", "b"):
            self.d.load("ai/" + name, weights=b"GGUF " + name.encode())
            self.d.chat(name)
        unload = lambda **body: self.d.post("/engines/unload", body).json["unloaded_runners"]
        self.assertEqual(unload(models=["none"]), 0)
        self.assertEqual(unload(models=["a"], backend="vllm"), 0)
        self.assertEqual(unload(models=["ai/a:latest"], backend="llama.cpp"), 1)
        self.assertEqual(unload(all=True, backend="mlx"), 0)
        self.assertEqual(unload(all=True), 1)
        self.assertEqual(self.d.engines(), [])
        self.assert_text(self.d.post("/engines/unload", "{"), 400, "invalid request")


class Configure(Case):
    def configure(self, path="/engines/_configure", **body):
        return self.d.post(path, body)

    def argv(self):
        return self.d.chat().json["argv"]

    def test_context_size_reaches_the_engine(self):
        self.d.load()
        self.assertNotIn("--ctx-size", self.argv())
        self.assertEqual(self.configure(model="m", **{"context-size": 1234}).status, 202)
        argv = self.argv()
        self.assertEqual(argv[argv.index("--ctx-size") + 1], "1234")
        # What a request does not name stays.
        self.assertEqual(self.configure(model="ai/m:latest", keep_alive="10m").status, 202)
        self.assertIn("1234", self.argv())
        row, = self.d.get("/engines/_configure").json
        self.assertEqual(row["Config"], {"context-size": 1234, "keep_alive": "10m"})
        self.assertEqual(row["Mode"], "completion")
        self.assertTrue(row["ModelID"].startswith("sha256:"))
        self.assertEqual(self.configure(model="m", **{"context-size": None}).status, 202)
        self.assertNotIn("--ctx-size", self.argv())

    def test_context_size_of_the_model(self):
        self.d.load(context_size=131072, trained=131072)  # what it can, not what somebody wants
        self.assertNotIn("--ctx-size", self.argv())
        self.d.load(context_size=777, trained=131072)
        self.assertIn("777", self.argv())
        self.configure(model="m", **{"context-size": 555})
        self.assertIn("555", self.argv())

    def test_flags(self):
        self.d.load()
        self.assertEqual(self.configure(model="m", **{"runtime-flags": ["-c", "99", "--temp", "0.2", "--seed", "-1",
                                                                        "--parallel=3", "-ngl", "99"]}).status, 202)
        argv = self.argv()
        self.assertEqual(argv[argv.index("--ctx-size"):], ["--ctx-size", "99", "--temp", "0.2", "--seed",
                                                               "-1", "--parallel", "3"])
        self.assertEqual(self.configure(model="m", **{"raw-runtime-flags": "--threads '2' --verbose",
                                                      "runtime-flags": []}).status, 202)
        self.assertIn("--threads", self.argv())
        for flags, part in ((["--log-file", "x"], 'runtime flag "--log-file" is not allowed'),
                            (["--model", "x"], "is not allowed"), (["--lora", "x"], "is not allowed"),
                            (["--seed=--log-file"], "value cannot start with '-'"),
                            (["--temp", "../x"], "paths are not allowed"), ("--temp", "must be an array"),
                            ([1], "must be an array")):
            answer = self.configure(model="m", **{"runtime-flags": flags})
            self.assert_text(answer, 400, part)
        self.assert_text(self.configure(model="m", **{"raw-runtime-flags": "--temp '1"}), 400, "unclosed quote")

    def test_before_the_model_is_there(self):
        self.assertEqual(self.configure(model="later", **{"context-size": 321}).status, 202)
        self.d.load("ai/later")
        answer = self.d.chat("ai/later:latest")
        self.assertIn("321", answer.json["argv"])

    def test_refusals(self):
        self.assert_text(self.configure(), 400, "model is required")
        self.assert_text(self.configure(model="m", mode="dancing"), 400, "unknown backend mode")
        self.assert_text(self.configure(model="m", keep_alive="soon"), 400, "keep_alive")
        self.assert_text(self.configure(model="m", keep_alive=5), 400, "keep_alive")
        self.assert_text(self.configure(model="m", **{"context-size": "big"}), 400, "context-size")
        self.assert_text(self.configure(model="m", vllm={"hf-overrides": {"a": [{"b-c": 1}]}}), 400, "hf-overrides")
        self.assert_text(self.configure("/engines/foo/_configure", model="m"), 404, "backend not found")
        self.assert_text(self.d.post("/engines/_configure", "nonsense"), 400, "invalid request")
        self.assertEqual(self.configure("/engines/llama.cpp/_configure", model="m").status, 202)

    def test_busy(self):
        self.d.load()
        c = self.d.connect()
        c.request("POST", "/v1/chat/completions", json.dumps({"model": "m", "fake": "silent"}))
        self.d.wait_for(lambda: self.ps() and self.ps()[0].get("in_use"))
        self.assert_text(self.configure(model="m", **{"context-size": 9}), 409, "runner already active")
        self.assertEqual(self.configure(model="m", keep_alive="1h").status, 202)  # needs no new process
        c.close()

    def test_unload_keeps_what_was_configured(self):
        self.d.load()
        self.configure(model="m", **{"context-size": 9})
        for body in ({"models": ["m"]}, {"all": True}):
            self.d.post("/engines/unload", body)
            self.assertEqual(len(self.d.get("/engines/_configure").json), 1)
            self.assertIn("9", self.argv())
        self.assertEqual(self.configure(model="m", reset=True, keep_alive="1m").status, 202)
        self.assertEqual(self.d.get("/engines/_configure").json[0]["Config"], {"keep_alive": "1m"})
        self.assertEqual(self.configure(model="m", reset=True).status, 202)
        self.assertEqual(self.d.get("/engines/_configure").json, [])
        self.assertNotIn("--ctx-size", self.argv())

    def ollama(self, **options):
        return self.d.post("/api/chat", {"model": "m", "stream": False, "options": options,
                                         "messages": [{"role": "user", "content": "x"}]})

    def test_a_request_sets_until_the_model_is_unloaded(self):
        self.d.load()
        self.configure(model="m", **{"context-size": 11, "keep_alive": "2m"})
        self.ollama(num_ctx=22)
        self.assertIn("22", self.argv())
        effective = self.effective()
        self.assertEqual(effective["context-size"], (22, "request"))
        self.assertEqual(effective["keep-alive"], ("2m0s", "configure"))
        self.assertNotIn(": 22", self.settings_file())
        self.d.post("/engines/unload", {"models": ["m"]})
        self.assertIn("11", self.argv())
        self.ollama(num_ctx=22)
        self.configure(model="m", **{"context-size": 33})  # the last word counts
        self.assertIn("33", self.argv())

    def settings_path(self):
        return os.path.join(self.d.dir, ".docker", "model-runner", "settings.json")

    def settings_file(self):
        with open(self.settings_path(), encoding="utf-8") as f:
            return f.read()

    def effective(self, model="m"):
        answer = self.d.get("/engines/_configure/effective?model=" + model)
        self.assertEqual(answer.status, 200, answer.text)
        return {r["name"]: (r["value"], r["source"]) for r in answer.json["settings"]}

    def restart(self):
        self.d.process.terminate()
        self.d.process.wait(30)
        self.d.start_again()

    def test_settings_outlive_the_daemon(self):
        self.d.load()
        self.configure(model="ai/m", **{"context-size": 9, "runtime-flags": ["--temp", "0.3"]})
        self.configure(model="other/later", keep_alive="-1")
        before = self.d.get("/engines/_configure").json
        self.assertEqual(os.stat(self.settings_path()).st_mode & 0o777, 0o600)
        self.restart()
        key = lambda row: row["ModelID"]
        after = self.d.get("/engines/_configure").json
        self.assertEqual([r["Config"] for r in sorted(after, key=key)], [r["Config"] for r in sorted(before, key=key)])
        argv = self.argv()
        self.assertEqual(argv[argv.index("--ctx-size"):][:4], ["--ctx-size", "9", "--temp", "0.3"])
        # A newer version of the model under the same name keeps them.
        self.d.load(weights=b"another")
        self.assertIn("9", self.argv())
        self.configure(model="m", keep_alive="3m")
        self.assertEqual(json.loads(self.settings_file())["models"][-1]["config"],
                         {"context-size": 9, "runtime-flags": ["--temp", "0.3"], "keep_alive": "3m"})
        self.assertEqual(len(json.loads(self.settings_file())["models"]), 2)

    def test_a_damaged_settings_file_is_never_written(self):
        self.d.load()
        self.configure(model="m", **{"context-size": 9})
        good = self.settings_file()
        newer = json.dumps({"version": 2, "models": []})
        for text, part in ((good[:-20], "is damaged"), ("", "is damaged"), ("[]", "no object"), (newer, "newer"),
                           ('{"version":1,"models":[{"model":"m"}]}', "entry 1")):
            with open(self.settings_path(), "w", encoding="utf-8") as f:
                f.write(text)
            answer = self.configure(model="m", **{"context-size": 10})
            self.assertEqual(answer.status // 100, 5 if part == "newer" else 4, answer.text)
            self.assertIn(part, answer.text)
            self.assertIn(self.settings_path(), answer.text)
            self.assertEqual(self.settings_file(), text)
            self.assertEqual(self.effective()["context-size"], (9, "configure"))
        # A daemon does not begin with other settings than it was given.
        done = subprocess.run([RUNNER, "serve", "--socket", self.d.sock + "2"], env=self.d.env, timeout=30,
                              stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("entry 1", done.stderr)
        with open(self.settings_path(), "w", encoding="utf-8") as f:
            f.write(good)
        self.restart()
        self.assertIn("9", self.argv())

    def test_a_daemon_that_is_killed_leaves_whole_settings(self):
        for round_number in range(5):
            acknowledged = []

            def configure():
                for size in range(1, 10000):
                    try:
                        if self.configure(model="m", **{"context-size": size}).status == 202:
                            acknowledged.append(size)
                    except (OSError, http.client.HTTPException):
                        return

            thread = threading.Thread(target=configure)
            thread.start()
            self.d.wait_for(lambda: len(acknowledged) > 20 + round_number)
            self.d.process.kill()
            self.d.process.wait(30)
            thread.join()
            row, = json.loads(self.settings_file())["models"]
            self.assertIn(row["config"]["context-size"] - acknowledged[-1], (0, 1))
            self.d.start_again()
            row, = self.d.get("/engines/_configure").json
            self.assertIn(row["Config"]["context-size"] - acknowledged[-1], (0, 1))

    def test_two_daemons_lose_nothing_of_each_other(self):
        second = Daemon(env={"HOME": self.d.dir, "MODELS_PATH": self.d.dir + "/models2"})
        try:
            self.configure(model="one", **{"context-size": 1})
            second.post("/engines/_configure", {"model": "two", "context-size": 2})
            self.configure(model="three", **{"context-size": 3})
        finally:
            second.close()
        models = json.loads(self.settings_file())["models"]
        self.assertEqual(sorted(r["config"]["context-size"] for r in models), [1, 2, 3])

    def test_settings_that_cannot_be_kept_are_not_set(self):
        self.d.load()
        with open(os.path.join(self.d.dir, ".docker", "model-runner"), "w", encoding="utf-8"):
            pass
        answer = self.configure(model="m", **{"context-size": 9})
        self.assertGreaterEqual(answer.status, 400)
        self.assertIn("the settings were not changed", answer.text)
        self.assertNotIn("--ctx-size", self.argv())

    def test_effective_settings_and_their_sources(self):
        self.d.load(context_size=777, trained=131072)
        self.assertEqual(self.effective()["context-size"], (777, "model"))
        self.assertEqual(self.effective()["keep-alive"], ("5m0s", "default"))
        self.assertEqual(self.effective()["temperature"], ("0.8", "default"))
        self.configure(model="m", **{"runtime-flags": ["--temp=0.5", "-c", "99", "-ngl", "7"],
                                     "vllm": {"gpu-memory-utilization": 0.5}})
        rows = self.effective()
        self.assertEqual(rows["temperature"], ("0.5", "configure"))
        self.assertEqual(rows["context-size"], ("99", "configure"))
        self.assertEqual(rows["-ngl"], ("7", "configure"))
        self.assertEqual(rows["vllm.gpu-memory-utilization"], (0.5, "configure"))
        self.configure(model="m", **{"context-size": 55})
        self.assertEqual(self.effective()["context-size"], (55, "configure"))
        self.assert_text(self.d.get("/engines/_configure/effective?model=none"), 404, "none")
        self.assert_text(self.d.get("/engines/_configure/effective"), 400, "model is required")
        d = Daemon("--max-models", "3", env={"MODEL_RUNNER_IDLE_TIMEOUT": "90s"})
        try:
            d.load()
            rows = {r["name"]: (r["value"], r["source"])
                    for r in d.get("/engines/_configure/effective?model=m").json["settings"]}
            self.assertEqual(rows["keep-alive"], ("1m30s", "MODEL_RUNNER_IDLE_TIMEOUT"))
            self.assertEqual(rows["max-models"], (3, "daemon option"))
        finally:
            d.close()


class Doors(Case):
    tcp = True
    env = {"DMR_ORIGINS": "https://app.example, http://x.test:81", "MODEL_RUNNER_ALLOWED_HOSTS": "my.example"}

    def tcp_get(self, path="/models", method="GET", **headers):
        c = http.client.HTTPConnection("127.0.0.1", self.d.port, timeout=10)
        c.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
        r = c.getresponse()
        body = r.read().decode()
        c.close()
        return r.status, dict(r.getheaders()), body

    def test_origins(self):
        for origin in ("http://localhost", "http://localhost:3000", "https://127.0.0.1:8443", "http://[::1]:5",
                       "http://0.0.0.0", "https://app.example", "http://x.test:81"):
            status, headers, _ = self.tcp_get(Origin=origin)
            self.assertEqual((status, headers.get("Access-Control-Allow-Origin")), (200, origin))
            self.assertEqual(headers.get("Vary"), "Origin")
        for origin in ("http://evil.example", "http://localhost.evil.example", "http://localhost:80:80", "null",
                       "http://localhost:x", "https://app.example:444", "file://localhost", "http://x.test"):
            status, headers, body = self.tcp_get(Origin=origin)
            self.assertEqual((status, body), (403, "Origin not allowed\n"), origin)
            self.assertNotIn("Access-Control-Allow-Origin", headers)
        self.assertNotIn("Access-Control-Allow-Origin", self.tcp_get()[1])
        self.assertEqual(self.tcp_get("/version", Origin="http://evil.example")[0], 200)

    def test_preflight(self):
        status, headers, _ = self.tcp_get("/v1/chat/completions", "OPTIONS", Origin="http://localhost:3000",
                                          Access_Control_Request_Headers="content-type, authorization")
        self.assertEqual(status, 204)
        self.assertEqual(headers["Access-Control-Allow-Credentials"], "true")
        self.assertEqual(headers["Access-Control-Allow-Methods"], "GET, POST, DELETE")
        self.assertEqual(headers["Access-Control-Allow-Headers"], "content-type, authorization")
        self.assertEqual(self.tcp_get("/models", "OPTIONS", Origin="http://localhost")[1]["Access-Control-Allow-Headers"],
                         "*")
        self.assertEqual(self.tcp_get("/models", "OPTIONS", Origin="http://evil.example")[0], 403)
        self.assertEqual(self.tcp_get("/models", "OPTIONS")[0], 404)

    def test_hosts(self):
        for host in ("localhost", "localhost:12434", "127.0.0.1:1", "10.0.0.7", "[::1]:80", "docker-model-runner",
                     "model-runner.docker.internal", "x.ns.svc", "my.example", "MY.example:9", "localhost."):
            self.assertEqual(self.tcp_get(Host=host)[0], 200, host)
        for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", "a:b", "[::1", "localhost:80x"):
            status, _, body = self.tcp_get(Host=host)
            self.assertEqual(status, 403, host)
            self.assertIn("Host not allowed", body)
        self.assertEqual(self.d.get("/models", headers={"Host": "evil.example"}).status, 200)  # a Unix socket

    def test_listens_on_loopback_only(self):
        own = set()
        fds = f"/proc/{self.d.process.pid}/fd"
        for fd in os.listdir(fds):
            try:
                own.add(os.readlink(os.path.join(fds, fd)))
            except FileNotFoundError:
                pass  # a connection that has ended
        with open("/proc/net/tcp", encoding="utf-8") as f:
            table = [line.split() for line in f]
        rows = [row[1] for row in table if row[3] == "0A" and f"socket:[{row[9]}]" in own]
        self.assertEqual(rows, [f"0100007F:{self.d.port:04X}"])


class SmallLimits(Case):
    options = ("--max-body", "1")

    def test_too_large(self):
        self.d.load()
        answer = self.d.chat(pad="x" * (2 << 20))
        self.assert_error(answer, 413, "request too large")
        self.assertEqual(self.d.chat(pad="x" * 1000000).status, 200)

    def test_hostile_connections(self):
        """Half requests, garbage and floods of connections leave it working."""
        socks = []
        for payload in (b"", b"GET", b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 10\r\n\r\n{",
                        b"\x16\x03\x01\x02\x00\x01", b"GET /" + b"a" * 200000 + b" HTTP/1.1\r\n\r\n"):
            for _ in range(10):
                s = socket.socket(socket.AF_UNIX)
                s.connect(self.d.sock)
                try:
                    s.sendall(payload)
                except OSError:
                    pass
                socks.append(s)
        self.assertEqual(self.d.get("/").status, 200)
        for s in socks:
            s.close()
        self.assertEqual(self.d.get("/").status, 200)


class CommandLine(unittest.TestCase):
    def run_it(self, *args, **env):
        base = {"PATH": os.environ["PATH"], "HOME": "/dev/null", "XDG_RUNTIME_DIR": "/dev/null/run"}
        for name in os.environ:
            if name.endswith("SAN_OPTIONS"):
                base[name] = os.environ[name]
        base.update(env)
        return subprocess.run([RUNNER, *args], env=base, capture_output=True, text=True, timeout=20, check=False)

    def test_version_and_help(self):
        self.assertRegex(self.run_it("version").stdout, r"^model-runner version \d+\.\d+\.\d+\n$")
        text = self.run_it("serve", "--help").stdout
        for word in ("--socket", "--port", "--models-path", "--idle-timeout", "MODEL_RUNNER_SOCK", "DMR_ORIGINS"):
            self.assertIn(word, text)

    def test_mistakes(self):
        for args, env, part in ((("serve", "--port", "99999"), {}, "port"), (("serve", "--nonsense"), {}, "nonsense"),
                                (("serve", "--no-socket"), {}, "--no-socket needs"),
                                (("serve",), {"MODEL_RUNNER_PORT": "x"}, "MODEL_RUNNER_PORT"),
                                (("serve",), {"LOG_LEVEL": "loud"}, "log level"),
                                (("serve",), {"MODEL_RUNNER_IDLE_TIMEOUT": "soon"}, "MODEL_RUNNER_IDLE_TIMEOUT"),
                                (("serve", "--socket", "/dev/null/d/x.sock"), {"MODELS_PATH": "/dev/null/m"},
                                 "/dev/null"), (("dance",), {}, "dance")):
            done = self.run_it(*args, **env)
            self.assertEqual(done.returncode, 1, args)
            self.assertIn(part, done.stderr, args)


if __name__ == "__main__":
    unittest.main()
