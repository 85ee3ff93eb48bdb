# SPDX-License-Identifier: Apache-2.0
"""Builds a copy of the packages with compiled modules: `make compiled`.

    python -m deploy.release.compiled [--out build/compiled]
    PYTHONPATH=build/compiled .venv/bin/coldloop hil run smoke

mypyc compiles the modules of `compiled` in pyproject.toml, `[tool.coldloop]`, for this version of
CPython and this kind of machine. It needs a C compiler. Nothing in the sources changes: the pure
modules stay the reference, and lie beside the compiled ones. The copy gives the same digests.

Compiled modules are not built in the source tree, because a changed source would then have no
effect. Run this tool again after a change. `coldloop --version` shows which modules run.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from deploy.errors import DeployError
from deploy.release import final_constants

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("agent", "deploy", "drivers", "hil", "protocols")
_SETUP = """
import sys
from mypyc.build import mypycify
from setuptools import setup

names = sys.argv.pop().split(",")
setup(
    name="coldloop-compiled",
    packages=[],
    ext_modules=mypycify(["--follow-imports=silent", *names], opt_level="1", debug_level="0"),
)
"""
_SHOWN_LINES = 12


def compiled_modules() -> list[str]:
    """Return the files to compile, as paths from the root."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    files: list[str] = settings["tool"]["coldloop"]["compiled"]
    return files


def copy_packages(out: Path) -> None:
    """Copy the packages and the dispatcher to an empty folder, with constants declared as such."""
    shutil.rmtree(out, ignore_errors=True)
    ignore = shutil.ignore_patterns("__pycache__", "*.so")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, out / package, ignore=ignore)
    final_constants.declare_in_tree(out)
    for name in ("coldloop.py", "pyproject.toml"):
        shutil.copyfile(ROOT / name, out / name)


def compile_copy(out: Path, files: list[str], c_only: bool = False) -> None:
    """Compile files in a copy of the packages. Raises DeployError.

    `c_only`: only check that mypyc translates them to C, without a C compiler.
    """
    setup = out / "setup_compiled.py"
    setup.write_text(_SETUP, encoding="utf-8")
    if c_only:
        _run_setup(out, ["--name", ",".join(files)])
        return
    if shutil.which(os.environ.get("CC", "cc")) is None:
        raise DeployError("no C compiler: install Debian's packages gcc and python3-dev")
    _run_setup(out, ["build_ext", "--inplace", ",".join(files)])
    shutil.rmtree(out / "build")
    setup.unlink()


def _run_setup(out: Path, words: list[str]) -> None:
    completed = subprocess.run(
        [sys.executable, "setup_compiled.py", *words],
        cwd=out,
        # To look for the causes of warnings takes twice as long as to compile.
        env={**os.environ, "PYTHONPATH": str(out), "CFLAGS": os.environ.get("CFLAGS", "") + " -w"},
        capture_output=True,
        text=True,
        check=False,
    )
    if completed.returncode:
        lines = (completed.stdout + completed.stderr).splitlines()
        found = [line for line in lines if "error" in line.lower()] or lines
        raise DeployError("mypyc:\n" + "\n".join(found[-_SHOWN_LINES:]))


def main() -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m deploy.release.compiled",
        description="Build a copy of the packages with compiled modules.",
        epilog="example: python -m deploy.release.compiled --out build/compiled",
    )
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "compiled", metavar="FOLDER")
    out = parser.parse_args().out.resolve()
    files = compiled_modules()
    try:
        copy_packages(out)
        compile_copy(out, files)
    except DeployError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    print(f"{len(files)} compiled modules in {out}")
    print(f"use them: PYTHONPATH={out} .venv/bin/coldloop --version")
    return 0


if __name__ == "__main__":
    sys.exit(main())
