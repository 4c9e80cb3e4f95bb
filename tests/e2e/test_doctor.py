#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docker model doctor: each fault is made, found, and advised on; a machine without faults gets exit 0.

What needs a disk of its own is skipped where neither root nor user namespaces are allowed. GPUs are tried
in tests/unit/cli/test_doctor.c with a made /sys; a disk that is slow is not made here."""
import grp
import json
import os
import shutil
import socket
import subprocess
import unittest

from cli_support import BUILD, CLI, Answer, CliTest, RunnerTest, main

ROOT_USER = os.geteuid() == 0
NOBODY = 65534


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return str(s.getsockname()[1])


class DoctorTest(CliTest):
    def setUp(self):
        super().setUp()
        for name in list(self.env):
            if name.lower().endswith("_proxy") or name.startswith("SSL_CERT"):
                del self.env[name]
        self.env["MODEL_RUNNER_PORT"] = free_port()
        os.chmod(self.home, 0o755)

    def doctor(self, code=1, user=None, program=CLI, prefix=(), **env):
        extra = {"user": user, "group": user, "extra_groups": []} if user else {}
        done = subprocess.run([*prefix, program, "doctor", "--json"], env=dict(self.env, **env), cwd=self.home,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, **extra)
        self.assertEqual(done.stderr, "")
        answer = json.loads(done.stdout)
        self.assertEqual((done.returncode, answer["healthy"]), (code, code == 0), done.stdout)
        found = {}
        for f in answer["findings"]:
            found.setdefault(f["check"], []).append(f)
            self.assertIn(f["status"], ("ok", "warning", "problem"))
            self.assertEqual("advice" in f, f["status"] != "ok", f)
        return found

    def one(self, found, check, status, *parts):
        f, = found[check]
        self.assertEqual(f["status"], status, f)
        for part in parts:
            self.assertIn(part, f["message"] + "\n" + f.get("advice", ""))

    def run_dir(self):
        path = os.path.join(self.home, "run", "model-runner")
        os.makedirs(path, mode=0o755, exist_ok=True)
        return path

    def listen(self, path, mode):
        s = socket.socket(socket.AF_UNIX)
        self.addCleanup(s.close)
        s.bind(path)
        s.listen()
        os.chmod(path, mode)
        return s


class Faults(DoctorTest):
    def test_no_runner(self):
        found = self.doctor(MODEL_RUNNER_HOST="http://127.0.0.1:" + self.env["MODEL_RUNNER_PORT"])
        self.one(found, "runner", "problem", "no runner answers at http://127.0.0.1:", "docker model start-runner")
        self.one(found, "port", "ok", "is free")
        self.one(found, "engine", "ok", "model-engine")

    def test_an_address_that_is_none(self):
        self.one(self.doctor(MODEL_RUNNER_HOST="ftp://x"), "runner", "problem", "ftp://x", "MODEL_RUNNER_HOST")

    def test_a_runner_elsewhere_says_nothing_about_this_machine(self):
        found = self.doctor(MODEL_RUNNER_HOST="http://runner.invalid:12434")
        self.one(found, "runner", "problem", "look after that machine")
        for check in ("port", "store", "gpu", "engine", "socket"):
            self.assertNotIn(check, found)

    def test_a_socket_that_nobody_listens_on(self):
        path = os.path.join(self.run_dir(), "model-runner.sock")
        self.listen(path, 0o600).close()
        self.one(self.doctor(), "socket", "problem", f"nobody listens on {path}", "start-runner")

    @unittest.skipUnless(ROOT_USER, "only root can be two users")
    def test_a_socket_of_somebody_else(self):
        path = os.path.join(self.run_dir(), "model-runner.sock")
        os.chmod(os.path.join(self.home, "run"), 0o755)
        self.listen(path, 0o600)
        found = self.doctor(user=NOBODY, program=self.copy())
        self.one(found, "socket", "problem", f"{path} is for root alone", "--socket-group")

    @unittest.skipIf(ROOT_USER, "root may open everything")
    def test_a_socket_without_rights(self):
        path = os.path.join(self.run_dir(), "model-runner.sock")
        self.listen(path, 0o000)
        self.one(self.doctor(), "socket", "problem", f"{path} is for ")

    @unittest.skipUnless(ROOT_USER, "only root can be two users")
    def test_a_socket_of_a_group(self):
        group = grp.getgrall()[1]
        path = os.path.join(self.run_dir(), "model-runner.sock")
        os.chmod(os.path.join(self.home, "run"), 0o755)
        self.listen(path, 0o660)
        os.chown(path, 0, group.gr_gid)
        found = self.doctor(user=NOBODY, program=self.copy())
        self.one(found, "group", "problem", f"the group {group.gr_name}, and this user is not in it",
                 f"sudo usermod -aG {group.gr_name} $USER")

    @unittest.skipUnless(ROOT_USER, "only root can be two users")
    def test_a_directory_that_may_not_be_entered(self):
        path = os.path.join(self.run_dir(), "model-runner.sock")
        self.listen(path, 0o666)
        os.chmod(self.run_dir(), 0o700)
        os.chmod(os.path.join(self.home, "run"), 0o755)
        self.one(self.doctor(user=NOBODY, program=self.copy()), "socket", "problem", "may not be entered")

    def copy(self, *more):
        """docker-model where every user may run it, alone or with other programs."""
        where = os.path.join(self.home, "programs")
        os.makedirs(where, exist_ok=True)
        for name in ("docker-model", *more):
            shutil.copy(os.path.join(BUILD, name), where)
        return os.path.join(where, "docker-model")

    def test_a_busy_port(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", int(self.env["MODEL_RUNNER_PORT"])))
            s.listen()
            found = self.doctor()
        with open("/proc/self/comm", encoding="utf-8") as f:
            name = f.read().strip()
        self.one(found, "port", "problem", f"is used by {name} (process {os.getpid()})", "--port N")

    def test_a_port_that_is_none(self):
        self.one(self.doctor(MODEL_RUNNER_PORT="http"), "port", "problem", "no port: http")

    def test_a_proxy_that_points_nowhere(self):
        found = self.doctor(HTTPS_PROXY="http://me:secret@127.0.0.1:" + free_port(), http_proxy="http://:")
        self.assertNotIn("secret", json.dumps(found))
        messages = sorted(f["message"] for f in found["proxy"])
        self.assertRegex(messages[0], r"^HTTPS_PROXY points to 127\.0\.0\.1 port \d+: Connection refused$")
        self.assertEqual(messages[1], "http_proxy is no address of a proxy")
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            found = self.doctor(HTTPS_PROXY=f"http://127.0.0.1:{s.getsockname()[1]}")
        self.one(found, "proxy", "ok", "somebody listens there")

    def test_a_proxy_of_the_service(self):
        os.makedirs(os.path.join(self.home, ".config/model-runner"))
        with open(os.path.join(self.home, ".config/model-runner/service.env"), "w", encoding="utf-8") as f:
            f.write(f'HTTP_PROXY="http://127.0.0.1:{free_port()}"\n')
        self.one(self.doctor(), "proxy", "problem", "HTTP_PROXY points to")

    def test_wrong_files_of_certificates(self):
        wrong = os.path.join(self.home, "wrong.pem")
        with open(wrong, "w", encoding="utf-8") as f:
            f.write("no certificate\n")
        self.one(self.doctor(SSL_CERT_FILE=wrong), "certificates", "problem", f"SSL_CERT_FILE: {wrong}", "PEM")
        self.one(self.doctor(SSL_CERT_FILE="/none.pem"), "certificates", "problem", "No such file")
        host = os.path.join(self.home, ".docker/certs.d/registry.example:5000")
        os.makedirs(host)
        shutil.copy(wrong, os.path.join(host, "ca.crt"))
        self.one(self.doctor(), "certificates", "problem", "registry.example:5000/ca.crt")

    @unittest.skipUnless(shutil.which("openssl"), "there is no openssl")
    def test_a_certificate_that_has_run_out(self):
        for days, status in (("1", "warning"), ("100", "ok")):
            path = os.path.join(self.home, f"c{days}.pem")
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                            "-keyout", "/dev/null", "-out", path, "-subj", "/CN=x", "-days", days], check=True,
                           stderr=subprocess.DEVNULL)
            self.one(self.doctor(SSL_CERT_FILE=path), "certificates", status)

    def test_a_store_on_a_full_disk(self):
        space = ["unshare", "-m"] if ROOT_USER else ["unshare", "-Urm"]
        if subprocess.run([*space, "true"], stderr=subprocess.DEVNULL).returncode != 0:
            self.skipTest("no mount namespace: not root, and no user namespaces")
        os.mkdir(os.path.join(self.home, "disk"))
        script = 'mount -t tmpfs -o size=%s none disk && %s exec "$@"'
        prefix = lambda size, then="": (*space, "sh", "-c", script % (size, then), "sh")
        store = os.path.join(self.home, "disk", "models")
        fill = "dd if=/dev/zero of=disk/x bs=64k 2>/dev/null;"
        found = self.doctor(prefix=prefix("8m", fill), MODELS_PATH=store)
        self.one(found, "store", "problem", "is full: 0.00B are left", "docker model prune")
        self.one(self.doctor(prefix=prefix("1g"), MODELS_PATH=store), "store", "ok", "room for 1.07GB")
        few = "i=0; while true > disk/$i; do i=$((i+1)); done 2>/dev/null;"
        self.one(self.doctor(prefix=prefix("1g,nr_inodes=150", few), MODELS_PATH=store), "store", "problem", "no more files")

    @unittest.skipUnless(ROOT_USER, "only root can be two users")
    def test_a_store_of_somebody_else(self):
        os.mkdir(os.path.join(self.home, "models"), 0o755)
        found = self.doctor(user=NOBODY, program=self.copy(), MODELS_PATH=os.path.join(self.home, "models"))
        self.one(found, "store", "problem", "cannot be written: Permission denied", "MODELS_PATH")

    def test_an_engine_that_is_missing(self):
        found = self.doctor(program=self.copy("model-runner"), PATH="/none")
        self.one(found, "engine", "problem", "model-engine", "side by side")
        fake = self.fake({"GET /engines/status": Answer(body={"llama.cpp": "Not Installed: it is nowhere"})})
        self.one(self.doctor(MODEL_RUNNER_HOST=fake.url), "engine", "problem", "it is nowhere")

    def test_versions_that_differ(self):
        self.fake()
        found = self.doctor()
        self.one(found, "runner", "ok", "answers at")
        self.one(found, "version", "problem", "the runner v9.8.7", "restart-runner")

    def test_damaged_settings(self):
        os.makedirs(os.path.join(self.home, ".docker/model-runner"))
        with open(os.path.join(self.home, ".docker/model-runner/settings.json"), "w", encoding="utf-8") as f:
            f.write('{"version": 1, "models": [')
        self.one(self.doctor(), "settings", "problem", "settings.json is damaged", "move it away")


class Healthy(DoctorTest, RunnerTest):
    def test_nothing_is_wrong(self):
        self.env["HTTPS_PROXY"] = ""
        self.ok("configure", "--context-size", "64", "x")
        found = self.doctor(code=0)
        for check in ("socket", "runner", "version", "port", "engine", "settings", "proxy", "certificates"):
            self.assertEqual(found[check][0]["status"], "ok", found[check])
        text = self.ok("doctor")
        self.assertIn("ok       runner       answers at unix://", text)
        self.assertNotIn("problem", text)
        self.env["SSL_CERT_FILE"] = "/none.pem"
        text = self.cli("doctor").stdout
        self.assertRegex(text, r"(?m)^problem  certificates SSL_CERT_FILE: .*\n {22}\u2192 name a file with")


if __name__ == "__main__":
    main()
