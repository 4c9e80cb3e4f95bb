#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""model-engine import: models turned into Hugging Face's form and imported again are the models they were."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

from engine_process import ENGINE, ROOT, make_model

sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
import hf_model  # noqa: E402

SHARED = os.environ.get("MR_SHARED") or os.path.join(os.path.dirname(ROOT), "shared")
LLAMA3_REGEX = hf_model.QWEN2_REGEX.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
TEXT = "hello world, it's 1234 \u00dcbung\n\n  the end <|im_end|> </s>\u2581x"
# Keys that are written in one place and follow from others in the other.
FOLLOWING = ("vocab_size", "key_length", "value_length", "tokenizer.ggml.pre", "add_space_prefix", "logit_softcapping",
             "original_context_length")


def run(*argv, lines=()):
    done = subprocess.run([ENGINE, *argv], input="".join(json.dumps(line) + "\n" for line in lines), capture_output=True,
                          text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


class Import(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.mkdtemp(prefix="mr-import-")
        self.out = os.path.join(self.directory, "out.gguf")

    def tearDown(self):
        shutil.rmtree(self.directory)

    def make(self, arch="llama", files=1, **options):
        """A model with random weights: its GGUF file, that parsed, and its directory."""
        path, directory = os.path.join(self.directory, "model.gguf"), os.path.join(self.directory, "hf")
        shutil.rmtree(directory, ignore_errors=True)
        make_model(path, arch=arch, **{"n_layers": 2, **options})
        gguf = hf_model.Gguf(path)
        hf_model.write_model(gguf, directory, files)
        return path, gguf, directory

    def answers(self, path):
        return [run("eval", "--model", path, lines=[{"ids": [1, 300, 301, 77, 5], "top": 20, "greedy": 8}])[1],
                run("tokenize", "--model", path, lines=[{"text": TEXT}, {"text": TEXT, "parse_special": False}])[1]]

    def check_same(self, path, gguf, directory):
        self.assertEqual(run("import", directory, self.out)[::2], (0, ""))
        back = hf_model.Gguf(self.out)
        self.assertEqual(gguf.tensors, back.tensors)
        for key in set(gguf.kv) | set(back.kv):
            if not key.startswith("general.") and not key.endswith(FOLLOWING):
                self.assertEqual(gguf.kv.get(key), back.kv.get(key), key)
        before, after = self.answers(path), self.answers(self.out)
        self.assertNotIn("error", "".join(before))
        self.assertEqual(before, after)

    def test_llama(self):
        self.check_same(*self.make())
        self.check_same(*self.make(rope_scaling="yarn", rope_factor=4, files=2))
        self.check_same(*self.make(rope_scaling="linear", rope_factor=2))

    def test_mixtral(self):
        self.check_same(*self.make(experts=4, experts_used=2, files=3))

    def test_qwen(self):
        self.check_same(*self.make("qwen2"))
        self.check_same(*self.make("qwen3", files=2))
        self.check_same(*self.make("qwen3moe", experts=4, experts_used=2))

    def test_gemma(self):
        self.check_same(*self.make("gemma"))
        self.check_same(*self.make("gemma2", window=64))
        self.check_same(*self.make("gemma3", window=64, n_layers=7))

    def test_others(self):
        for arch in ("phi3", "granite", "smollm3"):
            with self.subTest(arch):
                self.check_same(*self.make(arch, n_layers=5))

    def test_llama3_frequencies(self):
        path = os.path.join(self.directory, "model.gguf")
        subprocess.run([os.path.join(os.path.dirname(ENGINE), "tools", "make_tiny_model"), "--rope-freqs", "--untied", "--biases",
                        path], check=True)
        gguf, directory = hf_model.Gguf(path), os.path.join(self.directory, "hf")
        hf_model.write_model(gguf, directory)
        self.check_same(path, gguf, directory)

    def test_types(self):
        path, gguf, directory = self.make(n_embd=256, n_ff=256)
        for name in ("F16", "Q8_0", "q4_k_m"):
            self.assertEqual(run("import", directory, self.out, "--type", name)[::2], (0, ""))
            other = self.out + ".quantized"
            self.assertEqual(run("quantize", path, other, "--type", name)[0], 0)
            a, b = hf_model.Gguf(self.out), hf_model.Gguf(other)
            self.assertEqual({n: t[:2] for n, t in a.tensors.items()}, {n: t[:2] for n, t in b.tensors.items()})
            self.assertEqual(a.kv["general.file_type"], b.kv["general.file_type"])
            self.assertEqual(*(run("eval", "--model", p, lines=[{"ids": [1, 300, 301]}])[1] for p in (self.out, other)))

    def test_stored_types_are_kept(self):
        _, gguf, directory = self.make()
        tensors = {n: (shape, b"".join(data[i + 2:i + 4] for i in range(0, len(data), 4)))
                   for n, (shape, data) in hf_model.hf_tensors(gguf).items()}
        hf_model.write_safetensors(os.path.join(directory, "model.safetensors"), tensors, "BF16")
        self.assertEqual(run("import", directory, self.out)[0], 0)
        back = hf_model.Gguf(self.out)
        self.assertEqual(back.kv["general.file_type"], 32)
        self.assertEqual(back.tensors["blk.0.attn_v.weight"][1], 30)
        self.assertEqual(back.tensors["output_norm.weight"][1], 0)

    # ---- tokenizers ----

    def import_vocabulary(self, kv, write):
        """A model of one layer with this vocabulary, imported; `write` makes the tokenizer's files."""
        _, gguf, directory = self.make(n_layers=1, n_embd=32, n_heads=1, n_kv_heads=1)
        n = len(kv["tokenizer.ggml.tokens"])
        tensors = hf_model.hf_tensors(gguf)
        tensors["model.embed_tokens.weight"] = ([n, 32], b"\0" * (4 * 32 * n))
        hf_model.write_safetensors(os.path.join(directory, "model.safetensors"), tensors)
        hf_model.write_json(directory, "config.json", {**hf_model.config(gguf), "vocab_size": n})
        hf_model.write_json(directory, "tokenizer_config.json", hf_model.tokenizer_config(kv))
        os.unlink(os.path.join(directory, "tokenizer.model"))
        write(directory)
        code, _, stderr = run("import", directory, self.out)
        self.assertEqual((code, stderr), (0, ""))

    def check_vocabulary(self, name, write):
        path = os.path.join(SHARED, "conformance", "tokenizers", f"ggml-vocab-{name}.gguf")
        if not os.path.exists(path):
            self.skipTest(f"{path} is not there")
        kv = hf_model.Gguf(path).kv
        self.import_vocabulary(kv, lambda directory: write(kv, directory))
        with open(path + ".inp", encoding="utf-8") as f:
            lines = [{"text": text.strip("\n") or " ", "add_special": flag} for text in f.read().split("__ggml_vocab_test__")
                     for flag in (True, False)]
        lines.append({"text": TEXT})
        self.assertGreater(len(lines), 40)
        self.assertEqual(*(run("tokenize", "--model", p, lines=lines)[1] for p in (path, self.out)))

    def test_byte_level_bpe(self):
        def llama3(kv, directory):
            t = hf_model.byte_level(kv)
            t["normalizer"] = None
            t["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = LLAMA3_REGEX
            t["model"]["ignore_merges"] = True
            bos = kv["tokenizer.ggml.tokens"][kv["tokenizer.ggml.bos_token_id"]]
            t["post_processor"] = {"type": "Sequence", "processors": [{"type": "ByteLevel"}, {
                "type": "TemplateProcessing", "single": [{"SpecialToken": {"id": bos}}, {"Sequence": {"id": "A"}}]}]}
            hf_model.write_json(directory, "tokenizer.json", t)
        self.check_vocabulary("llama-bpe", llama3)

        def gpt2(kv, directory):
            t = hf_model.byte_level(kv, pairs=True)
            t["normalizer"] = None
            t["pre_tokenizer"] = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
            hf_model.write_json(directory, "tokenizer.json", t)
        self.check_vocabulary("gpt-2", gpt2)

    def test_sentencepiece(self):
        def model(kv, directory):
            with open(os.path.join(directory, "tokenizer.model"), "wb") as f:
                f.write(hf_model.sentencepiece(kv))
        self.check_vocabulary("llama-spm", model)

    def test_sentencepiece_as_merges(self):
        def merges(kv, directory):
            tokens = kv["tokenizer.ggml.tokens"]
            ids = {t: i for i, t in enumerate(tokens)}
            normal = sorted((i for i, t in enumerate(tokens) if kv["tokenizer.ggml.token_type"][i] == 1 and len(t) > 1),
                            key=lambda i: -kv["tokenizer.ggml.scores"][i])
            pairs = [f"{t[:k]} {t[k:]}" for t in (tokens[i] for i in normal) for k in range(1, len(t)) if t[:k] in ids and t[k:] in ids]
            hf_model.write_json(directory, "tokenizer.json", {
                "added_tokens": [{"id": i, "content": tokens[i], "special": True} for i in range(3)],
                "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, {
                    "type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
                "pre_tokenizer": None,
                "model": {"type": "BPE", "byte_fallback": True, "unk_token": "<unk>", "vocab": ids, "merges": pairs}})
        self.check_vocabulary("llama-spm", merges)

    # ---- what cannot be ----

    def refused(self, directory, *words):
        code, _, stderr = run("import", directory, self.out)
        if code == 0:
            os.unlink(self.out)
        self.assertEqual(code, 1, words)
        for word in words:
            self.assertIn(word, stderr)
        self.assertEqual([name for name in os.listdir(self.directory) if name.startswith("out.gguf")], [])

    def test_config_is_refused_by_name(self):
        _, gguf, directory = self.make()
        good = hf_model.config(gguf)
        cases = [
            ({"architectures": ["BloomForCausalLM"]}, "BloomForCausalLM"),
            ({"architectures": None}, "architecture"),
            ({"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
            ({"hidden_act": "relu"}, "relu"),
            ({"rope_scaling": {"rope_type": "dynamic", "factor": 2}}, "dynamic"),
            ({"rope_scaling": {"rope_type": "longrope", "factor": 2}}, "longrope"),
            ({"rope_scaling": {"type": "linear"}}, "factor"),
            ({"partial_rotary_factor": 0.5}, "partial_rotary_factor"),
            ({"num_hidden_layers": 3}, "model.layers.2."),
            ({"num_hidden_layers": 1}, "model.layers.1."),
            ({"num_hidden_layers": 1 << 40}, "num_hidden_layers"),
            ({"num_attention_heads": 0}, "num_attention_heads"),
            ({"head_dim": 7}, "do not fit together"),
            ({"num_key_value_heads": 3}, "do not fit together"),
            ({"hidden_size": 128}, "config.json says"),
            ({"vocab_size": 100}, "model.embed_tokens.weight"),
            ({"rms_norm_eps": None}, "rms_norm_eps"),
            ({"rms_norm_eps": "small"}, "rms_norm_eps"),
            ({"tie_word_embeddings": False}, "lm_head.weight"),
        ]
        for change, word in cases:
            with self.subTest(word):
                hf_model.write_json(directory, "config.json", {**good, **change})
                self.refused(directory, word)
        with open(os.path.join(directory, "config.json"), "w", encoding="ascii") as f:
            f.write("[" * 100000)
        self.refused(directory, "config.json")
        os.unlink(os.path.join(directory, "config.json"))
        self.refused(directory, "config.json")

    def test_other_families_are_refused_by_name(self):
        for arch, change, word in (
                ("qwen2", {"use_sliding_window": True}, "use_sliding_window"),
                ("qwen3moe", {"norm_topk_prob": False}, "norm_topk_prob"),
                ("qwen3moe", {"mlp_only_layers": [0]}, "mlp_only_layers"),
                ("gemma2", {"query_pre_attn_scalar": 17}, "query_pre_attn_scalar"),
                ("gemma2", {"layer_types": ["full_attention"]}, "layer_types"),
                ("smollm3", {"no_rope_layers": [0, 1, 1, 1]}, "no_rope_layers")):
            with self.subTest(word):
                options = {"qwen3moe": {"experts": 4, "experts_used": 2}, "gemma2": {"window": 64}}.get(arch, {})
                _, gguf, directory = self.make(arch, **options)
                hf_model.write_json(directory, "config.json", {**hf_model.config(gguf), **change})
                self.refused(directory, word)

    def test_weights_are_refused_by_name(self):
        _, gguf, directory = self.make()
        good = hf_model.hf_tensors(gguf)
        path = os.path.join(directory, "model.safetensors")
        q = "model.layers.0.self_attn.q_proj.weight"
        cases = [
            ({**good, "model.layers.0.self_attn.extra.weight": ([1], b"\0" * 4)}, "self_attn.extra"),
            ({n: t for n, t in good.items() if n != q}, q),
            ({**good, q: (list(reversed([32, good[q][0][0]])), good[q][1][:4 * 32 * good[q][0][0]])}, q),
            ({**good, q: ([good[q][0][0] * good[q][0][1]], good[q][1])}, q),
        ]
        for tensors, word in cases:
            hf_model.write_safetensors(path, tensors)
            self.refused(directory, word)
        nan = b"\0\0\xc0\x7f"
        hf_model.write_safetensors(path, {**good, q: (good[q][0], nan + good[q][1][4:])})
        self.refused(directory, "blk.0.attn_q.weight", "finite")
        hf_model.write_safetensors(path, {n: (s, b"\0" * (len(d) // 4)) for n, (s, d) in good.items()}, "F8_E4M3")
        self.refused(directory, "F8_E4M3")
        with open(path, "r+b") as f:
            f.truncate(1000)
        self.refused(directory, "model.safetensors")

    def test_the_index_names_only_files_of_the_directory(self):
        _, _, directory = self.make(files=2)
        shutil.copy(os.path.join(directory, "model-00001-of-00002.safetensors"), os.path.join(self.directory, "out.safetensors"))
        path = os.path.join(directory, "model.safetensors.index.json")
        with open(path, encoding="utf-8") as f:
            good = json.load(f)["weight_map"]
        for name in ("../out.safetensors", "/etc/passwd", ".", "", "sub/x.safetensors", ".hidden.safetensors", 7,
                     os.path.join(self.directory, "out.safetensors"), "a\0.safetensors"):
            hf_model.write_json(directory, "model.safetensors.index.json", {"weight_map": {**good, "model.norm.weight": name}})
            self.refused(directory, "no name of a safetensors file")
        for change, word in (({"model.other": "model-00001-of-00002.safetensors"}, "model.other"),
                             ({"model.norm.weight": "absent.safetensors"}, "absent.safetensors")):
            hf_model.write_json(directory, "model.safetensors.index.json", {"weight_map": {**good, **change}})
            self.refused(directory, word)

    def test_tokenizers_are_refused_by_name(self):
        _, gguf, directory = self.make("qwen2")
        good = hf_model.byte_level(gguf.kv)
        bpe = good["model"]
        cases = [
            ({"model": {**bpe, "type": "Unigram"}}, "Unigram"),
            ({"model": {**bpe, "vocab": {**bpe["vocab"], "new": 1 << 30}}}, "'new'"),
            ({"model": {**bpe, "vocab": {**bpe["vocab"], "new": max(bpe["vocab"].values())}}}, "two tokens have the id"),
            ({"model": {**bpe, "merges": ["a"]}}, "merge 0"),
            ({"model": {**bpe, "merges": [["a", "b", "c"]]}}, "merge 0"),
            ({"model": {**bpe, "merges": [7]}}, "merge 0"),
            ({"pre_tokenizer": {"type": "Whitespace"}}, "Whitespace"),
            ({"normalizer": {"type": "Lowercase"}}, "Lowercase"),
            ({"added_tokens": [{"id": -1, "content": "x"}]}, "'x'"),
        ]
        for change, word in cases:
            with self.subTest(word):
                hf_model.write_json(directory, "tokenizer.json", {**good, **change})
                self.refused(directory, word)
        os.unlink(os.path.join(directory, "tokenizer.json"))
        self.refused(directory, "tokenizer")
        with open(os.path.join(directory, "tokenizer.model"), "wb") as f:
            f.write(b"\x0a\xff\xff\xff\xff\x0f")
        self.refused(directory, "tokenizer.model")


if __name__ == "__main__":
    unittest.main(verbosity=2)
