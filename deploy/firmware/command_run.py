# SPDX-License-Identifier: Apache-2.0
"""`coldloop firmware run`: run an image under QEMU, its console here, its UARTs on terminals.

QEMU replaces this process, so signals and exit code are those of QEMU.
"""

import argparse
import os
import tempfile
from pathlib import Path

from deploy.errors import FirmwareError
from deploy.firmware.board_image import build
from deploy.firmware.boards import QEMU_BOARDS
from deploy.firmware.config_file import read_config
from deploy.firmware.qemu import command

EXAMPLE = "coldloop firmware run --board qemu-mps2 --config unit.json --uart 1=/dev/ttyUSB0"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--board", choices=tuple(QEMU_BOARDS), default="qemu-mps2")
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration of the unit")
    parser.add_argument(
        "--uart", action="append", default=[], metavar="N=PATH", help="terminal of UART N"
    )
    parser.add_argument("--storage", type=Path, metavar="DIR", help="folder of flash.img")
    parser.add_argument(
        "--shift", type=int, metavar="N", help="an instruction takes 2^N ns; repeatable runs"
    )
    parser.add_argument("--out", type=Path, default=Path("out/firmware"), metavar="DIR")


def run(arguments: argparse.Namespace) -> int:
    """Build the image, then execute QEMU."""
    uarts = dict(_parse_uart(text) for text in arguments.uart)
    config = None if arguments.config is None else read_config(arguments.config)
    image = build(QEMU_BOARDS[arguments.board], arguments.out, config)
    command_line = command(image, uarts, arguments.shift)
    storage = arguments.storage or Path(tempfile.mkdtemp(prefix="coldloop-flash-"))
    storage.mkdir(parents=True, exist_ok=True)
    os.chdir(storage)
    os.execv(command_line[0], command_line)


def _parse_uart(text: str) -> tuple[int, str]:
    number, equals, path = text.partition("=")
    if not (equals and path and number in "1234"):
        raise FirmwareError(f"--uart: {text!r} is not N=PATH with N from 1 to 4")
    return int(number), path
