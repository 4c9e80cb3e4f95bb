# SPDX-License-Identifier: Apache-2.0
"""What the tests of docker-model share: running it, and a stand-in for the runner.

The stand-in is not there to save the real runner: test_cli_runner.py uses that one. It is for what a
real runner cannot be made to do on demand: answers of every shape, errors at a given moment, slow
and broken streams, hostile text, and a record of what was asked.
"""
import errno
import fcntl
import http.server
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest

ROOT = os.environ.get("MR_ROOT") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MR_BUILD") or os.path.join(ROOT, "build")
CLI = os.path.join(BUILD, "docker-model")
RUNNER = os.path.join(BUILD, "model-runner")
DEMO = next((p for p in (os.path.join(BUILD, d, "demo.gguf") for d in ("", "tools")) if os.path.exists(p)), "")
ID_A = "sha256:" + "a1" * 32
ID_B = "sha256:" + "b2" * 32


def model(model_id, tags, created=0, **config):
    m = {"id": model_id}
    if tags:
        m["tags"] = tags
    m["created"] = created
    m["config"] = dict({"format": "gguf", "quantization": "Q4_0", "parameters": "134.52M", "architecture": "llama",
                        "size": "85.77MiB", "gguf": {"general.architecture": "llama", "llama.context_length": "8192"}},
                       **config)
    return m


def sse(*chunks, done=True):
    """The body of a streamed answer; a str is a content delta, a dict a whole chunk."""
    out = []
    for c in chunks:
        if isinstance(c, str):
            c = {"choices": [{"index": 0, "delta": {"content": c}, "finish_reason": None}]}
        out.append(f"data: {json.dumps(c)}\n\n".encode())
    if done:
        out.append(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n')
        out.append(b"data: [DONE]\n\n")
    return out


class Answer:
    def __init__(self, status=200, body=b"", content_type="application/json", pause=0.0, cut=False):
        self.status, self.content_type, self.pause, self.cut = status, content_type, pause, cut
        if isinstance(body, (dict, list)) and not (body and isinstance(body[0] if isinstance(body, list) else 0, bytes)):
            body = json.dumps(body).encode()
        elif isinstance(body, str):
            body = body.encode()
        self.pieces = body if isinstance(body, list) else [body]


class FakeRunner:
    """Routes are {"GET /models": Answer or function(request) -> Answer}; a '*' at the end matches the rest."""

    def __init__(self, routes=None, unix_path=None):
        self.routes = {"GET /models": Answer(body=b"[]"), "GET /version": Answer(body={"version": "v9.8.7"}),
                       "GET /engines/status": Answer(body={"llama.cpp": "Running: native", "vllm": "Not Installed"})}
        self.routes.update(routes or {})
        self.requests = []
        self.gone = threading.Event()  # a client left before its answer was whole
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def address_string(self):
                return "client"

            def answer(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length) if length else b""
                request = {"method": self.command, "path": self.path, "headers": dict(self.headers), "body": body}
                outer.requests.append(request)
                key = f"{self.command} {self.path}"
                fits = [k for k in outer.routes if key == k or k[-1] == "*" and key.startswith(k[:-1])]
                a = outer.routes[max(fits, key=len)] if fits else Answer(404, "not found\n", "text/plain")
                if callable(a):
                    a = a(request)
                try:
                    self.send_response(a.status)
                    if a.content_type:
                        self.send_header("Content-Type", a.content_type)
                    self.send_header("Transfer-Encoding", "chunked")
                    self.end_headers()
                    for piece in a.pieces:
                        if callable(piece):
                            piece()
                        elif piece:
                            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                            self.wfile.flush()
                        if a.pause:
                            time.sleep(a.pause)
                    if a.cut:
                        self.close_connection = True
                        self.connection.shutdown(socket.SHUT_RDWR)
                        return
                    self.wfile.write(b"0\r\n\r\n")
                    self.wfile.flush()
                except OSError:
                    outer.gone.set()
                    self.close_connection = True

            do_GET = do_POST = do_DELETE = answer

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            address_family = socket.AF_UNIX if unix_path else socket.AF_INET

            def server_bind(self):
                socket.socket.bind(self.socket, self.server_address)
                if not unix_path:
                    self.server_address = self.socket.getsockname()
                self.server_name, self.server_port = "localhost", 0

            def handle_error(self, request, client_address):
                pass

        self.server = Server(unix_path or ("127.0.0.1", 0), Handler)
        if unix_path:
            self.url = f"unix://{unix_path}"
        else:
            self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def paths(self):
        return [f"{r['method']} {r['path']}" for r in self.requests]

    def last_json(self, path):
        return json.loads([r for r in self.requests if r["path"] == path][-1]["body"])


class CliTest(unittest.TestCase):
    """A test with a home directory of its own."""

    def setUp(self):
        self.home = tempfile.mkdtemp(prefix="docker-model-test.")
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith(("MODEL_RUNNER_", "DOCKER_", "HF_", "OLLAMA_", "XDG_")) and k != "NO_COLOR"}
        self.env.update(HOME=self.home, XDG_RUNTIME_DIR=os.path.join(self.home, "run"), LC_ALL="C.UTF-8",
                        TERM="xterm", TZ="UTC")

    def fake(self, routes=None, **kw):
        runner = FakeRunner(routes, **kw)
        self.addCleanup(runner.close)
        self.env["MODEL_RUNNER_HOST"] = runner.url
        return runner

    def cli(self, *args, stdin=subprocess.DEVNULL, input=None, timeout=60, cwd=None, **env):
        kw = {"input": input} if input is not None else {"stdin": stdin}
        return subprocess.run([CLI, *args], env=dict(self.env, **env), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=not isinstance(input, bytes), timeout=timeout, cwd=cwd or self.home, **kw)

    def ok(self, *args, **kw):
        done = self.cli(*args, **kw)
        self.assertEqual(done.returncode, 0, f"{args}: {done.stdout}{done.stderr}")
        return done.stdout

    def fails(self, *args, code=1, **kw):
        done = self.cli(*args, **kw)
        self.assertEqual(done.returncode, code, f"{args}: {done.stdout}{done.stderr}")
        return done.stderr


