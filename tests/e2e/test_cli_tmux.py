#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The chat in a real terminal emulator, tmux: prompt, answers, Ctrl-C, several lines, history that
survives, settings, and a window whose size changes. With the real daemon and engine; what the model
says is of no meaning, and long."""
import json
import os
import re
import shutil
import subprocess
import sys
import time
import unittest

ROOT = os.environ.get("MR_ROOT") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "unit", "runner"))
from daemon_support import BUILD, Daemon  # noqa: E402

CLI = os.path.join(BUILD, "docker-model")
ENGINE = os.path.join(BUILD, "model-engine")
MAKE_MODEL = os.path.join(BUILD, "tools", "make_tiny_model")
TMUX = shutil.which("tmux")


class Window:
    """One tmux server with one window that runs a command."""

    def __init__(self, command, env, columns=80, lines=24):
        self.socket = f"mr-test-{os.getpid()}-{id(self)}"
        self.env = dict(env, TERM="xterm-256color", LC_ALL="C.UTF-8", SHELL="/bin/sh")
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(lines), command)

    def tmux(self, *args, check=True):
        done = subprocess.run([TMUX, "-L", self.socket, *args], env=self.env, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"tmux {args}: {done.stderr}")
        return done.stdout

    def keys(self, *keys):
        self.tmux("send-keys", *keys)

    def type(self, text):
        self.tmux("send-keys", "-l", text)

    def screen(self):
        return self.tmux("capture-pane", "-p")

    def wait(self, pattern, seconds=30):
        """Until the screen has it; the screen."""
        end = time.monotonic() + seconds
        while not re.search(pattern, screen := self.screen(), re.M):
            if time.monotonic() > end:
                raise AssertionError(f"{pattern!r} is not on the screen:\n{screen}")
            time.sleep(0.02)
        return screen

    def gone(self, seconds=30):
        """Waits until the command has ended, and with it the window and the server."""
        end = time.monotonic() + seconds
        while "mr-test" in self.tmux("list-sessions", check=False) or self.tmux("list-panes", check=False):
            if time.monotonic() > end:
                raise AssertionError("the chat goes on:\n" + self.screen())
            time.sleep(0.02)

    def close(self):
        self.tmux("kill-server", check=False)


class Chat(unittest.TestCase):
    def setUp(self):
        self.assertTrue(TMUX, "tmux is missing: tools/setup.sh --test installs it")
        path = os.path.join(BUILD, f"tmux-{os.getpid()}.gguf")
        subprocess.run([MAKE_MODEL, "--n-ctx", "65536", path], check=True, stdout=subprocess.DEVNULL)
        with open(path, "rb") as f:
            weights = f.read()
        os.unlink(path)
        self.d = Daemon(engine=ENGINE)
        self.addCleanup(self.d.close)
        self.d.load("ai/tiny", weights=weights)

    def open(self, **size):
        env = dict(self.d.env, MODEL_RUNNER_HOST="unix://" + self.d.sock)
        w = Window(f"{CLI} run tiny", env, **size)
        self.addCleanup(w.close)
        w.wait(r"^> ")
        return w

    def prompts(self):
        """What the users' messages of the last request were."""
        records = self.d.get("/engines/requests").json[0]["records"]
        return [m["content"] for m in json.loads(records[-1]["request"])["messages"]]

    def active(self):
        """Requests at work; what they say of the answer on the screen, nobody knows."""
        return int(re.search(r"^model_runner_requests_active (\d+)$", self.d.get("/metrics").text, re.M).group(1))

    def say_and_stop(self, w):
        w.keys("Enter")
        self.d.wait_for(lambda: self.active() == 1)
        w.keys("C-c")
        self.d.wait_for(lambda: self.active() == 0)
        w.wait(r"^> ?(Send a message.*)?$")

    def test_an_answer_is_stopped_and_the_chat_goes_on(self):
        w = self.open()
        for text in "hello", "again":
            w.type(text)
            w.wait(f"^> {text}$")
            self.say_and_stop(w)
        w.keys("C-d")
        w.gone()

    def test_several_lines_are_one_message(self):
        w = self.open()
        w.type('"""first line')
        w.keys("Enter")
        w.wait(r"^\. ")
        w.type('second line"""')
        self.say_and_stop(w)
        self.d.wait_for(lambda: self.d.get("/engines/requests").json)
        self.assertEqual(self.prompts(), ["first line\nsecond line"])

    def test_history_survives(self):
        w = self.open()
        for line in "/set system Be brief", "/? shortcuts":
            w.type(line)
            w.keys("Enter")
        w.wait("Set system message")
        w.wait("Ctrl \\+ d")
        w.type("/bye")
        w.keys("Enter")
        w.gone()
        w = self.open()
        w.keys("Up", "Up", "Up")
        w.wait(r"^> /set system Be brief$")
        w.keys("Down")
        w.wait(r"^> /\? shortcuts$")

    def test_settings(self):
        w = self.open()
        w.type("/set num_ctx 512")
        w.keys("Enter")
        w.wait("Set num_ctx to 512")
        config, = self.d.get("/engines/_configure").json
        self.assertEqual(config["Config"]["context-size"], 512)
        w.type("/set")
        w.keys("Enter")
        w.wait("/set system <text>")

    def test_the_window_changes_its_size(self):
        w = self.open(columns=100)
        line = "word " * 15  # fits 100 columns, and takes two lines of 50
        w.type(line)
        w.wait(r"^> (word ){14}word *$")
        w.tmux("resize-window", "-x", "50", "-y", "24")
        w.type("end")
        screen = w.wait(r"end$")
        self.assertEqual(screen.replace("\n", "").rstrip(), "> " + line + "end", screen)
        w.keys("C-a")
        w.type("X")
        w.wait(r"^> Xword")
        w.keys("C-e", "C-u")
        screen = w.wait(r"^> ?$")
        self.assertNotIn("word", screen)


if __name__ == "__main__":
    unittest.main()
