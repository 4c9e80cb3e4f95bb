#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docker model install-runner and its relatives.

The process of its own is the real one. systemd and launchd are stand-ins on PATH, because no test may
touch the services of the machine it runs on: each records its calls and starts and ends the program
of the unit (or the job) that was written, with the environment it names. systemd-analyze, where it
is, reads the real units."""
import os
import plistlib
import shutil
import signal
import socket
import subprocess
import sys
import time
import unittest

from cli_support import BUILD, CliTest, main

STAND_IN = '''#!%(python)s
import os, re, shlex, signal, subprocess, sys, time, plistlib
home, args = os.environ["HOME"], sys.argv[1:]
name = os.path.basename(sys.argv[0])
pidfile = home + "/stand-in.pid"
with open(home + "/calls", "a") as f:
    f.write(" ".join([name] + args) + "\\n")
def alive():
    try:
        with open(pidfile) as f:
            pid = int(f.read())
        with open(f"/proc/{pid}/stat") as f:
            return pid if f.read().rsplit(")", 1)[1].split()[0] != "Z" else 0
    except (OSError, ValueError):
        return 0
def start(argv, env):
    p = subprocess.Popen(argv, env={**os.environ, **env}, start_new_session=True, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(pidfile, "w") as f:
        f.write(str(p.pid))
def stop():
    pid = alive()
    if pid:
        os.kill(pid, signal.SIGTERM)
    while alive():
        time.sleep(0.01)
if name == "systemctl":
    unit = home + "/.config/systemd/user/model-runner.service"
    assert args.pop(0) == "--user", args
    if args[0] == "show" and "Version" in args[1]:
        print("Version=252")
    elif args[0] == "show":
        print("LoadState=" + ("loaded" if os.path.exists(unit) else "not-found"))
        print("ActiveState=" + ("active" if alive() else "inactive"))
    elif args[0] == "start":
        with open(unit) as f:
            text = f.read()
        path = re.search("^EnvironmentFile=-(.*)$", text, re.M).group(1).replace("%%E", home + "/.config")
        with open(path) as f:
            env = dict(w.split("=", 1) for w in shlex.split(f.read()))
        start(shlex.split(re.search("^ExecStart=(.*)$", text, re.M).group(1)), env)
    elif args[0] == "stop":
        stop()
    elif os.path.exists(home + "/refuse-" + args[0]):
        sys.exit("Failed to " + args[0] + ": no such luck")
else:
    job = home + "/Library/LaunchAgents/com.docker.model-runner.plist"
    if args[0] == "print":
        print("\\tstate = " + ("running" if alive() else "exited"))
    elif args[0] == "bootstrap":
        with open(args[2], "rb") as f:
            p = plistlib.load(f)
        start(p["ProgramArguments"], p["EnvironmentVariables"])
    elif args[0] == "bootout":
        stop()
'''


class ServiceTest(CliTest):
    def setUp(self):
        super().setUp()
        self.bin = os.path.join(self.home, "bin")
        os.makedirs(self.bin)
        os.makedirs(self.env["XDG_RUNTIME_DIR"], mode=0o700)
        self.env["PATH"] = self.bin  # whatever manager this machine has is not in it
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.addCleanup(self.cli, "stop-runner")

    def stand_in(self, name):
        path = os.path.join(self.bin, name)
        with open(path, "w", encoding="utf-8") as f:
            f.write(STAND_IN % {"python": sys.executable})
        os.chmod(path, 0o755)

    def calls(self):
        path = os.path.join(self.home, "calls")
        with open(path, encoding="utf-8") as f:
            lines = [l.rstrip("\n") for l in f]
        os.remove(path)
        return [l for l in lines if " show " not in l and " print" not in l]

    def env_file(self):
        with open(os.path.join(self.home, ".config/model-runner/service.env"), encoding="utf-8") as f:
            return f.read()

    def install(self, *options, command="install-runner"):
        return self.ok(command, "--port", str(self.port), *options)

    def whole_life(self, name):
        self.assertIn("Model Runner is not running", self.ok("stop-runner"))
        out = self.install("--debug", "--do-not-track")
        self.assertIn(f"Installed and started {name}.\nIt listens on unix://", out)
        self.assertIn(f"http://127.0.0.1:{self.port}\n", out)
        self.assertIn("is running", self.ok("status"))
        self.assertIn("is running", self.ok("status", MODEL_RUNNER_HOST=f"127.0.0.1:{self.port}"))
        self.assertIn('LOG_LEVEL="debug"', self.env_file())
        self.assertEqual(self.ok("install-runner"), f"Model Runner is already running ({name})\n")
        self.assertIn("reinstall-runner", self.ok("install-runner", "--gpu", "cuda"))
        self.assertEqual(self.ok("stop-runner"), f"Stopped {name}.\n")
        self.assertEqual(self.cli("status").returncode, 1)
        self.assertIn(f"Started {name}.", self.ok("start-runner"))
        self.assertIn(f"http://127.0.0.1:{self.port}", self.ok("restart-runner", "--gpu", "none"))
        self.assertIn('LLAMA_ARGS="-ngl 0', self.env_file())
        self.install(command="reinstall-runner")
        self.assertNotIn("LOG_LEVEL", self.env_file())  # these options alone
        self.ok("stop-runner", "--models")
        self.assertEqual(self.ok("uninstall-runner"), f"Uninstalled {name}.\n")
        self.assertEqual(self.cli("status").returncode, 1)
        self.assertFalse(os.path.exists(os.path.join(self.home, ".config/model-runner/service.env")))
        self.assertEqual(self.ok("uninstall-runner"), "Model Runner is not installed as a service\n")


class ProcessOfItsOwn(ServiceTest):
    def test_whole_life(self):
        self.whole_life("the runner as a process of its own")

    def test_systemctl_with_nobody_behind_it(self):
        self.stand_in("systemctl")
        with open(os.path.join(self.bin, "systemctl"), "w", encoding="utf-8") as f:
            f.write("#!/bin/sh\necho System has not been booted with systemd >&2\nexit 1\n")
        self.assertIn("No service manager is in charge here", self.install())

    def test_a_dead_one_is_not_mistaken_for_a_living_one(self):
        self.install()
        lock = os.path.join(self.home, ".docker/model-runner/runner.lock")
        with open(lock, encoding="utf-8") as f:
            pid = int(f.read())
        os.kill(pid, signal.SIGKILL)
        end = time.monotonic() + 30
        while self.cli("status").returncode == 0 and time.monotonic() < end:
            time.sleep(0.05)
        with open(lock, "w", encoding="utf-8") as f:
            f.write(str(os.getpid()))  # the number belongs to somebody else by now
        self.assertEqual(self.ok("stop-runner"), "Model Runner is not running\n")
        self.assertIn("Started", self.ok("start-runner"))

    def test_why_it_did_not_start(self):
        self.assertIn("there is no access token", self.fails("install-runner", "--host", "0.0.0.0"))
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            s.listen()
            err = self.fails("start-runner", "--host", "127.0.0.1", "--port", str(s.getsockname()[1]))
        self.assertIn("the runner ended at once", err)
        self.assertIn("runner.log", err)
        self.install()  # what failed before leaves no option behind

    def test_refusals(self):
        for options, part in ((["--gpu", "x"], 'unknown GPU specification: "x"'),
                              (["--backend", "x"], 'unknown backend: "x" (supported: llama.cpp, vllm, diffusers)'),
                              (["--backend", "vllm"], "not available here"),
                              (["--host", "localhost"], "invalid host: must be a valid IP-address: localhost"),
                              (["--tls-cert", "x"], "go together"),
                              (["--proxy-cert", "/etc/passwd"], "is no certificate"),
                              (["--system"], "neither systemd nor launchd is in charge")):
            self.assertIn(part, self.fails("install-runner", *options))
        self.assertIn("no backend 'vllm'", self.fails("uninstall-runner", "--backend", "vllm"))
        self.assertIn("'docker model install-runner' accepts no arguments", self.fails("install-runner", "x"))

    def test_a_runner_started_by_hand_is_left_alone(self):
        self.install()
        os.rename(self.home + "/.docker", self.home + "/elsewhere")  # its lock is not ours any more
        try:
            self.assertIn("a runner answers, but it is not this service", self.fails("stop-runner"))
            self.assertIn("a runner that is not this service answers already", self.fails("start-runner"))
        finally:
            shutil.rmtree(self.home + "/.docker", ignore_errors=True)
            os.rename(self.home + "/elsewhere", self.home + "/.docker")

    def test_a_proxy_and_its_certificate(self):
        pem = "-----BEGIN CERTIFICATE-----\nTUlJ\n-----END CERTIFICATE-----\n"
        with open(self.home + "/proxy.pem", "w", encoding="utf-8") as f:
            f.write(pem)
        self.env["HTTPS_PROXY"] = 'http://u:p"$`\\w@proxy.example:3128'
        self.install("--proxy-cert", self.home + "/proxy.pem")
        with open(self.home + "/.config/model-runner/authorities.pem", encoding="utf-8") as f:
            self.assertTrue(f.read().endswith(pem))
        self.assertEqual(os.stat(self.home + "/.config/model-runner/service.env").st_mode & 0o777, 0o600)
        del self.env["HTTPS_PROXY"]
        self.ok("restart-runner")
        with open(self.home + "/.docker/model-runner/runner.lock", encoding="utf-8") as f:
            pid = int(f.read())
        with open(f"/proc/{pid}/environ", encoding="utf-8") as f:
            self.assertIn('HTTPS_PROXY=http://u:p"$`\\w@proxy.example:3128', f.read().split("\0"))


class Systemd(ServiceTest):
    def test_whole_life(self):
        self.stand_in("systemctl")
        self.assertIn("loginctl enable-linger", self.install())
        self.assertEqual(self.calls(), ["systemctl --user daemon-reload", "systemctl --user enable model-runner.service",
                                        "systemctl --user start model-runner.service"])
        self.ok("uninstall-runner")
        self.assertEqual(self.calls(), ["systemctl --user stop model-runner.service",
                                        "systemctl --user disable model-runner.service", "systemctl --user daemon-reload"])
        self.whole_life("the systemd user service model-runner.service")
        self.assertFalse(os.path.exists(self.home + "/.config/systemd/user/model-runner.service"))

    def test_what_systemd_says_is_told(self):
        self.stand_in("systemctl")
        open(self.home + "/refuse-enable", "w").close()
        self.assertEqual(self.fails("install-runner"), "Failed to install the runner: 'systemctl --user' failed: "
                         "Failed to enable: no such luck\n")

    @unittest.skipUnless(shutil.which("systemd-analyze"), "there is no systemd-analyze")
    def test_the_units_are_what_systemd_reads(self):
        os.makedirs(self.home + "/units")
        path = self.home + "/units/model-runner.service"
        for options in ([], ["--system"]):
            with open(path, "w", encoding="utf-8") as f:
                f.write(self.ok("service-unit", "--program", os.path.join(BUILD, "model-runner"), *options))
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", *([] if options else ["--user"]), path],
                                  env=dict(os.environ, XDG_RUNTIME_DIR=self.env["XDG_RUNTIME_DIR"], HOME=self.home),
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  timeout=60)
            self.assertNotRegex(done.stdout, r"model-runner\.service.*(Unknown|Failed|Invalid|ignoring|not executable)")
            self.assertEqual(done.returncode, 0, done.stdout)


class Launchd(ServiceTest):
    def test_whole_life(self):
        self.stand_in("launchctl")
        self.whole_life("the launchd agent com.docker.model-runner")
        self.assertFalse(os.path.exists(self.home + "/Library/LaunchAgents/com.docker.model-runner.plist"))

    def test_the_job(self):
        self.stand_in("launchctl")
        self.env["HTTP_PROXY"] = "http://a&b:<c>@p.example"
        self.install()
        with open(self.home + "/Library/LaunchAgents/com.docker.model-runner.plist", "rb") as f:
            job = plistlib.load(f)
        self.assertEqual(job["ProgramArguments"], [os.path.join(BUILD, "model-runner"), "serve"])
        self.assertEqual(job["EnvironmentVariables"]["HTTP_PROXY"], "http://a&b:<c>@p.example")
        self.assertTrue(job["RunAtLoad"])


if __name__ == "__main__":
    main()
