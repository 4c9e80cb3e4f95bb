# SPDX-License-Identifier: Apache-2.0
"""The arm64 level on any machine: kernels and CPU backend, cross-compiled, under qemu's user mode.

What is compiled, and with which warnings, is what the build directory's compile_commands.json says of
the native build. Everything else in src/ is compiled without being linked, because the distribution has
its libraries for another architecture only after `dpkg --add-architecture`; tests/lib/arm64/cmocka.h
takes cmocka's place for the same reason. Needs aarch64-linux-gnu-gcc and qemu-aarch64."""
import concurrent.futures
import glob
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.environ.get("MR_ROOT") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MR_BUILD") or os.path.join(ROOT, "build")
CC = shutil.which("aarch64-linux-gnu-gcc")
QEMU = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
JOBS = 2
RUN_TIMEOUT_S = 900  # emulated, maybe beside other work

# What kernels and backend use of base/: the part without foreign libraries.
BASE = ["alloc", "clock", "error", "str", "utf8"]
PROGRAMS = {
    "kernels": "tests/kernels/test_kernels.c",
    "pool": "tests/unit/engine/backend/test_pool.c",
    "ops": "tests/unit/engine/backend/test_ops.c",
    "batch": "tests/unit/engine/backend/test_batch.c",
}


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as f:
        return f.read()


def cases_of(path):
    return re.findall(r"cmocka_unit_test\((\w+)\)", read(path))


def native_commands():
    """src/….c → the arguments with which the build compiles it, less those of this architecture."""
    with open(os.path.join(BUILD, "compile_commands.json"), encoding="utf-8") as f:
        entries = json.load(f)
    commands = {}
    for e in entries:
        path = os.path.relpath(os.path.join(e["directory"], e["file"]), ROOT)
        if path.startswith("src/") and "/x86/" not in path:
            words = shlex.split(e["command"])
            commands.setdefault(path, [w for w in words if w.startswith(("-I", "-D", "-W", "-std", "-f"))
                                       and not w.startswith(("-fsanitize", "-fdiagnostics", "-fcolor"))])
    for path in glob.glob(os.path.join(ROOT, "src/engine/kernels/arm/*.c")):
        commands[os.path.relpath(path, ROOT)] = commands["src/engine/kernels/kernels.c"]
    return commands


def call(argv, timeout):
    """(0, output), or another status and what there was to say."""
    try:
        done = subprocess.run(argv, cwd=BUILD, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=timeout)
        return done.returncode, done.stdout.decode("utf-8", "replace")
    except subprocess.TimeoutExpired as e:
        return -1, (e.stdout or b"").decode("utf-8", "replace") + f"\nstopped after {timeout} s"


def in_parallel(function, items):
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        return list(pool.map(function, items))


def compile_arm64(path, arguments, *more):
    return call([CC, "-Werror", *arguments, *more, os.path.join(ROOT, path)], 120)


def setUpModule():
    if platform.machine() == "aarch64":
        raise unittest.SkipTest("this is an arm64 machine: the other tests are these")
    for name, found in (("aarch64-linux-gnu-gcc", CC), ("qemu-aarch64", QEMU)):
        if not found:
            raise unittest.SkipTest(f"{name} is not installed")


class Run(unittest.TestCase):
    """A method for each case of the programs, made below."""

    @classmethod
    def setUpClass(cls):
        commands = native_commands()
        with tempfile.TemporaryDirectory() as directory:
            def compiled(job):
                path, arguments = job
                out = os.path.join(directory, path.replace("/", "_") + ".o")
                status, text = compile_arm64(path, arguments, "-O2", "-c", "-o", out)
                assert status == 0, text
                return out

            def finished(name):
                program = os.path.join(directory, name)
                status, text = call([CC, "-static", "-pthread", "-o", program, objects[PROGRAMS[name]], *library,
                                     "-lm"], 120)
                return (status, text) if status else call([QEMU, program], RUN_TIMEOUT_S)

            parts = [p for p in sorted(commands) if p.startswith(("src/engine/kernels/", "src/engine/backend/"))
                     or p in [f"src/base/{name}.c" for name in BASE]]
            like_kernels = commands["src/engine/kernels/kernels.c"] + [
                f"-I{ROOT}/{d}" for d in ("tests/lib/arm64", "tests/lib")]
            # The slowest first: the tests, then the files that are templates of vector code.
            jobs = [(p, like_kernels) for p in PROGRAMS.values()]
            jobs += [(p, commands[p]) for p in sorted(parts, key=lambda p: "/arm/" not in p)]
            objects = dict(zip([path for path, _ in jobs], in_parallel(compiled, jobs)))
            library = [objects[p] for p in parts]
            cls.results = dict(zip(PROGRAMS, in_parallel(finished, PROGRAMS)))

    def check(self, name, case):
        status, text = self.results[name]
        self.assertRegex(text, rf"(?m)^ok \d+ - {case}$", f"exit status {status}\n{text}")

    def test_programs_end_well(self):
        for name, (status, text) in self.results.items():
            with self.subTest(name):
                self.assertEqual(status, 0, text)
                self.assertIn(f"1..{len(cases_of(PROGRAMS[name]))}\n", text)


for program_name, source in PROGRAMS.items():
    for case_name in cases_of(source):
        setattr(Run, case_name, lambda self, n=program_name, c=case_name: self.check(n, c))


class Compile(unittest.TestCase):
    def test_all_sources_without_a_warning(self):
        # Headers of the libraries are the same on each architecture; those of the C library are not,
        # so the native folders come last.
        triplet = subprocess.run(["gcc", "-print-multiarch"], stdout=subprocess.PIPE, text=True).stdout.strip()
        headers = ["-idirafter", "/usr/include", "-idirafter", f"/usr/include/{triplet}"]
        commands = native_commands()
        self.assertGreater(len(commands), 100)
        self.assertIn("src/engine/sandbox_linux.c", commands)
        results = in_parallel(lambda path: compile_arm64(path, commands[path], *headers, "-fsyntax-only"),
                              sorted(commands))
        self.assertEqual([text for status, text in results if status], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
