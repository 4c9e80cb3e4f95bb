#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The runner in front of a Docker engine: the real one with the real docker CLI, and a scripted one
for what a real one does too rarely.

The first part is skipped, visibly, where no engine can start."""
import hashlib
import json
import os
import random
import select
import socket
import socketserver
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "unit", "runner"))
import docker_engine  # noqa: E402
from daemon_support import Daemon, UnixConnection  # noqa: E402

PREFIX = "/exp/vDD4.40"


class Door(Daemon):
    def __init__(self, engine_socket, *options, **kw):
        self.door_dir = tempfile.mkdtemp(prefix="mr-door-")
        self.door = os.path.join(self.door_dir, "docker.sock")
        super().__init__("--docker-socket=" + self.door, "--docker-engine", engine_socket, *options, **kw)

    def close(self):
        super().close()
        assert os.listdir(self.door_dir) == [], os.listdir(self.door_dir)
        os.rmdir(self.door_dir)


def raw(path, timeout=60):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(timeout)
    s.connect(path)
    return s


def read_all(s):
    out = b""
    while piece := s.recv(65536):
        out += piece
    return out


def read_exactly(s, n):
    out = b""
    while len(out) < n:
        piece = s.recv(n - len(out))
        if not piece:
            break
        out += piece
    return out


def read_answer(s):
    """The head and the body of an answer with a length."""
    head = read_until(s, b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    return head, read_exactly(s, length)


def read_until(s, end):
    out = b""
    while not out.endswith(end):
        piece = s.recv(1)
        assert piece, out
        out += piece
    return out


# ---- the real engine ----


class RealEngine(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        why = docker_engine.missing()
        if why:
            raise unittest.SkipTest(why)
        try:
            cls.engine = docker_engine.DockerEngine()
        except OSError as e:
            raise unittest.SkipTest(f"no Docker engine starts here: {e}") from e
        cls.addClassCleanup(cls.engine.stop)
        # An address of the loopback network for ourselves: port 80 of 127.0.0.1 may be taken.
        cls.address = "127.{}.{}.{}".format(*(random.randrange(2, 250) for _ in range(3)))
        cls.runner = Door(cls.engine.socket, "--host", cls.address, "--port", "80")
        cls.addClassCleanup(cls.runner.close)

    def docker(self, *args, **kw):
        return self.engine.docker(*args, socket=self.runner.door, **kw)

    def works(self, *args, **kw):
        done = self.docker(*args, **kw)
        self.assertEqual(done.returncode, 0, f"docker {args}: {done.stdout}{done.stderr}")
        return done.stdout

    def container(self, *command):
        name = self.works("run", "-d", "--network", "none", "bb", *command).decode().strip()
        self.addCleanup(self.docker, "rm", "-f", name)
        return name

    def test_run(self):
        self.assertEqual(self.works("run", "--rm", "--network", "none", "bb", "/bin/echo", "hello"), b"hello\n")
        done = self.docker("run", "--rm", "--network", "none", "bb", "/bin/sh", "-c", "echo out; echo err >&2; exit 7")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (7, b"out\n", b"err\n"))
        self.assertEqual(self.works("run", "--rm", "-i", "--network", "none", "bb", "/bin/cat", stdin=b"in"), b"in")

    def test_exec_with_much_input_and_its_end(self):
        name = self.container("/bin/sleep", "600")
        data = random.randbytes(8 << 20)
        out = self.works("exec", "-i", name, "/bin/md5sum", stdin=data).split()[0].decode()
        self.assertEqual(out, hashlib.md5(data).hexdigest())
        self.assertEqual(self.works("exec", "-i", name, "/bin/cat", stdin=data), data)
        self.assertEqual(self.docker("exec", name, "/bin/sh", "-c", "exit 5").returncode, 5)

    def test_attach(self):
        name = self.works("create", "-i", "--network", "none", "bb", "/bin/cat").decode().strip()
        self.addCleanup(self.docker, "rm", "-f", name)
        self.works("start", name)
        attached = self.engine.start_docker("attach", name, socket=self.runner.door, stdin=subprocess.PIPE)
        attached.stdin.write(b"one\n")
        attached.stdin.flush()
        self.assertEqual(attached.stdout.readline(), b"one\n")
        attached.stdin.write(b"two\n")
        out, err = attached.communicate(timeout=60)
        self.assertEqual((attached.returncode, out), (0, b"two\n"), err)

    def test_cp(self):
        name = self.container("/bin/sleep", "600")
        with tempfile.TemporaryDirectory() as d:
            data = random.randbytes(5 << 20)
            with open(os.path.join(d, "in"), "wb") as f:
                f.write(data)
            self.works("cp", os.path.join(d, "in"), name + ":/tmp/x")
            self.works("cp", name + ":/tmp/x", os.path.join(d, "out"))
            with open(os.path.join(d, "out"), "rb") as f:
                self.assertEqual(f.read(), data)

    def test_logs_follow_and_events(self):
        events = self.engine.start_docker("events", "--filter", "event=die", "--format", "{{.Action}}",
                                          socket=self.runner.door)
        # Events are seen from the moment on at which the engine has the request.
        end = time.monotonic() + 30
        while time.monotonic() < end:
            info = json.loads(self.works("info", "--format", "{{json .}}"))
            if info["NEventsListener"] > 0:
                break
            time.sleep(0.05)
        name = self.container("/bin/sh", "-c", "for i in 1 2 3; do echo line $i; sleep 0.2; done")
        self.assertEqual(self.works("logs", "-f", name), b"line 1\nline 2\nline 3\n")
        self.assertEqual(events.stdout.readline(), b"die\n")
        # A client that leaves is noticed by the engine behind, although nothing is sent.
        events.terminate()
        events.communicate()
        end = time.monotonic() + 30
        while json.loads(self.works("info", "--format", "{{json .}}"))["NEventsListener"] > 0:
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_build(self):
        with tempfile.TemporaryDirectory() as d:
            with open(os.path.join(d, "Dockerfile"), "w", encoding="utf-8") as f:
                f.write("FROM bb\nCOPY big /big\nRUN wc -c /big\n")
            with open(os.path.join(d, "big"), "wb") as f:
                f.write(random.randbytes(6 << 20))
            out = self.works("build", "--network", "none", "-t", "built", d)
            self.assertIn(b"6291456 /big", out)
            out = self.works("save", "built")
            self.assertGreater(len(out), 6 << 20)
            self.assertIn(b"Loaded image", self.works("load", stdin=out))

    def test_session_upgrade(self):
        """What BuildKit's client does first: HTTP/2 in an upgraded connection."""
        s = raw(self.runner.door)
        s.sendall(b"POST /session HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
                  b"X-Docker-Expose-Session-Uuid: abc\r\nX-Docker-Expose-Session-Name: n\r\n"
                  b"X-Docker-Expose-Session-Grpc-Method: /a\r\n\r\n")
        head = read_until(s, b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
        # The engine is the HTTP/2 client there: its preface comes through.
        self.assertEqual(read_exactly(s, 24), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        s.close()

    def test_models_and_engine_on_one_connection(self):
        self.runner.load("ai/door:latest")
        c = UnixConnection(self.runner.door)
        for _ in range(3):
            info = self.runner.get("/v1.41/info", connection=c)
            self.assertEqual(info.json["DockerRootDir"], os.path.join(self.engine.dir, "data"))
            models = self.runner.get(PREFIX + "/models", connection=c)
            self.assertIn("docker.io/ai/door:latest", models.json[0]["tags"])
            answer = self.runner.request("POST", PREFIX + "/engines/v1/chat/completions",
                                         {"model": "ai/door", "messages": []}, connection=c)
            self.assertEqual(answer.status, 200, answer.text)
            self.assertEqual(self.runner.get("/engines/v1/models", connection=c).status, 200)
            self.assertEqual(self.runner.get("/no/such/thing", connection=c).json["message"], "page not found")
        c.close()

    def test_from_inside_a_container(self):
        out = self.works("run", "--rm", "--network", "host", "--add-host",
                         "model-runner.docker.internal:" + self.address, "bb", "/bin/wget", "-q", "-O", "-",
                         "http://model-runner.docker.internal/engines/v1/models")
        self.assertEqual(json.loads(out)["object"], "list")


# ---- a scripted engine ----


class FakeEngine:
    """Calls script(connection) for each connection, on a thread; what it raises is kept."""

    def __init__(self, script):
        self.dir = tempfile.mkdtemp(prefix="mr-fake-")
        self.socket = os.path.join(self.dir, "engine.sock")
        self.failure = None
        fake = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                try:
                    self.request.settimeout(60)
                    script(self.request)
                except BaseException as e:  # noqa: BLE001
                    fake.failure = e

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True
            request_queue_size = 1024

            def shutdown_request(self, request):
                request.close()  # no shutdown(): what is closed is up to the script

        self.server = Server(self.socket, Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
        os.unlink(self.socket)
        os.rmdir(self.dir)
        if self.failure:
            raise self.failure


def read_head(s):
    return read_until(s, b"\r\n\r\n")


class ScriptedEngine(unittest.TestCase):
    def start(self, script, *options):
        engine = FakeEngine(script)
        self.addCleanup(engine.stop)
        runner = Door(engine.socket, *options)
        self.addCleanup(runner.close)
        return runner

    def test_bytes_pass_unchanged(self):
        """Also those that are odd but not wrong."""
        request = (b"POST /v9.99/x?a=%2f HTTP/1.1\r\nhost:docker\r\nX-Odd:   two  spaces \r\nx-odd: again\r\n"
                   b"Content-Length: 3\r\n\r\n\x00\x01\x02")
        answer = b"HTTP/1.1 299 Odd Reason!\r\nx-a:1\r\nContent-Length:  4\r\n\r\n\xff\xfe\r\n"
        seen = []

        def script(s):
            while data := read_exactly(s, len(request)):
                seen.append(data)
                for i in range(len(answer)):  # in the smallest of pieces
                    s.sendall(answer[i:i + 1])

        runner = self.start(script)
        s = raw(runner.door)
        for _ in range(3):
            for i in range(len(request)):
                s.sendall(request[i:i + 1])
            self.assertEqual(read_exactly(s, len(answer)), answer)
        s.close()
        self.assertEqual(seen, [request] * 3)

    def test_bodies_of_every_framing(self):
        chunked = b"4\r\nabcd\r\n3;x=y\r\nefg\r\n0\r\nT: r\r\n\r\n"
        # (request head, request body, answer, the answer's connection goes on)
        rows = [
            (b"PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", chunked,
             b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked),
            (b"HEAD /a HTTP/1.1\r\n", b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"),
            (b"GET /a HTTP/1.1\r\n", b"", b"HTTP/1.1 204 No Content\r\n\r\n"),
            (b"GET /a HTTP/1.1\r\n", b"", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
            (b"GET /a HTTP/1.1\r\n", b"",
             b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ]

        def script(s):
            for head, body, answer in rows:
                want = head + b"\r\n" + body
                assert read_exactly(s, len(want)) == want
                s.sendall(answer)
            s.recv(1)

        runner = self.start(script)
        s = raw(runner.door)
        for head, body, answer in rows:
            s.sendall(head + b"\r\n" + body)
            self.assertEqual(read_exactly(s, len(answer)), answer)
            # After each of them the next request may be one for us.
            s.sendall(b"GET " + PREFIX.encode() + b"/version HTTP/1.1\r\nHost: x\r\n\r\n")
            head, body = read_answer(s)
            self.assertTrue(head.startswith(b"HTTP/1.1 200 OK"), head)
            self.assertIn("version", json.loads(body))
        s.close()

    def test_expect_continue(self):
        def script(s):
            assert b"100-continue" in read_head(s)
            s.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            assert read_exactly(s, 5) == b"hello"
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            s.recv(1)

        runner = self.start(script)
        s = raw(runner.door)
        s.sendall(b"PUT /a HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
        self.assertEqual(read_head(s), b"HTTP/1.1 100 Continue\r\n\r\n")
        s.sendall(b"hello")
        self.assertTrue(read_head(s).startswith(b"HTTP/1.1 200"))
        self.assertEqual(s.recv(2), b"ok")
        s.close()

    def test_hijack_with_half_closes(self):
        """Each side ends its direction while the other goes on; with and without 101."""
        for head in [b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
                     b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"]:
            for client_first in [True, False]:
                with self.subTest(head=head, client_first=client_first):
                    self.hijack(head, client_first)

    def hijack(self, head, client_first):
        data = random.randbytes(3 << 20)
        done = threading.Event()

        def script(s):
            read_head(s)
            # A request line in the stream is data.
            s.sendall(head + b"GET /models HTTP/1.1\r\n\r\n")
            if client_first:
                got = read_all(s)
                assert got == data, (len(got), len(data))  # to the end, while we have not ended
                s.sendall(data[::-1])
                s.shutdown(socket.SHUT_WR)
            else:
                s.sendall(data[::-1])
                s.shutdown(socket.SHUT_WR)
                got = read_all(s)
                assert got == data, (len(got), len(data))
            done.set()

        runner = self.start(script)
        s = raw(runner.door)
        s.sendall(b"POST /containers/x/attach HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
        self.assertEqual(read_head(s), head)
        self.assertEqual(read_exactly(s, 24), b"GET /models HTTP/1.1\r\n\r\n")
        if client_first:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            self.assertEqual(read_all(s), data[::-1])
        else:
            self.assertEqual(read_all(s), data[::-1])
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
        s.close()
        self.assertTrue(done.wait(60), "the engine did not get all of it")

    def test_input_sent_before_the_hijack_is_answered(self):
        def script(s):
            read_head(s)
            assert select.select([s], [], [], 0.2)[0] == [], "the input came before the answer"
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n")
            assert read_exactly(s, 20) == b"GET /models HTTP/1.1"
            s.sendall(b"done")

        runner = self.start(script)
        s = raw(runner.door)
        s.sendall(b"POST /attach HTTP/1.1\r\n\r\nGET /models HTTP/1.1")
        self.assertTrue(read_all(s).endswith(b"done"))
        s.close()

    def test_pipelined_requests_stay_in_order(self):
        def script(s):
            for _ in range(2):
                read_head(s)
                # Late, so that an answer of ours could overtake it.
                select.select([], [], [], 0.2)
                s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nengine")
            s.recv(1)

        runner = self.start(script)
        s = raw(runner.door)
        model = b"GET " + PREFIX.encode() + b"/ HTTP/1.1\r\nHost: x\r\n\r\n"
        engine = b"GET /info HTTP/1.1\r\n\r\n"
        s.sendall(engine + model + engine + model + model)
        order = ["engine" if read_answer(s)[1] == b"engine" else "model" for _ in range(5)]
        self.assertEqual(order, ["engine", "model", "engine", "model", "model"])
        s.close()

    def test_smuggling_is_refused(self):
        rows = [
            b"POST /x HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"POST /x HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
            b"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
            b"POST /x HTTP/1.1\r\nContent-Length : 5\r\n\r\nhello",
            b"GET /x HTTP/1.1\r\nA: b\r\n folded: c\r\n\r\n",
            b"GET /x HTTP/1.1\nHost: a\n\n",
            b"GET /x HTTP/1.1\r\nA: b\nContent-Length: 5\r\n\r\n",
            b"GET /x HTTP/3.0\r\n\r\n",
            b"\r\n\r\n",
        ]

        def script(s):
            assert s.recv(1) == b"", "a refused request reached the engine"

        runner = self.start(script)
        for row in rows:
            s = raw(runner.door)
            s.sendall(row + b"GET /models HTTP/1.1\r\n\r\n")
            answer = read_all(s)
            self.assertTrue(answer.startswith(b"HTTP/1.1 400 Bad Request\r\n"), (row, answer))
            self.assertEqual(answer.count(b"HTTP/1.1"), 1, row)
            self.assertIn("message", json.loads(answer.split(b"\r\n\r\n", 1)[1]))
            s.close()

    def test_head_limits(self):
        def script(s):
            assert len(read_head(s)) > 900000
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            s.recv(1)

        runner = self.start(script)
        s = raw(runner.door)  # credentials for many registries
        s.sendall(b"POST /build HTTP/1.1\r\nX-Registry-Config: " + b"a" * 900000 + b"\r\n\r\n")
        self.assertTrue(read_head(s).startswith(b"HTTP/1.1 200"))
        s.close()
        s = raw(runner.door)
        try:
            s.sendall(b"POST /build HTTP/1.1\r\nX: " + b"a" * (2 << 20))
        except BrokenPipeError:
            pass
        self.assertTrue(read_all(s).startswith(b"HTTP/1.1 431 "))
        s.close()

    def test_an_engine_that_is_not_there(self):
        with tempfile.TemporaryDirectory() as d:
            runner = Door(os.path.join(d, "nobody.sock"))
            self.addCleanup(runner.close)
            for method in ["GET", "POST", "HEAD"]:
                c = UnixConnection(runner.door)
                answer = runner.request(method, "/v1.41/info", connection=c)
                self.assertEqual(answer.status, 503)
                if method != "HEAD":
                    self.assertRegex(answer.json["message"], "cannot reach it at unix://.*nobody.sock.*running")
                c.close()
            c = UnixConnection(runner.door)  # and models work all the same
            self.assertEqual(runner.get(PREFIX + "/models", connection=c).json, [])
            c.close()
            if docker_engine.DOCKER:
                done = subprocess.run([docker_engine.DOCKER, "ps"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      env={"PATH": os.environ["PATH"], "HOME": d, "DOCKER_HOST": "unix://" + runner.door})
                self.assertNotEqual(done.returncode, 0)
                self.assertIn(b"model-runner stands in front of the Docker engine and cannot reach it", done.stderr)

    def test_an_engine_that_dies(self):
        """Before its answer, in the middle of one, between two."""
        def script(s):
            head = read_head(s)
            if b"/before" in head:
                return
            if b"/middle" in head:
                s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
                return
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        runner = self.start(script)
        for path, want in [(b"/before", b""), (b"/middle", b"half"), (b"/between", b"ok")]:
            s = raw(runner.door)
            s.sendall(b"GET " + path + b" HTTP/1.1\r\n\r\n")
            out = read_all(s)  # the end comes through
            self.assertTrue(out.endswith(want), (path, out))
            self.assertEqual(out == b"", want == b"")
            s.close()

    def test_a_client_that_leaves(self):
        """The engine learns of it, whatever the request was doing."""
        gone = threading.Semaphore(0)
        begun = threading.Semaphore(0)

        def script(s):
            head = read_head(s)
            if b"events" in head:
                s.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            begun.release()
            while s.recv(65536):
                pass
            gone.release()

        runner = self.start(script)
        for request in [b"GET /events HTTP/1.1\r\n\r\n", b"GET /wait HTTP/1.1\r\n\r\n",
                        b"POST /load HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc"]:
            s = raw(runner.door)
            s.sendall(request)
            self.assertTrue(begun.acquire(timeout=60))
            s.close()
            self.assertTrue(gone.acquire(timeout=60), request)

    def test_back_pressure(self):
        """Neither direction is collected when its reader does not read."""
        stop = threading.Event()

        def script(s):
            head = read_head(s)
            if b"upload" in head:
                stop.wait(60)
                return
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
            s.settimeout(0.5)
            n = 0
            try:
                while n < 1 << 30:
                    n += s.send(bytes(65536))
            except (TimeoutError, BrokenPipeError, ConnectionResetError):
                pass
            assert n < 16 << 20, n

        runner = self.start(script)
        down = raw(runner.door)
        down.sendall(b"GET /download HTTP/1.1\r\n\r\n")
        up = raw(runner.door, timeout=0.5)
        up.sendall(b"POST /upload HTTP/1.1\r\nContent-Length: 1073741824\r\n\r\n")
        n = 0
        with self.assertRaises(TimeoutError):
            while n < 1 << 30:
                n += up.send(bytes(65536))
        self.assertLess(n, 16 << 20)
        # Others are served meanwhile.
        c = UnixConnection(runner.door)
        self.assertEqual(runner.get(PREFIX + "/", connection=c).status, 200)
        c.close()
        stop.set()
        up.close()
        down.close()

    def test_many_connections(self):
        def script(s):
            while True:
                try:
                    if not s.recv(1):
                        return
                    read_until(s, b"\r\n\r\n")
                    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
                except ConnectionError:
                    return

        runner = self.start(script)
        threads = len(os.listdir(f"/proc/{runner.process.pid}/task"))
        clients = [raw(runner.door) for _ in range(300)]
        for s in clients:
            s.sendall(b"GET /info HTTP/1.1\r\n\r\n")
        for s in clients:
            read_head(s)
            self.assertEqual(s.recv(2), b"ok")
        self.assertLessEqual(len(os.listdir(f"/proc/{runner.process.pid}/task")), threads)
        for s in clients:
            s.close()

    def test_socket(self):
        runner = self.start(lambda s: s.recv(1))
        mode = os.stat(runner.door).st_mode
        self.assertTrue(stat.S_ISSOCK(mode))
        self.assertEqual(stat.S_IMODE(mode), 0o600)

    def test_group(self):
        runner = self.start(lambda s: s.recv(1), "--socket-group", str(os.getegid()))
        for path in [runner.door, runner.sock]:
            self.assertEqual(stat.S_IMODE(os.stat(path).st_mode), 0o660)
            self.assertEqual(os.stat(path).st_gid, os.getegid())

    def test_mistakes(self):
        from daemon_support import RUNNER
        with tempfile.TemporaryDirectory() as d:
            env = {"PATH": os.environ["PATH"], "HOME": d, "XDG_RUNTIME_DIR": d}
            for options, want in [
                    (["--docker-socket=/var/run/docker.sock"], "the Docker engine's own socket"),
                    (["--docker-socket=" + d + "/a", "--docker-engine=" + d + "/a"], "the Docker engine's own socket"),
                    (["--docker-socket", "--socket-group", "0", "--socket", d + "/s"], "--docker-socket"),
                    (["--socket-group", "0"], "private directory"),
                    (["--socket", d + "/s", "--socket-group", "no-such-group"], "no group 'no-such-group'"),
                    (["--docker-socket=" + d + "/no/dir/s"], "cannot open the lock file")]:
                done = subprocess.run([RUNNER, "serve", *options], env=env, stdout=subprocess.PIPE,
                                      stderr=subprocess.STDOUT, text=True, timeout=60)
                self.assertEqual(done.returncode, 1, done.stdout)
                self.assertIn(want, done.stdout)


if __name__ == "__main__":
    unittest.main(verbosity=2)
