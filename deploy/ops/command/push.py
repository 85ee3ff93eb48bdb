# SPDX-License-Identifier: Apache-2.0
"""`coldloop config push`: send a signed change to one unit or many, canaries first.

Ctrl-C (SIGINT) stops the rollout: the command sends no new change and rolls back each unconfirmed
trial. SIGUSR1 pauses and resumes it: units in progress continue, no new unit starts.

With `--dry-run` nothing is sent: the change is tried on each different configuration of the units,
with emulated twins in virtual time (`deploy.ops.unit_config.dry_run`).

With `--group` the operator signs one message for all units of a group, with any base. This is for a
key in a token and for carriers that reach many units with one message. The published configuration
of a unit names its groups. A unit outside the group rejects the message (wrong_target).
"""

import argparse
import contextlib
import fnmatch
import json
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from agent.config.validate import is_valid_name
from deploy.errors import OpsError
from deploy.ops import change_parser, messages
from deploy.ops.arguments import (
    COMMAND,
    DESIRED,
    REPORTED,
    add_broker,
    add_keys,
    add_time,
    add_times,
    load_keys,
    message_times,
    open_enrolled,
    open_ledger,
    open_session,
)
from deploy.ops.keys import Key
from deploy.ops.mqtt_session import BrokerSession
from deploy.ops.rollout import CONFIRMED, Plan, Rollout, RolloutUnit
from deploy.ops.unit_config.archive import MAX_ENTRIES, ConfigArchive
from deploy.ops.unit_config.dry_run import print_dry_run
from deploy.ops.unit_config.published import collect_configs, list_differences
from deploy.ops.unit_report import UnitReport
from deploy.relay.terminal_text import printable

