# SPDX-License-Identifier: Apache-2.0
"""The invariants I1, I2, I3 and I5 to I9 of the hazard analysis, judged on the truth.

Does not run anything; I4 needs two runs (see `hil.campaign.hazard.run`). Each invariant gets a
sample each 250 ms. Its first violation counts, with its time. `NAMES` describes all of them.
"""

from math import inf
from typing import Any

from agent.alarms.alarm_filter import AlarmFilter
from agent.alarms.catalogue import catalogue
from hil.campaign.hazard.case_generator import FAULT_FREE_S, HazardCase
from hil.campaign.hazard.injected_faults import FALSE_VALUE, NEUTRAL
from hil.campaign.hazard.truth import SECOND, STEP_US, Truth
from hil.devices.power.capped_load import CappedLoad
from hil.kernel.run_history import matches_code
from hil.measure.hazard import OFF_FRACTION, reported_off

NAMES = {
    "I1": "case at most 85 C, or limits within 2 s of the cause and case at most 95 C",
    "I2": "supply above the dew point, or alarm dew within 10 s and above again in 120 s",
    "I3": "the controller lives, misses no tick, and names a component that is off",
    "I4": "the order of the components changes no write",
    "I5": "loads reported off draw under 5 % within 8 s, limited ones at most 105 %, others are on",
    "I6": "one false value alone sheds no load and stops no pump",
    "I7": "at most 10 alarms, at most 3 of priority 1, in 10 minutes",
    "I8": "after the end of the faults: state normal within 300 s, or a latch with a name",
    "I9": "a restart raises no limit, and its set-point is not below the floor",
}
_CASE_MAX_C, _CASE_LIMITED_C = 85.0, 95.0
_LIMIT_US = 2 * SECOND
_DEW_TOLERANCE_K = 0.05
_HOLD_US = 60 * SECOND
_UNDER_WAY_US = SECOND
"""A service carries out an order of before the restart within this time."""
_HIGHEST_MILLI_C = 45_000
"""Highest set-point of the supply: overheating has priority over condensation."""
_STALE_US = 5 * SECOND
_ON_S = 60
_MISSING_L = 0.3
_FIRST_FAULT_US = FAULT_FREE_S * SECOND


class Invariant:
    """One invariant over a run: `violation` is (time in s, text) of its first violation."""

    name = ""

    def __init__(self, case: HazardCase) -> None:
        self.case = case
        self.violation: tuple[float, str] | None = None

    def violate(self, at_s: float, text: str) -> None:
        """Keep the first violation."""
        if self.violation is None:
            self.violation = (at_s, text)

    def step(self, truth: Truth) -> None:
        """Judge one sample."""

    def finish(self, truth: Truth) -> None:
        """Judge the end of the run; `truth` is the last sample."""


class CaseInvariant(Invariant):
    """I1: heat at the cases."""

    name = "I1"

    def __init__(self, case: HazardCase) -> None:
        super().__init__(case)
        self._cause_us: int | None = None

    def step(self, truth: Truth) -> None:
        """Watch for the cause, the limit and the case."""
        has_cause = (
            truth.flow_fraction < 0.5 or truth.facility_fraction < 0.02 or truth.supply_c > 45.0
        )
        if has_cause and self._cause_us is None:
            self._cause_us = truth.now - STEP_US
        if self._cause_us is None:
            if truth.case_c > _CASE_MAX_C:
                self.violate(truth.at_s, f"case {truth.case_c:.1f} C without loss of cooling")
            return
        if truth.case_c <= _CASE_MAX_C:
            return
        limit_us = truth.first_limit_us(self._cause_us - _HOLD_US)
        delay = "never" if limit_us is None else f"{(limit_us - self._cause_us) / SECOND:.1f} s"
        if limit_us is None or limit_us > self._cause_us + _LIMIT_US:
            self.violate(truth.at_s, f"case {truth.case_c:.1f} C, first limit {delay}")
        elif truth.case_c > _CASE_LIMITED_C:
            self.violate(truth.at_s, f"case {truth.case_c:.1f} C with limits after {delay}")


class DewInvariant(Invariant):
    """I2: wetted surfaces. Time in which the controller has no power does not count: it can
    neither report nor act. Both limits go on from the return of power.
    """

    name = "I2"

    def __init__(self, case: HazardCase) -> None:
        super().__init__(case)
        self._since_us: int | None = None

    def step(self, truth: Truth) -> None:
        """Watch the margin above the dew point."""
        margin_k = truth.supply_c - truth.dew_c
        if margin_k >= -_DEW_TOLERANCE_K:
            self._since_us = None
            return
        if self._since_us is None:
            self._since_us = truth.now
        if not truth.is_powered:
            self._since_us += STEP_US
            return
        elapsed = truth.now - self._since_us
        if elapsed > 120 * SECOND:
            self.violate(truth.at_s, f"below the dew point for 120 s, {margin_k:.1f} K")
        elif elapsed > 10 * SECOND and not truth.has_alarm("dew"):
            self.violate(truth.at_s, f"below the dew point without an alarm, {margin_k:.1f} K")


