# SPDX-License-Identifier: Apache-2.0
"""Alarm output: publishes the alarms that must reach a person, with their texts of the catalogue.

Does not decide which ones; see `agent.alarms.alarm_filter`. A unit sends only code and text;
number, priority and action come from the catalogue of the relay. The state of each unit is durable
before the relay marks a note as delivered, so a restart repeats or loses no alarm. The filter must
see all notes of a unit: a relay with this output has a group and a store of its own. It follows a
limited number of alarms of a unit. `alarm_order` has the rule for late and doubled notes.

    TOPIC/SITE/UNIT/alarms   a message for each notice, QoS 1
    /alarms                  page of the HTTP server: active alarms of all units
"""

import json
from collections.abc import Mapping
from typing import Any

from agent.alarms.alarm_filter import CHATTER_MS, AlarmFilter, Notice
from agent.alarms.catalogue import catalogue
from agent.alarms.shelving import Shelving
from deploy.relay.decode.row_format import Note
from deploy.relay.limits import NewNameCounter
from deploy.relay.outputs.alarm_order import UnitAlarms, concerns_alarms
from deploy.relay.outputs.base import Output, OutputContext, Page, check_topic

_POLL_MS = 1000
_KEY_PREFIX = "alarms/"
_MOST_CODES = 128
"""Alarms of a unit at a time, and new ones in a minute. A bad unit can have a code in each note."""
_MOST_URGENT_CODES = 32
"""More of priority 1."""
_MOST_TEXT_CHARS = 500


def catalogue_fields(note: Mapping[str, Any]) -> dict[str, Any]:
    """Return number, priority, time to respond and action of the alarm of a note; {}: no alarm."""
    entry = catalogue().find(str(note["code"])) if "alarm" in note and "code" in note else None
    if entry is None:
        return {}
    return {
        "number": entry.number,
        "priority": entry.priority,
        "respond_s": entry.respond_s,
        "do": entry.do,
    }


class AlarmOutput(Output):
    """Publishes `TOPIC/SITE/UNIT/alarms`."""

    USES_BROKER = True

    def __init__(self, context: OutputContext) -> None:
        super().__init__(context)
        check_topic("alarms", context.argument)
        self._filters: dict[str, AlarmFilter] = {}
        self._alarms: dict[str, UnitAlarms] = {}
        self._next_poll = 0
        self._unsaved: set[str] = set()
        self._new_codes = NewNameCounter(CHATTER_MS)
        self._shelving = None if context.shelved is None else Shelving(context.shelved)
        self._page_text = "{}"
        stored = {} if context.store is None else context.store.load_state(_KEY_PREFIX)
        for key, text in stored.items():
            self._load(key.removeprefix(_KEY_PREFIX), json.loads(text))

    def check(self) -> None:
        """Publish an empty message: a broker with MQTT 5 refuses it without a right."""
        self.context.publisher.publish(f"{self.context.argument}/_check", b"", 1, False)
        self.context.publisher.flush()

    def _load(self, unit: str, state: dict[str, Any]) -> None:
        """Take the state of a unit; an earlier version stored no order of the alarms."""
        alarm_filter = self._filter_of(unit)
        alarm_filter.load(state["filter"])
        if state.get("alarms"):
            self._alarms[unit] = UnitAlarms.load(state["alarms"])
        else:
            self._alarms[unit] = UnitAlarms.of_active(dict.fromkeys(alarm_filter.active(), 0))

    def _filter_of(self, unit: str) -> AlarmFilter:
        return self._filters.setdefault(unit, AlarmFilter())

    def note(self, note: Note) -> None:
        """Follow a change of an alarm. Other notes have no effect."""
        if not concerns_alarms(note):
            return
        unit, now = note.unit, self.context.clock_ms()
        for change in self._alarms.setdefault(unit, UnitAlarms()).follow(note).changes:
            if not change.is_raised or self._has_room(unit, change.code, now):
                text = change.text[:_MOST_TEXT_CHARS]
                self._filter_of(unit).change(now, change.is_raised, change.code, text)
        self._next_poll = 0
        self._unsaved.add(unit)

    def _has_room(self, unit: str, code: str, now: int) -> bool:
        """Return whether a unit can have one more alarm; the others are in its records only."""
        active = self._filter_of(unit).active()
        if code in active:
            return True
        is_urgent = catalogue().priority(code) == 1
        most = _MOST_CODES + (_MOST_URGENT_CODES if is_urgent else 0)
        if max(len(active), self._new_codes.count(unit, now)) >= most:
            return False
        self._new_codes.add(unit, now)
        return True

    def flush(self) -> None:
        """Publish what is due; its state is durable before the notes leave the outbox."""
        self.process()

    def process(self) -> None:
        """Publish due notices, once a second and after each change.

        The changes are durable before: once for a batch, since a state has all alarms of a unit.
        """
        for unit in sorted(self._unsaved):
            self._save(unit)
            self._unsaved.discard(unit)
        now = self.context.clock_ms()
        if 0 <= self._next_poll - now <= _POLL_MS or not self.context.publisher.is_connected():
            return
        self._next_poll = now + _POLL_MS
        for unit, alarm_filter in self._filters.items():
            shelved = set() if self._shelving is None else self._shelving.codes(unit, now / 1000)
            notices = alarm_filter.poll(now, shelved)
            for notice in notices:
                self._publish(unit, notice)
            if notices:
                self.context.publisher.flush()  # the broker has them before the state says so
            if notices or alarm_filter.an_alarm_ended:
                self._save(unit)
        units = {unit: alarm_filter.active() for unit, alarm_filter in self._filters.items()}
        self._page_text = json.dumps({unit: _page_rows(codes) for unit, codes in units.items()})

    def pages(self) -> dict[str, Page]:
        """Return the page `/alarms`."""
        return {"/alarms": lambda _: ("application/json", self._page_text)}

    def _publish(self, unit: str, notice: Notice) -> None:
        content = {
            "unit": unit,
            "event": notice.event,
            "code": notice.code,
            "text": notice.text,
            "t": notice.time_ms,
            **catalogue_fields({"alarm": notice.event, "code": notice.code}),
            "first_out": notice.first_out,
            "chattering": notice.chattering,
            "children": list(notice.children),
        }
        payload = json.dumps(content, separators=(",", ":")).encode()
        self.context.publisher.publish(f"{self.context.argument}/{unit}/alarms", payload, 1, False)

    def _save(self, unit: str) -> None:
        if self.context.store is None:
            return
        alarms = self._alarms.get(unit)
        state = {"filter": self._filter_of(unit).dump(), "alarms": alarms and alarms.dump()}
        self.context.store.store_state(_KEY_PREFIX + unit, json.dumps(state))


def _page_rows(codes: list[str]) -> list[dict[str, Any]]:
    alarm_catalogue = catalogue()
    rows = [{"code": code, "priority": alarm_catalogue.priority(code)} for code in codes]
    return sorted(rows, key=lambda row: str(row["priority"]))
