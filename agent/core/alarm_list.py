# SPDX-License-Identifier: Apache-2.0
"""List of alarms: the active alarms, the time of each, and the recent changes.

Does not detect faults. The package that detects a fault raises an alarm by its record and clears it
later. An alarm stays active until it is cleared. If an alarm must be latched, the component that
raises it latches it. The list has the order in which the alarms were raised. The history holds the
last `_HISTORY` changes.
"""

from agent.core.alarm_record import alarm_code

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from agent.core.alarm_record import AlarmRecord

    Listener = Callable[[int, str, str, str], None]

_HISTORY = 32


class Alarm:
    """One active alarm. `code`: the full code. `since`: monotonic time in µs of its raising."""

    def __init__(self, record: "AlarmRecord", code: str, text: str, since: int) -> None:
        self.record = record
        self.code = code
        self.text = text
        self.since = since


class AlarmList:
    """Active alarms and the recent changes. Times are monotonic microseconds.

    `unread`: the changes for `changes`.
    """

    def __init__(self, guard: "Any" = None) -> None:
        self.active: list[Alarm] = []
        self._guard = guard
        self.history: list[tuple[int, str, str]] = []
        self.raised_count = 0
        self.listeners: list[Listener] = []
        self.unread: list[tuple[int, str, str, str]] = []

    def add_listener(self, listener: "Listener") -> None:
        """Call `listener` at each change with (time, "raised" or "cleared", code, text)."""
        self.listeners.append(listener)

    def update(
        self, record: "AlarmRecord", source: str, active: bool, now: int, text: str = ""
    ) -> None:
        """Raise the alarm of `source` if `active`, else clear it. An unchanged state has no effect.

        `text` replaces the text of the record.
        """
        if not active:
            if self.active:  # the usual case is an alarm that was not active, many times a second
                self.clear(alarm_code(record, source), now)
            return
        code = alarm_code(record, source)
        for alarm in self.active:
            if alarm.code == code:
                return
        text = text or record.text
        self.raised_count += 1
        self.active.append(Alarm(record, code, text, now))
        self._record_change(now, "raised", code, text)

    def set_text(self, record: "AlarmRecord", source: str, text: str) -> None:
        """Replace the text of an active alarm."""
        code = alarm_code(record, source)
        for alarm in self.active:
            if alarm.code == code:
                alarm.text = text

    def clear(self, code: str, now: int) -> None:
        """Clear the alarm with this full code, if it is active."""
        for i, alarm in enumerate(self.active):
            if alarm.code == code:
                self.active.pop(i)
                self._record_change(now, "cleared", code, alarm.text)
                return

    def _record_change(self, now: int, change: str, code: str, text: str) -> None:
        self.history.append((now, change, code))
        self.unread.append((now, change, code, text))
        if len(self.history) > _HISTORY:
            self.history.pop(0)
        if len(self.unread) > _HISTORY:
            self.unread.pop(0)
        for listener in self.listeners[:]:
            try:
                listener(now, change, code, text)
            except Exception as error:
                self._guard.handle(listener, error, now)

    def changes(self) -> "list[tuple[int, str, str, str]]":
        """Return the changes since the last call: (time, "raised" or "cleared", code, text)."""
        unread, self.unread = self.unread, []
        return unread

    def codes(self) -> "list[str]":
        """Return the active codes in the order in which they were raised."""
        return [alarm.code for alarm in self.active]
