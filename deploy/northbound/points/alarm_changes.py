# SPDX-License-Identifier: Apache-2.0
"""Changes of the alarms between two records: raised, cleared, acknowledged.

Knows no protocol; SNMP and Redfish report these changes. An alarm leaves the list when it has ended
and a person has acknowledged it, in any order. It also leaves when the agent starts again, or has
more than `CLEARED_KEPT` ended alarms; that is no acknowledgement.
"""

from collections.abc import Mapping
from types import MappingProxyType

from deploy.northbound.snapshot import AlarmItem, Snapshot

CLEARED_KEPT = 32
"""Ended alarms that the agent keeps, as in `agent.northbound.alarm_states`."""
RAISED, CLEARED, ACKNOWLEDGED = "raised", "cleared", "acknowledged"
_NONE: Mapping[str, AlarmItem] = MappingProxyType({})


class AlarmFollower:
    """`alarms`, `uptime_us`: of the last record, by full code. Uptime of the agent in µs."""

    def __init__(self, alarms: Mapping[str, AlarmItem] = _NONE, uptime_us: int = 0) -> None:
        self.alarms, self.uptime_us = dict(alarms), uptime_us

    def update(self, snapshot: Snapshot) -> list[tuple[str, AlarmItem]]:
        """Return (change, alarm) since the last record. A stale one knows no alarms."""
        if snapshot.stale:
            return []
        found = {alarm.id: alarm for alarm in snapshot.alarms}
        changes = [
            (change, alarm)
            for name, alarm in found.items()
            for change in _changes(self.alarms.get(name), alarm)
        ]
        kept = sum(not alarm.active for alarm in found.values())
        by_person = snapshot.uptime_us >= self.uptime_us and kept < CLEARED_KEPT
        for name, before in self.alarms.items():
            if name in found:
                continue
            if before.active:
                changes.append((CLEARED, before))
            if by_person and not before.is_acknowledged:
                changes.append((ACKNOWLEDGED, before))
        self.alarms, self.uptime_us = found, snapshot.uptime_us
        return changes


def _changes(before: AlarmItem | None, alarm: AlarmItem) -> list[str]:
    """Return what happened to an alarm that is in the list."""
    if before is None or not before.active:
        found = [RAISED] if alarm.active else []
        was_acknowledged = False
    else:
        was_acknowledged = before.is_acknowledged
        if not alarm.active:
            return [CLEARED]
        if was_acknowledged and alarm.state == "active_unacknowledged":
            return [CLEARED, RAISED]  # it ended and came again between the two records
        found = []
    if alarm.is_acknowledged and not was_acknowledged:
        found.append(ACKNOWLEDGED)
    return found
