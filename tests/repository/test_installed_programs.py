# SPDX-License-Identifier: Apache-2.0
"""Each program that a test needs is installed by deploy/test-programs.sh.

A developer's machine can have a program by chance. Then the test passes here and fails in CI, where
a missing program is a failure. So this gate asks dpkg for the package of each program found here.
"""

import ast
import shutil
import subprocess

import pytest

from tests.support.programs import MISSING, PATH
from tests.support.repository import ROOT

# On each machine that can run the tests, or only for soak tests that say how to install them.
PRESENT = {"bash", "cc", "gcc", "dpkg", "dpkg-deb", "openssl", "nsenter", "setpriv"}
SOAK = {"cmake", "picotool", "debootstrap", "qemu-system-x86_64"}


def _required() -> set[str]:
    names = set()
    for path in sorted((ROOT / "tests").rglob("*.py")):
        text = path.read_text()
        if "require_program(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "require_program":
                argument = node.args[0]
                if isinstance(argument, ast.Constant):
                    names.add(str(argument.value))
    return names


def _packages(paths: list[str]) -> dict[str, str]:
    """Return the package of each path that belongs to one."""
    found = subprocess.run(["dpkg", "-S", *paths], capture_output=True, text=True, check=False)
    lines = [line.partition(": ") for line in found.stdout.splitlines()]
    return {path: package.split(":", 1)[0] for package, _, path in lines}


def test_each_required_program_is_installed_by_the_script() -> None:
    if shutil.which("dpkg") is None:
        pytest.skip(f"{MISSING}dpkg")
    script = (ROOT / "deploy" / "test-programs.sh").read_text()
    lines = [line for line in script.splitlines() if "packages=" in line]
    listed = {word.strip('"') for line in lines for word in line.split("#")[0].split()}
    listed |= {word.removeprefix('packages="') for word in listed}
    required = _required() - PRESENT - SOAK
    assert {"tshark", "mbpoll", "mosquitto_sub"} <= required
    paths = {name: path for name in sorted(required) if (path := shutil.which(name, path=PATH))}
    packages = _packages(list(paths.values()))
    assert len(packages) > 20
    unlisted = {
        name: packages[path]
        for name, path in paths.items()
        if path in packages and packages[path] not in listed
    }
    assert not unlisted, f"add these packages to deploy/test-programs.sh: {unlisted}"
