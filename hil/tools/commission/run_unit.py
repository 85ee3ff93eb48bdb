# SPDX-License-Identifier: Apache-2.0
"""`coldloop hil run acceptance --unit unit.json [--real]`: acceptance of one's own unit.

Does not contain the scenarios; see `hil.run.unit.unit_suite`. Without `--real`, each device of the
configuration is an emulated twin in virtual time. With `--real`, the agent controls the real
devices in real time, and no fault is injected. At the end their outputs return to the values of
before (`hil.tools.commission.outputs.run_guard`).
"""

import argparse
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from agent.config.tested_devices import JOURNAL
from hil.errors import BenchError
from hil.io.progress import ProgressLine
from hil.run.recorded import RecordedRun, record_until_interrupted
from hil.run.unit.record_unit import record_real_unit, record_twin
from hil.run.unit.shown_response import add_responses
from hil.run.unit.twin_loads import SECTION, plan_limits
from hil.run.unit.unit_file import UnitFile, load_unit
from hil.run.unit.unit_suite import build_suite
from hil.scenario.model import Scenario
from hil.scenario.suite import Suite
from hil.tools.commission.findings import step_failures
from hil.tools.commission.outputs.agent_outputs import list_outputs
from hil.tools.commission.outputs.run_guard import returned_outputs
from hil.tools.commission.outputs.site_journals import describe_left

SUITE = "acceptance"
NOT_COMPARED = "outputs not compared with a write test"
"""Part of the title of a run on devices without a journal of their commissioning."""


def add_unit_options(parser: argparse.ArgumentParser) -> None:
    """Add --unit and --seconds."""
    parser.add_argument(
        "--unit",
        type=Path,
        metavar="FILE",
        help="configuration of your own unit: suite `acceptance` with twins, or with --real",
    )
    parser.add_argument(
        "--seconds",
        type=int,
        default=60,
        metavar="N",
        help="with --unit and --real: duration of each scenario, 30 to 3600 (60)",
    )


def run_unit(arguments: argparse.Namespace) -> tuple[Suite, list[RecordedRun]]:
    """Run the suite of a unit, until Ctrl-C. Raises BenchError."""
    if arguments.scenario != SUITE:
        raise BenchError(f"--unit: only the suite `{SUITE}` follows a configuration")
    if any(arguments.real):
        raise BenchError("--unit: --real has no value; the configuration names the ports")
    if not 30 <= arguments.seconds <= 3600:
        raise BenchError(f"--seconds: {arguments.seconds} is outside 30 to 3600")
    is_real = bool(arguments.real)
    _check_options(arguments, is_real)
    try:
        unit = load_unit(arguments.unit)
    except BenchError as error:
        raise BenchError("\n".join([str(error), *describe_left(arguments.unit)])) from None
    suite = _add_extent(build_suite(unit, is_real, arguments.seconds), unit, is_real)
    if not arguments.json:
        _say_what_is_not_tested(unit, is_real)
    if not is_real:
        return suite, _record_all(
            suite, lambda scenario: record_twin(unit, scenario, arguments.seed, arguments.dut)
        )
    with returned_outputs(unit, step_failures, arguments.key) as outputs:
        recorded = _record_all(
            suite,
            lambda scenario: record_real_unit(
                unit, scenario, arguments.log, outputs.follow, outputs.watch()
            ),
        )
    return suite, outputs.add_to(add_responses(unit, recorded))


def _add_extent(suite: Suite, unit: UnitFile, is_real: bool) -> Suite:
    """Return the suite; its title, in the signed record, says what nothing has shown."""
    if not is_real or unit.journal_folders() or not list_outputs(unit):
        return suite
    return replace(suite, title=f"{suite.title}; {NOT_COMPARED}")


def _record_all(suite: Suite, record: Callable[[Scenario], RecordedRun]) -> list[RecordedRun]:
    recorded = []
    with ProgressLine(len(suite.scenarios), "scenarios") as progress:
        for run in record_until_interrupted(suite.scenarios, record):
            recorded.append(run)
            progress.update(len(recorded))
    return recorded


def _check_options(arguments: argparse.Namespace, is_real: bool) -> None:
    """Raise BenchError for an option that a run of a unit would not follow.

    Only `--real` lets the agent control real devices. No other option has this effect.
    """
    if arguments.dut == "qemu" or (is_real and arguments.dut != "cpython"):
        raise BenchError(f"--dut: a run with --unit does not have {arguments.dut}")
    if arguments.real_time and not is_real:
        raise BenchError(
            "--real-time: the twins of --unit run in virtual time; --real alone means the real "
            "devices of the configuration"
        )
    if arguments.capture is not None:
        raise BenchError("--capture: a run with --unit writes no capture")
    if arguments.log is not None and not is_real:
        raise BenchError("--log: with --unit it needs --real")


def _say_what_is_not_tested(unit: UnitFile, is_real: bool) -> None:
    if is_real and not unit.journal_folders():
        print(
            f"not compared here: no {JOURNAL} beside {unit.path}, so nothing shows that these "
            "outputs were tested; `coldloop hil verify --unit` compares it with a report",
            flush=True,
        )
    has_limits = not is_real and bool(plan_limits(unit.loads).loads)
    tested = {SECTION} if has_limits else set()
    tested |= set() if is_real else {"redundancy"}
    sections = [name for name in unit.left_out if name not in tested]
    if sections:
        print(f"not tested here: the sections {', '.join(sections)}", flush=True)
    if not has_limits:
        reason = "real servers keep their power" if is_real else "no load has a Redfish service"
        print(f"not tested here: limits of the loads; {reason}", flush=True)


def repeat_unit_command(arguments: argparse.Namespace) -> str:
    """Return the command line that repeats a run, on the same devices and for the same time."""
    words = ["coldloop", "hil", "run", SUITE, "--unit", str(arguments.unit)]
    if arguments.real:
        return shlex.join([*words, "--real", "--seconds", str(arguments.seconds)])
    return shlex.join([*words, "--seed", str(arguments.seed), "--dut", arguments.dut])
