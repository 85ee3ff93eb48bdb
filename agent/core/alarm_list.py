# SPDX-License-Identifier: Apache-2.0
"""List of alarms: the active alarms, the time of each, and the recent changes.

Does not detect faults. The room that detects a fault raises an alarm by its code and clears it
later. An alarm stays active until it is cleared. If an alarm must be latched, the component that
raises it latches it. The list has the order in which the alarms were raised. The history holds the
last `_HISTORY` changes.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Listener = Callable[[int, str, str, str], None]

_HISTORY = 32


class Alarm:
    """One active alarm. `since`: monotonic time in µs at which it was raised."""

    def __init__(self, code: str, text: str, since: int) -> None:
        self.code = code
        self.text = text
        self.since = since


class AlarmList:
    """Active alarms and the recent changes. Times are monotonic microseconds."""

    def __init__(self) -> None:
        self.active: list[Alarm] = []
        self.history: list[tuple[int, str, str]] = []
        self.raised_count = 0
        self._listeners: list[Listener] = []
        self._unread: list[tuple[int, str, str, str]] = []

    def add_listener(self, listener: "Listener") -> None:
        """Call `listener` at each change with (time, "raised" or "cleared", code, text)."""
        self._listeners.append(listener)

    def update(self, code: str, active: bool, text: str, now: int) -> None:
        """Raise the alarm `code` if `active`, else clear it. An unchanged state has no effect."""
        for i, alarm in enumerate(self.active):
            if alarm.code == code:
                if not active:
                    self.active.pop(i)
                    self._record_change(now, "cleared", code, alarm.text)
                return
        if active:
            self.raised_count += 1
            self.active.append(Alarm(code, text, now))
            self._record_change(now, "raised", code, text)

    def _record_change(self, now: int, change: str, code: str, text: str) -> None:
        self.history.append((now, change, code))
        self._unread.append((now, change, code, text))
        if len(self.history) > _HISTORY:
            self.history.pop(0)
        if len(self._unread) > _HISTORY:
            self._unread.pop(0)
        for listener in self._listeners:
            listener(now, change, code, text)

    def changes(self) -> "list[tuple[int, str, str, str]]":
        """Return the changes since the last call: (time, "raised" or "cleared", code, text)."""
        unread, self._unread = self._unread, []
        return unread

    def codes(self) -> "list[str]":
        """Return the active codes in the order in which they were raised."""
        return [alarm.code for alarm in self.active]
