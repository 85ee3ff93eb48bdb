# SPDX-License-Identifier: Apache-2.0
"""Groups active alarms: root alarms first, the alarms that they explain as a count.

Does not follow changes; see `alarm_filter`. The catalogue names the root alarms of a code. A root
explains an alarm only if both concern the same bus; where the bus of a device is not known, any bus
counts. An alarm of the whole unit concerns the bus of the first device.

Only an alarm of priority 1 explains one of priority 1: a failure of the mains the loss of flow, a
loss of coolant the loss of flow and the dry run, a lost bus the unknown supply and flow, or an
earlier alarm of its own code, because the alarms of several loads have one cause (`siblings` in the
catalogue).
The first-out alarm is the earliest active alarm of priority 1 to 3 that no other active alarm
explains.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.alarms.catalogue import AlarmEntry, catalogue

MAX_SHOWN = 10
"""Alarms that one person gets in 10 min, and rows of a list (ISA-18.2)."""

Buses = Mapping[str, str]
"""Bus of each device, as far as it is known."""


@dataclass(slots=True)
class GroupedAlarm:
    """One active alarm. `children`: codes that it explains. `root`: its own root alarm, or ""."""

    code: str
    text: str
    since: int
    entry: AlarmEntry | None
    priority: int
    root: str = ""
    first_out: bool = False
    children: list[str] = field(default_factory=list)


def base_code(code: str) -> str:
    """Return a code without its source."""
    return code.partition(":")[0]


def find_root(code: str, active: Sequence[str], buses: Buses) -> str:
    """Return the active alarm that explains `code`, the first one of its catalogue entry, or ""."""
    entry = catalogue().find(code)
    if entry is None:
        return ""
    base, _, source = code.partition(":")
    if entry.siblings:
        first = next((other for other in active if base_code(other) == base), code)
        if first != code:
            return first
    for root in entry.suppressed_by:
        for other in active:
            other_base, _, other_source = other.partition(":")
            if other_base == root and _same_scope(root, other_source, source, buses):
                return other
    return ""


def has_root(code: str, priority: int) -> bool:
    """Return whether an alarm of another code and of this priority can explain `code`."""
    entry = catalogue().find(code)
    roots = () if entry is None else entry.suppressed_by
    return priority in [catalogue().priority(root) for root in roots]


def _same_scope(root: str, root_source: str, source: str, buses: Buses) -> bool:
    """Return whether an alarm of `source` can be an effect of the root alarm."""
    if root == "bus_lost" and not source:
        return next(iter(buses.values()), root_source) == root_source
    if root == "bus_lost":
        return buses.get(source.partition(".")[0], root_source) == root_source
    if root == "device_lost":
        return source in ("", root_source) or source not in buses
    return True


def group(alarms: Sequence[Mapping[str, Any]], buses: Buses) -> list[GroupedAlarm]:
    """Group the alarms of a status; return all, by priority and time, explained ones last."""
    found = catalogue()
    grouped = [
        GroupedAlarm(
            alarm["code"],
            alarm.get("text", ""),
            alarm.get("since_us", 0),
            found.find(alarm["code"]),
            found.priority(alarm["code"]),
        )
        for alarm in alarms
    ]
    by_code = {alarm.code: alarm for alarm in grouped}
    for alarm in grouped:
        alarm.root = find_root(alarm.code, list(by_code), buses)
    for alarm in grouped:
        if alarm.root:
            _top(alarm, by_code.__getitem__).children.append(alarm.code)
    roots = [alarm for alarm in grouped if not alarm.root and alarm.priority < 4]
    if roots:
        min(roots, key=lambda alarm: alarm.since).first_out = True
    return sorted(grouped, key=lambda alarm: (bool(alarm.root), alarm.priority, alarm.since))


def _top(alarm: GroupedAlarm, find: Callable[[str], GroupedAlarm]) -> GroupedAlarm:
    """Return the last root of a chain. The roots of the catalogue make no circle (a test)."""
    while alarm.root:
        alarm = find(alarm.root)
    return alarm


def buses_of(snapshot: Mapping[str, Any]) -> dict[str, str]:
    """Return the bus of each device of a status."""
    return {row["name"]: row["bus"] for row in snapshot.get("modbus", {}).get("devices", ())}
