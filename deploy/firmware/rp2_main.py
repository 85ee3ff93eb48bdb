# SPDX-License-Identifier: Apache-2.0
"""Start of an RP2350 or RP2040: runs the agent on /unit.json, if the file exists.

Frozen into the image as main.py. The profiles of the configuration lie in /drivers/profiles;
`coldloop firmware flash` writes both. Only the frozen code runs: a folder of the same name on the
file system must not replace it. Not tested on a board.
"""

import os
import sys

import machine  # type: ignore[import-not-found]

CONFIG = "/unit.json"


def start() -> None:
    """Run the agent; without a configuration the board shows its prompt."""
    try:
        os.stat(CONFIG)
    except OSError:
        print("coldloop: no configuration: write one with `coldloop firmware flash`")
        return
    sys.path[:] = [".frozen"]
    from agent.runtime.micropython import RESTARTED, main  # noqa: PLC0415 - after the path is right

    code = main(CONFIG)
    print("coldloop: the agent ended with", code)
    if code == RESTARTED:
        machine.reset()


start()