class RunnerTest(CliTest):
    """A runner with an empty store, found by nothing but where it stands by default."""

    def setUp(self):
        super().setUp()
        os.makedirs(os.path.join(self.home, "run"), mode=0o700)
        self.store = self.env["MODELS_PATH"] = os.path.join(self.home, "models")
        self.env["HTTPS_PROXY"] = "http://127.0.0.1:1"  # nobody listens there: no test leaves this machine
        self.log = open(os.path.join(self.home, "runner.log"), "w+")
        self.addCleanup(self.log.close)
        # Nothing says where the socket is: both programs must come to the same place.
        self.runner = subprocess.Popen([RUNNER, "serve"], env=self.env, stdout=self.log, stderr=self.log)
        self.addCleanup(self.stop)
        for _ in range(600):
            if self.cli("status").returncode == 0:
                return
            time.sleep(0.1)
        self.log.seek(0)
        self.fail("the runner did not start: " + self.log.read())

    def stop(self):
        if self.runner.poll() is None:
            self.runner.terminate()
            self.runner.wait(60)


class Terminal:
    """A program on a pseudo-terminal, and what a person would see and type."""

    def __init__(self, argv, env, columns=100):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
            signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as in a terminal, also when the tests run under nohup
            os.execve(argv[0], argv, env)
        self.raw = b""
        self.mark = 0
        self.status = None

    def read(self, seconds):
        ready, _, _ = select.select([self.fd], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError as e:
            if e.errno != errno.EIO:
                raise
            data = b""
        self.raw += data
        return bool(data)

    def expect(self, text, seconds=30):
        """Waits until `text` (bytes pattern) is shown behind what was expected before."""
        end = time.monotonic() + seconds
        while True:
            m = re.compile(text, re.S).search(self.raw, self.mark)
            if m:
                self.mark = m.end()
                return m
            left = end - time.monotonic()
            if left <= 0 or not self.read(left):
                raise AssertionError(f"{text!r} did not come; shown since: {self.raw[self.mark:]!r}")

    def send(self, data):
        os.write(self.fd, data)

    def wait(self, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.read(0.05)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
        raise AssertionError(f"the program did not end; shown since: {self.raw[self.mark:]!r}")

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


def main():
    if not os.access(CLI, os.X_OK):
        sys.exit(f"{CLI} is not built")
    unittest.main(verbosity=1)
