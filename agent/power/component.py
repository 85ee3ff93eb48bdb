# SPDX-License-Identifier: Apache-2.0
"""Component `throttle`: limits the power of the IT loads before they, or the coolant, become too
hot.

    readings ─▶ headroom ─┐
    supply ─▶ derating curves ─▶ budget ─▶ allocator ─▶ ramp ─▶ limits ─▶ Redfish
    schedule, frequency ──┘                               └▶ load shedding ─▶ Redfish, outlets

Does not control the cooling; no control loop depends on it. It decides once a cycle, when new
readings are available. A facility flow that stops is read again immediately, so that a limit is
sent within two seconds.

The lowest of these limits applies:
    the derating curve of the class of each load, at the supply temperature a few seconds ahead
    the same curve at the supply to expect, if the facility water warms fast
    the heat that the exchanger can take, if the valve is fully open
    the minimum power, if heat is no longer rejected
    a scheduled cap, and the frequency droop
    the orders of the protection (`agent.power.limit.load_limits`)
    `blind_pct`, if the supply temperature is unknown and the devices are not cool
    the minimum power of a load, if its device is hot (`agent.power.detector.device_heat`)
A limit falls immediately and rises slowly (`agent.power.limit.limit_ramp`). If the minimum power
is still too much, a case would exceed its limit within `shed_lead_s`. Then loads are switched off,
the lowest priority first. They are restored one by one when the coolant is cold again.
"""

from agent.core.actuator import PRESSURE, SUPPLY, SetpointRequest
from agent.core.component.base import Component
from agent.core.errors import CommandError
from agent.core.stored_record import StoredRecord
from agent.power import report
from agent.power.demand_interval import DemandInterval
from agent.power.limit.allocator import LoadDemand, allocate_power
from agent.power.limit.effect_proof import EffectProof
from agent.power.limit.kept_limits import KeptLimits
from agent.power.limit.limit_ramp import LimitRamp
from agent.power.limit.load_limits import LoadLimits, all_warm
from agent.power.limit.load_shed import LoadShedding
from agent.power.measurement import PowerMeasurement
from agent.power.schedule import Schedule
from protocols.time_units import NEVER, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.core.component.base import Actions
    from agent.core.context import Context
    from agent.power.load import Load
    from protocols.cbor import Map

KEY = "throttle.schedule"
_LOOKAHEAD_S = 5.0
_WATCH_US = 2 * SECOND
_NO_SUPPLY_AFTER_US = 3 * SECOND
"""The control loops wait the same time for their first readings."""


