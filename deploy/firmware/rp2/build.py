# SPDX-License-Identifier: Apache-2.0
"""Images for RP2350 and RP2040 boards: Debian's source of MicroPython's rp2 port and our code.

    firmware   MicroPython, frozen: the supervisor and the names of the application
    slot a, b  an application each; the image has it in both: a new unit survives a damage of one
    backup     the configuration, outside the file system (supervisor/_backup.py)
    files      LittleFS

`picotool info` reads the identity of an image. Debian removes the SDKs and libraries from the
source; they come from other packages (PACKAGES, and the source packages of lwip and mbedtls).
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.core.component.registry import COMPONENTS
from deploy.errors import FirmwareError
from deploy.firmware.application.qstr_pool import qstr_module
from deploy.firmware.application.romfs import build_application
from deploy.firmware.board_files import board_module
from deploy.firmware.build_tools import CACHE, find_program, lock_cache
from deploy.firmware.memory_layout import add_header, read_header
from deploy.firmware.micropython_source import ensure_source, fetch_source, run
from deploy.firmware.rp2 import port_settings, uf2
from deploy.firmware.supervisor.frozen import frozen_files, write_frozen
from deploy.firmware.supervisor.release_keys import UNSIGNED, Signing

PACKAGES = (
    "gcc-arm-none-eabi",
    "libnewlib-arm-none-eabi",
    "libstdc++-arm-none-eabi-newlib",
    "cmake",
    "pico-sdk-source",
    "picotool",
)
"""Debian packages that the build needs; 2.5 GB on the disk."""

_PACKAGE_SOURCES = Path("/usr/src")
BACKUP_KIB = 16
"""The backup of the configuration: the largest one of the bench has 4,104 bytes."""


@dataclass(frozen=True)
class Rp2Board:
    """A board of the rp2 port: its name there, its flash and the parts of the flash.

    `watchdog`: address of the register CTRL of the watchdog. `start`: code before anything else of
    ours. `keeps_marks`: see deploy/firmware/supervisor/_slots.py. `left_out`: beginnings of paths
    of modules that its application has not.
    """

    name: str
    board: str
    flash_kib: int
    slot_kib: int
    files_kib: int
    watchdog: int
    start: bytes = b""
    keeps_marks: bool = False
    left_out: tuple[str, ...] = ()

    @property
    def storage_kib(self) -> int:
        """The part that the port leaves to us: slots, backup and files."""
        return 2 * self.slot_kib + BACKUP_KIB + self.files_kib

    @property
    def slots_start(self) -> int:
        """Byte of the flash at which slot a begins."""
        return (self.flash_kib - self.storage_kib) * 1024

    @property
    def slot_starts(self) -> tuple[int, int]:
        """Bytes of the flash at which the slots begin."""
        return self.slots_start, self.slots_start + self.slot_kib * 1024


_CLOCK_SCRIPT = b"""machine.mem32[0x40064000] = 0xC1
import time
time.sleep_ms(1)
machine.freq(200_000_000)
"""
"""An RP2040 at 200 MHz needs a core voltage of 1.15 V (register VREG, datasheet, 2.10.6).

