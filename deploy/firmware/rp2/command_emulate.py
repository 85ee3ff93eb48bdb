# SPDX-License-Identifier: Apache-2.0
"""`coldloop firmware emulate`: run the RP2040 image in rp2040js, controlled by standard input.

Does not run in real time: a request names the time until which the chip runs (emulator/main.mjs has
the requests). A missing flash file is made from a new image; an existing one is used again, as
after a power cut. node replaces this process.
"""

import argparse
import os
import tempfile
from pathlib import Path

from deploy.errors import FirmwareError
from deploy.firmware.build_tools import find_program
from deploy.firmware.config_file import read_config
from deploy.firmware.rp2 import uf2
from deploy.firmware.rp2.build import RP2_BOARDS, Rp2Options, build_uf2
from deploy.firmware.rp2.emulator_package import install

EXAMPLE = "coldloop firmware emulate --flash flash.bin --config unit.json --rom bootrom_b1.bin"
MAIN = Path(__file__).with_name("emulator") / "main.mjs"
NAME = "rp2040"
_ROM_BYTES = 16384


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--flash", type=Path, required=True, metavar="FILE", help="flash content")
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration of a new image")
    parser.add_argument(
        "--rom",
        type=Path,
        metavar="FILE",
        help="boot ROM B1 of the chip (rp2040/bootrom_b1.bin in COLDLOOP_DATA)",
    )
    parser.add_argument("--build", action="store_true", help="make the flash file, then end")


def run(arguments: argparse.Namespace) -> int:
    """Make the flash file if it is missing, then execute the emulator. Returns 0 after --build."""
    if not arguments.flash.exists():
        board = RP2_BOARDS[NAME]
        config = None if arguments.config is None else read_config(arguments.config)
        with tempfile.TemporaryDirectory() as folder:
            record = build_uf2(board, Path(folder), Rp2Options(config))
            image = Path(record["uf2"]).read_bytes()
        size = board.flash_kib * 1024
        arguments.flash.write_bytes(uf2.flash_image(image, uf2.FAMILIES[NAME], size))
    if not arguments.build:
        _execute(arguments)
    return 0


def _execute(arguments: argparse.Namespace) -> None:
    """Replace this process with the emulator."""
    board = RP2_BOARDS[NAME]
    rom = _find_rom(arguments.rom)
    node = find_program("node")
    command = [node, str(MAIN), str(rom), str(arguments.flash), str(board.flash_kib * 1024)]
    os.execve(node, command, {**os.environ, "RP2040JS": str(install())})


def _find_rom(path: Path | None) -> Path:
    """Return the boot ROM. Raises FirmwareError."""
    data = os.environ.get("COLDLOOP_DATA", "")
    found = path or (Path(data) / NAME / "bootrom_b1.bin" if data else None)
    if found is None or not found.is_file() or found.stat().st_size != _ROM_BYTES:
        raise FirmwareError("--rom: no boot ROM of an RP2040 (16384 bytes); see the documentation")
    return found
