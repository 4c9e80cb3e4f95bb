#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our numbers and llama.cpp's, for every architecture; llamacpp/README.md argues the tolerances."""
import glob
import json
import math
import os
import platform
import random
import struct
import subprocess
import sys
import tempfile
import unittest

ROOT = os.environ["MR_ROOT"]
BUILD = os.environ["MR_BUILD"]
HERE = os.path.join(ROOT, "tests", "conformance", "llamacpp")
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
import npm  # noqa: E402
from hf_model import Gguf, write_gguf  # noqa: E402

ENGINE = os.path.join(BUILD, "model-engine")
N_VOCAB = 512

BASE = "--n-layers 4 --n-embd 64 --n-heads 4 --n-kv-heads 2 --n-ff 96 --n-ctx 512"
MLA = ("--head 24 --rope-dims 8 --value-head 16 --kv-rank 32 --experts 12 --experts-used 4 --ff-shared 96 --dense-layers 1 "
       "--expert-scale 1.7 --untied ")
DECODERS = [
    ("llama", ""), ("llama", "--rope-freqs --untied --biases"), ("llama", "--experts 4 --experts-used 2"),
    ("qwen2", ""), ("qwen3", "--untied"), ("qwen3moe", "--experts 8 --experts-used 3"),
    ("gemma2", "--window 5"), ("gemma", "--head 24"),
    ("gemma3", "--n-layers 7 --window 5 --freq-base 1000000 --rope-scaling linear --rope-factor 8"),
    ("gemma3n", "--window 5 --n-layers 24"),
    ("phi3", "--untied"), ("phi3", "--longrope-ctx 256"), ("phi3", "--rope-dims 12 --longrope-ctx 1024"),
    ("phi2", "--untied --rope-dims 8 --n-kv-heads 4"), ("phi2", "--untied --rope-dims 8 --fused-qkv"),
    ("granite", ""), ("granite", "--biases --no-rope --untied"), ("smollm3", "--n-layers 9"),
    ("mistral3", "--temp-scale 0.5 --rope-scaling yarn --rope-factor 64 --yarn-log-multiplier 1"),
    ("starcoder2", ""), ("starcoder", "--n-kv-heads 1"), ("codeshell", "--untied"),
    ("olmo2", "--untied --n-layers 9 --window 5 --rope-scaling yarn --rope-factor 4"),
    ("command-r", "--qk-norms --n-layers 64 --n-embd 32"), ("cohere2", "--n-layers 9 --window 5"),
    ("glm4", "--rope-dims 8 --biases"), ("chatglm", "--untied --rope-dims 8"), ("seed_oss", "--biases --head 24"),
    ("ernie4_5", ""), ("hunyuan-dense", ""), ("arcee", ""), ("xverse", "--untied"), ("orion", "--untied"),
    ("nemotron", "--untied --rope-dims 8"), ("falcon", "--n-kv-heads 1"), ("falcon", "--parallel"),
    ("gpt2", "--n-kv-heads 4"), ("gptneox", "--untied --parallel --rope-dims 4"), ("gptneox", "--untied --rope-dims 4"),
    ("stablelm", "--untied --rope-dims 4 --biases"), ("stablelm", "--untied --parallel --qk-norms --rope-dims 4"),
    ("internlm2", "--untied --fused-qkv"), ("exaone", "--rope-freqs"), ("exaone4", "--n-layers 64 --n-embd 32 --window 7 --rope-freqs"),
    ("gpt-oss", "--experts 6 --experts-used 3 --window 5 --untied"),
    ("gpt-oss", "--experts 6 --experts-used 3 --window 5 --untied --rope-scaling yarn --rope-factor 32 --freq-base 150000"),
    ("qwen2moe", "--experts 7 --experts-used 3 --ff-shared 64 --biases --untied"),
    ("glm4moe", "--experts 8 --experts-used 3 --dense-layers 2 --ff-shared 192 --expert-norm --expert-scale 1.7 --biases "
                "--rope-dims 8 --qk-norms --untied"),
    ("glm4moe", "--experts 8 --experts-used 2 --ff-shared 96 --draft-layers 1 --biases --untied"),
    ("granitemoe", "--experts 8 --experts-used 4"), ("granitemoe", "--experts 8 --experts-used 4 --ff-shared 64"),
    ("olmoe", "--experts 16 --experts-used 5 --untied --n-kv-heads 4"),
    ("ernie4_5-moe", "--experts 9 --experts-used 3 --ff-shared 64 --dense-layers 1"),
    ("deepseek", "--experts 9 --experts-used 4 --ff-shared 192 --dense-layers 1 --expert-scale 1 --untied"),
    ("deepseek2", MLA + "--n-layers 27"), ("deepseek2", MLA + "--n-layers 27 --latent"),
    ("deepseek2", MLA + "--q-rank 40 --experts 8 --experts-used 3 --expert-norm"),
    ("deepseek2", MLA + "--q-rank 40 --latent --expert-groups 4 --expert-groups-used 2 --expert-sigmoid --expert-norm "
                        "--rope-scaling yarn --rope-factor 40 --yarn-log-multiplier 0.1"),
    ("deepseek2", MLA + "--q-rank 40 --latent --rope-scaling yarn --rope-factor 40 --yarn-log-multiplier 0.0707"),
    ("minicpm", "--longrope-ctx 256"), ("baichuan", "--untied --n-layers 32 --n-kv-heads 4"),
    ("baichuan", "--untied --n-layers 40 --n-kv-heads 4"), ("apertus", "--untied --rope-freqs"),
]
TOLERANCES = {"gemma3n": 5e-3}
HYBRIDS = [("lfm2", ""), ("mamba", ""), ("mamba2", ""), ("granitehybrid", ""), ("jamba", ""), ("falcon-h1", ""),
           ("nemotron_h", "--n-layers 7"), ("qwen35", "")]
