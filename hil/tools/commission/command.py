# SPDX-License-Identifier: Apache-2.0
"""`coldloop commission`: a guided dialogue from a port to a signed report.

Does not contain the steps. After each step the result is in the journal. A later call continues
after the last complete step; `--from STEP` repeats a step and those after it.
"""

import argparse
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.config.tested_devices import COMPLETE
from drivers.errors import DriverError
from drivers.tools.lib.parser import Parser
from drivers.tools.modbus_scan import add_scan
from drivers.tools.terminal.end_signals import raise_on_end_signals
from hil.errors import BenchError
from hil.record.bench_key import is_valid_signature, load_key
from hil.record.label import escape_text
from hil.record.provenance import VERDICT_TEXTS
from hil.record.record import worst_verdict
from hil.run.recorded import RecordedRun
from hil.run.unit.unit_file import UnitFile, load_unit
from hil.scenario.judge import FAIL, INCOMPLETE, MARGINAL, PASS
from hil.tools.arguments import label_argument
from hil.tools.commission.acceptance import move_away, run_real, run_twins
from hil.tools.commission.device_access import DeviceAccess, find_other_devices
from hil.tools.commission.device_description import DEFAULT_MODEL
from hil.tools.commission.findings import (
    gauge_problems,
    live_problems,
    value_problems,
    write_problems,
)
from hil.tools.commission.inputs.argument_values import (
    check_name,
    check_profile_name,
    check_range,
    parse_gauges,
    parse_profiles,
)
from hil.tools.commission.inputs.dialogue import Dialogue
from hil.tools.commission.inputs.given_arguments import (
    check_done_steps,
    given_names,
    keep_arguments,
    keep_earlier,
    permissions,
    step_arguments,
    take_from_journal,
)
from hil.tools.commission.inputs.step_basis import StepBasis
from hil.tools.commission.outputs.endpoint_lock import PortLocks
from hil.tools.commission.outputs.journal import Journal, lock_folder
from hil.tools.commission.outputs.output_guard import (
    AgentGuard,
    Device,
    OutputGuard,
    restore_and_say,
    say_error,
)
from hil.tools.commission.outputs.output_record import add_outputs
from hil.tools.commission.outputs.site_journals import (
    configured_devices,
    is_among,
    run_journals,
    unit_devices,
)
from hil.tools.commission.steps import Commissioning
from hil.tools.commission.table_profile import make_profile, read_text
from hil.tools.commission.tuning.loop_tuning import tune_problems
from hil.tools.commission.unit_draft import MODES, SETPOINT_C, SETPOINT_KPA
from protocols.errors import ProtocolError

EXAMPLE = (
    "coldloop commission tcp:10.0.0.7:502 --units 7 --table registers.csv --dir site --serial SN1"
)
STEPS = (*COMPLETE, "twin-acceptance", "tune", "site-acceptance")


_REPORTS = (
    ("twin-acceptance", "report-twin", "with twins"),
    ("site-acceptance", "report", "on the devices"),
)
"""Step, folder of its report, title of its verdict."""


def make_parser() -> Parser:
    """Return the parser of the command."""
    parser = Parser(
        prog="coldloop commission",
        description="Bring a unit into operation: scan, describe, test, configure, accept, sign.",
        epilog=f"example: {EXAMPLE}",
    )
    parser.add_argument("ports", nargs="*", metavar="PORT", help="ports; without: asks")
    parser.add_argument(
        "--dir",
        type=Path,
        default=Path("site"),
        metavar="DIR",
        help="folder of the site: unit.json, profiles, reports, journal (site)",
    )
    parser.add_argument("--table", type=Path, metavar="FILE", help="register table of the device")
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, metavar="NAME", help="name of its profile"
    )
    parser.add_argument(
        "--profile",
        action="append",
        default=[],
        metavar="UNIT=NAME",
        help="profile of a unit that only resembles a model, such as 20=belimo_valve",
    )
    parser.add_argument(
        "--gauge",
        action="append",
        default=[],
        metavar="POINT=VALUE",
        help="value of a gauge beside a point, such as SupplyTemperatureCelsius=31.8",
    )
    parser.add_argument(
        "--write-test", action="store_true", help="move each output by a small step and back"
    )
    parser.add_argument(
        "--tune", action="store_true", help="tune the loops: a small step of each output, and back"
    )
    parser.add_argument(
        "--mode", choices=MODES, default="auto", help="monitor: the agent controls nothing"
    )
    parser.add_argument("--site", default="site1", metavar="NAME", help="name of the site (site1)")
    parser.add_argument("--name", default="cdu1", metavar="NAME", help="name of the unit (cdu1)")
    parser.add_argument("--setpoint-c", type=float, default=32.0, metavar="X", help="°C (32)")
    parser.add_argument("--setpoint-kpa", type=float, default=80.0, metavar="X", help="kPa (80)")
    parser.add_argument(
        "--real",
        action="store_true",
        help="let the agent control the real devices in the site acceptance",
    )
    parser.add_argument(
        "--seconds", type=int, default=60, metavar="N", help="with --real: of each scenario (60)"
    )
    _add_scan_and_labels(parser)
    return parser


