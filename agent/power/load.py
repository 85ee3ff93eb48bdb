# SPDX-License-Identifier: Apache-2.0
"""A load: its rated power, its limit, and how the limit is set.

Does not decide about the limit; see `agent.power.component`.

A Redfish target limits a load. The system of that target, or outlets of a power strip on a field
bus, switch it. A load without both only counts with its rated power.
"""

from agent.core.alarm_record import alarm_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.core.alarm_list import AlarmList
    from agent.core.alarm_record import AlarmRecord
    from agent.core.context import SessionView
    from agent.power.load_class import LoadClass
    from drivers.redfish.client import RedfishClient
    from drivers.redfish.target import RedfishTarget

    Outlet = tuple[SessionView, int]

ON, OFF = 1, 0


class Load:
    """A load. `limit_w` is the last limit; `on`: True if it should run.

    `service`, `index`: the Redfish service and the number of its target, or None. `watts`: points
    that measure its power. `before_w`: its last measured power before the limit was lowered, or
    None. `ineffective`: it draws more than its limit. `is_proven_off`: it drew
    less than 5 % of its rating after it was commanded off. `outlets_off`: its outlets are off.
    `is_hot`, `is_overheated`, `is_unseen`, `is_cool`, `is_heat_shown`, `is_case_known`,
    `is_case_false`: see `agent.power.detector.device_heat`.
    `heat_trips`: how often it was switched off for that. `is_starting`: it was switched on and has
    not drawn power yet. `is_resumed`: its last switching is from before a restart, and may not have
    arrived. `is_unproven`: it was not switched and has not drawn power since the start.
    `is_dark`: it should run and draws no power.
    """

    def __init__(
        self, name: str, load_class: "LoadClass", priority: int, min_w: int, max_w: int
    ) -> None:
        self.name = name
        self.load_class = load_class
        self.priority = priority
        self.min_w = min_w
        self.max_w = max_w
        self.limit_w = max_w
        self.is_on = True
        self.limit_known = False
        self.lowered_at = self.unanswered_from = -(1 << 60)
        self.before_w: int | None = None
        self.raised_at = -(1 << 60)
        self.shed_at = 0
        self.service: RedfishClient | None = None
        self.index = 0
        self.outlets: list[Outlet] = []
        self.watts: list[Outlet] = []
        self.ineffective = self.is_proven_off = self.outlets_off = False
        self.is_hot = self.is_overheated = self.is_unseen = self.is_cool = False
        self.is_heat_shown = self.is_case_known = self.is_case_false = False
        self.is_starting = self.is_resumed = self.is_dark = False
        self.is_unproven = True
        self.heat_trips = 0

    def use_service(self, service: "RedfishClient", index: int) -> None:
        """Set the limit through the target `index` of `service`."""
        self.service, self.index = service, index

    def lower_limit(self, limit_w: int, now: int) -> None:
        """Lower the limit; see `send_limit`.

        `unanswered_from`: the first limit since the last one that the service has confirmed.
        """
        if not self.awaits_limit:
            self.unanswered_from = now
        self.before_w = self.drawn_w(-1)
        self.limit_w = limit_w
        self.lowered_at = now

    def raise_limit(self, limit_w: int, now: int) -> None:
        """Raise the limit; see `send_limit`."""
        self.limit_w = limit_w
        self.raised_at = now

    @property
    def target(self) -> "RedfishTarget | None":
        """The Redfish target, if there is one."""
        return None if self.service is None else self.service.targets[self.index]

    @property
    def can_limit(self) -> bool:
        """True if its power can be limited."""
        return self.service is not None

    @property
    def can_switch(self) -> bool:
        """True if it can be switched off."""
        return bool(self.outlets) or self.has_system

    @property
    def is_measured(self) -> bool:
        """True if `power_w` is a report and not the limit."""
        return self.target is not None and self.target.power_w is not None

    @property
    def power_w(self) -> int:
        """Its power: measured, otherwise at most its limit."""
        target = self.target
        if target is not None and target.power_w is not None:
            return target.power_w
        return self.limit_w if self.is_on else 0

    def drawn_w(self, since: int) -> "int | None":
        """Return its power as measured after `since`, the higher of two; None: not measured."""
        target = self.target
        reported_w: int | None = None
        if target is not None and target.asked_at > since:
            reported_w = target.power_w
        total_w = 0
        for session, index in self.watts:
            reading = session.device.readings[index]
            if reading.quality != "good" or reading.read_at <= since:
                return reported_w
            point = session.profile.points[index]
            total_w += reading.raw * point.numerator // point.denominator
        return max(total_w, reported_w or 0) if self.watts else reported_w

    @property
    def awaits_limit(self) -> bool:
        """True if it has a limit that its service has not confirmed."""
        target = self.target
        if target is None or target.deferred or self.limit_w >= self.max_w:
            return False
        return target.answered_at < self.lowered_at and not target.is_in_force

    def min_permille(self) -> int:
        """Return its minimum power while it is on, permille of the rating."""
        return 1000 * self.min_w // self.max_w if self.can_limit else 1000

    def adopt_limit(self, now: int) -> None:
        """Use the active limit of the first reading, so that a restart changes nothing.

        It counts as just lowered and does not rise before the hold time ends.
        """
        target = self.target
        if self.limit_known or target is None or not target.read_at:
            return
        self.limit_known = True
        if (
            target.requested_w is None
            and target.reported_w is not None
            and target.reported_w < self.limit_w
        ):
            self.lower_limit(max(self.min_w, target.reported_w), now)

    def send_limit(self, now: int) -> None:
        """Send the limit."""
        if self.service is not None:
            self.service.set_limit(self.index, self.limit_w, now)

    def watch(self, duration: int, now: int) -> None:
        """Read its service each second for `duration`."""
        if self.service is not None:
            self.service.watch(self.index, duration, now)

    @property
    def has_system(self) -> bool:
        """True if its Redfish service can switch it."""
        target = self.target
        return target is not None and target.system != ""

    def set_outlets(self, off: bool) -> None:
        """Record whether its outlets are switched off."""
        self.outlets_off = off

    def set_ineffective(self, ineffective: bool) -> None:
        """Record whether it draws more than its limit."""
        self.ineffective = ineffective

    def set_heat(self, is_hot: bool, is_overheated: bool, is_unseen: bool = False) -> None:
        """Record what its device temperature shows. `is_unseen`: hot, because it is unknown."""
        self.is_hot, self.is_overheated, self.is_unseen = is_hot, is_overheated, is_unseen

    def set_heat_shown(self, is_shown: bool) -> None:
        """Record whether the alarm `device_hot` shows it."""
        self.is_heat_shown = is_shown

    def set_case_known(self) -> None:
        """Record that its device temperature was read."""
        self.is_case_known = True

    def set_case_false(self, is_false: bool) -> None:
        """Record whether its device temperature has been impossible for some time."""
        self.is_case_false = is_false

    @property
    def is_heat_trip(self) -> bool:
        """True from its switch-off because of heat until it has run again without it."""
        return self.heat_trips > 0 and self.is_heat_shown

    def update_alarm(
        self, alarms: "AlarmList", record: "AlarmRecord", is_active: bool, now: int
    ) -> None:
        """Update an alarm of this load, with its name in the text."""
        text = alarm_text(record, self.name) if is_active else ""
        alarms.update(record, self.name, is_active, now, text)

    def set_cool(self, is_cool: bool) -> None:
        """Record whether its device temperature shows that it needs no limit."""
        self.is_cool = is_cool

    def count_heat_trip(self, count: int = 1) -> None:
        """Record that it is switched off because it is overheated."""
        self.heat_trips += count

    def set_proven_off(self, proven: bool) -> None:
        """Record whether its power has shown that it is off."""
        self.is_proven_off = proven

    def keep_off(self, now: int) -> None:
        """Keep it off, as before the restart; nothing is sent until it is switched on."""
        self.is_on = False
        self.resume(now)
        self.outlets_off = not self.has_system
        if self.service is not None:
            self.service.note_off(self.index)

    def resume(self, now: int) -> None:
        """Continue a switching of before the restart. `is_starting` if it is one on."""
        self.shed_at = now
        self.is_resumed, self.is_unproven = True, False
        self.is_starting = self.is_on

    def set_started(self) -> None:
        """Record that its power has shown that it runs."""
        self.is_starting = self.is_unproven = self.is_dark = False

    def set_dark(self) -> None:
        """Record that it draws no power, although it should run."""
        self.is_dark = True

    def switch(self, on: bool, now: int, force: bool = False) -> None:
        """Switch it on or off by its service. `force`: again, and without a shutdown."""
        self.is_on = self.is_starting = on
        self.is_resumed = self.is_unproven = self.is_dark = False
        self.shed_at = now
        self.is_proven_off = self.ineffective = False
        if self.service is not None:
            self.service.set_power(self.index, on, now, force)


def outlet_sessions(load: "Load") -> "list[SessionView]":
    """Return the power strips of a load, each once."""
    sessions: list[SessionView] = []
    for session, _ in load.outlets:
        if session not in sessions:
            sessions.append(session)
    return sessions
