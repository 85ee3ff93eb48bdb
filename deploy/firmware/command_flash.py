# SPDX-License-Identifier: Apache-2.0
"""`coldloop firmware flash`: write an image and a configuration to a board.

Not tested on a board. The steps are those of mpremote and of the boot loaders.
"""

import argparse
import json
from pathlib import Path

from deploy.firmware.config_file import read_config
from deploy.firmware.flash import copy_uf2, provision

EXAMPLE = "coldloop firmware flash --uf2 firmware.uf2 --drive /media/me/RP2350 --config unit.json"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("--uf2", type=Path, metavar="FILE", help="image for the boot loader")
    parser.add_argument("--drive", type=Path, metavar="DIR", help="drive of the boot loader")
    parser.add_argument(
        "--port", default="auto", metavar="PORT", help="serial port of the board (auto)"
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration of the unit")
    parser.add_argument("--json", action="store_true", help="print one JSON record")


def run(arguments: argparse.Namespace) -> int:
    """Copy the image, write the configuration, verify it, print the identity of the board."""
    config = None if arguments.config is None else read_config(arguments.config)
    if arguments.uf2 is not None:
        copy_uf2(arguments.uf2, arguments.drive)
    lines = list[str]()
    if config is not None or arguments.uf2 is None:
        for line in provision(arguments.port, config):
            lines.append(line)
            if not arguments.json:
                print(line)
    if arguments.json:
        image = None if arguments.uf2 is None else str(arguments.uf2)
        print(json.dumps({"image": image, "configured": config is not None, "lines": lines}))
    return 0
