#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What pull, push and their relatives promise: every spelling of a name, cached and resumed pulls, shared and canceled
ones."""
import json
import os
import signal
import subprocess
import threading
import time
import unittest

from cli_support import CLI, Terminal, main
from fault_registry import FaultRegistry
from registry_support import READY, REGISTRY, DockerRegistry, RegistryTest, gguf, model

MIB = 1 << 20


@unittest.skipUnless(READY and REGISTRY, "the programs or docker-registry are missing")
class Spellings(RegistryTest):
    """One model, twelve names; the registry is the default one."""

    def setUp(self):
        super().setUp()
        self.registry = DockerRegistry(os.path.join(self.home, "registry"))
        self.addCleanup(self.registry.stop)
        self.env["DEFAULT_REGISTRY"] = self.registry.host
        self.env["INSECURE_REGISTRY"] = "true"
        self.daemon = self.runner()
        self.file = gguf(MIB, out=os.path.join(self.home, "m.gguf"))
        self.ok("package", "--gguf", self.file, "ai/tiny:latest")
        self.id = json.loads(self.ok("inspect", "tiny"))["id"]
        self.ok("push", "ai/tiny:latest")
        self.full = f"{self.registry.host}/ai/tiny:latest"

    def names(self, digests=True, ids=True):
        host = self.registry.host
        out = ["tiny", "tiny:latest", "ai/tiny", "ai/tiny:latest", f"{host}/ai/tiny:latest", f"{host}/ai/tiny"]
        if digests:
            out += [n + "@" + self.id for n in ("tiny", "ai/tiny", f"{host}/ai/tiny")]
        if ids:
            out += [self.id, self.id[7:19], self.id[7:]]
        return out

    def tags(self):
        return json.loads(self.ok("inspect", self.id)).get("tags")

    def test_inspect(self):
        for name in self.names():
            with self.subTest(name):
                found = json.loads(self.ok("inspect", name))
                self.assertEqual((found["id"], found["tags"]), (self.id, [self.full]))
        for name in ("nothere", "other/tiny", "tiny:v2", "0123456789ab", "tiny@sha256:" + "0" * 64):
            self.assertIn("not found", self.fails("inspect", name))

    def test_pull(self):
        for name in self.names(ids=False):
            with self.subTest(name):
                self.ok("rm", "-f", self.id)
                self.assertEqual(self.ok("ls", "--json"), "[]\n")
                self.ok("pull", name)
                found = json.loads(self.ok("ls", "--json"))
                self.assertEqual([m["id"] for m in found], [self.id])
                if "@" not in name:
                    self.assertEqual(found[0]["tags"], [self.full])
        self.assertRegex(self.fails("pull", "nothere"), "MANIFEST_UNKNOWN|NAME_UNKNOWN")
        self.verify_clean()

    def test_pull_by_upper_case(self):
        self.ok("rm", "-f", self.id)
        self.ok("pull", "AI/Tiny")
        self.assertEqual(self.tags(), [self.full])

    def test_tag(self):
        host = self.registry.host
        expected = {self.full}
        for source, target, tag in (("tiny", "ai/second", f"{host}/ai/second:latest"),
                                    ("ai/tiny:latest", "org/third:v3", f"{host}/org/third:v3"),
                                    (self.id, f"{host}/x/fourth", f"{host}/x/fourth:latest"),
                                    (self.id[7:19], "reg.example:5000/y/fifth:z", "reg.example:5000/y/fifth:z"),
                                    ("tiny@" + self.id, "sixth", f"{host}/ai/sixth:latest"),
                                    ("tiny", "tiny:v1", f"{host}/ai/tiny:v1"),
                                    ("tiny:v1", "tiny:v12", f"{host}/ai/tiny:v12")):
            with self.subTest(target):
                self.ok("tag", source, target)
                expected.add(tag)
                self.assertEqual(set(self.tags()), expected)
        self.fails("tag", "nothere", "x")
        self.fails("tag", "tiny", "invalid:reference:format")

    def test_push(self):
        host = self.registry.host
        for target in ("ai/copy:v1", f"{host}/org/copy"):
            with self.subTest(target):
                self.ok("tag", "tiny", target)
                self.assertIn("Model pushed successfully", self.ok("push", target))
                self.ok("rm", "-f", self.id)
                self.ok("pull", target)
                self.assertEqual(json.loads(self.ok("inspect", target))["id"], self.id)
                self.ok("tag", target, "tiny")
        for bad in ("nothere", "invalid:reference:format"):
            self.fails("push", bad)

    def test_rm(self):
        for name in self.names():
            with self.subTest(name):
                out = self.ok("rm", name)
                self.assertEqual(out, f"Untagged: {self.full}\nDeleted: {self.id}\n")
                self.assertEqual(self.ok("ls", "--json"), "[]\n")
                self.ok("package", "--gguf", self.file, "tiny")
                self.id = json.loads(self.ok("inspect", "tiny"))["id"]
        self.ok("tag", "tiny", "org/second")
        self.ok("tag", "tiny", "org/third")
        self.assertIn("(must be forced) due to multiple tag references", self.fails("rm", self.id))
        self.ok("rm", "tiny")
        self.assertEqual(self.tags(), [f"{self.registry.host}/org/second:latest", f"{self.registry.host}/org/third:latest"])
        self.ok("rm", "org/second", "org/third")
        self.assertEqual(self.ok("ls", "--json"), "[]\n")
        for args in (["nothere"], ["-f", "nothere"], [""], ["invalid:reference:format"], ["-f", "0123456789ab"]):
            self.fails("rm", *args)
        self.ok("package", "--gguf", self.file, "tiny")
        self.id = json.loads(self.ok("inspect", "tiny"))["id"]
        self.ok("tag", "tiny", "org/second")
        self.ok("rm", "-f", self.id)
        self.assertEqual(self.ok("ls", "--json"), "[]\n")
        self.verify_clean()

    def test_package(self):
        self.ok("package", "--gguf", self.file, "--context-size", "4096", "org/ctx:4k")
        self.assertEqual(json.loads(self.ok("inspect", "org/ctx:4k"))["config"]["context_size"], 4096)
        self.ok("push", "org/ctx:4k")
        before = json.loads(self.ok("inspect", "org/ctx:4k"))
        self.ok("rm", "org/ctx:4k")
        self.ok("pull", "org/ctx:4k")
        self.assertEqual(json.loads(self.ok("inspect", "org/ctx:4k")), before)
        self.verify_clean()

    def test_updated_tag(self):
        """The tag moves at the registry: the new model has the name, the old one stays without it."""
        self.ok("package", "--gguf", self.file, "--context-size", "64", "ai/tiny:latest")
        new = json.loads(self.ok("inspect", "tiny"))["id"]
        self.ok("push", "tiny")
        second = self.runner()
        self.ok("pull", "tiny")
        self.assertEqual([m["id"] for m in second.models()], [new])
        self.env["MODEL_RUNNER_HOST"] = "unix://" + self.daemon.socket
        self.ok("rm", "tiny")
        self.ok("tag", self.id, "tiny")
        self.ok("pull", "tiny")
        found = {m["id"]: m.get("tags") for m in self.daemon.models()}
        self.assertEqual(found[new], [self.full])
        self.assertFalse(found.get(self.id))


@unittest.skipUnless(READY, "the programs are not built")
class Interrupted(RegistryTest):
    """Pulls from a slow registry that counts."""

    def setUp(self):
        super().setUp()
        self.registry = FaultRegistry()
        self.addCleanup(self.registry.close)
        self.model = self.registry.add("acme/m", model(48 * MIB, seed=7), "v1")
        self.layer = self.model.layers[0]
        self.size = len(self.model.blobs[self.layer])
        self.name = f"{self.registry.host}/acme/m:v1"

    def wait_sent(self, n, seconds=30):
        end = time.monotonic() + seconds
        while self.registry.sent(self.layer) < n:
            self.assertLess(time.monotonic(), end, "the download does not go on")
            time.sleep(0.01)

    def whole(self, daemon):
        self.assertEqual([m["id"] for m in daemon.models()], [self.model.id])
        with open(os.path.join(daemon.store, "blobs", "sha256", self.layer[7:]), "rb") as f:
            self.assertEqual(f.read(), self.model.blobs[self.layer])
        names = os.listdir(os.path.join(daemon.store, "blobs", "sha256"))
        self.assertEqual(sorted(names), sorted(d[7:] for d in self.model.blobs))
        self.verify_clean(daemon)

    def in_background(self, *args):
        p = subprocess.Popen([CLI, *args], env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self.addCleanup(lambda: p.poll() is None and (p.kill(), p.wait()))
        self.addCleanup(p.stdout.close)
        return p

    def test_killed_in_the_middle(self):
        daemon = self.runner()
        for part in (0.25, 0.5, 0.75):
            self.registry.hold_at = int(part * self.size) + MIB  # the manifest counts, too
            p = self.in_background("pull", self.name)
            self.wait_sent(part * self.size)
            daemon.kill()
            p.kill()
            p.wait()
            daemon.start()
            self.assertEqual(daemon.models(), [])
            self.verify_clean(daemon)
        self.registry.hold_at = 0
        self.assertIn("Model pulled successfully", self.ok("pull", self.name))
        self.whole(daemon)
        # What was received is noted every 8 MiB, and some was on its way. Without resuming it would be 36 MiB or more.
        twice = self.registry.sent(self.layer) - self.size
        self.assertLess(twice, 32 * MIB)

    def test_client_killed(self):
        self.registry.hold_at = self.size // 2 + MIB
        daemon = self.runner()
        p = self.in_background("pull", self.name)
        self.wait_sent(self.size // 2)
        p.kill()
        p.wait()
        self.hangs_up()
        self.assertEqual(daemon.models(), [])
        self.registry.hold_at = 0
        self.ok("pull", self.name)
        self.whole(daemon)
        self.assertLess(self.registry.sent(self.layer), self.size + 16 * MIB)

    def hangs_up(self, seconds=30):
        """The registry, which holds the rest back, has nobody left to send it to."""
        end = time.monotonic() + seconds
        while not self.registry.is_quiet():
            self.assertLess(time.monotonic(), end, "the download goes on for nobody")
            time.sleep(0.01)

    def test_ctrl_c(self):
        self.registry.hold_at = self.size // 4 + MIB
        daemon = self.runner()
        t = Terminal([CLI, "pull", self.name], self.env)
        self.addCleanup(t.close)
        self.wait_sent(self.size // 4)
        t.send(b"\x03")
        self.assertIn(t.wait(), (130, -signal.SIGINT))
        self.hangs_up()
        self.assertEqual(daemon.models(), [])
        self.verify_clean(daemon)

    def test_two_clients_share(self):
        self.registry.hold_at = self.size // 2 + MIB
        daemon = self.runner()
        pulls = [self.in_background("pull", self.name)]
        self.wait_sent(self.size // 4)
        pulls.append(self.in_background("pull", self.name))
        self.assertIn("Downloaded", pulls[1].stdout.readline())
        # The first one leaves: the pull belongs to both.
        pulls[0].send_signal(signal.SIGINT)
        pulls[0].wait(30)
        self.registry.hold_at = 0
        out, _ = pulls[1].communicate(timeout=60)
        self.assertEqual(pulls[1].returncode, 0, out)
        self.assertIn("Model pulled successfully", out)
        self.whole(daemon)
        self.assertLess(self.registry.sent(self.layer), self.size + 16 * MIB)

    def test_two_daemons_one_store(self):
        self.registry.rate = 8 * MIB
        first = self.runner()
        second = self.runner(store=first.store)
        results = {}

        def pull(daemon):
            results[daemon] = daemon.pull(self.name)
        threads = [threading.Thread(target=pull, args=(d,)) for d in (first, second)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for daemon in (first, second):
            self.assertTrue(results[daemon].ok, results[daemon].message)
            self.assertEqual(results[daemon].backwards(), [])
        self.whole(first)
        self.assertLess(self.registry.sent(self.layer), self.size + 16 * MIB)

    def test_two_models_one_layer(self):
        other = model(48 * MIB, seed=7, licence=b"free")
        self.registry.add("acme/other", other, "v1")
        self.registry.rate = 16 * MIB
        daemon = self.runner()
        pulls = [self.in_background("pull", n) for n in (self.name, f"{self.registry.host}/acme/other:v1")]
        for p in pulls:
            out, _ = p.communicate(timeout=60)
            self.assertEqual(p.returncode, 0, out)
        self.assertEqual({m["id"] for m in daemon.models()}, {self.model.id, other.id})
        self.verify_clean(daemon)
        self.assertLess(self.registry.sent(self.layer), self.size + 16 * MIB)

    def test_cached(self):
        daemon = self.runner()
        self.ok("pull", self.name)
        before = len(self.registry.asked("/blobs/"))
        self.assertIn("Using cached model: ", self.ok("pull", self.name))
        self.assertEqual(len(self.registry.asked("/blobs/")), before)
        # A blob that went bad is not called cached for long: verify says so, and the next pull mends it.
        path = os.path.join(daemon.store, "blobs", "sha256", self.layer[7:])
        os.chmod(path, 0o644)
        with open(path, "r+b") as f:
            f.seek(30 * MIB)
            f.write(b"flip")
        self.assertNotEqual(self.cli("verify").returncode, 0)
        self.ok("pull", self.name)
        self.whole(daemon)

    def test_progress_on_a_pipe_and_quiet(self):
        self.registry.rate = 16 * MIB
        self.runner()
        out = self.ok("pull", self.name)
        self.assertNotIn("\x1b", out)
        self.assertNotIn("\r", out)
        self.ok("rm", self.name)
        self.assertLessEqual(len(self.ok("pull", "--quiet", self.name).splitlines()), 1)

    def test_progress_on_a_terminal(self):
        self.registry.rate = 8 * MIB
        self.runner()
        t = Terminal([CLI, "pull", self.name], self.env)
        self.addCleanup(t.close)
        t.expect(rb"MB", 20)
        t.expect(rb"Model pulled successfully", 30)
        self.assertEqual(t.wait(), 0)

    def test_peak_of_memory(self):
        self.registry.add("acme/big", model(160 * MIB, seed=8), "v1")
        daemon = self.runner()
        self.assertTrue(daemon.pull(f"{self.registry.host}/acme/big:v1").ok)
        self.assertLess(daemon.memory(), 48)


if __name__ == "__main__":
    main()
