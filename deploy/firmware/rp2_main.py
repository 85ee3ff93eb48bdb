"""What an RP2350 or RP2040 does after its start-up: run the agent on /unit.json, if it is there.

Frozen into the image as main.py. The register maps that the configuration names lie beside it in
/drivers/profiles; `coldloop firmware flash` puts both there. The code is the frozen one alone: a
folder of the same name on the file system must not hide it. Never run on a board by us.
"""

import os
import sys

import machine  # type: ignore[import-not-found]

CONFIG = "/unit.json"


def start() -> None:
    """Run it; a board without a configuration goes on to its prompt."""
    try:
        os.stat(CONFIG)
    except OSError:
        print("coldloop: no configuration: `coldloop firmware flash` puts one on the board")
        return
    sys.path[:] = [".frozen"]
    from agent.runtime.micropython import RESTARTED, main  # noqa: PLC0415 - after the path is right

    code = main(CONFIG)
    print("coldloop: the agent ended with", code)
    if code == RESTARTED:
        machine.reset()


start()
