# SPDX-License-Identifier: Apache-2.0
"""Load shedding: switch loads off if their minimum power is too much, and on when it is cold again.

Does not set limits. They are sent first, and shedding waits until they had time to act.

All loads of the lowest priority are switched off together. They are restored one by one, the
highest priority first. A load whose service has not confirmed its limit waits `_SERVICE_WAIT_US`
longer, because its outlets would switch it on with an unknown limit. After a loss of power the
service starts in this time. If it stays silent, the load runs: the supply carries its full power.
A load that was overheated stays off while a branch of the row is shut, and one with a hot module
while it is hot. Modules cool slowly: the others return, because their heat keeps the supply dry.
"""

from agent.core.alarm_record import NORMAL, AlarmRecord
from agent.power.load import outlet_sessions
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.context import Context
    from agent.power.detector.headroom import CoolingHeadroom
    from agent.power.limit.load_limits import LoadLimits
    from agent.power.load import Load
    from agent.power.optics_monitor import OpticsMonitor

LOAD_SHED = AlarmRecord("load_shed", NORMAL, "is told to go off", "load", True)
OFF_TEXT = "is switched off"
"""The text after the load was proven to be off."""
START_TEXT = "was switched on and draws no power"
DARK_TEXT = "draws no power since the start of the controller"
_SHED_INTERVAL_US = 5 * SECOND
_CONFIRM_US = 8 * SECOND
"""Time for which the overheating must be predicted. Limits that were just sent act within it."""
_RESTORE_BELOW_K = 2
_SERVICE_WAIT_US = 300 * SECOND
_MAX_HOLD_DOUBLINGS = 5
"""A load that was overheated waits up to 2**5 times the hold time: its cause can still be there."""


