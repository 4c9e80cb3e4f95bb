# SPDX-License-Identifier: Apache-2.0
"""What the tests of pull and push share: model files, a runner with a store of its own, the
distribution's docker-registry in every dress (plain, TLS, basic auth, token service), skopeo.

Everything listens on loopback and lives in one temporary directory for each test.
"""
import base64
import hashlib
import http.client
import http.server
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import threading
import time
import urllib.parse

from cli_support import BUILD, CLI, RUNNER, CliTest

CONFIG_V01 = "application/vnd.docker.ai.model.config.v0.1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
LAYER_GGUF = "application/vnd.docker.ai.gguf.v3"
LAYER_LICENSE = "application/vnd.docker.ai.license"
USER, PASSWORD = "tester", "s3cret-word"
# crypt("s3cret-word") by bcrypt, the one kind that docker-registry reads.
HTPASSWD = USER + ":$2y$05$abcdefghijklmnopqrstuuEpHRRKIlpAGo.iP7Bpa.htQEJMAAnRe\n"
READY = all(os.access(p, os.X_OK) for p in (CLI, RUNNER))
REGISTRY = shutil.which("docker-registry")
SKOPEO = shutil.which("skopeo")


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def noise(size, seed=0):
    return random.Random(seed).randbytes(size)


def gguf(size, seed=0, name="noise", chunk=1 << 20, out=None):
    """A well-formed GGUF file of about `size` bytes: one tensor of noise. Into the file `out`, or returned."""

    def text(s):
        return struct.pack("<Q", len(s)) + s.encode()

    def string(key, value):
        return text(key) + struct.pack("<I", 8) + text(value)

    def u32(key, value):
        return text(key) + struct.pack("<II", 4, value)

    values = [string("general.architecture", "llama"), string("general.name", name), u32("general.file_type", 0),
              u32("llama.context_length", 128), u32("llama.block_count", 1), u32("llama.embedding_length", 32),
              u32("llama.attention.head_count", 1)]
    n = max(size // 128, 1)
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, len(values)) + b"".join(values)
    head += text("token_embd.weight") + struct.pack("<IQQIQ", 2, 32, n, 0, 0)
    head += bytes(-len(head) % 32)
    if out is None:
        return head + noise(n * 128, seed)
    rng, left = random.Random(seed), n * 128
    with open(out, "wb") as f:
        f.write(head)
        while left > 0:
            f.write(rng.randbytes(min(left, chunk)))
            left -= min(left, chunk)
    return out


class Artifact:
    """A model as a registry holds it, in memory."""

    def __init__(self, layers, config_type=CONFIG_V01, config=None, annotations=True):
        """layers: [(media type, bytes)]."""
        self.blobs = {sha256(data): data for _, data in layers}
        self.layers = [sha256(data) for _, data in layers]
        if config is None:
            config = {"config": {"format": "gguf", "quantization": "F32", "parameters": "1.00K",
                                 "architecture": "llama", "size": "1.00MiB"},
                      "descriptor": {"created": "2025-01-02T03:04:05Z"},
                      "rootfs": {"type": "rootfs", "diff_ids": self.layers}}
        if not isinstance(config, bytes):
            config = json.dumps(config).encode()
        self.config = sha256(config)
        self.blobs[self.config] = config
        entries = []
        for i, (media_type, data) in enumerate(layers):
            entries.append({"mediaType": media_type, "size": len(data), "digest": sha256(data)})
            if annotations:
                entries[-1]["annotations"] = {"org.cncf.model.filepath": f"file-{i}.gguf"}
        self.document = {"schemaVersion": 2, "mediaType": MANIFEST,
                         "config": {"mediaType": config_type, "size": len(config), "digest": self.config},
                         "layers": entries}
        self.seal()

    def seal(self):
        """The manifest's bytes, after `document` was changed."""
        self.manifest = json.dumps(self.document).encode()
        self.id = sha256(self.manifest)
        return self


def model(size=1 << 20, seed=0, licence=None):
    layers = [(LAYER_GGUF, gguf(size, seed))]
    if licence is not None:
        layers.append((LAYER_LICENSE, licence))
    return Artifact(layers)