class PowerLimitComponent(Component):
    """The component; see the module. `settings` is the section `throttle` of the configuration."""

    PORTS = ("store",)
    PROVIDES = ("load_limits", "power_limits")
    COMMANDS = ("schedule", "shed")
    POINTS = report.POINTS
    SERVES_OFF = True

    def __init__(self, agent: "Context", settings: "dict[str, Any]", port: int) -> None:
        from agent.power import build  # noqa: PLC0415 - dropped after the start

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
        self.load_limits = LoadLimits(agent, self.loads)
        self.devices = build.build_device_heats(self.loads)
        self._load_shedding = LoadShedding(
            agent, settings, self.loads, self.optics, self.headroom, self.load_limits
        )
        self._proof = EffectProof(agent, self.loads, self._load_shedding)
        self.plan = Schedule()
        for entry in settings["schedule"]:
            self.plan.add(entry["at_utc_s"] * SECOND, entry["action"], entry["value"])
        config = agent.config
        self.plan.configure("retain" in [section for section, _, _ in config.components])
        self.state = report.FREE
        self.budget_w = self.demand_w = 0
        self.cap_w = 0
        self.cap_pct = 100
        self.droop_permille = 1000
        self.executed: list[tuple[int, int]] = []
        """Ticks (number, planned UTC in µs) of executed schedule entries."""
        self._store = StoredRecord(port, KEY)
        self._stored = b""
        self.kept = KeptLimits(self.loads, port)
        self.power_limits = self
        self._updated_at = self._supply_known_at = self.started_at = 0
        self._is_starved = False

    def start(self, now: int) -> None:
        """Start."""
        self._supply_known_at = self.started_at = now

    # Requests of operators.

    def schedule(self, at_utc_us: int, action: str, value: int) -> str:
        """Schedule `action` with `value` for the tick at a UTC instant in µs.

        Actions: cap_w (watts of all loads, 0: none), cap_pct (percent of the rated power, 100:
        none), supply_milli_c and dp_milli_kpa (set-points in 1/1000). Returns an error text, empty
        if the entry was accepted. With a store the entry survives a restart.
        """
        fault = self.plan.add(at_utc_us, action, value)
        self._save()
        return fault

    def cancel(self) -> int:
        """Remove all pending entries. Return their number."""
        count = self.plan.cancel()
        self._save()
        return count

    def handle_command(self, name: str, arguments: "Map", now: int) -> "str | None":
        """Execute the commands `schedule` (at_utc_s, action, value; or cancel: 1) and `shed` (pct:
        percent of the rated power that the loads can use from now on, 100: all).
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
        """Handle an event of the store."""
        self._store.event(kind)
        self.kept.record.event(kind)
        if self._store.is_settled:
            self._save()

    def receive(self, data: bytes, now: int) -> None:
        """Handle the stored schedule and the stored limits."""
        caps = self.kept.restore(data, now)
        if caps is not None:
            self.cap_w, self.cap_pct = caps
        waited = not self._store.is_settled
        payload = self._store.receive(data)
        if payload is not None and waited:
            self._stored = payload
            self.plan.decode(payload)

    def take_over(self, limits: bytes, plan: bytes, now: int) -> None:
        """Apply the limits and the schedule of the other controller of a pair.

        The own records do not count then: they are from before the other one was active.
        """
        self.kept.record.stop_waiting()
        self._store.stop_waiting()
        caps = self.kept.apply(limits, now)
        if caps is not None:
            self.cap_w, self.cap_pct = caps
        self.plan.reset()
        self.plan.decode(plan)

    def knows_caps(self) -> bool:
        """Return whether the stored caps were read, or caps were commanded since the start."""
        return self.kept.record.is_settled or self.cap_w > 0 or self.cap_pct < 100

    def _save(self) -> None:
        text = self.plan.encode()
        if self._store.is_open and text != self._stored:
            self._stored = text
            self._store.write(text)

    def link_event(self, index: int, kind: str, now: int) -> None:
        """Handle an event of a service's port."""
        service = self.services[index]
        if kind == "opened":
            service.connection_opened(now)
        elif kind in ("closed", "failed"):
            service.connection_closed(now)
        self._check_links(now)

    def link_receive(self, index: int, data: bytes, now: int) -> None:
        """Handle bytes of a service."""
        answers = self.services[index].answer_count
        self.services[index].receive(data, now)
        if self.services[index].answer_count != answers:
            self.links[index].confirm_handshake()
        self._check_links(now)

    def wake(self, now: int) -> None:
        """Handle the deadlines of the services."""
        for service in self.services:
            if now >= service.deadline():
                service.wake(now)
        self._check_links(now)

    def deadline(self) -> int:
        """Return the next deadline of the services."""
        due = NEVER
        for service in self.services:
            at = service.deadline()
            if at < due:
                due = at
        return due

    def _check_links(self, now: int) -> None:
        """Close or reopen connections as the services request; read the limits in force."""
        for service, link in zip(self.services, self.links):
            if service.close_requested:
                reconnect = service.take_close_request() == "again"
                if link.is_open and reconnect:
                    link.reopen()
                elif link.is_open:
                    link.close(now)
        for load in self.loads:
            load.adopt_limit(now)

    def outbox(self) -> "Actions":
        """Return the requests for the ports."""
        # The cap of an entry is stored before the schedule without this entry.
        out = self.kept.record.outbox() + self._store.outbox()
        for service, link in zip(self.services, self.links):
            if service.connected:
                out.extend([(link.port, "write", data) for data in service.take_output()])
        return out

    # Time.

    def tick(self, now: int) -> None:
        """Execute due entries; check the facility flow; decide if there are new readings."""
        limits = self.load_limits
        limits.expire()
        if self.plan.entries:
            self._execute(now)
        is_worse = self._proof.step(now)
        ignores_limit = True in [load.is_on and load.ineffective for load in self.loads]
        limits.report_ignored(ignores_limit, self._proof.ignores_off)
        is_worse = self._check_devices(now) or is_worse
        if limits.take_new() or is_worse:
            self._update_limits(now)
        if self.measurement.flow_stopped(now):
            self._update_limits(now)
        if self.measurement.has_new_reading(now) or now - self._updated_at >= 2 * SECOND:
            self._update_limits(now)

    def _check_devices(self, now: int) -> bool:
        """Use the device temperatures. Return whether a load became hot now. A suspect device is
        read each second, and each one while the supply is unknown.
        """
        supply_c, is_worse = self.headroom.supply_c, False
        limits = self.load_limits
        is_shut, is_certain = limits.has_shut_branch, limits.is_branch_shut
        is_lost = bool(limits.limit_reason)
        for device in self.devices:
            load = device.load
            was = load.is_hot, load.is_overheated
            device.step(supply_c, now, is_shut, is_certain, is_lost, limits.is_flow_seen)
            is_worse = is_worse or (load.is_hot, load.is_overheated) > was
            if device.is_warm or (device.is_compared and (supply_c is None or is_shut)):
                load.watch(_WATCH_US, now)
        limits.report_power(self.measurement.load_w(now))
        is_warm = all_warm(self.devices)
        # A supply that has become warmer makes devices warm, but not hot.
        are_hot = False not in [device.load.is_hot for device in self.devices if device.is_warm]
        if self.measurement.was_valve_closed() and is_warm and not are_hot:
            is_warm = None
        limits.report_warm(is_warm, self._are_devices_cool())
        was_starved, self._is_starved = self._is_starved, self._may_be_starved()
        return is_worse or self._is_starved > was_starved

    def _may_be_starved(self) -> bool:
        """Return whether a load without a temperature can have too little coolant.

        With little flow it can be on the branch that overheats. If all loads with a temperature
        are hot, and none cools down, it is hot too: all have the same coolant.
        """
        compared = [device for device in self.devices if device.is_compared]
        hot = [device.load.is_hot and device.is_warm is not False for device in compared]
        has_trip = True in [load.is_heat_trip for load in self.loads]
        return (has_trip and self.load_limits.is_flow_little) or (bool(hot) and False not in hot)

    def _execute(self, now: int) -> None:
        """Execute each due entry, in the restore slot of the row.

        Without UTC only entries without a time are executed: an order to shed must not wait for
        UTC.
        """
        clock, ticks = self.agent.clock, self.agent.ticks
        stagger_us = self.settings["slot"] * self.settings["stagger_ms"] * 1000
        utc = ticks.tick_number * ticks.period + ticks.tick_offset_us - stagger_us
        if clock.utc(now) is None or clock.state(now) not in ("sync", "holdover"):
            utc = 0
        entry = self.plan.pop_due(utc)
        while entry is not None:
            self._apply_entry(entry.action, entry.value)
            self.executed = (self.executed + [(ticks.tick_number, entry.at_utc_us)])[-8:]
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

    def while_off(self, now: int, dt: float) -> None:
        """Cap the loads, and follow the protection."""
        from agent.power.limit.fault_cap import cap_loads  # noqa: PLC0415 - only after an exception

        cap_loads(self.loads, self.load_limits, self._load_shedding, now)
        self.kept.save(self.cap_w, self.cap_pct)

    # Decision.

    def _update_limits(self, now: int) -> None:
        elapsed, self._updated_at = now - self._updated_at, now
        self.measurement.measure(now)
        if self.droop is not None and self._frequency is not None:
            self.droop_permille = self.droop.power_permille(self._frequency.milli(now))
        self._record_demand(now, elapsed)
        demands, budget_w = self._load_demands(now)
        self.budget_w, self.demand_w = budget_w, sum([demand.max_w for demand in demands])
        targets, shortfall_w = allocate_power(budget_w, demands)
        in_restore_slot = self._in_restore_slot()
        for load, target_w in zip(self.loads, targets):
            if (
                load.is_on
                and load.can_limit
                and not load.ineffective
                and self.limit_ramp.step_limit(load, target_w, in_restore_slot, now)
            ):
                load.send_limit(now)
        self._load_shedding.step(shortfall_w, in_restore_slot, now)
        self.state = report.update_state(self, now)
        self.kept.save(self.cap_w, self.cap_pct)

    def _load_demand(self, load: "Load", now: int) -> LoadDemand:
        """Return the demand of a load. A load without a limit can use its rated power."""
        headroom = self.headroom
        if not load.is_on:
            return LoadDemand(load.priority, 0, 0)
        if load.ineffective:
            return LoadDemand(load.priority, load.power_w, load.power_w)
        if not load.can_limit:
            return LoadDemand(load.priority, load.max_w, load.max_w)
        max_permille = 1000
        if headroom.supply_c is not None:
            supply_c = headroom.supply_c + max(0.0, headroom.rise_k_s) * _LOOKAHEAD_S
            predicted_c = self.measurement.inlet_trend.predicted_c
            max_permille = load.load_class.power_permille(max(supply_c, predicted_c or 0.0))
        elif now - self._supply_known_at > _NO_SUPPLY_AFTER_US and not self._are_devices_cool():
            max_permille = 10 * self.settings["blind_pct"]
        if load.is_hot or (self._is_starved and not load.is_case_known):
            max_permille = 0
        max_w = max(load.min_w, load.max_w * max_permille // 1000)
        return LoadDemand(load.priority, load.min_w, max_w)

    def _are_devices_cool(self) -> bool:
        """Return whether all devices with a temperature are cool: all have the same coolant."""
        cool = [device.load.is_cool for device in self.devices if device.is_compared]
        return bool(cool) and False not in cool

    def _load_demands(self, now: int) -> "tuple[list[LoadDemand], int]":
        """Return the demands of all loads and their budget."""
        headroom = self.headroom
        if headroom.supply_c is not None:
            self._supply_known_at = now
        demands = [self._load_demand(load, now) for load in self.loads]
        rated_w = sum([load.max_w for load in self.loads])
        budget_w = min(sum([demand.max_w for demand in demands]), rated_w * self.cap_pct // 100)
        budget_w = min(budget_w, rated_w * self.droop_permille // 1000)
        if self.cap_w:
            budget_w = min(budget_w, self.cap_w)
        budget_w = min(budget_w, rated_w * self.load_limits.cap_permille // 1000)
        if headroom.heat_rejection_lost or self.load_limits.is_active:
            budget_w = 0
        elif self.measurement.valve_saturated():
            rejectable_w = self.measurement.rejectable_w()
            budget_w = budget_w if rejectable_w is None else min(budget_w, rejectable_w)
        return demands, budget_w

    def _in_restore_slot(self) -> bool:
        """Return whether the restore slot of this row is open, so rows do not rise together."""
        ticks, settings = self.agent.ticks, self.settings
        period: int = settings["step_s"] * SECOND
        offset: int = period * settings["slot"] // settings["slots"]
        cycle = ticks.period * ticks.per_cycle
        return (ticks.tick_number * ticks.period - offset) % period < cycle

    # Reports.

    def _record_demand(self, now: int, elapsed: int) -> None:
        utc = self.agent.clock.utc(now)
        if utc is not None and 0 < elapsed < 10 * SECOND:
            self.demand_interval.add_power(utc, self.measurement.load_w(now), elapsed)

    def values(self, now: int) -> "list[int | None]":
        """Return the values of the points."""
        return report.values(self, now)

    def status(self, now: int) -> "object":
        """Return the limits of the loads and their causes."""
        return report.status(self, now)


def _integer(arguments: "Map", key: str) -> int:
    value = arguments.get(key)
    if type(value) is not int:
        raise CommandError(key + ": a whole number is needed")
    return value
