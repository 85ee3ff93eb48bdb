# SPDX-License-Identifier: Apache-2.0
"""State of a rollout: cohorts one after another, in each of them waves.

Does not connect to a broker and stores nothing (see `deploy.ops.fleet.rollout.journal`). Inputs are
reports of units and the time; outputs are messages to send. The rules are those of hawkBit
rollouts. The first cohort has the canaries: none may fail. A cohort starts only if all units before
it are done, and after the soak time. If more units fail than the threshold allows, of a cohort or
of all, the rollout stops: it sends no new change and rolls back each unconfirmed trial.

    waiting ─▶ sent ─▶ trial ─▶ healthy ─▶ confirming ─▶ confirmed
                 └────────┴──────────┴─▶ failed (rejected, rolled back, timed out)
                                     └─▶ calling back ─▶ failed or confirmed, by the unit's report

A unit without an answer is called back too: it can have the change on trial or scheduled.
If a rollback and a confirmation cross, a unit can keep the change. The report of the unit decides.

A counter alone does not name a change: the holder of one stolen key can sign another change with
the same counter. So a trial and a confirmation count only if the published configuration, whose
hash is in the signed report, has the values of this change. Unsigned reports have no such hash.

A `LocalError` (full disk, signer without an answer) is no failure of a unit. It passes through, so
the rollout stops without a final state. A waiting unit that has a newer change does not get this
one: it would overwrite that change.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from deploy.errors import LocalError, OpsError
from deploy.ops.report.unit_report import UnitReport
from deploy.ops.unit_config.published import is_of_report
from protocols.signed_message import PATCH

WAITING, SENT, TRIAL, CONFIRMING, ROLLING_BACK, CONFIRMED, FAILED = (
    "waiting",
    "sent",
    "trial",
    "confirming",
    "calling back",
    "confirmed",
    "failed",
)
STATES = (WAITING, SENT, TRIAL, CONFIRMING, ROLLING_BACK, CONFIRMED, FAILED)
_FINAL_STATES = (CONFIRMED, FAILED)
_DEFAULT_COHORTS = 2
_STILL_ARMED = (
    "the unit can still apply or keep the change; see `config show`, then `config cancel` or "
    "`config rollback`"
)
_OTHER = "it has another change with the same counter: a stolen key; see `config history`"


@dataclass
class RolloutUnit:
    """One unit of the rollout."""

    name: str
    state: str = WAITING
    counter: int = 0
    reason: str = ""
    report: UnitReport | None = None
    since_s: float = 0.0
    refused: int = 0
    message: bytes = b""
    """The signed change, for a second time after the tool was restarted."""
    newest_counter: int | None = None
    """Counter of the newest change of the unit when the rollout was made; None: not checked."""
    config: bytes = b""
    """The newest published configuration."""
    is_held: bool = False
    """Its configuration had the values of the change."""
    is_resumed: bool = False
    """The tool was restarted in this state: whether its message was sent is not known."""


@dataclass(frozen=True)
class Plan:
    """Limits: shares 0 to 1; times in seconds; `wave`: maximum number of units in progress.

    `trial_s`: how long the roll-out waits for the end of the trial of a unit. The unit has its own
    limits: `health_s` of section `remote`, and the time limit for the confirmation.
    `delay_s`: time from the message to the start of a scheduled change. `soak_s`: pause after each
    cohort.
    """

    canary: float = 0.05
    max_failures: float = 0.1
    wave: int = 50
    answer_s: int = 600
    trial_s: int = 3600
    confirm: bool = True
    delay_s: int = 0
    soak_s: int = 0


@dataclass
class Rollout:
    """Drives the rollout. `patch`, `confirm`, `rollback` return (counter, message) for a unit."""

    plan: Plan
    units: dict[str, RolloutUnit]
    patch: Callable[[str, UnitReport], tuple[int, bytes]]
    confirm: Callable[[str, UnitReport, int], bytes]
    rollback: Callable[[str, UnitReport, int], bytes]
    holds: Callable[[bytes], bool] | None = None
    """Whether a published configuration has the values of the change; None: not checked."""
    cohorts: list[list[str]] = field(default_factory=list)
    """Names of the units; empty: canaries, then the rest."""
    abort_reason: str = ""
    paused: bool = False
    changed: set[str] = field(default_factory=set)
    """Units whose state must be stored before the outbox is sent; the caller empties it."""
    _now_s: float = 0.0
    outbox: list[tuple[str, str, bytes]] = field(default_factory=list)
    """(unit, "patch" | "command" | "clear", message) to send; the caller empties it."""

    def __post_init__(self) -> None:
        """Make the cohorts if none are given."""
        self._cohort_done_s: float | None = None
        self._cohort = 0
        if not self.cohorts:
            names = list(self.units)
            count = max(1, math.ceil(self.plan.canary * len(names)))
            self.cohorts = [part for part in (names[:count], names[count:]) if part]

    def canaries(self) -> list[RolloutUnit]:
        """Return the canaries: the units of the first cohort."""
        return [self.units[name] for name in self.cohorts[0]]

    def report(self, name: str, report: UnitReport, now_s: float) -> None:
        """Handle a report of a unit."""
        self._now_s = now_s
        unit = self.units.get(name)
        if unit is None:
            return
        first, unit.report = unit.report is None, report
        if first:
            unit.refused = report.refused_count
        if unit.state in (SENT, TRIAL, CONFIRMING, ROLLING_BACK):
            self._apply_report(unit, report, now_s)
        if unit.is_resumed and unit.state not in _FINAL_STATES:
            self._send_again(unit, report, now_s)

    def config(self, name: str, payload: bytes, now_s: float) -> None:
        """Handle a published configuration. It can arrive after the report with its hash."""
        unit = self.units.get(name)
        if unit is not None:
            unit.config = payload
            if unit.report is not None and unit.state in (SENT, TRIAL, CONFIRMING, ROLLING_BACK):
                self._apply_report(unit, unit.report, now_s)

    def _is_other_change(self, unit: RolloutUnit, report: UnitReport) -> bool | None:
        """Return whether the change with this counter is another one; None: not known yet."""
        if unit.is_held or self.holds is None or not report.signed:
            return False
        is_running = report.trial is None or report.phase is not None
        is_of_this = report.trial in (None, unit.counter) and is_running
        if not is_of_this or not unit.config or not is_of_report(unit.config, report):
            return None
        unit.is_held = self.holds(unit.config)
        return not unit.is_held

    def _send_again(self, unit: RolloutUnit, report: UnitReport, now_s: float) -> None:
        """Send the message of a unit again, if its report does not show that it has it."""
        unit.is_resumed = False
        if unit.state == SENT:
            if report.counters[PATCH - 1] < unit.counter and report.scheduled != unit.counter:
                self.outbox.append((unit.name, "patch", unit.message))
        elif unit.state == CONFIRMING:
            self._set_state(unit, TRIAL, now_s)
            self._apply_report(unit, report, now_s)
        elif unit.state == ROLLING_BACK:
            self._call_back(unit, unit.reason)

    def _apply_report(self, unit: RolloutUnit, report: UnitReport, now_s: float) -> None:
        if report.last.counter == unit.counter and report.last.result != "nothing":
            reason = (
                _join(unit.reason, "called back")
                if unit.state == ROLLING_BACK
                else f"{report.last.result} {report.last.reason}"
            )
            is_confirmed = report.last.result == "confirmed"
            is_other = self._is_other_change(unit, report) if is_confirmed else False
            if is_other is not None:
                self._finish(unit, is_confirmed and not is_other, _OTHER if is_other else reason)
        elif report.trial == unit.counter and unit.state != ROLLING_BACK:
            is_other = self._is_other_change(unit, report)
            if is_other:
                self._call_back(unit, _OTHER)
            if is_other is not False:
                return
            if unit.state == SENT:
                self._set_state(unit, TRIAL, now_s)
            if report.phase == "confirm" and unit.state == TRIAL and self.plan.confirm:
                self._confirm(unit, report, now_s)
        elif unit.state == SENT and self._is_refused(unit, report):
            self._finish(unit, False, " ".join(report.last_refusal).strip())

    def _confirm(self, unit: RolloutUnit, report: UnitReport, now_s: float) -> None:
        try:
            message = self.confirm(unit.name, report, unit.counter)
        except LocalError:
            raise
        except OpsError as error:  # a report that is not plausible
            self._call_back(unit, f"not confirmed: {error}")
            return
        self._set_state(unit, CONFIRMING, now_s)
        self.outbox.append((unit.name, "command", message))

    def _is_refused(self, unit: RolloutUnit, report: UnitReport) -> bool:
        """Return whether the unit refused this change. An older unit does not name the message."""
        if report.refused_message is None:
            return report.refused_count > unit.refused
        if report.last_refusal[0] == "replay" and report.counters[PATCH - 1] >= unit.counter:
            return False  # the broker sent the accepted message again
        return report.refused_message == (PATCH, unit.counter)

    def _set_state(self, unit: RolloutUnit, state: str, now_s: float) -> None:
        unit.state, unit.since_s = state, now_s
        self.changed.add(unit.name)

    def _finish(self, unit: RolloutUnit, confirmed: bool, reason: str) -> None:
        unit.state = CONFIRMED if confirmed else FAILED
        unit.reason = "" if confirmed else reason.strip()
        self.changed.add(unit.name)
        self.outbox.append((unit.name, "clear", b""))

    def tick(self, now_s: float) -> None:
        """Check timeouts and failures, then send to the next units."""
        self._now_s = now_s
        for unit in self.units.values():
            if unit.state in self._timed_states() and now_s - unit.since_s > self._limit(unit):
                self._time_out(unit)
        self._check_failures()
        if not self.abort_reason and not self.paused:
            self._send_next(now_s)

    def _limit(self, unit: RolloutUnit) -> int:
        """Return the longest time in the state of the unit, s."""
        if unit.state == TRIAL:
            return self.plan.trial_s
        return self.plan.answer_s + (self.plan.delay_s if unit.state == SENT else 0)

    def _time_out(self, unit: RolloutUnit) -> None:
        reason = _join(unit.reason, f"no answer in state {unit.state}")
        if unit.state == ROLLING_BACK:
            self._finish(unit, False, _join(reason, _STILL_ARMED))
        else:
            self._call_back(unit, reason)

    def _call_back(self, unit: RolloutUnit, reason: str) -> None:
        """Withdraw the change from a unit, on trial or scheduled. Its report decides the result."""
        if unit.report is None:
            self._finish(unit, False, _join(reason, f"no report; {_STILL_ARMED}"))
            return
        try:
            message = self.rollback(unit.name, unit.report, unit.counter)
        except LocalError:
            raise
        except OpsError as error:  # a report that is not plausible
            self._finish(unit, False, _join(reason, f"not called back: {error}; {_STILL_ARMED}"))
            return
        unit.reason = reason
        self.outbox.append((unit.name, "clear", b""))
        self.outbox.append((unit.name, "command", message))
        self._set_state(unit, ROLLING_BACK, self._now_s)

    def _timed_states(self) -> tuple[str, ...]:
        """Return the states with a timeout. A trial has one unless an operator confirms it."""
        return (
            (SENT, TRIAL, CONFIRMING, ROLLING_BACK) if self.plan.confirm else (SENT, ROLLING_BACK)
        )

    def _check_failures(self) -> None:
        failed = sum(_is_failed(unit) for unit in self.units.values())
        allowed = math.floor(self.plan.max_failures * len(self.units))
        canary_failed = any(_is_failed(unit) for unit in self.canaries())
        if not self.abort_reason and (failed > allowed or canary_failed):
            cause = "a canary failed" if canary_failed else f"{failed} units failed"
            self.abort(f"{cause}; {allowed} of {len(self.units)} are allowed")
        if not self.abort_reason and len(self.cohorts) > _DEFAULT_COHORTS:
            self._check_cohorts()

    def _check_cohorts(self) -> None:
        for number, names in enumerate(self.cohorts, 1):
            failed = sum(_is_failed(self.units[name]) for name in names)
            allowed = math.floor(self.plan.max_failures * len(names))
            if failed > allowed:
                self.abort(
                    f"{failed} units of cohort {number} failed; {allowed} of {len(names)} are "
                    "allowed"
                )
                return

    def cohort(self) -> int:
        """Return the number of the present cohort, from 1."""
        return self._cohort + 1

    def _advance_cohort(self, now_s: float) -> None:
        """Go to the next cohort when all units before it are done and the soak time is over."""
        final_states = (*_FINAL_STATES, TRIAL) if not self.plan.confirm else _FINAL_STATES
        while self._cohort + 1 < len(self.cohorts):
            names = self.cohorts[self._cohort]
            if not all(self.units[name].state in final_states for name in names):
                return
            if self._cohort_done_s is None:
                self._cohort_done_s = now_s
            if now_s - self._cohort_done_s < self.plan.soak_s:
                return
            self._cohort += 1
            self._cohort_done_s = None

    def _send_next(self, now_s: float) -> None:
        self._advance_cohort(now_s)
        stage = [self.units[name] for name in self.cohorts[self._cohort]]
        active = sum(unit.state in self._timed_states() for unit in self.units.values())
        for unit in stage:
            if active >= self.plan.wave:
                return
            if unit.state == WAITING and unit.report is not None:
                if has_newer_change(unit, unit.report):
                    self._finish(unit, False, "has a newer change, which is not overwritten")
                    continue
                try:
                    unit.counter, message = self.patch(unit.name, unit.report)
                except LocalError:
                    raise
                except OpsError as error:  # a report that is not plausible
                    self._finish(unit, False, str(error))
                    continue
                unit.refused, unit.message = unit.report.refused_count, message
                self._set_state(unit, SENT, now_s)
                self.outbox.append((unit.name, "patch", message))
                active += 1

    def set_paused(self, is_paused: bool) -> None:
        """Pause the rollout, or end the pause."""
        self.paused = is_paused

    def toggle_pause(self) -> None:
        """Pause the rollout, or resume it. Units in progress continue."""
        self.paused = not self.paused

    def abort(self, reason: str) -> None:
        """Send no new change, and roll back each unconfirmed trial."""
        self.abort_reason = reason
        active = {unit.name for unit in self.units.values() if unit.state == CONFIRMING}
        self.outbox[:] = [  # a confirmation that is not sent yet would arrive first
            entry for entry in self.outbox if entry[1] != "command" or entry[0] not in active
        ]
        for unit in self.units.values():
            if unit.state in (SENT, TRIAL, CONFIRMING):
                self._call_back(unit, "")

    def is_done(self) -> bool:
        """Return whether no unit is in progress and none will be."""
        states = [unit.state for unit in self.units.values()]
        has_active = any(state in self._timed_states() for state in states)
        return not has_active and (bool(self.abort_reason) or WAITING not in states)

    def count_states(self) -> dict[str, int]:
        """Return the number of units in each state."""
        counts: dict[str, int] = {}
        for unit in self.units.values():
            counts[unit.state] = counts.get(unit.state, 0) + 1
        return counts


def has_newer_change(unit: RolloutUnit, report: UnitReport) -> bool:
    """Return whether a waiting unit took another change after the rollout was made."""
    is_waiting = unit.state == WAITING and unit.newest_counter is not None
    return is_waiting and report.counters[PATCH - 1] > (unit.newest_counter or 0)


def _is_failed(unit: RolloutUnit) -> bool:
    """Return whether the unit failed, or is called back because it did not answer."""
    return unit.state == FAILED or (unit.state == ROLLING_BACK and bool(unit.reason))


def _join(*reasons: str) -> str:
    return "; ".join(reason for reason in reasons if reason)
