# SPDX-License-Identifier: Apache-2.0
"""Installation of rp2040js (npm, MIT) into the cache: one version, checked by its hash."""

import json
import shutil
import subprocess
from pathlib import Path

from deploy.errors import FirmwareError
from deploy.firmware.build_tools import CACHE, find_program, lock_cache

VERSION = "1.4.1"
INTEGRITY = (
    "sha512-Yzr5xG7ZwbtA50IYAU1k/oSoSyDAhPtT5qC/Q2eFApoLuAYE8DQbPIMPs/0kh4Ietd4P0OpKk3"
    "CIkfNqjcr56g=="
)


def install(cache: Path = CACHE) -> Path:
    """Return the folder of the package; install it if it is missing. Raises FirmwareError."""
    folder = cache / f"rp2040js-{VERSION}"
    package = folder / "node_modules" / "rp2040js"
    with lock_cache(cache / "rp2"):
        if not package.is_dir():
            _install(folder)
        if _integrity(folder) != INTEGRITY:
            shutil.rmtree(folder)
            raise FirmwareError(f"rp2040js {VERSION}: not the package with the expected hash")
    return package


def _install(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    command = [find_program("npm"), "install", "--prefix", str(folder), "--no-audit", "--no-fund"]
    command += ["--ignore-scripts", f"rp2040js@{VERSION}"]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    if completed.returncode:
        raise FirmwareError(f"rp2040js: npm: {completed.stderr.strip().splitlines()[-1:]}")


def _integrity(folder: Path) -> str:
    """Return the hash that npm has checked."""
    try:
        lock = json.loads((folder / "node_modules" / ".package-lock.json").read_text("utf-8"))
        return str(lock["packages"]["node_modules/rp2040js"]["integrity"])
    except (OSError, ValueError, KeyError):
        return ""
