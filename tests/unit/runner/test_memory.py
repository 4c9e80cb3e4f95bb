#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who gets memory: models that do not fit together take turns, those in use are waited for, pinned
ones stay, and what can never fit is refused with the numbers. Engines are stand-ins; what a model
needs is told by its file, so that a limit of --max-memory makes every case exact."""
import json
import threading
import unittest

from daemon_support import Daemon

MIB = 1 << 20


def weights(mib, name):
    return (b"GGUF " + name.encode()).ljust(mib * MIB, b"\0")


class Memory(unittest.TestCase):
    def start(self, limit, models, *options):
        d = Daemon("--max-memory", str(limit), "--max-models", "8", *options)
        self.addCleanup(d.close)
        for name, mib in models.items():
            d.load("ai/" + name, weights=weights(mib, name))
        return d

    def loaded(self, d):
        return sorted(row["model_name"] for row in d.get("/engines/ps").json)

    def pin(self, d, model):
        self.assertEqual(d.post("/engines/_configure", {"model": model, "keep_alive": "-1"}).status, 202)
        d.wait_for(lambda: model in self.loaded(d))

    def hold(self, d, model):
        """A request that lasts until its connection is closed."""
        c = d.connect()
        c.request("POST", "/v1/chat/completions", json.dumps({"model": model, "messages": [], "fake": "stall"}))
        self.assertEqual(c.getresponse().status, 200)
        self.addCleanup(c.close)
        return c

    def test_those_that_fit_together_stay(self):
        d = self.start(300, {"a": 64, "b": 64, "c": 64})
        for model in "abc":
            self.assertEqual(d.chat(model).status, 200)
        self.assertEqual(self.loaded(d), ["a", "b", "c"])
        for row in d.get("/engines/ps").json:
            self.assertGreaterEqual(row["memory"], 64 * MIB)

    def test_the_least_recently_used_makes_room(self):
        d = self.start(180, {"a": 64, "b": 64, "c": 64})
        for model in "aba":
            self.assertEqual(d.chat(model).status, 200)
        self.assertEqual(d.chat("c").status, 200)
        self.assertEqual(self.loaded(d), ["a", "c"])

    def test_only_as_much_room_as_is_needed(self):
        d = self.start(250, {"a": 64, "b": 64, "c": 64, "d": 64})
        for model in "abcd":
            self.assertEqual(d.chat(model).status, 200)
        self.assertEqual(self.loaded(d), ["b", "c", "d"])

    def test_pinned_ones_stay(self):
        d = self.start(180, {"a": 64, "b": 64, "c": 64})
        self.pin(d, "a")
        self.assertEqual(d.chat("b").status, 200)
        self.assertEqual(d.chat("c").status, 200)
        self.assertEqual(self.loaded(d), ["a", "c"])
        self.pin(d, "c")
        r = d.chat("b")
        self.assertEqual(r.status, 429, r.text)
        self.assertIn("a holds 67 MiB and is to be kept (keep-alive -1)", r.text)
        self.assertIn("Retry-After", r.headers)

    def test_too_large_for_ever(self):
        d = self.start(100, {"a": 64, "big": 128})
        self.assertEqual(d.chat("a").status, 200)
        r = d.chat("big")
        self.assertEqual(r.status, 500)
        self.assertIn("not enough memory: big needs about 134 MiB (weights 134 MiB) and at most 100 MiB can be had "
                      "(--max-memory allows 100 MiB). Use a smaller model", r.text)
        self.assertEqual(self.loaded(d), ["a"])  # nobody had to go for nothing

    def test_waits_for_who_is_in_use(self):
        d = self.start(100, {"a": 64, "b": 64})
        held = self.hold(d, "a")
        answers = []
        t = threading.Thread(target=lambda: answers.append(d.chat("b").status))
        t.start()
        d.wait_for(lambda: self.loaded(d) == ["a", "b"])  # b is loading, which means waiting here
        self.assertEqual(answers, [])
        held.close()
        t.join(60)
        self.assertEqual(answers, [200])
        self.assertEqual(self.loaded(d), ["b"])

    def test_does_not_wait_for_ever(self):
        d = self.start(100, {"a": 64, "b": 64}, "--wait-timeout", "300ms")
        self.hold(d, "a")
        r = d.chat("b")
        self.assertEqual(r.status, 429)
        self.assertIn("a holds 67 MiB and is in use", r.text)

    def test_many_take_turns(self):
        names = [f"m{i}" for i in range(5)]
        d = self.start(150, {name: 64 for name in names})
        answers = []

        def client(k):
            for i in range(6):
                answers.append(d.chat(names[(k + i * (k % 3 + 1)) % 5]).status)
        threads = [threading.Thread(target=client, args=(k,)) for k in range(10)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(answers, [200] * 60)
        held = sum(row.get("memory", 0) for row in d.get("/engines/ps").json)
        self.assertLessEqual(held, 150 * MIB)

    def test_a_waiting_load_can_be_unloaded(self):
        d = self.start(100, {"a": 64, "b": 64})
        self.hold(d, "a")
        c = d.connect()
        c.request("POST", "/v1/chat/completions", json.dumps({"model": "b", "messages": []}))
        d.wait_for(lambda: self.loaded(d) == ["a", "b"])
        c.close()  # nobody waits for b any more
        d.wait_for(lambda: d.post("/engines/unload", {"models": ["b"]}).json["unloaded_runners"] == 1)
        self.assertEqual(self.loaded(d), ["a"])


if __name__ == "__main__":
    unittest.main()
