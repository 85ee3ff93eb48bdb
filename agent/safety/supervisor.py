# SPDX-License-Identifier: Apache-2.0
"""Supervisor: raises alarms for active conditions and sets the unit state.

Does not set fail-safe outputs: each loop does this itself when its reading is not good. The unit
state is the worst state of all active conditions. It is for operators and the ground relay:

    normal     no condition is active
    degraded   the unit cools, but a part of it is faulty or missing
    safe       the supply temperature is not under control; fail-safe outputs are requested
    stopped    a trip has stopped the cooling; see `agent.safety.interlock`

`ALARM_RECORDS` is the complete policy: code, state, text. Optional components in `providers` report
more conditions in each step.
"""

from agent.core.alarm_record import DEGRADED, NORMAL, SAFE, STATES
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from agent.control.pressure_loop import PressureLoop
    from agent.control.supply_loop import SupplyLoop
    from agent.core.alarm_list import AlarmList
    from agent.fieldbus.device_session import DeviceSession
    from agent.fieldbus.fieldbus import Fieldbus

    class ConditionProvider(Protocol):
        """A component that reports conditions."""

        def active_conditions(self, now: int) -> "list[tuple[str, int, str]]":
            """Return the active conditions: (code, unit state that it causes, text)."""
            ...


_START_GRACE = 5 * SECOND
"""After a start there are no readings yet: outputs are fail-safe, but no alarm is raised."""

ALARM_RECORDS = (
    ("bus_lost", SAFE, "no device answers on bus"),
    ("supply_sensor", SAFE, "supply temperature is not known; valve at its safe opening"),
    ("dp_sensor", DEGRADED, "differential pressure is not known; pumps at their safe speed"),
    ("device_lost", DEGRADED, "no answer from"),
    ("pump_trip", DEGRADED, "drive has tripped:"),
    ("write_refused", SAFE, "does not take what is written:"),
    ("identity", SAFE, "is another model than its profile's, nothing is written to it:"),
    ("bus_overload", DEGRADED, "cannot keep up with its polls: bus"),
    ("device_alarm", DEGRADED, "reports"),
    ("supply_high", DEGRADED, "supply temperature is above its limit"),
)
"""The conditions in the order of their checks."""
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
        providers: "Sequence[ConditionProvider]",
    ) -> None:
        self.state = "safe"
        self.supply_max_c = supply_max_c
        self._fieldbus = fieldbus
        self._supply = supply
        self._pressure = pressure
        self._alarms = alarms
        self._started: int | None = None
        self._conditions: list[list[str]] = []
        self._providers = providers
        self._provider_codes: list[str] = []

    def set_supply_max(self, supply_max_c: float) -> None:
        """Set another limit of the supply temperature, °C."""
        self.supply_max_c = supply_max_c

    def step(self, now: int) -> None:
        """Evaluate all conditions, raise and clear alarms, set the state."""
        if self._started is None:
            self._started = now
        conditions = self._find_conditions(now)
        severity = NORMAL
        for (_, state, _), names in zip(ALARM_RECORDS, conditions):
            if names:
                severity = max(severity, state)
        if self._providers:
            severity = max(severity, self._collect_conditions(now))
        self.state = STATES[severity]
        if now - self._started < _START_GRACE or conditions == self._conditions:
            return
        self._conditions = conditions
        for (code, _, text), names in zip(ALARM_RECORDS, conditions):
            self._update_alarms(code, text, names, now)

    def _collect_conditions(self, now: int) -> int:
        """Raise and clear the alarms of the providers. Return the worst of their states."""
        severity = NORMAL
        codes = []
        for provider in self._providers:
            for code, state, text in provider.active_conditions(now):
                severity = max(severity, state)
                codes.append(code)
                self._alarms.update(code, True, text, now)
        for code in self._provider_codes:
            if code not in codes:
                self._alarms.update(code, False, "", now)
        self._provider_codes = codes
        return severity

    def _find_conditions(self, now: int) -> "list[list[str]]":
        """Return for each record the names with an active condition; empty: none."""
        supply, pressure, sessions = self._supply, self._pressure, self._fieldbus.sessions
        measured = supply.sensor.value(now)
        lost_sessions = [session for session in sessions if session.lost]
        return [
            self._fieldbus.lost_buses() if lost_sessions else [],
            _WHOLE_UNIT if measured is None else [],
            _WHOLE_UNIT if pressure.sensor.value(now) is None else [],
            [session.name for session in lost_sessions],
            [pump.session.name for pump in pressure.pumps if pump.tripped()],
            [session.name for session in sessions if session.write_unverified],
            [session.name for session in sessions if session.identity_mismatch],
            self._fieldbus.overloaded_buses(),
            _device_alarms(sessions),
            _WHOLE_UNIT if measured is not None and measured > self.supply_max_c else [],
        ]

    def _update_alarms(self, code: str, text: str, names: "list[str]", now: int) -> None:
        """Raise one alarm for each name. Clear the alarms of names that are not in the list."""
        codes = [code + ":" + name if name else code for name in names]
        for active in self._alarms.codes():
            if active.split(":")[0] == code and active not in codes:
                self._alarms.update(active, False, "", now)
        for full_code, name in zip(codes, names):
            self._alarms.update(full_code, True, text + " " + name if name else text, now)


def _device_alarms(sessions: "list[DeviceSession]") -> "list[str]":
    alarms = []
    for session in sessions:
        if not session.lost:
            alarms.extend(
                [session.name + "." + name for name in session.device.active_alarm_bits()]
            )
    return alarms
