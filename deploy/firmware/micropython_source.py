# SPDX-License-Identifier: Apache-2.0
"""Source of MicroPython: the Debian source package, checked by its hash and unpacked once.

Does not change the package lists of the machine: apt downloads with separate lists. Source: Debian
13, source package micropython 1.25.0+ds-1 (MIT licence).
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from deploy.errors import FirmwareError

VERSION = "1.25.0+ds-1"
SHA256 = {
    "micropython_1.25.0+ds.orig.tar.xz": (
        "7b25be99a502f070b2de81dafc08da7051d992325d6e67daa9045a918fffdbea"
    ),
    "micropython_1.25.0+ds-1.debian.tar.xz": (
        "87cd89f7900c86b963885dabe25acf3e5348815993f1500278ad8f6464465af4"
    ),
}
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_SOURCES = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d"))


def ensure_source(folder: Path) -> Path:
    """Return the unpacked source below `folder`; download it if it is missing."""
    tree = folder / f"micropython-{VERSION}"
    if tree.is_dir():
        return tree
    folder.mkdir(parents=True, exist_ok=True)
    _fetch(folder)
    for name, digest in SHA256.items():
        actual = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if actual != digest:
            raise FirmwareError(f"{folder / name}: sha256 is {actual}, not {digest}; delete it")
    unpacked = folder / "fresh"
    shutil.rmtree(unpacked, ignore_errors=True)
    dsc = f"micropython_{VERSION}.dsc"
    run(["dpkg-source", "-x", "--no-check", dsc, "fresh"], folder)
    unpacked.rename(tree)
    return tree


def run(command: list[str], folder: Path, **variables: str) -> None:
    """Run a program; FirmwareError holds its output."""
    try:
        completed = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        raise FirmwareError(
            f"{command[0]}: not installed; install {package_of(command[0])}"
        ) from None
    if completed.returncode:
        last = "\n".join((completed.stdout + completed.stderr).splitlines()[-12:])
        raise FirmwareError(f"{' '.join(command[:3])}: exit code {completed.returncode}:\n{last}")


def package_of(program: str) -> str:
    """Return the Debian package of a program."""
    packages = {
        "dpkg-source": "dpkg-dev",
        "arm-none-eabi-gcc": "gcc-arm-none-eabi and libnewlib-dev",
        "make": "make",
        "qemu-system-arm": "qemu-system-arm",
        "apt-get": "apt (this is no Debian)",
    }
    return f"Debian's package {packages.get(program, program)}"


def _find_mirror() -> tuple[str, str]:
    """Return mirror and release of Debian from the sources of this machine."""
    files = [
        p
        for location in _SOURCES
        for p in ([location] if location.is_file() else location.glob("*"))
    ]
    for path in files:
        fields = dict(
            line.split(":", 1)
            for block in [path.read_text(encoding="utf-8", errors="replace").split("\n\n")[0]]
            for line in block.splitlines()
            if ":" in line and not line.startswith("#")
        )
        uri, suites = fields.get("URIs", "").split(), fields.get("Suites", "").split()
        if uri and suites and "main" in fields.get("Components", ""):
            return uri[0], suites[0]
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            parts = line.split()
            if parts[:1] == ["deb"] and "main" in parts:
                arguments = [part for part in parts[1:] if not part.startswith("[")]
                return arguments[0], arguments[1]
    raise FirmwareError("no Debian mirror in /etc/apt; the source package needs one")


def fetch_source(folder: Path, package: str) -> Path:
    """Download and unpack another Debian source package; return its folder."""
    tree = folder / f"source-{package}"
    if tree.is_dir():
        return tree
    _download_source(folder, package)
    dsc_files = sorted(folder.glob(f"{package}_*.dsc"))
    run(["dpkg-source", "-x", "--no-check", dsc_files[-1].name, tree.name], folder)
    return tree


def _fetch(folder: Path) -> None:
    _download_source(folder, f"micropython={VERSION}")


def _download_source(folder: Path, package: str) -> None:
    """Download a source package with apt and separate lists."""
    uri, suite = _find_mirror()
    for name in ("lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    listing = folder / "source.list"
    listing.write_text(f"deb-src [signed-by={_KEYRING}] {uri} {suite} main\n", encoding="utf-8")
    settings = {
        "Dir::Etc::SourceList": listing,
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "APT::Sandbox::User": "root",
    }
    options = [argument for key, value in settings.items() for argument in ("-o", f"{key}={value}")]
    run(["apt-get", "-q", *options, "update"], folder)
    run(["apt-get", "-q", *options, "source", "--download-only", package], folder)
