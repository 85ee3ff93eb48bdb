# SPDX-License-Identifier: Apache-2.0
"""Protection apart from the regulation: loss of coolant flow, loss of the mains, stalled pumps.

A part of the component `safety`. It has its own readings (`agent.safety.raw_point`) and its own
arithmetic. It shares no validated sensor and no model with the loops. It runs in each tick, so it
does not wait for a control cycle. When a reading is suspect, the unit is read again immediately.

    finding                   reaction
    no flow, first sign       all loads to their least power; all pumps to full speed; `flow_low`
    no flow for `_SHED_US`  all loads off; the second time in `_SECOND_SHED_US`, they stay off for
                              that time: what reports the flow between may be wrong
    no flow again soon        the pumps stay at full speed for `_SECOND_SHED_US`: at the speed of
                              the loop the flow is too little, for example at a false pressure
    a pump is blocked         the other pump takes over (`PumpActuator.stalled`), full speed first
    mains voltage is low      as the first sign of no flow. If the coolant then flows for
                              `_FALSE_MAINS_US` without any sign, the meter is false: `gauge_lie`
    little flow               a cap that the flow can carry (`_FLOW_CAP`)
    one sensor alone says so  nothing is limited; `gauge_lie`
    flow against pressure     nothing is limited; `row_resistance` (`agent.safety.row_resistance`)
    a branch is shut          while a load is hot, or is not seen: all pumps to full speed, and the
                              coldest supply; `branch_shut`
    both against the speed    nothing is limited; `impeller` (`agent.safety.pump_curve`)

While another pump takes over from a dead one, the loads are not limited for `_TAKE_OVER_US`. The
limits end when the flow is back for `_FLOW_RETURN_US`. The loads then rise step by step.
"""

from agent.core.alarm_record import DEGRADED, NORMAL, SAFE, AlarmRecord, alarm_text
from agent.safety.drive_watch import DriveWatch
from agent.safety.flow_watch import FlowWatch
from agent.safety.pump_curve import IMPELLER, PumpCurve
from agent.safety.raw_point import find_point, read
from agent.safety.row_resistance import ROW_RESISTANCE, RowResistance
from agent.safety.supervisor import PUMP_TRIP
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.control_context import ControlContext
    from agent.core.alarm_record import Condition
    from agent.core.context import LoadLimitsView
    from agent.safety.raw_point import RawPoint

FLOW_LOW = AlarmRecord("flow_low", SAFE, "coolant does not flow", "", True)
GAUGE_DISCREPANCY = AlarmRecord(
    "gauge_lie", DEGRADED, "disagrees with all others: gauge", "signal", True
)
PUMP_BLOCKED = AlarmRecord("pump_blocked", DEGRADED, "shaft does not turn:", "device", True)
NO_PUMP_FLOW = AlarmRecord("pump_no_flow", NORMAL, "turned without flow:", "device", True)
BRANCH_SHUT = AlarmRecord(
    "branch_shut", DEGRADED, "a branch of the row is shut: a load is hot, or not read", "", True
)
MAINS_LOW = AlarmRecord("mains_low", DEGRADED, "mains voltage is low", "", True)

_SHED_US = 2500 * MILLISECOND
_FLOW_RETURN_US = 3 * SECOND
_FULL_US = 8 * SECOND
_TAKE_OVER_US = 2500 * MILLISECOND
_SECOND_SHED_US = 600 * SECOND
_RELAPSE_US = 120 * SECOND
"""A loss that begins this time after the last one is the same one. The ramp down takes a minute."""
_REPOLL_EVERY_US, _REPOLL_US = 200 * MILLISECOND, 2 * SECOND
_LONGEST_STEP_US = 500 * MILLISECOND
_LOW_MAINS = 0.65
_FALSE_MAINS_US = 30 * SECOND
"""Pumps without mains stand within seconds. Those on another supply need no limits either."""
_NO_FLOW, _LITTLE_FLOW = "no flow", "little flow"
_FLOW_CAP = ((8, 300), (18, 580), (26, 760), (45, 1000))
"""(flow, % of the design; power, permille of the rated power). At 32 °C a case of class gpu then
stays below 85 °C. Measured on the bench plant: 8/18/26/41 % carry 35/63/81/106 %."""
_CASE_C, _TABLE_C = 85.0, 32.0


