# SPDX-License-Identifier: Apache-2.0
"""`coldloop firmware build`: build an image for a board."""

import argparse
import json
from pathlib import Path

from deploy.firmware import unix_float32
from deploy.firmware.board_image import build
from deploy.firmware.boards import QEMU_BOARDS
from deploy.firmware.config_file import read_config
from deploy.firmware.memory_layout import read_header
from deploy.firmware.rp2.build import RP2_BOARDS, Rp2Options, build_uf2
from deploy.firmware.rp2.flash_life import log_life_years
from deploy.firmware.supervisor.release_keys import add_arguments, read_signing
from drivers.tools.terminal.activity_line import ActivityLine

EXAMPLE = "coldloop firmware build --board qemu-mps2 --out out/firmware"
BOARDS = (*QEMU_BOARDS, *RP2_BOARDS, unix_float32.NAME)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--board", choices=BOARDS, default="qemu-mps2")
    parser.add_argument("--out", type=Path, default=Path("out/firmware"), metavar="DIR")
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="configuration in the application"
    )
    parser.add_argument(
        "--release", type=int, default=1, metavar="N", help="number of the release (1)"
    )
    add_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON record")


def run(arguments: argparse.Namespace) -> int:
    """Build the image; print sizes and hashes."""
    with ActivityLine(f"builds the image for {arguments.board}"):
        record = _build(arguments)
    if arguments.json:
        print(json.dumps(record))
    else:
        for key, value in record.items():
            print(f"{key:16} {value}")
    return 0


def _build(arguments: argparse.Namespace) -> dict[str, object]:
    config = None if arguments.config is None else read_config(arguments.config)
    record: dict[str, object]
    if arguments.board == unix_float32.NAME:
        record = {"board": unix_float32.NAME, "interpreter": str(unix_float32.build_unix_f32())}
    elif arguments.board in RP2_BOARDS:
        record = build_uf2(
            RP2_BOARDS[arguments.board],
            arguments.out,
            Rp2Options(config, arguments.release, read_signing(arguments)),
        )
        if config is not None and "log" in json.loads(config):
            years = log_life_years(RP2_BOARDS[arguments.board], json.loads(config)["log"])
            record["log_life_years"] = round(years, 1)
    else:
        board = QEMU_BOARDS[arguments.board]
        signing = read_signing(arguments)
        image = build(board, arguments.out, config, arguments.release, signing=signing)
        length, release, digest, _ = read_header(image.app.read_bytes())
        record = {
            "board": board.name,
            "firmware": str(image.firmware),
            "app": str(image.app),
            "app_bytes": length,
            "release": release,
            "app_sha256": digest,
        }
    return record
