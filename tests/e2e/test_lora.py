#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""LoRA adapters through model-engine: against models they were merged into, per request, side by side."""

import concurrent.futures
import json
import os
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

from engine_process import ENGINE, ROOT, EngineProcess, make_model

sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
import hf_model  # noqa: E402

RANK = 2
PROMPT = "hello world, this is a long beginning that fills more than one page of the cache: " * 3
TENSORS = ["blk.0.attn_q.weight", "blk.0.attn_v.weight", "blk.1.ffn_up.weight", "blk.1.ffn_down.weight", "blk.1.attn_output.weight"]


def floats(data):
    return list(struct.unpack(f"<{len(data) // 4}f", data))


def packed(values):
    return struct.pack(f"<{len(values)}f", *values)


def make_adapter(gguf, seed):
    """name → (cols, rows, A by rows, B by rows)"""
    draw = random.Random(seed)
    return {name: (cols, rows, [draw.gauss(0, 0.15) for _ in range(cols * RANK)], [draw.gauss(0, 0.4) for _ in range(rows * RANK)])
            for name, (cols, rows) in ((name, gguf.tensors[name][0]) for name in TENSORS)}


def write_adapter(path, adapter, **changes):
    kv = {"general.type": "adapter", "adapter.type": "lora", "general.architecture": "llama", "adapter.lora.alpha": 4.0}
    tensors = {}
    for name, (cols, rows, a, b) in adapter.items():
        tensors[name + ".lora_a"] = ((cols, RANK), packed(a))
        tensors[name + ".lora_b"] = ((RANK, rows), packed(b))
    hf_model.write_gguf(path, {**kv, **changes}, tensors)


def write_merged(path, gguf, adapters, scales):
    tensors = {name: (dims, data) for name, (dims, _, data) in gguf.tensors.items()}
    for adapter, scale in zip(adapters, scales, strict=True):
        for name, (cols, rows, a, b) in adapter.items():
            w = floats(tensors[name][1])
            for r in range(rows):
                for c in range(cols):
                    w[r * cols + c] += scale * 4.0 / RANK * sum(b[r * RANK + j] * a[j * cols + c] for j in range(RANK))
            tensors[name] = (tensors[name][0], packed(w))
    hf_model.write_gguf(path, gguf.kv, tensors)


def run(*argv, lines=()):
    return subprocess.run([ENGINE, *argv], input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True, text=True, timeout=120)


def completion(scales=None, **fields):
    body = {"prompt": PROMPT, "max_tokens": 24, "temperature": 0, "ignore_eos": True, **fields}
    if scales is not None:
        body["lora"] = [{"id": i, "scale": s} for i, s in enumerate(scales) if s is not None]
    return body


