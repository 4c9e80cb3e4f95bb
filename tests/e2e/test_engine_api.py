#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The HTTP API of model-engine, over a small model with random weights."""

import json
import math
import os
import shutil
import tempfile
import threading
import unittest

from engine_process import ROOT, EngineProcess, UnixConnection, make_model

SHARED = os.environ.get("MR_SHARED") or os.path.join(ROOT, "..", "shared")
PROMPT = "Once upon a time there was a very small model"
GREEDY = {"temperature": 0, "ignore_eos": True}


class EngineApi(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="mr-api-")
        model = os.path.join(cls.directory, "tiny.gguf")
        make_model(model, n_layers=2, n_embd=64, n_heads=4, n_ff=96, n_vocab=512, n_ctx=1024)
        cls.engine = EngineProcess(model, "--parallel", "4", "--alias", "tiny")

    @classmethod
    def tearDownClass(cls):
        code = cls.engine.stop()
        shutil.rmtree(cls.directory)
        assert code == 0, code

    def complete(self, **fields):
        status, answer = self.engine.post("/v1/completions", dict({"prompt": PROMPT}, **fields))
        self.assertEqual(status, 200, answer)
        return answer

    def text(self, **fields):
        return self.complete(**fields)["choices"][0]["text"]

    # ---- what the engine says about itself ----

    def test_information(self):
        self.assertEqual(self.engine.get("/health"), (200, {"status": "ok"}))
        status, models = self.engine.get("/v1/models")
        self.assertEqual((status, models["object"]), (200, "list"))
        model = models["data"][0]
        self.assertEqual((model["id"], model["object"]), ("tiny", "model"))
        self.assertEqual(model["meta"]["n_vocab"], 512)
        self.assertEqual(model["meta"]["n_ctx_train"], 1024)
        self.assertEqual(model["meta"]["n_ctx"], 1024)
        self.assertGreater(model["meta"]["n_params"], 0)
        status, props = self.engine.get("/props")
        self.assertEqual((status, props["total_slots"]), (200, 4))
        self.assertEqual(props["default_generation_settings"]["n_ctx"], 1024)

    def test_routes(self):
        for method, path, want in [("GET", "/", 404), ("GET", "/v1/nothing", 404),
                                   ("POST", "/health", 405), ("GET", "/v1/completions", 405),
                                   ("DELETE", "/v1/models", 405), ("PUT", "/tokenize", 405)]:
            status, answer = self.engine.request(method, path, b"" if method != "GET" else None)
            self.assertEqual(status, want, (method, path))
            self.assertEqual(answer["error"]["code"], want)
            self.assertTrue(answer["error"]["message"])
            self.assertTrue(answer["error"]["type"])

    # ---- whole answers ----

    def test_completion(self):
        answer = self.complete(max_tokens=8, model="name/of:mine", **GREEDY)
        self.assertEqual(answer["object"], "text_completion")
        self.assertEqual(answer["model"], "name/of:mine")
        choice = answer["choices"][0]
        self.assertEqual((choice["index"], choice["finish_reason"]), (0, "length"))
        usage, timings = answer["usage"], answer["timings"]
        self.assertEqual(usage["completion_tokens"], 8)
        self.assertEqual(usage["total_tokens"], usage["prompt_tokens"] + 8)
        self.assertEqual(timings["predicted_n"], 8)
        self.assertEqual(timings["cache_n"] + timings["prompt_n"], usage["prompt_tokens"])
        self.assertEqual(usage["prompt_tokens_details"]["cached_tokens"], timings["cache_n"])
        for part in ("prompt", "predicted"):
            for name in ("ms", "per_token_ms", "per_second"):
                self.assertGreaterEqual(timings[f"{part}_{name}"], 0)

    def test_chat(self):
        body = dict(GREEDY, messages=[{"role": "user", "content": "Hello"}], max_tokens=5)
        status, answer = self.engine.post("/v1/chat/completions", body)
        self.assertEqual(status, 200, answer)
        self.assertEqual(answer["object"], "chat.completion")
        self.assertTrue(answer["id"].startswith("chatcmpl-"))
        self.assertEqual(answer["model"], "tiny")
        message = answer["choices"][0]["message"]
        self.assertEqual(message["role"], "assistant")
        # The same through the steps by themselves.
        prompt = self.engine.post("/apply-template", body)[1]["prompt"]
        self.assertIn("Hello", prompt)
        self.assertEqual(self.text(prompt=prompt, max_tokens=5, **GREEDY), message["content"])
        # Parts are joined.
        body["messages"] = [{"role": "user", "content": [{"type": "text", "text": "Hello"}]}]
        self.assertEqual(self.engine.post("/apply-template", body)[1]["prompt"], prompt)

    def test_prompt_forms(self):
        ids = self.engine.post("/tokenize", {"content": PROMPT, "add_special": True})[1]["tokens"]
        one = self.text(max_tokens=6, **GREEDY)
        self.assertEqual(self.text(prompt=ids, max_tokens=6, **GREEDY), one)
        answer = self.complete(prompt=[PROMPT, "Another one"], n=2, max_tokens=6, **GREEDY)
        texts = [c["text"] for c in answer["choices"]]
        self.assertEqual([c["index"] for c in answer["choices"]], [0, 1, 2, 3])
        self.assertEqual(texts[:2], [one, one])
        self.assertEqual(texts[2], texts[3])
        self.assertEqual(answer["usage"]["completion_tokens"], 24)
        self.assertEqual(self.complete(prompt=[ids, ids], max_tokens=6, **GREEDY)["choices"][1]["text"], one)
        self.assertEqual(self.text(echo=True, max_tokens=6, **GREEDY), PROMPT + one)

    def test_tokenize_and_back(self):
        ids = self.engine.post("/tokenize", {"content": PROMPT})[1]["tokens"]
        text = self.engine.post("/detokenize", {"tokens": ids})[1]["content"]
        self.assertEqual(text.strip(), PROMPT)

    def test_no_tokens(self):
        answer = self.complete(max_tokens=0, **GREEDY)
        self.assertEqual(answer["choices"][0]["text"], "")
        self.assertEqual(answer["choices"][0]["finish_reason"], "length")
        self.assertEqual(answer["usage"]["completion_tokens"], 0)

    # ---- streams ----

    def test_stream_of_text(self):
        whole = self.text(max_tokens=40, **GREEDY)
        stream = self.engine.stream("/v1/completions", dict(GREEDY, prompt=PROMPT, max_tokens=40))
        chunks = list(stream)
        self.assertTrue(stream.done)
        self.assertEqual("".join(c["choices"][0]["text"] for c in chunks), whole)
        self.assertEqual([c["choices"][0]["finish_reason"] for c in chunks],
                         [None] * (len(chunks) - 1) + ["length"])
        self.assertIn("timings", chunks[-1])
        self.assertNotIn("usage", chunks[-1])

    def test_stream_of_chat(self):
        body = dict(GREEDY, messages=[{"role": "user", "content": "Hi"}], max_tokens=6, n=2,
                    stream_options={"include_usage": True})
        stream = self.engine.stream("/v1/chat/completions", body)
        chunks = list(stream)
        self.assertTrue(stream.done)
        self.assertEqual(len({c["id"] for c in chunks}), 1)
        for c in chunks:
            self.assertEqual(c["object"], "chat.completion.chunk")
        usage = chunks.pop()
        self.assertEqual(usage["choices"], [])
        self.assertEqual(usage["usage"]["completion_tokens"], 12)
        self.assertEqual(usage["timings"]["predicted_n"], 12)
        for index in range(2):
            mine = [c["choices"][0] for c in chunks if c["choices"][0]["index"] == index]
            self.assertEqual(mine[0]["delta"], {"role": "assistant", "content": None})
            self.assertEqual((mine[-1]["delta"], mine[-1]["finish_reason"]), ({}, "length"))
            text = "".join(c["delta"]["content"] for c in mine[1:-1])
            status, whole = self.engine.post("/v1/chat/completions", dict(body, n=1))
            self.assertEqual(text, whole["choices"][0]["message"]["content"])

    def test_four_clients_at_once(self):
        prompts = [PROMPT, "A", PROMPT + " that answered", "Something else entirely " * 20]
        alone = [self.text(prompt=p, max_tokens=60, cache_prompt=False, **GREEDY) for p in prompts]
        texts = [None] * 8

        def client(i):
            stream = self.engine.stream(
                "/v1/completions", dict(GREEDY, prompt=prompts[i % 4], max_tokens=60))
            texts[i] = "".join(c["choices"][0]["text"] for c in stream)

        threads = [threading.Thread(target=client, args=(i,)) for i in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(texts, alone + alone)

    # ---- sampling ----

    def test_seeds(self):
        fields = {"max_tokens": 20, "temperature": 2, "top_k": 0, "top_p": 1, "min_p": 0,
                  "ignore_eos": True}
        a, b = self.complete(seed=7, **fields), self.complete(seed=7, **fields)
        c = self.complete(seed=8, **fields)
        self.assertEqual(a["choices"][0]["text"], b["choices"][0]["text"])
        self.assertNotEqual(a["choices"][0]["text"], c["choices"][0]["text"])
        # Without one, the answer says which it was.
        d = self.complete(**fields)
        self.assertEqual(self.complete(seed=d["seed"], **fields)["choices"][0]["text"],
                         d["choices"][0]["text"])
        # Other choices take other seeds.
        e = self.complete(seed=7, n=2, **fields)
        self.assertEqual(e["choices"][0]["text"], a["choices"][0]["text"])
        self.assertEqual(e["choices"][1]["text"], c["choices"][0]["text"])

    def test_stop_strings(self):
        whole = self.text(max_tokens=60, **GREEDY)
        # Anywhere, so also across the borders of tokens; alone and among others, whole and streamed.
        for at, length in [(0, 1), (3, 4), (10, 9), (20, 2), (len(whole) - 6, 6)]:
            stop = whole[at:at + length]
            want = whole[:whole.find(stop)]
            for stops in (stop, ["never \x00 said", stop]):
                answer = self.complete(max_tokens=60, stop=stops, **GREEDY)
                self.assertEqual(answer["choices"][0]["text"], want)
                self.assertEqual(answer["choices"][0]["finish_reason"], "stop")
                stream = self.engine.stream(
                    "/v1/completions", dict(GREEDY, prompt=PROMPT, max_tokens=60, stop=stops))
                self.assertEqual("".join(c["choices"][0]["text"] for c in stream), want)

    def test_logprobs(self):
        answer = self.complete(max_tokens=5, logprobs=4, **GREEDY)
        logprobs = answer["choices"][0]["logprobs"]
        self.assertEqual(len(logprobs["tokens"]), 5)
        for p, top in zip(logprobs["token_logprobs"], logprobs["top_logprobs"]):
            self.assertAlmostEqual(p, max(top.values()), places=5)  # greedy took the best one
            self.assertLessEqual(sum(map(math.exp, top.values())), 1.0001)
        body = dict(GREEDY, messages=[{"role": "user", "content": "x"}], max_tokens=3, logprobs=True,
                    top_logprobs=3)
        status, chat = self.engine.post("/v1/chat/completions", body)
        content = chat["choices"][0]["logprobs"]["content"]
        self.assertEqual(len(content), 3)
        for t in content:
            self.assertEqual(len(t["top_logprobs"]), 3)
            self.assertEqual(t["top_logprobs"][0]["id"], t["id"])
            self.assertEqual(bytes(t["bytes"]).decode("utf-8", "replace"), t["token"])
        chunks = list(self.engine.stream("/v1/chat/completions", body))
        streamed = [t for c in chunks for t in ((c["choices"][0].get("logprobs") or {}).get("content") or [])]
        self.assertEqual(streamed, content)

    def test_logit_bias(self):
        body = dict(GREEDY, max_tokens=1, logprobs=1)
        best = self.engine.post("/tokenize", {"content": "zebra"})[1]["tokens"][-1]
        for bias in ({str(best): 1000}, [[best, 1000]]):
            text = self.text(max_tokens=1, logit_bias=bias, **GREEDY)
            self.assertEqual(text, self.engine.post("/detokenize", {"tokens": [best]})[1]["content"])
        first = self.complete(**body)["choices"][0]["logprobs"]["tokens"][0]
        ids = self.engine.post("/tokenize", {"content": first})[1]["tokens"]
        self.assertTrue(ids)

    # ---- the cache ----

    def test_prompts_are_not_computed_twice(self):
        prompt = "The same long beginning of everything. " * 12
        first = self.complete(prompt=prompt, max_tokens=10, **GREEDY)
        second = self.complete(prompt=prompt, max_tokens=10, **GREEDY)
        longer = self.complete(prompt=prompt + first["choices"][0]["text"] + " And", max_tokens=1, **GREEDY)
        n = first["usage"]["prompt_tokens"]
        self.assertEqual(first["choices"][0]["text"], second["choices"][0]["text"])
        self.assertGreater(second["timings"]["cache_n"], n - 32)
        self.assertLess(second["timings"]["prompt_n"], 32)
        self.assertGreater(longer["timings"]["cache_n"], n - 32)
        off = self.complete(prompt=prompt, max_tokens=10, cache_prompt=False, **GREEDY)
        self.assertEqual(off["timings"]["cache_n"], 0)
        self.assertEqual(off["choices"][0]["text"], first["choices"][0]["text"])

    # ---- limits and wrong input ----

    def test_context_overflow(self):
        for path, body in (("/v1/completions", {"prompt": "word " * 2000}),
                           ("/v1/chat/completions",
                            {"messages": [{"role": "user", "content": "word " * 2000}], "stream": True})):
            status, answer = self.engine.post(path, body)
            error = answer["error"]
            self.assertEqual((status, error["code"]), (400, 400))
            self.assertEqual(error["type"], "exceed_context_size_error")
            self.assertEqual(error["n_ctx"], 1024)
            self.assertGreater(error["n_prompt_tokens"], 1024)
            self.assertEqual(error["message"],
                             f"request ({error['n_prompt_tokens']} tokens) exceeds the available "
                             "context size (1024 tokens), try increasing it")

    def test_context_is_filled_and_no_more(self):
        answer = self.complete(prompt="word " * 150, max_tokens=-1, **GREEDY)
        self.assertEqual(answer["choices"][0]["finish_reason"], "length")
        total = answer["usage"]["total_tokens"]
        self.assertIn(total, (1024, 1025))  # the last token needs no room

    def test_wrong_bodies(self):
        user = [{"role": "user", "content": "x"}]
        deep = "[" * 100000
        chat = [
            b"", b"{", b"[]", b"null", b"7", b"\"text\"", b"\xff\xfe", b"{\"messages\":" + deep.encode(),
            b"{\"messages\":\"\\ud800\"}", {}, {"messages": None}, {"messages": "hi"}, {"messages": []},
            {"messages": [1]}, {"messages": [{}]}, {"messages": [{"role": "user"}]},
            {"messages": [{"role": 5, "content": "x"}]},
            {"messages": [{"role": "user", "content": 5}]},
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            {"messages": user, "temperature": "hot"}, {"messages": user, "temperature": -1},
            {"messages": user, "n": 100}, {"messages": user, "n": []}, {"messages": user, "stop": {}},
            {"messages": user, "stop": ["x"] * 65}, {"messages": user, "stop": "x" * 5000},
            {"messages": user, "max_tokens": "many"}, {"messages": user, "max_tokens": 1e99},
            {"messages": user, "stream": "yes"}, {"messages": user, "stream_options": 3},
            {"messages": user, "logit_bias": {"x": 1}}, {"messages": user, "logit_bias": {"99999": 1}},
            {"messages": user, "tools": {}}, {"messages": user, "tools": [{}]},
            {"messages": user, "top_logprobs": 5}, {"messages": user, "logprobs": True, "top_logprobs": 99},
            {"messages": user, "model": {}}, {"messages": user, "chat_template_kwargs": 1},
        ]
        text = [{}, {"prompt": None}, {"prompt": 5}, {"prompt": {}}, {"prompt": []}, {"prompt": [[]]},
                {"prompt": [1, "x"]}, {"prompt": [-1]}, {"prompt": [512]}, {"prompt": [1.5]},
                {"prompt": ["a", None]}, {"prompt": ["a"] * 65}, {"prompt": "a", "echo": 3},
                {"prompt": "a", "logprobs": 99}]
        bodies = [("/v1/chat/completions", b) for b in chat] + [("/v1/completions", b) for b in text]
        bodies += [("/tokenize", {}), ("/tokenize", {"content": 5}), ("/detokenize", {"tokens": "x"}),
                   ("/detokenize", {"tokens": [99999]}), ("/apply-template", {})]
        for path, body in bodies:
            status, answer = self.engine.post(path, body)
            self.assertEqual(status, 400, (path, body if len(str(body)) < 300 else "…", answer))
            self.assertEqual(answer["error"]["type"], "invalid_request_error")
            self.assertTrue(answer["error"]["message"])
        self.assertEqual(self.engine.get("/health")[0], 200)

    def test_structured_output_in_streams(self):
        schema = {"type": "object", "additionalProperties": False, "required": ["a", "b"],
                  "properties": {"a": {"type": "string", "maxLength": 12},
                                 "b": {"type": "array", "items": {"enum": ["x", "yy"]}, "maxItems": 6}}}
        ended = 0
        for seed in range(6):
            body = {"messages": [{"role": "user", "content": "x"}], "seed": seed, "max_tokens": 200,
                    "temperature": 1.5, "response_format": {"type": "json_schema", "json_schema": {"schema": schema}}}
            text, why = self.joined("/v1/chat/completions", body)
            if why == "stop":
                ended += 1
                self.assertEqual(set(json.loads(text)), {"a", "b"}, text)
            # the same with a stop string: the same text up to there
            cut, cut_why = self.joined("/v1/chat/completions", dict(body, stop=["yy", "]"]))
            self.assertEqual(cut, min(text.split("yy")[0], text.split("]")[0], key=len))
            self.assertEqual(cut_why, why if cut == text else "stop")
        self.assertGreater(ended, 0)

    def joined(self, path, body):
        """The text of a streamed answer, and why it ended."""
        choices = [chunk["choices"][0] for chunk in self.engine.stream(path, body)]
        return "".join(c["delta"].get("content") or "" for c in choices), choices[-1]["finish_reason"]

    def test_structured_output(self):
        """The model's weights are random: only the grammar makes an answer of it."""
        schema = {"type": "object", "additionalProperties": False, "required": ["n", "tags", "b"],
                  "properties": {"n": {"type": "integer", "minimum": -5, "maximum": 99},
                                 "tags": {"type": "array", "items": {"enum": ["x", "yy"]}, "maxItems": 3},
                                 "b": {"type": "boolean"},
                                 "s": {"type": "string", "maxLength": 4}}}

        def check(text):
            v = json.loads(text)
            self.assertLessEqual({"n", "tags", "b"}, set(v))
            self.assertLessEqual(set(v), {"n", "tags", "b", "s"})
            self.assertTrue(isinstance(v["n"], int) and -5 <= v["n"] <= 99)
            self.assertTrue(len(v["tags"]) <= 3 and set(v["tags"]) <= {"x", "yy"})
            self.assertIsInstance(v["b"], bool)
            self.assertLessEqual(len(v.get("s", "")), 4)

        user = [{"role": "user", "content": "x"}]
        for seed in range(8):
            body = {"messages": user, "seed": seed, "n": 2, "max_tokens": 200, "temperature": 1.5, "top_k": 0,
                    "min_p": 0, "top_p": 1, "logprobs": True,
                    "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}}
            status, answer = self.engine.post("/v1/chat/completions", body)
            self.assertEqual(status, 200, answer)
            for choice in answer["choices"]:
                if choice["finish_reason"] == "length":
                    continue
                check(choice["message"]["content"])
            status, answer = self.engine.post("/v1/completions", {
                "prompt": "x", "seed": seed, "max_tokens": 200, "temperature": 1.5, "top_k": 0, "min_p": 0,
                "top_p": 1, "json_schema": schema})
            self.assertEqual(status, 200, answer)
            if answer["choices"][0]["finish_reason"] == "stop":
                check(answer["choices"][0]["text"])
            status, answer = self.engine.post("/v1/completions", {
                "prompt": "x", "seed": seed, "max_tokens": 50, "grammar": 'root ::= "ab" [0-9]{2,4} "."'})
            self.assertEqual(status, 200, answer)
            self.assertRegex(answer["choices"][0]["text"], r"^ab[0-9]{2,4}\.$")
            self.assertEqual(answer["choices"][0]["finish_reason"], "stop")
        for body, name in [({"json_schema": {"contains": {}}}, "contains"),
                           ({"json_schema": {}, "grammar": 'root ::= "a"'}, "only one"),
                           ({"grammar": "root ::= x"}, "'x'")]:
            status, answer = self.engine.post("/v1/completions", {"prompt": "x", **body})
            self.assertEqual(status, 400)
            self.assertIn(name, answer["error"]["message"])

    def test_what_is_not_supported_is_said(self):
        user = [{"role": "user", "content": "x"}]
        for path, body, name in [
            ("/v1/rerank", {"query": "x", "documents": ["y"]}, "cannot rank"),
            ("/v1/chat/completions", {"messages": user, "response_format": {"type": "xml"}}, "xml"),
            ("/v1/chat/completions", {"messages": user, "grammar": "root ::= x"}, "grammar"),
            ("/v1/chat/completions", {"messages": user, "tool_choice": "required"}, "tool_choice"),
            ("/v1/completions", {"prompt": "x", "suffix": "y"}, "no token for the prefix"),
            ("/infill", {"input_prefix": "x", "input_suffix": "y"}, "no token for the prefix"),
            ("/v1/completions", {"prompt": "x", "echo": True, "logprobs": 1}, "echo"),
            ("/v1/completions", {"prompt": "x", "context_shift": True}, "context_shift"),
        ]:
            status, answer = self.engine.post(path, body)
            self.assertIn(status, (400, 501))
            self.assertIn(name, answer["error"]["message"])

    def test_body_too_large(self):
        connection = UnixConnection(self.engine.socket)
        try:
            connection.request("POST", "/v1/completions", b" " * (65 << 20))
            response = connection.getresponse()
            self.assertEqual(response.status, 413)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the answer may come before all of the body was taken
        finally:
            connection.close()
        self.assertEqual(self.engine.get("/health")[0], 200)


TEMPLATE = """{%- if tools %}{{ '<tools>' }}{% for t in tools %}{{ t | tojson }}{% endfor %}{{ '</tools>\\n' }}{% endif -%}
{%- for m in messages %}{{ m.role + ': ' + (m.content or '') }}
{%- for c in m.tool_calls or [] %}{{ '<tool_call>' + (c.function | tojson) + '</tool_call>' }}{% endfor %}{{ '\\n' }}
{%- endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}
{%- if enable_thinking is not defined or enable_thinking %}{{ '<think>\\n' }}{% endif %}{% endif %}"""

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather", "parameters": {
        "type": "object", "additionalProperties": False, "required": ["city", "days"],
        "properties": {"city": {"type": "string", "maxLength": 6}, "days": {"type": "integer", "minimum": 0, "maximum": 9}}}}}
