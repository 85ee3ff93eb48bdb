# SPDX-License-Identifier: Apache-2.0
"""Component `receivers`: one or two further receivers, and which receiver UTC follows.

Does not check the signals (see `agent.gnss.component`); those checks are for the main receiver, of
the section `receiver`. Each receiver has a clock (`agent.gnss.group.member`). Once a second the
intervals of all are compared (`agent.clock.estimate.selection`):

    follow     UTC follows the main receiver
    outside    the followed receiver contradicts the majority in `ALARM_ROUNDS` rounds: UTC follows
               the first receiver inside the majority
    silent     the followed receiver has no usable fix for 10 s: UTC follows the first other one
               that agrees with the held time
    return     the main receiver was good for `_RETURN_US` without a pause: UTC follows it again
    bound      the bound of UTC contains the interval that is true if at most half are false
    compare    the other receivers are a cross-check of UTC, as a network time is: two rounds of
               disagreement make the clock untrusted, and its bound covers both times

With two receivers that disagree neither is outvoted: the clock is untrusted until they agree, or
until another source decides. Pulses belong to the main receiver and are used only with it. An alarm
`receiver_apart` names a receiver that is not usable.
"""

from agent.clock.estimate.error_budget import StatedErrors
from agent.clock.estimate.selection import Interval, cover, overlap, select
from agent.core.alarm_record import NORMAL, AlarmRecord
from agent.core.component.base import Component
from agent.core.config_records import to_thousandths
from agent.core.json_writer import JsonObject
from agent.gnss.group.member import ALARM_ROUNDS, GroupMember
from drivers.gnss.receiver import ReceiverDriver
from drivers.ports.address import parse_address
from protocols.time_units import SECOND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from agent.clock.clock_context import ClockContext
    from agent.core.alarm_record import Condition
    from agent.core.port_link import PortLink
    from drivers.gnss.receiver import Fix

RECEIVER_APART = AlarmRecord("receiver_apart", NORMAL, "receiver is not used:", "port", False)
_RETURN_US = 600 * SECOND


