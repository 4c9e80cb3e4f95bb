# SPDX-License-Identifier: Apache-2.0
"""Real client SDKs for JavaScript, from npm, run by node, against the daemon over TCP: OpenAI's, Anthropic's,
Ollama's, the AI SDK and LangChain."""
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = os.environ.get("MR_ROOT") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MR_BUILD") or os.path.join(ROOT, "build")
SDK = os.path.join(ROOT, "tests", "e2e", "sdk")
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
import npm  # noqa: E402


class Sdk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = os.path.join(BUILD, "sdk")
        npm.install(SDK, cls.node)
        cls.dir = tempfile.TemporaryDirectory()
        cli = os.path.join(BUILD, "docker-model")
        for _ in range(5):  # somebody else may take the port in between
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                cls.port = s.getsockname()[1]
            env = dict(os.environ, MODEL_RUNNER_HOST=f"http://127.0.0.1:{cls.port}")
            cls.daemon = subprocess.Popen(
                [os.path.join(BUILD, "model-runner"), "serve", "--no-socket", "--host", "127.0.0.1", "--port",
                 str(cls.port), "--models-path", os.path.join(cls.dir.name, "models")], stderr=subprocess.DEVNULL)
            end = time.monotonic() + 60
            while cls.daemon.poll() is None and time.monotonic() < end:
                if subprocess.run([cli, "status"], env=env, stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL).returncode == 0:
                    break
                time.sleep(0.05)
            if cls.daemon.poll() is None:
                break
        subprocess.run([cli, "package", "--gguf", os.path.join(BUILD, "tools", "demo.gguf"), "demo"], env=env,
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)
        encoder = os.path.join(cls.dir.name, "encoder.gguf")
        subprocess.run([os.path.join(BUILD, "tools", "make_tiny_encoder"), encoder], check=True)
        subprocess.run([cli, "package", "--gguf", encoder, "encoder"], env=env, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)

    @classmethod
    def tearDownClass(cls):
        cls.daemon.terminate()
        cls.daemon.wait(60)
        cls.dir.cleanup()

    def check(self, program, at_least):
        host = f"http://127.0.0.1:{self.port}"
        env = dict(os.environ, HOST_URL=host, BASE_URL=host + "/engines/v1", MODEL="demo", ENCODER="encoder")
        done = subprocess.run(["node", "--test", program], cwd=self.node, env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertGreaterEqual(int(re.search(r"pass (\d+)", done.stdout).group(1)), at_least, done.stdout)

    def test_openai(self):
        self.check("openai.mjs", 16)

    def test_anthropic(self):
        self.check("anthropic.mjs", 8)

    def test_ollama(self):
        self.check("ollama.mjs", 8)

    def test_vercel_ai_sdk(self):
        self.check("vercel.mjs", 6)

    def test_langchain(self):
        self.check("langchain.mjs", 7)


if __name__ == "__main__":
    unittest.main(verbosity=0)