class LifeInvariant(Invariant):
    """I3: the controller lives."""

    name = "I3"

    def __init__(self, case: HazardCase) -> None:
        super().__init__(case)
        self._powered_us = 0

    def step(self, truth: Truth) -> None:
        """Watch ticks and the age of the status."""
        status = truth.status
        if not truth.is_powered:
            self._powered_us = truth.now
        if status is None or not truth.is_powered:
            return
        if status["ticks"]["missed"]:
            self.violate(truth.at_s, f"{status['ticks']['missed']} ticks missed")
        started_us = max(self._powered_us, int(status["mono_us"]))
        if truth.now - started_us > _STALE_US:
            self.violate(truth.at_s, "no status for 5 s")

    def finish(self, truth: Truth) -> None:
        """Check that a component that raised is named."""
        words = {fault.word for fault in self.case.faults}
        raised = truth.testbed.history.raised
        if "raise_in" in words and not any(matches_code(code, "part_off") for _, code, _ in raised):
            self.violate(truth.at_s, "a component raised, and no alarm part_off names it")


class ReportedInvariant(Invariant):
    """I5: what the agent reports about loads is true."""

    name = "I5"

    def __init__(self, case: HazardCase) -> None:
        super().__init__(case)
        self._since_us: dict[str, int] = {}
        self._reported: dict[str, list[tuple[int, float]]] = {}

    def step(self, truth: Truth) -> None:
        """Compare the power of each load with what the agent reports."""
        status = truth.status
        if status is None or not status.get("throttle") or not truth.is_powered:
            return
        off = reported_off(status)
        limits = {load["name"]: load for load in status["throttle"]["loads"]}
        is_suspect = truth.has_alarm("limit_ineffective") or truth.has_alarm("limit_refused")
        for load in truth.loads:
            watts = load.watts(truth.now)
            reported = limits.get(load.name, {})
            if load.name in off:
                is_false = watts > OFF_FRACTION * load.rated_w
                self._judge(truth, f"{load.name} is reported off and draws", watts, is_false, 8)
            is_gone = bool(reported.get("on")) and load.name not in off and not load.is_on
            self._judge(truth, f"{load.name} is reported on and draws", watts, is_gone, _ON_S)
            if load.name in off or is_suspect or not reported.get("on"):
                # The alarm is true; the status that follows it is a second older.
                self._note_limit(truth.now, load, inf)
                continue
            limit_w = reported["limit_w"] if reported["limit_w"] < load.rated_w else inf
            highest_w = self._note_limit(truth.now, load, limit_w)
            # A raised limit acts before the next status reports it.
            text = f"{load.name} is reported limited and draws"
            self._judge(truth, text, watts, watts > 1.05 * highest_w, 2)

    def _note_limit(self, now: int, load: CappedLoad, limit_w: float) -> float:
        """Note the reported limit. Return the highest one of the time in which it must act: a limit
        that falls in steps leaves the load this time for each step.
        """
        entries = self._reported.setdefault(load.name, [(0, inf)])
        entries.append((now, limit_w))
        since_us = now - 3 * SECOND - load.effect_us
        while len(entries) > 1 and entries[1][0] <= since_us:
            entries.pop(0)
        return max(watts for _, watts in entries)

    def _judge(self, truth: Truth, text: str, watts: float, is_false: bool, seconds: int) -> None:
        if not is_false:
            self._since_us.pop(text, None)
        elif truth.now - self._since_us.setdefault(text, truth.now) > seconds * SECOND:
            self.violate(truth.at_s, f"{text} {watts:.0f} W")


class LieInvariant(Invariant):
    """I6: one false value alone takes no cooling and no load away."""

    name = "I6"

    def __init__(self, case: HazardCase) -> None:
        super().__init__(case)
        kinds = {fault.word: fault.kind for fault in case.faults if fault.kind != NEUTRAL}
        acting = [event for event in case.scenario.events if event.do in kinds]
        self._from_us, self._until_us = 0, -1
        if not acting or kinds[acting[0].do] != FALSE_VALUE:
            return
        next_s = acting[1].at_s if len(acting) > 1 else case.scenario.seconds
        self._from_us = int(acting[0].at_s * SECOND)
        self._until_us = int(next_s * SECOND)

    def step(self, truth: Truth) -> None:
        """Watch pumps and loads while only the false value acts."""
        if not self._from_us <= truth.now < self._until_us:
            return
        off = [load.name for load in truth.loads if not load.is_on]
        if off:
            self.violate(truth.at_s, f"{', '.join(off)} switched off on one false value")
        if truth.flow_fraction < 0.25:
            self.violate(truth.at_s, "the pumps stop on one false value")


