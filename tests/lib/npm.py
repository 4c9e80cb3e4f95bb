# SPDX-License-Identifier: Apache-2.0
"""npm packages for tests: what a folder's lock file names, installed below the build directory."""
import os
import re
import shutil
import subprocess
import unittest

UNREACHABLE = re.compile(r"EAI_AGAIN|ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ERR_SOCKET_TIMEOUT|ENETUNREACH|network")


def install(source, target):
    """Copies the files of `source` (package.json, package-lock.json, programs) to `target` and installs there.

    Without node, npm or a registry that answers the test is skipped; anything else that goes wrong fails it."""
    if not (shutil.which("node") and shutil.which("npm")):
        raise unittest.SkipTest("node and npm are not installed")
    os.makedirs(target, exist_ok=True)
    for name in os.listdir(source):
        if os.path.isfile(os.path.join(source, name)):
            shutil.copy(os.path.join(source, name), target)
    done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=target,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=240)
    unreachable = UNREACHABLE.search(done.stdout)
    if done.returncode != 0 and unreachable:
        raise unittest.SkipTest(f"the npm registry cannot be reached: {unreachable[0]}")
    assert done.returncode == 0, done.stdout