class Lora(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="mr-lora-")
        cls.model, cls.a, cls.b = (os.path.join(cls.directory, n) for n in ("model.gguf", "a=1.gguf", "b.gguf"))
        make_model(cls.model, n_layers=2, n_embd=64, n_heads=4, n_ff=96, n_vocab=512, n_ctx=1024)
        cls.gguf = hf_model.Gguf(cls.model)
        cls.adapters = [make_adapter(cls.gguf, 1), make_adapter(cls.gguf, 2)]
        write_adapter(cls.a, cls.adapters[0])
        write_adapter(cls.b, cls.adapters[1])

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.directory)

    def merged(self, *scales):
        path = os.path.join(self.directory, "merged.gguf")
        write_merged(path, self.gguf, self.adapters, scales)
        return path

    def test_eval_is_that_of_merged_weights(self):
        ids = {"ids": [1, 300, 301, 77, 5, 400, 299], "top": 512}
        for options, scales in (([self.a], (1, 0)), ([self.a, self.b + "=-0.5"], (1, -0.5)), ([self.a + "=0.25"], (0.25, 0))):
            argv = [x for path in options for x in ("--lora", path)]
            got = dict(json.loads(run("eval", "--model", self.model, *argv, lines=[ids]).stdout)["top"])
            want = dict(json.loads(run("eval", "--model", self.merged(*scales), lines=[ids]).stdout)["top"])
            plain = dict(json.loads(run("eval", "--model", self.model, lines=[ids]).stdout)["top"])
            spread = max(abs(v) for v in want.values())
            self.assertLess(max(abs(got[i] - want[i]) for i in want), 1e-4 * spread)
            self.assertGreater(max(abs(got[i] - plain[i]) for i in want), 1e-2 * spread)

    def test_generate(self):
        argv = ["--prompt", "hello", "-n", "16", "--temp", "0", "--ignore-eos"]
        texts = {run("generate", "--model", self.model, *argv, *extra).stdout
                 for extra in ([], ["--lora", self.a], ["--lora", self.b], ["--lora", self.a, "--lora", self.b])}
        self.assertEqual(len(texts), 4)
        self.assertEqual(run("generate", "--model", self.model, *argv, "--lora", self.a + "=0").stdout,
                         run("generate", "--model", self.model, *argv).stdout)

    def test_a_set_for_each_request(self):
        sets = [None, [1, None], [None, 1], [0.5, 0.5], [0, 0], [2, -1]]
        engine = EngineProcess(self.model, "--lora", self.a, "--lora", self.b + "=0", "--cache-type", "f32")
        try:
            def text(scales, **fields):
                status, answer = engine.post("/v1/completions", completion(scales, **fields))
                self.assertEqual(status, 200, answer)
                return answer["choices"][0]["text"], answer["usage"]["prompt_tokens_details"]["cached_tokens"]

            alone = [text(s, cache_prompt=False)[0] for s in sets]
            self.assertEqual(alone[0], alone[1])  # what was said at the start
            self.assertEqual(len(set(alone)), 5)
            with concurrent.futures.ThreadPoolExecutor(12) as pool:
                for _ in range(2):  # the second time out of the cache
                    together = list(pool.map(lambda s: text(s)[0], sets * 2))
                    self.assertEqual(together, alone * 2)
            # Only what was computed with the same adapters is taken up.
            self.assertGreater(text([0.5, 0.5])[1], 30)
            self.assertEqual(text([0.5, 0.25])[1], 0)
            self.assertGreater(text([0.5, 0.25])[1], 30)
            # The adapters count in chats, too.
            chat = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 16, "temperature": 0, "ignore_eos": True}
            chats = [engine.post("/v1/chat/completions", {**chat, "lora": [{"id": 0, "scale": s}]})[1]["choices"][0]["message"]
                     for s in (0, 1)]
            self.assertNotEqual(*chats)
        finally:
            self.assertEqual(engine.stop(), 0)

    def test_scales_for_all_later_requests(self):
        engine = EngineProcess(self.model, "--lora", self.a, "--lora", self.b + "=0.5")
        try:
            def text(**fields):
                return engine.post("/v1/completions", completion(**fields))[1]["choices"][0]["text"]

            self.assertEqual(engine.get("/lora-adapters"), (200, [{"id": 0, "path": self.a, "scale": 1}, {"id": 1, "path": self.b, "scale": 0.5}]))
            self.assertEqual(text(), text(scales=[1, 0.5]))
            self.assertEqual(engine.post("/lora-adapters", [{"id": 1, "scale": 2}]), (200, {"success": True}))
            self.assertEqual([a["scale"] for a in engine.get("/lora-adapters")[1]], [0, 2])
            self.assertEqual(text(), text(scales=[0, 2]))
            for body in ([{"id": 2, "scale": 1}], [{"id": -1}], [{"id": 0, "scale": "x"}], {"id": 0}, [7], [{"scale": 1}], "x", "{"):
                status, answer = engine.post("/lora-adapters", body)
                self.assertEqual(status, 400, body)
                self.assertIn("error", answer)
                if body != "{":
                    self.assertEqual(engine.post("/v1/completions", completion(lora=body))[0], 400, body)
            self.assertEqual([a["scale"] for a in engine.get("/lora-adapters")[1]], [0, 2])
        finally:
            self.assertEqual(engine.stop(), 0)

    def test_without_adapters(self):
        engine = EngineProcess(self.model)
        try:
            self.assertEqual(engine.get("/lora-adapters"), (200, []))
            self.assertEqual(engine.post("/v1/completions", completion(lora=[]))[0], 200)
            status, answer = engine.post("/v1/completions", completion(scales=[1]))
            self.assertEqual(status, 400)
            self.assertIn("no adapter with the id 0", answer["error"]["message"])
        finally:
            self.assertEqual(engine.stop(), 0)

    def test_refused_before_anything_is_served(self):
        bad = os.path.join(self.directory, "bad.gguf")
        good = self.adapters[0]
        q = "blk.0.attn_q.weight"
        cols, rows, a, b = good[q]
        cases = [
            (good, {"general.architecture": "qwen2"}, "qwen2"),
            (good, {"general.type": "model"}, "no LoRA adapter"),
            (good, {"adapter.type": "dora"}, "dora"),
            ({q: (cols - 1, rows, a[:(cols - 1) * RANK], b)}, {}, q),
            ({q: (cols, rows + 1, a, b + [0, 0])}, {}, q),
            ({"blk.9.attn_q.weight": good[q]}, {}, "blk.9.attn_q.weight"),
            ({"token_embd.weight": (64, 512, [0] * 64 * RANK, [0] * 512 * RANK)}, {}, "token_embd.weight"),
        ]
        for adapter, changes, word in cases:
            write_adapter(bad, adapter, **changes)
            done = run("eval", "--model", self.model, "--lora", bad, lines=[{"ids": [1]}])
            self.assertEqual((done.returncode, done.stdout), (1, ""), word)
            self.assertIn(word, done.stderr)
            self.assertIn("bad.gguf", done.stderr)
            with self.assertRaises(AssertionError) as caught:
                EngineProcess(self.model, "--lora", bad)
            self.assertIn(word, str(caught.exception))
        with open(self.a, "rb") as f, open(bad, "wb") as g:
            g.write(f.read()[:-1000])
        self.assertEqual(run("eval", "--model", self.model, "--lora", bad).returncode, 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
