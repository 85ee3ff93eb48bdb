# SPDX-License-Identifier: Apache-2.0
"""`coldloop config rollout`: list, show, pause, resume or abort a rollout of `config push`.

    list        the rollouts of this user, the newest first
    show ID     the states of its units
    pause ID    units in progress continue, no new unit starts
    resume ID   ends a pause; continues a rollout whose process has died (--broker, --key)
    abort ID    no new change; rolls back each unconfirmed trial (--broker, --key if it has died)

Does not sign a change that was sent before: its message is in the journal.
"""

import argparse
import contextlib
import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.errors import OpsError
from deploy.ops.arguments import add_broker, add_keys, add_time, load_keys, open_session
from deploy.ops.fleet.rollout.driver import (
    abort_rollout,
    collect_reports,
    format_outcome,
    make_rollout,
    outcome_of,
    rollouts_folder,
    run_rollout,
)
from deploy.ops.fleet.rollout.journal import (
    JournalContent,
    RolloutJournal,
    has_running_process,
    read_journal,
    send_request,
    wants_abort,
)
from deploy.ops.fleet.rollout.state import CONFIRMED, TRIAL, WAITING
from deploy.ops.keys import Key
from deploy.ops.mqtt_session import BrokerSession
from deploy.ops.report.unit_report import UnitReport
from deploy.relay.terminal_text import printable
from protocols.signed_message import PATCH

