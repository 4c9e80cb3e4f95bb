#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Embedding and ranking models: model-engine embed, its HTTP API, and both behind the daemon."""

import base64
import json
import math
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import threading
import unittest

from engine_process import BUILD, ENGINE, ROOT, EngineProcess, make_model

sys.path.insert(0, os.path.join(ROOT, "tests", "unit", "runner"))
import daemon_support  # noqa: E402

WIDTH = 64
TEXTS = ["hello world", "the cat sat on the mat", "river bank"]


def make_encoder(path, *arguments):
    subprocess.run([os.path.join(BUILD, "tools", "make_tiny_encoder"), *arguments, path], check=True)


def embed(model, lines, *arguments):
    done = subprocess.run([ENGINE, "embed", "--model", model, *arguments], input="".join(json.dumps(l) + "\n" for l in lines),
                          capture_output=True, text=True, timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines()], done


def length(vector):
    return math.sqrt(sum(x * x for x in vector))


class Models(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="mr-embed-")
        cls.encoder = os.path.join(cls.directory, "encoder.gguf")
        cls.ranker = os.path.join(cls.directory, "ranker.gguf")
        cls.chat = os.path.join(cls.directory, "chat.gguf")
        make_encoder(cls.encoder)
        make_encoder(cls.ranker, "--pooling", "4", "--labels", "1")
        make_model(cls.chat, n_layers=2, n_embd=64, n_heads=4, n_ff=96, n_vocab=512, n_ctx=1024)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.directory)

    def assert_close(self, a, b, bound=1e-5):
        self.assertEqual(len(a), len(b))
        for x, y in zip(a, b):
            self.assertAlmostEqual(x, y, delta=bound)


class Verb(Models):
    def test_text_and_ids(self):
        lines, done = embed(self.encoder, [{"text": TEXTS[0]}, {"ids": [2, 10, 11, 3]}, {"text": 5}, {}, {"ids": []},
                                           {"ids": [100000]}, {"text": "a " * 500}])
        self.assertEqual((done.returncode, done.stderr, len(lines)), (0, "", 7))
        self.assertEqual(lines[0], lines[1])  # [CLS] hello world [SEP]
        self.assertAlmostEqual(length(lines[0]["embedding"]), 1, delta=1e-5)
        for line in lines[2:]:
            self.assertEqual(list(line), ["error"])
        self.assertIn("502 tokens does not fit the context of 128", lines[6]["error"])

    def test_raw_and_pooling(self):
        def one(*arguments):
            return embed(self.encoder, [{"text": TEXTS[1]}], *arguments)[0][0]["embedding"]
        raw, tokens = one("--raw"), one("--raw", "--pooling", "none")
        self.assertGreater(abs(length(raw) - 1), 0.01)
        self.assert_close([x / length(raw) for x in raw], one())
        self.assert_close([sum(column) / len(tokens) for column in zip(*tokens)], raw)
        self.assert_close(one("--raw", "--pooling", "cls"), tokens[0])
        self.assert_close(one("--raw", "--pooling", "last"), tokens[-1])
        lines, done = embed(self.encoder, [{"text": "x"}], "--pooling", "max")
        self.assertEqual((done.returncode, lines), (1, []))
        self.assertIn("no pooling 'max'", done.stderr)

    def test_other_models(self):
        self.assertEqual(len(embed(self.ranker, [{"text": "x"}])[0][0]["embedding"]), 1)
        self.assertEqual(len(embed(self.chat, [{"text": "x"}])[0][0]["embedding"]), WIDTH)
        line = embed(self.encoder, [{"text": "x"}], "--pooling", "rank")[0][0]
        self.assertIn("no head for ranking", line["error"])


