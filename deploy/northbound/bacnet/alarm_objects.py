# SPDX-License-Identifier: Apache-2.0
"""BACnet objects of the alarms: one binary value for each number of the alarm catalogue.

The agent decides on alarms; these objects only show its decision with the properties of intrinsic
reporting (ANSI/ASHRAE 135, clause 13). So they have no limits and no delays of their own. Alarms
of several sources with one number are one object: it is active if one of them is. Each alarm that
is raised while the object is active is a transition from OFFNORMAL to OFFNORMAL with a new time
stamp. So an acknowledgement names the newest alarm that its client knows.

    alarm of the agent         Event_State  Acked_Transitions
    active, unacknowledged     OFFNORMAL    to-offnormal 0
    active, acknowledged       OFFNORMAL    all 1
    cleared, unacknowledged    NORMAL       to-offnormal 0
    shelved                    NORMAL       all 1, Event_Algorithm_Inhibit TRUE

Does not send notifications; see `event_services`.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bacpypes3.basetypes import DateTime, TimeStamp
from bacpypes3.local.binary import BinaryValueObject
from bacpypes3.object import NotificationClassObject
from bacpypes3.primitivedata import Date, Time

from agent.alarms.catalogue import UNKNOWN_PRIORITY, catalogue
from deploy.northbound.bacnet.point_objects import FlaggedObject
from deploy.northbound.bacnet.subscriptions import ChangeCriteria
from deploy.northbound.bacnet.update_faults import UpdateFaults
from deploy.northbound.snapshot import AlarmItem

CLASSES = {1: (1, 64), 2: (2, 128), 3: (3, 192), 4: (3, 192)}
"""Notification class and priority by the priority of the alarm (1 is the highest)."""
_CLASS_NAMES = {1: "act now", 2: "act within 30 min", 3: "act today or later"}
TO_OFFNORMAL, TO_FAULT, TO_NORMAL = 0, 1, 2
_ALL = [1, 1, 1]
_UNACKED = [0, 1, 1]
_LONGEST_TEXT = 160


class FlaggedAlarm(FlaggedObject, BinaryValueObject):
    """A binary value."""

    _cov_criteria = ChangeCriteria


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of an alarm object that is notified. `acked`: an acknowledgement."""

    alarm: "AlarmObject"
    from_state: str
    to_state: str
    text: str
    acked: bool = False


class AlarmObject:
    """The object of one alarm number."""

    def __init__(self, number: int, code: str, priority: int, means: str) -> None:
        self.number, self.code = number, code
        self.notification_class, self.priority = CLASSES[priority]
        self.items: tuple[AlarmItem, ...] = ()
        self.text = ""
        self._ages_ms: dict[str, int] = {}
        self.object: Any = FlaggedAlarm(
            objectIdentifier=("binary-value", number),
            objectName=f"alarm {code}",
            description=means[:_LONGEST_TEXT],
            presentValue="inactive",
            activeText="alarm",
            inactiveText="normal",
            eventState="normal",
            reliability="no-fault-detected",
            outOfService=False,
            timeDelay=0,
            notificationClass=self.notification_class,
            alarmValue="active",
            eventEnable=_ALL,
            ackedTransitions=_ALL,
            notifyType="alarm",
            eventTimeStamps=[unspecified()] * 3,
            eventMessageTexts=[""] * 3,
            eventDetectionEnable=True,
            eventAlgorithmInhibit=False,
        )

    @property
    def identifier(self) -> Any:
        """Return the object identifier."""
        return self.object.objectIdentifier

    @property
    def is_unacknowledged(self) -> bool:
        """Whether a transition waits for an acknowledgement."""
        return list(self.object.ackedTransitions) != _ALL

    @property
    def is_reported(self) -> bool:
        """Whether GetEventInformation lists the object (clause 13.12)."""
        return self.object.eventState != 0 or self.is_unacknowledged

    def update(self, items: tuple[AlarmItem, ...], now: dt.datetime | None) -> Iterator[Transition]:
        """Copy the alarms of this number; return the transitions to notify.

        Raises after the last transition what the object has raised.
        """
        target, self.items = self.object, items
        live = [item for item in items if item.state != "shelved"]
        active = any(item.active for item in live)
        waiting = any(item.state.endswith("_unacknowledged") for item in live)
        was, was_waiting = str(target.eventState), self.is_unacknowledged
        raised, self._ages_ms = (
            self._raised(live),
            {i.id: i.raised_ago_ms for i in live if i.active},
        )
        state = "offnormal" if active else "normal"
        fault = target.attempt_publish(
            presentValue="active" if any(item.active for item in items) else "inactive",
            eventAlgorithmInhibit=bool(items) and not live,
            reliability="no-fault-detected",
            eventState=state,
            ackedTransitions=_UNACKED if waiting else _ALL,
        )
        if items:
            self.text = "; ".join(f"{item.id}: {item.text}" for item in items)[:_LONGEST_TEXT]
        if state != was or raised:
            self._stamp(TO_OFFNORMAL if active else TO_NORMAL, raised or live, now)
            yield Transition(self, was, state, self.text or self.code)
        elif was_waiting and not waiting:  # without items: an alarm that had ended
            yield Transition(self, state, "offnormal", self.text, acked=True)
        if fault is not None:
            raise fault

    def _raised(self, live: list[AlarmItem]) -> list[AlarmItem]:
        """Return the alarms that were raised since the last record: the age of others grows."""
        before = self._ages_ms
        return [
            item
            for item in live
            if item.active and (item.id not in before or item.raised_ago_ms < before[item.id])
        ]

    def _stamp(self, transition: int, live: list[AlarmItem], now: dt.datetime | None) -> None:
        """Set time and text of a transition; the times of the agent have precedence."""
        field = "raised_utc" if transition == TO_OFFNORMAL else "cleared_utc"
        known = [at for item in live if (at := getattr(item, field)) is not None]
        stamps, texts = list(self.object.eventTimeStamps), list(self.object.eventMessageTexts)
        before, stamp = stamps[transition], time_stamp(max(known, default=now))
        if now is not None and same_time(
            stamp, before
        ):  # two events within a hundredth of a second
            stamp = time_stamp(now)
        stamps[transition] = stamp
        texts[transition] = self.text
        self.object.eventTimeStamps, self.object.eventMessageTexts = stamps, texts