def _optional_label(text: str) -> str:
    """Return a label, or the empty text of an argument that is not given."""
    return label_argument(text) if text else ""


def _add_scan_and_labels(parser: Parser) -> None:
    add_scan(parser.add_argument_group("scan"))  # type: ignore[arg-type]  # has add_argument
    labels = parser.add_argument_group("record and report")
    labels.add_argument(
        "--serial", type=_optional_label, default="", metavar="SN", help="serial number of the unit"
    )
    labels.add_argument(
        "--operator",
        type=_optional_label,
        default="",
        metavar="NAME",
        help="name of the technician",
    )
    labels.add_argument("--key", type=Path, metavar="FILE", help="key file of the bench")
    parser.add_argument("--from", dest="first", choices=STEPS, help="repeat from this step")
    parser.add_argument("--to", dest="last", choices=STEPS, help="stop after this step")
    parser.add_argument("--yes", action="store_true", help="do not ask; accept all proposals")
    parser.add_argument("--json", action="store_true", help="print one JSON object a step")


def commission(argv: list[str]) -> int:
    """Run the command; 0: accepted, 1: not accepted, 2: wrong use or a step that cannot be done."""
    parser = make_parser()
    arguments = parser.parse_args(argv)
    if not 30 <= arguments.seconds <= 3600:
        parser.error(f"--seconds: {arguments.seconds} is outside 30 to 3600")
    raise_on_end_signals()
    try:
        _check_arguments(arguments)
        with lock_folder(arguments.dir), PortLocks() as locks:
            return _run(arguments, given_names(make_parser(), argv), locks)
    except (BenchError, DriverError, ProtocolError) as error:
        lines = str(error).splitlines()
        parser.exit(2, "".join(f"{parser.prog}: {escape_text(line)}\n" for line in lines))
    except KeyboardInterrupt:
        again = shlex.join(["coldloop", "commission", "--dir", str(arguments.dir)])
        permitted = " ".join(permissions(arguments))
        note = f" (give {permitted} again)" if permitted else ""
        parser.exit(130, f"\n{parser.prog}: stopped; `{escape_text(again)}` continues{note}\n")


def _check_arguments(arguments: argparse.Namespace) -> None:
    """Raise BenchError for a value that a later step could not use."""
    parse_gauges(arguments.gauge)
    parse_profiles(arguments.profile)
    check_name("--site", arguments.site)
    check_name("--name", arguments.name)
    check_name("--model", arguments.model)
    check_range("--setpoint-c", arguments.setpoint_c, SETPOINT_C)
    check_range("--setpoint-kpa", arguments.setpoint_kpa, SETPOINT_KPA)
    _check_table(arguments)


def _check_table(arguments: argparse.Namespace) -> None:
    """Check the register table before a port is opened."""
    if arguments.table is not None:
        make_profile(
            read_text(arguments.table), str(arguments.table), arguments.model, "register table"
        )


def _find_failed(journal: Journal) -> str:
    """Return the first step that must be repeated; empty if no step has failed."""
    values, writes = journal.get("values"), journal.get("write-test")
    failed = ""
    if values is not None and (value_problems(values) or gauge_problems(values)):
        failed = "values"
    elif writes is not None and write_problems(writes):
        failed = "write-test"
    elif (journal.get("twin-acceptance") or {}).get("verdict") == FAIL:
        failed = "propose"
    elif tune_problems(journal.get("tune")):
        failed = "tune"
    elif (journal.get("site-acceptance") or {}).get("verdict") == FAIL:
        failed = "site-acceptance"
    return failed


def _forget_failed(journal: Journal, dialogue: Dialogue) -> None:
    """A step that failed is not done: forget it and those after it."""
    failed = _find_failed(journal)
    if failed:
        dialogue.say(f"step `{failed}` has failed before: it is repeated, and those after it")
        journal.forget(list(STEPS[STEPS.index(failed) :]))


