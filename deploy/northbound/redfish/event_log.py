# SPDX-License-Identifier: Apache-2.0
"""Events of the unit: the differences between snapshots, kept in a ring and sent to subscribers.

Does not send them over the network; see `deploy.northbound.redfish.resources.events`. An event
without a known UTC has no time stamp. It gets one when the clock is known later in the same run of
the agent. If that run ends before, the event only gets the time of its entry in the log: the first
UTC that is known after it. While the record is stale, the time is that of the last record and its
age. The ring is in memory; `event_file` keeps it over restarts of the server.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from deploy.northbound.redfish.messages import Json
from deploy.northbound.redfish.registry import SEVERITY, alarm_key, message_id
from deploy.northbound.redfish.resource import link
from deploy.northbound.redfish.sensors import UNIT, utc_text
from deploy.northbound.snapshot import RAISED, AlarmFollower, AlarmItem, Snapshot

RING = 256
_RESERVED = 256
"""Ids of events that are reserved in a file at a time."""
_SOFTWARE_DATE = datetime(2026, 1, 1, tzinfo=UTC)
_STARTED = "The server started. The time is that of the system clock and is not verified."
_STATE_KEY = {"normal": "UnitStateNormal", "degraded": "UnitStateDegraded"}


@dataclass(slots=True)
class UnitEvent:
    """One event. `created`: UTC, None: not known. `test`: it is not in the log.

    `uptime_us`: of the agent at the event; -1: of an earlier run. `entered`: UTC of the entry in
    the log, if `created` can no longer be known.
    """

    id: int
    key: str
    args: tuple[str, ...]
    severity: str
    text: str
    resolution: str
    created: datetime | None
    uptime_us: int
    test: bool = False
    entered: datetime | None = None

    def record(self, *, origin: bool = True) -> Json:
        """Return the event as a record of the schema Event."""
        found: Json = {
            "EventType": "Alert",
            "EventId": str(self.id),
            "MemberId": "0",
            "Severity": self.severity,
            "MessageSeverity": self.severity,
            "Message": self.text,
            "MessageId": message_id(self.key),
            "MessageArgs": list(self.args),
        }
        if origin:
            found["OriginOfCondition"] = link(UNIT)
        if self.created:
            found["EventTimestamp"] = utc_text(self.created)
        return found


Subscriber = Callable[[UnitEvent], None]


class EventLog:
    """The newest events; `update` compares a snapshot with the one before.

    `record_start`: id of the first event of the newest record.
    """

    def __init__(self) -> None:
        self.events: deque[UnitEvent] = deque(maxlen=RING)
        self._subscribers: list[Subscriber] = []
        self._follower = AlarmFollower()
        self._state = ""
        self._uptime_us = 0
        self._last = Snapshot()
        self._next = 1
        self.record_start = 1
        self._reserved = 1
        self._reserve: Callable[[int], object] = lambda _: None

    def note_start(self, system_time: datetime) -> None:
        """Add the start of the server. Its time is that of the system clock and says so.

        So the log has an entry with a time also while the unit does not know UTC. A system clock
        that was never set gives no entry.
        """
        if system_time < _SOFTWARE_DATE:
            return
        event = self._make(Snapshot(), key="ServerStarted", args=(), severity="OK", text=_STARTED)
        event.created = system_time
        self._publish(event)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Call `subscriber` for each event from now on."""
        self._subscribers.append(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """End a subscription."""
        self._subscribers.remove(subscriber)

    def update(self, snapshot: Snapshot) -> None:
        """Find and publish what changed. A stale record changes the state, not the alarms."""
        self.record_start = self._next
        if snapshot.uptime_us < self._uptime_us and not snapshot.stale:
            for event in self.events:  # another run of the agent: its uptime starts again
                event.uptime_us = -1
        if not snapshot.stale:
            self._uptime_us, self._last = snapshot.uptime_us, snapshot
            self._set_times(snapshot)
        if snapshot.unit_state != self._state:
            if self._state:
                self._publish_state(snapshot)
            self._state = snapshot.unit_state
        if not snapshot.stale:
            self._compare_alarms(snapshot)

    def restore(
        self, events: list[UnitEvent], alarms: AlarmFollower, state: str, number: int
    ) -> None:
        """Begin with the events of an earlier run. `number`: id of the next event."""
        self.events.extend(events)
        self._follower, self._state, self._next = alarms, state, number

    def reserve_ids(self, number: int, store: Callable[[int], object]) -> None:
        """Use no id below `number`. `store` keeps the end of the ids that can be used from now on.

        It is called before the first of them is used: so no crash makes an id twice.
        """
        self._next = self._reserved = max(self._next, number)
        self._reserve = store

    def known(self) -> tuple[AlarmFollower, str, int]:
        """Return the alarms and the state of the last record, and the id of the next event."""
        return self._follower, self._state, self._next

    def clear(self) -> None:
        """Drop the events."""
        self.events.clear()

    def send_test(self, snapshot: Snapshot) -> None:
        """Publish a test event."""
        self.record_start, text = self._next, "Test of the delivery of events."
        event = self._make(snapshot, key="TestEvent", args=(), severity="OK", text=text)
        event.test = True
        self._publish(event)

    @property
    def last_id(self) -> int:
        """The id of the newest event."""
        return self._next - 1

    def after(self, number: int) -> list[UnitEvent]:
        """Return the kept events with a larger id, for a client that connects again."""
        return [event for event in self.events if event.id > number]

    def _set_times(self, snapshot: Snapshot) -> None:
        if snapshot.utc is None:
            return
        for event in self.events:
            if event.created is None and event.uptime_us >= 0:
                age = timedelta(microseconds=snapshot.uptime_us - event.uptime_us)
                event.created = snapshot.utc - age
            elif event.created is None and event.entered is None:
                event.entered = snapshot.utc

    def _publish_state(self, snapshot: Snapshot) -> None:
        state = snapshot.unit_state
        text = f"The state of the unit is {state}; it was {self._state}."
        self._publish(
            self._make(
                snapshot,
                key=_STATE_KEY.get(state, "UnitStateCritical"),
                args=(state, self._state),
                severity={"normal": "OK", "degraded": "Warning"}.get(state, "Critical"),
                text=text,
            )
        )

    def _compare_alarms(self, snapshot: Snapshot) -> None:
        before = self._follower.alarms
        for change, alarm in self._follower.update(snapshot):
            if change == RAISED:
                self._publish_alarm(snapshot, alarm)
            else:
                self._publish_change(snapshot, alarm.id, change)
        for alarm in snapshot.alarms:
            known = before.get(alarm.id)
            if alarm.state == "shelved" and known is not None and known.state != "shelved":
                self._publish_change(snapshot, alarm.id, "shelved")

    def _publish_alarm(self, snapshot: Snapshot, alarm: AlarmItem) -> None:
        event = self._make(
            snapshot,
            key=alarm_key(alarm.code),
            args=(alarm.id, alarm.text),
            severity=SEVERITY.get(alarm.priority, "Warning"),
            text=f"{alarm.id}: {alarm.text}",
        )
        event.resolution = alarm.action or event.resolution
        event.created = alarm.raised_utc or event.created
        self._publish(event)

    def _publish_change(self, snapshot: Snapshot, code: str, word: str) -> None:
        text, key = f"The alarm {code} is {word}.", f"Alarm{word.capitalize()}"
        self._publish(self._make(snapshot, key=key, args=(code,), severity="OK", text=text))

    def _make(
        self, snapshot: Snapshot, *, key: str, args: tuple[str, ...], severity: str, text: str
    ) -> UnitEvent:
        if self._next >= self._reserved:
            self._reserved = self._next + _RESERVED
            self._reserve(self._reserved)
        number, self._next = self._next, self._next + 1
        utc, uptime_us = self._time_of(snapshot)
        return UnitEvent(number, key, args, severity, text, "None.", utc, uptime_us)

    def _time_of(self, snapshot: Snapshot) -> tuple[datetime | None, int]:
        """Return UTC and uptime of a snapshot; of a stale one by its age since the last record."""
        last = self._last
        if not snapshot.stale:
            return snapshot.utc, snapshot.uptime_us
        if last.stale:
            return None, -1
        age_us = max(0, (snapshot.age_ms or 0) - (last.age_ms or 0)) * 1000
        utc = None if last.utc is None else last.utc + timedelta(microseconds=age_us)
        return utc, last.uptime_us + age_us

    def _publish(self, event: UnitEvent) -> None:
        self.events.append(event)
        for subscriber in tuple(self._subscribers):
            subscriber(event)