class AlarmObjects:
    """All alarm objects and the three notification classes."""

    def __init__(self, recipients: Iterable[Any], faults: UpdateFaults) -> None:
        self._faults = faults
        other = AlarmObject(0, "other", UNKNOWN_PRIORITY, "An alarm that has no number here.")
        self.by_number = {0: other}
        for entry in catalogue().entries.values():
            self.by_number[entry.number] = AlarmObject(
                entry.number, entry.code, entry.priority, entry.means
            )
        listed = list(recipients)
        self.classes = [
            NotificationClassObject(
                objectIdentifier=("notification-class", number),
                objectName=f"alarms: {name}",
                notificationClass=number,
                priority=[priority] * 3,
                ackRequired=[1, 0, 0],
                recipientList=listed,
            )
            for number, name in _CLASS_NAMES.items()
            for priority in {p for n, p in CLASSES.values() if n == number}
        ]

    def objects(self) -> Iterator[Any]:
        """Return the objects of bacpypes3."""
        yield from self.classes
        for alarm in self.by_number.values():
            yield alarm.object

    def find(self, identifier: Any) -> AlarmObject | None:
        """Return the alarm of an object identifier."""
        kind, number = identifier
        return self.by_number.get(number) if str(kind) == "binary-value" else None

    def update(
        self, alarms: tuple[AlarmItem, ...], now: dt.datetime | None, stale: bool
    ) -> list[Transition]:
        """Copy the alarms of a snapshot. A stale snapshot changes no state: it knows none."""
        found: dict[int, list[AlarmItem]] = {}
        for item in alarms:
            found.setdefault(item.number, []).append(item)
        transitions: list[Transition] = []
        for number, alarm in self.by_number.items():
            try:
                if stale:
                    alarm.object.publish(reliability="communication-failure")
                    continue
                for transition in alarm.update(tuple(found.get(number, ())), now):
                    transitions.append(transition)  # noqa: PERF402 - those before a fault stay
            except Exception as error:  # noqa: BLE001 - the other alarms go on
                self._faults.report(f"alarm {alarm.code}", error)
        return transitions


def unspecified() -> TimeStamp:
    """Return the time stamp of an event whose time is not known."""
    return time_stamp(None)


def time_stamp(at: dt.datetime | None) -> TimeStamp:
    """Return a time stamp in UTC; None: unspecified."""
    return TimeStamp(dateTime=date_time(at))


def same_time(left: Any, right: Any) -> bool:
    """Return whether two time stamps are equal to the hundredth of a second."""
    if left.dateTime is None or right.dateTime is None:
        return False
    days = [tuple(stamp.dateTime.date)[:3] for stamp in (left, right)]  # without day of week
    times = [tuple(stamp.dateTime.time) for stamp in (left, right)]
    return days[0] == days[1] and times[0] == times[1]


def date_time(at: dt.datetime | None) -> DateTime:
    """Return date and time in UTC with hundredths of a second; None: unspecified."""
    if at is None:
        return DateTime(date=Date((255, 255, 255, 255)), time=Time((255, 255, 255, 255)))
    at = at.astimezone(dt.UTC)
    day = Date((at.year - 1900, at.month, at.day, at.isoweekday()))
    return DateTime(date=day, time=Time((at.hour, at.minute, at.second, at.microsecond // 10_000)))