def _forget_after_gap(journal: Journal, dialogue: Dialogue) -> None:
    """A step that is missing is repeated, and so are those after it: they follow from it."""
    found = journal.steps()
    gap = next((i for i, step in enumerate(found) if STEPS[i : i + 1] != (step,)), None)
    if gap is not None:
        step = STEPS[gap]
        dialogue.say(f"step `{step}` is missing in the journal: it is repeated, and those after it")
        journal.forget(found[gap:])


def _run(arguments: argparse.Namespace, given: set[str], locks: PortLocks) -> int:
    journal = Journal(arguments.dir)
    dialogue = Dialogue(arguments.yes, arguments.json)
    take_from_journal(arguments, given, journal)
    work = Commissioning(arguments, journal, dialogue, locks.lock)
    for unit, name in parse_profiles(arguments.profile).items():
        check_profile_name(name)
        if "units" in given and unit not in arguments.units:
            raise BenchError(f"--profile: the unit {unit} is not among --units")
    if restore_and_say(work.guard) + _restore_runs(work):
        raise BenchError("outputs of an earlier test are not back; no step was done")
    _keep_arguments(arguments, given, journal, dialogue)
    if journal.get("describe") is None:
        _check_table(arguments)
    basis = StepBasis(journal, work.unit_file)
    basis.check()
    _check_seals(arguments, journal)
    _rename_reports(arguments.dir, journal, dialogue)
    functions: dict[str, Any] = {
        **work.steps(),
        "twin-acceptance": lambda: run_twins(work.unit_file, arguments.dir, arguments),
        "site-acceptance": lambda: _accept_on_site(work, arguments, journal, basis),
    }
    try:
        for number, name in enumerate(STEPS, 1):
            head = f"step {number} of {len(STEPS)}, {name}"
            if journal.get(name) is not None:
                dialogue.say(f"{head}: done at {journal.done_at(name)}")
            else:
                dialogue.say(f"{head}:")
                used = step_arguments(name, arguments)
                before = basis.check()
                result = functions[name]()
                journal.put_call(work.answers)
                kept = basis.end(name, before)
                journal.put(name, result, {**used, **_among(used, work.answers)}, kept)
            dialogue.report(name, journal.get(name))
            if name == arguments.last != STEPS[-1]:
                return _end_early(journal, work, dialogue)
    except KeyboardInterrupt:
        with suppress(OSError):  # the terminal is lost
            print(f"\ncoldloop commission: {work.guard.describe()}", file=sys.stderr, end="")
        raise
    except BaseException:
        for problem in work.guard.problems():
            say_error(f"coldloop commission: {problem}; the next call writes them back")
        raise
    return _finish(arguments.dir, journal, dialogue)


def _keep_arguments(
    arguments: argparse.Namespace, given: set[str], journal: Journal, dialogue: Dialogue
) -> None:
    """Store the arguments; forget the steps that are repeated, but not their arguments."""
    keep_earlier(journal)
    if arguments.first is not None:
        journal.forget(list(STEPS[STEPS.index(arguments.first) :]))
    _forget_after_gap(journal, dialogue)
    _forget_failed(journal, dialogue)
    check_done_steps(arguments, given, STEPS, journal)
    for line in keep_arguments(arguments, given, journal):
        dialogue.say(f"  {line}")


def _check_seals(arguments: argparse.Namespace, journal: Journal) -> None:
    """Raise BenchError for a result of another bench, or one that was edited; seal the next ones.

    A seal of the default key counts too: an earlier call can have had no `--key`.
    """
    key = load_key(arguments.key)
    keys = {key.public, load_key(None).public}
    journal.check_seals(lambda seal, text: any(is_valid_signature(k, seal, text) for k in keys))
    journal.seal_with(key.sign)


def _rename_reports(folder: Path, journal: Journal, dialogue: Dialogue) -> None:
    """A report of a step that is repeated is of an earlier configuration: it gets another name."""
    for step, name, _ in _REPORTS:
        if journal.get(step) is None:
            renamed = move_away(folder / name)
            if renamed is not None:
                dialogue.say(f"  the earlier {folder / name} is now {renamed}")


def _among(names: dict[str, Any], answers: dict[str, Any]) -> dict[str, Any]:
    return {name: answer for name, answer in answers.items() if name in names}


