# SPDX-License-Identifier: Apache-2.0
"""What bench/pull.sh measures; every figure is a median of rounds that alternate between the programs compared."""
import argparse
import hashlib
import itertools
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.environ["MR_ROOT"], "tests", "e2e"))
from cli_support import CLI  # noqa: E402
from registry_support import SKOPEO, DockerRegistry, Runner, gguf  # noqa: E402

ROUND_TRIP_S, STREAM_RATE = 0.020, 50e6


def environment(home):
    env = {k: v for k, v in os.environ.items()
           if not k.startswith(("MODEL_RUNNER_", "DOCKER_", "DMR_", "HF_")) and not k.lower().endswith("_proxy")}
    env.update(HOME=home, DOCKER_CONFIG=home, XDG_RUNTIME_DIR=home)
    return env


def timed(argv, env):
    began = time.perf_counter()
    done = subprocess.run(argv, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    took = time.perf_counter() - began
    if done.returncode != 0:
        sys.exit(f"{argv}: {done.stdout.decode(errors='replace')}")
    return took


def spread(values, unit, scale=1.0):
    values = [v * scale for v in values]
    return f"{statistics.median(values):8.2f} {unit} ({min(values):.2f} to {max(values):.2f})"


class Line:
    """In front of a server: every connection of its own has a round trip and a rate, as a long line has."""

    def __init__(self, port):
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        time.sleep(ROUND_TRIP_S)  # SYN and its answer
        server = socket.create_connection(("127.0.0.1", self.target))
        for s in (client, server):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=self.copy, args=(client, server, ROUND_TRIP_S, None), daemon=True).start()
        self.copy(server, client, 0, STREAM_RATE)

    @staticmethod
    def copy(source, sink, delay, rate):
        piece = bytearray(256 * 1024)
        free_at = 0.0  # when the line has sent what it was given
        try:
            while n := source.recv_into(piece):
                now = time.perf_counter()
                if rate:
                    free_at = max(free_at, now - 0.002) + n / rate
                    delay = free_at - now
                if delay > 0:
                    time.sleep(delay)
                sink.sendall(memoryview(piece)[:n])
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()
            sink.close()


