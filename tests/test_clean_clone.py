"""What a newcomer does first, from nothing: the locks, the environment and the wheel."""

import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.house import PACKAGES, ROOT, portable_files, repo_files, tool
from tests.peers import MISSING


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the files that are or would be committed, and of nothing else."""
    target = tmp_path / "coldloop"
    for name in repo_files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    return target


def run(*command: str, cwd: Path, **environment: str) -> str:
    """Run a command that must succeed; return what it said."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.soak
@pytest.mark.parametrize("minor", [11, 12, 13, 14])
def test_setup_works_from_nothing(clone: Path, minor: int) -> None:
    python = shutil.which(f"python3.{minor}")
    if python is None or subprocess.run([python, "-c", "import ensurepip"], check=False).returncode:
        pytest.skip(f"{MISSING}python3.{minor}")
    said = run("make", "setup", cwd=clone, PYTHON=python)
    assert f"with Python 3.{minor}." in said
    assert run(".venv/bin/coldloop", "--version", cwd=clone).startswith("coldloop ")
    assert "setup:" not in run("make", "setup", cwd=clone), "a second call has nothing to do"
    run("make", "dev", cwd=clone)
    run(".venv/bin/python", "-c", "import hypothesis, mypy, pytest", cwd=clone)


def test_the_wheel_holds_the_packages_and_the_licence(clone: Path) -> None:
    run(tool("hatchling"), "build", "--target", "wheel", cwd=clone)
    (wheel,) = (clone / "dist").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "coldloop.py" in names
    shipped = [n for n in repo_files() if n.split("/")[0] in PACKAGES and not n.endswith(".sh")]
    assert set(shipped) <= names
    assert {n for n in portable_files() if not n.startswith("tests/")} <= names
    assert not [n for n in names if n.startswith(("tests/", "benchmarks/", "docs/"))]
    assert [n for n in names if n.endswith(".dist-info/licenses/LICENSE")]
