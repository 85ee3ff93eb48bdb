# SPDX-License-Identifier: Apache-2.0
"""Alarm output: publishes the alarms that must reach a person, with their texts of the catalogue.

Does not decide which ones; see `agent.alarms.alarm_filter`. A unit sends only code and text;
number, priority and action come from the catalogue of the relay. The state of each unit is durable
before the relay marks a note as delivered, so a restart repeats or loses no alarm. A notice that
the broker refuses waits, and is durable too; `problem` says why. The notes of all units go on. The
filter must see all notes of a unit: a relay with this output has a group and a store of its own. It
follows a limited number of alarms of a unit. `alarm_order` has the rule for late and doubled notes.

    TOPIC/SITE/UNIT/alarms   a message for each notice, QoS 1
    /alarms                  page of the HTTP server: active alarms of all units
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from agent.alarms.alarm_filter import CHATTER_MS, AlarmFilter, Notice
from agent.alarms.catalogue import catalogue
from agent.alarms.shelving import Shelving
from deploy.relay.decode.alarm_order import UnitAlarms, concerns_alarms
from deploy.relay.decode.row_format import Note
from deploy.relay.limits import NewNameCounter
from deploy.relay.outputs.base import Output, OutputContext, OutputError, Page, check_topic
from deploy.relay.outputs.http_client import RefusedError
from deploy.relay.terminal_text import report

_POLL_MS = 1000
_KEY_PREFIX = "alarms/"
_MOST_CODES = 128
"""Alarms of a unit at a time, and new ones in a minute. A bad unit can have a code in each note."""
_MOST_URGENT_CODES = 32
"""More of priority 1."""
_MOST_TEXT_CHARS = 500
_MOST_REFUSED = 20
"""Units in a pass whose messages the broker refuses; the others are tried a second later."""


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
        self._next_poll = self._next_unit = 0
        self._unsaved: set[str] = set()
        self._waiting: dict[str, list[Notice]] = {}
        """Notices of a unit that the broker has not taken."""
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
        for notice in state.get("waiting", ()):
            notice["children"] = tuple(notice["children"])
            self._waiting.setdefault(unit, []).append(Notice(**notice))
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
        self._poll_units(now)
        units = {unit: alarm_filter.active() for unit, alarm_filter in self._filters.items()}
        self._page_text = json.dumps({unit: _page_rows(codes) for unit, codes in units.items()})

    def _poll_units(self, now: int) -> None:
        """Publish what is due. A unit whose messages are refused stops no other one.

        Each pass begins after the last unit of the one before.
        """
        units = list(self._filters)
        units = units[self._next_unit :] + units[: self._next_unit]
        errors: list[OutputError] = []
        for unit in units:
            self._next_unit = (self._next_unit + 1) % len(units)
            error = self._poll(unit, now)
            errors += [error] if error else []
            if len(errors) >= _MOST_REFUSED:
                break
        problem = str(errors[0]) if errors else ""
        if bool(problem) != bool(self.problem):
            report(f"output alarms: {problem or 'works again'}")
        self.problem = problem

    def _poll(self, unit: str, now: int) -> OutputError | None:
        """Publish the due notices of a unit; return why the broker does not take them now.

        Until it has them, the filter only follows the changes, as without a connection.
        """
        if unit in self._waiting:
            error = self._send_waiting(unit, len(self._waiting[unit]))
            if error is not None:
                return error
        shelved = set() if self._shelving is None else self._shelving.codes(unit, now / 1000)
        notices = self._filters[unit].poll(now, shelved)
        if not notices and not self._filters[unit].an_alarm_ended:
            return None
        self._waiting[unit] = notices
        return self._send_waiting(unit, -1)

    def _send_waiting(self, unit: str, stored: int) -> OutputError | None:
        """Publish notices one by one, and store which ones are left; the store has `stored`.

        Returns why the broker does not take one now.
        """
        waiting, error = self._waiting[unit], None
        try:
            while waiting:
                self._send_one(unit, waiting[0])
                del waiting[0]
        except OutputError as caught:
            error = caught
        if not waiting:
            del self._waiting[unit]
        if len(waiting) != stored:
            self._save(unit)  # after the broker has the others
        return error

    def _send_one(self, unit: str, notice: Notice) -> None:
        """Publish a notice; one that the broker can never take goes out in a short form."""
        for form in (notice, replace(notice, text="", children=())):
            self._publish(unit, form, is_short=form is not notice)
            try:
                self.context.publisher.flush()
                return
            except RefusedError as error:
                report(f"output alarms: {notice.event} {notice.code}: {error}")
        report(f"output alarms: {unit} {notice.event} {notice.code} is not sent")

    def pages(self) -> dict[str, Page]:
        """Return the page `/alarms`."""
        return {"/alarms": lambda _: ("application/json", self._page_text)}

    def _publish(self, unit: str, notice: Notice, is_short: bool = False) -> None:
        entry = catalogue_fields({"alarm": notice.event, "code": notice.code})
        if is_short:
            entry.pop("do", None)
        content = {
            "unit": unit,
            "event": notice.event,
            "code": notice.code,
            "text": notice.text,
            "t": notice.time_ms,
            **entry,
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
        waiting = [asdict(notice) for notice in self._waiting.get(unit, ())]
        state = {
            "filter": self._filter_of(unit).dump(),
            "alarms": alarms and alarms.dump(),
            "waiting": waiting,
        }
        self.context.store.store_state(_KEY_PREFIX + unit, json.dumps(state))


def _page_rows(codes: list[str]) -> list[dict[str, Any]]:
    alarm_catalogue = catalogue()
    rows = [{"code": code, "priority": alarm_catalogue.priority(code)} for code in codes]
    return sorted(rows, key=lambda row: str(row["priority"]))
