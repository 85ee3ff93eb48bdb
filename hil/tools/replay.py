# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil replay`: feed a capture to the controller and compare its operations.

`--keep` stores the capture as a regression test; the tests replay all captures in that folder. If a
capture has inputs only, the operations of the present code are added.
"""

import argparse
import json

from agent.port_numbers import FIRST_BUS
from hil.errors import BenchError
from hil.io.register_trace import CaptureLine, ReplayedRegisters, find_difference
from hil.run.capture import CapturePlayer, RunCapture, compare_outputs, load
from hil.run.recorded import DUTS
from hil.tools.arguments import path_argument

EXAMPLE = "coldloop hil replay field.jsonl --keep tests/captures"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "capture", type=path_argument, metavar="FILE", help="a capture of `hil run --capture`"
    )
    parser.add_argument("--dut", choices=tuple(DUTS), default="cpython")
    parser.add_argument(
        "--counts",
        type=int,
        metavar="N",
        help="compare only register writes, with a tolerance of N counts",
    )
    parser.add_argument(
        "--keep",
        type=path_argument,
        metavar="DIR",
        help="store it in this folder as a regression test",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON record")


def run(arguments: argparse.Namespace) -> int:
    """Replay the capture; exit 1 if the operations differ."""
    capture = load(arguments.capture)
    captured = capture.outputs
    counts = arguments.counts
    registers = ReplayedRegisters(captured, FIRST_BUS, counts) if counts else None
    replayed = CapturePlayer(capture, DUTS[arguments.dut], registers).play()
    if not captured:
        difference_text = None
    elif counts is not None:
        difference_text = find_difference(captured, replayed, FIRST_BUS, counts)
    else:
        difference_text = compare_outputs(captured, replayed)
    if arguments.keep is not None and difference_text is None:
        _store_capture(capture, replayed, arguments)
    if arguments.json:
        print(
            json.dumps(
                {"captured": len(captured), "now": len(replayed), "difference": difference_text}
            )
        )
    else:
        print(
            f"{'FAIL' if difference_text else 'PASS'}  {len(captured)} operations captured, "
            f"{len(replayed)} now"
        )
        if difference_text:
            print(f"  {difference_text}")
    return 1 if difference_text else 0


def _store_capture(
    capture: RunCapture, replayed: list[CaptureLine], arguments: argparse.Namespace
) -> None:
    """Write the capture with its operations into the folder of the tests."""
    lines = sorted(capture.inputs + replayed, key=lambda line: line[0])
    completed = capture if capture.outputs else RunCapture(capture.config, lines, capture.note)
    try:
        arguments.keep.mkdir(parents=True, exist_ok=True)
        (arguments.keep / arguments.capture.name).write_text(completed.to_text(), encoding="utf-8")
    except OSError as error:
        raise BenchError(f"{arguments.keep}: {error.strerror}") from None
