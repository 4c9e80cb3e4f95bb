#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docker-model's chat at a terminal: a pseudo-terminal, a person's keys, a stand-in for the runner."""
import json
import os
import signal
import stat
import time

from cli_support import CLI, ID_A, Answer, CliTest, Terminal, main, model, sse

HINT = rb"Send a message \(/\? for help\)"


class Chat(CliTest):
    def setUp(self):
        super().setUp()
        self.answer = Answer(200, sse("I am ", "here."), "text/event-stream")

        def chat(request):
            preload = not json.loads(request["body"])["messages"]
            return Answer(200, b"") if preload else self.answer

        self.runner = self.fake({"GET /models/m": Answer(body=model(ID_A, ["docker.io/ai/m:latest"])),
                                 "POST /engines/v1/chat/completions": chat,
                                 "POST /engines/_configure": Answer(202, b"")})
        self.history = os.path.join(self.home, ".docker", "model", "history")

    def open(self, *args, **env):
        t = Terminal([CLI, "run", *args, "m"], dict(self.env, **env))
        self.addCleanup(t.close)
        t.expect(rb"> ")
        return t

    def say(self, t, text, answer=rb"I am here\.\r\n"):
        t.send(text.encode() + b"\r")
        t.expect(answer)
        t.expect(rb"> ")

    def messages(self):
        bodies = [json.loads(r["body"]) for r in self.runner.requests if r["path"].endswith("/chat/completions")]
        return [b["messages"] for b in bodies if b["messages"]]

    def test_conversation(self):
        t = self.open()
        self.assertIn(b"\x1b[?2004h", t.raw)
        t.expect(HINT)
        self.say(t, "hi")
        self.say(t, "and gr\u00fc\u00dfe \u20ac")
        t.send(b"/bye\r")
        self.assertEqual(t.wait(), 0)
        self.assertTrue(t.raw.rstrip().endswith(b"\x1b[?2004l"), t.raw[-60:])
        self.assertEqual(self.messages()[-1], [
            {"role": "user", "content": "hi"}, {"role": "assistant", "content": "I am here."},
            {"role": "user", "content": "and gr\u00fc\u00dfe \u20ac"}])
        # The model is loaded while the user types.
        self.assertIn("true", [r["headers"].get("X-Preload-Only") for r in self.runner.requests])

    def test_multi_line_and_paste(self):
        t = self.open()
        t.send(b'"""one\r')
        t.expect(rb"\. ")
        self.say(t, 'two"""')
        t.send(b"\x1b[200~p1\np2\tx\x03\x1b[201~")
        t.expect(rb"p2 x")
        self.say(t, "!")
        self.assertEqual([m[-1]["content"] for m in self.messages()], ["one\ntwo", "p1\np2 x!"])

    def test_control_c_and_d(self):
        t = self.open()
        t.send(b"\x03")
        t.expect(rb"Use Ctrl \+ d or /bye to exit\.\r\n")
        t.expect(rb"> ")
        t.send(b"half a line\x03")
        t.expect(rb"\r\n.*> ")
        t.send(b'"""half a block\r')
        t.expect(rb"\. ")
        t.send(b"\x03")
        t.expect(rb"> ")
        self.say(t, "hi")
        t.send(b"\x04")
        self.assertEqual(t.wait(), 0)
        self.assertEqual(len(self.messages()), 1)

    def test_control_c_stops_the_answer_not_the_chat(self):
        self.answer = Answer(200, sse(*["word "] * 1200), "text/event-stream", pause=0.05)
        t = self.open()
        t.send(b"tell me more\r")
        t.expect(rb"word word ")
        t.send(b"\x03")
        t.expect(rb"> ")
        self.assertTrue(self.runner.gone.wait(30))
        self.answer = Answer(200, sse("I am ", "here."), "text/event-stream")
        self.say(t, "again")
        # The turn that was stopped is not part of the conversation.
        self.assertEqual(self.messages()[-1], [{"role": "user", "content": "again"}])

    def test_control_c_before_the_first_word(self):
        self.answer = Answer(200, [b""] * 600, "text/event-stream", pause=0.1)
        t = self.open()
        t.send(b"x\r")
        t.expect(rb"x\r\n")
        time.sleep(0.5)
        t.send(b"\x03")
        t.expect(rb"> ")
        t.send(b"\x04")
        self.assertEqual(t.wait(), 0)

    def test_commands(self):
        t = self.open()
        for typed, shown in [("/?", rb"/bye .*Leave the chat"), ("/help set", rb"/set num_ctx"), ("/? files", rb"@path"),
                             ("/? shortcuts", rb"Ctrl \+ k"), ("/set", rb"/set system"),
                             ("/set system You are brief", rb"Set system message\."),
                             ("/set num_ctx 4096", rb"Set num_ctx to 4096"),
                             ("/set parameter num_ctx 512", rb"Set num_ctx to 512"),
                             ("/set parameter temp 1", rb"Unknown parameter: temp\r\nAvailable parameters: num_ctx"),
                             ("/set num_ctx", rb"Usage: /set num_ctx <value>"),
                             ("/set num_ctx -1", rb"Invalid value for num_ctx: -1 \(must be a positive integer\)"),
                             ("/set temperature 0.5", rb"Set temperature to 0\.5"),
                             ("/set parameter seed 7", rb"Set seed to 7"),
                             ("/set num_predict 9", rb"Set num_predict to 9"),
                             ("/set seed default", rb"seed is the model's own again"),
                             ("/set", rb"temperature .*\(now 0\.5\)"),
                             ("/set top_p 2", rb"Invalid value for top_p: 2 \(must be a number from 0 to 1\)"),
                             ("/set top_k 1.5", rb"Invalid value for top_k: 1\.5 \(must be a whole number"),
                             ("/set thing", rb"Unknown /set option: thing"),
                             ("/thing", rb"Unknown command '/thing'\. Type /\? for help")]:
            t.send(typed.encode() + b"\r")
            t.expect(shown)
            t.expect(rb"> ")
        self.say(t, "hi")
        self.assertEqual(self.messages()[-1][0], {"role": "system", "content": "You are brief"})
        body = json.loads([r["body"] for r in self.runner.requests if r["path"].endswith("/chat/completions")][-1])
        self.assertEqual({k: v for k, v in body.items() if k not in ("model", "messages", "stream")},
                         {"temperature": 0.5, "max_tokens": 9})
        self.assertEqual(self.runner.last_json("/engines/_configure"), {"model": "m", "context-size": 512})
        self.runner.routes["POST /engines/_configure"] = Answer(409, "runner already active\n", "text/plain")
        t.send(b"/set num_ctx 8\r")
        t.expect(rb"Failed to set num_ctx: runner already active")
        t.send(b"/set system\r")
        t.expect(rb"Cleared system message\.")
        t.send(b"/exit\r")
        self.assertEqual(t.wait(), 0)

    def test_errors_do_not_end_the_chat(self):
        t = self.open()
        self.answer = Answer(500, "unable to load runner: \x1b[2J\n", "text/plain")
        self.say(t, "hi", rb"Failed to generate a response: error response: status=500 body=unable to load runner: \\x1b\[2J")
        self.answer = Answer(200, sse("I am ", "here."), "text/event-stream")
        self.say(t, "hi")
        self.assertEqual(len(self.messages()[-1]), 1)

    def test_what_a_model_writes_is_no_command_to_the_terminal(self):
        self.answer = Answer(200, sse("a\x1b]0;title\x07\x1b[31mred\u009b2J\rb"), "text/event-stream")
        t = self.open()
        t.send(b"hi\r")
        t.expect("a\u241b]0;title\u2407\u241b\\[31mred\ufffd2Jb\r\n".encode())

    def test_history(self):
        t = self.open()
        self.say(t, "first")
        self.say(t, "second")
        t.send(b"/bye\r")
        t.wait()
        self.assertEqual(stat.S_IMODE(os.stat(self.history).st_mode), 0o600)
        with open(self.history) as f:
            self.assertEqual(f.read(), "first\nsecond\n/bye\n")
        with open(self.history, "w") as f:
            f.write("".join(f"line {i}\n" for i in range(300)) + "bad \x1b[2J\n")
        t = self.open()
        t.send(b"\x1b[A")
        t.expect(rb"line 299")
        t.send(b"\x1b[A")
        t.expect(rb"8")  # libedit redraws what differs
        self.say(t, "")
        self.assertEqual(self.messages()[-1][-1]["content"], "line 298")
        with open(self.history) as f:
            lines = f.read().splitlines()
        self.assertEqual(len(lines), 100)
        self.assertEqual(lines[-1], "line 298")

    def test_no_history(self):
        t = self.open(DOCKER_MODEL_NOHISTORY="1")
        self.say(t, "secret")
        self.assertFalse(os.path.exists(self.history))

    def test_editing_keys(self):
        t = self.open()
        # beginning, end, word back, delete, kill to the end, to the start, a word, tab
        self.say(t, "bc\x01a\x05d")
        self.say(t, "one two\x1bbX")
        self.say(t, "abc\x02\x02\x0b")
        self.say(t, "junk\x15ok")
        self.say(t, "one two\x17three")
        self.say(t, "abc\x1b[D\x1b[D\x1b[3~")
        self.say(t, "ab\x7fc")
        self.assertEqual([m[-1]["content"] for m in self.messages()],
                         ["abcd", "one Xtwo", "a", "ok", "one three", "ac", "ac"])
        t.send(b"a\tb\r")
        t.expect(rb"here\.")
        self.assertEqual(self.messages()[-1][-1]["content"], "a        b")

    def test_editor(self):
        t = self.open(EDITOR="sed -i -e 's/typed/edited/' -e '$a more'")
        t.send(b"typed\x18")
        t.expect(rb"edited\r\nmore\r\nI am here\.")
        t.expect(rb"> ")
        self.assertEqual(self.messages()[-1][-1]["content"], "edited\nmore")
        t.send(b"/bye\r")
        self.assertEqual(t.wait(), 0)
        t = self.open(EDITOR="false")
        t.send(b"\x18")
        t.expect(rb"the editor 'false' failed: set EDITOR to another")
        t.expect(rb"> ")

    def test_suspend_and_continue(self):
        t = self.open()
        t.send(b"typed")
        t.expect(rb"typed")
        os.kill(t.pid, signal.SIGSTOP)
        os.kill(t.pid, signal.SIGCONT)
        time.sleep(0.2)
        self.say(t, " on")
        self.assertEqual(self.messages()[-1][-1]["content"], "typed on")

    def test_dumb_terminal(self):
        t = self.open(TERM="dumb")
        self.say(t, "hi")
        t.send(b"/bye\r")
        self.assertEqual(t.wait(), 0)
        self.assertNotIn(b"\x1b[?2004", t.raw)
        self.assertNotIn(b"Send a message", t.raw)

    def test_terminal_is_restored_when_killed(self):
        t = self.open()
        time.sleep(0.2)
        os.kill(t.pid, signal.SIGTERM)
        self.assertEqual(t.wait(), -signal.SIGTERM)

    def test_hangup_ends_the_chat(self):
        t = self.open()
        os.kill(t.pid, signal.SIGHUP)
        self.assertEqual(t.wait(), -signal.SIGHUP)

    def test_pull_bars(self):
        layer = {"type": "progress", "message": "Downloaded: 1 MB", "total": 4000000, "mode": "pull"}
        lines = []
        for current in (0, 1000000, 2000000):
            for digit in "ab":
                size = 2000000
                lines.append(dict(layer, layer={"id": "sha256:" + digit * 64, "size": size, "current": current}))
        lines.append({"type": "success", "message": "Model pulled successfully"})
        self.runner.routes["POST /models/create"] = Answer(
            body=[json.dumps(l).encode() + b"\n" for l in lines], content_type="text/plain", pause=0.02)
        t = Terminal([CLI, "pull", "x"], self.env, columns=120)
        self.addCleanup(t.close)
        t.expect(rb"a{12}: Waiting")
        t.expect(rb"a{12}: Downloading   \[={25}> {25}\]      1MB/2MB")
        t.expect(rb"a{12}: Pull complete")
        t.expect(rb"b{12}: Pull complete")
        t.expect(rb"Model pulled successfully")
        self.assertEqual(t.wait(), 0)


if __name__ == "__main__":
    main()
