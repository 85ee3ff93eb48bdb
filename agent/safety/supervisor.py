# SPDX-License-Identifier: Apache-2.0
"""Supervisor: raises alarms for active conditions and sets the unit state.

Does not set fail-safe outputs: each loop does this itself when its reading is not good. The unit
state is the worst state of all active conditions. It is for operators and the ground relay:

    normal     no condition is active
    degraded   the unit cools, but a part of it is faulty or missing
    safe       the supply temperature is not under control; fail-safe outputs are requested
    stopped    a trip has stopped the cooling; see `agent.safety.interlock`

The records below are the complete policy: code, state, text. `_find_conditions` has their order.
Optional components in `providers` report more conditions in each step. A provider that raises, or
whose component is off, shows nothing: its last conditions stay.
"""

from agent.core.alarm_record import (
    DEGRADED,
    NORMAL,
    SAFE,
    STATES,
    AlarmRecord,
    alarm_code,
    alarm_text,
)
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    from agent.control.loop.pressure_loop import PressureLoop
    from agent.control.loop.supply_loop import SupplyLoop
    from agent.core.alarm_list import AlarmList
    from agent.core.alarm_record import Condition
    from agent.fieldbus.device_session import DeviceSession
    from agent.fieldbus.fieldbus import Fieldbus

    class ConditionProvider(Protocol):
        """A component that reports conditions."""

        def active_conditions(self, now: int) -> "list[Condition] | None":
            """Return the active conditions: (record of the alarm, its source, its text)."""
            ...


_START_GRACE_US = 5 * SECOND
"""After a start there are no readings yet: outputs are fail-safe, but no alarm is raised."""
_DEADBAND_K = 5 / 10
"""Deadband of `supply_high` (ISA-18.2): the set-point may be as high as the limit."""

BUS_LOST = AlarmRecord("bus_lost", SAFE, "no device answers on bus", "bus", True)
SUPPLY_SENSOR = AlarmRecord(
    "supply_sensor", SAFE, "supply temperature is not known; valve at its safe opening", "", True
)
DP_SENSOR = AlarmRecord(
    "dp_sensor", DEGRADED, "differential pressure is not known; pumps at their safe speed", "", True
)
DEVICE_LOST = AlarmRecord("device_lost", DEGRADED, "no answer from", "device", True)
PUMP_TRIP = AlarmRecord("pump_trip", DEGRADED, "drive has tripped:", "device", True)
WRITE_REFUSED = AlarmRecord("write_refused", SAFE, "does not take what is written:", "device", True)
FOREIGN_MASTER = AlarmRecord(
    "foreign_master", DEGRADED, "an output was changed by another master:", "device", True
)
IDENTITY = AlarmRecord(
    "identity",
    SAFE,
    "is another model than its profile's, nothing is written to it:",
    "device",
    True,
)
BUS_OVERLOAD = AlarmRecord(
    "bus_overload", DEGRADED, "cannot keep up with its polls: bus", "bus", True
)
DEVICE_ALARM = AlarmRecord("device_alarm", DEGRADED, "reports", "device.bit", True)
SUPPLY_HIGH = AlarmRecord(
    "supply_high", DEGRADED, "supply temperature is above its limit", "", True
)

_WHOLE_UNIT = [""]
"""Name list of a condition that concerns the whole unit."""