class ReceiverGroup(Component):
    """The component; see the module. `followed` is the index of the receiver that UTC follows."""

    agent: "ClockContext"

    def __init__(self, agent: "ClockContext", settings: "dict[str, Any]", port: int) -> None:
        Component.__init__(self, agent, settings, port)
        stated = StatedErrors(*agent.config.clock_errors)
        min_utc = agent.clock.min_utc_us
        self.members = [GroupMember("receiver", agent.config, stated, min_utc, None)]
        self.followed = 0
        self.changes = 0
        self._due = 0
        agent.clock.set_fix_filter(self._take_main_fix)

    def add_link(self, link: "PortLink") -> None:
        """Add a further receiver at its port."""
        Component.add_link(self, link)
        settings, config, clock = self.settings, self.agent.config, self.agent.clock
        latency, error = settings.get("latency_ms", 0), settings["latency_error_ms"]
        latency_us = to_thousandths(error) if latency else None
        stated = StatedErrors(latency_us, None, config.clock_errors[2], 0)
        line = parse_address(link.address)
        driver = ReceiverDriver(
            link.port,
            line.baud,
            line.bits_per_char,
            to_thousandths(latency),
            min_utc_us=clock.min_utc_us,
        )
        member = GroupMember(link.name, config, stated, clock.min_utc_us, driver)
        self.members.append(member)

    def start(self, now: int) -> None:
        """Start all members."""
        for member in self.members:
            member.start(now)

    def _take_main_fix(self, fix: "Fix") -> bool:
        """Take a fix of the main receiver; return whether UTC follows this receiver."""
        self.members[0].add_fix(fix)
        return self.followed == 0

    def link_event(self, index: int, kind: str, now: int) -> None:
        """Handle an event of the port of a further receiver."""
        if kind == "opened":
            self.links[index].confirm_handshake()

    def link_receive(self, index: int, data: bytes, now: int) -> None:
        """Handle bytes of a further receiver."""
        member = self.members[index + 1]
        if member.driver is None:
            return
        member.driver.receive(data, now)
        for fix in member.driver.take_fixes():
            member.add_fix(fix)
            if self.followed == index + 1:
                self.agent.clock.use_fix(fix)

    def tick(self, now: int) -> None:
        """Compare the receivers once a second, and choose the one that UTC follows."""
        if now < self._due:
            return
        self._due = now + SECOND
        clock = self.agent.clock
        self.members[0].clock.set_failed_signals(clock.failed_signal_checks)
        for member in self.members:
            member.measure(clock.min_utc_us, now)
        selected = self._judge(now)
        choice = self._choose(selected, now)
        if choice != self.followed:
            self._follow(choice, now)
        self._compare(selected, now)
        clock.set_cover(cover(self._intervals(), len(self.members)))

    def _intervals(self) -> "list[Interval]":
        return [member.interval for member in self.members if member.interval is not None]

    def _judge(self, now: int) -> "Interval | None":
        """Return the interval of the majority, and tell each member whether it is inside."""
        selected = select(self._intervals(), len(self.members))
        for member in self.members:
            interval = member.interval
            is_outside = (
                selected is not None and interval is not None and not overlap(interval, selected)
            )
            member.judge(is_outside, now)
        return selected

    def _choose(self, selected: "Interval | None", now: int) -> int:
        """Return the index of the receiver that UTC must follow."""
        followed, main = self.members[self.followed], self.members[0]
        since = main.good_since
        if self.followed and since is not None and now - since >= _RETURN_US:
            return 0
        if followed.outside >= ALARM_ROUNDS:
            return self._first_inside(selected)
        if followed.is_silent(now):
            return self._first_inside(selected if selected is not None else self._held(now))
        return self.followed

    def _held(self, now: int) -> "Interval | None":
        """Return the interval of UTC as the agent holds it; None if it is unknown."""
        clock = self.agent.clock
        utc, bound = clock.utc(now), clock.no_leap_bound_us(now)
        if utc is None or bound is None:
            return None
        return Interval(utc - now - bound, utc - now + bound)

    def _first_inside(self, limits: "Interval | None") -> int:
        """Return the first receiver whose interval overlaps `limits` (None: no limits)."""
        for i, member in enumerate(self.members):
            interval = member.interval
            if i == self.followed or interval is None:
                continue
            if limits is None or overlap(interval, limits):
                return i
        return self.followed

    def _follow(self, index: int, now: int) -> None:
        member = self.members[index]
        self.followed = index
        self.changes += 1
        if member.interval is not None:
            self.agent.clock.follow_receiver(index, member.interval, member.stated, now)

    def _compare(self, selected: "Interval | None", now: int) -> None:
        """Compare UTC with a receiver that it does not follow: the first one inside the majority.

        Without a majority it is the first one. So if all contradict, the clock is untrusted.
        """
        for i, member in enumerate(self.members):
            interval = member.interval
            if i == self.followed or interval is None:
                continue
            if selected is None or overlap(interval, selected):
                utc = now + (interval.low + interval.high) // 2
                half = (interval.high - interval.low + 1) // 2
                # Receivers learn the leap seconds from the same signals, which can be false.
                leap = member.clock.leap
                has_leap_s = not leap.uncertain and not leap.is_suspect()
                self.agent.clock.cross_check(utc, half, now, has_leap_s)
                return

    def active_conditions(self, now: int) -> "list[Condition]":
        """Return an alarm for each receiver that is not usable."""
        faults = [(member.name, member.fault(now)) for member in self.members]
        return [
            (RECEIVER_APART, name, "%s %s: %s" % (RECEIVER_APART.text, name, fault))
            for name, fault in faults
            if fault
        ]

    def status(self, now: int) -> JsonObject:
        """Return the followed receiver, and of each its state and its difference from UTC in µs."""
        return JsonObject(
            [
                ("followed", self.members[self.followed].name),
                ("changes", self.changes),
                ("receivers", [self._member_status(member, now) for member in self.members]),
            ]
        )

    def _member_status(self, member: GroupMember, now: int) -> JsonObject:
        utc, own = self.agent.clock.utc(now), member.clock.utc(now)
        return JsonObject(
            [
                ("name", member.name),
                ("clock", member.clock.state(now)),
                ("difference_us", None if utc is None or own is None else own - utc),
                ("bound_us", member.clock.bound_us(now)),
                ("fault", member.fault(now) or None),
            ]
        )
