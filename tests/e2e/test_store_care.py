#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""save, load, verify, prune, adopt: docker-model and the real runner on stores in a fake HOME."""
import glob
import hashlib
import io
import json
import os
import shutil
import struct
import subprocess
import tarfile
import unittest

from cli_support import CLI, RUNNER, RunnerTest, main

GGUF_U32, GGUF_STRING = 4, 8


def gguf(path, seed=0, extra=()):
    """A small GGUF file: architecture llama, one F32 tensor whose content depends on the seed."""
    def text(s):
        return struct.pack("<Q", len(s)) + s.encode()
    kv = [("general.architecture", GGUF_STRING, "llama"), ("general.file_type", GGUF_U32, 0),
          ("llama.context_length", GGUF_U32, 4096), *extra]
    out = b"GGUF" + struct.pack("<IQQ", 3, 1, len(kv))
    for key, kind, value in kv:
        out += text(key) + struct.pack("<I", kind)
        out += text(value) if kind == GGUF_STRING else struct.pack("<I", value)
    out += text("t") + struct.pack("<IQQIQ", 2, 8, 64, 0, 0)
    out += b"\0" * (-len(out) % 32)
    out += struct.pack("<512f", *(float(seed + i) for i in range(512)))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(out)
    os.utime(path, (1700000000, 1700000000))  # which is part of what is packaged
    return path


