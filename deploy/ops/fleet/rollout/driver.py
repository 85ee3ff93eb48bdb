# SPDX-License-Identifier: Apache-2.0
"""Drives a rollout: reports in, messages out, each state stored before its message.

Does not decide (see `deploy.ops.fleet.rollout.state`). SIGINT stops the rollout, SIGUSR1 pauses and
resumes it; another process asks with `coldloop config rollout pause|resume|abort`. If this process
dies at any moment, `coldloop config rollout resume` continues: a message that is stored but was
perhaps not sent is sent again only if the report of its unit does not show it.
"""

import contextlib
import functools
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from deploy.errors import LocalError, OpsError
from deploy.ops import change_parser, messages
from deploy.ops.arguments import COMMAND, DESIRED, REPORTED, open_enrolled, open_ledger
from deploy.ops.fleet.rollout.journal import JournalContent, RolloutJournal, RolloutSettings
from deploy.ops.fleet.rollout.state import WAITING, Plan, Rollout, RolloutUnit
from deploy.ops.keys import Key
from deploy.ops.ledger import default_path
from deploy.ops.mqtt_session import BrokerSession
from deploy.ops.report.unit_report import UnitReport
from deploy.ops.unit_config.published import CONFIG, holds_changes
from deploy.relay.terminal_text import printable

_TOGGLE = "toggle"
WILD = frozenset("*?[")
"""Characters of a pattern of units."""


class ReportParser:
    """Parses reports, and prints the first fault of each unit."""

    def __init__(self) -> None:
        self._printed: set[str] = set()
        self._enrolled = open_enrolled()

    def parse(self, name: str, payload: bytes) -> UnitReport | None:
        """Parse a report. One that is malformed or not accepted is ignored: no answer."""
        try:
            return self._enrolled.read(name, payload)
        except LocalError:
            raise
        except OpsError as error:
            if name not in self._printed:
                self._printed.add(name)
                print(printable(f"{name}: {error}"), file=sys.stderr)
            return None


def collect_reports(
    session: BrokerSession,
    pattern: str,
    is_wanted: Callable[[str], bool],
    count: int,
    seconds: float,
) -> dict[str, UnitReport]:
    """Return the retained reports of the wanted units, at most `count` of them.

    `pattern`: a unit, or more than one. Waits at most `seconds`.
    """
    is_name = not WILD.intersection(pattern)
    session.subscribe(f"{pattern}/{REPORTED}" if is_name else f"+/+/{REPORTED}")
    reports: dict[str, UnitReport] = {}
    parser = ReportParser()
    end = time.monotonic() + seconds
    while time.monotonic() < end and len(reports) < count:
        for topic, payload in session.messages(0.2):
            name = topic.removesuffix(f"/{REPORTED}")
            if payload and is_wanted(name):
                report = parser.parse(name, payload)
                if report is not None:
                    reports[name] = report
    return reports


def rollouts_folder() -> Path:
    """Return the folder of the journals of this user, beside the ledger."""
    return default_path().parent / "rollouts"


def make_rollout(
    settings: RolloutSettings,
    keys: list[Key],
    units: dict[str, UnitReport],
    content: JournalContent,
) -> Rollout:
    """Return the rollout of a journal. `units`: the reports that are known already."""
    ledger = open_ledger()

    def sign_command(name: str, base: UnitReport, word: str, counter: int) -> bytes:
        when = messages.MessageTimes(int(time.time()), settings.expires_s)
        named: list[tuple[str, int]] = [("counter", counter)]
        return messages.sign_command(name, base, word, named, keys, when, ledger)[1]

    def rollout_unit(name: str) -> RolloutUnit:
        entry = content.units[name]
        return RolloutUnit(
            name,
            entry.state,
            entry.counter,
            entry.reason,
            units.get(name),
            message=entry.message,
            newest_counter=settings.newest_counters.get(name),
            is_resumed=entry.state != WAITING,
            since_s=time.monotonic(),
        )

    rollout = Rollout(
        Plan(**settings.plan),
        {name: rollout_unit(name) for names in settings.cohorts for name in names},
        _patch_factory(settings, settings.requested(), keys, units),
        lambda name, base, counter: sign_command(name, base, "confirm", counter),
        lambda name, base, counter: sign_command(name, base, "rollback", counter),
        functools.partial(holds_changes, changes=settings.requested()),
        settings.cohorts,
        content.abort_reason,
        content.paused,
    )
    for name, report in units.items():
        rollout.report(name, report, time.monotonic())
    if content.abort_reason:
        rollout.abort(content.abort_reason)
    return rollout


