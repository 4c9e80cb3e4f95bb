#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who gets in, and how far: Host, Origin and tokens on every route, TLS, the containers' address, and
many clients at once."""
import hashlib
import http.client
import json
import os
import random
import re
import socket
import ssl
import stat
import subprocess
import sys
import tempfile
import time
import unittest
import warnings

ROOT = os.environ.get("MR_ROOT") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "unit", "runner"))
from daemon_support import BUILD, RUNNER, Daemon  # noqa: E402

CLI = os.path.join(BUILD, "docker-model")
SANITIZED = b"__asan_init" in open(RUNNER, "rb").read() or b"__tsan_init" in open(RUNNER, "rb").read()


def routes():
    """(method, path) of the whole table, with names filled in."""
    with open(os.path.join(ROOT, "src", "runner", "routes.c"), encoding="utf-8") as f:
        source = f.read()
    table = source[source.index("} routes[] = {"):]
    table = table[:table.index("\n};")]
    found = []
    for method, path in re.findall(r'\{(?:"(\w+)"|NULL), "(/[^"]*)"', table):
        found.append((method or "GET", path))
    for path in re.findall(r'INFER\("([^"]+)"', table):
        found += [("POST", "/engines" + path), ("POST", "/engines/{backend}" + path)]
    for method, path in re.findall(r'BOTH\("(\w+)", "([^"]+)"', table):
        found += [(method, "/engines" + path), (method, "/engines/{backend}" + path)]
    assert len(found) > 60, found
    return [(m, p.replace("{backend}", "llama.cpp").replace("{name}", "ai/none")) for m, p in found]


# What a token for inference must never reach; the rest of the table may grow.
MANAGEMENT = [
    ("POST", "/models/create"), ("POST", "/models/load"), ("POST", "/models/package"), ("GET", "/models/save"),
    ("POST", "/models/verify"), ("POST", "/models/prune"), ("DELETE", "/models/purge"), ("GET", "/models/ai/x/export"),
    ("POST", "/models/ai/x/tag"), ("POST", "/models/ai/x/push"), ("POST", "/models/ai/x/repackage"),
    ("DELETE", "/models/ai/x"), ("POST", "/engines/unload"), ("POST", "/engines/_configure"),
    ("POST", "/engines/llama.cpp/_configure"), ("GET", "/engines/_configure"), ("GET", "/logs"), ("GET", "/engines/df"),
    ("GET", "/engines/_configure/effective?model=x"),
    ("POST", "/api/pull"), ("POST", "/api/push"), ("POST", "/api/copy"), ("POST", "/api/create"),
    ("DELETE", "/api/delete"), ("GET", "/engines/doors"), ("GET", "/metrics"), ("GET", "/engines/requests"),
]
USE = [("POST", "/engines/v1/chat/completions"), ("POST", "/v1/chat/completions"), ("GET", "/engines/v1/models"),
       ("GET", "/models"), ("GET", "/"), ("GET", "/version"), ("GET", "/api/tags"), ("POST", "/anthropic/v1/messages")]


class Tcp(Daemon):
    def __init__(self, *options, **kw):
        super().__init__(*options, tcp=True, **kw)

    def ask(self, method, path, token=None, body=None, **headers):
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            headers["Authorization"] = "Bearer " + token
        try:
            return self.request(method, path, body if body is not None else ("{}" if method == "POST" else None),
                                headers=headers, connection=c)
        finally:
            c.close()


class EveryRoute(unittest.TestCase):
    def test_foreign_hosts_and_origins(self):
        d = Tcp()
        self.addCleanup(d.close)
        for method, path in routes():
            with self.subTest(method=method, path=path):
                for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example"]:
                    self.assertEqual(d.ask(method, path, Host=host).status, 403)
                if path in ("/", "/version", "/logs"):
                    continue
                for origin in ["http://evil.example", "https://localhost.evil.example", "null"]:
                    self.assertEqual(d.ask(method, path, Origin=origin).status, 403)
                    # Also by the prefix of Docker Desktop, and past doubled slashes.
                    self.assertEqual(d.ask(method, "/exp/vDD4.40" + path, Origin=origin).status, 403)
                    self.assertEqual(d.ask(method, "/" + path, Origin=origin).status, 403)

    def test_tokens(self):
        with tempfile.TemporaryDirectory() as home:
            file = os.path.join(home, "tokens.json")

            def make(name, *options):
                return subprocess.run([RUNNER, "token", "create", name, "--tokens", file, *options], check=True,
                                      stdout=subprocess.PIPE, text=True).stdout.strip()

            everything, inference = make("all"), make("use", "--inference")
            d = Tcp("--require-token", "--tokens", file)
            self.addCleanup(d.close)
            for method, path in routes():
                with self.subTest(method=method, path=path):
                    for token in [None, "", "wrong", everything + "x", everything[:-1], inference.upper()]:
                        answer = d.ask(method, path, token)
                        self.assertEqual(answer.status, 401, token)
                        self.assertIn("Bearer", answer.headers["WWW-Authenticate"])
                    self.assertNotIn(d.ask(method, path, everything).status, (401, 429))
                    self.assertNotEqual(d.ask(method, path, inference).status, 401)
            for method, path in MANAGEMENT:
                for prefix in ["", "/exp/vDD4.40", "/"]:
                    self.assertEqual(d.ask(method, prefix + path, inference).status, 403, (method, path))
            for method, path in USE:
                self.assertNotIn(d.ask(method, path, inference).status, (401, 403), (method, path))
            # Anthropic's clients send it in another header.
            self.assertEqual(d.ask("GET", "/models", X_Api_Key=everything).status, 200)
            # A preflight carries no token.
            self.assertEqual(d.ask("OPTIONS", "/models", Origin="http://localhost:3000").status, 204)
            # The Unix socket needs none.
            self.assertEqual(d.get("/models").status, 200)


class Tokens(unittest.TestCase):
    def run_token(self, *args):
        return subprocess.run([RUNNER, "token", *args], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=60)

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.home = directory.name
        self.env = {"HOME": self.home, "PATH": os.environ["PATH"]}
        self.file = os.path.join(self.home, ".docker", "model-runner", "tokens.json")

    def test_file(self):
        done = self.run_token("create", "one", "--model", "ai/*", "--model", "gemma*", "--per-minute", "5")
        secret = done.stdout.strip()
        self.assertRegex(secret, r"^mr-[\w-]{43}$")
        self.assertEqual(stat.S_IMODE(os.stat(self.file).st_mode), 0o600)
        with open(self.file, encoding="utf-8") as f:
            text = f.read()
        self.assertNotIn(secret, text)
        entry = json.loads(text)[0]
        self.assertEqual(entry["sha256"], hashlib.sha256(secret.encode()).hexdigest())
        self.assertEqual((entry["models"], entry["per_minute"]), (["ai/*", "gemma*"], 5))
        self.assertNotEqual(self.run_token("create", "two").stdout.strip(), secret)
        self.assertIn("already", self.run_token("create", "one").stderr)
        listed = self.run_token("list").stdout
        self.assertRegex(listed, r"one .* inference +5 +ai/\*, gemma\*")
        self.assertRegex(listed, r"two .* all +any +all")
        self.assertEqual(self.run_token("rm", "one").returncode, 0)
        self.assertIn("no token 'one'", self.run_token("rm", "one").stderr)
        self.assertNotIn("one", self.run_token("list").stdout)

    def test_malformed_files_let_nobody_in(self):
        secret = self.run_token("create", "one").stdout.strip()
        with open(self.file, "rb") as f:
            good = f.read()
        d = Tcp("--require-token", "--tokens", self.file)
        self.addCleanup(d.close)
        self.assertEqual(d.ask("GET", "/models", secret).status, 200)
        for bad in [b"", b"{}", b"[1]", b'[{"name":"x"}]', good.replace(b"sha256", b"sha255"), good[:-10],
                    b'[{"name":"x","sha256":"' + b"a" * 64 + b'","models":[1]}]',
                    b'[{"name":"x","sha256":"' + b"a" * 64 + b'","per_minute":-1}]']:
            with open(self.file, "wb") as f:
                f.write(bad)
            self.assertEqual(d.ask("GET", "/models", secret).status, 401, bad)
            self.assertEqual(self.run_token("list").returncode, 1, bad)
        with open(self.file, "wb") as f:
            f.write(good)
        self.assertEqual(d.ask("GET", "/models", secret).status, 200)
        os.chmod(self.file, 0o644)
        self.assertEqual(d.ask("GET", "/models", secret).status, 401)
        self.assertIn("chmod 600", self.run_token("list").stderr)
        os.chmod(self.file, 0o600)
        # A token made while the daemon runs counts at once, and one removed does not any more.
        other = self.run_token("create", "other").stdout.strip()
        self.assertEqual(d.ask("GET", "/models", other).status, 200)
        self.run_token("rm", "other")
        self.assertEqual(d.ask("GET", "/models", other).status, 401)

    def test_limits(self):
        gemma = self.run_token("create", "gemma", "--model", "ai/gemma*").stdout.strip()
        slow = self.run_token("create", "slow", "--per-minute", "3").stdout.strip()
        d = Tcp("--require-token", "--tokens", self.file)
        self.addCleanup(d.close)
        ids = {}
        for name in ["gemma3", "smollm2", "reg.io/ai/gemma3"]:
            ids[name] = d.load("ai/" + name if "/" not in name else name, weights=name.encode())
        body = {"messages": []}
        for model, status in [("gemma3", 200), ("ai/gemma3", 200), ("docker.io/ai/gemma3:latest", 200), ("smollm2", 403),
                              ("reg.io/ai/gemma3", 403), ("ai/none", 403), (ids["smollm2"], 403),
                              ("ai/gemma3@" + ids["smollm2"], 403)]:
            for path in ["/v1/chat/completions", "/exp/vDD4.40/engines/v1/chat/completions"]:
                answer = d.ask("POST", path, gemma, json.dumps(dict(body, model=model)))
                self.assertEqual(answer.status, status, (model, answer.text))
        # Ollama's way of unloading and of settings stops there, too.
        for path, more in [("/api/generate", {"keep_alive": 0}), ("/api/chat", {"options": {"num_ctx": 99}}),
                           ("/api/embed", {"input": "x", "keep_alive": "1h"})]:
            answer = d.ask("POST", path, gemma, json.dumps(dict(more, model="smollm2")))
            self.assertEqual(answer.status, 403, answer.text)
        self.assertEqual(d.get("/engines/_configure").json, [])
        self.assertEqual(d.ask("POST", "/models/create", gemma).status, 403)  # a limit on models is one on use
        got = [d.ask("GET", "/models", slow).status for _ in range(5)]
        self.assertEqual(got, [200, 200, 200, 429, 429])
        answer = d.ask("GET", "/models", slow)
        self.assertTrue(1 <= int(answer.headers["Retry-After"]) <= 21, answer.headers)

    def test_known_tokens_limit_where_none_is_needed(self):
        inference = self.run_token("create", "use", "--inference").stdout.strip()
        d = Tcp("--tokens", self.file)
        self.addCleanup(d.close)
        self.assertEqual(d.ask("GET", "/engines/df").status, 200)
        self.assertEqual(d.ask("GET", "/engines/df", "sk-whatever").status, 200)
        self.assertEqual(d.ask("GET", "/engines/df", inference).status, 403)

    def test_addresses_of_others_need_one(self):
        def serve(*options):
            return subprocess.run([RUNNER, "serve", "--socket", os.path.join(self.home, "s"), *options], env=self.env,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)

        for host in ["0.0.0.0", "::", "192.0.2.1", "some-host"]:
            done = serve("--host", host)
            self.assertEqual(done.returncode, 1, done.stdout)
            self.assertRegex(done.stdout, "no access token: make one with .* --no-token")
        self.assertIn("no access token", serve("--tls", "--host", "0.0.0.0").stdout)
        self.assertIn("no access token", serve("--containers=127.0.0.9").stdout)
        self.assertIn("exclude each other", serve("--no-token", "--require-token").stdout)
        # Waived, or with a token, it is the address that fails (192.0.2.1 is nobody's).
        self.assertIn("cannot listen on 192.0.2.1", serve("--host", "192.0.2.1", "--no-token").stdout)
        self.run_token("create", "one")
        self.assertIn("cannot listen on 192.0.2.1", serve("--host", "192.0.2.1").stdout)


class Tls(unittest.TestCase):
    def free_port(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            return s.getsockname()[1]

    def start(self, *options, **kw):
        self.port = self.free_port()
        d = Daemon("--tls-port", str(self.port), *options, **kw)
        self.addCleanup(d.close)
        return d

    def get(self, context, path="/version"):
        c = http.client.HTTPSConnection("127.0.0.1", self.port, context=context, timeout=60)
        c.request("GET", path)
        r = c.getresponse()
        body = r.read()
        certificate = c.sock.getpeercert(True) if c.sock else None
        c.close()
        return r.status, body, certificate

    def test_own_certificate(self):
        d = self.start()
        certs = os.path.join(d.dir, ".docker", "model-runner", "certs")
        context = ssl.create_default_context(cafile=os.path.join(certs, "ca.crt"))
        status, body, der = self.get(context)
        self.assertEqual(status, 200)
        self.assertIn(b"version", body)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.join(certs, "server.key")).st_mode), 0o600)
        with self.assertRaises(ssl.SSLCertVerificationError):
            self.get(ssl.create_default_context())
        fingerprint = ":".join(f"{b:02X}" for b in hashlib.sha256(der).digest())
        self.assertEqual(d.get("/engines/doors").json["tls"]["fingerprint"], fingerprint)
        out = subprocess.run([CLI, "status"], env={"HOME": d.dir, "MODEL_RUNNER_HOST": "unix://" + d.sock}, check=True,
                             stdout=subprocess.PIPE, text=True).stdout
        self.assertIn(fingerprint, out)
        self.assertIn(f"https://127.0.0.1:{self.port}", out)
        # The command line trusts it by itself.
        out = subprocess.run([CLI, "version"], check=True, stdout=subprocess.PIPE, text=True,
                             env={"HOME": d.dir, "MODEL_RUNNER_HOST": f"https://127.0.0.1:{self.port}"}).stdout
        self.assertNotIn("not reachable", out)
        warnings.simplefilter("ignore", DeprecationWarning)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            self.get(old)
        # Plain HTTP there, and a stranger's bytes, end in nothing worse than an error.
        for data in [b"GET / HTTP/1.1\r\n\r\n", bytes(1000), b"\x16\x03\x01\xff\xff" + bytes(500)]:
            with socket.create_connection(("127.0.0.1", self.port)) as s:
                s.settimeout(60)
                try:
                    s.sendall(data)
                    s.shutdown(socket.SHUT_WR)
                    self.assertNotIn(b"200 OK", s.recv(1000))
                except OSError:
                    pass  # cut off, which is fine
        self.assertEqual(self.get(context)[0], 200)

    def test_given_certificates(self):
        d = self.start()
        certs = os.path.join(d.dir, ".docker", "model-runner", "certs")
        with tempfile.TemporaryDirectory() as home:
            other = subprocess.run([RUNNER, "serve", "--socket", home + "/s", "--tls-port", "1", "--tls-cert",
                                    certs + "/server.crt"], env={"HOME": home}, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
            self.assertIn("both a certificate and its key", other.stdout)
            for cert, key, want in [(certs + "/server.crt", certs + "/server.crt", "not accepted"),
                                    ("/nonexistent", certs + "/server.key", "/nonexistent"),
                                    (certs + "/server.key", certs + "/server.key", "no certificate in PEM")]:
                other = subprocess.run([RUNNER, "serve", "--socket", home + "/s", "--tls-port",
                                        str(self.free_port()), "--tls-cert", cert, "--tls-key", key], env={"HOME": home},
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
                self.assertEqual(other.returncode, 1)
                self.assertIn(want, other.stdout)
            cert, key = certs + "/server.crt", certs + "/server.key"
            context = ssl.create_default_context(cafile=cert)
            self.start("--tls-cert", cert, "--tls-key", key)
            self.assertEqual(self.get(context)[0], 200)


@unittest.skipUnless(os.geteuid() == 0, "port 80 needs root")
class Containers(unittest.TestCase):
    def start(self, *options, token=None):
        self.address = "127.{}.{}.{}".format(*(random.randrange(2, 250) for _ in range(3)))
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        file = os.path.join(directory.name, "tokens.json")
        self.secret = subprocess.run([RUNNER, "token", "create", "c", "--tokens", file], check=True,
                                     stdout=subprocess.PIPE, text=True).stdout.strip()
        d = Daemon("--containers=" + self.address, "--tokens", file, *options)
        self.addCleanup(d.close)
        return d

    def ask(self, d, method, path, token=None):
        headers = {"Host": "model-runner.docker.internal"}
        if token:
            headers["Authorization"] = "Bearer " + token
        c = http.client.HTTPConnection(self.address, 80, timeout=60)
        try:
            return d.request(method, path, "{}" if method == "POST" else None, headers=headers, connection=c).status
        finally:
            c.close()

    def test_with_a_token(self):
        d = self.start()
        self.assertEqual(self.ask(d, "GET", "/engines/v1/models"), 401)
        self.assertEqual(self.ask(d, "GET", "/engines/v1/models", self.secret), 200)
        self.assertEqual(self.ask(d, "POST", "/models/prune", self.secret), 200)
        out = subprocess.run([CLI, "status"], env={"HOME": d.dir, "MODEL_RUNNER_HOST": "unix://" + d.sock}, check=True,
                             stdout=subprocess.PIPE, text=True).stdout
        self.assertIn("http://model-runner.docker.internal ", out)
        self.assertIn("--add-host=model-runner.docker.internal:" + self.address, out)
        self.assertIn(f'extra_hosts: ["model-runner.docker.internal:{self.address}"]', out)
        self.assertIn("needs an access token", out)

    def test_without(self):
        d = self.start("--no-token")
        self.assertEqual(self.ask(d, "GET", "/engines/v1/models"), 200)
        for method, path in MANAGEMENT:
            self.assertEqual(self.ask(d, method, path), 403, (method, path))
            if path != "/models/package":  # on the Unix socket only
                self.assertNotIn(self.ask(d, method, path, self.secret), (401, 403), (method, path))


class ManyClients(unittest.TestCase):
    def memory_kib(self, d):
        with open(f"/proc/{d.process.pid}/status", encoding="utf-8") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))

    def threads(self, d):
        return len(os.listdir(f"/proc/{d.process.pid}/task"))

    def connect(self, d):
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.settimeout(60)
        s.connect(d.sock)
        return s

    def test_idle_and_active_ones(self):
        """1,000 idle connections and 200 streams under way, in bounded memory and threads."""
        d = Daemon()
        self.addCleanup(d.close)
        d.load("ai/m")
        self.assertEqual(d.chat().status, 200)
        threads, memory = self.threads(d), self.memory_kib(d)
        idle = [self.connect(d) for _ in range(1000)]
        for s in idle[::2]:  # half of them after a request
            s.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        for s in idle[::2]:
            self.assertTrue(s.recv(4096).startswith(b"HTTP/1.1 200"))
        d.wait_for(lambda: self.threads(d) <= threads)
        grown = self.memory_kib(d) - memory
        if not SANITIZED:
            self.assertLess(grown, 40 * 1024)
        body = json.dumps({"model": "m", "messages": [], "fake": "stall"}).encode()
        active = [self.connect(d) for _ in range(200)]
        for s in active:
            s.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" %
                      (len(body), body))
        for s in active:
            got = b""
            while b"data:" not in got:
                piece = s.recv(4096)
                self.assertTrue(piece.startswith(b"HTTP/1.1 200") or got.startswith(b"HTTP/1.1 200"), piece)
                got += piece
        self.assertLess(self.threads(d), threads + 200 + 10)
        grown = self.memory_kib(d) - memory
        if not SANITIZED:
            self.assertLess(grown, 160 * 1024)
        # And everybody else is served.
        self.assertEqual(d.chat().status, 200)
        for s in idle + active:
            s.close()
        d.wait_for(lambda: self.threads(d) <= threads)

    @unittest.skipIf(SANITIZED, "a sanitizer's memory is not ours")
    def test_idle_daemon(self):
        """Little memory, and no thread wakes up while nobody asks."""
        d = Daemon()
        self.addCleanup(d.close)
        self.assertEqual(d.get("/models").status, 200)

        def switches():
            total = 0
            for task in os.listdir(f"/proc/{d.process.pid}/task"):
                with open(f"/proc/{d.process.pid}/task/{task}/status", encoding="utf-8") as f:
                    total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", f.read(), re.M).group(1))
            return total

        # Whatever the start still has to do ends; then there is a time without any.
        for _ in range(60):
            before = switches()
            time.sleep(2)
            if switches() == before:
                break
        else:
            self.fail("the daemon wakes up all the time")
        self.assertLess(self.memory_kib(d), 12 * 1024)


if __name__ == "__main__":
    unittest.main(verbosity=2)
