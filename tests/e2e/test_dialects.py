# SPDX-License-Identifier: Apache-2.0
"""What models of many families say, through the HTTP API: published templates, and models that say scripted answers
in their family's form, token by token. Whole and streamed, calls, content and reasoning must come out the same."""

import json
import os
import shutil
import sys
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
from engine_process import EngineProcess
from scripted_model import write_scripted_model

SHARED = os.environ.get("MR_SHARED") or os.path.join(ROOT, "..", "shared")
TEMPLATES = os.path.join(SHARED, "conformance", "templates")

TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "The weather of a place", "parameters": {
            "type": "object", "required": ["city", "days"],
            "properties": {"city": {"type": "string", "description": "Where"},
                           "days": {"type": "integer", "description": "How many"}}}}},
    {"type": "function", "function": {
        "name": "find", "description": "Finds something", "parameters": {
            "type": "object", "required": ["what"],
            "properties": {"what": {"type": "string", "description": "What"}}}}},
]
WEATHER = ("get_weather", {"city": "Zürich", "days": 3})
FIND = ("find", {"what": 'a "b" <c>'})
W, F = json.dumps(WEATHER[1], ensure_ascii=False), json.dumps(FIND[1])

# template: what the model says, its marks, (calls, content, reasoning)
CASES = {
    "Qwen-Qwen3-0.6B": (
        "<think>\nHm.\n</think>\n\nI look.\n"
        f'<tool_call>\n{{"name": "get_weather", "arguments": {W}}}\n</tool_call>\n'
        f'<tool_call>\n{{"name": "find", "arguments": {F}}}\n</tool_call>',
        ["<think>", "</think>", "<tool_call>", "</tool_call>"], ([WEATHER, FIND], "I look.", "Hm.")),
    "meta-llama-Llama-3.1-8B-Instruct": (
        f'{{"name": "get_weather", "parameters": {W}}}', ["<|python_tag|>"], ([WEATHER], None, None)),
    "mistralai-Mistral-Nemo-Instruct-2407": (
        f'[TOOL_CALLS][{{"name": "get_weather", "arguments": {W}, "id": "abcdefghi"}}, '
        f'{{"name": "find", "arguments": {F}, "id": "123456789"}}]',
        ["[TOOL_CALLS]"], ([WEATHER, FIND], None, None)),
    "Mistral-Small-3.2-24B-Instruct-2506": (
        f"I look.[TOOL_CALLS]get_weather[ARGS]{W}", ["[TOOL_CALLS]", "[ARGS]", "[CALL_ID]"],
        ([WEATHER], "I look.", None)),
    "meetkai-functionary-medium-v3.1": (
        f"<function=get_weather>{W}</function>", ["<|python_tag|>"], ([WEATHER], None, None)),
    "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B": (
        "I look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>get_weather\n```json\n"
        f"{W}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>find\n```json\n{F}\n```"
        "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        ["</think>", "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>",
         "<｜tool▁calls▁end｜>"], ([WEATHER, FIND], "I look.", None)),
    "deepseek-ai-DeepSeek-V3.1": (
        f"I look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>get_weather<｜tool▁sep｜>{W}<｜tool▁call▁end｜>"
        "<｜tool▁calls▁end｜>",
        ["</think>", "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>",
         "<｜tool▁calls▁end｜>"], ([WEATHER], "I look.", None)),
    "GLM-4.6": (
        "\n<think>Hm.</think>\n<tool_call>get_weather\n<arg_key>city</arg_key>\n<arg_value>Zürich</arg_value>\n"
        "<arg_key>days</arg_key>\n<arg_value>3</arg_value>\n</tool_call>",
        ["<think>", "</think>", "<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>"],
        ([WEATHER], None, "Hm.")),
    "ibm-granite-granite-3.3-2B-Instruct": (
        f'<|tool_call|>[{{"name": "get_weather", "arguments": {W}}}]', ["<|tool_call|>"], ([WEATHER], None, None)),
    "google-gemma-4-31B-it": (
        '<|tool_call>call:get_weather{city:<|"|>Zürich<|"|>,days:3}<tool_call|>',
        ["<|tool_call>", "<tool_call|>", '<|"|>', "<|channel>", "<channel|>"], ([WEATHER], None, None)),
    "openai-gpt-oss-120b": (
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.get_weather "
        f"<|constrain|>json<|message|>{W}<|call|>",
        ["<|channel|>", "<|message|>", "<|end|>", "<|start|>", "<|constrain|>", "<|call|>", "<|return|>"],
        ([WEATHER], None, "Hm.")),
    "moonshotai-Kimi-K2": (
        "<|tool_calls_section_begin|><|tool_call_begin|>functions.get_weather:0<|tool_call_argument_begin|>"
        f"{W}<|tool_call_end|><|tool_call_begin|>functions.find:1<|tool_call_argument_begin|>{F}<|tool_call_end|>"
        "<|tool_calls_section_end|>",
        ["<|tool_calls_section_begin|>", "<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>",
         "<|tool_calls_section_end|>"], ([WEATHER, FIND], None, None)),
    "Qwen3-Coder": (
        "I look.\n<tool_call>\n<function=get_weather>\n<parameter=city>\nZürich\n</parameter>\n<parameter=days>\n3\n"
        "</parameter>\n</function>\n</tool_call>",
        ["<tool_call>", "</tool_call>"], ([WEATHER], "I look.", None)),
    "MiniMax-M2": (
        'Hm.\n</think>\n\n<minimax:tool_call>\n<invoke name="get_weather">\n<parameter name="city">Zürich</parameter>\n'
        '<parameter name="days">3</parameter>\n</invoke>\n</minimax:tool_call>',
        ["<think>", "</think>", "<minimax:tool_call>", "</minimax:tool_call>"], ([WEATHER], None, "Hm.")),
    "ByteDance-Seed-OSS": (
        "<seed:think>Hm.</seed:think>\n<seed:tool_call>\n<function=get_weather>\n<parameter=city>\nZürich\n"
        "</parameter>\n<parameter=days>\n3\n</parameter>\n</function>\n</seed:tool_call>",
        ["<seed:think>", "</seed:think>", "<seed:tool_call>", "</seed:tool_call>"], ([WEATHER], None, "Hm.")),
    "NVIDIA-Nemotron-Nano-v2": (
        f'Hm.\n</think>\n\n<TOOLCALL>[{{"name": "get_weather", "arguments": {W}}}]</TOOLCALL>',
        [], ([WEATHER], None, "Hm.")),
    "LFM2-8B-A1B": (
        '<|tool_call_start|>[get_weather(city="Zürich", days=3)]<|tool_call_end|>',
        ["<|tool_call_start|>", "<|tool_call_end|>"], ([WEATHER], None, None)),
    "CohereForAI-c4ai-command-r7b-12-2024-tool-use": (
        '<|START_THINKING|>Hm.<|END_THINKING|><|START_ACTION|>[\n    {"tool_call_id": "0", "tool_name": '
        f'"get_weather", "parameters": {W}}}\n]<|END_ACTION|>',
        ["<|START_THINKING|>", "<|END_THINKING|>", "<|START_ACTION|>", "<|END_ACTION|>"], ([WEATHER], None, "Hm.")),
    "phi-4": (
        f'I look.\n<tool_call>\n{{"name": "get_weather", "arguments": {W}}}\n</tool_call>', [],
        ([WEATHER], "I look.", None)),
}


