"""The throttle: less power for the loads before they, or the coolant, become too hot.

    readings ─▶ headroom ─┐
    supply ─▶ derating curves ─▶ budget ─▶ shares ─▶ hold ─▶ limits ─▶ Redfish
    schedule, frequency ──┘                            └▶ switching ─▶ Redfish, outlets

Not a loop and not needed by any: it looks at what was read and never asks an actuator of the
cooling. Once a cycle, when the readings are there, it decides anew; a facility flow that stops is
looked at once more at once, so that a limit is on the wire within two seconds.

What limits the loads, the least counts:
    the derating curve of each load's class, at the supply temperature a few seconds ahead
    what the exchanger takes, when the valve is as far open as it may be
    nothing but the least power, when heat is no longer rejected
    a scheduled cap, and the droop with the grid's frequency
    `blind_pct`, when the supply temperature is not known
Limits go down at once and up slowly (`agent.power.limit_ramp`). When the least power is still too
much, that is when a case would pass its limit within `shed_lead_s`, loads are switched off, the
lowest priority first; they come back one by one when the coolant is cold again.
"""

from agent.core.actuator import PRESSURE, SUPPLY, SetpointRequest
from agent.core.component import Component
from agent.core.errors import CommandError
from agent.core.stored_record import StoredRecord
from agent.power import build, report
from agent.power.allocator import allocate_power
from agent.power.demand_interval import DemandInterval
from agent.power.limit_ramp import LimitRamp
from agent.power.load_shed import LoadShedding
from agent.power.measurement import PowerMeasurement
from agent.power.schedule import Schedule
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.component import Actions
    from agent.core.context import Context
    from agent.power.load import Load
    from protocols.cbor import Map

KEY = "throttle.schedule"
_LOOKAHEAD_S = 5.0
_NO_SUPPLY_AFTER = 3 * SECOND
"""As long as the loops wait for first readings, too."""


