"""`coldloop hil replay`: feed a capture to the controller, and compare what it does.

`--keep` makes a regression test of the capture: the tests replay every capture in that folder. A
capture with inputs only is completed with what the controller does now.
"""

import argparse
import json
from pathlib import Path

from agent.agent import FIRST_BUS
from hil.errors import BenchError
from hil.io.register_trace import Shown, writes_apart
from hil.run.capture import Capture, Player, difference, load
from hil.run.recorded import DUTS

EXAMPLE = "coldloop hil replay field.jsonl --keep tests/captures"


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("capture", type=Path, metavar="FILE", help="from `hil run --capture`")
    parser.add_argument("--dut", choices=tuple(DUTS), default="cpython")
    parser.add_argument(
        "--counts", type=int, metavar="N", help="compare register writes alone, N counts apart"
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep it as a regression test")
    parser.add_argument("--json", action="store_true", help="print one JSON record")


def run(arguments: argparse.Namespace) -> int:
    """Replay it; exit 1 when the controller does something else than it did."""
    capture = load(arguments.capture)
    there = capture.outputs
    counts = arguments.counts
    shown = Shown(there, FIRST_BUS, counts) if counts else None
    here = Player(capture, DUTS[arguments.dut], shown).play()
    if not there:
        apart = None
    elif counts is not None:
        apart = writes_apart(there, here, FIRST_BUS, counts)
    else:
        apart = difference(there, here)
    if arguments.keep is not None and apart is None:
        _keep(capture, here, arguments)
    if arguments.json:
        print(json.dumps({"captured": len(there), "now": len(here), "difference": apart}))
    else:
        print(f"{'FAIL' if apart else 'PASS'}  {len(there)} operations captured, {len(here)} now")
        if apart:
            print(f"  {apart}")
    return 1 if apart else 0


def _keep(
    capture: Capture, here: list[tuple[int, int, str, bytes]], words: argparse.Namespace
) -> None:
    """Write the capture with its outputs where the tests look."""
    lines = sorted(capture.inputs + here, key=lambda line: line[0])
    whole = capture if capture.outputs else Capture(capture.config, lines, capture.note)
    try:
        words.keep.mkdir(parents=True, exist_ok=True)
        (words.keep / words.capture.name).write_text(whole.text(), encoding="utf-8")
    except OSError as error:
        raise BenchError(f"{words.keep}: {error.strerror}") from None