class Engine(Models):
    def serve(self, model, *arguments):
        engine = EngineProcess(model, "--alias", "m", *arguments)
        self.addCleanup(lambda: self.assertEqual(engine.stop(), 0))
        return engine

    def vectors(self, engine, **fields):
        status, answer = engine.post("/v1/embeddings", fields)
        self.assertEqual(status, 200, answer)
        self.assertEqual((answer["object"], answer["model"]), ("list", fields.get("model", "m")))
        self.assertEqual([d["index"] for d in answer["data"]], list(range(len(answer["data"]))))
        return answer["data"], answer["usage"]

    def refused(self, engine, path, body, words):
        status, answer = engine.post(path, body)
        self.assertEqual(status, 400, answer)
        self.assertIn(words, answer["error"]["message"])
        return answer["error"]

    def test_embeddings(self):
        engine = self.serve(self.encoder)
        want = [line["embedding"] for line in embed(self.encoder, [{"text": t} for t in TEXTS])[0]]
        data, usage = self.vectors(engine, input=TEXTS, model="any/name")
        for d, w in zip(data, want):
            self.assert_close(d["embedding"], w)
        self.assertEqual(usage["prompt_tokens"], usage["total_tokens"])
        one, _ = self.vectors(engine, input=TEXTS[0])
        self.assert_close(one[0]["embedding"], want[0])
        ids, usage = self.vectors(engine, input=[2, 10, 11, 3])
        self.assert_close(ids[0]["embedding"], want[0])
        self.assertEqual(usage["prompt_tokens"], 4)
        mixed, _ = self.vectors(engine, input=[TEXTS[1], [2, 10, 11, 3]])
        self.assert_close(mixed[0]["embedding"], want[1])
        self.assert_close(mixed[1]["embedding"], want[0])

        packed, _ = self.vectors(engine, input=TEXTS[0], encoding_format="base64")
        self.assertEqual(packed[0]["encoding_format"], "base64")
        self.assert_close(struct.unpack("<%df" % WIDTH, base64.b64decode(packed[0]["embedding"])), want[0])
        short, _ = self.vectors(engine, input=TEXTS[0], dimensions=8)
        n = length(want[0][:8])
        self.assert_close(short[0]["embedding"], [x / n for x in want[0][:8]])

        for body, words in [({}, "missing"), ({"input": []}, "empty"), ({"input": [[]]}, "empty"), ({"input": 5}, "'input'"),
                            ({"input": [5, "x"]}, "token ids"), ({"input": [{}]}, "'input[0]'"), ({"input": [-1]}, "token ids"),
                            ({"input": [2, 90000]}, "90000"), ({"input": ["x"] * 3000}, "at most 2048"),
                            ({"input": "x", "encoding_format": "hex"}, "encoding_format"),
                            ({"input": "x", "dimensions": 65}, "1 to 64"), ({"input": "x", "dimensions": 0}, "1 to 64")]:
            self.refused(engine, "/v1/embeddings", body, words)
        error = self.refused(engine, "/v1/embeddings", {"input": ["x", "a " * 500]}, "context size")
        self.assertEqual((error["n_prompt_tokens"], error["n_ctx"], error["type"]), (502, 128, "exceed_context_size_error"))
        user = [{"role": "user", "content": "x"}]
        self.refused(engine, "/v1/chat/completions", {"messages": user}, "makes embeddings")
        self.refused(engine, "/v1/completions", {"prompt": "x"}, "makes embeddings")
        self.refused(engine, "/infill", {"input_prefix": "x", "input_suffix": "y"}, "makes embeddings")
        self.refused(engine, "/v1/rerank", {"query": "x", "documents": ["y"]}, "cannot rank")
        status, answer = engine.post("/score", {"text_1": TEXTS[0], "text_2": TEXTS})
        self.assertEqual(status, 200, answer)
        cosines = [sum(a * b for a, b in zip(want[0], w)) for w in want]
        self.assert_close([d["score"] for d in answer["data"]], cosines)

    def test_rerank(self):
        engine = self.serve(self.ranker)
        # [CLS] query [SEP] document, each without tokens of its own
        pairs = embed(self.ranker, [{"ids": [2, 6, 3, 10, 11]}, {"ids": [2, 6, 3, 5, 6]}])[0]
        want = [p["embedding"][0] for p in pairs]
        body = {"query": "cat", "documents": ["hello world", {"text": "the cat"}], "model": "r"}
        status, answer = engine.post("/v1/rerank", body)
        self.assertEqual(status, 200, answer)
        self.assertEqual((answer["model"], answer["object"], answer["usage"]["total_tokens"]), ("r", "list", 10))
        results = answer["results"]
        self.assertEqual(sorted(r["index"] for r in results), [0, 1])
        self.assertGreaterEqual(results[0]["relevance_score"], results[1]["relevance_score"])
        for r in results:
            self.assertAlmostEqual(r["relevance_score"], want[r["index"]], delta=1e-5)
            self.assertEqual(set(r), {"index", "relevance_score"})
        status, answer = engine.post("/rerank", dict(body, top_n=1, return_documents=True))
        self.assertEqual(answer["results"][0]["document"], {"text": ["hello world", "the cat"][results[0]["index"]]})
        self.assertEqual(len(answer["results"]), 1)
        status, answer = engine.post("/rerank", {"query": "cat", "texts": ["hello world", "the cat"], "return_text": True})
        self.assertEqual((answer[0]["index"], len(answer)), (results[0]["index"], 2))
        self.assertAlmostEqual(answer[0]["score"], results[0]["relevance_score"], delta=1e-6)
        status, answer = engine.post("/score", {"text_1": "cat", "text_2": ["hello world", "the cat"]})
        self.assert_close([d["score"] for d in answer["data"]], want)
        self.assertEqual([d["object"] for d in answer["data"]], ["score", "score"])
        for path, body, words in [("/v1/rerank", {"documents": ["x"]}, "'query' is missing"),
                                  ("/v1/rerank", {"query": "x"}, "'documents'"), ("/v1/rerank", {"query": "x", "documents": []}, "'documents'"),
                                  ("/v1/rerank", {"query": "x", "documents": [5]}, "'documents[0]'"),
                                  ("/v1/rerank", {"query": "x", "documents": ["y"], "top_n": 0}, "top_n"),
                                  ("/v1/rerank", {"query": "x", "documents": ["y " * 400]}, "context size"),
                                  ("/score", {"text_1": "x"}, "'text_2' is missing"), ("/score", {"text_1": ["a", "b"], "text_2": "c"}, "as many"),
                                  ("/score", {"text_1": "a", "text_2": []}, "'text_2'"),
                                  ("/v1/embeddings", {"input": "x"}, "use /v1/rerank"),
                                  ("/v1/completions", {"prompt": "x"}, "ranks documents")]:
            self.refused(engine, path, body, words)

    def test_chat_and_embeddings_at_once(self):
        engine = self.serve(self.chat, "--pooling", "mean")
        want = embed(self.chat, [{"text": "x"}, {"text": "hello " * 120}], "--pooling", "mean")[0]
        failures = []

        def ask(path, body):
            for _ in range(5):
                status, _ = engine.post(path, body)
                if status != 200:
                    failures.append((path, status))
        threads = [threading.Thread(target=ask, args=("/v1/completions", {"prompt": "a b c", "max_tokens": 16})),
                   threading.Thread(target=ask, args=("/v1/embeddings", {"input": ["hello " * 120, "x"]}))]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(failures, [])
        data, _ = self.vectors(engine, input=["x", "hello " * 120])
        for d, w in zip(data, want):
            self.assert_close(d["embedding"], w["embedding"], 2e-3)  # the cache holds f16
        self.refused(engine, "/v1/embeddings", {"input": "hello " * 1200}, "context size")

    def test_pooling_of_another_kind_is_refused(self):
        done = subprocess.run([ENGINE, "serve", "--model", self.encoder, "--port", "0", "--pooling", "rank"],
                              capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no head for ranking", done.stderr)


class Daemon(Models):
    def test_through_the_daemon(self):
        daemon = daemon_support.Daemon(engine=ENGINE)
        self.addCleanup(daemon.close)
        for path, name in [(self.encoder, "encoder"), (self.ranker, "ranker"), (self.chat, "chat")]:
            with open(path, "rb") as f:
                daemon.load("ai/" + name, weights=f.read())

        def post(path, body):
            answer = daemon.post(path, body)
            return answer.status, answer.json
        for path in ["/v1/embeddings", "/engines/v1/embeddings", "/engines/llama.cpp/v1/embeddings"]:
            status, answer = post(path, {"model": "encoder", "input": TEXTS})
            self.assertEqual(status, 200, answer)
            self.assertEqual(len(answer["data"]), 3)
        for path in ["/rerank", "/v1/rerank", "/engines/rerank", "/engines/llama.cpp/rerank"]:
            status, answer = post(path, {"model": "ranker", "query": "cat", "documents": TEXTS})
            self.assertEqual((status, len(answer["results"])), (200, 3), answer)
        status, answer = post("/score", {"model": "ranker", "text_1": "cat", "text_2": TEXTS})
        self.assertEqual((status, len(answer["data"])), (200, 3))
        # One process chats and embeds.
        self.assertEqual(post("/v1/completions", {"model": "chat", "prompt": "a", "max_tokens": 2})[0], 200)
        self.assertEqual(post("/v1/embeddings", {"model": "chat", "input": "a"})[0], 200)
        status, tokens = post("/tokenize", {"model": "chat", "content": "a b"})
        self.assertEqual(status, 200)
        self.assertEqual(post("/detokenize", {"model": "chat", "tokens": tokens["tokens"]}), (200, {"content": "a b"}))
        self.assertEqual(post("/engines/apply-template", {"model": "chat", "messages": [{"role": "user", "content": "x"}]})[0], 200)
        status, answer = post("/infill", {"model": "chat", "input_prefix": "a", "input_suffix": "b"})
        self.assertEqual(status, 400)
        self.assertIn("no token for the prefix", json.dumps(answer))


if __name__ == "__main__":
    unittest.main()
