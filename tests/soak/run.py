#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills two runners on one store at random moments of pull, package, tag, rm, prune and load, and looks at the store
every time.

usage: tests/soak/run.py [--kills N] [--seed N] [--keep]

After every kill, with nobody running, the files themselves are looked at: every blob and manifest is what its name
says, the index names nothing that is absent, what was told to be done is done, and what nobody removed is there. Now
and then `docker model verify` has to agree. Every pull that comes to its end must have received little twice. At the
end all is removed and the space has to come back. Exit status 0 and one line of summary, or 1 and the seed to see it
again.
"""
import argparse
import hashlib
import http.client
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))
from cli_support import CLI  # noqa: E402
from fault_registry import FaultRegistry  # noqa: E402
from registry_support import READY, Runner, gguf, model  # noqa: E402

MIB = 1 << 20
PULL_BYTES = 48 * MIB
RATE = 12 * MIB          # of one connection
CONNECTIONS, CHUNK = 8, 8 * MIB


class Wrong(Exception):
    pass


def file_sha256(path):
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while piece := f.read(MIB):
            h.update(piece)
    return h.hexdigest()


class Soak:
    def __init__(self, directory, rng):
        self.directory, self.rng = directory, rng
        self.env = {k: v for k, v in os.environ.items()
                    if not k.startswith(("MODEL_RUNNER_", "DOCKER_", "DMR_", "HF_", "XDG_"))
                    and not k.lower().endswith("_proxy")}
        self.env.update(HOME=directory, DOCKER_CONFIG=os.path.join(directory, "docker"), LC_ALL="C.UTF-8",
                        XDG_RUNTIME_DIR=os.path.join(directory, "run"))
        self.store = os.path.join(directory, "models")
        self.runners = []
        for i in range(2):
            home = os.path.join(directory, f"r{i}")
            os.makedirs(home)
            self.runners.append(Runner(home, self.env, self.store))
        self.registry = FaultRegistry()
        self.registry.rate = RATE
        self.lock = threading.Lock()
        self.n = 0
        self.kills = 0
        self.done = {}            # operation → how often it came to its end
        self.there = {}           # tag → id: said to be there, and nobody was asked to remove it
        self.twice = 0            # bytes of finished pulls that came more often than once
        self.pulls_cut = 0
        self.new_remote_model()
        self.files = [gguf(self.rng.randrange(MIB, 4 * MIB), seed=i, out=os.path.join(directory, f"{i}.gguf"))
                      for i in range(3)]
        self.archive = os.path.join(directory, "model.tar")

    def new_remote_model(self):
        self.remote = model(PULL_BYTES, seed=self.rng.random(), licence=os.urandom(100))
        self.registry.manifests.clear()
        self.registry.blobs.clear()
        self.registry.requests.clear()
        self.registry.add("soak/m", self.remote, "v1")
        self.cuts = 0             # kills since the first byte of it
        self.pruned = False       # and whether somebody pruned since

    def start(self):
        for r in self.runners:
            if not r.process or r.process.poll() is not None:
                r.start()

    def begin(self):
        """A model that stays, and an archive to load from."""
        self.start()
        r = self.runners[0]
        self.must(r, "package", "--gguf", self.files[0], "keep/me:v1")
        self.note("keep/me:v1")
        self.must(r, "save", "keep/me:v1", "-o", self.archive)

    def cli(self, runner, *args, timeout=60):
        return subprocess.run([CLI, *args], env=dict(self.env, MODEL_RUNNER_HOST="unix://" + runner.socket),
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=timeout)

    def must(self, runner, *args):
        done = self.cli(runner, *args)
        if done.returncode != 0:
            raise Wrong(f"{args}: {done.stdout}")
        return done.stdout

    def note(self, name, tag=None):
        found = next(m for m in self.index()["models"] if (tag or f"docker.io/{name}") in (m["tags"] or []))
        self.there[tag or f"docker.io/{name}"] = found["id"]

    def index(self):
        with open(os.path.join(self.store, "models.json")) as f:
            return json.load(f)

    # ---- operations, each by a client that may lose its runner ----

    def name(self):
        with self.lock:
            self.n += 1
            return f"soak/n{self.n}:v1"

    def succeeded(self, kind, tag=None, model_id=None):
        with self.lock:
            self.done[kind] = self.done.get(kind, 0) + 1
            if tag:
                self.there[tag] = model_id

    def op_pull(self, runner):
        tag = f"{self.registry.host}/soak/m:v1"
        pulled = runner.pull(tag)
        if pulled.backwards():
            raise Wrong(f"progress ran backwards: {pulled.backwards()[:2]}")
        if pulled.ok:
            self.succeeded("pull", tag, self.remote.id)

    def op_package(self, runner):
        name = self.name()
        path = self.rng.choice(self.files)
        if self.cli(runner, "package", "--gguf", path, name).returncode == 0:
            self.succeeded("package", "docker.io/" + name)

    def op_tag(self, runner):
        name = self.name()
        if self.cli(runner, "tag", "keep/me:v1", name).returncode == 0:
            self.succeeded("tag", "docker.io/" + name, self.there["docker.io/keep/me:v1"])

    def op_rm(self, runner):
        with self.lock:
            victims = [t for t in self.there if t.startswith("docker.io/soak/")]
            if not victims:
                return
            victim = self.rng.choice(victims)
            del self.there[victim]
        if self.cli(runner, "rm", victim).returncode == 0:
            self.succeeded("rm")

    def op_prune(self, runner):
        self.pruned = True  # what an interrupted pull had received may be gone, even if the answer gets lost
        if self.cli(runner, "prune", "-f").returncode == 0:
            self.succeeded("prune")

    def op_load(self, runner):
        if self.cli(runner, "load", "-i", self.archive).returncode == 0:
            self.succeeded("load")

    def round(self):
        self.start()
        kinds = [self.op_pull, self.op_package, self.op_tag, self.op_rm, self.op_prune, self.op_load]
        errors = []

        def run(op, runner):
            try:
                op(runner)
            except (OSError, http.client.HTTPException):
                pass  # its runner was killed
            except Exception as e:
                errors.append(e)
        threads = []
        for _ in range(self.rng.randrange(2, 5)):
            # A prune takes away what an interrupted pull would go on from: often enough, but not always.
            op = self.rng.choices(kinds, weights=[12, 4, 4, 4, 1, 4])[0]
            threads.append(threading.Thread(target=run, args=(op, self.rng.choice(self.runners)), daemon=True))
            threads[-1].start()
        time.sleep(self.rng.random() ** 2 * 1.2)
        victims = self.rng.sample(self.runners, self.rng.choice([1, 1, 2]))
        for r in victims:
            r.kill()
            self.kills += 1
        self.cuts += len(victims)
        # The other one goes on; what it does not bring to its end in time ends with it.
        end = time.monotonic() + (0.5 if self.rng.random() < 0.7 else 20)
        for t in threads:
            t.join(max(0, end - time.monotonic()))
        for r in self.runners:
            r.kill()
        for t in threads:
            t.join(60)
            if t.is_alive():
                raise Wrong("a client hangs although its runner is gone")
        if errors:
            raise errors[0]
        self.look()
        self.count_bytes()

    # ---- the store, by its files ----

    def look(self):
        blobs = os.path.join(self.store, "blobs", "sha256")
        manifests = os.path.join(self.store, "manifests", "sha256")
        for directory in (blobs, manifests):
            for name in os.listdir(directory) if os.path.isdir(directory) else []:
                if len(name) == 64 and file_sha256(os.path.join(directory, name)) != name:
                    raise Wrong(f"{directory}/{name} is not what its name says")
        index, seen = self.index(), {}
        for m in index["models"]:
            if not os.path.exists(os.path.join(manifests, m["id"][7:])):
                raise Wrong(f"the index names {m['id']}, which has no manifest")
            for digest in m["files"]:
                if not os.path.exists(os.path.join(blobs, digest[7:])):
                    raise Wrong(f"{m['id']} lacks {digest}")
            for tag in m["tags"] or []:
                if tag in seen:
                    raise Wrong(f"two models have the tag {tag}")
                seen[tag] = m["id"]
        for tag, model_id in self.there.items():
            if tag not in seen:
                raise Wrong(f"{tag} was said to be there, and nobody removed it")
            if model_id and seen[tag] != model_id:
                raise Wrong(f"{tag} is {seen[tag]}, not {model_id}")

    def count_bytes(self):
        """After a pull that came to its end: what was sent more often than once. Then there is a new model to pull."""
        tag = f"{self.registry.host}/soak/m:v1"
        if tag not in self.there:
            return
        layer = self.remote.layers[0]
        twice = self.registry.sent(layer) - len(self.remote.blobs[layer])
        if not self.pruned:
            if twice > max(self.cuts, 1) * CONNECTIONS * CHUNK:
                raise Wrong(f"{twice} bytes were received twice in a pull that was cut {self.cuts} times")
            self.twice += max(twice, 0)
            self.pulls_cut += self.cuts
        self.start()
        self.must(self.runners[0], "rm", "-f", tag)
        del self.there[tag]
        self.new_remote_model()

    def verify(self):
        self.start()
        self.must(self.rng.choice(self.runners), "verify")

    def end(self):
        """Everything is removed; the space has to come back."""
        self.start()
        r = self.runners[0]
        self.must(r, "verify")
        for m in self.index()["models"]:
            self.must(r, "rm", "-f", m["id"])
        self.must(r, "prune", "-f")
        left = [os.path.join(d, f) for d, _, files in os.walk(self.store) for f in files]
        size = sum(os.path.getsize(f) for f in left)
        if size > 64 * 1024:
            raise Wrong(f"{size} bytes are left in an empty store: {left}")

    def close(self):
        for r in self.runners:
            r.kill()
        self.registry.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4), "big"))
    parser.add_argument("--keep", action="store_true", help="leave the directory for a look")
    args = parser.parse_args()
    if not READY:
        sys.exit("the programs are not built")
    directory = tempfile.mkdtemp(prefix="model-soak.")
    soak = Soak(directory, random.Random(args.seed))
    began = time.monotonic()
    status = 1
    try:
        soak.begin()
        checked = 0
        while soak.kills < args.kills:
            soak.round()
            if soak.kills // 10 > checked:
                checked = soak.kills // 10
                soak.verify()
        soak.end()
        print(f"{soak.kills} kills in {time.monotonic() - began:.0f} s, nothing wrong; came to their ends: "
              + ", ".join(f"{n} {kind}" for kind, n in sorted(soak.done.items()))
              + f"; received twice: {soak.twice / MIB:.1f} MiB in finished pulls that were cut {soak.pulls_cut} times "
              "and never pruned")
        status = 0
    except Wrong as e:
        print(f"after {soak.kills} kills, --seed {args.seed}: {e}")
        for r in soak.runners:
            print(f"--- {r.log_path}\n{r.log()[-3000:]}")
    finally:
        soak.close()
        if args.keep:
            print(directory)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
