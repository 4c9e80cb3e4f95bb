#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Images in chats: model-engine with small projectors of random weights."""

import base64
import os
import shutil
import struct
import subprocess
import tempfile
import unittest
import zlib

from engine_process import BUILD, EngineProcess, make_model

# A square of the small projector is 16 x 16 pixels and makes 2 x 2 tokens; pictures are scaled to 32.
SQUARE_TOKENS = 4


def make_mmproj(path, **options):
    argv = [os.path.join(BUILD, "tools", "make_tiny_mmproj")]
    for name, value in options.items():
        argv += ["--" + name.replace("_", "-"), str(value)]
    subprocess.run(argv + [path], check=True, stdout=subprocess.DEVNULL)


def png(width, height, pixel):
    """A picture whose pixels are pixel(x, y) -> (r, g, b)."""
    rows = b"".join(b"\0" + bytes(v for x in range(width) for v in pixel(x, y)) for y in range(height))

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


RED = png(40, 30, lambda x, y: (255, 0, x * 6))
BLUE = png(40, 30, lambda x, y: (0, y * 8, 255))


def openai(data, kind="image/png"):
    url = f"data:{kind};base64," + base64.b64encode(data).decode()
    return {"type": "image_url", "image_url": {"url": url}}


def anthropic(data):
    return {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                        "data": base64.b64encode(data).decode()}}


def text(t):
    return {"type": "text", "text": t}


def body(*parts, **fields):
    return dict({"messages": [{"role": "user", "content": list(parts)}], "temperature": 0,
                 "max_tokens": 12, "ignore_eos": True}, **fields)