class PowerLimitComponent(Component):
    """See the module's docstring. `settings` is the section `throttle` of the configuration."""

    PORTS = ("store",)
    COMMANDS = ("schedule", "shed")
    POINTS = report.POINTS

    def __init__(self, agent: "Context", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        self.loads: list[Load] = build.build_loads(agent, settings)
        self.services = build.build_services(settings, self.loads)
        self.optics = build.build_optics(agent, settings, self.loads)
        self.droop = build.build_droop(settings)
        self._frequency = build.find_sensor(agent, settings.get("droop"))
        self.limit_ramp = LimitRamp(
            settings["hold_s"] * SECOND, settings["step_pct"], settings["step_s"] * SECOND
        )
        self.demand_interval = DemandInterval(settings["profile_s"] * SECOND)
        self.measurement = PowerMeasurement(agent, settings, self.loads)
        self.headroom = self.measurement.headroom
        self._load_shedding = LoadShedding(agent, settings, self.loads, self.optics, self.headroom)
        self.plan = Schedule()
        for entry in settings["schedule"]:
            self.plan.add(entry["at_utc_s"] * SECOND, entry["action"], entry["value"])
        self.state = report.FREE
        self.budget_w = self.demand_w = 0
        self.cap_w = 0
        self.cap_pct = 100
        self.droop_permille = 1000
        self.executed: list[tuple[int, int]] = []
        """Ticks (number, planned UTC in microseconds) in which scheduled entries were done."""
        self._store = StoredRecord(port, KEY)
        self._stored = b""
        self._updated_at = self._supply_known_at = 0

    def start(self, now: int) -> None:
        """Begin."""
        self._supply_known_at = now

    # What others ask.

    def schedule(self, at_utc_us: int, action: str, value: int) -> str:
        """Have `action` done with `value` in the tick that begins at a UTC instant, microseconds.

        Actions: cap_w (watts of all loads, 0 none), cap_pct (percent of the rated power, 100 none),
        supply_milli_c and dp_milli_kpa (set-points, thousandths). Gives what is wrong with it, or
        an empty text when it was taken; it then survives a restart if the part has a store.
        """
        fault = self.plan.add(at_utc_us, action, value)
        self._save()
        return fault

    def cancel(self) -> int:
        """Forget every entry that was not done yet; gives how many."""
        count = self.plan.cancel()
        self._save()
        return count

    def handle_command(self, name: str, arguments: "Map", now: int) -> "str | None":
        """Take the commands `schedule` (at_utc_s, action, value; or cancel: 1) and `shed` (pct: the
        share of the rated power that may be drawn from now on, 100 for all).
        """
        if name == "shed":
            fault = self.plan.add(0, "cap_pct", _integer(arguments, "pct"))
            text = "loads may draw %d %%" % _integer(arguments, "pct")
        elif name == "schedule" and arguments.get("cancel"):
            return "%d entries forgotten" % self.cancel()
        elif name == "schedule":
            at, value = _integer(arguments, "at_utc_s"), _integer(arguments, "value")
            action = str(arguments.get("action", ""))
            fault = self.schedule(at * SECOND, action, value)
            text = "%s %d at %d" % (action, value, at)
        else:
            return None
        if fault:
            raise CommandError(fault)
        return text

    # Ports.

    def event(self, kind: str, now: int) -> None:
        """Take what the store says."""
        self._store.event(kind)

    def receive(self, data: bytes, now: int) -> None:
        """Take the schedule that was kept."""
        payload = self._store.receive(data)
        if payload is not None:
            self._stored = payload
            self.plan.decode(payload)

    def _save(self) -> None:
        text = self.plan.encode()
        if self._store.open and text != self._stored:
            self._stored = text
            self._store.write(text)

    def link_event(self, index: int, kind: str, now: int) -> None:
        """Take an event of a service's port."""
        service = self.services[index]
        if kind == "opened":
            service.connection_opened(now)
        elif kind in ("closed", "failed"):
            service.connection_closed(now)
        self._check_links(now)

    def link_receive(self, index: int, data: bytes, now: int) -> None:
        """Take bytes of a service."""
        answers = self.services[index].answer_count
        self.services[index].receive(data, now)
        if self.services[index].answer_count != answers:
            self.links[index].mark_good()
        self._check_links(now)

    def wake(self, now: int) -> None:
        """Let the services see that time passed."""
        for service in self.services:
            if now >= service.deadline():
                service.wake(now)
        self._check_links(now)

    def deadline(self) -> int:
        """Give the next deadline of the services."""
        due = NEVER
        for service in self.services:
            due = min(due, service.deadline())
        return due

    def _check_links(self, now: int) -> None:
        """Make connections anew that are of no use any more; learn what was read."""
        for service, link in zip(self.services, self.links):
            if service.close_requested:
                reconnect, service.close_requested = service.close_requested == "again", ""
                if link.up and reconnect:
                    link.reopen()
                elif link.up:
                    link.close(now)
        for load in self.loads:
            load.adopt_limit(now)

    def outbox(self) -> "Actions":
        """Hand over what the ports are asked to do."""
        out = self._store.outbox()
        for service, link in zip(self.services, self.links):
            if service.connected:
                out.extend([(link.port, "write", data) for data in service.take_output()])
        return out

    # Time.

    def tick(self, now: int) -> None:
        """Do what is scheduled; look at the facility's flow; decide when there are new readings."""
        if self.plan.entries:
            self._execute(now)
        if self.measurement.flow_stopped(now):
            self._update_limits(now)
        if self.measurement.has_new_reading(now) or now - self._updated_at >= 2 * SECOND:
            self._update_limits(now)

    def _execute(self, now: int) -> None:
        """Do every entry whose time has come, in the row's own slot.

        Without UTC only what has no time: an order to shed at once must not wait for a receiver.
        """
        clock, ticks = self.agent.clock, self.agent.ticks
        stagger_us = self.settings["slot"] * self.settings["stagger_ms"] * 1000
        utc = ticks.number * ticks.period + ticks.slot - stagger_us
        if clock.utc(now) is None or clock.state(now) not in ("sync", "holdover"):
            utc = 0
        entry = self.plan.pop_due(utc)
        while entry is not None:
            self._apply_entry(entry[1], entry[2])
            self.executed = (self.executed + [(ticks.number, entry[0])])[-8:]
            self._save()
            entry = self.plan.pop_due(utc)
            if entry is None:
                self._update_limits(now)

    def _apply_entry(self, action: str, value: int) -> None:
        if action == "cap_w":
            self.cap_w = value
        elif action == "cap_pct":
            self.cap_pct = value
        else:
            key = SUPPLY if action == "supply_milli_c" else PRESSURE
            self.agent.request_setpoint(SetpointRequest("throttle", key, value / 1000))

    # The decision.

    def _update_limits(self, now: int) -> None:
        elapsed, self._updated_at = now - self._updated_at, now
        self.measurement.measure(now)
        if self.droop is not None and self._frequency is not None:
            self.droop_permille = self.droop.power_permille(self._frequency.milli(now))
        self._record_demand(now, elapsed)
        demands, budget_w = self._load_demands(now)
        self.budget_w, self.demand_w = budget_w, sum([demand[2] for demand in demands])
        targets, shortfall_w = allocate_power(budget_w, demands)
        in_restore_slot = self._in_restore_slot()
        for load, target_w in zip(self.loads, targets):
            if (
                load.on
                and load.can_limit
                and self.limit_ramp.step_limit(load, target_w, in_restore_slot, now)
            ):
                load.send_limit(now)
        self._load_shedding.step(shortfall_w, in_restore_slot, now)
        self.state = report.update_state(self, now)

    def _load_demand(self, load: "Load", now: int) -> "tuple[int, int, int]":
        """Priority, least and most of a load; what cannot be limited draws what it likes."""
        headroom = self.headroom
        if not load.on:
            return load.priority, 0, 0
        if not load.can_limit:
            return load.priority, load.max_w, load.max_w
        max_permille = 1000
        if headroom.supply_c is not None:
            max_permille = load.load_class.power_permille(
                headroom.supply_c + max(0.0, headroom.rise_k_s) * _LOOKAHEAD_S
            )
        elif now - self._supply_known_at > _NO_SUPPLY_AFTER:
            max_permille = 10 * self.settings["blind_pct"]
        return load.priority, load.min_w, max(load.min_w, load.max_w * max_permille // 1000)

    def _load_demands(self, now: int) -> "tuple[list[tuple[int, int, int]], int]":
        """What each load may claim, and the budget of all."""
        headroom = self.headroom
        if headroom.supply_c is not None:
            self._supply_known_at = now
        demands = [self._load_demand(load, now) for load in self.loads]
        rated_w = sum([load.max_w for load in self.loads])
        budget_w = min(sum([demand[2] for demand in demands]), rated_w * self.cap_pct // 100)
        budget_w = min(budget_w, rated_w * self.droop_permille // 1000)
        if self.cap_w:
            budget_w = min(budget_w, self.cap_w)
        if headroom.heat_rejection_lost:
            budget_w = 0
        elif self.measurement.valve_saturated():
            rejectable_w = self.measurement.rejectable_w()
            budget_w = budget_w if rejectable_w is None else min(budget_w, rejectable_w)
        return demands, budget_w

    def _in_restore_slot(self) -> bool:
        """Whether this is the row's own slot: steps up of many rows do not fall together."""
        ticks, settings = self.agent.ticks, self.settings
        period: int = settings["step_s"] * SECOND
        slot_us: int = period * settings["slot"] // settings["slots"]
        cycle = ticks.period * ticks.per_cycle
        return (ticks.number * ticks.period - slot_us) % period < cycle

    # What is said.

    def _record_demand(self, now: int, elapsed: int) -> None:
        utc = self.agent.clock.utc(now)
        if utc is not None and 0 < elapsed < 10 * SECOND:
            self.demand_interval.add_power(utc, self.measurement.load_w(now), elapsed)

    def values(self, now: int) -> "list[int | None]":
        """Give their values."""
        return report.values(self, now)

    def status(self, now: int) -> "object":
        """Show what limits the loads and what each was told."""
        return report.status(self, now)


def _integer(arguments: "Map", key: str) -> int:
    value = arguments.get(key)
    if type(value) is not int:
        raise CommandError(key + ": a whole number is needed")
    return value
