# SPDX-License-Identifier: Apache-2.0
"""Component `group`: this CDU is one of 2 to 16 on one facility loop.

There is no coordinator and no master. Each second each unit sends its report to each other one, in
a signed datagram (`protocols.signing`), and computes the same from the reports that it has
(`agent.control.group.staging`). A unit whose messages stop for `_LOST_US` is lost. Lost is not
stopped: its pumps may run, so its capacity does not count, and another unit starts.

A unit that is not selected closes its valve and stops its pumps (`Component.before_control`).
Everything with a higher rank still acts: interlocks, manual mode, protection. It runs when it
receives no other unit.

With `header`, the units pump into one header. Only the lead integrates its pressure. The others
take its speed. A new lead first takes the speed of the fastest one, so that the pressure does not
fall with its start. Until then, without a value of the pressure, and while its pumps stand still
(`pump_check`), it reports no speed, and the next unit of the ring integrates. Units that start,
stop or get another lead change their speed slowly (`approach`). If not all units report to each
other, each unit lowers its own set-point with its speed (droop), because several integrators on one
pressure drift apart. So does a unit that refuses the lead (`lead_watch`).
"""

from agent.control.group import rules
from agent.control.group.approach import HeaderApproach, HeaderLeave, HeaderView, LeadFollower
from agent.control.group.header_pressure import HeaderPressure
from agent.control.group.lead_watch import LeadWatch
from agent.control.group.pump_check import PumpCheck
from agent.control.group.report import (
    HEALTHY,
    LOAD_KNOWN,
    PRESSURE_KNOWN,
    RUNNING,
    UTC_KNOWN,
    GroupReport,
    build_report,
    is_healthy,
    parse_report,
)
from agent.control.group.staging import Staging
from agent.core.actuator import (
    AT_MOST,
    EXACT,
    GROUP,
    MANUAL,
    PUMPS,
    VALVE,
    ClaimSpec,
    SetpointRequest,
)
from agent.core.alarm_record import NORMAL, AlarmRecord
from agent.core.component.base import Component
from agent.core.json_writer import JsonObject
from agent.fieldbus.sensor import PointSensor
from protocols.signing.peer_link import PeerLink
from protocols.time_units import MILLISECOND, SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.control.control_context import ControlContext
    from agent.core.alarm_record import Condition
    from agent.core.component.base import Actions

GROUP_LINK = AlarmRecord("group_link", NORMAL, "unit of the group not received:", "port", False)
GROUP_RULES = AlarmRecord("group_rules", NORMAL, "other rules or time:", "port", False)
GROUP_LEAD = AlarmRecord(
    "group_lead", NORMAL, "its speed does not hold the pressure of the header:", "port", False
)
GROUP_PRESSURE = AlarmRecord(
    "group_pressure", NORMAL, "the pressure of the header differs from the other units", "", False
)
_LOST_US = 3500 * MILLISECOND
_START_GRACE_US = 10 * SECOND
"""Time after the start in which no unit is missed yet."""
_UTC_BOUND_US = SECOND
_APART_S = 60
"""Time in which a unit may report another period of rotation than the group."""
_WATER_J_L_K = 4000
"""Heat capacity of a litre of coolant, J/K: water with 25 % glycol at 30 °C, within 5 %."""
_DROOP_KPA_PCT, _BASE_PCT = 0.6, 60.0
"""Droop: kPa for each percent of speed, and the speed without a change of the set-point."""
_JOIN_S, _JOINED_PCT = 180, 2.0
"""A new lead takes the speed of the others until it is within this distance, or for this time."""
_PUSH_LPM_KW = 0.05
"""Flow for each kilowatt of capacity above which a unit pushes into the header."""
_OWNER = "group"


class GroupUnit:
    """Another unit: its link and its last report. `number`: 1 to 16."""

    def __init__(self, name: str, number: int, port: int, link: PeerLink) -> None:
        self.name, self.number, self.port, self.link = name, number, port, link
        self.report: GroupReport | None = None
        self.apart_s = 0

    def compare(self, rules_hash: int, slot: int) -> None:
        """Count the seconds in which it has other rules, or its clock is in another period."""
        report = self.report
        if report is None or (report.rules == rules_hash and report.slot in (0, slot)):
            self.apart_s = 0
        else:
            self.apart_s += _APART_S if report.rules != rules_hash else 1

    def is_received(self, now: int) -> bool:
        """Return whether its reports come."""
        return self.report is not None and self.link.is_up(now)

    def receives(self, own: int) -> bool:
        """Return whether it receives the reports of unit `own`, by its last report."""
        return self.report is not None and bool(self.report.received & rules.mask_of([own]))