class Runner:
    """A model-runner with a home, a store and a socket of its own."""

    def __init__(self, home, env, store=None, wrap=()):
        self.home, self.env, self.wrap = home, dict(env), list(wrap)
        self.socket = os.path.join(home, "run", "r.sock")
        self.store = store or os.path.join(home, "models")
        self.env.update(MODELS_PATH=self.store, MODEL_RUNNER_HOST="unix://" + self.socket, LOG_LEVEL="debug")
        os.makedirs(os.path.dirname(self.socket), mode=0o700, exist_ok=True)
        self.log_path = os.path.join(home, "runner.log")
        self.process = None

    def start(self):
        log = open(self.log_path, "ab")
        self.process = subprocess.Popen([*self.wrap, RUNNER, "serve", "--socket", self.socket], env=self.env,
                                        stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            try:
                if self.http("GET", "/version", timeout=5)[0] == 200:
                    return self
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError("the runner did not start: " + self.log())

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def stop(self, sig=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(sig)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("the runner did not stop")

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def connect(self, timeout=60):
        c = http.client.HTTPConnection("localhost", timeout=timeout)
        c.sock = socket.socket(socket.AF_UNIX)
        c.sock.settimeout(timeout)
        try:
            c.sock.connect(self.socket)
        except OSError:
            c.close()
            raise
        return c

    def http(self, method, path, body=None, headers=None, timeout=60):
        c = self.connect(timeout)
        try:
            c.request(method, path, body=json.dumps(body) if body is not None else None, headers=headers or {})
            res = c.getresponse()
            return res.status, res.read()
        finally:
            c.close()

    def pull(self, name, timeout=90, bearer=None):
        """Pulls over the API. Returns a Pulled."""
        c = self.connect(timeout)
        try:
            body = {"from": name}
            if bearer:
                body["bearer-token"] = bearer
            c.request("POST", "/models/create", body=json.dumps(body), headers={"Accept": "application/json"})
            res = c.getresponse()
            return Pulled(res.status, res.read().decode("utf-8", "replace"))
        finally:
            c.close()

    def models(self):
        return json.loads(self.http("GET", "/models")[1])

    def memory(self, field="VmHWM"):
        """Peak of the resident memory in MiB."""
        with open(f"/proc/{self.process.pid}/status") as f:
            return next(int(line.split()[1]) for line in f if line.startswith(field)) / 1024


class Pulled:
    """What a pull or a push told."""

    def __init__(self, status, text):
        self.status, self.text, self.events = status, text, []
        if status == 200:
            for line in text.splitlines():
                if line.startswith("{"):
                    self.events.append(json.loads(line))
        last = [e for e in self.events if e["type"] in ("success", "error")]
        self.ok = bool(last) and last[0]["type"] == "success"
        self.message = last[0]["message"] if last else text

    def backwards(self):
        """Layers whose progress ran backwards."""
        seen, bad = {}, []
        for e in self.events:
            layer = e.get("layer") or {}
            if e["type"] != "progress" or not layer.get("id"):
                continue
            if layer["current"] < seen.get(layer["id"], 0) or layer["current"] > layer["size"]:
                bad.append(e)
            seen[layer["id"]] = layer["current"]
        return bad


class RegistryTest(CliTest):
    """A test with runners of its own."""

    def setUp(self):
        super().setUp()
        for name in list(self.env):
            if name.lower().endswith("_proxy") or name in ("INSECURE_REGISTRY", "DEFAULT_REGISTRY", "MODELS_PATH"):
                del self.env[name]
        self.docker_config = os.path.join(self.home, "docker")
        os.makedirs(self.docker_config)
        self.env["DOCKER_CONFIG"] = self.docker_config
        self.runners = 0

    def runner(self, store=None, wrap=(), **env):
        """Starts a runner; the command line speaks with the last one started."""
        self.runners += 1
        home = os.path.join(self.home, f"r{self.runners}")
        os.makedirs(home)
        r = Runner(home, dict(self.env, **env), store, wrap)
        self.addCleanup(r.kill)
        r.start()
        self.env["MODEL_RUNNER_HOST"] = "unix://" + r.socket
        return r

    def log_in(self, host, user=USER, password=PASSWORD):
        path = os.path.join(self.docker_config, "config.json")
        config = {"auths": {}}
        if os.path.exists(path):
            with open(path) as f:
                config = json.load(f)
        config["auths"][host] = {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}
        with open(path, "w") as f:
            json.dump(config, f)

    def verify_clean(self, runner=None):
        self.ok("verify", **({"MODEL_RUNNER_HOST": "unix://" + runner.socket} if runner else {}))

    def skopeo(self, *args):
        done = subprocess.run([SKOPEO, "--insecure-policy", *args], env=dict(self.env, HOME=self.home),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120)
        self.assertEqual(done.returncode, 0, f"skopeo {args}: {done.stderr.decode()}")
        return done.stdout


def openssl(*args, cwd=None, input=None):
    return subprocess.run(["openssl", *args], cwd=cwd, input=input, check=True, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, timeout=60).stdout


def make_certificates(directory, names="IP:127.0.0.1,DNS:localhost"):
    """ca.crt, server.crt, server.key, and a client's client.cert, client.key."""
    os.makedirs(directory, exist_ok=True)
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=test authority",
            cwd=directory)
    for name, subject in (("server.crt", "localhost"), ("client.cert", "client")):
        stem = name.split(".")[0]
        openssl("req", *key, "-keyout", stem + ".key", "-out", stem + ".csr", "-subj", "/CN=" + subject, cwd=directory)
        with open(os.path.join(directory, stem + ".ext"), "w") as f:
            f.write(f"subjectAltName={names}\n" if stem == "server" else "extendedKeyUsage=clientAuth\n")
        openssl("x509", "-req", "-in", stem + ".csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days",
                "2", "-extfile", stem + ".ext", "-out", name, cwd=directory)
    return directory


class DockerRegistry:
    """The distribution's docker-registry."""

    def __init__(self, directory, tls=None, basic=False, token=None, client_ca=None):
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self.tls = tls
        for _ in range(5):  # another one may take the port in between
            with socket.socket() as s:
                s.bind(("127.0.0.1", 0))
                self.port = s.getsockname()[1]
            if self.launch(tls, basic, token, client_ca):
                return
        raise AssertionError("docker-registry did not start: " + self.log())

    def launch(self, tls, basic, token, client_ca):
        self.host = f"127.0.0.1:{self.port}"
        config = ["version: 0.1", "log: {level: info, accesslog: {disabled: false}}",
                  f"storage: {{filesystem: {{rootdirectory: {self.directory}/data}}, delete: {{enabled: true}}}}",
                  "http:", f"  addr: {self.host}", "  secret: not-a-secret"]
        if tls:
            config += ["  tls:", f"    certificate: {tls}/server.crt", f"    key: {tls}/server.key"]
            if client_ca:
                config += [f"    clientcas: [{client_ca}]"]
        if basic:
            with open(os.path.join(self.directory, "htpasswd"), "w") as f:
                f.write(HTPASSWD)
            config += ["auth: {htpasswd: {realm: tests, path: " + self.directory + "/htpasswd}}"]
        if token:
            config += ["auth:", "  token:", f"    realm: {token.realm}", "    service: tests", "    issuer: tests",
                       f"    rootcertbundle: {token.certificate}"]
        path = os.path.join(self.directory, "config.yml")
        with open(path, "w") as f:
            f.write("\n".join(config) + "\n")
        self.log_path = os.path.join(self.directory, "log")
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen([REGISTRY, "serve", path], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={"PATH": os.environ["PATH"]})
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            if "listening on" in self.log():
                return True
            time.sleep(0.02)
        self.stop()
        return False

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def count(self, method, part):
        """Requests in the access log whose path contains `part`."""
        return sum(f'"{method} ' in line and part in line for line in self.log().splitlines())


class TokenService:
    """Signs tokens that docker-registry believes: the key's certificate travels in x5c."""

    def __init__(self, directory, lifetime=300, tls=None):
        os.makedirs(directory, exist_ok=True)
        self.directory, self.lifetime = directory, lifetime
        self.requests = []
        self.certificate = os.path.join(directory, "token.crt")
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "token.key", "-out", "token.crt", "-days",
                "2", "-subj", "/CN=token service", cwd=directory)
        self.der = openssl("x509", "-in", "token.crt", "-outform", "DER", cwd=directory)
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                outer.answer(self)

            do_POST = do_GET

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.realm = f"http://127.0.0.1:{self.server.server_address[1]}/token"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler):
        length = int(handler.headers.get("Content-Length") or 0)
        body = handler.rfile.read(length).decode() if length else ""
        query = urllib.parse.parse_qs(body or urllib.parse.urlsplit(handler.path).query)
        self.requests.append({"method": handler.command, "query": query, "headers": dict(handler.headers)})
        basic = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        known = handler.headers.get("Authorization") == basic or query.get("refresh_token") == ["refresh-me"]
        if (handler.headers.get("Authorization") or "refresh_token" in query) and not known:
            status, text = 401, b'{"details":"incorrect username or password"}'
        else:
            access = []
            for scope in " ".join(query.get("scope", [])).split():
                kind, name, actions = scope.split(":")[0], scope[scope.find(":") + 1:scope.rfind(":")], scope.split(":")[-1]
                allowed = [a for a in actions.split(",") if known or (a == "pull" and name.startswith("public/"))]
                access.append({"type": kind, "name": name, "actions": allowed})
            status, text = 200, json.dumps({"token": self.sign(access), "expires_in": self.lifetime}).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    def sign(self, access):
        def part(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

        now = int(time.time())
        head = {"typ": "JWT", "alg": "RS256", "x5c": [base64.b64encode(self.der).decode()]}
        claims = {"iss": "tests", "sub": "tester", "aud": "tests", "exp": now + self.lifetime, "nbf": now - 10,
                  "iat": now, "jti": os.urandom(8).hex(), "access": access}
        text = part(json.dumps(head).encode()) + "." + part(json.dumps(claims).encode())
        signature = openssl("dgst", "-sha256", "-sign", "token.key", cwd=self.directory, input=text.encode())
        return text + "." + part(signature)
