# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil replay`: feed a capture to the controller and compare its operations.

`--keep` stores the capture as a regression test; the tests replay all captures in that folder. If a
capture has inputs only, the operations of the present code are added. A capture with operations
that does not end with `stop` was cut. It is not stored, and the verdict is not complete. `--report`
writes a signed record, in which each device is "replayed". Ctrl-C: exit 130, with the comparison
until then.
"""

import argparse
import json
import time

from agent.port_numbers import FIRST_BUS
from hil.errors import INTERRUPTED
from hil.io.register_trace import CaptureLine, ReplayedRegisters, find_difference
from hil.io.regular_file import write_into
from hil.record.provenance import VERDICT_TEXTS, VIRTUAL_TIME, SerialCheck
from hil.report.write import Labels, write_all
from hil.run.capture import NO_PORT, CapturePlayer, RunCapture, compare_outputs, load
from hil.run.provenance_recorder import ProvenanceRecorder
from hil.run.recorded import DUTS
from hil.scenario.judge import FAIL, INCOMPLETE, PASS
from hil.tools.arguments import add_report_options, path_argument
from hil.tools.records.replay_record import build_replay

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
    report = parser.add_argument_group("record and report")
    add_report_options(report)


def run(arguments: argparse.Namespace) -> int:
    """Replay the capture; exit 1 if operations differ, it was cut, or a report has none."""
    started, origin = time.perf_counter(), ProvenanceRecorder(VIRTUAL_TIME, arguments.dut)
    capture = load(arguments.capture)
    captured = capture.outputs
    counts = arguments.counts
    registers = ReplayedRegisters(captured, FIRST_BUS, counts) if counts else None
    player = CapturePlayer(capture, DUTS[arguments.dut], registers)
    is_interrupted = not _play(player)
    replayed = player.outputs
    if is_interrupted:
        captured, replayed = _until(captured, replayed), _until(replayed, replayed)
        arguments.report = None  # a report of a part would be taken for that of the capture
    if not captured:
        difference_text = None
    elif counts is not None:
        difference_text = find_difference(captured, replayed, FIRST_BUS, counts)
    else:
        difference_text = compare_outputs(captured, replayed)
    is_cut = not capture.is_complete and (bool(captured) or not capture.lines)
    is_cut = is_cut or is_interrupted
    if arguments.keep is not None and difference_text is None and not is_cut:
        _store_capture(capture, replayed, arguments)
    verdict = FAIL if difference_text else INCOMPLETE if is_cut else PASS
    if arguments.report is not None:
        wall_s = time.perf_counter() - started
        name, dut = arguments.capture.name, arguments.dut
        suite, recorded = build_replay(capture, name, difference_text, origin, dut, wall_s)
        labels = Labels(SerialCheck(), arguments.operator or "", arguments.key)
        write_all(suite, [recorded], arguments.report, labels)
        verdict = recorded.verdict
    if arguments.json:
        print(
            json.dumps(
                {
                    "captured": len(captured),
                    "now": len(replayed),
                    "difference": difference_text,
                    "complete": not is_cut,
                    "interrupted": is_interrupted,
                }
            )
        )
    else:
        print(f"{VERDICT_TEXTS[verdict]}  {len(captured)} operations captured, {len(replayed)} now")
        if difference_text:
            print(f"  {difference_text}")
        if is_interrupted:
            at_s = replayed[-1][0] / 1e6
            print(f"  interrupted at {at_s:.1f} s of the capture; no report is written")
        elif is_cut:
            print("  the capture does not end with stop: it was cut")
    if is_interrupted:
        return INTERRUPTED
    return 0 if verdict == PASS else 1


def _play(player: CapturePlayer) -> bool:
    """Play a capture; return False for Ctrl-C. Raises KeyboardInterrupt before an operation."""
    try:
        player.play()
    except KeyboardInterrupt:
        if len(_until(player.outputs, player.outputs)) == 0:
            raise
        return False
    return True


def _until(lines: list[CaptureLine], replayed: list[CaptureLine]) -> list[CaptureLine]:
    """Return the lines before the time of the last replayed one, whose step can be unfinished."""
    end_us = replayed[-1][0] if replayed else 0
    return [line for line in lines if line[0] < end_us]


def _store_capture(
    capture: RunCapture, replayed: list[CaptureLine], arguments: argparse.Namespace
) -> None:
    """Write the capture with its operations into the folder of the tests."""
    lines = sorted(capture.inputs + replayed, key=lambda line: line[0])
    if lines and not capture.is_complete:
        lines.append((lines[-1][0], NO_PORT, "stop", b""))
    completed = capture if capture.outputs else RunCapture(capture.config, lines, capture.note)
    write_into(arguments.keep, arguments.capture.name, completed.to_text())