class GroupComponent(Component):
    """The component; see the module."""

    CLAIMS = (
        ClaimSpec(VALVE, GROUP, EXACT),
        ClaimSpec(PUMPS, GROUP, EXACT),
        ClaimSpec(PUMPS, GROUP, AT_MOST),
    )
    PROVIDES = ("group",)
    agent: "ControlContext"

    def __init__(self, agent: "ControlContext", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        self.group = self
        names = sorted(settings["ports"])
        self._names = names
        self.own = names.index(agent.config.unit) + 1
        self._key = bytes.fromhex(settings["key"])
        self._capacity_w = int(settings["capacity_kw"] * 1000)
        self._period_s: int = settings["rotate_h"] * 3600
        self._has_header = settings["shared"] == "header"
        self._rules_hash = settings["rotate_h"] * 2 + self._has_header
        device, _, point = settings["flow"].partition(".")
        session = agent.fieldbus.session(device)
        self._flow = PointSensor(session, point, 5 * SECOND)
        self.members: list[GroupUnit] = []
        self.staging = Staging(len(names))
        self.runs = True
        self._is_whole = self._is_droop = False
        self._join_s = _JOIN_S
        self._approach = HeaderApproach()
        self._leave = HeaderLeave()
        self._follower = LeadFollower()
        self._reports: dict[int, GroupReport] = {}
        self._started = self._due = 0
        self._header = HeaderPressure(self.own, int(agent.config.pressure.setpoint * 1000))
        self._lead_watch = LeadWatch()
        self._pump_check = PumpCheck()
        self._is_starting = False
        self._out: Actions = []

    def start(self, now: int) -> None:
        """Begin to send to all other units."""
        self._started = self._due = now
        for number, link in enumerate(self.links):
            if number + 1 != self.own:
                own, peer = chr(64 + self.own), chr(65 + number)
                exchange = PeerLink(own, peer, self._key, SECOND, _LOST_US)
                exchange.start(0, now)
                name = self._names[number]
                self.members.append(GroupUnit(name, number + 1, link.port, exchange))

    def link_receive(self, index: int, data: bytes, now: int) -> None:
        """Take the message of a unit."""
        for member in self.members:
            if member.number == index + 1:
                member.link.receive(data, now)
                # A report that cannot be read does not keep the last one: the unit is lost.
                member.report = parse_report(member.link.replica(now))

    def _load_w(self, now: int) -> "int | None":
        """Return the heat that this unit rejects, W; None: a sensor gives no value."""
        sensor = self.agent.return_sensor
        values = (
            self._flow.value(now),
            None if sensor is None else sensor.value(now),
            self.agent.supply_sensor.value(now),
        )
        flow, warm, cold = values
        if flow is None or warm is None or cold is None:
            return None
        return _bounded(flow / 60 * _WATER_J_L_K * (warm - cold))

    def _own_report(self, now: int) -> GroupReport:
        agent = self.agent
        flags = RUNNING if self.runs else 0
        lost = [alarm for alarm in agent.alarms.active if alarm.code.startswith("device_lost")]
        has_pump = not self._pump_check.has_failed and any(p.available() for p in agent.pumps)
        winners = [agent.arbiters[actuator].winner() for actuator in (VALVE, PUMPS)]
        is_held = any(winner is not None and winner.rank >= MANUAL for winner in winners)
        if not (lost or is_held) and has_pump and agent.supply_sensor.value(now) is not None:
            flags |= HEALTHY
        if self._slot(now) is not None:
            flags |= UTC_KNOWN
        load_w = self._load_w(now)
        if load_w is not None:
            flags |= LOAD_KNOWN
        pressure_kpa = agent.dp_sensor.value(now) if self._has_header else None
        if pressure_kpa is not None:
            flags |= PRESSURE_KNOWN
        lacks_pressure = self._has_header and (pressure_kpa is None or self._header.is_suspect)
        cannot_lead = lacks_pressure or self._is_joining() or self._pump_check.is_still
        speed_pct = None if cannot_lead else self._speed_pct()
        received = [member.number for member in self.members if member.is_received(now)]
        return GroupReport(
            flags,
            rules.mask_of(self.staging.selected),
            rules.mask_of(received + [self.own]),
            self._capacity_w,
            load_w or 0,
            _bounded((pressure_kpa or 0.0) * 1000),
            int((speed_pct or 0.0) * 1000),
            self._rules_hash,
            self._slot(now) or 0,
        )

    def _speed_pct(self) -> "float | None":
        """Return the largest command of a pump; None: no pump has one."""
        known = [pump.command_pct for pump in self.agent.pumps if pump.command_pct is not None]
        return max(known) if known else None

    def _slot(self, now: int) -> "int | None":
        """Return the number of the period of rotation; None while UTC is not good enough."""
        clock: Any = self.agent.clock
        utc, bound = clock.utc(now), clock.bound_us(now)
        if utc is None or bound is None or bound > _UTC_BOUND_US:
            return None
        slot: int = utc // SECOND // self._period_s
        return slot

    def tick(self, now: int) -> None:
        """Once a second: compute, then send the own report."""
        if now < self._due:
            return
        self._due += SECOND
        self._pump_check.step(self.agent.pumps)
        reports = {
            member.number: member.report for member in self.members if member.is_received(now)
        }
        reports[self.own] = own = self._own_report(now)
        self._reports = reports  # type: ignore[assignment]  # received members have a report
        if now - self._started >= _START_GRACE_US:
            self.staging.step(self._reports, now // SECOND)
            self.runs = rules.must_run(self._reports, self.own, self.staging.selected)
            own = self._own_report(now)
        if self._has_header:
            self._header.step(self._reports)
            self._join()
        self._is_whole = rules.is_whole(self._reports, len(self._names))
        self._watch_lead(now)
        report = build_report(own)
        slot = rules.slot_of(self._reports)
        for member in self.members:
            member.compare(self._rules_hash, slot)
            member.link.set_state(report)
            line = member.link.next_line(1, 0, is_healthy(own), now)
            self._out.append((member.port, "write", line))
        if self._has_header:
            self._droop()

    def _watch_lead(self, now: int) -> None:
        """Refuse a lead whose speed does not hold the pressure."""
        unit = self._controller() if self._has_header and self.runs else 0
        lead = 0 if unit == self.own else unit
        pressure_kpa = None if not lead or self._is_starting else self._pressure_kpa(now)
        lead_pct = self._reports[lead].pump_milli / 1000 if lead else 0.0
        setpoint = self._setpoint_kpa
        off_share = None if pressure_kpa is None else (pressure_kpa - setpoint) / setpoint
        self._lead_watch.step(lead, off_share, lead_pct, self._speed_pct())
        if self._lead_watch.refused:
            self._is_whole = False

    @property
    def _setpoint_kpa(self) -> float:
        """The set-point of the header without the droop of this unit, with live changes."""
        config = self.agent.pressure_loop.config
        return config.configured if self._is_droop else config.setpoint

    def _others_pct(self) -> "list[float]":
        """Return the speed of each other running unit, percent; 0: it reports none."""
        others = [r for unit, r in self._reports.items() if unit != self.own and r.flags & RUNNING]
        return [report.pump_milli / 1000 for report in others]

    def _fastest_pct(self) -> float:
        """Return the largest speed that another running unit reports, percent; 0: none does."""
        return max(self._others_pct() + [0.0])

    def _controller(self) -> int:
        """Return the unit that controls the pressure; 0: none, or not all units report.

        It is the lead. While that one has no speed, it is the next one of the ring: one integrates.
        """
        if self._is_whole and self.staging.lead:
            for unit in rules.ring(self.staging.lead, len(self._names)):
                if self._reports[unit].flags & RUNNING and self._reports[unit].pump_milli:
                    return unit
        return 0

    def _is_joining(self) -> bool:
        """Return whether this unit is the lead, or has just started, and has no speed to follow."""
        return self._has_header and self._join_s > 0 and self.staging.lead in (None, self.own)

    def _join(self) -> None:
        """Count the time in which this lead is not at the speed of the others yet."""
        if self.staging.lead != self.own or not self.runs:
            self._join_s = _JOIN_S
            return
        speeds = [pump.speed() or 0.0 for pump in self.agent.pumps]
        is_behind = max(speeds + [0.0]) < self._fastest_pct() - _JOINED_PCT
        self._join_s = self._join_s - 1 if self._join_s and is_behind else 0

    def _droop(self) -> None:
        """Lower the own set-point with the speed while not all units report; else restore it.

        Without a known speed it stays as it is.
        """
        base, speed = self.agent.pressure_loop.config.configured, self._speed_pct()
        if self._is_whole:
            if self._is_droop:
                self._is_droop = False
                self.agent.request_setpoint(SetpointRequest(_OWNER, "pressure", base))
            return
        if speed is None:
            return
        self._is_droop = True
        wanted = base - _DROOP_KPA_PCT * (speed - _BASE_PCT)
        wanted = max(0.8 * base, min(1.2 * base, wanted))
        self.agent.request_setpoint(SetpointRequest(_OWNER, "pressure", wanted))

    def before_control(self, now: int, dt: float) -> None:
        """Stop a unit that is not selected. With a header, take the speed of the lead."""
        if not self.runs:
            self._approach.restart()
            self._follower.stop()
            # Without its pressure a unit controls nothing: it does not stay longer.
            can_control = self._has_header and self._pressure_kpa(now) is not None
            if can_control and self._limit(self._leave, "leave", now, dt):
                return
            for actuator in (VALVE, PUMPS):
                self.agent.arbiters[actuator].claim(GROUP, _OWNER, EXACT, 0.0, "standby")
            return
        if self._has_header:
            self._leave.restart()
            self._is_starting = self._limit(self._approach, "start", now, dt)
            self._follow(self._is_starting, dt)

    def _pressure_kpa(self, now: int) -> "float | None":
        """Return the pressure of the header, kPa: by the other units if the own sensor is suspect;
        None: not known.
        """
        if self._header.is_suspect:
            others_pa = self._header.pressure_pa
            return None if others_pa is None else others_pa / 1000
        return self.agent.dp_sensor.value(now)

    def _limit(
        self, bound: "HeaderApproach | HeaderLeave", reason: str, now: int, dt: float
    ) -> bool:
        """Claim the ceiling of `bound`; return whether it has one."""
        others = self._others_pct()
        fastest_pct = max(others + [0.0])
        pressure_kpa = self._pressure_kpa(now)
        if pressure_kpa is None and not fastest_pct:
            return False
        own = max([pump.speed() or 0.0 for pump in self.agent.pumps] + [0.0])
        level = 1.0 if pressure_kpa is None else pressure_kpa / self._setpoint_kpa
        flow_lpm = self._flow.value(now)
        pushes = flow_lpm is None or flow_lpm * 1000 > _PUSH_LPM_KW * self._capacity_w
        view = HeaderView(fastest_pct, len(others), own, level, pushes)
        ceiling = bound.ceiling(view, dt)
        if ceiling is None:
            return False
        self.agent.arbiters[PUMPS].claim(GROUP, _OWNER, AT_MOST, ceiling, reason)
        return True

    def _follow(self, is_starting: bool, dt: float) -> None:
        """Take the speed of the lead; as a lead that joins, that of the fastest unit.

        The ceiling of a unit that starts limits it already.
        """
        unit = self._controller()
        arbiter = self.agent.arbiters[PUMPS]
        if self._is_whole and self.staging.lead == self.own and self._is_joining():
            self._follower.stop()
            if self._fastest_pct():
                arbiter.follow(self._fastest_pct(), _OWNER, "join")
        elif unit in (0, self.own):
            self._follower.stop()
        else:
            last = arbiter.decision.output if arbiter.decision is not None else None
            unit_pct = self._reports[unit].pump_milli / 1000
            own_pct = unit_pct if last is None or is_starting else last
            speed_pct = self._follower.speed(unit, unit_pct, own_pct, dt)
            arbiter.follow(speed_pct, _OWNER, "lead")

    def outbox(self) -> "Actions":
        """Return the messages."""
        out, self._out = self._out, []
        return out

    def active_conditions(self, now: int) -> "list[Condition]":
        """Return the alarms: units that are not received, or have other rules."""
        if now - self._started < _START_GRACE_US:
            return []
        found: list[Condition] = []
        if self._has_header and self._header.differs:
            found.append((GROUP_PRESSURE, "", GROUP_PRESSURE.text))
        for member in self.members:
            if member.number == self._lead_watch.refused:
                found.append((GROUP_LEAD, member.name, GROUP_LEAD.text))
            if not (member.is_received(now) and member.receives(self.own)):
                found.append((GROUP_LINK, member.name, GROUP_LINK.text))
            elif member.apart_s >= _APART_S:
                found.append((GROUP_RULES, member.name, GROUP_RULES.text))
        return found

    def status(self, now: int) -> JsonObject:
        """Return the view of this unit. Null: not known, also before the first second."""
        names, reports = self._names, self._reports
        return JsonObject(
            [
                ("number", self.own),
                ("runs", self.runs),
                ("lead", names[self.staging.lead - 1] if self.staging.lead else None),
                ("selected", [names[unit - 1] for unit in self.staging.selected]),
                ("received", [member.name for member in self.members if member.is_received(now)]),
                ("reason", self.staging.reason),
                ("changes", self.staging.changes),
                ("whole", self._is_whole if reports else None),
                ("load_w", rules.load_w(reports)),
                ("heat_unknown", [names[unit - 1] for unit in rules.without_load(reports)]),
            ]
        )


def _bounded(value: float) -> int:
    """Return a heat in W or a pressure in Pa that a report can carry."""
    return max(0, min(int(value), 99_000_000))
