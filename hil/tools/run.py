# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil run`: run a scenario or a suite and judge it; `--report` also writes a record.

Runs in virtual time unless `--real-time` is given. Exit 0: all passed, also if marginal. Exit 1: an
expectation failed, or a question has no answer. Exit 130: interrupted; the record has the runs
until then, the last one as failed.
"""

import argparse
import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from hil.errors import INTERRUPTED, BenchError
from hil.io.regular_file import write_output
from hil.record.provenance import SerialCheck
from hil.record.record import worst_verdict
from hil.report.write import Labels, check_report, write_all
from hil.run.answers import open_answers
from hil.run.device_serial import check_serial, require_serial
from hil.run.recorded import (
    DUTS,
    RecordedRun,
    record_real,
    record_until_interrupted,
    record_virtual,
    repeat_command,
)
from hil.scenario.judge import FAIL, INCOMPLETE, MARGINAL, PASS
from hil.scenario.model import Scenario
from hil.scenario.questions import list_denials
from hil.scenario.suite import Suite, resolve
from hil.tools.arguments import add_report_options, label_argument, path_argument
from hil.tools.commission.run_unit import add_unit_options, repeat_unit_command, run_unit

EXAMPLE = "coldloop hil run acceptance --report out/a --answers - --operator Ada"
_REAL_UNIT_S = 60
"""Default of --seconds."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "scenario", metavar="NAME|FILE.toml", help="a name of `hil list`, or a file"
    )
    parser.add_argument(
        "--real-time", action="store_true", help="run in real time over real ports; not with --unit"
    )
    parser.add_argument(
        "--dut", choices=(*DUTS, "qemu"), default="cpython", help="the controller under test"
    )
    parser.add_argument(
        "--seed", type=int, default=1, metavar="N", help="seed of all random numbers (1)"
    )
    parser.add_argument(
        "--real",
        action="append",
        nargs="?",
        const="",
        default=[],
        metavar="NAME=PORT",
        help="replace an emulated device by a real one; needs --real-time; can be repeated. With "
        "--unit without a value: run on the real devices of the configuration",
    )
    add_unit_options(parser)
    parser.set_defaults(seconds=None)
    parser.add_argument("--json", action="store_true", help="print one JSON record")
    parser.add_argument(
        "--log", type=path_argument, metavar="FILE", help="write the output of the agent"
    )
    parser.add_argument(
        "--capture",
        type=path_argument,
        metavar="FILE",
        help="write all inputs and outputs of the controller",
    )
    report = parser.add_argument_group("record and report")
    add_report_options(report)
    report.add_argument(
        "--serial",
        type=label_argument,
        metavar="SN",
        help="serial number; must be that of the CDU",
    )
    report.add_argument(
        "--answers",
        metavar="FILE",
        help="answers to the questions, one a line in their order; - asks on this terminal",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the scenarios; print the results."""
    if arguments.dut == "qemu" and arguments.unit is None:
        arguments.real_time = True  # QEMU runs in real time only
    _set_seconds(arguments)
    arguments.serial, arguments.operator = arguments.serial or "", arguments.operator or ""
    if arguments.report is not None:
        check_report(arguments.report, arguments.key)
    if arguments.unit is not None:
        suite, recorded = run_unit(arguments)
        serial = SerialCheck(arguments.serial)
        if not arguments.json:
            for run_record in recorded:
                _print_run(run_record, repeat_unit_command(arguments))
    else:
        suite, recorded, serial = _run_scenarios(arguments)
    if arguments.report is not None:
        labels = Labels(serial, arguments.operator, arguments.key)
        paths = write_all(suite, recorded, arguments.report, labels)
        if not arguments.json:
            for path in paths:
                print(f"  wrote {path}")
    if arguments.json:
        print(json.dumps(_json_record(suite.name, recorded)))
    if recorded[-1].is_interrupted or len(recorded) < len(suite.scenarios):
        _say_interrupted(recorded, len(suite.scenarios), arguments.report)
        return INTERRUPTED
    verdict = worst_verdict([run_record.verdict for run_record in recorded])
    return 1 if verdict in (FAIL, INCOMPLETE) else 0


def _say_interrupted(recorded: list[RecordedRun], count: int, folder: Path | None) -> None:
    ended = sum(not run_record.is_interrupted for run_record in recorded)
    print(f"interrupted after {ended} of {count} scenarios", file=sys.stderr)
    if folder is not None:
        print(f"`coldloop hil report {shlex.quote(str(folder))}` adds the PDF", file=sys.stderr)


def _set_seconds(arguments: argparse.Namespace) -> None:
    """Set the default of --seconds. Raises BenchError if the run would ignore the option."""
    if arguments.seconds is None:
        arguments.seconds = _REAL_UNIT_S
    elif arguments.unit is None or not arguments.real:
        raise BenchError("--seconds: only a run with --unit and --real has this duration")


def _run_scenarios(
    arguments: argparse.Namespace,
) -> tuple[Suite, list[RecordedRun], SerialCheck]:
    """Run the scenarios of a suite; print each result."""
    suite = resolve(arguments.scenario)
    real_devices = _parse_real(arguments)
    serial = SerialCheck()
    if arguments.serial or arguments.report is not None:
        serial = check_serial(arguments.serial, real_devices)
        require_serial(serial)
    answerer = open_answers(arguments.answers, arguments.operator)
    recorded: list[RecordedRun] = []

    def record(scenario: Scenario) -> RecordedRun:
        return _run_one(scenario, arguments, real_devices)

    for completed in record_until_interrupted(suite.scenarios, record):
        run_record = completed
        if not completed.is_interrupted:
            run_record = replace(completed, answers=answerer.answer_all(completed.scenario))
        if not arguments.json:
            command = (arguments.scenario, arguments.seed, arguments.dut, arguments.real_time)
            _print_run(run_record, repeat_command(*command, arguments.real))
        recorded.append(run_record)
    return suite, recorded, serial


def _parse_real(arguments: argparse.Namespace) -> dict[str, str]:
    real_devices = {}
    for text in arguments.real:
        name, equals, port = text.partition("=")
        if not (name and equals and port):
            raise BenchError(f"--real: {text!r} is not NAME=PORT, such as rpu=serial:/dev/ttyUSB0")
        real_devices[name] = port
    if real_devices and not arguments.real_time:
        raise BenchError("--real: real devices need --real-time")
    return real_devices


def _run_one(
    scenario: Scenario, arguments: argparse.Namespace, real_devices: dict[str, str]
) -> RecordedRun:
    seed, dut = arguments.seed, arguments.dut
    if arguments.real_time:
        recorded = record_real(scenario, seed, dut, real_devices, arguments.log)
    else:
        recorded = record_virtual(scenario, seed, dut, arguments.capture)
    if arguments.log is not None and not arguments.real_time:
        write_output(arguments.log, "\n".join([*recorded.console, ""]))
    return recorded


def _print_run(recorded: RecordedRun, repeat_line: str) -> None:
    run_result = recorded.run_result
    print(
        f"{recorded.verdict.upper()}  {run_result.scenario}  "
        f"seed {run_result.seed}  {run_result.dut}  "
        f"{run_result.virtual_s:.0f} s in {run_result.wall_s:.2f} s, "
        f"{run_result.virtual_s / run_result.wall_s:.0f} x real"
    )
    for failure in (*run_result.failures, *list_denials(recorded.answers)):
        print(f"  {failure}")
    for answer in recorded.answers:
        if answer["answer"] is None:
            print(f"  not answered: {answer['text']}")
    for result in recorded.results:
        if result.near is not None:
            print(f"  marginal: {result.near}")
    if run_result.failures:
        print(f"  again: {repeat_line}")
    sys.stdout.flush()


def _json_record(suite: str, recorded: list[RecordedRun]) -> dict[str, object]:
    records = []
    for run_record in recorded:
        verdict = PASS if run_record.verdict == MARGINAL else run_record.verdict
        records.append({**run_record.run_result.record(), "verdict": verdict})
    if len(records) == 1:
        return records[0]
    return {
        "suite": suite,
        "verdict": worst_verdict([str(record["verdict"]) for record in records]),
        "runs": records,
    }
