# SPDX-License-Identifier: Apache-2.0
"""Clean clone: locks, environment and wheel."""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.support.programs import MISSING
from tests.support.repository import PACKAGES, ROOT, find_tool, portable_files, repo_files


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the files that are or would be committed."""
    target = tmp_path / "coldloop"
    for name in repo_files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    return target


def run(*command: str, cwd: Path, **environment: str) -> str:
    """Run a command that must succeed; return its output."""
    completed = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout
    return completed.stdout


def test_ci_does_not_inherit_machine_settings(tmp_path: Path) -> None:
    make = tmp_path / "make"
    make.write_text('#!/bin/sh\necho called with: "$@"\nenv -0\n')
    make.chmod(0o755)
    retained = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "CI": "true",
        "https_proxy": "proxy:1 with a space",
        "NO_PROXY": "a,b",
        "PIP_INDEX_URL": "an index",
        "UV_DEFAULT_INDEX": "an index",
        "SSL_CERT_FILE": "/some/file",
        "npm_config_registry": "a registry",
    }
    habits = {
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": "/elsewhere",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "COLDLOOP_DATA": "/data",
        "XDG_CACHE_HOME": "/cache",
        "MYPATH": "/x",
    }
    output = subprocess.run(
        [ROOT / ".ci" / "run"],
        env={**retained, **habits},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    command, _, variables = output.partition("\n")
    assert command == "called with: test"
    result = dict(pair.split("=", 1) for pair in variables.split("\0") if pair)
    assert {name: result.get(name) for name in retained} == retained
    assert set(result) - set(retained) <= {
        "PWD",
        "OLDPWD",
        "SHLVL",
        "_",
    }  # variables of the shell that replaces `make`


@pytest.mark.soak
@pytest.mark.parametrize("minor", [11, 12, 13, 14])
def test_setup_works_in_a_clean_clone(clone: Path, minor: int) -> None:
    python = shutil.which(f"python3.{minor}")
    if python is None or subprocess.run([python, "-c", "import ensurepip"], check=False).returncode:
        pytest.skip(f"{MISSING}python3.{minor}")
    output = run("make", "setup", cwd=clone, PYTHON=python)
    assert f"with Python 3.{minor}." in output
    assert run(".venv/bin/coldloop", "--version", cwd=clone).startswith("coldloop ")
    assert "setup:" not in run("make", "setup", cwd=clone), "a second call has nothing to do"
    run("make", "dev", cwd=clone)
    run(".venv/bin/python", "-c", "import hypothesis, mypy, pytest", cwd=clone)


def test_the_wheel_holds_the_packages_and_the_licence(clone: Path) -> None:
    run(find_tool("hatchling"), "build", "--target", "wheel", cwd=clone)
    (wheel,) = (clone / "dist").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "coldloop.py" in names
    shipped = [n for n in repo_files() if n.split("/")[0] in PACKAGES and not n.endswith(".sh")]
    assert set(shipped) <= names
    assert {n for n in portable_files() if not n.startswith("tests/")} <= names
    assert not [n for n in names if n.startswith(("tests/", "benchmarks/", "docs/"))]
    assert [n for n in names if n.endswith(".dist-info/licenses/LICENSE")]
