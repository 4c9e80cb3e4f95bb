# SPDX-License-Identifier: Apache-2.0
"""A daemon with the stand-in engine, a client over its socket, and models made of nothing."""
import hashlib
import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.environ.get("MR_ROOT") or os.path.dirname(os.path.dirname(os.path.dirname(HERE)))
BUILD = os.environ.get("MR_BUILD") or os.path.join(ROOT, "build")
RUNNER = os.environ.get("MR_RUNNER") or os.path.join(BUILD, "model-runner")
FAKE = os.path.join(HERE, "fake_engine.py")


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def model_tar(weights, context_size=None, fmt="gguf", trained=None):
    """A model in the form of POST /models/load: (tar, id)."""
    config = {"config": {"format": fmt, "architecture": "llama", "parameters": "1"},
              "descriptor": {"created": "2025-01-01T00:00:00Z"},
              "rootfs": {"type": "rootfs", "diff_ids": [digest(weights)]}}
    if context_size:
        config["config"]["context_size"] = context_size
    if trained:
        config["config"]["gguf"] = {"llama.context_length": str(trained)}
    config = json.dumps(config).encode()
    kind = {"gguf": "gguf.v3"}.get(fmt, fmt)
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.docker.ai.model.config.v0.1+json", "size": len(config),
                   "digest": digest(config)},
        "layers": [{"mediaType": "application/vnd.docker.ai." + kind, "size": len(weights),
                    "digest": digest(weights)}]}).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in [("blobs/sha256/" + digest(weights)[7:], weights),
                           ("blobs/sha256/" + digest(config)[7:], config), ("manifest.json", manifest)]:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue(), digest(manifest)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout=60):
        super().__init__("localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body
        self.text = body.decode("utf-8", "replace")

    @property
    def json(self):
        return json.loads(self.body)


class Daemon:
    """Started by the constructor; close() ends it and checks that nothing is left."""

    def __init__(self, *options, fake="", env=None, tcp=False, engine=FAKE):
        self.dir = tempfile.mkdtemp(prefix="mr-daemon-")
        self.sock = os.path.join(self.dir, "d.sock")
        self.log_path = os.path.join(self.dir, "fake.log")
        self.env = {"PATH": os.environ["PATH"], "HOME": self.dir, "XDG_RUNTIME_DIR": self.dir, "MR_FAKE": fake,
                    "MR_FAKE_LOG": self.log_path, "SECRET_TOKEN": "do not pass on", "LOG_LEVEL": "debug"}
        self.env.update(env or {})
        for name in os.environ:
            if name.endswith("SAN_OPTIONS"):
                self.env[name] = os.environ[name]
        argv = [RUNNER, "serve", "--socket", self.sock, "--engine", engine, *options]
        for _ in range(5 if tcp else 1):  # somebody else may take the port in between
            if tcp:
                with socket.socket() as s:
                    s.bind(("127.0.0.1", 0))
                    self.port = s.getsockname()[1]
            self.stderr = open(os.path.join(self.dir, "stderr"), "w+b")
            self.process = subprocess.Popen(argv + (["--port", str(self.port)] if tcp else []), env=self.env,
                                            stderr=self.stderr, stdin=subprocess.DEVNULL)
            if not tcp:
                break
            self.await_start()
            if self.process.poll() is None:
                break
            self.stderr.close()
        self.wait_for(lambda: self.try_get() == 200)

    def start_again(self):
        """A daemon like the one that has ended, over the same store."""
        self.process = subprocess.Popen(self.process.args, env=self.env, stderr=self.stderr, stdin=subprocess.DEVNULL)
        self.wait_for(lambda: self.try_get() == 200)

    def await_start(self):
        """Until it answers or has ended."""
        end = time.monotonic() + 30
        while self.try_get() != 200 and self.process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)

    def try_get(self):
        c = self.connect()
        try:
            return self.request("GET", "/", connection=c).status
        except OSError:
            return None
        finally:
            c.close()

    def wait_for(self, what, seconds=30):
        end = time.monotonic() + seconds
        while not what():
            if time.monotonic() > end or self.process.poll() is not None:
                raise AssertionError("the daemon is not what it should be:\n" + self.errors())
            time.sleep(0.01)

    def errors(self):
        with open(self.stderr.name, encoding="utf-8", errors="replace") as f:
            return f.read()

    def fake_log(self):
        if not os.path.exists(self.log_path):
            return []
        with open(self.log_path, encoding="utf-8") as f:
            return f.read().splitlines()

    def connect(self, timeout=60):
        return UnixConnection(self.sock, timeout)

    def request(self, method, path, body=None, headers=None, connection=None):
        c = connection or self.connect()
        if isinstance(body, (dict, list)):
            body = json.dumps(body)
        c.request(method, path, body=body, headers=headers or {})
        r = c.getresponse()
        answer = Answer(r.status, r.headers, r.read())
        if not connection:
            c.close()
        return answer

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.request("POST", path, body, **kw)

    def chat(self, model="m", headers=None, path="/v1/chat/completions", **members):
        return self.post(path, dict({"model": model, "messages": []}, **members), headers=headers)

    def load(self, tag="ai/m:latest", weights=b"GGUF weights", **kw):
        tar, model_id = model_tar(weights, **kw)
        answer = self.post("/models/load", tar)
        assert answer.status == 200, answer.text
        if tag:
            repo, _, name = (tag if ":" in tag else tag + ":latest").rpartition(":")
            answer = self.post(f"/models/{model_id}/tag?repo={repo}&tag={name}")
            assert answer.status == 201, answer.text
        return model_id

    def engines(self):
        """Process ids of the engines that live."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    argv = f.read().split(b"\0")
                with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
                    state = f.read().rsplit(")", 1)[1].split()[0]
            except OSError:
                continue
            if any(a.startswith(self.dir.encode()) for a in argv) and b"--lifeline-fd" in argv and state != "Z":
                found.append(int(pid))
        return found

    def stop(self, sig=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError("the daemon did not end:\n" + self.errors())

    def close(self):
        code = self.stop()
        end = time.monotonic() + (0 if code == 0 else 10)  # after kill -9 the kernel ends them by itself
        while (left := self.engines()) and time.monotonic() < end:
            time.sleep(0.02)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        errors = self.errors()
        sockets = [n for n in os.listdir(self.dir) if n.endswith((".sock", ".lock"))]
        self.stderr.close()
        shutil.rmtree(self.dir)
        assert code in (0, -signal.SIGTERM, -signal.SIGKILL), f"exit {code}:\n{errors}"
        assert not left, f"engines survived: {left}"
        assert "Sanitizer" not in errors, errors
        if code == 0:
            assert not sockets, sockets