CLOCK = {"type": "function", "function": {"name": "now"}}


class ToolsAndReasoning(unittest.TestCase):
    """A model with random weights and a template that knows tools and thinks: what is right in its answers is what
    the engine makes sure of."""

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="mr-tools-")
        model, template = (os.path.join(cls.directory, name) for name in ("tiny.gguf", "chat.jinja"))
        make_model(model, n_layers=2, n_embd=64, n_heads=4, n_ff=96, n_vocab=512, n_ctx=2048)
        with open(template, "w") as f:
            f.write(TEMPLATE)
        cls.engine = EngineProcess(model, "--parallel", "4", "--chat-template-file", template)

    @classmethod
    def tearDownClass(cls):
        code = cls.engine.stop()
        shutil.rmtree(cls.directory)
        assert code == 0, code

    def body(self, **fields):
        return dict({"messages": [{"role": "user", "content": "How is the weather?"}], "tools": [WEATHER, CLOCK],
                     "temperature": 1.2, "max_tokens": 400, "reasoning_effort": "none"}, **fields)

    def chat(self, **fields):
        status, answer = self.engine.post("/v1/chat/completions", self.body(**fields))
        self.assertEqual(status, 200, answer)
        return answer

    def check_call(self, call, names=("get_weather", "now")):
        self.assertEqual(call["type"], "function")
        self.assertRegex(call["id"], "^call_[a-zA-Z0-9]{24}$")
        self.assertIn(call["function"]["name"], names)
        arguments = json.loads(call["function"]["arguments"])
        if call["function"]["name"] == "now":
            self.assertEqual(arguments, {})
        else:
            self.assertEqual(set(arguments), {"city", "days"})
            self.assertTrue(len(arguments["city"]) <= 6 and 0 <= arguments["days"] <= 9, arguments)

    def test_required(self):
        finished = 0
        for seed in range(8):
            choice = self.chat(seed=seed, tool_choice="required", parallel_tool_calls=seed % 2 == 0)["choices"][0]
            if choice["finish_reason"] == "length":
                continue
            finished += 1
            self.assertEqual(choice["finish_reason"], "tool_calls")
            self.assertIsNone(choice["message"]["content"])
            calls = choice["message"]["tool_calls"]
            for call in calls:
                self.check_call(call)
            self.assertEqual(len({call["id"] for call in calls}), len(calls))
            if seed % 2:
                self.assertEqual(len(calls), 1)
        self.assertGreater(finished, 3)

    def test_one_function(self):
        for choice in [{"type": "function", "function": {"name": "get_weather"}},
                       {"type": "allowed_tools", "allowed_tools": {
                           "mode": "required", "tools": [{"type": "function", "function": {"name": "get_weather"}}]}}]:
            answer = self.chat(seed=3, tool_choice=choice, parallel_tool_calls=False)["choices"][0]
            self.assertEqual(answer["finish_reason"], "tool_calls")
            self.check_call(answer["message"]["tool_calls"][0], ["get_weather"])

    def test_stream(self):
        body = self.body(seed=1, tool_choice="required", parallel_tool_calls=False,
                         stream_options={"include_usage": True})
        chunks = list(self.engine.stream("/v1/chat/completions", body))
        deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"]]
        first = next(d for d in deltas if "tool_calls" in d)["tool_calls"][0]
        self.assertEqual((first["index"], first["function"]["arguments"]), (0, ""))
        pieces = [d["tool_calls"][0] for d in deltas if "tool_calls" in d][1:]
        for piece in pieces:
            self.assertEqual(set(piece), {"index", "function"})
            self.assertEqual(set(piece["function"]), {"arguments"})
        first["function"]["arguments"] = "".join(p["function"]["arguments"] for p in pieces)
        self.check_call({k: first[k] for k in ("id", "type", "function")})
        if first["function"]["name"] == "get_weather":
            self.assertGreater(len(pieces), 3)  # as they come, not all at once
        self.assertFalse([d for d in deltas if d.get("content")])
        reasons = [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]]
        self.assertEqual(reasons[-1], "tool_calls")
        self.assertEqual(chunks[-1]["usage"]["completion_tokens_details"]["reasoning_tokens"], 0)

    def test_legacy_functions(self):
        """The older names for the same: asked for and answered in them."""
        fields = {"tools": None, "functions": [WEATHER["function"], CLOCK["function"]], "seed": 3}
        choice = self.chat(function_call={"name": "get_weather"}, **fields)["choices"][0]
        self.assertEqual(choice["finish_reason"], "function_call")
        self.assertEqual(set(choice["message"]), {"role", "content", "function_call"})
        self.check_call({"type": "function", "id": "call_" + 24 * "a", "function": choice["message"]["function_call"]},
                        ["get_weather"])

        body = self.body(function_call={"name": "get_weather"}, **fields)
        chunks = [c["choices"][0] for c in self.engine.stream("/v1/chat/completions", body) if c["choices"]]
        calls = [c["delta"]["function_call"] for c in chunks if "function_call" in c["delta"]]
        self.assertEqual(calls[0], {"name": "get_weather", "arguments": ""})
        self.assertEqual("".join(c["arguments"] for c in calls), choice["message"]["function_call"]["arguments"])
        self.assertEqual(chunks[-1]["finish_reason"], "function_call")
        self.assertFalse([c for c in chunks if "tool_calls" in c["delta"]])

        said = self.engine.post("/apply-template", self.body(tools=None, functions=fields["functions"], messages=[
            {"role": "user", "content": "x"},
            {"role": "assistant", "content": None, "function_call": {"name": "now", "arguments": '{"a":1}'}},
            {"role": "function", "name": "now", "content": "12:00"}]))[1]["prompt"]
        self.assertIn('<tool_call>{"name": "now", "arguments": {"a": 1}}</tool_call>', said)
        self.assertIn("tool: 12:00", said)
        self.assertIn("get_weather", said)
        self.assertNotIn("get_weather", self.engine.post("/apply-template", self.body(
            tools=None, functions=fields["functions"], function_call="none"))[1]["prompt"])

    def test_auto_and_none(self):
        for choice in ["auto", "none"]:
            answer = self.chat(seed=2, tool_choice=choice, max_tokens=20)["choices"][0]
            self.assertEqual(answer["finish_reason"], "length")
            self.assertIsInstance(answer["message"]["content"], str)
            self.assertNotIn("tool_calls", answer["message"])

    def test_template_sees_tools(self):
        def prompt(**fields):
            status, answer = self.engine.post("/apply-template", self.body(**fields))
            self.assertEqual(status, 200, answer)
            return answer["prompt"]

        self.assertIn("get_weather", prompt())
        self.assertNotIn("get_weather", prompt(tool_choice="none"))
        calls = [{"id": "c", "type": "function", "function": {"name": "now", "arguments": "{\"a\": 1}"}}]
        said = prompt(messages=[{"role": "user", "content": "x"}, {"role": "assistant", "content": None, "tool_calls": calls},
                                {"role": "tool", "tool_call_id": "c", "content": "12:00"}])
        self.assertIn('<tool_call>{"name": "now", "arguments": {"a": 1}}</tool_call>', said)
        self.assertIn("tool: 12:00", said)
        self.assertTrue(prompt(reasoning_effort="low").endswith("<think>\n"))
        self.assertTrue(prompt().endswith("assistant: "))

    def test_reasoning(self):
        contents = []
        for budget in [0, 6, 12]:
            fields = {"tools": None, "reasoning_effort": "high", "thinking_budget_tokens": budget,
                      "chat_template_kwargs": {"enable_thinking": True}, "max_tokens": 40, "seed": 4,
                      "ignore_eos": True}
            answer = self.chat(**fields)
            message = answer["choices"][0]["message"]
            details = answer["usage"]["completion_tokens_details"]
            # one more where a character that was not complete came out with the next token
            self.assertLessEqual(details["reasoning_tokens"], budget + 1 if budget else 0)
            self.assertEqual(bool(message.get("reasoning_content")), budget > 0)
            contents.append(message["content"])
            self.assertNotIn("think>", message["content"])
            deltas = [c["choices"][0]["delta"] for c in self.engine.stream("/v1/chat/completions", self.body(**fields))
                      if c["choices"]]
            for key in ["content", "reasoning_content"]:
                self.assertEqual("".join(d.get(key) or "" for d in deltas), message.get(key) or "")
            kept = self.chat(**dict(fields, reasoning_format="none"))["choices"][0]["message"]
            self.assertIn("</think>", kept["content"])
            self.assertNotIn("reasoning_content", kept)
        self.assertTrue(any(contents), "no answer goes on behind its reasoning")

    def test_reasoning_then_schema(self):
        schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
        answer = self.chat(tools=None, reasoning_effort="high", reasoning_budget=6, seed=5,
                           response_format={"type": "json_schema", "json_schema": {"schema": schema}})["choices"][0]
        self.assertEqual(answer["finish_reason"], "stop")
        self.assertIsInstance(json.loads(answer["message"]["content"])["n"], int)
        self.assertTrue(answer["message"]["reasoning_content"])

    def test_refused(self):
        bad = {"type": "function", "function": {"name": "f", "strict": True, "parameters": {
            "type": "object", "propertyNames": {"pattern": "a"}}}}
        named = {"type": "function", "function": {"name": "get_weather"}}

        def allowed(tools):
            return {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": tools}}}

        for fields, part in [({"tool_choice": "some"}, "tool_choice"), ({"tools": [bad]}, "propertyNames"),
                             ({"tools": [WEATHER, WEATHER]}, "two tools"), ({"tools": [{"type": "web_search"}]}, "tools[0]"),
                             ({"tools": [], "tool_choice": "required"}, "there are no tools"),
                             ({"tools": [dict(WEATHER, function=dict(WEATHER["function"], strict="yes"))]}, "strict"),
                             ({"tools": [dict(WEATHER, function=dict(WEATHER["function"], description="x" * 2 ** 20))]},
                              "1024 KiB"),
                             (allowed([]), "at least one"), (allowed({"a": 1}), "must be an array"),
                             (allowed(None), "must be an array"), (allowed([named, named]), "twice"),
                             ({"functions": []}, "only one of"), ({"tools": None, "functions": {}}, "'functions'"),
                             ({"function_call": "required"}, "'function_call'"),
                             ({"function_call": "auto", "tool_choice": "auto"}, "only one of"),
                             ({"function_call": {"name": "g"}}, "'g'"),
                             ({"tool_choice": {"type": "function", "function": {"name": "g"}}}, "'g'"),
                             ({"reasoning_effort": "much"}, "reasoning_effort"),
                             ({"reasoning_format": "xml"}, "reasoning_format"),
                             ({"thinking": {"type": "deep"}}, "'thinking'"),
                             ({"reasoning": 5}, "'reasoning'"), ({"thinking_budget_tokens": -2}, "thinking_budget")]:
            status, answer = self.engine.post("/v1/chat/completions", self.body(**fields))
            self.assertEqual(status, 400, (fields, answer))
            self.assertIn(part, answer["error"]["message"])


class SentencePiece(unittest.TestCase):
    """Structured output where tokens have spaces in front and bytes of their own."""

    @classmethod
    def setUpClass(cls):
        model = os.path.join(SHARED, "conformance", "logits", "stories260K.gguf")
        if not os.path.exists(model):
            raise unittest.SkipTest(f"{model} is not present")
        cls.engine = EngineProcess(model)

    @classmethod
    def tearDownClass(cls):
        code = cls.engine.stop()
        assert code == 0, code

    def test_structured_output(self):
        schema = {"type": "object", "additionalProperties": False, "required": ["a", "ü"],
                  "properties": {"a": {"type": "string", "maxLength": 20}, "ü": {"enum": ["日本", " x", "no\n"]}}}
        ended = 0
        for seed in range(6):
            status, answer = self.engine.post("/v1/completions", {
                "prompt": "Once upon", "seed": seed, "max_tokens": 150, "temperature": 1.2, "json_schema": schema})
            self.assertEqual(status, 200, answer)
            choice = answer["choices"][0]
            if choice["finish_reason"] == "stop":
                value = json.loads(choice["text"])
                self.assertEqual(set(value), {"a", "ü"})
                self.assertIn(value["ü"], ["日本", " x", "no\n"])
                ended += 1
            status, answer = self.engine.post("/v1/completions", {
                "prompt": "Once", "seed": seed, "max_tokens": 30, "grammar": 'root ::= " "? "the" " cat" "s"{0,2} "é!"'})
            self.assertEqual(status, 200, answer)
            self.assertRegex(answer["choices"][0]["text"], r"^ ?the cats{0,2}é!$")
        self.assertGreater(ended, 0)


if __name__ == "__main__":
    unittest.main()
