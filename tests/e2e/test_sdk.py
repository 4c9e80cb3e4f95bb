# SPDX-License-Identifier: Apache-2.0
"""Real client SDKs against the daemon over TCP: OpenAI's for JavaScript, from npm, run by node."""
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

ROOT = os.environ.get("MR_ROOT") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MR_BUILD") or os.path.join(ROOT, "build")
SDK = os.path.join(ROOT, "tests", "e2e", "sdk")


@unittest.skipUnless(shutil.which("node") and shutil.which("npm"), "node and npm are not installed")
class Sdk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node = os.path.join(BUILD, "sdk")
        os.makedirs(cls.node, exist_ok=True)
        for name in os.listdir(SDK):
            shutil.copy(os.path.join(SDK, name), cls.node)
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=cls.node,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240)
        unreachable = re.search(r"EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ERR_SOCKET_TIMEOUT|"
                                r"ENETUNREACH|network", done.stdout)
        if done.returncode != 0 and unreachable:
            raise unittest.SkipTest(f"the npm registry cannot be reached: {unreachable[0]}")
        assert done.returncode == 0, done.stdout
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

    def test_openai(self):
        env = dict(os.environ, BASE_URL=f"http://127.0.0.1:{self.port}/engines/v1", MODEL="demo", ENCODER="encoder")
        done = subprocess.run(["node", "--test", "openai.mjs"], cwd=self.node, env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertGreaterEqual(int(re.search(r"pass (\d+)", done.stdout).group(1)), 10, done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=0)
