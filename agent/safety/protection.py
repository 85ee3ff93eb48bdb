# SPDX-License-Identifier: Apache-2.0
"""Protection apart from the regulation: loss of coolant flow, loss of the mains, stalled pumps.

A part of the component `safety`. It has its own readings (`agent.safety.raw_point`) and its own
arithmetic. It shares no validated sensor and no model with the loops. It runs in each tick, so it
does not wait for a control cycle. When a reading is suspect, the unit is read again at once.

    finding                   reaction
    no flow, first sign       all loads to their least power; all pumps to full speed; `flow_low`
    no flow for `_SHED_TIME`  all loads off
    a pump stands (blocked)   the other pump takes over (`PumpActuator.stalled`), full speed first
    mains voltage is low      as the first sign of no flow
    a gauge alone says so     nothing is limited; `gauge_lie`

The limits end when the flow is back for `_BACK_TIME`. The loads then rise step by step.
"""

from agent.core.alarm_record import DEGRADED, SAFE, AlarmRecord
from agent.safety.drive_watch import DriveWatch
from agent.safety.flow_watch import FlowWatch
from agent.safety.raw_point import find_point, read
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.control_context import ControlContext
    from agent.core.alarm_record import Condition
    from agent.power.load_limits import LoadLimits
    from agent.safety.raw_point import RawPoint

FLOW_LOW = AlarmRecord("flow_low", SAFE, "coolant does not flow", "", True)
GAUGE_LIE = AlarmRecord("gauge_lie", DEGRADED, "disagrees with all others: gauge", "gauge", True)
MAINS_LOW = AlarmRecord("mains_low", DEGRADED, "mains voltage is low", "", True)

_SHED_TIME = 2500 * MILLISECOND
_BACK_TIME = 3 * SECOND
_FULL_TIME = 8 * SECOND
_LOOK_AGAIN = 150 * MILLISECOND
_LOW_MAINS = 0.65
_NO_FLOW = "no flow"


class Protection:
    """The protection. `settings`: the section `safety`. `limits`: set at the start of the agent."""

    def __init__(self, agent: "ControlContext", settings: "dict[str, Any]") -> None:
        config = agent.config
        unit = agent.fieldbus.session(config.supply.sensor)
        gauge = agent.fieldbus.session(config.pressure.sensor)
        self.limits: LoadLimits | None = None
        self.flow = FlowWatch()
        self.drives = [DriveWatch(pump) for pump in agent.pumps]
        self._agent = agent
        self._sessions = [unit, gauge] if gauge is not unit else [unit]
        self._flow_lpm = find_point(unit, "FlowLitersPerMinute", 0.0, 20_000.0)
        self._dp = find_point(gauge, "DeltaPressurekPa", -50.0, 1000.0)
        self._supply_kpa = find_point(gauge, "SupplyPressurekPa", -100.0, 1600.0)
        self._return_kpa = find_point(gauge, "ReturnPressurekPa", -100.0, 1600.0)
        self._mains: RawPoint | None = None
        self._nominal_v = 230.0
        if "mains" in settings:
            raw = settings["mains"]
            session = agent.fieldbus.session(raw["device"])
            self._mains = find_point(session, raw["point"], 0.0, 100_000.0)
            self._nominal_v = raw["nominal_v"]
        self._mains_low = False
        self._stepped_at = self._looked_at = 0
        self._lost_since: int | None = None
        self._back_since = 0
        self._full_until = 0
        self._is_stopping = False

    def step(self, now: int, is_stopping: bool) -> None:
        """Take the readings and command the loads; called in each tick. `is_stopping`: a cause
        stops the pumps, so no flow is no surprise.
        """
        dt = min((now - self._stepped_at) / 1_000_000, 2.0)
        self._stepped_at, self._is_stopping = now, is_stopping
        for drive in self.drives:
            if drive.update(now):
                self._full_until = now + _FULL_TIME
        flow = self.flow
        flow.vote(read(self._flow_lpm, now), self.read_dp(now), self.drives, None, now, dt)
        volts = read(self._mains, now)
        self._mains_low = volts is not None and volts < _LOW_MAINS * self._nominal_v
        if flow.suspect or self._mains_low:
            self._look_again(now)
        self._react(now)

    def read_dp(self, now: int) -> "float | None":
        """Return the differential pressure, kPa, or None."""
        if self._dp is not None:
            return self._dp.value(now)
        supply_kpa, return_kpa = read(self._supply_kpa, now), read(self._return_kpa, now)
        if supply_kpa is None or return_kpa is None:
            return None
        return supply_kpa - return_kpa

    def _look_again(self, now: int) -> None:
        """Read the unit and the drives again, if they have answered the last polls."""
        if now - self._looked_at < _LOOK_AGAIN:
            return
        self._looked_at = now
        for session in self._sessions + [drive.pump.session for drive in self.drives]:
            if not session.lost and session.polls_complete():
                session.poll_now()

    def _react(self, now: int) -> None:
        flow, limits = self.flow, self.limits
        if flow.is_lost or self._mains_low:
            self._back_since = now
            if self._lost_since is None:
                self._lost_since = now
        elif self._lost_since is not None and now - self._back_since >= _BACK_TIME:
            self._lost_since = None
        if self._lost_since is None or limits is None:
            return
        limits.limit_all(_NO_FLOW)
        if flow.is_gone and now - self._lost_since >= _SHED_TIME:
            limits.shed_all(_NO_FLOW)

    def pump_floor(self, now: int) -> "float | None":
        """Return the least output of all pumps, percent; None: no claim."""
        if self._is_stopping:
            return None
        if (self._lost_since is not None and self.flow.is_lost) or now < self._full_until:
            return 100.0
        return None

    def confirms_dry(self) -> bool:
        """Return whether a second reading, not the pressure, says that the pumps run dry."""
        return self.flow.flow_low is True

    def active_conditions(self) -> "list[Condition]":
        """Return the active conditions for the supervisor."""
        found: list[Condition] = []
        if self._lost_since is not None and self.flow.is_lost and not self._is_stopping:
            found.append((FLOW_LOW, "", FLOW_LOW.text))
        if self._mains_low:
            found.append((MAINS_LOW, "", MAINS_LOW.text))
        if self.flow.liar:
            found.append((GAUGE_LIE, self.flow.liar, GAUGE_LIE.text + " " + self.flow.liar))
        return found