_WILD = frozenset("*?[")
_PATTERN = re.compile(r"[a-z0-9_*?\[\]!-]+/[a-z0-9_*?\[\]!-]+")
EXAMPLE = (
    "coldloop config push 'riyadh-2/*' control.supply.setpoint_c=32.5 "
    "--broker tcp:broker:1883 --key alice.key --canary 5"
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "units",
        metavar="SITE/UNIT",
        help="a unit, or a pattern such as 'site/*'; not with --group",
    )
    parser.add_argument("changes", metavar="PATH=VALUE", nargs="*", help="the changes")
    parser.add_argument(
        "--archived",
        type=_parse_count,
        metavar="N",
        help="instead of changes: the values of one unit before its last N changes from here",
    )
    parser.add_argument("--yes", action="store_true", help="with --archived: do not ask")
    parser.add_argument("--group", metavar="NAME", help="send one message to the units of a group")
    add_broker(parser)
    add_keys(parser, required=False)
    add_times(parser)
    for name, default, about in (
        ("--canary", 100 * Plan.canary, "share that goes first (5)"),
        ("--failures", 100 * Plan.max_failures, "share that may fail before all is stopped (10)"),
    ):
        parser.add_argument(name, type=float, default=default, metavar="PERCENT", help=about)
    parser.add_argument(
        "--wave", type=int, default=Plan.wave, metavar="N", help="maximum in progress (50)"
    )
    add_time(parser, "--listen", 5, "time for the reports of the units (5s)")
    add_time(parser, "--answer", Plan.answer_s, "wait so long for a report (10m)")
    add_time(parser, "--trial", Plan.trial_s, "longest trial of a unit (1h)")
    parser.add_argument(
        "--no-confirm", action="store_true", help="leave it on trial; an operator confirms it"
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="send nothing: try the change on emulated twins"
    )
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Run the rollout and print the outcome; return 0 if each unit has confirmed."""
    pattern, change_texts = arguments.units, list(arguments.changes)
    if arguments.group is not None and "=" in pattern:
        pattern, change_texts = "*", [pattern, *change_texts]
    _check_names(pattern, arguments.group)
    requested: list[change_parser.Change] = []
    if arguments.archived is None:
        requested = change_parser.parse(change_texts)
    elif change_texts or _WILD.intersection(pattern):
        raise OpsError("--archived: name one unit, and no PATH=VALUE")
    if not arguments.key and not arguments.dry_run:
        raise OpsError("--key is needed to send a change")
    keys = [] if arguments.dry_run else load_keys(arguments)
    with open_session(arguments) as session:
        units = _find_units(session, pattern, arguments.listen)
        configs = collect_configs(session, units, arguments.listen)
        if arguments.group is not None:
            units = _filter_by_group(units, configs, arguments.group)
        archive = ConfigArchive(open_ledger().path.parent / "configurations")
        if arguments.archived is not None:
            requested = _find_archived(archive, pattern, units, configs, arguments.archived)
            if not (arguments.dry_run or arguments.yes or _confirm()):
                raise OpsError("not sent; --yes sends without the question")
        if arguments.dry_run:
            return print_dry_run(sorted(units), configs, requested, arguments.json)
        for name in units:
            if name in configs:
                archive.add(name, units[name].base_hash, configs[name])
        rollout = _make_rollout(arguments, requested, keys, units)
        started_at = time.monotonic()
        sent = run_rollout(rollout, session, progress=sys.stderr.isatty())
    outcome = {
        "units": len(units),
        "states": rollout.count_states(),
        "aborted": rollout.aborted,
        "failed": {u.name: u.reason for u in rollout.units.values() if u.reason},
        "messages": sent,
        "seconds": round(time.monotonic() - started_at, 1),
    }
    print(json.dumps(outcome) if arguments.json else _format_outcome(outcome))
    success_state = CONFIRMED if not arguments.no_confirm else "trial"
    return 0 if rollout.count_states().get(success_state, 0) == len(units) else 1


def _parse_count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_ENTRIES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MAX_ENTRIES}")
    return int(text)


def _confirm() -> bool:
    """Ask on the terminal; without one the answer is no."""
    if not sys.stdin.isatty():
        return False
    print("send this change? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _find_archived(
    archive: ConfigArchive,
    unit: str,
    units: dict[str, UnitReport],
    configs: dict[str, dict[str, Any]],
    back: int,
) -> list[change_parser.Change]:
    """Return the changes that bring an older configuration back, and print them."""
    if unit not in configs:
        raise OpsError(f"{unit}: no configuration published; check its section remote")
    earlier = archive.earlier(unit, units[unit].base_hash, back)
    different = list_differences(configs[unit], earlier)
    if not different:
        raise OpsError(f"{unit}: has the values of that configuration already")
    for row in different:
        text = f"{row.path}: {json.dumps(row.first)} -> {json.dumps(row.second)}"
        print(printable(text), file=sys.stderr)
    return change_parser.from_values([(row.path, row.second) for row in different])


def _check_names(pattern: str, group: str | None) -> None:
    """Refuse what is no name and no pattern: it would be a pattern of topics, or a line."""
    if pattern != "*" and not _PATTERN.fullmatch(pattern):
        raise OpsError(f"{pattern!r} is not a unit or a pattern; write SITE/UNIT or 'site/*'")
    if group is not None and not is_valid_name(group):
        raise OpsError(f"{group!r} is not the name of a group")


def _find_units(session: BrokerSession, pattern: str, seconds: float) -> dict[str, UnitReport]:
    """Return the units that match and report; a name ends the wait at its report."""
    is_name = not _WILD.intersection(pattern)
    session.subscribe(f"{pattern}/{REPORTED}" if is_name else f"+/+/{REPORTED}")
    reports: dict[str, UnitReport] = {}
    parser = _ReportParser()
    end = time.monotonic() + seconds
    while time.monotonic() < end and not (is_name and reports):
        for topic, payload in session.messages(0.2):
            name = topic.removesuffix(f"/{REPORTED}")
            if payload and fnmatch.fnmatchcase(name, pattern):
                report = parser.parse(name, payload)
                if report is not None:
                    reports[name] = report
    if not reports:
        raise OpsError(f"{pattern}: no report of such a unit within {seconds} s")
    return reports


class _ReportParser:
    """Parses reports, and prints the first fault of each unit."""

    def __init__(self) -> None:
        self._printed: set[str] = set()
        self._enrolled = open_enrolled()

    def parse(self, name: str, payload: bytes) -> UnitReport | None:
        """Parse a report. One that is malformed or not believed is ignored: no answer."""
        try:
            return self._enrolled.read(name, payload)
        except OpsError as error:
            if name not in self._printed:
                self._printed.add(name)
                print(printable(f"{name}: {error}"), file=sys.stderr)
            return None


def _filter_by_group(
    units: dict[str, UnitReport], configs: dict[str, dict[str, Any]], group: str
) -> dict[str, UnitReport]:
    """Return the units of the group by their published configurations."""
    members = {name: units[name] for name, raw in configs.items() if group in _read_groups(raw)}
    if not members:
        raise OpsError(
            f"group {group}: none of {len(units)} units belongs to it; see `config diff`"
        )
    return members


def _read_groups(raw: dict[str, Any]) -> list[str]:
    section = raw.get("remote")
    groups = section.get("groups") if isinstance(section, dict) else None
    return groups if isinstance(groups, list) else []


def _patch_factory(
    arguments: argparse.Namespace,
    requested: list[change_parser.Change],
    keys: list[Key],
    units: dict[str, UnitReport],
) -> Callable[[str, UnitReport], tuple[int, bytes]]:
    """Return the function that makes the patch of a unit; a group shares one signed patch."""
    times, ledger = message_times(arguments), open_ledger()
    if arguments.group is None:
        return lambda name, base: messages.sign_patch(
            name, base, requested, keys, message_times(arguments), ledger
        )
    plausible, refused = messages.plausible_members(units, times.now_s)
    group_patch = messages.sign_group_patch(
        arguments.group, plausible, requested, keys, times, ledger
    )

    def patch_of(name: str, _base: UnitReport) -> tuple[int, bytes]:
        if name in refused:
            raise OpsError(refused[name])
        return group_patch

    return patch_of


def _make_rollout(
    arguments: argparse.Namespace,
    requested: list[change_parser.Change],
    keys: list[Key],
    units: dict[str, UnitReport],
) -> Rollout:
    ledger = open_ledger()

    def sign_command(name: str, base: UnitReport, word: str, counter: int) -> bytes:
        when = messages.MessageTimes(int(time.time()), arguments.expires)
        named = [("counter", counter)]
        return messages.sign_command(name, base, word, named, keys, when, ledger)[1]

    plan = Plan(
        arguments.canary / 100,
        arguments.failures / 100,
        arguments.wave,
        arguments.answer,
        arguments.trial,
        not arguments.no_confirm,
        arguments.after,
    )
    return Rollout(
        plan,
        {name: RolloutUnit(name, report=units[name]) for name in sorted(units)},
        _patch_factory(arguments, requested, keys, units),
        lambda name, base, counter: sign_command(name, base, "confirm", counter),
        lambda name, base, counter: sign_command(name, base, "rollback", counter),
    )


def run_rollout(rollout: Rollout, session: BrokerSession, progress: bool = False) -> int:
    """Run the rollout until it is done; return the number of messages."""
    sent, parser = 0, _ReportParser()
    with _handle_signals(rollout):
        while not rollout.is_done() or rollout.outbox:
            for topic, payload in session.messages(0.05):
                name = topic.removesuffix(f"/{REPORTED}")
                is_report = payload and name in rollout.units and name != topic
                report = parser.parse(name, payload) if is_report else None
                if report is not None:
                    rollout.report(name, report, time.monotonic())
            rollout.tick(time.monotonic())
            for name, kind, message in rollout.outbox:
                topic = COMMAND if kind == "command" else DESIRED
                session.publish_async(f"{name}/{topic}", message, retain=kind != "command")
                sent += 1
            rollout.outbox.clear()
            if progress:
                pause = " (pause)" if rollout.paused else ""
                print(f"\r{rollout.count_states()}{pause}", end="", file=sys.stderr, flush=True)
    return sent


@contextlib.contextmanager
def _handle_signals(rollout: Rollout) -> Iterator[None]:
    """Stop the rollout on SIGINT; pause and resume it on SIGUSR1."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(_number: int, _frame: object) -> None:
        if not rollout.aborted:
            rollout.abort("stopped by the operator")

    def pause(_number: int, _frame: object) -> None:
        rollout.toggle_pause()

    previous_handlers = [
        (n, signal.signal(n, f)) for n, f in ((signal.SIGINT, stop), (signal.SIGUSR1, pause))
    ]
    try:
        yield
    finally:
        for number, handler in previous_handlers:
            signal.signal(number, handler)


def _format_outcome(outcome: dict[str, object]) -> str:
    lines = [f"{outcome['units']} units: {outcome['states']}, {outcome['messages']} messages"]
    if outcome["aborted"]:
        lines.append(f"stopped: {outcome['aborted']}")
    failed = outcome["failed"]
    if isinstance(failed, dict):
        lines += [f"{name}: {reason}" for name, reason in failed.items()]
    return "\n".join(map(printable, lines))