class AlarmInvariant(Invariant):
    """I7: no flood. The alarms that reach a person count, as the alarm filter decides."""

    name = "I7"

    def __init__(self, case: HazardCase) -> None:
        super().__init__(case)
        self._done = 0
        self._filter = AlarmFilter()
        self._codes: list[str] = []

    def step(self, truth: Truth) -> None:
        """Count what reaches a person after the first fault."""
        changes = truth.testbed.history.changes
        now_ms = truth.now // 1000
        for _, is_raised, code in changes[self._done :]:
            self._filter.change(now_ms, is_raised, code)
        self._done = len(changes)
        for notice in self._filter.poll(now_ms):
            if notice.event != "cleared" and truth.now >= _FIRST_FAULT_US:
                self._codes.append(notice.code or notice.event)

    def finish(self, truth: Truth) -> None:
        """Judge the whole run: from the first fault it lasts at most about 10 minutes."""
        urgent = [code for code in self._codes if catalogue().priority(code) == 1]
        if len(urgent) > 3:
            names = ", ".join(urgent)
            self.violate(truth.at_s, f"{len(urgent)} alarms of priority 1: {names}")
        if len(self._codes) > 10:
            self.violate(truth.at_s, f"{len(self._codes)} alarms: {', '.join(self._codes)}")


class RecoveryInvariant(Invariant):
    """I8: after the faults the unit is normal, or it names why not."""

    name = "I8"

    def finish(self, truth: Truth) -> None:
        """Judge the last status if the faults have ended."""
        status = truth.status
        if self.case.end_s is None or status is None or status["state"] == "normal":
            return
        if any(fault.is_permanent for fault in self.case.faults):
            return
        latched = [cause["code"] for cause in (status.get("safety") or {}).get("causes", [])]
        inventory = truth.testbed.plant.inventory
        missing_l = inventory.capacity_l - inventory.reservoir_volume_l
        if missing_l >= _MISSING_L and truth.has_alarm("level_low"):
            return  # a person must fill up
        if not latched:
            codes = ", ".join(truth.alarms) or "no alarm"
            self.violate(truth.at_s, f"state {status['state']} 300 s after the faults: {codes}")


class RestartInvariant(Invariant):
    """I9: a restart raises no limit and starts at or above the floor. A service of the loads that
    restarts later loses its limits by itself.
    """

    name = "I9"

    def __init__(self, case: HazardCase) -> None:
        super().__init__(case)
        self._limits: dict[str, tuple[bool, float]] | None = None
        restart_s = case.restart_s or 0.0
        self._service_restart_s = min(
            (
                event.at_s
                for event in case.scenario.events
                if event.do == "bmc_reboot" and event.at_s >= restart_s
            ),
            default=inf,
        )

    def step(self, truth: Truth) -> None:
        """Compare limits and set-point after the restart with those before."""
        if self.case.restart_s is None:
            return
        elapsed = truth.now - int(self.case.restart_s * SECOND)
        if elapsed < _UNDER_WAY_US:
            self._limits = {load.name: (load.is_on, load.limit_w) for load in truth.loads}
            return
        if elapsed > _HOLD_US or self._limits is None:
            return
        if truth.at_s < self._service_restart_s:
            self._judge_loads(truth, self._limits)
        self._judge_setpoint(truth)

    def _judge_loads(self, truth: Truth, limits: dict[str, tuple[bool, float]]) -> None:
        for load in truth.loads:
            was_on, limit_w = limits[load.name]
            if load.is_on and not was_on:
                self.violate(truth.at_s, f"{load.name} switched on by a restart")
            elif load.limit_w > limit_w:
                self.violate(
                    truth.at_s, f"{load.name}: limit {limit_w:.0f} W raised to {load.limit_w:.0f}"
                )

    def _judge_setpoint(self, truth: Truth) -> None:
        status = truth.status
        if status is None or not truth.is_powered or not status.get("cooling"):
            return
        floor: Any = status["cooling"]["floor_milli_c"]
        setpoint: Any = status["supply"]["setpoint_milli_c"]
        if floor is not None and setpoint < min(floor, _HIGHEST_MILLI_C):
            self.violate(truth.at_s, f"set-point {setpoint} m°C below the floor {floor} m°C")


INVARIANTS: tuple[type[Invariant], ...] = (
    CaseInvariant,
    DewInvariant,
    LifeInvariant,
    ReportedInvariant,
    LieInvariant,
    AlarmInvariant,
    RecoveryInvariant,
    RestartInvariant,
)
"""All invariants that one run judges."""
