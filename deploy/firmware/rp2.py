# SPDX-License-Identifier: Apache-2.0
"""Images for RP2350 and RP2040 boards: Debian's source of MicroPython's rp2 port, our code frozen.

Not tested: QEMU has no such machine. `picotool info` reads the identity of an image. Debian removes
the SDKs and libraries from the source; they come from other packages (PACKAGES, and the source
packages of lwip and mbedtls).
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.errors import FirmwareError
from deploy.firmware.application.board_source import ROOT
from deploy.firmware.application.romfs import portable_modules
from deploy.firmware.build_tools import CACHE, find_program
from deploy.firmware.micropython_source import ensure_source, fetch_source, run

PACKAGES = (
    "gcc-arm-none-eabi",
    "libnewlib-arm-none-eabi",
    "libstdc++-arm-none-eabi-newlib",
    "cmake",
    "pico-sdk-source",
    "picotool",
)
"""Debian packages that the build needs; 2.5 GB on the disk."""

_SOURCES = Path("/usr/src")


@dataclass(frozen=True)
class Rp2Board:
    """A board of the rp2 port: its name there, its flash, the part of the flash for files."""

    name: str
    board: str
    flash_kib: int
    storage_kib: int


RP2_BOARDS: dict[str, Rp2Board] = {
    "rp2350": Rp2Board("rp2350", "RPI_PICO2", 4096, 3072),
    "rp2040": Rp2Board("rp2040", "RPI_PICO", 2048, 1024),
}
"""The port reserves 1408 KiB of the flash of an RP2040 for files. Our image does not fit the other
640 KiB, and the build of the port does not report that."""
_STORAGE = re.compile(r"(#define MICROPY_HW_FLASH_STORAGE_BYTES +).+")


def build_uf2(board: Rp2Board, out: Path, config: bytes | None) -> dict[str, Any]:
    """Build firmware.uf2 with the agent frozen. FirmwareError names a missing package."""
    if config is not None:
        raise FirmwareError("--config: not for this board; use `coldloop firmware flash`")
    tree = _link_packages(ensure_source(CACHE))
    manifest = CACHE / f"manifest-{board.name}.py"
    lines = [f'module("{name}", base_path="{ROOT}")' for name in portable_modules()]
    lines.append(f'module("main.py", base_path="{_copy_main()}")')
    manifest.write_text("\n".join([_freeze_line(), *lines, ""]), encoding="utf-8")
    folder = CACHE / f"build-{board.name}"
    _make_cross(tree)
    port = tree / "ports" / "rp2"
    settings = {
        "PICO_BUILD_DOCS": "0",
        "MICROPY_BOARD": board.board,
        "MICROPY_BOARD_DIR": str(_copy_board(port, board)),
        "MICROPY_FROZEN_MANIFEST": str(manifest),
    }
    definitions = [f"-D{key}={value}" for key, value in settings.items()]
    run([find_program("cmake"), "-S", str(port), "-B", str(folder), *definitions], tree)
    run(["make", "-C", str(folder), f"-j{os.cpu_count() or 1}"], tree)
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"firmware-{board.name}.uf2"
    shutil.copyfile(folder / "firmware.uf2", target)
    record = {"board": board.name, "uf2": str(target), "bytes": target.stat().st_size}
    return (
        record
        | _check_size(board, (folder / "firmware.bin").stat().st_size)
        | _read_image_info(target)
    )


def _check_size(board: Rp2Board, used: int) -> dict[str, int]:
    """Check that the image ends before the files start. Raises FirmwareError."""
    room = (board.flash_kib - board.storage_kib) * 1024
    if used > room:
        raise FirmwareError(f"{board.name}: {used} bytes do not fit the {room} before the files")
    return {"binary": used, "room": room}


def _freeze_line() -> str:
    """Freeze the start-up of the port, which mounts the file system."""
    return 'freeze("$(PORT_DIR)/modules")'


def _copy_main() -> Path:
    """Copy main.py of the board into a separate folder for the manifest."""
    folder = CACHE / "rp2"
    folder.mkdir(exist_ok=True)
    shutil.copyfile(Path(__file__).with_name("rp2_main.py"), folder / "main.py")
    return folder


def _copy_board(port: Path, board: Rp2Board) -> Path:
    """Copy the board of the port, with our size of the file system."""
    folder = CACHE / f"board-{board.name}" / board.board
    shutil.copytree(port / "boards" / board.board, folder, dirs_exist_ok=True)
    header = folder / "mpconfigboard.h"
    text = header.read_text(encoding="utf-8")
    size = f"({board.storage_kib} * 1024)"
    changed, count = _STORAGE.subn(lambda match: match[1] + size, text)
    if count != 1:
        raise FirmwareError(f"{header}: no storage size in it")
    header.write_text(changed, encoding="utf-8")
    return folder


def _link_packages(tree: Path) -> Path:
    """Link Debian's packages to the places of the removed submodules."""
    for name in ("pico-sdk", "tinyusb"):
        package = next(iter(sorted(_SOURCES.glob(f"{name}*"))), None)
        if package is None:
            raise FirmwareError(f"{name}: not installed; apt-get install {' '.join(PACKAGES)}")
        _link(tree / "lib" / name, package)
    for name in ("mbedtls", "lwip"):
        _link(tree / "lib" / name, fetch_source(CACHE, name))
    readme = tree / "lib" / "micropython-lib" / "README.md"
    readme.parent.mkdir(exist_ok=True)
    readme.touch()
    return tree


def _link(link: Path, target: Path) -> None:
    if link.is_symlink():
        return
    if link.is_dir():
        shutil.rmtree(link)
    link.symlink_to(target)


def _make_cross(tree: Path) -> None:
    run(["make", "-C", str(tree / "mpy-cross"), f"-j{os.cpu_count() or 1}"], tree)


def _read_image_info(image: Path) -> dict[str, str]:
    """Return the output of picotool for an image: chip, SDK, size."""
    completed = subprocess.run(
        [find_program("picotool"), "info", "-a", str(image)],
        capture_output=True,
        text=True,
        check=False,
    )
    fields = dict(re.findall(r"^ *([\w ]+?): +(.+)$", completed.stdout, re.MULTILINE))
    keys = ("target chip", "sdk version", "binary end", "image type")
    return {key: fields[key] for key in keys if key in fields}