def _patch_factory(
    settings: RolloutSettings,
    requested: list[change_parser.Change],
    keys: list[Key],
    units: dict[str, UnitReport],
) -> Callable[[str, UnitReport], tuple[int, bytes]]:
    """Return the function that makes the patch of a unit; a group shares one signed patch."""
    ledger = open_ledger()

    def times() -> messages.MessageTimes:
        now = int(time.time())
        after = now + settings.after_s if settings.after_s else 0
        return messages.MessageTimes(now, settings.expires_s, settings.confirm_s, after)

    if not settings.group:
        return lambda name, base: messages.sign_patch(name, base, requested, keys, times(), ledger)
    shared: list[tuple[int, bytes]] = []
    refused: dict[str, str] = {}

    def patch_of(name: str, _base: UnitReport) -> tuple[int, bytes]:
        if not shared:
            plausible, others = messages.plausible_members(units, times().now_s)
            refused.update(others)
            patch = messages.sign_group_patch(
                settings.group, plausible, requested, keys, times(), ledger
            )
            shared.append(patch)
        if name in refused:
            raise OpsError(refused[name])
        return shared[0]

    return patch_of


def run_rollout(
    rollout: Rollout, session: BrokerSession, journal: RolloutJournal, progress: bool = False
) -> int:
    """Run the rollout until it is done; return the number of messages.

    Raises `LocalError`: this computer failed. Nothing final is stored; another process continues.
    """
    try:
        return _run(rollout, session, journal, progress)
    except LocalError as error:
        raise LocalError(
            f"{error}; rollout {journal.name} has stopped and has not ended: `config rollout "
            "resume` continues it, `config rollout abort` ends it"
        ) from None


def _run(rollout: Rollout, session: BrokerSession, journal: RolloutJournal, progress: bool) -> int:
    sent, parser = 0, ReportParser()
    session.subscribe(f"{next(iter(rollout.units)) if len(rollout.units) == 1 else '+/+'}/{CONFIG}")
    with _catch_signals() as words:
        while not rollout.is_done() or rollout.outbox:
            for topic, payload in session.messages(0.05):
                name = topic.removesuffix(f"/{REPORTED}")
                is_report = payload and name in rollout.units and name != topic
                report = parser.parse(name, payload) if is_report else None
                if report is not None:
                    rollout.report(name, report, time.monotonic())
                elif topic.endswith(f"/{CONFIG}"):
                    rollout.config(topic.removesuffix(f"/{CONFIG}"), payload, time.monotonic())
            for word in [journal.take_request(), *words]:
                _apply_request(rollout, word, journal)
            words.clear()
            rollout.tick(time.monotonic())
            journal.store(rollout)
            for name, kind, message in rollout.outbox:
                topic = COMMAND if kind == "command" else DESIRED
                session.publish_async(f"{name}/{topic}", message, retain=kind != "command")
                sent += 1
            rollout.outbox.clear()
            if progress:
                pause = " (pause)" if rollout.paused else ""
                print(f"\r{rollout.count_states()}{pause}", end="", file=sys.stderr, flush=True)
    journal.write({"ended": rollout.count_states()})
    return sent


def abort_rollout(rollout: Rollout, journal: RolloutJournal) -> None:
    """Store an abort of the operator, then do it: what stops it then is done by the next process.

    Raises `LocalError`: it is not stored, or no rollback can be signed.
    """
    if not rollout.abort_reason:
        rollout.abort_reason = "stopped by the operator"
        journal.store(rollout)
        journal.end_abort()
        rollout.abort(rollout.abort_reason)
    else:
        journal.end_abort()


def _apply_request(rollout: Rollout, word: str, journal: RolloutJournal) -> None:
    """Do what a signal or another process asked for."""
    if word == "abort":
        abort_rollout(rollout, journal)
    elif word == _TOGGLE:
        rollout.toggle_pause()
    elif word in ("pause", "resume"):
        rollout.set_paused(word == "pause")


@contextlib.contextmanager
def _catch_signals() -> Iterator[list[str]]:
    """Return the list of words to which SIGINT (stop) and SIGUSR1 (pause, resume) add."""
    words: list[str] = []
    if threading.current_thread() is not threading.main_thread():
        yield words
        return

    def stop(_number: int, _frame: object) -> None:
        words.append("abort")

    def pause(_number: int, _frame: object) -> None:
        words.append(_TOGGLE)

    previous_handlers = [
        (n, signal.signal(n, f)) for n, f in ((signal.SIGINT, stop), (signal.SIGUSR1, pause))
    ]
    try:
        yield words
    finally:
        for number, handler in previous_handlers:
            signal.signal(number, handler)


def outcome_of(rollout: Rollout, name: str, sent: int, started_at: float) -> dict[str, object]:
    """Return the outcome of a rollout for the operator. `started_at`: monotonic time, s."""
    return {
        "rollout": name,
        "units": len(rollout.units),
        "states": rollout.count_states(),
        "aborted": rollout.abort_reason,
        "failed": {unit.name: unit.reason for unit in rollout.units.values() if unit.reason},
        "messages": sent,
        "seconds": round(time.monotonic() - started_at, 1),
    }


def format_outcome(outcome: dict[str, object]) -> str:
    """Return an outcome as lines."""
    lines = [f"{outcome['units']} units: {outcome['states']}, {outcome['messages']} messages"]
    if outcome["aborted"]:
        lines.append(f"stopped: {outcome['aborted']}")
    failed = outcome["failed"]
    if isinstance(failed, dict):
        lines += [f"{name}: {reason}" for name, reason in failed.items()]
    return "\n".join(map(printable, lines))
