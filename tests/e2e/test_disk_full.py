#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A full disk: package, pull, load, tag, rm and prune on a small file system that has room for less than they need.

Each of them must either succeed or fail with a sentence that says that space is short; what was there
before must be whole afterwards, nothing half-made may stay, and rm and prune must work when not a byte
is left. The file system is a tmpfs in a mount namespace of the test's own; where that is not allowed
(neither root nor user namespaces), the test says so.
"""
import json
import os
import shutil
import subprocess
import sys
import unittest

from cli_support import main
from registry_support import REGISTRY, DockerRegistry, RegistryTest, gguf

MIB = 1 << 20
ROOMY = 40 * MIB
# What is left on the disk when an operation begins: nothing, less than a block, the size of a config,
# of an index, of some chunks, just too little for the model, enough (for a pull with the room it keeps).
LEFT = [0, 1 << 10, 8 << 10, 40 << 10, 300 << 10, MIB, 2 * MIB - (64 << 10), 4 * MIB, 24 * MIB]


@unittest.skipUnless(os.environ.get("MR_MOUNTED"), "no mount namespace: not root, and no user namespaces")
class DiskFull(RegistryTest):
    def setUp(self):
        super().setUp()
        self.disk = os.path.join(self.home, "disk")
        os.makedirs(self.disk)
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOMY}", "none", self.disk], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", self.disk], check=True)
        self.store = os.path.join(self.disk, "models")
        self.server = self.runner(self.store)
        self.files = [gguf(2 * MIB, seed=i, out=os.path.join(self.home, f"m{i}.gguf")) for i in range(3)]
        self.ok("package", "--gguf", self.files[0], "kept")

    def leave(self, left):
        """Fills the disk but for `left` bytes."""
        path = os.path.join(self.disk, "ballast")
        with open(path, "wb", buffering=0) as f:
            fs = os.statvfs(self.disk)
            size = max(fs.f_bavail * fs.f_frsize - left, 0)
            chunk = bytes(MIB)
            while size > 0:
                try:
                    n = f.write(chunk[:size])
                except OSError:
                    break
                size -= n

    def relieve(self):
        os.unlink(os.path.join(self.disk, "ballast"))

    def names(self):
        return sorted(tag for m in json.loads(self.ok("ls", "--json")) for tag in m.get("tags", []))

    def files_of_store(self):
        return sorted(os.path.relpath(os.path.join(d, f), self.store)
                      for d, _, fs in os.walk(self.store) for f in fs if not f.startswith(".model-runner"))

    def squeeze(self, name, *command, keeps_partial=False, stdin=None):
        """The command with less and less missing; `name` appears if and only if it succeeds."""
        before, files = self.names(), self.files_of_store()
        outcomes = set()
        for left in LEFT:
            self.leave(left)
            done = self.cli(*command, stdin=open(stdin, "rb") if stdin else subprocess.DEVNULL)
            listed = self.names()  # listing needs no space
            self.relieve()
            outcomes.add(done.returncode)
            what = f"{command} with {left} bytes left: {done.stdout}{done.stderr}"
            if done.returncode == 0:
                self.assertEqual(listed, sorted(before + [name]), what)
                self.ok("rm", name)
            else:
                self.assertEqual(done.returncode, 1, what)
                self.assertRegex(done.stdout + done.stderr, r"(?i)space", what)
                self.assertEqual(listed, before, what)
            self.ok("verify")
            self.assertIsNone(self.server.process.poll(), what)
            left_over = [f for f in self.files_of_store() if f not in files]
            if not keeps_partial:
                self.assertEqual(left_over, [], what)
        self.assertEqual(outcomes, {0, 1}, f"neither too little nor enough was tried: {what}")
        # With room it works at once, and there is nothing to clean up by hand.
        self.ok(*command)
        self.ok("verify")
        self.ok("rm", name)
        self.ok("prune", "--force")
        self.assertEqual(self.files_of_store(), files)

    def test_package(self):
        self.squeeze("docker.io/ai/new:latest", "package", "--gguf", self.files[1], "new")

    def test_variant(self):
        template = os.path.join(self.home, "t.jinja")
        with open(template, "w") as f:
            f.write("{{ messages }}" * 20000)
        self.squeeze("docker.io/ai/new:latest", "package", "--from", "kept", "--chat-template", template, "new")

    def test_load(self):
        self.ok("package", "--gguf", self.files[1], "new")
        archive = os.path.join(self.home, "new.tar")
        self.ok("save", "new", "-o", archive)
        self.ok("rm", "new")
        self.squeeze("docker.io/ai/new:latest", "load", "-i", archive)

    @unittest.skipUnless(REGISTRY, "docker-registry is not installed")
    def test_pull(self):
        registry = DockerRegistry(os.path.join(self.home, "registry"))
        self.addCleanup(registry.stop)
        name = f"{registry.host}/a/new:v1"
        self.ok("package", "--gguf", self.files[1], name)
        self.ok("push", name)
        self.ok("rm", name)
        self.squeeze(name, "pull", name, keeps_partial=True)

    def test_nothing_left_at_all(self):
        self.ok("package", "--gguf", self.files[1], "b")
        self.ok("package", "--gguf", self.files[2], "c")
        self.leave(0)
        fs = os.statvfs(self.disk)
        self.assertEqual(fs.f_bavail, 0)
        self.assertIn("as it should be", self.ok("verify"))
        self.ok("inspect", "b")
        tagged = self.cli("tag", "b", "b:v2")
        if tagged.returncode != 0:
            self.assertRegex(tagged.stderr, r"(?i)space")
        self.assertIn("Deleted", self.ok("rm", "c"))
        self.assertNotIn("docker.io/ai/c:latest", self.names())
        self.ok("prune", "--force")
        self.assertGreaterEqual(os.statvfs(self.disk).f_bavail * fs.f_frsize, 2 * MIB - 4096)
        self.relieve()
        self.ok("verify")
        self.ok("tag", "b", "b:v3")


class FileSizeLimit(RegistryTest):
    """A write that fails in the middle of a file, by a limit on file sizes: it needs no file system of its own."""

    def setUp(self):
        super().setUp()
        self.store = os.path.join(self.home, "models")
        self.archive = os.path.join(self.home, "big.tar")
        big = gguf(2 * MIB, out=os.path.join(self.home, "big.gguf"))
        self.roomy = self.runner(self.store)
        self.ok("package", "--gguf", gguf(MIB // 2, seed=1, out=os.path.join(self.home, "small.gguf")), "kept")
        self.ok("package", "--gguf", big, "big")
        self.ok("save", "big", "-o", self.archive)

    def fails_with_words(self, *command):
        done = self.cli(*command)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertRegex(done.stdout + done.stderr, "File too large")
        self.assertEqual([m["tags"] for m in json.loads(self.ok("ls", "--json"))], [["docker.io/ai/kept:latest"]])
        self.ok("verify")

    def test_writes_that_fail(self):
        name = None
        if REGISTRY:
            registry = DockerRegistry(os.path.join(self.home, "registry"))
            self.addCleanup(registry.stop)
            name = f"{registry.host}/a/big:v1"
            self.ok("tag", "big", name)
            self.ok("push", name)
            self.ok("rm", name)
        self.ok("rm", "big")
        self.roomy.stop()
        limited = self.runner(self.store, wrap=["sh", "-c", 'ulimit -f 2048; exec "$@"', "sh"])
        self.fails_with_words("load", "-i", self.archive)
        if name:
            self.fails_with_words("pull", name)
        self.ok("tag", "kept", "kept:v2")
        self.ok("rm", "kept:v2")
        self.ok("prune", "--force")
        self.assertIsNone(limited.process.poll())
        limited.stop()
        self.runner(self.store)
        self.ok("load", "-i", self.archive)
        self.ok("verify")


def in_own_namespace():
    """Runs this program again where it may mount; where that is not possible, here."""
    for argv in (["unshare", "--mount", "--propagation", "private"],
                 ["unshare", "--map-root-user", "--mount", "--propagation", "private"]):
        if shutil.which("unshare") and subprocess.run([*argv, "mount", "-t", "tmpfs", "none", "/mnt"],
                                                      stderr=subprocess.DEVNULL).returncode == 0:
            os.environ["MR_MOUNTED"] = "1"
            os.execvp(argv[0], [*argv, sys.executable, *sys.argv])


if __name__ == "__main__":
    if not os.environ.get("MR_MOUNTED"):
        in_own_namespace()
    main()