@unittest.skipUnless(os.access(RUNNER, os.X_OK), "the runner is not built")
class StoreCare(RunnerTest):
    def path(self, *parts):
        return os.path.join(self.home, *parts)

    def package(self, name, seed=0):
        self.ok("package", "--gguf", gguf(self.path(f"m{seed}.gguf"), seed), name)

    def blobs(self):
        return sorted(os.listdir(os.path.join(self.store, "blobs", "sha256")))

    def ids(self):
        return {tag: m["id"] for m in json.loads(self.ok("ls", "--json")) for tag in m.get("tags", [])}

    def weights(self, name):
        """The path of the largest blob of a model."""
        manifest = os.path.join(self.store, "manifests", "sha256", self.ids()[name][7:])
        with open(manifest) as f:
            layers = json.load(f)["layers"]
        digest = max(layers, key=lambda l: l["size"])["digest"]
        return os.path.join(self.store, "blobs", "sha256", digest[7:])

    # ---- save and load ----

    def test_save_and_load(self):
        self.package("one:v1", 1)
        self.package("org/two", 2)
        self.ok("tag", "one:v1", "same:x")
        before = self.ids()
        archive = self.path("all.tar")
        self.assertEqual(self.ok("save", "one:v1", "same:x", "org/two", "-o", archive), "")
        self.assertEqual(glob.glob(archive + ".*"), [])
        with tarfile.open(archive) as t:
            names = t.getnames()
            index = json.load(t.extractfile("index.json"))
            for n in names:
                if n.startswith("blobs/sha256/"):
                    self.assertEqual(hashlib.sha256(t.extractfile(n).read()).hexdigest(), n[13:])
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(names[:2], ["oci-layout", "index.json"])
        self.assertEqual({m["annotations"]["org.opencontainers.image.ref.name"]: m["digest"]
                          for m in index["manifests"]}, before)
        # The same to a pipe.
        piped = subprocess.run([CLI, "save", "one:v1", "same:x", "org/two"], env=self.env, capture_output=True)
        with open(archive, "rb") as f:
            self.assertEqual(piped.stdout, f.read())

        for name in ("one:v1", "same:x", "org/two"):
            self.ok("rm", name)
        self.assertEqual(self.blobs(), [])
        self.assertEqual(sorted(self.ok("load", "-i", archive).splitlines()),
                         sorted("Loaded model: " + n for n in before))
        self.assertEqual(self.ids(), before)
        self.assertEqual(self.ok("verify"), "Everything is as it should be.\n")
        with open(archive, "rb") as f:  # again, as a stream
            again = subprocess.run([CLI, "load", "-q"], env=self.env, stdin=f, capture_output=True, text=True)
        self.assertEqual(sorted(again.stdout.split()), sorted(before[m] for m in before), again.stderr)

    def test_skopeo_reads_it(self):
        if not shutil.which("skopeo"):
            self.skipTest("skopeo is not installed")
        self.package("one:v1", 1)
        archive = self.path("one.tar")
        self.ok("save", "one:v1", "-o", archive)
        source = f"oci-archive:{archive}:docker.io/ai/one:v1"
        raw = subprocess.run(["skopeo", "inspect", "--raw", source], capture_output=True, env=self.env)
        self.assertEqual(raw.returncode, 0, raw.stderr)
        self.assertEqual("sha256:" + hashlib.sha256(raw.stdout).hexdigest(), self.ids()["docker.io/ai/one:v1"])
        # And back: what skopeo copies is an archive of its own order.
        copied = self.path("copied.tar")
        done = subprocess.run(["skopeo", "--insecure-policy", "copy", source, f"oci-archive:{copied}:myorg/back:v2"],
                              capture_output=True, text=True, env=self.env)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.ok("load", "-i", copied), "Loaded model: docker.io/myorg/back:v2\n")
        self.assertEqual(len(set(self.ids().values())), 1)

    def test_save_that_fails_leaves_nothing(self):
        self.package("one:v1", 1)
        out = self.path("out", "x.tar")
        os.makedirs(os.path.dirname(out))
        self.assertIn("model not found", self.fails("save", "one:v1", "nothere", "-o", out))
        with open(self.weights("docker.io/ai/one:v1"), "r+b") as f:
            f.seek(-1, 2)
            f.write(b"\xff")
        self.fails("save", "one:v1", "-o", out)
        self.assertEqual(os.listdir(os.path.dirname(out)), [])
        self.fails("save", "one:v1", "-o", self.path("nodir", "x.tar"))

    def test_hostile_archives(self):
        self.package("one:v1", 1)
        good = self.path("good.tar")
        self.ok("save", "one:v1", "-o", good)
        with tarfile.open(good) as t:
            entries = [(m, t.extractfile(m).read() if m.isfile() else b"") for m in t.getmembers()]
        self.ok("rm", "one:v1")
        data = {m.name: d for m, d in entries}
        index = data["index.json"]
        largest = max((n for n in data if n.startswith("blobs/sha256/")), key=lambda n: len(data[n]))

        def archive(items, cut=None):
            out = io.BytesIO()
            with tarfile.open(fileobj=out, mode="w") as t:
                for name, content, *kind in items:
                    info = tarfile.TarInfo(name)
                    info.size = len(content)
                    if kind:
                        info.type, info.linkname, info.size = kind[0], "/etc/passwd", 0
                    t.addfile(info, io.BytesIO(content))
            return out.getvalue()[:cut]

        whole = [(n, d) for n, d in data.items() if d]
        changed = dict(data)
        changed[largest] = data[largest][:-1] + b"\xff"
        cases = {
            "cut": (archive(whole, 3000), "unexpected EOF"),
            "no index": (archive([i for i in whole if i[0] != "index.json"]), "manifest not found"),
            "two indexes": (archive(whole + [("index.json", index)]), "twice"),
            "index is no JSON": (archive([("index.json", b"{")]), "index.json"),
            "no models": (archive([("index.json", b'{"manifests":[]}')]), "no model"),
            "manifest missing": (archive([("index.json", index)]), "not in the archive"),
            "blob missing": (archive([i for i in whole if i[0] != largest]), "missing blob"),
            "blob changed": (archive([i for i in changed.items() if i[1]]), "digest mismatch"),
            "traversal": (archive(whole + [("../../x", b"x")]), "invalid path detected"),
            "link for a blob": (archive([i for i in whole if i[0] != largest] + [(largest, b"", tarfile.SYMTYPE)]),
                                "missing blob"),
            "wrong size of the manifest": (archive([i for i in whole if i[0] != "index.json"] + [
                ("index.json", index.replace(b'"size":', b'"size":1'))]), "bytes instead of"),
            "digest with a path": (archive(whole[:0] + [("index.json", json.dumps({"manifests": [
                {"digest": "sha256:../../../etc/passwd", "size": 1}]}).encode())]), "digest"),
            "no tar": (b"\x1f\x8b" + b"x" * 5000, "load"),
        }
        for what, (content, message) in cases.items():
            done = subprocess.run([CLI, "load"], input=content, env=self.env, capture_output=True)
            self.assertEqual(done.returncode, 1, what)
            self.assertIn(message, done.stderr.decode(), what)
            self.assertEqual(self.blobs(), [], what)
            self.assertEqual(self.ids(), {}, what)
        # The index at the end, links and directories between: fine.
        mixed = [i for i in whole if i[0] != "index.json"] + [("etc", b"", tarfile.SYMTYPE), ("index.json", index)]
        done = subprocess.run([CLI, "load"], input=archive(mixed), env=self.env, capture_output=True)
        self.assertEqual(done.stdout.decode(), "Loaded model: docker.io/ai/one:v1\n", done.stderr)

    # ---- verify, prune, df ----

    def test_damage_is_found_and_mended(self):
        self.package("one:v1", 1)
        self.package("two:v1", 2)
        self.assertEqual(self.ok("verify", "one:v1"), "Everything is as it should be.\n")
        blob = self.weights("docker.io/ai/one:v1")
        os.chmod(blob, 0o644)
        with open(blob, "r+b") as f:
            f.seek(-1, 2)
            f.write(b"\xff")
        # An engine does not get it: the file is not the one that was hashed.
        answer = self.cli("run", "one:v1", "hi")
        self.assertEqual(answer.returncode, 1)
        self.assertIn("is damaged", answer.stdout + answer.stderr)
        self.assertFalse(os.path.exists(blob))
        self.assertTrue(os.path.exists(blob + ".damaged"))
        bad = self.cli("verify")
        self.assertEqual(bad.returncode, 1)
        self.assertIn("docker model pull docker.io/ai/one:v1", bad.stdout)
        self.assertIn("1 problem found", bad.stderr)
        self.ok("verify", "two:v1")
        # It comes back, and the damaged one goes.
        self.package("one:v1", 1)
        self.assertEqual(self.ok("verify"), "Everything is as it should be.\n")
        self.assertIn("Reclaimable", self.ok("df"))
        self.assertIn("Total reclaimed space: ", self.ok("prune", "-f"))
        self.assertEqual(len(self.blobs()), 4)
        self.assertNotIn("Reclaimable", self.ok("df"))

    def test_silent_damage(self):
        """Bits that change behind the file's back are found by verify."""
        self.package("one:v1", 1)
        blob = self.weights("docker.io/ai/one:v1")
        st = os.stat(blob)
        with open(blob, "r+b") as f:
            f.seek(-1, 2)
            f.write(b"\xff")
        os.utime(blob, ns=(st.st_atime_ns, st.st_mtime_ns))
        self.assertIn("is damaged", self.cli("verify", "one:v1").stdout)
        self.assertTrue(os.path.exists(blob + ".damaged"))

    def test_prune(self):
        self.package("one:v1", 1)
        for name in ("a" * 64, "b" * 64 + ".partial", "c" * 64 + ".incomplete"):
            with open(os.path.join(self.store, "blobs", "sha256", name), "wb") as f:
                f.write(b"x" * 100000)
        self.assertIn("Partial downloads", self.ok("df"))
        self.assertIn("nobody answers", self.fails("prune"))
        self.assertEqual(len(self.blobs()), 5)
        self.assertIn("300", self.ok("prune", "--force"))
        self.assertEqual(len(self.blobs()), 2)
        self.ok("verify")


if __name__ == "__main__":
    main()
