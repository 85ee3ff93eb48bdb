# SPDX-License-Identifier: Apache-2.0
"""Fan group: the fans of the cooler, on drives on the bus.

Does not compute the speed (`agent.control.law.fan`, called by `agent.control.law.cooling`). The law
gives one speed for all fans; each drive gets it as its reference.

If a fan is lost or has tripped, the other fans run faster immediately. The valve opens further,
because the facility water becomes warmer.

The fans run at full speed in two cases that last for `FULL_SPEED_S`: the return temperature is
unknown, or that of the facility water, and the row does not show it (`CoolingControl.facility_c`);
or the unit state is safe. But full speed makes the water colder, and a valve that does not close
lets it cool the row. So they slow down to `min_pct` if the supply approaches the dew point
(`set_near_dew`), and without these inputs also if it is more than `_COLD_K` below the set-point, or
below it with a valve that is nearly shut. Then they control the supply, until the readings are
known and the state is not safe, or the supply is unknown.

Tripped drives are reset like pumps (`agent.control.actuator.reset_drives`).

The drives get the output of the arbiter of the fans; a drive in local mode gets no writes. A fan
stops only after its own trip. A leak or an emergency stop in the row does not stop fans, because it
does not concern the facility water.
"""

from agent.control.actuator.pump import PumpActuator
from agent.control.actuator.reset_drives import DriveReset
from agent.core.actuator import FANS
from agent.core.alarm_record import DEGRADED, AlarmRecord, alarm_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.control_context import ControlContext
    from agent.control.law.cooling import ControlReadings, CoolingControl
    from agent.core.alarm_record import Condition

FAN_TRIP = AlarmRecord("fan_trip", DEGRADED, "a fan's drive has tripped:", "device", True)
FAN_INPUTS_LOST = AlarmRecord(
    "fans_blind",
    DEGRADED,
    "return or facility water is not known: fans at full speed, or by the supply",
    "",
    True,
)
_COLD_K, _NEARLY_SHUT_PCT = 2, 10
FULL_SPEED_S = 2.5  # between whole steps of 1 s: see docs/project/decisions.md, thresholds


def _fan_drive(agent: "ControlContext", name: str) -> PumpActuator:
    """Return the drive of a fan: the role `fan` of its profile, or the role `pump` of a drive."""
    session = agent.fieldbus.claim_outputs(name)
    return PumpActuator(session, session.profile.fan or session.profile.pump)


class FanGroup:
    """Controls the drives of `settings` {drives, max_pct, auto_reset} at the speed of `cooling`."""

    def __init__(
        self,
        agent: "ControlContext",
        cooling: "CoolingControl",
        settings: "dict[str, Any]",
        readings: "ControlReadings",
    ) -> None:
        self.agent = agent
        self.cooling = cooling
        self.max_pct: float = settings["max_pct"]
        self._min_pct: float = settings["min_pct"]
        self.drives = [_fan_drive(agent, name) for name in settings["drives"]]
        self.at_full_speed = self._is_by_supply = self._is_near_dew = False
        self._are_inputs_unknown = False
        self._has_started = False
        self._no_control_s = 0.0
        self._drive_reset = DriveReset(self.drives, settings["auto_reset"], agent.alarms)
        self._arbiter = agent.arbiters[FANS]
        self._readings = readings

    def step(self, now: int, dt: float) -> None:
        """Advance by `dt` seconds and request the speed of the drives."""
        cooling, readings = self.cooling, self._readings
        reset_index = self._drive_reset.step(now, self._arbiter.locked)
        facility_c = cooling.facility_c(readings)
        self._are_inputs_unknown = readings.return_c is None or facility_c is None
        is_uncontrolled = self._are_inputs_unknown or self.agent.supervisor.state == "safe"
        self._no_control_s = self._no_control_s + dt if is_uncontrolled else 0.0
        if is_uncontrolled:
            self._check_supply()
        else:
            self._is_by_supply = False
        self.at_full_speed = self._no_control_s >= FULL_SPEED_S and not self._is_by_supply
        if not self._has_started and not self._start_bumpless():
            return
        if self.at_full_speed:
            cooling.track_fans(self.max_pct)
        elif self._arbiter.winner() is None:
            cooling.step_fans(readings, dt)
        self._request_all(reset_index)

    def set_near_dew(self, is_near_dew: bool) -> None:
        """Note whether the supply approaches the dew point."""
        self._is_near_dew = is_near_dew

    def request_safe(self) -> None:
        """Request full speed, within the claims: `step` has raised an exception."""
        decided = self._arbiter.decide(self.max_pct).output
        for drive in self.drives:
            self._move(drive, decided)

    def _check_supply(self) -> None:
        """Begin to control the supply if full speed has made it too cold."""
        cooling, readings = self.cooling, self._readings
        supply_c, valve_pct = readings.supply_c, readings.valve_pct
        if supply_c is None:
            self._is_by_supply = False
        elif not self._is_by_supply:
            is_nearly_shut = valve_pct is not None and valve_pct < _NEARLY_SHUT_PCT
            least_c = cooling.setpoint_c - (0 if is_nearly_shut else _COLD_K)
            if self._is_near_dew or (self._are_inputs_unknown and supply_c < least_c):
                self._is_by_supply = True
                cooling.track_fans(self._min_pct, supply_c)

    def _start_bumpless(self) -> bool:
        """Continue from the present speed; True when started.

        Without readings, wait `FULL_SPEED_S`.
        """
        speeds = [speed for speed in [drive.speed() for drive in self.drives] if speed is not None]
        if speeds and not self._are_inputs_unknown:
            self.cooling.track_fans(max(speeds))
            self._has_started = True
        return self._has_started or self.at_full_speed or self._is_by_supply

    def _request_all(self, reset_index: int) -> None:
        """Divide the air flow among the available fans. A lost fan gets the request too."""
        locked = self._arbiter.locked
        available = [
            drive for drive in self.drives if drive.available() and drive.session.name not in locked
        ]
        speed = self.max_pct
        if available:
            speed = self.cooling.fan_pct * len(self.drives) / len(available)
            speed = self.max_pct if speed > self.max_pct else speed
        decided = self._arbiter.decide(speed).output
        if decided is not None and decided != speed:
            self.cooling.track_fans(decided * len(available) / len(self.drives))
        for i, drive in enumerate(self.drives):
            if i != reset_index:
                self._move(drive, 0.0 if drive.tripped() else decided)

    def _move(self, drive: PumpActuator, speed: "float | None") -> None:
        if speed is None or drive.session.name in self._arbiter.locked:
            drive.withhold()
        else:
            drive.request(speed)

    def active_conditions(self) -> "list[Condition]":
        """Return the active conditions for the supervisor."""
        conditions: list[Condition] = [
            (FAN_TRIP, drive.session.name, alarm_text(FAN_TRIP, drive.session.name))
            for drive in self.drives
            if drive.tripped()
        ]
        if self._no_control_s >= FULL_SPEED_S and self._are_inputs_unknown:
            conditions.append((FAN_INPUTS_LOST, "", FAN_INPUTS_LOST.text))
        return conditions
