#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docker-model package with the real runner: every source, every form, what is shared and what is refused."""
import hashlib
import json
import os
import shutil
import struct
import subprocess

from cli_support import BUILD, DEMO, RunnerTest, main


class Package(RunnerTest):
    def blobs(self):
        return {name: os.stat(os.path.join(self.store, "blobs", "sha256", name)).st_ino
                for name in os.listdir(os.path.join(self.store, "blobs", "sha256"))}

    def test_package_links(self):
        """The store has the file itself, not a copy; what its owner does with the name does not matter."""
        path = os.path.join(self.home, "linked.gguf")
        shutil.copy(DEMO, path)
        self.ok("package", "--gguf", path, "linked")
        if os.stat(path).st_dev == os.stat(self.store).st_dev:
            with open(path, "rb") as f:
                digest = hashlib.sha256(f.read()).hexdigest()
            # A clone has another inode; which of the two it is, the file system decides.
            self.assertTrue(self.blobs()[digest] == os.stat(path).st_ino or os.stat(path).st_nlink == 1)
        os.unlink(path)
        self.ok("verify", "linked")
        self.assertIn("demo", self.ok("run", "linked", "Hello, who are you?"))

    def test_package_a_file_that_is_written_to_later(self):
        path = os.path.join(self.home, "written.gguf")
        shutil.copy(DEMO, path)
        self.ok("package", "--gguf", path, "written")
        if os.stat(path).st_nlink == 1:
            self.skipTest("this file system clones: the store has a file of its own")
        with open(path, "r+b") as f:
            f.seek(-100, os.SEEK_END)
            f.write(b"x" * 100)
        self.assertIn("damaged", self.fails("run", "written", "Hello"))
        self.assertIn("1 problem found", self.fails("verify"))
        self.assertTrue(os.path.exists(path))
        self.ok("package", "--gguf", DEMO, "written")
        self.assertIn("demo", self.ok("run", "written", "Hello, who are you?"))

    def test_package_from(self):
        with open(os.path.join(self.home, "t.jinja"), "w") as f:
            f.write("{{ messages[0].content }}")
        self.ok("package", "--gguf", DEMO, "base")
        before = self.blobs()
        done = self.cli("package", "--from", "base", "--chat-template", "t.jinja", "--context-size", "128", "variant")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('Reading model from daemon: "base"', done.stderr)
        added = set(self.blobs()) - set(before)
        self.assertEqual(len(added), 2, "a template and a config")
        variant = json.loads(self.ok("inspect", "variant"))
        self.assertEqual(variant["config"]["context_size"], 128)
        self.assertEqual(variant["config"]["architecture"], "llama")
        # A variant of the variant replaces the template instead of adding one.
        with open(os.path.join(self.home, "u.jinja"), "w") as f:
            f.write("{{ messages[0].content }}!")
        self.ok("package", "--from", "variant", "--chat-template", "u.jinja", "second")
        with open(os.path.join(self.store, "manifests", "sha256",
                               json.loads(self.ok("inspect", "second"))["id"][7:])) as f:
            layers = json.load(f)["layers"]
        self.assertEqual([layer["mediaType"].rsplit(".", 2)[-2:] for layer in layers], [["gguf", "v3"], ["template", "jinja"]])
        self.ok("rm", "base")
        self.ok("verify")
        self.assertIn("not found", self.fails("package", "--from", "nothere", "x"))

    def test_package_cncf(self):
        with open(os.path.join(self.home, "L"), "w") as f:
            f.write("do what you like")
        self.ok("package", "--gguf", DEMO, "-l", "L", "--format", "cncf", "pack")
        model = json.loads(self.ok("inspect", "pack"))
        self.assertEqual((model["config"]["format"], model["config"]["architecture"]), ("gguf", "llama"))
        with open(os.path.join(self.store, "manifests", "sha256", model["id"][7:])) as f:
            manifest = json.load(f)
        self.assertEqual(manifest["artifactType"], "application/vnd.cncf.model.manifest.v1+json")
        self.assertEqual(manifest["config"]["mediaType"], "application/vnd.cncf.model.config.v1+json")
        self.assertEqual([layer["mediaType"] for layer in manifest["layers"]],
                         ["application/vnd.cncf.model.weight.v1.raw", "application/vnd.cncf.model.doc.v1.raw"])
        self.assertIn("LICENSE", manifest["layers"][1]["annotations"]["org.cncf.model.filepath"])
        self.assertIn("demo", self.ok("run", "pack", "Hello, who are you?"))
        # And back into Docker's form.
        self.ok("package", "--from", "pack", "unpacked")
        self.assertIn("demo", self.ok("run", "unpacked", "Hello, who are you?"))
        self.assertIn("no context size", self.fails("package", "--gguf", DEMO, "--format", "cncf", "--context-size", "9", "x"))

    def make_safetensors(self, directory, name, tensors, cut=0):
        header, data = {"__metadata__": {"format": "pt"}}, b""
        for tensor, (dtype, shape, size) in tensors.items():
            header[tensor] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + size]}
            data += bytes(size)
        text = json.dumps(header).encode()
        with open(os.path.join(directory, name), "wb") as f:
            f.write((struct.pack("<Q", len(text)) + text + data)[:-cut or None])

    def test_package_safetensors(self):
        directory = os.path.join(self.home, "st")
        os.makedirs(os.path.join(directory, "sub"))
        for name, text in [("config.json", '{"model_type": "llama", "max_position_embeddings": 2048}'),
                           ("tokenizer.json", "{}"), ("sub/x.txt", "x"), (".hidden", "no")]:
            with open(os.path.join(directory, name), "w") as f:
                f.write(text)
        os.symlink("/etc/passwd", os.path.join(directory, "passwd.txt"))
        self.make_safetensors(directory, "model.safetensors", {"a": ("BF16", [10, 10], 200), "b": ("BF16", [7], 14)})
        self.ok("package", "--safetensors-dir", directory, "st")
        config = json.loads(self.ok("inspect", "st"))["config"]
        self.assertEqual({k: config[k] for k in ("format", "quantization", "parameters", "architecture", "context_size")},
                         {"format": "safetensors", "quantization": "BF16", "parameters": "107", "architecture": "llama",
                          "context_size": 2048})
        self.assertEqual(config["safetensors"], {"format": "pt", "tensor_count": "2"})
        with open(os.path.join(self.store, "manifests", "sha256", json.loads(self.ok("inspect", "st"))["id"][7:])) as f:
            manifest = json.load(f)
        self.assertTrue(manifest["config"]["mediaType"].endswith("v0.2+json"))
        self.assertEqual([layer["annotations"]["org.cncf.model.filepath"] for layer in manifest["layers"]],
                         ["config.json", "model.safetensors", "sub/x.txt", "tokenizer.json"])

    def test_package_bad_safetensors(self):
        directory = os.path.join(self.home, "bad")
        os.makedirs(directory)
        self.assertIn("no files found", self.fails("package", "--safetensors-dir", directory, "x"))
        self.make_safetensors(directory, "model-00001-of-00002.safetensors", {"a": ("F32", [2], 8)})
        self.assertIn("found 1 of 2 shards", self.fails("package", "--safetensors-dir", directory, "x"))
        for tensors, cut, part in [({"a": ("F32", [3], 8)}, 0, "another number of bytes"),
                                   ({"a": ("F32", [2], 8)}, 1, "beyond the end"),
                                   ({"a": ("F32", [2 ** 62, 8], 8)}, 0, "tensor 'a'"),
                                   ({"a": ("F32", "no", 8)}, 0, "no shape")]:
            for name in os.listdir(directory):
                os.unlink(os.path.join(directory, name))
            self.make_safetensors(directory, "model.safetensors", tensors, cut)
            self.assertIn(part, self.fails("package", "--safetensors-dir", directory, "x"))
        with open(os.path.join(directory, "model.safetensors"), "wb") as f:
            f.write(b"\xff" * 50)
        self.assertIn("cut short", self.fails("package", "--safetensors-dir", directory, "x"))
        self.assertEqual(self.ok("ls", "--json"), "[]\n")
        self.assertFalse(os.path.exists(os.path.join(self.store, "blobs")))

    def test_package_what_is_not_what_it_says(self):
        """Every file is looked at before anything is written; none makes the runner wait."""
        mmproj = os.path.join(self.home, "mmproj.gguf")
        subprocess.run([os.path.join(BUILD, "tools", "make_tiny_mmproj"), mmproj], check=True)
        pipe, text = os.path.join(self.home, "pipe"), os.path.join(self.home, "text")
        os.mkfifo(pipe)
        with open(text, "w") as f:
            f.write("text")
        self.assertIn("goes with a model, as --mmproj", self.fails("package", "--gguf", mmproj, "x"))
        self.assertIn("no multimodal projector", self.fails("package", "--gguf", DEMO, "--mmproj", DEMO, "x"))
        for option in ("--mmproj", "--chat-template", "--license"):
            self.assertIn("not a regular file", self.fails("package", "--gguf", DEMO, option, pipe, "x"))
            self.assertIn("not a regular file", self.fails("package", "--gguf", DEMO, option, self.home, "x"))
        self.assertIn("not a regular file", self.fails("package", "--gguf", pipe, "x"))
        self.assertIn("--gguf is empty", self.fails("package", "--gguf", "", "x"))
        self.assertIn("--license is empty", self.fails("package", "--gguf", DEMO, "-l", "", "x"))
        directory = os.path.join(self.home, "d")
        for names, part in [(["m.gguf", "b.gguf"], "b.gguf"), (["m.gguf", "mmproj-b.gguf"], "mmproj-b.gguf"),
                            (["m-00001-of-00002.gguf"], "found 1 of 2 shards"), (["m.gguf", "b.dduf"], "ZIP")]:
            os.makedirs(directory)
            shutil.copy(DEMO, os.path.join(directory, names[0]))
            for name in names[1:]:
                shutil.copy(text, os.path.join(directory, name))
            self.assertIn(part, self.fails("package", "--safetensors-dir", directory, "x"))
            shutil.rmtree(directory)
        self.assertEqual(self.ok("ls", "--json"), "[]\n")
        self.assertFalse(os.path.exists(os.path.join(self.store, "blobs")))


if __name__ == "__main__":
    main()
