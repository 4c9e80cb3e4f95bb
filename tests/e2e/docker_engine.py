# SPDX-License-Identifier: Apache-2.0
"""A Docker engine of the test's own: data, sockets and containers in a temporary directory, without
networks, so that it neither meets nor harms another engine of the machine."""
import os
import shutil
import subprocess
import tempfile
import time

DOCKERD = shutil.which("dockerd")
DOCKER = shutil.which("docker")
BUSYBOX = shutil.which("busybox")


def missing():
    """Why no engine can be started here; None = it can be tried."""
    if not (DOCKERD and DOCKER):
        return "dockerd or docker is not installed"
    if os.geteuid() != 0:
        return "dockerd needs root"
    if not BUSYBOX or b"statically linked" not in subprocess.run(
            ["ldd", BUSYBOX], stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout.replace(
                b"not a dynamic executable", b"statically linked"):
        return "there is no static busybox for an image"
    return None


class DockerEngine:
    """Raises OSError when it does not come up."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="mr-docker-", dir="/tmp")
        self.socket = os.path.join(self.dir, "engine.sock")
        self.log = open(os.path.join(self.dir, "log"), "w+b")
        self.process = subprocess.Popen(
            [DOCKERD, "--data-root", os.path.join(self.dir, "data"), "--exec-root", os.path.join(self.dir, "exec"),
             "--pidfile", os.path.join(self.dir, "pid"), "--host", "unix://" + self.socket, "--bridge", "none",
             "--iptables=false", "--ip6tables=false", "--storage-driver", "vfs"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            self.await_start()
            self.import_busybox()
        except Exception:
            self.stop()
            raise

    def await_start(self, seconds=60):
        end = time.monotonic() + seconds
        while self.docker("version").returncode != 0:
            if self.process.poll() is not None or time.monotonic() > end:
                self.log.seek(0)
                raise OSError("dockerd does not start: " + self.log.read().decode("utf-8", "replace")[-2000:])
            time.sleep(0.1)

    def import_busybox(self):
        root = os.path.join(self.dir, "root")
        os.makedirs(os.path.join(root, "bin"))
        os.makedirs(os.path.join(root, "tmp"))
        shutil.copy(BUSYBOX, os.path.join(root, "bin", "busybox"))
        for name in ["sh", "cat", "echo", "sleep", "wget", "wc", "ls", "head", "dd", "true", "seq", "md5sum"]:
            os.symlink("busybox", os.path.join(root, "bin", name))
        tar = subprocess.run(["tar", "-C", root, "-c", "."], check=True, stdout=subprocess.PIPE).stdout
        done = self.docker("import", "-", "bb:latest", stdin=tar)
        if done.returncode != 0:
            raise OSError("docker import failed: " + done.stderr.decode())

    def docker(self, *args, socket=None, stdin=None, timeout=60):
        """The finished process; by the engine's own socket unless another is named."""
        env = {"PATH": os.environ["PATH"], "HOME": self.dir, "DOCKER_HOST": "unix://" + (socket or self.socket),
               "DOCKER_BUILDKIT": "0"}
        how = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
        return subprocess.run([DOCKER, *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=timeout, **how)

    def start_docker(self, *args, socket=None, **kw):
        """A docker process that goes on running."""
        env = {"PATH": os.environ["PATH"], "HOME": self.dir, "DOCKER_HOST": "unix://" + (socket or self.socket)}
        return subprocess.Popen([DOCKER, *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kw)

    def stop(self):
        if self.process.poll() is None:
            left = self.docker("ps", "-aq").stdout.decode().split()
            if left:
                self.docker("rm", "-f", *left)
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()
        # What a killed engine left mounted must not be removed through the mount.
        with open("/proc/self/mounts", encoding="utf-8") as f:
            mounts = [line.split()[1] for line in f if line.split()[1].startswith(self.dir)]
        for path in sorted(mounts, reverse=True):
            subprocess.run(["umount", "-l", path], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)
