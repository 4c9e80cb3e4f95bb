# SPDX-License-Identifier: Apache-2.0
"""The demo model: what `make run` shows, through CLI, daemon and engine."""
import hashlib
import json
import os
import subprocess
import tempfile
import time
import unittest

ROOT = os.environ.get("MR_ROOT") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MR_BUILD") or os.path.join(ROOT, "build")
DEMO = os.path.join(BUILD, "tools", "demo.gguf")
UNKNOWN = "I do not know that"

# Question, a part of the answer. Words inside other words, other speakers and earlier turns must not count.
QUESTIONS = [
    ("Who are you?", "constructed by a program, not trained"),
    ("hello", "I am the demo model"),
    ("What is model-runner?", "written in C"),
    ("How do I pull a model?", "docker model pull ai/smollm2"),
    ("how can i download one?", "Docker Hub"),
    ("Where are my models stored?", "~/.docker/models"),
    ("Is my data private?", "no network"),
    ("How do I remove a model", "docker model rm NAME"),
    ("list", "docker model list"),
    ("(api)", "OpenAI API"),
    ("How fast is the GPU?", "measures the tokens"),
    ("What is the capital of France?", UNKNOWN),
    ("Tell me about Chicago", UNKNOWN),
    ("", UNKNOWN),
    ("\u65e5\u672c\u8a9e\u3067", UNKNOWN),
]


def generate(prompt, *options):
    done = subprocess.run([os.path.join(BUILD, "model-engine"), "generate", "--model", DEMO, "--prompt", prompt,
                           "--n-predict", "200", "--temp", "0", *options],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


class Demo(unittest.TestCase):
    def test_is_small_and_always_the_same(self):
        self.assertLess(os.path.getsize(DEMO), 4_000_000)
        with tempfile.TemporaryDirectory() as d:
            again = os.path.join(d, "again.gguf")
            subprocess.run([os.path.join(BUILD, "tools", "make_demo_model"), again], check=True, timeout=60)
            with open(DEMO, "rb") as one, open(again, "rb") as other:
                self.assertEqual(hashlib.sha256(one.read()).hexdigest(), hashlib.sha256(other.read()).hexdigest())

    def test_a_raw_prompt_is_answered(self):
        self.assertIn("docker model pull ai/smollm2", generate("How do I pull a model?"))

    def test_every_kernel_level_says_the_same(self):
        best = generate("Who are you?")
        self.assertIn("demo model", best)
        for level in ("scalar", "avx2"):
            env = dict(os.environ, MR_CPU=level)
            done = subprocess.run([os.path.join(BUILD, "model-engine"), "generate", "--model", DEMO, "--prompt",
                                   "Who are you?", "--n-predict", "200", "--temp", "0"], env=env,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
            if done.returncode != 0 and b"not available" in done.stderr:
                continue  # this machine has no such level
            self.assertEqual(done.stdout.decode(), best, done.stderr)


class Served(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        cls.env = dict(os.environ, MODEL_RUNNER_HOST="unix://" + os.path.join(cls.dir.name, "s"), HOME=cls.dir.name,
                       DOCKER_CONFIG=cls.dir.name)
        cls.daemon = subprocess.Popen([os.path.join(BUILD, "model-runner"), "serve", "--socket",
                                       os.path.join(cls.dir.name, "s"), "--models-path",
                                       os.path.join(cls.dir.name, "models")], stderr=subprocess.DEVNULL)
        for _ in range(1200):
            if cls.cli("status").returncode == 0:
                break
            time.sleep(0.05)
        done = cls.cli("package", "--gguf", DEMO, "demo")
        assert done.returncode == 0, done.stderr

    @classmethod
    def tearDownClass(cls):
        cls.daemon.terminate()
        cls.daemon.wait(60)
        cls.dir.cleanup()

    @classmethod
    def cli(cls, *args):
        return subprocess.run([os.path.join(BUILD, "docker-model"), *args], env=cls.env, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)

    def chat(self, messages, **fields):
        body = json.dumps(dict({"model": "demo", "messages": messages, "temperature": 0}, **fields))
        done = subprocess.run(["curl", "-sS", "--unix-socket", os.path.join(self.dir.name, "s"),
                               "http://localhost/v1/chat/completions", "-d", "@-"], input=body.encode(),
                              stdout=subprocess.PIPE, timeout=60, check=True)
        return json.loads(done.stdout)["choices"][0]["message"]["content"]

    def test_questions(self):
        for question, part in QUESTIONS:
            with self.subTest(question):
                if question in ("", "list"):
                    answer = self.chat([{"role": "user", "content": question}])
                else:
                    done = self.cli("run", "demo", question)
                    self.assertEqual(done.returncode, 0, done.stderr)
                    answer = done.stdout.decode()
                self.assertIn(part, answer)
                self.assertTrue(answer.strip().endswith((".", "`.")), answer)

    def test_only_the_last_question_of_the_user_counts(self):
        system = {"role": "system", "content": "You pull models and list containers."}
        messages = [system]
        for question, part in QUESTIONS[:8] + QUESTIONS[-4:-2]:
            messages.append({"role": "user", "content": question})
            answer = self.chat(messages)
            self.assertIn(part, answer, question)
            messages.append({"role": "assistant", "content": answer})

    def test_inspect_says_what_it_is(self):
        text = self.cli("inspect", "demo").stdout.decode()
        self.assertIn("constructed", json.loads(text)["config"]["gguf"]["general.name"])


if __name__ == "__main__":
    unittest.main(verbosity=0)
