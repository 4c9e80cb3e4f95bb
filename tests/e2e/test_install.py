# SPDX-License-Identifier: Apache-2.0
"""`make install` and `make run`: what a stranger does first."""
import os
import shutil
import subprocess
import tempfile
import time
import unittest

ROOT = os.environ.get("MR_ROOT") or os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("MR_BUILD") or os.path.join(ROOT, "build")


def call(*argv, **kw):
    return subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=120, **kw)


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        done = call("meson", "install", "-C", BUILD, "--no-rebuild", "--quiet",
                    env=dict(os.environ, DESTDIR=cls.dir.name))
        assert done.returncode == 0, done.stderr
        prefix = call("meson", "introspect", "--buildoptions", BUILD).stdout
        import json
        prefix = next(o["value"] for o in json.loads(prefix) if o["name"] == "prefix")
        cls.prefix = cls.dir.name + prefix

    @classmethod
    def tearDownClass(cls):
        cls.dir.cleanup()

    def test_everything_is_where_it_belongs(self):
        for name in ("docker-model", "model-runner", "model-engine"):
            program = os.path.join(self.prefix, "bin", name)
            self.assertTrue(os.access(program, os.X_OK), program)
            self.assertEqual(call(program, "--help").returncode, 0)
            page = os.path.join(self.prefix, "share/man/man1", name + ".1")
            self.assertGreater(os.path.getsize(page), 1000)
            for completion in ("bash-completion/completions/" + name, "zsh/site-functions/_" + name,
                               f"fish/vendor_completions.d/{name}.fish"):
                self.assertGreater(os.path.getsize(os.path.join(self.prefix, "share", completion)), 100)

    def test_the_plugin_link_leads_to_the_program(self):
        link = os.path.join(self.prefix, "libexec/docker/cli-plugins/docker-model")
        self.assertTrue(os.path.islink(link))
        self.assertIn('"SchemaVersion": "0.1.0"', call(link, "docker-cli-plugin-metadata").stdout)

    def test_the_daemon_finds_the_engine_beside_it(self):
        with tempfile.TemporaryDirectory() as d:
            env = dict(os.environ, MODEL_RUNNER_HOST=f"unix://{d}/s", HOME=d)
            daemon = subprocess.Popen([os.path.join(self.prefix, "bin/model-runner"), "serve", "--socket", f"{d}/s",
                                       "--models-path", f"{d}/m"], stderr=subprocess.DEVNULL)
            try:
                end = time.monotonic() + 60
                done = None
                while (not done or done.returncode != 0) and time.monotonic() < end:
                    done = call(os.path.join(self.prefix, "bin/docker-model"), "status", env=env)
                self.assertIn("model-engine", done.stdout)
            finally:
                daemon.terminate()
                daemon.wait(60)

    def test_completion_scripts_are_valid(self):
        for shell, path in (("bash", "bash-completion/completions/docker-model"),
                            ("zsh", "zsh/site-functions/_docker-model"),
                            ("fish", "fish/vendor_completions.d/docker-model.fish")):
            if shutil.which(shell):
                done = call(shell, "-n", os.path.join(self.prefix, "share", path))
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_man_pages_are_clean(self):
        if not shutil.which("groff"):
            self.skipTest("groff is not installed")
        for name in ("docker-model", "model-runner", "model-engine"):
            page = os.path.join(self.prefix, "share/man/man1", name + ".1")
            done = call("groff", "-man", "-ww", "-z", "-Tutf8", page)
            self.assertEqual((done.returncode, done.stderr), (0, ""))


class Run(unittest.TestCase):
    def test_run_answers_and_leaves_nothing_running(self):
        with tempfile.TemporaryDirectory() as d:
            env = dict(os.environ, HOME=d, XDG_RUNTIME_DIR=d, TMPDIR=d, DOCKER_CONFIG=d)
            for prompt, part in (("Who are you?", "demo model"), ("", "demo model")):
                done = call("sh", os.path.join(ROOT, "tools/run.sh"), BUILD, "", prompt, env=env, cwd=ROOT)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertIn(part, done.stdout)
            done = call("sh", os.path.join(ROOT, "tools/run.sh"), BUILD, "/no/such.gguf", "x", env=env, cwd=ROOT)
            self.assertNotEqual(done.returncode, 0)
            # Nothing of ours is alive: the daemons had their sockets below d.
            left = call("pgrep", "-f", d).stdout.split()
            self.assertEqual(left, [])

    def test_the_import_table_holds(self):
        done = call("python3", os.path.join(ROOT, "tools/check_imports.py"))
        self.assertEqual((done.returncode, done.stdout), (0, ""))


if __name__ == "__main__":
    unittest.main(verbosity=0)
