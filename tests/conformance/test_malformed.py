#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Malformed model files against model-engine.

../shared/conformance/malformed/mkbad.py (or under MR_SHARED) makes each file and says what must
happen: `reject` (an error that says what is wrong), `accept` (the same answer as the base file), or
`no_crash`. Whatever a file holds, the engine ends by itself, soon, and with little memory. The
program tested is $MODEL_ENGINE or model-engine in $MR_BUILD; with sanitizers in it a report of
theirs is a failure too. One test per category; skipped where the set is not present.
"""
import concurrent.futures
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.environ.get("MR_SHARED") or os.path.join(os.path.dirname(ROOT), "shared")
ENGINE = os.environ.get("MODEL_ENGINE") or os.path.join(os.environ.get("MR_BUILD") or os.path.join(ROOT, "build"), "model-engine")
MKBAD = os.path.join(SHARED, "conformance", "malformed", "mkbad.py")
BASE = os.path.join(SHARED, "conformance", "logits", "stories260K.gguf")

CPU_S = 2           # seconds of processor time
MEMORY = 200 << 20  # bytes beyond what the base file takes
HANG_S = 60         # seconds of wall clock; the machine may be busy
SANITIZER_EXIT = 99

IDS = [1, 403, 407, 261, 378]
EVAL = json.dumps({"ids": IDS, "top": 20, "greedy": 16}) + "\n"
TEXT = json.dumps({"text": "Once upon a time, in a caf\u00e9 \u65e5\u672c"}) + "\n"

ENV = dict(os.environ, ASAN_OPTIONS=f"exitcode={SANITIZER_EXIT}:allocator_may_return_null=1",
           UBSAN_OPTIONS=f"halt_on_error=1:print_stacktrace=1:exitcode={SANITIZER_EXIT}",
           LSAN_OPTIONS=f"exitcode={SANITIZER_EXIT}")


class Run:
    """One run of the engine: what it printed, how it ended, what it took."""

    def __init__(self, argv, stdin=""):
        with tempfile.TemporaryFile() as inp, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            inp.write(stdin.encode())
            inp.seek(0)
            child = subprocess.Popen([ENGINE] + argv, stdin=inp, stdout=out, stderr=err, env=ENV)
            killer = threading.Timer(HANG_S, child.kill)
            killer.start()
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = 0  # it is reaped
            killer.cancel()
            out.seek(0)
            err.seek(0)
            self.out = out.read().decode("utf-8", "replace")
            self.err = err.read().decode("utf-8", "replace")
        self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        self.code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else -1
        self.cpu_s = usage.ru_utime + usage.ru_stime
        self.memory = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    def crash(self):
        if self.signal == 9:
            return "it did not end"
        if self.signal:
            return f"it died of signal {self.signal}"
        if self.code == SANITIZER_EXIT or "Sanitizer" in self.err or "runtime error:" in self.err:
            return f"a sanitizer reports:\n{self.err[:3000]}"
        return None


def run_eval(path):
    return Run(["eval", "--model", path, "--threads", "1"], EVAL)


def load_cases():
    sys.dont_write_bytecode = True  # the set lies in a folder that is not ours
    spec = importlib.util.spec_from_file_location("mkbad", MKBAD)
    mkbad = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(mkbad)
    with open(BASE, "rb") as f:
        mkbad.build(f.read())
    return mkbad.CASES


class Malformed(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if not os.path.exists(ENGINE):
            raise unittest.SkipTest(f"{ENGINE} is not built")
        if not os.path.exists(MKBAD) or not os.path.exists(BASE):
            raise unittest.SkipTest(f"the set of malformed files is not at {SHARED}")
        base = run_eval(BASE)
        if base.code != 0:
            raise AssertionError(f"the base file does not load: {base.err}")
        cls.base = json.loads(base.out)
        cls.cpu_s = max(CPU_S, 10 * base.cpu_s)  # sanitizers are slow
        cls.memory = base.memory + MEMORY

    def problems(self, expect, path):
        """What is wrong with how the engine takes one file."""
        runs = {
            "info": Run(["info", "--model", path]),
            "eval": run_eval(path),
            "tokenize": Run(["tokenize", "--model", path], TEXT),
        }
        for verb, run in runs.items():
            crash = run.crash()
            if crash:
                yield f"{verb}: {crash}"
            if run.cpu_s > self.cpu_s:
                yield f"{verb}: it took {run.cpu_s:.1f} s"
            if run.memory > self.memory:
                yield f"{verb}: it took {run.memory >> 20} MiB"
            if run.code != 0 and len(run.err.strip()) < 20:
                yield f"{verb}: exit code {run.code} without an error that says why"
        if expect == "reject":
            for verb in ("info", "eval"):
                if runs[verb].code == 0:
                    yield f"{verb}: accepted"
        if expect == "accept":
            for verb, run in runs.items():
                if run.code != 0:
                    yield f"{verb}: refused: {run.err.strip()}"
            if runs["eval"].code == 0 and json.loads(runs["eval"].out) != self.base:
                yield "eval: the answer is not that of the base file"

    def check_case(self, case):
        name, _, expect, what, make = case
        with tempfile.NamedTemporaryFile(suffix=".gguf") as f:
            f.write(make())
            f.flush()
            return [f"{name} ({what}, expect {expect}): {p}" for p in self.problems(expect, f.name)]

    def check(self, cases):
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 2) as pool:
            found = [p for problems in pool.map(self.check_case, cases) for p in problems]
        if found:
            self.fail(f"{len(found)} problems in {len(cases)} files:\n" + "\n".join(found))


def add_tests():
    if not os.path.exists(MKBAD):
        @unittest.skip(f"{MKBAD} is not there")
        def test_set_is_present(self):
            pass
        Malformed.test_set_is_present = test_set_is_present
        return
    categories = {}
    for case in load_cases():
        categories.setdefault(case[1], []).append(case)
    for category, cases in categories.items():
        setattr(Malformed, f"test_{category}", lambda self, cases=cases: self.check(cases))


add_tests()

if __name__ == "__main__":
    unittest.main(verbosity=2)
