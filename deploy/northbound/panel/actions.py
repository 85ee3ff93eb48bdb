# SPDX-License-Identifier: Apache-2.0
"""What a person can do at the panel: one table of actions, their arguments and their risk.

Does not send anything; see `deploy.northbound.panel.routes`. The agent checks each request again:
its signature, the limits of `northbound.writes` and of the configuration. An action that moves an
actuator, or changes a set-point, is `confirmed`: the server wants a second request with the same
arguments (`deploy.northbound.panel.confirmation`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent.alarms.catalogue import catalogue
from agent.alarms.shelving import MAX_HOURS
from deploy.northbound.access.types import SetPointChange, UnitCommand
from deploy.northbound.points.point_table import point_table
from deploy.northbound.snapshot import Snapshot

MODES = ("hand", "off", "fill", "vent", "drain")
MAX_MINUTES = 240
_MAX_CODE = 100
_MAX_COUNTER = 1 << 64
_MAX_REASON = 200
_GROUNDS = {
    "override": ("mode",),
    "rotate": ("mode", "lead", "rotations"),
    "proof": ("mode", "proofs"),
}
"""What a person sees of the loops before an action on the actuators, as the record names it."""
_SAME_MS = 5
"""Times of one occurrence of an alarm are rounded to 1 ms in each record."""

Arguments = Mapping[str, Any]
UnitRequest = SetPointChange | UnitCommand


class Occurrence:
    """One occurrence of an alarm. `raised_ms`: uptime of the agent when it was raised."""

    def __init__(self, active: bool, raised_ms: int) -> None:
        self.active, self.raised_ms = active, raised_ms

    def __eq__(self, other: object) -> bool:
        """Return whether it is the same one, in the same state."""
        if not isinstance(other, Occurrence):
            return False
        is_same_time = abs(self.raised_ms - other.raised_ms) <= _SAME_MS
        return self.active == other.active and is_same_time

    def __hash__(self) -> int:
        """Return the same for the occurrences that can be the same one."""
        return hash(self.active)


class ActionError(Exception):
    """The arguments of an action are wrong; the text names the argument."""


@dataclass(frozen=True, slots=True)
class Action:
    """One action: the function that makes its request, and whether it is confirmed."""

    make: Callable[[Arguments, Snapshot], UnitRequest]
    confirmed: bool


def make_request(name: str, arguments: Arguments, snapshot: Snapshot) -> UnitRequest:
    """Return the request of an action. Raises ActionError."""
    action = ACTIONS.get(name)
    if action is None:
        raise ActionError(f"no action {name[:40]}")
    return action.make(arguments, snapshot)


def ground_of(request: UnitRequest, snapshot: Snapshot) -> object:
    """Return what a request changes, as a person sees it now: to compare, with no other meaning."""
    if isinstance(request, SetPointChange):
        found = snapshot.setpoints.get(request.key)
        return None if found is None else found.configured
    if request.name in _GROUNDS:
        loops = snapshot.details.get("cooling")
        names = _GROUNDS[request.name]
        seen = [loops.get(name) for name in names] if isinstance(loops, Mapping) else []
        return seen, _held(snapshot)
    for alarm in snapshot.alarms:
        if alarm.id == request.arguments.get("code"):
            return Occurrence(alarm.active, snapshot.uptime_us // 1000 - alarm.raised_ago_ms)
    return None


def _held(snapshot: Snapshot) -> list[tuple[str, str, int | None]]:
    """Return the actuators that a person holds, with the output in percent, and those of a test."""
    return [
        (item.name, item.holder, round(item.output or 0) if item.holder == "manual" else None)
        for item in snapshot.actuators
        if item.holder in ("manual", "proof")
    ]


def _whole(arguments: Arguments, name: str, low: int, high: int) -> int:
    value = arguments.get(name)
    if type(value) is not int or not low <= value <= high:
        raise ActionError(f"{name}: {low} to {high}")
    return value


def _word(arguments: Arguments, name: str, words: tuple[str, ...]) -> str:
    value = arguments.get(name)
    if not isinstance(value, str) or value not in words:
        raise ActionError(f"{name}: {', '.join(words)}")
    return value


def _alarm_code(arguments: Arguments, snapshot: Snapshot) -> str:
    """Return the full code of an alarm that the unit has now."""
    code = arguments.get("code")
    if not isinstance(code, str) or len(code) > _MAX_CODE:
        raise ActionError("code: the code of an alarm")
    if all(alarm.id != code for alarm in snapshot.alarms):
        raise ActionError("code: the unit does not have this alarm")
    return code


def _acknowledge(arguments: Arguments, snapshot: Snapshot) -> UnitRequest:
    return UnitCommand("acknowledge", {"code": _alarm_code(arguments, snapshot)})


def _reset(arguments: Arguments, snapshot: Snapshot) -> UnitRequest:
    return UnitCommand("reset", {"code": _alarm_code(arguments, snapshot)})


def _shelve(arguments: Arguments, snapshot: Snapshot) -> UnitRequest:
    """An alarm of priority 1 is never shelved, others for at most `MAX_HOURS`, with a reason."""
    code = _alarm_code(arguments, snapshot)
    if catalogue().priority(code) == 1:
        raise ActionError("code: an alarm of priority 1 is never shelved")
    minutes = _whole(arguments, "minutes", 1, int(MAX_HOURS * 60))
    reason = arguments.get("reason")
    if not isinstance(reason, str) or not reason.strip() or len(reason) > _MAX_REASON:
        raise ActionError(f"reason: 1 to {_MAX_REASON} characters")
    return UnitCommand("shelve", {"code": code, "minutes": minutes, "reason": reason.strip()})


def _unshelve(arguments: Arguments, snapshot: Snapshot) -> UnitRequest:
    return UnitCommand("unshelve", {"code": _alarm_code(arguments, snapshot)})


def _mode(arguments: Arguments, _snapshot: Snapshot) -> UnitRequest:
    mode = _word(arguments, "mode", MODES)
    values: dict[str, int | str] = {"mode": mode}
    values["minutes"] = _whole(arguments, "minutes", 1, MAX_MINUTES)
    if mode == "hand":
        for name in ("valve_pct", "pump_pct"):
            values[name] = _whole(arguments, name, 0, 100)
    return UnitCommand("override", values)


def _proof(arguments: Arguments, _snapshot: Snapshot) -> UnitRequest:
    return UnitCommand("proof", {"what": _word(arguments, "what", ("valve", "pumps"))})


def _setpoint(arguments: Arguments, snapshot: Snapshot) -> UnitRequest:
    key, value = arguments.get("key"), arguments.get("value")
    limits = snapshot.setpoints.get(key) if isinstance(key, str) else None
    if not isinstance(key, str) or limits is None:
        raise ActionError("key: a set-point of the unit")
    row = point_table()[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e9:
        raise ActionError("value: a number")
    raw = row.raw(value) if value == value else limits.low - 1  # noqa: PLR0124 - NaN
    if not limits.low <= raw <= limits.high:
        raise ActionError(f"value: {row.value(limits.low):g} to {row.value(limits.high):g}")
    return SetPointChange(key, raw)


def _rollback(arguments: Arguments, _snapshot: Snapshot) -> UnitRequest:
    """Roll the trial back that the page has shown; another one is not meant."""
    return UnitCommand("rollback", {"counter": _whole(arguments, "counter", 1, _MAX_COUNTER)})


def _without_arguments(name: str) -> Callable[[Arguments, Snapshot], UnitRequest]:
    return lambda _arguments, _snapshot: UnitCommand(name, {})


ACTIONS: Mapping[str, Action] = {
    "acknowledge": Action(_acknowledge, confirmed=False),
    "shelve": Action(_shelve, confirmed=False),
    "unshelve": Action(_unshelve, confirmed=False),
    "reset": Action(_reset, confirmed=True),
    "mode": Action(_mode, confirmed=True),
    "release": Action(_without_arguments("release"), confirmed=False),
    "rotate": Action(_without_arguments("rotate"), confirmed=True),
    "proof": Action(_proof, confirmed=True),
    "setpoint": Action(_setpoint, confirmed=True),
    "rollback": Action(_rollback, confirmed=False),
}
"""All actions by name. `release` returns to automatic control and needs no second step; so does
`rollback`, which takes the change on trial back: the own one, and as an administrator any one."""