def _restore_runs(work: Commissioning) -> list[str]:
    """Return the outputs of an acceptance run in this folder that was interrupted.

    Only a device of this commissioning or of that configuration is written.
    """
    problems: list[str] = []
    for pending in run_journals(work.folder):
        known = [*(work.journal.get("describe") or []), *configured_devices(pending.path)]

        def open_device(device: Device, known: list[Device] = known) -> DeviceAccess:
            if not is_among(device, known):
                raise BenchError("this address is in no configuration of this folder")
            return work.open_device(device)

        guard = OutputGuard(pending, work.dialogue.say, open_device)
        problems += restore_and_say(guard)
    return problems


def _end_early(journal: Journal, work: Commissioning, dialogue: Dialogue) -> int:
    """Return the exit code after `--to STEP`: 1 if a step has failed."""
    if work.guard.problems():
        dialogue.say(work.guard.describe())
    failed = _find_failed(journal)
    if failed:
        dialogue.say(f"step `{failed}` has failed; the next call repeats it")
    return 1 if failed else 0


def _accept_on_site(
    work: Commissioning, arguments: argparse.Namespace, journal: Journal, basis: StepBasis
) -> dict[str, Any]:
    dialogue = work.dialogue
    question = (
        f"let the agent control the real devices, two scenarios of {arguments.seconds} s each?"
    )
    work.check_outputs()
    problems = live_problems(
        *(journal.get(name) for name in ("propose", "values", "write-test")),
        is_asked=not arguments.yes,
    ) + tune_problems(journal.get("tune"))
    for problem in problems:
        dialogue.say(f"  {problem}")
    if problems and (arguments.real or not arguments.yes):
        dialogue.say("  --real: the agent does not control a CDU with these problems")
    is_safe = not problems and not work.guard.problems()
    on_devices = is_safe and (arguments.real or (not arguments.yes and dialogue.confirm(question)))
    unit = load_unit(work.unit_file)
    basis.check_unit(unit)
    if not on_devices:
        return run_real(unit, arguments.dir, arguments, journal, None)
    return _control_devices(work, unit, arguments, journal)


def _control_devices(
    work: Commissioning, unit: UnitFile, arguments: argparse.Namespace, journal: Journal
) -> dict[str, Any]:
    """Let the agent control the devices. Only after a pass the outputs keep its values."""
    agent_guard = AgentGuard(unit, unit_devices(unit), journal.pending, work.open_device)
    is_kept, is_settled = False, False

    def settle(recorded: list[RecordedRun]) -> list[RecordedRun]:
        """Return the outputs if the runs are no pass; add them to the last run."""
        nonlocal is_settled
        others = find_other_devices(journal.get("describe"), work.open_device)
        is_passed = worst_verdict([run.verdict for run in recorded]) in (PASS, MARGINAL)
        is_passed = is_passed and not others
        problems = [] if is_passed else [*others, *restore_and_say(work.guard)]
        is_settled = not is_passed
        outputs = work.guard.outputs_to_keep() if is_passed else work.guard.returned
        last = add_outputs(recorded[-1], outputs, problems, agent_guard.unreadable)
        return [*recorded[:-1], last]

    try:
        agent_guard.keep_all()
        result = run_real(
            *(unit, arguments.dir, arguments, journal),
            *(agent_guard.follow, settle, agent_guard.watch()),
        )
        is_kept = result["verdict"] in (PASS, MARGINAL)
    finally:
        if is_kept:
            work.guard.release_all()
            work.dialogue.say("  the outputs keep the values that the agent gave them")
        elif not is_settled:
            restore_and_say(work.guard)
        agent_guard.end()
    return result


def _finish(folder: Path, journal: Journal, dialogue: Dialogue) -> int:
    """Print both verdicts, with the reports of this folder; return the exit code.

    Raises BenchError for a report that is gone, for example in a copy of the folder.
    """
    verdicts = []
    for step, name, title in _REPORTS:
        result = journal.get(step)
        report = folder / name / Path(result["files"][0]).name
        if not report.is_file():
            raise BenchError(f"{report}: the report is gone; repeat it with `--from {step}`")
        verdicts.append(result["verdict"])
        extent = f" ({result['extent']})" if "extent" in result else ""
        verdict = VERDICT_TEXTS[result["verdict"]]
        dialogue.say(f"{verdict} {title}{extent}: {report}")
        for scenario, lines in result["failures"].items():
            for line in lines:
                dialogue.say(f"  {scenario}: {line}")
        for text in result["open"]:
            dialogue.say(f"  not answered: {text}")
    return 1 if FAIL in verdicts or INCOMPLETE in verdicts else 0