class Protection:
    """The protection. `settings`: the section `safety`. `limits`: set at the start of the agent.

    `last_step`: time of the last complete control cycle, µs, for the watchdog. `is_level_low`,
    `is_filter_clogged`: coolant is lost, the filter clogs, as `LoopWatch` finds them.
    """

    def __init__(self, agent: "ControlContext", settings: "dict[str, Any]") -> None:
        config = agent.config
        unit = agent.fieldbus.session(config.supply.sensor)
        pressure_device = agent.fieldbus.session(config.pressure.sensor)
        self.limits: LoadLimitsView | None = None
        self.last_step: int | None = None
        self.is_level_low = self.is_filter_clogged = False
        self.flow = FlowWatch(settings["flow_lpm"], config.pressure.setpoint)
        self.resistance, self.curve = RowResistance(), PumpCurve()
        self._flow_at = 0
        self.drives = [DriveWatch(pump) for pump in agent.pumps]
        self._agent = agent
        self._sessions = [unit] + [pressure_device] * (pressure_device is not unit)
        self._sessions += [drive.pump.session for drive in self.drives]
        self._flow_lpm = find_point(unit, "FlowLitersPerMinute", 0.0, 20_000.0)
        self._supply_c = find_point(unit, "SupplyTemperatureCelsius", 3.0, 84.0)
        self._design_lpm: float = settings["flow_lpm"]
        self._dp = find_point(pressure_device, "DeltaPressurekPa", -50.0, 1000.0)
        self._supply_kpa = find_point(pressure_device, "SupplyPressurekPa", -100.0, 1600.0)
        self._return_kpa = find_point(pressure_device, "ReturnPressurekPa", -100.0, 1600.0)
        self._mains: RawPoint | None = None
        self._nominal_v = 230.0
        if "mains" in settings:
            raw = settings["mains"]
            session = agent.fieldbus.session(raw["device"])
            self._mains = find_point(session, raw["point"], 0.0, 100_000.0)
            self._nominal_v = raw["nominal_v"]
        self._mains_low = self._mains_false = False
        self._mains_since = 0
        self._stepped_at = self._repolled_at = self._repoll_until = 0
        self._signs = (False, False, 0)
        self._lost_since: int | None = None
        self._flow_since = -_RELAPSE_US
        self._hold_until = self._steady_until = 0
        self._shed_at: int | None = None
        self._has_shed = False
        self._full_until = self._take_over_until = 0
        self._dead_count = self._seen = 0
        self._cap_permille = 1000
        self._is_flow_little = False
        self._is_stopping = self._had_power_loss = self._is_no_pump = False
        self._before_stop = self._findings()

    def use_limits(self, limits: "LoadLimitsView | None") -> None:
        """Command the loads by `limits`; None: the unit has no loads."""
        self.limits = limits

    def mark_cycle(self, now: int) -> None:
        """Record that a control cycle is complete."""
        self.last_step = now

    def step(self, now: int, is_stopping: bool) -> None:
        """Take the readings and command the loads; called in each tick. `is_stopping`: a cause
        stops the pumps, so no flow is no surprise.
        """
        if is_stopping and not self._is_stopping:
            self._before_stop = self._findings()
        self._is_stopping = is_stopping
        seen = sum([session.transactions for session in self._sessions])
        if seen != self._seen or now - self._stepped_at >= _LONGEST_STEP_US:
            self._seen = seen
            self._evaluate(now)
        if now < self._repoll_until and not is_stopping:
            self._poll_again(now)
        self._react(now)

    def _evaluate(self, now: int) -> None:
        dt = min((now - self._stepped_at) / 1_000_000, 2.0)
        self._stepped_at = now
        for drive in self.drives:
            was_tripped, name = drive.is_tripped, drive.pump.session.name
            if drive.update(now):
                self._full_until = now + _FULL_US
                text = alarm_text(PUMP_BLOCKED, name)
                self._agent.alarms.update(PUMP_BLOCKED, name, True, now, text)
            if drive.is_tripped != was_tripped:  # the supervisor is up to a cycle later
                text = alarm_text(PUMP_TRIP, name)
                self._agent.alarms.update(PUMP_TRIP, name, drive.is_tripped, now, text)
        dead_count = sum([drive.is_dead for drive in self.drives])
        if dead_count > self._dead_count:
            self._take_over_until = now + _TAKE_OVER_US
        self._dead_count = dead_count
        unit_at = self._sessions[0].answered_at
        flow_lpm, kpa = read(self._flow_lpm, now), self.read_dp(now)
        is_hot = None if self.limits is None else self.limits.devices_warm
        if self._flow_lpm is not None and self._flow_lpm.read_at != self._flow_at:
            self._flow_at = self._flow_lpm.read_at
            self.flow.flow_read(self.drives)
            if self.resistance.add(flow_lpm, kpa):
                self.flow.forget()
            if not self.resistance.is_changed:
                self.curve.add(flow_lpm, kpa, self.drives)
            elif not self.resistance.is_shut:
                is_false = self.curve.is_false_pressure(kpa, self.drives)
                self.resistance.use_false_pressure(is_false)
                self.resistance.confirm(self.curve.is_throttled(flow_lpm, kpa, self.drives))
        is_consistent = not self.resistance.is_changed
        self.flow.update(flow_lpm, kpa, self.drives, is_hot, unit_at, now, dt, is_consistent)
        self._update_cap(self.flow.least_flow(flow_lpm, kpa), now)
        least_lpm = _FLOW_CAP[-1][0] * self._design_lpm / 100.0
        self._is_flow_little = flow_lpm is not None and flow_lpm < least_lpm
        self._judge_mains(read(self._mains, now), now)
        failing = sum([max(drive.pump.session.device.failures) > 0 for drive in self.drives])
        signs = (self.flow.suspect, self._mains_low, failing)
        is_deciding = self._lost_since is not None and not self._has_shed
        if signs > self._signs or is_deciding:  # switching off needs readings of this moment
            self._repoll_until = now + _REPOLL_US
        self._signs = signs

    def _judge_mains(self, volts: "float | None", now: int) -> None:
        """Decide whether the mains are low. A meter that is not read ends nothing; coolant that
        flows does.
        """
        is_low = self._mains_low if volts is None else volts < _LOW_MAINS * self._nominal_v
        if not is_low or self.flow.suspect or self.flow.flow_low is not False:
            self._mains_since = now
        is_refuted = is_low and now - self._mains_since >= _FALSE_MAINS_US
        self._mains_low = is_low and not is_refuted
        if volts is not None:
            self._mains_false = is_refuted

    def _is_powerless(self) -> bool:
        return False not in [drive.is_away for drive in self.drives]

    def _update_cap(self, flow: "float | None", now: int) -> None:
        """Set the cap that the flow can carry; 1000: none."""
        self._cap_permille = 1000
        if flow is None or self._design_lpm <= 0 or self._is_taking_over(now):
            return
        percent = 100.0 * flow / self._design_lpm
        if percent >= _FLOW_CAP[-1][0]:
            return
        cap: float = _FLOW_CAP[0][1]
        for (low, low_cap), (high, high_cap) in zip(_FLOW_CAP, _FLOW_CAP[1:]):
            if percent > low:
                cap = low_cap + (high_cap - low_cap) * (percent - low) / (high - low)
        supply_c = read(self._supply_c, now)
        if supply_c is not None and supply_c > _TABLE_C:
            cap = cap * (_CASE_C - supply_c) / (_CASE_C - _TABLE_C)
        self._cap_permille = int(cap)

    def _is_lost(self, now: int) -> bool:
        """Return whether there is no flow, and no other pump takes over now.

        While a spare pump runs up without flow, its pressure can look usual: the loss goes on.
        """
        flow = self.flow
        is_lost = self._mains_low or (self._has_shed and flow.stays_gone)
        return is_lost or (flow.is_lost and not self._is_taking_over(now))

    def _is_taking_over(self, now: int) -> bool:
        return self._dead_count < len(self.drives) and now < self._take_over_until

    def read_dp(self, now: int) -> "float | None":
        """Return the differential pressure, kPa, or None."""
        if self._dp is not None:
            return self._dp.value(now)
        supply_kpa, return_kpa = read(self._supply_kpa, now), read(self._return_kpa, now)
        if supply_kpa is None or return_kpa is None:
            return None
        return supply_kpa - return_kpa

    def _poll_again(self, now: int) -> None:
        """Read the unit and the drives again, if they have answered the last polls."""
        if now - self._repolled_at < _REPOLL_EVERY_US:
            return
        self._repolled_at = now
        for session in self._sessions:
            if not session.lost and session.polls_complete():
                session.poll_early()

    def _react(self, now: int) -> None:
        flow, limits = self.flow, self.limits
        if self._is_lost(now):
            if self._lost_since is None:
                self._begin_loss(now)
            self._flow_since = now
        elif self._lost_since is not None and now - self._flow_since >= _FLOW_RETURN_US:
            self._lost_since = None
        if limits is not None:
            is_higher, is_shut = self.resistance.is_higher, self.resistance.is_shut
            limits.report_shut_branch(is_higher, is_shut, self._is_flow_little)
            limits.report_flow_seen(self.flow.flow_low is False and self.flow.dp_low is False)
        if limits is not None and self._cap_permille < 1000:
            limits.cap(self._cap_permille, _LITTLE_FLOW)
        if self._lost_since is None:
            self._prove_suspects(now)
            self._had_power_loss = self._has_shed = self._is_no_pump = False
            if limits is not None and now < self._hold_until:
                limits.limit_all(_NO_FLOW)
            return
        # After a loss of power the loop starts the pumps one after the other, in its slot.
        self._had_power_loss = self._had_power_loss or self._is_powerless()
        if self._had_power_loss:
            self._steady_until = 0
        has_spare = True in [drive.is_spare for drive in self.drives]
        if flow.is_lost and not self._is_stopping and not self._is_no_pump:
            self._judge_pumps(has_spare, now)
        if limits is not None:
            self._limit_loads(limits, self._lost_since, now)

    def _begin_loss(self, now: int) -> None:
        """Note a new loss. Soon after the last one, the speed of the loop was too low."""
        self._lost_since = now
        if self._is_stopping:
            return
        if now - self._flow_since < _RELAPSE_US and not self._mains_low:
            self._steady_until = now + _SECOND_SHED_US
        self._agent.alarms.update(FLOW_LOW, "", True, now)

    def _judge_pumps(self, has_spare: bool, now: int) -> None:
        """Use the spare pump. If it gives no flow either, no pump is the cause of this loss."""
        if has_spare:
            for drive in self.drives:
                drive.mark_failed(now)
        replaced = True in [drive.is_suspect for drive in self.drives]
        if replaced and True in [drive.gives_nothing(now) for drive in self.drives]:
            self._is_no_pump = True
            for drive in self.drives:
                drive.clear_failed()

    def _prove_suspects(self, now: int) -> None:
        """Coolant flows: a pump that turns alone gives it."""
        count = sum([drive.is_turning for drive in self.drives])
        for drive in self.drives:
            if drive.is_suspect:
                drive.prove_flow(drive.is_turning and count == 1, now)

    def _limit_loads(self, limits: "LoadLimitsView", lost_since: int, now: int) -> None:
        """Limit all loads; switch them off after `_SHED_US` without flow."""
        limits.limit_all(_NO_FLOW)
        is_gone = self.flow.is_gone or self.flow.stays_gone
        if is_gone and now - lost_since >= _SHED_US:
            limits.shed_all(_NO_FLOW)
            if not self._has_shed:
                self._note_shed(now)

    def _note_shed(self, now: int) -> None:
        """Note that the loads go off. A second time soon: what reports the flow may be wrong, but
        not if the mains explain this time.
        """
        self._has_shed = True
        if self._mains_low or self._had_power_loss:
            return
        if self._shed_at is not None and now - self._shed_at < _SECOND_SHED_US:
            self._hold_until = now + _SECOND_SHED_US
        self._shed_at = now

    def pump_floor(self, now: int) -> "float | None":
        """Return the least output of all pumps, percent; None: no claim."""
        if self._is_stopping:
            return None
        if now < self._full_until or now < self._steady_until:
            return 100.0
        if self._is_lost(now) and not self._had_power_loss:
            return 100.0
        return None

    def is_branch_starved(self) -> bool:
        """Return whether a load behind a shut branch needs all flow: pumps at full speed."""
        return self._is_flow_needed() and not self._is_stopping

    def _is_flow_needed(self) -> bool:
        return self.limits is not None and self.limits.is_flow_needed

    @property
    def is_row_usual(self) -> bool:
        """Return whether coolant flows and pressure belongs to flow as usual: models may learn."""
        return self.resistance.is_usual and not self.flow.suspect

    def confirms_dry(self) -> bool:
        """Return whether a second reading, not the pressure, says that the pumps run dry."""
        return self.flow.flow_low is True

    def stalled_pumps(self) -> "list[str]":
        """Return the names of the pumps whose shaft is blocked."""
        return [drive.pump.session.name for drive in self.drives if drive.pump.stalled]

    def restore_stalled(self, name: str, now: int) -> bool:
        """Use another pump than `name`, as before the restart, until it is tried again."""
        others = [drive for drive in self.drives if not drive.pump.stalled]
        for drive in others:
            if drive.pump.session.name == name and len(others) > 1:
                drive.mark_stalled(now)
                return True
        return False

    def _findings(self) -> "tuple[bool, bool, bool, str]":
        """Return whether the flow is lost, the resistance is changed and a branch is starved, and
        the name of the false gauge.
        """
        is_lost = self._lost_since is not None
        outlier = "" if is_lost else self.flow.outlier
        return is_lost, self.resistance.is_changed, self._is_flow_needed(), outlier

    def _shown_findings(self) -> "tuple[bool, bool, bool, str]":
        """Return the findings for people. Pumps that are stopped show nothing: a stop begins no
        finding, and ends none.
        """
        is_lost, is_changed, is_starved, outlier = self._findings()
        if self._is_stopping:
            was_lost, was_changed, was_starved, outlier = self._before_stop
            is_lost, is_changed = is_lost and was_lost, is_changed and was_changed
            is_starved = is_starved and was_starved
        return is_lost, is_changed, is_starved, outlier

    def active_conditions(self) -> "list[Condition]":
        """Return the active conditions for the supervisor."""
        found: list[Condition] = []
        is_lost, is_changed, is_starved, outlier = self._shown_findings()
        if is_lost:
            found.append((FLOW_LOW, "", FLOW_LOW.text))
        for drive in self.drives:
            if drive.is_shown_blocked:
                name = drive.pump.session.name
                found.append((PUMP_BLOCKED, name, alarm_text(PUMP_BLOCKED, name)))
            if drive.is_suspect and self._lost_since is None:
                name = drive.pump.session.name
                found.append((NO_PUMP_FLOW, name, alarm_text(NO_PUMP_FLOW, name)))
        if self._mains_low:
            found.append((MAINS_LOW, "", MAINS_LOW.text))
        if self._mains_false:
            found.append((GAUGE_DISCREPANCY, "mains", alarm_text(GAUGE_DISCREPANCY, "mains")))
        if outlier:
            found.append((GAUGE_DISCREPANCY, outlier, alarm_text(GAUGE_DISCREPANCY, outlier)))
        if is_changed:
            found.append((ROW_RESISTANCE, "", ROW_RESISTANCE.text))
        if is_starved:
            found.append((BRANCH_SHUT, "", BRANCH_SHUT.text))
        if self.curve.is_weak:
            found.append((IMPELLER, "", IMPELLER.text))
        return found
