# SPDX-License-Identifier: Apache-2.0
"""A running model-engine for tests: start it, talk to it over its Unix socket, end it."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MR_BUILD") or os.path.join(ROOT, "build")
ENGINE = os.path.join(BUILD, "model-engine")


def make_model(path, **options):
    """Writes a model with random weights: make_model(p, n_ctx=4096) passes --n-ctx 4096."""
    argv = [os.path.join(BUILD, "tools", "make_tiny_model")]
    for name, value in options.items():
        argv += ["--" + name.replace("_", "-"), str(value)]
    subprocess.run(argv + [path], check=True, stdout=subprocess.DEVNULL)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=60):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(self.timeout)
        try:
            sock.connect(self.path)
        except OSError:
            sock.close()
            raise
        self.sock = sock


class Stream:
    """The events of a streaming answer, one parsed JSON value each; [DONE] ends it."""

    def __init__(self, connection, response):
        self.connection, self.response = connection, response
        self.done = False

    def __iter__(self):
        for line in self.response:
            line = line.rstrip(b"\r\n")
            if not line:
                continue
            assert line.startswith(b"data: "), line
            data = line[6:].decode("utf-8")  # fails if a character was cut
            if data == "[DONE]":
                self.done = True
                self.close()
                return
            yield json.loads(data)

    def close(self):
        self.response.close()
        self.connection.close()


class EngineProcess:
    def __init__(self, model, *arguments, wait=True):
        self.directory = tempfile.mkdtemp(prefix="mr-engine-")
        self.socket = os.path.join(self.directory, "s")
        self.log = open(os.path.join(self.directory, "log"), "w+b")
        self.lifeline = os.pipe()
        self.process = subprocess.Popen(
            [ENGINE, "serve", "--model", model, "--socket", self.socket,
             "--lifeline-fd", str(self.lifeline[0]), *arguments],
            stdout=self.log, stderr=self.log, pass_fds=[self.lifeline[0]])
        os.close(self.lifeline[0])
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds=60):
        end = time.monotonic() + seconds
        while True:
            try:
                if self.get("/health")[0] == 200:
                    return
            except OSError:
                pass
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError("the engine did not come up:\n" + self.log_text())
            time.sleep(0.01)

    def log_text(self):
        self.log.seek(0)
        return self.log.read().decode("utf-8", "replace")

    def request(self, method, path, body=None, headers=None):
        """(status, parsed JSON or text)"""
        connection = UnixConnection(self.socket)
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
        connection.request(method, path, body, headers or {})
        response = connection.getresponse()
        text = response.read().decode("utf-8")
        connection.close()
        if response.headers.get_content_type() == "application/json":
            return response.status, json.loads(text)
        return response.status, text

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, body):
        return self.request("POST", path, body)

    def stream(self, path, body):
        connection = UnixConnection(self.socket)
        connection.request("POST", path, json.dumps(dict(body, stream=True)))
        response = connection.getresponse()
        assert response.status == 200, response.read()
        assert response.headers.get_content_type() == "text/event-stream"
        return Stream(connection, response)

    def stream_connection(self, path, body, stream=True):
        """A request whose answer nobody waits for."""
        connection = UnixConnection(self.socket)
        connection.request("POST", path, json.dumps(dict(body, stream=stream)))
        return connection

    def metric(self, name):
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith("llamacpp:" + name + " "):
                return float(line.split()[1])
        raise KeyError(name)

    def close_lifeline(self):
        if self.lifeline[1] is not None:
            os.close(self.lifeline[1])
            self.lifeline = (None, None)

    def stop(self, signo=signal.SIGTERM):
        """The exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signo)
        try:
            return self.process.wait(60)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.close_lifeline()
            self.log.close()
            shutil.rmtree(self.directory, ignore_errors=True)
