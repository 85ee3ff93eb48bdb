# SPDX-License-Identifier: Apache-2.0
"""Alarm filter of one unit: decides from the changes of alarms which of them reach a person.

Does not send messages and does not store them. Rules, in this order:

    priority 1   immediately; of several loads (`siblings`) the first one. Another one, and one that
                 an alarm of priority 1 explains, only if it lasts its `lag_s` longer than that: a
                 wet supply needs longer to become dry than other effects to end.
                 One that such an alarm can explain waits `ROOT_WAIT_MS` for it: hot devices show a
                 loss of flow before the flow meter does. It is also explained while an alarm of
                 `continued_by` is active, if a person has got its root: a clogged filter keeps
                 devices hot when the loss of flow has ended
    relapse      an alarm of priority 1 that begins within `RELAPSE_MS` of the end of its root
                 counts as explained then: it needs a message if it lasts `ROOT_END_MS`
    priority 4   never; it stays in the records
    shelved      not while it is shelved; when that ends and the alarm is active, it counts as new
    explained    an alarm whose root is active is only counted (see `grouping`), and for its
                 `lag_s` after the end of the root, usually `ROOT_END_MS`: loads return in steps of
                 15 s, and drives start and prove the flow in 10 to 15 s after the mains are back
    settling     others wait `SETTLE_MS`, so that a root can come later than its effects; an alarm
                 that ends in this time gives no message
    chatter      with `CHATTER_CHANGES` changes in `CHATTER_MS` the alarm is held on until it is
                 quiet for `CHATTER_MS`
    flood        at most 10 messages in 10 min, the last one is a count of those that were held
                 back. Priority 1 counts too, but is never held back: three places are kept for it

The end of an alarm is reported if its beginning was reported; it does not count. Times are
ms of one clock.
"""

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any

from agent.alarms.catalogue import MAX_LAG_S, USUAL_LAG_S, catalogue
from agent.alarms.grouping import MAX_SHOWN, Buses, base_code, find_root, has_root

SETTLE_MS = 10_000
ROOT_END_MS = 1000 * USUAL_LAG_S
ROOT_WAIT_MS = 2_000
RELAPSE_MS = 120_000
CHATTER_CHANGES = 3
CHATTER_MS = 60_000
WINDOW_MS = 600_000
URGENT_PLACES = 3
"""Messages of priority 1 that one cause may bring in `WINDOW_MS`."""


@dataclass(frozen=True, slots=True)
class Notice:
    """A message to a person. `event`: "raised", "cleared", "flood".

    `children`: codes that the alarm explains, of a flood the codes that were held back.
    """

    event: str
    code: str
    text: str = ""
    time_ms: int = 0
    first_out: bool = False
    chattering: bool = False
    children: tuple[str, ...] = ()


@dataclass(slots=True)
class _Tracked:
    """An alarm that is active or held on. `handled`: it needs no message; `named`: it had its
    own.
    """

    text: str
    raised_ms: int
    first_out: bool = False
    is_active: bool = False
    handled: bool = False
    explained_ms: int = -MAX_LAG_S * 1000
    named: bool = False
    changes: list[int] = field(default_factory=list)

    def is_chattering(self, now: int) -> bool:
        """Return whether the alarm changed too often, and is not quiet yet."""
        is_quiet = not self.changes or now - self.changes[-1] >= CHATTER_MS
        return not is_quiet and len(self.changes) >= CHATTER_CHANGES

    def change(self, now: int, is_active: bool) -> None:
        """Note a change. A chattering alarm keeps its changes."""
        if not self.is_chattering(now):
            self.changes = [at for at in self.changes if now - at < CHATTER_MS]
        self.changes = [*self.changes, now][-CHATTER_CHANGES:]
        self.is_active = is_active


