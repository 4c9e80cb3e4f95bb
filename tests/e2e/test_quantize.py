#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""model-engine quantize from outside: what it makes runs, nearly as well; what it says; what it leaves."""

import json
import math
import os
import shutil
import subprocess
import tempfile
import unittest

from engine_process import BUILD, ENGINE, make_model

# Type → how far the mean log-probability of a text may move, from 50, on a model with random weights, where every
# rounding shows: about twice what it does.
TYPES = {
    "F32": 1e-6, "F16": 0.002, "BF16": 0.04, "Q8_0": 0.1, "Q6_K": 0.1, "Q5_K_M": 0.3, "Q5_1": 0.3, "Q5_0": 0.4,
    "Q4_K_M": 0.5, "Q4_1": 1, "Q4_0": 3, "IQ4_NL": 1, "IQ4_XS": 1, "MXFP4_MOE": 0.1, "Q3_K_L": 1, "Q3_K_M": 1, "Q3_K_S": 1,
    "Q2_K": 5,
}
IDS = [1] + [300 + i * 7 % 200 for i in range(60)]


def quantize(*argv):
    return subprocess.run([ENGINE, "quantize", *argv], capture_output=True, text=True, timeout=120)


def mean_nll(model):
    done = subprocess.run([ENGINE, "eval", "--model", model], input=json.dumps({"ids": IDS, "top": 0, "nll": True}) + "\n",
                          capture_output=True, text=True, timeout=120, check=True)
    nll = json.loads(done.stdout)["nll"]
    assert len(nll) == len(IDS) - 1
    return sum(nll) / len(nll)


def info(model):
    return json.loads(subprocess.run([ENGINE, "info", "--model", model], capture_output=True, text=True, check=True).stdout)


class Quantize(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="mr-quantize-")
        cls.model = os.path.join(cls.directory, "model.gguf")
        make_model(cls.model, n_layers=4, n_embd=256, n_heads=4, n_ff=512, n_vocab=512, n_ctx=512)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.directory)

    def path(self, name):
        return os.path.join(self.directory, name)

    def test_every_type_runs_and_stays_near(self):
        before = mean_nll(self.model)
        sizes = []
        for name, bound in TYPES.items():
            out = self.path(name + ".gguf")
            done = quantize(self.model, out, "--type", name.lower())
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)
            self.assertIn(out, done.stdout)
            self.assertEqual(info(out)["quantization"], name)
            self.assertLess(abs(mean_nll(out) - before), bound, name)
            sizes.append(os.path.getsize(out))
        self.assertEqual(max(sizes), sizes[0])
        self.assertEqual(min(sizes), sizes[-1])

    def test_what_is_asked_and_cannot_be(self):
        out = self.path("none.gguf")
        cases = [
            ([self.model, out], "--type is missing"),
            ([self.model, out, "--type", "IQ1_S"], "IQ1_S"),
            ([self.model, self.model, "--type", "Q8_0"], "over itself"),
            ([self.path("absent.gguf"), out, "--type", "Q8_0"], "absent.gguf"),
            ([self.model, self.path("no/such/folder.gguf"), "--type", "Q8_0"], "no/such"),
            ([self.model, out, "--type", "Q8_0", "--imatrix", self.model], "no importance matrix"),
            ([self.model, "--type", "Q8_0"], "arg"),
        ]
        for argv, words in cases:
            done = quantize(*argv)
            self.assertEqual(done.returncode, 1, argv)
            self.assertIn(words, done.stderr)
        self.assertEqual([n for n in os.listdir(self.directory) if n.startswith("none")], [])

    def test_an_existing_file_is_replaced_whole(self):
        out = self.path("replaced.gguf")
        with open(out, "w", encoding="ascii") as f:
            f.write("old")
        bad = self.path("cut.gguf")
        with open(self.model, "rb") as f, open(bad, "wb") as g:
            g.write(f.read()[:-100000])
        self.assertEqual(quantize(bad, out, "--type", "Q8_0").returncode, 1)
        with open(out, encoding="ascii") as f:
            self.assertEqual(f.read(), "old")
        self.assertEqual(quantize(self.model, out, "--type", "Q8_0").returncode, 0)
        self.assertEqual(info(out)["quantization"], "Q8_0")

    def test_nll_is_what_the_logits_say(self):
        ids = IDS[:5]
        lines = "".join(json.dumps({"ids": ids[:n], "top": 512}) + "\n" for n in range(1, len(ids)))
        done = subprocess.run([ENGINE, "eval", "--model", self.model], input=lines + json.dumps({"ids": ids, "top": 0, "nll": True}) + "\n",
                              capture_output=True, text=True, timeout=120, check=True)
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        for answer, following, nll in zip(answers, ids[1:], answers[-1]["nll"], strict=False):
            logits = dict(answer["top"])
            want = math.log(sum(math.exp(v) for v in logits.values())) - logits[following]
            self.assertAlmostEqual(nll, want, places=4)


if __name__ == "__main__":
    unittest.main(verbosity=2)
