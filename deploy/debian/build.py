# SPDX-License-Identifier: Apache-2.0
"""Build of the Debian package: `make deb`.

    python -m deploy.debian.build [--out dist] [--arch arm64]

A clean tree of the same commit gives the same bytes: locked hashes, one date (SOURCE_DATE_EPOCH or
the date of the last commit), no paths of this machine, one thread of xz. The environment is for the
python3 of this Debian release, also if another interpreter runs the build. pip downloads packages
that its cache does not hold.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from deploy.debian import tree

LOCKS = tuple(
    tree.ROOT / "requirements" / name for name in ("agent.txt", "ops.txt", "northbound.txt")
)
PLATFORMS = {
    "arm64": ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64"),
    "armhf": ("manylinux_2_31_armv7l", "manylinux_2_17_armv7l", "manylinux2014_armv7l"),
}
"""Tags of the wheels of an architecture."""
DEFAULT_EPOCH = 1767225600  # 2026-01-01: the date for a tree without a repository


def main(argv: list[str] | None = None) -> int:
    """Build the package; print its path, size and hash."""
    parser = argparse.ArgumentParser(prog="python -m deploy.debian.build", description=__doc__)
    parser.add_argument("--out", default="dist", metavar="FOLDER", type=Path)
    parser.add_argument(
        "--arch",
        choices=sorted(PLATFORMS),
        help="another architecture than this machine's; its wheels are not run here",
    )
    arguments = parser.parse_args(argv)
    path = build(arguments.out, arguments.arch)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{path}: {path.stat().st_size} bytes, sha256 {digest}")
    return 0


def build(out: Path, architecture: str | None = None) -> Path:
    """Build the package into `out`; return its path. Exits with the output of a failed command.

    `architecture`: as in dpkg; None: that of this machine.
    """
    project = tomllib.loads((tree.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version, python_version, epoch = project["version"], debian_python(), source_date()
    other, architecture = (
        architecture,
        architecture or program_output("dpkg", "--print-architecture"),
    )
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"coldloop_{version}_{architecture}.deb"
    with tempfile.TemporaryDirectory() as work_folder:
        work = Path(work_folder)
        fetch(work / "site", work / "wheels", project, python_version, epoch, other)
        pack(
            path,
            work / "site",
            work / "tree",
            tree.PackageFacts(version, architecture, python_version, epoch),
        )
    return path


def pack(
    path: Path, site: Path, top: Path, facts: tree.PackageFacts, compression: str = "-Zxz"
) -> None:
    """Make the package `path` from the Python packages in `site`; `top` is the folder of its tree.

    `compression`: option of dpkg-deb.
    """
    top.mkdir()
    tree.lay_out(top, site, facts)
    tree.write_control(top, facts)
    options = ("--root-owner-group", "--threads-max=1", compression, "--build")
    _run("dpkg-deb", *options, str(top), str(path), epoch=facts.epoch)


def source_date() -> int:
    """Return the date of all files, seconds since 1970."""
    override = os.environ.get("SOURCE_DATE_EPOCH")
    if override:
        return int(override)
    command = ["git", "-C", str(tree.ROOT), "log", "-1", "--format=%ct"]
    git_log = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(git_log.stdout) if git_log.returncode == 0 else DEFAULT_EPOCH


def debian_python() -> str:
    """Return the version of Debian's interpreter, such as 3.13."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return program_output("/usr/bin/python3", "-I", "-c", code)


def program_output(*command: str) -> str:
    """Return the output of a program without white space at the ends."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def fetch(
    site: Path,
    wheels: Path,
    project: dict[str, Any],
    python_version: str,
    epoch: int,
    architecture: str | None = None,
) -> None:
    """Fill `site` with the locked packages and our wheel. `architecture`: see `build`."""
    platforms = PLATFORMS.get(architecture or "", ())
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels), epoch=epoch)
    target = ("--target", str(site), "--python-version", python_version, "--only-binary", ":all:")
    tags = [option for tag in platforms for option in ("--platform", tag)]
    common = ("--no-deps", "--no-compile", "--quiet", "--disable-pip-version-check", *target, *tags)
    pip = (sys.executable, "-m", "pip", "install", *common)
    removed = tree.FROM_DEBIAN.get(architecture or "", {})
    locks = []
    for lock in LOCKS:
        path = wheels / lock.name
        path.write_text(without_packages(lock.read_text(encoding="utf-8"), removed))
        locks += ["--requirement", str(path)]
    _run(*pip, "--require-hashes", *locks, epoch=epoch)
    # By name: pip records the path if it gets a file.
    own_wheel = ("--no-index", "--find-links", str(wheels), project["name"])
    _run(*pip, *own_wheel, epoch=epoch)


def without_packages(lock: str, names: Iterable[str]) -> str:
    """Return a lock without these packages: an entry is its line and the hashes below it."""
    for name in names:
        lock = re.sub(rf"^{name}==.*\n(?: .*\n)*", "", lock, flags=re.MULTILINE)
    return lock


def _run(*command: str, epoch: int) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "PIP_ROOT_USER_ACTION": "ignore"}
    completed = subprocess.run(
        command, check=False, cwd=tree.ROOT, env=environment, capture_output=True, text=True
    )
    if completed.returncode:
        sys.exit(f"{' '.join(command[:4])} ...:\n{completed.stdout}{completed.stderr}")


if __name__ == "__main__":
    sys.exit(main())