class AlarmFilter:
    """The alarms of one unit. `buses`: bus of each device, as far as it is known.

    `an_alarm_ended`: an alarm ended in the last `poll`. The state must be stored, also without a
    message.
    """

    def __init__(self, buses: Buses | None = None) -> None:
        self._buses = buses or {}
        self._alarms: dict[str, _Tracked] = {}
        self._sent: list[int] = []
        self._urgent: list[int] = []
        self._ended: dict[str, int] = {}
        self._held_back: dict[str, int] = {}
        self._active: list[str] = []
        self.an_alarm_ended = False

    def dump(self) -> dict[str, Any]:
        """Return the state, for JSON."""
        alarms = {code: asdict(alarm) for code, alarm in self._alarms.items()}
        return {
            "alarms": alarms,
            "sent": self._sent,
            "urgent": self._urgent,
            "ended": self._ended,
            "held_back": self._held_back,
            "active": self._active,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take a state from `dump`."""
        self._alarms = {code: _Tracked(**alarm) for code, alarm in state["alarms"].items()}
        self._sent = list(state["sent"])
        self._urgent = list(state.get("urgent", ()))
        self._ended = dict(state.get("ended", {}))
        self._held_back = dict(state["held_back"])
        self._active = list(state["active"])

    def change(self, now: int, is_raised: bool, code: str, text: str = "") -> None:
        """Follow one change of the unit. `now`: ms."""
        alarm = self._alarms.get(code)
        if alarm is None:
            if not is_raised:
                return
            alarm = self._alarms[code] = _Tracked(text, now)
        if is_raised == alarm.is_active:
            return
        if is_raised and code not in self._active:
            alarm.raised_ms, alarm.text = now, text or alarm.text
            alarm.first_out = not self._active
            self._active.append(code)
            if self._root_ended(code, now - RELAPSE_MS):
                alarm.explained_ms = now + ROOT_END_MS - _lag_ms(code)
        alarm.change(now, is_raised)

    def restart(self, now: int) -> None:
        """Handle a restart of the unit: its list of alarms is empty."""
        for code in self._active:
            self.change(now, False, code)

    def active(self) -> list[str]:
        """Return the codes of active alarms, and of those that are held on, oldest first."""
        return self._active

    def poll(self, now: int, shelved: Collection[str] = ()) -> list[Notice]:
        """Return the messages that are due."""
        self._sent = [at for at in self._sent if now - at < WINDOW_MS]
        self._urgent = [at for at in self._urgent if now - at < WINDOW_MS]
        self._ended = {code: at for code, at in self._ended.items() if now - at < WINDOW_MS}
        notices = []
        self.an_alarm_ended = False
        for code in self._active[:]:
            alarm = self._alarms[code]
            if not alarm.is_active and not alarm.is_chattering(now):
                notices += self._end(code, alarm, now)
        for code in sorted(self._active, key=catalogue().priority):
            alarm = self._alarms[code]
            if self._is_due(code, alarm, now, code in shelved):
                notices += self._report(code, alarm, now)
        self._forget(now)
        return notices + self._flood(now)

    def _is_due(self, code: str, alarm: _Tracked, now: int, is_shelved: bool) -> bool:
        """Return whether a person must get the alarm now."""
        priority = catalogue().priority(code)
        if self._root(code) or self._is_continued(code, now):
            alarm.explained_ms = now
        is_explained = now - alarm.explained_ms < _lag_ms(code)
        if priority == 1:
            is_waiting = now - alarm.raised_ms < ROOT_WAIT_MS and has_root(code, 1)
            return not (alarm.handled or is_explained or is_waiting)
        if is_shelved:
            alarm.handled = False
            return False
        # The effects of a root end some seconds after it.
        if alarm.handled or priority == 4 or is_explained:
            return False
        return now - alarm.raised_ms >= SETTLE_MS or alarm.is_chattering(now)

    def _report(self, code: str, alarm: _Tracked, now: int) -> list[Notice]:
        """Write the message of an alarm, or hold it back in a flood."""
        alarm.handled = True
        # The last place of the window is for the count of those that are held back.
        is_urgent = catalogue().priority(code) == 1
        if not is_urgent and self._places() <= 1:
            self._held_back[code] = now
            return []
        self._sent.append(now)
        if is_urgent:
            self._urgent.append(now)
        alarm.named = True
        children = tuple(other for other in self._active if self._root(other) == code)
        is_first = alarm.first_out or any(self._alarms[child].first_out for child in children)
        chatters = alarm.is_chattering(now)
        return [Notice("raised", code, alarm.text, now, is_first, chatters, children)]

    def _end(self, code: str, alarm: _Tracked, now: int) -> list[Notice]:
        """End an alarm. Report its end if its beginning was reported.

        It has explained its effects until now, also if no poll has seen both.
        """
        for other in self._active:
            if self._root(other) == code:
                self._alarms[other].explained_ms = now
        self._active.remove(code)
        self.an_alarm_ended = True
        self._held_back.pop(code, None)
        was_named, alarm.named, alarm.handled = alarm.named, False, False
        if was_named and catalogue().priority(code) == 1:
            self._ended[code] = now
        return [Notice("cleared", code, alarm.text, now)] if was_named else []

    def _forget(self, now: int) -> None:
        """Forget the changes of alarms that ended and are quiet."""
        for code, alarm in list(self._alarms.items()):
            if code not in self._active and now - alarm.changes[-1] >= CHATTER_MS:
                del self._alarms[code]

    def _flood(self, now: int) -> list[Notice]:
        """Write the count of the alarms that were held back, at most once in a window."""
        if not self._held_back or self._places() <= 0:
            return []
        if now - min(self._held_back.values()) < SETTLE_MS:
            return []
        codes = tuple(self._held_back)
        self._held_back.clear()
        self._sent.append(now)
        return [Notice("flood", "", f"{len(codes)} more alarms", now, children=codes)]

    def _places(self) -> int:
        """Return how many messages the window still has for others than priority 1."""
        kept = max(0, URGENT_PLACES - len(self._urgent))
        return MAX_SHOWN - kept - len(self._sent)

    def _root_ended(self, code: str, since: int) -> bool:
        """Return whether a root alarm of priority 1, which a person got, ended after `since`."""
        entry = catalogue().find(code)
        roots = () if entry is None or entry.priority != 1 else entry.suppressed_by
        return any(base_code(root) in roots and at > since for root, at in self._ended.items())

    def _is_continued(self, code: str, now: int) -> bool:
        """Return whether another alarm shows that the cause of an ended root lasts."""
        entry = catalogue().find(code)
        causes = () if entry is None else entry.continued_by
        if not causes:
            return False
        lasts = any(base_code(other) in causes for other in self._active)
        return lasts and self._root_ended(code, now - WINDOW_MS)

    def _root(self, code: str) -> str:
        return find_root(code, self._active, self._buses)


def _lag_ms(code: str) -> int:
    """Return how long an alarm can last after its root without its own message."""
    entry = catalogue().find(code)
    return ROOT_END_MS if entry is None else entry.lag_s * 1000
