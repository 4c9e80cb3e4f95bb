#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""model-engine quantize against llama.cpp's own: the same types for the same tensors, the same metadata, and on a
trained model (../shared/conformance/logits, where it is present) a perplexity within 0.5 %.

llama.cpp is the prebuilt library of an npm package, called through ctypes; x86-64 Linux only."""
import glob
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import unittest

ROOT = os.environ["MR_ROOT"]
BUILD = os.environ["MR_BUILD"]
ENGINE = os.path.join(BUILD, "model-engine")
SHARED = os.environ.get("MR_SHARED") or os.path.join(ROOT, "..", "shared")
LOGITS = os.path.join(SHARED, "conformance", "logits")
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
import hf_model  # noqa: E402
import npm  # noqa: E402

# Name → llama.cpp's number of the file type.
TYPES = {
    "F16": 1, "BF16": 32, "Q4_0": 2, "Q4_1": 3, "Q5_0": 8, "Q5_1": 9, "Q8_0": 7, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12, "Q3_K_L": 13,
    "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "IQ4_NL": 25, "IQ4_XS": 30, "TQ1_0": 36, "TQ2_0": 37,
    "MXFP4_MOE": 38,
}
# Those whose rules ask most of a model.
MIXTURES = ("Q2_K", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M", "Q5_K_M", "IQ4_XS", "MXFP4_MOE")
# In a process of its own: a library that ends the process must end only that.
QUANTIZE = """
import ctypes, glob, sys
folder, source, target, number = sys.argv[1:]
def load(name):
    return ctypes.CDLL(sorted(glob.glob(folder + '/' + name))[0], mode=ctypes.RTLD_GLOBAL)
load('libggml-base*.so'), load('libggml.*so')
llama = load('libllama.*so')
class Params(ctypes.Structure): # more than it has by now; the first two fields never moved
    _fields_ = [('n_threads', ctypes.c_int32), ('file_type', ctypes.c_int32), ('rest', ctypes.c_uint8 * 1016)]
llama.llama_model_quantize_default_params.restype = Params
log = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *a: None)
llama.llama_log_set(log, None)
params = llama.llama_model_quantize_default_params()
params.n_threads, params.file_type = 2, int(number)
sys.exit(llama.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params)))
"""


class LlamacppQuantize(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if sys.platform != "linux" or platform.machine() != "x86_64":
            raise unittest.SkipTest("the prebuilt llama.cpp is for x86-64 Linux")
        target = os.path.join(BUILD, "llamacpp_quantize")
        npm.install(os.path.join(ROOT, "tests", "conformance", "llamacpp"), target)
        found = glob.glob(os.path.join(target, "node_modules", "@node-llama-cpp", "linux-x64", "bins", "*", "libllama.*so"))
        assert found, "the package has no libllama"
        cls.folder = os.path.dirname(found[0])

    def setUp(self):
        self.work = tempfile.TemporaryDirectory(prefix="mr-llamacpp-")
        self.addCleanup(self.work.cleanup)
        self.theirs, self.ours = (os.path.join(self.work.name, n) for n in ("theirs.gguf", "ours.gguf"))

    def quantize(self, model, name):
        theirs = subprocess.run([sys.executable, "-c", QUANTIZE, self.folder, model, self.theirs, str(TYPES[name])],
                                capture_output=True, text=True, timeout=120)
        self.assertEqual(theirs.returncode, 0, f"llama.cpp, {name}: {theirs.stderr}")
        ours = subprocess.run([ENGINE, "quantize", model, self.ours, "--type", name], capture_output=True, text=True, timeout=120)
        self.assertEqual(ours.returncode, 0, ours.stderr)

    def check_files(self, name):
        a, b = hf_model.Gguf(self.theirs), hf_model.Gguf(self.ours)
        self.assertEqual(a.kv, b.kv, name)
        self.assertEqual({n: t[:2] for n, t in a.tensors.items()}, {n: t[:2] for n, t in b.tensors.items()}, name)

    def check_shape(self, *argv):
        model = os.path.join(self.work.name, "model.gguf")
        subprocess.run([os.path.join(BUILD, "tools", "make_tiny_model"), "--n-embd", "256", "--n-ff", "256", *argv, model], check=True)
        for name in MIXTURES:
            self.quantize(model, name)
            self.check_files(name)

    def test_types_of_tensors(self):
        self.check_shape("--n-layers", "9", "--n-heads", "8", "--n-kv-heads", "2", "--untied")
        self.check_shape("--arch", "qwen2", "--n-layers", "4", "--n-heads", "4", "--n-kv-heads", "4")
        self.check_shape("--n-layers", "4", "--n-heads", "4", "--n-kv-heads", "2", "--experts", "8", "--experts-used", "2")

    def perplexity(self, model, lines):
        done = subprocess.run([ENGINE, "eval", "--model", model], input="".join(json.dumps(line) + "\n" for line in lines),
                              capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        nll = [v for line in done.stdout.splitlines() for v in json.loads(line)["nll"]]
        self.assertEqual(len(nll), sum(len(line["ids"]) - 1 for line in lines))
        return math.exp(sum(nll) / len(nll))

    def test_perplexity(self):
        model, texts = (os.path.join(LOGITS, n) for n in ("stories260K.gguf", "stories260K.greedy64.json"))
        if not os.path.exists(model) or not os.path.exists(texts):
            self.skipTest(f"{model} is not there")
        with open(texts, encoding="utf-8") as f:
            lines = [{"ids": row["ids"] + row["greedy_ids"], "top": 0, "nll": True} for row in json.load(f)["rows"]]
        for name in TYPES:
            self.quantize(model, name)
            self.check_files(name)
            theirs, ours = self.perplexity(self.theirs, lines), self.perplexity(self.ours, lines)
            self.assertLess(abs(ours / theirs - 1), 0.005, f"{name}: {ours} against {theirs}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
