"""Builds the Debian package: `make deb`.

    python -m deploy.debian.build [--out dist]

From a clean tree the same commit gives the same bytes: locked hashes, one date (SOURCE_DATE_EPOCH,
or the last commit's), no paths of this machine, one thread of xz. The environment is made for the
python3 of this Debian release, whichever interpreter runs this. pip fetches what its cache lacks.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from deploy.debian import tree

LOCKS = tuple(tree.ROOT / "requirements" / name for name in ("agent.txt", "ops.txt"))
DEFAULT_EPOCH = 1767225600  # 2026-01-01: the date of what comes from no repository


def main(argv: list[str] | None = None) -> int:
    """Build the package and print where it is and what it is."""
    parser = argparse.ArgumentParser(prog="python -m deploy.debian.build", description=__doc__)
    parser.add_argument("--out", default="dist", metavar="FOLDER", type=Path)
    out: Path = parser.parse_args(argv).out
    path = build(out)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{path}: {path.stat().st_size} bytes, sha256 {digest}")
    return 0


def build(out: Path) -> Path:
    """Build the package into `out`; returns its path. Ends the program with what failed."""
    project = tomllib.loads((tree.ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version, python, epoch = project["version"], debian_python(), source_date()
    architecture = program_output("dpkg", "--print-architecture")
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"coldloop_{version}_{architecture}.deb"
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        fetch(work / "site", work / "wheels", project, python, epoch)
        pack(
            path,
            work / "site",
            work / "tree",
            tree.PackageFacts(version, architecture, python, epoch),
        )
    return path


def pack(
    path: Path, site: Path, top: Path, facts: tree.PackageFacts, compression: str = "-Zxz"
) -> None:
    """Make the package `path` of what is to be imported (`site`), laid out below `top`.

    `compression`: dpkg-deb's option for the compression.
    """
    top.mkdir()
    tree.lay_out(top, site, facts)
    tree.write_control(top, facts)
    options = ("--root-owner-group", "--threads-max=1", compression, "--build")
    _run("dpkg-deb", *options, str(top), str(path), epoch=facts.epoch)


def source_date() -> int:
    """The date that every file bears, seconds since 1970."""
    override = os.environ.get("SOURCE_DATE_EPOCH")
    if override:
        return int(override)
    command = ["git", "-C", str(tree.ROOT), "log", "-1", "--format=%ct"]
    git_log = subprocess.run(command, capture_output=True, text=True, check=False)
    return int(git_log.stdout) if git_log.returncode == 0 else DEFAULT_EPOCH


def debian_python() -> str:
    """The version of Debian's own interpreter, such as 3.13."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    return program_output("/usr/bin/python3", "-I", "-c", code)


def program_output(*command: str) -> str:
    """What a program printed, stripped."""
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def fetch(site: Path, wheels: Path, project: dict[str, Any], python: str, epoch: int) -> None:
    """Fill `site` with what is to be imported: the locked packages, and our own wheel."""
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels), epoch=epoch)
    target = ("--target", str(site), "--python-version", python, "--only-binary", ":all:")
    common = ("--no-deps", "--no-compile", "--quiet", "--disable-pip-version-check", *target)
    pip = (sys.executable, "-m", "pip", "install", *common)
    locks = [option for lock in LOCKS for option in ("--requirement", str(lock))]
    _run(*pip, "--require-hashes", *locks, epoch=epoch)
    # By name, not by path: pip notes down the path of a file it was given.
    own = ("--no-index", "--find-links", str(wheels), project["name"])
    _run(*pip, *own, epoch=epoch)


def _run(*command: str, epoch: int) -> None:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(epoch), "PIP_ROOT_USER_ACTION": "ignore"}
    completed = subprocess.run(
        command, check=False, cwd=tree.ROOT, env=environment, capture_output=True, text=True
    )
    if completed.returncode:
        sys.exit(f"{' '.join(command[:4])} ...:\n{completed.stdout}{completed.stderr}")


if __name__ == "__main__":
    sys.exit(main())