The SDK names 200 MHz as supported (PICO_USE_FASTEST_SUPPORTED_CLOCK of version 2.1.1).
"""
_NETWORK_MODULES = (
    "agent/clock/chrony.py",
    "agent/clock/ntp/",
    "agent/northbound/",
    "agent/control/group/",
    "agent/power/detector/case_check.py",
    "agent/power/detector/power_check.py",
    "agent/power/detector/device_heat.py",
    "agent/telemetry/tls_link.py",
    "drivers/redfish/",
    "drivers/ports/datagram.py",
    "drivers/ports/micropython/pem.py",
    "drivers/ports/micropython/serial.py",
    "drivers/ports/micropython/tcp.py",
    "drivers/ports/micropython/tls_date.py",
    "protocols/http.py",
)
"""Modules that need sockets, termios or a second process, and what only serves those: temperatures
of devices come by Redfish. These boards have none of them."""
_COMMAND_MODULES = (
    "agent/config/json_schema.py",
    "agent/telemetry/bus_text.py",
    "agent/telemetry/load_text.py",
    "agent/telemetry/status_text.py",
    "drivers/device/sunspec_scan.py",
)
"""Portable modules that only commands of a computer import."""
_CHECK_MODULES = (
    "drivers/device/profile_check.py",
    "drivers/device/profile_entry_check.py",
    "drivers/device/profile_rules.py",
)
"""The build has checked the profiles of an application, and says so in it (`checked`)."""
_PAIR_MODULES = (
    "agent/redundancy/",
    "agent/remote/storage/config_replica.py",
    "protocols/modbus/sniffer.py",
    "protocols/signing/link_message.py",
    "protocols/signing/peer_link.py",
)
"""A pair needs a fourth line: receiver, bus, broker and the link to the other controller."""
_RECEIVER_GROUP_MODULES = ("agent/gnss/group/",)
"""Two receivers and a bus need three lines; an RP2040 has two UARTs (datasheet, section 4.2)."""
RP2_BOARDS: dict[str, Rp2Board] = {
    "rp2350": Rp2Board(
        "rp2350",
        "RPI_PICO2",
        flash_kib=4096,
        slot_kib=1016,
        files_kib=1408,
        watchdog=0x400D8000,
        left_out=(*_NETWORK_MODULES, *_COMMAND_MODULES, *_CHECK_MODULES),
    ),
    "rp2040": Rp2Board(
        "rp2040",
        "RPI_PICO",
        flash_kib=2048,
        slot_kib=704,
        files_kib=192,
        watchdog=0x40058000,
        start=_CLOCK_SCRIPT,
        keeps_marks=True,
        left_out=(
            *_NETWORK_MODULES,
            *_COMMAND_MODULES,
            *_CHECK_MODULES,
            *_PAIR_MODULES,
            *_RECEIVER_GROUP_MODULES,
        ),
    ),
}
_OVERLAY = Path(__file__).with_name("overlay")
"""The module `_overlay` in C."""
_BOOT_SCRIPT = b"import machine\nmachine.WDT(timeout=8000)\n"
"""The watchdog starts before anything else."""


@dataclass(frozen=True)
class Rp2Options:
    """Options of an image; see `build_uf2`."""

    config: bytes | None = None
    release: int = 1
    signing: Signing = UNSIGNED


def build_uf2(board: Rp2Board, out: Path, options: Rp2Options | None = None) -> dict[str, Any]:
    """Build an image and its application. FirmwareError names a missing package.

    `config` goes into the application.
    """
    options = options or Rp2Options()
    _check_sections(board, options.config)
    with lock_cache(CACHE / "rp2"):
        folder = _build_firmware(board, options.signing.trusted)
    out.mkdir(parents=True, exist_ok=True)
    try:
        application = add_header(
            build_application(options.config, left_out=board.left_out),
            options.release,
            options.signing.floor,
            options.signing.sign,
            board.slot_kib * 1024,
        )
    except ValueError as error:
        raise FirmwareError(f"{board.name}: {error}") from None
    used = (folder / "firmware.bin").stat().st_size
    sizes = _check_size(board, used)
    bundle, target = out / f"app-{board.name}.bin", out / f"firmware-{board.name}.uf2"
    bundle.write_bytes(application)
    image = (folder / "firmware.uf2").read_bytes()
    target.write_bytes(
        uf2.add_parts(
            image, uf2.FAMILIES[board.name], dict.fromkeys(board.slot_starts, application)
        )
    )
    return {
        "board": board.name,
        "uf2": str(target),
        "bytes": target.stat().st_size,
        **sizes,
        "app": str(bundle),
        "app_bytes": len(application),
        "app_room": board.slot_kib * 1024,
        "release": options.release,
        "app_sha256": read_header(application).digest,
        **_read_image_info(target),
    }


def _check_sections(board: Rp2Board, config: bytes | None) -> None:
    """Check that the board has the code of each section. Raises FirmwareError."""
    raw = {} if config is None else json.loads(config)
    for spec in COMPONENTS:
        paths = [module.replace(".", "/") for module in (spec.schema, spec.module)]
        if spec.section in raw and any(path.startswith(board.left_out) for path in paths):
            raise FirmwareError(f"{board.name}: no code for the section `{spec.section}`")


def _build_firmware(board: Rp2Board, keys: tuple[bytes, ...]) -> Path:
    """Build the firmware without an application; return the folder of the build."""
    tree = _link_packages(ensure_source(CACHE))
    manifest = _write_manifest(board, keys)
    folder = CACHE / f"build-{board.name}-{port_settings.identity()}"
    digest = _hash_files(manifest.parent)
    stamp = folder / "built"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == digest:
        return folder
    stamp.unlink(missing_ok=True)
    _build_mpy_cross(tree)
    port = tree / "ports" / "rp2"
    port_settings.change_port(port)
    copies = CACHE / f"board-{board.name}"
    copy = port_settings.copy_board(port, board.board, board.storage_kib, copies)
    settings = {
        "PICO_BUILD_DOCS": "0",
        "MICROPY_BOARD": board.board,
        "MICROPY_BOARD_DIR": str(copy),
        "MICROPY_FROZEN_MANIFEST": str(manifest),
        "USER_C_MODULES": str(_OVERLAY / "micropython.cmake"),
    }
    definitions = [f"-D{key}={value}" for key, value in settings.items()]
    run([find_program("cmake"), "-S", str(port), "-B", str(folder), *definitions], tree)
    run(["make", "-C", str(folder), f"-j{os.cpu_count() or 1}"], tree)
    stamp.write_text(digest, encoding="utf-8")
    return folder


def _hash_files(folder: Path) -> str:
    """Return a hash of the frozen files, of this module and of this checkout."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted((*folder.glob("*.*py"), *_OVERLAY.iterdir())):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _check_size(board: Rp2Board, used: int) -> dict[str, int]:
    """Check that the firmware ends before the slots start. Raises FirmwareError."""
    available = board.slots_start - 4096
    if used > available:
        raise FirmwareError(
            f"{board.name}: {used} bytes do not fit the {available} before the slots"
        )
    return {"binary": used, "available": available}