class LoadShedding:
    """Switches `loads`. A monitor in `optics` can switch off its own load."""

    def __init__(
        self,
        agent: "Context",
        settings: "dict[str, Any]",
        loads: "list[Load]",
        optics: "list[OpticsMonitor]",
        headroom: "CoolingHeadroom",
        limits: "LoadLimits",
    ) -> None:
        self._agent = agent
        self._limits = limits
        self._lead_s: int = settings["shed_lead_s"]
        self._hold_us: int = settings["hold_s"] * SECOND
        self._loads, self._optics, self._headroom = loads, optics, headroom
        self._next_shed_at = 0
        self._over_since: int | None = None

    def step(self, shortfall_w: int, in_restore_slot: bool, now: int) -> None:
        """Switch off loads that would overheat; restore loads one by one.

        `shortfall_w`: watts missing for all minimums. `in_restore_slot`: this row can increase its
        power now.
        """
        headroom = self._headroom
        self.follow_protection(now)
        with_hot_modules = [
            monitor.load for monitor in self._optics if monitor.update(self._agent.alarms, now)
        ]
        for module_load in with_hot_modules:
            if module_load is not None and module_load.is_on and module_load.can_switch:
                self._switch(module_load, False, now)
        if headroom.supply_c is None:
            return
        predicted_c = headroom.supply_c + max(0.0, headroom.rise_k_s) * self._lead_s
        overheating = [
            load
            for load in self._loads
            if load.is_on
            and load.load_class.case_c(predicted_c, load.min_permille()) >= load.load_class.limit_c
        ]
        if not overheating or self._over_since is None:
            self._over_since = now
        if overheating and now >= self._next_shed_at and now - self._over_since >= _CONFIRM_US:
            self._shed(now)
        elif (
            not overheating
            and not shortfall_w
            and in_restore_slot
            and not headroom.heat_rejection_lost
            and not self._limits.is_active
        ):
            self._restore(headroom.supply_c, with_hot_modules, now)

    def follow_protection(self, now: int) -> None:
        """Switch off all loads by order, those that ignore a limit of the protection, and those
        that are overheated. If all with a temperature were, the others are switched off too. A load
        with a silent service is switched off by its outlets too.
        """
        limits = self._limits
        is_lost = self._headroom.heat_rejection_lost or limits.limit_reason
        is_any_on = True in [load.is_on and load.is_case_known for load in self._loads]
        all_overheated = not is_any_on and self._are_all_overheated()
        for load in self._loads:
            must_shed = limits.shed_reason or (is_lost and load.ineffective) or load.is_overheated
            must_shed = must_shed or (all_overheated and not load.is_case_known)
            if load.is_on and load.can_switch and must_shed:
                target = load.target
                if load.is_overheated:
                    load.count_heat_trip()
                load.set_outlets(target is not None and target.answered_at < load.lowered_at)
                self._switch(load, False, now, force=True)

    def _are_all_overheated(self) -> bool:
        """Return whether two or more loads have a device temperature, and all were switched off
        because of it. Then no coolant flows, and those without a temperature are hot too.
        """
        measured = [load for load in self._loads if load.is_case_known]
        return len(measured) > 1 and False not in [load.is_heat_trip for load in measured]

    def show_off(self, load: "Load", now: int) -> None:
        """Raise the alarm of a load that was off before a restart."""
        self._agent.alarms.update(LOAD_SHED, load.name, True, now)

    def confirm_off(self, load: "Load") -> None:
        """Say that a load is off, because its power has shown it."""
        self._agent.alarms.set_text(LOAD_SHED, load.name, OFF_TEXT)

    def confirm_on(self, load: "Load", now: int) -> None:
        """Record that a load runs, because its power has shown it."""
        load.set_started()
        self._agent.alarms.update(LOAD_SHED, load.name, False, now)

    def start_again(self, load: "Load", is_measured: bool, now: int) -> None:
        """Switch on again a load that draws no power, by each way that it has."""
        if self._limits.is_active:
            return
        load.set_outlets(bool(load.outlets))
        self._command(load, True, now, force=True)
        if is_measured:
            self.show_dark(load, START_TEXT, now)

    def show_dark(self, load: "Load", text: str, now: int) -> None:
        """Raise the alarm of a load that should run and draws no power."""
        load.set_dark()
        self._agent.alarms.update(LOAD_SHED, load.name, True, now, text)

    def force_off(self, load: "Load", now: int) -> None:
        """Switch off again a load that still draws power, by each way that it has."""
        load.set_outlets(True)
        self._switch(load, False, now, force=True)

    def _shed(self, now: int) -> None:
        """Switch off the loads of the lowest priority that can be switched."""
        switchable = [load for load in self._loads if load.is_on and load.can_switch]
        if not switchable:
            return
        lowest = min([load.priority for load in switchable])
        for load in switchable:
            if load.priority == lowest:
                self._switch(load, False, now)
        self._next_shed_at = now + _SHED_INTERVAL_US

    def _restore(self, supply_c: float, kept_off: "list[Load | None]", now: int) -> None:
        all_overheated = self._are_all_overheated()
        # The place decides between equal priorities: a sort of MicroPython is not stable.
        off = [
            (-load.priority, position)
            for position, load in enumerate(self._loads)
            if not load.is_on
            and load not in kept_off
            and not (self._limits.is_branch_shut and load.heat_trips)
            and (load.is_case_known or not all_overheated)
        ]
        for _, position in sorted(off):
            load = self._loads[position]
            cold_enough = supply_c <= load.load_class.derating_start_c() - _RESTORE_BELOW_K
            hold_us = self._hold_us << min(load.heat_trips, _MAX_HOLD_DOUBLINGS)
            wait_us = _SERVICE_WAIT_US if load.awaits_limit else 0
            if cold_enough and now - load.shed_at >= hold_us + wait_us:
                self._switch(load, True, now)
                return

    def _switch(self, load: "Load", on: bool, now: int, force: bool = False) -> None:
        self._command(load, on, now, force)
        self._agent.alarms.update(LOAD_SHED, load.name, not on, now)

    def _command(self, load: "Load", on: bool, now: int, force: bool) -> None:
        load.switch(on, now, force)
        had_outlets_off = load.outlets_off
        load.set_outlets(not on and (had_outlets_off or not load.has_system))
        for session in outlet_sessions(load) if load.outlets_off or had_outlets_off else []:
            pairs = [
                (index, int(not other.outlets_off))
                for other in self._loads
                for outlet_session, index in other.outlets
                if outlet_session is session
                and other.shed_at
                # "On" for a load that only its service has switched off could start it.
                and (other.outlets_off or other.is_on)
            ]
            session.request_outputs(pairs, stop=not on)
