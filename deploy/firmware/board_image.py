# SPDX-License-Identifier: Apache-2.0
"""Board image: builds firmware.elf (MicroPython, the board) and app.bin (the agent, one slot)."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from deploy.firmware.application.qstr_pool import qstr_module
from deploy.firmware.application.romfs import build_application
from deploy.firmware.boards import QemuBoard
from deploy.firmware.build_tools import CACHE, find_mpy_cross, find_program, lock_cache
from deploy.firmware.memory_layout import add_header
from deploy.firmware.micropython_source import ensure_source, run
from deploy.firmware.supervisor.frozen import frozen_files, write_frozen
from deploy.firmware.supervisor.release_keys import UNSIGNED, Signing

_BOARD_DATA = b"UARTS = {n: {'capacity': 65536} for n in range(1, 5)}\n"
"""The UARTs of QEMU take all bytes immediately."""
PORT_FOLDER = Path(__file__).resolve().parent / "mps2"
"""The MicroPython port of these boards."""


@dataclass(frozen=True)
class Image:
    """The two files of an image."""

    board: QemuBoard
    firmware: Path
    app: Path


def build_firmware(
    board: QemuBoard, heap_bytes: int = 262_144, cache: Path = CACHE, keys: tuple[bytes, ...] = ()
) -> Path:
    """Build firmware.elf; reuse objects that did not change. Raises FirmwareError.

    `keys`: release keys; the board starts only applications that one of them signed.
    """
    with lock_cache(cache):
        return _make_firmware(board, heap_bytes, cache, keys)


def _make_firmware(board: QemuBoard, heap_bytes: int, cache: Path, keys: tuple[bytes, ...]) -> Path:
    find_program("arm-none-eabi-gcc")
    tree = ensure_source(cache)
    files = {
        **frozen_files(keys),
        "_start.py": (PORT_FOLDER / "_start.py").read_bytes(),
        "_board_data.py": _BOARD_DATA,
    }
    build_folder = cache / f"build-{board.name}-{heap_bytes}-{_hash_sources(files)}"
    manifest = _write_manifest(build_folder, cache, files)
    command = ["make", f"-j{os.cpu_count() or 1}", "-C", str(PORT_FOLDER), f"MPY_DIR={tree}"]
    command += [f"BUILD={build_folder}", f"CPU={board.cpu}", f"HEAP={heap_bytes}", *board.flags]
    command += [f"FROZEN_MANIFEST={manifest}"]
    command += [f"MICROPY_MPYCROSS={find_mpy_cross()}", "MICROPY_MPYCROSS_DEPENDENCY="]
    run(command, PORT_FOLDER, SOURCE_DATE_EPOCH="0")
    return build_folder / "firmware.elf"


def _hash_sources(files: dict[str, bytes]) -> str:
    """Return a name for this state of the sources of the board and for this checkout.

    make compares only the times of files, and two checkouts must not share objects.
    """
    digest = hashlib.sha256(str(PORT_FOLDER).encode())
    for path in sorted(path for path in PORT_FOLDER.iterdir() if path.is_file()):  # no __pycache__
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    for name, content in sorted(files.items()):
        digest.update(name.encode() + b"\0" + content)
    return digest.hexdigest()[:8]


def _write_manifest(build_folder: Path, cache: Path, files: dict[str, bytes]) -> Path:
    """Write the frozen files and their list: the start-up and the names of the application."""
    frozen = build_folder / "frozen"
    frozen.mkdir(parents=True, exist_ok=True)
    manifest = frozen / "manifest.py"
    frozen_names = tuple(write_frozen(frozen, files))
    lines = f'freeze("{frozen}", {frozen_names})\nfreeze_mpy("{frozen}", "_names.mpy")\n'
    for path, content in (
        (frozen / "_names.mpy", qstr_module(cache / "mpy")),
        (manifest, lines.encode()),
    ):
        if not path.exists() or path.read_bytes() != content:
            path.write_bytes(content)
    return manifest


def build(
    board: QemuBoard,
    out: Path,
    config: bytes | None = None,
    release: int = 1,
    heap_bytes: int = 262_144,
    signing: Signing = UNSIGNED,
) -> Image:
    """Build both files into `out`. Raises FirmwareError, and ValueError for a wrong release."""
    out.mkdir(parents=True, exist_ok=True)
    elf, image = out / "firmware.elf", out / "app.bin"
    elf.write_bytes(build_firmware(board, heap_bytes, keys=signing.trusted).read_bytes())
    application = build_application(config)
    image.write_bytes(add_header(application, release, signing.floor, signing.sign))
    return Image(board, elf, image)