def _write_manifest(board: Rp2Board, keys: tuple[bytes, ...]) -> Path:
    """Write the frozen files and their list. Our start-up replaces that of the port.

    The port runs `_boot.py`, starts USB, and runs `main.py`. A frozen file has precedence over a
    file of the storage, and nothing is mounted before.
    """
    folder = CACHE / f"frozen-{board.name}"
    layout = f"SLOT_BYTES = {board.slot_kib * 1024}\nWATCHDOG_CTRL = {board.watchdog:#x}\n"
    layout += f"BACKUP_BYTES = {BACKUP_KIB * 1024}\n"
    layout += f"KEEPS_MARKS = {board.keeps_marks}\n"
    files = {
        **frozen_files(keys),
        "_boot.py": _BOOT_SCRIPT + board.start,
        "main.py": Path(__file__).with_name("_start.py").read_bytes(),
        "_word_sum.py": Path(__file__).with_name("_word_sum.py").read_bytes(),
        "_layout.py": layout.encode(),
        "_board_data.py": board_module(board.name),
    }
    names = tuple(write_frozen(folder, files))
    write_frozen(folder, {"_names.mpy": qstr_module(CACHE / "mpy", board.left_out)})
    lines = [
        f'freeze("{folder}", {names})',
        f'freeze_mpy("{folder}", "_names.mpy")',
        'freeze("$(PORT_DIR)/modules", "rp2.py")',
    ]
    write_frozen(folder, {"manifest.py": ("\n".join(lines) + "\n").encode()})
    return folder / "manifest.py"


def _link_packages(tree: Path) -> Path:
    """Link Debian's packages to the places of the removed submodules."""
    for name in ("pico-sdk", "tinyusb"):
        package = next(iter(sorted(_PACKAGE_SOURCES.glob(f"{name}*"))), None)
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


def _build_mpy_cross(tree: Path) -> None:
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
