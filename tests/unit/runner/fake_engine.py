#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A stand-in for model-engine: `serve --model F --socket P …` with the manners that tests need.

FAKE is a comma list in the environment variable MR_FAKE:
    hold        health answers 503 until there is a file MR_FAKE_LOG.go
    never       health never answers 200
    crash       prints an error and exits with 3 instead of serving
    stubborn    ignores SIGTERM and the lifeline
Requests: the body's "fake" member says what to do: "echo" (default), "stream", "stall" (a stream
that stops after one event), "die" (before the answer), "die-streaming", "silent", "silent-first"
(silent in the first process of the log, else echo), "deaf" (echo, and the next connection makes it
exit without reading what is sent).
It writes "cancel" to MR_FAKE_LOG when a client left, and its argv at the start.
"""
import json
import os
import select
import signal
import socket
import socketserver
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler

fake = os.environ.get("MR_FAKE", "").split(",")
args = sys.argv[2:]
opts = {args[i]: args[i + 1] for i in range(0, len(args) - 1)}


def processes_in_log():
    if not os.environ.get("MR_FAKE_LOG"):
        return 1
    with open(os.environ["MR_FAKE_LOG"], encoding="utf-8") as f:
        return sum(line.startswith("argv ") for line in f)


def log(text):
    path = os.environ.get("MR_FAKE_LOG")
    if path:
        with open(path, "a", encoding="utf-8") as f:
            f.write(text + "\n")


log("argv " + " ".join(sys.argv[1:]))
is_first = processes_in_log() == 1
if "crash" in fake:
    sys.stderr.write("loading\nfake: the file is no model\n")
    sys.exit(3)
if "stubborn" in fake:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
elif "--lifeline-fd" in opts:
    def watch():
        os.read(int(opts["--lifeline-fd"]), 1)
        os._exit(0)
    threading.Thread(target=watch, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *a):
        pass

    def address_string(self):
        return "unix"

    def answer(self, status, body, kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Engine", "fake")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        held = "hold" in fake and not os.path.exists(os.environ["MR_FAKE_LOG"] + ".go")
        ready = not held and "never" not in fake
        self.answer(200 if ready else 503, b'{"status":"ok"}')

    def gone(self, seconds):
        """Waits; true when the client left meanwhile."""
        ready = select.select([self.connection], [], [], seconds)[0]
        return bool(ready) and self.connection.recv(1, socket.MSG_PEEK) == b""

    def event(self, text):
        data = f"data: {text}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        what = json.loads(body).get("fake", "echo")
        if what == "die":
            sys.stderr.write("fake: a request killed me\n")
            sys.stderr.flush()
            os._exit(9)
        if what == "deaf":
            server.deaf = self.close_connection = True
            what = "echo"
        if what == "silent-first":
            what = "silent" if is_first else "echo"
        if what == "silent":
            log("cancel" if self.gone(60) else "kept")
            return
        if what == "echo":
            out = {"path": self.path, "len": length, "pid": os.getpid(), "argv": sys.argv[1:],
                   "env": sorted(os.environ), "fds": sorted(map(int, os.listdir("/proc/self/fd")))}
            self.answer(200, json.dumps(out).encode())
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for i in range(5):
            self.event(json.dumps({"n": i}))
            if what == "die-streaming" and i == 2:
                sys.stderr.write("fake: died in the middle\n")
                sys.stderr.flush()
                os._exit(9)
            if what == "stall":
                log("cancel" if self.gone(60) else "kept")
                return
            time.sleep(0.02)
        self.event("[DONE]")
        self.wfile.write(b"0\r\n\r\n")


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 1024
    deaf = False

    def get_request(self):
        connection = super().get_request()
        if self.deaf:
            select.select([connection[0]], [], [], 10)  # the request is there
            sys.stderr.write("fake: went deaf\n")
            sys.stderr.flush()
            os._exit(7)
        return connection


server = Server(opts["--socket"], Handler)
server.serve_forever()