class Bench:
    def __init__(self, args, directory):
        self.args, self.directory = args, directory
        self.n = 0

    def path(self, *parts):
        return os.path.join(self.directory, *parts)

    def runner(self, **env):
        self.n += 1
        home = self.path(f"r{self.n}")
        os.makedirs(home)
        r = Runner(home, dict(environment(home), INSECURE_REGISTRY="true", **env))
        r.start()
        return r

    def cli(self, runner, *args):
        return timed([CLI, *args], dict(runner.env))

    def prepare(self):
        """A registry with one model of random weights."""
        self.registry = DockerRegistry(self.path("registry"))
        file = gguf(int(self.args.gb * 1e9), seed=1, out=self.path("m.gguf"), chunk=8 << 20)
        r = self.runner()
        self.cli(r, "package", "--gguf", file, f"{self.registry.host}/bench/m:v1")
        self.cli(r, "push", f"{self.registry.host}/bench/m:v1")
        r.stop()
        shutil.rmtree(r.home)
        self.size = os.path.getsize(file)
        with open(file, "rb") as f:
            self.digest = "sha256:" + hashlib.file_digest(f, "sha256").hexdigest()
        os.unlink(file)
        os.sync()

    # ---- against other programs ----

    def pull(self, host, memory=None, **env):
        r = self.runner(**env)
        try:
            took = self.cli(r, "pull", "--quiet", f"{host}/bench/m:v1")
            if memory is not None:
                memory.append(r.memory())
            return took
        finally:
            r.stop()
            shutil.rmtree(r.home)

    def curl(self, host):
        out = self.path("curl.out")
        try:
            return timed(["curl", "-sSf", "-o", out, f"http://{host}/v2/bench/m/blobs/{self.digest}"], os.environ)
        finally:
            os.unlink(out)

    def skopeo(self, host):
        out = self.path("skopeo")
        try:
            return timed([SKOPEO, "--insecure-policy", "copy", "-q", "--src-tls-verify=false",
                          f"docker://{host}/bench/m:v1", f"dir:{out}"], environment(self.directory))
        finally:
            shutil.rmtree(out, ignore_errors=True)

    def alternate(self, what):
        """{name: call} → {name: seconds of each round}; all orders in turn, as each one leaves caches and free memory
        to the next."""
        times = {name: [] for name in what}
        orders = list(itertools.permutations(what))
        for i in range(self.args.rounds):
            for name in orders[i % len(orders)]:
                times[name].append(what[name]())
                os.sync()
        return times

    def report(self, times, ours="model-runner"):
        for name, values in times.items():
            rate = self.size / statistics.median(values) / 1e6
            ratios = [other / own for other, own in zip(values, times[ours])]
            print(f"  {name:16} {spread(values, 's')}  {rate:6.0f} MB/s"
                  + ("" if name == ours else f"   {ours} is {statistics.median(ratios):.2f} times as fast"))

    def fast(self):
        print(f"== pull of {self.size / 1e9:.1f} GB from docker-registry on loopback, median of {self.args.rounds} rounds")
        memory = []
        host = self.registry.host
        what = {"model-runner": lambda: self.pull(host, memory), "curl": lambda: self.curl(host)}
        if SKOPEO:
            what["skopeo copy"] = lambda: self.skopeo(host)
        self.report(self.alternate(what))
        print(f"  peak of the daemon's memory: {max(memory):.1f} MiB")

    def shaped(self):
        print(f"== the same, {1000 * ROUND_TRIP_S:.0f} ms away and with {STREAM_RATE / 1e6:.0f} MB/s for each connection")
        line = Line(self.registry.port)
        self.report(self.alternate({"model-runner": lambda: self.pull(line.host), "curl (one stream)": lambda: self.curl(line.host)}))
        line.listener.close()

    # ---- the store ----

    def fill_store(self, root, n):
        """n models of a config, a manifest and twelve bytes of weights."""
        for d in ("blobs/sha256", "manifests/sha256"):
            os.makedirs(os.path.join(root, d))

        def put(area, content):
            digest = hashlib.sha256(content).hexdigest()
            with open(os.path.join(root, area, "sha256", digest), "wb") as f:
                f.write(content)
            return "sha256:" + digest

        keys = {f"llama.some.key_{k}": str(k * 1000) for k in range(24)}
        models = []
        for i in range(n):
            layer = put("blobs", b"GGUF%08d" % i)
            config = json.dumps({
                "config": {"format": "gguf", "quantization": "Q4_K_M", "parameters": "8.03 B", "architecture": "llama",
                           "size": "4.58 GiB", "gguf": dict(keys, **{"general.name": f"Model {i}"})},
                "descriptor": {"created": "2025-03-24T11:49:41Z"},
                "rootfs": {"type": "rootfs", "diff_ids": [layer]}}).encode()
            manifest = json.dumps({
                "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {"mediaType": "application/vnd.docker.ai.model.config.v0.1+json", "size": len(config),
                           "digest": put("blobs", config)},
                "layers": [{"mediaType": "application/vnd.docker.ai.gguf.v3", "size": 12, "digest": layer}]}).encode()
            models.append({"id": put("manifests", manifest), "tags": [f"docker.io/bench/m{i}:latest"],
                           "files": [layer, "sha256:" + hashlib.sha256(config).hexdigest()]})
        for name, content in (("models.json", {"models": models}), ("layout.json", {"version": "1.0.0"})):
            with open(os.path.join(root, name), "w") as f:
                json.dump(content, f, indent=2)

    def syncs(self, size):
        """What one publication costs at least: a file of this size written, synced, renamed, its directory synced."""
        data, name = os.urandom(size), self.path("sync")
        began = time.perf_counter()
        fd = os.open(name + ".tmp", os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, data)
        os.fsync(fd)
        os.rename(name + ".tmp", name)
        os.close(fd)
        fd = os.open(self.directory, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        return time.perf_counter() - began

    def store(self):
        n, rounds = 2000, 20
        print(f"== a store of {n} models, over the socket, medians of {rounds} (milliseconds)")
        r = self.runner()
        r.stop()
        shutil.rmtree(r.store)
        self.fill_store(r.store, n)
        size = os.path.getsize(os.path.join(r.store, "models.json"))

        def ask(method, path):
            began = time.perf_counter()
            status, text = r.http(method, path)
            took = time.perf_counter() - began
            if status not in (200, 201):
                sys.exit(f"{method} {path}: {status} {text[:200]}")
            return took

        first = []
        for _ in range(6):
            r.start()
            first.append(ask("GET", "/models"))
            r.stop()
        r.start()
        ask("GET", "/models")
        figures = {"list": [], "tag": [], "rm": [], "untag": [], "syncs alone": []}
        for i in range(rounds):
            figures["list"].append(ask("GET", "/models"))
            figures["tag"].append(ask("POST", f"/models/bench/m{i}/tag?repo=bench/t{i}&tag=x"))
            figures["untag"].append(ask("DELETE", f"/models/bench/t{i}:x"))
            figures["rm"].append(ask("DELETE", f"/models/bench/m{i + 1000}"))
            figures["syncs alone"].append(self.syncs(size))
        r.stop()
        print(f"  {'list, never before':20} {1000 * first[0]:8.2f} ms")
        print(f"  {'list, new process':20} {spread(first[1:], 'ms', 1000)}")
        for name, values in figures.items():
            print(f"  {name:20} {spread(values, 'ms', 1000)}")

    def close(self):
        if hasattr(self, "registry"):
            self.registry.stop()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--gb", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="fast,shaped,store")
    args = parser.parse_args()
    parts = args.only.split(",")
    directory = tempfile.mkdtemp(prefix="model-runner-bench.")
    bench = Bench(args, directory)
    try:
        if "fast" in parts or "shaped" in parts:
            bench.prepare()
        for part in parts:
            getattr(bench, part)()
    finally:
        bench.close()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