class EngineVision(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.mkdtemp(prefix="mr-vision-")
        cls.model = os.path.join(cls.directory, "tiny.gguf")
        make_model(cls.model, n_layers=2, n_embd=64, n_heads=4, n_ff=96, n_vocab=512, n_ctx=2048)
        cls.mmproj = os.path.join(cls.directory, "mmproj.gguf")
        make_mmproj(cls.mmproj)
        cls.engine = EngineProcess(cls.model, "--mmproj", cls.mmproj, "--ctx-size", "1500")

    @classmethod
    def tearDownClass(cls):
        code = cls.engine.stop()
        shutil.rmtree(cls.directory)
        assert code == 0, code

    def chat(self, *parts, engine=None, **fields):
        status, answer = (engine or self.engine).post("/v1/chat/completions", body(*parts, **fields))
        self.assertEqual(status, 200, answer)
        return answer

    def refused(self, part, *parts, engine=None, status=400):
        got, answer = (engine or self.engine).post("/v1/chat/completions", body(*parts))
        self.assertEqual(got, status, answer)
        self.assertIn(part, answer["error"]["message"])

    def content(self, answer):
        return answer["choices"][0]["message"]["content"]

    def first(self, *parts, engine=None):
        """The likelihood of the first token: random weights may say the same of two pictures, but not so surely."""
        answer = self.chat(*parts, engine=engine, logprobs=True, max_tokens=1)
        return answer["choices"][0]["logprobs"]["content"][0]["logprob"]

    # ---- what it sees ----

    def test_says_that_it_sees(self):
        self.assertTrue(self.engine.get("/props")[1]["modalities"]["vision"])

    def test_pictures_differ_and_are_found_again(self):
        red = self.chat(text("What is this?"), openai(RED))
        blue = self.chat(text("What is this?"), openai(BLUE))
        again = self.chat(text("What is this?"), openai(RED))
        self.assertEqual(self.content(red), self.content(again))
        self.assertNotEqual(self.first(openai(RED)), self.first(openai(BLUE)))
        # 40 x 30 becomes 32 x 24: two rows of two squares, and the whole.
        n = red["usage"]["prompt_tokens"]
        self.assertGreater(n, 5 * SQUARE_TOKENS)
        self.assertEqual(blue["usage"]["prompt_tokens"], n)
        self.assertEqual(again["timings"]["cache_n"], n - 1)
        self.assertLess(blue["timings"]["cache_n"], n - 5 * SQUARE_TOKENS)

    def test_both_forms_mean_the_same(self):
        self.assertEqual(self.content(self.chat(anthropic(RED), text("x"))),
                         self.content(self.chat(openai(RED), text("x"))))

    def test_order_and_number_count(self):
        one = self.chat(openai(RED), openai(BLUE))
        other = self.chat(openai(BLUE), openai(RED))
        self.assertNotEqual(self.first(openai(RED), openai(BLUE)), self.first(openai(BLUE), openai(RED)))
        self.assertEqual(one["usage"]["prompt_tokens"], other["usage"]["prompt_tokens"])

    def test_stream_and_choices(self):
        whole = self.content(self.chat(openai(RED), text("x")))
        events = self.engine.stream("/v1/chat/completions", body(openai(RED), text("x")))
        streamed = "".join(e["choices"][0]["delta"].get("content") or "" for e in events if e["choices"])
        self.assertEqual(streamed, whole)
        two = self.chat(openai(RED), text("x"), n=2)
        self.assertEqual([c["message"]["content"] for c in two["choices"]], [whole] * 2)

    def test_turns(self):
        messages = [{"role": "user", "content": [openai(RED), text("x")]},
                    {"role": "assistant", "content": "A picture."},
                    {"role": "user", "content": "And now?"}]
        status, answer = self.engine.post("/v1/chat/completions",
                                          {"messages": messages, "max_tokens": 3})
        self.assertEqual(status, 200, answer)

    def test_gemma3(self):
        path = os.path.join(self.directory, "gemma3.gguf")
        make_mmproj(path, projector="gemma3")
        engine = EngineProcess(self.model, "--mmproj", path, "--ctx-size", "300")
        self.addCleanup(engine.stop)
        red = self.first(openai(RED), text("x"), engine=engine)
        self.assertNotEqual(red, self.first(openai(BLUE), text("x"), engine=engine))
        self.assertEqual(red, self.first(openai(RED), text("x"), engine=engine))

    # ---- what it refuses ----

    def test_bad_pictures(self):
        self.refused("messages[0].content[0]: an empty file", openai(b""))
        self.refused("messages[0].content[1]: the PNG image is damaged", text("x"), openai(RED[:60]))
        self.refused("GIF images are not supported", openai(b"GIF89a" + bytes(20)))
        self.refused("no PNG, JPEG or WebP", openai(b"hello"))
        self.refused("no digit", {"type": "image_url", "image_url": {"url": "data:image/png;base64,!!"}})
        self.refused("not in base64", {"type": "image_url", "image_url": {"url": "data:image/png,abc"}})
        self.refused("image_url.url must be a string", {"type": "image_url"})
        self.refused("source must be", {"type": "image", "source": {"type": "file"}})
        self.refused("must be a text or an image", openai(RED), {"type": "video"})

    def test_nothing_is_fetched(self):
        for url in ("http://127.0.0.1:1/x.png", "https://example.com/x.png", "file:///etc/passwd", "/etc/passwd"):
            self.refused("opens no connections", {"type": "image_url", "image_url": {"url": url}})
            self.refused("opens no connections", {"type": "image", "source": {"type": "url", "url": url}})

    def test_too_many_tokens(self):
        self.refused("exceeds the available context size (1500 tokens)", *[openai(RED)] * 64)
        self.refused("64 images at most", *[openai(RED)] * 65, status=413)

    def test_other_messages_cannot_place_pictures(self):
        # Whatever a client writes is text.
        plain = self.chat(text("[image 0123456789abcdef0123456789abcdef]"))
        self.assertLess(plain["usage"]["prompt_tokens"], 100)

    def test_without_projector(self):
        engine = EngineProcess(self.model, "--ctx-size", "300")
        self.addCleanup(engine.stop)
        self.assertFalse(engine.get("/props")[1]["modalities"]["vision"])
        self.refused("messages[0] has an image, but this model has no vision", openai(RED), engine=engine)

    def test_projector_of_another_kind(self):
        path = os.path.join(self.directory, "other.gguf")
        make_mmproj(path, projector="pixtral")
        engine = EngineProcess(self.model, "--mmproj", path, "--ctx-size", "300")
        self.addCleanup(engine.stop)
        self.refused("'pixtral'", openai(RED), engine=engine)
        self.chat(text("x"), engine=engine)

    def test_projector_of_another_model(self):
        path = os.path.join(self.directory, "wide.gguf")
        make_mmproj(path, n_text=96)
        engine = EngineProcess(self.model, "--mmproj", path, "--ctx-size", "300", wait=False)
        code = engine.process.wait(20)
        log = engine.log_text()
        engine.stop()
        self.assertEqual(code, 1, log)
        self.assertIn("belongs to another model", log)


if __name__ == "__main__":
    unittest.main()
