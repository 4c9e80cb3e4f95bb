#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the daemon and the door add to an answer: the same requests to an engine directly, through the
daemon, and through the socket in front of the Docker engine, in turns.

    bench/bench_door.py [BUILD] [ROUNDS]

The engine is a stand-in that answers at once, so that nothing else is measured: time to the first token
is the time until the first event, and time per token that between events which the engine sends one by
one, each when the client has the one before. Also the idle daemon's memory and wake-ups.
"""
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "build"))
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 300
TOKENS = 50
os.environ["MR_BUILD"] = BUILD
sys.path.insert(0, os.path.join(ROOT, "tests", "unit", "runner"))
from daemon_support import Daemon  # noqa: E402

ENGINE = os.path.join(BUILD, "bench", "bench_door_engine")


def request(path, tokens):
    body = json.dumps({"model": "m", "messages": [], "max_tokens": tokens, "stream": True}).encode()
    return (b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" %
            (path.encode(), len(body), body))


class Way:
    """One way to the engine, over a connection that is kept."""

    def __init__(self, name, path, target):
        self.name, self.bytes = name, request(target, TOKENS)
        self.first, self.between = [], []
        self.s = socket.socket(socket.AF_UNIX)
        self.s.connect(path)

    def round(self, go):
        """Each event is asked for by a byte on `go`, which the engine reads: no queue forms on the way."""
        begun = time.perf_counter_ns()
        self.s.sendall(self.bytes)
        got = b""
        while b"data: 0" not in got:
            got += self.s.recv(65536)
        self.first.append(time.perf_counter_ns() - begun)
        for i in range(1, TOKENS):
            mark = b"data: %d\n" % i
            begun = time.perf_counter_ns()
            go.send(b"x")
            while mark not in got:
                got = got[-64:] + self.s.recv(65536)
            self.between.append(time.perf_counter_ns() - begun)
        while not got.endswith(b"0\r\n\r\n"):
            got = got[-64:] + self.s.recv(65536)


def us(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] / 1000


def switches(pid):
    total = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status", encoding="utf-8") as f:
            total += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", f.read(), re.M).group(1))
    return total


def main():
    with tempfile.TemporaryDirectory(prefix="mr-bench-") as directory:
        gate = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        gate_path = os.path.join(directory, "gate")
        door = os.path.join(directory, "docker.sock")
        daemon = Daemon("--docker-socket=" + door, "--docker-engine", os.path.join(directory, "none.sock"),
                        "--max-models", "2", engine=ENGINE, env={"LOG_LEVEL": "info"})
        try:
            time.sleep(2)
            before = switches(daemon.process.pid)
            time.sleep(10)
            woken = switches(daemon.process.pid) - before
            with open(f"/proc/{daemon.process.pid}/status", encoding="utf-8") as f:
                memory = int(re.search(r"VmRSS:\s+(\d+)", f.read()).group(1))
            daemon.load("ai/m")
            assert daemon.post("/v1/chat/completions", {"model": "m", "messages": [], "max_tokens": 1}).status == 200
            engine = next(os.path.join(r, n) for r, _, names in os.walk(daemon.dir) for n in names
                          if n.startswith("engine-") and n.endswith(".sock"))
            ways = [Way("engine directly", engine, "/v1/chat/completions"),
                    Way("through the daemon", daemon.sock, "/engines/v1/chat/completions"),
                    Way("through the Docker socket", door, "/exp/vDD4.40/engines/v1/chat/completions")]
            gate.connect(engine + ".gate")
            for _ in range(ROUNDS):
                for way in ways:
                    way.round(gate)
            for way in ways:
                way.s.close()
        finally:
            gate.close()
            daemon.close()
    print(f"idle daemon: {memory} KiB resident, {woken} wake-ups in 10 s")
    base = ways[0]
    print(f"{'':27} {'first token, µs':>24} {'next token, µs':>24}")
    print(f"{'':27} {'median':>12}{'p99':>12} {'median':>12}{'p99':>12}")
    for way in ways:
        print(f"{way.name:27} {us(way.first, .5):12.1f}{us(way.first, .99):12.1f} "
              f"{us(way.between, .5):12.1f}{us(way.between, .99):12.1f}")
    for way in ways[1:]:
        print(f"{'added ' + way.name:27} {us(way.first, .5) - us(base.first, .5):12.1f}"
              f"{us(way.first, .99) - us(base.first, .99):12.1f} "
              f"{us(way.between, .5) - us(base.between, .5):12.1f}"
              f"{us(way.between, .99) - us(base.between, .99):12.1f}")


main()