EXAMPLE = "coldloop config rollout resume 20261128T101500-3fa2 --broker tcp:broker:1883 --key a.key"
_MAX_NAMED_UNITS = 10
"""Units that a message names, at most."""
_ACTIONS = ("list", "show", "pause", "resume", "abort")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("action", choices=_ACTIONS, help="see above")
    parser.add_argument("id", metavar="ID", nargs="?", help="of the rollout; not with list")
    add_broker(parser, required=False)
    add_keys(parser, required=False)
    parser.add_argument(
        "--force",
        action="store_true",
        help="with other keys than before; for resume also over a newer change of a unit",
    )
    add_time(parser, "--listen", 5, "time for the reports of the units (5s)")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Do the action; return 0 if it is done, for resume if each unit has confirmed."""
    folder, name = rollouts_folder(), arguments.id
    if (arguments.action == "list") == (name is not None):
        raise OpsError(f"config rollout {arguments.action}: name one rollout, none for list")
    if arguments.action == "list":
        return _list(folder, arguments.json)
    content = read_journal(folder, name)
    if arguments.action == "show":
        return _show(name, content, arguments.json)
    if content.ended is not None:
        raise OpsError(f"{name}: has ended: {content.ended}")
    if has_running_process(folder, name):
        send_request(folder, name, arguments.action)
        print(f"{name}: its process was asked to {arguments.action}", file=sys.stderr)
        return 0
    if arguments.action == "pause":
        raise OpsError(f"{name}: its process has died: it is paused already")
    return _continue(arguments, folder, name)


def _list(folder: Path, as_json: bool) -> int:
    rows = []
    for path in sorted(folder.glob("*.jsonl"), reverse=True):
        try:
            row = _summary(path.stem, read_journal(folder, path.stem))
            row["state"] = row["state"] or (
                "runs" if has_running_process(folder, path.stem) else "died"
            )
        except OpsError as error:
            row = {"rollout": path.stem, "units": 0, "state": str(error), "states": {}}
        rows.append(row)
    if as_json:
        print(json.dumps(rows))
    else:
        for row in rows:
            line = f"{row['rollout']}  {row['state']}  {row['units']} units: {row['states']}"
            print(printable(line))
    return 0


def _summary(name: str, content: JournalContent) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for entry in content.units.values():
        counts[entry.state] = counts.get(entry.state, 0) + 1
    state = "ended" if content.ended is not None else ""
    return {"rollout": name, "units": len(content.units), "state": state, "states": counts}


def _show(name: str, content: JournalContent, as_json: bool) -> int:
    summary = _summary(name, content)
    summary["paused"], summary["aborted"] = content.paused, content.abort_reason
    rows = [
        {"unit": unit, "cohort": number, "state": content.units[unit].state}
        | {"reason": content.units[unit].reason}
        for number, names in enumerate(content.settings.cohorts, 1)
        for unit in names
    ]
    if as_json:
        print(json.dumps({**summary, "rows": rows}))
        return 0
    print(f"{name}: {summary['units']} units: {summary['states']}")
    for row in rows:
        line = f"{row['cohort']}  {row['unit']}  {row['state']}  {row['reason']}"
        print(printable(line.rstrip()))
    return 0


def _continue(arguments: argparse.Namespace, folder: Path, name: str) -> int:
    """Continue a rollout whose process has died."""
    if arguments.broker is None or not arguments.key:
        raise OpsError(f"{name}: its process has died: --broker and --key continue it")
    keys = load_keys(arguments)
    with contextlib.closing(RolloutJournal(folder, name)) as journal:
        return _run_process(arguments, folder, journal, keys)


def _run_process(
    arguments: argparse.Namespace, folder: Path, journal: RolloutJournal, keys: list[Key]
) -> int:
    name = journal.name
    if arguments.action == "resume" and wants_abort(journal.path):
        raise OpsError(f"{name}: an abort was asked for: `config rollout abort {name}` does it")
    journal.take_request()
    content = replace(read_journal(folder, name), paused=False)
    if not arguments.force:
        _check_signers(name, content, keys)
    if arguments.action == "abort":
        send_request(folder, name, "abort")  # it stays if no unit reports now
    with open_session(arguments) as session:
        units = _collect_reports(session, content, arguments.listen)
        if arguments.action == "resume" and not content.abort_reason:
            content = _check_newer(name, content, units, arguments.force)
        started_at = time.monotonic()
        rollout = make_rollout(content.settings, keys, units, content)
        if arguments.action == "abort":
            abort_rollout(rollout, journal)
        sent = run_rollout(rollout, session, journal, progress=sys.stderr.isatty())
    outcome = outcome_of(rollout, name, sent, started_at)
    print(json.dumps(outcome) if arguments.json else format_outcome(outcome))
    if arguments.action == "abort":
        return 0
    wanted = CONFIRMED if rollout.plan.confirm else TRIAL
    return 0 if rollout.count_states().get(wanted, 0) == len(rollout.units) else 1


def _check_signers(name: str, content: JournalContent, keys: list[Key]) -> None:
    """Raise `OpsError` if other keys sign than before: units that have the change refuse them."""
    expected, given = set(content.settings.signers), {key.public for key in keys}
    if expected and given != expected:
        raise OpsError(
            f"{name}: was signed with {len(expected)} keys, public "
            f"{', '.join(sorted(public[:16] for public in expected))}; --key names "
            f"{', '.join(sorted(public[:16] for public in given))}. Use the same keys, or --force "
            "if the units trust these"
        )


def _check_newer(
    name: str, content: JournalContent, units: dict[str, UnitReport], is_forced: bool
) -> JournalContent:
    """Raise `OpsError` if a waiting unit has a newer change; with `is_forced` it is overwritten."""
    settings = content.settings
    if is_forced:
        return replace(content, settings=replace(settings, newest_counters={}))
    changed = [
        unit
        for unit, report in sorted(units.items())
        if content.units[unit].state == WAITING
        and unit in settings.newest_counters
        and report.counters[PATCH - 1] > settings.newest_counters[unit]
    ]
    if changed:
        raise OpsError(
            f"{name}: {len(changed)} waiting units have a newer change than this rollout: "
            f"{', '.join(changed[:_MAX_NAMED_UNITS])}. `config rollout abort` ends it; "
            "`resume --force` overwrites their change"
        )
    return content


def _collect_reports(
    session: BrokerSession, content: JournalContent, seconds: float
) -> dict[str, UnitReport]:
    """Return the retained reports of the units of a rollout."""
    names = content.units
    pattern = next(iter(names)) if len(names) == 1 else "*"
    reports = collect_reports(session, pattern, names.__contains__, len(names), seconds)
    if not reports:
        raise OpsError(f"no report of a unit of this rollout within {seconds} s")
    return reports