class Supervisor:
    """Evaluates the conditions once a cycle. `state` is one of `STATES`."""

    def __init__(
        self,
        fieldbus: "Fieldbus",
        supply: "SupplyLoop",
        pressure: "PressureLoop",
        alarms: "AlarmList",
        supply_max_c: float,
        providers: "list[Any]",
        guard: "Any" = None,
    ) -> None:
        self.state = "safe"
        self.supply_max_c = supply_max_c
        self._fieldbus = fieldbus
        self._supply = supply
        self._pressure = pressure
        self._alarms = alarms
        self._started: int | None = None
        self._is_too_high = False
        self._conditions: list[tuple[AlarmRecord, list[str]]] = []
        self.providers: list[ConditionProvider] = providers
        self._guard = guard
        self._provider_codes: list[str] = []
        self._found: list[list[Condition]] = []

    def set_supply_max(self, supply_max_c: float) -> None:
        """Set another limit of the supply temperature, °C."""
        self.supply_max_c = supply_max_c

    def step(self, now: int) -> None:
        """Evaluate all conditions, raise and clear alarms, set the state."""
        if self._started is None:
            self._started = now
        conditions = self._find_conditions(now)
        severity = NORMAL
        for record, names in conditions:
            if names:
                severity = max(severity, record.state)
        if self.providers:
            severity = max(severity, self._collect_conditions(now))
        self.state = STATES[severity]
        if now - self._started < _START_GRACE_US or conditions == self._conditions:
            return
        self._conditions = conditions
        for record, names in conditions:
            self._update_alarms(record, names, now)

    def _collect_conditions(self, now: int) -> int:
        """Raise and clear the alarms of the providers. Return the worst of their states."""
        severity = NORMAL
        codes = []
        for i in range(len(self.providers)):
            if i == len(self._found):
                self._found.append([])
            try:
                found = self.providers[i].active_conditions(now)
                self._found[i] = self._found[i] if found is None else found
            except Exception as error:
                self._guard.handle(self.providers[i], error, now)
            for record, source, text in self._found[i]:
                severity = max(severity, record.state)
                codes.append(alarm_code(record, source))
                self._alarms.update(record, source, True, now, text)
        for code in self._provider_codes:
            if code not in codes:
                self._alarms.clear(code, now)
        self._provider_codes = codes
        return severity

    def _find_conditions(self, now: int) -> "list[tuple[AlarmRecord, list[str]]]":
        """Return each alarm with the names of its sources, in the order of raising; empty: none."""
        supply, pressure, sessions = self._supply, self._pressure, self._fieldbus.sessions
        measured = supply.sensor.value(now)
        if measured is not None:
            deadband_k = _DEADBAND_K if self._is_too_high else 0.0
            self._is_too_high = measured > self.supply_max_c - deadband_k
        is_dp_lost = pressure.sensor.value(now) is None and pressure.config.sensor != ""
        lost_sessions = [session for session in sessions if session.lost]
        return [
            (BUS_LOST, self._fieldbus.lost_buses() if lost_sessions else []),
            (SUPPLY_SENSOR, _WHOLE_UNIT if measured is None and supply.config.sensor else []),
            (DP_SENSOR, _WHOLE_UNIT if is_dp_lost else []),
            (DEVICE_LOST, [session.name for session in lost_sessions]),
            (PUMP_TRIP, [pump.session.name for pump in pressure.pumps if pump.tripped()]),
            (WRITE_REFUSED, [session.name for session in sessions if session.write_unverified]),
            (FOREIGN_MASTER, [session.name for session in sessions if session.changed_by_other]),
            (IDENTITY, [session.name for session in sessions if session.identity_mismatch]),
            (BUS_OVERLOAD, self._fieldbus.overloaded_buses()),
            (DEVICE_ALARM, _device_alarms(sessions)),
            (SUPPLY_HIGH, _WHOLE_UNIT if self._is_too_high else []),
        ]

    def _update_alarms(self, record: AlarmRecord, names: "list[str]", now: int) -> None:
        """Raise one alarm for each name. Clear the alarms of names that are not in the list."""
        codes = [alarm_code(record, name) for name in names]
        for alarm in self._alarms.active[:]:
            if alarm.record is record and alarm.code not in codes:
                self._alarms.clear(alarm.code, now)
        for name in names:
            self._alarms.update(record, name, True, now, alarm_text(record, name))


def _device_alarms(sessions: "list[DeviceSession]") -> "list[str]":
    alarms = []
    for session in sessions:
        alarms.extend([session.name + "." + name for name in session.device.active_alarm_bits()])
    return alarms
