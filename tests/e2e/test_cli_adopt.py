#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docker-model adopt with the real runner: what other programs keep, as they keep it, and what strangers could put there."""
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import unittest

from cli_support import BUILD, DEMO, RunnerTest, main


class Adopt(RunnerTest):
    def setUp(self):
        super().setUp()
        for name in ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "OLLAMA_MODELS", "XDG_CACHE_HOME"):
            self.env.pop(name, None)
        self.hub = os.path.join(self.home, ".cache", "huggingface", "hub")

    def put(self, path, source=DEMO):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        shutil.copy(source, path)
        return path

    def hugging_face(self, repo, files, commit="c0ffee", hub=None):
        """Blobs named by their hash, and snapshots of links, as huggingface_hub lays them out."""
        top = os.path.join(hub or self.hub, "models--" + repo.replace("/", "--"))
        for name in files:
            with open(DEMO, "rb") as f:
                digest = hashlib.sha256(f.read()).hexdigest()
            blob = self.put(os.path.join(top, "blobs", digest + str(len(name))))
            link = os.path.join(top, "snapshots", commit, name)
            os.makedirs(os.path.dirname(link), exist_ok=True)
            os.symlink(os.path.relpath(blob, os.path.dirname(link)), link)
        return top

    def ollama(self, name, root=None, license_text=None, more=()):
        root = root or os.path.join(self.home, ".ollama", "models")

        def blob(data):
            digest = hashlib.sha256(data).hexdigest()
            path = os.path.join(root, "blobs", "sha256-" + digest)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as f:
                f.write(data)
            return "sha256:" + digest
        with open(DEMO, "rb") as f:
            layers = [{"mediaType": "application/vnd.ollama.image.model", "digest": blob(f.read())}]
        if license_text:
            layers.append({"mediaType": "application/vnd.ollama.image.license", "digest": blob(license_text)})
        layers.append({"mediaType": "application/vnd.ollama.image.template", "digest": blob(b"{{ .Prompt }}")})
        layers += [{"mediaType": "application/vnd.ollama.image." + kind, "digest": blob(data)} for kind, data in more]
        path = os.path.join(root, "manifests", *name.split("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            json.dump({"schemaVersion": 2, "config": {"digest": blob(b'{"file_type": "Q4_0"}')}, "layers": layers}, f)
        return path

    def found(self):
        return {m["name"]: m for m in json.loads(self.ok("adopt", "--json"))}

    def test_nothing_there(self):
        self.assertEqual(self.ok("adopt"), "No models of Hugging Face, Ollama or LM Studio were found.\n")
        self.assertIn("no other program here has it", self.fails("adopt", "ollama/x"))
        self.assertIn("exclude each other", self.fails("adopt", "--all", "x"))

    def test_finds_and_adopts(self):
        self.hugging_face("Org/Small-GGUF", ["small-Q4_K_M.gguf", "sub/small-Q8_0.gguf"])
        self.ollama("registry.ollama.ai/library/tiny/1b", license_text=b"do what you like")
        self.ollama("registry.ollama.ai/somebody/own/latest")
        self.put(os.path.join(self.home, ".lmstudio", "models", "lms", "Repo", "m-F16.gguf"))
        found = self.found()
        self.assertEqual(sorted((m["name"], m["source"], m["quantization"]) for m in found.values()), [
            ("hf.co/Org/Small-GGUF:Q4_K_M", "Hugging Face", "Q4_K_M"),
            ("hf.co/Org/Small-GGUF:Q8_0", "Hugging Face", "Q8_0"),
            ("hf.co/lms/Repo:F16", "LM Studio", "F16"),
            ("ollama/somebody/own:latest", "Ollama", "Q4_0"),
            ("ollama/tiny:1b", "Ollama", "Q4_0")])
        self.assertTrue(all(m["size"] == os.path.getsize(DEMO) for m in found.values()))
        table = self.ok("adopt")
        self.assertRegex(table, r"(?m)^ollama/tiny:1b +Ollama +Q4_0 +[\d.]+MB")
        self.assertEqual(self.ok("ls", "--json"), "[]\n")

        # One by name, in the form in which it would be pulled.
        self.assertEqual(self.ok("adopt", "hf.co/Org/Small-GGUF:Q4_K_M"),
                         "Adopted hf.co/Org/Small-GGUF:Q4_K_M from Hugging Face\n")
        self.assertIn("already", self.ok("adopt", "hf.co/org/small-gguf:Q4_K_M"))
        self.assertTrue(self.found()["hf.co/Org/Small-GGUF:Q4_K_M"]["adopted"])
        self.assertIn("demo", self.ok("run", "hf.co/Org/Small-GGUF:Q4_K_M", "Hello, who are you?"))
        # The rest. All are the same file, so the store grew by nothing but texts.
        out = self.ok("adopt", "--all")
        self.assertEqual(out.count("Adopted"), 4, out)
        self.assertIn("in the store already", out)
        self.ok("verify")
        with open(os.path.join(self.store, "manifests", "sha256",
                               json.loads(self.ok("inspect", "ollama/tiny:1b"))["id"][7:])) as f:
            self.assertEqual([l["mediaType"].rsplit(".", 1)[1] for l in json.load(f)["layers"]], ["v3", "license"])
        # What the others do with their files is their business.
        shutil.rmtree(os.path.join(self.home, ".cache"))
        shutil.rmtree(os.path.join(self.home, ".ollama"))
        self.assertIn("demo", self.ok("run", "ollama/tiny:1b", "Hello, who are you?"))

    def test_places_that_variables_name(self):
        hub, ollama = os.path.join(self.home, "a"), os.path.join(self.home, "b")
        self.hugging_face("o/r", ["r.gguf"], hub=os.path.join(hub, "hub"))
        self.ollama("registry.ollama.ai/library/x/latest", root=ollama)
        self.env["HF_HOME"], self.env["OLLAMA_MODELS"] = hub, ollama
        self.assertEqual(sorted(self.found()), ["hf.co/o/r", "ollama/x:latest"])

    def test_lm_studio_elsewhere(self):
        """Where its home is, and where its models are, its own files say."""
        moved, folder = os.path.join(self.home, "moved"), os.path.join(self.home, "disk2")
        self.put(os.path.join(moved, "models", "p", "A", "a-Q4_0.gguf"))
        self.put(os.path.join(folder, "p", "B", "b-Q8_0.gguf"))
        with open(os.path.join(self.home, ".lmstudio-home-pointer"), "w") as f:
            f.write(moved + "\n")
        self.assertEqual(list(self.found()), ["hf.co/p/A:Q4_0"])
        for text, names in [(json.dumps({"downloadsFolder": folder}), ["hf.co/p/A:Q4_0", "hf.co/p/B:Q8_0"]),
                            ('{"downloadsFolder": "relative"}', ["hf.co/p/A:Q4_0"]),
                            ('{"downloadsFolder": 7}', ["hf.co/p/A:Q4_0"]), ("{", ["hf.co/p/A:Q4_0"])]:
            with open(os.path.join(moved, "settings.json"), "w") as f:
                f.write(text)
            self.assertEqual(list(self.found()), names)

    def test_two_files_of_one_kind(self):
        top = os.path.join(self.home, ".lmstudio", "models", "p", "R")
        for name in ("a.gguf", "b.gguf", "c-Q8_0.gguf", "d-Q8_0.gguf"):
            self.put(os.path.join(top, name))
        self.assertEqual(sorted(self.found()), ["hf.co/p/R", "hf.co/p/R:Q8_0", "hf.co/p/R:b", "hf.co/p/R:d-Q8_0"])
        # An older snapshot of a file is no second model.
        self.hugging_face("o/r", ["r-Q4_0.gguf"], commit="one")
        self.hugging_face("o/s", ["s-Q4_0.gguf"], commit="one")
        repo = os.path.join(self.hub, "models--o--s", "snapshots")
        shutil.copytree(os.path.join(repo, "one"), os.path.join(repo, "two"), symlinks=True)
        self.assertEqual([n for n in self.found() if n.startswith("hf.co/o/")], ["hf.co/o/r:Q4_0", "hf.co/o/s:Q4_0"])

    def test_dry_run(self):
        self.ollama("registry.ollama.ai/library/tiny/1b")
        self.assertEqual(self.ok("adopt", "--dry-run", "--all"), "Would adopt ollama/tiny:1b from Ollama\n")
        self.assertEqual(self.ok("adopt", "-n", "ollama/tiny:1b"), "Would adopt ollama/tiny:1b from Ollama\n")
        self.assertIn("ollama/tiny:1b", self.ok("adopt", "--dry-run"))
        self.assertEqual(self.ok("ls", "--json"), "[]\n")

    def test_what_ollama_has_besides(self):
        """Licences come along, what is written for Ollama alone is named, and half a model is not adopted."""
        self.ollama("registry.ollama.ai/library/full/latest", license_text=b"first",
                    more=[("license", b"second"), ("params", b"{}"), ("system", b"be nice")])
        self.ollama("registry.ollama.ai/library/lora/latest", more=[("adapter", b"x")])
        self.ollama("registry.ollama.ai/library/blind/latest", more=[("projector", b"x")])
        out = self.ok("adopt", "ollama/full")
        self.assertIn("without its template, params, system", out)
        with open(os.path.join(self.store, "manifests", "sha256",
                               json.loads(self.ok("inspect", "ollama/full"))["id"][7:])) as f:
            self.assertEqual([l["mediaType"].rsplit(".", 1)[1] for l in json.load(f)["layers"]], ["v3", "license", "license"])
        self.assertIn("adapter", self.fails("adopt", "ollama/lora"))
        self.assertIn("projector", self.fails("adopt", "ollama/blind"))
        self.assertRegex(self.ok("adopt"), r"ollama/lora:latest .*cannot be")

    def test_licence_that_is_a_link(self):
        """A link in Ollama's blobs does not bring another file into a model that may be pushed later."""
        self.ollama("registry.ollama.ai/library/x/latest", license_text=b"text")
        blobs = os.path.join(self.home, ".ollama", "models", "blobs")
        secret = os.path.join(self.home, "secret")
        with open(secret, "w") as f:
            f.write("secret")
        path = os.path.join(blobs, "sha256-" + hashlib.sha256(b"text").hexdigest())
        os.unlink(path)
        os.symlink(secret, path)
        self.assertIn("without its licenses, template", self.ok("adopt", "ollama/x"))
        self.ok("verify")
        self.assertNotIn(hashlib.sha256(b"secret").hexdigest(), os.listdir(os.path.join(self.store, "blobs", "sha256")))

    @unittest.skipUnless(os.path.isdir("/dev/shm") and os.stat("/dev/shm").st_dev != os.stat("/tmp").st_dev,
                         "no second file system to adopt from")
    def test_another_file_system(self):
        """A copy of many gigabytes is made for nobody who did not ask for it."""
        with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
            self.ollama("registry.ollama.ai/library/far/latest", root=other)
            self.env["OLLAMA_MODELS"] = other
            self.assertRegex(self.fails("adopt", "ollama/far"), "without --copy.*can only be copied")
            self.assertEqual(self.ok("ls", "--json"), "[]\n")
            self.assertIn("Adopted", self.ok("adopt", "--copy", "ollama/far"))
            self.assertIn("already", self.ok("adopt", "ollama/far"))
        self.ok("verify")

    def test_shards_and_projector(self):
        top = os.path.join(self.home, ".lmstudio", "models", "p", "R")
        os.makedirs(top)
        subprocess.run([os.path.join(BUILD, "tools", "make_tiny_model"), "--parts", "2",
                        os.path.join(top, "big-Q8_0-00001-of-00002.gguf")], check=True, stdout=subprocess.DEVNULL)
        self.put(os.path.join(top, "lone-Q4_0-00001-of-00003.gguf"))
        subprocess.run([os.path.join(BUILD, "tools", "make_tiny_mmproj"), os.path.join(top, "mmproj-R.gguf")], check=True)
        found = self.found()
        self.assertEqual(list(found), ["hf.co/p/R:Q8_0"])
        self.ok("adopt", "--all")
        with open(os.path.join(self.store, "manifests", "sha256",
                               json.loads(self.ok("inspect", "hf.co/p/R:Q8_0"))["id"][7:])) as f:
            kinds = [l["mediaType"].split("docker.ai.")[1] for l in json.load(f)["layers"]]
        self.assertEqual(kinds, ["gguf.v3", "gguf.v3", "mmproj"])

    def test_hostile_trees(self):
        secret = self.put(os.path.join(self.home, "secret.gguf"))
        top = self.hugging_face("o/r", ["good-Q8_0.gguf"])
        snapshot = os.path.join(top, "snapshots", "c0ffee")
        os.symlink(secret, os.path.join(snapshot, "out-Q4_0.gguf"))          # out of the repository
        os.symlink("../../../..", os.path.join(snapshot, "up"))               # a folder that is a link
        os.symlink("loop.gguf", os.path.join(snapshot, "loop.gguf"))
        os.mkfifo(os.path.join(snapshot, "pipe-Q5_0.gguf"))                   # would wait for ever
        with open(os.path.join(snapshot, "text-Q6_K.gguf"), "w") as f:
            f.write("no model")
        deep = snapshot
        for _ in range(30):
            deep = os.path.join(deep, "d")
        self.put(os.path.join(deep, "deep-Q2_K.gguf"))
        os.makedirs(os.path.join(self.hub, "models--o--r--x"))                # no snapshots
        os.makedirs(os.path.join(self.hub, "models--lonely"))
        # Ollama's manifests: digests with paths in them, other shapes, no JSON.
        root = os.path.join(self.home, ".ollama", "models")
        os.makedirs(os.path.join(root, "manifests", "h", "n", "m"))
        for tag, body in [("a", {"layers": [{"mediaType": "application/vnd.ollama.image.model",
                                             "digest": "sha256:../../../secret.gguf"}]}),
                          ("b", {"layers": "no"}), ("c", []), ("d", None)]:
            with open(os.path.join(root, "manifests", "h", "n", "m", tag), "w") as f:
                f.write(json.dumps(body) if body is not None else "{")
        self.assertEqual(list(self.found()), ["hf.co/o/r:Q8_0"])
        # A damaged one does not keep the good one out.
        bad = os.path.join(self.home, ".lmstudio", "models", "p", "R", "bad-Q4_0.gguf")
        os.makedirs(os.path.dirname(bad))
        with open(bad, "wb") as f:
            f.write(b"GGUF" + b"\xff" * 50)
        done = self.cli("adopt", "--all")
        self.assertEqual(done.returncode, 1)
        self.assertIn("hf.co/p/R:Q4_0", done.stderr)
        self.assertIn("Adopted hf.co/o/r:Q8_0", done.stdout)


if __name__ == "__main__":
    main()
