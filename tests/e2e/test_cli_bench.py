#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docker model bench: what it sends, counts and prints."""
import json
import threading

from cli_support import ID_A, Answer, CliTest, main, model, sse

CHAT = "POST /engines/v1/chat/completions"
FOUND = {"GET /models/m": Answer(body=model(ID_A, ["docker.io/ai/m:latest"]))}


def counted(tokens):
    return Answer(body=sse("a", "b", {"choices": [], "usage": {
        "prompt_tokens": 3, "completion_tokens": tokens, "total_tokens": 3 + tokens}}), content_type="text/event-stream")


class Bench(CliTest):
    def test_json(self):
        runner = self.fake({**FOUND, CHAT: counted(7)})
        out = json.loads(self.ok("bench", "--json", "--prompt", "Hi", "--duration", "1ms", "--concurrency", "1,3", "m"))
        self.assertEqual((out["model"], out["prompt"]), ("m", "Hi"))
        self.assertEqual([r["Concurrency"] for r in out["results"]], [1, 3])
        for r in out["results"]:
            self.assertGreaterEqual(r["Requests"], r["Concurrency"])
            self.assertEqual(r["TokenCounts"], [7] * r["Requests"])
            self.assertEqual(r["TotalTokens"], 7 * r["Requests"])
            seconds = r["TotalTime"] / 1e9
            self.assertAlmostEqual(r["TPS"], r["TotalTokens"] / seconds, delta=r["TPS"] / 1e6)
            self.assertAlmostEqual(r["MeanRPS"], r["Requests"] / seconds, delta=r["MeanRPS"] / 1e6)
            self.assertGreater(r["MedianTimeToFirstToken"], 0)
        self.assertEqual(runner.last_json("/engines/v1/chat/completions")["messages"],
                         [{"role": "user", "content": "Hi"}])

    def test_text(self):
        self.fake({**FOUND, CHAT: counted(2)})
        out = self.ok("bench", "--prompt", "Hi", "--duration", "1ms", "--concurrency", "1,2", "m")
        self.assertTrue(out.startswith("Prompt: Hi\nDuration: 1ms per concurrency level\nConcurrency levels: [1 2]\n"), out)
        for text in ("Running benchmark with concurrency: 2\n", " TPS\n", " RPS\n", "  Total tokens: ", "  Total requests: ",
                     "  Total time: ", "  1: 1.00x\n", "Summary:\n", "Detailed Results:\n"):
            self.assertIn(text, out)

    def test_clients_ask_at_the_same_time(self):
        together = threading.Barrier(4, timeout=30)

        def answer(request):
            together.wait()
            return counted(1)
        self.fake({**FOUND, CHAT: answer})
        self.ok("bench", "--duration", "1ns", "--concurrency", "4", "m")

    def test_pieces_count_where_no_usage_is_told(self):
        self.fake({**FOUND, CHAT: Answer(body=sse("a", "b", "c"), content_type="text/event-stream")})
        out = json.loads(self.ok("bench", "--json", "--duration", "1ns", "--concurrency", "1", "m"))
        self.assertEqual(out["results"][0]["TokenCounts"], [3])

    def test_failures(self):
        self.fake({**FOUND, CHAT: Answer(500, "out of memory", "text/plain"), "GET /models/*": Answer(404, "no", "text/plain")})
        self.assertIn("out of memory", self.fails("bench", "--concurrency", "2", "m"))
        self.assertIn("Failed to inspect model", self.fails("bench", "other"))
        for bad in ("0", "x", "1,,2", "-1", "", "1000"):
            self.assertIn("--concurrency", self.fails("bench", "--concurrency=" + bad, "m"))
        self.assertIn("requires 1 argument", self.fails("bench"))


if __name__ == "__main__":
    main()