WEIGHTS = {"F16": 1e-3, "BF16": 5e-3, "Q8_0": 3e-2, "Q4_0": 3e-2, "Q4_K": 3e-2, "Q5_K": 3e-2, "Q6_K": 3e-2, "MXFP4": 3e-2}
ENCODERS = [("bert", ""), ("nomic-bert", ""), ("jina-bert-v2", ""), ("jina-bert-v3", ""), ("modern-bert", ""), ("neo-bert", ""),
            ("eurobert", ""), ("gemma-embedding", "--window 5 --pooling 1 --n-layers 7")]


def prompt(n):
    return [(i * 7919 + 13 + n * 101) % 500 for i in range(n)]


NVFP4 = 40
E2M1 = (0, 0.5, 1, 1.5, 2, 3, 4, 6)


def e4m3(code):
    exponent, mantissa = code >> 3, code & 7
    return mantissa * 2.0 ** -9 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7)


def nvfp4(data, scales):
    """f32 values as blocks of 64, each of the matrices divided by its scale before."""
    values, out = struct.unpack(f"<{len(data) // 4}f", data), bytearray()
    for at in range(0, len(values), 64):
        scale = scales[at * len(scales) // len(values)]
        block = [v / scale for v in values[at:at + 64]]
        codes, nibbles = bytearray(), bytearray()
        for s in range(0, 64, 16):
            sub = block[s:s + 16]
            code = next(c for c in range(1, 127) if e4m3(c) * 6 >= max(map(abs, sub)) or c == 126)
            digits = [min(range(8), key=lambda q: abs(abs(v) / e4m3(code) - E2M1[q])) | (8 if v < 0 else 0) for v in sub]
            codes.append(code)
            nibbles += bytes(digits[i] | digits[i + 8] << 4 for i in range(8))
        out += codes + nibbles
    return bytes(out)


def softmax(logits):
    most = max(logits)
    weights = [math.exp(x - most) for x in logits]
    total = sum(weights)
    return [w / total for w in weights]


@unittest.skipUnless(platform.machine() == "x86_64", "llama.cpp's library for this test is made for x86-64")
class LlamaCpp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        node = os.path.join(BUILD, "llamacpp")
        npm.install(HERE, node)
        cls.libraries = glob.glob(os.path.join(node, "node_modules", "@node-llama-cpp", "linux-x64", "bins", "*"))[0]
        cls.directory = tempfile.TemporaryDirectory()
        cls.model = os.path.join(cls.directory.name, "m.gguf")
        cls.child = None

    @classmethod
    def tearDownClass(cls):
        cls.end_peer()
        cls.directory.cleanup()

    @classmethod
    def end_peer(cls):
        if cls.child:
            cls.child.stdin.close()
            cls.child.stdout.close()
            cls.child.wait(60)
            cls.child = None

    def peer(self, **request):
        cls = type(self)
        if not cls.child or cls.child.poll() is not None:
            cls.end_peer()
            cls.child = subprocess.Popen([sys.executable, os.path.join(HERE, "peer.py"), self.libraries], text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        cls.child.stdin.write(json.dumps(dict(request, model=self.model)) + "\n")
        cls.child.stdin.flush()
        line = cls.child.stdout.readline()
        self.assertTrue(line, "llama.cpp crashed")
        answer = json.loads(line)
        self.assertNotIn("error", answer)
        return answer

    def ours(self, verb, requests, *options):
        done = subprocess.run([ENGINE, verb, "--model", self.model, *options], stdout=subprocess.PIPE, text=True, timeout=120,
                              input="".join(json.dumps(r) + "\n" for r in requests))
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(len(answers), len(requests), done.stdout)
        for answer in answers:
            self.assertNotIn("error", answer)
        return answers

    def make(self, tool, *options):
        subprocess.run([os.path.join(BUILD, "tools", tool), *options, self.model], check=True, stdout=subprocess.DEVNULL)

    def compare(self, tolerance, first=1, greedy=32):
        prompts = [prompt(n) for n in (3, 17, 64)]
        answers = self.ours("eval", [{"ids": ids, "top": N_VOCAB, "greedy": greedy} for ids in prompts], "--ctx-size", "512",
                            "--threads", "2")
        for ids, answer in zip(prompts, answers):
            theirs = self.peer(ids=ids, greedy=greedy)
            logits = [0.0] * len(theirs["logits"])
            for token, value in answer["top"]:
                logits[token] = value
            p, q = softmax(logits), softmax(theirs["logits"])
            best = sorted(range(len(q)), key=q.__getitem__, reverse=True)[:20]
            worst = max(abs(p[i] - q[i]) for i in best)
            self.assertLess(worst, tolerance, f"{len(ids)} tokens")
            self.assertIn(best[0], [token for token, _ in answer["top"][:first]])
            near = 1e-3 * max(abs(x) for x in theirs["logits"])
            sure = next((i for i, margin in enumerate(theirs["margins"]) if margin < near), greedy)
            self.assertEqual(answer.get("greedy_ids", [])[:sure], theirs["greedy"][:sure])

    def test_decoders(self):
        for arch, options in DECODERS:
            with self.subTest(arch=arch, options=options):
                self.make("make_tiny_model", "--arch", arch, *BASE.split(), *options.split())
                self.compare(TOLERANCES.get(arch, 1e-3))

    def test_hybrids(self):
        for arch, options in HYBRIDS:
            with self.subTest(arch=arch):
                self.make("make_tiny_model", "--arch", arch, "--n-ctx", "512", *options.split())
                self.compare(1e-3)

    def test_weights(self):
        for kind, tolerance in WEIGHTS.items():
            with self.subTest(type=kind):
                self.make("make_tiny_model", "--type", kind, "--n-layers", "3", "--n-embd", "256", "--n-heads", "4", "--n-ff",
                          "256", "--n-ctx", "512")
                exact = kind == "F16"
                self.compare(tolerance, 1 if exact else 3, 32 if exact else 0)

    def test_scaled_matrices(self):
        """NVFP4 as converters write it: blocks, and a factor for each matrix or expert; the factors on F32, too, where
        llama.cpp rounds nothing."""
        for options, tolerance in [("--arch llama --untied", 0), ("--arch llama --untied", 1e-3),
                                   ("--arch qwen3moe --experts 8 --experts-used 3", 1e-3)]:
            with self.subTest(options=options, tolerance=tolerance):
                self.make("make_tiny_model", *BASE.split(), *options.split(), "--n-ff", "128")
                gguf, rng = Gguf(self.model), random.Random(4)
                tensors = {}
                for name, (dims, _, data) in gguf.tensors.items():
                    dims = tuple(d for i, d in enumerate(dims) if i < 2 or d > 1)
                    if name.startswith("blk.") and len(dims) > 1 and "ffn_gate_inp" not in name:
                        n = dims[2] if len(dims) > 2 else 1
                        scales = [rng.uniform(0.25, 4) for _ in range(n)]
                        tensors[name] = (dims, data) if tolerance else (dims, nvfp4(data, scales), NVFP4)
                        stem = name.removesuffix("weight")
                        tensors[stem + "scale"] = ((n,), struct.pack(f"<{n}f", *scales))
                        tensors[stem + "input_scale"] = ((n,), struct.pack(f"<{n}f", *[3.0] * n))
                    else:
                        tensors[name] = (dims, data)
                write_gguf(self.model, gguf.kv, tensors)
                self.compare(tolerance or 3e-2, 1 if tolerance else 3, 32 if tolerance else 0)

    def test_dequantization(self):
        """Types that the shared set does not have, bit by bit; `quantize --type F32` writes what we make of them."""
        rng = random.Random(5)
        for name, kind, items, size in [("nvfp4", NVFP4, 64, 36), ("q8_K", 15, 256, 292)]:
            with self.subTest(type=name):
                self.make("make_tiny_model", *BASE.split(), "--n-embd", "256", "--n-layers", "1")
                gguf = Gguf(self.model)
                dims, blocks = (256, 256), 256 * 256 // items
                data = bytearray(rng.randbytes(blocks * size))
                for i in range(blocks):
                    if name == "q8_K":
                        struct.pack_into("<f", data, i * size, rng.uniform(-2, 2) * 2.0 ** rng.randrange(-130, 100))
                    else:
                        data[i * size] = i % 256
                tensors = {n: (d, b) for n, (d, _, b) in gguf.tensors.items()}
                tensors["blk.0.attn_q.weight"] = (dims, bytes(data), kind)
                write_gguf(self.model, gguf.kv, tensors)
                out = os.path.join(self.directory.name, "f32.gguf")
                subprocess.run([ENGINE, "quantize", self.model, out, "--type", "F32"], check=True, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
                theirs = self.peer(dequantize=name, data=bytes(data).hex(), n=256 * 256)["f32"]
                ours = Gguf(out).tensors["blk.0.attn_q.weight"]
                self.assertEqual((ours[1], len(ours[2])), (0, 4 * 256 * 256))
                for i in range(0, len(ours[2]), 4):
                    got, want = ours[2][i:i + 4], bytes.fromhex(theirs[2 * i:2 * i + 8])
                    self.assertTrue(got == want or {got, want} <= {b"\0\0\0\0", b"\0\0\0\x80"}, (i, got, want))

    def test_encoders(self):
        for arch, options in ENCODERS:
            with self.subTest(arch=arch):
                self.make("make_tiny_encoder", "--arch", arch, *options.split())
                prompts = [[i % 80 + 5 for i in prompt(n)] for n in (3, 17, 64)]
                for ids, answer in zip(prompts, self.ours("embed", [{"ids": ids} for ids in prompts])):
                    theirs = self.peer(ids=ids, embed=True)["embedding"]
                    length = math.sqrt(sum(x * x for x in theirs))
                    ours = answer["embedding"]
                    self.assertEqual(len(ours), len(theirs))
                    self.assertLess(max(abs(a - b / length) for a, b in zip(ours, theirs)), 1e-3, f"{len(ids)} tokens")


if __name__ == "__main__":
    unittest.main(verbosity=0)