def joined(chunks):
    """The message that the deltas of a stream add up to, and the last finish_reason."""
    message, calls, reason = {}, [], None
    for choice in (c["choices"][0] for c in chunks if c["choices"]):
        delta, reason = choice["delta"], choice["finish_reason"] or reason
        for key in ("content", "reasoning_content"):
            if delta.get(key):
                message[key] = message.get(key, "") + delta[key]
        for call in delta.get("tool_calls", []):
            if call["index"] == len(calls):
                calls.append({"name": call["function"]["name"], "arguments": ""})
            calls[call["index"]]["arguments"] += call["function"]["arguments"]
    return message, calls, reason


class Dialects(unittest.TestCase):
    def setUp(self):
        if not os.path.isdir(TEMPLATES):
            self.skipTest(f"{TEMPLATES} is not present")
        self.directory = tempfile.mkdtemp(prefix="mr-dialects-")
        self.addCleanup(shutil.rmtree, self.directory)

    def serve(self, template, text, n_prompt, marks):
        path = os.path.join(self.directory, "m.gguf")
        write_scripted_model(path, template, text, n_prompt, marks)
        return EngineProcess(path, "--ctx-size", "8192")

    def look(self, name):
        text, marks, (calls, content, reasoning) = CASES[name]
        with open(os.path.join(TEMPLATES, name + ".jinja"), newline="") as f:
            template = f.read()
        body = {"messages": [{"role": "user", "content": "How is it?"}], "tools": TOOLS, "temperature": 0,
                "max_tokens": 1000, "cache_prompt": False}

        engine = self.serve(template, "", 0, marks)  # says how long the prompt is
        try:
            prompt = engine.post("/apply-template", body)[1]["prompt"]
            n_prompt = len(engine.post("/tokenize", {"content": prompt})[1]["tokens"])
        finally:
            self.assertEqual(engine.stop(), 0)

        engine = self.serve(template, text, n_prompt, marks)
        try:
            status, whole = engine.post("/v1/chat/completions", body)
            self.assertEqual(status, 200, whole)
            self.assertEqual(whole["usage"]["prompt_tokens"], n_prompt)
            choice, said = whole["choices"][0], whole["choices"][0]["message"]
            got = [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in said.get("tool_calls", [])]
            self.assertEqual(got, calls, said)
            self.assertEqual((said["content"] or "").strip() or None, content, said)
            self.assertEqual((said.get("reasoning_content") or "").strip() or None, reasoning, said)
            self.assertEqual(choice["finish_reason"], "tool_calls")

            message, pieces, reason = joined(engine.stream("/v1/chat/completions", body))
            self.assertEqual(pieces, [{k: c["function"][k] for k in ("name", "arguments")} for c in said["tool_calls"]])
            self.assertEqual(message.get("content"), said["content"] or None)
            self.assertEqual(message.get("reasoning_content"), said.get("reasoning_content"))
            self.assertEqual(reason, "tool_calls")
        finally:
            self.assertEqual(engine.stop(), 0)

    def test_families(self):
        for name in CASES:
            with self.subTest(name):
                self.look(name)


if __name__ == "__main__":
    unittest.main()
